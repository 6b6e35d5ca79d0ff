//! What goes into the trainer thread and what it reports back.

use std::{path::PathBuf, sync::Arc};

use super::keeping::{Keeping, KeptCheckpoints};
use crate::{
    bandit::{Analysis, Problem, ProblemSource},
    experiment::{Edit, Preset},
};

/// An order to the trainer thread; takes effect at the next step boundary.
#[derive(Debug, Clone)]
pub enum Command {
    /// Replace the experiment and start it from step 0, paused unless `run`.
    Load {
        /// The experiment.
        preset: Arc<Preset>,
        /// Folder that relative CSV paths start from.
        base_dir: Option<PathBuf>,
        /// Start training at once.
        run: bool,
    },
    /// What the next load or edits lead to has been worked out already; without it the trainer does that itself.
    Solved(Solved),
    /// Train until told otherwise or until the stop rule holds.
    Run,
    /// Stop at the next step boundary.
    Pause,
    /// Pause, then do this many steps.
    Step(u64),
    /// Back to step 0 of the present (edited) experiment; a new seed if one is given. Keeps running if it was.
    Reset {
        /// The new seed.
        seed: Option<u64>,
    },
    /// Change the running experiment.
    Edit(Edit),
    /// How fast to train.
    Speed(Speed),
    /// Go back to the nearest restorable keyframe at or before this step and continue from there, bit for bit, with the
    /// experiment as it was then; later history and edits are dropped. Answered by [`Event::Reverted`].
    Revert {
        /// The step.
        step: u64,
    },
    /// Write the run folder (resolved preset, journal, metrics, policy) here.
    SaveRun(PathBuf),
    /// Ask policy and reference of a language run for their most likely next tokens. Answered by [`Event::Probed`].
    Probe {
        /// The user's turn, or the whole text when `raw`.
        prompt: String,
        /// No chat template.
        raw: bool,
        /// First words of the model's turn.
        prefill: String,
    },
    /// Write a checkpoint of a language run into this folder now.
    Checkpoint(PathBuf),
    /// Keep checkpoints of language runs as told from now on; none keeps none. What there is to go on from is told by
    /// [`Event::Kept`] after every load, reset and checkpoint.
    Keep(Option<Keeping>),
    /// Go on from a checkpoint of a language run; what was recorded and edited before is forgotten. Answered by
    /// [`Event::Reverted`].
    GoOn(PathBuf),
    /// Show another prompt of a language run: problem, target and policy of the snapshots are its own from now on.
    ShowPrompt(usize),
    /// End the thread.
    Shutdown,
}

/// A bandit's problem and what its objective asks for, as whoever gave the orders worked them out. The trainer takes them
/// where they belong to the very experiment that it is to train; they are what it would have found, bit for bit.
#[derive(Debug, Clone)]
pub struct Solved {
    /// The experiment.
    pub preset: Arc<Preset>,
    /// What its formulas, files and random numbers gave.
    pub source: Arc<ProblemSource>,
    /// Its problem, hand-made changes included.
    pub problem: Arc<Problem>,
    /// What it asks for.
    pub analysis: Arc<Analysis>,
}

/// How fast to train.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub enum Speed {
    /// As fast as the machine can.
    #[default]
    Full,
    /// At most this many steps per second, > 0.
    StepsPerSecond(f64),
}

/// The most likely next tokens of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeAnswer {
    /// The text that was asked about, template and prefill included.
    pub text: String,
    /// Tokens as text with their probabilities under the policy and under the reference, most likely (under either) first.
    pub tokens: Vec<(String, f64, f64)>,
}

/// Why training stopped by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StopReason {
    /// The wanted number of steps is done.
    Steps,
    /// TV(π, G) stayed below the wanted value.
    Converged,
    /// The wanted time is over.
    Seconds,
}

/// Something that happened in the trainer thread.
#[derive(Debug, Clone)]
pub enum Event {
    /// An experiment was loaded and its first snapshot is out.
    Loaded {
        /// Its epoch, as in the snapshots that belong to it.
        epoch: u64,
        /// A language preset with the reference that its model gave; nothing where the preset itself says all.
        resolved: Option<Arc<Preset>>,
    },
    /// An edit took effect.
    Edited {
        /// Steps done when it did.
        step: u64,
        /// The edit.
        edit: Edit,
    },
    /// An edit or a load was refused; the experiment is as before.
    Refused {
        /// One line for the user.
        message: String,
    },
    /// Training stopped by its stop rule.
    Stopped {
        /// Why.
        reason: StopReason,
        /// Steps done.
        step: u64,
    },
    /// The run went back to an earlier step, and the experiment to what it was then.
    Reverted {
        /// The step it went back to.
        step: u64,
        /// The experiment as it was then; controls show this from now on.
        preset: Arc<Preset>,
    },
    /// The most likely next tokens under policy and reference.
    Probed(Arc<ProbeAnswer>),
    /// Something about the run that the user should know; it goes on.
    Notice {
        /// One line for the user.
        message: String,
    },
    /// A load takes its time.
    Loading {
        /// What is being done, in a few words.
        what: String,
        /// How much of it is done, from 0 to 1, where that is known.
        share: Option<f32>,
    },
    /// A file or folder was written because somebody asked for it.
    Saved(PathBuf),
    /// Checkpoints that the language run may go on from.
    Kept {
        /// All of them.
        kept: Arc<KeptCheckpoints>,
        /// The one that was written by itself just now.
        written: Option<PathBuf>,
    },
    /// Training failed or the trainer panicked; the last good state is kept.
    Failed {
        /// One line for the user.
        message: String,
        /// The run stands at its last good step and may go on from there; else only `Reset` starts over.
        may_go_on: bool,
    },
}
