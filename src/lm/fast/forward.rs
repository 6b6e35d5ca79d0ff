//! The forward: extends a tape of activations by new nodes of a tree.
//!
//! A tape keeps, for every node, what the backward needs. Sampling calls [`Tape::extend`] once per level; teacher forcing
//! calls it once for a whole tree.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    super::error::LmError,
    kernels,
    layout::Layout,
    matmul,
    network::{Linear, Network},
    trie::Trie,
};

/// Activations of one layer, one row per node.
#[derive(Debug, Clone, Default)]
pub(super) struct LayerTape {
    /// Residual stream before attention [hidden].
    pub(super) input: Vec<f32>,
    /// 1/√(mean x² + ε) of `input`.
    pub(super) input_inv: Vec<f32>,
    /// Normed `input` [hidden].
    pub(super) input_normed: Vec<f32>,
    /// q and k before their norms [q + kv], and 1/√(mean x² + ε) of each head (Qwen3).
    pub(super) qk: Vec<f32>,
    pub(super) qk_inv: Vec<f32>,
    /// q, k (both normed where the family does that, then rotated) and v [q + 2·kv].
    pub(super) qkv: Vec<f32>,
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
    /// x·Aᵀ of the adapters of each product [rank × modules], by [`Linear`].
    pub(super) low: [Vec<f32>; Linear::COUNT],
}

/// Everything the model computed for the nodes of a tree.
#[derive(Debug, Clone, Default)]
pub struct Tape {
    pub(super) nodes: usize,
    pub(super) layers: Vec<LayerTape>,
    /// Residual stream after the last layer [hidden].
    pub(super) output: Vec<f32>,
    pub(super) output_inv: Vec<f32>,
    /// Normed `output` [hidden].
    pub(super) output_normed: Vec<f32>,
    /// cos and sin of each position [context so far, head_dim / 2].
    cos: Vec<f32>,
    sin: Vec<f32>,
}

/// Rows below which one thread does a row operation faster than two.
const WORTH_A_THREAD: usize = 32;

