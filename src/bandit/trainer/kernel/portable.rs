//! The loops in plain Rust, in a shape that compilers vectorise; `FMA` says whether fused multiply-add is an
//! instruction here or a slow call.

use super::{Adam, EXP_FLOOR, Sums, TINY, TINY_SQUARE};

#[inline(always)]
fn fma<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// e^x to about one unit in the last place; 0 below −708.
#[inline(always)]
pub(in super::super) fn exp<const FMA: bool>(x: f64) -> f64 {
    // 1.5 · 2⁵² rounds to an integer in the low bits, 1023 biases it into an exponent.
    const ROUND: f64 = 6_755_399_441_055_744.0 + 1023.0;
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let clamped = x.clamp(EXP_FLOOR, 709.0);
    let rounded = fma::<FMA>(clamped, std::f64::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = fma::<FMA>(n, -LN2_LOW, fma::<FMA>(n, -LN2_HIGH, clamped));
    let mut series = 1.0 / 479_001_600.0;
    for coefficient in [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        series = fma::<FMA>(series, r, coefficient);
    }
    let power = f64::from_bits(rounded.to_bits() << 52);
    // NaN stays NaN all the way, so that a lost run does not look sound.
    if x < EXP_FLOOR { 0.0 } else { series * power }
}

#[inline(always)]
pub(super) fn project<const FMA: bool>(
    logits: &[f64],
    shift: f64,
    weights: &[f64],
    log_target: &[f64],
    (scale, offset): (f64, f64),
    out: &mut [f64],
) {
    let arms = logits.iter().zip(weights).zip(log_target);
    for (((logit, weight), target), out) in arms.zip(out) {
        *out = scale * weight * (target - (logit - shift) + offset);
    }
}

#[inline(always)]
pub(super) fn adam<const FMA: bool>(
    constants: &Adam,
    gradient: &[f64],
    parameters: &mut [f64],
    first: &mut [f64],
    second: &mut [f64],
) {
    let Adam {
        beta1,
        beta2,
        epsilon,
        size,
        root,
    } = *constants;
    let moments = first.iter_mut().zip(second);
    for ((parameter, (m, v)), g) in parameters.iter_mut().zip(moments).zip(gradient) {
        let g = if g.abs() < TINY { 0.0 } else { *g };
        let new_m = fma::<FMA>(beta1, *m, (1.0 - beta1) * g);
        *m = if new_m.abs() < TINY { 0.0 } else { new_m };
        let new_v = fma::<FMA>(beta2, *v, (1.0 - beta2) * g * g);
        *v = if new_v < TINY_SQUARE { 0.0 } else { new_v };
        *parameter += size * *m / (v.sqrt() * root + epsilon);
    }
}

#[inline(always)]
pub(super) fn exponentiate<const FMA: bool>(
    logits: &[f64],
    shift: f64,
    log_target: &[f64],
    rewards: &[f64],
    weights: &mut [f64],
) -> Sums {
    // Eight running sums of each kind, so that additions neither wait for each other nor change their order.
    let mut lanes = [[0.0; 8]; 4];
    let count = logits
        .len()
        .min(weights.len())
        .min(rewards.len())
        .min(log_target.len());
    let mut at = 0;
    while at < count {
        let width = (count - at).min(8);
        let (l, c, r) = (
            &logits[at..at + width],
            &log_target[at..at + width],
            &rewards[at..at + width],
        );
        let w = &mut weights[at..at + width];
        for i in 0..width {
            let x = l[i] - shift;
            let e = exp::<FMA>(x);
            w[i] = e;
            lanes[0][i] += e;
            lanes[1][i] = fma::<FMA>(e, r[i], lanes[1][i]);
            lanes[2][i] = fma::<FMA>(e, x - c[i], lanes[2][i]);
            lanes[3][i] = fma::<FMA>(e, x, lanes[3][i]);
        }
        at += width;
    }
    let [mass, reward, to_target, exponent] = lanes.map(|lane| lane.iter().sum());
    Sums {
        mass,
        reward,
        to_target,
        exponent,
    }
}

#[inline(always)]
pub(super) fn accumulate<const FMA: bool>(weights: &[f64], total: f64, thresholds: &mut [u32]) {
    let scale = f64::from(u32::MAX) / total;
    let mut sum = 0.0;
    for (threshold, weight) in thresholds.iter_mut().zip(weights) {
        sum += weight;
        *threshold = (sum * scale) as u32;
    }
}

#[inline(always)]
pub(super) fn count<const FMA: bool>(
    words: &[u32],
    [_, _, thresholds]: [&[u32]; 3],
    last: u32,
    histogram: &mut [u32],
    stride: usize,
) {
    for (i, word) in words.iter().enumerate() {
        let arm = thresholds.partition_point(|t| t <= word).min(last as usize);
        histogram[(i % 4) * stride + arm] += 1;
    }
}

#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "lanes of several arrays in step"
)]
pub(super) fn chacha8<const FMA: bool>(
    key: &[u32; 8],
    counter: u64,
    stream: u64,
    out: &mut [u32; 256],
) {
    let mut start = [[0u32; 16]; 16];
    for (word, constant) in [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]
        .iter()
        .enumerate()
    {
        start[word] = [*constant; 16];
    }
    for (word, part) in key.iter().enumerate() {
        start[4 + word] = [*part; 16];
    }
    for lane in 0..16 {
        let block = counter.wrapping_add(lane as u64);
        start[12][lane] = block as u32;
        start[13][lane] = (block >> 32) as u32;
    }
    start[14] = [stream as u32; 16];
    start[15] = [(stream >> 32) as u32; 16];
    let mut state = start;
    for _ in 0..4 {
        for [a, b, c, d] in [
            [0, 4, 8, 12],
            [1, 5, 9, 13],
            [2, 6, 10, 14],
            [3, 7, 11, 15],
            [0, 5, 10, 15],
            [1, 6, 11, 12],
            [2, 7, 8, 13],
            [3, 4, 9, 14],
        ] {
            for (x, y, z, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                for lane in 0..16 {
                    state[x][lane] = state[x][lane].wrapping_add(state[y][lane]);
                    state[z][lane] = (state[z][lane] ^ state[x][lane]).rotate_left(turn);
                }
            }
        }
    }
    for word in 0..16 {
        for lane in 0..16 {
            out[16 * word + lane] = state[word][lane].wrapping_add(start[word][lane]);
        }
    }
}

