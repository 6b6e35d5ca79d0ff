//! Real language models: their configuration, weights and tokenizers as files carry them, a differentiable forward that
//! runs on any candle device, and exact log-probabilities of answers.
//!
//! Training needs gradients that candle-nn's fused norm, softmax and rotary operations do not have, so the forward here
//! is composed of operations that all register a backward.

mod chat;
mod config;
mod embedded;
mod error;
pub mod export;
pub mod fast;
mod language_model;
mod model;
pub mod pretrain;
mod score;
mod tokenizer;
mod train;
mod weights;

pub use chat::{ChatTemplate, Message};
pub use config::{Family, ModelConfig, RopeScaling};
pub use embedded::{embedded, embedded_info};
pub use error::LmError;
pub use language_model::LanguageModel;
pub use model::Model;
pub use score::{AnswerScore, PromptSpec, score_answers};
pub use tokenizer::LmTokenizer;
pub use train::{
    Ground, LmState, LmTrainError, LmTrainer, Prepared, SampleRecord, StepFacts, StepParts,
};
pub use weights::{LoadedModel, ModelFile, ModelInfo, inspect, load};

/// Loads a model by the name that a preset or command gives it; relative paths start at `base_dir`.
///
/// # Errors
/// See [`LmError`].
pub fn open(name: &str, base_dir: Option<&std::path::Path>) -> Result<LoadedModel, LmError> {
    if name == "embedded" {
        return embedded(&candle_core::Device::Cpu);
    }
    let path = match std::env::var_os("MODESCOPE_SMOLLM2_GGUF") {
        Some(path) if name == "smollm2-135m" => path.into(),
        _ => base_dir.map_or_else(|| name.into(), |base| base.join(name)),
    };
    load(&ModelFile::find(&path)?, &candle_core::Device::Cpu)
}
