//! What stands around and over the series: axes with their names, picked and hovered arms, the note while scrubbing.

use egui::{Align2, Rect, Ui, pos2};

use super::layout::{Plot, arm_ticks, axis_name};
use crate::ui::{
    Theme, View,
    chart::{steps_label, ticks},
};

/// What stands in the plot, and in its tooltip, where reference, policy and target will be.
pub(super) const WAITING: &str = "Only the rewards are known until the model is loaded";

/// Tick labels and names of all axes.
pub(super) fn axes(plot: &Plot, view: &View, theme: &Theme) {
    let frame = &plot.frame;
    let rect = frame.rect;
    let clip = frame.outside.clip_rect();
    let roomy = rect.left() - clip.left() > 20.0;
    if clip.bottom() - rect.bottom() > 14.0 {
        frame.bottom_axis(plot.x, &arm_ticks(view.problem, plot), false);
        frame.label(
            pos2(rect.center().x, rect.bottom() + 15.0),
            Align2::CENTER_TOP,
            axis_name(view),
            frame.text_color(),
        );
    }
    let named = rect.top() - clip.top() > 12.0;
    if roomy {
        frame.left_axis(plot.mass.scale, &plot.mass.ticks(rect.height()));
    }
    if named {
        frame.label(
            pos2(clip.left() + 2.0, rect.top() - 2.0),
            Align2::LEFT_BOTTOM,
            if plot.mass.log { "mass (log)" } else { "mass" },
            frame.text_color(),
        );
    }
    if let Some(scale) = plot.reward {
        if roomy {
            let wanted = (rect.height() / 45.0).clamp(2.0, 8.0) as usize;
            frame.right_axis(
                scale,
                &ticks(scale.low, scale.high, wanted),
                theme.ink(theme.reward),
            );
        }
        if named {
            frame.label(
                pos2(clip.right() - 2.0, rect.top() - 2.0),
                Align2::RIGHT_BOTTOM,
                "reward",
                theme.ink(theme.reward),
            );
        }
    }
    frame.outline();
}

/// Picked arms, the arm hovered elsewhere, and a note while an earlier step is shown.
pub(super) fn marks(ui: &Ui, plot: &Plot, view: &View, theme: &Theme) {
    let frame = &plot.frame;
    let column = |arm: usize, strength: f32| {
        if arm >= plot.window.first && arm < plot.window.end {
            let (left, right) = plot.slot(arm);
            let x = if right - left > 6.0 {
                (left + 1.0, right - 1.0)
            } else {
                (plot.centre(arm) - 0.75, plot.centre(arm) + 0.75)
            };
            frame.inside.rect_filled(
                Rect::from_x_y_ranges(x.0..=x.1, frame.rect.y_range()),
                0.0,
                theme.accent.gamma_multiply(strength),
            );
            return Some(plot.centre(arm));
        }
        None
    };
    if let Some(arm) = view.selection.hovered {
        let wide = plot.slot(arm).1 - plot.slot(arm).0 > 6.0;
        column(arm, if wide { 0.10 } else { 0.45 });
    }
    for (name, arm) in [("A", view.selection.pair.0), ("B", view.selection.pair.1)] {
        let Some(arm) = arm else { continue };
        let wide = plot.slot(arm).1 - plot.slot(arm).0 > 6.0;
        if let Some(x) = column(arm, if wide { 0.12 } else { 0.6 }) {
            let at = pos2(x, frame.rect.top() + 9.0);
            frame.inside.circle_filled(at, 7.5, theme.accent);
            frame.inside.text(
                at,
                Align2::CENTER_CENTER,
                name,
                frame.font(),
                ui.visuals().extreme_bg_color,
            );
        }
    }
    if view.waits_for_model() {
        let at = pos2(frame.rect.center().x, frame.rect.top() + 10.0);
        frame
            .inside
            .text(at, Align2::CENTER_TOP, WAITING, frame.font(), theme.muted);
        return;
    }
    if let Some(keyframe) = view.scrub {
        let text = format!("policy at step {}", steps_label(keyframe.step as f64));
        let galley = frame
            .inside
            .layout_no_wrap(text, frame.font(), ui.visuals().extreme_bg_color);
        let at = frame.rect.left_top() + egui::vec2(8.0, 22.0);
        frame.inside.rect_filled(
            Rect::from_min_size(at, galley.size()).expand2(egui::vec2(5.0, 2.0)),
            4.0,
            theme.accent,
        );
        frame
            .inside
            .galley(at, galley, ui.visuals().extreme_bg_color);
    }
}
