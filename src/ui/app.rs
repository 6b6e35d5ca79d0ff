//! The workbench: everything in the window, and nothing that needs one. `logic` takes in what happened elsewhere (trainer,
//! dialogs, background work), `ui` draws and collects wishes, `perform` carries them out.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender, bounded};
use egui::{CentralPanel, Context, Frame, Margin, Panel, Ui};
use egui_tiles::Tree;

use super::{
    action::{Action, Notice},
    background::Background,
    commands,
    dialogs::Dialogs,
    document::{Document, Failed, Origin, Solved},
    keeping::{Checkpointing, Resume},
    layout::{self, Layouts, Pane, Panes, Room},
    leaving::WORTH_ASKING_SECS,
    link::Link,
    menu,
    opening::placed,
    panels::{
        about,
        controls::Controls,
        estimators::EstimatorView,
        gallery::Gallery,
        headline,
        inspector::Inspector,
        log_panel::LogPanel,
        main_plot::MainPlot,
        mode_strip::ModeStrip,
        palette::Palette,
        phase::PhaseDiagram,
        pins,
        samples::Samples,
        sandbox::Sandbox,
        time_charts::TimeCharts,
        tour::{Spot, Tour, spot},
        transport::Transport,
    },
    pinned::Pin,
    prompt_picture::PromptPicture,
    session::{Session, SessionStore},
    theme::{self, ThemeChoice},
    tie_marks::TieMarks,
    toasts::Toasts,
    view::{Loading, Selection, View},
};
use crate::{
    engine::{Command, Event, History, Keyframe, ProbeAnswer, Snapshot, Speed, Status, StopReason},
    experiment::{self, Edit, Preset},
    lm::checkpoint::CHECKPOINT_FILE,
    theory::{Beta, Metrics},
};

/// How a workbench starts.
#[derive(Debug, Clone, Default)]
pub struct WorkbenchOptions {
    /// A built-in preset's name or a file to open; without it the last session, or Figure 5.
    pub open: Option<String>,
    /// Changes to what `open` names, `path=value` as [`experiment::set_paths`] takes them; with any, it starts as unsaved.
    pub sets: Vec<String>,
    /// Folder of the session file; none keeps nothing.
    pub state_dir: Option<PathBuf>,
    /// Theme to use instead of the session's.
    pub theme: Option<ThemeChoice>,
    /// Start training at once.
    pub run: bool,
    /// Never use the desktop's file dialogs, only the window's own.
    pub plain_dialogs: bool,
    /// The window is there for a picture or a measurement: offer and ask nothing.
    pub errand: bool,
    /// How fast to train at first.
    pub speed: Speed,
    /// Seconds of a language model's training that are asked about before they are lost; a minute unless given.
    pub ask_after_secs: Option<f64>,
}

/// What is drawn and remembered by the panels.
#[derive(Default)]
pub(super) struct Panels {
    pub(super) main_plot: MainPlot,
    pub(super) modes: ModeStrip,
    pub(super) time: TimeCharts,
    pub(super) inspector: Inspector,
    pub(super) estimators: EstimatorView,
    pub(super) phase: PhaseDiagram,
    pub(super) samples: Samples,
    pub(super) sandbox: Sandbox,
    pub(super) controls: Controls,
    pub(super) transport: Transport,
    pub(super) pins: pins::PinList,
    pub(super) log: LogPanel,
    pub(super) gallery: Gallery,
    pub(super) palette: Palette,
    pub(super) tour: Tour,
    pub(super) about_open: bool,
    pub(super) shortcuts_open: bool,
}

/// Something that has to wait for the answer whether unsaved changes may go.
#[derive(Debug, Clone)]
pub(super) enum Pending {
    /// Close the window.
    Quit,
    /// Replace the experiment.
    Open(Box<Preset>, Origin),
    /// Begin the run anew in some way.
    Do(Box<Action>),
    /// Any of them, though what a language model was trained is in no checkpoint.
    LoseTraining(Box<Self>),
    /// The question whether to go on where a session was cut off.
    Resume(Resume),
}

