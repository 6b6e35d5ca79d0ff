//! Writing models: Hugging Face folders that `transformers` loads unchanged.
//!
//! A folder is written beside its place under a temporary name and renamed, so that a full disk or a crash leaves either
//! what was there before or the whole new folder.

mod folder;
mod hub_folder;
mod safetensors;

pub use folder::FolderWriter;
pub use hub_folder::{HubFolder, config_json, save_hub_folder};
pub use safetensors::{ExportTensor, flat_tensors, loaded_tensors, save_tensors};
