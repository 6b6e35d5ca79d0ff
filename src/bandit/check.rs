//! Checking a preset file to the end: its text, then everything that only shows when formulas and CSV files are evaluated.

use std::path::Path;

use super::build::{ProblemError, ProblemSource};
use crate::experiment::{
    Examined, LoadError, Mistake, Preset, PresetErrors, examine, follows, place, read_text,
    tells_arms,
};

/// Loads a preset file and builds its problem, so that mistakes in formulas and CSV files are found too.
///
/// # Errors
/// Every mistake of the text and of the evaluation of reference and rewards, with its place.
pub fn check_file(path: &Path) -> Result<Preset, LoadError> {
    let text = read_text(path)?;
    let refuse = |errors| LoadError::Preset {
        path: path.to_owned(),
        errors,
    };
    let Examined {
        preset,
        mut mistakes,
    } = examine(&text).map_err(refuse)?;
    // With a number of arms that is a mistake, nothing can be evaluated.
    if let Some(preset) = &preset
        && !mistakes.iter().any(tells_arms)
    {
        let faults = ProblemSource::faults(&preset.bandit, &preset.objective, path.parent());
        for fault in faults {
            let further = mistake(&fault, &text);
            if !follows(&further, &mistakes) {
                mistakes.push(further);
            }
        }
    }
    match (PresetErrors::collect(mistakes), preset) {
        (Some(errors), _) => Err(refuse(errors)),
        (None, Some(preset)) => Ok(preset),
        (None, None) => crate::experiment::parse_preset(&text).map_err(refuse),
    }
}

fn mistake(error: &ProblemError, text: &str) -> Mistake {
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
    place(mistake, text)
}
