//! Where each tensor lies in one flat `f32` buffer, so that optimiser, clipping and copies are single passes.
//!
//! Tensors that are multiplied with the same input lie side by side (q, k, v; gate, up): one matrix product serves all.

use std::{collections::HashMap, ops::Range};

use candle_core::{CpuStorage, Device, Storage, Tensor};

use super::{
    super::{
        config::{Family, ModelConfig},
        error::LmError,
    },
    buffer,
    network::Linear,
};

/// Place and shape of one matrix or vector in the flat buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First element.
    pub start: usize,
    /// Rows (outputs).
    pub rows: usize,
    /// Columns (inputs); 1 for vectors.
    pub columns: usize,
}

impl Span {
    /// The elements.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start..self.start + self.rows * self.columns
    }
}

/// The spans of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerLayout {
    pub(super) attention_norm: Span,
    /// q, k and v below each other: [q + 2·kv, hidden].
    pub(super) qkv: Span,
    /// Biases of q, k and v, side by side (Qwen2).
    pub(super) qkv_bias: Option<Span>,
    /// Norms of every query and every key head [head dimension] (Qwen3).
    pub(super) qk_norms: Option<(Span, Span)>,
    pub(super) o: Span,
    pub(super) mlp_norm: Span,
    /// gate and up below each other: [2·intermediate, hidden].
    pub(super) gate_up: Span,
    pub(super) down: Span,
}

impl LayerLayout {
    pub(super) fn span(&self, linear: Linear) -> Span {
        match linear {
            Linear::Qkv => self.qkv,
            Linear::O => self.o,
            Linear::GateUp => self.gate_up,
            Linear::Down => self.down,
        }
    }
}

/// The flat layout of a Llama-family model.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    config: ModelConfig,
    pub(super) embedding: Span,
    /// The output head: the embedding itself when tied.
    pub(super) head: Span,
    pub(super) norm: Span,
    pub(super) layers: Vec<LayerLayout>,
    /// Every tensor under its Hugging Face name.
    names: Vec<(String, Span)>,
    len: usize,
}

impl Layout {
    /// Lays out a model.
    ///
    /// # Errors
    /// When the shape is one that no forward can run.
    pub fn new(config: &ModelConfig) -> Result<Self, LmError> {
        config.check()?;
        let mut builder = Builder::default();
        let (d, f) = (config.hidden_size, config.intermediate_size);
        let (q, kv) = (
            config.heads * config.head_dim,
            config.kv_heads * config.head_dim,
        );
        let embedding = builder.add("model.embed_tokens.weight", config.vocab_size, d);
        let mut layers = Vec::with_capacity(config.layers);
        for index in 0..config.layers {
            let mut add = |part: &str, rows, columns| {
                builder.add(&format!("model.layers.{index}.{part}"), rows, columns)
            };
            let attention_norm = add("input_layernorm.weight", d, 1);
            let q_span = add("self_attn.q_proj.weight", q, d);
            add("self_attn.k_proj.weight", kv, d);
            add("self_attn.v_proj.weight", kv, d);
            let qkv_bias = config.qkv_bias.then(|| {
                let bias = add("self_attn.q_proj.bias", q, 1);
                add("self_attn.k_proj.bias", kv, 1);
                add("self_attn.v_proj.bias", kv, 1);
                Span {
                    rows: q + 2 * kv,
                    ..bias
                }
            });
            let qk_norms = (config.family == Family::Qwen3).then(|| {
                (
                    add("self_attn.q_norm.weight", config.head_dim, 1),
                    add("self_attn.k_norm.weight", config.head_dim, 1),
                )
            });
            let o = add("self_attn.o_proj.weight", d, q);
            let mlp_norm = add("post_attention_layernorm.weight", d, 1);
            let gate = add("mlp.gate_proj.weight", f, d);
            add("mlp.up_proj.weight", f, d);
            let down = add("mlp.down_proj.weight", d, f);
            layers.push(LayerLayout {
                attention_norm,
                qkv: Span {
                    rows: q + 2 * kv,
                    ..q_span
                },
                qkv_bias,
                qk_norms,
                o,
                mlp_norm,
                gate_up: Span {
                    rows: 2 * f,
                    ..gate
                },
                down,
            });
        }
        let norm = builder.add("model.norm.weight", d, 1);
        let head = if config.tied_embeddings {
            embedding
        } else {
            builder.add("lm_head.weight", config.vocab_size, d)
        };
        Ok(Self {
            config: config.clone(),
            embedding,
            head,
            norm,
            layers,
            names: builder.names,
            len: builder.len,
        })
    }

