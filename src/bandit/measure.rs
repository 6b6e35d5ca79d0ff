//! Every metric of a policy against its problem and target, in one pass over the arms.

use super::{Analysis, Problem};
use crate::theory::{
    CoverageRule, Divergence, Metric, Metrics, Objective, Target, coverage, divergence,
    kernels::{self, Compared, Comparison, Facing},
};

/// All metrics of a policy given by its log masses that do not need a trainer; the causes of dynamics, sampling and
/// representation stay NaN, and effective β is β. Coverage is counted by the problem's rule.
#[must_use]
pub fn measure(
    problem: &Problem,
    objective: &Objective,
    analysis: &Analysis,
    log_policy: &[f64],
) -> Metrics {
    let mut masses = vec![0.0; log_policy.len()];
    kernels::exp(log_policy, &mut masses);
    let ground = Ground {
        rewards: &analysis.rewards,
        paid_rewards: analysis.paid_rewards(),
        paid_reference: analysis.paid_reference(problem),
        target: &analysis.target,
    };
    let sums = kernels::compare(Compared {
        masses: &masses,
        log_masses: log_policy,
        log_reference: problem.reference.log_masses(),
        target: &ground.target.masses,
        log_target: &ground.target.log_masses,
        rewards: ground.rewards,
    });
    let worth = || Worth::of(objective, &ground, &masses, log_policy);
    let gap = objective_gap(objective, &ground, log_policy, sums.kl_to_target, worth);
    let of_target = OfTarget {
        objective,
        target: ground.target,
        cause: cause_target(problem, ground.target),
        coverage: problem.coverage,
    };
    of_target.metrics(sums, gap, &mode_masses(problem, &masses))
}

/// What a policy is measured against.
pub(super) struct Ground<'a> {
    /// Effective rewards.
    pub(super) rewards: &'a [f64],
    /// Rewards as optimised, MARA included.
    pub(super) paid_rewards: &'a [f64],
    /// Log reference as optimised, MARA included.
    pub(super) paid_reference: &'a [f64],
    /// The target.
    pub(super) target: &'a Target,
}

/// What J of a policy under an α-divergence consists of; no change of β changes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Worth {
    /// E_π\[R\] on the rewards as optimised.
    reward: f64,
    /// D(π, π_ref) on the reference as optimised.
    cost: f64,
}

impl Worth {
    fn of(objective: &Objective, ground: &Ground, masses: &[f64], log_policy: &[f64]) -> Self {
        let cost = divergence_from(objective, ground.paid_reference, log_policy);
        Self {
            reward: kernels::dot(masses, ground.paid_rewards),
            cost,
        }
    }
}

/// Metrics with the target and with the reference in the policy's place.
pub(super) struct EndMetrics {
    pub(super) target: Metrics,
    pub(super) reference: Metrics,
    /// The reference's worth, where its gap is told by that.
    pub(super) reference_worth: Option<Worth>,
}

/// Measures target and reference. Their mode masses are known, and maybe, from another β, the reference's worth.
pub(super) fn measure_ends(
    problem: &Problem,
    objective: &Objective,
    ground: &Ground,
    (target_modes, reference_modes): (&[f64], &[f64]),
    kept: Option<Worth>,
) -> EndMetrics {
    let log_reference = problem.reference.log_masses();
    let sums = kernels::face(Facing {
        target: &ground.target.masses,
        log_target: &ground.target.log_masses,
        log_reference,
        rewards: ground.rewards,
    });
    let of_target = OfTarget {
        objective,
        target: ground.target,
        cause: cause_target(problem, ground.target),
        coverage: problem.coverage,
    };
    let as_policy = sums.of_reference();
    let mut reference_worth = None;
    let worth = || {
        let worth = kept.unwrap_or_else(|| {
            let masses = problem.reference.masses();
            Worth::of(objective, ground, &masses, log_reference)
        });
        *reference_worth.insert(worth)
    };
    let to_target = as_policy.kl_to_target;
    let gap = objective_gap(objective, ground, log_reference, to_target, worth);
    EndMetrics {
        // The target has no gap, which costs no pass to know.
        target: of_target.metrics(sums.of_target(), 0.0, target_modes),
        reference: of_target.metrics(as_policy, gap, reference_modes),
        reference_worth,
    }
}

/// What metrics of any policy take from its objective and target.
struct OfTarget<'a> {
    objective: &'a Objective,
    target: &'a Target,
    /// First cause of collapse.
    cause: f64,
    coverage: CoverageRule,
}