/// Everything in the window.
pub struct Workbench {
    pub(super) document: Document,
    pub(super) link: Link,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) scrub: Option<Keyframe>,
    pub(super) pins: Vec<Pin>,
    pub(super) selection: Selection,
    pub(super) layouts: Layouts,
    pub(super) panels: Panels,
    pub(super) toasts: Toasts,
    pub(super) dialogs: Dialogs,
    pub(super) background: Background,
    tie_marks: TieMarks,
    pub(super) store: SessionStore,
    pub(super) theme: ThemeChoice,
    pub(super) recent: Vec<PathBuf>,
    pub(super) tour_offered: bool,
    pub(super) pending: Option<Pending>,
    /// The trainer has not taken over this experiment yet: its snapshots belong to the one before.
    pub(super) loading: bool,
    /// It is to train at once when it has.
    loads_running: bool,
    /// What a load that takes its time is doing, or why it failed.
    progress: Option<Loading>,
    /// Edits wait for the frame that shows what they lead to.
    pub(super) owes_edits: bool,
    /// Those edits begin the policy anew: the run starts over after them.
    pub(super) owes_reset: bool,
    /// The last answer about next tokens.
    probed: Option<Arc<ProbeAnswer>>,
    epoch: u64,
    pub(super) saved_then: Option<Pending>,
    pub(super) quitting: bool,
    /// Seconds of training at the last checkpoint of this run.
    pub(super) kept_secs: f64,
    /// Training that is asked about before it is lost, in seconds.
    pub(super) ask_after_secs: f64,
    /// Problem and target of the prompt shown, where that is not the first.
    prompt_picture: PromptPicture,
    /// How checkpoints are kept, and which there are.
    pub(super) checkpoints: Checkpointing,
    /// The last session ended unexpectedly, training or not: there may be a checkpoint to go on from.
    pub(super) crashed_running: Option<bool>,
    /// Edits applied to the document in this frame and not yet sent to the trainer.
    pub(super) edits: Vec<Edit>,
    /// Edits that wait until the window has solved its large problem.
    pub(super) unsent: Vec<Edit>,
    /// An error has ended training, and where is known with the next snapshot that rests.
    error_came: bool,
    /// Epoch and step at which an error ended training last.
    stopped_at: Option<(u64, u64)>,
    /// What was open before, to go back to, with its undo.
    pub(super) previous: Option<Box<Document>>,
    /// Messages from threads that write files or the clipboard.
    pub(super) reports: (Sender<Notice>, Receiver<Notice>),
    /// Something changed that the session file does not have yet.
    pub(super) session_behind: bool,
    /// Size of the window in points, for the next start.
    pub(super) window_size: Option<[f32; 2]>,
    ctx: Context,
    title: String,
    controls_width: f32,
}

impl Workbench {
    /// Opens what the options say and starts the trainer thread. A session that cannot be restored becomes a message, and
    /// the default preset takes its place.
    ///
    /// # Errors
    /// One line where what the options name, or not even the default preset, can be opened.
    pub fn new(ctx: &Context, options: WorkbenchOptions) -> Result<Self, String> {
        let opened = (options.open.as_deref())
            .map(|name| open_changed(name, &options.sets))
            .transpose()?;
        Self::begin(ctx, options, opened)
    }

