//! Bandits: a checked problem, what its objective asks for, the policy families and the step that trains them.

mod analysis;
mod build;
mod csv_column;
mod modes;
mod problem;
mod source;
mod trainer;

pub use analysis::Analysis;
pub use build::{ProblemError, ProblemSource};
pub use problem::{Mode, Problem, Shape};
pub use trainer::{StepReport, TrainError, Trainer, TrainerState};
