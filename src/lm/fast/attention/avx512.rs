//! The loops with AVX-512: a head lies in `V` registers, four dot products are summed over their lanes together.

#![expect(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::Heads;
use crate::lm::fast::{
    matmul::LANES,
    registers::{four_sums, mask},
};

const FOUR: usize = 4;

/// Registers of a head; heads longer than eight of them are left to the plain loops.
pub(super) fn registers(dim: usize) -> usize {
    dim.div_ceil(LANES)
}

/// The last register of a head, where it is not full.
pub(super) fn last_mask(dim: usize) -> __mmask16 {
    match dim % LANES {
        0 => !0,
        rest => mask(rest),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn load<const V: usize>(row: &[f32], last: __mmask16) -> [__m512; V] {
    let mut all = [_mm512_setzero_ps(); V];
    assert!(row.len() + LANES > V * LANES);
    for (v, register) in all.iter_mut().enumerate() {
        // SAFETY: the row reaches into the last register, and the mask leaves out what is past its end.
        *register = unsafe {
            let from = row.as_ptr().add(v * LANES);
            if v + 1 == V {
                _mm512_maskz_loadu_ps(last, from)
            } else {
                _mm512_loadu_ps(from)
            }
        };
    }
    all
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn store<const V: usize>(row: &mut [f32], all: [__m512; V], last: __mmask16) {
    assert!(row.len() + LANES > V * LANES);
    for (v, register) in all.into_iter().enumerate() {
        // SAFETY: as for `load`.
        unsafe {
            let to = row.as_mut_ptr().add(v * LANES);
            if v + 1 == V {
                _mm512_mask_storeu_ps(to, last, register);
            } else {
                _mm512_storeu_ps(to, register);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn add_scaled<const V: usize>(row: &mut [f32], x: [__m512; V], s: f32, last: __mmask16) {
    let mut y = load::<V>(row, last);
    let s = _mm512_set1_ps(s);
    for (y, x) in y.iter_mut().zip(x) {
        *y = _mm512_fmadd_ps(s, x, *y);
    }
    store(row, y, last);
}

/// The dot products of `x` with up to four rows of a history.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn dots<const V: usize>(
    x: [__m512; V],
    past: &[u32],
    (rows, width, at): (&[f32], usize, usize),
    (dim, last): (usize, __mmask16),
) -> [f32; FOUR] {
    let mut sums = [_mm512_setzero_ps(); FOUR];
    for (i, sum) in sums.iter_mut().enumerate() {
        let past = past[i.min(past.len() - 1)] as usize;
        let row = load::<V>(&rows[past * width + at..][..dim], last);
        for (x, row) in x.into_iter().zip(row) {
            *sum = _mm512_fmadd_ps(x, row, *sum);
        }
    }
    four_sums(sums)
}

/// See [`super::attend`]. All heads take a few rows of the history at a time: rows of a history lie far apart, and each is
/// read straight on, once for its keys and once for its values.
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn attend<const V: usize>(
    heads: Heads,
    qkv: &[f32],
    path: &[u32],
    weights: &mut [f32],
    mixed: &mut [f32],
) {
    let (width, dim, scale, len) = (heads.width(), heads.dim, heads.scale(), path.len());
    let shape = (dim, last_mask(dim));
    let own = path.last().map_or(0, |&node| node as usize) * width;
    let (keys, values) = (heads.queries(), heads.rotated());
    let ahead = |past: usize, at: usize| {
        for &past in path[past.min(len)..].iter().take(FOUR) {
            for line in (0..heads.kv_heads * dim).step_by(LANES) {
                let row = (qkv.as_ptr()).wrapping_add(past as usize * width + at + line);
                _mm_prefetch::<_MM_HINT_T0>(row.cast());
            }
        }
    };
    ahead(0, keys);
    for (chunk, past) in path.chunks(FOUR).enumerate() {
        ahead((chunk + 1) * FOUR, keys);
        for kv in 0..heads.kv_heads {
            for head in kv * heads.shared()..(kv + 1) * heads.shared() {
                let query = load::<V>(&qkv[own + head * dim..][..dim], shape.1);
                let scores = dots(query, past, (qkv, width, keys + kv * dim), shape);
                let weights = &mut weights[head * len + chunk * FOUR..][..past.len()];
                for (weight, score) in weights.iter_mut().zip(scores) {
                    *weight = scale * score;
                }
            }
        }
    }
    ahead(0, values);
    for weights in weights.chunks_exact_mut(len).take(heads.heads) {
        softmax(weights);
    }
    for (chunk, past) in path.chunks(FOUR).enumerate() {
        ahead((chunk + 1) * FOUR, values);
        for kv in 0..heads.kv_heads {
            for head in kv * heads.shared()..(kv + 1) * heads.shared() {
                let mixed = &mut mixed[head * dim..][..dim];
                let weights = &weights[head * len + chunk * FOUR..][..past.len()];
                let mut sums = if chunk == 0 {
                    [_mm512_setzero_ps(); V]
                } else {
                    load::<V>(mixed, shape.1)
                };
                for (&weight, &past) in weights.iter().zip(past) {
                    let at = past as usize * width + values + kv * dim;
                    let row = load::<V>(&qkv[at..][..dim], shape.1);
                    let weight = _mm512_set1_ps(weight);
                    for (sum, row) in sums.iter_mut().zip(row) {
                        *sum = _mm512_fmadd_ps(weight, row, *sum);
                    }
                }
                store(mixed, sums, shape.1);
            }
        }
    }
}

/// Softmax of the scores of one head. Histories are short: `kernels::softmax`, made for rows of a vocabulary, takes
/// several times as long for what does not fill its lanes, and finds a log sum that nobody asks for here.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn softmax(scores: &mut [f32]) {
    let (whole, rest) = scores.as_chunks_mut::<LANES>();
    let mask = mask(rest.len());
    let lowest = _mm512_set1_ps(f32::NEG_INFINITY);
    // SAFETY: a register's worth of numbers, or as many as the mask lets through.
    unsafe {
        let tail = _mm512_mask_loadu_ps(lowest, mask, rest.as_ptr());
        let mut top = tail;
        for lanes in whole.iter() {
            top = _mm512_max_ps(top, _mm512_loadu_ps(lanes.as_ptr()));
        }
        let top = _mm512_set1_ps(_mm512_reduce_max_ps(top));
        let mut sum = exp(_mm512_sub_ps(tail, top));
        _mm512_mask_storeu_ps(rest.as_mut_ptr(), mask, sum);
        for lanes in whole.iter_mut() {
            let e = exp(_mm512_sub_ps(_mm512_loadu_ps(lanes.as_ptr()), top));
            _mm512_storeu_ps(lanes.as_mut_ptr(), e);
            sum = _mm512_add_ps(sum, e);
        }
        let inverse = _mm512_set1_ps(1.0 / _mm512_reduce_add_ps(sum));
        for lanes in whole.iter_mut() {
            let e = _mm512_mul_ps(_mm512_loadu_ps(lanes.as_ptr()), inverse);
            _mm512_storeu_ps(lanes.as_mut_ptr(), e);
        }
        let e = _mm512_maskz_loadu_ps(mask, rest.as_ptr());
        _mm512_mask_storeu_ps(rest.as_mut_ptr(), mask, _mm512_mul_ps(e, inverse));
    }
}

/// e^x for x ≤ 0, to about 2 ulp; 0 far below.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn exp(x: __m512) -> __m512 {
    let whole =
        _mm512_roundscale_ps::<0x08>(_mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E)));
    let r = _mm512_fnmadd_ps(whole, _mm512_set1_ps(0.693_359_4), x);
    let r = _mm512_fnmadd_ps(whole, _mm512_set1_ps(-2.121_944_4e-4), r);
    let mut p = _mm512_set1_ps(0.001_398_2);
    for c in [0.008_333_684, 0.041_665_8, 0.166_666_66, 0.5, 1.0, 1.0] {
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
    }
    let scaled = _mm512_scalef_ps(p, whole);
    // Infinities leave nothing to round.
    let there = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(x, _mm512_set1_ps(-100.0));
    _mm512_maskz_mov_ps(there, scaled)
}
