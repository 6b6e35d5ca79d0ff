//! From where a preset says to one number per arm: lists, CSV columns, bumps, blocks, power laws, random numbers and
//! formulas.

use std::{f64, path::Path};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, LogNormal, Normal};

use super::{build::ProblemError, csv_column::read_column, fault::Faults, problem::Shape};
use crate::experiment::{Formula, Noise, Role, Source};

/// Random streams of their own, so that the same seed for both does not tie them together.
fn stream(role: Role) -> u64 {
    match role {
        Role::Reference => 1,
        Role::Rewards => 2,
    }
}

/// One finite number per arm; negative reference masses are left to the normalisation to find.
pub(super) fn evaluate(
    source: &Source,
    role: Role,
    shape: &Shape,
    base_dir: Option<&Path>,
) -> Result<Vec<f64>, Faults> {
    let arms = shape.arms();
    let values = match source {
        Source::Constant(value) => vec![*value; arms],
        Source::List(values) | Source::Weights(values) => values.clone(),
        Source::Csv { path, column } => {
            let path = match base_dir {
                Some(folder) => folder.join(path),
                None => path.clone(),
            };
            read_column(&path, column.as_deref(), role, arms)?
        }
        Source::Bumps { bumps, floor } => {
            let mut values = vec![*floor; arms];
            for bump in bumps {
                add_bump(&mut values, bump, shape);
            }
            values
        }
        Source::Blocks { blocks, otherwise } => {
            let mut values = vec![*otherwise; arms];
            for block in blocks {
                let to = block.to.min(arms);
                if let Some(range) = values.get_mut(block.from..to) {
                    range.fill(block.value);
                }
            }
            values
        }
        Source::PowerLaw { exponent } => (0..arms)
            .map(|arm| (1.0 - (arm as f64 + 0.5) / arms as f64).powf(*exponent))
            .collect(),
        Source::Zipf { exponent } => (0..arms)
            .map(|arm| (arm as f64 + 1.0).powf(-exponent))
            .collect(),
        Source::Random { seed, noise } => random(*seed, noise, role, arms)?,
        Source::Formula(text) => Formula::parse(text)
            .and_then(|formula| formula.evaluate(arms, |arm| shape.coordinates(arm)))
            .map_err(|error| ProblemError::Formula {
                field: role.field(),
                error,
            })?,
    };
    if values.len() != arms {
        return Err(Faults::from(ProblemError::Length {
            field: role.field(),
            found: values.len(),
            arms,
        }));
    }
    if let Some(arm) = values.iter().position(|value| !value.is_finite()) {
        return Err(Faults::from(ProblemError::Value {
            field: role.field(),
            arm,
            value: values[arm],
            accepted: "a finite number",
        }));
    }
    Ok(values)
}

/// Adds one bump; a grid's is a product of two, so that exp is taken per row and column only.
fn add_bump(values: &mut [f64], bump: &crate::experiment::Bump, shape: &Shape) {
    let along = |at: f64, center: f64| {
        let z = (at - center) / bump.width;
        (-0.5 * z * z).exp()
    };
    match *shape {
        Shape::Line { .. } => {
            for (arm, value) in values.iter_mut().enumerate() {
                *value += bump.height * along(shape.coordinates(arm).0, bump.x);
            }
        }
        Shape::Grid { rows, columns, .. } => {
            let across: Vec<f64> = (0..columns)
                .map(|column| along(shape.coordinates(column).0, bump.x))
                .collect();
            for (row, line) in values.chunks_mut(columns).enumerate().take(rows) {
                let up = bump.height * along(shape.coordinates(row * columns).1, bump.y);
                for (value, factor) in line.iter_mut().zip(&across) {
                    *value += up * factor;
                }
            }
        }
    }
}

/// Independent random numbers; the same seed gives the same numbers on every machine.
fn random(seed: u64, noise: &Noise, role: Role, arms: usize) -> Result<Vec<f64>, ProblemError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream(role));
    let refused = |value: f64| ProblemError::Noise {
        field: role.field(),
        value,
    };
    let draw = |mut one: Box<dyn FnMut() -> f64 + '_>| (0..arms).map(|_| one()).collect();
    Ok(match *noise {
        Noise::Uniform { low, high } => {
            let uniform = rand::distr::Uniform::new(low, high).map_err(|_| refused(high))?;
            draw(Box::new(|| uniform.sample(&mut rng)))
        }
        Noise::Normal { mean, std } => {
            let normal = Normal::new(mean, std).map_err(|_| refused(std))?;
            draw(Box::new(|| normal.sample(&mut rng)))
        }
        Noise::LogNormal { mean, std } => {
            let normal = LogNormal::new(mean, std).map_err(|_| refused(std))?;
            draw(Box::new(|| normal.sample(&mut rng)))
        }
    })
}
