//! The forward of a chain of nodes, each the parent of the next: their histories are beginnings of the last one's, so keys
//! and values are gathered once for all of them, and four queries share every load.

#![expect(unsafe_code, reason = "vector instructions")]

use std::{arch::x86_64::*, cell::RefCell, ops::Range};

use super::{
    super::trie::Trie,
    Heads,
    avx512::{last_mask, load, softmax, store},
};
use crate::lm::fast::{
    matmul::{LANES, Line},
    registers::turn,
};

/// Queries taken together.
pub(super) const QUERIES: usize = 4;
/// Registers of keys taken together.
const BLOCKS: usize = 4;

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
        lines.resize(
            lines.len().max(deep + long + QUERIES * blocks),
            Line::default(),
        );
        let (keys, rest) = lines.split_at_mut(deep);
        let (values, shares) = rest.split_at_mut(long);
        let shares = &mut shares[..QUERIES * blocks];
        for kv in 0..heads.kv_heads {
            let [key, value] = Part::of_head(heads, kv, qkv, path);
            key.gather_turned::<V>(keys);
            value.gather::<V>(values);
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

/// Some of the numbers of each row of a history, say the keys of one head.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    rows: &'a [f32],
    path: &'a [u32],
    /// Numbers from row to row.
    width: usize,
    at: usize,
    dim: usize,
}

impl<'a> Part<'a> {
    /// The keys and the values of one head.
    pub(super) fn of_head(heads: Heads, kv: usize, qkv: &'a [f32], path: &'a [u32]) -> [Self; 2] {
        [heads.queries(), heads.rotated()].map(|first| Self {
            rows: qkv,
            path,
            width: heads.width(),
            at: first + kv * heads.dim,
            dim: heads.dim,
        })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    fn row<const V: usize>(self, past: u32, last: __mmask16) -> [__m512; V] {
        load::<V>(
            &self.rows[past as usize * self.width + self.at..][..self.dim],
            last,
        )
    }

    /// Row by row, each in `V` lines.
    #[target_feature(enable = "avx512f,avx512vl")]
    pub(super) fn gather<const V: usize>(self, lines: &mut [Line]) {
        let last = last_mask(self.dim);
        for (&past, lines) in self.path.iter().zip(lines.chunks_exact_mut(V)) {
            put(lines, self.row::<V>(past, last));
        }
    }

    /// Sixteen rows by sixteen, each number of theirs in a line of its own.
    #[target_feature(enable = "avx512f,avx512vl")]
    pub(super) fn gather_turned<const V: usize>(self, lines: &mut [Line]) {
        let last = last_mask(self.dim);
        for (path, lines) in (self.path.chunks(LANES)).zip(lines.chunks_exact_mut(V * LANES)) {
            let mut rows = [[_mm512_setzero_ps(); LANES]; V];
            for (i, &past) in path.iter().enumerate() {
                for (rows, register) in rows.iter_mut().zip(self.row::<V>(past, last)) {
                    rows[i] = register;
                }
            }
            for (lines, rows) in lines.chunks_exact_mut(LANES).zip(rows) {
                put(lines, turn(rows));
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
        products(
            queries,
            &keys[..blocks * V * LANES],
            V * LANES,
            scale,
            (&mut *shares, most),
        );
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

/// Scaled products of four queries with every row that [`Part::gather_turned`] left, sixteen of them in `block` lines.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn products(
    queries: [&[f32]; QUERIES],
    keys: &[Line],
    block: usize,
    scale: f32,
    (to, row): (&mut [Line], usize),
) {
    let blocks = keys.len() / block;
    for at in (0..blocks).step_by(BLOCKS) {
        let keys = &keys[at * block..];
        let to = (&mut to[at..], row);
        match blocks - at {
            1 => scores::<1>(queries, keys, block, scale, to),
            2 => scores::<2>(queries, keys, block, scale, to),
            3 => scores::<3>(queries, keys, block, scale, to),
            _ => scores::<BLOCKS>(queries, keys, block, scale, to),
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
pub(super) fn mix<const V: usize>(
    shares: &[Line],
    row: usize,
    values: &[Line],
) -> [[__m512; V]; QUERIES] {
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
pub(super) fn get(line: &Line) -> __m512 {
    // SAFETY: a register's worth of numbers, aligned like one.
    unsafe { _mm512_load_ps(line.0.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn set(line: &mut Line, register: __m512) {
    // SAFETY: as for `get`.
    unsafe { _mm512_store_ps(line.0.as_mut_ptr(), register) };
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn put<const N: usize>(lines: &mut [Line], registers: [__m512; N]) {
    for (line, register) in lines.iter_mut().zip(registers) {
        set(line, register);
    }
}

pub(super) fn numbers(lines: &[Line]) -> &[f32] {
    // SAFETY: a line is sixteen numbers and nothing else.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LANES) }
}

pub(super) fn numbers_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: as for `numbers`.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}
