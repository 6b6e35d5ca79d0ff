//! `modescope validate FILE…`: every mistake in preset files, one line each, in the form that editors can jump to.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    engine::{check_expectations, check_file},
    experiment::{LoadError, load_preset},
    lm::ModelStore,
};

/// Check preset files: every mistake on a line of its own, as FILE:LINE:COLUMN: field: what is accepted.
///
/// Reads the file, checks every value, evaluates its formulas, lists and CSV files, solves for the target and builds the
/// learner, also under the changes that its expectations name. Prompts and answers of a language preset are checked against
/// the embedded model, where that is the one they name. Trains nothing unless asked with --run. Exit code 1 if there is any
/// mistake.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  modescope validate my.ron
  modescope validate presets/*.ron && echo all good
  modescope validate --run my.ron     does it come out as it says?")]
pub(super) struct Args {
    /// Preset files (RON)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also train each preset and check the expectations it states
    #[arg(long)]
    run: bool,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut mistakes = 0;
    for path in &args.files {
        let mut found = check(path);
        if found.is_empty() && args.run {
            found = unmet(path);
        }
        if found.is_empty() {
            let missing = missing_model(path).unwrap_or_default();
            writeln!(out, "{}: no mistakes{missing}", path.display())?;
        }
        for line in &found {
            writeln!(out, "{}", super::one_line(line))?;
        }
        mistakes += found.len();
    }
    out.flush()?;
    if mistakes == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let noun = if mistakes == 1 { "mistake" } else { "mistakes" };
    anyhow::bail!("{mistakes} {noun} found")
}

/// Every mistake of a file, as lines.
fn check(path: &Path) -> Vec<String> {
    let shown = path.display();
    if path.is_dir() {
        return vec![format!(
            "{shown}: is a folder; a preset file is accepted, for example {}",
            path.join("*.ron").display()
        )];
    }
    match check_file(path) {
        Ok(_) => Vec::new(),
        Err(LoadError::Preset { errors, .. }) => errors
            .mistakes()
            .iter()
            .map(|mistake| match mistake.place {
                Some(_) => format!("{shown}:{mistake}"),
                None => format!("{shown}: {mistake}"),
            })
            .collect(),
        Err(other) => vec![other.to_string()],
    }
}

/// What to know of a preset whose model is not there: it may be on the machine where it runs.
fn missing_model(path: &Path) -> Option<String> {
    let language = load_preset(path).ok()?.language?;
    let found = ModelStore::of_user().resolve(&language.model, path.parent());
    let error = super::one_line(&found.err()?.to_string());
    Some(format!(
        " in what can be checked without its model ({error})"
    ))
}

/// Expectations that do not come out, as lines.
fn unmet(path: &Path) -> Vec<String> {
    let shown = path.display();
    let checked = load_preset(path)
        .map_err(anyhow::Error::from)
        .and_then(|preset| Ok(check_expectations(&preset, path.parent())?));
    match checked {
        Ok(checked) => checked
            .iter()
            .filter(|checked| !checked.holds())
            .map(|checked| {
                let (low, high) = checked.expectation.between;
                format!(
                    "{shown}: expectation \"{}\": measured {}, expected {low} to {high}",
                    checked.expectation.says, checked.measured
                )
            })
            .collect(),
        Err(error) => vec![format!("{shown}: {error}")],
    }
}
