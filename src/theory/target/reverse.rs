//! Reverse KL, with or without an entropy bonus: G ∝ π_ref^{β/(β+η)} e^{R/(β+η)}, in closed form.

use super::{Target, best_supported_reward};
use crate::theory::kernels;

pub(super) fn solve(
    log_reference: &[f64],
    rewards: &[f64],
    beta: f64,
    eta: f64,
    target: &mut Target,
) {
    let temperature = beta + eta;
    let power = beta / temperature;
    let top = best_supported_reward(log_reference, rewards);
    let weights = &mut target.log_masses;
    // Rewards are taken relative to the best one, so that the arms that matter lose no digits at small β.
    kernels::tilt(log_reference, power, rewards, top, temperature, weights);
    let (heavy, highest) = kernels::argmax(weights);
    kernels::subtract(weights, highest);
    weights[heavy] = f64::NEG_INFINITY;
    let others = kernels::exp_shifted(weights, 0.0, &mut target.masses);
    weights[heavy] = 0.0;
    let log_sum = others.ln_1p();
    kernels::subtract(weights, log_sum);
    kernels::scale(&mut target.masses, 1.0 / (1.0 + others));
    target.masses[heavy] = 1.0 / (1.0 + others);
    target.optimal_value = top + temperature * (highest + log_sum);
}
