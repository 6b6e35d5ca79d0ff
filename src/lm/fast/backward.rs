//! The backward: from weights on chosen tokens to the gradient of every parameter.
//!
//! The loss is Σ weight · log π(token | history of node) over choices, which every estimator of the workbench can be
//! written as. Scratch lives in the [`Backward`] value and is reused by every step.

use rayon::prelude::*;

use super::{
    attention::{self, Attended, Heads},
    forward::{LayerTape, Tape},
    kernels,
    layout::{Layout, Span},
    matmul,
    network::{Linear, Network, Squares},
    outer::{Kept, Outer},
    pool,
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

/// Numbers summed by one thread at a time.
const PIECE: usize = 1 << 16;
/// Rows up to which weight gradients are better left unformed. Of SmolLM2, a whole step then takes 11 % less time at 12 and
/// at 46 rows and 5 % less at 95; at 132 it would take 5 % more, since the norm costs the square of the rows.
const FEW: usize = 96;

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
    /// Gradient of a norm, block of rows by block.
    norm_parts: Vec<f32>,
    one_head: Vec<f32>,
    /// Gradients of q, k and v by key/value head, and scratch of each.
    parts: Vec<f32>,
    scores: Vec<Vec<f32>>,
    squares: Squares,
    order: Vec<u32>,
    kept: Kept,
}

impl Backward {
    /// Writes the gradient of Σ weight · log π(token | node) into `gradient` (overwritten, laid out as what is trained:
    /// [`Network::trained`] numbers), and returns its norm, which is gathered on the way. Choices are taken by node, in
    /// ascending order of nodes.
    pub fn run(
        &mut self,
        network: Network<'_>,
        trie: &Trie,
        tape: &Tape,
        choices: &[Choice],
        gradient: &mut [f32],
    ) -> f64 {
        self.kept.begin(false, network.layout, trie);
        self.run_whole(network, trie, tape, choices, gradient)
    }

    /// As [`Self::run`] for a gradient that only [`super::AdamW::step_apart`] is going to read: where few rows were run,
    /// those of weight matrices are left out of it, and [`Self::outers`] tells what they are the products of.
    pub fn run_unformed(
        &mut self,
        network: Network<'_>,
        trie: &Trie,
        tape: &Tape,
        choices: &[Choice],
        gradient: &mut [f32],
    ) -> f64 {
        let few = network.is_full() && tape.nodes() <= FEW && !choices.is_empty();
        self.kept.begin(few, network.layout, trie);
        self.run_whole(network, trie, tape, choices, gradient)
    }

    /// The gradients that the last run left unformed; none where all were formed. The tape is that of the run.
    #[must_use]
    pub fn outers<'a>(&'a self, layout: &Layout, tape: &'a Tape) -> Vec<Outer<'a>> {
        self.kept.outers(layout, tape, &self.logits)
    }

    fn run_whole(
        &mut self,
        network: Network<'_>,
        trie: &Trie,
        tape: &Tape,
        choices: &[Choice],
        gradient: &mut [f32],
    ) -> f64 {
        // One visit to the pool rather than one per product.
        pool::pass(|| {
            self.squares.known = 0.0;
            self.squares.left.clear();
            self.squares.unformed = self.kept.on;
            self.run_here(network, trie, tape, choices, gradient);
            let mut left = std::mem::take(&mut self.squares.left);
            if !network.is_full() {
                left.push(0..gradient.len());
            }
            let pieces: Vec<&[f32]> = (left.iter())
                .flat_map(|range| gradient[range.clone()].chunks(PIECE))
                .collect();
            let sums: Vec<f64> = (pieces.into_par_iter())
                .map(|piece| f64::from(kernels::sum_squares(piece)))
                .collect();
            self.squares.left = left;
            let unformed: Vec<f64> = (self.outers(network.layout, tape).par_iter())
                .map(Outer::squares)
                .collect();
            let squares =
                self.squares.known + sums.iter().sum::<f64>() + unformed.iter().sum::<f64>();
            // Rounding may leave less than nothing; what is not a number stays that. Squares that f32 cannot hold belong to
            // a gradient that is lost.
            if squares < 0.0 {
                0.0
            } else if squares > f64::from(f32::MAX) {
                f64::INFINITY
            } else {
                squares.sqrt()
            }
        })
    }

