//! The forward: extends a tape of activations by new nodes of a tree.
//!
//! A tape keeps, for every node, what the backward needs. Sampling calls [`Tape::extend`] once per level; teacher forcing
//! calls it once for a whole tree. Small models are dealt over the threads by rows, with weights packed once per step, so
//! that a layer has a single meeting point (attention needs everybody's keys). Large ones are dealt by outputs, so that
//! their weights are read from memory once.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    super::{error::LmError, rope::Rotary},
    asked::Asked,
    attention::{self, Heads},
    buffer::take,
    kernels,
    layout::Layout,
    matmul::{self, Line, Spread},
    network::{Linear, Network},
    pool,
    trie::Trie,
};

/// What a layer computes of a node from its input, up to q, k and v; one row per node.
#[derive(Debug, Clone, Default)]
pub(super) struct Projected {
    /// Residual stream before attention [hidden].
    pub(super) input: Vec<f32>,
    /// 1/√(mean x² + ε) of `input`.
    pub(super) input_inv: Vec<f32>,
    /// Normed `input` [hidden].
    pub(super) input_normed: Vec<f32>,
    /// q and k before their norms [q + kv], and 1/√(mean x² + ε) of each head (Qwen3).
    pub(super) qk: Vec<f32>,
    pub(super) qk_inv: Vec<f32>,
    /// x·Aᵀ of the adapters [rank × modules].
    pub(super) low: Vec<f32>,
}

/// What a layer computes of a node from the q, k and v of its history.
#[derive(Debug, Clone, Default)]
pub(super) struct Finished {
    /// Attention weights: heads × history of each node, node by node.
    pub(super) weights: Vec<f32>,
    /// Mixed values [q].
    pub(super) mixed: Vec<f32>,
    /// Residual stream before the feed-forward block [hidden].
    pub(super) middle: Vec<f32>,
    /// 1/√(mean x² + ε) of `middle`.
    pub(super) middle_inv: Vec<f32>,
    /// Normed `middle` [hidden].
    pub(super) middle_normed: Vec<f32>,
    /// Gates and ups before the nonlinearity [2·intermediate].
    pub(super) gate_up: Vec<f32>,
    /// silu(gate)·up [intermediate].
    pub(super) active: Vec<f32>,
    /// x·Aᵀ of the adapters of o, of gate and up, and of down.
    pub(super) low: [Vec<f32>; 3],
}

/// Activations of one layer.
#[derive(Debug, Clone, Default)]
pub(super) struct LayerTape {
    pub(super) projected: Projected,
    pub(super) finished: Finished,
}

/// Everything the model computed for the nodes of a tree.
///
/// All nodes of a tape are computed with the same weights: after a change of weights, start over with `truncate(0)`.
#[derive(Debug, Clone, Default)]
pub struct Tape {
    pub(super) nodes: usize,
    /// q, k (both normed where the family does that, then rotated) and v [q + 2·kv], by layer.
    pub(super) qkv: Vec<Vec<f32>>,
    /// One for each layer, or a single one that every layer overwrites where no backward will come.
    pub(super) layers: Vec<LayerTape>,
    /// Residual stream after the last layer [hidden].
    pub(super) output: Vec<f32>,
    pub(super) output_inv: Vec<f32>,
    /// Normed `output` [hidden].
    pub(super) output_normed: Vec<f32>,
    /// cos and sin of each position [context so far, head_dim / 2].
    cos: Vec<f32>,
    sin: Vec<f32>,
    /// Weights of a small model as products like them, layer by layer, by [`Linear`].
    packed: Vec<[Vec<Line>; Linear::COUNT]>,
    asked: Asked,
    /// No backward will come.
    inference: bool,
}

/// Parameters up to which a model is small: a second copy of its weights costs little, and they stay in cache.
const SMALL: usize = 1 << 24;
/// Numbers in a head that are worth remembering what came out of it.
const LARGE_HEAD: usize = 1 << 20;
/// Multiply-adds in a layer that are worth a second thread.
const WORTH_A_THREAD: usize = 1 << 20;
/// Rows that one thread takes through a layer at once.
const ROWS: usize = 96;
/// Rows of a large model whose attention one thread takes at once.
const ATTENDED: usize = 8;

