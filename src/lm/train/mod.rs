//! Fine-tuning a language model by KL-regularised policy gradient on prefix trees.
//!
//! A step draws completions of every prompt on one tree ([`sampler`]), asks the frozen reference for the same tokens
//! ([`reference`]), weighs the completions as samples of a bandit whose arms are the acceptable answers and everything
//! else (`bandit`'s own code, docs/math.md sections 4 and 6), and runs the backward on the activations that sampling left
//! behind. The exact probabilities of all answers after the step come from the nodes from which the next step samples.

mod error;
mod generating;
mod reference;
mod report;
mod sampler;
mod state;
mod task;
mod trainer;

pub use error::LmTrainError;
pub use generating::{GeneratedSoFar, Generating};
pub use reference::KnownReference;
pub use report::{SampleRecord, StepFacts, StepParts};
pub use state::{LmState, LmStateRef};
pub use trainer::{Ground, LmTrainer, Prepared};
