//! A GGUF file: metadata, quantised tensors and the tokenizer in one.
//!
//! GGUF stores q and k of Llama models with rows permuted for interleaved rotary embedding; they are put back here, so
//! that everything behind this file sees the Hugging Face layout.

use std::{collections::HashMap, fs::File, io::BufReader, path::Path};

use candle_core::{
    Device, Tensor,
    quantized::{
        GgmlDType,
        gguf_file::{Content, TensorInfo, Value},
    },
};

use super::{
    super::{
        chat::ChatTemplate,
        config::{Family, ModelConfig},
        error::LmError,
        rope::{RopeScaling, Yarn},
        tokenizer::{GgufVocabulary, LmTokenizer},
    },
    LoadedModel, ModelInfo, Progress, check_dims, count_types,
};

pub(super) fn inspect(path: &Path) -> Result<ModelInfo, LmError> {
    let (_, content) = open(path)?;
    info(path, &content)
}

pub(super) fn verify(path: &Path) -> Result<(ModelInfo, LmTokenizer), LmError> {
    let (_, content) = open(path)?;
    let info = info(path, &content)?;
    let mut found = HashMap::new();
    for (name, tensor) in &content.tensor_infos {
        let Some(hub_name) = hub_name(name) else {
            continue;
        };
        check_type(name, tensor.ggml_dtype)?;
        found.insert(hub_name, tensor.shape.dims());
    }
    check_dims(&info.config, &found)?;
    let metadata = Metadata {
        path,
        content: &content,
    };
    let tokenizer = LmTokenizer::from_gguf(&vocabulary(&metadata)?)?;
    Ok((info, tokenizer))
}

pub(super) fn load(
    path: &Path,
    device: &Device,
    progress: Progress<'_>,
) -> Result<LoadedModel, LmError> {
    let (mut file, content) = open(path)?;
    let mut info = info(path, &content)?;
    let mut weights = HashMap::new();
    let size = |info: &TensorInfo| info.shape.elem_count() as f64;
    let all: f64 = content.tensor_infos.values().map(size).sum();
    let mut read = 0.0;
    for (name, tensor_info) in &content.tensor_infos {
        progress((read / all) as f32);
        read += size(tensor_info);
        let Some(hub_name) = hub_name(name) else {
            continue;
        };
        check_type(name, tensor_info.ggml_dtype)?;
        let tensor = content
            .tensor(&mut file, name, device)
            .and_then(|t| t.dequantize(device))
            .map_err(|e| LmError::Tensor {
                name: name.clone(),
                why: format!(
                    "it cannot be read ({}); the file may be truncated",
                    e.to_string().lines().next().unwrap_or_default()
                ),
            })?;
        if name == "rope_freqs.weight" {
            info.config.rope_scaling = RopeScaling::Divisors(tensor.to_vec1::<f32>()?);
            continue;
        }
        let heads = match (info.config.family, name.as_str()) {
            (Family::Llama, n) if n.ends_with("attn_q.weight") => Some(info.config.heads),
            (Family::Llama, n) if n.ends_with("attn_k.weight") => Some(info.config.kv_heads),
            _ => None,
        };
        let tensor = match heads {
            Some(heads) => un_permute(name, &tensor, heads)?,
            None => tensor,
        };
        weights.insert(hub_name, tensor);
    }
    progress(1.0);
    let metadata = Metadata {
        path,
        content: &content,
    };
    let tokenizer = LmTokenizer::from_gguf(&vocabulary(&metadata)?)?;
    let chat = metadata
        .text("tokenizer.chat_template")
        .ok()
        .map(|source| {
            let token = |key: &str| {
                metadata
                    .count(key)
                    .ok()
                    .and_then(|id| tokenizer.token(id as u32))
                    .unwrap_or_default()
            };
            ChatTemplate::new(
                source,
                token("tokenizer.ggml.bos_token_id"),
                token("tokenizer.ggml.eos_token_id"),
            )
        })
        .transpose()?;
    Ok(LoadedModel {
        info,
        weights,
        tokenizer,
        chat,
    })
}

