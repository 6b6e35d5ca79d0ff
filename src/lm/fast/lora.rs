//! Low-rank adapters: W x becomes W x + (α/r)·B A x, with A [r, in] and B [out, r] trained and W left alone
//! (Hu et al., arXiv 2106.09685, section 4.1).
//!
//! All factors lie in one flat buffer, so that optimiser, clipping and checkpoints are single passes. Factors A that read
//! the same input lie below each other: one product serves q, k and v, another gate and up.

use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

pub use crate::experiment::LoraModule;

use super::{
    super::error::LmError,
    kernels,
    layout::{Layout, Span},
    network::{Linear, Network},
};

/// Where a matrix lies in its layer.
fn block_of(module: LoraModule) -> &'static str {
    match module {
        LoraModule::Q | LoraModule::K | LoraModule::V | LoraModule::O => "self_attn",
        LoraModule::Gate | LoraModule::Up | LoraModule::Down => "mlp",
    }
}

fn linear_of(module: LoraModule) -> Linear {
    match module {
        LoraModule::Q | LoraModule::K | LoraModule::V => Linear::Qkv,
        LoraModule::O => Linear::O,
        LoraModule::Gate | LoraModule::Up => Linear::GateUp,
        LoraModule::Down => Linear::Down,
    }
}

/// The adapters that share an input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LoraGroup {
    /// Their factors A below each other [rank × modules, in].
    pub(super) a: Span,
    pub(super) parts: Vec<LoraPart>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LoraPart {
    pub(super) b: Span,
    /// First column of the product's outputs that this module makes.
    pub(super) first_output: usize,
    /// First column of x·Aᵀ that belongs to this module.
    pub(super) first_low: usize,
    module: LoraModule,
}

/// Where the factors of every adapter lie in one flat buffer.
///
/// The names are PEFT's: module `q_proj` of layer 0 has `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`
/// [rank, in] and `….lora_B.weight` [out, rank], both row-major; PEFT's `r` is the rank, `lora_alpha` is α.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraLayout {
    rank: usize,
    alpha: f64,
    modules: Vec<LoraModule>,
    layers: Vec<[Option<LoraGroup>; Linear::COUNT]>,
    names: Vec<(String, Span)>,
    len: usize,
}

impl LoraLayout {
    /// Lays out adapters of one rank on the given modules of every layer.
    ///
    /// # Errors
    /// When the rank is 0 or above the model's width, α is not a number above 0, or no module is named.
    pub fn new(
        layout: &Layout,
        rank: usize,
        alpha: f64,
        modules: &[LoraModule],
    ) -> Result<Self, LmError> {
        let config = layout.config();
        let unsupported = |field: &str, value: String, accepted: String| LmError::Unsupported {
            field: field.to_owned(),
            value,
            accepted,
        };
        if rank == 0 || rank > config.hidden_size {
            return Err(unsupported(
                "LoRA rank",
                rank.to_string(),
                format!("1 to {}, the model's width", config.hidden_size),
            ));
        }
        if !alpha.is_finite() || alpha <= 0.0 {
            return Err(unsupported(
                "LoRA alpha",
                alpha.to_string(),
                "a finite number above 0".to_owned(),
            ));
        }
        let mut modules = modules.to_vec();
        modules.sort_unstable();
        modules.dedup();
        if modules.is_empty() {
            return Err(unsupported(
                "LoRA modules",
                "none".to_owned(),
                LoraModule::ALL.map(LoraModule::name).join(", "),
            ));
        }
        let mut this = Self {
            rank,
            alpha,
            layers: Vec::with_capacity(config.layers),
            modules,
            names: vec![],
            len: 0,
        };
        for layer in 0..config.layers {
            let groups = Linear::ALL.map(|linear| this.add(layout, layer, linear));
            this.layers.push(groups);
        }
        Ok(this)
    }

    fn take(&mut self, rows: usize, columns: usize) -> Span {
        let start = self.len;
        self.len += rows * columns;
        Span {
            start,
            rows,
            columns,
        }
    }