impl Tape {
    /// An empty tape.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self {
            qkv: vec![vec![]; layout.layers.len()],
            layers: vec![LayerTape::default(); layout.layers.len()],
            ..Self::default()
        }
    }

    /// An empty tape for a model that is not trained (a reference): it keeps keys and values and nothing for a backward,
    /// which takes a fraction of the memory. [`super::Backward::run`] computes nothing meaningful from it.
    #[must_use]
    pub fn inference(layout: &Layout) -> Self {
        Self {
            layers: vec![LayerTape::default()],
            inference: true,
            ..Self::new(layout)
        }
    }

    /// Nodes computed so far.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Forgets every node from `nodes` on; keeps the memory. Weights may change only when nothing is left.
    pub fn truncate(&mut self, nodes: usize) {
        self.nodes = self.nodes.min(nodes);
        self.asked.truncate(nodes);
    }

    /// Computes all nodes of the tree that are not on the tape yet.
    ///
    /// # Errors
    /// When a token is outside the vocabulary or a sequence longer than the context.
    pub fn extend(&mut self, network: Network<'_>, trie: &Trie) -> Result<(), LmError> {
        let new = self.nodes..trie.len();
        if new.is_empty() {
            return Ok(());
        }
        let config = network.layout.config();
        for node in new.clone() {
            if trie.token(node) as usize >= config.vocab_size {
                return Err(LmError::Request(format!(
                    "token {} is outside the vocabulary of {} tokens",
                    trie.token(node),
                    config.vocab_size
                )));
            }
            if trie.position(node) >= config.context {
                return Err(LmError::Request(format!(
                    "a sequence of {} tokens is longer than the model's context of {}",
                    trie.position(node) + 1,
                    config.context
                )));
            }
        }
        // One visit to the pool rather than one per product.
        pool::pass(|| {
            self.grow(network, trie);
            let small = network.layout.len() <= SMALL;
            if small && (self.nodes == 0 || self.packed.is_empty()) {
                self.pack(network);
            }
            self.run(network, trie, &new, small);
        });
        self.nodes = new.end;
        Ok(())
    }

    fn run(&mut self, network: Network<'_>, trie: &Trie, new: &Range<usize>, small: bool) {
        let Self {
            qkv,
            layers,
            output,
            output_inv,
            output_normed,
            cos,
            sin,
            packed,
            ..
        } = self;
        let (layout, d) = (network.layout, network.layout.config().hidden_size);
        let pass = Pass {
            network,
            trie,
            heads: Heads::new(layout.config()),
            rotary: (cos, sin),
            packed: small.then_some(packed),
        };
        let blocks = pass.blocks(new);
        let Some(first) = layers.first_mut() else {
            return;
        };
        for node in new.clone() {
            let from = layout.embedding.start + trie.token(node) as usize * d;
            first.projected.input[node * d..(node + 1) * d]
                .copy_from_slice(&network.base[from..from + d]);
        }
        let mut rows = first.projected.rows(&pass, 0, new.start, &mut qkv[0]);
        let work: Vec<_> = (blocks.iter())
            .map(|block| (block, rows.take(&pass, 0, block.len())))
            .collect();
        each(work, |(block, rows)| pass.project(0, block, rows));
        for index in 0..qkv.len() {
            let (done, later) = qkv.split_at_mut(index + 1);
            let qkv = &done[index];
            let (finished, input, next) = if layers.len() == done.len() + later.len() {
                let (done, later) = layers.split_at_mut(index + 1);
                let LayerTape {
                    projected,
                    finished,
                } = &mut done[index];
                let next = later.first_mut().map(|next| &mut next.projected);
                (finished, Some(projected.input.as_slice()), next)
            } else {
                // A layer's input is overwritten by its output.
                let LayerTape {
                    projected,
                    finished,
                } = &mut layers[0];
                (finished, None, Some(projected))
            };
            let mut own = finished.rows(&pass, index, new.start);
            let next = match (later.first_mut(), next) {
                (Some(qkv), Some(next)) => Ok((qkv, next)),
                (_, next) => Err(next),
            };
            match next {
                Ok((next_qkv, next)) => {
                    let mut rows = next.rows(&pass, index + 1, new.start, next_qkv);
                    let work: Vec<_> = (blocks.iter())
                        .map(|block| {
                            (
                                block,
                                own.take(&pass, index, block),
                                rows.take(&pass, index + 1, block.len()),
                            )
                        })
                        .collect();
                    each(work, |(block, own, rows)| {
                        pass.finish(index, block, (input, qkv), own, rows.input);
                        pass.project(index + 1, block, rows);
                    });
                }
                Err(only) => {
                    if let (Some(only), None) = (only, input) {
                        let rows = new.start * d..new.end * d;
                        output[rows.clone()].copy_from_slice(&only.input[rows]);
                    }
                    let mut output = &mut output[new.start * d..];
                    let mut normed = &mut output_normed[new.start * d..];
                    let mut inv = &mut output_inv[new.start..];
                    let work: Vec<_> = (blocks.iter())
                        .map(|block| {
                            let n = block.len();
                            (
                                block,
                                own.take(&pass, index, block),
                                take(&mut output, n * d),
                                (take(&mut normed, n * d), take(&mut inv, n)),
                            )
                        })
                        .collect();
                    each(work, |(block, own, output, (normed, inv))| {
                        pass.finish(index, block, (input, qkv), own, output);
                        let weight = &network.base[layout.norm.range()];
                        pass.norm(normed, inv, output, weight);
                    });
                }
            }
        }
    }

    /// Logits [nodes, vocabulary] of the given nodes into `out`, which is resized.
    pub fn logits(&self, network: Network<'_>, nodes: &[usize], out: &mut Vec<f32>) {
        out.resize(nodes.len() * network.layout.config().vocab_size, 0.0);
        self.logits_into(network, nodes, out);
    }

    fn logits_into(&self, network: Network<'_>, nodes: &[usize], out: &mut [f32]) {
        let layout = network.layout;
        let (d, v) = (layout.config().hidden_size, layout.config().vocab_size);
        let mut hidden = Vec::with_capacity(nodes.len() * d);
        for &node in nodes {
            hidden.extend_from_slice(&self.output_normed[node * d..(node + 1) * d]);
        }
        pool::pass(|| {
            matmul::forward(
                out,
                &hidden,
                &network.base[layout.head.range()],
                (nodes.len(), d, v),
                false,
                Spread::Threads,
            );
        });
    }

    /// Softmax over the vocabulary of each given node, and log Σ e^logit of each. Those of a large head are kept for the
    /// backward, while there is room.
    #[must_use]
    pub fn distributions(
        &mut self,
        network: Network<'_>,
        nodes: &[usize],
        out: &mut Vec<f32>,
    ) -> Vec<f32> {
        let config = network.layout.config();
        if !self.inference && config.vocab_size * config.hidden_size >= LARGE_HEAD {
            let mut asked = std::mem::take(&mut self.asked);
            let missing = asked.missing(nodes);
            asked.keep(&missing, config.vocab_size, |rows| {
                self.fresh(network, &missing, rows)
            });
            self.asked = asked;
        }
        self.recall(network, nodes, out)
    }

    /// [`Self::distributions`], those that were asked for before without computing them again.
    #[must_use]
    pub(super) fn recall(
        &self,
        network: Network<'_>,
        nodes: &[usize],
        out: &mut Vec<f32>,
    ) -> Vec<f32> {
        let v = network.layout.config().vocab_size;
        out.resize(nodes.len() * v, 0.0);
        let known: Option<Vec<_>> = (nodes.iter())
            .map(|&node| self.asked.get(node, v))
            .collect();
        let Some(known) = known else {
            return self.fresh(network, nodes, out);
        };
        (out.chunks_exact_mut(v).zip(&known)).for_each(|(row, (values, _))| {
            row.copy_from_slice(values);
        });
        known.iter().map(|(_, log_sum)| *log_sum).collect()
    }

    fn fresh(&self, network: Network<'_>, nodes: &[usize], out: &mut [f32]) -> Vec<f32> {
        self.logits_into(network, nodes, out);
        let v = network.layout.config().vocab_size;
        if out.len() < 1 << 14 {
            return out.chunks_mut(v).map(kernels::softmax).collect();
        }
        out.par_chunks_mut(v).map(kernels::softmax).collect()
    }

    fn pack(&mut self, network: Network<'_>) {
        let layout = network.layout;
        self.packed
            .resize_with(layout.layers.len(), Default::default);
        (self.packed.par_iter_mut())
            .zip(layout.layers.par_iter())
            .for_each(|(packed, spans)| {
                for linear in Linear::ALL {
                    let span = spans.span(linear);
                    let packed = &mut packed[linear as usize];
                    packed.resize(matmul::packed_len(span.rows, span.columns), Line::default());
                    let shape = (span.rows, span.columns);
                    matmul::pack(packed, &network.base[span.range()], shape);
                }
            });
    }

    fn grow(&mut self, network: Network<'_>, trie: &Trie) {
        let config = network.layout.config();
        let (n, d, f) = (trie.len(), config.hidden_size, config.intermediate_size);
        let heads = Heads::new(config);
        let fit = |buffer: &mut Vec<f32>, len: usize| {
            if buffer.len() < len {
                buffer.resize(len, 0.0);
            }
        };
        for qkv in &mut self.qkv {
            fit(qkv, n * heads.width());
        }
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let (projected, finished) = (&mut layer.projected, &mut layer.finished);
            let columns = |linear| network.low_columns(index, linear);
            fit(&mut projected.low, n * columns(Linear::Qkv));
            for (low, linear) in (finished.low.iter_mut()).zip(Linear::FINISHING) {
                fit(low, n * columns(linear));
            }
            if network.layout.layers[index].qk_norms.is_some() {
                fit(&mut projected.qk, n * heads.rotated());
                fit(&mut projected.qk_inv, n * (config.heads + config.kv_heads));
            }
            fit(&mut projected.input, n * d);
            fit(&mut projected.input_inv, n);
            fit(&mut projected.input_normed, n * d);
            fit(&mut finished.weights, trie.paths_len() * config.heads);
            fit(&mut finished.mixed, n * heads.queries());
            fit(&mut finished.middle, n * d);
            fit(&mut finished.middle_inv, n);
            fit(&mut finished.middle_normed, n * d);
            fit(&mut finished.gate_up, n * 2 * f);
            fit(&mut finished.active, n * f);
        }
        fit(&mut self.output, n * d);
        fit(&mut self.output_inv, n);
        fit(&mut self.output_normed, n * d);
        let longest = (self.nodes..n)
            .map(|node| trie.position(node) + 1)
            .max()
            .unwrap_or(0);
        let half = config.head_dim / 2;
        let known = self.cos.len() / half;
        if known < longest {
            Rotary::new(config).extend(known..longest, &mut self.cos, &mut self.sin);
        }
    }

    /// cos and sin of a position.
    pub(super) fn rotary(&self, position: usize, half: usize) -> (&[f32], &[f32]) {
        let at = position * half;
        (&self.cos[at..at + half], &self.sin[at..at + half])
    }
}

