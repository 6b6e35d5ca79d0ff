//! Why training cannot start or go on, as sentences for the user.

use thiserror::Error;

use crate::theory::Written;

/// A training description that does not fit its problem, or a run that left the finite numbers.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum TrainError {
    /// A field with a value that is not accepted.
    #[error("training.{field} = {value} is not accepted; {accepted}")]
    Field {
        /// Path of the field below `training`.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be accepted.
        accepted: &'static str,
    },
    /// Problem and analysis have different numbers of arms.
    #[error(
        "the analysis is for {analysis} arms and the problem has {problem}; both must have as many"
    )]
    Lengths {
        /// Arms of the problem.
        problem: usize,
        /// Arms of the analysis.
        analysis: usize,
    },
    /// A step left the finite numbers. The trainer has gone back to its last good state.
    #[error(
        "step {step} left the finite numbers (learning rate {}, β {}); back at step {restored}: try a learning rate of \
         {suggested:.1e}{or_adam}",
        Written(*.learning_rate),
        Written(*.beta)
    )]
    NotFinite {
        /// The step that failed.
        step: u64,
        /// The step whose state the trainer is in now.
        restored: u64,
        /// The learning rate it failed with.
        learning_rate: f64,
        /// The KL coefficient it failed with.
        beta: f64,
        /// A learning rate worth trying.
        suggested: f64,
        /// The advice to try Adam, unless that failed.
        or_adam: &'static str,
    },
    /// The automatic differentiation of a policy family failed.
    #[error("the policy network failed at step {step}: {reason}")]
    Network {
        /// The step that failed.
        step: u64,
        /// What it said.
        reason: String,
    },
    /// A saved state of another experiment.
    #[error(
        "the saved state has {found} parameters and this policy has {expected}; it belongs to another experiment"
    )]
    ForeignState {
        /// Parameters in the state.
        found: usize,
        /// Parameters of the policy.
        expected: usize,
    },
}
