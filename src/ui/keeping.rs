//! Checkpoints that the trainer writes by itself: where they go, how often, and the offer to go on from the last one after
//! a session that ended unexpectedly.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use egui::{Context, Key, Modal};

use super::{
    action::Notice,
    app::{Pending, Workbench},
    panels::transport::duration,
};
use crate::engine::{Command, Keeping, KeptCheckpoint, KeptCheckpoints};

/// Training time of a loaded model after which a checkpoint is written in any case, where the user leaves that on.
pub(super) const PERIOD: Duration = Duration::from_secs(600);
/// Their folder, in that of the session.
const FOLDER: &str = "checkpoints";

/// What the panels know of checkpoints.
#[derive(Debug, Default)]
pub struct Checkpointing {
    /// The folder of all runs' checkpoints; without one the window writes none by itself.
    pub base: Option<PathBuf>,
    /// After ten minutes there is one in any case.
    pub by_time: bool,
    /// Those that the present run may go on from.
    pub kept: Arc<KeptCheckpoints>,
}

impl Checkpointing {
    pub(super) fn new(state_dir: Option<&Path>, by_time: bool) -> Self {
        Self {
            base: state_dir.map(|dir| dir.join(FOLDER)),
            by_time,
            kept: Arc::default(),
        }
    }

    /// How the trainer is to keep checkpoints.
    pub(super) fn order(&self) -> Command {
        Command::Keep(self.base.clone().map(|base| Keeping {
            base,
            period: self.by_time.then_some(PERIOD),
        }))
    }

    /// The one that was written last.
    fn latest(&self) -> Option<&KeptCheckpoint> {
        let kept = &self.kept;
        (kept.own.iter().chain(&kept.earlier)).max_by_key(|kept| (kept.written, kept.info.step))
    }
}

/// A run that ended unexpectedly and can be gone on with.
#[derive(Debug, Clone)]
pub(super) struct Resume {
    checkpoint: PathBuf,
    step: u64,
    age: String,
    /// It was training.
    running: bool,
}

impl Workbench {
    /// Takes what the trainer says of the checkpoints there are.
    pub(super) fn on_kept(
        &mut self,
        ctx: &Context,
        kept: Arc<KeptCheckpoints>,
        written: Option<PathBuf>,
    ) {
        self.checkpoints.kept = kept;
        if let Some(path) = written {
            self.kept_secs = self.snapshot.elapsed_secs;
            // A session file older than this would not lead back to it.
            self.store.saved_at = f64::NEG_INFINITY;
            self.session_behind = true;
            // Every few minutes a toast would be in the way.
            let line = Notice::Done(format!("Wrote {}", path.display()));
            self.panels.log.push(ctx.input(|input| input.time), &line);
            return;
        }
        let Some(running) = self.crashed_running.take() else {
            return;
        };
        match self.checkpoints.latest() {
            Some(kept) => {
                self.pending = Some(Pending::Resume(Resume {
                    checkpoint: kept.info.path.clone(),
                    step: kept.info.step,
                    age: age(kept.written),
                    running,
                }));
            }
            None if running => self.link.send(Command::Run),
            None => {}
        }
    }

    /// Asks whether to go on where the last session was cut off.
    pub(super) fn resume_ui(&mut self, ctx: &Context, resume: &Resume) {
        let mut choice = None;
        let response = Modal::new(egui::Id::unique("go on after a crash")).show(ctx, |ui| {
            ui.set_width((ctx.content_rect().width() - 60.0).clamp(120.0, 400.0));
            ui.heading("Go on where the run was?");
            ui.label(format!(
                "The last session ended unexpectedly. The last checkpoint of “{}” is of step {}, written {}.",
                self.document.preset().title, resume.step, resume.age
            ));
            ui.add_space(10.0);
            ui.horizontal_wrapped(|ui| {
                let go_on = format!("Go on from step {}", resume.step);
                if ui
                    .button(go_on)
                    .on_hover_text(resume.checkpoint.display().to_string())
                    .clicked()
                    || ui.input(|input| input.key_pressed(Key::Enter))
                {
                    choice = Some(true);
                }
                if ui
                    .button("Begin anew")
                    .on_hover_text("The checkpoint stays, and is listed under Go on from")
                    .clicked()
                {
                    choice = Some(false);
                }
            });
        });
        if response.should_close() && choice.is_none() {
            self.pending = None;
            return;
        }
        let Some(go_on) = choice else { return };
        self.pending = None;
        if go_on {
            self.link.send(Command::GoOn(resume.checkpoint.clone()));
        }
        if resume.running {
            self.link.send(Command::Run);
        }
    }
}

/// "3 min 20 s ago".
pub(super) fn age(written: Option<SystemTime>) -> String {
    match written.and_then(|at| SystemTime::now().duration_since(at).ok()) {
        Some(age) if age.as_secs() < 60 => "just now".to_owned(),
        Some(age) if age.as_secs() < 3600 => format!("{} min ago", age.as_secs() / 60),
        Some(age) if age.as_secs() >= 48 * 3600 => {
            format!("{} days ago", age.as_secs() / (24 * 3600))
        }
        Some(age) => format!("{} ago", duration(age.as_secs_f64())),
        None => "at an unknown time".to_owned(),
    }
}
