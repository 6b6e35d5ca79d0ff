//! A run's state as files: `trainer.json` and `optimizer.safetensors`.

use std::{collections::HashMap, path::Path, sync::Arc};

use candle_core::{Device, Tensor, safetensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    super::{
        error::LmError,
        export::{ADAPTER_WEIGHTS, ExportTensor, adapter_tensors, flat_tensors},
        fast::{AdamWState, LoraLayout, Span},
        language_model::LanguageModel,
        train::{KnownReference, LmState},
    },
    Checkpoint, CheckpointInfo,
};

/// What `trainer.json` holds beside the tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Trainer {
    format: u32,
    step: u64,
    score: Option<f64>,
    optimizer_steps: u32,
    /// 128-bit counts as text: JSON's numbers do not hold them everywhere.
    drawn_words: (String, String),
    anchors: Vec<Option<u32>>,
    /// What was asked of the reference: prompt, tokens, and the bits of each token's log-probability.
    known: Vec<(usize, Vec<u32>, Vec<u32>)>,
    lora: Option<Lora>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Lora {
    rank: usize,
    alpha: f64,
    modules: Vec<String>,
}

impl Lora {
    fn of(layout: &LoraLayout) -> Self {
        Self {
            rank: layout.rank(),
            alpha: layout.alpha(),
            modules: layout
                .modules()
                .iter()
                .map(|m| m.name().to_owned())
                .collect(),
        }
    }
}

/// The only format there is.
const FORMAT: u32 = 1;

pub(super) fn trainer_json(checkpoint: &Checkpoint) -> Value {
    let state = &checkpoint.state;
    let trainer = Trainer {
        format: FORMAT,
        step: state.step,
        score: checkpoint.score.filter(|score| score.is_finite()),
        optimizer_steps: state.optimiser.steps,
        drawn_words: (
            state.drawn_words.0.to_string(),
            state.drawn_words.1.to_string(),
        ),
        anchors: state.anchors.clone(),
        known: (state.known.iter())
            .map(|known| {
                let bits = known.log_probs.iter().map(|p| p.to_bits());
                (known.prompt, known.tokens.clone(), bits.collect())
            })
            .collect(),
        lora: checkpoint.lora.map(Lora::of),
    };
    // A struct of numbers and texts is always JSON.
    serde_json::to_value(trainer).unwrap_or_default()
}

/// Both moments of every trained tensor.
pub(super) fn moments<'a>(checkpoint: &Checkpoint<'a>) -> Result<Vec<ExportTensor<'a>>, LmError> {
    let optimiser: &'a AdamWState = checkpoint.state.optimiser;
    let mut all = Vec::new();
    for (prefix, values) in [("first", &optimiser.first), ("second", &optimiser.second)] {
        let tensors = match checkpoint.lora {
            None => flat_tensors(&checkpoint.model.layout, values)?,
            Some(layout) => adapter_tensors(layout, values)?,
        };
        all.extend(tensors.into_iter().map(|tensor| ExportTensor {
            name: format!("{prefix}.{}", tensor.name),
            ..tensor
        }));
    }
    Ok(all)
}

pub(super) fn info(folder: &Path) -> Result<CheckpointInfo, LmError> {
    let trainer = read_trainer(folder)?;
    Ok(CheckpointInfo {
        step: trainer.step,
        score: trainer.score,
        path: folder.to_owned(),
    })
}

