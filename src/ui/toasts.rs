//! Short messages at the lower right: at most four, each gone after a few seconds or at a click. Nothing moves, so a
//! visible message costs no frames.

use egui::{Align2, Area, Context, Frame, Id, Order, RichText, Vec2};

use super::{action::Notice, theme::Theme};

/// Messages on screen.
#[derive(Default)]
pub(crate) struct Toasts {
    shown: Vec<(Notice, f64)>,
}

impl Toasts {
    /// Shows a message from `now` (seconds) on.
    pub(crate) fn push(&mut self, notice: Notice, now: f64) {
        self.shown.retain(|(old, _)| *old != notice);
        let secs = match &notice {
            Notice::Done(_) | Notice::Info(_) => 4.0,
            Notice::Error(_) => 10.0,
        };
        self.shown.push((notice, now + secs));
        if self.shown.len() > 4 {
            self.shown.remove(0);
        }
    }

    /// Draws what is still due.
    pub(crate) fn show(&mut self, ctx: &Context, bottom_margin: f32) {
        let now = ctx.input(|input| input.time);
        self.shown.retain(|(_, until)| *until > now);
        let Some(next) = self.shown.iter().map(|(_, until)| *until).reduce(f64::min) else {
            return;
        };
        ctx.request_repaint_after(std::time::Duration::from_secs_f64(
            (next - now).max(0.0) + 0.02,
        ));
        let mut dismissed = None;
        Area::new(Id::unique("toasts"))
            .order(Order::Foreground)
            .anchor(Align2::RIGHT_BOTTOM, Vec2::new(-12.0, -bottom_margin - 8.0))
            .show(ctx, |ui| {
                for (index, (notice, _)) in self.shown.iter().enumerate() {
                    let theme = Theme::of(ui);
                    let (text, color) = match notice {
                        Notice::Done(text) => (text, theme.good),
                        Notice::Info(text) => (text, theme.accent),
                        Notice::Error(text) => (text, theme.error),
                    };
                    let response = Frame::popup(ui.style())
                        .inner_margin(egui::Margin::symmetric(12, 8))
                        .show(ui, |ui| {
                            let width = (ui.ctx().content_rect().width() - 60.0).clamp(80.0, 380.0);
                            ui.set_max_width(width);
                            ui.label(RichText::new(text).color(ui.visuals().text_color()));
                        })
                        .response;
                    ui.painter().rect_filled(
                        egui::Rect::from_min_size(
                            response.rect.min,
                            Vec2::new(3.0, response.rect.height()),
                        ),
                        2.0,
                        color,
                    );
                    let click = ui.interact(
                        response.rect,
                        ui.scope_id().with(("toast", index)),
                        egui::Sense::click(),
                    );
                    click.widget_info(|| {
                        egui::WidgetInfo::labeled(
                            egui::Role::Button,
                            true,
                            format!("Dismiss message {text}"),
                        )
                    });
                    if click.clicked() {
                        dismissed = Some(index);
                    }
                }
            });
        if let Some(index) = dismissed {
            self.shown.remove(index);
        }
    }
}
