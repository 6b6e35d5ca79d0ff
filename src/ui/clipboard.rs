//! Pictures and command lines for the clipboard.

use super::document::{Document, Origin};
use crate::{
    experiment::{self, Preset},
    figure::{self, Figure},
};

/// Pixels per point of copied pictures.
const SCALE: f64 = 2.0;

/// Puts a figure on the clipboard as a picture; takes tens of milliseconds.
///
/// # Errors
/// One line that says why the clipboard did not take it.
pub(super) fn copy_figure(figure: &Figure) -> Result<(), String> {
    let (width, height, bytes) =
        figure::to_rgba(figure, SCALE).map_err(|error| error.to_string())?;
    let image = arboard::ImageData {
        width: width as usize,
        height: height as usize,
        bytes: bytes.into(),
    };
    let set = || {
        let mut clipboard = arboard::Clipboard::new()?;
        clipboard.set_image(image)?;
        Ok(clipboard)
    };
    // On X11 the program that copied must go on answering for it.
    set()
        .map(hold)
        .map_err(|error: arboard::Error| format!("The image cannot be copied: {error}"))
}

/// Keeps the newest clipboard alive for as long as the program runs.
fn hold(clipboard: arboard::Clipboard) {
    static HELD: std::sync::Mutex<Option<arboard::Clipboard>> = std::sync::Mutex::new(None);
    if let Ok(mut held) = HELD.lock() {
        *held = Some(clipboard);
    }
}

/// The `modescope run` command that repeats this experiment.
///
/// # Errors
/// One line where a command line cannot say it.
pub(super) fn command_line(document: &Document) -> Result<String, String> {
    let preset = document.preset();
    let (name, base) = match document.origin() {
        Origin::Builtin(name) => (name.clone(), experiment::builtin_preset(name)),
        Origin::File(path) => (
            quoted(&path.display().to_string()),
            experiment::load_preset(path).ok(),
        ),
        Origin::Untitled | Origin::Table(_) => {
            return Err(
                "Save the experiment first; then a command line can name its file".to_owned(),
            );
        }
    };
    let Some(base) = base else {
        return Err(
            "The preset's file cannot be read any more; save the experiment first".to_owned(),
        );
    };
    let mut line = format!("modescope run {name}");
    for (path, value) in differences(&base, preset)? {
        line.push_str(" --set ");
        line.push_str(&quoted(&format!("{path}={value}")));
    }
    Ok(line)
}

/// `path=value` for everything in which two presets differ, as deep as paths reach.
fn differences(base: &Preset, now: &Preset) -> Result<Vec<(String, String)>, String> {
    let ron = |value: &dyn erased::Ron| value.ron();
    let mut found = Vec::new();
    let mut compare =
        |path: &str, a: &dyn erased::Ron, b: &dyn erased::Ron| -> Result<(), String> {
            let (a, b) = (ron(a)?, ron(b)?);
            if a != b {
                found.push((path.to_owned(), b));
            }
            Ok(())
        };
    let (a, b) = (&base.objective, &now.objective);
    compare("objective.direction", &a.direction, &b.direction)?;
    compare("objective.beta", &a.beta, &b.beta)?;
    compare("objective.reward_scale", &a.reward_scale, &b.reward_scale)?;
    compare(
        "objective.reward_offset",
        &a.reward_offset,
        &b.reward_offset,
    )?;
    compare("objective.entropy", &a.entropy, &b.entropy)?;
    compare("objective.mara", &a.mara, &b.mara)?;
    let (a, b) = (&base.training, &now.training);
    compare("training.policy", &a.policy, &b.policy)?;
    compare("training.start", &a.start, &b.start)?;
    compare("training.update", &a.update, &b.update)?;
    compare("training.optimizer", &a.optimizer, &b.optimizer)?;
    compare("training.learning_rate", &a.learning_rate, &b.learning_rate)?;
    compare("training.stop", &a.stop, &b.stop)?;
    compare("training.seed", &a.seed, &b.seed)?;
    let (a, b) = (&base.coverage, &now.coverage);
    compare("coverage.epsilon", &a.epsilon, &b.epsilon)?;
    compare("coverage.draws", &a.draws, &b.draws)?;
    let expectations = now.as_written().expectations;
    compare("expectations", &base.expectations, &expectations)?;
    let (a, b) = (&base.bandit, &now.bandit);
    if a.arms != b.arms {
        // Each change is checked by itself, and what belongs to other arms fits only all together.
        compare("bandit", a, b)?;
        return Ok(found);
    }
    compare("bandit.reference", &a.reference, &b.reference)?;
    compare("bandit.rewards", &a.rewards, &b.rewards)?;
    compare("bandit.modes", &a.modes, &b.modes)?;
    compare("bandit.reward_edits", &a.reward_edits, &b.reward_edits)?;
    compare(
        "bandit.reference_edits",
        &a.reference_edits,
        &b.reference_edits,
    )?;
    Ok(found)
}

mod erased {
    /// Anything that can be written as RON.
    pub(super) trait Ron {
        /// Its RON text.
        fn ron(&self) -> Result<String, String>;
    }

    impl<T: serde::Serialize> Ron for T {
        fn ron(&self) -> Result<String, String> {
            ron::to_string(self).map_err(|error| format!("A value cannot be written: {error}"))
        }
    }
}

/// Quoted for a POSIX shell where it needs to be.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+:,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