    /// As [`Self::new`] with what `options` name, which was opened already.
    pub(super) fn begin(
        ctx: &Context,
        options: WorkbenchOptions,
        opened: Option<Document>,
    ) -> Result<Self, String> {
        let keeps = options.state_dir.as_deref().filter(|_| !options.errand);
        let mut checkpoints = Checkpointing::new(keeps, true);
        let (store, restored, trouble) = SessionStore::open(options.state_dir);
        let mut notices: Vec<Notice> = trouble.into_iter().map(Notice::Error).collect();
        let (session, crashed) = match restored {
            Some(session) => {
                let crashed = !session.clean_exit;
                (session, crashed)
            }
            None => (Session::default(), false),
        };
        let mut run = options.run;
        checkpoints.by_time = session.keep_by_time;
        let mut crashed_running = None;
        let document = match opened {
            Some(document) => Ok(document),
            None => match session.experiment {
                Some(saved) => {
                    run &= saved.running;
                    if crashed {
                        notices.push(Notice::Info(
                            "Restored the session that ended unexpectedly".to_owned(),
                        ));
                    }
                    if crashed && checkpoints.base.is_some() && saved.preset.language.is_some() {
                        // First the question where to go on.
                        crashed_running = Some(std::mem::take(&mut run));
                    }
                    Document::open(*saved.preset, saved.origin).map(|mut document| {
                        if saved.dirty {
                            document.mark_dirty();
                        }
                        document
                    })
                }
                None => open_named(DEFAULT_PRESET),
            },
        };
        let document = match document {
            Ok(document) => document,
            Err(error) => {
                notices.push(Notice::Error(error));
                open_named(DEFAULT_PRESET)?
            }
        };
        let mut pins = Vec::new();
        if let Some(files) = &store.pins {
            for listed in &session.pins {
                match files.read(listed) {
                    Ok(pin) => pins.push(pin),
                    Err(error) => notices.push(Notice::Error(error)),
                }
            }
        }
        let theme = options.theme.unwrap_or(session.theme);
        theme::apply(ctx, theme);
        // The table of commands has the keys for it.
        ctx.options_mut(|options| options.zoom_with_keyboard = false);
        if (0.5..=3.0).contains(&session.zoom) {
            ctx.set_zoom_factor(session.zoom);
        }
        let waker = ctx.clone();
        let (mut link, failure) = Link::spawn(move || waker.request_repaint());
        notices.extend(failure.map(Notice::Error));
        link.send(checkpoints.order());
        if let Some(solved) = document.solved() {
            link.send(Command::Solved(solved));
        }
        link.send(Command::Load {
            preset: document.preset().clone(),
            base_dir: document.base_dir().map(std::borrow::ToOwned::to_owned),
            run,
        });
        link.send(Command::Speed(options.speed));
        let snapshot = Arc::new(before_training(&document));
        let layouts = Layouts::new(session.tree, session.language_tree);
        let mut workbench = Self {
            document,
            link,
            snapshot,
            scrub: None,
            error_came: false,
            stopped_at: None,
            pins,
            selection: Selection::default(),
            layouts,
            panels: Panels {
                transport: Transport::new(options.speed),
                ..Panels::default()
            },
            toasts: Toasts::default(),
            dialogs: Dialogs::new(options.plain_dialogs),
            background: Background::new(),
            tie_marks: TieMarks::default(),
            store,
            theme,
            recent: session.recent,
            tour_offered: session.tour_offered,
            pending: None,
            loading: true,
            loads_running: run,
            progress: None,
            owes_edits: false,
            owes_reset: false,
            probed: None,
            epoch: 0,
            saved_then: None,
            quitting: false,
            kept_secs: 0.0,
            prompt_picture: PromptPicture::default(),
            ask_after_secs: options.ask_after_secs.unwrap_or(WORTH_ASKING_SECS),
            checkpoints,
            crashed_running,
            edits: Vec::new(),
            unsent: Vec::new(),
            previous: None,
            reports: bounded(16),
            session_behind: true,
            window_size: None,
            ctx: ctx.clone(),
            title: String::new(),
            controls_width: 300.0,
        };
        workbench.progress = workbench.loads_a_model();
        if !workbench.tour_offered && !options.errand && options.open.is_none() {
            workbench.tour_offered = true;
            workbench.panels.tour.offer();
        }
        for notice in notices {
            workbench.notify(ctx, notice);
        }
        Ok(workbench)
    }

    /// Takes in what happened elsewhere. Call once before every [`Self::ui`], and also while the window is hidden.
    pub fn logic(&mut self, ctx: &Context) {
        if self.link.flush() {
            ctx.request_repaint_after(std::time::Duration::from_millis(5));
        }
        while let Some(event) = self.link.try_event() {
            self.on_event(ctx, event);
        }
        if let Some(snapshot) = self.link.snapshot()
            && !self.loading
            && snapshot.epoch >= self.epoch
            && (snapshot.problem.arms() == self.document.problem().arms()
                || shows_another_prompt(&snapshot))
        {
            self.snapshot = snapshot;
        }
        if std::mem::take(&mut self.owes_edits) {
            self.send_edits(Vec::new());
        }
        for solved in self.background.finished() {
            self.take_solved(ctx, solved);
        }
        for answer in self.dialogs.answers() {
            self.on_answer(ctx, answer);
        }
        let reports: Vec<Notice> = self.reports.1.try_iter().collect();
        for notice in reports {
            self.notify(ctx, notice);
        }
        self.session_behind |= ctx.input(|input| input.pointer.any_down());
        self.autosave(ctx, false);
    }

