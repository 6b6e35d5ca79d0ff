//! The loops with AVX-512 instructions, eight arms at a time.

use std::arch::x86_64::*;

use super::{Adam, EXP_FLOOR, Sums, TINY, TINY_SQUARE};

/// Eight numbers from `slice[at..]`, zeros past its end.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn load(slice: &[f64], at: usize) -> __m512d {
    let rest = &slice[at..];
    if rest.len() >= 8 {
        // SAFETY: eight numbers are there.
        unsafe { _mm512_loadu_pd(rest.as_ptr()) }
    } else {
        // SAFETY: the mask leaves out what is past the end.
        unsafe { _mm512_maskz_loadu_pd(low(rest.len()), rest.as_ptr()) }
    }
}

/// Stores as many of the eight numbers as fit into `slice[at..]`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn store(slice: &mut [f64], at: usize, value: __m512d) {
    let rest = &mut slice[at..];
    if rest.len() >= 8 {
        // SAFETY: there is room for eight numbers.
        unsafe { _mm512_storeu_pd(rest.as_mut_ptr(), value) };
    } else {
        // SAFETY: the mask leaves out what is past the end.
        unsafe { _mm512_mask_storeu_pd(rest.as_mut_ptr(), low(rest.len()), value) };
    }
}

fn low(count: usize) -> __mmask8 {
    (1 << count) - 1
}

/// 2^(j/16).
static SIXTEENTHS: [f64; 16] = [
    1.0,
    1.044_273_782_427_413_8,
    1.090_507_732_665_257_7,
    1.138_788_634_756_691_6,
    1.189_207_115_002_721,
    1.241_857_812_073_484,
    1.296_839_554_651_009_7,
    1.354_255_546_936_892_7,
    std::f64::consts::SQRT_2,
    1.476_826_145_939_499_3,
    1.542_210_825_407_940_7,
    1.610_490_331_949_254_3,
    1.681_792_830_507_429,
    1.756_252_160_373_299_5,
    1.834_008_086_409_342_4,
    1.915_206_561_397_147_3,
];

/// e^x: 2^(n/16) from a table and the exponent, times a short series in the rest.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn exp(x: __m512d, table: (__m512d, __m512d)) -> __m512d {
    // "Not below" and the order of the maximum keep NaN, so that a lost run does not look sound.
    let keep = _mm512_cmp_pd_mask::<_CMP_NLT_UQ>(x, _mm512_set1_pd(EXP_FLOOR));
    let x = _mm512_max_pd(_mm512_set1_pd(EXP_FLOOR), x);
    let round = _mm512_set1_pd(6_755_399_441_055_744.0);
    let rounded = _mm512_fmadd_pd(x, _mm512_set1_pd(16.0 * std::f64::consts::LOG2_E), round);
    let n = _mm512_sub_pd(rounded, round);
    let r = _mm512_fnmadd_pd(n, _mm512_set1_pd(6.931_471_803_691_238e-1 / 16.0), x);
    let r = _mm512_fnmadd_pd(n, _mm512_set1_pd(1.908_214_929_270_587_7e-10 / 16.0), r);
    let power = _mm512_permutex2var_pd(table.0, _mm512_castpd_si512(rounded), table.1);
    // e^r − 1 for |r| ≤ ln 2 / 32, to 6 terms.
    let square = _mm512_mul_pd(r, r);
    let high = _mm512_fmadd_pd(r, _mm512_set1_pd(1.0 / 720.0), _mm512_set1_pd(1.0 / 120.0));
    let middle = _mm512_fmadd_pd(r, _mm512_set1_pd(1.0 / 24.0), _mm512_set1_pd(1.0 / 6.0));
    let series = _mm512_fmadd_pd(high, square, middle);
    let series = _mm512_fmadd_pd(series, r, _mm512_set1_pd(0.5));
    let series = _mm512_fmadd_pd(series, square, r);
    let value = _mm512_fmadd_pd(power, series, power);
    let value = _mm512_scalef_pd(value, _mm512_mul_pd(n, _mm512_set1_pd(1.0 / 16.0)));
    _mm512_maskz_mov_pd(keep, value)
}

