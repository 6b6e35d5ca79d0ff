//! The forward of a chain of nodes, each the parent of the next: their histories are beginnings of the last one's, so keys
//! and values are gathered once for all of them, and four queries share every load.

#![expect(unsafe_code, reason = "vector instructions")]

use std::{arch::x86_64::*, cell::RefCell, ops::Range};

use super::{
    super::trie::Trie,
    Heads,
    avx512::{last_mask, load, softmax, store},
};
use crate::lm::fast::registers::{LANES, turn};

/// Queries taken together.
const QUERIES: usize = 4;
/// Registers of keys taken together.
const BLOCKS: usize = 4;

/// One register's worth of numbers.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([f32; LANES]);

impl Line {
    const ZERO: Self = Self([0.0; LANES]);
}

thread_local! {
    /// Keys, values and weights of one head.
    static GATHERED: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// See [`super::attend_all`]. Every node's sums are made in an order of their own, whatever the nodes beside it.
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn attend_chain<const V: usize>(
    heads: Heads,
    qkv: &[f32],
    trie: &Trie,
    nodes: Range<usize>,
    weights: &mut [f32],
    mixed: &mut [f32],
) {
    let Some(last_node) = nodes.clone().next_back() else {
        return;
    };
    let path = trie.path(last_node);
    let blocks = path.len().div_ceil(LANES);
    GATHERED.with_borrow_mut(|lines| {
        let (deep, long) = (blocks * V * LANES, path.len() * V);
        lines.resize(lines.len().max(deep + long + QUERIES * blocks), Line::ZERO);
        let (keys, rest) = lines.split_at_mut(deep);
        let (values, shares) = rest.split_at_mut(long);
        let shares = &mut shares[..QUERIES * blocks];
        for kv in 0..heads.kv_heads {
            gather::<V>(heads, qkv, path, kv, (&mut *keys, &mut *values));
            for head in kv * heads.shared()..(kv + 1) * heads.shared() {
                attend_head::<V>(
                    (heads, head),
                    qkv,
                    (trie, nodes.clone()),
                    (&*keys, &*values, &mut *shares),
                    (&mut *weights, &mut *mixed),
                );
            }
        }
    });
}

/// Keys sixteen by sixteen, each number of theirs in a line of its own, and values row by row.
#[target_feature(enable = "avx512f,avx512vl")]
fn gather<const V: usize>(
    heads: Heads,
    qkv: &[f32],
    path: &[u32],
    kv: usize,
    (keys, values): (&mut [Line], &mut [Line]),
) {
    let (width, dim, last) = (heads.width(), heads.dim, last_mask(heads.dim));
    let (key, value) = (heads.queries() + kv * dim, heads.rotated() + kv * dim);
    for ((past, keys), values) in (path.chunks(LANES))
        .zip(keys.chunks_exact_mut(V * LANES))
        .zip(values.chunks_mut(LANES * V))
    {
        let mut rows = [[_mm512_setzero_ps(); LANES]; V];
        for ((i, &past), values) in past.iter().enumerate().zip(values.chunks_exact_mut(V)) {
            let row = &qkv[past as usize * width..][..width];
            for (rows, register) in rows.iter_mut().zip(load::<V>(&row[key..][..dim], last)) {
                rows[i] = register;
            }
            for (line, register) in values.iter_mut().zip(load::<V>(&row[value..][..dim], last)) {
                set(line, register);
            }
        }
        for (keys, rows) in keys.chunks_exact_mut(LANES).zip(rows) {
            for (line, register) in keys.iter_mut().zip(turn(rows)) {
                set(line, register);
            }
        }
    }
}

/// One head of all nodes.
#[target_feature(enable = "avx512f,avx512vl")]
fn attend_head<const V: usize>(
    (heads, head): (Heads, usize),
    qkv: &[f32],
    (trie, nodes): (&Trie, Range<usize>),
    (keys, values, shares): (&[Line], &[Line], &mut [Line]),
    (weights, mixed): (&mut [f32], &mut [f32]),
) {
    let (width, dim, scale) = (heads.width(), heads.dim, heads.scale());
    let most = shares.len() / QUERIES;
    let start = trie.path_range(nodes.start).start;
    for first in nodes.clone().step_by(QUERIES) {
        let count = QUERIES.min(nodes.end - first);
        // Fewer queries than four: the last one again, and nobody looks.
        let node = |i: usize| first + i.min(count - 1);
        let longest = trie.path_range(node(count - 1)).len();
        let queries: [&[f32]; QUERIES] =
            std::array::from_fn(|i| &qkv[node(i) * width + head * dim..][..dim]);
        let blocks = longest.div_ceil(LANES);
        for at in (0..blocks).step_by(BLOCKS) {
            let keys = &keys[at * V * LANES..];
            let to = (&mut shares[at..], most);
            match blocks - at {
                1 => scores::<1>(queries, keys, V * LANES, scale, to),
                2 => scores::<2>(queries, keys, V * LANES, scale, to),
                3 => scores::<3>(queries, keys, V * LANES, scale, to),
                _ => scores::<BLOCKS>(queries, keys, V * LANES, scale, to),
            }
        }
        for (i, shares) in shares.chunks_exact_mut(most).enumerate().take(count) {
            let range = trie.path_range(node(i));
            let row = numbers_mut(shares);
            let (own, past) = row.split_at_mut(range.len());
            softmax(own);
            // The longest history of the four is summed for all of them.
            past.fill(0.0);
            let at = (range.start - start) * heads.heads + head * range.len();
            weights[at..at + range.len()].copy_from_slice(own);
        }
        let values = &values[..longest * V];
        let sums = mix::<V>(&*shares, most, values);
        for (i, sums) in sums.into_iter().enumerate().take(count) {
            let row = (first + i - nodes.start) * heads.queries() + head * dim;
            store(&mut mixed[row..][..dim], sums, last_mask(dim));
        }
    }
}

/// Scaled products of four queries with `B` blocks of sixteen keys, each block `block` lines long.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn scores<const B: usize>(
    queries: [&[f32]; QUERIES],
    keys: &[Line],
    block: usize,
    scale: f32,
    (to, row): (&mut [Line], usize),
) {
    let dim = queries[0].len();
    assert!(keys.len() >= (B - 1) * block + dim && queries.iter().all(|q| q.len() == dim));
    let mut sums = [[_mm512_setzero_ps(); B]; QUERIES];
    for d in 0..dim {
        // SAFETY: the lengths were just checked.
        unsafe {
            let keys: [__m512; B] = std::array::from_fn(|b| get(keys.get_unchecked(b * block + d)));
            for (sums, query) in sums.iter_mut().zip(queries) {
                let number = _mm512_set1_ps(*query.get_unchecked(d));
                for (sum, key) in sums.iter_mut().zip(keys) {
                    *sum = _mm512_fmadd_ps(number, key, *sum);
                }
            }
        }
    }
    let scale = _mm512_set1_ps(scale);
    for (to, sums) in to.chunks_mut(row).zip(sums) {
        for (line, sum) in to.iter_mut().zip(sums) {
            set(line, _mm512_mul_ps(sum, scale));
        }
    }
}

