//! What leaving an experiment would lose, and the questions before it: unsaved changes of the experiment, and training of a
//! language model that is in no checkpoint.

use egui::{Context, Key, Modal, Ui, ViewportCommand};

use super::{
    action::Action,
    app::{Pending, Workbench},
    document::Origin,
};

/// Training that is asked about before it is lost, in seconds: what took less is soon done again.
pub(super) const WORTH_ASKING_SECS: f64 = 60.0;

/// An answer to one of the questions.
enum Choice {
    Keep,
    Discard,
    Cancel,
}

impl Workbench {
    /// Asks what to do about what would be lost, if something waits for it.
    pub(super) fn pending_ui(&mut self, ctx: &Context) {
        let Some(pending) = self.pending.clone() else {
            return;
        };
        let title = self.document.preset().title.clone();
        let (heading, text, keep, discard) = match &pending {
            Pending::Resume(resume) => {
                self.resume_ui(ctx, resume);
                return;
            }
            Pending::Quit | Pending::Open(..) => (
                "Save the changes?",
                format!("{title} has changes that are not saved."),
                "Save",
                if matches!(pending, Pending::Quit) {
                    "Close without saving"
                } else {
                    "Open without saving"
                },
            ),
            // Nothing of these is lost but training.
            Pending::Do(action) => {
                self.pending = None;
                return self.perform(ctx, vec![(**action).clone()]);
            }
            Pending::LoseTraining(_) => (
                "Keep what was trained?",
                format!(
                    "{} of training of {title} are in no checkpoint.",
                    duration(self.unkept_secs())
                ),
                "Checkpoint now…",
                "Lose it",
            ),
        };
        let mut choice = None;
        let response = Modal::new(egui::Id::unique("unsaved changes")).show(ctx, |ui: &mut Ui| {
            ui.set_width((ctx.content_rect().width() - 60.0).clamp(120.0, 400.0));
            ui.heading(heading);
            ui.label(text);
            ui.add_space(10.0);
            ui.horizontal_wrapped(|ui| {
                if ui.button(keep).clicked() || ui.input(|input| input.key_pressed(Key::Enter)) {
                    choice = Some(Choice::Keep);
                }
                if ui.button(discard).clicked() {
                    choice = Some(Choice::Discard);
                }
                if ui.button("Cancel").clicked() {
                    choice = Some(Choice::Cancel);
                }
            });
        });
        if response.should_close() && choice.is_none() {
            choice = Some(Choice::Cancel);
        }
        let Some(choice) = choice else { return };
        self.pending = None;
        match (choice, pending) {
            (Choice::Cancel, _) => {}
            (Choice::Discard, Pending::LoseTraining(then)) => self.go_on(ctx, *then),
            (Choice::Discard, pending) => self.leave(ctx, pending),
            (Choice::Keep, Pending::LoseTraining(_)) => {
                self.perform(ctx, vec![Action::Checkpoint]);
            }
            (Choice::Keep, pending) => match self.document.origin().clone() {
                Origin::File(path) => {
                    if self.save_to(ctx, path) {
                        self.leave(ctx, pending);
                    }
                }
                Origin::Untitled | Origin::Builtin(_) | Origin::Table(_) => {
                    self.saved_then = Some(pending);
                    self.perform(ctx, vec![Action::SaveAs]);
                }
            },
        }
    }

    /// Does what the user asked for, once the experiment is saved or given up; asks first where training would be lost.
    pub(super) fn leave(&mut self, ctx: &Context, pending: Pending) {
        if self.would_lose_training() {
            self.pending = Some(Pending::LoseTraining(Box::new(pending)));
        } else {
            self.go_on(ctx, pending);
        }
    }

    fn go_on(&mut self, ctx: &Context, pending: Pending) {
        match pending {
            Pending::Quit => {
                self.quitting = true;
                ctx.send_viewport_cmd(ViewportCommand::Close);
            }
            Pending::Open(preset, origin) => self.open_now(ctx, *preset, origin),
            Pending::LoseTraining(then) => self.go_on(ctx, *then),
            Pending::Do(action) => self.perform_unasked(ctx, *action),
            // That question has no other behind it.
            Pending::Resume(_) => {}
        }
    }

    /// Holds the window open while something that would be lost is asked about.
    pub(super) fn on_close_request(&mut self, ctx: &Context) {
        if !ctx.input(|input| input.viewport().close_requested()) || self.quitting {
            return;
        }
        if self.document.asks_before_closing(self.store.is_active()) {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            self.pending = Some(Pending::Quit);
        } else if self.would_lose_training() {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            self.leave(ctx, Pending::Quit);
        }
    }

    /// Whether leaving now would lose training that is worth a question.
    pub(super) fn would_lose_training(&self) -> bool {
        let secs = self.unkept_secs();
        secs > 0.0 && secs >= self.ask_after_secs
    }

    /// Seconds of training of a language model since its last checkpoint.
    fn unkept_secs(&self) -> f64 {
        if self.snapshot.language.is_none() {
            return 0.0;
        }
        let elapsed = self.snapshot.elapsed_secs;
        // A run that began anew has none yet.
        elapsed
            - Some(self.kept_secs)
                .filter(|kept| *kept <= elapsed)
                .unwrap_or(0.0)
    }
}

/// "3 minutes", "2.5 hours".
fn duration(secs: f64) -> String {
    let minutes = (secs / 60.0).round();
    if minutes <= 1.0 {
        "1 minute".to_owned()
    } else if minutes < 120.0 {
        format!("{minutes} minutes")
    } else {
        format!("{:.1} hours", minutes / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_told_as_a_person_would() {
        assert_eq!(duration(61.0), "1 minute");
        assert_eq!(duration(170.0), "3 minutes");
        assert_eq!(duration(9000.0), "2.5 hours");
    }
}
