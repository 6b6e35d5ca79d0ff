//! What the gradient estimators of KL-regularised policy gradient really do (docs/math.md section 4): for a tabular softmax
//! policy, the exact expectation of every estimator, its exact variance, and the target it pulls towards.
//!
//! Every estimator is a sum of score terms `coefficient(y) · ∇log π(y)` over samples y, with ∇log π(y) = e_y − π for logits,
//! so that expectation and variance are closed sums over arms: no sampling anywhere in this module. The trainer's sampled
//! steps are checked against it, and the estimator view draws it.

mod coefficient;
mod describe;
mod pull;
mod report;
#[cfg(test)]
mod tests;

pub use pull::Pull;
pub use report::{EstimatorReport, Spread};

use super::{Direction, Objective};
use crate::experiment::{Advantage, KlPenalty, Update};

/// A gradient estimator from samples: what is done to the reward and how the divergence enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimator {
    /// A policy gradient from samples of the policy.
    Sampled {
        /// What is subtracted from, and divides, the reward (and what is in it, stop-grad).
        advantage: Advantage,
        /// How the divergence to the reference enters.
        kl: KlPenalty,
    },
    /// REINVENT's DAP: the squared difference between log π and log π_ref + R/β.
    Dap,
}

impl Estimator {
    /// The estimator that an update uses; none for the updates that need no samples.
    #[must_use]
    pub fn of(update: &Update) -> Option<Self> {
        match *update {
            Update::Exact | Update::NaturalGradient => None,
            Update::Sampled { advantage, kl, .. } => Some(Self::Sampled { advantage, kl }),
            Update::Dap { .. } => Some(Self::Dap),
        }
    }

    /// The update that uses this estimator with `batch` samples per step.
    #[must_use]
    pub fn update(self, batch: usize) -> Update {
        match self {
            Self::Sampled { advantage, kl } => Update::Sampled {
                batch,
                advantage,
                kl,
            },
            Self::Dap => Update::Dap { batch },
        }
    }
}

/// A tabular policy at work: everything that an estimator's expectation depends on. All slices have one entry per arm.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// Natural-log policy masses, normalised (−∞ for an arm that is never drawn).
    pub log_policy: &'a [f64],
    /// Natural-log reference masses; they need not sum to one (MARA's Algorithm 2 swaps some).
    pub log_reference: &'a [f64],
    /// Effective rewards, after MARA where it is on.
    pub rewards: &'a [f64],
    /// Direction of the divergence.
    pub direction: Direction,
    /// Its coefficient β > 0.
    pub beta: f64,
    /// Coefficient η ≥ 0 of the entropy bonus.
    pub entropy: f64,
}

impl<'a> Scene<'a> {
    /// The scene of a policy under an objective; scale, offset and MARA are in `rewards` and `log_reference` already.
    #[must_use]
    pub fn new(
        objective: &Objective,
        log_policy: &'a [f64],
        log_reference: &'a [f64],
        rewards: &'a [f64],
    ) -> Self {
        Self {
            log_policy,
            log_reference,
            rewards,
            direction: objective.direction,
            beta: objective.beta.get(),
            entropy: objective.entropy,
        }
    }

    /// The number of arms: the shortest of the slices.
    #[must_use]
    pub fn arms(&self) -> usize {
        self.log_policy
            .len()
            .min(self.log_reference.len())
            .min(self.rewards.len())
    }

    /// α of the direction: 1 for reverse, 0 for forward.
    fn alpha(&self) -> f64 {
        match self.direction {
            Direction::Reverse => 1.0,
            Direction::Forward => 0.0,
            Direction::Alpha(alpha) => alpha,
        }
    }
}

/// The exact gradient of J = E_π\[R\] − β D + η H in the logits, one entry per arm, written into `gradient`
/// (docs/math.md section 4). Entries are not finite where the policy has mass on arms that the reference excludes and the
/// divergence is therefore infinite.
pub fn exact_gradient(scene: &Scene, gradient: &mut Vec<f64>) {
    coefficient::expected(scene, &coefficient::Parts::exact(scene), gradient);
}

/// The exact expectation of an estimator's gradient (ascent direction, mean over a batch of `batch` samples) in the logits,
/// written into `gradient`.
pub fn expected_gradient(
    estimator: Estimator,
    scene: &Scene,
    batch: usize,
    gradient: &mut Vec<f64>,
) {
    coefficient::expected(
        scene,
        &coefficient::Parts::of(estimator, scene, batch),
        gradient,
    );
}
