//! The α-divergence, α neither 0 nor 1: G = π_ref z^{1/ε} with ε = α − 1, z = [1 + ε(c − y)]₊, y = (m−R)/β for the best
//! reward m on the support, and c = (m−λ)/β the root of ΣG = 1.
//!
//! (ΣG)^ε is exactly linear in c where one arm dominates, so Newton steps on ((ΣG)^ε − 1)/ε converge from anywhere in a few
//! passes, the fewer with the second derivative's help; a bracket catches the rest. For α < 1, z of the best arms may be as small as (p*)^{1−α}: there the unknown is that
//! z itself.

use super::{
    Target,
    edge::{self, Terms},
    place_outside,
    sample::Sample,
    sharpen,
};
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
        let arms = (log_reference, rewards);
        let of = Terms {
            best,
            beta,
            epsilon,
        };
        let (logs, masses) = (&mut *target.log_masses, &mut *target.masses);
        let lambda = match near_edge(arms, of, &mut distance, (logs, masses)) {
            Some(lambda) => lambda,
            None => {
                kernels::below(rewards, best, beta, &mut distance);
                bracketed_edge(arms, of, &mut distance, (logs, masses))
            }
        };
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
    } else if let Some(found) = root_from_sample(log_reference, &distance, epsilon) {
        found
    } else if epsilon < 0.0 && sums(Unknown::Floor(0.5)).mass < 1.0 {
        let others = sums(Unknown::Floor(f64::MIN_POSITIVE)).others;
        let low = lowest_floor(log_reference, &distance, epsilon);
        if low < 1e-280 && others < 1.0 {
            inside_leftover = Some(1.0 - others);
            Unknown::Floor(f64::MIN_POSITIVE)
        } else {
            let from = Unknown::Floor(low.clamp(f64::MIN_POSITIVE, 0.5));
            root(from, from, 0.5, epsilon, 1e-10, (log_reference, &distance))
        }
    } else {
        let (low, high) = offset_bracket(log_reference, &distance, epsilon);
        let from = Unknown::Offset(low);
        root(from, from, high, epsilon, 1e-10, (log_reference, &distance))
    };

    let lambda = match unknown {
        Unknown::Offset(c) => best - beta * c,
        Unknown::Floor(v) => best - beta * (v - 1.0) / epsilon,
    };
    let by = unknown.power(epsilon);
    if has_cost_of_powers(epsilon) && inside_leftover.is_none() {
        // What stands outside the support costs share/(1−α).
        target.log_masses.copy_from_slice(&distance);
        let own = kernels::powers_and_cost(
            by,
            log_reference,
            (&mut target.log_masses, &mut target.masses),
        );
        let cost = own - outside_leftover / epsilon;
        place_outside(log_reference, rewards, outside, outside_leftover, target);
        finish_at(cost, rewards, beta, lambda, target);
        return;
    }
    kernels::powers(
        by,
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
    finish(log_reference, rewards, beta, alpha, lambda, target);
}

/// The masses of an α > 2 and λ, from a sample; none where it leads nowhere. `distance` holds y of every arm and is
/// overwritten.
fn near_edge(
    arms: (&[f64], &[f64]),
    of: Terms,
    distance: &mut [f64],
    out: (&mut [f64], &mut [f64]),
) -> Option<f64> {
    let c = near_root(arms.0, distance, of.epsilon)?;
    edge::solve_near(arms, of, distance, c, out)
}

