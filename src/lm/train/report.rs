//! What a training step of a language model leaves to be looked at.

use std::sync::Arc;

/// One distinct completion of the last batch.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRecord {
    /// Which prompt it answers, from 0.
    pub prompt: usize,
    /// Its text, special tokens left out.
    pub text: Arc<str>,
    /// Its tokens as text, the end token included.
    pub tokens: Arc<[Arc<str>]>,
    /// How many samples of the batch were this completion.
    pub count: u32,
    /// Whether the model ended it; otherwise it ran into the length limit.
    pub ended: bool,
    /// The arm it counts as: the index of an answer, or the number of answers for everything else.
    pub arm: usize,
    /// Effective reward, before MARA.
    pub reward: f64,
    /// What MARA added to the reward.
    pub bonus: f64,
    /// What its score was multiplied with: the advantage, penalties in the reward included.
    pub advantage: f64,
    /// log π of the whole completion, in nats.
    pub log_prob: f64,
    /// log π_ref of the whole completion, in nats.
    pub log_reference: f64,
    /// log π of each token.
    pub token_log_probs: Arc<[f32]>,
    /// log π_ref of each token.
    pub token_log_references: Arc<[f32]>,
    /// Mode label that a reward program gave.
    pub label: Option<Arc<str>>,
}

/// How long the parts of a step took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepParts {
    /// Forward and sampling.
    pub sample: f64,
    /// Reference log-probabilities.
    pub reference: f64,
    /// Rewards (a program may take its time).
    pub reward: f64,
    /// Backward.
    pub backward: f64,
    /// Optimiser.
    pub optimiser: f64,
    /// Exact probabilities of all answers after the step.
    pub evaluate: f64,
}

impl StepParts {
    /// Names of the parts as the window and files show them, in the order of [`Self::values`].
    pub const NAMES: [&'static str; 6] = [
        "sample",
        "reference",
        "reward",
        "backward",
        "optimiser",
        "evaluate",
    ];

    /// The parts in milliseconds.
    #[must_use]
    pub fn values(&self) -> [f64; 6] {
        [
            self.sample,
            self.reference,
            self.reward,
            self.backward,
            self.optimiser,
            self.evaluate,
        ]
    }

    /// Milliseconds of the whole step.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.values().iter().sum()
    }
}

/// The last step as a whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepFacts {
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Share of samples that were acceptable answers.
    pub valid_share: f64,
    /// Tokens sampled, identical samples counted each.
    pub sampled_tokens: usize,
    /// Nodes of the prefix tree that were computed, prompt included: what merging left of prompt and sampled tokens.
    pub tree_nodes: usize,
    /// Tokens of prompts and samples without merging.
    pub flat_tokens: usize,
    /// Learning rate in force, warm-up included.
    pub learning_rate: f64,
    /// Time by part.
    pub parts: StepParts,
}
