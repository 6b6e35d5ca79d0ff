//! The passes that target solvers need.

use super::{BLOCK, Compensated, LANES, block_sum, exp_one, fold, ln_and_inverse, max, vectorised};

/// What a solver needs to know of the rewards before it starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Survey {
    /// Smallest reward; NaN if any is NaN or infinite.
    pub low: f64,
    /// Largest reward; NaN if any is NaN or infinite.
    pub high: f64,
    /// Largest reward within the reference's support, −∞ if there is none.
    pub best: f64,
    /// Largest reward outside it, −∞ if there is none.
    pub best_outside: f64,
}

impl Survey {
    /// The survey of both parts together.
    #[inline(always)]
    pub(super) fn and(self, other: Self) -> Self {
        // NaN stays.
        let pick = |a: f64, b: f64, first: bool| if first || a.is_nan() { a } else { b };
        Self {
            low: pick(self.low, other.low, self.low < other.low),
            high: pick(self.high, other.high, self.high > other.high),
            best: self.best.max(other.best),
            best_outside: self.best_outside.max(other.best_outside),
        }
    }
}

vectorised! {
    /// One pass over rewards and log reference masses.
    pub(super) fn survey<A>(rewards: &[f64], log_reference: &[f64]) -> Survey {
        survey_lanes(rewards, log_reference)
    }
}

#[inline(always)]
pub(super) fn survey_lanes(rewards: &[f64], log_reference: &[f64]) -> Survey {
    let mut low = [f64::INFINITY; LANES];
    let mut inside = [f64::NEG_INFINITY; LANES];
    let mut outside = [f64::NEG_INFINITY; LANES];
    // Turns NaN once a NaN or an infinity passes by.
    let mut poison = [0.0; LANES];
    let (whole, rest) = rewards.as_chunks::<LANES>();
    let (gates, gate_rest) = log_reference.as_chunks::<LANES>();
    for (chunk, gate) in whole.iter().zip(gates) {
        for i in 0..LANES {
            let r = chunk[i];
            let supported = gate[i] > f64::NEG_INFINITY;
            let a = if supported { r } else { f64::NEG_INFINITY };
            let b = if supported { f64::NEG_INFINITY } else { r };
            low[i] = if r < low[i] { r } else { low[i] };
            inside[i] = if a > inside[i] { a } else { inside[i] };
            outside[i] = if b > outside[i] { b } else { outside[i] };
            poison[i] += r * 0.0;
        }
    }
    for (i, (&r, &gate)) in rest.iter().zip(gate_rest).enumerate() {
        let supported = gate > f64::NEG_INFINITY;
        low[i] = low[i].min(r);
        inside[i] = inside[i].max(if supported { r } else { f64::NEG_INFINITY });
        outside[i] = outside[i].max(if supported { f64::NEG_INFINITY } else { r });
        poison[i] += r * 0.0;
    }
    let top = |lanes: [f64; LANES]| lanes.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let (best, best_outside) = (top(inside), top(outside));
    let poisoned = poison.iter().any(|p| p.is_nan());
    Survey {
        low: if poisoned {
            f64::NAN
        } else {
            low.into_iter().fold(f64::INFINITY, f64::min)
        },
        high: if poisoned {
            f64::NAN
        } else {
            best.max(best_outside)
        },
        best,
        best_outside,
    }
}

/// First position of a value above `limit`, if there is one.
#[must_use]
pub fn position_above(values: &[f64], limit: f64) -> Option<usize> {
    // By blocks, so that the search runs at the speed of a maximum.
    let block = values.chunks(BLOCK).position(|block| max(block) > limit)?;
    let start = block * BLOCK;
    let offset = values[start..].iter().position(|&value| value > limit)?;
    Some(start + offset)
}

vectorised! {
    /// x ← x − amount and m ← m·factor, together.
    pub(super) fn settle<A>(logs: &mut [f64], amount: f64, masses: &mut [f64], factor: f64) {
        for (x, m) in logs.iter_mut().zip(masses) {
            *x -= amount;
            *m *= factor;
        }
    }
}