fn open(path: &Path) -> Result<(BufReader<File>, Content), LmError> {
    let file = File::open(path).map_err(|source| LmError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut reader = BufReader::new(file);
    let content = Content::read(&mut reader).map_err(|e| unreadable(path, &e.to_string()))?;
    Ok((reader, content))
}

/// The reader knows fewer tensor types than there are; it names the others by their number.
fn unreadable(path: &Path, why: &str) -> LmError {
    let why = why.lines().next().unwrap_or_default();
    if let Some(number) = why.strip_prefix("unknown dtype for tensor ") {
        let number = number.trim();
        let name = match number {
            "16" => "IQ2_XXS",
            "17" => "IQ2_XS",
            "18" => "IQ3_XXS",
            "19" => "IQ1_S",
            "20" => "IQ4_NL",
            "21" => "IQ3_S",
            "22" => "IQ2_S",
            "23" => "IQ4_XS",
            "29" => "IQ1_M",
            "34" => "TQ1_0",
            "35" => "TQ2_0",
            "39" => "MXFP4",
            _ => "number",
        };
        return LmError::Unsupported {
            field: format!("a tensor type in {}", path.display()),
            value: format!("{name} ({number})"),
            accepted: TYPES.to_owned(),
        };
    }
    LmError::Malformed {
        path: path.to_owned(),
        why: format!("not a readable GGUF file ({why}); it may be truncated"),
    }
}

fn info(path: &Path, content: &Content) -> Result<ModelInfo, LmError> {
    let metadata = Metadata { path, content };
    let family = Family::parse(metadata.text("general.architecture")?)?;
    let arch = family.model_type();
    let count = |key: &str| metadata.count(&format!("{arch}.{key}"));
    let hidden_size = count("embedding_length")?;
    let heads = count("attention.head_count")?;
    let vocab_size = match content
        .tensor_infos
        .get("token_embd.weight")
        .map(|t| t.shape.dims())
    {
        Some(&[rows, _]) => rows,
        _ => {
            return Err(LmError::Tensor {
                name: "token_embd.weight".to_owned(),
                why: "it is missing or not a matrix".to_owned(),
            });
        }
    };
    let context = count("context_length").unwrap_or(2048);
    let config = ModelConfig {
        family,
        vocab_size,
        hidden_size,
        intermediate_size: count("feed_forward_length")?,
        layers: count("block_count")?,
        heads,
        kv_heads: count("attention.head_count_kv").unwrap_or(heads),
        head_dim: count("attention.key_length").unwrap_or(hidden_size / heads.max(1)),
        context,
        norm_eps: metadata.number(&format!("{arch}.attention.layer_norm_rms_epsilon"))?,
        rope_theta: metadata
            .number(&format!("{arch}.rope.freq_base"))
            .unwrap_or(10_000.0),
        rope_scaling: rope_scaling(&metadata, arch, context)?,
        tied_embeddings: !content.tensor_infos.contains_key("output.weight"),
        qkv_bias: family == Family::Qwen2,
    };
    config.check()?;
    let file_bytes = std::fs::metadata(path).map_or(0, |m| m.len());
    check_length(content, file_bytes)?;
    Ok(ModelInfo {
        name: metadata
            .text("general.name")
            .unwrap_or("unnamed")
            .to_owned(),
        license: metadata.text("general.license").ok().map(str::to_owned),
        config,
        tensor_types: count_types(
            content
                .tensor_infos
                .values()
                .map(|t| format!("{:?}", t.ggml_dtype)),
        ),
        file_bytes,
    })
}

/// What llama.cpp makes of the same metadata. It does not read `yarn_log_multiplier` for these architectures.
fn rope_scaling(metadata: &Metadata, arch: &str, context: usize) -> Result<RopeScaling, LmError> {
    let key = |name: &str| format!("{arch}.rope.scaling.{name}");
    let number = |name: &str| metadata.positive(&key(name));
    let factor = match number("factor")? {
        Some(factor) => Some(factor),
        // An older name of the same.
        None => metadata.positive(&format!("{arch}.rope.scale_linear"))?,
    };
    let kind = metadata.text(&key("type")).ok();
    let divided = (metadata.content.tensor_infos).contains_key("rope_freqs.weight");
    let refuse = |name: &str, value: &str, accepted: &str| {
        Err(LmError::Unsupported {
            field: key(name),
            value: value.to_owned(),
            accepted: accepted.to_owned(),
        })
    };
    let sharper = number("attn_factor")?.unwrap_or(1.0);
    match (kind, factor) {
        (Some("yarn"), _) if divided => refuse(
            "type",
            "yarn beside a rope_freqs.weight tensor",
            "one of them",
        ),
        (Some("yarn"), factor) => {
            let original = key("original_context_length");
            let original_context = match metadata.content.metadata.contains_key(&original) {
                true => metadata.count(&original)?,
                false => context,
            };
            let plain = Yarn::new(factor.unwrap_or(1.0), original_context);
            if let Ok(share) = metadata.number(&key("yarn_ext_factor"))
                && share != 1.0
                && share >= 0.0
            {
                return refuse("yarn_ext_factor", &share.to_string(), "1");
            }
            // What the converter takes from config.json stands for the derived factor; the other one multiplies it.
            let given = number("yarn_attn_factor")?;
            let attention_factor = given.unwrap_or(plain.attention_factor()) * sharper;
            let is_derived = given.is_none() && sharper == 1.0;
            Ok(RopeScaling::Yarn(Yarn {
                beta_fast: number("yarn_beta_fast")?.unwrap_or(plain.beta_fast),
                beta_slow: number("yarn_beta_slow")?.unwrap_or(plain.beta_slow),
                attention_factor: (!is_derived).then_some(attention_factor),
                ..plain
            }))
        }
        _ if sharper != 1.0 => refuse("attn_factor", &sharper.to_string(), "1 without yarn"),
        (Some("none") | None, None) | (Some("none"), Some(_)) => Ok(RopeScaling::None),
        (Some("linear") | None, Some(factor)) => Ok(RopeScaling::Linear { factor }),
        (Some("linear"), None) => Ok(RopeScaling::None),
        (Some(other), _) => refuse(
            "type",
            other,
            "none, linear or yarn (or a rope_freqs.weight tensor)",
        ),
    }
}

/// Looks whether every tensor lies within the file, and names the one that reaches furthest beyond it.
fn check_length(content: &Content, file_bytes: u64) -> Result<(), LmError> {
    let end = |tensor: &TensorInfo| {
        let blocks = tensor.shape.elem_count() / tensor.ggml_dtype.block_size();
        let bytes = blocks.saturating_mul(tensor.ggml_dtype.type_size()) as u64;
        (content.tensor_data_offset)
            .saturating_add(tensor.offset)
            .saturating_add(bytes)
    };
    let last = (content.tensor_infos.iter())
        .map(|(name, tensor)| (end(tensor), name))
        .max();
    match last {
        Some((end, name)) if end > file_bytes => Err(LmError::Tensor {
            name: name.clone(),
            why: format!(
                "it ends at byte {end} but the file has {file_bytes}; the file is truncated"
            ),
        }),
        _ => Ok(()),
    }
}

/// What GGUF files may hold, as its tools write the names.
const TYPES: &str = "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K or Q6_K";

/// The tensor types whose dequantisation is tested here.
fn check_type(name: &str, dtype: GgmlDType) -> Result<(), LmError> {
    match dtype {
        GgmlDType::F32
        | GgmlDType::F16
        | GgmlDType::BF16
        | GgmlDType::Q8_0
        | GgmlDType::Q4_0
        | GgmlDType::Q4_1
        | GgmlDType::Q4K
        | GgmlDType::Q6K => Ok(()),
        other => Err(LmError::Unsupported {
            field: format!("type of tensor {name}"),
            value: format!("{other:?}"),
            accepted: TYPES.to_owned(),
        }),
    }
}

/// The Hugging Face name of a GGUF tensor; none for tensors that no supported model uses.
fn hub_name(name: &str) -> Option<String> {
    match name {
        "token_embd.weight" => return Some("model.embed_tokens.weight".to_owned()),
        "output_norm.weight" => return Some("model.norm.weight".to_owned()),
        "output.weight" => return Some("lm_head.weight".to_owned()),
        "rope_freqs.weight" => return Some(name.to_owned()),
        _ => {}
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    let part = match part {
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        "attn_norm" => "input_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{part}.{kind}"))
}

/// Rows (pair, half) of each head back to (half, pair).
fn un_permute(name: &str, tensor: &Tensor, heads: usize) -> Result<Tensor, LmError> {
    let Ok((rows, columns)) = tensor.dims2() else {
        return Err(LmError::Tensor {
            name: name.to_owned(),
            why: format!("its shape is {:?}; a matrix is needed", tensor.dims()),
        });
    };
    if rows % (2 * heads) != 0 {
        return Err(LmError::Tensor {
            name: name.to_owned(),
            why: format!("its {rows} rows cannot be split over {heads} heads"),
        });
    }
    Ok(tensor
        .reshape((heads, rows / heads / 2, 2, columns))?
        .transpose(1, 2)?
        .contiguous()?
        .reshape((rows, columns))?)
}

fn vocabulary(metadata: &Metadata) -> Result<GgufVocabulary, LmError> {
    let key = "tokenizer.ggml";
    Ok(GgufVocabulary {
        model: metadata.text(&format!("{key}.model"))?.to_owned(),
        pre_tokenizer: metadata
            .text(&format!("{key}.pre"))
            .unwrap_or("default")
            .to_owned(),
        tokens: metadata.texts(&format!("{key}.tokens"))?,
        merges: metadata.texts(&format!("{key}.merges")).unwrap_or_default(),
        scores: metadata
            .numbers(&format!("{key}.scores"))
            .unwrap_or_default(),
        kinds: metadata
            .numbers(&format!("{key}.token_type"))
            .unwrap_or_default()
            .into_iter()
            .map(|kind| kind as u8)
            .collect(),
        add_space_prefix: metadata.flag(&format!("{key}.add_space_prefix")),
        add_bos: metadata.flag(&format!("{key}.add_bos_token")),
        bos: metadata
            .count(&format!("{key}.bos_token_id"))
            .ok()
            .map(|id| id as u32),
        eos: metadata
            .count(&format!("{key}.eos_token_id"))
            .ok()
            .map(|id| id as u32),
        unknown: metadata
            .count(&format!("{key}.unknown_token_id"))
            .ok()
            .map(|id| id as u32),
    })
}

/// Metadata access that names what is wrong.
struct Metadata<'a> {
    path: &'a Path,
    content: &'a Content,
}

