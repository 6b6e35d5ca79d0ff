//! Checkpoints of a language model's run: folders `step-000123` that `transformers` or `peft` load unchanged and from which
//! the run goes on exactly where it stopped.
//!
//! Beside the model (or the adapter) lie `optimizer.safetensors`, the moments of AdamW under the names of what they belong
//! to with `first.` or `second.` in front, and `trainer.json`, which is written last.

mod identity;
mod rotation;
mod state;
mod tensors;

use std::path::{Path, PathBuf};

pub use identity::Experiment;
pub(super) use identity::fingerprint;
pub use rotation::superfluous;
pub use state::OpenCheckpoint;

use super::{
    error::LmError,
    export::{
        Adapter, FolderWriter, HubFolder, flat_tensors, save_tensors, write_adapter, write_error,
        write_hub_folder,
    },
    train::{LmState, LmStateRef},
};

/// The file that makes a folder a checkpoint.
pub const CHECKPOINT_FILE: &str = "trainer.json";

/// What a checkpoint is made of.
#[derive(Debug, Clone)]
pub struct Checkpoint<'a> {
    /// What it belongs to.
    pub experiment: Experiment<'a>,
    /// Where the run stands.
    pub state: LmStateRef<'a>,
    /// What [`CheckpointFolder::best`] goes by, larger is better; none for "not measured".
    pub score: Option<f64>,
}

/// What is known of a checkpoint without reading it.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointInfo {
    /// Steps done.
    pub step: u64,
    /// What it was judged by.
    pub score: Option<f64>,
    /// Whether somebody asked for it, so that it stays until somebody removes it.
    pub by_hand: bool,
    /// Its folder.
    pub path: PathBuf,
}

/// The folder that holds a run's checkpoints, and how many of them are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointFolder {
    root: PathBuf,
    keep: usize,
    keep_best: bool,
}

/// Unfinished folders of a process that died.
const LEFTOVER: &str = ".modescope-";

impl CheckpointFolder {
    /// Checkpoints in `root` (made when the first is saved), of which the latest `keep` (at least one) stay, and with
    /// `keep_best` the best as well.
    #[must_use]
    pub fn new(root: &Path, keep: usize, keep_best: bool) -> Self {
        Self {
            root: root.to_owned(),
            keep,
            keep_best,
        }
    }

    /// Writes a run's own checkpoint, then removes those before it that need not be kept; returns its folder. One of the
    /// same step is replaced. Those that somebody asked for, and those of later steps (of another run, or of a future that
    /// this one went back from), are left alone.
    ///
    /// # Errors
    /// Names the file that cannot be written (a full disk, say). Every older checkpoint is still there then.
    pub fn save(&self, checkpoint: &Checkpoint<'_>) -> Result<PathBuf, LmError> {
        let step = checkpoint.state.step;
        let place = self.place(step, |path| {
            !state::info(path).is_ok_and(|info| info.by_hand)
        });
        self.write_to(&place, checkpoint, false)?;
        let mut own = self.list();
        own.retain(|other| !other.by_hand && other.step <= step);
        for index in superfluous(&own, self.keep, self.keep_best) {
            if let Some(old) = own.get(index) {
                std::fs::remove_dir_all(&old.path).map_err(|e| write_error(&old.path, e))?;
            }
        }
        Ok(place)
    }