/// c of an α > 2, but for an error that few arms fall into, from a sample. Steps stall where arms are about to be cut: each
/// makes ΣG rise at once there, and secants go on.
fn near_root(log_reference: &[f64], distance: &[f64], epsilon: f64) -> Option<f64> {
    let within = |masses: &[f64], distances: &[f64]| {
        let (low, high) = offset_bracket(masses, distances, epsilon);
        (Unknown::Offset(low), high)
    };
    let mut c = root_of_sample(log_reference, distance, epsilon, within)?.value();
    let few = 2.0 / distance.len() as f64;
    // (c, ΣG − 1) on either side.
    let mut ends = [None; 2];
    let mut side = None;
    let mut before = 0.0;
    for _ in 0..NEAR_ROOT {
        let at = Unknown::Offset(c);
        let sums = kernels::power_sums(at.power(epsilon), log_reference, distance);
        let excess = sums.mass - 1.0;
        let Step { step, next_error } = at.step(sums, epsilon, before);
        if next_error <= 1e-9 * c.abs() || step.abs() <= 2e-16 * c.abs() {
            return Some(c + step);
        }
        let own = usize::from(excess > 0.0);
        ends[own] = Some((c, excess));
        if side == Some(own) {
            // Lest a secant's far end stays for good (the Illinois rule).
            ends[1 - own] = ends[1 - own].map(|(c, excess)| (c, excess / 2.0));
        }
        side = Some(own);
        let shrinks = before == 0.0 || step.abs() <= 0.5 * before;
        let next = match ends {
            [Some((low, below)), Some((high, above))] => {
                let is_within = c + step > low && c + step < high;
                if shrinks && is_within {
                    c + step
                } else if excess.abs() <= few {
                    return Some(c);
                } else {
                    low + (high - low) * below / (below - above)
                }
            }
            _ => c + step,
        };
        before = (next - c).abs();
        c = next;
    }
    None
}

/// Passes over all arms that the way from a sample to c may take.
const NEAR_ROOT: usize = 16;

/// As [`near_edge`], from a bracket.
fn bracketed_edge(
    arms: (&[f64], &[f64]),
    of: Terms,
    distance: &mut [f64],
    out: (&mut [f64], &mut [f64]),
) -> f64 {
    let epsilon = of.epsilon;
    let bracket = offset_bracket(arms.0, distance, epsilon);
    let from = Unknown::Offset(bracket.0);
    let start = root_of_sample(arms.0, distance, epsilon, |_, _| (from, bracket.1));
    let start = start.unwrap_or(from);
    let guess = root(from, start, bracket.1, epsilon, 1e-10, (arms.0, distance)).value();
    edge::solve(arms, of, distance, (guess, bracket), out)
}

/// Whether the masses' divergence may come from their own pass: not where it is a small difference over α, nor where masses
/// are corrected afterwards.
fn has_cost_of_powers(epsilon: f64) -> bool {
    epsilon < 0.0 && (epsilon + 1.0).abs() > 0.1
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
    let cost = kernels::alpha_divergence(alpha, &target.log_masses, log_reference);
    finish_at(cost, rewards, beta, lambda, target);
}

/// As [`finish`] where the target's α-divergence is known.
fn finish_at(cost: f64, rewards: &[f64], beta: f64, lambda: f64, target: &mut Target) {
    sharpen(target);
    target.lambda = Some(lambda);
    target.optimal_value = kernels::dot(&target.masses, rewards) - beta * cost;
}

/// What a sample of many arms says of the root within [the given unknown, `end`]; none where there are few.
fn root_of_sample(
    log_reference: &[f64],
    distance: &[f64],
    epsilon: f64,
    within: impl Fn(&[f64], &[f64]) -> (Unknown, f64),
) -> Option<Unknown> {
    let sample = Sample::of(distance.len())?;
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
    let (from, end) = within(&masses, &distances);
    let arms = (&*masses, &*distances);
    Some(root(from, from, end, epsilon, Sample::TOLERANCE, arms))
}

/// The root where a sample of the arms leads close to it, which spares the passes that bracket it. None where there is no
/// sample, where it leads nowhere, and where the other unknown would keep more digits.
fn root_from_sample(log_reference: &[f64], distance: &[f64], epsilon: f64) -> Option<Unknown> {
    let mut found = root_of_sample(log_reference, distance, epsilon, |masses, distances| {
        let half = Unknown::Floor(0.5).power(epsilon);
        if epsilon < 0.0 && kernels::power_sums(half, masses, distances).mass < 1.0 {
            let low = lowest_floor(masses, distances, epsilon);
            (Unknown::Floor(low.clamp(f64::MIN_POSITIVE, 0.5)), 0.5)
        } else {
            let (low, high) = offset_bracket(masses, distances, epsilon);
            (Unknown::Offset(low), high)
        }
    })?;
    let mut before = 0.0;
    for _ in 0..FROM_SAMPLE {
        let sums = kernels::power_sums(found.power(epsilon), log_reference, distance);
        let x = found.value();
        let Step { step, next_error } = found.step(sums, epsilon, before);
        found = found.with(x + step);
        let is_near = match found {
            Unknown::Offset(c) => epsilon > 0.0 || 1.0 + epsilon * c > 0.4,
            Unknown::Floor(v) => v > 1e-200 && v < 0.6,
        };
        if !(is_near && (before == 0.0 || step.abs() <= 0.5 * before)) {
            return None;
        }
        if next_error <= 1e-18 * x.abs() || step.abs() <= 2e-16 * x.abs() {
            return Some(found);
        }
        before = step.abs();
    }
    None
}