    fn on_event(&mut self, ctx: &Context, event: Event) {
        match event {
            Event::Loaded { epoch, resolved } => {
                self.loading = false;
                self.epoch = epoch;
                self.progress = None;
                if let Some(preset) = resolved
                    && let Err(error) = self.document.resolve(preset)
                {
                    self.notify(ctx, Notice::Error(error));
                }
            }
            Event::Edited { .. } => {}
            Event::Kept { kept, written } => self.on_kept(ctx, kept, written),
            Event::Probed(answer) => {
                self.probed = Some(answer);
                self.panels.sandbox.answered();
            }
            Event::Loading { what, share } => {
                let since_secs = match &self.progress {
                    Some(Loading::Going {
                        what: before,
                        since_secs,
                        ..
                    }) if *before == what => *since_secs,
                    Some(_) | None => ctx.input(|input| input.time),
                };
                self.progress = Some(Loading::Going {
                    what,
                    share,
                    since_secs,
                });
            }
            Event::Notice { message } => self.notify(ctx, Notice::Info(message)),
            Event::Refused { message } => {
                if self.loading {
                    self.progress = Some(Loading::Failed(message.clone()));
                }
                self.notify(ctx, Notice::Error(message));
            }
            Event::Stopped { reason, step } => {
                let why = match reason {
                    StopReason::Steps => "all steps done",
                    StopReason::Converged => "the policy reached the target",
                    StopReason::Seconds => "the time is over",
                };
                self.notify(ctx, Notice::Info(format!("Stopped at step {step}, {why}")));
            }
            // Of the experiment before this one.
            Event::Reverted { .. } if self.loading => {}
            Event::Reverted { step, preset } => {
                self.scrub = None;
                if let Err(error) = self.document.replace(preset) {
                    self.notify(ctx, Notice::Error(error));
                }
                self.notify(ctx, Notice::Done(format!("Continuing from step {step}")));
            }
            Event::Saved(path) => {
                if path.join(CHECKPOINT_FILE).is_file() {
                    self.kept_secs = self.snapshot.elapsed_secs;
                }
                self.notify(ctx, Notice::Done(format!("Saved {}", path.display())))
            }
            Event::Failed { message, may_go_on } => {
                self.error_came = may_go_on;
                let then = if may_go_on {
                    "The run stands at its last good step: change what caused it and go on, or go back on the timeline."
                } else {
                    "Reset starts over."
                };
                let text = format!("Training stopped: {message}. {then}");
                self.notify(ctx, Notice::Error(text));
            }
        }
    }

