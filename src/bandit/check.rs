//! Checking a preset file to the end: its text, then everything that only shows when formulas and CSV files are evaluated.

use std::path::Path;

use super::build::{ProblemError, ProblemSource};
use crate::experiment::{LoadError, Mistake, Preset, PresetErrors, load_preset, place};

/// Loads a preset file and builds its problem, so that mistakes in formulas and CSV files are found too.
///
/// # Errors
/// Every mistake of the text with its place; with a text that is right, the first field that cannot be evaluated, at its
/// place.
pub fn check_file(path: &Path) -> Result<Preset, LoadError> {
    let preset = load_preset(path)?;
    let built = ProblemSource::evaluate(&preset.bandit, path.parent())
        .and_then(|source| source.problem(&preset.bandit, &preset.objective));
    match built {
        Ok(_) => Ok(preset),
        Err(error) => Err(LoadError::Preset {
            path: path.to_owned(),
            errors: PresetErrors::from(mistake(&error, path)),
        }),
    }
}

fn mistake(error: &ProblemError, path: &Path) -> Mistake {
    let field = error.field();
    // The message starts with its field, which a mistake tells by itself.
    let whole = error.to_string();
    let message = whole
        .strip_prefix(field)
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(&whole);
    let mut mistake = Mistake::new(field, message);
    if let ProblemError::Formula { error, .. } = error {
        mistake.inner_column = Some(error.column());
    }
    // Read again for the place; a file that went away in between only costs the place.
    match std::fs::read_to_string(path) {
        Ok(text) => place(mistake, &text),
        Err(_) => mistake,
    }
}