/// Passes over all arms that a root found on a sample may take.
const FROM_SAMPLE: usize = 6;

/// A step towards the root.
#[derive(Debug, Clone, Copy)]
struct Step {
    step: f64,
    /// The error that is left, if steps go on shrinking as they did; infinite as long as that is not seen.
    next_error: f64,
}

impl Unknown {
    /// From sums at this value, after a step of size `before` (0: none yet): Newton's on F = ((ΣG)^ε − 1)/ε, and Halley's
    /// where no arm is about to be cut.
    fn step(self, sums: PowerSums, epsilon: f64, before: f64) -> Step {
        let PowerSums {
            mass, slope, bend, ..
        } = sums;
        // d(ΣG)/dc = Σ π_ref z^{1/ε − 1}, dv = ε dc.
        let rate = match self {
            Self::Offset(_) => 1.0,
            Self::Floor(_) => epsilon,
        };
        let log_mass = mass.ln();
        let power = (epsilon * log_mass).exp();
        let newton = -(epsilon * log_mass).exp_m1() / epsilon / (power * slope / mass);
        let mut order = 2;
        let mut step = newton;
        if epsilon < 0.0 {
            // F''/F' along c.
            let bent = (1.0 - epsilon) * (bend / slope - slope / mass);
            let divisor = 1.0 + 0.5 * newton * bent;
            if divisor > 0.5 && divisor < 2.0 {
                step = newton / divisor;
                order = 3;
            }
        }
        let step = rate * step;
        let shrunk = step.abs() / before;
        let next_error = if shrunk <= 1e-2 {
            step.abs() * shrunk.powi(order)
        } else {
            f64::INFINITY
        };
        Step { step, next_error }
    }
}

