//! An experiment named on the command line: a built-in preset, or a preset file.

use std::path::{Path, PathBuf};

use candle_core::Device;

use crate::{
    bandit::{Analysis, ProblemSource},
    experiment::{self, Preset},
    lm::{self, LanguageModel, Prepared, store::EMBEDDED},
};

/// An experiment that was found.
#[derive(Debug)]
pub(super) struct Opened {
    /// The experiment.
    pub(super) preset: Preset,
    /// Folder that its relative CSV paths start from; none for built-in presets.
    pub(super) base_dir: Option<PathBuf>,
}

/// As [`open`], with values set: `path=value`, as [`experiment::set_path`] takes them.
pub(super) fn open_changed(name: &str, sets: &[String]) -> anyhow::Result<Opened> {
    let mut opened = open(name)?;
    for set in sets {
        experiment::set_path(&mut opened.preset, set)?;
    }
    Ok(opened)
}

/// Finds a built-in preset of that name, or else reads the file.
fn open(name: &str) -> anyhow::Result<Opened> {
    if let Some(preset) = experiment::builtin_preset(name) {
        return Ok(Opened {
            preset,
            base_dir: None,
        });
    }
    let path = Path::new(name);
    if path.is_file() || path.extension().is_some() || name.contains(std::path::MAIN_SEPARATOR) {
        if path
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("csv"))
        {
            anyhow::bail!(
                "{name} is a table; accepted here: a preset (RON), which may name it as its reference or rewards: \
                 Csv(path: {name:?}, column: Some(\"reward\")). The window opens tables with Ctrl+O"
            );
        }
        let preset = experiment::load_preset(path)?;
        let base_dir = std::path::absolute(path)?.parent().map(Path::to_owned);
        return Ok(Opened { preset, base_dir });
    }
    let names = experiment::builtin().iter().map(|builtin| builtin.name);
    match experiment::closest::closest(name, names) {
        Some(near) => anyhow::bail!("there is no preset or file {name:?}; did you mean {near:?}?"),
        None => anyhow::bail!(
            "there is no preset or file {name:?}; `modescope presets` lists the built-in presets"
        ),
    }
}

/// A preset that reads well may still ask for something that has no target.
///
/// # Errors
/// What its formulas, files, prompts or objective have no answer for, in a line.
pub(super) fn solve(preset: &Preset, base_dir: Option<&Path>) -> anyhow::Result<()> {
    check_prompts(preset)?;
    let problem = ProblemSource::evaluate(&preset.bandit, base_dir)?
        .problem(&preset.bandit, &preset.objective)?;
    Analysis::new(&problem, &preset.objective)?;
    Ok(())
}

/// Prompts and answers against the one model that is always there and read in no time, where that is the preset's.
///
/// # Errors
/// What it has no tokens or no room for, in a line.
pub(super) fn check_prompts(preset: &Preset) -> anyhow::Result<()> {
    if let Some(language) = &preset.language
        && language.model == EMBEDDED
    {
        let model = LanguageModel::new(lm::embedded(&Device::Cpu)?)?;
        Prepared::check(&model, language, &preset.training)?;
    }
    Ok(())
}