    /// Draws the window's contents and carries out what the user asked for.
    pub fn ui(&mut self, ui: &mut Ui) {
        let ctx = ui.ctx().clone();
        let mut actions: Vec<Action> = Vec::new();
        if self.pending.is_none() && !self.dialogs.is_modal() {
            actions.extend(
                commands::pressed(&ctx)
                    .into_iter()
                    .map(commands::UiCommand::action),
            );
        }
        self.on_files_dropped(&ctx, &mut actions);
        self.on_close_request(&ctx);
        let height = ctx.content_rect().height();
        let bar = |margin: i8| {
            Frame::new()
                .fill(ctx.global_style().visuals.panel_fill)
                .inner_margin(Margin::symmetric(10, margin))
        };

        Panel::top("menu")
            .frame(bar(2))
            .resizable(false)
            .show(ui, |ui| menu::menu_ui(self, ui, &mut actions));
        let mut bottom = 0.0;
        if height > 120.0 {
            let shown = Panel::bottom("transport")
                .frame(bar(4))
                .exact_size(34.0)
                .resizable(false)
                .show(ui, |ui| {
                    let (view, panels) = self.parts();
                    egui::ScrollArea::horizontal()
                        .show(ui, |ui| panels.transport.ui(ui, &view, &mut actions));
                });
            bottom = shown.response.rect.height();
        }
        // Controls come before everything that shows the target, so that an edit is seen in its own frame.
        let width = ctx.content_rect().width();
        let beside = width > NARROW;
        if beside {
            Panel::left("controls")
                .frame(
                    Frame::new()
                        .fill(ctx.global_style().visuals.panel_fill)
                        .inner_margin(Margin {
                            left: 10,
                            right: 4,
                            top: 6,
                            bottom: 0,
                        }),
                )
                .default_size(self.controls_width)
                .size_range(220.0..=(width * 0.5).max(230.0))
                .show(ui, |ui| {
                    let (view, panels) = self.parts();
                    panels.controls.ui(ui, &view, &mut actions);
                });
        }
        self.perform(&ctx, std::mem::take(&mut actions));
        self.wait_for_target(&ctx);

        if height > 240.0 {
            Panel::top("headline")
                .frame(bar(8))
                .resizable(false)
                .show(ui, |ui| {
                    let (view, _) = self.parts();
                    let shown = ui
                        .scope(|ui| headline::headline_ui(ui, &view, &mut actions))
                        .response;
                    spot(ui, Spot::Headline, shown.rect);
                });
        }
        let gutter = ctx.global_style().visuals.faint_bg_color;
        CentralPanel::default()
            .frame(Frame::new().fill(gutter).inner_margin(Margin::same(0)))
            .show(ui, |ui| {
                if ui.available_width() < 60.0 || ui.available_height() < 40.0 {
                    return;
                }
                let room = Room::of(ui.available_size(), beside);
                let language = self.document.preset().language.is_some();
                let empty = Tree::empty(egui::Id::unique("panes"));
                let mut tree = std::mem::replace(self.layouts.of(room, language), empty);
                if let Some(controls) = tree.tiles.find_pane(&Pane::Controls) {
                    tree.set_visible(controls, !beside);
                }
                if room != Room::Full {
                    layout::show_language_panes(&mut tree, language);
                }
                let (view, panels) = self.parts();
                tree.ui(
                    &mut Panes {
                        draw: &mut |ui, pane| draw_pane(ui, pane, panels, &view, &mut actions),
                    },
                    ui,
                );
                *self.layouts.of(room, language) = tree;
            });
        self.windows_ui(&ctx, &mut actions);
        self.toasts.show(&ctx, bottom);
        let any_edit = actions
            .iter()
            .any(|action| matches!(action, Action::Edit { .. }));
        self.perform(&ctx, actions);
        let held = ctx.input(|input| input.pointer.any_down()) || self.panels.controls.is_typing();
        if !any_edit && !held {
            self.document.end_gesture();
        }
        self.show_title(&ctx);
    }

    /// Windows that float above the panels.
    fn windows_ui(&mut self, ctx: &Context, actions: &mut Vec<Action>) {
        let mut panels = std::mem::take(&mut self.panels);
        panels.gallery.ui(ctx, actions);
        let language = self.document.preset().language.is_some();
        if let Some(pane) = panels.palette.ui(ctx, language, actions) {
            self.layouts.reveal(pane);
        }
        about::shortcuts_ui(ctx, &mut panels.shortcuts_open);
        about::about_ui(ctx, &mut panels.about_open);
        let (view, _) = self.parts();
        panels.tour.ui(ctx, &view, actions);
        self.panels = panels;
        self.dialogs.ui(ctx);
        self.pending_ui(ctx);
    }

    /// The picture to draw, and the panels that draw it.
    pub(super) fn parts(&mut self) -> (View<'_>, &mut Panels) {
        self.prompt_picture
            .follow(self.document.preset(), &self.snapshot);
        let here = (self.snapshot.epoch, self.snapshot.step);
        let rests = self.snapshot.status != Status::Running;
        // The event may come before the last snapshot does.
        if rests && std::mem::take(&mut self.error_came) {
            self.stopped_at = Some(here);
        }
        let (problem, analysis) = match self.prompt_picture.ground() {
            Some((problem, analysis)) => (problem, analysis),
            None => (self.document.problem(), self.document.analysis()),
        };
        (self.tie_marks).follow(
            problem,
            &self.document.preset().objective,
            analysis,
            &self.ctx,
        );
        let view = View {
            preset: self.document.preset(),
            problem,
            analysis,
            ties: self.tie_marks.found(),
            snapshot: &self.snapshot,
            scrub: self.scrub.as_ref(),
            pins: &self.pins,
            selection: &self.selection,
            probe: self.probed.as_ref(),
            loading: self.progress.as_ref(),
            stopped: rests && self.stopped_at == Some(here),
            checkpoints: Some(&self.checkpoints),
        };
        (view, &mut self.panels)
    }

