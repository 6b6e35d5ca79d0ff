//! The shape of a model, from `config.json` or GGUF metadata, checked once.

use std::path::Path;

use serde_json::Value;

use super::{error::LmError, rope::RopeScaling};

/// Architectures that the forward knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Llama, SmolLM2, TinyLlama.
    Llama,
    /// Qwen2 and Qwen2.5: biases on q, k and v.
    Qwen2,
    /// Qwen3: norms on q and k.
    Qwen3,
}

impl Family {
    /// Names of the families as `config.json` and GGUF write them.
    pub const ACCEPTED: &'static str = "llama, qwen2 or qwen3";

    /// The family of a `model_type` or GGUF architecture name.
    ///
    /// # Errors
    /// Names the architecture when it is none of [`Self::ACCEPTED`].
    pub fn parse(name: &str) -> Result<Self, LmError> {
        match name {
            "llama" => Ok(Self::Llama),
            "qwen2" => Ok(Self::Qwen2),
            "qwen3" => Ok(Self::Qwen3),
            other => Err(LmError::Unsupported {
                field: "architecture".to_owned(),
                value: other.to_owned(),
                accepted: Self::ACCEPTED.to_owned(),
            }),
        }
    }

    /// The name that `config.json` uses.
    #[must_use]
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }
}

/// The shape of a Llama-like decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Architecture.
    pub family: Family,
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward block.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key/value heads, a divisor of `heads`.
    pub kv_heads: usize,
    /// Width of a head, even.
    pub head_dim: usize,
    /// Longest sequence, tokens.
    pub context: usize,
    /// ε inside the root-mean-square norms.
    pub norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are scaled.
    pub rope_scaling: RopeScaling,
    /// The output head is the embedding matrix.
    pub tied_embeddings: bool,
    /// Biases on q, k and v.
    pub qkv_bias: bool,
}

/// More layers, heads or tokens than any model of these families; guards allocations against a broken file.
const LARGEST: usize = 1 << 24;

impl ModelConfig {
    /// Reads a Hugging Face `config.json`.
    ///
    /// # Errors
    /// Names the field that is missing, malformed or unsupported.
    pub fn from_json(path: &Path, text: &str) -> Result<Self, LmError> {
        let root: Value = serde_json::from_str(text).map_err(|e| LmError::Malformed {
            path: path.to_owned(),
            why: e.to_string(),
        })?;
        let fields = Fields { path, root: &root };
        let family = Family::parse(fields.text("model_type")?)?;
        if root.get("use_sliding_window").and_then(Value::as_bool) == Some(true) {
            return Err(unsupported(
                "use_sliding_window",
                "true",
                "false (full attention)",
            ));
        }
        if let Some(act) = root.get("hidden_act").and_then(Value::as_str)
            && act != "silu"
        {
            return Err(unsupported("hidden_act", act, "silu"));
        }
        for field in ["attention_bias", "mlp_bias"] {
            if family != Family::Qwen2 && root.get(field).and_then(Value::as_bool) == Some(true) {
                return Err(unsupported(field, "true", "false for this architecture"));
            }
        }
        let hidden_size = fields.count("hidden_size")?;
        let heads = fields.count("num_attention_heads")?;
        let given = |field: &str| root.get(field).filter(|value| !value.is_null());
        let rope = given("rope_parameters").or_else(|| given("rope_scaling"));
        for place in [Some(&root), rope].into_iter().flatten() {
            let field = "partial_rotary_factor";
            if let Some(share) = place.get(field).filter(|share| !share.is_null())
                && share.as_f64() != Some(1.0)
            {
                return Err(unsupported(field, &share.to_string(), "1"));
            }
        }
        let context = fields.count_or("max_position_embeddings", 2048)?;
        let config = Self {
            family,
            vocab_size: fields.count("vocab_size")?,
            hidden_size,
            intermediate_size: fields.count("intermediate_size")?,
            layers: fields.count("num_hidden_layers")?,
            heads,
            kv_heads: fields.count_or("num_key_value_heads", heads)?,
            head_dim: fields.count_or("head_dim", hidden_size / heads.max(1))?,
            context,
            norm_eps: fields.number_or("rms_norm_eps", 1e-6)?,
            rope_theta: match rope
                .and_then(|r| r.get("rope_theta"))
                .and_then(Value::as_f64)
            {
                Some(theta) => theta,
                None => fields.number_or("rope_theta", 10_000.0)?,
            },
            rope_scaling: match rope {
                Some(rope) => RopeScaling::from_json(path, &root, rope, context)?,
                None => RopeScaling::None,
            },
            tied_embeddings: root
                .get("tie_word_embeddings")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            qkv_bias: family == Family::Qwen2,
        };
        config.check()?;
        Ok(config)
    }

