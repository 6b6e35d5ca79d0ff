//! The passes that target solvers need.

use super::{BLOCK, Compensated, LANES, block_sum, exp_one, ln_one, vectorised};

vectorised! {
    /// Smallest and largest value; (NaN, NaN) if any is NaN.
    pub fn finite_range<A>(values: &[f64]) -> (f64, f64) {
        let mut low = [f64::INFINITY; LANES];
        let mut high = [f64::NEG_INFINITY; LANES];
        // Turns NaN once a NaN or an infinity passes by.
        let mut poison = [0.0; LANES];
        let (whole, rest) = values.as_chunks::<LANES>();
        for chunk in whole {
            for i in 0..LANES {
                low[i] = if chunk[i] < low[i] { chunk[i] } else { low[i] };
                high[i] = if chunk[i] > high[i] { chunk[i] } else { high[i] };
                poison[i] += chunk[i] * 0.0;
            }
        }
        for (i, &value) in rest.iter().enumerate() {
            low[i] = if value < low[i] { value } else { low[i] };
            high[i] = if value > high[i] { value } else { high[i] };
            poison[i] += value * 0.0;
        }
        if poison.iter().any(|p| p.is_nan()) {
            return (f64::NAN, f64::NAN);
        }
        (
            low.into_iter().fold(f64::INFINITY, f64::min),
            high.into_iter().fold(f64::NEG_INFINITY, f64::max),
        )
    }
}

vectorised! {
    /// Largest of `values` where `gate` is above −∞; −∞ if there is none.
    pub fn max_where_finite<A>(values: &[f64], gate: &[f64]) -> f64 {
        let mut lanes = [f64::NEG_INFINITY; LANES];
        let (whole, rest) = values.as_chunks::<LANES>();
        let (gates, gate_rest) = gate.as_chunks::<LANES>();
        for (chunk, gate) in whole.iter().zip(gates) {
            for i in 0..LANES {
                let value = if gate[i] > f64::NEG_INFINITY { chunk[i] } else { f64::NEG_INFINITY };
                lanes[i] = if value > lanes[i] { value } else { lanes[i] };
            }
        }
        for (i, (&value, &gate)) in rest.iter().zip(gate_rest).enumerate() {
            let value = if gate > f64::NEG_INFINITY { value } else { f64::NEG_INFINITY };
            lanes[i] = if value > lanes[i] { value } else { lanes[i] };
        }
        lanes.into_iter().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// First position of the largest value, and the value. (0, −∞) for an empty slice.
#[must_use]
pub fn argmax(values: &[f64]) -> (usize, f64) {
    let top = super::max(values);
    (position_of(values, top).unwrap_or(0), top)
}

/// First position of a value.
fn position_of(values: &[f64], wanted: f64) -> Option<usize> {
    values.iter().position(|&value| value == wanted)
}

/// First position of a value above `limit`, if the largest is.
#[must_use]
pub fn position_above(values: &[f64], limit: f64) -> Option<usize> {
    let (position, top) = argmax(values);
    (top > limit).then_some(position)
}

vectorised! {
    /// `power`·xᵢ + (rᵢ − top)/temperature, −∞ where xᵢ is.
    pub fn tilt<A>(x: &[f64], power: f64, rewards: &[f64], top: f64, temperature: f64, output: &mut [f64]) {
        for ((y, &x), &reward) in output.iter_mut().zip(x).zip(rewards) {
            let weight = A::mul_add(power, x, (reward - top) / temperature);
            *y = if x > f64::NEG_INFINITY { weight } else { x };
        }
    }
}

vectorised! {
    /// (best − rᵢ)/β, at least 0 and at most 1e300.
    pub fn distances<A>(rewards: &[f64], best: f64, beta: f64, output: &mut [f64]) {
        for (y, &reward) in output.iter_mut().zip(rewards) {
            let d = (best - reward) / beta;
            let d = if d > 0.0 { d } else { 0.0 };
            *y = if d < 1e300 { d } else { 1e300 };
        }
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
    /// Sums over the poles of forward KL's equation, u > 0.
    pub fn pole_sums<A>(reference: &[f64], distance: &[f64], u: f64) -> PoleSums {
        let mut value = Compensated::default();
        let mut square = Compensated::default();
        let mut cube = Compensated::default();
        let mut first = [0.0; BLOCK];
        let mut second = [0.0; BLOCK];
        let mut third = [0.0; BLOCK];
        for (p, d) in reference.chunks(BLOCK).zip(distance.chunks(BLOCK)) {
            let n = p.len();
            let (first, second, third) = (&mut first[..n], &mut second[..n], &mut third[..n]);
            for i in 0..n {
                let q = 1.0 / (u + d[i]);
                let t = p[i] * q;
                first[i] = t;
                second[i] = t * q;
                third[i] = t * q * q;
            }
            value.add(block_sum(first));
            square.add(block_sum(second));
            cube.add(block_sum(third));
        }
        PoleSums { value: value.get(), square: square.get(), cube: cube.get() }
    }
}

vectorised! {
    /// On entry `masses` holds π and `log_masses` holds d; on return π/(u+d) and log π − ln(u+d).
    pub fn poles<A>(log_reference: &[f64], masses: &mut [f64], log_masses: &mut [f64], u: f64) {
        for ((mass, log_mass), &log_q) in masses.iter_mut().zip(log_masses).zip(log_reference) {
            let denominator = u + *log_mass;
            *mass /= denominator;
            *log_mass = log_q - ln_one::<A>(denominator);
        }
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