impl Tape {
    /// An empty tape.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self {
            layers: vec![LayerTape::default(); layout.layers.len()],
            ..Self::default()
        }
    }

    /// Nodes computed so far.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Forgets every node from `nodes` on; keeps the memory.
    pub fn truncate(&mut self, nodes: usize) {
        self.nodes = self.nodes.min(nodes);
    }

    /// Computes all nodes of the tree that are not on the tape yet.
    ///
    /// # Errors
    /// When a token is outside the vocabulary or a sequence longer than the context.
    pub fn extend(&mut self, network: Network<'_>, trie: &Trie) -> Result<(), LmError> {
        let (layout, parameters) = (network.layout, network.base);
        let new = self.nodes..trie.len();
        if new.is_empty() {
            return Ok(());
        }
        let config = layout.config();
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
        self.grow(network, trie);
        let d = config.hidden_size;
        for node in new.clone() {
            let token = trie.token(node) as usize;
            let from = layout.embedding.start + token * d;
            let row = &parameters[from..from + d];
            match self.layers.first_mut() {
                Some(first) => first.input[node * d..(node + 1) * d].copy_from_slice(row),
                None => self.output[node * d..(node + 1) * d].copy_from_slice(row),
            }
        }
        for index in 0..self.layers.len() {
            self.attention(network, trie, index, &new);
            self.feed_forward(network, index, &new);
        }
        let rows = new.start * d..new.end * d;
        norm_rows(
            &mut self.output_normed[rows.clone()],
            &mut self.output_inv[new.clone()],
            &self.output[rows],
            &parameters[layout.norm.range()],
            config.norm_eps as f32,
        );
        self.nodes = new.end;
        Ok(())
    }

    /// Logits [nodes, vocabulary] of the given nodes into `out`, which is resized.
    pub fn logits(&self, network: Network<'_>, nodes: &[usize], out: &mut Vec<f32>) {
        let layout = network.layout;
        let (d, v) = (layout.config().hidden_size, layout.config().vocab_size);
        let mut hidden = Vec::with_capacity(nodes.len() * d);
        for &node in nodes {
            hidden.extend_from_slice(&self.output_normed[node * d..(node + 1) * d]);
        }
        out.resize(nodes.len() * v, 0.0);
        matmul::forward(
            out,
            &hidden,
            &network.base[layout.head.range()],
            (nodes.len(), d, v),
            false,
        );
    }

    /// Softmax over the vocabulary of each given node, and log Σ e^logit of each.
    #[must_use]
    pub fn distributions(
        &self,
        network: Network<'_>,
        nodes: &[usize],
        out: &mut Vec<f32>,
    ) -> Vec<f32> {
        self.logits(network, nodes, out);
        out.par_chunks_mut(network.layout.config().vocab_size)
            .map(kernels::softmax)
            .collect()
    }

    fn grow(&mut self, network: Network<'_>, trie: &Trie) {
        let config = network.layout.config();
        let (n, d, f) = (trie.len(), config.hidden_size, config.intermediate_size);
        let (q, qkv) = (
            config.heads * config.head_dim,
            (config.heads + 2 * config.kv_heads) * config.head_dim,
        );
        let fit = |buffer: &mut Vec<f32>, len: usize| {
            if buffer.len() < len {
                buffer.resize(len, 0.0);
            }
        };
        for (index, layer) in self.layers.iter_mut().enumerate() {
            for linear in [Linear::Qkv, Linear::O, Linear::GateUp, Linear::Down] {
                let columns = network.low_columns(index, linear);
                fit(&mut layer.low[linear as usize], n * columns);
            }
            if network.layout.layers[index].qk_norms.is_some() {
                fit(&mut layer.qk, n * (qkv - config.kv_heads * config.head_dim));
                fit(&mut layer.qk_inv, n * (config.heads + config.kv_heads));
            }
            fit(&mut layer.input, n * d);
            fit(&mut layer.input_inv, n);
            fit(&mut layer.input_normed, n * d);
            fit(&mut layer.qkv, n * qkv);
            fit(&mut layer.weights, trie.paths_len() * config.heads);
            fit(&mut layer.mixed, n * q);
            fit(&mut layer.middle, n * d);
            fit(&mut layer.middle_inv, n);
            fit(&mut layer.middle_normed, n * d);
            fit(&mut layer.gate_up, n * 2 * f);
            fit(&mut layer.active, n * f);
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
            let frequencies = config.rope_frequencies();
            for position in known..longest {
                for frequency in &frequencies {
                    let angle = position as f64 * frequency;
                    self.cos.push(angle.cos() as f32);
                    self.sin.push(angle.sin() as f32);
                }
            }
        }
    }

    fn attention(&mut self, network: Network<'_>, trie: &Trie, index: usize, new: &Range<usize>) {
        let (layout, parameters) = (network.layout, network.base);
        let config = layout.config();
        let spans = &layout.layers[index];
        let (d, hd, heads) = (config.hidden_size, config.head_dim, config.heads);
        let (q, width) = (heads * hd, (heads + 2 * config.kv_heads) * hd);
        let n = new.len();
        let layer = &mut self.layers[index];
        let rows = |columns: usize| new.start * columns..new.end * columns;
        norm_rows(
            &mut layer.input_normed[rows(d)],
            &mut layer.input_inv[new.clone()],
            &layer.input[rows(d)],
            &parameters[spans.attention_norm.range()],
            config.norm_eps as f32,
        );
        network.forward(
            (index, Linear::Qkv),
            &mut layer.qkv[rows(width)],
            &layer.input_normed[rows(d)],
            low(&mut layer.low, network, index, Linear::Qkv, new),
            n,
            false,
        );
        if let Some(bias) = spans.qkv_bias {
            for row in layer.qkv[rows(width)].chunks_exact_mut(width) {
                kernels::add_scaled(row, &parameters[bias.range()], 1.0);
            }
        }
        if let Some((q_norm, k_norm)) = spans.qk_norms {
            let both = heads + config.kv_heads;
            for node in new.clone() {
                let raw = &mut layer.qk[node * both * hd..][..both * hd];
                let row = &mut layer.qkv[node * width..][..both * hd];
                raw.copy_from_slice(row);
                let inv = &mut layer.qk_inv[node * both..][..both];
                let (eps, q_weight, k_weight) = (
                    config.norm_eps as f32,
                    &parameters[q_norm.range()],
                    &parameters[k_norm.range()],
                );
                let (q_row, k_row) = row.split_at_mut(q);
                norm_rows(q_row, &mut inv[..heads], &raw[..q], q_weight, eps);
                norm_rows(k_row, &mut inv[heads..], &raw[q..], k_weight, eps);
            }
        }
        let half = hd / 2;
        for node in new.clone() {
            let at = trie.position(node) * half;
            let (cos, sin) = (&self.cos[at..at + half], &self.sin[at..at + half]);
            let row = &mut layer.qkv[node * width..][..(heads + config.kv_heads) * hd];
            for head in row.chunks_exact_mut(hd) {
                rotate(head, cos, sin);
            }
        }
        let scale = 1.0 / (hd as f32).sqrt();
        let shared = heads / config.kv_heads;
        let qkv = &layer.qkv;
        let attend = |node: usize, weights: &mut [f32], mixed: &mut [f32]| {
            let path = trie.path(node);
            for (head, (weights, mixed)) in weights
                .chunks_exact_mut(path.len())
                .zip(mixed.chunks_exact_mut(hd))
                .enumerate()
            {
                let query = &qkv[node * width + head * hd..][..hd];
                let (k, v) = (
                    q + head / shared * hd,
                    q + (config.kv_heads + head / shared) * hd,
                );
                for (weight, &past) in weights.iter_mut().zip(path) {
                    *weight = scale * kernels::dot(query, &qkv[past as usize * width + k..][..hd]);
                }
                kernels::softmax(weights);
                mixed.fill(0.0);
                for (&weight, &past) in weights.iter().zip(path) {
                    kernels::add_scaled(mixed, &qkv[past as usize * width + v..][..hd], weight);
                }
            }
        };
        let mut weights =
            &mut layer.weights[trie.path_range(new.start).start * heads..trie.paths_len() * heads];
        let mut work = Vec::with_capacity(n);
        for (node, mixed) in new.clone().zip(layer.mixed[rows(q)].chunks_exact_mut(q)) {
            let (own, rest) = weights.split_at_mut(trie.path(node).len() * heads);
            weights = rest;
            work.push((node, own, mixed));
        }
        if n < WORTH_A_THREAD {
            work.into_iter()
                .for_each(|(node, weights, mixed)| attend(node, weights, mixed));
        } else {
            work.into_par_iter()
                .for_each(|(node, weights, mixed)| attend(node, weights, mixed));
        }
        layer.middle[rows(d)].copy_from_slice(&layer.input[rows(d)]);
        network.forward(
            (index, Linear::O),
            &mut layer.middle[rows(d)],
            &layer.mixed[rows(q)],
            low(&mut layer.low, network, index, Linear::O, new),
            n,
            true,
        );
    }

    fn feed_forward(&mut self, network: Network<'_>, index: usize, new: &Range<usize>) {
        let (layout, parameters) = (network.layout, network.base);
        let config = layout.config();
        let spans = &layout.layers[index];
        let (d, f, n) = (config.hidden_size, config.intermediate_size, new.len());
        let (done, later) = self.layers.split_at_mut(index + 1);
        let layer = &mut done[index];
        let next = match later.first_mut() {
            Some(next) => &mut next.input,
            None => &mut self.output,
        };
        let rows = |columns: usize| new.start * columns..new.end * columns;
        norm_rows(
            &mut layer.middle_normed[rows(d)],
            &mut layer.middle_inv[new.clone()],
            &layer.middle[rows(d)],
            &parameters[spans.mlp_norm.range()],
            config.norm_eps as f32,
        );
        network.forward(
            (index, Linear::GateUp),
            &mut layer.gate_up[rows(2 * f)],
            &layer.middle_normed[rows(d)],
            low(&mut layer.low, network, index, Linear::GateUp, new),
            n,
            false,
        );
        let pairs = (&mut layer.active[rows(f)], &layer.gate_up[rows(2 * f)]);
        if n < WORTH_A_THREAD {
            pairs
                .0
                .chunks_exact_mut(f)
                .zip(pairs.1.chunks_exact(2 * f))
                .for_each(|(y, x)| kernels::swiglu(y, x));
        } else {
            pairs
                .0
                .par_chunks_exact_mut(f)
                .zip(pairs.1.par_chunks_exact(2 * f))
                .for_each(|(y, x)| kernels::swiglu(y, x));
        }
        next[rows(d)].copy_from_slice(&layer.middle[rows(d)]);
        network.forward(
            (index, Linear::Down),
            &mut next[rows(d)],
            &layer.active[rows(f)],
            low(&mut layer.low, network, index, Linear::Down, new),
            n,
            true,
        );
    }

    /// cos and sin of a position.
    pub(super) fn rotary(&self, position: usize, half: usize) -> (&[f32], &[f32]) {
        let at = position * half;
        (&self.cos[at..at + half], &self.sin[at..at + half])
    }
}

/// The rows of new nodes in the low-rank activations of a product.
fn low<'a>(
    all: &'a mut [Vec<f32>; Linear::COUNT],
    network: Network<'_>,
    layer: usize,
    linear: Linear,
    new: &Range<usize>,
) -> &'a mut [f32] {
    let columns = network.low_columns(layer, linear);
    &mut all[linear as usize][new.start * columns..new.end * columns]
}

/// Rotates the two halves of a head (Hugging Face's layout).
pub(super) fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (a, b) = head.split_at_mut(cos.len());
    for (((a, b), cos), sin) in a.iter_mut().zip(b).zip(cos).zip(sin) {
        let (x, y) = (*a, *b);
        *a = x * cos - y * sin;
        *b = y * cos + x * sin;
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
