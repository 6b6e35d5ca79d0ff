//! Attention of tree nodes over their histories, forward and backward.
//!
//! Heads are short (24 to 128 numbers), so the loops run over a few registers at a time and stay inside one function per
//! node; a call per pair of vectors would cost more than the arithmetic.

use std::ops::Range;

use super::{super::config::ModelConfig, buffer::take, kernels, trie::Trie};

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod chain;
#[cfg(target_arch = "x86_64")]
mod chain_backward;

/// How a row of q, k and v is divided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) dim: usize,
}

impl Heads {
    pub(super) fn new(config: &ModelConfig) -> Self {
        Self {
            heads: config.heads,
            kv_heads: config.kv_heads,
            dim: config.head_dim,
        }
    }

    /// Numbers in a row of queries.
    pub(super) fn queries(self) -> usize {
        self.heads * self.dim
    }

    /// Numbers in a row of queries and keys.
    pub(super) fn rotated(self) -> usize {
        (self.heads + self.kv_heads) * self.dim
    }

    /// Numbers in a row of queries, keys and values.
    pub(super) fn width(self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.dim
    }

    /// Query heads that share a key.
    fn shared(self) -> usize {
        self.heads / self.kv_heads
    }

    fn scale(self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }
}

const WIDE: usize = 16;
const HALF: usize = 8;