impl<'a> Metadata<'a> {
    fn malformed(&self, key: &str, accepted: &str) -> LmError {
        LmError::Malformed {
            path: self.path.to_owned(),
            why: if self.content.metadata.contains_key(key) {
                format!("metadata {key} is not {accepted}")
            } else {
                format!("metadata {key} is missing; it must be {accepted}")
            },
        }
    }

    fn text(&self, key: &str) -> Result<&'a str, LmError> {
        match self.content.metadata.get(key) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(self.malformed(key, "a string")),
        }
    }

    fn number(&self, key: &str) -> Result<f64, LmError> {
        self.content
            .metadata
            .get(key)
            .and_then(number)
            .ok_or_else(|| self.malformed(key, "a number"))
    }

    fn count(&self, key: &str) -> Result<usize, LmError> {
        let value = self.number(key)?;
        if (0.0..=f64::from(u32::MAX)).contains(&value) && value.fract() == 0.0 {
            Ok(value as usize)
        } else {
            Err(self.malformed(key, "a whole number from 0 to 4294967295"))
        }
    }

    /// None where there is no such key.
    fn positive(&self, key: &str) -> Result<Option<f64>, LmError> {
        match self.content.metadata.get(key) {
            None => Ok(None),
            Some(value) => (number(value).filter(|x| x.is_finite() && *x > 0.0))
                .map(Some)
                .ok_or_else(|| self.malformed(key, "a finite number above 0")),
        }
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.content.metadata.get(key) {
            Some(Value::Bool(flag)) => Some(*flag),
            _ => None,
        }
    }

    fn array(&self, key: &str) -> Result<&'a [Value], LmError> {
        match self.content.metadata.get(key) {
            Some(Value::Array(values)) => Ok(values),
            _ => Err(self.malformed(key, "an array")),
        }
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, LmError> {
        self.array(key)?
            .iter()
            .map(|value| match value {
                Value::String(text) => Ok(text.clone()),
                _ => Err(self.malformed(key, "an array of strings")),
            })
            .collect()
    }

    fn numbers(&self, key: &str) -> Result<Vec<f64>, LmError> {
        self.array(key)?
            .iter()
            .map(|value| number(value).ok_or_else(|| self.malformed(key, "an array of numbers")))
            .collect()
    }
}

fn number(value: &Value) -> Option<f64> {
    match *value {
        Value::U8(x) => Some(f64::from(x)),
        Value::I8(x) => Some(f64::from(x)),
        Value::U16(x) => Some(f64::from(x)),
        Value::I16(x) => Some(f64::from(x)),
        Value::U32(x) => Some(f64::from(x)),
        Value::I32(x) => Some(f64::from(x)),
        Value::U64(x) => Some(x as f64),
        Value::I64(x) => Some(x as f64),
        Value::F32(x) => Some(f64::from(x)),
        Value::F64(x) => Some(x),
        Value::Bool(_) | Value::String(_) | Value::Array(_) => None,
    }
}
