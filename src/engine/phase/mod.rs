//! The phase diagram: a quantity of the target, or of a policy trained anew in every cell, over two parameters of the
//! problem, computed in background threads from coarse to fine, with the boundary on which two answers tie.
//!
//! The window asks with a [`PhaseRequest`], is woken when there is more to draw, and takes the latest [`PhaseMap`].

mod boundary;
mod parameter;
mod quantity;
#[cfg(test)]
mod tests;
mod trained;
#[cfg(test)]
mod trained_tests;
mod worker;

pub use boundary::{contour, tie_boundary};
pub use parameter::{Item, Parameter, PhaseAxis};
pub use quantity::{PhaseQuantity, SeenShare};
pub use trained::{PhaseOf, PhaseTraining};
pub use worker::{PhaseMap, PhaseWorker};

use std::{borrow::Cow, sync::Arc};

use crate::{
    bandit::{Analysis, Problem, mode_masses},
    theory::{Metric, Objective, Target, coverage, divergence, kernels, mara, solve_into},
};

/// What to compute, over which parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseRequest {
    /// The problem at the present parameters.
    pub problem: Arc<Problem>,
    /// The objective at the present parameters.
    pub objective: Objective,
    /// Horizontal axis.
    pub x: PhaseAxis,
    /// Vertical axis.
    pub y: PhaseAxis,
    /// What is shown.
    pub quantity: PhaseQuantity,
    /// Whose it is.
    pub of: PhaseOf,
    /// The training divides the reward by the standard deviation of a batch and leaves the penalty alone, which makes β·σ
    /// of β.
    pub divides_reward: bool,
    /// The two arms whose tie is drawn as a boundary.
    pub pair: Option<(usize, usize)>,
    /// Number of cells along x, 1 or more.
    pub columns: usize,
    /// Number of cells along y, 1 or more.
    pub rows: usize,
    /// Seconds after which refinement stops by itself.
    pub budget_secs: f64,
}

impl PhaseRequest {
    /// The problem and the objective at a point of the diagram.
    #[must_use]
    pub fn at(&self, x: f64, y: f64) -> (Cow<'_, Problem>, Objective) {
        let mut problem = Cow::Borrowed(self.problem.as_ref());
        let mut objective = self.objective;
        self.x.parameter.apply(x, &mut problem, &mut objective);
        self.y.parameter.apply(y, &mut problem, &mut objective);
        (problem, objective)
    }

    /// The quantity and the pair's natural-log ratio at a point; NaN where there is none.
    fn evaluate(&self, x: f64, y: f64, scratch: &mut Scratch) -> (f64, f64) {
        let (problem, objective) = self.at(x, y);
        self.solved(&problem, &objective, scratch)
            .unwrap_or((f64::NAN, f64::NAN))
    }

    fn solved(
        &self,
        problem: &Problem,
        objective: &Objective,
        scratch: &mut Scratch,
    ) -> Option<(f64, f64)> {
        let Scratch { rewards, target } = scratch;
        let log_reference = problem.reference.log_masses();
        rewards.clear();
        rewards.extend(
            problem
                .rewards
                .iter()
                .map(|&raw| objective.effective_reward(raw)),
        );
        let classes: Vec<&[u32]> = problem.modes.iter().map(|mode| &*mode.arms).collect();
        let mara = mara::augment(log_reference, rewards, objective, &classes).ok()?;
        let (paid_reference, paid_rewards) =
            mara.as_ref().map_or((log_reference, &**rewards), |mara| {
                (
                    mara.log_reference.as_deref().unwrap_or(log_reference),
                    &*mara.rewards,
                )
            });
        solve_into(paid_reference, paid_rewards, objective, target).ok()?;
        let logs = &target.log_masses;
        let ratio = self.pair_ratio(logs);
        let value = match self.quantity {
            PhaseQuantity::Metric(Metric::EffectiveBeta) if self.divides_reward => {
                objective.beta.get() * kernels::deviation(&target.masses, paid_rewards)
            }
            PhaseQuantity::Metric(metric) => metric_of(metric, problem, objective, rewards, target),
            PhaseQuantity::PairRatio => ratio / std::f64::consts::LN_10,
            PhaseQuantity::DrawsFor(share) => share.draws(&mode_masses(problem, &target.masses)),
        };
        Some((value, ratio))
    }

    /// Natural log of the pair's ratio of masses; NaN without a pair.
    fn pair_ratio(&self, log_masses: &[f64]) -> f64 {
        self.pair
            .and_then(|(a, b)| Some(log_masses.get(a)? - log_masses.get(b)?))
            .map_or(f64::NAN, |ratio| ratio.clamp(-700.0, 700.0))
    }

    /// What the diagram shows, in words: "effective modes of the policy after 500 steps".
    #[must_use]
    pub fn title(&self) -> String {
        let quantity = self.quantity.label_by(self.problem.coverage);
        format!("{quantity} of {}", self.of.label())
    }
}

/// Buffers that cells share.
#[derive(Debug, Default)]
struct Scratch {
    rewards: Vec<f64>,
    target: Target,
}

/// One metric of the target, without the cost of all the others.
fn metric_of(
    metric: Metric,
    problem: &Problem,
    objective: &Objective,
    rewards: &[f64],
    target: &Target,
) -> f64 {
    let reference = problem.reference.log_masses();
    let modes = || mode_masses(problem, &target.masses);
    let covered = || coverage::measure(&modes(), problem.coverage.epsilon);
    match metric {
        Metric::EffectiveModes => covered().map_or(f64::NAN, |found| found.effective),
        Metric::LargestShare => covered().map_or(f64::NAN, |found| found.largest_share),
        Metric::Balance => covered().map_or(f64::NAN, |found| found.balance),
        Metric::ModeMass => covered().map_or(f64::NAN, |found| found.mass),
        Metric::CoveredModes => covered().map_or(f64::NAN, |found| found.covered as f64),
        Metric::Coverage => coverage::coverage_at(&modes(), problem.coverage.draws),
        Metric::ExpectedReward => kernels::dot(&target.masses, rewards),
        Metric::OptimalObjective | Metric::Objective => target.optimal_value,
        Metric::Entropy => divergence::entropy(&target.log_masses),
        Metric::KlToReference => divergence::kl(&target.log_masses, reference),
        Metric::KlFromReference => divergence::kl(reference, &target.log_masses),
        Metric::EffectiveBeta => objective.beta.get(),
        Metric::ObjectiveGap
        | Metric::KlToTarget
        | Metric::KlFromTarget
        | Metric::TvToTarget
        | Metric::CauseTarget
        | Metric::CauseDynamics
        | Metric::CauseSampling
        | Metric::EstimatorBias
        | Metric::CauseRepresentation
        | Metric::GradientNorm
        | Metric::ValidShare => Analysis::without_ties(problem, objective)
            .map_or(f64::NAN, |analysis| analysis.target_metrics.get(metric)),
    }
}
