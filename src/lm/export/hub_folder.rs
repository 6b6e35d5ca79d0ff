//! A Hugging Face folder: `config.json`, `generation_config.json`, `model.safetensors`, `tokenizer.json` and
//! `tokenizer_config.json`.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    super::{
        chat::ChatTemplate,
        config::{Family, ModelConfig},
        error::LmError,
        rope::RopeScaling,
        tokenizer::LmTokenizer,
    },
    folder::FolderWriter,
    safetensors::{ExportTensor, save_tensors},
};

/// What goes into a Hugging Face folder.
#[derive(Debug, Clone)]
pub struct HubFolder<'a> {
    /// The model's shape.
    pub config: &'a ModelConfig,
    /// Its weights under Hugging Face names.
    pub tensors: Vec<ExportTensor<'a>>,
    /// Its tokenizer.
    pub tokenizer: &'a LmTokenizer,
    /// Its chat template, where it has one.
    pub chat: Option<&'a ChatTemplate>,
}

/// Writes a folder that `transformers` (AutoModelForCausalLM, AutoTokenizer) and [`super::super::load`] read; a folder that
/// is there already is replaced when all is written.
///
/// # Errors
/// Names the file that cannot be written (a full disk, say), or a tensor that is missing or has another shape than the
/// configuration needs. What was at `folder` before stays then.
pub fn save_hub_folder(folder: &Path, model: &HubFolder) -> Result<(), LmError> {
    let writer = FolderWriter::begin(folder)?;
    write_hub_folder(&writer, model)?;
    writer.finish()
}

/// The files of a Hugging Face folder into one that is being written.
pub(in crate::lm) fn write_hub_folder(
    writer: &FolderWriter,
    model: &HubFolder,
) -> Result<(), LmError> {
    let HubFolder {
        config,
        tensors,
        tokenizer,
        chat,
    } = model;
    for (name, shape) in config.tensor_shapes() {
        let why = match tensors.iter().find(|tensor| tensor.name == name) {
            Some(tensor) if tensor.shape == shape => continue,
            Some(tensor) => format!(
                "its shape is {:?}; the configuration needs {shape:?}",
                tensor.shape
            ),
            None => format!("it is missing; the configuration needs it with shape {shape:?}"),
        };
        return Err(LmError::Tensor { name, why });
    }
    let begin = chat
        .and_then(|chat| Some(chat.begin()).filter(|token| !token.is_empty()))
        .map(str::to_owned)
        .or_else(|| tokenizer.begin_token().and_then(|id| tokenizer.token(id)));
    let begin_id = begin.as_deref().and_then(|token| tokenizer.id(token));
    let end = tokenizer.end_token();
    writer.write_json("config.json", &config_json(config, begin_id, end)?)?;
    writer.write_json(
        "generation_config.json",
        &without_nulls(json!({"bos_token_id": begin_id, "eos_token_id": end, "pad_token_id": end})),
    )?;
    writer.write("tokenizer.json", |out| {
        out.write_all(tokenizer.to_json().as_bytes())
    })?;
    let end = end.and_then(|id| tokenizer.token(id));
    writer.write_json(
        "tokenizer_config.json",
        &without_nulls(json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": config.context,
            "clean_up_tokenization_spaces": false,
            "bos_token": begin,
            "eos_token": end,
            "pad_token": end,
            "chat_template": chat.and_then(ChatTemplate::source),
        })),
    )?;
    writer.write("model.safetensors", |out| save_tensors(out, tensors))
}

/// `config.json` as `transformers` and [`ModelConfig::from_json`] read it, with the begin and end tokens.
///
/// # Errors
/// When the rotary frequencies are scaled in a way that the format has no words for.
pub fn config_json(
    config: &ModelConfig,
    begin: Option<u32>,
    end: Option<u32>,
) -> Result<Value, LmError> {
    let architecture = match config.family {
        Family::Llama => "LlamaForCausalLM",
        Family::Qwen2 => "Qwen2ForCausalLM",
        Family::Qwen3 => "Qwen3ForCausalLM",
    };
    let mut root = json!({
        "architectures": [architecture],
        "model_type": config.family.model_type(),
        "torch_dtype": "float32",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": rope_scaling(config)?,
        "tie_word_embeddings": config.tied_embeddings,
        "hidden_act": "silu",
        "attention_bias": config.qkv_bias,
        "attention_dropout": 0.0,
        "bos_token_id": begin,
        "eos_token_id": end,
        "pad_token_id": end,
        "use_cache": true,
    });
    if let Value::Object(fields) = &mut root {
        let of_family = match config.family {
            Family::Llama => json!({"mlp_bias": false}),
            Family::Qwen2 | Family::Qwen3 => {
                json!({"use_sliding_window": false, "sliding_window": null,
                       "max_window_layers": config.layers})
            }
        };
        if let Value::Object(of_family) = of_family {
            fields.extend(of_family);
        }
    }
    Ok(root)
}

fn rope_scaling(config: &ModelConfig) -> Result<Value, LmError> {
    let named = match config.rope_scaling.to_json() {
        Some(json) => return Ok(json),
        None => known_scaling(config).and_then(|named| named.to_json()),
    };
    named.ok_or_else(|| LmError::Unsupported {
        field: "rope_freqs.weight".to_owned(),
        value: "a list of divisors".to_owned(),
        accepted: "one that Llama 3's scaling gives (config.json has no other words for it)"
            .to_owned(),
    })
}

/// GGUF stores what Llama 3's scaling gives, not its four numbers; of those only the factor differs between releases.
fn known_scaling(config: &ModelConfig) -> Option<RopeScaling> {
    let wanted = config.rope_frequencies();
    [8.0, 16.0, 32.0, 64.0].into_iter().find_map(|factor| {
        let scaling = RopeScaling::Llama3 {
            factor,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192.0,
        };
        let made = ModelConfig {
            rope_scaling: scaling.clone(),
            ..config.clone()
        }
        .rope_frequencies();
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-5 * b.abs();
        wanted.iter().zip(&made).all(close).then_some(scaling)
    })
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null());
    }
    value
}
