//! The backward: from weights on chosen tokens to the gradient of every parameter.
//!
//! The loss is Σ weight · log π(token | history of node) over choices, which every estimator of the workbench can be
//! written as. Scratch lives in the [`Backward`] value and is reused by every step.

use rayon::prelude::*;

use super::{
    super::config::ModelConfig,
    forward::{Tape, rotate},
    kernels,
    layout::Span,
    matmul,
    network::{Linear, Network},
    trie::Trie,
};

/// A token chosen at a node, with the weight of its log-probability in the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The node at which the choice was made.
    pub node: usize,
    /// The token chosen.
    pub token: u32,
    /// Its weight.
    pub weight: f32,
}

/// Scratch of the backward.
#[derive(Debug, Clone, Default)]
pub struct Backward {
    /// Gradient of the residual stream [nodes, hidden].
    stream: Vec<f32>,
    normed: Vec<f32>,
    qkv: Vec<f32>,
    mixed: Vec<f32>,
    gate_up: Vec<f32>,
    active: Vec<f32>,
    logits: Vec<f32>,
    hidden: Vec<f32>,
    rows: Vec<usize>,
    /// Gradient of x·Aᵀ of one product.
    low: Vec<f32>,
    /// Where gradients of norms go that nobody asked for.
    unasked: Vec<f32>,
    one_head: Vec<f32>,
}

impl Backward {
    /// Writes the gradient of Σ weight · log π(token | node) into `gradient` (overwritten, laid out as what is trained:
    /// [`Network::trained`] numbers). Choices are taken by node, in ascending order of nodes.
    pub fn run(
        &mut self,
        network: Network<'_>,
        trie: &Trie,
        tape: &Tape,
        choices: &[Choice],
        gradient: &mut [f32],
    ) {
        let layout = network.layout;
        let config = layout.config();
        let (n, d) = (tape.nodes(), config.hidden_size);
        let (f, width) = (
            config.intermediate_size,
            (config.heads + 2 * config.kv_heads) * config.head_dim,
        );
        if choices.is_empty() {
            gradient.fill(0.0);
            return;
        }
        if network.is_full() {
            // Every matrix is overwritten by its one product; what is added to row by row starts from zero. A tied head
            // overwrites the embedding before the tokens' rows are added.
            let mut clear = |span: Span| gradient[span.range()].fill(0.0);
            if layout.head != layout.embedding {
                clear(layout.embedding);
            }
            clear(layout.norm);
            for spans in &layout.layers {
                clear(spans.attention_norm);
                clear(spans.mlp_norm);
                spans.qkv_bias.into_iter().for_each(&mut clear);
                if let Some((q, k)) = spans.qk_norms {
                    clear(q);
                    clear(k);
                }
            }
        }
        for (buffer, len) in [
            (&mut self.stream, n * d),
            (&mut self.normed, n * d),
            (&mut self.qkv, n * width),
            (&mut self.mixed, n * config.heads * config.head_dim),
            (&mut self.gate_up, n * 2 * f),
            (&mut self.active, n * f),
        ] {
            buffer.clear();
            buffer.resize(len, 0.0);
        }
        self.unasked.resize(d.max(config.head_dim), 0.0);
        self.head(network, tape, choices, gradient);
        for index in (0..layout.layers.len()).rev() {
            self.feed_forward(network, tape, index, gradient);
            self.attention(network, trie, tape, index, gradient);
        }
        if !network.is_full() {
            return;
        }
        for node in 0..n {
            let at = layout.embedding.start + trie.token(node) as usize * d;
            kernels::add_scaled(
                &mut gradient[at..at + d],
                &self.stream[node * d..(node + 1) * d],
                1.0,
            );
        }
    }

