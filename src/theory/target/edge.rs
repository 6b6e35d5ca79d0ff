//! The α-divergence for α > 2. An arm about to be cut still holds much there: its mass goes with z^{1/ε}, and a z of 10⁻⁹,
//! which no double that holds c can tell from 0, may be a fifth of the reference's mass. So the unknown is w = G/π_ref of the
//! least arm that is not cut, the pivot, and rewards are measured from the pivot's.

use crate::theory::kernels::{self, Power, PowerSums};

/// What the equation is made of beside the arms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// The best reward on the support.
    pub(super) best: f64,
    pub(super) beta: f64,
    /// ε = α − 1.
    pub(super) epsilon: f64,
}

/// Writes masses that sum to one but for rounding; returns λ. `distance` holds y of every arm and is overwritten; c lies in
/// `bracket`, near `guess` if that is a good one.
pub(super) fn solve(
    arms: (&[f64], &[f64]),
    of: Terms,
    distance: &mut [f64],
    (guess, bracket): (f64, (f64, f64)),
    out: (&mut [f64], &mut [f64]),
) -> f64 {
    let c = upper_end(arms.0, distance, of.epsilon, guess, bracket);
    let pivot = find_pivot(arms, of, distance, c, PIVOTS);
    write(pivot, arms.0, of, distance, out)
}

/// As [`solve`] where c is known but for an error that few arms fall into; none where they were too many.
pub(super) fn solve_near(
    arms: (&[f64], &[f64]),
    of: Terms,
    distance: &mut [f64],
    c: f64,
    out: (&mut [f64], &mut [f64]),
) -> Option<f64> {
    let pivot = find_pivot(arms, of, distance, c, NEAR_PIVOTS);
    (pivot.ratio > 0.0).then(|| write(pivot, arms.0, of, distance, out))
}

fn write(
    pivot: Pivot,
    log_reference: &[f64],
    Terms { beta, epsilon, .. }: Terms,
    distance: &[f64],
    out: (&mut [f64], &mut [f64]),
) -> f64 {
    let by = at(epsilon, pivot.ratio);
    kernels::powers_from_pivot(by, pivot.ratio.ln(), (log_reference, distance), out);
    pivot.reward - beta * (by.base - 1.0) / epsilon
}

/// The least arm that is not cut, and w.
#[derive(Debug, Clone, Copy)]
struct Pivot {
    reward: f64,
    /// 0 where it was not found.
    ratio: f64,
}

/// Arms so close to each other that rounding of c cannot tell which of them is the last one: never many.
const PIVOTS: usize = 64;

/// Arms that the error of a c from [`solve_near`] may leave in doubt.
const NEAR_PIVOTS: usize = 8;

/// Looks for the pivot from the arm that `c` says it is. On entry `distance` holds y of every arm, on return that from the
/// pivot.
fn find_pivot(
    arms: (&[f64], &[f64]),
    Terms {
        best,
        beta,
        epsilon,
    }: Terms,
    distance: &mut [f64],
    c: f64,
    tries: usize,
) -> Pivot {
    let mut pivot = Pivot {
        reward: 0.0,
        ratio: 0.0,
    };
    // From there on arms are cut.
    let mut next = kernels::lowest_within(c + 1.0 / epsilon, arms, distance);
    let mut guess = (1.0 + epsilon * (c - (best - next) / beta)).powf(1.0 / epsilon);
    let mut went_inward = false;
    for _ in 0..tries {
        if next == f64::INFINITY {
            break;
        }
        pivot.reward = next;
        let mass = kernels::below_pivot(arms, pivot.reward, beta, distance);
        // The pivot's own part is known exactly: it is left out of the sums.
        let others = |ratio: f64| kernels::power_sums(at(epsilon, ratio), arms.0, distance);
        let Some(w) = ratio(mass, epsilon, guess, others) else {
            // It is cut after all.
            went_inward = true;
            guess = 0.0;
            next = kernels::lowest_within(0.0, arms, distance);
            continue;
        };
        let z = w.powf(epsilon);
        next = kernels::lowest_within(z / epsilon, arms, distance);
        if went_inward || next >= pivot.reward {
            pivot.ratio = w;
            break;
        }
        guess = (z - epsilon * ((pivot.reward - next) / beta)).powf(1.0 / epsilon);
    }
    pivot
}

/// z = w^ε − ε·(distance from the pivot).
fn at(epsilon: f64, ratio: f64) -> Power {
    Power {
        epsilon,
        base: ratio.powf(epsilon),
        offset: 0.0,
    }
}

/// w at which the pivot's mass·w and the others sum to one, from `guess` on; none if the others alone hold more. A step takes
/// the others as linear in z. None of them lies below the pivot's z, so that a step of r·z is wrong by less than r²·z; the
/// bracket catches overflow, and those that do lie below.
fn ratio(mass: f64, epsilon: f64, guess: f64, others: impl Fn(f64) -> PowerSums) -> Option<f64> {
    let (mut low, mut high) = (0.0, 1.0 / mass);
    let mut w = if guess > 0.0 && guess <= high {
        guess
    } else {
        0.0
    };
    let mut stands = false;
    let mut before = 0.0;
    for _ in 0..300 {
        let sums = others(w);
        let excess = sums.mass + mass * w - 1.0;
        if w == 0.0 {
            if sums.mass > 1.0 {
                return None;
            }
            stands = true;
        }
        if excess > 0.0 {
            high = w;
        } else {
            low = w;
        }
        let rate = sums.slope / epsilon;
        let z = w.powf(epsilon);
        let next = linear_ratio(mass, rate, epsilon, 1.0 - sums.mass + rate * z);
        // ΣG/z ≤ ΣG/z of the pivot, but for arms that lie below it, where steps mean nothing.
        let holds = sums.slope * z <= (1.0 + 1e-9) * sums.mass;
        let step = next - w;
        let relative = epsilon * step.abs() / w;
        let shrunk = step.abs() / before;
        let settled =
            relative * relative <= 1e-17 || (shrunk <= 1e-2 && relative * shrunk * shrunk <= 1e-17);
        if holds && settled && next > 0.0 {
            return Some(next.clamp(low, high));
        }
        if high - low <= 4e-16 * high {
            return Some(w);
        }
        before = step.abs();
        w = if holds && next > low && next < high {
            next
        } else if !stands {
            0.0
        } else {
            low + (high - low) / 2.0
        };
    }
    Some(w)
}

/// The w at which mass·w + rate·w^ε comes to `left`; 0 if that is below 0.
fn linear_ratio(mass: f64, rate: f64, epsilon: f64, left: f64) -> f64 {
    if !(left > 0.0 && rate >= 0.0) {
        return 0.0;
    }
    // Convex in w: Newton's way from above is monotone.
    let mut w = (left / mass).min((left / rate).powf(1.0 / epsilon));
    for _ in 0..100 {
        let power = rate * w.powf(epsilon);
        let step = (mass * w + power - left) * w / (mass * w + epsilon * power);
        if step.abs() <= 1e-16 * w || !step.is_finite() {
            break;
        }
        w -= step;
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
