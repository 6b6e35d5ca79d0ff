//! The loops with AVX-512: a head lies in `V` registers, four dot products are summed over their lanes together.

#![expect(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::{Attended, Heads};
use crate::lm::fast::registers::{LANES, four_sums, mask};

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

/// See [`super::attend_backward`]. Keys and values of a sequence, and their gradients, are gathered side by side while its
/// nodes are taken: where they come from, rows of one history share so few places of the nearest cache that they would
/// drive each other out.
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn attend_backward<const V: usize>(
    attended: Attended<'_>,
    kv: usize,
    part: &mut [f32],
    scratch: &mut Vec<f32>,
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
    let last = last_mask(dim);
    let (key, value) = (heads.queries() + kv * dim, heads.rotated() + kv * dim);
    let own = heads.part();
    let mut rest = order;
    while let Some(&first) = rest.first() {
        // A chain of nodes, each the parent of the next: their histories are beginnings of the last one's.
        let mut chain = 1;
        while (rest.get(chain)).is_some_and(|&next| {
            let path = trie.path(next as usize);
            path.len() > 1 && path[path.len() - 2] == rest[chain - 1]
        }) {
            chain += 1;
        }
        let (nodes, later) = rest.split_at(chain);
        rest = later;
        let path = trie.path(nodes.last().map_or(first, |&node| node) as usize);
        let len = path.len();
        scratch.resize(len * (1 + 4 * V * LANES), 0.0);
        let (scores, rows) = scratch.split_at_mut(len);
        let (rows, _) = rows.as_chunks_mut::<LANES>();
        let (keys, rows) = rows.split_at_mut(len * V);
        let (values, gradients) = rows.split_at_mut(len * V);
        gradients.fill([0.0; LANES]);
        let (d_keys, d_values) = gradients.split_at_mut(len * V);
        for ((&past, key_row), value_row) in (path.iter())
            .zip(keys.chunks_exact_mut(V))
            .zip(values.chunks_exact_mut(V))
        {
            let row = &qkv[past as usize * width..][..width];
            put(key_row, load::<V>(&row[key..][..dim], last));
            put(value_row, load::<V>(&row[value..][..dim], last));
        }
        for &node in nodes {
            let node = node as usize;
            let range = trie.path_range(node);
            let len = range.len();
            let scores = &mut scores[..len];
            for group in 0..shared {
                let head = kv * shared + group;
                let at = range.start * heads.heads + head * len;
                let weights = &weights[at..at + len];
                let dy = &d_mixed[node * heads.queries() + head * dim..][..dim];
                let dy = load::<V>(dy, last);
                let mut mean = 0.0;
                for (((scores, weights), values), d_values) in (scores.chunks_mut(FOUR))
                    .zip(weights.chunks(FOUR))
                    .zip(values.chunks(FOUR * V))
                    .zip(d_values.chunks_mut(FOUR * V))
                {
                    let d_weights = near_dots::<V>(dy, values);
                    for (i, ((score, &weight), d_value)) in (scores.iter_mut())
                        .zip(weights)
                        .zip(d_values.chunks_exact_mut(V))
                        .enumerate()
                    {
                        *score = d_weights[i];
                        mean += weight * d_weights[i];
                        add::<V>(d_value, dy, weight);
                    }
                }
                let query = load::<V>(&qkv[node * width + head * dim..][..dim], last);
                let mut d_query = [_mm512_setzero_ps(); V];
                for (((&score, &weight), key), d_key) in (scores.iter())
                    .zip(weights)
                    .zip(keys.chunks_exact(V))
                    .zip(d_keys.chunks_exact_mut(V))
                {
                    let d_score = scale * weight * (score - mean);
                    add::<V>(d_key, query, d_score);
                    let d_score = _mm512_set1_ps(d_score);
                    for (sum, key) in d_query.iter_mut().zip(get::<V>(key)) {
                        *sum = _mm512_fmadd_ps(d_score, key, *sum);
                    }
                }
                let to = &mut part[node * own + group * dim..][..dim];
                store(to, d_query, last);
            }
        }
        for ((&past, d_key), d_value) in (path.iter())
            .zip(d_keys.chunks_exact(V))
            .zip(d_values.chunks_exact(V))
        {
            let row = &mut part[past as usize * own + shared * dim..][..2 * dim];
            let (to_key, to_value) = row.split_at_mut(dim);
            add_scaled(to_key, get::<V>(d_key), 1.0, last);
            add_scaled(to_value, get::<V>(d_value), 1.0, last);
        }
    }
}

/// The registers of a gathered row.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn get<const V: usize>(row: &[[f32; LANES]]) -> [__m512; V] {
    let mut all = [_mm512_setzero_ps(); V];
    for (register, lanes) in all.iter_mut().zip(row) {
        // SAFETY: a register's worth of numbers.
        *register = unsafe { _mm512_loadu_ps(lanes.as_ptr()) };
    }
    all
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn put<const V: usize>(row: &mut [[f32; LANES]], all: [__m512; V]) {
    for (lanes, register) in row.iter_mut().zip(all) {
        // SAFETY: as for `get`.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), register) };
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn add<const V: usize>(row: &mut [[f32; LANES]], x: [__m512; V], s: f32) {
    let mut y = get::<V>(row);
    let s = _mm512_set1_ps(s);
    for (y, x) in y.iter_mut().zip(x) {
        *y = _mm512_fmadd_ps(s, x, *y);
    }
    put(row, y);
}

/// The dot products of `x` with up to four gathered rows.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn near_dots<const V: usize>(x: [__m512; V], rows: &[[f32; LANES]]) -> [f32; FOUR] {
    let mut sums = [_mm512_setzero_ps(); FOUR];
    for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(V)) {
        for (x, row) in x.into_iter().zip(get::<V>(row)) {
            *sum = _mm512_fmadd_ps(x, row, *sum);
        }
    }
    four_sums(sums)
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
