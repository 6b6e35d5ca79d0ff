//! Checkpoints of a language model's run: folders `step-000123` that `transformers` or `peft` load unchanged and from which
//! the run goes on exactly where it stopped.
//!
//! Beside the model (or the adapter) lie `optimizer.safetensors`, the moments of AdamW under the names of what they belong
//! to with `first.` or `second.` in front, and `trainer.json`, which is written last.

mod rotation;
mod state;

use std::path::{Path, PathBuf};

pub use rotation::superfluous;

use super::{
    error::LmError,
    export::{
        Adapter, FolderWriter, HubFolder, flat_tensors, save_tensors, write_adapter, write_error,
        write_hub_folder,
    },
    fast::LoraLayout,
    language_model::LanguageModel,
    train::{LmState, LmStateRef},
};

/// The file that makes a folder a checkpoint.
pub const CHECKPOINT_FILE: &str = "trainer.json";

/// What a checkpoint is made of.
#[derive(Debug, Clone)]
pub struct Checkpoint<'a> {
    /// The model that is trained or adapted.
    pub model: &'a LanguageModel,
    /// The adapters' layout where low-rank factors are trained; none for a full fine-tune.
    pub lora: Option<&'a LoraLayout>,
    /// Where the run stands.
    pub state: LmStateRef<'a>,
    /// What [`CheckpointFolder::best`] goes by, larger is better; none for "not measured".
    pub score: Option<f64>,
    /// Name of the model that the run began with, for an adapter's `base_model_name_or_path`.
    pub base_name: &'a str,
}

/// What is known of a checkpoint without reading it.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointInfo {
    /// Steps done.
    pub step: u64,
    /// What it was judged by.
    pub score: Option<f64>,
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

    /// Writes a checkpoint, then removes those that need not be kept; returns its folder. One of the same step is replaced.
    ///
    /// # Errors
    /// Names the file that cannot be written (a full disk, say). Every older checkpoint is still there then.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<PathBuf, LmError> {
        let place = self.root.join(format!("step-{:06}", checkpoint.state.step));
        self.remove_leftovers();
        let writer = FolderWriter::begin(&place)?;
        write(&writer, checkpoint)?;
        writer.finish()?;
        let all = self.list();
        for index in superfluous(&all, self.keep, self.keep_best) {
            if let Some(old) = all.get(index) {
                std::fs::remove_dir_all(&old.path).map_err(|e| write_error(&old.path, e))?;
            }
        }
        Ok(place)
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
        all.sort_by_key(|checkpoint| checkpoint.step);
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

    /// Removes checkpoints of steps after `step`: those of a future that a run went back from.
    ///
    /// # Errors
    /// When a folder cannot be removed.
    pub fn forget_after(&self, step: u64) -> Result<(), LmError> {
        for checkpoint in self.list() {
            if checkpoint.step > step {
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

fn write(writer: &FolderWriter, checkpoint: &Checkpoint) -> Result<(), LmError> {
    let Checkpoint {
        model, lora, state, ..
    } = checkpoint;
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
                base_name: checkpoint.base_name,
            },
        )?,
    }
    let moments = state::moments(checkpoint)?;
    writer.write("optimizer.safetensors", |out| save_tensors(out, &moments))?;
    writer.write_json(CHECKPOINT_FILE, &state::trainer_json(checkpoint))
}

/// Reads where a run stood from a checkpoint of the same model and choice of trained parameters.
///
/// # Errors
/// Names the file that is missing or damaged, or the tensor that does not fit.
pub fn load_checkpoint(
    folder: &Path,
    model: &LanguageModel,
    lora: Option<&LoraLayout>,
) -> Result<LmState, LmError> {
    state::load(folder, model, lora)
}