vectorised! {
    /// Σ e^x·(e^y − 1 − y) with y = (r − center)·rate, |y| ≤ 1: what an exponential mean exceeds a mean by.
    pub fn excess<A>(log_masses: &[f64], rewards: &[f64], center: f64, rate: f64) -> f64 {
        let mut total = Compensated::default();
        let mut scratch = [0.0; BLOCK];
        for (x, rewards) in log_masses.chunks(BLOCK).zip(rewards.chunks(BLOCK)) {
            let scratch = &mut scratch[..x.len()];
            for ((s, &x), &reward) in scratch.iter_mut().zip(x).zip(rewards) {
                let y = (reward - center) * rate;
                let series = A::mul_add(y, A::mul_add(y, A::mul_add(y, A::mul_add(y, 1.0 / 720.0, 1.0 / 120.0), 1.0 / 24.0), 1.0 / 6.0), 0.5);
                let near = y * y * series;
                let far = exp_one::<A>(y) - 1.0 - y;
                let value = exp_one::<A>(x) * if y.abs() < 0.003 { near } else { far };
                *s = if x > f64::NEG_INFINITY { value } else { 0.0 };
            }
            total.add(block_sum(scratch));
        }
        total.get()
    }
}

/// What [`super::distances`] found on its way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distances {
    /// Σ π_ref.
    pub support: f64,
    /// Σ π_ref d.
    pub mean: f64,
    /// Σ π_ref over arms at distance 0.
    pub at_zero: f64,
}

vectorised! {
    /// π_ref into `masses` and d = (best − r)·rate, at least 0 and at most 1e300, into `distance`.
    pub(super) fn distances<A>(log_reference: &[f64], rewards: &[f64], best: f64, rate: f64, masses: &mut [f64], distance: &mut [f64]) -> Distances {
        let mut totals = [Compensated::default(); 3];
        let mut scratch = [[0.0; BLOCK]; 2];
        for (((x, rewards), masses), distance) in log_reference.chunks(BLOCK).zip(rewards.chunks(BLOCK))
            .zip(masses.chunks_mut(BLOCK)).zip(distance.chunks_mut(BLOCK))
        {
            let [means, zeros] = &mut scratch;
            let n = x.len();
            let (means, zeros) = (&mut means[..n], &mut zeros[..n]);
            let (rewards, masses, distance) = (&rewards[..n], &mut masses[..n], &mut distance[..n]);
            for i in 0..n {
                let d = (best - rewards[i]) * rate;
                let d = if d > 0.0 { d } else { 0.0 };
                let d = if d < 1e300 { d } else { 1e300 };
                let p = exp_one::<A>(x[i]);
                masses[i] = p;
                distance[i] = d;
                means[i] = p * d;
                zeros[i] = if d == 0.0 { p } else { 0.0 };
            }
            totals[0].add(block_sum(masses));
            totals[1].add(block_sum(means));
            totals[2].add(block_sum(zeros));
        }
        Distances { support: totals[0].get(), mean: totals[1].get(), at_zero: totals[2].get() }
    }
}

/// Raises each lane to the largest value that falls to it.
#[inline(always)]
fn max_lanes(lanes: &mut [f64; LANES], values: &[f64]) {
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] {
                chunk[i]
            } else {
                lanes[i]
            };
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = if value > *lane { value } else { *lane };
    }
}

/// Σ π/(u+d)^k for k = 1, 2, 3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoleSums {
    /// k = 1.
    pub value: f64,
    /// k = 2.
    pub square: f64,
    /// k = 3.
    pub cube: f64,
}

