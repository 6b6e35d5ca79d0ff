//! The trainer thread: takes orders between steps, trains, and publishes pictures of the run that the window reads without
//! ever waiting. With nothing to do it sleeps on its channel.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use thiserror::Error;

use super::{
    edits::coalesce,
    keeping::Keeper,
    message::{Command, Event, Solved, Speed},
    outbox::Outbox,
    pace::{Pacer, SpeedMeter},
    run_folder::RunPicture,
    session::{Budget, Session, SessionError},
    snapshot::{Snapshot, Status},
};
use crate::{
    experiment::{Edit, Preset},
    lm::PromptSpec,
};

/// Commands that may wait for the next step boundary.
const COMMANDS: usize = 256;
/// Events that may wait for the window.
const EVENTS: usize = 256;
/// Tokens that a probe answers with.
const PROBED: usize = 40;
/// Shortest time between two snapshots, and between two calls of `wake`.
const FRAME: Duration = Duration::from_millis(16);
/// Making snapshots takes at most this part of the time.
const SNAPSHOT_SHARE: u32 = 8;
/// How long training goes on before it looks whether a snapshot is due.
const SLICE: Duration = Duration::from_millis(2);
/// Longest rest in one go, so that a window that never ends it stops nothing.
const LONGEST_REST: Duration = Duration::from_millis(150);
/// How often to look whether a rest is over.
const REST: Duration = Duration::from_millis(2);
/// How often to look whether the window has made room for events.
const RETRY: Duration = Duration::from_millis(100);
/// Shortest time between two words on how far a load has come.
const LOADING_TOLD: Duration = Duration::from_millis(50);

/// A command that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendRefused {
    /// Too many commands wait already, for a step that takes long.
    #[error("the trainer is busy; try again")]
    Busy,
    /// The trainer thread has ended.
    #[error("the trainer has ended; restart Modescope")]
    Ended,
}

/// The trainer thread as the window sees it. None of its methods waits; dropping it ends the thread after the present step.
pub struct Engine {
    commands: Sender<Command>,
    events: Receiver<Event>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    snapshot: ArcSwapOption<Snapshot>,
    /// Somebody has read the latest snapshot: the next one is worth making.
    read: AtomicBool,
    /// The window needs the cores for a moment.
    rest: AtomicBool,
    shutdown: Arc<AtomicBool>,
}

