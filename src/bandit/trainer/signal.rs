//! The gradient of the objective in the policy's logits, exactly or from samples (docs/math.md section 4).
//!
//! Every update is a vector over arms, so every policy family can follow every update: a family only has to pull it
//! back to its parameters. In the logits of a softmax, an arm that is worth a_y per unit of mass gets
//! π_y (a_y − E_π a).

use super::{
    drive::{Drive, slope, weighted_slope},
    kernel::Simd,
};
use crate::{
    experiment::{Advantage, KlEstimator, KlPenalty, Update},
    theory::{Divergence, divergence},
};

/// Fills `out` with ∂J/∂logit, exactly. `log_masses` are finite (floored) logs of `masses`.
pub(super) fn exact(drive: &Drive, log_masses: &[f64], masses: &[f64], out: &mut [f64]) {
    let (rewards, reference) = (drive.exact_rewards(), drive.exact_log_reference());
    let mut sum = 0.0;
    for (arm, value) in out.iter_mut().enumerate() {
        let (mass, log_mass) = (masses[arm], log_masses[arm]);
        *value = mass * (rewards[arm] - drive.entropy * log_mass)
            - drive.beta * weighted_slope(drive.divergence, mass, log_mass, reference[arm]);
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
        let plain = rewards[arm] - drive.entropy * log_mass;
        *value = plain - drive.beta * slope(drive.divergence, log_mass - reference[arm]);
        mean += mass * plain
            - drive.beta * weighted_slope(drive.divergence, mass, log_mass, reference[arm]);
    }
    for value in out.iter_mut() {
        *value = (*value - mean).clamp(-limit, limit);
    }
}

/// J up to a constant of the problem, of a policy with finite log masses.
pub(super) fn objective(drive: &Drive, log_masses: &[f64], masses: &[f64]) -> f64 {
    let (rewards, reference) = (drive.exact_rewards(), drive.exact_log_reference());
    let mut total = 0.0;
    for (arm, mass) in masses.iter().enumerate() {
        let (log_mass, log_reference) = (log_masses[arm], reference[arm]);
        let charge = match drive.divergence {
            Divergence::Reverse => mass * (log_mass - log_reference),
            Divergence::Forward => -log_reference.exp() * log_mass,
            Divergence::Alpha(alpha) => divergence::f_alpha(alpha, log_mass, log_reference),
        };
        total += mass * (rewards[arm] - drive.entropy * log_mass) - drive.beta * charge;
    }
    total
}

/// The arms of a batch, one slot each; slots with count 0 are skipped or harmless.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots<'a> {
    /// How often the arm came up.
    pub(super) counts: &'a [f64],
    /// Samples in the batch.
    pub(super) total: f64,
    /// Effective rewards, after MARA.
    pub(super) rewards: &'a [f64],
    /// log π_ref, floored, after MARA.
    pub(super) log_reference: &'a [f64],
    /// log π.
    pub(super) log_masses: &'a [f64],
    /// The counts are not a draw but what is expected of one.
    pub(super) expected: bool,
}

