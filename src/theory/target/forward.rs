//! Forward KL: G = β π_ref/(Λ − R). With m the best reward on the support, u = (Λ−m)/β and d = (m−R)/β, the mass of an arm
//! is π_ref/(u + d) and u is the root of h(u) = Σ π_ref/(u + d) = 1 in [p*, 1], p* the reference mass of the best arms.

use super::{Target, best_supported_reward, best_unsupported_reward, place_outside, sharpen};
use crate::theory::kernels::{self, PoleSums};

pub(super) fn solve(log_reference: &[f64], rewards: &[f64], beta: f64, target: &mut Target) {
    let best = best_supported_reward(log_reference, rewards);
    let outside = best_unsupported_reward(log_reference, rewards);
    let Target {
        masses, log_masses, ..
    } = target;
    // For now `masses` holds π_ref and `log_masses` holds d.
    kernels::exp(log_reference, masses);
    kernels::distances(rewards, best, beta, log_masses);
    let (reference, distance) = (&*masses, &*log_masses);

    let log_best = log_mass_at_zero(log_reference, distance);
    let floor = (outside - best) / beta;
    let support = kernels::sum(reference);
    let mut inside_leftover = None;
    let mut outside_leftover = 0.0;
    let u = if floor > 0.0 && kernels::pole_sums(reference, distance, floor).value < 1.0 {
        // The best unsupported arm is worth more than Λ would be: Λ rises to its reward.
        outside_leftover = 1.0 - kernels::pole_sums(reference, distance, floor).value;
        floor
    } else {
        let lowest = log_best.exp();
        if lowest < 1e-280 {
            // p* is below what a double holds: the others decide, the best arms share what is left.
            let others = kernels::pole_sums(reference, distance, f64::MIN_POSITIVE);
            let others = others.value - lowest / f64::MIN_POSITIVE;
            if others < 1.0 {
                inside_leftover = Some(1.0 - others);
                f64::MIN_POSITIVE
            } else {
                root(reference, distance, f64::MIN_POSITIVE, support)
            }
        } else {
            root(reference, distance, lowest, support.max(lowest))
        }
    };

    kernels::poles(log_reference, masses, log_masses, u);
    if let Some(left) = inside_leftover {
        for (arm, &reward) in rewards.iter().enumerate() {
            if reward == best && log_reference[arm] > f64::NEG_INFINITY {
                log_masses[arm] = log_reference[arm] - log_best + left.ln();
                masses[arm] = log_masses[arm].exp();
            }
        }
    }
    place_outside(log_reference, rewards, outside, outside_leftover, target);
    sharpen(target);
    target.lambda = Some(best + beta * u);
    // J* = E_G[R] − β Σ π_ref log(π_ref/G)
    let gain = kernels::dot(&target.masses, rewards);
    target.optimal_value =
        gain - beta * kernels::cross_divergence(log_reference, &target.log_masses);
}

/// log Σ π_ref over the arms at distance zero.
fn log_mass_at_zero(log_reference: &[f64], distance: &[f64]) -> f64 {
    let at_zero: Vec<f64> = log_reference
        .iter()
        .zip(distance)
        .filter(|(_, d)| **d == 0.0)
        .map(|(log_mass, _)| *log_mass)
        .collect();
    kernels::log_sum_exp(&at_zero)
}

/// The root of h(u) = 1 in [low, high]. 1/h is increasing and concave and exactly linear where one arm dominates, so
/// third-order (Halley) steps on it converge in a few passes from anywhere; the bracket catches the rest.
fn root(reference: &[f64], distance: &[f64], mut low: f64, mut high: f64) -> f64 {
    let mut u = start(reference, distance, low, high);
    for _ in 0..200 {
        let sums = kernels::pole_sums(reference, distance, u);
        if sums.value > 1.0 {
            low = u;
        } else {
            high = u;
        }
        let step = halley(sums);
        if step.abs() <= 1e-6 * u {
            // The next error is of the order of its cube.
            return (u + step).clamp(low, high);
        }
        let next = u + step;
        u = if next > low && next < high {
            next
        } else {
            (low * high).sqrt()
        };
    }
    u
}

/// Halley's step for φ(u) = 1/h(u) − 1.
fn halley(sums: PoleSums) -> f64 {
    let PoleSums {
        value: h,
        square: s1,
        cube: s2,
    } = sums;
    let phi = 1.0 / h - 1.0;
    let slope = s1 / (h * h);
    let curvature = 2.0 * (s1 * s1 / h - s2) / (h * h);
    let denominator = 2.0 * slope * slope - phi * curvature;
    if denominator > slope * slope {
        -2.0 * phi * slope / denominator
    } else {
        -phi / slope
    }
}

/// A lower bound that is close where β is large: h(u) ≥ S/(u + d̄) by convexity, so u ≥ S − d̄.
fn start(reference: &[f64], distance: &[f64], low: f64, high: f64) -> f64 {
    let support = kernels::sum(reference);
    let mean = kernels::dot(reference, distance);
    (support - mean / support).clamp(low, high)
}
