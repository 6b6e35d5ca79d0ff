//! The timeline: scrub back through the keyframes of a run, see where edits happened, continue from an earlier step.

use egui::{Rangef, Rect, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};

use super::{
    tour::{Spot, spot},
    transport::{SCRUB_BUTTONS, grouped},
};
use crate::ui::{Action, View, chart::hairlines, theme::Theme};

/// State of the timeline.
#[derive(Default)]
pub(crate) struct Timeline {}

impl Timeline {
    /// Draws the timeline into what is left of a bar.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let theme = Theme::of(ui);
        let frames = &view.snapshot.keyframes;
        let end = view.snapshot.step.max(1);
        let shown = view.scrub.map(|frame| frame.step);
        let buttons = if shown.is_some() { SCRUB_BUTTONS } else { 0.0 };
        let width = (ui.available_width() - buttons - 8.0).max(40.0);
        let (rect, response) = ui.allocate_exact_size(vec2(width, 22.0), Sense::click_and_drag());
        spot(ui, Spot::Timeline, rect);
        let enabled = !frames.is_empty();
        response
            .widget_info(|| WidgetInfo::slider(enabled, shown.unwrap_or(end) as f64, "Timeline"));
        let rail = Rect::from_center_size(rect.center(), vec2(rect.width() - 12.0, 4.0));
        let at = |step: u64| {
            rail.left() + rail.width() * (step as f64 / end as f64).clamp(0.0, 1.0) as f32
        };
        if ui.is_rect_visible(rect) {
            let painter = ui.painter();
            painter.rect_filled(rail, 2.0, ui.visuals().widgets.inactive.bg_fill);
            let x = at(shown.unwrap_or(end));
            painter.rect_filled(
                Rect::from_min_max(rail.min, pos2(x, rail.bottom())),
                2.0,
                theme.accent.gamma_multiply(0.7),
            );
            let up = Rangef::new(rect.top() + 3.0, rect.bottom() - 3.0);
            let mut marks: Vec<f32> = view
                .snapshot
                .marks
                .iter()
                .map(|mark| painter.round_to_pixel_center(at(mark.step)))
                .collect();
            // A drag leaves hundreds of marks on a few pixels.
            marks.dedup();
            painter.add(hairlines(
                painter,
                marks.into_iter().map(|x| Rect::from_x_y_ranges(x..=x, up)),
                theme.edit_mark,
            ));
            let visuals = ui.style().interact(&response);
            painter.circle(
                pos2(x, rail.center().y),
                6.0,
                theme.accent,
                Stroke::new(1.5, visuals.fg_stroke.color),
            );
        }
        let step_at = |x: f32| {
            (f64::from((x - rail.left()) / rail.width()).clamp(0.0, 1.0) * end as f64).round()
                as u64
        };
        if let Some(pointer) = response.interact_pointer_pos().filter(|_| enabled) {
            // The right end follows the run again.
            let follow = pointer.x >= rail.right() - 2.0;
            actions.push(Action::Scrub((!follow).then(|| step_at(pointer.x))));
        }
        if response.has_focus() {
            let keys = egui::EventFilter {
                horizontal_arrows: true,
                ..Default::default()
            };
            ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, keys));
            let (back, forth) = ui.input(|input| {
                (
                    input.num_presses(egui::Key::ArrowLeft),
                    input.num_presses(egui::Key::ArrowRight),
                )
            });
            if back + forth > 0 && enabled {
                let here = shown.unwrap_or(end);
                let index = frames.partition_point(|frame| frame.step < here);
                let index = (index + forth).saturating_sub(back);
                actions.push(Action::Scrub(frames.get(index).map(|frame| frame.step)));
            }
        }
        let hover = response.hover_pos().map(|pointer| {
            let step = step_at(pointer.x);
            let near = view
                .snapshot
                .marks
                .iter()
                .filter(|mark| (at(mark.step) - pointer.x).abs() < 5.0);
            let edits: Vec<String> = near
                .map(|mark| format!("\n{} at step {}", mark.label, grouped(mark.step)))
                .collect();
            format!("Step {}{}", grouped(step), edits.concat())
        });
        response.on_hover_text_at_pointer(hover.unwrap_or_default());
        if let Some(step) = shown {
            if ui
                .button("Live")
                .on_hover_text("Follow the run again  End")
                .clicked()
            {
                actions.push(Action::Scrub(None));
            }
            let text = format!("Continue from {}", grouped(step));
            if ui
                .button(text)
                .on_hover_text(
                    "Go back to this step and train on from there; what came later is dropped",
                )
                .clicked()
            {
                actions.push(Action::Revert(step));
            }
        }
    }
}
