//! Icons drawn as shapes: sharp at every scale, the same on every system, and no glyph can be missing.

use egui::{
    Color32, Pos2, Rect, Response, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo, pos2, vec2,
};

/// What an icon button shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Icon {
    /// A triangle: run.
    Run,
    /// Two bars: pause.
    Pause,
    /// A bar and a triangle: one step.
    Step,
    /// An arrow round to the start: reset.
    Reset,
    /// A die: reseed.
    Dice,
    /// A pin.
    Pin,
    /// An eye, open.
    Eye,
    /// An eye, shut.
    EyeShut,
    /// A cross: remove, close.
    Cross,
}

/// A square button with an icon. `name` is what screen readers and tests know it by; `tip` explains it on hover.
pub(crate) fn icon_button(
    ui: &mut Ui,
    icon: Icon,
    name: &str,
    tip: &str,
    enabled: bool,
) -> Response {
    let size = Vec2::splat(ui.spacing().interact_size.y + 4.0);
    let sense = if enabled {
        Sense::click()
    } else {
        Sense::hover()
    };
    let (rect, response) = ui.allocate_exact_size(size, sense);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled && ui.is_enabled(), name));
    if ui.is_rect_visible(rect) {
        let visuals = ui.style().interact(&response);
        let color = if enabled {
            visuals.fg_stroke.color
        } else {
            ui.visuals().weak_text_color().gamma_multiply(0.5)
        };
        if enabled && (response.hovered() || response.has_focus()) {
            ui.painter().rect(
                rect,
                visuals.corner_radius,
                visuals.weak_bg_fill,
                visuals.bg_stroke,
                egui::StrokeKind::Inside,
            );
        }
        paint(ui.painter(), icon, rect.shrink(rect.width() * 0.28), color);
    }
    response.on_hover_text(tip)
}

/// Draws an icon into a square.
pub(crate) fn paint(painter: &egui::Painter, icon: Icon, rect: Rect, color: Color32) {
    let at = |x: f32, y: f32| -> Pos2 {
        pos2(
            rect.left() + x * rect.width(),
            rect.top() + y * rect.height(),
        )
    };
    let stroke = Stroke::new((rect.width() * 0.14).max(1.2), color);
    let polygon =
        |points: Vec<Pos2>| painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
    let bar = |x0: f32, x1: f32| {
        painter.rect_filled(Rect::from_min_max(at(x0, 0.0), at(x1, 1.0)), 1.0, color)
    };
    let arc = |from: f32, to: f32, radius: f32, centre: Pos2| {
        let points: Vec<Pos2> = (0..=20)
            .map(|i| from + (to - from) * i as f32 / 20.0)
            .map(|angle| centre + radius * rect.width() * vec2(angle.cos(), angle.sin()))
            .collect();
        painter.add(Shape::line(points, stroke));
    };
    match icon {
        Icon::Run => {
            polygon(vec![at(0.12, 0.0), at(1.0, 0.5), at(0.12, 1.0)]);
        }
        Icon::Pause => {
            bar(0.1, 0.38);
            bar(0.62, 0.9);
        }
        Icon::Step => {
            polygon(vec![at(0.05, 0.0), at(0.68, 0.5), at(0.05, 1.0)]);
            bar(0.75, 0.95);
        }
        Icon::Reset => {
            arc(-2.6, 2.6, 0.44, at(0.5, 0.5));
            polygon(vec![at(-0.06, 0.5), at(0.0, 0.02), at(0.42, 0.26)]);
        }
        Icon::Dice => {
            painter.rect_stroke(rect.expand(1.0), 3.0, stroke, egui::StrokeKind::Inside);
            for (x, y) in [
                (0.27, 0.27),
                (0.73, 0.73),
                (0.5, 0.5),
                (0.73, 0.27),
                (0.27, 0.73),
            ] {
                painter.circle_filled(at(x, y), rect.width() * 0.09, color);
            }
        }
        Icon::Pin => {
            painter.circle_filled(at(0.5, 0.3), rect.width() * 0.3, color);
            painter.line_segment([at(0.5, 0.5), at(0.5, 1.05)], stroke);
        }
        Icon::Eye | Icon::EyeShut => {
            let lid: Vec<Pos2> = (0..=16)
                .map(|i| i as f32 / 16.0)
                .map(|t| {
                    at(
                        -0.05 + 1.1 * t,
                        0.5 - 0.36 * (t * std::f32::consts::PI).sin(),
                    )
                })
                .collect();
            let lower: Vec<Pos2> = lid
                .iter()
                .map(|p| pos2(p.x, 2.0 * at(0.5, 0.5).y - p.y))
                .collect();
            painter.add(Shape::line(lower, stroke));
            if icon == Icon::Eye {
                painter.add(Shape::line(lid, stroke));
                painter.circle_filled(at(0.5, 0.5), rect.width() * 0.17, color);
            }
        }
        Icon::Cross => {
            painter.line_segment([at(0.1, 0.1), at(0.9, 0.9)], stroke);
            painter.line_segment([at(0.9, 0.1), at(0.1, 0.9)], stroke);
        }
    }
}