    /// From choices to the gradient of the residual stream after the last layer.
    fn head(
        &mut self,
        network: Network<'_>,
        tape: &Tape,
        choices: &[Choice],
        gradient: &mut [f32],
    ) {
        let (layout, parameters) = (network.layout, network.base);
        let (d, v) = (layout.config().hidden_size, layout.config().vocab_size);
        self.rows.clear();
        self.rows.extend(choices.iter().map(|c| c.node));
        self.rows.dedup();
        // Logits are computed again rather than kept: it costs one product and saves a row of the vocabulary per node.
        let _ = tape.distributions(network, &self.rows, &mut self.logits);
        let rows = &self.rows;
        self.logits
            .par_chunks_exact_mut(v)
            .zip(rows.par_iter())
            .for_each(|(row, &node)| {
                let from = choices.partition_point(|c| c.node < node);
                let own = choices[from..].iter().take_while(|c| c.node == node);
                let total: f32 = own.clone().map(|c| c.weight).sum();
                row.iter_mut().for_each(|p| *p *= -total);
                for choice in own {
                    row[choice.token as usize] += choice.weight;
                }
            });
        self.hidden.clear();
        for &node in rows {
            self.hidden
                .extend_from_slice(&tape.output_normed[node * d..(node + 1) * d]);
        }
        let sizes = (rows.len(), d, v);
        if network.is_full() {
            matmul::backward_weight(
                &mut gradient[layout.head.range()],
                &self.logits,
                &self.hidden,
                sizes,
                false,
            );
        }
        matmul::backward_input(
            &mut self.hidden,
            &self.logits,
            &parameters[layout.head.range()],
            sizes,
            false,
        );
        let weight = &parameters[layout.norm.range()];
        let d_weight = asked(network, gradient, &mut self.unasked, layout.norm);
        for (&node, dy) in rows.iter().zip(self.hidden.chunks_exact(d)) {
            let at = node * d..(node + 1) * d;
            kernels::rms_norm_backward(
                &mut self.stream[at.clone()],
                d_weight,
                dy,
                &tape.output[at],
                weight,
                tape.output_inv[node],
            );
        }
    }

    fn feed_forward(
        &mut self,
        network: Network<'_>,
        tape: &Tape,
        index: usize,
        gradient: &mut [f32],
    ) {
        let (layout, layer, n) = (network.layout, &tape.layers[index], tape.nodes());
        let f = layout.config().intermediate_size;
        network.backward(
            (index, Linear::Down),
            (&mut self.active, &self.stream),
            (&layer.active, &layer.low[Linear::Down as usize]),
            &mut self.low,
            gradient,
            n,
        );
        self.gate_up
            .par_chunks_exact_mut(2 * f)
            .zip(self.active.par_chunks_exact(f))
            .zip(layer.gate_up[..n * 2 * f].par_chunks_exact(2 * f))
            .for_each(|((dx, dy), x)| kernels::swiglu_backward(dx, dy, x));
        network.backward(
            (index, Linear::GateUp),
            (&mut self.normed, &self.gate_up),
            (&layer.middle_normed, &layer.low[Linear::GateUp as usize]),
            &mut self.low,
            gradient,
            n,
        );
        let norm = layout.layers[index].mlp_norm;
        norm_backward(
            &mut self.stream,
            asked(network, gradient, &mut self.unasked, norm),
            &self.normed,
            (&layer.middle, &layer.middle_inv),
            &network.base[norm.range()],
        );
    }

    fn attention(
        &mut self,
        network: Network<'_>,
        trie: &Trie,
        tape: &Tape,
        index: usize,
        gradient: &mut [f32],
    ) {
        let (layout, parameters) = (network.layout, network.base);
        let (spans, layer, n) = (&layout.layers[index], &tape.layers[index], tape.nodes());
        let config = layout.config();
        let hd = config.head_dim;
        let (q, width) = (config.heads * hd, (config.heads + 2 * config.kv_heads) * hd);
        network.backward(
            (index, Linear::O),
            (&mut self.mixed, &self.stream),
            (&layer.mixed, &layer.low[Linear::O as usize]),
            &mut self.low,
            gradient,
            n,
        );
        mix_backward(
            config,
            trie,
            n,
            (&layer.qkv, &layer.weights),
            &self.mixed,
            &mut self.qkv,
        );
        let half = hd / 2;
        for node in 0..n {
            let (cos, sin) = tape.rotary(trie.position(node), half);
            let back: Vec<f32> = sin.iter().map(|s| -s).collect();
            let row = &mut self.qkv[node * width..][..(config.heads + config.kv_heads) * hd];
            row.chunks_exact_mut(hd)
                .for_each(|head| rotate(head, cos, &back));
        }
        if let Some((q_norm, k_norm)) = spans.qk_norms {
            let both = config.heads + config.kv_heads;
            for (heads, columns, norm) in [
                (0..config.heads, 0..q, q_norm),
                (config.heads..both, q..both * hd, k_norm),
            ] {
                let d_weight = asked(network, gradient, &mut self.unasked, norm);
                for node in 0..n {
                    for (head, dy) in heads
                        .clone()
                        .zip(self.qkv[node * width..][columns.clone()].chunks_exact_mut(hd))
                    {
                        self.one_head.clear();
                        self.one_head.resize(hd, 0.0);
                        let x = &layer.qk[(node * both + head) * hd..][..hd];
                        kernels::rms_norm_backward(
                            &mut self.one_head,
                            d_weight,
                            dy,
                            x,
                            &parameters[norm.range()],
                            layer.qk_inv[node * both + head],
                        );
                        dy.copy_from_slice(&self.one_head);
                    }
                }
            }
        }
        if let Some(bias) = spans.qkv_bias.filter(|_| network.is_full()) {
            for row in self.qkv.chunks_exact(width) {
                kernels::add_scaled(&mut gradient[bias.range()], row, 1.0);
            }
        }
        network.backward(
            (index, Linear::Qkv),
            (&mut self.normed, &self.qkv),
            (&layer.input_normed, &layer.low[Linear::Qkv as usize]),
            &mut self.low,
            gradient,
            n,
        );
        let norm = spans.attention_norm;
        norm_backward(
            &mut self.stream,
            asked(network, gradient, &mut self.unasked, norm),
            &self.normed,
            (&layer.input, &layer.input_inv),
            &parameters[norm.range()],
        );
    }
}

