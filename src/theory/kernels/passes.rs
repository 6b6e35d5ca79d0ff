//! The passes everybody needs: exp and ln of a slice, maximum, sums, normalising log weights.

use super::{exp_one, ln_one, vectorised};

/// Lanes of every sum: two AVX-512 registers' worth per accumulator group, the same on every processor.
pub const LANES: usize = 16;
/// Elements that kernels treat at once where they need scratch; scratch of this size stays in the first-level cache.
pub const BLOCK: usize = 512;

/// Adds `values` lane by lane into `lanes`; the tail goes to the first lanes.
#[inline(always)]
pub fn add_lanes(lanes: &mut [f64; LANES], values: &[f64]) {
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += value;
    }
}

/// Sum of the lanes, pairwise.
#[inline(always)]
#[must_use]
pub fn fold(lanes: [f64; LANES]) -> f64 {
    let mut values = lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            values[i] += values[i + width];
        }
        width /= 2;
    }
    values[0]
}

/// A running sum of block sums with Neumaier's compensation: the blocks' rounding is all that is left.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    /// Adds a value.
    #[inline(always)]
    pub fn add(&mut self, value: f64) {
        let total = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() {
            (self.sum - total) + value
        } else {
            (value - total) + self.sum
        };
        self.sum = total;
    }

    /// Multiplies the sum so far.
    #[inline(always)]
    pub fn scale(&mut self, factor: f64) {
        self.sum *= factor;
        self.lost *= factor;
    }

    /// The sum so far.
    #[inline(always)]
    #[must_use]
    pub fn get(self) -> f64 {
        if self.lost.is_finite() {
            self.sum + self.lost
        } else {
            self.sum
        }
    }
}

/// Sum of one block by lanes.
#[inline(always)]
#[must_use]
pub fn block_sum(values: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    add_lanes(&mut lanes, values);
    fold(lanes)
}

vectorised! {
    /// e^x of every element; 0 where it would be below 3e-308. Both slices have one length (the rest is left alone).
    pub fn exp<A>(input: &[f64], output: &mut [f64]) {
        for (y, &x) in output.iter_mut().zip(input) {
            *y = exp_one::<A>(x);
        }
    }
}

vectorised! {
    /// Replaces every element by its exponential.
    pub fn exp_in_place<A>(values: &mut [f64]) {
        for x in values {
            *x = exp_one::<A>(*x);
        }
    }
}

vectorised! {
    /// Natural logarithm of every element, −∞ for 0.
    pub fn ln<A>(input: &[f64], output: &mut [f64]) {
        for (y, &x) in output.iter_mut().zip(input) {
            *y = ln_one::<A>(x);
        }
    }
}

vectorised! {
    /// The largest element, −∞ if there is none. NaN is skipped.
    pub fn max<A>(values: &[f64]) -> f64 {
        let mut lanes = [f64::NEG_INFINITY; LANES];
        let (whole, rest) = values.as_chunks::<LANES>();
        for chunk in whole {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane = if value > *lane { value } else { *lane };
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(rest) {
            *lane = if value > *lane { value } else { *lane };
        }
        lanes.into_iter().fold(f64::NEG_INFINITY, f64::max)
    }
}

vectorised! {
    /// The sum, by lanes within blocks and compensated across them.
    pub fn sum<A>(values: &[f64]) -> f64 {
        let mut total = Compensated::default();
        for block in values.chunks(BLOCK) {
            total.add(block_sum(block));
        }
        total.get()
    }
}

vectorised! {
    /// Σ aᵢ bᵢ with 0·±∞ = 0.
    pub fn dot<A>(a: &[f64], b: &[f64]) -> f64 {
        let mut total = Compensated::default();
        let mut scratch = [0.0; BLOCK];
        for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
            let scratch = &mut scratch[..a.len().min(b.len())];
            for ((s, &a), &b) in scratch.iter_mut().zip(a).zip(b) {
                let product = a * b;
                *s = if a == 0.0 || b == 0.0 { 0.0 } else { product };
            }
            total.add(block_sum(scratch));
        }
        total.get()
    }
}

/// Standard deviation of values under masses that sum to one.
#[must_use]
pub fn deviation(masses: &[f64], values: &[f64]) -> f64 {
    let mean = dot(masses, values);
    let squares = masses.iter().zip(values);
    let variance: f64 = squares
        .map(|(mass, value)| mass * (value - mean) * (value - mean))
        .sum();
    variance.sqrt()
}