/// Runs pieces of work on the threads of the pool; a single one where it is.
fn each<T: Send>(mut work: Vec<T>, run: impl Fn(T) + Sync + Send) {
    if work.len() == 1 {
        work.pop().into_iter().for_each(run);
    } else {
        work.into_par_iter().with_max_len(1).for_each(run);
    }
}

/// What is the same for all rows of one call of [`Tape::extend`].
struct Pass<'a> {
    network: Network<'a>,
    trie: &'a Trie,
    heads: Heads,
    rotary: (&'a [f32], &'a [f32]),
    /// Packed weights of a small model, which is dealt by rows; products of a large one spread over the threads.
    packed: Option<&'a Vec<[Vec<Line>; Linear::COUNT]>>,
}

/// Mutable rows of [`Projected`].
struct ProjectedRows<'a> {
    input: &'a mut [f32],
    input_inv: &'a mut [f32],
    input_normed: &'a mut [f32],
    qk: &'a mut [f32],
    qk_inv: &'a mut [f32],
    qkv: &'a mut [f32],
    low: &'a mut [f32],
}

impl Projected {
    fn rows<'a>(
        &'a mut self,
        pass: &Pass<'_>,
        layer: usize,
        from: usize,
        qkv: &'a mut [f32],
    ) -> ProjectedRows<'a> {
        let [d, _, qk, inv, width, low] = pass.columns(layer);
        ProjectedRows {
            input: &mut self.input[from * d..],
            input_inv: &mut self.input_inv[from..],
            input_normed: &mut self.input_normed[from * d..],
            qk: &mut self.qk[from * qk..],
            qk_inv: &mut self.qk_inv[from * inv..],
            qkv: &mut qkv[from * width..],
            low: &mut self.low[from * low..],
        }
    }
}

