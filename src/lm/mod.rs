//! Real language models: their configuration, weights and tokenizers as files carry them, a differentiable forward that
//! runs on any candle device, and exact log-probabilities of answers.
//!
//! Training needs gradients that candle-nn's fused norm, softmax and rotary operations do not have, so the forward here
//! is composed of operations that all register a backward.

mod chat;
mod config;
mod error;
pub mod fast;
mod model;
mod score;
mod tokenizer;
mod train;
mod weights;

pub use chat::{ChatTemplate, Message};
pub use config::{Family, ModelConfig, RopeScaling};
pub use error::LmError;
pub use model::Model;
pub use score::{AnswerScore, PromptSpec, score_answers};
pub use tokenizer::LmTokenizer;
pub use train::{SampleRecord, StepFacts, StepParts};
pub use weights::{LoadedModel, ModelFile, ModelInfo, inspect, load};
