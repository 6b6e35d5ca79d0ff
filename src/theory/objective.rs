//! The objective as plain data: everything that, with a reference and a reward, decides the target distribution.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Written;

/// The KL coefficient: a finite number above zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Beta(f64);

/// A coefficient that is not a β.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("β = {} is not accepted; it must be a finite number above 0", Written(*.0))]
pub struct NotABeta(pub f64);

impl Beta {
    /// Checks a coefficient.
    ///
    /// # Errors
    /// [`NotABeta`] for zero, negative, NaN or infinite values.
    pub fn new(value: f64) -> Result<Self, NotABeta> {
        if value.is_finite() && value > 0.0 {
            Ok(Self(value))
        } else {
            Err(NotABeta(value))
        }
    }

    /// The coefficient.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Beta {
    type Error = NotABeta;
    fn try_from(value: f64) -> Result<Self, NotABeta> {
        Self::new(value)
    }
}

impl From<Beta> for f64 {
    fn from(beta: Beta) -> Self {
        beta.0
    }
}

/// Which divergence to the reference the objective charges for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Direction {
    /// KL(π‖π_ref), the usual penalty in RL fine-tuning.
    Reverse,
    /// KL(π_ref‖π).
    Forward,
    /// The α-divergence: 1 is `Reverse`, 0 is `Forward`, ½ is (four times) squared Hellinger, 2 is half χ².
    Alpha(f64),
}

/// Mode-anchored reward augmentation (the paper's MARA): good answers share the anchor's reward and reference mass.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mara {
    /// From which effective reward on an answer is good.
    pub threshold: Threshold,
    /// Which form; absent is the right one for the direction (1 for reverse, 2 otherwise).
    #[serde(default)]
    pub algorithm: Option<MaraAlgorithm>,
    /// Where the anchor is looked for when training from samples; exact targets always use the exact anchor.
    #[serde(default)]
    pub anchor: Anchor,
    /// Uniform over modes (classes of arms) instead of over arms.
    #[serde(default)]
    pub per_class: bool,
}

/// How MARA tells good answers from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Threshold {
    /// Good is R ≥ this.
    Constant(f64),
    /// Good is the upper part of the rewards: 0.9 keeps the best tenth.
    Percentile(f64),
}

/// The two published forms of MARA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaraAlgorithm {
    /// Algorithm 1: augment the reward.
    AugmentReward,
    /// Algorithm 2: swap reward and reference of good answers for the anchor's.
    SwapRewardAndReference,
}

/// Which answers compete to be MARA's anchor while training from samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Anchor {
    /// The batch's own good answers (the paper).
    #[default]
    Batch,
    /// The best-supported good answer of any batch so far.
    RunningMaximum,
    /// The best-supported good answer of the whole problem.
    Exact,
}

/// Everything that, with a reference and a reward, decides the target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Direction of the divergence to the reference.
    pub direction: Direction,
    /// The divergence's coefficient.
    pub beta: Beta,
    /// Effective reward R = `reward_scale` · raw + `reward_offset`.
    #[serde(default = "one")]
    pub reward_scale: f64,
    /// See `reward_scale`.
    #[serde(default)]
    pub reward_offset: f64,
    /// Coefficient η ≥ 0 of an entropy bonus.
    #[serde(default)]
    pub entropy: f64,
    /// Mode-anchored reward augmentation, if switched on.
    #[serde(default)]
    pub mara: Option<Mara>,
}

impl Objective {
    /// The plain objective of a direction: scale one, no offset, no entropy bonus, no MARA.
    #[must_use]
    pub fn new(direction: Direction, beta: Beta) -> Self {
        Self {
            direction,
            beta,
            reward_scale: 1.0,
            reward_offset: 0.0,
            entropy: 0.0,
            mara: None,
        }
    }

    /// Effective reward of a raw one.
    #[must_use]
    pub fn effective_reward(&self, raw: f64) -> f64 {
        self.reward_scale * raw + self.reward_offset
    }
}

fn one() -> f64 {
    1.0
}