impl<'a> ProjectedRows<'a> {
    fn take(&mut self, pass: &Pass<'_>, layer: usize, n: usize) -> ProjectedRows<'a> {
        let [d, _, qk, inv, width, low] = pass.columns(layer);
        ProjectedRows {
            input: take(&mut self.input, n * d),
            input_inv: take(&mut self.input_inv, n),
            input_normed: take(&mut self.input_normed, n * d),
            qk: take(&mut self.qk, n * qk),
            qk_inv: take(&mut self.qk_inv, n * inv),
            qkv: take(&mut self.qkv, n * width),
            low: take(&mut self.low, n * low),
        }
    }
}

/// Mutable rows of [`Finished`].
struct FinishedRows<'a> {
    weights: &'a mut [f32],
    mixed: &'a mut [f32],
    middle: &'a mut [f32],
    middle_inv: &'a mut [f32],
    middle_normed: &'a mut [f32],
    gate_up: &'a mut [f32],
    active: &'a mut [f32],
    low: [&'a mut [f32]; 3],
}

impl Finished {
    fn rows(&mut self, pass: &Pass<'_>, layer: usize, from: usize) -> FinishedRows<'_> {
        let [d, f, ..] = pass.columns(layer);
        let [o, gate_up, down] = &mut self.low;
        let columns = |linear| from * pass.network.low_columns(layer, linear);
        FinishedRows {
            weights: &mut self.weights[pass.trie.path_range(from).start * pass.heads.heads..],
            mixed: &mut self.mixed[from * pass.heads.queries()..],
            middle: &mut self.middle[from * d..],
            middle_inv: &mut self.middle_inv[from..],
            middle_normed: &mut self.middle_normed[from * d..],
            gate_up: &mut self.gate_up[from * 2 * f..],
            active: &mut self.active[from * f..],
            low: [
                &mut o[columns(Linear::O)..],
                &mut gate_up[columns(Linear::GateUp)..],
                &mut down[columns(Linear::Down)..],
            ],
        }
    }
}

impl<'a> FinishedRows<'a> {
    fn take(&mut self, pass: &Pass<'_>, layer: usize, block: &Range<usize>) -> FinishedRows<'a> {
        let [d, f, ..] = pass.columns(layer);
        let n = block.len();
        let paths = pass.trie.paths_between(block);
        let [o, gate_up, down] = &mut self.low;
        let columns = |linear| n * pass.network.low_columns(layer, linear);
        FinishedRows {
            weights: take(&mut self.weights, paths * pass.heads.heads),
            mixed: take(&mut self.mixed, n * pass.heads.queries()),
            middle: take(&mut self.middle, n * d),
            middle_inv: take(&mut self.middle_inv, n),
            middle_normed: take(&mut self.middle_normed, n * d),
            gate_up: take(&mut self.gate_up, n * 2 * f),
            active: take(&mut self.active, n * f),
            low: [
                take(o, columns(Linear::O)),
                take(gate_up, columns(Linear::GateUp)),
                take(down, columns(Linear::Down)),
            ],
        }
    }
}

impl Pass<'_> {
    /// Columns of hidden, intermediate, q and k before norms, their inverse norms, q with k and v, and adapters of those.
    fn columns(&self, layer: usize) -> [usize; 6] {
        let config = self.network.layout.config();
        let normed = self.network.layout.layers[layer].qk_norms.is_some();
        [
            config.hidden_size,
            config.intermediate_size,
            if normed { self.heads.rotated() } else { 0 },
            if normed {
                config.heads + config.kv_heads
            } else {
                0
            },
            self.heads.width(),
            self.network.low_columns(layer, Linear::Qkv),
        ]
    }