    fn run_here(
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
            let left = &mut self.squares.left;
            let mut clear = |span: Span| {
                gradient[span.range()].fill(0.0);
                left.push(span.range());
            };
            if layout.head != layout.embedding && !self.kept.on {
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
            if buffer.len() < len {
                buffer.resize(len, 0.0);
            }
            buffer.truncate(len);
        }
        self.stream.fill(0.0);
        trie.by_sequence(n, &mut self.order);
        self.unasked.resize(d.max(config.head_dim), 0.0);
        self.head(network, tape, choices, gradient);
        for index in (0..layout.layers.len()).rev() {
            self.feed_forward(network, tape, index, gradient);
            self.attention(network, trie, tape, index, gradient);
        }
        if !network.is_full() {
            return;
        }
        if self.kept.on {
            self.token_rows(layout, gradient);
        }
        let counted = self.kept.on || !self.squares.left.contains(&layout.embedding.range());
        let counted = f64::from(u8::from(counted));
        for node in 0..n {
            let at = layout.embedding.start + trie.token(node) as usize * d;
            let row = &mut gradient[at..at + d];
            // A tied head's squares were summed before its tokens' rows are added.
            self.squares.known -= f64::from(kernels::sum_squares(row)) * counted;
            kernels::add_scaled(row, &self.stream[node * d..(node + 1) * d], 1.0);
            self.squares.known += f64::from(kernels::sum_squares(row)) * counted;
        }
    }

