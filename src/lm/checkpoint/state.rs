//! A run's state as files: `trainer.json` and `optimizer.safetensors`.

use std::{path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    super::{
        error::LmError,
        export::{ADAPTER_WEIGHTS, ExportTensor, adapter_tensors, flat_tensors},
        fast::{AdamWState, Span},
        train::{KnownReference, LmState},
    },
    Checkpoint, CheckpointInfo,
    identity::{Experiment, Identity},
    tensors::TensorFile,
};
use crate::bandit::RunningAnchor;

/// What `trainer.json` holds beside the tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Trainer {
    format: u32,
    step: u64,
    score: Option<f64>,
    /// Somebody wanted this one: it is not among those that make room for later ones.
    by_hand: bool,
    optimizer_steps: u32,
    /// 128-bit counts as text: JSON's numbers do not hold them everywhere.
    drawn_words: (String, String),
    anchors: Vec<Option<u32>>,
    /// The bits of each anchor's raw reward and log π_ref where they are not its arm's: JSON's reader rounds. None in files of
    /// before there were such.
    #[serde(default)]
    anchor_bits: Vec<(Option<u64>, Option<u64>)>,
    /// What was asked of the reference: prompt, tokens, and the bits of each token's log-probability.
    known: Vec<(usize, Vec<u32>, Vec<u32>)>,
    experiment: Identity,
}

/// The only part that is read of every checkpoint in a folder.
#[derive(Debug, Deserialize)]
struct Head {
    format: u32,
    step: u64,
    score: Option<f64>,
    #[serde(default)]
    by_hand: bool,
}

/// The only format there is; the first one did not say which experiment it belonged to.
const FORMAT: u32 = 2;
/// ChaCha counts 2^64 blocks of 16 words.
const MAX_DRAWN_WORDS: u128 = (1 << 68) - 1;
/// Rounding may lift the logarithm of a probability of one this far above zero.
const LOG_SLACK: f32 = 1e-3;

pub(super) fn trainer_json(checkpoint: &Checkpoint<'_>, by_hand: bool) -> Value {
    let state = &checkpoint.state;
    let trainer = Trainer {
        format: FORMAT,
        step: state.step,
        score: checkpoint.score.filter(|score| score.is_finite()),
        by_hand,
        optimizer_steps: state.optimiser.steps,
        drawn_words: (
            state.drawn_words.0.to_string(),
            state.drawn_words.1.to_string(),
        ),
        anchors: (state.anchors.iter())
            .map(|anchor| anchor.map(|anchor| anchor.arm))
            .collect(),
        anchor_bits: (state.anchors.iter())
            .map(|anchor| {
                let bits = |value: Option<f64>| value.map(f64::to_bits);
                anchor.map_or((None, None), |anchor| {
                    (bits(anchor.reward), bits(anchor.log_reference))
                })
            })
            .collect(),
        known: (state.known.iter())
            .map(|known| {
                let bits = known.log_probs.iter().map(|p| p.to_bits());
                (known.prompt, known.tokens.clone(), bits.collect())
            })
            .collect(),
        experiment: Identity::of(&checkpoint.experiment),
    };
    // A struct of numbers and texts is always JSON.
    serde_json::to_value(trainer).unwrap_or_default()
}

/// Both moments of every trained tensor.
pub(super) fn moments<'a>(checkpoint: &Checkpoint<'a>) -> Result<Vec<ExportTensor<'a>>, LmError> {
    let optimiser: &'a AdamWState = checkpoint.state.optimiser;
    let Experiment { model, lora, .. } = checkpoint.experiment;
    let mut all = Vec::new();
    for (prefix, values) in [(FIRST, &optimiser.first), (SECOND, &optimiser.second)] {
        let tensors = match lora {
            None => flat_tensors(&model.layout, values)?,
            Some(layout) => adapter_tensors(layout, values)?,
        };
        all.extend(tensors.into_iter().map(|tensor| ExportTensor {
            name: format!("{prefix}{}", tensor.name),
            ..tensor
        }));
    }
    Ok(all)
}

/// Before the names of the moments' tensors.
const FIRST: &str = "first.";
const SECOND: &str = "second.";

pub(super) fn info(folder: &Path) -> Result<CheckpointInfo, LmError> {
    let head: Head = read_json(folder)?;
    check_format(folder, head.format)?;
    Ok(CheckpointInfo {
        step: head.step,
        score: head.score,
        by_hand: head.by_hand,
        path: folder.to_owned(),
    })
}

/// Which experiment a checkpoint belongs to.
pub(super) fn identity(folder: &Path) -> Result<Identity, LmError> {
    #[derive(Deserialize)]
    struct Belongs {
        experiment: Identity,
    }
    let head: Head = read_json(folder)?;
    check_format(folder, head.format)?;
    let belongs: Belongs = read_json(folder)?;
    Ok(belongs.experiment)
}

/// A checkpoint that was looked through and fits: from here on only the disk can fail.
#[derive(Debug)]
pub struct OpenCheckpoint {
    rest: StateRest,
    names: Vec<(String, Span)>,
    len: usize,
    weights: TensorFile,
    moments: TensorFile,
}

