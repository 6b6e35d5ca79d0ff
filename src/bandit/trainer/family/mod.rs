//! Policy families other than the table: fewer parameters than arms, so that not every distribution can be expressed.
//!
//! A family turns parameters into logits, and a gradient in the logits into one in its parameters. That is all an update
//! needs to know of it. A new family is one file here and one line in [`new`].

mod gaussian;
mod network;

use std::fmt;

use super::error::TrainError;
use crate::{
    bandit::{Problem, Shape},
    experiment::PolicyFamily,
};

/// See the module.
pub(super) trait Family: fmt::Debug + Send {
    fn parameters(&self) -> &[f64];
    fn parameters_mut(&mut self) -> &mut [f64];

    /// Fills `logits`, one per arm, finite for finite parameters.
    fn fill_logits(&mut self, logits: &mut [f64]) -> Result<(), String>;

    /// Fills `out` with Jᵀ `gradient`, J = ∂logits/∂parameters at the parameters of the last [`Self::fill_logits`].
    fn pull_back(&mut self, gradient: &[f64], out: &mut [f64]) -> Result<(), String>;

    /// Whether [`Self::fit_roughly`] does anything.
    fn fits_by_moments(&self) -> bool;

    /// Goes to a quick good fit of the masses (positive sum), a start for following a gradient: moments, mostly.
    fn fit_roughly(&mut self, masses: &[f64]);

    /// Rough number of multiplications to fill logits or pull back, for keeping fits and companions cheap.
    fn cost(&self) -> usize;
}

/// The family of a training description; none for the table.
///
/// # Errors
/// [`TrainError::Field`] for sizes that are not accepted.
pub(super) fn new(
    problem: &Problem,
    family: &PolicyFamily,
    seed: u64,
) -> Result<Option<Box<dyn Family>>, TrainError> {
    Ok(match family {
        PolicyFamily::SoftmaxTable => None,
        PolicyFamily::Gaussian => Some(Box::new(gaussian::Mixture::new(problem, 1))),
        PolicyFamily::GaussianMixture { components } => {
            if !(1..=64).contains(components) {
                return Err(TrainError::Field {
                    field: "policy.components",
                    value: components.to_string(),
                    accepted: "1 to 64",
                });
            }
            Some(Box::new(gaussian::Mixture::new(problem, *components)))
        }
        PolicyFamily::LinearSoftmax { features } => Some(Box::new(network::Network::new(
            problem,
            *features,
            &[],
            seed,
        )?)),
        PolicyFamily::Mlp { features, hidden } => {
            if !(1..=4).contains(&hidden.len()) || !hidden.iter().all(|w| (1..=1024).contains(w)) {
                return Err(TrainError::Field {
                    field: "policy.hidden",
                    value: format!("{hidden:?}"),
                    accepted: "1 to 4 layers of 1 to 1024",
                });
            }
            Some(Box::new(network::Network::new(
                problem, *features, hidden, seed,
            )?))
        }
    })
}

/// The coordinates of every arm scaled to [−1, 1], one list per axis, and the width of a cell on that scale.
fn scaled_axes(problem: &Problem) -> Vec<(Vec<f64>, f64)> {
    let axis = |cells: usize, cell_of: &dyn Fn(usize) -> usize| {
        let width = 2.0 / cells as f64;
        let place = |arm| -1.0 + width * (cell_of(arm) as f64 + 0.5);
        ((0..problem.arms()).map(place).collect(), width)
    };
    match problem.shape {
        Shape::Line { count, .. } => vec![axis(count, &|arm| arm)],
        Shape::Grid { rows, columns, .. } => vec![
            axis(columns, &|arm| arm % columns),
            axis(rows, &|arm| arm / columns),
        ],
    }
}
