//! Every metric of a policy against its problem and target, in one pass over the arms.

use super::{Analysis, Problem};
use crate::theory::{
    Divergence, Metric, Metrics, Objective, Target, coverage, divergence,
    kernels::{self, Compared},
};

/// All metrics of a policy given by its log masses that do not need a trainer; the causes of dynamics, sampling and
/// representation stay NaN, and effective β is β. Coverage uses [`coverage::EPSILON`] and [`coverage::DRAWS`].
#[must_use]
pub fn measure(
    problem: &Problem,
    objective: &Objective,
    analysis: &Analysis,
    log_policy: &[f64],
) -> Metrics {
    let mut masses = vec![0.0; log_policy.len()];
    kernels::exp(log_policy, &mut masses);
    measure_target(
        problem,
        objective,
        &Ground {
            rewards: &analysis.rewards,
            paid_rewards: analysis.paid_rewards(),
            paid_reference: analysis.paid_reference(problem),
            target: &analysis.target,
        },
        &masses,
        log_policy,
    )
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

pub(super) fn measure_target(
    problem: &Problem,
    objective: &Objective,
    ground: &Ground,
    masses: &[f64],
    log_policy: &[f64],
) -> Metrics {
    let mut metrics = Metrics::default();
    let reference = problem.reference.log_masses();
    let target = ground.target;
    let sums = kernels::compare(Compared {
        masses,
        log_masses: log_policy,
        log_reference: reference,
        target: &target.masses,
        log_target: &target.log_masses,
        rewards: ground.rewards,
    });
    // The target itself has none, which costs no pass to know.
    let gap = if std::ptr::eq(masses, &*target.masses) {
        0.0
    } else {
        objective_gap(objective, ground, masses, log_policy, sums.kl_to_target)
    };
    metrics.set(Metric::ExpectedReward, sums.expected_reward);
    metrics.set(Metric::ObjectiveGap, gap);
    metrics.set(Metric::OptimalObjective, target.optimal_value);
    metrics.set(Metric::Objective, target.optimal_value - gap);
    metrics.set(Metric::KlToReference, sums.kl_to_reference);
    metrics.set(Metric::KlFromReference, sums.kl_from_reference);
    metrics.set(Metric::KlToTarget, sums.kl_to_target);
    metrics.set(Metric::KlFromTarget, sums.kl_from_target);
    metrics.set(Metric::TvToTarget, sums.tv_to_target);
    metrics.set(Metric::Entropy, sums.entropy);
    metrics.set(Metric::EffectiveBeta, objective.beta.get());
    metrics.set(Metric::CauseTarget, cause_target(problem, target));
    set_coverage(&mut metrics, &mode_masses(problem, masses));
    metrics
}

/// Sets the coverage metrics of mode masses.
pub(super) fn set_coverage(metrics: &mut Metrics, mode_masses: &[f64]) {
    if let Some(found) = coverage::measure(mode_masses, coverage::EPSILON) {
        metrics.set(Metric::ModeMass, found.mass);
        metrics.set(Metric::CoveredModes, found.covered as f64);
        metrics.set(Metric::EffectiveModes, found.effective);
        metrics.set(Metric::Balance, found.balance);
        metrics.set(Metric::LargestShare, found.largest_share);
        metrics.set(
            Metric::Coverage,
            coverage::coverage_at(mode_masses, coverage::DRAWS),
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
    masses: &[f64],
    log_policy: &[f64],
    kl_to_target: f64,
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
                ground.paid_reference,
                log_policy,
                &target.log_masses,
                ground.paid_rewards,
                lambda,
                rate,
            );
            let bonus = if eta > 0.0 { eta * kl_to_target } else { 0.0 };
            beta * inside + bonus
        }
        Divergence::Alpha(_) => {
            let value = objective_value(
                objective,
                ground.paid_reference,
                ground.paid_rewards,
                masses,
                log_policy,
            );
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
    let cost = match Divergence::from(objective.direction) {
        Divergence::Reverse => kernels::cross_divergence(log_policy, log_reference),
        Divergence::Forward => kernels::cross_divergence(log_reference, log_policy),
        // No pass for what is 0 by definition.
        Divergence::Alpha(_) if std::ptr::eq(log_policy, log_reference) => 0.0,
        Divergence::Alpha(alpha) => kernels::alpha_divergence(alpha, log_policy, log_reference),
    };
    let bonus = if objective.entropy > 0.0 {
        objective.entropy * divergence::entropy(log_policy)
    } else {
        0.0
    };
    kernels::dot(masses, rewards) - objective.beta.get() * cost + bonus
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
