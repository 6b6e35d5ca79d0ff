//! Carrying out what the user asked for.

use std::{path::PathBuf, sync::Arc, time::Duration};

use egui::{Context, ViewportCommand};

use super::{
    action::{Action, Notice, ShellAction, TextCopy},
    app::{Pending, Workbench},
    chart::steps_label,
    clipboard,
    dialogs::{self, Answer, Purpose},
    document::{Document, Origin},
    layout::Pane,
    opening::remember,
    pinned::{ListedPin, Pin, PinnedRun},
    session::{INTERVAL_SECS, SavedExperiment, Session},
    theme::{self, ThemeChoice},
    widgets::number::significant,
};
use crate::{
    engine::{Command, Status},
    experiment::{self, Edit, Preset},
    figure,
};

impl Workbench {
    /// Carries out wishes in the order in which they came up.
    pub(super) fn perform(&mut self, ctx: &Context, actions: Vec<Action>) {
        if actions.is_empty() {
            return;
        }
        self.session_behind = true;
        for action in actions {
            if !matches!(action, Action::Edit { .. } | Action::Hover(_)) && !self.edits.is_empty() {
                self.refresh(ctx);
            }
            if !matches!(action, Action::Edit { .. } | Action::Hover(_)) {
                // Orders reach the trainer in the order in which they were given.
                self.send_edits(Vec::new());
            }
            self.perform_one(ctx, action);
        }
        self.refresh(ctx);
    }

    fn perform_one(&mut self, ctx: &Context, action: Action) {
        let begins_anew = match &action {
            Action::Reset | Action::Reseed | Action::Retask(_) | Action::GoOnFrom(_) => true,
            Action::Edit {
                edit: Edit::Training(training),
                ..
            } => training.begins_anew_from(&self.document.preset().training),
            _ => false,
        };
        if begins_anew && self.would_lose_training() {
            self.leave(ctx, Pending::Do(Box::new(action)));
        } else {
            self.perform_unasked(ctx, action);
        }
    }