    /// Takes what the background found.
    fn take_solved(&mut self, ctx: &Context, solved: Result<Solved, Failed>) {
        match solved {
            Ok(solved) => {
                self.document.accept(solved);
                if self.document.take_restart() {
                    self.load(self.is_to_run());
                    return;
                }
                // The trainer gets its edits, and the processor back, once the target is on the screen.
                self.owes_edits = true;
                ctx.request_repaint();
            }
            Err(failed) => {
                if !self.document.go_back(&failed) {
                    // Of a state that is another one by now.
                    return;
                }
                let unsent = self.take_unsent();
                self.link.rest(false);
                self.refuse(ctx, &unsent, failed.error);
            }
        }
    }

    /// An edit of the controls on a large problem is being solved in the background: if that takes no longer than a frame
    /// or two, the plots of this very frame show it.
    fn wait_for_target(&mut self, ctx: &Context) {
        if self.document.is_in_step() {
            return;
        }
        if let Some(solved) = self.background.finished_within(PATIENCE) {
            self.take_solved(ctx, solved);
        }
    }

    /// Starts the trainer on the document.
    pub(super) fn load(&mut self, run: bool) {
        self.loading = true;
        self.loads_running = run;
        self.kept_secs = 0.0;
        self.checkpoints.kept = Arc::default();
        self.crashed_running = None;
        drop(self.take_unsent());
        self.link.rest(false);
        self.scrub = None;
        self.selection = Selection::default();
        self.probed = None;
        self.panels.samples.forget();
        self.panels.sandbox.forget();
        self.progress = self.loads_a_model();
        self.snapshot = Arc::new(before_training(&self.document));
        if let Some(solved) = self.document.solved() {
            self.link.send(Command::Solved(solved));
        }
        self.link.send(Command::Load {
            preset: self.document.preset().clone(),
            base_dir: self.document.base_dir().map(std::borrow::ToOwned::to_owned),
            run,
        });
    }

    /// Training goes on, or will as soon as the trainer has taken over the experiment.
    pub(super) fn is_to_run(&self) -> bool {
        if self.loading {
            self.loads_running
        } else {
            self.snapshot.status == Status::Running
        }
    }

    /// Says why edits were refused: beside the control that made them, where that can, else as a message.
    pub(super) fn refuse(&mut self, ctx: &Context, edits: &[Edit], error: String) {
        let of_problem = edits.iter().any(|edit| matches!(edit, Edit::Problem(_)));
        if of_problem && self.panels.controls.refuse(&error) {
            ctx.request_repaint();
        } else {
            self.notify(ctx, Notice::Error(error));
        }
    }

    /// A language model takes its time to load.
    fn loads_a_model(&self) -> Option<Loading> {
        let language = self.document.preset().language.as_ref()?;
        Some(Loading::Going {
            what: format!("Loading the model {}", language.model),
            share: None,
            since_secs: self.ctx.input(|input| input.time),
        })
    }

    /// The latest picture from the trainer.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Earlier runs kept for comparison.
    #[must_use]
    pub fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// The experiment as it stands.
    #[must_use]
    pub fn preset(&self) -> &Preset {
        self.document.preset()
    }

    /// Unsaved changes exist.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.document.is_dirty()
    }

    /// The target shown belongs to the experiment as it stands.
    #[must_use]
    pub fn is_in_step(&self) -> bool {
        self.document.is_in_step()
    }

    /// Closes without a question whatever is unsaved.
    pub(super) fn close_without_asking(&mut self) {
        self.quitting = true;
    }

    /// Changes β a little, as a drag would; the new β.
    pub(super) fn nudge_beta(&mut self, ctx: &Context) -> Option<f64> {
        let mut objective = self.document.preset().objective;
        let factor = if self.snapshot.step.is_multiple_of(2) {
            1.01
        } else {
            1.0 / 1.01
        };
        objective.beta = Beta::new(objective.beta.get() * factor).ok()?;
        let edit = Edit::Objective(objective);
        self.perform(ctx, vec![Action::Edit { edit, done: true }]);
        Some(objective.beta.get())
    }

    /// Writes the session for the last time.
    pub fn on_exit(&mut self) {
        self.document.end_gesture();
        let ctx = self.ctx.clone();
        self.autosave(&ctx, true);
    }

    /// Shows a message and writes it to the log.
    pub(super) fn notify(&mut self, ctx: &Context, notice: Notice) {
        let now = ctx.input(|input| input.time);
        self.panels.log.push(now, &notice);
        self.toasts.push(notice, now);
        ctx.request_repaint();
    }

    fn show_title(&mut self, ctx: &Context) {
        let mark = if self.document.is_dirty() { "• " } else { "" };
        let title = format!("{mark}{} – Modescope", self.document.preset().title);
        if title != self.title {
            ctx.send_viewport_cmd(egui::ViewportCommand::Title(title.clone()));
            self.title = title;
        }
    }
}

