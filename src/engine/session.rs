//! A run as plain synchronous code, the same under the window and headless: the trainer, its problem and target, the edits
//! made so far, and everything recorded on the way.
//!
//! The one rule to know: what happens and what is recorded is a function of preset, seed and journal alone. The clock
//! decides only where [`Session::advance`] hands back control, and when the rule `stop.seconds` holds.

mod editing;
mod travel;
mod view;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use thiserror::Error;

use super::{
    collapse::CollapseWatch,
    edits::{Live, Marks},
    history::Recorder,
    keyframes::Thinned,
    language::{self, LanguageRun, Resolved},
    learner::{Learner, LearnerState, grounds, total_variation},
    message::{ProbeAnswer, Solved, StopReason},
    schedule,
    snapshot::{Collapse, EditMark, History, Keyframe, Snapshot, Status},
    stop::StopWatch,
};
use crate::{
    bandit::{self, Analysis, Problem, ProblemError, ProblemSource, TrainError, Trainer},
    experiment::{self, Edit, EditError, Journal, JournalEntry, Mistake, Preset, Training},
    lm::{self, Ground, LanguageModel, LmError, LmTrainError, LmTrainer, SampleRecord, StepFacts},
    theory::{Metric, Metrics, Objective, TargetError},
};

/// Shortest time between two copies of the history for the window.
pub(super) const HISTORY_PERIOD: Duration = Duration::from_millis(50);
/// Aim for looking at the clock about this often.
const CLOCK_PERIOD: Duration = Duration::from_micros(100);
/// Bytes of a learner's state up to which states are kept in memory to go back to.
const KEPT_STATE: usize = 64 << 20;
/// Most steps between two looks at the clock.
const MAX_CHUNK: u64 = 1 << 14;

/// Why a session could not start, take an edit or go on. Each message is one line for the user.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The preset's arms, reference, rewards or modes.
    #[error(transparent)]
    Problem(#[from] ProblemError),
    /// The objective has no target on this problem.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The trainer.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// An edit with a value that is not accepted.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A language model's training.
    #[error(transparent)]
    Language(#[from] LmTrainError),
    /// A language model's files.
    #[error(transparent)]
    Model(#[from] LmError),
    /// A step that nothing is kept of.
    #[error(
        "step {step} cannot be gone back to: no state of it or of an earlier step is kept; {kept}"
    )]
    NotKept {
        /// The step.
        step: u64,
        /// Where the run can go, in words.
        kept: String,
    },
    /// Something that only a language preset has.
    #[error("this needs a language preset; the present one is a bandit")]
    NoLanguage,
    /// A prompt that the preset does not have.
    #[error("prompt {prompt} is not accepted; prompts 0 to {last} are")]
    NoPrompt {
        /// The prompt.
        prompt: usize,
        /// The last one.
        last: usize,
    },
    /// Training after it failed.
    #[error("training has failed at step {step}; reset it or go back to an earlier step first")]
    Failed {
        /// Steps done before it failed.
        step: u64,
    },
    /// A fault that a test asked for.
    #[cfg(test)]
    #[error("a test asked for this failure at step {0}")]
    Fault(u64),
}

/// How far [`Session::advance`] may go.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// At most this many steps.
    pub steps: u64,
    /// Hand back control soon after this moment (about a tenth of a millisecond, or one step if that takes longer).
    pub until: Option<Instant>,
    /// Stop when a stop rule holds.
    pub stop_rules: bool,
}

impl Budget {
    /// Exactly this many steps, whatever the stop rules and the clock say.
    #[must_use]
    pub fn steps(steps: u64) -> Self {
        Self {
            steps,
            until: None,
            stop_rules: false,
        }
    }

    /// Until a stop rule holds or the moment comes.
    #[must_use]
    pub fn until(until: Instant) -> Self {
        Self {
            steps: u64::MAX,
            until: Some(until),
            stop_rules: true,
        }
    }
}

/// Every metric after a step of the schedule: a line of `metrics.csv`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Steps done.
    pub step: u64,
    /// All metrics then.
    pub metrics: Metrics,
    /// The step that [`Metric::COMPARED`] are of: an earlier one where the runs beside this one are behind or rest. None where
    /// nothing runs beside it, or they were not measured.
    pub causes_at: Option<u64>,
}

