//! The gradient of the objective in the policy's logits, exactly or from samples (docs/math.md section 4).
//!
//! Every update is a vector over arms, so every policy family can follow every update: a family only has to pull it
//! back to its parameters. In the logits of a softmax, an arm that is worth a_y per unit of mass gets
//! π_y (a_y − E_π a).

use super::{drive::Drive, sampler::Batch};
use crate::experiment::{Advantage, KlEstimator, KlPenalty};

/// Fills `out` with ∂J/∂logit, exactly. `log_masses` are finite (floored) logs of `masses`.
pub(super) fn exact(drive: &Drive, log_masses: &[f64], masses: &[f64], out: &mut [f64]) {
    let (rewards, reference) = (drive.exact_rewards(), drive.exact_log_reference());
    let mut sum = 0.0;
    for (arm, value) in out.iter_mut().enumerate() {
        let (mass, log_mass) = (masses[arm], log_masses[arm]);
        *value = mass * (rewards[arm] - drive.entropy * log_mass)
            - drive.beta
                * drive
                    .divergence
                    .weighted_slope(mass, log_mass, reference[arm]);
        sum += *value;
    }
    for (value, mass) in out.iter_mut().zip(masses) {
        *value -= mass * sum;
    }
}

/// Fills `out` with the natural gradient on the table: a_y − E_π a, each limited to ±`limit`, because under `Forward`
/// a_y grows like π_ref/π without bound.
pub(super) fn natural(
    drive: &Drive,
    log_masses: &[f64],
    masses: &[f64],
    limit: f64,
    out: &mut [f64],
) {
    let (rewards, reference) = (drive.exact_rewards(), drive.exact_log_reference());
    let mut mean = 0.0;
    for (arm, value) in out.iter_mut().enumerate() {
        let (mass, log_mass) = (masses[arm], log_masses[arm]);
        let ratio = log_mass - reference[arm];
        *value =
            rewards[arm] - drive.entropy * log_mass - drive.beta * drive.divergence.slope(ratio);
        mean += mass * (rewards[arm] - drive.entropy * log_mass)
            - drive.beta
                * drive
                    .divergence
                    .weighted_slope(mass, log_mass, reference[arm]);
    }
    for value in out.iter_mut() {
        *value = (*value - mean).clamp(-limit, limit);
    }
}

/// What multiplies the score of each distinct arm of a batch, from the arms' effective reward and log reference
/// (after MARA). The gradient is then Σ n_y weight_y (e_y − π) / B.
pub(super) fn weigh(
    drive: &Drive,
    advantage: Advantage,
    kl: KlPenalty,
    log_masses: impl Fn(usize) -> f64,
    batch: &mut Batch,
) {
    let total = batch.total as f64;
    let mut mean = 0.0;
    for draw in &mut batch.draws {
        let log_mass = log_masses(draw.arm as usize);
        draw.log_mass = log_mass;
        let ratio = log_mass - draw.log_reference;
        let inside = match kl {
            KlPenalty::Matched => {
                drive.beta * drive.divergence.slope(ratio) + drive.entropy * log_mass
            }
            KlPenalty::InReward(estimator) => {
                drive.beta * value(estimator, ratio) + drive.entropy * log_mass
            }
            KlPenalty::Loss(_) | KlPenalty::ReferenceSamples | KlPenalty::Off => 0.0,
        };
        draw.weight = draw.reward - inside;
        mean += f64::from(draw.count) * draw.weight;
    }
    mean /= total;
    // One sample has nothing to compare itself with: no baseline then.
    let alone = batch.total < 2;
    let (baseline, scale) = match advantage {
        Advantage::None => (0.0, 1.0),
        _ if alone => (0.0, 1.0),
        Advantage::MeanBaseline => (mean, 1.0),
        Advantage::LeaveOneOut => (mean, total / (total - 1.0)),
        Advantage::GroupNormalised => {
            let square: f64 = batch
                .draws
                .iter()
                .map(|d| f64::from(d.count) * (d.weight - mean).powi(2))
                .sum();
            (mean, 1.0 / ((square / total).sqrt() + STD_FLOOR))
        }
    };
    for draw in &mut batch.draws {
        let outside = match kl {
            KlPenalty::Matched | KlPenalty::InReward(_) => 0.0,
            KlPenalty::Loss(estimator) => {
                let ratio = draw.log_mass - draw.log_reference;
                drive.beta * score_factor(estimator, ratio) + drive.entropy * draw.log_mass
            }
            KlPenalty::ReferenceSamples | KlPenalty::Off => drive.entropy * draw.log_mass,
        };
        draw.weight = (draw.weight - baseline) * scale - outside;
    }
}

/// DAP's weights: 2 (log π_ref^{β/κ} e^{R/κ} − log π), κ = β + η: ascent on −(squared log-ratio).
pub(super) fn weigh_dap(drive: &Drive, log_masses: impl Fn(usize) -> f64, batch: &mut Batch) {
    let kappa = drive.beta + drive.entropy;
    for draw in &mut batch.draws {
        draw.log_mass = log_masses(draw.arm as usize);
        let wanted = (drive.beta * draw.log_reference + draw.reward) / kappa;
        draw.weight = 2.0 * (wanted - draw.log_mass);
    }
}

/// Keeps a group of equal rewards from dividing by zero.
const STD_FLOOR: f64 = 1e-8;

/// The estimator's value at log(π/π_ref) = `ratio`.
fn value(estimator: KlEstimator, ratio: f64) -> f64 {
    match estimator {
        KlEstimator::K1 => ratio,
        KlEstimator::K2 => 0.5 * ratio * ratio,
        // On policy the importance ratio ρ is 1.
        KlEstimator::K3 | KlEstimator::K3Plus | KlEstimator::RhoK3 => {
            (-ratio).min(700.0).exp_m1() + ratio
        }
    }
}

/// What the gradient of the estimator as a loss multiplies the score with.
fn score_factor(estimator: KlEstimator, ratio: f64) -> f64 {
    match estimator {
        KlEstimator::K1 => 1.0,
        // ρ·k3: k3 + (1 − w) = log(π/π_ref), as k2.
        KlEstimator::K2 | KlEstimator::K3Plus | KlEstimator::RhoK3 => ratio,
        KlEstimator::K3 => -(-ratio).min(700.0).exp_m1(),
    }
}
