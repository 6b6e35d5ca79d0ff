//! The objective as training needs it: one flat array per quantity, −∞ replaced by a floor, so that the inner loops
//! have no special cases. Made anew at every edit of the problem or the objective.

use std::sync::Arc;

use crate::{
    bandit::{Analysis, Problem},
    theory::{Anchor, Divergence, Objective},
};

/// Stands for log 0 of a reference: just below the logarithm of the smallest positive double, so that an arm outside
/// the reference's support is charged as if it had that mass.
pub(super) const LOG_ZERO: f64 = -745.0;

/// f′(t) of the divergence Σ π_ref f(π/π_ref) at t = e^`log_ratio`, up to a constant (docs/math.md section 1).
pub(super) fn slope(divergence: Divergence, log_ratio: f64) -> f64 {
    match divergence {
        Divergence::Reverse => log_ratio,
        Divergence::Forward => -(-log_ratio).min(700.0).exp(),
        Divergence::Alpha(alpha) => {
            (((alpha - 1.0) * log_ratio).min(700.0).exp() - 1.0) / (alpha - 1.0)
        }
    }
}

/// π·f′(π/π_ref), without overflow where π ≪ π_ref.
pub(super) fn weighted_slope(
    divergence: Divergence,
    mass: f64,
    log_mass: f64,
    log_reference: f64,
) -> f64 {
    match divergence {
        Divergence::Reverse => mass * (log_mass - log_reference),
        Divergence::Forward => -log_reference.exp(),
        Divergence::Alpha(alpha) => {
            let exponent = log_mass + (alpha - 1.0) * (log_mass - log_reference);
            (exponent.min(700.0).exp() - mass) / (alpha - 1.0)
        }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Drive {
    pub(super) divergence: Divergence,
    pub(super) beta: f64,
    /// η of the entropy bonus.
    pub(super) entropy: f64,
    /// Effective rewards R.
    pub(super) rewards: Arc<[f64]>,
    /// log π_ref, floored.
    pub(super) log_reference: Vec<f64>,
    /// Rewards after exact MARA, where that changes any.
    pub(super) augmented: Option<Arc<[f64]>>,
    /// log π_ref after exact MARA's Algorithm 2, floored, where that changes any.
    pub(super) swapped: Option<Vec<f64>>,
    /// Whether batches use exact MARA too.
    pub(super) exact_anchor: bool,
    /// log G where G > 0; elsewhere a finite number far below.
    pub(super) log_target: Vec<f64>,
    /// Arms with G = 0: any policy mass there makes KL(π‖G) infinite.
    pub(super) target_zeros: Vec<u32>,
}

impl Drive {
    pub(super) fn new(problem: &Problem, objective: &Objective, analysis: &Analysis) -> Self {
        let floored = |logs: &[f64]| logs.iter().map(|l| l.max(LOG_ZERO)).collect::<Vec<_>>();
        let divergence = Divergence::from(objective.direction);
        let beta = objective.beta.get();
        let mut drive = Self {
            divergence,
            beta,
            entropy: objective.entropy,
            rewards: analysis.rewards.clone(),
            log_reference: floored(problem.reference.log_masses()),
            augmented: analysis.augmented().cloned(),
            swapped: analysis.swapped_reference().map(|logs| floored(logs)),
            exact_anchor: objective
                .mara
                .is_some_and(|mara| mara.anchor == Anchor::Exact),
            log_target: analysis.target.log_masses.clone(),
            target_zeros: Vec::new(),
        };
        drive.fill_target_zeros();
        drive
    }

    /// A drive towards nothing, for fits that bring their own gradient.
    pub(super) fn blank(arms: usize) -> Self {
        Self {
            divergence: Divergence::Reverse,
            beta: 1.0,
            entropy: 0.0,
            rewards: vec![0.0; arms].into(),
            log_reference: vec![0.0; arms],
            augmented: None,
            swapped: None,
            exact_anchor: false,
            log_target: vec![0.0; arms],
            target_zeros: Vec::new(),
        }
    }

    /// Rewards that the exact gradient uses.
    pub(super) fn exact_rewards(&self) -> &[f64] {
        self.augmented.as_deref().unwrap_or(&self.rewards)
    }

    /// log π_ref that the exact gradient uses.
    pub(super) fn exact_log_reference(&self) -> &[f64] {
        self.swapped.as_deref().unwrap_or(&self.log_reference)
    }

    /// Rewards that batches see, before MARA within the batch.
    pub(super) fn sampled_rewards(&self) -> &[f64] {
        if self.exact_anchor {
            self.exact_rewards()
        } else {
            &self.rewards
        }
    }

    /// log π_ref that batches see, before MARA within the batch.
    pub(super) fn sampled_log_reference(&self) -> &[f64] {
        if self.exact_anchor {
            self.exact_log_reference()
        } else {
            &self.log_reference
        }
    }

    /// Under `Reverse`, log G of an arm the reference rules out goes on as κ log G = R + β log π_ref − const with the
    /// floored reference; elsewhere any low value does.
    fn fill_target_zeros(&mut self) {
        let kappa = self.beta + self.entropy;
        let best = (0..self.log_target.len())
            .max_by(|&a, &b| self.log_target[a].total_cmp(&self.log_target[b]));
        let Some(best) = best else { return };
        let score = |drive: &Self, arm: usize| {
            drive.exact_rewards()[arm] + drive.beta * drive.exact_log_reference()[arm]
        };
        let best_score = score(self, best);
        for arm in 0..self.log_target.len() {
            if self.log_target[arm] == f64::NEG_INFINITY {
                let below = (score(self, arm) - best_score) / kappa;
                self.log_target[arm] = self.log_target[best] + below.min(LOG_ZERO);
                self.target_zeros.push(arm as u32);
            }
        }
    }
}
