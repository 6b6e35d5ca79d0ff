//! Weight gradients that are left as the two factors of which each is the product.
//!
//! After a step of few rows, the gradient dyᵀ·x of a weight matrix is many times larger than dy and x. Writing it and
//! reading it again costs more than summing it where the optimiser needs it; and its norm is known without it:
//! ‖dyᵀ·x‖² = Σ (dy·dyᵀ) ∘ (x·xᵀ), two matrices of rows by rows.

use std::{iter, mem, ops::Range};

use rayon::prelude::*;

use super::{
    forward::Tape,
    gram,
    kernels::AdamStep,
    layout::{Layout, Span},
    matmul::{self, Piece},
    network::Linear,
    trie::Trie,
};

/// The gradient dyᵀ·x of a weight matrix.
#[derive(Debug, Clone, Copy)]
pub struct Outer<'a> {
    pub(super) span: Span,
    /// Rows that were run.
    pub(super) n: usize,
    /// [n, outputs].
    pub(super) dy: &'a [f32],
    /// [n, inputs].
    pub(super) x: &'a [f32],
    /// Rows of the matrix whose gradient is something else, in ascending order: it is formed.
    pub(super) formed: &'a [usize],
}

/// Numbers of a row whose products one thread sums.
const STRETCH: usize = 4096;

impl Outer<'_> {
    /// Σ (dyᵀ·x)² over the whole matrix. Summed in `f64`, whose rounding stays small also where the rows all but cancel.
    pub(super) fn squares(&self) -> f64 {
        let (inputs, outputs) = (self.span.columns, self.span.rows);
        let mut of_x = gram::products(self.x, self.n, inputs, 0..inputs);
        // Each pair of rows was multiplied once.
        for (i, row) in of_x.chunks_exact_mut(self.n.max(1)).enumerate() {
            row.iter_mut().skip(i + 1).for_each(|sum| *sum *= 2.0);
        }
        let stretches = outputs.div_ceil(STRETCH);
        let parts: Vec<f64> = (0..stretches)
            .into_par_iter()
            .map(|i| {
                let columns = outputs * i / stretches..outputs * (i + 1) / stretches;
                let of_dy = gram::products(self.dy, self.n, outputs, columns);
                of_x.iter().zip(of_dy).map(|(x, dy)| x * dy).sum()
            })
            .collect();
        parts.iter().sum()
    }

    /// All rows of the matrix in pieces of up to `most`; those that are formed are pieces of their own, and so marked.
    pub(super) fn stretches(&self, most: usize) -> impl Iterator<Item = (Range<usize>, bool)> {
        let rows = self.span.rows;
        let starts = iter::once(0).chain(self.formed.iter().map(|formed| formed + 1));
        let ends = self.formed.iter().copied().chain([rows]);
        starts.zip(ends).flat_map(move |(start, end)| {
            let between = (start..end).step_by(most);
            let between = between.map(move |from| (from..end.min(from + most), false));
            between.chain((end < rows).then_some((end..end + 1, true)))
        })
    }

    /// The step of a piece of the matrix that begins with a row.
    pub(super) fn step(&self, row: usize, piece: Piece<'_>, step: AdamStep) {
        let (inputs, outputs) = (self.span.columns, self.span.rows);
        let sizes = (piece.read.len() / inputs.max(1), inputs, self.n);
        let dy = self.dy.get(row..).unwrap_or_default();
        matmul::update(piece, (dy, outputs), self.x, sizes, step);
    }
}

/// What a backward keeps so that weight gradients need not be formed.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    /// Whether the last backward left them unformed.
    pub(super) on: bool,
    /// dy of each product [nodes, outputs], layer by layer, by [`Linear`].
    layers: Vec<[Vec<f32>; Linear::COUNT]>,
    /// What the head read, row by row.
    pub(super) head: Vec<f32>,
    /// Tokens of the tree, each once, in ascending order: the rows of the embedding that have a gradient of their own.
    pub(super) tokens: Vec<usize>,
}

impl Kept {
    /// Begins anew.
    pub(super) fn begin(&mut self, on: bool, layout: &Layout, trie: &Trie) {
        self.on = on;
        if !on {
            return;
        }
        self.layers
            .resize_with(layout.layers.len(), Default::default);
        self.tokens.clear();
        (self.tokens).extend((0..trie.len()).map(|node| trie.token(node) as usize));
        self.tokens.sort_unstable();
        self.tokens.dedup();
    }