#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn project(
    logits: &[f64],
    shift: f64,
    weights: &[f64],
    log_target: &[f64],
    (scale, offset): (f64, f64),
    out: &mut [f64],
) {
    let (scale, offset) = (_mm512_set1_pd(scale), _mm512_set1_pd(offset + shift));
    for at in (0..out.len()).step_by(8) {
        let distance = _mm512_sub_pd(load(log_target, at), load(logits, at));
        let slope = _mm512_mul_pd(scale, _mm512_add_pd(distance, offset));
        store(out, at, _mm512_mul_pd(load(weights, at), slope));
    }
}

#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn adam(
    constants: &Adam,
    gradient: &[f64],
    parameters: &mut [f64],
    first: &mut [f64],
    second: &mut [f64],
) {
    let set = |value| _mm512_set1_pd(value);
    let (keep1, take1) = (set(constants.beta1), set(1.0 - constants.beta1));
    let (keep2, take2) = (set(constants.beta2), set(1.0 - constants.beta2));
    let (size, root, epsilon) = (
        set(constants.size),
        set(constants.root),
        set(constants.epsilon),
    );
    let (tiny, tiny_square) = (set(TINY), set(TINY_SQUARE));
    let (one, half) = (set(1.0), set(0.5));
    for at in (0..parameters.len()).step_by(8) {
        let g = load(gradient, at);
        let normal = _mm512_cmp_pd_mask::<_CMP_NLT_UQ>(_mm512_abs_pd(g), tiny);
        let g = _mm512_maskz_mov_pd(normal, g);
        let m = _mm512_fmadd_pd(keep1, load(first, at), _mm512_mul_pd(take1, g));
        let normal = _mm512_cmp_pd_mask::<_CMP_NLT_UQ>(_mm512_abs_pd(m), tiny);
        let m = _mm512_maskz_mov_pd(normal, m);
        let squared = _mm512_mul_pd(take2, _mm512_mul_pd(g, g));
        let v = _mm512_fmadd_pd(keep2, load(second, at), squared);
        let normal = _mm512_cmp_pd_mask::<_CMP_NLT_UQ>(v, tiny_square);
        let v = _mm512_maskz_mov_pd(normal, v);
        // √v from a 14-bit 1/√v, one third-order and one second-order correction. An infinite v gives NaN, which stops the run.
        let inverse = _mm512_rsqrt14_pd(_mm512_max_pd(v, tiny_square));
        let rough = _mm512_mul_pd(v, inverse);
        let error = _mm512_fnmadd_pd(rough, inverse, one);
        let correction = _mm512_mul_pd(error, _mm512_fmadd_pd(error, set(0.375), half));
        let inverse = _mm512_fmadd_pd(inverse, correction, inverse);
        let better = _mm512_fmadd_pd(rough, correction, rough);
        let rest = _mm512_fnmadd_pd(better, better, v);
        let deviation = _mm512_fmadd_pd(_mm512_mul_pd(half, inverse), rest, better);
        // m / (√v root + ε) from a 14-bit reciprocal, twice corrected.
        let divisor = _mm512_fmadd_pd(deviation, root, epsilon);
        let reciprocal = _mm512_rcp14_pd(divisor);
        let error = _mm512_fnmadd_pd(divisor, reciprocal, one);
        let reciprocal = _mm512_fmadd_pd(reciprocal, error, reciprocal);
        let error = _mm512_fnmadd_pd(divisor, reciprocal, one);
        let reciprocal = _mm512_fmadd_pd(reciprocal, error, reciprocal);
        let parameter = _mm512_fmadd_pd(_mm512_mul_pd(size, m), reciprocal, load(parameters, at));
        store(parameters, at, parameter);
        store(first, at, m);
        store(second, at, v);
    }
}