/// Σ a·b of short rows.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; WIDE];
    let (a, a_rest) = a.as_chunks::<WIDE>();
    let (b, b_rest) = b.as_chunks::<WIDE>();
    for (a, b) in a.iter().zip(b) {
        for i in 0..WIDE {
            lanes[i] += a[i] * b[i];
        }
    }
    let (a, a_rest) = a_rest.as_chunks::<HALF>();
    let (b, b_rest) = b_rest.as_chunks::<HALF>();
    for (a, b) in a.iter().zip(b) {
        for i in 0..HALF {
            lanes[i] += a[i] * b[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    let mut width = WIDE / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0] + rest
}

/// y += s·x of short rows.
#[inline(always)]
fn add_scaled(y: &mut [f32], x: &[f32], s: f32) {
    let (y, y_rest) = y.as_chunks_mut::<WIDE>();
    let (x, x_rest) = x.as_chunks::<WIDE>();
    for (y, x) in y.iter_mut().zip(x) {
        for i in 0..WIDE {
            y[i] += s * x[i];
        }
    }
    let (y, y_rest) = y_rest.as_chunks_mut::<HALF>();
    let (x, x_rest) = x_rest.as_chunks::<HALF>();
    for (y, x) in y.iter_mut().zip(x) {
        for i in 0..HALF {
            y[i] += s * x[i];
        }
    }
    for (y, x) in y_rest.iter_mut().zip(x_rest) {
        *y += s * x;
    }
}

/// y[..N] (+)= Σ weight·row[at..at + N] over a history, in registers.
#[inline(always)]
fn mix<const N: usize>(
    y: &mut [f32],
    weights: &[f32],
    path: &[u32],
    (rows, width, at): (&[f32], usize, usize),
    add: bool,
) {
    let mut sums = [0.0f32; N];
    for (&weight, &past) in weights.iter().zip(path) {
        let row = &rows[past as usize * width + at..][..N];
        for i in 0..N {
            sums[i] += weight * row[i];
        }
    }
    for (y, sum) in y.iter_mut().zip(sums) {
        *y = if add { *y + sum } else { sum };
    }
}

/// [`mix`] for a whole head.
#[inline(always)]
fn mix_head(
    y: &mut [f32],
    weights: &[f32],
    path: &[u32],
    (rows, width, at): (&[f32], usize, usize),
    add: bool,
) {
    let mut done = 0;
    while y.len() - done >= 32 {
        mix::<32>(
            &mut y[done..done + 32],
            weights,
            path,
            (rows, width, at + done),
            add,
        );
        done += 32;
    }
    while y.len() - done >= HALF {
        mix::<HALF>(
            &mut y[done..done + HALF],
            weights,
            path,
            (rows, width, at + done),
            add,
        );
        done += HALF;
    }
    while y.len() > done {
        mix::<1>(
            &mut y[done..=done],
            weights,
            path,
            (rows, width, at + done),
            add,
        );
        done += 1;
    }
}

/// Runs the loops for the registers of a head where there is AVX-512.
macro_rules! wide {
    ($heads:expr, $place:ident::$name:ident($($argument:expr),*)) => {
        #[cfg(target_arch = "x86_64")]
        if kernels::level() == kernels::Level::Wide {
            #[expect(unsafe_code, reason = "calls the form for the instruction set that was found")]
            // SAFETY: `level` found the instructions.
            unsafe {
                match avx512::registers($heads.dim) {
                    1 => return $place::$name::<1>($($argument),*),
                    2 => return $place::$name::<2>($($argument),*),
                    3 => return $place::$name::<3>($($argument),*),
                    4 => return $place::$name::<4>($($argument),*),
                    5 => return $place::$name::<5>($($argument),*),
                    6 => return $place::$name::<6>($($argument),*),
                    8 => return $place::$name::<8>($($argument),*),
                    _ => {}
                }
            }
        }
    };
}

/// Weights (heads × history, node by node) and mixed values (rows of queries) of some nodes; `qkv` holds the rows of their
/// whole histories. What a node gets does not depend on the nodes that it is taken with.
pub(super) fn attend_all(
    heads: Heads,
    qkv: &[f32],
    trie: &Trie,
    nodes: Range<usize>,
    mut weights: &mut [f32],
    mut mixed: &mut [f32],
) {
    // A node right behind its parent goes on a chain, wherever a block of nodes begins.
    let follows = |node: usize| trie.parent(node).is_some_and(|parent| parent + 1 == node);
    let mut node = nodes.start;
    while node < nodes.end {
        let chain = (node..nodes.end).take_while(|&next| follows(next)).count();
        let taken = node..node + chain.max(1);
        let own = take(&mut weights, trie.paths_between(&taken) * heads.heads);
        let rows = take(&mut mixed, taken.len() * heads.queries());
        node = taken.end;
        if chain == 0 {
            attend(heads, qkv, trie.path(taken.start), own, rows);
        } else {
            attend_chain(heads, qkv, trie, taken, own, rows);
        }
    }
}

fn attend_chain(
    heads: Heads,
    qkv: &[f32],
    trie: &Trie,
    nodes: Range<usize>,
    mut weights: &mut [f32],
    mut mixed: &mut [f32],
) {
    wide!(
        heads,
        chain::attend_chain(heads, qkv, trie, nodes, weights, mixed)
    );
    for node in nodes {
        let path = trie.path(node);
        let weights = take(&mut weights, path.len() * heads.heads);
        plain_attend(heads, qkv, path, weights, take(&mut mixed, heads.queries()));
    }
}

/// Weights (heads × history) and mixed values (a row of queries) of one node; `qkv` holds the rows of its whole history.
fn attend(heads: Heads, qkv: &[f32], path: &[u32], weights: &mut [f32], mixed: &mut [f32]) {
    wide!(heads, avx512::attend(heads, qkv, path, weights, mixed));
    plain_attend(heads, qkv, path, weights, mixed);
}

fn plain_attend(heads: Heads, qkv: &[f32], path: &[u32], weights: &mut [f32], mixed: &mut [f32]) {
    let (width, dim, scale, len) = (heads.width(), heads.dim, heads.scale(), path.len());
    let own = path.last().map_or(0, |&node| node as usize) * width;
    for kv in 0..heads.kv_heads {
        let (key, value) = (heads.queries() + kv * dim, heads.rotated() + kv * dim);
        for head in kv * heads.shared()..(kv + 1) * heads.shared() {
            let query = &qkv[own + head * dim..][..dim];
            let weights = &mut weights[head * len..][..len];
            for (weight, &past) in weights.iter_mut().zip(path) {
                *weight = scale * dot(query, &qkv[past as usize * width + key..][..dim]);
            }
            kernels::softmax(weights);
            mix_head(
                &mut mixed[head * dim..][..dim],
                weights,
                path,
                (qkv, width, value),
                false,
            );
        }
    }
}

/// What one key/value head's backward reads.
#[derive(Clone, Copy)]
pub(super) struct Attended<'a> {
    pub(super) heads: Heads,
    pub(super) trie: &'a Trie,
    /// The nodes, in the order in which they are taken.
    pub(super) order: &'a [u32],
    pub(super) qkv: &'a [f32],
    /// Attention weights, heads × history of each node, node by node.
    pub(super) weights: &'a [f32],
    /// Gradient of the mixed values.
    pub(super) d_mixed: &'a [f32],
}

impl Heads {
    /// Numbers per node in the gradient of one key/value head: its queries, its key, its value.
    pub(super) fn part(self) -> usize {
        (self.shared() + 2) * self.dim
    }
}

/// Gradient of the queries, keys and values of key/value head `kv` into `part` [nodes, queries + key + value], which
/// starts as zeros. One thread takes all nodes because histories overlap. `scores` is scratch.
pub(super) fn attend_backward(
    attended: Attended<'_>,
    kv: usize,
    part: &mut [f32],
    scores: &mut Vec<f32>,
) {
    wide!(
        attended.heads,
        chain_backward::attend_backward(attended, kv, part)
    );
    plain_attend_backward(attended, kv, part, scores);
}