/// Where the gradient of a norm goes.
fn asked<'a>(
    network: Network<'_>,
    gradient: &'a mut [f32],
    unasked: &'a mut [f32],
    norm: Span,
) -> &'a mut [f32] {
    if network.is_full() {
        &mut gradient[norm.range()]
    } else {
        &mut unasked[..norm.rows]
    }
}

/// Gradient of q, k (rotated) and v from the gradient of the mixed values. Key/value heads are independent, so each thread
/// owns some of them; within one, nodes are taken in order because histories overlap.
fn mix_backward(
    config: &ModelConfig,
    trie: &Trie,
    n: usize,
    (qkv, weights): (&[f32], &[f32]),
    d_mixed: &[f32],
    d_qkv: &mut [f32],
) {
    let (hd, heads, kv_heads) = (config.head_dim, config.heads, config.kv_heads);
    let (q, width, shared) = (heads * hd, (heads + 2 * kv_heads) * hd, heads / kv_heads);
    let scale = 1.0 / (hd as f32).sqrt();
    // Per key/value head: its queries, key and value of all nodes, side by side.
    let own = (shared + 2) * hd;
    let parts: Vec<Vec<f32>> = (0..kv_heads)
        .into_par_iter()
        .map(|kv| {
            let mut part = vec![0.0f32; n * own];
            let mut d_weights = Vec::new();
            let (k, v) = (q + kv * hd, q + (kv_heads + kv) * hd);
            for node in 0..n {
                let path = trie.path(node);
                for group in 0..shared {
                    let head = kv * shared + group;
                    let at = trie.path_range(node).start * heads + head * path.len();
                    let weights = &weights[at..at + path.len()];
                    let dy = &d_mixed[node * q + head * hd..][..hd];
                    d_weights.clear();
                    let mut mean = 0.0;
                    for (&weight, &past) in weights.iter().zip(path) {
                        let past = past as usize;
                        let dw = kernels::dot(dy, &qkv[past * width + v..][..hd]);
                        kernels::add_scaled(
                            &mut part[past * own + (shared + 1) * hd..][..hd],
                            dy,
                            weight,
                        );
                        mean += weight * dw;
                        d_weights.push(dw);
                    }
                    let query = &qkv[node * width + head * hd..][..hd];
                    for ((&weight, &past), &dw) in weights.iter().zip(path).zip(&d_weights) {
                        let past = past as usize;
                        let score = scale * weight * (dw - mean);
                        kernels::add_scaled(
                            &mut part[node * own + group * hd..][..hd],
                            &qkv[past * width + k..][..hd],
                            score,
                        );
                        kernels::add_scaled(
                            &mut part[past * own + shared * hd..][..hd],
                            query,
                            score,
                        );
                    }
                }
            }
            part
        })
        .collect();
    for (kv, part) in parts.iter().enumerate() {
        for (row, part) in d_qkv.chunks_exact_mut(width).zip(part.chunks_exact(own)) {
            let (queries, rest) = part.split_at(shared * hd);
            row[kv * shared * hd..][..shared * hd].copy_from_slice(queries);
            row[q + kv * hd..][..hd].copy_from_slice(&rest[..hd]);
            row[q + (kv_heads + kv) * hd..][..hd].copy_from_slice(&rest[hd..]);
        }
    }
}

fn norm_backward(
    stream: &mut [f32],
    d_weight: &mut [f32],
    dy: &[f32],
    (x, inv): (&[f32], &[f32]),
    weight: &[f32],
) {
    let d = weight.len();
    for (((dx, dy), x), &inv) in stream
        .chunks_exact_mut(d)
        .zip(dy.chunks_exact(d))
        .zip(x.chunks_exact(d))
        .zip(inv)
    {
        kernels::rms_norm_backward(dx, d_weight, dy, x, weight, inv);
    }
}
