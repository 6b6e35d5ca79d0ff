//! Fine-tuning a language model by KL-regularised policy gradient on prefix trees.

mod report;

pub use report::{SampleRecord, StepFacts, StepParts};
