//! Forward KL with an entropy bonus η > 0. Stationarity, R + β π_ref/π − η(log π + 1) = λ, reads u + ln u = c per arm with
//! u = β π_ref/(η π) and c = (λ'−R)/η + ln(β π_ref/η), λ' = λ + η: u = ω(c) is the Wright omega function and
//! log π = (R−λ')/η + ω(c). The outer root in λ' is Newton on log Σπ, which is decreasing and convex in λ'.

use super::{Target, forward, sample::Sample};
use crate::theory::kernels::{self, Entropic, Survey};

pub(super) fn solve(
    log_reference: &[f64],
    rewards: &[f64],
    beta: f64,
    eta: f64,
    survey: Survey,
    target: &mut Target,
) {
    let best = survey.high;
    // t = (λ' − best)/η. Σπ ≥ Σ e^{(R−λ')/η}, so the root lies above the entropic one.
    let log_masses = &mut target.log_masses;
    for (x, &reward) in log_masses.iter_mut().zip(rewards) {
        *x = (reward - best) / eta;
    }
    let entropic_only = kernels::log_sum_exp(log_masses);
    // −η log π ≥ 0 gives π ≥ β π_ref/(λ'−R), so the root lies above the Λ without a bonus too: a close start.
    forward::solve(log_reference, rewards, beta, survey, target);
    let without_bonus = (target.lambda.unwrap_or(best) - best) / eta;
    let Target {
        masses, log_masses, ..
    } = target;
    let mut by = Entropic {
        log_scale: (beta / eta).ln(),
        rate: 1.0 / eta,
        top: best,
        offset: entropic_only.max(without_bonus),
    };
    let low = by.offset;
    if let Some(sample) = Sample::of(rewards.len()) {
        let (x, r) = (sample.pick(log_reference), sample.pick(rewards));
        let [mut logs, mut few] = [(); 2].map(|()| vec![0.0; r.len()]);
        let arms = Arms {
            log_reference: &x,
            rewards: &r,
            count: sample.stride as f64,
        };
        by = root(by, low, arms, (&mut logs, &mut few), Sample::TOLERANCE);
        by.offset = by.offset.max(low);
    }
    let arms = Arms {
        log_reference,
        rewards,
        count: 1.0,
    };
    by = root(by, low, arms, (log_masses, masses), 1e-10);
    let sum = kernels::sum(masses);
    kernels::settle(log_masses, sum.ln(), masses, 1.0 / sum);
    super::sharpen(target);
    target.outside_support = log_reference
        .iter()
        .zip(&target.masses)
        .filter(|(log_q, _)| **log_q == f64::NEG_INFINITY)
        .map(|(_, mass)| mass)
        .sum();
    target.lambda = Some(best + eta * (by.offset - 1.0));
    target.optimal_value = kernels::dot(&target.masses, rewards)
        - beta * kernels::cross_divergence(log_reference, &target.log_masses)
        - eta * kernels::dot(&target.masses, &target.log_masses);
}

/// What the root is found on.
#[derive(Clone, Copy)]
struct Arms<'a> {
    log_reference: &'a [f64],
    rewards: &'a [f64],
    /// How many arms each of these stands for.
    count: f64,
}

/// Newton's way from `by` to the offset at which the masses sum to one; it lies above `low`. Done once a step is below
/// `tolerance` times the offset and steps shrink as they do near the root: the error is then of the order of its square.
/// The outputs hold what belongs to the root.
fn root(
    mut by: Entropic,
    mut low: f64,
    arms: Arms,
    (log_masses, masses): (&mut [f64], &mut [f64]),
    tolerance: f64,
) -> Entropic {
    let mut evaluate = |by: Entropic| {
        let inputs = (arms.log_reference, arms.rewards);
        let (mass, slope) = kernels::entropic(by, inputs, (log_masses, masses));
        (arms.count * mass, arms.count * slope)
    };
    let mut high = f64::INFINITY;
    let mut before = 0.0;
    for _ in 0..300 {
        let t = by.offset;
        let (mass, slope) = evaluate(by);
        if mass > 1.0 {
            low = low.max(t);
        } else {
            high = high.min(t);
        }
        let step = mass.ln() * mass / slope;
        let next = t + step;
        let settled = step.abs() <= tolerance * t.abs() && step.abs() <= 1e-2 * before;
        before = step.abs();
        if settled {
            by.offset = next;
            evaluate(by);
            return by;
        }
        if step.abs() <= 2e-16 * t.abs().max(1e-300)
            || high.is_finite() && high - low <= 2e-16 * high.abs()
        {
            return by;
        }
        by.offset = if next > low && next < high {
            next
        } else if high.is_finite() {
            let middle = low + (high - low) / 2.0;
            if middle == low || middle == high {
                return by;
            }
            middle
        } else {
            next
        };
    }
    by
}
