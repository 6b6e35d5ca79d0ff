//! One picture of the run, published by the trainer thread into a latest-value slot and drawn by the window as it is.

use std::sync::Arc;

use crate::{
    bandit::{Analysis, Problem},
    experiment::{LanguageSpec, Training},
    lm::{Generating, SampleRecord, StepFacts},
    theory::{Metric, Metrics, Objective},
};

/// The state of a run at one step boundary. Large parts are shared, so cloning is cheap.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Grows with every load and reset; snapshots of different epochs belong to different runs.
    pub epoch: u64,
    /// What the trainer is doing.
    pub status: Status,
    /// Steps done.
    pub step: u64,
    /// Seconds spent training (pauses excluded).
    pub elapsed_secs: f64,
    /// Recent speed; 0 when not training.
    pub steps_per_second: f64,
    /// The problem as trained on, edits included.
    pub problem: Arc<Problem>,
    /// The objective as trained on.
    pub objective: Objective,
    /// The training description as used.
    pub training: Arc<Training>,
    /// What the objective asks for.
    pub analysis: Arc<Analysis>,
    /// The policy's masses, one per arm.
    pub policy: Arc<[f64]>,
    /// How often each arm was drawn in recent batches (all zero under exact updates).
    pub samples: Arc<[u32]>,
    /// Sum of `samples`.
    pub sample_count: u64,
    /// The best fit to the target within the policy family, where the family is restricted and it is known.
    pub best_fit: Option<Arc<[f64]>>,
    /// Metrics of `policy`.
    pub metrics: Metrics,
    /// The step that [`Metric::COMPARED`] of `metrics` are of; none where nothing runs beside the run.
    pub causes_at: Option<u64>,
    /// Mode masses of `policy`.
    pub policy_modes: Arc<[f64]>,
    /// Metrics over time.
    pub history: Arc<History>,
    /// Policies to scrub back through, ascending in step.
    pub keyframes: Arc<[Keyframe]>,
    /// Edits made so far.
    pub marks: Arc<[EditMark]>,
    /// What only a language model's run has.
    pub language: Option<Arc<LanguageSnapshot>>,
    /// Training has ruined the policy.
    pub collapse: Option<Collapse>,
}

/// A policy that is finite and ruined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Collapse {
    /// The step from which on it was seen.
    pub step: u64,
    /// The step of the best objective before.
    pub sound_step: u64,
    /// What shows it.
    pub fallen: Fallen,
}

/// What a collapsed policy has lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fallen {
    /// Nearly all of the expected reward above the worst answer's.
    Reward {
        /// What is left.
        to: f64,
        /// The least of the reference's, the target's and what the run began with.
        from: f64,
    },
    /// More of the objective than the range of rewards.
    Objective {
        /// What is left.
        to: f64,
        /// The least of the reference's, the target's and what the run began with.
        from: f64,
    },
    /// Nearly all of the entropy, within a few steps.
    Entropy {
        /// What is left, in nats.
        to: f64,
        /// The least of the reference's, the target's and what the run began with.
        from: f64,
    },
}

/// The part of a [`Snapshot`] that only a language model's run has.
#[derive(Debug, Clone)]
pub struct LanguageSnapshot {
    /// The language part of the experiment as trained on.
    pub spec: Arc<LanguageSpec>,
    /// What the model is called.
    pub model: Arc<str>,
    /// Parameters of the model, and how many of them are trained.
    pub parameters: usize,
    /// Trained parameters (those of the low-rank additions under LoRA).
    pub trained: usize,
    /// The prompt that problem, target and policy of the snapshot belong to.
    pub shown_prompt: usize,
    /// Distinct completions of the last batch, most frequent first.
    pub samples: Arc<[SampleRecord]>,
    /// The last step as a whole; none before the first.
    pub facts: Option<StepFacts>,
    /// Sampled tokens per second, recently.
    pub tokens_per_second: f64,
    /// Time by part over time, one series per [`StepParts::NAMES`](crate::lm::StepParts::NAMES), in milliseconds, then
    /// tokens per second.
    pub timing: Arc<[Series]>,
    /// How far the sampling of the present step has come; goes on after the snapshot was taken.
    pub generating: Arc<Generating>,
    /// P(some acceptable answer) under the reference, shown prompt.
    pub reference_valid: f64,
}

/// What the trainer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Training.
    Running,
    /// Waiting for an order.
    Paused,
    /// Ended by its stop rule; `Run` goes on regardless.
    Finished,
    /// Ended by an error, which an event told.
    Failed,
}

/// A policy kept for scrubbing.
#[derive(Debug, Clone)]
pub struct Keyframe {
    /// Its step.
    pub step: u64,
    /// Masses, one per arm.
    pub policy: Arc<[f32]>,
    /// Its metrics.
    pub metrics: Metrics,
    /// The objective then.
    pub objective: Objective,
    /// The target then.
    pub analysis: Arc<Analysis>,
}

/// A mark on every time chart: an edit took effect here.
#[derive(Debug, Clone, PartialEq)]
pub struct EditMark {
    /// Steps done when it took effect.
    pub step: u64,
    /// A few words: "β 0.1 → 0.05".
    pub label: String,
}

/// Metrics over time, of bounded size however long the run: one pyramid level of min, max and mean per metric.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// One series per [`Metric::ALL`], in that order.
    pub series: Vec<Series>,
}

/// One metric over time as buckets of equal or growing length, ascending in step, finite values only.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// First step of each bucket.
    pub steps: Vec<f64>,
    /// Smallest value of each bucket.
    pub min: Vec<f32>,
    /// Largest value of each bucket.
    pub max: Vec<f32>,
    /// Mean of each bucket.
    pub mean: Vec<f32>,
}

impl History {
    /// The series of a metric, if anything was recorded.
    #[must_use]
    pub fn get(&self, metric: Metric) -> Option<&Series> {
        self.series.get(metric as usize)
    }
}