    fn add(&mut self, layout: &Layout, layer: usize, linear: Linear) -> Option<LoraGroup> {
        let own: Vec<LoraModule> = (self.modules.iter().copied())
            .filter(|m| linear_of(*m) == linear)
            .collect();
        let first = own.first()?;
        let (_, inputs, _) = shape(layout, *first);
        let rank = self.rank;
        let a = self.take(rank * own.len(), inputs);
        let mut parts = Vec::with_capacity(own.len());
        for (index, &module) in own.iter().enumerate() {
            let (first_output, _, outputs) = shape(layout, module);
            let name = |factor: &str| {
                format!(
                    "base_model.model.model.layers.{layer}.{}.{}.lora_{factor}.weight",
                    block_of(module),
                    module.name()
                )
            };
            let part_of_a = Span {
                start: a.start + index * rank * inputs,
                rows: rank,
                columns: inputs,
            };
            let b = self.take(outputs, rank);
            self.names.push((name("A"), part_of_a));
            self.names.push((name("B"), b));
            parts.push(LoraPart {
                b,
                first_output,
                first_low: index * rank,
                module,
            });
        }
        Some(LoraGroup { a, parts })
    }

    /// Starting factors: A uniform within ±1/√in, which is what PEFT's Kaiming initialisation comes to, and B zero, so
    /// that the adapted model starts as the base. The stream is ChaCha's from `seed`.
    #[must_use]
    pub fn initial(&self, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut factors = vec![0.0; self.len];
        for group in self.layers.iter().flatten().flatten() {
            let bound = 1.0 / (group.a.columns as f32).sqrt();
            for value in &mut factors[group.a.range()] {
                *value = rng.random_range(-bound..bound);
            }
        }
        factors
    }

    /// The base weights with the adapters added in: what the adapted model is as a full one.
    ///
    /// # Errors
    /// When a buffer does not fill its layout or the factors belong to another model.
    pub fn merge(
        &self,
        layout: &Layout,
        base: &[f32],
        factors: &[f32],
    ) -> Result<Vec<f32>, LmError> {
        Network::lora(layout, base, self, factors)?;
        let mut merged = base.to_vec();
        for (spans, groups) in layout.layers.iter().zip(&self.layers) {
            for group in groups.iter().flatten() {
                for part in &group.parts {
                    let span = spans.span(linear_of(part.module));
                    let (inputs, rank) = (span.columns, self.rank);
                    let a = &factors[group.a.start + part.first_low * inputs..][..rank * inputs];
                    let rows = merged[span.start + part.first_output * inputs..]
                        .chunks_exact_mut(inputs)
                        .zip(factors[part.b.range()].chunks_exact(rank));
                    for (row, b) in rows {
                        for (&b, a) in b.iter().zip(a.chunks_exact(inputs)) {
                            kernels::add_scaled(row, a, self.scale() * b);
                        }
                    }
                }
            }
        }
        Ok(merged)
    }

    /// Every factor under its PEFT name, with its place in the flat buffer.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, Span)> {
        self.names.iter().map(|(name, span)| (name.as_str(), *span))
    }

    /// Number of trained numbers.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always an adapter")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Rank of every adapter.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// α; the adapters are scaled by α/rank.
    #[must_use]
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// The adapted modules, in the order of a layer.
    #[must_use]
    pub fn modules(&self) -> &[LoraModule] {
        &self.modules
    }

    pub(super) fn scale(&self) -> f32 {
        (self.alpha / self.rank as f64) as f32
    }

    pub(super) fn group(&self, layer: usize, linear: Linear) -> Option<&LoraGroup> {
        self.layers[layer][linear as usize].as_ref()
    }

    pub(super) fn fits(&self, layout: &Layout) -> Result<(), LmError> {
        let same = self.layers.len() == layout.layers.len()
            && self.layers.first().is_none_or(|groups| {
                groups.iter().flatten().all(|group| {
                    group.parts.iter().all(|part| {
                        (part.first_output, group.a.columns, part.b.rows)
                            == shape(layout, part.module)
                    })
                })
            });
        if same {
            return Ok(());
        }
        Err(LmError::Request(
            "the low-rank factors were laid out for a model of another shape".to_owned(),
        ))
    }
}

/// First output within its product, inputs and outputs of a module.
fn shape(layout: &Layout, module: LoraModule) -> (usize, usize, usize) {
    let config = layout.config();
    let (d, f) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (
        config.heads * config.head_dim,
        config.kv_heads * config.head_dim,
    );
    match module {
        LoraModule::Q => (0, d, q),
        LoraModule::K => (q, d, kv),
        LoraModule::V => (q + kv, d, kv),
        LoraModule::O => (0, q, d),
        LoraModule::Gate => (0, d, f),
        LoraModule::Up => (f, d, f),
        LoraModule::Down => (0, f, d),
    }
}