/// The same loops compiled for AVX2 with FMA.
#[cfg(target_arch = "x86_64")]
pub(super) mod avx2 {
    use super::{Adam, Sums};

    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) fn project(
        logits: &[f64],
        shift: f64,
        weights: &[f64],
        log_target: &[f64],
        scale_offset: (f64, f64),
        out: &mut [f64],
    ) {
        super::project::<true>(logits, shift, weights, log_target, scale_offset, out);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) fn adam(
        constants: &Adam,
        gradient: &[f64],
        parameters: &mut [f64],
        first: &mut [f64],
        second: &mut [f64],
    ) {
        super::adam::<true>(constants, gradient, parameters, first, second);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) fn exponentiate(
        logits: &[f64],
        shift: f64,
        log_target: &[f64],
        rewards: &[f64],
        weights: &mut [f64],
    ) -> Sums {
        super::exponentiate::<true>(logits, shift, log_target, rewards, weights)
    }

    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) fn accumulate(weights: &[f64], total: f64, thresholds: &mut [u32]) {
        super::accumulate::<true>(weights, total, thresholds);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) fn count(
        words: &[u32],
        tree: [&[u32]; 3],
        last: u32,
        histogram: &mut [u32],
        stride: usize,
    ) {
        super::count::<true>(words, tree, last, histogram, stride);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) fn chacha8(
        key: &[u32; 8],
        counter: u64,
        stream: u64,
        out: &mut [u32; 256],
    ) {
        super::chacha8::<true>(key, counter, stream, out);
    }
}
