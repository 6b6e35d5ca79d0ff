//! Forward KL with an entropy bonus η > 0. Stationarity, R + β π_ref/π − η(log π + 1) = λ, reads u + ln u = c per arm with
//! u = β π_ref/(η π) and c = (λ'−R)/η + ln(β π_ref/η), λ' = λ + η: u = ω(c) is the Wright omega function and
//! log π = (R−λ')/η + ω(c). The outer root in λ' is Halley's on log Σπ, which is decreasing and convex in λ'.

use super::{Target, forward, sample::Sample};
use crate::theory::kernels::{self, Entropic, EntropicSums, NEAR, Survey};

pub(super) fn solve(
    log_reference: &[f64],
    rewards: &[f64],
    beta: f64,
    eta: f64,
    survey: Survey,
    target: &mut Target,
) {
    // t = (λ' − best)/η.
    let best = survey.high;
    let mut by = Entropic {
        log_scale: (beta / eta).ln(),
        rate: 1.0 / eta,
        top: best,
        offset: 0.0,
    };
    // Σπ ≥ Σ e^{(R−λ')/η} ≥ e^{−t}, so the root lies above that of the middle one, and above 0.
    let entropic_only = |rewards: &[f64], scratch: &mut [f64]| {
        for (x, &reward) in scratch.iter_mut().zip(rewards) {
            *x = (reward - best) / eta;
        }
        kernels::log_sum_exp(scratch)
    };
    let low = match Sample::of(rewards.len()) {
        Some(sample) => {
            let (x, r) = (sample.pick(log_reference), sample.pick(rewards));
            let mut omegas = vec![0.0; r.len()];
            let count = sample.stride as f64;
            by.offset = (entropic_only(&r, &mut omegas) + count.ln()).max(0.0);
            let arms = Arms {
                log_reference: &x,
                rewards: &r,
                count,
            };
            by.offset = root(by, by.offset, arms, &mut omegas, Sample::TOLERANCE).offset;
            0.0
        }
        None => {
            by.offset = entropic_only(rewards, &mut target.log_masses);
            // −η log π ≥ 0 gives π ≥ β π_ref/(λ'−R), so the root lies above the Λ without a bonus too: a close start.
            forward::solve(log_reference, rewards, beta, survey, target);
            let without_bonus = (target.lambda.unwrap_or(best) - best) / eta;
            by.offset = by.offset.max(without_bonus);
            by.offset
        }
    };
    let arms = Arms {
        log_reference,
        rewards,
        count: 1.0,
    };
    let found = root(by, low, arms, &mut target.log_masses, 0.0);
    by.offset = found.offset;
    let inputs = (log_reference, rewards);
    let Target {
        masses, log_masses, ..
    } = target;
    let sum = kernels::entropic_masses(by, found.moved, inputs, (log_masses, masses));
    kernels::settle(log_masses, sum.ln(), masses, 1.0 / sum);
    super::sharpen(target);
    let value = kernels::entropic_value(inputs, (&target.log_masses, &target.masses));
    target.outside_support = value.outside;
    target.lambda = Some(best + eta * (by.offset - 1.0));
    target.optimal_value =
        value.expected_reward - beta * value.kl_from_reference - eta * value.negentropy;
}

/// What the root is found on.
#[derive(Clone, Copy)]
struct Arms<'a> {
    log_reference: &'a [f64],
    rewards: &'a [f64],
    /// How many arms each of these stands for.
    count: f64,
}

/// A root, and where ω was last evaluated before it.
#[derive(Clone, Copy)]
struct Root {
    /// t at which the masses sum to one.
    offset: f64,
    /// How far below it the ω of the arms were taken.
    moved: f64,
}

/// The way from `by` to the offset at which the masses sum to one; it lies above `low`. Done once a step is below
/// `tolerance` times the offset or, with 0 for that, below what a double can tell: ω of every arm is then left in `omegas`,
/// taken at most [`NEAR`] away.
fn root(by: Entropic, mut low: f64, arms: Arms, omegas: &mut [f64], tolerance: f64) -> Root {
    let inputs = (arms.log_reference, arms.rewards);
    let mut evaluate = |offset: f64, moved: Option<f64>| {
        kernels::entropic_sums(Entropic { offset, ..by }, moved, inputs, omegas)
    };
    let mut t = by.offset;
    let mut high = f64::INFINITY;
    let mut moved = None;
    for _ in 0..300 {
        let sums = evaluate(t, moved);
        let log_mass = (arms.count * sums.mass).ln();
        if log_mass > 0.0 {
            low = low.max(t);
        } else {
            high = high.min(t);
        }
        let (step, error) = step(sums, log_mass);
        let next = t + step;
        let next = if next >= low && next <= high {
            next
        } else if high.is_finite() {
            low + (high - low) / 2.0
        } else {
            t
        };
        let done = error <= 1e-15
            || step.abs() <= (tolerance * t.abs()).max(2e-16 * t.abs().max(1e-300))
            || high.is_finite() && high - low <= 2e-16 * high
            || next == t;
        let way = next - t;
        if done && (tolerance > 0.0 || way.abs() <= NEAR) {
            return Root {
                offset: next,
                moved: way,
            };
        }
        t = next;
        if done {
            break;
        }
        moved = Some(way).filter(|way| way.abs() <= NEAR);
    }
    evaluate(t, None);
    Root {
        offset: t,
        moved: 0.0,
    }
}

/// Halley's step on g(t) = log Σπ towards its zero, and what it may miss log Σπ by. Newton's step where Halley's is no help,
/// far from the root.
fn step(sums: EntropicSums, log_mass: f64) -> (f64, f64) {
    // g' is the negative of `slope`, g'' is `curvature`.
    let slope = sums.slope / sums.mass;
    let curvature = sums.curvature / sums.mass - slope * slope;
    let denominator = 2.0 * slope * slope - log_mass * curvature;
    let step = if denominator > slope * slope {
        2.0 * log_mass * slope / denominator
    } else {
        log_mass / slope
    };
    // Every derivative of an arm's log π is at most of the order of 1/(1 + ω) ≤ 1, so the third of g is of the order of g''.
    (step, (curvature * step * step * step).abs())
}
