//! Reverse KL, with or without an entropy bonus: G ∝ π_ref^{β/(β+η)} e^{R/(β+η)}, in closed form.
//!
//! Three passes over the arms: a survey of the rewards, weights with their exponentials, and normalising.

use super::Target;
use crate::theory::kernels::{self, Survey, Tilt, Tilted};

/// A highest weight in this range needs no shift: no exponential overflows, and none above 1e-300 of the sum underflows.
const UNSHIFTED: std::ops::RangeInclusive<f64> = -17.0..=17.0;

pub(super) fn solve(
    log_reference: &[f64],
    rewards: &[f64],
    beta: f64,
    eta: f64,
    survey: Survey,
    target: &mut Target,
) {
    let temperature = beta + eta;
    let power = beta / temperature;
    // Rewards are taken relative to the best one, so that the arms that matter lose no digits at small β.
    let top = survey.best;
    let Target {
        masses, log_masses, ..
    } = target;
    let mut by = Tilt {
        power,
        top,
        rate: 1.0 / temperature,
        shift: 0.0,
    };
    let mut tilted = kernels::tilt(by, log_reference, rewards, log_masses, masses);
    if !UNSHIFTED.contains(&tilted.highest) {
        by.shift = tilted.highest;
        tilted = kernels::tilt(by, log_reference, rewards, log_masses, masses);
    }
    let Tilt { rate, shift, .. } = by;
    let Tilted { sum, highest } = tilted;

    let log_sum = if (highest - shift).exp() > 0.5 * sum {
        // One arm dominates: its log mass is −log1p of what the others weigh against it, exact however small that is.
        let heavy = log_masses.iter().position(|&w| w == highest).unwrap_or(0);
        kernels::subtract(log_masses, highest);
        masses[heavy] = 0.0;
        let others = kernels::sum(masses) / (highest - shift).exp();
        kernels::settle(
            log_masses,
            others.ln_1p(),
            masses,
            (shift - highest).exp() / (1.0 + others),
        );
        masses[heavy] = 1.0 / (1.0 + others);
        highest + others.ln_1p()
    } else {
        let log_sum = shift + sum.ln();
        kernels::settle(log_masses, log_sum, masses, 1.0 / sum);
        log_sum
    };
    target.optimal_value = if eta == 0.0 && survey.high - survey.low < beta {
        // β log Z would lose digits to β: write it as the reference's mean plus an excess.
        let mean = kernels::dot_exp(log_reference, rewards);
        mean + beta * kernels::excess(log_reference, rewards, mean, rate).ln_1p()
    } else {
        top + temperature * log_sum
    };
}
