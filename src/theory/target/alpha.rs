//! The α-divergence, α neither 0 nor 1: G = π_ref z^{1/ε} with ε = α − 1, z = [1 + ε(c − y)]₊, y = (m−R)/β for the best
//! reward m on the support, and c = (m−λ)/β the root of ΣG = 1.
//!
//! (ΣG)^ε is exactly linear in c where one arm dominates, so Newton steps on ((ΣG)^ε − 1)/ε converge from anywhere in a few
//! passes; a bracket catches the rest. For α < 1, z of the best arms may be as small as (p*)^{1−α}: there the unknown is that
//! z itself.

use super::{Target, edge, place_outside, sample::Sample, sharpen};
use crate::theory::kernels::{self, Power, PowerSums, Survey};

/// What is solved for.
#[derive(Debug, Clone, Copy)]
enum Unknown {
    /// c, with z = 1 + ε(c − y).
    Offset(f64),
    /// z of the best arms, with z = v − εy; for α < 1 and v well below one.
    Floor(f64),
}

impl Unknown {
    fn power(self, epsilon: f64) -> Power {
        let (base, offset) = match self {
            Self::Offset(c) => (1.0, c),
            Self::Floor(v) => (v, 0.0),
        };
        Power {
            epsilon,
            base,
            offset,
        }
    }

    fn value(self) -> f64 {
        match self {
            Self::Offset(value) | Self::Floor(value) => value,
        }
    }

    fn with(self, value: f64) -> Self {
        match self {
            Self::Offset(_) => Self::Offset(value),
            Self::Floor(_) => Self::Floor(value),
        }
    }
}

pub(super) fn solve(
    log_reference: &[f64],
    rewards: &[f64],
    beta: f64,
    alpha: f64,
    survey: Survey,
    target: &mut Target,
) {
    let epsilon = alpha - 1.0;
    let Survey {
        best,
        best_outside: outside,
        ..
    } = survey;
    let mut distance = vec![0.0; rewards.len()];
    kernels::below(rewards, best, beta, &mut distance);
    if epsilon > 1.0 {
        let bracket = offset_bracket(log_reference, &distance, epsilon);
        let from = Unknown::Offset(bracket.0);
        let guess = root_of_all(log_reference, &distance, from, bracket.1, epsilon);
        let lambda = edge::solve(
            (log_reference, rewards),
            (beta, epsilon),
            &mut distance,
            (guess.value(), bracket),
            (&mut target.log_masses, &mut target.masses),
        );
        normalise(target);
        finish(log_reference, rewards, beta, alpha, lambda, target);
        return;
    }
    let sums =
        |unknown: Unknown| kernels::power_sums(unknown.power(epsilon), log_reference, &distance);
    let mut outside_leftover = 0.0;
    let mut inside_leftover = None;
    // Arms outside the support cost a finite rate for α < 1; they win where their reward tops λ + β/(1−α).
    let floor = -epsilon * (outside - best) / beta;
    let unknown = if epsilon < 0.0 && floor > 0.0 && sums(Unknown::Floor(floor)).mass < 1.0 {
        outside_leftover = 1.0 - sums(Unknown::Floor(floor)).mass;
        Unknown::Floor(floor)
    } else if epsilon < 0.0 && sums(Unknown::Floor(0.5)).mass < 1.0 {
        let others = sums(Unknown::Floor(f64::MIN_POSITIVE)).others;
        let low = lowest_floor(log_reference, &distance, epsilon);
        if low < 1e-280 && others < 1.0 {
            inside_leftover = Some(1.0 - others);
            Unknown::Floor(f64::MIN_POSITIVE)
        } else {
            let from = Unknown::Floor(low.clamp(f64::MIN_POSITIVE, 0.5));
            root_of_all(log_reference, &distance, from, 0.5, epsilon)
        }
    } else {
        let (low, high) = offset_bracket(log_reference, &distance, epsilon);
        root_of_all(
            log_reference,
            &distance,
            Unknown::Offset(low),
            high,
            epsilon,
        )
    };

    kernels::powers(
        unknown.power(epsilon),
        (log_reference, &distance),
        (&mut target.log_masses, &mut target.masses),
    );
    if let Some(left) = inside_leftover {
        share_inside(log_reference, &distance, left, target);
    }
    if epsilon > 0.0 {
        // An arm at the edge of being cut knows its mass to (ulp of R/β)^{1/ε} only; the rest makes up for it.
        normalise(target);
    }
    place_outside(log_reference, rewards, outside, outside_leftover, target);
    let lambda = match unknown {
        Unknown::Offset(c) => best - beta * c,
        Unknown::Floor(v) => best - beta * (v - 1.0) / epsilon,
    };
    finish(log_reference, rewards, beta, alpha, lambda, target);
}

fn normalise(target: &mut Target) {
    let sum = kernels::sum(&target.masses);
    kernels::settle(
        &mut target.log_masses,
        sum.ln(),
        &mut target.masses,
        1.0 / sum,
    );
}

/// What follows from the masses.
fn finish(
    log_reference: &[f64],
    rewards: &[f64],
    beta: f64,
    alpha: f64,
    lambda: f64,
    target: &mut Target,
) {
    sharpen(target);
    target.lambda = Some(lambda);
    let cost = kernels::alpha_divergence(alpha, &target.log_masses, log_reference);
    target.optimal_value = kernels::dot(&target.masses, rewards) - beta * cost;
}

