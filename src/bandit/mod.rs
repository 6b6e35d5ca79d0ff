//! Bandits: a checked problem, what its objective asks for, the policy families and the step that trains them.

mod analysis;
mod build;
pub(crate) mod check;
mod csv_column;
mod fault;
mod measure;
mod modes;
mod problem;
mod sentence;
mod source;
mod tie_ground;
mod trainer;

pub use analysis::Analysis;
pub use build::{ProblemError, ProblemSource};
#[cfg(feature = "gui")]
pub(crate) use csv_column::is_data;
pub use measure::{measure, mode_masses, objective_value};
pub use problem::{Mode, Problem, Shape};
pub use tie_ground::TieGround;
pub(crate) use trainer::{Drawn, Weighed, Weigher};
pub use trainer::{RunningAnchor, StepReport, TrainError, Trainer, TrainerState};
