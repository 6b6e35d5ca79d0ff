//! The α-divergence, α neither 0 nor 1: G = π_ref z^{1/ε} with ε = α − 1, z = [1 + ε(c − y)]₊, y = (m−R)/β for the best
//! reward m on the support, and c = (m−λ)/β the root of ΣG = 1.
//!
//! (ΣG)^ε is exactly linear in c where one arm dominates, so Newton steps on ((ΣG)^ε − 1)/ε converge from anywhere in a few
//! passes; a bracket catches the rest. For α < 1, z of the best arms may be as small as (p*)^{1−α}: there the unknown is that
//! z itself.

use super::{Target, place_outside, sharpen};
use crate::theory::{
    divergence::f_alpha,
    kernels::{self, Survey},
};

/// How z follows from an arm's distance y.
#[derive(Debug, Clone, Copy)]
enum Unknown {
    /// c, with z = 1 + ε(c − y).
    Offset(f64),
    /// z of the best arms, with z = v − εy; for α < 1 and v well below one.
    Floor(f64),
}

impl Unknown {
    /// log z of an arm at distance y, −∞ where it is cut.
    fn log_z(self, epsilon: f64, y: f64) -> f64 {
        match self {
            Self::Offset(c) => {
                let shift = epsilon * (c - y);
                if shift > -1.0 {
                    shift.ln_1p()
                } else {
                    f64::NEG_INFINITY
                }
            }
            Self::Floor(v) => (v - epsilon * y).ln(),
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
    let distance: Vec<f64> = rewards
        .iter()
        .map(|&reward| ((best - reward) / beta).min(1e300))
        .collect();
    let sums = |unknown: Unknown| sums(log_reference, &distance, epsilon, unknown);

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
            root(
                Unknown::Floor(low.clamp(f64::MIN_POSITIVE, 0.5)),
                0.5,
                epsilon,
                sums,
            )
        }
    } else {
        let (low, high) = offset_bracket(log_reference, &distance, epsilon);
        root(Unknown::Offset(low), high, epsilon, sums)
    };

    for (arm, (&log_mass, &y)) in log_reference.iter().zip(&distance).enumerate() {
        target.log_masses[arm] = if log_mass == f64::NEG_INFINITY {
            log_mass
        } else {
            log_mass + unknown.log_z(epsilon, y) / epsilon
        };
        target.masses[arm] = target.log_masses[arm].exp();
    }
    if let Some(left) = inside_leftover {
        share_inside(log_reference, &distance, left, target);
    }
    place_outside(log_reference, rewards, outside, outside_leftover, target);
    sharpen(target);
    target.lambda = Some(match unknown {
        Unknown::Offset(c) => best - beta * c,
        Unknown::Floor(v) => best - beta * (v - 1.0) / epsilon,
    });
    let cost: f64 = kernels::sum(
        &log_reference
            .iter()
            .zip(&target.log_masses)
            .map(|(&log_q, &log_p)| f_alpha(alpha, log_p, log_q))
            .collect::<Vec<_>>(),
    );
    target.optimal_value = kernels::dot(&target.masses, rewards) - beta * cost;
}

/// ΣG, its derivative in the unknown's own scale (Σ π_ref z^{1/ε − 1}), and ΣG without the best arms.
#[derive(Debug, Clone, Copy)]
struct Sums {
    mass: f64,
    slope: f64,
    others: f64,
}

fn sums(log_reference: &[f64], distance: &[f64], epsilon: f64, unknown: Unknown) -> Sums {
    let mut mass = kernels::Compensated::default();
    let mut slope = kernels::Compensated::default();
    let mut others = kernels::Compensated::default();
    for (&log_mass, &y) in log_reference.iter().zip(distance) {
        if log_mass == f64::NEG_INFINITY {
            continue;
        }
        let log_z = unknown.log_z(epsilon, y);
        if log_z == f64::NEG_INFINITY {
            continue;
        }
        let own = (log_mass + log_z / epsilon).exp();
        mass.add(own);
        slope.add((log_mass + log_z * (1.0 / epsilon - 1.0)).exp());
        if y > 0.0 {
            others.add(own);
        }
    }
    Sums {
        mass: mass.get(),
        slope: slope.get(),
        others: others.get(),
    }
}

/// Newton on ((ΣG)^ε − 1)/ε within [the given unknown, `end`]; the unknown's direction of growth follows from its kind.
fn root(from: Unknown, end: f64, epsilon: f64, sums: impl Fn(Unknown) -> Sums) -> Unknown {
    let (mut low, mut high, rising, rate) = match from {
        Unknown::Offset(c) => (c, end, true, 1.0),
        // ΣG falls as v rises, dv = ε dc.
        Unknown::Floor(v) => (v, end, false, epsilon),
    };
    let mut x = low;
    for _ in 0..300 {
        let Sums { mass, slope, .. } = sums(from.with(x));
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
        if step.abs() <= 2e-16 * x.abs() || high - low <= 2e-16 * high.abs() {
            return from.with(next.clamp(low, high));
        }
        x = if next > low && next < high {
            next
        } else if step.is_finite() && (next == low || next == high) {
            return from.with(next);
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

fn log_best(log_reference: &[f64], distance: &[f64]) -> f64 {
    let at_zero: Vec<f64> = log_reference
        .iter()
        .zip(distance)
        .filter(|(_, y)| **y == 0.0)
        .map(|(log_mass, _)| *log_mass)
        .collect();
    kernels::log_sum_exp(&at_zero)
}

/// c lies between the value at which all arms were best ones, and the least at which one arm alone would hold everything.
fn offset_bracket(log_reference: &[f64], distance: &[f64], epsilon: f64) -> (f64, f64) {
    let alone = |log_mass: f64| {
        if epsilon < 0.0 && -epsilon * log_mass < -700.0 {
            -1.0 / epsilon
        } else {
            (-epsilon * log_mass).exp_m1() / epsilon
        }
    };
    let low = alone(kernels::log_sum_exp(log_reference));
    let high = log_reference
        .iter()
        .zip(distance)
        .filter(|(log_mass, _)| **log_mass > f64::NEG_INFINITY)
        .fold(f64::MAX, |least, (&log_mass, &y)| {
            least.min(y + alone(log_mass))
        });
    let low = low - 4.0 * f64::EPSILON * (1.0 + low.abs());
    let high = high + 4.0 * f64::EPSILON * (1.0 + high.abs());
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
