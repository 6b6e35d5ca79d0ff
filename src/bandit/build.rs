//! From a preset's bandit to a checked problem, in an expensive part done once and a cheap part done at every edit.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{
    modes::find_modes,
    problem::{Problem, Shape},
    source::{Role, evaluate},
};
use crate::{
    experiment::{Arms, BanditSpec, FormulaError, MAX_ARMS},
    theory::{Distribution, DistributionError, Objective},
};

/// Why a preset's bandit is not a problem; each message names the field, the value and what is accepted.
#[derive(Debug, Error)]
pub enum ProblemError {
    /// Too few or too many arms.
    #[error("bandit.arms: {found} arms are not accepted; 1 to {MAX_ARMS} are")]
    Arms {
        /// How many.
        found: usize,
    },
    /// A list that does not fit the number of arms.
    #[error("{field}: {found} numbers are not accepted; one for each of the {arms} arms is")]
    Length {
        /// The field.
        field: &'static str,
        /// How many numbers there are.
        found: usize,
        /// How many arms there are.
        arms: usize,
    },
    /// A value that is not accepted.
    #[error("{field}: {value} at arm {arm} is not accepted; {accepted} is")]
    Value {
        /// The field.
        field: &'static str,
        /// The first such arm.
        arm: usize,
        /// Its value.
        value: f64,
        /// What is accepted.
        accepted: &'static str,
    },
    /// A formula that cannot be read or has no finite value somewhere.
    #[error("{field}: {error}")]
    Formula {
        /// The field.
        field: &'static str,
        /// What is wrong.
        error: FormulaError,
    },
    /// A CSV file that cannot be used.
    #[error("{field}: {} {message}", path.display())]
    Csv {
        /// The field.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A parameter that random numbers cannot be drawn with.
    #[error("{field}: {value} is not accepted as a parameter of the random numbers")]
    Noise {
        /// The field.
        field: &'static str,
        /// The parameter.
        value: f64,
    },
    /// The reference has no usable masses.
    #[error("bandit.reference: {0}")]
    Reference(#[from] DistributionError),
    /// A mode that holds arms which do not exist, or which another mode holds.
    #[error("bandit.modes: {0}")]
    Modes(String),
    /// A hand-made change of an arm that does not exist.
    #[error("{field}: arm {arm} is not accepted; arms 0 to {last} are")]
    EditedArm {
        /// The field.
        field: &'static str,
        /// The arm.
        arm: usize,
        /// The last arm.
        last: usize,
    },
}

impl ProblemError {
    /// Path of the field at fault, as `--set` takes it.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Arms { .. } => "bandit.arms",
            Self::Reference(_) => Role::Reference.field(),
            Self::Modes(_) => "bandit.modes",
            Self::Length { field, .. }
            | Self::Value { field, .. }
            | Self::Formula { field, .. }
            | Self::Csv { field, .. }
            | Self::Noise { field, .. }
            | Self::EditedArm { field, .. } => field,
        }
    }
}

/// The evaluated sources of a preset: formulas, files and random numbers turned into one number per arm.
#[derive(Debug, Clone)]
pub struct ProblemSource {
    shape: Shape,
    names: Option<Vec<String>>,
    reference: Distribution,
    masses: Vec<f64>,
    rewards: Vec<f64>,
}

impl ProblemSource {
    /// Evaluates arms, reference and rewards; everything that `problem` leaves alone. Relative CSV paths start at
    /// `base_dir`.
    ///
    /// # Errors
    /// The first field that cannot be evaluated, with arm, row and column or part of the formula.
    pub fn evaluate(spec: &BanditSpec, base_dir: Option<&Path>) -> Result<Self, ProblemError> {
        let (shape, names) = arms(&spec.arms)?;
        let weights = evaluate(&spec.reference, Role::Reference, &shape, base_dir)?;
        let rewards = evaluate(&spec.rewards, Role::Rewards, &shape, base_dir)?;
        let reference = Distribution::from_weights(&weights)?;
        Ok(Self {
            masses: reference.masses(),
            shape,
            names,
            reference,
            rewards,
        })
    }