    /// Carries out a wish whatever training it loses.
    pub(super) fn perform_unasked(&mut self, ctx: &Context, action: Action) {
        match action {
            Action::ToggleRun => {
                let order = match self.snapshot.status {
                    Status::Running => Command::Pause,
                    Status::Paused | Status::Finished => Command::Run,
                    Status::Failed => {
                        self.link.send(Command::Reset { seed: None });
                        Command::Run
                    }
                };
                self.scrub = None;
                self.link.send(order);
            }
            Action::Start => {
                self.scrub = None;
                self.link.send(Command::Run);
            }
            Action::Step(count) => {
                self.scrub = None;
                self.link.send(Command::Step(count));
            }
            Action::Reset => {
                self.scrub = None;
                self.link.send(Command::Reset { seed: None });
            }
            Action::Reseed => self.reseed(ctx),
            Action::SetSpeed(speed) => self.link.send(Command::Speed(speed)),
            Action::Edit { edit, done } => {
                let before = self.document.preset().clone();
                match self.document.apply(&edit, done) {
                    Ok(()) => self.owe(edit, &before),
                    Err(error) => self.refuse(ctx, &[edit], error),
                }
            }
            Action::Undo => self.history_step(ctx, Document::undo, "Nothing to undo"),
            Action::Redo => self.history_step(ctx, Document::redo, "Nothing to redo"),
            Action::Scrub(step) => {
                let frames = &self.snapshot.keyframes;
                self.scrub = step.and_then(|step| {
                    let after = frames.partition_point(|frame| frame.step <= step);
                    frames.get(after.saturating_sub(1)).cloned()
                });
            }
            Action::Revert(step) => self.link.send(Command::Revert { step }),
            Action::Pin => self.pin(ctx),
            Action::TogglePin(index) => {
                if let Some(pin) = self.pins.get_mut(index) {
                    pin.visible = !pin.visible;
                }
            }
            Action::Unpin(index) => {
                if index < self.pins.len() {
                    self.pins.remove(index);
                }
            }
            Action::RenamePin(index, label) => {
                if let Some(pin) = self.pins.get_mut(index)
                    && !label.trim().is_empty()
                {
                    pin.label = label.trim().to_owned();
                }
            }
            Action::Hover(arm) => self.selection.hovered = arm,
            Action::Pick(arm) => {
                let (first, second) = self.selection.pair;
                self.selection.pair = match (first, second) {
                    (None, _) => (Some(arm), None),
                    (Some(first), None) if first != arm => (Some(first), Some(arm)),
                    (Some(_), _) => (second.filter(|&other| other != arm), Some(arm)),
                };
            }
            Action::PickPair(first, second) => self.selection.pair = (first, second),
            Action::OpenPreset(name) => match experiment::builtin_preset(&name) {
                Some(preset) => self.replace(ctx, Box::new(preset), Origin::Builtin(name)),
                None => self.notify(
                    ctx,
                    Notice::Error(format!("There is no preset named “{name}”")),
                ),
            },
            Action::OpenExperiment(preset) => self.replace(ctx, preset, Origin::Untitled),
            Action::OpenFile(path) => self.open_file(ctx, path),
            Action::OpenPrevious => match self.previous.take() {
                Some(document) => match document.in_step() {
                    Ok(document) => self.put(ctx, document),
                    Err(error) => self.notify(ctx, Notice::Error(error)),
                },
                None => self.notify(ctx, Notice::Info("Nothing was open before".to_owned())),
            },
            Action::ChooseTable(role) => self.dialogs.ask(ctx, Purpose::Table(role), ""),
            Action::OpenDialog => self.dialogs.ask(ctx, Purpose::Open, ""),
            Action::Save => match self.document.origin().clone() {
                Origin::File(path) => drop(self.save_to(ctx, path)),
                Origin::Untitled | Origin::Builtin(_) | Origin::Table(_) => {
                    self.perform_one(ctx, Action::SaveAs);
                }
            },
            Action::SaveAs => {
                let name = match self.document.origin() {
                    Origin::File(path) => path
                        .file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned(),
                    Origin::Builtin(name) => format!("{name}.ron"),
                    Origin::Untitled | Origin::Table(_) => {
                        format!("{}.ron", self.document.preset().slug())
                    }
                };
                self.dialogs.ask(ctx, Purpose::Save, &name);
            }
            Action::SaveRun => {
                let name = format!("{}-run", self.document.preset().slug());
                self.dialogs.ask(ctx, Purpose::SaveRun, &name);
            }
            Action::ExportFigure(figure) => {
                let name = format!("{}.svg", figure.file_stem);
                self.dialogs.ask(ctx, Purpose::Figure(figure), &name);
            }
            Action::CopyFigureImage(figure) => {
                self.in_thread(ctx, move || match clipboard::copy_figure(&figure) {
                    Ok(()) => Notice::Done("Image copied".to_owned()),
                    Err(error) => Notice::Error(error),
                });
            }
            Action::CopyFigureData(figure) => {
                self.copy_text(ctx, figure::to_csv(&figure), "Data copied")
            }
            Action::CopyText { text, what } => self.copy_text(ctx, text, &what),
            Action::Copy(TextCopy::Ron) => {
                let text = experiment::to_ron(self.document.preset());
                self.copy_text(ctx, text, "Preset copied");
            }
            Action::Copy(TextCopy::CommandLine) => match clipboard::command_line(&self.document) {
                Ok(text) => self.copy_text(ctx, text, "Command line copied"),
                Err(error) => self.notify(ctx, Notice::Error(error)),
            },
            Action::Probe {
                prompt,
                raw,
                prefill,
            } => self.link.send(Command::Probe {
                prompt,
                raw,
                prefill,
            }),
            Action::Checkpoint => {
                let title = self.document.preset().slug();
                let name = format!("{title}-step-{}", self.snapshot.step);
                self.dialogs.ask(ctx, Purpose::Checkpoint, &name);
            }
            Action::GoOn => self.dialogs.ask(ctx, Purpose::GoOn, ""),
            Action::GoOnFrom(path) => self.link.send(Command::GoOn(path)),
            Action::KeepByTime(on) => {
                self.checkpoints.by_time = on;
                self.link.send(self.checkpoints.order());
            }
            Action::OpenFolder(path) => {
                self.in_thread(ctx, move || match dialogs::show_folder(&path) {
                    Ok(()) => Notice::Done(format!("Opened {}", path.display())),
                    Err(error) => Notice::Error(error),
                });
            }
            Action::ShowPrompt(prompt) => self.link.send(Command::ShowPrompt(prompt)),
            Action::Retask(language) => self.retask(ctx, *language),
            Action::LoadAgain => self.load(self.snapshot.status == Status::Running),
            Action::Notify(notice) => self.notify(ctx, notice),
            Action::Shell(action) => self.shell(ctx, action),
        }
    }

