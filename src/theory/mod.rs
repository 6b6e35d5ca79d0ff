//! What an objective asks for, as pure functions on slices: same input, same output, no I/O, no threads, no clock.
//!
//! Everything works on log masses, so that β from 1e-6 to 1e6 and masses far below 1e-300 stay exact.
//! Formulas follow GX-Chen et al., arXiv 2510.20817 ("the paper").

pub mod coverage;
mod distribution;
pub mod divergence;
mod estimator;
pub mod kernels;
mod log_ratio;
pub mod mara;
mod metric;
mod mode_ratio;
mod objective;
#[cfg(test)]
mod properties;
pub mod sampled;
mod target;
mod tie_beta;
pub mod ties;
mod written;

pub use coverage::CoverageRule;
pub use distribution::{Distribution, DistributionError};
pub use estimator::{
    Estimator, EstimatorReport, Pull, Scene, Spread, exact_gradient, expected_gradient,
};
pub use log_ratio::{LogRatio, decompose, validity_beta};
pub use metric::{Metric, Metrics};
pub use mode_ratio::{decompose_modes, mode_tie_betas};
pub use objective::{Anchor, Beta, Direction, Mara, MaraAlgorithm, NotABeta, Objective, Threshold};
pub use target::{Divergence, Target, TargetError, Tie, solve, solve_into, solve_weights};
pub use tie_beta::tie_beta;
pub use ties::{ListedTie, TieColumns, TieCount, TieEffort, TieList, TieProgress, TieScope, Ties};
pub use written::Written;
