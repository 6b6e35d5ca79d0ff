//! Row operations between the matrix products, compiled for AVX-512, AVX2 and the baseline, picked at run time.
//!
//! Each is a plain loop that the compiler vectorises; most are bound by reading their operands, the exponentials by
//! arithmetic.

/// Defines a function whose body is compiled for each instruction set.
macro_rules! dispatched {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[expect(unsafe_code, reason = "calls the form for the instruction set that was found")]
        pub(super) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512vl,fma")]
                fn wide($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn medium($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                match level() {
                    // SAFETY: `level` found these instruction sets on this machine.
                    Level::Wide => return unsafe { wide($($arg),*) },
                    // SAFETY: as above.
                    Level::Medium => return unsafe { medium($($arg),*) },
                    Level::Baseline => {}
                }
            }
            body($($arg),*)
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    #[cfg(target_arch = "x86_64")]
    Wide,
    #[cfg(target_arch = "x86_64")]
    Medium,
    Baseline,
}

pub(super) fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx512f") && has!("avx512dq") && has!("avx512vl") && has!("fma") {
            return Level::Wide;
        }
        if has!("avx2") && has!("fma") {
            return Level::Medium;
        }
    }
    Level::Baseline
}

/// Lanes of the partial sums: the widest register holds 16 numbers, two of them hide the latency of additions.
const LANES: usize = 32;

#[inline(always)]
fn lane_sum(lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    let mut lanes = lanes;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Σ f(a, b) with partial sums in lanes.
#[inline(always)]
fn sum2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(&x, &y)| f(x, y))
        .sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] += f(x[i], y[i]);
        }
    }
    lane_sum(lanes) + rest
}

/// e^x to about 2 ulp for finite x; 0 below −87, e^88 above 88.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to whole numbers and leaves them in the low bits
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped * std::f32::consts::LOG2_E + MAGIC;
    let whole = shifted - MAGIC;
    let r = (clamped - whole * 0.693_359_4) + whole * 2.121_944_4e-4;
    let p = 1.0
        + r * (1.0
            + r * (0.5
                + r * (0.166_666_66 + r * (0.041_665_8 + r * (0.008_333_684 + r * 0.001_398_2)))));
    let scaled = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    if x < -87.0 { 0.0 } else { scaled }
}

dispatched! {
    /// y += s·x.
    fn add_scaled(y: &mut [f32], x: &[f32], s: f32) {
        for (y, x) in y.iter_mut().zip(x) {
            *y += s * x;
        }
    }
}

dispatched! {
    /// One row of a root-mean-square norm: y = x·inv·w; returns inv = 1/√(mean x² + ε).
    fn rms_norm(y: &mut [f32], x: &[f32], w: &[f32], eps: f32) -> f32 {
        let inv = 1.0 / (sum2(x, x, |a, b| a * b) / x.len() as f32 + eps).sqrt();
        for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
            *y = x * inv * w;
        }
        inv
    }
}

dispatched! {
    /// Backward of one row: dx += inv·(dy·w − x·inv²·mean(dy·w·x)), dw += dy·x·inv.
    fn rms_norm_backward(dx: &mut [f32], dw: &mut [f32], dy: &[f32], x: &[f32], w: &[f32], inv: f32) {
        let mut lanes = [0.0f32; LANES];
        let mut rest = 0.0;
        let whole = x.len() / LANES * LANES;
        for at in (0..whole).step_by(LANES) {
            let (dy, w, x) = (&dy[at..at + LANES], &w[at..at + LANES], &x[at..at + LANES]);
            for i in 0..LANES {
                lanes[i] += dy[i] * w[i] * x[i];
            }
        }
        for at in whole..x.len() {
            rest += dy[at] * w[at] * x[at];
        }
        let pull = (lane_sum(lanes) + rest) * inv * inv / x.len() as f32;
        for ((((dx, dw), dy), x), w) in dx.iter_mut().zip(dw).zip(dy).zip(x).zip(w) {
            *dx += inv * (dy * w - x * pull);
            *dw += dy * x * inv;
        }
    }
}

dispatched! {
    /// Rotates the two halves of each head (Hugging Face's layout) by angles, or with `turn` = −1 back.
    fn rotate(heads: &mut [f32], cos: &[f32], sin: &[f32], turn: f32) {
        for head in heads.chunks_exact_mut(2 * cos.len()) {
            let (a, b) = head.split_at_mut(cos.len());
            for (((a, b), cos), sin) in a.iter_mut().zip(b).zip(cos).zip(sin) {
                let (x, y) = (*a, *b);
                let sin = turn * sin;
                *a = x * cos - y * sin;
                *b = y * cos + x * sin;
            }
        }
    }
}

dispatched! {
    /// y = silu(gate)·up for one row; the row of `gate_up` holds the gates, then the ups.
    fn swiglu(y: &mut [f32], gate_up: &[f32]) {
        let (gate, up) = gate_up.split_at(y.len());
        for ((y, g), u) in y.iter_mut().zip(gate).zip(up) {
            *y = g / (1.0 + exp(-g)) * u;
        }
    }
}