vectorised! {
    /// Sums over the poles of forward KL's equation, u > 0; bound by one division per arm.
    pub(super) fn pole_sums<A>(reference: &[f64], distance: &[f64], u: f64) -> PoleSums {
        let mut totals = [Compensated::default(); 3];
        for (p, d) in reference.chunks(BLOCK).zip(distance.chunks(BLOCK)) {
            let mut sums = [[0.0; LANES]; 3];
            let (whole_p, rest_p) = p.as_chunks::<LANES>();
            let (whole_d, rest_d) = d.as_chunks::<LANES>();
            for (p, d) in whole_p.iter().zip(whole_d) {
                for i in 0..LANES {
                    let q = 1.0 / (u + d[i]);
                    let t = p[i] * q;
                    sums[0][i] += t;
                    sums[1][i] = A::mul_add(t, q, sums[1][i]);
                    sums[2][i] = A::mul_add(t * q, q, sums[2][i]);
                }
            }
            for (i, (&p, &d)) in rest_p.iter().zip(rest_d).enumerate() {
                let q = 1.0 / (u + d);
                sums[0][i] += p * q;
                sums[1][i] += p * q * q;
                sums[2][i] += p * q * q * q;
            }
            for (total, sums) in totals.iter_mut().zip(sums) {
                total.add(fold(sums));
            }
        }
        PoleSums { value: totals[0].get(), square: totals[1].get(), cube: totals[2].get() }
    }
}

/// What [`super::poles`] found on its way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Poles {
    /// The largest mass.
    pub largest: f64,
    /// Σ π_ref (x − ln(1 + x)) with x = u + d − 1.
    pub excess: f64,
}

vectorised! {
    /// On entry `masses` holds π_ref and `log_masses` holds d; on return π_ref/(u+d) and log π_ref − ln(u+d).
    pub(super) fn poles<A>(log_reference: &[f64], masses: &mut [f64], log_masses: &mut [f64], u: f64) -> Poles {
        let mut total = Compensated::default();
        let mut largest = [f64::NEG_INFINITY; LANES];
        let mut scratch = [0.0; BLOCK];
        for ((masses, logs), reference) in masses.chunks_mut(BLOCK).zip(log_masses.chunks_mut(BLOCK))
            .zip(log_reference.chunks(BLOCK))
        {
            let scratch = &mut scratch[..masses.len()];
            for (((mass, log_mass), &log_q), s) in masses.iter_mut().zip(logs).zip(reference).zip(scratch.iter_mut()) {
                let d = *log_mass;
                let denominator = u + d;
                let (log, inverse) = ln_and_inverse::<A>(denominator);
                let x = (u - 1.0) + d;
                let series = A::mul_add(x, A::mul_add(x, A::mul_add(x, A::mul_add(x, 1.0 / 6.0, -0.2), 0.25), -1.0 / 3.0), 0.5);
                let excess = if x.abs() < 0.003 { x * x * series } else { x - log };
                *s = *mass * excess;
                *mass *= inverse;
                *log_mass = log_q - log;
            }
            total.add(block_sum(scratch));
            max_lanes(&mut largest, masses);
        }
        Poles { largest: largest.into_iter().fold(f64::NEG_INFINITY, f64::max), excess: total.get() }
    }
}

vectorised! {
    /// Σ q (log q − log p) over the arms with q > 0.
    pub fn cross_divergence<A>(log_q: &[f64], log_p: &[f64]) -> f64 {
        let mut total = Compensated::default();
        let mut scratch = [0.0; BLOCK];
        for (q, p) in log_q.chunks(BLOCK).zip(log_p.chunks(BLOCK)) {
            let scratch = &mut scratch[..q.len()];
            for ((s, &q), &p) in scratch.iter_mut().zip(q).zip(p) {
                let term = exp_one::<A>(q) * (q - p);
                *s = if q > f64::NEG_INFINITY { term } else { 0.0 };
            }
            total.add(block_sum(scratch));
        }
        total.get()
    }
}

vectorised! {
    /// Σ π_ref/(Λ − R) for Λ = top + offset, top the best reward.
    pub fn pole_sum_at<A>(log_reference: &[f64], rewards: &[f64], top: f64, offset: f64) -> f64 {
        let mut total = Compensated::default();
        let mut scratch = [0.0; BLOCK];
        for (x, rewards) in log_reference.chunks(BLOCK).zip(rewards.chunks(BLOCK)) {
            let scratch = &mut scratch[..x.len()];
            for ((s, &x), &reward) in scratch.iter_mut().zip(x).zip(rewards) {
                *s = exp_one::<A>(x) / (offset + (top - reward));
            }
            total.add(block_sum(scratch));
        }
        total.get()
    }
}
