//! Bandits: a checked problem, what its objective asks for, the policy families and the step that trains them.

mod analysis;
mod build;
mod check;
mod csv_column;
mod measure;
mod modes;
mod problem;
mod sentence;
mod source;
mod tie_ground;
mod trainer;

pub use analysis::Analysis;
pub use build::{ProblemError, ProblemSource};
pub use check::check_file;
#[cfg(feature = "gui")]
pub(crate) use csv_column::is_data;
pub use measure::{measure, mode_masses, objective_value};
pub use problem::{Mode, Problem, Shape};
pub use tie_ground::TieGround;
#[cfg(feature = "gui")]
pub(crate) use trainer::MOST_COMPARED_ARMS;
pub(crate) use trainer::{Drawn, Weighed, Weigher};
pub use trainer::{StepReport, TrainError, Trainer, TrainerState};