    /// Writes a checkpoint that somebody asked for; returns its folder. Nothing makes room for it, and it makes room for
    /// nothing. Where its step has one already that is not among `own`, it gets a name beside that.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn save_by_hand(
        &self,
        checkpoint: &Checkpoint<'_>,
        own: &[&Path],
    ) -> Result<PathBuf, LmError> {
        let place = self.place(checkpoint.state.step, |path| own.contains(&path));
        self.write_to(&place, checkpoint, true)?;
        Ok(place)
    }

    /// The first name for a step that is free or `may_replace`.
    fn place(&self, step: u64, may_replace: impl Fn(&Path) -> bool) -> PathBuf {
        let mut place = self.root.join(format!("step-{step:06}"));
        let mut number = 1u64;
        while place.is_dir() && !may_replace(&place) {
            number += 1;
            place = self.root.join(format!("step-{step:06}-{number}"));
        }
        place
    }

    fn write_to(
        &self,
        place: &Path,
        checkpoint: &Checkpoint<'_>,
        by_hand: bool,
    ) -> Result<(), LmError> {
        self.remove_leftovers();
        let writer = FolderWriter::begin(place)?;
        write(&writer, checkpoint, by_hand)?;
        writer.finish()
    }

    /// Every complete checkpoint, by step.
    #[must_use]
    pub fn list(&self) -> Vec<CheckpointInfo> {
        let Ok(entries) = std::fs::read_dir(&self.root) else {
            return Vec::new();
        };
        let mut all: Vec<CheckpointInfo> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                path.file_name()?.to_str()?.strip_prefix("step-")?;
                state::info(&path).ok()
            })
            .collect();
        all.sort_by(|a, b| (a.step, &a.path).cmp(&(b.step, &b.path)));
        all
    }

    /// The one with the most steps.
    #[must_use]
    pub fn latest(&self) -> Option<CheckpointInfo> {
        self.list().pop()
    }

    /// The one with the highest score, the earliest among equals.
    #[must_use]
    pub fn best(&self) -> Option<CheckpointInfo> {
        let all = self.list();
        let index = rotation::best(&all)?;
        all.into_iter().nth(index)
    }

    /// Removes what runs wrote by themselves, except `kept`: another run begins here. What somebody asked for stays.
    ///
    /// # Errors
    /// When a folder cannot be removed.
    pub fn clear(&self, kept: Option<&Path>) -> Result<(), LmError> {
        let same = |path: &Path| {
            kept.is_some_and(|kept| match (kept.canonicalize(), path.canonicalize()) {
                (Ok(kept), Ok(path)) => kept == path,
                _ => kept == path,
            })
        };
        for checkpoint in self.list() {
            if !checkpoint.by_hand && !same(&checkpoint.path) {
                std::fs::remove_dir_all(&checkpoint.path)
                    .map_err(|e| write_error(&checkpoint.path, e))?;
            }
        }
        Ok(())
    }

    fn remove_leftovers(&self) {
        let Ok(entries) = std::fs::read_dir(&self.root) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(LEFTOVER) {
                // What cannot be removed is in nobody's way.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn write(writer: &FolderWriter, checkpoint: &Checkpoint<'_>, by_hand: bool) -> Result<(), LmError> {
    let Checkpoint {
        experiment, state, ..
    } = checkpoint;
    let Experiment { model, lora, spec } = experiment;
    match lora {
        None => write_hub_folder(
            writer,
            &HubFolder {
                config: &model.info.config,
                tensors: flat_tensors(&model.layout, state.parameters)?,
                tokenizer: &model.tokenizer,
                chat: model.chat.as_ref(),
            },
        )?,
        Some(layout) => write_adapter(
            writer,
            &Adapter {
                layout,
                factors: state.parameters,
                base_name: &spec.model,
            },
        )?,
    }
    let moments = state::moments(checkpoint)?;
    writer.write("optimizer.safetensors", |out| save_tensors(out, &moments))?;
    writer.write_json(CHECKPOINT_FILE, &state::trainer_json(checkpoint, by_hand))
}

/// Those checkpoints from which a run of this experiment may go on, as far as their descriptions tell.
#[must_use]
pub fn of_experiment(
    checkpoints: Vec<CheckpointInfo>,
    experiment: &Experiment<'_>,
) -> Vec<CheckpointInfo> {
    if checkpoints.is_empty() {
        // The fingerprint of a large model takes its time.
        return checkpoints;
    }
    let wanted = identity::Identity::of(experiment);
    let mut fitting = checkpoints;
    fitting.retain(|checkpoint| {
        state::identity(&checkpoint.path)
            .is_ok_and(|found| found.check(&wanted, &checkpoint.path).is_ok())
    });
    fitting
}

/// Looks through a checkpoint without reading it into memory.
///
/// # Errors
/// Names the file that is missing or damaged, the tensor or number that does not fit, or the field in which the
/// checkpoint's experiment is another one.
pub fn open_checkpoint(
    folder: &Path,
    experiment: &Experiment<'_>,
) -> Result<OpenCheckpoint, LmError> {
    OpenCheckpoint::open(folder, experiment)
}

/// Reads where a run of the same experiment stood.
///
/// # Errors
/// As [`open_checkpoint`].
pub fn load_checkpoint(folder: &Path, experiment: &Experiment<'_>) -> Result<LmState, LmError> {
    open_checkpoint(folder, experiment)?.into_state()
}