    /// The model's shape.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Number of parameters.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a model is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Every tensor under its Hugging Face name, in the order of the buffer.
    #[must_use]
    pub fn tensors(&self) -> &[(String, Span)] {
        &self.names
    }

    /// Copies weights under Hugging Face names into one flat buffer.
    ///
    /// # Errors
    /// Names a tensor that is missing or of the wrong size.
    pub fn flatten(&self, weights: &HashMap<String, Tensor>) -> Result<Vec<f32>, LmError> {
        let mut flat = Vec::with_capacity(self.len);
        buffer::on_large_pages(&flat);
        for (name, span) in &self.names {
            let tensor = weights.get(name).ok_or_else(|| LmError::Tensor {
                name: name.clone(),
                why: "it is missing".to_owned(),
            })?;
            push_values(&mut flat, tensor, name, *span)?;
        }
        Ok(flat)
    }

    /// As [`Self::flatten`], giving each tensor's memory back as soon as it is copied: a model is in memory once, not twice.
    ///
    /// # Errors
    /// As [`Self::flatten`].
    pub fn flatten_owned(&self, mut weights: HashMap<String, Tensor>) -> Result<Vec<f32>, LmError> {
        let mut flat = Vec::with_capacity(self.len);
        buffer::on_large_pages(&flat);
        for (name, span) in &self.names {
            let tensor = weights.remove(name).ok_or_else(|| LmError::Tensor {
                name: name.clone(),
                why: "it is missing".to_owned(),
            })?;
            push_values(&mut flat, &tensor, name, *span)?;
        }
        Ok(flat)
    }

    /// The tensors of a flat buffer (weights or gradients) under Hugging Face names.
    ///
    /// # Errors
    /// When the buffer has another length.
    pub fn unflatten(&self, flat: &[f32]) -> Result<HashMap<String, Tensor>, LmError> {
        if flat.len() != self.len {
            return Err(LmError::Request(format!(
                "{} numbers do not fill {} parameters",
                flat.len(),
                self.len
            )));
        }
        self.names
            .iter()
            .map(|(name, span)| {
                let values = flat[span.range()].to_vec();
                let tensor = if span.columns == 1 {
                    Tensor::from_vec(values, span.rows, &Device::Cpu)
                } else {
                    Tensor::from_vec(values, (span.rows, span.columns), &Device::Cpu)
                };
                Ok((name.clone(), tensor?))
            })
            .collect()
    }
}

/// Appends a tensor that must fill its span.
fn push_values(
    flat: &mut Vec<f32>,
    tensor: &Tensor,
    name: &str,
    span: Span,
) -> Result<(), LmError> {
    let (given, needed) = (tensor.elem_count(), span.range().len());
    if given != needed {
        return Err(LmError::Tensor {
            name: name.to_owned(),
            why: format!("it has {given} elements; {needed} are needed"),
        });
    }
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        // Straight from where it lies: another copy of a large tensor would cost more than reading it.
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => {
            flat.extend_from_slice(&values[start..end]);
        }
        _ => {
            drop(storage);
            flat.extend_from_slice(&tensor.flatten_all()?.to_vec1::<f32>()?);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Builder {
    names: Vec<(String, Span)>,
    len: usize,
}

impl Builder {
    fn add(&mut self, name: &str, rows: usize, columns: usize) -> Span {
        let span = Span {
            start: self.len,
            rows,
            columns,
        };
        self.len += rows * columns;
        self.names.push((name.to_owned(), span));
        span
    }
}
