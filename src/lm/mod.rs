//! Real language models: their configuration, weights and tokenizers as files carry them, a differentiable forward that
//! runs on any candle device, and exact log-probabilities of answers.
//!
//! Training needs gradients that candle-nn's fused norm, softmax and rotary operations do not have, so the forward here
//! is composed of operations that all register a backward.

mod chat;
pub mod checkpoint;
mod config;
mod embedded;
mod error;
mod estimate;
pub mod export;
pub mod fast;
mod language_model;
mod model;
pub mod pretrain;
mod rope;
mod score;
pub mod store;
mod tokenizer;
mod train;
mod weights;

pub use chat::{ChatTemplate, Message};
pub use config::{Family, ModelConfig};
pub use embedded::{embedded, embedded_info};
pub use error::LmError;
pub use estimate::{BatchSize, MemoryEstimate, TuneSize, estimate};
pub use language_model::LanguageModel;
pub use model::Model;
pub use rope::{RopeScaling, Yarn};
pub use score::{AnswerScore, PromptSpec, score_answers, score_first_tokens};
pub use store::{ModelSource, ModelStore, StoredModel, open};
pub use tokenizer::LmTokenizer;
pub use train::{
    GeneratedSoFar, Generating, Ground, KnownReference, LmState, LmStateRef, LmTrainError,
    LmTrainer, Prepared, SampleRecord, StepFacts, StepParts,
};
pub use weights::{
    LoadedModel, ModelFile, ModelInfo, Progress, inspect, load, load_with_progress, verify,
};