/// Steps from `start` within [`from`, `end`]; the unknown's direction of growth follows from its kind.
fn root(
    from: Unknown,
    start: Unknown,
    end: f64,
    epsilon: f64,
    tolerance: f64,
    (log_reference, distance): (&[f64], &[f64]),
) -> Unknown {
    let (mut low, mut high, rising) = match from {
        Unknown::Offset(c) => (c, end, true),
        // ΣG falls as v rises.
        Unknown::Floor(v) => (v, end, false),
    };
    let mut x = start.value();
    let mut before = 0.0;
    for _ in 0..300 {
        let sums = kernels::power_sums(from.with(x).power(epsilon), log_reference, distance);
        if (sums.mass > 1.0) == rising {
            high = high.min(x);
        } else {
            low = low.max(x);
        }
        let Step { step, .. } = from.with(x).step(sums, epsilon, before);
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

fn log_best(log_reference: &[f64], distance: &[f64]) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Many arms with rough rewards, cut off at `level`; some lie outside the support.
    fn problem(level: Option<f64>) -> (Vec<f64>, Vec<f64>) {
        let number = |i: usize| ((i * 7919 + 13) % 10_007) as f64 / 10_007.0;
        let arms = 40_000;
        let x = (0..arms).map(|i| match i % 17 {
            3 => f64::NEG_INFINITY,
            _ => -10.0 - 2.0 * number(i),
        });
        let reward = |i: usize| {
            let own = 0.5 * number(i + 5) + 0.5 * (i as f64 * 1e-4).sin();
            level.map_or(own, |level| own.min(level))
        };
        let mut x: Vec<f64> = x.collect();
        kernels::normalise_log(&mut x);
        (x, (0..arms).map(reward).collect())
    }

    #[test]
    fn what_a_sample_leads_to_is_the_bracketed_root() {
        let mut led = 0;
        let mut tried = 0;
        for level in [None, Some(0.6)] {
            let (x, rewards) = problem(level);
            let best = kernels::survey(&rewards, &x).best;
            let mut y = vec![0.0; x.len()];
            for epsilon in [-3.0, -1.3, -0.5, -1e-4, 1e-4, 0.5, 1.0] {
                for beta in [1e-3, 0.02, 0.3, 10.0, 1e6] {
                    kernels::below(&rewards, best, beta, &mut y);
                    let half = kernels::power_sums(Unknown::Floor(0.5).power(epsilon), &x, &y);
                    let (from, end) = if epsilon < 0.0 && half.mass < 1.0 {
                        let low = lowest_floor(&x, &y, epsilon);
                        (Unknown::Floor(low.clamp(f64::MIN_POSITIVE, 0.5)), 0.5)
                    } else {
                        let (low, high) = offset_bracket(&x, &y, epsilon);
                        (Unknown::Offset(low), high)
                    };
                    let want = root(from, from, end, epsilon, 1e-10, (&x, &y));
                    tried += 1;
                    let Some(got) = root_from_sample(&x, &y, epsilon) else {
                        continue;
                    };
                    led += 1;
                    let [z, want_z] = [got, want].map(|found| match found {
                        Unknown::Offset(c) => 1.0 + epsilon * c,
                        Unknown::Floor(v) => v,
                    });
                    let what = format!("ε = {epsilon}, β = {beta}: {got:?} for {want:?}");
                    assert!((z - want_z).abs() <= 1e-13 * want_z.abs(), "{what}");
                    if let (Unknown::Offset(c), Unknown::Offset(want)) = (got, want) {
                        // A sum that is one but for an ulp tells c no better than that.
                        let tolerance = 1e-12 * want.abs() + 4.0 * f64::EPSILON;
                        assert!((c - want).abs() <= tolerance, "{what}");
                    }
                    let mass = kernels::power_sums(got.power(epsilon), &x, &y).mass;
                    assert!((mass - 1.0).abs() <= 1e-12, "{what}: {mass}");
                }
            }
        }
        assert!(4 * led >= 3 * tried, "{led} of {tried}");
    }

    #[test]
    fn what_lies_near_the_edge_is_found_from_a_sample_as_from_the_bracket() {
        let mut near = 0;
        let mut tried = 0;
        for level in [None, Some(0.6)] {
            let (x, rewards) = problem(level);
            let arms = (&*x, &*rewards);
            let best = kernels::survey(&rewards, &x).best;
            for epsilon in [1.2, 2.0, 4.0, 9.0, 24.0] {
                for beta in [1e-3, 0.02, 0.3, 10.0, 1e6] {
                    let [mut y, mut logs, mut masses, mut want_logs, mut want] =
                        [(); 5].map(|()| vec![0.0; x.len()]);
                    kernels::below(&rewards, best, beta, &mut y);
                    let of = Terms {
                        best,
                        beta,
                        epsilon,
                    };
                    let lambda = near_edge(arms, of, &mut y, (&mut logs, &mut masses));
                    kernels::below(&rewards, best, beta, &mut y);
                    let out = (&mut *want_logs, &mut *want);
                    let want_lambda = bracketed_edge(arms, of, &mut y, out);
                    tried += 1;
                    let Some(lambda) = lambda else {
                        continue;
                    };
                    near += 1;
                    let what = format!("ε = {epsilon}, β = {beta}");
                    let scale = 1.0 + beta / epsilon;
                    assert!(
                        (lambda - want_lambda).abs() <= 1e-13 * scale,
                        "{what}: {lambda} {want_lambda}"
                    );
                    for (arm, (&got, &want)) in masses.iter().zip(&want).enumerate() {
                        // z is known to the rounding of ΣG.
                        let [z, want_z] =
                            [got, want].map(|mass| (mass / x[arm].exp()).powf(epsilon));
                        let close = (got - want).abs() <= 1e-11 * want
                            || (z - want_z).abs() <= 1e-14 * (best - want_lambda) / beta * epsilon;
                        assert!(close, "{what}, arm {arm}: {got:e} for {want:e}");
                    }
                    assert!((kernels::sum(&masses) - 1.0).abs() <= 1e-13, "{what}");
                }
            }
        }
        assert!(4 * near >= 3 * tried, "{near} of {tried}");
    }
}