/// All of a state but its large buffers.
#[derive(Debug, Clone)]
pub(in crate::lm) struct StateRest {
    pub(in crate::lm) step: u64,
    pub(in crate::lm) optimiser_steps: u32,
    pub(in crate::lm) drawn_words: (u128, u128),
    pub(in crate::lm) anchors: Vec<Option<RunningAnchor>>,
    pub(in crate::lm) known: Vec<Arc<KnownReference>>,
}

impl OpenCheckpoint {
    pub(super) fn open(folder: &Path, experiment: &Experiment<'_>) -> Result<Self, LmError> {
        let head: Head = read_json(folder)?;
        check_format(folder, head.format)?;
        let trainer: Trainer = read_json(folder)?;
        trainer
            .experiment
            .check(&Identity::of(experiment), folder)?;
        let Experiment { model, lora, .. } = experiment;
        let names: Vec<(String, Span)> = match lora {
            None => model.layout.tensors().to_vec(),
            Some(layout) => layout
                .tensors()
                .map(|(name, span)| (name.to_owned(), span))
                .collect(),
        };
        let len = lora.map_or(model.layout.len(), |layout| layout.len());
        let mut weights = TensorFile::open(&folder.join(match lora {
            None => "model.safetensors",
            Some(_) => ADAPTER_WEIGHTS,
        }))?;
        weights.check(&names, "", f32::NEG_INFINITY)?;
        let mut moments = TensorFile::open(&folder.join("optimizer.safetensors"))?;
        moments.check(&names, FIRST, f32::NEG_INFINITY)?;
        moments.check(&names, SECOND, 0.0)?;
        Ok(Self {
            rest: trainer.checked(folder, experiment)?,
            names,
            len,
            weights,
            moments,
        })
    }

    /// Steps done.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.rest.step
    }

    /// All of the state but its large buffers.
    pub(in crate::lm) fn rest(&self) -> &StateRest {
        &self.rest
    }

    /// Numbers that are trained.
    pub(in crate::lm) fn trained(&self) -> usize {
        self.len
    }

    /// Reads the trained numbers into place.
    pub(in crate::lm) fn read_parameters(&mut self, to: &mut [f32]) -> Result<(), LmError> {
        self.weights.read(&self.names, "", to)
    }

    /// Reads the optimiser's moments into place.
    pub(in crate::lm) fn read_moments(
        &mut self,
        first: &mut [f32],
        second: &mut [f32],
    ) -> Result<(), LmError> {
        self.moments.read(&self.names, FIRST, first)?;
        self.moments.read(&self.names, SECOND, second)
    }

    /// The whole state, in memory of its own.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn into_state(mut self) -> Result<LmState, LmError> {
        let mut parameters = vec![0.0; self.len];
        let (mut first, mut second) = (parameters.clone(), parameters.clone());
        self.read_parameters(&mut parameters)?;
        self.read_moments(&mut first, &mut second)?;
        let rest = self.rest;
        Ok(LmState {
            step: rest.step,
            parameters,
            optimiser: AdamWState {
                first,
                second,
                steps: rest.optimiser_steps,
            },
            drawn_words: rest.drawn_words,
            anchors: rest.anchors,
            known: rest.known,
        })
    }
}

