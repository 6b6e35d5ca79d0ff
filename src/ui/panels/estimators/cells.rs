//! Cells of the estimator table: a number with a small bar, and the miniature of the target that an estimator pulls towards.

use egui::{Align2, Color32, FontId, Rect, Sense, Stroke, Ui, pos2, vec2};

use crate::ui::Theme;

/// A number at the right of a bar that reaches from `zero` to `value`, both fractions of the cell's bar.
pub(super) fn bar_ui(ui: &mut Ui, text: &str, zero: f32, value: f32, color: Color32) {
    let (rect, _) = ui.allocate_exact_size(
        vec2(ui.available_width(), ui.available_height()),
        Sense::hover(),
    );
    let painter = ui.painter_at(rect);
    let bar = Rect::from_min_max(
        pos2(rect.left() + 2.0, rect.center().y - 5.0),
        pos2(rect.right() - 54.0, rect.center().y + 5.0),
    );
    if bar.width() > 8.0 {
        let x = |fraction: f32| bar.left() + fraction.clamp(0.0, 1.0) * bar.width();
        let faint = ui.visuals().widgets.noninteractive.bg_stroke.color;
        painter.hline(bar.x_range(), bar.center().y, Stroke::new(1.0, faint));
        if value.is_finite() {
            painter.rect_filled(
                Rect::from_x_y_ranges(
                    x(zero.min(value))..=x(zero.max(value)).max(x(zero.min(value)) + 1.0),
                    bar.y_range(),
                ),
                1.0,
                color,
            );
        }
        painter.vline(x(zero), bar.y_range(), Stroke::new(1.0, faint));
    }
    painter.text(
        rect.right_center(),
        Align2::RIGHT_CENTER,
        text,
        FontId::monospace(12.0),
        ui.visuals().text_color(),
    );
}

/// Bars of the target pulled towards, with the objective's own target as an outline over them.
pub(super) fn spark_ui(ui: &mut Ui, pulled: Option<&[f32]>, target: &[f32]) {
    let (rect, _) = ui.allocate_exact_size(
        vec2(ui.available_width(), ui.available_height()),
        Sense::hover(),
    );
    let theme = Theme::of(ui);
    let rect = rect.shrink2(vec2(2.0, 3.0));
    let painter = ui.painter_at(rect.expand(1.0));
    let Some(pulled) = pulled else {
        painter.text(
            rect.left_center(),
            Align2::LEFT_CENTER,
            "not computed",
            FontId::proportional(10.5),
            theme.muted,
        );
        return;
    };
    let top = pulled
        .iter()
        .chain(target)
        .fold(f32::MIN_POSITIVE, |top, &mass| top.max(mass));
    let y = |mass: f32| rect.bottom() - mass / top * rect.height();
    let width = rect.width() / pulled.len().max(1) as f32;
    let gap = if width > 3.0 { 0.5 } else { 0.0 };
    for (bin, &mass) in pulled.iter().enumerate() {
        let left = rect.left() + bin as f32 * width;
        painter.rect_filled(
            Rect::from_x_y_ranges(left + gap..=left + width - gap, y(mass)..=rect.bottom()),
            0.0,
            theme.policy.gamma_multiply(0.75),
        );
    }
    let width = rect.width() / target.len().max(1) as f32;
    let mut outline = Vec::with_capacity(target.len() * 2);
    for (bin, &mass) in target.iter().enumerate() {
        let left = rect.left() + bin as f32 * width;
        outline.push(pos2(left, y(mass)));
        outline.push(pos2(left + width, y(mass)));
    }
    painter.extend(egui::Shape::dashed_line(
        &outline,
        Stroke::new(1.2, theme.target),
        3.0,
        2.0,
    ));
    painter.hline(rect.x_range(), rect.bottom(), Stroke::new(1.0, theme.muted));
}