    /// Refuses shapes that no forward can run.
    ///
    /// # Errors
    /// Names the field and its value.
    pub fn check(&self) -> Result<(), LmError> {
        for (field, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.context),
        ] {
            if value == 0 || value > LARGEST {
                return Err(unsupported(field, &value.to_string(), "1 to 16777216"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(unsupported(
                "num_key_value_heads",
                &self.kv_heads.to_string(),
                &format!("a divisor of num_attention_heads = {}", self.heads),
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(unsupported(
                "head_dim",
                &self.head_dim.to_string(),
                "an even number",
            ));
        }
        for (field, value) in [
            ("rms_norm_eps", self.norm_eps),
            ("rope_theta", self.rope_theta),
        ] {
            if !value.is_finite() || value <= 0.0 {
                return Err(unsupported(
                    field,
                    &value.to_string(),
                    "a finite number above 0",
                ));
            }
        }
        self.rope_scaling.check(self.rope_theta)
    }

    /// Number of weights, the tied head counted once.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let attention = self.hidden_size * (2 * q + 2 * kv);
        let bias = if self.qkv_bias { q + 2 * kv } else { 0 };
        let qk_norm = if self.family == Family::Qwen3 {
            2 * self.head_dim
        } else {
            0
        };
        let mlp = 3 * self.hidden_size * self.intermediate_size;
        let layer = attention + bias + qk_norm + mlp + 2 * self.hidden_size;
        let embeddings =
            self.vocab_size * self.hidden_size * if self.tied_embeddings { 1 } else { 2 };
        embeddings + self.layers * layer + self.hidden_size
    }

    /// Every tensor the model needs, by its Hugging Face name, with its shape (`[out, in]` for matrices).
    #[must_use]
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (d, f) = (self.hidden_size, self.intermediate_size);
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut shapes = vec![
            (
                "model.embed_tokens.weight".to_owned(),
                vec![self.vocab_size, d],
            ),
            ("model.norm.weight".to_owned(), vec![d]),
        ];
        if !self.tied_embeddings {
            shapes.push(("lm_head.weight".to_owned(), vec![self.vocab_size, d]));
        }
        for layer in 0..self.layers {
            let mut push = |name: &str, shape: &[usize]| {
                shapes.push((
                    format!("model.layers.{layer}.{name}.weight"),
                    shape.to_vec(),
                ));
            };
            push("self_attn.q_proj", &[q, d]);
            push("self_attn.k_proj", &[kv, d]);
            push("self_attn.v_proj", &[kv, d]);
            push("self_attn.o_proj", &[d, q]);
            push("mlp.gate_proj", &[f, d]);
            push("mlp.up_proj", &[f, d]);
            push("mlp.down_proj", &[d, f]);
            push("input_layernorm", &[d]);
            push("post_attention_layernorm", &[d]);
            if self.family == Family::Qwen3 {
                push("self_attn.q_norm", &[self.head_dim]);
                push("self_attn.k_norm", &[self.head_dim]);
            }
            if self.qkv_bias {
                for (name, size) in [("q", q), ("k", kv), ("v", kv)] {
                    shapes.push((
                        format!("model.layers.{layer}.self_attn.{name}_proj.bias"),
                        vec![size],
                    ));
                }
            }
        }
        shapes
    }
}

pub(super) fn unsupported(field: &str, value: &str, accepted: &str) -> LmError {
    LmError::Unsupported {
        field: field.to_owned(),
        value: value.to_owned(),
        accepted: accepted.to_owned(),
    }
}

/// Field access that names what is wrong.
pub(super) struct Fields<'a> {
    pub(super) path: &'a Path,
    pub(super) root: &'a Value,
}

impl<'a> Fields<'a> {
    fn malformed(&self, field: &str, accepted: &str) -> LmError {
        LmError::Malformed {
            path: self.path.to_owned(),
            why: match self.root.get(field) {
                Some(value) => format!("{field} = {value} is not accepted; it must be {accepted}"),
                None => format!("{field} is missing; it must be {accepted}"),
            },
        }
    }

