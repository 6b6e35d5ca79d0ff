//! Models from the Hugging Face hub into its standard cache, which other programs share. What was begun is resumed.

use std::{
    cell::Cell,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
};

use hf_hub::{
    Cache, Repo, RepoType,
    api::{
        Progress,
        sync::{ApiBuilder, ApiError, ApiRepo},
    },
};

use super::{
    super::{
        config::ModelConfig,
        error::LmError,
        weights::{ModelFile, verify},
    },
    ModelSource, ModelStore,
};

/// Where a download stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchProgress<'a> {
    /// The file.
    pub file: &'a str,
    /// Bytes of it that are here.
    pub done: u64,
    /// Its bytes in all.
    pub total: u64,
}

/// What is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// The repository, `org/name`.
    pub repository: String,
    /// A branch, tag or commit; `main` usually.
    pub revision: String,
    /// The file, where a repository holds several GGUF files.
    pub file: Option<String>,
    /// The hub; `HF_ENDPOINT` or `https://huggingface.co`.
    pub endpoint: String,
    /// A token for private repositories; `HF_TOKEN` or the one that was saved beside the cache.
    pub token: Option<String>,
}

impl FetchRequest {
    /// A request for a repository (`org/name`, or `org/name@revision`) with hub and token from the environment.
    ///
    /// # Errors
    /// When the text is no repository's name.
    pub fn of_user(repository: &str, file: Option<&str>) -> Result<Self, LmError> {
        let (repository, revision) = repository.split_once('@').unwrap_or((repository, "main"));
        let part = |part: &str| {
            let sound = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(sound)
        };
        let parts: Vec<&str> = repository.split('/').collect();
        if parts.len() > 2 || !parts.iter().all(|p| part(p)) || revision.is_empty() {
            return Err(LmError::Request(format!(
                "{repository:?} is no repository of the Hugging Face hub; it must look like HuggingFaceTB/SmolLM2-135M-Instruct"
            )));
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Ok(Self {
            repository: repository.to_owned(),
            revision: revision.to_owned(),
            file: file.map(str::to_owned),
            endpoint: variable("HF_ENDPOINT")
                .unwrap_or_else(|| "https://huggingface.co".to_owned())
                .trim_end_matches('/')
                .to_owned(),
            token: variable("HF_TOKEN"),
        })
    }
}

/// Files beside the weights, the configuration first: it tells whether the weights are worth fetching.
const SMALL_FILES: [&str; 8] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "README.md",
    "LICENSE",
];
/// How often a broken connection is taken up again.
const RETRIES: usize = 4;

