//! What a pass runs with: a layout, the weights, and low-rank factors where those are what is trained.
//!
//! Full fine-tuning and LoRA share every call. The base weights are borrowed, so that policy and reference can be one
//! copy in memory.

use std::ops::Range;

use super::{
    super::error::LmError,
    layout::{Layout, Span},
    lora::{LoraGroup, LoraLayout},
    matmul::{self, Line, Spread},
};

/// A model to run: the base weights and, with LoRA (Hu et al., arXiv 2106.09685), factors on top of them.
///
/// What is trained, and therefore how a gradient is laid out, is the factors where there are any and else the base.
#[derive(Debug, Clone, Copy)]
pub struct Network<'a> {
    pub(super) layout: &'a Layout,
    pub(super) base: &'a [f32],
    lora: Option<(&'a LoraLayout, &'a [f32])>,
}

/// The matrix products of a layer; each reads one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Linear {
    Qkv,
    O,
    GateUp,
    Down,
}

impl Linear {
    pub(super) const COUNT: usize = 4;
    pub(super) const ALL: [Self; Self::COUNT] = [Self::Qkv, Self::O, Self::GateUp, Self::Down];
    /// Those after attention.
    pub(super) const FINISHING: [Self; 3] = [Self::O, Self::GateUp, Self::Down];
}

impl<'a> Network<'a> {
    /// Every parameter is trained (or none: the reference).
    ///
    /// # Errors
    /// When the buffer does not fill the layout.
    pub fn full(layout: &'a Layout, parameters: &'a [f32]) -> Result<Self, LmError> {
        fits("parameters", parameters.len(), layout.len())?;
        Ok(Self {
            layout,
            base: parameters,
            lora: None,
        })
    }

    /// Low-rank factors on frozen base weights are trained.
    ///
    /// # Errors
    /// When a buffer does not fill its layout or the factors belong to another model.
    pub fn lora(
        layout: &'a Layout,
        base: &'a [f32],
        lora: &'a LoraLayout,
        factors: &'a [f32],
    ) -> Result<Self, LmError> {
        fits("parameters", base.len(), layout.len())?;
        fits("low-rank factors", factors.len(), lora.len())?;
        lora.fits(layout)?;
        Ok(Self {
            layout,
            base,
            lora: Some((lora, factors)),
        })
    }

    /// The model's layout.
    #[must_use]
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// How many numbers are trained: the length of a gradient.
    #[must_use]
    pub fn trained(&self) -> usize {
        self.lora.map_or(self.layout.len(), |(lora, _)| lora.len())
    }

    pub(super) fn is_full(&self) -> bool {
        self.lora.is_none()
    }

    fn span(&self, layer: usize, linear: Linear) -> Span {
        self.layout.layers[layer].span(linear)
    }

    fn group(&self, layer: usize, linear: Linear) -> Option<(&'a LoraGroup, &'a [f32], f32)> {
        let (lora, factors) = self.lora?;
        Some((lora.group(layer, linear)?, factors, lora.scale()))
    }

    /// Columns of the low-rank activations of one product: rank × adapted modules.
    pub(super) fn low_columns(&self, layer: usize, linear: Linear) -> usize {
        self.group(layer, linear)
            .map_or(0, |(group, ..)| group.a.rows)
    }

    /// y [n, out] (+)= x·Wᵀ + s·(x·Aᵀ)·Bᵀ; leaves x·Aᵀ [n, rank × modules] in `low`. With packed weights it runs on this
    /// thread alone.
    pub(super) fn forward(
        &self,
        (layer, linear): (usize, Linear),
        packed: Option<&[Line]>,
        (y, x): (&mut [f32], &[f32]),
        low: &mut [f32],
        n: usize,
        add: bool,
    ) {
        let span = self.span(layer, linear);
        let (inputs, outputs) = (span.columns, span.rows);
        let sizes = (n, inputs, outputs);
        let spread = match packed {
            Some(packed) => {
                matmul::forward_packed(y, x, packed, sizes, add);
                Spread::Alone
            }
            None => {
                let weights = &self.base[span.range()];
                matmul::forward(y, x, weights, sizes, add, Spread::Threads);
                Spread::Threads
            }
        };
        let Some((group, factors, scale)) = self.group(layer, linear) else {
            return;
        };
        let columns = group.a.rows;
        matmul::forward(
            low,
            x,
            &factors[group.a.range()],
            (n, inputs, columns),
            false,
            spread,
        );
        for part in &group.parts {
            let rank = part.b.columns;
            let _ = matmul::product(
                (n, part.b.rows, rank),
                (&mut y[part.first_output..], outputs),
                (&low[part.first_low..], columns, 1),
                (&factors[part.b.range()], 1, rank),
                true,
                scale,
                spread,
            );
        }
    }

    /// dx [n, in] = dy·W (+ the low-rank path), and the gradient of what is trained in this product, unless it stays
    /// unformed. `d_low` is scratch.
    pub(super) fn backward(
        &self,
        (layer, linear): (usize, Linear),
        (dx, dy): (&mut [f32], &[f32]),
        (x, low): (&[f32], &[f32]),
        d_low: &mut Vec<f32>,
        (gradient, squares): (&mut [f32], &mut Squares),
        n: usize,
    ) {
        let span = self.span(layer, linear);
        let (inputs, outputs) = (span.columns, span.rows);
        let sizes = (n, inputs, outputs);
        if self.is_full() && !squares.unformed {
            squares.of_product(
                matmul::backward_weight(&mut gradient[span.range()], dy, x, sizes),
                span.range(),
            );
        }
        matmul::backward_input(dx, dy, &self.base[span.range()], sizes, false);
        let Some((group, factors, scale)) = self.group(layer, linear) else {
            return;
        };
        let columns = group.a.rows;
        if d_low.len() < n * columns {
            d_low.resize(n * columns, 0.0);
        }
        for part in &group.parts {
            let rank = part.b.columns;
            let dy = &dy[part.first_output..];
            let _ = matmul::product(
                (n, rank, part.b.rows),
                (&mut d_low[part.first_low..], columns),
                (dy, outputs, 1),
                (&factors[part.b.range()], rank, 1),
                false,
                scale,
                Spread::Threads,
            );
            let _ = matmul::product(
                (part.b.rows, rank, n),
                (&mut gradient[part.b.range()], rank),
                (dy, 1, outputs),
                (&low[part.first_low..], columns, 1),
                false,
                scale,
                Spread::Threads,
            );
        }
        let sizes = (n, inputs, columns);
        let _ = matmul::backward_weight(&mut gradient[group.a.range()], d_low, x, sizes);
        matmul::backward_input(dx, d_low, &factors[group.a.range()], sizes, true);
    }
}

/// The gradient's sum of squares, gathered while it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Squares {
    /// Of what was summed on the way.
    pub(super) known: f64,
    /// What is left to sum.
    pub(super) left: Vec<Range<usize>>,
    /// Weight gradients are not written at all: see [`super::outer`].
    pub(super) unformed: bool,
}

impl Squares {
    pub(super) fn of_product(&mut self, squares: Option<f64>, range: Range<usize>) {
        match squares {
            Some(squares) => self.known += squares,
            None => self.left.push(range),
        }
    }
}

fn fits(what: &str, given: usize, needed: usize) -> Result<(), LmError> {
    if given == needed {
        return Ok(());
    }
    Err(LmError::Request(format!(
        "{given} numbers do not fill {needed} {what}"
    )))
}