    fn shell(&mut self, ctx: &Context, action: ShellAction) {
        match action {
            ShellAction::Palette => self.panels.palette.toggle(),
            ShellAction::Shortcuts => self.panels.shortcuts_open = !self.panels.shortcuts_open,
            ShellAction::About => self.panels.about_open = !self.panels.about_open,
            ShellAction::Gallery => self.panels.gallery.toggle(),
            ShellAction::Tour => {
                self.tour_offered = true;
                self.panels.tour.start();
            }
            ShellAction::Log => self.layouts.reveal(Pane::Log),
            ShellAction::Phase => self.layouts.reveal(Pane::Phase),
            ShellAction::Problem => self.reveal_problem(ctx),
            ShellAction::ToggleTheme => {
                self.theme = match ctx.theme() {
                    egui::Theme::Dark => ThemeChoice::Light,
                    egui::Theme::Light => ThemeChoice::Dark,
                };
                theme::apply(ctx, self.theme);
            }
            ShellAction::Zoom(direction) => {
                let now = ctx.zoom_factor();
                let next = match direction.signum() {
                    0 => 1.0,
                    step => (((now * 10.0).round() + f32::from(step)) / 10.0).clamp(0.5, 3.0),
                };
                ctx.set_zoom_factor(next);
            }
            ShellAction::ResetLayout => self.layouts.reset(),
            ShellAction::Quit => ctx.send_viewport_cmd(ViewportCommand::Close),
        }
    }

    /// Brings problem and analysis in step with the preset, at once or in the background.
    fn refresh(&mut self, ctx: &Context) {
        let edits = std::mem::take(&mut self.edits);
        match self.document.refresh() {
            // Everything that was edited is in what is loaded.
            Ok(None) if self.document.take_restart() => self.load(self.is_to_run()),
            Ok(None) if self.document.is_in_step() => self.send_edits(edits),
            // The trainer solves the same large problem: after the window, not beside it.
            Ok(None) => self.unsent.extend(edits),
            Ok(Some(work)) => {
                self.unsent.extend(edits);
                self.link.rest(true);
                self.owes_edits = false;
                self.background.submit(work, ctx);
            }
            Err(error) => {
                self.owes_reset = false;
                self.refuse(ctx, &edits, error);
            }
        }
        let arms = self.document.problem().arms();
        let in_range = |arm: Option<usize>| arm.filter(|&arm| arm < arms);
        self.selection.hovered = in_range(self.selection.hovered);
        self.selection.pair = (
            in_range(self.selection.pair.0),
            in_range(self.selection.pair.1),
        );
        ctx.request_repaint();
    }

    /// Sends edits to the trainer, after those that waited for a large problem to be solved here first.
    pub(super) fn send_edits(&mut self, edits: Vec<Edit>) {
        self.link.rest(false);
        let edits: Vec<Edit> = self.unsent.drain(..).chain(edits).collect();
        if edits.is_empty() {
            return;
        }
        if let Some(solved) = self.document.solved() {
            self.link.send(Command::Solved(solved));
        }
        for edit in edits {
            self.link.send(Command::Edit(edit));
        }
        if std::mem::take(&mut self.owes_reset) {
            self.scrub = None;
            self.link.send(Command::Reset { seed: None });
        }
    }

    /// The edits that the trainer was to get, which it is not to get any more, nor what would have followed them.
    pub(super) fn take_unsent(&mut self) -> Vec<Edit> {
        self.owes_reset = false;
        std::mem::take(&mut self.unsent)
    }