/// The root within [the given unknown, `end`], found on a sample of many arms first.
fn root_of_all(
    log_reference: &[f64],
    distance: &[f64],
    from: Unknown,
    end: f64,
    epsilon: f64,
) -> Unknown {
    let mut start = from;
    if let Some(sample) = Sample::of(distance.len()) {
        let (mut masses, mut distances) = (sample.pick(log_reference), sample.pick(distance));
        let log_stride = (sample.stride as f64).ln();
        for (log_mass, &y) in masses.iter_mut().zip(&distances) {
            *log_mass += if y > 0.0 {
                log_stride
            } else {
                f64::NEG_INFINITY
            };
        }
        // The best arms' part is known.
        masses.push(log_best(log_reference, distance));
        distances.push(0.0);
        let arms = (&*masses, &*distances);
        start = root(from, from, end, epsilon, Sample::TOLERANCE, arms);
    }
    root(from, start, end, epsilon, 1e-10, (log_reference, distance))
}

/// Newton from `start` on ((ΣG)^ε − 1)/ε within [`from`, `end`]; the unknown's direction of growth follows from its kind.
fn root(
    from: Unknown,
    start: Unknown,
    end: f64,
    epsilon: f64,
    tolerance: f64,
    (log_reference, distance): (&[f64], &[f64]),
) -> Unknown {
    let (mut low, mut high, rising, rate) = match from {
        Unknown::Offset(c) => (c, end, true, 1.0),
        // ΣG falls as v rises, dv = ε dc.
        Unknown::Floor(v) => (v, end, false, epsilon),
    };
    let mut x = start.value();
    let mut before = 0.0;
    for _ in 0..300 {
        let by = from.with(x).power(epsilon);
        let PowerSums { mass, slope, .. } = kernels::power_sums(by, log_reference, distance);
        if (mass > 1.0) == rising {
            high = high.min(x);
        } else {
            low = low.max(x);
        }
        // d(ΣG)/dc = Σ π_ref z^{1/ε − 1}
        let log_mass = mass.ln();
        let step = -rate * (epsilon * log_mass).exp_m1()
            / epsilon
            / ((epsilon * log_mass).exp() * slope / mass);
        let next = x + step;
        // Seen to converge, the next error is of the order of the step's square.
        let settled = step.abs() <= tolerance * x.abs() && step.abs() <= 1e-2 * before;
        before = step.abs();
        if settled || step.abs() <= 2e-16 * x.abs() {
            return from.with(next.clamp(low, high));
        }
        if high - low <= 4e-16 * high.abs() {
            return from.with(x);
        }
        x = if next > low && next < high {
            next
        } else if low > 0.0 {
            (low * high).sqrt().clamp(low, high)
        } else {
            low + (high - low) / 2.0
        };
    }
    from.with(x)
}

/// (p*)^{1−α}: the z at which the best arms alone would hold everything.
fn lowest_floor(log_reference: &[f64], distance: &[f64], epsilon: f64) -> f64 {
    (-epsilon * log_best(log_reference, distance)).exp()
}

pub(super) fn log_best(log_reference: &[f64], distance: &[f64]) -> f64 {
    let at_zero = |(block, distance): (&[f64], &[f64])| -> Vec<f64> {
        // Few blocks hold a best arm: looking whether one does is vector code.
        if !distance.contains(&0.0) {
            return Vec::new();
        }
        let arms = block.iter().zip(distance);
        (arms.filter(|(_, y)| **y == 0.0))
            .map(|(log_mass, _)| *log_mass)
            .collect()
    };
    let blocks = log_reference.chunks(kernels::BLOCK);
    let blocks = blocks.zip(distance.chunks(kernels::BLOCK));
    let best: Vec<f64> = blocks.flat_map(at_zero).collect();
    kernels::log_sum_exp(&best)
}

/// c lies between the value at which all arms were best ones, and the least at which one arm alone would hold everything.
fn offset_bracket(log_reference: &[f64], distance: &[f64], epsilon: f64) -> (f64, f64) {
    let low = kernels::alone(epsilon, &[kernels::log_sum_exp(log_reference)], &[0.0]);
    let high = kernels::alone(epsilon, log_reference, distance);
    // For α > 1 no arm of the support lies below its reference once c is the largest y.
    let high = if epsilon > 0.0 {
        high.min(kernels::farthest_below(
            f64::INFINITY,
            log_reference,
            distance,
        ))
    } else {
        high
    };
    let low = low - 16.0 * f64::EPSILON * (1.0 + low.abs());
    let high = high + 16.0 * f64::EPSILON * (1.0 + high.abs());
    if epsilon < 0.0 {
        (low, high.min(-0.5 / epsilon))
    } else {
        (low, high)
    }
}

fn share_inside(log_reference: &[f64], distance: &[f64], left: f64, target: &mut Target) {
    let log_best = log_best(log_reference, distance);
    for (arm, (&log_mass, &y)) in log_reference.iter().zip(distance).enumerate() {
        if y == 0.0 && log_mass > f64::NEG_INFINITY {
            target.log_masses[arm] = log_mass - log_best + left.ln();
            target.masses[arm] = target.log_masses[arm].exp();
        }
    }
}