fn draw_pane(ui: &mut Ui, pane: Pane, panels: &mut Panels, view: &View, actions: &mut Vec<Action>) {
    match pane {
        Pane::MainPlot => panels.main_plot.ui(ui, view, actions),
        Pane::Modes => panels.modes.ui(ui, view, actions),
        Pane::Time => panels.time.ui(ui, view, actions),
        Pane::Inspector => panels.inspector.ui(ui, view, actions),
        Pane::Estimators => panels.estimators.ui(ui, view, actions),
        Pane::Phase => {
            spot(ui, Spot::Phase, ui.max_rect());
            panels.phase.ui(ui, view, actions);
        }
        Pane::Samples => panels.samples.ui(ui, view, actions),
        Pane::Credit => panels.samples.credit_ui(ui, view, actions),
        Pane::Sandbox => panels.sandbox.ui(ui, view, actions),
        Pane::Pins => panels.pins.ui(ui, view, actions),
        Pane::Log => panels.log.ui(ui, actions),
        Pane::Controls => panels.controls.ui(ui, view, actions),
    }
}

/// A snapshot of another prompt than the first, which is the document's.
fn shows_another_prompt(snapshot: &Snapshot) -> bool {
    snapshot
        .language
        .as_ref()
        .is_some_and(|language| language.shown_prompt > 0)
}

/// Longest wait of a frame for the target of its own edit. A million arms take 12 ms, 40 when the trainer was in the midst of
/// something: without the wait they would be seen a whole frame later.
const PATIENCE: Duration = Duration::from_millis(60);
/// Up to this width the controls are one of the panes instead of standing beside them, in points.
const NARROW: f32 = 580.0;

/// What opens when nothing else is asked for.
pub(super) const DEFAULT_PRESET: &str = "figure-5";

/// Opens a built-in preset by name, or a file.
fn open_named(name: &str) -> Result<Document, String> {
    open_changed(name, &[])
}

/// The same with some values set first, so that what is never shown is never solved.
pub(super) fn open_changed(name: &str, sets: &[String]) -> Result<Document, String> {
    let (mut preset, origin) = match experiment::builtin_preset(name) {
        Some(preset) => (preset, Origin::Builtin(name.to_owned())),
        None => {
            let path = PathBuf::from(name);
            let preset = experiment::load_preset(&path).map_err(|error| error.to_string())?;
            (preset, Origin::File(path))
        }
    };
    experiment::set_paths(&mut preset, sets).map_err(|error| error.to_string())?;
    let is_changed = !sets.is_empty();
    let mut document = Document::open(preset, origin.clone()).map_err(|error| {
        if is_changed {
            error
        } else {
            placed(&origin, error)
        }
    })?;
    if !sets.is_empty() {
        document.mark_dirty();
    }
    Ok(document)
}

/// The picture before the trainer sent its first: the reference as policy, paused at step 0.
fn before_training(document: &Document) -> Snapshot {
    let preset = document.preset();
    let problem = document.problem().clone();
    let policy: Arc<[f64]> = problem.reference.masses().into();
    Snapshot {
        epoch: 0,
        status: Status::Paused,
        step: 0,
        elapsed_secs: 0.0,
        steps_per_second: 0.0,
        objective: preset.objective,
        training: Arc::new(preset.training.clone()),
        analysis: document.analysis().clone(),
        samples: vec![0; policy.len()].into(),
        sample_count: 0,
        policy,
        best_fit: None,
        metrics: Metrics::clone(&document.analysis().reference_metrics),
        causes_at: None,
        policy_modes: document.analysis().reference_modes.clone().into(),
        history: Arc::new(History::default()),
        keyframes: Arc::new([]),
        marks: Arc::new([]),
        language: None,
        collapse: None,
        problem,
    }
}