    /// The new rows as pieces of work for threads.
    fn blocks(&self, new: &Range<usize>) -> Vec<Range<usize>> {
        let layers = self.network.layout.layers.len().max(1);
        let work = new.len() * self.network.layout.len() / layers;
        let threads = rayon::current_num_threads();
        if self.packed.is_none() || work < WORTH_A_THREAD || threads == 1 {
            return vec![new.clone()];
        }
        let count = (threads * new.len().div_ceil(threads * ROWS)).min(new.len());
        (0..count)
            .map(|i| {
                let border = |i| new.start + new.len() * i / count;
                border(i)..border(i + 1)
            })
            .collect()
    }

    /// A matrix product with its adapters.
    fn product(
        &self,
        (layer, linear): (usize, Linear),
        y: &mut [f32],
        x: &[f32],
        low: &mut [f32],
        n: usize,
        add: bool,
    ) {
        let packed = self.packed.map(|p| p[layer][linear as usize].as_slice());
        (self.network).forward((layer, linear), packed, (y, x), low, n, add);
    }

    fn norm(&self, y: &mut [f32], inv: &mut [f32], x: &[f32], weight: &[f32]) {
        let eps = self.network.layout.config().norm_eps as f32;
        norm_rows(y, inv, x, weight, eps);
    }

