//! From a preset's bandit to a checked problem, in an expensive part done once and a cheap part done at every edit.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{
    fault::Faults,
    modes::find_modes,
    problem::{Problem, Shape},
    source::evaluate,
};
use crate::{
    experiment::{Arms, BanditSpec, FormulaError, MAX_ARMS, Role, Source},
    theory::{CoverageRule, Distribution, DistributionError, Objective, Written},
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
    #[error("{field}: {} at arm {arm} is not accepted; {accepted} is", Written(*.value))]
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
    #[error("{field}: {} {message}", path.display().to_string().replace(char::is_control, " "))]
    Csv {
        /// The field.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A parameter that random numbers cannot be drawn with.
    #[error("{field}: {} is not accepted as a parameter of the random numbers", Written(*.value))]
    Noise {
        /// The field.
        field: &'static str,
        /// The parameter.
        value: f64,
    },
    /// The reference has no usable masses.
    #[error("{field}: {error}")]
    Reference {
        /// The field.
        field: &'static str,
        /// What is wrong; not called a source, or the message would be told twice.
        error: DistributionError,
    },
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
            Self::Modes(_) => "bandit.modes",
            Self::Length { field, .. }
            | Self::Value { field, .. }
            | Self::Formula { field, .. }
            | Self::Csv { field, .. }
            | Self::Noise { field, .. }
            | Self::Reference { field, .. }
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
        let reference = reference(&spec.reference, &weights)?;
        Ok(Self {
            masses: reference.masses(),
            shape,
            names,
            reference,
            rewards,
        })
    }

    /// As [`Self::evaluate`], where these are the evaluated sources of `before`: what is the same in both is not evaluated
    /// again, and no file read again.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn renewed(
        &self,
        before: &BanditSpec,
        spec: &BanditSpec,
        base_dir: Option<&Path>,
    ) -> Result<Self, ProblemError> {
        let (shape, names) = arms(&spec.arms)?;
        let same_arms = shape == self.shape;
        let (masses, reference) = if same_arms && before.reference == spec.reference {
            (self.masses.clone(), self.reference.clone())
        } else {
            let weights = evaluate(&spec.reference, Role::Reference, &shape, base_dir)?;
            let reference = reference(&spec.reference, &weights)?;
            (reference.masses(), reference)
        };
        let rewards = if same_arms && before.rewards == spec.rewards {
            self.rewards.clone()
        } else {
            evaluate(&spec.rewards, Role::Rewards, &shape, base_dir)?
        };
        Ok(Self {
            shape,
            names,
            reference,
            masses,
            rewards,
        })
    }

    /// Whether the arms of both are as many and lie the same: a policy on the one is a policy on the other.
    #[must_use]
    pub fn same_layout(&self, other: &Self) -> bool {
        self.shape == other.shape
    }

    /// Everything that [`Self::evaluate`] and [`Self::problem`] refuse, not only the first.
    pub(super) fn faults(
        spec: &BanditSpec,
        objective: &Objective,
        base_dir: Option<&Path>,
    ) -> Vec<ProblemError> {
        let shape = match arms(&spec.arms) {
            Ok((shape, _)) => shape,
            Err(error) => return vec![error],
        };
        let of_reference = evaluate(&spec.reference, Role::Reference, &shape, base_dir)
            .and_then(|weights| Ok(reference(&spec.reference, &weights)?));
        let of_rewards = evaluate(&spec.rewards, Role::Rewards, &shape, base_dir);
        let faults: Vec<ProblemError> = [of_reference.err(), of_rewards.err()]
            .into_iter()
            .flatten()
            .flat_map(Faults::all)
            .collect();
        if !faults.is_empty() {
            return faults;
        }
        let built =
            Self::evaluate(spec, base_dir).and_then(|source| source.problem(spec, objective));
        built.err().into_iter().collect()
    }

    /// The number of arms.
    #[must_use]
    pub fn arms(&self) -> usize {
        self.rewards.len()
    }

    /// Whether [`Self::problem`] gives the same problem under both objectives: only the effective rewards decide, with the
    /// rest of the problem, what counts as a mode.
    #[must_use]
    pub fn same_under(first: &Objective, second: &Objective) -> bool {
        first.reward_scale == second.reward_scale && first.reward_offset == second.reward_offset
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
            coverage: CoverageRule::USUAL,
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
        Distribution::from_log_weights(&log_weights).map_err(|error| ProblemError::Reference {
            field: "bandit.reference_edits",
            error,
        })
    }
}