    /// Keeps a dy that is still needed.
    pub(super) fn copy(&mut self, layer: usize, linear: Linear, dy: &[f32]) {
        if self.on {
            let to = &mut self.layers[layer][linear as usize];
            to.clear();
            to.extend_from_slice(dy);
        }
    }

    /// Keeps a dy that is not needed any more, and leaves some numbers in its place.
    pub(super) fn take(&mut self, layer: usize, linear: Linear, dy: &mut Vec<f32>) {
        if self.on {
            let len = dy.len();
            mem::swap(&mut self.layers[layer][linear as usize], dy);
            dy.resize(len, 0.0);
        }
    }

    /// All gradients that are unformed, by their place in the layout; `logits` is dy of the head.
    pub(super) fn outers<'a>(
        &'a self,
        layout: &Layout,
        tape: &'a Tape,
        logits: &'a [f32],
    ) -> Vec<Outer<'a>> {
        if !self.on {
            return Vec::new();
        }
        let n = tape.nodes();
        let of = |span: Span, rows: usize, dy: &'a [f32], x: &'a [f32]| Outer {
            span,
            n: rows,
            dy: &dy[..rows * span.rows],
            x: &x[..rows * span.columns],
            formed: &[],
        };
        let rows = self.head.len() / layout.head.columns;
        let head = of(layout.head, rows, logits, &self.head);
        let mut all = vec![if layout.head == layout.embedding {
            head
        } else {
            of(layout.embedding, 0, &[], &[])
        }];
        all[0].formed = &self.tokens;
        for ((spans, dy), layer) in (layout.layers.iter()).zip(&self.layers).zip(&tape.layers) {
            for linear in Linear::ALL {
                let x = match linear {
                    Linear::Qkv => &layer.projected.input_normed,
                    Linear::O => &layer.finished.mixed,
                    Linear::GateUp => &layer.finished.middle_normed,
                    Linear::Down => &layer.finished.active,
                };
                all.push(of(spans.span(linear), n, &dy[linear as usize], x));
            }
        }
        if layout.head != layout.embedding {
            all.push(head);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_cover_every_row_once_and_mark_the_formed_ones() {
        for formed in [&[][..], &[0], &[4, 5, 19], &[0, 1, 2, 18, 19]] {
            let span = Span {
                start: 7,
                rows: 20,
                columns: 3,
            };
            let outer = Outer {
                span,
                n: 0,
                dy: &[],
                x: &[],
                formed,
            };
            let mut next = 0;
            for (rows, marked) in outer.stretches(4) {
                assert_eq!(rows.start, next);
                assert!((1..=4).contains(&rows.len()));
                assert!(rows.clone().all(|row| formed.contains(&row) == marked));
                next = rows.end;
            }
            assert_eq!(next, 20);
        }
    }

    #[test]
    fn the_norm_is_that_of_the_formed_gradient_also_where_rows_all_but_cancel() {
        let (n, inputs, outputs) = (6, 70, STRETCH + 33);
        let wave = |i: usize, speed: f32| ((i as f32 + 1.0) * speed).sin();
        let x: Vec<f32> = (0..n * inputs).map(|i| wave(i, 0.37)).collect();
        let dy: Vec<f32> = (0..n * outputs).map(|i| wave(i, 0.71)).collect();
        // Three pairs of nearly the same input with nearly opposite gradients.
        let pair = |values: &[f32], width: usize, turn: f32| -> Vec<f32> {
            (0..n * width)
                .map(|i| {
                    let (row, column) = (i / width, i % width);
                    let own = values[row / 2 * width + column];
                    let sign = if row % 2 == 0 { 1.0 } else { turn };
                    sign * own + 1e-4 * wave(i, 0.11)
                })
                .collect()
        };
        let opposite = (pair(&x, inputs, 1.0), pair(&dy, outputs, -1.0));
        for (x, dy) in [(x, dy), opposite] {
            let outer = Outer {
                span: Span {
                    start: 0,
                    rows: outputs,
                    columns: inputs,
                },
                n,
                dy: &dy,
                x: &x,
                formed: &[],
            };
            let mut exact = 0.0;
            for o in 0..outputs {
                for i in 0..inputs {
                    let terms = (0..n)
                        .map(|r| f64::from(dy[r * outputs + o]) * f64::from(x[r * inputs + i]));
                    exact += terms.sum::<f64>().powi(2);
                }
            }
            let squares = outer.squares();
            assert!(
                (squares / exact - 1.0).abs() < 1e-7,
                "{squares} against {exact}"
            );
        }
    }
}
