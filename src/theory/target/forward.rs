//! Forward KL: G = β π_ref/(Λ − R). With m the best reward on the support, u = (Λ−m)/β and d = (m−R)/β, the mass of an arm
//! is π_ref/(u + d) and u is the root of h(u) = Σ π_ref/(u + d) = 1 in [p*, 1], p* the reference mass of the best arms.

use super::{Target, place_outside, sample::Sample, sharpen};
use crate::theory::kernels::{self, Distances, PoleSums, Survey};

pub(super) fn solve(
    log_reference: &[f64],
    rewards: &[f64],
    beta: f64,
    survey: Survey,
    target: &mut Target,
) {
    let Survey {
        best, best_outside, ..
    } = survey;
    let Target {
        masses, log_masses, ..
    } = target;
    // For now `masses` holds π_ref and `log_masses` holds d.
    let found = kernels::distances(
        (log_reference, rewards),
        best,
        1.0 / beta,
        (masses, log_masses),
    );
    let (reference, distance) = (&*masses, &*log_masses);

    let floor = (best_outside - best) / beta;
    let mut inside_leftover = None;
    let mut outside_leftover = 0.0;
    let at_floor = if floor > 0.0 {
        kernels::pole_sums(reference, distance, floor).value
    } else {
        f64::INFINITY
    };
    let u = if at_floor < 1.0 {
        // The best unsupported arm is worth more than Λ would be: Λ rises to its reward.
        outside_leftover = 1.0 - at_floor;
        floor
    } else if found.at_zero < 1e-280 {
        // p* is below what a double holds: the others decide, the best arms share what is left.
        let tiny = f64::MIN_POSITIVE;
        let others = kernels::pole_sums(reference, distance, tiny).value - found.at_zero / tiny;
        if others < 1.0 {
            inside_leftover = Some((1.0 - others, log_mass_at_zero(log_reference, distance)));
            tiny
        } else {
            root(reference, distance, tiny, found)
        }
    } else {
        root(reference, distance, found.at_zero, found)
    };

    let poles = kernels::poles(log_reference, masses, log_masses, u);
    if let Some((left, log_best)) = inside_leftover {
        for (arm, &reward) in rewards.iter().enumerate() {
            if reward == best && log_reference[arm] > f64::NEG_INFINITY {
                log_masses[arm] = log_reference[arm] - log_best + left.ln();
                masses[arm] = log_masses[arm].exp();
            }
        }
    }
    target.lambda = Some(best + beta * u);
    // E_G[R] = Λ − β Σ π_ref and Σ π_ref log(π_ref/G) = Σ π_ref ln(u+d). With ln(1+x) = x − excess, x = u + d − 1, the parts
    // that grow with β cancel on paper.
    let spare = if (found.support - 1.0).abs() < 1e-9 {
        0.0
    } else {
        u * (1.0 - found.support)
    };
    target.optimal_value = best + beta * (spare - found.mean + poles.excess);
    place_outside(
        log_reference,
        rewards,
        best_outside,
        outside_leftover,
        target,
    );
    if poles.largest > 0.5 || inside_leftover.is_some() || outside_leftover > 0.5 {
        sharpen(target);
    }
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
fn root(reference: &[f64], distance: &[f64], low: f64, found: Distances) -> f64 {
    let high = found.support.max(low);
    // h(u) ≥ S/(u + d̄) by convexity, so u ≥ S − d̄: close where β is large.
    let mut u = (found.support - found.mean / found.support).clamp(low, high);
    if let Some(sample) = Sample::of(reference.len()) {
        let (mut masses, mut distances) = (sample.pick(reference), sample.pick(distance));
        for (mass, &d) in masses.iter_mut().zip(&distances) {
            *mass *= if d > 0.0 { sample.stride as f64 } else { 0.0 };
        }
        // The best arms' part is known.
        masses.push(found.at_zero);
        distances.push(0.0);
        u = halley_root(&masses, &distances, u, low, high, Sample::TOLERANCE);
    }
    halley_root(reference, distance, u, low, high, 1e-6)
}

/// Stops once a step is below `tolerance`, after which the error is of the order of its cube.
fn halley_root(
    reference: &[f64],
    distance: &[f64],
    from: f64,
    mut low: f64,
    mut high: f64,
    tolerance: f64,
) -> f64 {
    let mut u = from;
    for _ in 0..200 {
        let sums = kernels::pole_sums(reference, distance, u);
        if sums.value > 1.0 {
            low = u;
        } else {
            high = u;
        }
        let step = halley(sums);
        if step.abs() <= tolerance * u {
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