/// The reference of a source: listed masses must sum to one, all else is normalised.
fn reference(source: &Source, weights: &[f64]) -> Result<Distribution, ProblemError> {
    let reference = match source {
        Source::List(_) => Distribution::from_masses(weights),
        Source::Constant(_)
        | Source::Weights(_)
        | Source::Csv { .. }
        | Source::Bumps { .. }
        | Source::Blocks { .. }
        | Source::PowerLaw { .. }
        | Source::Zipf { .. }
        | Source::Random { .. }
        | Source::Formula(_) => Distribution::from_weights(weights),
    };
    reference.map_err(|error| ProblemError::Reference {
        field: Role::Reference.field(),
        error,
    })
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;
    use crate::experiment::{Preset, parse_preset};

    fn preset(arms: &str, reference: &str, rewards: &str) -> Preset {
        let text = format!(
            "(format: 1, title: \"t\", bandit: (arms: {arms}, reference: {reference}, rewards: {rewards}), \
             objective: (direction: Reverse, beta: 1))"
        );
        parse_preset(&text).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn problem(arms: &str, reference: &str, rewards: &str) -> Result<Problem, ProblemError> {
        let preset = preset(arms, reference, rewards);
        ProblemSource::evaluate(&preset.bandit, None)?.problem(&preset.bandit, &preset.objective)
    }

    #[test]
    fn every_source_gives_the_numbers_its_definition_says() {
        let line = "Line(count: 4, range: (0, 8))"; // Centres 1, 3, 5, 7.
        let gauss = |x: f64, m: f64, s: f64| (-0.5 * ((x - m) / s).powi(2)).exp();
        for (source, wanted) in [
            ("Constant(2)", vec![2.0; 4]),
            ("List([1, 2, 3, 4])", vec![1.0, 2.0, 3.0, 4.0]),
            (
                "Bumps(bumps: [(x: 3, width: 2, height: 5)], floor: 1)",
                [1.0, 3.0, 5.0, 7.0]
                    .map(|x| 1.0 + 5.0 * gauss(x, 3.0, 2.0))
                    .to_vec(),
            ),
            (
                "Blocks(blocks: [(from: 0, to: 3, value: 1), (from: 2, to: 4, value: 2)], otherwise: 9)",
                vec![1.0, 1.0, 2.0, 2.0],
            ),
            (
                "PowerLaw(exponent: 4)",
                [0.875_f64, 0.625, 0.375, 0.125].map(|t| t.powi(4)).to_vec(),
            ),
            (
                "Zipf(exponent: 2)",
                vec![1.0, 1.0 / 4.0, 1.0 / 9.0, 1.0 / 16.0],
            ),
            ("Formula(\"x + 10 * i + n\")", vec![5.0, 17.0, 29.0, 41.0]),
        ] {
            let found = problem(line, "Constant(1)", source).unwrap().rewards;
            for (found, wanted) in found.iter().zip(&wanted) {
                assert!(
                    (found - wanted).abs() < 1e-12,
                    "{source}: {found} / {wanted}"
                );
            }
            let sum: f64 = wanted.iter().sum();
            let weights = source.replace("List", "Weights");
            let masses = problem(line, &weights, "Constant(1)")
                .unwrap()
                .reference
                .masses();
            for (mass, wanted) in masses.iter().zip(&wanted) {
                assert!((mass - wanted / sum).abs() < 1e-14, "{source} as masses");
            }
        }
    }

    #[test]
    fn bumps_on_a_grid_use_both_axes() {
        let arms = "Grid(rows: 2, columns: 3, x_range: (0, 3), y_range: (0, 2))";
        let found = problem(
            arms,
            "Constant(1)",
            "Bumps(bumps: [(x: 0.5, y: 1.5, width: 1, height: 1)])",
        )
        .unwrap()
        .rewards;
        for row in 0..2 {
            for column in 0..3 {
                let (dx, dy) = (column as f64, row as f64 - 1.0);
                let wanted = (-0.5 * (dx * dx + dy * dy)).exp();
                assert!((found[row * 3 + column] - wanted).abs() < 1e-14);
            }
        }
        assert_eq!(
            problem(arms, "Constant(1)", "Formula(\"10 * y + x\")")
                .unwrap()
                .rewards[5],
            17.5
        );
    }

    #[test]
    fn named_arms_lie_at_their_numbers() {
        let found = problem(
            "Named([\"a\", \"b\", \"c\"])",
            "Constant(1)",
            "Formula(\"x\")",
        )
        .unwrap();
        assert_eq!(found.rewards, [0.0, 1.0, 2.0]);
        assert_eq!(found.arm_label(1), "b");
    }

    #[test]
    fn random_numbers_repeat_with_their_seed_and_differ_between_fields() {
        let noise = |seed: u64| format!("Random(seed: {seed}, noise: Uniform(low: 0, high: 1))");
        let draw = |reference: u64, rewards: u64| {
            problem("Line(count: 1000)", &noise(reference), &noise(rewards)).unwrap()
        };
        let (one, same, other) = (draw(1, 1), draw(1, 1), draw(2, 2));
        assert_eq!(one, same);
        assert_ne!(one.rewards, other.rewards);
        let mean: f64 = one.rewards.iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
        assert!(one.rewards.iter().all(|r| (0.0..1.0).contains(r)));
        let masses = one.reference.masses();
        let first: f64 = masses[0] / masses[1];
        assert!(
            (first - one.rewards[0] / one.rewards[1]).abs() > 1e-6,
            "streams are tied"
        );
    }

    #[test]
    fn bad_values_name_field_arm_and_what_is_accepted() {
        let line = "Line(count: 4)";
        for (reference, rewards, wanted) in [
            (
                "Formula(\"i - 2\")",
                "Constant(1)",
                "bandit.reference: mass -2 of arm 0 is not accepted",
            ),
            (
                "Formula(\"0 * i\")",
                "Constant(1)",
                "bandit.reference: all masses are zero",
            ),
            (
                "Constant(1)",
                "Formula(\"1 / (i - 2)\")",
                "bandit.rewards: division by zero at arm 2 in `1 / (i - 2)`",
            ),
            (
                "Constant(1)",
                "Bumps(bumps: [(x: 0.5, width: 1, height: 1e308), (x: 0.5, width: 1, height: 1e308)])",
                "bandit.rewards: inf at arm",
            ),
            ("PowerLaw(exponent: 1000)", "Constant(1)", ""),
        ] {
            match problem(line, reference, rewards) {
                Err(error) => {
                    assert!(!wanted.is_empty(), "{error}");
                    assert!(error.to_string().starts_with(wanted), "{error} / {wanted}");
                }
                Ok(_) => assert!(wanted.is_empty(), "{wanted} was expected"),
            }
        }
    }

    #[test]
    fn edited_bars_replace_values_and_keep_tiny_masses() {
        let mut preset = preset("Line(count: 3)", "Weights([1, 1e-300, 3])", "Constant(0)");
        let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
        preset.bandit.reward_edits = vec![(1, 0.5), (1, 0.75)];
        preset.bandit.reference_edits = vec![(2, 0.25)];
        let problem = source.problem(&preset.bandit, &preset.objective).unwrap();
        assert_eq!(problem.rewards, [0.0, 0.75, 0.0]);
        // 0.25 and 0.25 of a total of 0.5.
        let masses = problem.reference.masses();
        assert!((masses[0] - 0.5).abs() < 1e-15 && (masses[2] - 0.5).abs() < 1e-15);
        let tiny = problem.reference.log_masses()[1];
        assert!(
            (tiny - (0.5_f64.ln() + 1e-300_f64.ln())).abs() < 1e-9,
            "{tiny}"
        );
        preset.bandit.reference_edits = vec![(3, 0.25)];
        let error = source
            .problem(&preset.bandit, &preset.objective)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "bandit.reference_edits: arm 3 is not accepted; arms 0 to 2 are"
        );
        preset.bandit.reference_edits = vec![(0, 0.0), (1, 0.0), (2, 0.0)];
        let error = anyhow::Error::from(
            source
                .problem(&preset.bandit, &preset.objective)
                .unwrap_err(),
        );
        assert_eq!(
            format!("{error:#}"),
            "bandit.reference_edits: all masses are zero; at least one arm needs a positive mass"
        );
        preset.bandit.reference_edits = vec![(0, f64::NAN)];
        assert!(source.problem(&preset.bandit, &preset.objective).is_err());
    }

    #[test]
    fn a_formula_over_a_million_arms_is_quick() {
        let preset = preset(
            "Line(count: 1000000)",
            "Constant(1)",
            "Formula(\"exp(-6 * x) * (1 + 0.5 * sin(40 * x)) + if(mod(i, 10) < 3, gauss(x, 0.5, 0.1), x^2)\")",
        );
        let start = std::time::Instant::now();
        ProblemSource::evaluate(&preset.bandit, None).unwrap();
        let took = start.elapsed();
        println!("a formula of 20 operations on 1,000,000 arms: {took:?}");
        assert!(took.as_secs_f64() < 2.0, "{took:?}");
    }
}