impl Engine {
    /// Starts the thread. `wake` is called from it, at most about 60 times a second, when there is something new to see.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn spawn(wake: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        Self::spawn_with(Arc::new(wake), |_| {})
    }

    fn spawn_with(wake: Wake, prepare: fn(&mut Session)) -> io::Result<Self> {
        let (commands, incoming) = bounded(COMMANDS);
        let (outgoing, events) = bounded(EVENTS);
        let shared = Arc::new(Shared::default());
        shared.read.store(true, Ordering::Release);
        let worker = Worker {
            commands: incoming,
            outbox: Outbox::new(outgoing),
            shared: Arc::clone(&shared),
            wake,
            prepare,
            session: None,
            status: Status::Paused,
            run_until: None,
            epoch: 0,
            waiting: Vec::new(),
            solved: None,
            pacer: Pacer::new(Speed::Full),
            meter: SpeedMeter::new(),
            publish: Publish::default(),
            resting: None,
            savers: Vec::new(),
            keeper: None,
        };
        let thread = std::thread::Builder::new()
            .name("modescope-trainer".to_owned())
            .spawn(move || {
                super::priority::stand_back();
                worker.run();
            })?;
        Ok(Self {
            commands,
            events,
            shared,
            thread: Some(thread),
        })
    }

    /// Gives an order.
    ///
    /// # Errors
    /// [`SendRefused::Busy`] when 256 orders wait already; nothing is lost but this one.
    pub fn send(&self, command: Command) -> Result<(), SendRefused> {
        self.commands
            .try_send(command)
            .map_err(|error| match error {
                TrySendError::Full(_) => SendRefused::Busy,
                TrySendError::Disconnected(_) => SendRefused::Ended,
            })
    }

    /// The oldest event not taken yet.
    #[must_use]
    pub fn try_event(&self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Asks the thread to train nothing for a moment (150 ms at most), or to go on: while the window solves a large problem
    /// it has the cores to itself. What is trained is the same, only later.
    pub fn rest(&self, rest: bool) {
        self.shared.rest.store(rest, Ordering::Release);
    }

    /// The latest picture of the run; none before the first load. Reading it asks for the next one.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let snapshot = self.shared.snapshot.load_full();
        self.shared.read.store(true, Ordering::Release);
        snapshot
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.shutdown.store(true, Ordering::Release);
        // If the channel is full, the flag alone ends the thread after its present step.
        let _ = self.commands.try_send(Command::Shutdown);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the trainer thread panicked while it ended");
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// Called when there is something new to see.
type Wake = Arc<dyn Fn() + Send + Sync>;

/// What the thread owns.
struct Worker {
    commands: Receiver<Command>,
    outbox: Outbox,
    shared: Arc<Shared>,
    wake: Wake,
    /// Called on every new session (tests make it fail).
    prepare: fn(&mut Session),
    session: Option<Session>,
    status: Status,
    /// The step at which to pause, while single steps are done.
    run_until: Option<u64>,
    epoch: u64,
    /// Edits that take effect at this step boundary.
    waiting: Vec<Edit>,
    /// What the next load or edits lead to, where the window said so.
    solved: Option<Solved>,
    pacer: Pacer,
    meter: SpeedMeter,
    publish: Publish,
    /// Since when the thread rests.
    resting: Option<Instant>,
    /// Threads that still write runs.
    savers: Vec<JoinHandle<()>>,
    /// Writes checkpoints of language runs by itself, where somebody wants that.
    keeper: Option<Keeper>,
}

/// When snapshots were and are to be made.
#[derive(Debug, Default)]
struct Publish {
    /// The slot does not show the present state.
    stale: bool,
    /// Something other than training has changed: publish even if it costs.
    urgent: bool,
    last: Option<Instant>,
    cost: Duration,
    /// `wake` is still to be called.
    wake: bool,
    last_wake: Option<Instant>,
}

impl Worker {
    fn run(mut self) {
        self.work();
        // What the user asked to be saved is saved.
        for saver in self.savers {
            if saver.join().is_err() {
                tracing::error!("writing a run stopped on an internal error");
            }
        }
    }

    fn work(&mut self) {
        loop {
            match self.next_command() {
                Ok(Some(command)) => {
                    let mut next = Some(command);
                    while let Some(command) = next {
                        if matches!(command, Command::Shutdown) || self.ending() {
                            return;
                        }
                        self.take(command);
                        next = self.commands.try_recv().ok();
                    }
                    self.apply_edits();
                }
                Ok(None) => {}
                Err(Ended) => return,
            }
            if self.ending() {
                return;
            }
            if self.status == Status::Running && !self.rests(Instant::now()) {
                self.train();
            }
            self.publish_if_due();
            self.wake_if_due();
            self.outbox.flush();
        }
    }

    /// Whether to train nothing now.
    fn rests(&mut self, now: Instant) -> bool {
        if !self.shared.rest.load(Ordering::Acquire) {
            self.resting = None;
            return false;
        }
        now - *self.resting.get_or_insert(now) < LONGEST_REST
    }

    fn ending(&self) -> bool {
        self.shared.shutdown.load(Ordering::Acquire)
    }

    /// The next order: at once while there is training to do, otherwise as soon as it comes.
    fn next_command(&mut self) -> Result<Option<Command>, Ended> {
        let now = Instant::now();
        let running = self.status == Status::Running;
        let rests = running && self.rests(now);
        let mut deadline = running.then(|| {
            if rests {
                now + REST
            } else {
                self.pacer.next_due()
            }
        });
        let mut earlier =
            |moment: Instant| deadline = Some(deadline.map_or(moment, |d| d.min(moment)));
        if let Some(moment) = self.publish_due() {
            earlier(moment);
        }
        if let Some(moment) = self.wake_due() {
            earlier(moment);
        }
        if !self.outbox.flush() {
            earlier(now + RETRY);
        }
        let received = match deadline {
            None => self
                .commands
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(deadline) if deadline <= now => self.commands.try_recv().map_err(|error| {
                if error.is_empty() {
                    RecvTimeoutError::Timeout
                } else {
                    RecvTimeoutError::Disconnected
                }
            }),
            Some(deadline) => {
                let received = self.commands.recv_deadline(deadline);
                if running && let Some(session) = &mut self.session {
                    session.add_waiting(now.elapsed());
                }
                received
            }
        };
        match received {
            Ok(command) => Ok(Some(command)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Ended),
        }
    }

    fn take(&mut self, command: Command) {
        if let Command::Edit(edit) = command {
            coalesce(&mut self.waiting, edit);
            return;
        }
        if let Command::Solved(solved) = command {
            self.solved = Some(solved);
            return;
        }
        self.apply_edits();
        match command {
            Command::Edit(_) | Command::Solved(_) | Command::Shutdown => {}
            Command::Load {
                preset,
                base_dir,
                run,
            } => {
                let model = preset.language.as_ref().map(|language| &language.model);
                if let Some(model) = model {
                    self.tell_loading(format!("loading {model}"), None);
                }
                let base_dir = base_dir.as_deref();
                let mut told = Instant::now();
                let solved = (self.solved.take()).filter(|solved| *solved.preset == *preset);
                let loaded = catch(|| {
                    if let (Some(solved), None) = (solved, model) {
                        return Session::of_solved(solved, base_dir);
                    }
                    let (preset, stop) =
                        (Preset::clone(&preset), Arc::clone(&self.shared.shutdown));
                    Session::new_with_progress(preset, base_dir, &stop, &mut |share| {
                        let Some(model) = model else { return };
                        if share >= 1.0 {
                            let what = format!("asking {model} for the prompt's answers");
                            self.tell_loading(what, None);
                        } else if told.elapsed() >= LOADING_TOLD {
                            told = Instant::now();
                            self.tell_loading(format!("loading {model}"), Some(share));
                        }
                    })
                });
                match loaded {
                    Ok(session) => self.begin(session, run),
                    Err(message) => self.refuse(message),
                }
            }
            Command::Run => self.start(None),
            Command::Step(steps) => {
                let from = match (self.run_until, &self.session) {
                    (Some(until), _) => until,
                    (None, Some(session)) => session.step(),
                    (None, None) => 0,
                };
                self.start(Some(from.saturating_add(steps)));
            }
            Command::Pause => {
                if self.status == Status::Running {
                    self.settle(Status::Paused);
                }
            }
            Command::Reset { seed } => {
                let run = self.status == Status::Running && self.run_until.is_none();
                if let Some(session) = &mut self.session {
                    match catch(|| session.reset(seed)) {
                        Ok(()) => {
                            self.restarted(run);
                            self.tell_kept(None);
                        }
                        Err(message) => self.refuse(message),
                    }
                }
            }
            Command::Revert { step } => {
                if let Some(session) = &mut self.session {
                    match catch(|| session.revert(step)) {
                        Ok(step) => self.reached(step),
                        Err(message) => self.refuse(message),
                    }
                }
            }
            Command::GoOn(checkpoint) => {
                if let Some(session) = &mut self.session {
                    match catch(|| session.leave_for(&checkpoint)) {
                        Ok(step) => self.reached(step),
                        Err(message) => self.refuse(message),
                    }
                }
            }
            Command::Speed(speed) => self.pacer = Pacer::new(speed),
            Command::Probe {
                prompt,
                raw,
                prefill,
            } => {
                let prompt = PromptSpec {
                    prompt,
                    raw,
                    prefill,
                };
                if let Some(session) = &mut self.session {
                    match catch(|| session.probe(&prompt, PROBED)) {
                        Ok(answer) => self.outbox.send(Event::Probed(Arc::new(answer))),
                        Err(message) => self.refuse(message),
                    }
                    self.publish.wake = true;
                }
            }
            Command::ShowPrompt(prompt) => {
                if let Some(session) = &mut self.session {
                    match catch(|| session.show_prompt(prompt)) {
                        Ok(()) => self.changed(),
                        Err(message) => self.refuse(message),
                    }
                }
            }
            Command::Checkpoint(root) => {
                if let Some(session) = &mut self.session {
                    match catch(|| session.checkpoint(&root)) {
                        Ok(path) => self.outbox.send(Event::Saved(path)),
                        Err(message) => self.refuse(message),
                    }
                    self.publish.wake = true;
                }
            }
            Command::Keep(keeping) => {
                match (&mut self.keeper, keeping) {
                    (Some(keeper), Some(keeping)) => keeper.change(keeping),
                    (keeper, keeping) => *keeper = keeping.map(Keeper::new),
                }
                self.tell_kept(None);
            }
            Command::SaveRun(folder) => {
                let Some(session) = &mut self.session else {
                    return self
                        .refuse("there is no run to save yet; open a preset first".to_owned());
                };
                let picture = catch(|| Ok(RunPicture::of(session)));
                if let Err(message) = picture.map(|picture| self.save(picture, folder)) {
                    self.refuse(message);
                }
            }
        }
    }

    /// Says which checkpoints there are to go on from.
    fn tell_kept(&mut self, written: Option<PathBuf>) {
        if let (Some(keeper), Some(session)) = (&self.keeper, &self.session)
            && session.language().is_some()
        {
            let kept = keeper.list(session);
            self.outbox.send(Event::Kept { kept, written });
            self.publish.wake = true;
        }
    }

    /// Writes a checkpoint if one is due; `last` where training ends here by itself.
    fn keep(&mut self, last: bool) {
        let (Some(keeper), Some(session)) = (&mut self.keeper, &mut self.session) else {
            return;
        };
        match catch(|| Ok(keeper.after_steps(session, last))) {
            Ok(None) => {}
            Ok(Some(Ok(path))) => self.tell_kept(Some(path)),
            Ok(Some(Err(message))) | Err(message) => self.refuse(message),
        }
    }

    /// The session stands at another step, with the experiment as it was there.
    fn reached(&mut self, step: u64) {
        let Some(session) = &self.session else {
            return;
        };
        let preset = Arc::new(session.preset().clone());
        if let Some(keeper) = &mut self.keeper {
            keeper.travelled(session);
        }
        self.outbox.send(Event::Reverted { step, preset });
        if self.status != Status::Running {
            self.status = Status::Paused;
        }
        self.changed();
    }

    /// Says that what follows takes its time.
    fn tell_loading(&mut self, what: String, share: Option<f32>) {
        self.outbox.send(Event::Loading { what, share });
        self.outbox.flush();
        (self.wake)();
    }

    /// Writes a run on a thread of its own, so that training goes on meanwhile.
    fn save(&mut self, picture: RunPicture, folder: PathBuf) {
        let (events, wake) = (self.outbox.sender(), Arc::clone(&self.wake));
        let saver = std::thread::Builder::new()
            .name("modescope-save".to_owned())
            .spawn(move || {
                let event = match picture.save(&folder) {
                    Ok(()) => Event::Saved(folder),
                    Err(error) => Event::Refused {
                        message: error.to_string(),
                    },
                };
                // A window that does not read events for so long is gone.
                let _ = events.send_timeout(event, Duration::from_secs(2));
                wake();
            });
        match saver {
            Ok(saver) => {
                self.savers.retain(|saver| !saver.is_finished());
                self.savers.push(saver);
            }
            Err(error) => self.refuse(format!("the run was not saved: {error}")),
        }
    }

    fn begin(&mut self, session: Session, run: bool) {
        let session = self.session.insert(session);
        (self.prepare)(session);
        let resolved = session
            .preset()
            .language
            .is_some()
            .then(|| Arc::new(session.preset().clone()));
        let notices: Vec<String> = std::iter::from_fn(|| session.take_notice()).collect();
        self.restarted(run);
        self.outbox.send(Event::Loaded {
            epoch: self.epoch,
            resolved,
        });
        for message in notices {
            self.outbox.send(Event::Notice { message });
        }
        self.tell_kept(None);
    }

    /// A session stands at step 0: show it.
    fn restarted(&mut self, run: bool) {
        self.epoch += 1;
        self.status = Status::Paused;
        self.run_until = None;
        if let Some(keeper) = &mut self.keeper {
            keeper.begin();
        }
        if run {
            self.start(None);
        }
        self.changed();
        self.publish_now();
    }

    /// Trains from now on, up to a step if one is given.
    fn start(&mut self, until: Option<u64>) {
        let Some(session) = &mut self.session else {
            return self.refuse("there is nothing to train yet; open a preset first".to_owned());
        };
        if session.is_failed() {
            let step = session.step();
            return self.refuse(SessionError::Failed { step }.to_string());
        }
        if until.is_none() && self.status == Status::Finished {
            session.ignore_stop();
        }
        if self.status != Status::Running {
            self.pacer.restart();
            self.meter.restart(session.step());
        }
        self.run_until = until;
        self.status = Status::Running;
        self.changed();
    }

    fn apply_edits(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let edits = std::mem::take(&mut self.waiting);
        let Some(session) = &mut self.session else {
            return;
        };
        let accepted = session.journal().entries().len();
        let solved = self.solved.take();
        let refused = catch(|| Ok(session.edit_towards(edits, solved)));
        match refused {
            Ok(refused) => {
                let accepted: Vec<_> = session.journal().entries()[accepted..].to_vec();
                for entry in accepted {
                    self.outbox.send(Event::Edited {
                        step: entry.step,
                        edit: entry.edit,
                    });
                }
                for (_, error) in refused {
                    self.refuse(error.to_string());
                }
                self.changed();
            }
            Err(message) => self.fail(message),
        }
    }

    fn train(&mut self) {
        let Some(session) = &mut self.session else {
            self.status = Status::Paused;
            return;
        };
        let due = self.pacer.due();
        if due == 0 {
            return;
        }
        let left = self
            .run_until
            .map(|until| until.saturating_sub(session.step()));
        let before = session.step();
        let unkept = (self.keeper.as_ref()).map_or(u64::MAX, |keeper| keeper.steps_left(session));
        let budget = Budget {
            steps: due.min(left.unwrap_or(u64::MAX)).min(unkept),
            until: Some(Instant::now() + SLICE),
            stop_rules: self.run_until.is_none(),
        };
        session.stop_when(&self.shared.shutdown);
        let (commands, shared) = (&self.commands, &self.shared);
        let interrupted = || {
            !commands.is_empty()
                || shared.shutdown.load(Ordering::Relaxed)
                || shared.rest.load(Ordering::Relaxed)
        };
        let advanced = catch(|| session.advance(budget, &interrupted));
        let step = session.step();
        self.pacer.done(step - before);
        while let Some(message) = session.take_notice() {
            self.outbox.send(Event::Notice { message });
            self.publish.wake = true;
        }
        self.publish.stale = true;
        match advanced {
            Ok(Some(reason)) => {
                self.outbox.send(Event::Stopped { reason, step });
                self.settle(Status::Finished);
                self.keep(true);
            }
            Ok(None) => {
                self.keep(false);
                if self.run_until.is_some_and(|until| step >= until) {
                    self.settle(Status::Paused);
                }
            }
            Err(message) if session.is_resting() => {
                self.outbox.send(Event::Failed {
                    message,
                    may_go_on: true,
                });
                self.settle(Status::Paused);
            }
            Err(message) => self.fail(message),
        }
    }

    /// Training ends for now.
    fn settle(&mut self, status: Status) {
        self.status = status;
        self.run_until = None;
        self.changed();
    }

    fn fail(&mut self, message: String) {
        tracing::error!("{message}");
        if let Some(session) = &mut self.session {
            session.mark_failed();
        }
        self.outbox.send(Event::Failed {
            message,
            may_go_on: false,
        });
        self.settle(Status::Failed);
    }

    fn refuse(&mut self, message: String) {
        self.outbox.send(Event::Refused { message });
        self.publish.wake = true;
    }

    fn changed(&mut self) {
        self.publish.stale = true;
        self.publish.urgent = true;
    }

    /// When the next snapshot is to be made, if one is.
    fn publish_due(&self) -> Option<Instant> {
        let publish = &self.publish;
        if !publish.stale || !(publish.urgent || self.shared.read.load(Ordering::Acquire)) {
            return None;
        }
        let Some(last) = publish.last else {
            return Some(Instant::now());
        };
        if self.status != Status::Running {
            return Some(last);
        }
        Some(
            last + if publish.urgent {
                FRAME
            } else {
                FRAME.max(publish.cost * SNAPSHOT_SHARE)
            },
        )
    }

    fn publish_if_due(&mut self) {
        if self.publish_due().is_some_and(|due| due <= Instant::now()) {
            self.publish_now();
        }
    }

    fn publish_now(&mut self) {
        let Some(session) = &mut self.session else {
            self.publish.stale = false;
            return;
        };
        let begun = Instant::now();
        let rate = if self.status == Status::Running {
            self.meter.steps_per_second(session.step(), begun)
        } else {
            0.0
        };
        let snapshot = if session.is_failed() {
            // The last good picture, with what may have been edited since.
            self.shared.snapshot.load_full().map(|last| Snapshot {
                status: Status::Failed,
                steps_per_second: 0.0,
                problem: Arc::clone(session.problem()),
                objective: session.preset().objective,
                training: Arc::new(session.preset().training.clone()),
                analysis: Arc::clone(session.analysis()),
                ..Snapshot::clone(&last)
            })
        } else {
            let complete = self.status != Status::Running;
            match catch(|| Ok(session.snapshot(self.epoch, self.status, rate, complete))) {
                Ok(snapshot) => Some(snapshot),
                Err(message) => return self.fail(message),
            }
        };
        if let Some(snapshot) = snapshot {
            self.shared.read.store(false, Ordering::Release);
            self.shared.snapshot.store(Some(Arc::new(snapshot)));
        }
        let now = Instant::now();
        self.publish = Publish {
            stale: false,
            urgent: false,
            last: Some(now),
            cost: now - begun,
            wake: true,
            last_wake: self.publish.last_wake,
        };
    }

    fn wake_due(&self) -> Option<Instant> {
        self.publish.wake.then(|| {
            self.publish
                .last_wake
                .map_or_else(Instant::now, |last| last + FRAME)
        })
    }

    fn wake_if_due(&mut self) {
        // In this order: the first wake is due at the moment of asking, which must not lie ahead of `now`.
        let due = self.wake_due();
        let now = Instant::now();
        if due.is_some_and(|due| due <= now) {
            self.publish.wake = false;
            self.publish.last_wake = Some(now);
            (self.wake)();
        }
    }
}

/// All senders are gone.
struct Ended;

/// Runs something of the session; an error or a panic becomes one line for the user.
fn catch<T>(work: impl FnOnce() -> Result<T, SessionError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => {
            let what = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "unknown cause".to_owned());
            Err(format!("the trainer stopped on an internal error: {what}"))
        }
    }
}

#[cfg(test)]
mod tests;