    /// The trainer is to get this edit, made to `before`; one that gives it another policy to begin with starts the run over,
    /// so that no chart tells of two runs.
    fn owe(&mut self, edit: Edit, before: &Preset) {
        self.owes_reset |= (self.document.preset().training).begins_anew_from(&before.training);
        self.edits.push(edit);
    }

    fn history_step(
        &mut self,
        ctx: &Context,
        step: fn(&mut Document) -> Option<Edit>,
        nothing: &str,
    ) {
        let before = self.document.preset().clone();
        match step(&mut self.document) {
            Some(edit) => self.owe(edit, &before),
            None => self.notify(ctx, Notice::Info(nothing.to_owned())),
        }
    }

    /// Unfolds the controls of the problem.
    fn reveal_problem(&mut self, ctx: &Context) {
        if self.document.preset().language.is_some() {
            let text = "The problem of a language preset is its task, under Language model";
            self.notify(ctx, Notice::Info(text.to_owned()));
        } else {
            self.layouts.reveal(Pane::Controls);
            self.panels.controls.reveal_problem();
        }
    }

    /// Puts another task into the experiment and begins anew.
    pub(super) fn retask(&mut self, ctx: &Context, language: experiment::LanguageSpec) {
        let mut preset = (**self.document.preset()).clone();
        let edit = Edit::Language(Box::new(language));
        let applied = experiment::apply(&mut preset, &edit, self.document.problem().arms());
        if let Err(error) = applied {
            self.notify(ctx, Notice::Error(error.to_string()));
            return;
        }
        if let Some(bandit) = preset
            .language
            .as_ref()
            .and_then(|spec| spec.bandit(0, None))
        {
            preset.bandit = bandit;
        }
        let origin = self.document.origin().clone();
        self.open_now(ctx, preset, origin);
        self.document.mark_dirty();
    }

    fn reseed(&mut self, ctx: &Context) {
        let mut training = self.document.preset().training.clone();
        training.seed = training.seed.wrapping_add(1);
        let seed = training.seed;
        self.scrub = None;
        if let Err(error) = self
            .document
            .apply(&Edit::Training(Box::new(training)), true)
        {
            self.notify(ctx, Notice::Error(error));
            return;
        }
        self.link.send(Command::Reset { seed: Some(seed) });
        self.notify(ctx, Notice::Info(format!("Seed {seed}")));
    }

    fn pin(&mut self, ctx: &Context) {
        let mut run = PinnedRun::of(&self.snapshot);
        if let Some(frame) = &self.scrub {
            run.step = frame.step;
            run.policy = frame.policy.iter().map(|&mass| f64::from(mass)).collect();
            run.metrics = frame.metrics;
        }
        let objective = &self.document.preset().objective;
        let label = format!(
            "{} {}, β {}, step {}",
            self.pins.len() + 1,
            objective_word(objective),
            significant(objective.beta.get(), 3),
            steps_label(run.step as f64)
        );
        let preset = self.document.preset().clone();
        let written = (self.store.pins.as_ref()).map(|files| files.write(&run, &preset));
        let file = match written.transpose() {
            Ok(file) => {
                self.notify(ctx, Notice::Done(format!("Pinned as “{label}”")));
                file
            }
            Err(why) => {
                let text = format!("Pinned as “{label}”, but lost when the window closes: {why}");
                self.notify(ctx, Notice::Error(text));
                None
            }
        };
        // The session soon lists it.
        self.store.saved_at = f64::NEG_INFINITY;
        self.pins.push(Pin {
            label,
            visible: true,
            run: Arc::new(run),
            preset,
            file,
        });
    }

    /// Does something that takes a while elsewhere, and tells how it went.
    fn in_thread(&mut self, ctx: &Context, work: impl FnOnce() -> Notice + Send + 'static) {
        let (sender, ctx_there) = (self.reports.0.clone(), ctx.clone());
        let started = std::thread::Builder::new()
            .name("modescope-file".to_owned())
            .spawn(move || {
                // The window may be gone by now.
                let _ = sender.send(work());
                ctx_there.request_repaint();
            });
        if let Err(error) = started {
            self.notify(
                ctx,
                Notice::Error(format!("The system has no thread to give: {error}")),
            );
        }
    }