/// A step of a language run: what it drew and how it went.
#[derive(Debug, Clone)]
pub struct StepLog {
    /// Steps done.
    pub step: u64,
    /// Distinct completions of the batch.
    pub samples: Arc<[SampleRecord]>,
    /// The step as a whole.
    pub facts: StepFacts,
}

/// A run: its experiment, its trainer, and what was recorded.
#[derive(Debug)]
pub struct Session {
    base_dir: Option<PathBuf>,
    /// The experiment at step 0, from which the journal starts, and as edited since.
    initial: Arc<Preset>,
    preset: Preset,
    /// One per prompt; a bandit has one.
    sources: Vec<Arc<ProblemSource>>,
    grounds: Vec<Ground>,
    /// Where edits lead, if that was worked out already.
    solved: Option<Solved>,
    /// Those of the prompt shown.
    problem: Arc<Problem>,
    analysis: Arc<Analysis>,
    training: Arc<Training>,
    trainer: Learner,
    language: Option<LanguageRun>,
    /// Checkpoints of a language run written so far, with the experiment as it was.
    checkpoints: Vec<(u64, PathBuf, Arc<Live>)>,
    /// The checkpoint that the run went on from.
    origin: Option<PathBuf>,
    /// Steps of a language run since they were last taken, where somebody wants them.
    step_log: Option<Vec<StepLog>>,
    failed: bool,
    /// The last step failed without harm.
    resting: bool,
    /// Once set, a reward program is no longer waited for.
    stop_waiting: Arc<AtomicBool>,

    step: u64,
    /// Time spent training, and the steps done in it: a run that went on from a checkpoint or went back has another step
    /// number.
    elapsed: Duration,
    steps_done: u64,
    stop: StopWatch,
    chunk: u64,
    /// The step at which something is to be recorded, checked or edited next.
    boundary: u64,

    recorder: Recorder,
    rows: Vec<Row>,
    keyframes: Thinned<Keyframe>,
    states: Thinned<SavedState>,
    journal: Journal,
    replay: VecDeque<JournalEntry>,
    marks: Marks,
    watch: CollapseWatch,
    shown: Shown,

    #[cfg(test)]
    pub(crate) fault: Option<tests::Fault>,
}

/// What going back to a step needs.
#[derive(Debug, Clone)]
struct SavedState {
    trainer: LearnerState,
    live: Arc<Live>,
    sources: Vec<Arc<ProblemSource>>,
    stop: StopWatch,
}

/// Shared parts of the last snapshot, made anew only when they changed.
#[derive(Debug, Default)]
struct Shown {
    history: Arc<History>,
    history_at: Option<(u64, Instant)>,
    keyframes: Option<Arc<[Keyframe]>>,
    marks: Option<Arc<[EditMark]>>,
    /// Metrics of the present policy, while neither step nor experiment changes.
    metrics: Option<Metrics>,
    live: Option<Arc<Live>>,
}

impl Session {
    /// Starts an experiment at step 0. `base_dir` is where its relative CSV paths start.
    ///
    /// # Errors
    /// Whatever is wrong with the preset, as one line.
    pub fn new(preset: Preset, base_dir: Option<&Path>) -> Result<Self, SessionError> {
        Self::new_with_progress(preset, base_dir, &Arc::default(), &mut |_| {})
    }

    /// As [`Self::new`], saying on the way what share of a language model is read, from 0 to 1. From when `stop` is set, a
    /// reward program is no longer waited for, now and as long as the session lives.
    ///
    /// # Errors
    /// As [`Self::new`], and [`LmTrainError::Stopped`].
    pub fn new_with_progress(
        preset: Preset,
        base_dir: Option<&Path>,
        stop: &Arc<AtomicBool>,
        progress: lm::Progress<'_>,
    ) -> Result<Self, SessionError> {
        let base = base_dir.map(Path::to_owned);
        match &preset.language {
            Some(language) => {
                let model = language::load(&language.model, base_dir, progress)?;
                Self::start_language(preset, base, model, stop)
            }
            None => {
                let source = ProblemSource::evaluate(&preset.bandit, base_dir)?;
                Self::start_bandit(preset, base, Arc::new(source))
            }
        }
    }

