//! The loops with AVX-512: a head lies in `V` registers, four dot products are summed over their lanes together.

#![expect(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::{Attended, Heads};
use crate::lm::fast::kernels;

const LANES: usize = 16;
const FOUR: usize = 4;

/// Registers of a head; heads longer than eight of them are left to the plain loops.
pub(super) fn registers(dim: usize) -> usize {
    dim.div_ceil(LANES)
}

/// The last register of a head, where it is not full.
fn last_mask(dim: usize) -> __mmask16 {
    match dim % LANES {
        0 => !0,
        rest => (1 << rest) - 1,
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn load<const V: usize>(row: &[f32], last: __mmask16) -> [__m512; V] {
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
fn store<const V: usize>(row: &mut [f32], all: [__m512; V], last: __mmask16) {
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
fn add_scaled<const V: usize>(row: &mut [f32], x: [__m512; V], s: f32, last: __mmask16) {
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
    let [a, b, c, d] = sums;
    let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    let all = _mm512_add_ps(
        _mm512_shuffle_ps::<0x44>(ab, cd),
        _mm512_shuffle_ps::<0xEE>(ab, cd),
    );
    let half = _mm512_add_ps(all, _mm512_shuffle_f32x4::<0b01_00_11_10>(all, all));
    let quarter = _mm512_add_ps(half, _mm512_shuffle_f32x4::<0b10_11_00_01>(half, half));
    let mut four = [0.0; FOUR];
    // SAFETY: there is room for four numbers.
    unsafe { _mm_storeu_ps(four.as_mut_ptr(), _mm512_castps512_ps128(quarter)) };
    four
}

/// Σ weight·row over a history.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn mix<const V: usize>(
    weights: &[f32],
    path: &[u32],
    (rows, width, at): (&[f32], usize, usize),
    (dim, last): (usize, __mmask16),
) -> [__m512; V] {
    // Two sets of sums hide the latency of additions.
    let mut sums = [[_mm512_setzero_ps(); V]; 2];
    let mut turn = |set: usize, weight: f32, past: u32| {
        let row = load::<V>(&rows[past as usize * width + at..][..dim], last);
        let weight = _mm512_set1_ps(weight);
        for (sum, row) in sums[set].iter_mut().zip(row) {
            *sum = _mm512_fmadd_ps(weight, row, *sum);
        }
    };
    let (weights, weights_rest) = weights.as_chunks::<2>();
    let (path, path_rest) = path.as_chunks::<2>();
    for (weights, past) in weights.iter().zip(path) {
        turn(0, weights[0], past[0]);
        turn(1, weights[1], past[1]);
    }
    for (&weight, &past) in weights_rest.iter().zip(path_rest) {
        turn(0, weight, past);
    }
    let [mut first, second] = sums;
    for (a, b) in first.iter_mut().zip(second) {
        *a = _mm512_add_ps(*a, b);
    }
    first
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
        kernels::softmax(weights);
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

/// See [`super::attend_backward`].
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn attend_backward<const V: usize>(
    attended: Attended<'_>,
    kv: usize,
    part: &mut [f32],
    scores: &mut Vec<f32>,
) {
    let Attended {
        heads,
        trie,
        order,
        qkv,
        weights,
        d_mixed,
    } = attended;
    let (width, dim, scale, shared) = (heads.width(), heads.dim, heads.scale(), heads.shared());
    let shape = (dim, last_mask(dim));
    let (key, value) = (heads.queries() + kv * dim, heads.rotated() + kv * dim);
    let own = heads.part();
    for &node in order {
        let node = node as usize;
        let path = trie.path(node);
        scores.resize(path.len(), 0.0);
        for group in 0..shared {
            let head = kv * shared + group;
            let at = trie.path_range(node).start * heads.heads + head * path.len();
            let weights = &weights[at..at + path.len()];
            let dy = load::<V>(
                &d_mixed[node * heads.queries() + head * dim..][..dim],
                shape.1,
            );
            let mut mean = 0.0;
            for ((scores, past), weights) in (scores.chunks_mut(FOUR))
                .zip(path.chunks(FOUR))
                .zip(weights.chunks(FOUR))
            {
                let d_weights = dots(dy, past, (qkv, width, value), shape);
                for (i, (score, &weight)) in scores.iter_mut().zip(weights).enumerate() {
                    *score = d_weights[i];
                    mean += weight * d_weights[i];
                    let d_value = &mut part[past[i] as usize * own + (shared + 1) * dim..][..dim];
                    add_scaled(d_value, dy, weight, shape.1);
                }
            }
            let query = load::<V>(&qkv[node * width + head * dim..][..dim], shape.1);
            for ((score, &weight), &past) in scores.iter_mut().zip(weights).zip(path) {
                *score = scale * weight * (*score - mean);
                let d_key = &mut part[past as usize * own + shared * dim..][..dim];
                add_scaled(d_key, query, *score, shape.1);
            }
            let d_query = mix::<V>(scores, path, (qkv, width, key), shape);
            store(
                &mut part[node * own + group * dim..][..dim],
                d_query,
                shape.1,
            );
        }
    }
}