#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn exponentiate(
    logits: &[f64],
    shift: f64,
    log_target: &[f64],
    rewards: &[f64],
    weights: &mut [f64],
) -> Sums {
    let table = (load(&SIXTEENTHS, 0), load(&SIXTEENTHS, 8));
    let shift = _mm512_set1_pd(shift);
    let zero = _mm512_setzero_pd();
    let (mut mass, mut reward, mut to_target, mut exponent) = (zero, zero, zero, zero);
    for at in (0..weights.len()).step_by(8) {
        let x = _mm512_sub_pd(load(logits, at), shift);
        let mut e = exp(x, table);
        let left = weights.len() - at;
        if left < 8 {
            e = _mm512_maskz_mov_pd(low(left), e);
        }
        store(weights, at, e);
        mass = _mm512_add_pd(mass, e);
        reward = _mm512_fmadd_pd(e, load(rewards, at), reward);
        to_target = _mm512_fmadd_pd(e, _mm512_sub_pd(x, load(log_target, at)), to_target);
        exponent = _mm512_fmadd_pd(e, x, exponent);
    }
    Sums {
        mass: _mm512_reduce_add_pd(mass),
        reward: _mm512_reduce_add_pd(reward),
        to_target: _mm512_reduce_add_pd(to_target),
        exponent: _mm512_reduce_add_pd(exponent),
    }
}

#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn accumulate(weights: &[f64], total: f64, thresholds: &mut [u32]) {
    let scale = _mm512_set1_pd(f64::from(u32::MAX) / total);
    let zero = _mm512_setzero_si512();
    let last = _mm512_set1_epi64(7);
    let mut before = _mm512_setzero_pd();
    for at in (0..weights.len()).step_by(8) {
        // Sums within eight by doubling distances; the carry is the only chain between groups.
        let mut sums = load(weights, at);
        sums = _mm512_add_pd(sums, shifted::<7>(sums, zero));
        sums = _mm512_add_pd(sums, shifted::<6>(sums, zero));
        sums = _mm512_add_pd(sums, shifted::<4>(sums, zero));
        let own = _mm512_permutexvar_pd(last, sums);
        // Saturates where rounding goes past the whole.
        let words = _mm512_cvttpd_epu32(_mm512_mul_pd(_mm512_add_pd(sums, before), scale));
        before = _mm512_add_pd(before, own);
        let mut eight = [0u32; 8];
        // SAFETY: there is room for eight numbers.
        unsafe { _mm256_storeu_si256(eight.as_mut_ptr().cast(), words) };
        let here = 8.min(weights.len() - at);
        thresholds[at..at + here].copy_from_slice(&eight[..here]);
    }
}

/// The eight numbers moved up by 8 − `KEEP` places, zeros coming in.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn shifted<const KEEP: i32>(value: __m512d, zero: __m512i) -> __m512d {
    _mm512_castsi512_pd(_mm512_alignr_epi64::<KEEP>(
        _mm512_castpd_si512(value),
        zero,
    ))
}

/// How many of the 16 thresholds at `slice[at..]` lie at or below the word.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,popcnt")]
fn below(slice: &[u32], at: usize, word: __m512i) -> usize {
    let group = &slice[at..at + 16];
    // SAFETY: sixteen numbers are there.
    let group = unsafe { _mm512_loadu_si512(group.as_ptr().cast()) };
    _mm512_cmple_epu32_mask(group, word).count_ones() as usize
}