    fn copy_text(&mut self, ctx: &Context, text: String, what: &str) {
        ctx.copy_text(text);
        self.notify(ctx, Notice::Done(what.to_owned()));
    }

    pub(super) fn save_to(&mut self, ctx: &Context, path: PathBuf) -> bool {
        let text = experiment::to_ron(self.document.preset());
        match experiment::save_atomically(&path, text.as_bytes()) {
            Ok(()) => {
                remember(&mut self.recent, &path);
                self.notify(ctx, Notice::Done(format!("Saved {}", path.display())));
                self.document.mark_saved(path);
                true
            }
            Err(error) => {
                self.notify(
                    ctx,
                    Notice::Error(format!("{} cannot be written: {error}", path.display())),
                );
                false
            }
        }
    }

    /// Takes the answer of a file dialog.
    pub(super) fn on_answer(&mut self, ctx: &Context, answer: Answer) {
        let Some(path) = answer.path else {
            self.saved_then = None;
            return;
        };
        match answer.purpose {
            Purpose::Open => self.open_file(ctx, path),
            Purpose::Table(role) => self.take_table(ctx, role, &path),
            Purpose::Save => {
                let path = if path.extension().is_none() {
                    path.with_extension("ron")
                } else {
                    path
                };
                let saved = self.save_to(ctx, path);
                if let Some(then) = self.saved_then.take().filter(|_| saved) {
                    self.leave(ctx, then);
                }
            }
            Purpose::SaveRun => self.link.send(Command::SaveRun(path)),
            Purpose::Checkpoint => self.link.send(Command::Checkpoint(path)),
            Purpose::GoOn => self.link.send(Command::GoOn(path)),
            Purpose::Figure(shown) => {
                self.in_thread(ctx, move || match figure::save(&shown, &path) {
                    Ok(()) => Notice::Done(format!("Saved {}", path.display())),
                    Err(error) => Notice::Error(error.to_string()),
                });
            }
        }
        self.refresh(ctx);
    }

    /// Writes the session if it is time for it, or at once.
    pub(super) fn autosave(&mut self, ctx: &Context, exiting: bool) {
        if !self.store.is_active() {
            return;
        }
        let now = ctx.input(|input| input.time);
        let wait = INTERVAL_SECS - (now - self.store.saved_at);
        if !exiting && (wait > 0.0 || !self.session_behind) {
            if self.session_behind {
                // Even if nothing else happens until then.
                ctx.request_repaint_after(Duration::from_secs_f64(wait));
            }
            return;
        }
        self.store.saved_at = now;
        self.session_behind = false;
        let size = ctx.content_rect().size() * ctx.zoom_factor();
        self.window_size = Some([size.x.round(), size.y.round()]);
        let session = Session {
            clean_exit: exiting,
            experiment: Some(SavedExperiment {
                preset: Box::new((**self.document.preset()).clone()),
                origin: self.document.origin().clone(),
                dirty: self.document.is_dirty(),
                running: self.snapshot.status == Status::Running,
            }),
            tree: Some(self.layouts.full.clone()),
            language_tree: Some(self.layouts.language.clone()),
            theme: self.theme,
            zoom: ctx.zoom_factor(),
            recent: self.recent.clone(),
            tour_offered: self.tour_offered,
            keep_by_time: self.checkpoints.by_time,
            window_size: self.window_size,
            pins: (self.pins.iter())
                .filter_map(|pin| {
                    Some(ListedPin {
                        file: pin.file.clone()?,
                        label: pin.label.clone(),
                        visible: pin.visible,
                    })
                })
                .collect(),
            ..Session::default()
        };
        if let Err(error) = self.store.save(&session) {
            self.notify(ctx, Notice::Error(error));
        }
    }
}

fn objective_word(objective: &crate::theory::Objective) -> String {
    use crate::theory::Direction;
    let mut word = match objective.direction {
        Direction::Reverse => "reverse".to_owned(),
        Direction::Forward => "forward".to_owned(),
        Direction::Alpha(alpha) => format!("α {alpha:.2}"),
    };
    if objective.mara.is_some() {
        word.push_str(" MARA");
    }
    word
}