/// Σ weight·value of four queries, whose weights lie in rows of `row` lines.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn mix<const V: usize>(shares: &[Line], row: usize, values: &[Line]) -> [[__m512; V]; QUERIES] {
    let shares = numbers(shares);
    let mut sums = [[_mm512_setzero_ps(); V]; QUERIES];
    let row = row * LANES;
    assert!(values.len() / V <= row && shares.len() >= QUERIES * row);
    for (j, values) in values.chunks_exact(V).enumerate() {
        let values: [__m512; V] = std::array::from_fn(|v| get(&values[v]));
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the lengths were just checked.
            let share = _mm512_set1_ps(unsafe { *shares.get_unchecked(i * row + j) });
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = _mm512_fmadd_ps(share, value, *sum);
            }
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn get(line: &Line) -> __m512 {
    // SAFETY: a register's worth of numbers, aligned like one.
    unsafe { _mm512_load_ps(line.0.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn set(line: &mut Line, register: __m512) {
    // SAFETY: as for `get`.
    unsafe { _mm512_store_ps(line.0.as_mut_ptr(), register) };
}

fn numbers(lines: &[Line]) -> &[f32] {
    // SAFETY: a line is sixteen numbers and nothing else.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LANES) }
}

fn numbers_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: as for `numbers`.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}
