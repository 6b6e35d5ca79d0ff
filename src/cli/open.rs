//! An experiment named on the command line: a built-in preset, or a preset file.

use std::path::{Path, PathBuf};

use crate::experiment::{self, Preset};

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
