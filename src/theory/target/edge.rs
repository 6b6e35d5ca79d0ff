//! The α-divergence for α > 2. An arm about to be cut still holds much there: its mass goes with z^{1/ε}, and a z of 10⁻⁹,
//! which no double that holds c can tell from 0, may be a fifth of the reference's mass. So the unknown is w = G/π_ref of the
//! least arm that is not cut, the pivot, and rewards are measured from the pivot's.

use super::alpha::log_best;
use crate::theory::kernels::{self, Power, PowerSums};

/// Writes masses that sum to one but for rounding; returns λ. `distance` holds y of every arm and is overwritten; c lies in
/// `bracket`, near `guess` if that is a good one.
pub(super) fn solve(
    (log_reference, rewards): (&[f64], &[f64]),
    (beta, epsilon): (f64, f64),
    distance: &mut [f64],
    (guess, bracket): (f64, (f64, f64)),
    (log_masses, masses): (&mut [f64], &mut [f64]),
) -> f64 {
    // From here on arms are cut.
    let mut limit = upper_end(log_reference, distance, epsilon, guess, bracket) + 1.0 / epsilon;
    let level = distance.to_vec();
    let mut pivot = Pivot {
        reward: 0.0,
        ratio: 0.0,
    };
    for _ in 0..PIVOTS {
        let y = kernels::farthest_below(limit, log_reference, &level);
        let supported = |arm: &usize| log_reference[*arm] > f64::NEG_INFINITY;
        let Some(arm) = (0..level.len()).find(|arm| level[*arm] == y && supported(arm)) else {
            break;
        };
        pivot.reward = rewards[arm];
        kernels::below(rewards, pivot.reward, beta, distance);
        let mass = log_best(log_reference, distance).exp();
        // The pivot's own part is known exactly: it is left out of the sums.
        for y in distance.iter_mut().filter(|y| **y == 0.0) {
            *y = f64::MAX;
        }
        let others = |ratio: f64| {
            let by = at(epsilon, ratio);
            kernels::power_sums(by, log_reference, distance)
        };
        if others(0.0).mass <= 1.0 {
            pivot.ratio = ratio(mass, epsilon, others);
            break;
        }
        // It is cut after all.
        limit = y;
    }
    let by = at(epsilon, pivot.ratio);
    kernels::powers(by, (log_reference, distance), (log_masses, masses));
    let log_ratio = pivot.ratio.ln();
    for (arm, &y) in distance.iter().enumerate() {
        if y == f64::MAX {
            log_masses[arm] = log_reference[arm] + log_ratio;
            masses[arm] = log_masses[arm].exp();
        }
    }
    pivot.reward - beta * (by.base - 1.0) / epsilon
}

/// The least arm that is not cut, and w.
#[derive(Clone, Copy)]
struct Pivot {
    reward: f64,
    ratio: f64,
}

/// Arms so close to each other that rounding of c cannot tell which of them is the last one: never many.
const PIVOTS: usize = 64;

/// z = w^ε − ε·(distance from the pivot).
fn at(epsilon: f64, ratio: f64) -> Power {
    Power {
        epsilon,
        base: ratio.powf(epsilon),
        offset: 0.0,
    }
}

/// w at which the pivot's mass·w and the others sum to one. Their sum is convex in w, so that Newton's way from above is
/// monotone; the bracket catches overflow.
fn ratio(mass: f64, epsilon: f64, others: impl Fn(f64) -> PowerSums) -> f64 {
    let (mut low, mut high) = (0.0, 1.0 / mass);
    let mut w = ((1.0 - others(0.0).mass) / mass).clamp(low, high);
    for _ in 0..300 {
        let sums = others(w);
        let excess = sums.mass + mass * w - 1.0;
        if excess > 0.0 {
            high = w;
        } else {
            low = w;
        }
        let step = -excess / (sums.slope * w.powf(epsilon - 1.0) + mass);
        if step.abs() <= 4e-16 * w || high - low <= 4e-16 * high {
            return w;
        }
        let next = w + step;
        w = if next > low && next < high {
            next
        } else {
            low + (high - low) / 2.0
        };
    }
    w
}

/// A c at which the masses sum to one or more, and at hardly less than which they do not.
fn upper_end(
    log_reference: &[f64],
    distance: &[f64],
    epsilon: f64,
    guess: f64,
    (mut low, mut high): (f64, f64),
) -> f64 {
    let mut x = guess;
    let mut before = f64::INFINITY;
    for _ in 0..300 {
        let by = Power {
            epsilon,
            base: 1.0,
            offset: x,
        };
        let PowerSums { mass, slope, .. } = kernels::power_sums(by, log_reference, distance);
        if mass >= 1.0 {
            high = high.min(x);
        } else {
            low = low.max(x);
        }
        if (1.0..1.0 + 1e-12).contains(&mass) || high - low <= 1e-15 * high.abs() {
            break;
        }
        // Newton on (ΣG)^ε, linear in c where one arm dominates; not where one arm is about to be cut.
        let log_mass = mass.ln();
        let next = x - (1.0 - (-epsilon * log_mass).exp()) / epsilon * mass / slope;
        let converges = log_mass.abs() < 0.5 * before;
        before = log_mass.abs();
        x = if converges && next > low && next < high {
            next
        } else if low > 0.0 && high > 4.0 * low {
            (low * high).sqrt()
        } else if low <= 0.0 && high > 1e-12 {
            1e-6 * high
        } else {
            low + (high - low) / 2.0
        };
    }
    high
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use crate::theory::{Beta, Direction, Distribution, Objective, solve};

    include!("edge_cases.rs");

    #[test]
    fn targets_agree_with_eighty_digits() {
        for case in CASES {
            let reference = Distribution::from_weights(case.reference).unwrap();
            let direction = Direction::Alpha(case.alpha);
            let objective = Objective::new(direction, Beta::new(case.beta).unwrap());
            let target = solve(&reference, case.rewards, &objective).unwrap();
            for (arm, (&got, &want)) in target.masses.iter().zip(case.target).enumerate() {
                assert!(
                    (got - want).abs() <= 1e-11 * want + 1e-300,
                    "α = {}, β = {}, arm {arm}: {got:e} for {want:e}",
                    case.alpha,
                    case.beta
                );
            }
            let scale = 1.0 + case.optimal_value.abs();
            assert!(
                (target.optimal_value - case.optimal_value).abs() <= 1e-10 * scale,
                "α = {}, β = {}: J* = {}, not {}",
                case.alpha,
                case.beta,
                target.optimal_value,
                case.optimal_value
            );
        }
    }
}
