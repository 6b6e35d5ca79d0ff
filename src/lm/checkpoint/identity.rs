//! Which experiment a checkpoint belongs to. A run goes on only where model, task and choice of trained parameters are
//! the same: what a checkpoint knows of the reference is wrong anywhere else. Objective, rewards and training may differ.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::{error::LmError, fast::LoraLayout, language_model::LanguageModel};
use crate::experiment::{LanguageSpec, Matching};

/// A model, what of it is trained, and the task.
#[derive(Debug, Clone, Copy)]
pub struct Experiment<'a> {
    /// The model that is trained or adapted.
    pub model: &'a LanguageModel,
    /// The adapters' layout where low-rank factors are trained; none for a full fine-tune.
    pub lora: Option<&'a LoraLayout>,
    /// The task, and the model's name.
    pub spec: &'a LanguageSpec,
}

/// The same as text.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The model's name, for messages: it may be found under another one later.
    model: String,
    /// Fingerprint of its weights, in hexadecimal digits.
    weights: String,
    lora: Option<Lora>,
    matching: Matching,
    prompts: Vec<Prompt>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Lora {
    rank: usize,
    alpha: f64,
    modules: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Prompt {
    prompt: String,
    raw: bool,
    prefill: String,
    answers: Vec<String>,
}

impl Identity {
    pub(super) fn of(experiment: &Experiment<'_>) -> Self {
        let Experiment { model, lora, spec } = experiment;
        Self {
            model: spec.model.clone(),
            weights: format!("{:016x}", model.fingerprint()),
            lora: lora.map(|layout| Lora {
                rank: layout.rank(),
                alpha: layout.alpha(),
                modules: layout
                    .modules()
                    .iter()
                    .map(|m| m.name().to_owned())
                    .collect(),
            }),
            matching: spec.matching.clone(),
            prompts: (spec.prompts.iter())
                .map(|task| Prompt {
                    prompt: task.prompt.clone(),
                    raw: task.raw,
                    prefill: task.prefill.clone(),
                    answers: task.answers.iter().map(|a| a.text.clone()).collect(),
                })
                .collect(),
        }
    }

    /// Nothing if a run of `other` may go on from a checkpoint of this in `folder`.
    ///
    /// # Errors
    /// Names the first field that differs.
    pub(super) fn check(&self, other: &Self, folder: &Path) -> Result<(), LmError> {
        let Some((field, there, here)) = self.difference(other) else {
            return Ok(());
        };
        Err(LmError::OtherExperiment {
            path: folder.to_owned(),
            field,
            there,
            here,
        })
    }

    /// The first field that differs, its value here and in `other`.
    fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let differ = |field: &str, here: String, there: String| {
            (here != there).then(|| (field.to_owned(), here, there))
        };
        if self.weights != other.weights {
            let named =
                |identity: &Self| format!("{:?} (weights {})", identity.model, identity.weights);
            return differ("language.model", named(self), named(other));
        }
        if self.lora != other.lora {
            return differ("language.tune", trained(&self.lora), trained(&other.lora));
        }
        if self.matching != other.matching {
            let text = |identity: &Self| format!("{:?}", identity.matching);
            return differ("language.matching", text(self), text(other));
        }
        if self.prompts.len() != other.prompts.len() {
            let count = |identity: &Self| match identity.prompts.len() {
                1 => "1 prompt".to_owned(),
                n => format!("{n} prompts"),
            };
            return differ("language.prompts", count(self), count(other));
        }
        (self.prompts.iter().zip(&other.prompts).enumerate()).find_map(|(index, (a, b))| {
            let field = |name: &str| format!("language.prompts.{index}.{name}");
            let text = |text: &str| format!("{text:?}");
            differ(&field("prompt"), text(&a.prompt), text(&b.prompt))
                .or_else(|| differ(&field("raw"), a.raw.to_string(), b.raw.to_string()))
                .or_else(|| differ(&field("prefill"), text(&a.prefill), text(&b.prefill)))
                .or_else(|| differ(&field("answers"), listed(&a.answers), listed(&b.answers)))
        })
    }
}

fn trained(lora: &Option<Lora>) -> String {
    match lora {
        None => "Full".to_owned(),
        Some(lora) => format!(
            "LoRA of rank {}, alpha {} on {}",
            lora.rank,
            lora.alpha,
            lora.modules.join(", ")
        ),
    }
}

/// Answers on one line, however many there are.
fn listed(answers: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut words: Vec<String> = answers
        .iter()
        .take(SHOWN)
        .map(|a| format!("{a:?}"))
        .collect();
    if answers.len() > SHOWN {
        words.push(format!("… ({} in all)", answers.len()));
    }
    words.join(", ")
}

/// A 64-bit hash of weights by their bits: tells models apart, and is no defence against somebody who wants two alike.
pub(in crate::lm) fn fingerprint(weights: &[f32]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = weights.len() as u64;
    let mut pairs = weights.chunks_exact(2);
    let mut mix = |word: u64| hash = (hash.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
    for pair in pairs.by_ref() {
        if let [a, b] = pair {
            mix(u64::from(a.to_bits()) | (u64::from(b.to_bits()) << 32));
        }
    }
    for last in pairs.remainder() {
        mix(u64::from(last.to_bits()));
    }
    hash ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_changes_with_any_number_and_with_the_length() {
        let weights: Vec<f32> = (0..101).map(|i| i as f32 * 0.37 - 5.0).collect();
        let plain = fingerprint(&weights);
        assert_eq!(plain, fingerprint(&weights.clone()));
        for at in [0, 1, 50, 99, 100] {
            let mut other = weights.clone();
            other[at] += 1.0;
            assert_ne!(plain, fingerprint(&other), "{at}");
        }
        assert_ne!(plain, fingerprint(&weights[..100]));
    }
}
