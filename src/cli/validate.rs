//! `modescope validate FILE…`: every mistake in preset files, one line each, in the form that editors can jump to.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    bandit::{Analysis, ProblemSource, check_file},
    experiment::{LoadError, Preset},
};

/// Check preset files: every mistake on a line of its own, as FILE:LINE:COLUMN: field: what is accepted.
///
/// Reads the file, checks every value, evaluates its formulas, lists and CSV files, and solves for the target; trains
/// nothing. Exit code 1 if there is any mistake.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  modescope validate my.ron
  modescope validate presets/*.ron && echo all good")]
pub(super) struct Args {
    /// Preset files (RON)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut mistakes = 0;
    for path in &args.files {
        let found = check(path);
        if found.is_empty() {
            writeln!(out, "{}: no mistakes", path.display())?;
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
        Ok(preset) => solve(path, &preset)
            .err()
            .map(|error| format!("{shown}: {error}"))
            .into_iter()
            .collect(),
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

/// A preset that reads well may still ask for something that has no target.
fn solve(path: &Path, preset: &Preset) -> anyhow::Result<()> {
    let problem = ProblemSource::evaluate(&preset.bandit, path.parent())?
        .problem(&preset.bandit, &preset.objective)?;
    Analysis::new(&problem, &preset.objective)?;
    Ok(())
}
