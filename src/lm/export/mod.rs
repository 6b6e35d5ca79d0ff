//! Writing models: Hugging Face folders that `transformers` loads unchanged, adapters that `peft` does.
//!
//! A folder is written beside its place under a temporary name and renamed, so that a full disk or a crash leaves either
//! what was there before or the whole new folder.

mod adapter;
mod folder;
mod hub_folder;
mod safetensors;

pub(super) use adapter::{ADAPTER_WEIGHTS, write_adapter};
pub use adapter::{Adapter, adapter_tensors, save_adapter};
pub use folder::FolderWriter;
pub(super) use folder::write_error;
pub(super) use hub_folder::write_hub_folder;
pub use hub_folder::{HubFolder, config_json, save_hub_folder};
pub use safetensors::{ExportTensor, flat_tensors, loaded_tensors, save_tensors};