pub(super) fn load(
    folder: &Path,
    model: &LanguageModel,
    lora: Option<&LoraLayout>,
) -> Result<LmState, LmError> {
    let trainer = read_trainer(folder)?;
    let path = folder.join(super::CHECKPOINT_FILE);
    let malformed = |why: String| LmError::Malformed {
        path: path.clone(),
        why,
    };
    let (saved, wanted) = (&trainer.lora, lora.map(Lora::of));
    if *saved != wanted {
        let words = |lora: &Option<Lora>| match lora {
            None => "all parameters".to_owned(),
            Some(lora) => format!(
                "LoRA of rank {}, alpha {} on {}",
                lora.rank,
                lora.alpha,
                lora.modules.join(", ")
            ),
        };
        return Err(malformed(format!(
            "it trains {}, this run trains {}; a run goes on only from one that trains the same",
            words(saved),
            words(&wanted)
        )));
    }
    let names: Vec<(&str, Span)> = match lora {
        None => (model.layout.tensors().iter())
            .map(|(name, span)| (name.as_str(), *span))
            .collect(),
        Some(layout) => layout.tensors().collect(),
    };
    let weights = match lora {
        None => "model.safetensors",
        Some(_) => ADAPTER_WEIGHTS,
    };
    let parameters = flatten(&folder.join(weights), &names, &[""])?.swap_remove(0);
    let mut moments = flatten(
        &folder.join("optimizer.safetensors"),
        &names,
        &["first.", "second."],
    )?;
    let words = |text: &str| {
        text.parse::<u128>().map_err(|_| {
            malformed(format!(
                "drawn_words = {text:?} is not accepted; it must be a whole number"
            ))
        })
    };
    Ok(LmState {
        step: trainer.step,
        parameters,
        optimiser: AdamWState {
            second: moments.pop().unwrap_or_default(),
            first: moments.pop().unwrap_or_default(),
            steps: trainer.optimizer_steps,
        },
        drawn_words: (
            words(&trainer.drawn_words.0)?,
            words(&trainer.drawn_words.1)?,
        ),
        anchors: trainer.anchors,
        known: (trainer.known.into_iter())
            .map(|(prompt, tokens, bits)| {
                Arc::new(KnownReference {
                    prompt,
                    tokens,
                    log_probs: bits.into_iter().map(f32::from_bits).collect(),
                })
            })
            .collect(),
    })
}

fn read_trainer(folder: &Path) -> Result<Trainer, LmError> {
    let path = folder.join(super::CHECKPOINT_FILE);
    let text = std::fs::read_to_string(&path).map_err(|source| LmError::Read {
        path: path.clone(),
        source,
    })?;
    let malformed = |why: String| LmError::Malformed {
        path: path.clone(),
        why,
    };
    let trainer: Trainer = serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?;
    if trainer.format != FORMAT {
        return Err(malformed(format!(
            "format = {} is not accepted; this version reads {FORMAT}",
            trainer.format
        )));
    }
    Ok(trainer)
}

/// The tensors of a file as flat buffers, one per prefix of the names.
fn flatten(
    path: &Path,
    names: &[(&str, Span)],
    prefixes: &[&str],
) -> Result<Vec<Vec<f32>>, LmError> {
    let mut tensors: HashMap<String, Tensor> =
        safetensors::load(path, &Device::Cpu).map_err(|e| LmError::Malformed {
            path: path.to_owned(),
            why: format!(
                "it cannot be read ({}); it may be truncated",
                e.to_string().lines().next().unwrap_or_default()
            ),
        })?;
    let len = names
        .iter()
        .map(|(_, span)| span.range().end)
        .max()
        .unwrap_or(0);
    prefixes
        .iter()
        .map(|prefix| {
            let mut flat = vec![0.0f32; len];
            for (name, span) in names {
                let name = format!("{prefix}{name}");
                let wrong = |why: String| LmError::Tensor {
                    why: format!("{} {why}", path.display()),
                    name: name.clone(),
                };
                let tensor = tensors
                    .remove(&name)
                    .ok_or_else(|| wrong("does not have it".to_owned()))?;
                let values = tensor.flatten_all()?.to_vec1::<f32>()?;
                if values.len() != span.range().len() {
                    return Err(wrong(format!(
                        "has it with shape {:?}; {} by {} is needed",
                        tensor.dims(),
                        span.rows,
                        span.columns
                    )));
                }
                flat[span.range()].copy_from_slice(&values);
            }
            Ok(flat)
        })
        .collect()
}
