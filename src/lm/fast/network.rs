//! What a pass runs with: a layout, the weights, and low-rank factors where those are what is trained.
//!
//! Full fine-tuning and LoRA share every call. The base weights are borrowed, so that policy and reference can be one
//! copy in memory.

use super::{
    super::error::LmError,
    layout::{Layout, Span},
    lora::{LoraGroup, LoraLayout},
    matmul,
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

    /// y [n, out] (+)= x·Wᵀ + s·(x·Aᵀ)·Bᵀ; leaves x·Aᵀ [n, rank × modules] in `low`.
    pub(super) fn forward(
        &self,
        (layer, linear): (usize, Linear),
        y: &mut [f32],
        x: &[f32],
        low: &mut [f32],
        n: usize,
        add: bool,
    ) {
        let span = self.span(layer, linear);
        let (inputs, outputs) = (span.columns, span.rows);
        matmul::forward(y, x, &self.base[span.range()], (n, inputs, outputs), add);
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
        );
        for part in &group.parts {
            let rank = part.b.columns;
            matmul::product(
                (n, part.b.rows, rank),
                (&mut y[part.first_output..], outputs),
                (&low[part.first_low..], columns, 1),
                (&factors[part.b.range()], 1, rank),
                true,
                scale,
            );
        }
    }

    /// dx [n, in] = dy·W (+ the low-rank path), and the gradient of what is trained in this product. `d_low` is scratch.
    pub(super) fn backward(
        &self,
        (layer, linear): (usize, Linear),
        (dx, dy): (&mut [f32], &[f32]),
        (x, low): (&[f32], &[f32]),
        d_low: &mut Vec<f32>,
        gradient: &mut [f32],
        n: usize,
    ) {
        let span = self.span(layer, linear);
        let (inputs, outputs) = (span.columns, span.rows);
        let sizes = (n, inputs, outputs);
        if self.is_full() {
            matmul::backward_weight(&mut gradient[span.range()], dy, x, sizes, false);
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
            matmul::product(
                (n, rank, part.b.rows),
                (&mut d_low[part.first_low..], columns),
                (dy, outputs, 1),
                (&factors[part.b.range()], rank, 1),
                false,
                scale,
            );
            matmul::product(
                (part.b.rows, rank, n),
                (&mut gradient[part.b.range()], rank),
                (dy, 1, outputs),
                (&low[part.first_low..], columns, 1),
                false,
                scale,
            );
        }
        let sizes = (n, inputs, columns);
        matmul::backward_weight(&mut gradient[group.a.range()], d_low, x, sizes, false);
        matmul::backward_input(dx, d_low, &factors[group.a.range()], sizes, true);
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
