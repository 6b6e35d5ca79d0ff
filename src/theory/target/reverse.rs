//! Reverse KL, with or without an entropy bonus: G ∝ π_ref^{β/(β+η)} e^{R/(β+η)}, in closed form.
//!
//! Two passes over the arms: the sum that normalises, together with a survey of the rewards, and writing down the masses.

use super::{Target, TargetError, check_range};
use crate::theory::kernels::{self, Tilt, Tilted};

/// A highest weight in this range needs no shift: no exponential overflows, and none above 1e-300 of the sum underflows.
const UNSHIFTED: std::ops::RangeInclusive<f64> = -17.0..=17.0;

pub(super) fn solve(
    log_reference: &[f64],
    rewards: &[f64],
    beta: f64,
    eta: f64,
    target: &mut Target,
) -> Result<(), TargetError> {
    let temperature = beta + eta;
    let power = beta / temperature;
    let rate = 1.0 / temperature;
    let (survey, mut tilted) = kernels::survey_tilted(power, rate, log_reference, rewards);
    check_range(survey, rewards)?;
    // Rewards are taken relative to the best one, so that the arms that matter lose no digits at small β.
    let top = survey.best;
    let mut by = Tilt {
        power,
        top,
        rate,
        shift: 0.0,
    };
    // Weights in proportion may overflow before the best reward is met.
    if !(UNSHIFTED.contains(&tilted.highest) && tilted.sum.is_finite()) {
        by.shift = tilted.highest;
        tilted = kernels::tilted_sum(by, log_reference, rewards);
    }
    let Target {
        masses, log_masses, ..
    } = target;
    let Tilted { sum, highest } = tilted;

    let log_sum = if (highest - by.shift).exp() > 0.5 * sum {
        // One arm dominates: its log mass is −log1p of what the others weigh against it, exact however small that is.
        let (heavy, highest) = kernels::heaviest(by, log_reference, rewards);
        by.shift = highest;
        let part = |arms: std::ops::Range<usize>| {
            kernels::tilted_sum(by, &log_reference[arms.clone()], &rewards[arms]).sum
        };
        let others = part(0..heavy) + part(heavy + 1..rewards.len());
        let share = 1.0 / (1.0 + others);
        kernels::tilt(
            by,
            others.ln_1p(),
            share,
            (log_reference, rewards),
            (log_masses, masses),
        );
        highest + others.ln_1p()
    } else {
        kernels::tilt(
            by,
            sum.ln(),
            1.0 / sum,
            (log_reference, rewards),
            (log_masses, masses),
        );
        by.shift + sum.ln()
    };
    target.optimal_value = if eta == 0.0 && survey.high - survey.low < beta {
        // β log Z would lose digits to β: write it as the reference's mean plus an excess.
        let mean = kernels::dot_exp(log_reference, rewards);
        mean + beta * kernels::excess(log_reference, rewards, mean, rate).ln_1p()
    } else {
        top + temperature * log_sum
    };
    Ok(())
}
