//! The passes of reverse KL, whose target is the reference tilted by rewards. Both recompute the weights: beyond the
//! caches an exponential costs less than writing it down and reading it back.

use super::{
    BLOCK, Compensated, LANES, Survey, announce_read, announce_write, exp_bounded, exp_one, fold,
    solving::survey_lanes, vectorised,
};

/// Arms whose survey leaves them in the first-level cache for their sum.
const NEAR: usize = 2 * BLOCK;

/// How far ahead of its work a pass asks for its data.
const AHEAD: isize = BLOCK as isize;

/// Exponentials below this are given as 0.
const LEAST: f64 = -708.0;

/// Weights from here on count as overflowing.
const OVERFLOW: f64 = 700.0;

/// How arms are weighed: w = power·x + (r − top)·rate, with exponentials e^(w − shift).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tilt {
    /// Power of the reference.
    pub power: f64,
    /// Reward that adds nothing.
    pub top: f64,
    /// One over the temperature.
    pub rate: f64,
    /// Taken off before exponentials.
    pub shift: f64,
}

impl Tilt {
    /// w of one arm, −∞ where the log reference is.
    #[inline(always)]
    fn weight<A: super::Arith>(self, x: f64, reward: f64) -> f64 {
        let weight = A::mul_add(self.power, x, (reward - self.top) * self.rate);
        if x > f64::NEG_INFINITY { weight } else { x }
    }
}

/// The sum over arms that normalises them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tilted {
    /// Σ e^(w − shift).
    pub sum: f64,
    /// max w, within rounding.
    pub highest: f64,
}

/// Raises `highest` to the highest w by lanes and returns Σ e^(w − shift).
#[inline(always)]
fn add_block<A: super::Arith>(
    by: Tilt,
    log_reference: &[f64],
    rewards: &[f64],
    highest: &mut [f64; LANES],
    exp: impl Fn(f64) -> f64,
    announce: impl Fn(&f64),
) -> f64 {
    let mut sums = [0.0; LANES];
    let mut top = *highest;
    let (whole_x, rest_x) = log_reference.as_chunks::<LANES>();
    let (whole_r, rest_r) = rewards.as_chunks::<LANES>();
    for (x, r) in whole_x.iter().zip(whole_r) {
        for i in [0, LANES / 2] {
            announce(&x[i]);
            announce(&r[i]);
        }
        for i in 0..LANES {
            let weight = by.weight::<A>(x[i], r[i]);
            top[i] = if weight > top[i] { weight } else { top[i] };
            sums[i] += exp(weight - by.shift);
        }
    }
    for (i, (&x, &r)) in rest_x.iter().zip(rest_r).enumerate() {
        let weight = by.weight::<A>(x, r);
        top[i] = if weight > top[i] { weight } else { top[i] };
        sums[i] += exp(weight - by.shift);
    }
    *highest = top;
    fold(sums)
}

/// The largest lane.
#[inline(always)]
fn top_of(lanes: [f64; LANES]) -> f64 {
    lanes.into_iter().fold(f64::NEG_INFINITY, f64::max)
}

vectorised! {
    /// Σ e^(w − shift) and max w.
    pub(super) fn tilted_sum<A>(by: Tilt, log_reference: &[f64], rewards: &[f64]) -> Tilted {
        let mut total = Compensated::default();
        let mut highest = [f64::NEG_INFINITY; LANES];
        for (x, rewards) in log_reference.chunks(BLOCK).zip(rewards.chunks(BLOCK)) {
            total.add(add_block::<A>(by, x, rewards, &mut highest, exp_one::<A>, |_| ()));
        }
        Tilted { sum: total.get(), highest: top_of(highest) }
    }
}

vectorised! {
    /// [`super::survey`] and [`tilted_sum`] for the survey's best reward as top and no shift, from one reading of the arms:
    /// each stretch takes the best reward so far as its top, and a better one scales down what came before. The sum is
    /// good unless the highest weight is far below 0; infinite if a weight came near overflow on the way.
    pub(super) fn survey_tilted<A>(power: f64, rate: f64, log_reference: &[f64], rewards: &[f64]) -> (Survey, Tilted) {
        let mut survey = survey_lanes(&[], &[]);
        let mut total = Compensated::default();
        let mut highest = f64::NEG_INFINITY;
        for (x, rewards) in log_reference.chunks(NEAR).zip(rewards.chunks(NEAR)) {
            let before = survey.best;
            survey = survey.and(survey_supported::<A>(rewards, x));
            let top = survey.best;
            if top == f64::NEG_INFINITY {
                continue;
            }
            if before < top && before > f64::NEG_INFINITY {
                let fall = (before - top) * rate;
                total.scale(exp_one::<A>(fall));
                highest += fall;
            }
            let by = Tilt { power, top, rate, shift: 0.0 };
            let mut lanes = [f64::NEG_INFINITY; LANES];
            let sum = add_block::<A>(by, x, rewards, &mut lanes, exp_bounded::<A>, |value| announce_read(value, NEAR as isize));
            let own = top_of(lanes);
            total.add(if own < OVERFLOW { sum } else { f64::INFINITY });
            highest = highest.max(own);
        }
        (survey, Tilted { sum: total.get(), highest })
    }
}

