//! Weights and what comes with them, from a GGUF file or a Hugging Face folder, as f32 tensors under Hugging Face names.

mod gguf;
mod hub_folder;

pub(super) use hub_folder::model_files;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use candle_core::{Device, Tensor};

use super::{chat::ChatTemplate, config::ModelConfig, error::LmError, tokenizer::LmTokenizer};

/// A model as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelFile {
    /// One GGUF file.
    Gguf(PathBuf),
    /// A folder with `config.json`, `tokenizer.json` and one or several `*.safetensors`.
    HubFolder(PathBuf),
}

impl ModelFile {
    /// Tells what a path holds by looking at it.
    ///
    /// # Errors
    /// Says what is missing; pickle files (`.bin`, `.pt`, `.pth`) are refused by name, since loading one runs code.
    pub fn find(path: &Path) -> Result<Self, LmError> {
        let refuse = |why: &str| LmError::NotAModel {
            path: path.to_owned(),
            why: why.to_owned(),
        };
        let extension = path
            .extension()
            .and_then(|e| e.to_str())
            .map(str::to_ascii_lowercase);
        if path.is_dir() {
            return if path.join("config.json").is_file() {
                Ok(Self::HubFolder(path.to_owned()))
            } else {
                Err(refuse(&match pickle_in(path) {
                    Some(name) => pickle_refused(&name),
                    None => "the folder has no config.json".to_owned(),
                }))
            };
        }
        if !path.exists() {
            return Err(refuse("no such file or folder"));
        }
        match extension.as_deref() {
            Some("gguf") => Ok(Self::Gguf(path.to_owned())),
            Some("safetensors") => {
                match path.parent().filter(|p| p.join("config.json").is_file()) {
                    Some(folder) => Ok(Self::HubFolder(folder.to_owned())),
                    None => Err(refuse("there is no config.json beside the weights")),
                }
            }
            Some(extension) if PICKLES.contains(&extension) => Err(refuse(PICKLES_REFUSED)),
            _ => Err(refuse("the file type is not known")),
        }
    }
}

/// Extensions of pickle files.
const PICKLES: [&str; 5] = ["bin", "pt", "pth", "ckpt", "pkl"];
const PICKLES_REFUSED: &str = "pickle files are refused because loading one can run any code";

/// The name of a pickle file in a folder, where there is one.
fn pickle_in(folder: &Path) -> Option<String> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let extension = path.extension()?.to_str()?.to_ascii_lowercase();
            let is_pickle = PICKLES.contains(&extension.as_str());
            is_pickle.then(|| path.file_name().map(|n| n.to_string_lossy().into_owned()))?
        })
        .collect();
    names.sort();
    names.into_iter().next()
}

fn pickle_refused(name: &str) -> String {
    format!("the folder has its weights in {name} only, and {PICKLES_REFUSED}")
}

/// What can be told of a model without reading its weights.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    /// A name for people.
    pub name: String,
    /// Its licence, where the file says.
    pub license: Option<String>,
    /// Its shape.
    pub config: ModelConfig,
    /// Tensor types with the number of tensors of each, most frequent first.
    pub tensor_types: Vec<(String, usize)>,
    /// Bytes on disk.
    pub file_bytes: u64,
}

/// A model in memory.
#[derive(Debug)]
pub struct LoadedModel {
    /// What was known before loading.
    pub info: ModelInfo,
    /// f32 weights under Hugging Face names (`model.layers.0.self_attn.q_proj.weight`, …), shapes `[out, in]`.
    pub weights: HashMap<String, Tensor>,
    /// Its tokenizer.
    pub tokenizer: LmTokenizer,
    /// Its chat template, where it has one.
    pub chat: Option<ChatTemplate>,
}

/// Reads what a model is, without its weights.
///
/// # Errors
/// See [`LmError`].
pub fn inspect(file: &ModelFile) -> Result<ModelInfo, LmError> {
    match file {
        ModelFile::Gguf(path) => gguf::inspect(path),
        ModelFile::HubFolder(folder) => hub_folder::inspect(folder),
    }
}

/// Reads a model whole, dequantised to f32, with tokenizer and chat template.
///
/// # Errors
/// See [`LmError`]; a tensor that is missing, truncated or of the wrong shape is named.
pub fn load(file: &ModelFile, device: &Device) -> Result<LoadedModel, LmError> {
    load_with_progress(file, device, &mut |_| {})
}

/// As [`load`], saying before every tensor and at the end what share of the weights is read, from 0 to 1.
///
/// # Errors
/// As [`load`].
pub fn load_with_progress(
    file: &ModelFile,
    device: &Device,
    progress: Progress<'_>,
) -> Result<LoadedModel, LmError> {
    let loaded = match file {
        ModelFile::Gguf(path) => gguf::load(path, device, progress),
        ModelFile::HubFolder(folder) => hub_folder::load(folder, device, progress),
    }?;
    checked(loaded)
}

/// Who wants to know what share of a model is read.
pub type Progress<'a> = &'a mut dyn FnMut(f32);

/// Checks all that can be checked without reading weights: architecture, names, shapes, types and places of the tensors
/// against the configuration and the file's length, and the tokenizer.
///
/// # Errors
/// See [`LmError`]; a tensor that is missing, truncated, of the wrong shape or of an unsupported type is named.
pub fn verify(file: &ModelFile) -> Result<ModelInfo, LmError> {
    let (info, tokenizer) = match file {
        ModelFile::Gguf(path) => gguf::verify(path),
        ModelFile::HubFolder(folder) => hub_folder::verify(folder),
    }?;
    check_tokens(&tokenizer, &info.config)?;
    Ok(info)
}

fn check_tokens(tokenizer: &LmTokenizer, config: &ModelConfig) -> Result<(), LmError> {
    let (tokens, rows) = (tokenizer.vocab_size(), config.vocab_size);
    if tokens > rows {
        return Err(LmError::Tokenizer(format!(
            "it has {tokens} tokens but the model has only {rows} embeddings; the two must belong together"
        )));
    }
    if let Some(end) = tokenizer.end_token()
        && end as usize >= rows
    {
        return Err(LmError::Tokenizer(format!(
            "its end token {end} is outside the model's {rows} embeddings; the two must belong together"
        )));
    }
    Ok(())
}

/// The model, if weights, tokenizer and configuration belong together.
pub(super) fn checked(loaded: LoadedModel) -> Result<LoadedModel, LmError> {
    check_shapes(&loaded.info.config, &loaded.weights)?;
    check_tokens(&loaded.tokenizer, &loaded.info.config)?;
    Ok(loaded)
}

fn check_shapes(config: &ModelConfig, weights: &HashMap<String, Tensor>) -> Result<(), LmError> {
    let found = weights
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.dims()));
    check_dims(config, &found.collect())
}

fn check_dims(config: &ModelConfig, found: &HashMap<String, &[usize]>) -> Result<(), LmError> {
    for (name, shape) in config.tensor_shapes() {
        match found.get(&name) {
            None => {
                return Err(LmError::Tensor {
                    why: format!("it is missing; the configuration needs it with shape {shape:?}"),
                    name,
                });
            }
            Some(dims) if *dims != shape.as_slice() => {
                return Err(LmError::Tensor {
                    why: format!("its shape is {dims:?}; the configuration needs {shape:?}"),
                    name,
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn read_text(path: &Path) -> Result<String, LmError> {
    std::fs::read_to_string(path).map_err(|source| LmError::Read {
        path: path.to_owned(),
        source,
    })
}

fn count_types(types: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for kind in types {
        *counts.entry(kind).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}