    /// The embedding's rows of the tree's tokens, where the others stay unformed: what a tied head makes of them, or zeros.
    fn token_rows(&self, layout: &Layout, gradient: &mut [f32]) {
        let (d, v) = (layout.config().hidden_size, layout.config().vocab_size);
        let tied = layout.head == layout.embedding;
        for &token in &self.kept.tokens {
            let row = &mut gradient[layout.embedding.start + token * d..][..d];
            row.fill(0.0);
            if tied {
                for (x, dy) in (self.kept.head.chunks_exact(d)).zip(self.logits.chunks_exact(v)) {
                    kernels::add_scaled(row, x, dy[token]);
                }
            }
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
        // Of a small head they are computed again rather than kept: that costs little and saves a row per node.
        let _ = tape.recall(network, &self.rows, &mut self.logits);
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
        if self.kept.on {
            self.kept.head.clone_from(&self.hidden);
        } else if network.is_full() {
            let squares = matmul::backward_weight(
                &mut gradient[layout.head.range()],
                &self.logits,
                &self.hidden,
                sizes,
            );
            self.squares.of_product(squares, layout.head.range());
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
        let (layout, layer, n) = (network.layout, &tape.layers[index].finished, tape.nodes());
        let f = layout.config().intermediate_size;
        network.backward(
            (index, Linear::Down),
            (&mut self.active, &self.stream),
            (&layer.active, &layer.low[2]),
            &mut self.low,
            (&mut *gradient, &mut self.squares),
            n,
        );
        self.kept.copy(index, Linear::Down, &self.stream);
        self.gate_up
            .par_chunks_exact_mut(2 * f)
            .zip(self.active.par_chunks_exact(f))
            .zip(layer.gate_up[..n * 2 * f].par_chunks_exact(2 * f))
            .for_each(|((dx, dy), x)| kernels::swiglu_backward(dx, dy, x));
        network.backward(
            (index, Linear::GateUp),
            (&mut self.normed, &self.gate_up),
            (&layer.middle_normed, &layer.low[1]),
            &mut self.low,
            (&mut *gradient, &mut self.squares),
            n,
        );
        (self.kept).take(index, Linear::GateUp, &mut self.gate_up);
        let norm = layout.layers[index].mlp_norm;
        norm_backward(
            &mut self.stream,
            (
                asked(network, gradient, &mut self.unasked, norm),
                &mut self.norm_parts,
            ),
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
        let (spans, n) = (&layout.layers[index], tape.nodes());
        let LayerTape {
            projected,
            finished,
        } = &tape.layers[index];
        let heads = Heads::new(layout.config());
        let (q, width) = (heads.queries(), heads.width());
        network.backward(
            (index, Linear::O),
            (&mut self.mixed, &self.stream),
            (&finished.mixed, &finished.low[0]),
            &mut self.low,
            (&mut *gradient, &mut self.squares),
            n,
        );
        self.kept.copy(index, Linear::O, &self.stream);
        let attended = Attended {
            heads,
            trie,
            order: &self.order,
            qkv: &tape.qkv[index],
            weights: &finished.weights,
            d_mixed: &self.mixed,
        };
        let own = heads.part();
        self.parts.resize(heads.kv_heads * n * own, 0.0);
        self.scores.resize_with(heads.kv_heads, Vec::new);
        // Key/value heads are independent, so each thread owns some of them.
        (self.parts.par_chunks_exact_mut(n * own))
            .zip(&mut self.scores)
            .enumerate()
            .for_each(|(kv, (part, scores))| {
                part.fill(0.0);
                attention::attend_backward(attended, kv, part, scores);
            });
        let (parts, hd) = (&self.parts, heads.dim);
        let gather = |(node, row): (usize, &mut [f32])| {
            for kv in 0..heads.kv_heads {
                let part = &parts[(kv * n + node) * own..][..own];
                let (queries, rest) = part.split_at(own - 2 * hd);
                row[kv * queries.len()..][..queries.len()].copy_from_slice(queries);
                row[q + kv * hd..][..hd].copy_from_slice(&rest[..hd]);
                row[heads.rotated() + kv * hd..][..hd].copy_from_slice(&rest[hd..]);
            }
            let (cos, sin) = tape.rotary(trie.position(node), hd / 2);
            kernels::rotate(&mut row[..heads.rotated()], cos, sin, -1.0);
        };
        (self.qkv.par_chunks_exact_mut(width).with_min_len(16))
            .enumerate()
            .for_each(gather);
        if let Some((q_norm, k_norm)) = spans.qk_norms {
            let both = heads.heads + heads.kv_heads;
            for (heads, columns, norm) in [
                (0..heads.heads, 0..q, q_norm),
                (heads.heads..both, q..both * hd, k_norm),
            ] {
                let d_weight = asked(network, gradient, &mut self.unasked, norm);
                for node in 0..n {
                    for (head, dy) in heads
                        .clone()
                        .zip(self.qkv[node * width..][columns.clone()].chunks_exact_mut(hd))
                    {
                        self.one_head.clear();
                        self.one_head.resize(hd, 0.0);
                        let x = &projected.qk[(node * both + head) * hd..][..hd];
                        kernels::rms_norm_backward(
                            &mut self.one_head,
                            d_weight,
                            dy,
                            x,
                            &parameters[norm.range()],
                            projected.qk_inv[node * both + head],
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
            (&projected.input_normed, &projected.low),
            &mut self.low,
            (&mut *gradient, &mut self.squares),
            n,
        );
        self.kept.take(index, Linear::Qkv, &mut self.qkv);
        let norm = spans.attention_norm;
        norm_backward(
            &mut self.stream,
            (
                asked(network, gradient, &mut self.unasked, norm),
                &mut self.norm_parts,
            ),
            &self.normed,
            (&projected.input, &projected.input_inv),
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

/// Rows whose part of a norm's gradient is summed by one thread: results do not depend on how many there are.
const NORM_ROWS: usize = 256;

fn norm_backward(
    stream: &mut [f32],
    (d_weight, parts): (&mut [f32], &mut Vec<f32>),
    dy: &[f32],
    (x, inv): (&[f32], &[f32]),
    weight: &[f32],
) {
    let d = weight.len();
    let rows = stream.len() / d;
    parts.clear();
    parts.resize(rows.div_ceil(NORM_ROWS) * d, 0.0);
    (stream.par_chunks_mut(NORM_ROWS * d))
        .zip(parts.par_chunks_exact_mut(d))
        .enumerate()
        .for_each(|(block, (stream, d_weight))| {
            let from = block * NORM_ROWS;
            for (((dx, dy), x), &inv) in (stream.chunks_exact_mut(d))
                .zip(dy[from * d..].chunks_exact(d))
                .zip(x[from * d..].chunks_exact(d))
                .zip(&inv[from..])
            {
                kernels::rms_norm_backward(dx, d_weight, dy, x, weight, inv);
            }
        });
    for part in parts.chunks_exact(d) {
        kernels::add_scaled(d_weight, part, 1.0);
    }
}