    /// The number of arms.
    #[must_use]
    pub fn arms(&self) -> usize {
        self.rewards.len()
    }

    /// The problem with the hand-made changes of `spec` and its modes under the rewards of `objective`. Reads nothing
    /// else of `spec`; costs about one pass over the arms.
    ///
    /// # Errors
    /// A changed arm that does not exist, a value that is not accepted, or modes that do not fit.
    pub fn problem(
        &self,
        spec: &BanditSpec,
        objective: &Objective,
    ) -> Result<Problem, ProblemError> {
        let mut rewards = self.rewards.clone();
        change(&mut rewards, &spec.reward_edits, "bandit.reward_edits")?;
        if let Some(&(arm, value)) = spec.reward_edits.iter().find(|(_, v)| !v.is_finite()) {
            return Err(ProblemError::Value {
                field: "bandit.reward_edits",
                arm,
                value,
                accepted: "a finite number",
            });
        }
        let reference = if spec.reference_edits.is_empty() {
            self.reference.clone()
        } else {
            let mut masses = self.masses.clone();
            change(&mut masses, &spec.reference_edits, "bandit.reference_edits")?;
            self.renormalised(&masses, &spec.reference_edits)?
        };
        let modes = find_modes(
            &spec.modes,
            &self.shape,
            self.names.as_deref(),
            &rewards,
            objective,
        )?;
        Ok(Problem {
            shape: self.shape,
            names: self.names.clone(),
            reference,
            rewards,
            modes,
        })
    }

    /// The reference with edited masses. Unedited arms keep their log masses, so that masses too small for a double
    /// are not lost.
    fn renormalised(
        &self,
        masses: &[f64],
        edits: &[(usize, f64)],
    ) -> Result<Distribution, ProblemError> {
        if let Some(&(arm, value)) = edits.iter().find(|(_, w)| !w.is_finite() || *w < 0.0) {
            return Err(ProblemError::Value {
                field: "bandit.reference_edits",
                arm,
                value,
                accepted: "a finite number ≥ 0",
            });
        }
        let mut log_weights = self.reference.log_masses().to_vec();
        for &(arm, _) in edits {
            log_weights[arm] = masses[arm].ln();
        }
        Ok(Distribution::from_log_weights(&log_weights)?)
    }
}

/// Sets single values; a later change of the same arm wins.
fn change(
    values: &mut [f64],
    edits: &[(usize, f64)],
    field: &'static str,
) -> Result<(), ProblemError> {
    let last = values.len().saturating_sub(1);
    for &(arm, value) in edits {
        *values
            .get_mut(arm)
            .ok_or(ProblemError::EditedArm { field, arm, last })? = value;
    }
    Ok(())
}

/// How the arms lie and what they are called.
fn arms(arms: &Arms) -> Result<(Shape, Option<Vec<String>>), ProblemError> {
    const UNIT: (f64, f64) = (0.0, 1.0);
    let (shape, names) = match arms {
        Arms::Line { count, range } => (
            Shape::Line {
                count: *count,
                range: range.unwrap_or(UNIT),
            },
            None,
        ),
        Arms::Grid {
            rows,
            columns,
            x_range,
            y_range,
        } => (
            Shape::Grid {
                rows: *rows,
                columns: *columns,
                x_range: x_range.unwrap_or(UNIT),
                y_range: y_range.unwrap_or(UNIT),
            },
            None,
        ),
        Arms::Named(names) => (
            // Cells of width one around the arm's number.
            Shape::Line {
                count: names.len(),
                range: (-0.5, names.len() as f64 - 0.5),
            },
            Some(names.clone()),
        ),
    };
    let found = shape.arms();
    if (1..=MAX_ARMS).contains(&found) {
        Ok((shape, names))
    } else {
        Err(ProblemError::Arms { found })
    }
}