    fn text(&self, field: &str) -> Result<&'a str, LmError> {
        self.root
            .get(field)
            .and_then(Value::as_str)
            .ok_or_else(|| self.malformed(field, "a string"))
    }

    fn count(&self, field: &str) -> Result<usize, LmError> {
        self.root
            .get(field)
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
            .filter(|&n| n > 0 && n <= LARGEST)
            .ok_or_else(|| self.malformed(field, "a whole number from 1 to 16777216"))
    }

    pub(super) fn count_or(&self, field: &str, default: usize) -> Result<usize, LmError> {
        match self.root.get(field) {
            None | Some(Value::Null) => Ok(default),
            Some(_) => self.count(field),
        }
    }

    pub(super) fn positive(&self, field: &str) -> Result<f64, LmError> {
        self.root
            .get(field)
            .and_then(Value::as_f64)
            .filter(|x| x.is_finite() && *x > 0.0)
            .ok_or_else(|| self.malformed(field, "a number above 0"))
    }

    pub(super) fn number_or(&self, field: &str, default: f64) -> Result<f64, LmError> {
        match self.root.get(field) {
            None | Some(Value::Null) => Ok(default),
            Some(_) => self.positive(field),
        }
    }

    /// None where the field is missing, null or 0, which transformers takes for the same.
    pub(super) fn above_zero(&self, field: &str) -> Result<Option<f64>, LmError> {
        match self.root.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) if value.as_f64() == Some(0.0) => Ok(None),
            Some(_) => self.positive(field).map(Some),
        }
    }

    pub(super) fn flag_or(&self, field: &str, default: bool) -> Result<bool, LmError> {
        match self.root.get(field) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.malformed(field, "true or false")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    const LLAMA: &str = r#"{"model_type":"llama","vocab_size":64,"hidden_size":32,"intermediate_size":48,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"rms_norm_eps":1e-5,
        "rope_theta":10000.0,"tie_word_embeddings":true,"hidden_act":"silu"}"#;

    fn parse(text: &str) -> Result<ModelConfig, LmError> {
        ModelConfig::from_json(Path::new("config.json"), text)
    }

    #[test]
    fn reads_a_llama_config_with_its_defaults() {
        let config = parse(LLAMA).unwrap();
        assert_eq!(
            (config.head_dim, config.context, config.tied_embeddings),
            (8, 2048, true)
        );
        // 64·32 embeddings, per layer 32·(2·32 + 2·16) attention + 3·32·48 feed-forward + 2·32 norms, one last norm.
        assert_eq!(config.parameters(), 2048 + 2 * (3072 + 4608 + 64) + 32);
    }

    #[test]
    fn errors_name_field_value_and_what_is_accepted() {
        for (from, to, words) in [
            ("\"llama\"", "\"mamba\"", ["architecture = mamba", "qwen3"]),
            (
                "\"vocab_size\":64",
                "\"vocab_size\":-1",
                ["vocab_size = -1", "whole number"],
            ),
            (
                "\"num_key_value_heads\":2",
                "\"num_key_value_heads\":3",
                ["num_key_value_heads = 3", "divisor"],
            ),
            (
                "\"hidden_act\":\"silu\"",
                "\"hidden_act\":\"gelu\"",
                ["hidden_act = gelu", "silu"],
            ),
            (
                "\"rope_theta\":10000.0",
                "\"partial_rotary_factor\":0.5",
                ["partial_rotary_factor = 0.5", "accepted"],
            ),
        ] {
            let message = parse(&LLAMA.replace(from, to)).unwrap_err().to_string();
            for word in words {
                assert!(message.contains(word), "{message} should contain {word}");
            }
        }
    }
}
