//! A Hugging Face folder: `config.json`, `tokenizer.json` and `*.safetensors`.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, safetensors::MmapedSafetensors};

use super::{
    super::{chat::ChatTemplate, config::ModelConfig, error::LmError, tokenizer::LmTokenizer},
    LoadedModel, ModelInfo, Progress, check_dims, count_types, pickle_in, pickle_refused,
    read_text,
};

pub(super) fn inspect(folder: &Path) -> Result<ModelInfo, LmError> {
    let config_path = folder.join("config.json");
    let config = ModelConfig::from_json(&config_path, &read_text(&config_path)?)?;
    let files = weight_files(folder)?;
    let tensors = open(folder, &files)?;
    let file_bytes = files
        .iter()
        .filter_map(|f| std::fs::metadata(f).ok())
        .map(|m| m.len())
        .sum();
    Ok(ModelInfo {
        name: folder.file_name().map_or_else(
            || folder.display().to_string(),
            |n| n.to_string_lossy().into_owned(),
        ),
        license: license(folder),
        config,
        tensor_types: count_types(
            tensors
                .tensors()
                .iter()
                .map(|(_, view)| format!("{:?}", view.dtype())),
        ),
        file_bytes,
    })
}

pub(super) fn verify(folder: &Path) -> Result<(ModelInfo, LmTokenizer), LmError> {
    let mut info = inspect(folder)?;
    let files = weight_files(folder)?;
    let tensors = open(folder, &files)?;
    info.config.tied_embeddings |= tensors.get("lm_head.weight").is_err();
    let views = tensors.tensors();
    let found = views
        .iter()
        .map(|(name, view)| (name.clone(), view.shape()));
    check_dims(&info.config, &found.collect())?;
    check_types(&info.config, &tensors)?;
    ChatTemplate::from_folder(folder)?;
    Ok((info, LmTokenizer::from_folder(folder)?))
}

/// Integers would be converted without a word, and mean something else: packed weights.
fn check_types(config: &ModelConfig, tensors: &MmapedSafetensors) -> Result<(), LmError> {
    for (name, _) in config.tensor_shapes() {
        let Ok(view) = tensors.get(&name) else {
            continue;
        };
        let kind = format!("{:?}", view.dtype());
        if !["F64", "F32", "F16", "BF16"].contains(&kind.as_str()) {
            return Err(LmError::Unsupported {
                field: format!("type of tensor {name}"),
                value: kind,
                accepted: "F32, F16 or BF16".to_owned(),
            });
        }
    }
    Ok(())
}

/// The files of a folder that belong to a model: weights, configuration, tokenizer, template, licence.
///
/// # Errors
/// When the folder cannot be read or holds no weights.
pub(in super::super) fn model_files(folder: &Path) -> Result<Vec<PathBuf>, LmError> {
    const BESIDE: [&str; 10] = [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "chat_template.jinja",
        "model.safetensors.index.json",
        "README.md",
        "LICENSE",
        "LICENSE.md",
    ];
    let beside = BESIDE.iter().map(|name| folder.join(name));
    let mut files: Vec<PathBuf> = beside.filter(|path| path.is_file()).collect();
    files.extend(weight_files(folder)?);
    Ok(files)
}

/// What the head of a model card says: `license: apache-2.0`.
fn license(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("README.md")).ok()?;
    let head = text.strip_prefix("---")?.split_once("\n---")?.0;
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("license:"))?;
    let name = line.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

pub(super) fn load(
    folder: &Path,
    device: &Device,
    progress: Progress<'_>,
) -> Result<LoadedModel, LmError> {
    let mut info = inspect(folder)?;
    let files = weight_files(folder)?;
    let tensors = open(folder, &files)?;
    // Some folders leave the flag out although the head is not stored.
    info.config.tied_embeddings |= tensors.get("lm_head.weight").is_err();
    check_types(&info.config, &tensors)?;
    let mut weights = HashMap::new();
    let shapes = info.config.tensor_shapes();
    let size = |shape: &[usize]| shape.iter().product::<usize>() as f64;
    let all: f64 = shapes.iter().map(|(_, shape)| size(shape)).sum();
    let mut read = 0.0;
    for (name, shape) in shapes {
        progress((read / all) as f32);
        read += size(&shape);
        let tensor = tensors
            .load(&name, device)
            .and_then(|t| t.to_dtype(DType::F32))
            .map_err(|e| LmError::Tensor {
                name: name.clone(),
                why: first_line(&e),
            })?;
        weights.insert(name, tensor);
    }
    progress(1.0);
    let tokenizer = LmTokenizer::from_folder(folder)?;
    let chat = ChatTemplate::from_folder(folder)?;
    Ok(LoadedModel {
        info,
        weights,
        tokenizer,
        chat,
    })
}

fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, LmError> {
    let entries = std::fs::read_dir(folder).map_err(|source| LmError::Read {
        path: folder.to_owned(),
        source,
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    files.sort();
    // Some folders hold other copies, adapters or an optimiser's state beside the weights that `transformers` reads.
    let proper = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name == "model.safetensors" || name.starts_with("model-"))
    };
    if files.iter().any(proper) {
        files.retain(proper);
    }
    if files.is_empty() {
        return Err(LmError::NotAModel {
            path: folder.to_owned(),
            why: match pickle_in(folder) {
                Some(name) => pickle_refused(&name),
                None => "the folder has no *.safetensors".to_owned(),
            },
        });
    }
    Ok(files)
}

#[expect(
    unsafe_code,
    reason = "memory-maps the weights, as every safetensors reader does"
)]
fn open(folder: &Path, files: &[PathBuf]) -> Result<MmapedSafetensors, LmError> {
    // SAFETY: the files are mapped read-only and copied out during load; a file that another process shortens
    // meanwhile would end this one, which is the accepted risk of every memory-mapped reader.
    unsafe { MmapedSafetensors::multi(files) }.map_err(|e| LmError::Malformed {
        path: folder.to_owned(),
        why: format!("the safetensors files cannot be read: {}", first_line(&e)),
    })
}

fn first_line(error: &candle_core::Error) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
