//! Why a language model cannot be trained, as sentences for the user.

use thiserror::Error;

use crate::{lm::LmError, theory::TargetError};

/// A language task that does not fit its model, or a run that left the finite numbers.
#[derive(Debug, Error)]
pub enum LmTrainError {
    /// A field with a value that is not accepted.
    #[error("{field}: {value} is not accepted; {accepted}")]
    Field {
        /// Path of the field in the preset.
        field: String,
        /// Its value.
        value: String,
        /// What would be accepted.
        accepted: String,
    },
    /// The model, its tokenizer or a sequence.
    #[error(transparent)]
    Model(#[from] LmError),
    /// The objective has no target on the answers.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The rewards. A step that fails for them has not happened, and may be tried again.
    #[error("{0}")]
    Reward(String),
    /// The caller wanted to stop while a reward program was waited for; the step has not happened.
    #[error("stopped while waiting for the reward program")]
    Stopped,
    /// A step left the finite numbers; the parameters are those before it.
    #[error(
        "step {step} left the finite numbers ({what}); the model is as after step {kept}: go back to an earlier step and try a \
         learning rate of {suggested:.1e} or a smaller `clip`"
    )]
    NotFinite {
        /// The step that failed.
        step: u64,
        /// What was not finite.
        what: &'static str,
        /// The last good step.
        kept: u64,
        /// A learning rate worth trying.
        suggested: f64,
    },
    /// A saved state of another run.
    #[error(
        "the saved state has {found} numbers and this run trains {expected}; it belongs to another experiment"
    )]
    ForeignState {
        /// Numbers in the state.
        found: usize,
        /// Numbers of this run.
        expected: usize,
    },
}

impl LmTrainError {
    pub(super) fn field(
        field: impl Into<String>,
        value: impl ToString,
        accepted: impl Into<String>,
    ) -> Self {
        Self::Field {
            field: field.into(),
            value: value.to_string(),
            accepted: accepted.into(),
        }
    }
}