    /// As [`Self::new`], on a bandit whose problem and target are known.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_solved(solved: Solved, base_dir: Option<&Path>) -> Result<Self, SessionError> {
        let Solved {
            preset,
            source,
            problem,
            analysis,
        } = solved;
        let base_dir = base_dir.map(Path::to_owned);
        let grounds = vec![Ground { problem, analysis }];
        Self::start_on(Arc::unwrap_or_clone(preset), base_dir, source, grounds)
    }

    /// As [`Self::new`], and repeats the edits of a journal at their steps.
    ///
    /// # Errors
    /// As [`Self::new`], and the first edit of step 0 that is not accepted.
    pub fn replay(
        preset: Preset,
        base_dir: Option<&Path>,
        journal: &Journal,
    ) -> Result<Self, SessionError> {
        Self::replay_unless(preset, base_dir, journal, &Arc::default())
    }

    /// As [`Self::replay`]; from when `stop` is set, a reward program is no longer waited for.
    ///
    /// # Errors
    /// As [`Self::replay`], and [`LmTrainError::Stopped`].
    pub fn replay_unless(
        preset: Preset,
        base_dir: Option<&Path>,
        journal: &Journal,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, SessionError> {
        let mut session = Self::new_with_progress(preset, base_dir, stop, &mut |_| {})?;
        session.replay = journal.entries().to_vec().into();
        session.replay_due()?;
        session.set_boundary();
        Ok(session)
    }

    fn start_bandit(
        preset: Preset,
        base_dir: Option<PathBuf>,
        source: Arc<ProblemSource>,
    ) -> Result<Self, SessionError> {
        let sources = std::slice::from_ref(&source);
        let grounds = grounds(problems(sources, &preset)?, &preset.objective)?;
        Self::start_on(preset, base_dir, source, grounds)
    }

    /// A bandit on its problem.
    fn start_on(
        preset: Preset,
        base_dir: Option<PathBuf>,
        source: Arc<ProblemSource>,
        grounds: Vec<Ground>,
    ) -> Result<Self, SessionError> {
        let trainer = bandit_trainer(&grounds, &preset)?;
        Self::begin(preset, base_dir, vec![source], grounds, trainer, None)
    }

    fn start_language(
        preset: Preset,
        base_dir: Option<PathBuf>,
        model: Arc<LanguageModel>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, SessionError> {
        if stop.load(Ordering::Relaxed) {
            return Err(LmTrainError::Stopped.into());
        }
        let Resolved {
            run,
            prepared,
            preset,
            sources,
        } = LanguageRun::resolve(preset, model, base_dir.as_deref(), stop)?;
        let grounds = grounds(problems(&sources, &preset)?, &preset.objective)?;
        let training = Arc::new(preset.training.clone());
        let trainer = LmTrainer::new(prepared, grounds.clone(), preset.objective, training)?;
        let trainer = Learner::Language(Box::new(trainer));
        let session = Self::begin(preset, base_dir, sources, grounds, trainer, Some(run))?;
        Ok(Self {
            stop_waiting: Arc::clone(stop),
            ..session
        })
    }

    fn begin(
        preset: Preset,
        base_dir: Option<PathBuf>,
        sources: Vec<Arc<ProblemSource>>,
        grounds: Vec<Ground>,
        trainer: Learner,
        language: Option<LanguageRun>,
    ) -> Result<Self, SessionError> {
        let Some(Ground { problem, analysis }) = grounds.first().cloned() else {
            return Err(SessionError::NoPrompt { prompt: 0, last: 0 });
        };
        let training = Arc::new(preset.training.clone());
        let arms = problem.arms();
        let mut session = Self {
            base_dir,
            initial: Arc::new(preset.clone()),
            stop: StopWatch::new(training.stop),
            preset,
            sources,
            grounds,
            solved: None,
            problem,
            analysis,
            training,
            trainer,
            language,
            checkpoints: Vec::new(),
            origin: None,
            step_log: None,
            failed: false,
            resting: false,
            stop_waiting: Arc::default(),
            step: 0,
            elapsed: Duration::ZERO,
            steps_done: 0,
            chunk: 1,
            boundary: 0,
            recorder: Recorder::new(),
            rows: Vec::new(),
            keyframes: Thinned::new(
                schedule::max_keyframes(arms),
                schedule::first_keyframe_stride(arms),
            ),
            states: Thinned::new(2, schedule::first_keyframe_stride(arms)),
            journal: Journal::default(),
            replay: VecDeque::new(),
            marks: Marks::default(),
            watch: CollapseWatch::default(),
            shown: Shown::default(),
            #[cfg(test)]
            fault: None,
        };
        session.at_boundary()?;
        Ok(session)
    }

    /// Trains until the budget is spent, a stop rule holds or `interrupted` says so (asked about every tenth of a
    /// millisecond). At least one step is done unless the budget has none.
    ///
    /// # Errors
    /// The trainer's; the session is then failed and only [`Self::reset`] and [`Self::revert`] make it train again.
    pub fn advance(
        &mut self,
        budget: Budget,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Option<StopReason>, SessionError> {
        if self.failed {
            return Err(SessionError::Failed { step: self.step });
        }
        self.resting = false;
        let advanced = self.train(budget, interrupted);
        if let Err(SessionError::Language(LmTrainError::Stopped)) = advanced {
            return Ok(None);
        }
        self.resting = matches!(
            advanced,
            Err(SessionError::Language(
                LmTrainError::Reward(_) | LmTrainError::NotFinite { .. }
            ))
        );
        self.failed = advanced.is_err() && !self.resting;
        advanced
    }

    /// From when `flag` is set, a language run no longer waits for its reward program.
    pub fn stop_when(&mut self, flag: &Arc<AtomicBool>) {
        self.stop_waiting = Arc::clone(flag);
        if let Some(trainer) = self.trainer.language_mut() {
            trainer.stop_when(Arc::clone(flag));
        }
    }

    /// Whether the last [`Self::advance`] ended on an error that leaves everything as it was, so that training may go on.
    pub(crate) fn is_resting(&self) -> bool {
        self.resting
    }

    fn train(
        &mut self,
        budget: Budget,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Option<StopReason>, SessionError> {
        let goal = self.step.saturating_add(budget.steps);
        let mut clock = Instant::now();
        loop {
            if budget.stop_rules
                && let Some(reason) = self.stop.holds(self.step, self.elapsed)
            {
                return Ok(Some(reason));
            }
            if self.step >= goal {
                return Ok(None);
            }
            let chunk_end = goal.min(self.step.saturating_add(self.chunk));
            while self.step < chunk_end {
                let end = chunk_end.min(self.boundary);
                self.train_to(end)?;
                if self.step == self.boundary {
                    self.at_boundary()?;
                    if budget.stop_rules && self.stop.holds(self.step, self.elapsed).is_some() {
                        break;
                    }
                }
            }

            let now = Instant::now();
            let spent = now - clock;
            clock = now;
            self.elapsed += spent;
            self.chunk = if spent > CLOCK_PERIOD {
                (self.chunk / 2).max(1)
            } else if spent < CLOCK_PERIOD / 2 {
                (self.chunk * 2).min(MAX_CHUNK)
            } else {
                self.chunk
            };
            if budget.until.is_some_and(|until| now >= until) || interrupted() {
                return Ok(budget
                    .stop_rules
                    .then(|| self.stop.holds(self.step, self.elapsed))
                    .flatten());
            }
        }
    }

    /// The hot loop: a step and three numbers recorded.
    fn train_to(&mut self, end: u64) -> Result<(), SessionError> {
        self.shown.metrics = None;
        while self.step < end {
            #[cfg(test)]
            tests::Fault::strike(self.fault, self.step)?;
            let report = self.trainer.step()?;
            self.step += 1;
            self.steps_done += 1;
            self.recorder.record_step(self.step, &report);
            if let (Some(run), Some(trainer)) = (&mut self.language, self.trainer.language()) {
                run.record(self.step, trainer);
                if let (Some(log), Some(facts)) = (&mut self.step_log, trainer.facts()) {
                    log.push(StepLog {
                        step: self.step,
                        samples: Arc::clone(trainer.records()),
                        facts: facts.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Records and checks what is due at this step, then repeats the edits of a journal that belong here.
    fn at_boundary(&mut self) -> Result<(), SessionError> {
        let framed = self.keyframes.wants(self.step);
        if schedule::is_measured(self.step, self.problem.arms()) {
            let (metrics, causes_at) = if framed {
                (self.metrics(), self.causes_at())
            } else {
                // The causes cost as much as all others together many times.
                (self.trainer.measure_without_causes(), None)
            };
            let row = Row {
                step: self.step,
                metrics,
                causes_at,
            };
            self.recorder.record_row(&row);
            self.watch.look(self.step, &metrics, &self.grounds);
            self.rows.push(row);
        }
        if self.stop.checks_distance(self.step) {
            let distance = self.distance();
            self.stop.distance(self.step, distance);
        }
        if framed {
            let frame = self.keyframe();
            self.keyframes.push(self.step, frame);
            self.shown.keyframes = None;
        }
        if self.keeps_states() && self.states.wants(self.step) {
            let state = self.saved_state();
            self.states.push(self.step, state);
        }
        self.replay_due()?;
        self.set_boundary();
        Ok(())
    }

    /// TV(π, G), the mean over the prompts.
    fn distance(&mut self) -> f64 {
        let mut sum = 0.0;
        for (prompt, ground) in self.grounds.iter().enumerate() {
            let target = &ground.analysis.target.masses;
            sum += total_variation(self.trainer.masses(prompt), target);
        }
        sum / self.grounds.len().max(1) as f64
    }

    /// Whether a state is small enough to keep several.
    fn keeps_states(&self) -> bool {
        self.trainer.state_bytes() <= KEPT_STATE
    }

    /// The prompt that the picture shows; a bandit has one.
    fn shown(&self) -> usize {
        self.language.as_ref().map_or(0, |run| run.shown)
    }

    fn set_boundary(&mut self) {
        self.boundary = schedule::next_measured(self.step, self.problem.arms())
            .min(self.keyframes.next_after(self.step))
            .min(self.states.next_after(self.step))
            .min(self.stop.next_after(self.step))
            .min(
                self.replay
                    .front()
                    .map_or(u64::MAX, |entry| entry.step.max(self.step + 1)),
            );
    }

    fn keyframe(&mut self) -> Keyframe {
        let metrics = self.metrics();
        let shown = self.shown();
        Keyframe {
            step: self.step,
            policy: self
                .trainer
                .masses(shown)
                .iter()
                .map(|&mass| mass as f32)
                .collect(),
            metrics,
            objective: self.preset.objective,
            analysis: Arc::clone(&self.analysis),
        }
    }

    fn saved_state(&mut self) -> SavedState {
        let trainer = self.trainer.save_state();
        self.states.set_most(schedule::max_states(trainer.bytes()));
        let live = self
            .shown
            .live
            .get_or_insert_with(|| Arc::new(Live::of(&self.preset)));
        SavedState {
            trainer,
            live: Arc::clone(live),
            sources: self.sources.clone(),
            stop: self.stop.clone(),
        }
    }

    /// Go on although a stop rule holds: it is ignored until it is edited.
    pub fn ignore_stop(&mut self) {
        self.stop.ignore(self.step, self.elapsed);
    }

    /// Counts time in which training waited for its turn (a speed limit) as time spent training.
    pub fn add_waiting(&mut self, waited: Duration) {
        self.elapsed += waited;
    }
}

/// The problems of all prompts, hand-made changes included; a bandit's only one.
fn problems(
    sources: &[Arc<ProblemSource>],
    preset: &Preset,
) -> Result<Vec<Arc<Problem>>, SessionError> {
    let language = preset.language.as_ref();
    (sources.iter().enumerate())
        .map(|(prompt, source)| {
            let bandit = language::bandit_of(preset, language, prompt);
            let problem = source.problem(&bandit, &preset.objective)?;
            Ok(Arc::new(problem.counted_by(preset.coverage)))
        })
        .collect()
}

fn bandit_trainer(grounds: &[Ground], preset: &Preset) -> Result<Learner, SessionError> {
    let Some(Ground { problem, analysis }) = grounds.first().cloned() else {
        return Err(SessionError::NoLanguage);
    };
    let training = Arc::new(preset.training.clone());
    let trainer = Trainer::new(problem, preset.objective, analysis, training)?;
    Ok(Learner::Bandit(Box::new(trainer)))
}

#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
mod language_tests;

#[cfg(test)]
mod problem_tests;