impl OfTarget<'_> {
    fn metrics(&self, sums: Comparison, gap: f64, mode_masses: &[f64]) -> Metrics {
        let optimal = self.target.optimal_value;
        let mut metrics = Metrics::default();
        metrics.set(Metric::ExpectedReward, sums.expected_reward);
        metrics.set(Metric::ObjectiveGap, gap);
        metrics.set(Metric::OptimalObjective, optimal);
        metrics.set(Metric::Objective, optimal - gap);
        metrics.set(Metric::KlToReference, sums.kl_to_reference);
        metrics.set(Metric::KlFromReference, sums.kl_from_reference);
        metrics.set(Metric::KlToTarget, sums.kl_to_target);
        metrics.set(Metric::KlFromTarget, sums.kl_from_target);
        metrics.set(Metric::TvToTarget, sums.tv_to_target);
        metrics.set(Metric::Entropy, sums.entropy);
        metrics.set(Metric::EffectiveBeta, self.objective.beta.get());
        metrics.set(Metric::CauseTarget, self.cause);
        set_coverage(&mut metrics, mode_masses, self.coverage);
        metrics
    }
}

/// Sets the coverage metrics of mode masses.
fn set_coverage(metrics: &mut Metrics, mode_masses: &[f64], rule: CoverageRule) {
    if let Some(found) = coverage::measure(mode_masses, rule.epsilon) {
        metrics.set(Metric::ModeMass, found.mass);
        metrics.set(Metric::CoveredModes, found.covered as f64);
        metrics.set(Metric::EffectiveModes, found.effective);
        metrics.set(Metric::Balance, found.balance);
        metrics.set(Metric::LargestShare, found.largest_share);
        metrics.set(
            Metric::Coverage,
            coverage::coverage_at(mode_masses, rule.draws),
        );
    }
}

/// Mass per mode, from one mass per arm.
#[must_use]
pub fn mode_masses(problem: &Problem, masses: &[f64]) -> Vec<f64> {
    problem
        .modes
        .iter()
        .map(|mode| {
            mode.arms
                .iter()
                .filter_map(|&arm| masses.get(arm as usize))
                .sum()
        })
        .collect()
}

/// First cause of collapse: KL(G‖uniform over the arms of all modes), +∞ if G has mass elsewhere; NaN without modes.
fn cause_target(problem: &Problem, target: &Target) -> f64 {
    let good: usize = problem.modes.iter().map(|mode| mode.arms.len()).sum();
    if good == 0 {
        return f64::NAN;
    }
    // KL to uniform over the good arms, of G restricted to them: how uneven the target is where it is right.
    let mut mass = 0.0;
    let mut negentropy = 0.0;
    for &arm in problem.modes.iter().flat_map(|mode| &mode.arms) {
        let arm = arm as usize;
        let own = target.masses[arm];
        if own > 0.0 {
            mass += own;
            negentropy += own * target.log_masses[arm];
        }
    }
    if mass > 0.0 {
        (negentropy / mass - mass.ln() + (good as f64).ln()).max(0.0)
    } else {
        f64::NAN
    }
}

/// J* − J(π), never negative. Written as a divergence from the target, so that it loses no digits near the optimum.
fn objective_gap(
    objective: &Objective,
    ground: &Ground,
    log_policy: &[f64],
    kl_to_target: f64,
    worth: impl FnOnce() -> Worth,
) -> f64 {
    let beta = objective.beta.get();
    let eta = objective.entropy;
    let target = ground.target;
    match Divergence::from(objective.direction) {
        Divergence::Reverse => (beta + eta) * kl_to_target,
        Divergence::Forward => {
            // With an entropy bonus the target reaches every arm, and η KL(π‖G) takes the outside part's place.
            let rate = if eta > 0.0 { -1.0 } else { beta };
            let lambda = target.lambda.unwrap_or(0.0);
            let inside = kernels::forward_gap(
                (ground.paid_reference, ground.paid_rewards),
                log_policy,
                &target.log_masses,
                lambda,
                rate,
            );
            let bonus = if eta > 0.0 { eta * kl_to_target } else { 0.0 };
            beta * inside + bonus
        }
        Divergence::Alpha(_) => {
            let Worth { reward, cost } = worth();
            let value = reward - beta * cost;
            (target.optimal_value - value).max(0.0)
        }
    }
}

/// J(π) = E_π\[R\] − β D(π, π_ref) + η H(π) by its definition, on the reference and rewards as optimised.
#[must_use]
pub fn objective_value(
    objective: &Objective,
    log_reference: &[f64],
    rewards: &[f64],
    masses: &[f64],
    log_policy: &[f64],
) -> f64 {
    let cost = divergence_from(objective, log_reference, log_policy);
    let bonus = if objective.entropy > 0.0 {
        objective.entropy * divergence::entropy(log_policy)
    } else {
        0.0
    };
    kernels::dot(masses, rewards) - objective.beta.get() * cost + bonus
}

/// D(π, π_ref) of the objective's direction.
fn divergence_from(objective: &Objective, log_reference: &[f64], log_policy: &[f64]) -> f64 {
    match Divergence::from(objective.direction) {
        Divergence::Reverse => kernels::cross_divergence(log_policy, log_reference),
        Divergence::Forward => kernels::cross_divergence(log_reference, log_policy),
        // No pass for what is 0 by definition.
        Divergence::Alpha(_) if std::ptr::eq(log_policy, log_reference) => 0.0,
        Divergence::Alpha(alpha) => kernels::alpha_divergence(alpha, log_policy, log_reference),
    }
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
