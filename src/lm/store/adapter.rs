//! A PEFT adapter as a model: its base with the low-rank factors added in (Hu et al., arXiv 2106.09685, section 4.1).

use std::{collections::HashMap, path::Path};

use candle_core::{DType, Device, Tensor, safetensors};
use serde_json::Value;

use super::{
    super::{error::LmError, export::ADAPTER_WEIGHTS, weights::LoadedModel},
    ModelSource, ModelStore,
};

const CONFIG: &str = "adapter_config.json";

/// Whether a folder holds an adapter and no model of its own.
pub(super) fn is_adapter(folder: &Path) -> bool {
    folder.join(CONFIG).is_file() && !folder.join("config.json").exists()
}

/// The adapter in a folder, with its base as the store knows it.
///
/// # Errors
/// When the configuration cannot be read, or names a base that is not here.
pub(super) fn find(
    store: &ModelStore,
    folder: &Path,
    base_dir: Option<&Path>,
) -> Result<ModelSource, LmError> {
    let path = folder.join(CONFIG);
    let malformed = |why: String| LmError::Malformed {
        path: path.clone(),
        why,
    };
    let config = read_config(&path)?;
    let name = config
        .get("base_model_name_or_path")
        .and_then(Value::as_str)
        .ok_or_else(|| {
            malformed("base_model_name_or_path is missing; it must be a string".to_owned())
        })?;
    let base = store
        .resolve(name, base_dir)
        .map_err(|error| malformed(format!("it belongs to {name:?}: {error}")))?;
    if matches!(base, ModelSource::Adapter { .. }) {
        return Err(malformed(format!(
            "its base {name:?} is an adapter, too; the base must be a model"
        )));
    }
    Ok(ModelSource::Adapter {
        folder: folder.to_owned(),
        base: Box::new(base),
    })
}

/// Adds the factors to a loaded base.
///
/// # Errors
/// Names a setting or tensor that is not supported or does not fit.
pub(super) fn merge(folder: &Path, model: &mut LoadedModel) -> Result<(), LmError> {
    let config = read_config(&folder.join(CONFIG))?;
    let scale = scale(&folder.join(CONFIG), &config)?;
    let path = folder.join(ADAPTER_WEIGHTS);
    let mut tensors: HashMap<String, Tensor> =
        safetensors::load(&path, &Device::Cpu).map_err(|e| LmError::Malformed {
            path: path.clone(),
            why: format!(
                "it cannot be read ({}); it may be missing or truncated",
                e.to_string().lines().next().unwrap_or_default()
            ),
        })?;
    let mut names: Vec<String> = tensors.keys().cloned().collect();
    names.sort();
    for name in names {
        let wrong = |why: &str| LmError::Tensor {
            name: name.clone(),
            why: format!("{why} ({})", path.display()),
        };
        if name.ends_with(".lora_B.weight") {
            continue;
        }
        let target = name
            .strip_prefix("base_model.model.")
            .and_then(|name| name.strip_suffix(".lora_A.weight"))
            .ok_or_else(|| wrong("it is no low-rank factor of a matrix"))?;
        let slot = model
            .weights
            .get_mut(&format!("{target}.weight"))
            .ok_or_else(|| wrong("the base has no such matrix"))?;
        let b = tensors
            .remove(&name.replace(".lora_A.", ".lora_B."))
            .ok_or_else(|| wrong("its factor B is missing"))?
            .to_dtype(DType::F32)?;
        let a = tensors
            .remove(&name)
            .ok_or_else(|| wrong("it is missing"))?
            .to_dtype(DType::F32)?;
        let fits = matches!((a.dims(), b.dims(), slot.dims()),
            (&[rank, inputs], &[outputs, of], shape) if rank == of && shape == [outputs, inputs]);
        if !fits {
            return Err(wrong(&format!(
                "factors of shape {:?} and {:?} do not fit a matrix of shape {:?}",
                a.dims(),
                b.dims(),
                slot.dims()
            )));
        }
        let change = (b.matmul(&a)? * scale)?.to_device(slot.device())?;
        *slot = (&*slot + change)?;
    }
    if let Some(left) = tensors.keys().min() {
        return Err(LmError::Tensor {
            name: left.clone(),
            why: format!("its factor A is missing ({})", path.display()),
        });
    }
    Ok(())
}

/// α/r, if the adapter is of the plain kind.
fn scale(path: &Path, config: &Value) -> Result<f64, LmError> {
    let unsupported = |field: &str, value: &Value, accepted: &str| LmError::Unsupported {
        field: format!("{field} in {}", path.display()),
        value: value.to_string(),
        accepted: accepted.to_owned(),
    };
    let set = |value: &Value| match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::String(text) => text != "none",
        Value::Number(_) => true,
    };
    for (field, accepted) in [
        ("use_rslora", "false"),
        ("use_dora", "false"),
        ("fan_in_fan_out", "false"),
        ("rank_pattern", "an empty one"),
        ("alpha_pattern", "an empty one"),
        ("modules_to_save", "none"),
        ("bias", "none"),
    ] {
        if let Some(value) = config.get(field).filter(|value| set(value)) {
            return Err(unsupported(field, value, accepted));
        }
    }
    if config.get("peft_type").and_then(Value::as_str) != Some("LORA") {
        return Err(unsupported(
            "peft_type",
            config.get("peft_type").unwrap_or(&Value::Null),
            "LORA",
        ));
    }
    let number = |field: &str| {
        let value = config.get(field).unwrap_or(&Value::Null);
        value
            .as_f64()
            .filter(|x| x.is_finite() && *x > 0.0)
            .ok_or_else(|| unsupported(field, value, "a number above 0"))
    };
    Ok(number("lora_alpha")? / number("r")?)
}

fn read_config(path: &Path) -> Result<Value, LmError> {
    let text = std::fs::read_to_string(path).map_err(|source| LmError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|e| LmError::Malformed {
        path: path.to_owned(),
        why: e.to_string(),
    })
}
