//! The model that is part of the program: a very small Llama that has learnt the grammar in
//! `presets/grammars/embedded.ron` (how it was made: `assets/embedded/README.md`).

use std::path::Path;

use candle_core::{Device, safetensors::load_buffer};

use super::{
    config::ModelConfig,
    error::LmError,
    tokenizer::LmTokenizer,
    weights::{LoadedModel, ModelInfo, checked},
};

const CONFIG: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/assets/embedded/config.json"
));
const TOKENIZER: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/assets/embedded/tokenizer.json"
));
const WEIGHTS: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/assets/embedded/model.safetensors"
));

/// Its end token; `assets/embedded/tokenizer_config.json` says the same to other programs.
const END: &str = "<end>";

/// What the embedded model is, without its weights.
///
/// # Errors
/// Never in a program that passed its tests.
pub fn embedded_info() -> Result<ModelInfo, LmError> {
    let config = ModelConfig::from_json(Path::new("assets/embedded/config.json"), CONFIG)?;
    Ok(ModelInfo {
        name: "embedded".to_owned(),
        license: Some("MIT OR Apache-2.0".to_owned()),
        tensor_types: vec![("F32".to_owned(), config.tensor_shapes().len())],
        config,
        file_bytes: WEIGHTS.len() as u64,
    })
}

/// Loads the embedded model. It has no chat template: prompts are raw text such as `pick 1 or 2:`.
///
/// # Errors
/// Never in a program that passed its tests.
pub fn embedded(device: &Device) -> Result<LoadedModel, LmError> {
    checked(LoadedModel {
        info: embedded_info()?,
        weights: load_buffer(WEIGHTS, device)?,
        tokenizer: LmTokenizer::from_json(TOKENIZER, Some(END))?,
        chat: None,
    })
}
