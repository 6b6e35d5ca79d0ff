//! The grammar file: prompts with weighted completions, the alphabet they are written in, and the model's shape.

use std::{collections::HashSet, path::Path};

use serde::Deserialize;

use super::super::{
    config::{Family, ModelConfig},
    error::LmError,
    rope::RopeScaling,
};

/// What a small model is to learn, from a grammar file such as `presets/grammars/embedded.ron`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grammar {
    /// Characters that are tokens.
    pub characters: String,
    /// Pieces of text that are tokens of their own, with their leading space where they have one.
    pub words: Vec<String>,
    /// The model's shape.
    pub shape: Shape,
    /// How it is trained.
    pub training: Training,
    /// What it is to say.
    pub tasks: Vec<GrammarTask>,
}

/// Shape of the model to train; its vocabulary follows from the grammar's words and characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward block.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of query heads, a divisor of `hidden_size`.
    pub heads: usize,
    /// Number of key/value heads, a divisor of `heads`.
    pub kv_heads: usize,
    /// Longest sequence, tokens.
    pub context: usize,
}

/// How the model is trained; the command line may replace steps and seed.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Steps, each on the whole grammar.
    pub steps: u64,
    /// Largest learning rate; it rises over `warm_up` steps and falls to zero along half a cosine.
    pub learning_rate: f64,
    /// Steps of rising learning rate.
    pub warm_up: u64,
    /// Seed of the initial weights.
    pub seed: u64,
}

/// Prompts that ask for the same thing, and what is said to them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrammarTask {
    /// A name for people.
    pub name: String,
    /// Phrasings, each answered alike.
    pub prompts: Vec<String>,
    /// Acceptable completions with their probabilities.
    pub answers: Vec<(String, f64)>,
    /// Other completions; the k-th gets a share of what is left to one in proportion to 1/k.
    #[serde(default)]
    pub others: Vec<String>,
}

impl GrammarTask {
    /// Every completion with its probability; they sum to one.
    #[must_use]
    pub fn completions(&self) -> Vec<(&str, f64)> {
        let left = 1.0 - self.answers.iter().map(|(_, p)| p).sum::<f64>();
        let harmonic: f64 = (1..=self.others.len()).map(|k| 1.0 / k as f64).sum();
        let answers = self.answers.iter().map(|(text, p)| (text.as_str(), *p));
        let others = self.others.iter().enumerate();
        answers
            .chain(others.map(|(k, text)| (text.as_str(), left / ((k + 1) as f64 * harmonic))))
            .collect()
    }
}

impl Grammar {
    /// Reads and checks a grammar; `path` is only for messages.
    ///
    /// # Errors
    /// Names the place, the field or the task that is wrong, and what is accepted.
    pub fn parse(path: &Path, text: &str) -> Result<Self, LmError> {
        let malformed = |why: String| LmError::Malformed {
            path: path.to_owned(),
            why,
        };
        let grammar: Self = ron::from_str(text).map_err(|e| malformed(e.to_string()))?;
        grammar.check().map_err(malformed)?;
        grammar.config(1).check()?;
        Ok(grammar)
    }

    /// The configuration of a model of this shape.
    #[must_use]
    pub fn config(&self, vocab_size: usize) -> ModelConfig {
        let shape = self.shape;
        ModelConfig {
            family: Family::Llama,
            vocab_size,
            hidden_size: shape.hidden_size,
            intermediate_size: shape.intermediate_size,
            layers: shape.layers,
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            head_dim: shape.hidden_size / shape.heads.max(1),
            context: shape.context,
            norm_eps: 1e-5,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::None,
            tied_embeddings: true,
            qkv_bias: false,
        }
    }

    fn check(&self) -> Result<(), String> {
        let rate = self.training.learning_rate;
        if !(rate > 0.0 && rate < 1.0) {
            return Err(format!(
                "training.learning_rate = {rate} is not accepted; it must be above 0 and below 1"
            ));
        }
        if self.shape.heads == 0 || !self.shape.hidden_size.is_multiple_of(self.shape.heads) {
            return Err(format!(
                "shape.heads = {} is not accepted; it must divide hidden_size = {}",
                self.shape.heads, self.shape.hidden_size
            ));
        }
        for word in &self.words {
            if word.chars().count() < 2 {
                return Err(format!(
                    "words holds {word:?}; a word has two characters or more (others belong into characters)"
                ));
            }
            self.check_text("words", word)?;
        }
        if self.tasks.is_empty() {
            return Err("tasks is empty; at least one task is needed".to_owned());
        }
        let mut prompts = HashSet::new();
        for task in &self.tasks {
            if task.prompts.is_empty() {
                return Err(format!("task {:?} has no prompts", task.name));
            }
            for prompt in &task.prompts {
                self.check_text(&format!("task {:?}", task.name), prompt)?;
                if !prompts.insert(prompt) {
                    return Err(format!("prompt {prompt:?} stands twice; each must differ"));
                }
            }
            self.check_completions(task)?;
        }
        Ok(())
    }

    fn check_completions(&self, task: &GrammarTask) -> Result<(), String> {
        let name = &task.name;
        let mut seen = HashSet::new();
        for (text, probability) in task.completions() {
            self.check_text(&format!("task {name:?}"), text)?;
            if !seen.insert(text) {
                return Err(format!(
                    "task {name:?} has {text:?} twice; each completion must differ"
                ));
            }
            if !(probability > 0.0 && probability <= 1.0) {
                return Err(format!(
                    "task {name:?}: {text:?} has probability {probability}; each must be above 0, and those of the \
                     answers must sum to less than one where there are others"
                ));
            }
        }
        let sum: f64 = task.completions().iter().map(|(_, p)| p).sum();
        if (sum - 1.0).abs() > 1e-9 {
            return Err(format!(
                "task {name:?}: the probabilities of the answers sum to {sum}; without others it must be 1"
            ));
        }
        Ok(())
    }

    fn check_text(&self, place: &str, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Err(format!("{place} holds an empty text"));
        }
        match text.chars().find(|&c| !self.characters.contains(c)) {
            None => Ok(()),
            Some(c) => Err(format!(
                "{place}: {text:?} has {c:?}, which is not among characters (text is lower case)"
            )),
        }
    }
}