impl ModelStore {
    /// Fetches a model into the Hugging Face cache; files that are there already are not fetched again. `progress` may break
    /// it off: what is here by then stays for the next attempt.
    ///
    /// # Errors
    /// Says what the hub or the network said, or why the repository's model is not supported. Parts of files stay for the
    /// next attempt.
    pub fn fetch(
        &self,
        request: &FetchRequest,
        mut progress: impl FnMut(FetchProgress<'_>) -> ControlFlow<()>,
    ) -> Result<ModelSource, LmError> {
        let folder = self.hub_cache.as_ref().ok_or_else(|| {
            LmError::Request(
                "there is no folder for the Hugging Face cache; set HF_HOME to one".to_owned(),
            )
        })?;
        let failed = |error: ApiError| failure(request, &error);
        let cache = Cache::new(folder.clone());
        let token = request.token.clone().or_else(|| cache.token());
        let repository = Repo::with_revision(
            request.repository.clone(),
            RepoType::Model,
            request.revision.clone(),
        );
        let hub = ApiBuilder::from_cache(cache.clone())
            .with_endpoint(request.endpoint.clone())
            .with_progress(false)
            .with_retries(RETRIES)
            .with_token(token)
            .build()
            .map_err(failed)?
            .repo(repository.clone());
        let info = hub.info().map_err(failed)?;
        let names: Vec<String> = info.siblings.into_iter().map(|s| s.rfilename).collect();
        let wanted = choose(request, &names)?;
        let known = cache.repo(repository);
        let mut first = None;
        for name in &wanted {
            let path = match known.get(name) {
                Some(path) => path,
                None => download(&hub, name, &mut progress)
                    .or_else(|error| match error {
                        Download::Failed(error) if is_odd_part(&error) => {
                            remove_parts(folder, &request.repository);
                            download(&hub, name, &mut progress)
                        }
                        other => Err(other),
                    })
                    .map_err(|e| match e {
                        Download::Failed(error) => failed(error),
                        Download::BrokenOff => say(
                            request,
                            "it was cancelled; what is here already stays, and the next attempt goes on from there",
                        ),
                        Download::Short(have, of) => {
                            say(request, &format!("{name} ended after {have} of {of} bytes"))
                        }
                    })?,
            };
            if name == "config.json" {
                let text = std::fs::read_to_string(&path).map_err(|source| LmError::Read {
                    path: path.clone(),
                    source,
                })?;
                ModelConfig::from_json(&path, &text)?;
            }
            first.get_or_insert(path);
        }
        let first: PathBuf = first.ok_or_else(|| say(request, "it holds no files"))?;
        let place = match first.extension() {
            Some(ending) if ending == "gguf" => first.as_path(),
            _ => first.parent().unwrap_or(Path::new(".")),
        };
        let file = ModelFile::find(place)?;
        verify(&file)?;
        Ok(ModelSource::File(file))
    }
}

/// The files to fetch, in their order.
fn choose(request: &FetchRequest, names: &[String]) -> Result<Vec<String>, LmError> {
    let ends = |name: &String, ending: &str| name.to_ascii_lowercase().ends_with(ending);
    if let Some(file) = &request.file {
        if !ends(file, ".gguf") {
            return Err(LmError::Request(format!(
                "--file = {file:?} is not accepted; it must be a .gguf file (other models are fetched whole)"
            )));
        }
        if !names.contains(file) {
            return Err(say(request, &format!("it has no file {file:?}")));
        }
        return Ok(vec![file.clone()]);
    }
    let top = |name: &&String| !name.contains('/') && ends(name, ".safetensors");
    let mut weights: Vec<&String> = names.iter().filter(top).collect();
    if weights.iter().any(|name| name.starts_with("model")) {
        weights.retain(|name| name.starts_with("model"));
    }
    if !weights.is_empty() && names.iter().any(|name| name == "config.json") {
        let small = SMALL_FILES.iter().map(|name| (*name).to_owned());
        return Ok(small
            .filter(|name| names.contains(name))
            .chain(weights.into_iter().cloned())
            .collect());
    }
    let gguf: Vec<&String> = names.iter().filter(|name| ends(name, ".gguf")).collect();
    match gguf.as_slice() {
        [one] => Ok(vec![(*one).clone()]),
        [] => Err(say(
            request,
            if names.iter().any(|name| ends(name, ".bin")) {
                "it holds only pickle files, which are refused because loading one can run any code"
            } else {
                "it holds neither *.safetensors with a config.json nor a .gguf file"
            },
        )),
        several => {
            let list: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
            Err(say(
                request,
                &format!(
                    "it holds several models; choose one with --file ({})",
                    list.join(", ")
                ),
            ))
        }
    }
}

enum Download {
    Failed(ApiError),
    BrokenOff,
    Short(u64, u64),
}

fn download(
    hub: &ApiRepo,
    name: &str,
    progress: &mut dyn FnMut(FetchProgress<'_>) -> ControlFlow<()>,
) -> Result<PathBuf, Download> {
    let total = Cell::new(0);
    let meter = Meter {
        file: name,
        done: 0,
        total: &total,
        tell: progress,
    };
    // The client has no other way out of a download than unwinding; it holds nothing but files, which close on the way.
    let outcome = catch_unwind(AssertUnwindSafe(|| hub.download_with_progress(name, meter)));
    let path = match outcome {
        Ok(fetched) => fetched.map_err(Download::Failed)?,
        Err(payload) if payload.is::<BrokenOff>() => return Err(Download::BrokenOff),
        Err(payload) => resume_unwind(payload),
    };
    let have = std::fs::metadata(&path).map_or(0, |m| m.len());
    if have != total.get() {
        // The cache would take it for the whole file.
        let _ = std::fs::canonicalize(&path).map(std::fs::remove_file);
        let _ = std::fs::remove_file(&path);
        return Err(Download::Short(have, total.get()));
    }
    Ok(path)
}

/// Whether what is left of an earlier attempt keeps this one from going on: it is as long as the file, or longer.
fn is_odd_part(error: &ApiError) -> bool {
    match error {
        ApiError::InvalidResume => true,
        ApiError::RequestError(inner) => matches!(**inner, ureq::Error::StatusCode(416)),
        ApiError::TooManyRetries(last) => is_odd_part(last),
        _ => false,
    }
}

fn remove_parts(cache: &Path, repository: &str) {
    let name = format!("models--{}", repository.replace('/', "--"));
    let Ok(entries) = std::fs::read_dir(cache.join(name).join("blobs")) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|ending| ending == "part") {
            // The next attempt tells what is wrong if this one stays.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What unwinds when a download is broken off.
struct BrokenOff;

/// Passes the client's progress on.
struct Meter<'a> {
    file: &'a str,
    done: u64,
    total: &'a Cell<u64>,
    tell: &'a mut dyn FnMut(FetchProgress<'_>) -> ControlFlow<()>,
}

impl Meter<'_> {
    fn tell(&mut self) {
        let told = (self.tell)(FetchProgress {
            file: self.file,
            done: self.done,
            total: self.total.get(),
        });
        if told.is_break() {
            // No panic: nothing is printed.
            resume_unwind(Box::new(BrokenOff));
        }
    }
}

impl Progress for Meter<'_> {
    fn init(&mut self, size: usize, _: &str) {
        self.done = 0;
        self.total.set(size as u64);
        self.tell();
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        self.tell();
    }

    fn finish(&mut self) {
        self.tell();
    }
}

fn say(request: &FetchRequest, why: &str) -> LmError {
    LmError::Fetch {
        repository: request.repository.clone(),
        endpoint: request.endpoint.clone(),
        why: why.to_owned(),
    }
}

fn failure(request: &FetchRequest, error: &ApiError) -> LmError {
    let why = match error {
        ApiError::RequestError(inner) => match **inner {
            ureq::Error::StatusCode(401 | 403 | 404) => format!(
                "there is no such repository or revision ({:?}), or it needs a token (set HF_TOKEN)",
                request.revision
            ),
            ureq::Error::StatusCode(code) => format!("the hub answered with status {code}"),
            ref other => format!(
                "{other}; without a connection, bring the files here and use \"modescope model import PATH\""
            ),
        },
        ApiError::TooManyRetries(last) => {
            format!(
                "the connection broke {RETRIES} times ({last}); run it again to go on from there"
            )
        }
        other => other.to_string(),
    };
    say(request, &one_line(&why))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
