//! An experiment named on the command line: a built-in preset, or a preset file.

use std::path::{Path, PathBuf};

#[cfg(feature = "gui")]
use crate::engine;
use crate::{
    engine::check_file,
    experiment::{self, Preset},
};

/// An experiment that was found.
#[derive(Debug)]
pub(super) struct Opened {
    /// The experiment.
    pub(super) preset: Preset,
    /// Folder that its relative CSV paths start from; none for built-in presets.
    pub(super) base_dir: Option<PathBuf>,
    /// The file, where the experiment is as it says.
    pub(super) file: Option<PathBuf>,
}

/// As [`open`], with values set: `path=value`, as [`experiment::set_paths`] takes them.
pub(super) fn open_changed(name: &str, sets: &[String]) -> anyhow::Result<Opened> {
    let mut opened = open(name)?;
    if !sets.is_empty() {
        experiment::set_paths(&mut opened.preset, sets)?;
        opened.file = None;
    }
    Ok(opened)
}

/// Finds a built-in preset of that name, or else reads the file.
fn open(name: &str) -> anyhow::Result<Opened> {
    if let Some(preset) = experiment::builtin_preset(name) {
        return Ok(Opened {
            preset,
            base_dir: None,
            file: None,
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
        return Ok(Opened {
            preset,
            base_dir,
            file: Some(path.to_owned()),
        });
    }
    let names = experiment::builtin().iter().map(|builtin| builtin.name);
    match experiment::closest::closest(name, names) {
        Some(near) => anyhow::bail!("there is no preset or file {name:?}; did you mean {near:?}?"),
        None => anyhow::bail!(
            "there is no preset or file {name:?}; `modescope presets` lists the built-in presets"
        ),
    }
}

/// An error that an experiment ran into, told with its place where the experiment is a file as it was written and the file
/// is at fault.
pub(super) fn placed(opened: Option<&Path>, error: anyhow::Error) -> anyhow::Error {
    match opened.map(check_file) {
        Some(Err(found)) => found.into(),
        Some(Ok(_)) | None => error,
    }
}

/// Prompts and answers against the one model that is always there and read in no time, where that is the preset's.
///
/// # Errors
/// The first that it has no tokens or no room for, in a line.
#[cfg(feature = "gui")]
pub(super) fn check_prompts(opened: &Opened) -> anyhow::Result<()> {
    let error = match &opened.preset.language {
        Some(language) => engine::check_prompts(language, &opened.preset),
        None => None,
    };
    match error {
        Some(mistake) => Err(placed(opened.file.as_deref(), anyhow::anyhow!("{mistake}"))),
        None => Ok(()),
    }
}