    /// From a layer's input to q, k and v.
    fn project(&self, layer: usize, block: &Range<usize>, rows: ProjectedRows<'_>) {
        let (network, heads, n) = (self.network, self.heads, block.len());
        let spans = &network.layout.layers[layer];
        let weight = |span: super::layout::Span| &network.base[span.range()];
        self.norm(
            rows.input_normed,
            rows.input_inv,
            rows.input,
            weight(spans.attention_norm),
        );
        let qkv = rows.qkv;
        let at = (layer, Linear::Qkv);
        self.product(at, qkv, rows.input_normed, rows.low, n, false);
        if let Some(bias) = spans.qkv_bias {
            for row in qkv.chunks_exact_mut(heads.width()) {
                kernels::add_scaled(row, weight(bias), 1.0);
            }
        }
        if let Some((q_norm, k_norm)) = spans.qk_norms {
            let (q, both) = (heads.queries(), heads.heads + heads.kv_heads);
            for ((row, raw), inv) in (qkv.chunks_exact_mut(heads.width()))
                .zip(rows.qk.chunks_exact_mut(heads.rotated()))
                .zip(rows.qk_inv.chunks_exact_mut(both))
            {
                raw.copy_from_slice(&row[..heads.rotated()]);
                let (q_row, k_row) = row[..heads.rotated()].split_at_mut(q);
                let (q_inv, k_inv) = inv.split_at_mut(heads.heads);
                self.norm(q_row, q_inv, &raw[..q], weight(q_norm));
                self.norm(k_row, k_inv, &raw[q..], weight(k_norm));
            }
        }
        let half = heads.dim / 2;
        for (node, row) in block.clone().zip(qkv.chunks_exact_mut(heads.width())) {
            let at = self.trie.position(node) * half;
            let (cos, sin) = (&self.rotary.0[at..at + half], &self.rotary.1[at..at + half]);
            kernels::rotate(&mut row[..heads.rotated()], cos, sin, 1.0);
        }
    }

    /// From the q, k and v of everybody to the layer's output, which holds the layer's input where that is not given.
    fn finish(
        &self,
        layer: usize,
        block: &Range<usize>,
        (input, qkv): (Option<&[f32]>, &[f32]),
        rows: FinishedRows<'_>,
        output: &mut [f32],
    ) {
        let (network, heads, n) = (self.network, self.heads, block.len());
        let config = network.layout.config();
        let (d, f) = (config.hidden_size, config.intermediate_size);
        let alone = self.packed.is_some();
        let FinishedRows {
            mut weights,
            mixed,
            middle,
            middle_inv,
            middle_normed,
            gate_up,
            active,
            low: [low_o, low_gate_up, low_down],
        } = rows;
        let mut mixed_rest = &mut *mixed;
        let mut next = |nodes: Range<usize>| {
            let weights = take(&mut weights, self.trie.paths_between(&nodes) * heads.heads);
            let mixed = take(&mut mixed_rest, nodes.len() * heads.queries());
            (nodes, weights, mixed)
        };
        let attend = |(nodes, weights, mixed): (Range<usize>, &mut [f32], &mut [f32])| {
            attention::attend_all(heads, qkv, self.trie, nodes, weights, mixed);
        };
        if alone {
            attend(next(block.clone()));
        } else {
            let work: Vec<_> = (block.clone().step_by(ATTENDED))
                .map(|first| next(first..block.end.min(first + ATTENDED)))
                .collect();
            work.into_par_iter().for_each(attend);
        }
        middle.copy_from_slice(match input {
            Some(input) => &input[block.start * d..block.end * d],
            None => output,
        });
        self.product((layer, Linear::O), middle, mixed, low_o, n, true);
        let weight = &network.base[network.layout.layers[layer].mlp_norm.range()];
        self.norm(middle_normed, middle_inv, middle, weight);
        let at = (layer, Linear::GateUp);
        self.product(at, gate_up, middle_normed, low_gate_up, n, false);
        if alone {
            (active.chunks_exact_mut(f).zip(gate_up.chunks_exact(2 * f)))
                .for_each(|(y, x)| kernels::swiglu(y, x));
        } else {
            (active
                .par_chunks_exact_mut(f)
                .zip(gate_up.par_chunks_exact(2 * f)))
            .for_each(|(y, x)| kernels::swiglu(y, x));
        }
        output.copy_from_slice(middle);
        self.product((layer, Linear::Down), output, active, low_down, n, true);
    }
}

fn norm_rows(y: &mut [f32], inv: &mut [f32], x: &[f32], w: &[f32], eps: f32) {
    for ((y, x), inv) in y
        .chunks_exact_mut(w.len())
        .zip(x.chunks_exact(w.len()))
        .zip(inv)
    {
        *inv = kernels::rms_norm(y, x, w, eps);
    }
}