impl Trainer {
    /// The numbers, each of which a run of the experiment could have left.
    fn checked(self, folder: &Path, experiment: &Experiment<'_>) -> Result<StateRest, LmError> {
        let refuse = |field: &str, value: &dyn ToString, accepted: String| LmError::Malformed {
            path: folder.join(super::CHECKPOINT_FILE),
            why: format!(
                "{field} = {} is not accepted; {accepted}",
                value.to_string()
            ),
        };
        let Experiment { model, spec, .. } = experiment;
        if u64::from(self.optimizer_steps) != self.step {
            let accepted = match u32::try_from(self.step) {
                Ok(step) => format!("{step} is, as step = {step} says"),
                Err(_) => format!(
                    "step = {} is not either, {} at most is",
                    self.step,
                    u32::MAX
                ),
            };
            return Err(refuse("optimizer_steps", &self.optimizer_steps, accepted));
        }
        let words = |index: usize, text: &str| {
            let field = format!("drawn_words.{index}");
            (text.parse().ok())
                .filter(|words| *words <= MAX_DRAWN_WORDS)
                .ok_or_else(|| {
                    let accepted = format!("a whole number up to {MAX_DRAWN_WORDS} is");
                    refuse(&field, &format!("{text:?}"), accepted)
                })
        };
        let drawn_words = (
            words(0, &self.drawn_words.0)?,
            words(1, &self.drawn_words.1)?,
        );
        if self.anchors.len() != spec.prompts.len() {
            return Err(refuse(
                "anchors",
                &format!("{} entries", self.anchors.len()),
                format!("{} are, one per prompt", spec.prompts.len()),
            ));
        }
        let bits = match self.anchor_bits.len() {
            0 => vec![(None, None); self.anchors.len()],
            count if count == self.anchors.len() => self.anchor_bits,
            count => {
                let accepted = format!("none or {}, one per prompt, are", self.anchors.len());
                return Err(refuse("anchor_bits", &format!("{count} entries"), accepted));
            }
        };
        let mut anchors = Vec::with_capacity(self.anchors.len());
        for (prompt, (anchor, task)) in self.anchors.iter().zip(&spec.prompts).enumerate() {
            // The last arm is everything else.
            let last = task.answers.len();
            if let Some(anchor) = anchor.filter(|anchor| *anchor as usize > last) {
                let accepted = format!("null or an arm from 0 to {last} is");
                return Err(refuse(&format!("anchors.{prompt}"), &anchor, accepted));
            }
            let (reward, log_reference) = bits[prompt];
            let number = |bits: Option<u64>, most: f64| {
                let value = bits.map(f64::from_bits);
                match value.filter(|value| !value.is_finite() || *value > most) {
                    None => Ok(value),
                    Some(value) => Err(refuse(
                        &format!("anchor_bits.{prompt}"),
                        &format!("the bits of {value}"),
                        "the bits of a finite reward and of a finite log π_ref up to 0 are"
                            .to_owned(),
                    )),
                }
            };
            let (reward, log_reference) = (
                number(reward, f64::INFINITY)?,
                number(log_reference, f64::from(LOG_SLACK))?,
            );
            anchors.push(anchor.map(|arm| RunningAnchor {
                arm,
                reward,
                log_reference,
            }));
        }
        let vocabulary = model.layout.config().vocab_size;
        let mut known = Vec::with_capacity(self.known.len());
        for (place, (prompt, tokens, bits)) in self.known.into_iter().enumerate() {
            let field = format!("known.{place}");
            if prompt >= spec.prompts.len() {
                let accepted = format!("a prompt below {} is", spec.prompts.len());
                return Err(refuse(&field, &format!("prompt {prompt}"), accepted));
            }
            if let Some(token) = tokens.iter().find(|t| **t as usize >= vocabulary) {
                let accepted = format!("a token below {vocabulary} is");
                return Err(refuse(&field, &format!("token {token}"), accepted));
            }
            if tokens.is_empty() || bits.len() != tokens.len() {
                return Err(refuse(
                    &field,
                    &format!(
                        "{} log-probabilities for {} tokens",
                        bits.len(),
                        tokens.len()
                    ),
                    "at least one token and as many log-probabilities are".to_owned(),
                ));
            }
            let log_probs: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            let wrong = |p: &&f32| !p.is_finite() || **p > LOG_SLACK;
            if let Some(log_prob) = log_probs.iter().find(wrong) {
                let accepted = "the bits of a finite number up to 0 are".to_owned();
                let value = format!("the bits of {log_prob}");
                return Err(refuse(&field, &value, accepted));
            }
            known.push(Arc::new(KnownReference {
                prompt,
                tokens,
                log_probs,
            }));
        }
        Ok(StateRest {
            step: self.step,
            optimiser_steps: self.optimizer_steps,
            drawn_words,
            anchors,
            known,
        })
    }
}

fn check_format(folder: &Path, format: u32) -> Result<(), LmError> {
    if format == FORMAT {
        return Ok(());
    }
    Err(LmError::Malformed {
        path: folder.join(super::CHECKPOINT_FILE),
        why: format!("format = {format} is not accepted; this version reads {FORMAT}"),
    })
}

/// Why this folder is none from which a run can go on, and which ones in or beside it are.
fn no_checkpoint(folder: &Path) -> LmError {
    let around = [Some(folder), folder.parent()];
    let mut found: Vec<String> = (around.into_iter().flatten())
        .filter_map(|place| std::fs::read_dir(place).ok())
        .flat_map(|entries| entries.filter_map(Result::ok))
        .map(|entry| entry.path())
        .filter(|path| path.join(super::CHECKPOINT_FILE).is_file())
        .map(|path| path.display().to_string())
        .collect();
    found.sort();
    found.dedup();
    let there = match found.len() {
        0 => String::new(),
        // The latest are the likeliest.
        count => format!("; there is {}", found[count.saturating_sub(5)..].join(", ")),
    };
    LmError::Malformed {
        path: folder.to_owned(),
        why: format!(
            "no checkpoint is here: it would hold {}{there}",
            super::CHECKPOINT_FILE
        ),
    }
}

fn read_json<T: serde::de::DeserializeOwned>(folder: &Path) -> Result<T, LmError> {
    let path = folder.join(super::CHECKPOINT_FILE);
    let text = std::fs::read_to_string(&path).map_err(|source| {
        if source.kind() == std::io::ErrorKind::NotFound {
            return no_checkpoint(folder);
        }
        LmError::Read {
            path: path.clone(),
            source,
        }
    })?;
    serde_json::from_str(&text).map_err(|error| LmError::Malformed {
        path,
        why: error.to_string(),
    })
}
