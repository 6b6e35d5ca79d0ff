//! A low-rank adapter in PEFT's format: `adapter_config.json` and `adapter_model.safetensors`.

use std::{borrow::Cow, path::Path};

use serde_json::json;

use super::{
    super::{
        error::LmError,
        fast::{LoraLayout, LoraModule},
    },
    folder::FolderWriter,
    safetensors::{ExportTensor, save_tensors},
};

/// Name of the file that holds an adapter's factors.
pub(in crate::lm) const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

/// What goes into an adapter's folder.
#[derive(Debug, Clone, Copy)]
pub struct Adapter<'a> {
    /// Rank, α, modules and the place of every factor.
    pub layout: &'a LoraLayout,
    /// The factors.
    pub factors: &'a [f32],
    /// Name or path of the model that it belongs to, for `base_model_name_or_path`.
    pub base_name: &'a str,
}

/// Writes an adapter that `peft.PeftModel.from_pretrained` loads onto its base model.
///
/// # Errors
/// Names the file that cannot be written. What was at `folder` before stays then.
pub fn save_adapter(folder: &Path, adapter: &Adapter) -> Result<(), LmError> {
    let writer = FolderWriter::begin(folder)?;
    write_adapter(&writer, adapter)?;
    writer.finish()
}

/// The files of an adapter into a folder that is being written.
pub(in crate::lm) fn write_adapter(
    writer: &FolderWriter,
    adapter: &Adapter,
) -> Result<(), LmError> {
    let Adapter {
        layout,
        factors,
        base_name,
    } = adapter;
    let modules: Vec<&str> = layout
        .modules()
        .iter()
        .map(|m| LoraModule::name(*m))
        .collect();
    writer.write_json(
        "adapter_config.json",
        &json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base_name,
            "r": layout.rank(),
            "lora_alpha": layout.alpha(),
            "target_modules": modules,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "modules_to_save": null,
            "use_rslora": false,
            "use_dora": false,
        }),
    )?;
    let tensors = adapter_tensors(layout, factors)?;
    writer.write(ADAPTER_WEIGHTS, |out| save_tensors(out, &tensors))
}

/// The factors under their PEFT names, without copying.
///
/// # Errors
/// When the buffer is not as long as the layout.
pub fn adapter_tensors<'a>(
    layout: &LoraLayout,
    factors: &'a [f32],
) -> Result<Vec<ExportTensor<'a>>, LmError> {
    if factors.len() != layout.len() {
        return Err(LmError::Request(format!(
            "{} numbers do not fill {} low-rank factors",
            factors.len(),
            layout.len()
        )));
    }
    Ok(layout
        .tensors()
        .map(|(name, span)| ExportTensor {
            name: name.to_owned(),
            shape: vec![span.rows, span.columns],
            values: Cow::Borrowed(&factors[span.range()]),
        })
        .collect())
}
