//! The backward of chains of nodes, each the parent of the next. Keys and values of a chain's histories, and their
//! gradients, are gathered side by side while its nodes are taken, four queries at a time: where they come from, rows of
//! one history share so few places of the nearest cache that they would drive each other out.

#![expect(unsafe_code, reason = "vector instructions")]

use std::{arch::x86_64::*, cell::RefCell};

use super::{
    Attended,
    avx512::{add_scaled, last_mask, load, store},
    chain::{Part, QUERIES, get, mix, numbers, numbers_mut, products, set},
};
use crate::lm::fast::matmul::{LANES, Line};

thread_local! {
    static GATHERED: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// See [`super::attend_backward`].
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn attend_backward<const V: usize>(attended: Attended<'_>, kv: usize, part: &mut [f32]) {
    let mut rest = attended.order;
    while let Some(&first) = rest.first() {
        let mut chain = 1;
        while (rest.get(chain)).is_some_and(|&next| {
            attended.trie.parent(next as usize) == Some(rest[chain - 1] as usize)
        }) {
            chain += 1;
        }
        let (nodes, later) = rest.split_at(chain);
        rest = later;
        let last = nodes.last().map_or(first, |&node| node) as usize;
        chain_backward::<V>(attended, kv, (nodes, attended.trie.path(last)), part);
    }
}

/// The nodes of one chain, whose last one's history is `path`.
#[target_feature(enable = "avx512f,avx512vl")]
fn chain_backward<const V: usize>(
    attended: Attended<'_>,
    kv: usize,
    (nodes, path): (&[u32], &[u32]),
    part: &mut [f32],
) {
    let Attended {
        heads, trie, qkv, ..
    } = attended;
    let (dim, own, shared) = (heads.dim, heads.part(), heads.shared());
    let most = path.len().div_ceil(LANES);
    let (long, deep, rows) = (path.len() * V, most * V * LANES, QUERIES * most);
    GATHERED.with_borrow_mut(|lines| {
        lines.resize(lines.len().max(3 * long + deep + 2 * rows), Line::default());
        let (values, lines) = lines.split_at_mut(deep);
        let (keys, lines) = lines.split_at_mut(long);
        let (d_keys, lines) = lines.split_at_mut(long);
        let (d_values, lines) = lines.split_at_mut(long);
        let (weights, lines) = lines.split_at_mut(rows);
        let d_scores = &mut lines[..rows];
        let [key, value] = Part::of_head(heads, kv, qkv, path);
        key.gather::<V>(keys);
        value.gather_turned::<V>(values);
        d_keys.fill(Line::default());
        d_values.fill(Line::default());
        for four in nodes.chunks(QUERIES) {
            let node = |i: usize| four[i.min(four.len() - 1)] as usize;
            let longest = trie.path(node(four.len() - 1)).len();
            let blocks = longest.div_ceil(LANES);
            for group in 0..shared {
                let head = kv * shared + group;
                let dy: [&[f32]; QUERIES] = std::array::from_fn(|i| {
                    &attended.d_mixed[node(i) * heads.queries() + head * dim..][..dim]
                });
                let queries: [&[f32]; QUERIES] =
                    std::array::from_fn(|i| &qkv[node(i) * heads.width() + head * dim..][..dim]);
                let values = &values[..blocks * V * LANES];
                products(dy, values, V * LANES, 1.0, (&mut *d_scores, most));
                for (i, (weights, d_scores)) in (weights.chunks_exact_mut(most))
                    .zip(d_scores.chunks_exact_mut(most))
                    .enumerate()
                {
                    // Fewer nodes than four: the rest weigh nothing.
                    let row = numbers_mut(weights);
                    let len = if i < four.len() {
                        let range = trie.path_range(node(i));
                        let at = range.start * heads.heads + head * range.len();
                        row[..range.len()].copy_from_slice(&attended.weights[at..][..range.len()]);
                        range.len()
                    } else {
                        0
                    };
                    row[len..].fill(0.0);
                    through_softmax(&weights[..blocks], &mut d_scores[..blocks], heads.scale());
                }
                let sums = mix::<V>(d_scores, most, &keys[..longest * V]);
                for (&node, sums) in four.iter().zip(sums) {
                    let at = node as usize * own + group * dim;
                    store(&mut part[at..][..dim], sums, last_mask(dim));
                }
                spread::<V>(&mut d_values[..longest * V], weights, most, dy);
                spread::<V>(&mut d_keys[..longest * V], d_scores, most, queries);
            }
        }
        let last = last_mask(dim);
        for ((&past, d_key), d_value) in (path.iter())
            .zip(d_keys.chunks_exact(V))
            .zip(d_values.chunks_exact(V))
        {
            let row = &mut part[past as usize * own + shared * dim..][..2 * dim];
            let (to_key, to_value) = row.split_at_mut(dim);
            add_scaled::<V>(to_key, std::array::from_fn(|v| get(&d_key[v])), 1.0, last);
            add_scaled::<V>(
                to_value,
                std::array::from_fn(|v| get(&d_value[v])),
                1.0,
                last,
            );
        }
    });
}

/// From gradients of weights to those of scores: scale·w·(d − Σ w·d).
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn through_softmax(weights: &[Line], d: &mut [Line], scale: f32) {
    let mut mean = _mm512_setzero_ps();
    for (w, d) in weights.iter().zip(d.iter()) {
        mean = _mm512_fmadd_ps(get(w), get(d), mean);
    }
    let mean = _mm512_set1_ps(_mm512_reduce_add_ps(mean));
    let scale = _mm512_set1_ps(scale);
    for (w, d) in weights.iter().zip(d) {
        let centred = _mm512_sub_ps(get(d), mean);
        set(d, _mm512_mul_ps(_mm512_mul_ps(scale, get(w)), centred));
    }
}

/// Adds to every row of `to` the four rows of `from`, each by its share, which lie in rows of `row` lines.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn spread<const V: usize>(to: &mut [Line], shares: &[Line], row: usize, from: [&[f32]; QUERIES]) {
    let (shares, row) = (numbers(shares), row * LANES);
    assert!(to.len() / V <= row && shares.len() >= QUERIES * row);
    let last = last_mask(from[0].len());
    let mut rows = [[_mm512_setzero_ps(); V]; QUERIES];
    for (registers, from) in rows.iter_mut().zip(from) {
        *registers = load::<V>(from, last);
    }
    for (j, lines) in to.chunks_exact_mut(V).enumerate() {
        let mut sums: [__m512; V] = std::array::from_fn(|v| get(&lines[v]));
        for (i, registers) in rows.iter().enumerate() {
            // SAFETY: the lengths were just checked.
            let share = _mm512_set1_ps(unsafe { *shares.get_unchecked(i * row + j) });
            for (sum, register) in sums.iter_mut().zip(registers) {
                *sum = _mm512_fmadd_ps(share, *register, *sum);
            }
        }
        for (line, sum) in lines.iter_mut().zip(sums) {
            set(line, sum);
        }
    }
}
