//! Legend entries that are also switches: a swatch drawn as the series is, and its name.

use egui::{Color32, Response, Role, Sense, Stroke, TextStyle, Ui, WidgetInfo, pos2, vec2};

use super::pen::{self, Pen};

/// How a series looks in the legend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Swatch {
    /// A line.
    Line(Pen),
    /// A line with markers of this many corners.
    Marked(u8),
    /// A light area under a thin line.
    Area,
    /// A solid box.
    Solid,
    /// A box of slanted lines.
    Hatched,
}

/// A switch for one series; `on` is changed by a click. Screen readers see a checkbox of that name.
pub(crate) fn legend_toggle(
    ui: &mut Ui,
    name: &str,
    color: Color32,
    swatch: Swatch,
    on: &mut bool,
) -> Response {
    let shown = *on;
    let text_color = if shown {
        ui.visuals().text_color()
    } else {
        ui.visuals().weak_text_color()
    };
    let galley = ui.painter().layout_no_wrap(
        name.to_owned(),
        TextStyle::Small.resolve(ui.style()),
        text_color,
    );
    let size = vec2(22.0 + galley.size().x + 4.0, galley.size().y.max(16.0));
    let (rect, mut response) = ui.allocate_exact_size(size, Sense::click());
    if ui.is_rect_visible(rect) {
        if response.hovered() || response.has_focus() {
            ui.painter().rect_filled(
                rect.expand(1.0),
                3.0,
                ui.visuals().widgets.hovered.weak_bg_fill,
            );
        }
        let faded = color.gamma_multiply(if shown { 1.0 } else { 0.25 });
        paint_swatch(ui, rect, faded, swatch);
        let at = pos2(rect.left() + 22.0, rect.center().y - galley.size().y / 2.0);
        ui.painter().galley(at, galley, text_color);
        if !shown {
            ui.painter().hline(
                rect.left() + 22.0..=rect.right() - 4.0,
                rect.center().y,
                Stroke::new(1.0, text_color),
            );
        }
    }
    if response.clicked() {
        *on = !*on;
        response.mark_changed();
    }
    let (enabled, selected) = (ui.is_enabled(), *on);
    response.widget_info(|| {
        WidgetInfo::selected(Role::CheckBox, enabled, selected, format!("Show {name}"))
    });
    response
}

fn paint_swatch(ui: &Ui, rect: egui::Rect, color: Color32, swatch: Swatch) {
    let painter = ui.painter();
    let (left, right, y) = (rect.left() + 2.0, rect.left() + 18.0, rect.center().y);
    let bar = egui::Rect::from_min_max(pos2(left + 1.0, y - 5.0), pos2(right - 1.0, y + 5.0));
    match swatch {
        Swatch::Line(dash) => pen::line(
            painter,
            &[pos2(left, y), pos2(right, y)],
            dash,
            Stroke::new(2.0, color),
        ),
        Swatch::Marked(corners) => {
            painter.hline(left..=right, y, Stroke::new(1.3, color));
            painter.add(pen::marker(
                pos2((left + right) / 2.0, y),
                corners,
                3.0,
                color,
            ));
        }
        Swatch::Area => {
            painter.rect_filled(bar, 0.0, color.gamma_multiply(0.4));
            painter.hline(bar.x_range(), bar.top(), Stroke::new(1.3, color));
        }
        Swatch::Solid => {
            painter.rect_filled(bar, 0.0, color);
        }
        Swatch::Hatched => pen::hatched_rect(painter, bar, color),
    }
}