/// Fills `out` with what each sample's score is multiplied with under a sampled update: the gradient is
/// Σ count · out · (e_y − π) / total.
pub(super) fn weigh(simd: Simd, drive: &Drive, update: Update, slots: &Slots<'_>, out: &mut [f64]) {
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Simd::detect` found the instructions on this machine.
        Simd::Avx512 | Simd::Avx2 => unsafe { weigh_avx2(drive, update, slots, out) },
        Simd::Portable => weigh_portable(drive, update, slots, out),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn weigh_avx2(drive: &Drive, update: Update, slots: &Slots<'_>, out: &mut [f64]) {
    weigh_portable(drive, update, slots, out);
}

#[inline(always)]
fn weigh_portable(drive: &Drive, update: Update, slots: &Slots<'_>, out: &mut [f64]) {
    match update {
        Update::Sampled { advantage, kl, .. } => weigh_sampled(drive, advantage, kl, slots, out),
        Update::Dap { .. } => weigh_dap(drive, slots, out),
        Update::Exact | Update::NaturalGradient => out.fill(0.0),
    }
}

#[inline(always)]
fn weigh_sampled(
    drive: &Drive,
    advantage: Advantage,
    kl: KlPenalty,
    slots: &Slots<'_>,
    out: &mut [f64],
) {
    let (beta, entropy) = (drive.beta, drive.entropy);
    let matched = |ratio| slope(drive.divergence, ratio);
    let reverse = drive.divergence == Divergence::Reverse;
    match kl {
        KlPenalty::Matched if !reverse => charge(slots, beta, entropy, matched, out),
        KlPenalty::Matched | KlPenalty::InReward(KlEstimator::K1) => {
            charge_log_ratio(slots, beta, entropy, out);
        }
        KlPenalty::InReward(estimator) => {
            charge(slots, beta, entropy, |ratio| value(estimator, ratio), out);
        }
        KlPenalty::Loss(_) | KlPenalty::ReferenceSamples | KlPenalty::Off => {
            out.copy_from_slice(slots.rewards);
        }
    }
    normalise(advantage, slots, out);
    // Outside the advantage: the penalties that are losses of their own.
    match kl {
        KlPenalty::Matched | KlPenalty::InReward(_) => {}
        KlPenalty::Loss(estimator) => {
            charge_more(
                slots,
                beta,
                entropy,
                |ratio| score_factor(estimator, ratio),
                out,
            );
        }
        KlPenalty::ReferenceSamples | KlPenalty::Off if entropy == 0.0 => {}
        KlPenalty::ReferenceSamples | KlPenalty::Off => {
            charge_more(slots, 0.0, entropy, |_| 0.0, out)
        }
    }
}

/// DAP's weights: 2 (log π_ref^{β/κ} e^{R/κ} − log π), κ = β + η: ascent on −(squared log-ratio).
#[inline(always)]
fn weigh_dap(drive: &Drive, slots: &Slots<'_>, out: &mut [f64]) {
    let kappa = drive.beta + drive.entropy;
    for (slot, out) in out.iter_mut().enumerate() {
        let wanted = (drive.beta * slots.log_reference[slot] + slots.rewards[slot]) / kappa;
        *out = 2.0 * (wanted - slots.log_masses[slot]);
    }
}

/// R − β log(π/π_ref) − η log π, in a form without branches.
#[inline(always)]
fn charge_log_ratio(slots: &Slots<'_>, beta: f64, entropy: f64, out: &mut [f64]) {
    let logs = slots.log_masses.iter().zip(slots.log_reference);
    for ((out, reward), (log_mass, log_reference)) in out.iter_mut().zip(slots.rewards).zip(logs) {
        *out = reward - beta * (log_mass - log_reference) - entropy * log_mass;
    }
}

/// R − β·penalty(log π/π_ref) − η log π.
#[inline(always)]
fn charge(
    slots: &Slots<'_>,
    beta: f64,
    entropy: f64,
    penalty: impl Fn(f64) -> f64,
    out: &mut [f64],
) {
    out.copy_from_slice(slots.rewards);
    charge_more(slots, beta, entropy, penalty, out);
}

#[inline(always)]
fn charge_more(
    slots: &Slots<'_>,
    beta: f64,
    entropy: f64,
    penalty: impl Fn(f64) -> f64,
    out: &mut [f64],
) {
    let logs = slots.log_masses.iter().zip(slots.log_reference);
    for ((out, (log_mass, log_reference)), count) in out.iter_mut().zip(logs).zip(slots.counts) {
        if *count > 0.0 {
            *out -= beta * penalty(log_mass - log_reference) + entropy * log_mass;
        }
    }
}

/// Fills `out` with the expectation of a sampled update's gradient over batches, MARA being the exact one; `counts` is scratch.
/// The standard deviation of a group is taken to be the policy's.
pub(super) fn expected(
    simd: Simd,
    drive: &Drive,
    update: Update,
    (log_masses, masses): (&[f64], &[f64]),
    counts: &mut Vec<f64>,
    out: &mut [f64],
) {
    let batch = match update {
        Update::Sampled { batch, .. } | Update::Dap { batch } => batch as f64,
        Update::Exact | Update::NaturalGradient => return exact(drive, log_masses, masses, out),
    };
    counts.clear();
    counts.extend(masses.iter().map(|mass| mass * batch));
    let slots = Slots {
        counts,
        total: batch,
        rewards: drive.exact_rewards(),
        log_reference: drive.exact_log_reference(),
        log_masses,
        expected: true,
    };
    weigh(simd, drive, update, &slots, out);
    for (value, mass) in out.iter_mut().zip(masses) {
        // Arms without mass never come up, whatever they would weigh.
        *value = if *mass > 0.0 { *value * mass } else { 0.0 };
    }
    if update.draws_from_reference() {
        for (value, log_reference) in out.iter_mut().zip(drive.exact_log_reference()) {
            *value += drive.beta * log_reference.exp();
        }
    }
    let sum: f64 = out.iter().sum();
    for (value, mass) in out.iter_mut().zip(masses) {
        *value -= mass * sum;
    }
}

/// Subtracts the baseline and divides by the scale. A single sample has nothing to compare itself with and is left alone.
#[inline(always)]
fn normalise(advantage: Advantage, slots: &Slots<'_>, out: &mut [f64]) {
    if advantage == Advantage::None || slots.total < 2.0 {
        return;
    }
    let mean = dot(slots.counts, out) / slots.total;
    // A sample is part of its batch's mean, which takes its share from the expectation of the gradient.
    let (shared, alone) = if slots.expected {
        (1.0 - 1.0 / slots.total, 1.0)
    } else {
        (1.0, slots.total / (slots.total - 1.0))
    };
    let scale = match advantage {
        Advantage::None | Advantage::MeanBaseline => shared,
        Advantage::LeaveOneOut => alone,
        Advantage::GroupNormalised => {
            let square: f64 = (slots.counts.iter().zip(&*out))
                .map(|(count, weight)| count * (weight - mean) * (weight - mean))
                .sum();
            shared / ((square / slots.total).sqrt() + STD_FLOOR)
        }
    };
    for weight in out {
        *weight = (*weight - mean) * scale;
    }
}

/// Σ a b, in four running sums.
#[inline(always)]
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 4];
    let (a, b) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a
        .remainder()
        .iter()
        .zip(b.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a.zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f64>() + rest
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
