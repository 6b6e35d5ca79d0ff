//! The differentiable forward of the Llama family, composed of candle operations that all have a backward.
//!
//! This is the path that runs on any device and the oracle that faster paths are measured against. candle-nn's fused
//! `rms_norm`, `softmax_last_dim` and `rope` register no backward, so none of them is used.

use std::collections::HashMap;

use candle_core::{D, Device, Tensor};

use super::{
    config::{Family, ModelConfig},
    error::LmError,
    rope::Rotary,
};

/// A decoder whose weights may be plain tensors or trainable variables.
#[derive(Debug, Clone)]
pub struct Model {
    config: ModelConfig,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Tensor,
    rotary: Rotary,
    device: Device,
}

#[derive(Debug, Clone)]
struct Layer {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    gate: Linear,
    up: Linear,
    down: Linear,
    attention_norm: Tensor,
    mlp_norm: Tensor,
    qk_norms: Option<(Tensor, Tensor)>,
}

#[derive(Debug, Clone)]
struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// x [b, t, in] → [b, t, out].
    fn forward(&self, x: &Tensor) -> Result<Tensor, candle_core::Error> {
        let (b, t, width) = x.dims3()?;
        let y = x
            .reshape((b * t, width))?
            .matmul(&self.weight.t()?)?
            .reshape((b, t, ()))?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

impl Model {
    /// Builds the model on weights under Hugging Face names (shapes `[out, in]`), on the device they lie on.
    ///
    /// # Errors
    /// Names a tensor that is missing.
    pub fn new(config: &ModelConfig, weights: &HashMap<String, Tensor>) -> Result<Self, LmError> {
        let get = |name: &str| -> Result<Tensor, LmError> {
            weights.get(name).cloned().ok_or_else(|| LmError::Tensor {
                name: name.to_owned(),
                why: "it is missing".to_owned(),
            })
        };
        for (name, _) in config.tensor_shapes() {
            get(&name)?;
        }
        let embedding = get("model.embed_tokens.weight")?;
        let mut layers = Vec::with_capacity(config.layers);
        for index in 0..config.layers {
            let at = |part: &str| format!("model.layers.{index}.{part}");
            let linear = |part: &str, bias: bool| -> Result<Linear, LmError> {
                Ok(Linear {
                    weight: get(&at(&format!("{part}.weight")))?,
                    bias: if bias {
                        Some(get(&at(&format!("{part}.bias")))?)
                    } else {
                        None
                    },
                })
            };
            layers.push(Layer {
                q: linear("self_attn.q_proj", config.qkv_bias)?,
                k: linear("self_attn.k_proj", config.qkv_bias)?,
                v: linear("self_attn.v_proj", config.qkv_bias)?,
                o: linear("self_attn.o_proj", false)?,
                gate: linear("mlp.gate_proj", false)?,
                up: linear("mlp.up_proj", false)?,
                down: linear("mlp.down_proj", false)?,
                attention_norm: get(&at("input_layernorm.weight"))?,
                mlp_norm: get(&at("post_attention_layernorm.weight"))?,
                qk_norms: match config.family {
                    Family::Qwen3 => Some((
                        get(&at("self_attn.q_norm.weight"))?,
                        get(&at("self_attn.k_norm.weight"))?,
                    )),
                    Family::Llama | Family::Qwen2 => None,
                },
            });
        }
        Ok(Self {
            head: if config.tied_embeddings {
                embedding.clone()
            } else {
                get("lm_head.weight")?
            },
            norm: get("model.norm.weight")?,
            rotary: Rotary::new(config),
            device: embedding.device().clone(),
            config: config.clone(),
            embedding,
            layers,
        })
    }

    /// The model's shape.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Final hidden states [b, t, hidden] of equally long sequences, causal attention.
    ///
    /// # Errors
    /// When the sequences are empty, unequal, longer than the context, or hold a token outside the vocabulary.
    pub fn hidden(&self, sequences: &[&[u32]]) -> Result<Tensor, LmError> {
        let b = sequences.len();
        let t = sequences.first().map_or(0, |s| s.len());
        if t == 0 || sequences.iter().any(|s| s.len() != t) {
            return Err(LmError::Request(
                "sequences must be non-empty and equally long".to_owned(),
            ));
        }
        if t > self.config.context {
            return Err(LmError::Request(format!(
                "a sequence of {t} tokens is longer than the model's context of {}",
                self.config.context
            )));
        }
        let ids: Vec<u32> = sequences.iter().flat_map(|s| s.iter().copied()).collect();
        if let Some(id) = ids
            .iter()
            .find(|&&id| id as usize >= self.config.vocab_size)
        {
            return Err(LmError::Request(format!(
                "token {id} is outside the vocabulary of {} tokens",
                self.config.vocab_size
            )));
        }
        let ids = Tensor::from_vec(ids, b * t, &self.device)?;
        let mut x =
            self.embedding
                .index_select(&ids, 0)?
                .reshape((b, t, self.config.hidden_size))?;
        let rotary = self.rotary(t)?;
        let mask = self.causal_mask(t)?;
        for layer in &self.layers {
            let normed = rms_norm(&x, &layer.attention_norm, self.config.norm_eps)?;
            x = (x + self.attention(layer, &normed, &rotary, &mask)?)?;
            let normed = rms_norm(&x, &layer.mlp_norm, self.config.norm_eps)?;
            let gated = (layer.gate.forward(&normed)?.silu()? * layer.up.forward(&normed)?)?;
            x = (x + layer.down.forward(&gated)?)?;
        }
        Ok(rms_norm(&x, &self.norm, self.config.norm_eps)?)
    }

    /// Logits [rows, vocabulary] of hidden states [rows, hidden].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor, LmError> {
        Ok(hidden.matmul(&self.head.t()?)?)
    }

    /// Natural-log probabilities [rows, vocabulary] of hidden states [rows, hidden].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn log_probs(&self, hidden: &Tensor) -> Result<Tensor, LmError> {
        let logits = self.logits(hidden)?;
        let max = logits.max_keepdim(D::Minus1)?.detach();
        let shifted = logits.broadcast_sub(&max)?;
        let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
        Ok(shifted.broadcast_sub(&log_sum)?)
    }

    fn attention(
        &self,
        layer: &Layer,
        x: &Tensor,
        rotary: &(Tensor, Tensor),
        mask: &Tensor,
    ) -> Result<Tensor, candle_core::Error> {
        let (b, t, _) = x.dims3()?;
        let ModelConfig {
            heads,
            kv_heads,
            head_dim,
            norm_eps,
            ..
        } = self.config;
        let split = |linear: &Linear, heads: usize, norm: Option<&Tensor>| {
            let y = linear.forward(x)?.reshape((b, t, heads, head_dim))?;
            let y = match norm {
                Some(norm) => rms_norm(&y, norm, norm_eps)?,
                None => y,
            };
            y.transpose(1, 2)?.contiguous()
        };
        let norms = layer.qk_norms.as_ref();
        let q = rotate(&split(&layer.q, heads, norms.map(|n| &n.0))?, rotary)?;
        let k = rotate(&split(&layer.k, kv_heads, norms.map(|n| &n.1))?, rotary)?;
        let v = split(&layer.v, kv_heads, None)?;
        let shared = heads / kv_heads;
        let repeat = |y: &Tensor| {
            y.unsqueeze(2)?
                .broadcast_as((b, kv_heads, shared, t, head_dim))?
                .reshape((b, heads, t, head_dim))
        };
        let scale = 1.0 / (head_dim as f64).sqrt();
        let scores = (q.matmul(&repeat(&k)?.t()?)? * scale)?.broadcast_add(mask)?;
        let weights = softmax(&scores)?;
        let mixed =
            weights
                .matmul(&repeat(&v)?)?
                .transpose(1, 2)?
                .reshape((b, t, heads * head_dim))?;
        layer.o.forward(&mixed)
    }

    /// cos and sin [1, 1, t, head_dim / 2].
    fn rotary(&self, t: usize) -> Result<(Tensor, Tensor), candle_core::Error> {
        let shape = (1, 1, t, self.config.head_dim / 2);
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        self.rotary.extend(0..t, &mut cos, &mut sin);
        Ok((
            Tensor::from_vec(cos, shape, &self.device)?.to_dtype(self.embedding.dtype())?,
            Tensor::from_vec(sin, shape, &self.device)?.to_dtype(self.embedding.dtype())?,
        ))
    }

    /// 0 where a position may look, −∞ (as a large finite number) ahead of it: [1, 1, t, t].
    fn causal_mask(&self, t: usize) -> Result<Tensor, candle_core::Error> {
        let mask: Vec<f32> = (0..t)
            .flat_map(|row| (0..t).map(move |column| if column <= row { 0.0 } else { -1e30 }))
            .collect();
        Tensor::from_vec(mask, (1, 1, t, t), &self.device)?.to_dtype(self.embedding.dtype())
    }
}

/// x / √(mean x² + ε) · weight, over the last dimension.
fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor, candle_core::Error> {
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
    x.broadcast_div(&(mean_square + eps)?.sqrt()?)?
        .broadcast_mul(weight)
}

fn softmax(x: &Tensor) -> Result<Tensor, candle_core::Error> {
    let e = x
        .broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?
        .exp()?;
    e.broadcast_div(&e.sum_keepdim(D::Minus1)?)
}

/// Rotates the two halves of each head (Hugging Face's layout).
fn rotate(x: &Tensor, (cos, sin): &(Tensor, Tensor)) -> Result<Tensor, candle_core::Error> {
    let half = x.dim(D::Minus1)? / 2;
    let (a, b) = (
        x.narrow(D::Minus1, 0, half)?,
        x.narrow(D::Minus1, half, half)?,
    );
    let left = (a.broadcast_mul(cos)? - b.broadcast_mul(sin)?)?;
    let right = (b.broadcast_mul(cos)? + a.broadcast_mul(sin)?)?;
    Tensor::cat(&[&left, &right], D::Minus1)
}