/// A tree of 16-way comparisons: per word two or three loads of one vector, which bounds it.
#[target_feature(enable = "avx512f,avx512dq,popcnt")]
pub(super) fn count(
    words: &[u32],
    [top, coarse, thresholds]: [&[u32]; 3],
    last: u32,
    histogram: &mut [u32],
    stride: usize,
) {
    let last = last as usize;
    let (ones, twos) = histogram.split_at_mut(2 * stride);
    let (first, second) = ones.split_at_mut(stride);
    let (third, fourth) = twos.split_at_mut(stride);
    let (deep, flat) = (coarse.len() > 16, thresholds.len() <= 16);
    let last_group = thresholds.len() - 16;
    let find = |word: u32| {
        let word = _mm512_set1_epi32(word as i32);
        let mut arm = 0;
        if deep {
            arm = 16 * below(top, 0, word);
        }
        if !flat {
            arm = 16 * (arm + below(coarse, arm.min(coarse.len() - 16), word));
        }
        (arm + below(thresholds, arm.min(last_group), word)).min(last)
    };
    let mut fours = words.chunks_exact(4);
    for four in &mut fours {
        first[find(four[0])] += 1;
        second[find(four[1])] += 1;
        third[find(four[2])] += 1;
        fourth[find(four[3])] += 1;
    }
    for &word in fours.remainder() {
        first[find(word)] += 1;
    }
}

/// One ChaCha quarter round of 16 blocks at once.
macro_rules! quarter {
    ($s:ident, $a:literal, $b:literal, $c:literal, $d:literal) => {
        $s[$a] = _mm512_add_epi32($s[$a], $s[$b]);
        $s[$d] = _mm512_rol_epi32::<16>(_mm512_xor_si512($s[$d], $s[$a]));
        $s[$c] = _mm512_add_epi32($s[$c], $s[$d]);
        $s[$b] = _mm512_rol_epi32::<12>(_mm512_xor_si512($s[$b], $s[$c]));
        $s[$a] = _mm512_add_epi32($s[$a], $s[$b]);
        $s[$d] = _mm512_rol_epi32::<8>(_mm512_xor_si512($s[$d], $s[$a]));
        $s[$c] = _mm512_add_epi32($s[$c], $s[$d]);
        $s[$b] = _mm512_rol_epi32::<7>(_mm512_xor_si512($s[$b], $s[$c]));
    };
}

#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn chacha8(key: &[u32; 8], counter: u64, stream: u64, out: &mut [u32; 256]) {
    let mut low = [0i32; 16];
    let mut high = [0i32; 16];
    for lane in 0..16 {
        let block = counter.wrapping_add(lane as u64);
        low[lane] = block as i32;
        high[lane] = (block >> 32) as i32;
    }
    let set = |word: u32| _mm512_set1_epi32(word as i32);
    // SAFETY: both arrays hold sixteen numbers.
    let (low, high) = unsafe {
        (
            _mm512_loadu_si512(low.as_ptr().cast()),
            _mm512_loadu_si512(high.as_ptr().cast()),
        )
    };
    let start = [
        set(0x6170_7865),
        set(0x3320_646e),
        set(0x7962_2d32),
        set(0x6b20_6574),
        set(key[0]),
        set(key[1]),
        set(key[2]),
        set(key[3]),
        set(key[4]),
        set(key[5]),
        set(key[6]),
        set(key[7]),
        low,
        high,
        set(stream as u32),
        set((stream >> 32) as u32),
    ];
    let mut s = start;
    for _ in 0..4 {
        quarter!(s, 0, 4, 8, 12);
        quarter!(s, 1, 5, 9, 13);
        quarter!(s, 2, 6, 10, 14);
        quarter!(s, 3, 7, 11, 15);
        quarter!(s, 0, 5, 10, 15);
        quarter!(s, 1, 6, 11, 12);
        quarter!(s, 2, 7, 8, 13);
        quarter!(s, 3, 4, 9, 14);
    }
    for (word, (state, start)) in s.into_iter().zip(start).enumerate() {
        let group = &mut out[16 * word..16 * word + 16];
        // SAFETY: there is room for sixteen numbers.
        unsafe { _mm512_storeu_si512(group.as_mut_ptr().cast(), _mm512_add_epi32(state, start)) };
    }
}