/// [`super::survey`], quicker where every arm is supported.
#[inline(always)]
fn survey_supported<A: super::Arith>(rewards: &[f64], log_reference: &[f64]) -> Survey {
    let mut low = [f64::INFINITY; LANES];
    let mut high = [f64::NEG_INFINITY; LANES];
    let mut support = [f64::INFINITY; LANES];
    let mut poison = [0.0; LANES];
    let (whole, rest) = rewards.as_chunks::<LANES>();
    let (gates, _) = log_reference.as_chunks::<LANES>();
    for (r, x) in whole.iter().zip(gates) {
        for i in 0..LANES {
            low[i] = if r[i] < low[i] { r[i] } else { low[i] };
            high[i] = if r[i] > high[i] { r[i] } else { high[i] };
            support[i] = if x[i] < support[i] { x[i] } else { support[i] };
            poison[i] = A::mul_add(r[i], 0.0, poison[i]);
        }
    }
    let least = |lanes: [f64; LANES]| lanes.into_iter().fold(f64::INFINITY, f64::min);
    let clean = fold(poison) == 0.0;
    if !(clean && rest.is_empty() && least(support) > f64::NEG_INFINITY) {
        return survey_lanes(rewards, log_reference);
    }
    let high = top_of(high);
    Survey {
        low: least(low),
        high,
        best: high,
        best_outside: f64::NEG_INFINITY,
    }
}

vectorised! {
    /// The arm of the highest w and that w; the first if several share it.
    pub fn heaviest<A>(by: Tilt, log_reference: &[f64], rewards: &[f64]) -> (usize, f64) {
        let mut best = (0, f64::NEG_INFINITY);
        let mut scratch = [0.0; BLOCK];
        for (block, (x, rewards)) in log_reference.chunks(BLOCK).zip(rewards.chunks(BLOCK)).enumerate() {
            let weights = &mut scratch[..x.len()];
            for ((w, &x), &reward) in weights.iter_mut().zip(x).zip(rewards) {
                *w = by.weight::<A>(x, reward);
            }
            let mut any = false;
            for &w in weights.iter() {
                any |= w > best.1;
            }
            if any {
                for (i, &w) in weights.iter().enumerate() {
                    if w > best.1 {
                        best = (block * BLOCK + i, w);
                    }
                }
            }
        }
        best
    }
}

vectorised! {
    /// w − shift − amount into `log_masses` (−∞ where the log reference is), e^(w − shift)·factor into `masses`; for
    /// w − shift ≤ 709. From the last block to the first, because the last ones were read last.
    pub(super) fn tilt<A>(by: Tilt, amount: f64, factor: f64, log_reference: &[f64], rewards: &[f64], log_masses: &mut [f64], masses: &mut [f64]) {
        for (((x, r), logs), masses) in log_reference.chunks(BLOCK).zip(rewards.chunks(BLOCK))
            .zip(log_masses.chunks_mut(BLOCK)).zip(masses.chunks_mut(BLOCK)).rev()
        {
            tilt_block::<A>(by, amount, factor, x, r, logs, masses);
        }
    }
}

#[inline(always)]
fn tilt_block<A: super::Arith>(
    by: Tilt,
    amount: f64,
    factor: f64,
    log_reference: &[f64],
    rewards: &[f64],
    log_masses: &mut [f64],
    masses: &mut [f64],
) {
    let one = |x: f64, reward: f64| {
        let weight = by.weight::<A>(x, reward) - by.shift;
        let e = exp_bounded::<A>(weight);
        let e = if weight > LEAST { e } else { 0.0 };
        (weight - amount, e * factor)
    };
    let (whole_x, rest_x) = log_reference.as_chunks::<LANES>();
    let (whole_r, rest_r) = rewards.as_chunks::<LANES>();
    let (whole_logs, rest_logs) = log_masses.as_chunks_mut::<LANES>();
    let (whole_masses, rest_masses) = masses.as_chunks_mut::<LANES>();
    for (((x, r), logs), masses) in whole_x
        .iter()
        .zip(whole_r)
        .zip(whole_logs)
        .zip(whole_masses)
    {
        for i in [0, LANES / 2] {
            announce_read(&x[i], -AHEAD);
            announce_read(&r[i], -AHEAD);
            announce_write(&logs[i], -AHEAD);
            announce_write(&masses[i], -AHEAD);
        }
        for i in 0..LANES {
            (logs[i], masses[i]) = one(x[i], r[i]);
        }
    }
    for (((&x, &r), log), mass) in rest_x.iter().zip(rest_r).zip(rest_logs).zip(rest_masses) {
        (*log, *mass) = one(x, r);
    }
}