vectorised! {
    /// Σ e^xᵢ yᵢ, a mean of y under log masses x; impossible arms add 0.
    pub fn dot_exp<A>(log_masses: &[f64], values: &[f64]) -> f64 {
        let mut total = Compensated::default();
        let mut scratch = [0.0; BLOCK];
        for (x, y) in log_masses.chunks(BLOCK).zip(values.chunks(BLOCK)) {
            let scratch = &mut scratch[..x.len().min(y.len())];
            for ((s, &x), &y) in scratch.iter_mut().zip(x).zip(y) {
                *s = exp_one::<A>(x) * y;
            }
            total.add(block_sum(scratch));
        }
        total.get()
    }
}

vectorised! {
    /// Σ e^(xᵢ − shift).
    pub fn sum_exp_above<A>(values: &[f64], shift: f64) -> f64 {
        let mut total = Compensated::default();
        let mut scratch = [0.0; BLOCK];
        for block in values.chunks(BLOCK) {
            let scratch = &mut scratch[..block.len()];
            for (s, &x) in scratch.iter_mut().zip(block) {
                *s = exp_one::<A>(x - shift);
            }
            total.add(block_sum(scratch));
        }
        total.get()
    }
}

vectorised! {
    /// xᵢ ← xᵢ − amount.
    pub fn subtract<A>(values: &mut [f64], amount: f64) {
        for x in values {
            *x -= amount;
        }
    }
}

/// log Σ e^xᵢ without overflow; −∞ for an empty slice or all −∞.
#[must_use]
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let top = max(values);
    if top.is_finite() {
        top + sum_exp_above(values, top).ln()
    } else {
        top
    }
}

/// Turns log weights into log masses that sum (in mass) to one, and returns the log of what they summed to.
pub fn normalise_log(log_weights: &mut [f64]) -> f64 {
    let log_sum = log_sum_exp(log_weights);
    if log_sum.is_finite() {
        subtract(log_weights, log_sum);
    }
    log_sum
}

vectorised! {
    /// Writes e^(xᵢ − shift) and returns their sum.
    pub fn exp_shifted<A>(values: &[f64], shift: f64, output: &mut [f64]) -> f64 {
        let mut total = Compensated::default();
        for (block, out) in values.chunks(BLOCK).zip(output.chunks_mut(BLOCK)) {
            for (y, &x) in out.iter_mut().zip(block) {
                *y = exp_one::<A>(x - shift);
            }
            total.add(block_sum(out));
        }
        total.get()
    }
}

vectorised! {
    /// xᵢ ← factor·xᵢ.
    pub fn scale<A>(values: &mut [f64], factor: f64) {
        for x in values {
            *x *= factor;
        }
    }
}

/// Masses ∝ e^xᵢ into `masses` (same length); returns log Σ e^xᵢ.
pub fn softmax(log_weights: &[f64], masses: &mut [f64]) -> f64 {
    let top = max(log_weights);
    if !top.is_finite() {
        masses.fill(0.0);
        return top;
    }
    let total = exp_shifted(log_weights, top, masses);
    scale(masses, 1.0 / total);
    top + total.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(count: usize) -> Vec<f64> {
        (0..count).map(|i| (i as f64 * 0.7).sin() * 5.0).collect()
    }

    #[test]
    fn passes_agree_with_plain_loops_at_every_length() {
        for count in [1, 2, 15, 16, 17, 511, 512, 513, 1500] {
            let x = ramp(count);
            let plain_sum: f64 = x.iter().map(|v| v.exp()).sum();
            assert!((log_sum_exp(&x) - plain_sum.ln()).abs() < 1e-13, "{count}");
            assert!((sum(&x) - x.iter().sum::<f64>()).abs() < 1e-11, "{count}");
            assert_eq!(max(&x), x.iter().copied().fold(f64::MIN, f64::max));
            let mut y = vec![0.0; count];
            exp(&x, &mut y);
            assert!(
                y.iter()
                    .zip(&x)
                    .all(|(y, x)| (y / x.exp() - 1.0).abs() < 4e-16)
            );
            let squares: f64 = x.iter().map(|v| v * v).sum();
            assert!((dot(&x, &x) - squares).abs() < 1e-10, "{count}");
            softmax(&x, &mut y);
            assert!((sum(&y) - 1.0).abs() < 1e-14, "{count}");
        }
    }

    #[test]
    fn impossible_arms_stay_impossible() {
        let mut x = vec![f64::NEG_INFINITY, 0.0, 0.0];
        assert!((normalise_log(&mut x) - 2.0_f64.ln()).abs() < 1e-15);
        assert_eq!(x[0], f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY; 3]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
        assert_eq!(dot(&[0.0, 1.0], &[f64::NEG_INFINITY, 2.0]), 2.0);
    }

    #[test]
    fn sums_of_a_million_lose_nothing() {
        let x = vec![0.1; 1_000_000];
        assert!((sum(&x) - 100_000.0).abs() < 1e-9);
    }
}