dispatched! {
    /// Backward of one row of [`swiglu`]: fills the gradient of gates and ups.
    fn swiglu_backward(d_gate_up: &mut [f32], dy: &[f32], gate_up: &[f32]) {
        let (gate, up) = gate_up.split_at(dy.len());
        let (d_gate, d_up) = d_gate_up.split_at_mut(dy.len());
        for ((((dg, du), dy), g), u) in d_gate.iter_mut().zip(d_up).zip(dy).zip(gate).zip(up) {
            let s = 1.0 / (1.0 + exp(-g));
            *du = dy * g * s;
            *dg = dy * u * s * (1.0 + g * (1.0 - s));
        }
    }
}

dispatched! {
    /// Replaces a row of numbers by their softmax; returns log Σ e^x.
    fn softmax(row: &mut [f32]) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        let chunks = row.chunks_exact(LANES);
        let rest = chunks.remainder().iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
            }
        }
        let max = lanes.iter().fold(rest, |m, &x| m.max(x));
        let mut sums = [0.0f32; LANES];
        let mut tail = 0.0;
        let whole = row.len() / LANES * LANES;
        let (body, end) = row.split_at_mut(whole);
        for chunk in body.chunks_exact_mut(LANES) {
            for i in 0..LANES {
                let e = exp(chunk[i] - max);
                chunk[i] = e;
                sums[i] += e;
            }
        }
        for x in end {
            *x = exp(*x - max);
            tail += *x;
        }
        let sum = lane_sum(sums) + tail;
        let scale = 1.0 / sum;
        for x in row.iter_mut() {
            *x *= scale;
        }
        max + sum.ln()
    }
}

dispatched! {
    /// Σ x².
    fn sum_squares(x: &[f32]) -> f32 { sum2(x, x, |a, b| a * b) }
}

dispatched! {
    /// Σ a·b in double precision.
    fn dot(a: &[f32], b: &[f32]) -> f64 {
        let mut lanes = [0.0f64; LANES];
        let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let rest: f64 = (a_chunks.remainder().iter().zip(b_chunks.remainder()))
            .map(|(&x, &y)| f64::from(x) * f64::from(y))
            .sum();
        for (x, y) in a_chunks.zip(b_chunks) {
            for i in 0..LANES {
                lanes[i] += f64::from(x[i]) * f64::from(y[i]);
            }
        }
        lanes.iter().sum::<f64>() + rest
    }
}

/// The numbers that one AdamW pass needs, bias corrections folded in.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdamStep {
    pub(super) rate: f32,
    pub(super) decay: f32,
    pub(super) beta1: f32,
    pub(super) beta2: f32,
    /// 1/(1 − β₁ᵗ).
    pub(super) first_correction: f32,
    /// 1/√(1 − β₂ᵗ).
    pub(super) second_correction: f32,
    pub(super) epsilon: f32,
    /// Factor of the gradient (clipping).
    pub(super) scale: f32,
}

/// AdamW of one parameter: its next value.
#[inline(always)]
fn adam_one(p: f32, m: &mut f32, v: &mut f32, g: f32, s: AdamStep) -> f32 {
    let g = g * s.scale;
    *m = s.beta1 * *m + (1.0 - s.beta1) * g;
    *v = s.beta2 * *v + (1.0 - s.beta2) * g * g;
    let step = *m * s.first_correction / (v.sqrt() * s.second_correction + s.epsilon);
    p * (1.0 - s.rate * s.decay) - s.rate * step
}

dispatched! {
    /// One AdamW pass. Bound by memory: 16 bytes read and 12 written per parameter.
    fn adamw(p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], s: AdamStep) {
        for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
            *p = adam_one(*p, m, v, *g, s);
        }
    }
}

dispatched! {
    /// The same with the new parameters in place of the gradient, at the same cost: the old ones stay.
    fn adamw_apart(p: &[f32], m: &mut [f32], v: &mut [f32], g: &mut [f32], s: AdamStep) {
        for (((p, m), v), g) in p.iter().zip(m).zip(v).zip(g) {
            *g = adam_one(*p, m, v, *g, s);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_a_few_ulp_and_safe_at_the_ends() {
        let mut worst = 0.0f64;
        for i in 0..200_000 {
            let x = -86.9 + i as f32 * (174.0 / 200_000.0);
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - exact).abs() / exact);
        }
        assert!(worst < 4e-7, "relative error {worst}");
        assert_eq!(exp(-1e30), 0.0);
        assert!(exp(1e30).is_finite());
    }

    #[test]
    fn softmax_sums_to_one_and_returns_the_log_sum() {
        let logits: Vec<f32> = (0..71).map(|i| (i as f32 * 0.37).sin() * 9.0).collect();
        let mut row = logits.clone();
        let log_sum = softmax(&mut row);
        let exact = logits.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
        assert!((f64::from(log_sum) - exact).abs() < 1e-5);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!((f64::from(row[5]) - (f64::from(logits[5]) - exact).exp()).abs() < 1e-6);
    }
}
