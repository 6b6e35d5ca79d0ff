//! A language model's task as plain data: which model answers which prompts, what it is rewarded for, and how much of it
//! is trained.
//!
//! A choice task is a bandit: one arm per acceptable answer and one, [`OTHER`], for everything else
//! (docs/math.md section 6). [`LanguageSpec::bandit`] says so to the rest of the workbench; only the reference masses
//! have to wait until the model is loaded.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::preset::{Arms, BanditSpec, LabelledMode, ModeSpec, Source};

/// Name of the arm that stands for every completion that is not an acceptable answer.
pub const OTHER: &str = "other";

/// The language part of a preset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageSpec {
    /// `embedded`, the name of an imported model, or the path of a GGUF file or Hugging Face folder.
    pub model: String,
    /// What the model is asked; every step samples from each prompt.
    pub prompts: Vec<PromptTask>,
    /// When a completion counts as an answer.
    #[serde(default)]
    pub matching: Matching,
    /// Raw reward of every completion that is no acceptable answer.
    #[serde(default)]
    pub failure_reward: f64,
    /// A program that gives the rewards instead of the answers' own.
    #[serde(default)]
    pub program: Option<RewardProgramSpec>,
    /// Most tokens of a completion, end token included, 1 to 4096.
    #[serde(default = "default_max_new_tokens")]
    pub max_new_tokens: usize,
    /// Sampling temperature, > 0; anything but 1 samples off-policy.
    #[serde(default = "one")]
    pub temperature: f64,
    /// Nucleus sampling keeps this much mass, in (0, 1]; anything but 1 samples off-policy.
    #[serde(default = "one")]
    pub top_p: f64,
    /// Which parameters are trained.
    #[serde(default)]
    pub tune: Tune,
    /// Decoupled weight decay per unit of learning rate, ≥ 0.
    #[serde(default)]
    pub weight_decay: f64,
    /// Largest norm of the gradient; none leaves it as it is.
    #[serde(default = "default_clip")]
    pub clip: Option<f64>,
    /// Steps over which the learning rate rises to its full value.
    #[serde(default)]
    pub warm_up: u64,
    /// What is written to the run folder on the way.
    #[serde(default)]
    pub checkpoints: Checkpoints,
}

/// A prompt with its acceptable answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptTask {
    /// The user's turn, or the whole text when `raw`.
    pub prompt: String,
    /// No chat template: the prompt is the text itself.
    #[serde(default)]
    pub raw: bool,
    /// First words of the model's turn.
    #[serde(default)]
    pub prefill: String,
    /// The acceptable answers.
    pub answers: Vec<AnswerSpec>,
}

/// An acceptable answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerSpec {
    /// Its text.
    pub text: String,
    /// Its raw reward.
    #[serde(default = "one")]
    pub reward: f64,
    /// The mode it belongs to; its own text if absent.
    #[serde(default)]
    pub label: Option<String>,
}

/// When a completion counts as an answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum Matching {
    /// The whole completion is the answer, and the model ended it.
    #[default]
    Exact,
    /// The first token is the answer's; sampling stops there.
    FirstToken,
    /// The first capture group of a regular expression, or its whole match, is the answer.
    Regex(String),
    /// The text between two tags is the answer.
    Tagged {
        /// The opening tag.
        open: String,
        /// The closing tag.
        close: String,
    },
}

/// A program that gives rewards over JSON lines (docs/tasks.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardProgramSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where it runs, and where relative paths in the command begin; the preset's folder if absent.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// How long it may take for one batch, in seconds, > 0.
    #[serde(default = "default_timeout")]
    pub timeout_secs: f64,
}

/// Which parameters are trained.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum Tune {
    /// All of them.
    #[default]
    Full,
    /// Low-rank additions W + (alpha/rank) B A to some matrices (Hu et al., arXiv 2106.09685); the base stays the reference's.
    Lora {
        /// Rank of each addition, 1 to 256.
        rank: usize,
        /// Scale numerator, > 0.
        alpha: f64,
        /// The matrices.
        modules: Vec<LoraModule>,
    },
}

/// A matrix of every layer that can get a low-rank addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LoraModule {
    /// Query projection.
    Q,
    /// Key projection.
    K,
    /// Value projection.
    V,
    /// Attention output.
    O,
    /// Gate of the feed-forward block.
    Gate,
    /// Up projection of the feed-forward block.
    Up,
    /// Down projection of the feed-forward block.
    Down,
}

impl LoraModule {
    /// All of them, in the order of a layer.
    pub const ALL: [Self; 7] = [
        Self::Q,
        Self::K,
        Self::V,
        Self::O,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];

    /// Its name in Hugging Face models, as PEFT's `target_modules` lists it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Q => "q_proj",
            Self::K => "k_proj",
            Self::V => "v_proj",
            Self::O => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }
}

/// What is written to the run folder on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoints {
    /// Steps between two checkpoints; none writes only the last one.
    pub every: Option<u64>,
    /// How many of the latest to keep, ≥ 1.
    pub keep: usize,
    /// Whether the one with the highest objective is kept too.
    pub best: bool,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self {
            every: None,
            keep: 2,
            best: true,
        }
    }
}

fn one() -> f64 {
    1.0
}

fn default_max_new_tokens() -> usize {
    8
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the default of an optional field has its type"
)]
fn default_clip() -> Option<f64> {
    Some(1.0)
}

fn default_timeout() -> f64 {
    10.0
}

impl LanguageSpec {
    /// A prompt's task as a bandit: the answers and [`OTHER`], with the given reference masses, or uniform ones as long as
    /// the model has not been asked. Nothing where there is no such prompt.
    #[must_use]
    pub fn bandit(&self, prompt: usize, reference: Option<Vec<f64>>) -> Option<BanditSpec> {
        let task = self.prompts.get(prompt)?;
        let names = task.answers.iter().map(|answer| answer.text.clone());
        let rewards = task.answers.iter().map(|answer| answer.reward);
        let mut modes: Vec<LabelledMode> = Vec::new();
        for (arm, answer) in task.answers.iter().enumerate() {
            if answer.reward <= self.failure_reward {
                continue;
            }
            let label = answer.label.as_ref().unwrap_or(&answer.text);
            match modes.iter_mut().find(|mode| mode.label == *label) {
                Some(mode) => mode.ranges.push((arm, arm + 1)),
                None => modes.push(LabelledMode {
                    label: label.clone(),
                    ranges: vec![(arm, arm + 1)],
                }),
            }
        }
        Some(BanditSpec {
            arms: Arms::Named(names.chain([OTHER.to_owned()]).collect()),
            reference: reference.map_or(Source::Constant(1.0), Source::Weights),
            rewards: Source::List(rewards.chain([self.failure_reward]).collect()),
            modes: ModeSpec::Labelled(modes),
            reward_edits: Vec::new(),
            reference_edits: Vec::new(),
        })
    }

    /// The rewards of a prompt's answers, then of everything else.
    #[must_use]
    pub fn rewards(&self, prompt: usize) -> Option<Vec<f64>> {
        let answers = self.prompts.get(prompt)?.answers.iter();
        let rewards = answers.map(|answer| answer.reward);
        Some(rewards.chain([self.failure_reward]).collect())
    }

    /// Takes hand-made changes of the first prompt's rewards into the answers themselves.
    pub fn absorb_rewards(&mut self, edits: &[(usize, f64)]) {
        let Some(task) = self.prompts.first_mut() else {
            return;
        };
        for &(arm, value) in edits {
            match task.answers.get_mut(arm) {
                Some(answer) => answer.reward = value,
                None => self.failure_reward = value,
            }
        }
    }
}