fn plain_attend_backward(
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
    let (key, value) = (heads.queries() + kv * dim, heads.rotated() + kv * dim);
    let own = heads.part();
    for &node in order {
        let node = node as usize;
        let path = trie.path(node);
        for group in 0..shared {
            let head = kv * shared + group;
            let at = trie.path_range(node).start * heads.heads + head * path.len();
            let weights = &weights[at..at + path.len()];
            let dy = &d_mixed[node * heads.queries() + head * dim..][..dim];
            scores.clear();
            let mut mean = 0.0;
            for (&weight, &past) in weights.iter().zip(path) {
                let past = past as usize;
                let d_weight = dot(dy, &qkv[past * width + value..][..dim]);
                add_scaled(
                    &mut part[past * own + (shared + 1) * dim..][..dim],
                    dy,
                    weight,
                );
                mean += weight * d_weight;
                scores.push(d_weight);
            }
            let query = &qkv[node * width + head * dim..][..dim];
            for ((score, &weight), &past) in scores.iter_mut().zip(weights).zip(path) {
                *score = scale * weight * (*score - mean);
                add_scaled(
                    &mut part[past as usize * own + shared * dim..][..dim],
                    query,
                    *score,
                );
            }
            let d_query = &mut part[node * own + group * dim..][..dim];
            mix_head(d_query, scores, path, (qkv, width, key), false);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn vector_loops_agree_with_the_plain_ones_for_every_length_of_head() {
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
        for (heads, kv_heads, dim) in [(4, 2, 6), (3, 1, 24), (2, 2, 32), (6, 2, 64), (2, 1, 128)] {
            let heads = Heads {
                heads,
                kv_heads,
                dim,
            };
            let mut trie = Trie::new();
            let trunk = trie.insert(None, &[1, 2, 3, 4, 5, 6, 7]).unwrap();
            // Longer than four registers of keys.
            let long: Vec<u32> = (20..95).collect();
            trie.insert(Some(trunk), &[8, 9]).unwrap();
            trie.insert(Some(trunk), &long).unwrap();
            trie.insert(Some(trunk), &[10]).unwrap();
            let n = trie.len();
            let mut order = vec![];
            trie.by_sequence(n, &mut order);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..n as u32));
            let qkv: Vec<f32> = (0..n * heads.width()).map(number).collect();
            let d_mixed: Vec<f32> = (0..n * heads.queries()).map(|i| number(i + 5)).collect();
            let mut all = [vec![], vec![], vec![]];
            for (vector, all) in all.iter_mut().enumerate() {
                let mut weights = vec![0.0; trie.paths_len() * heads.heads];
                let mut mixed = vec![0.0; n * heads.queries()];
                if vector == 1 {
                    attend_all(heads, &qkv, &trie, 0..n, &mut weights, &mut mixed);
                }
                for node in 0..n {
                    let at = trie.path_range(node);
                    let weights = &mut weights[at.start * heads.heads..at.end * heads.heads];
                    let mixed = &mut mixed[node * heads.queries()..][..heads.queries()];
                    let run = if vector == 2 { attend } else { plain_attend };
                    if vector != 1 {
                        run(heads, &qkv, trie.path(node), weights, mixed);
                    }
                }
                let attended = Attended {
                    heads,
                    trie: &trie,
                    order: &order,
                    qkv: &qkv,
                    weights: &weights,
                    d_mixed: &d_mixed,
                };
                for kv in 0..kv_heads {
                    let mut part = vec![0.0; n * heads.part()];
                    let run = if vector > 0 {
                        attend_backward
                    } else {
                        plain_attend_backward
                    };
                    run(attended, kv, &mut part, &mut vec![]);
                    all.extend(part);
                }
                all.extend(mixed);
                all.extend(weights);
            }
            for vector in [1, 2] {
                for (a, b) in all[0].iter().zip(&all[vector]) {
                    assert!((a - b).abs() < 1e-4, "head of {dim}: {a} against {b}");
                }
            }
        }
    }

    #[test]
    fn what_a_node_gets_does_not_depend_on_where_blocks_of_nodes_begin() {
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
        let heads = Heads {
            heads: 4,
            kv_heads: 2,
            dim: 24,
        };
        let mut trie = Trie::new();
        let tokens: Vec<u32> = (0..41).collect();
        let trunk = trie.insert(None, &tokens).unwrap();
        for first in 50..55 {
            trie.insert(Some(trunk), &[first, 60, 61, 62]).unwrap();
        }
        let n = trie.len();
        let qkv: Vec<f32> = (0..n * heads.width()).map(number).collect();
        let run = |block: usize| {
            let mut weights = vec![0.0; trie.paths_len() * heads.heads];
            let mut mixed = vec![0.0; n * heads.queries()];
            let (mut weights_rest, mut mixed_rest) = (&mut *weights, &mut *mixed);
            for first in (0..n).step_by(block) {
                let nodes = first..n.min(first + block);
                let own = take(&mut weights_rest, trie.paths_between(&nodes) * heads.heads);
                let rows = take(&mut mixed_rest, nodes.len() * heads.queries());
                attend_all(heads, &qkv, &trie, nodes, own, rows);
            }
            (weights, mixed)
        };
        let whole = run(n);
        for block in [1, 3, 7, 16, 32] {
            assert!(run(block) == whole, "in blocks of {block}");
        }
    }
}
