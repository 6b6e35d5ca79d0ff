//! What can be wrong with a model on disk or a request to it; every message names the file or field and what would work.

use std::path::PathBuf;

use thiserror::Error;

/// Anything that keeps a model from loading or answering.
#[derive(Debug, Error)]
pub enum LmError {
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A file that cannot be written; what was there before is as it was.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A path that holds no model that this build reads.
    #[error("{}: {why}; accepted are a .gguf file or a Hugging Face folder with config.json, tokenizer.json and *.safetensors", path.display())]
    NotAModel {
        /// The path.
        path: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// A name that no model has, and no path either.
    #[error("no model is called {name:?} and no such path exists; known are {known} ({advice})")]
    NoSuchModel {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
        /// How to get it.
        advice: String,
    },
    /// A repository of the Hugging Face hub that could not be fetched.
    #[error("cannot fetch {repository} from {endpoint}: {why}")]
    Fetch {
        /// The repository.
        repository: String,
        /// The hub.
        endpoint: String,
        /// What happened, and what would work.
        why: String,
    },
    /// A configuration this build does not support.
    #[error("{field} = {value} is not supported; accepted is {accepted}")]
    Unsupported {
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What would work.
        accepted: String,
    },
    /// A field that is missing or malformed.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with field and value.
        why: String,
    },
    /// A checkpoint of another model, task or choice of trained parameters.
    #[error(
        "{} belongs to another experiment: {field} is {there} there and {here} in this run; a run goes on only with the same",
        path.display()
    )]
    OtherExperiment {
        /// The checkpoint.
        path: PathBuf,
        /// The first field that differs.
        field: String,
        /// Its value in the checkpoint.
        there: String,
        /// Its value in the run.
        here: String,
    },
    /// A tensor that is missing or of the wrong shape.
    #[error("tensor {name}: {why}")]
    Tensor {
        /// Its name in the file.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The tokenizer does not fit or cannot be built.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The chat template failed.
    #[error("chat template: {0}")]
    Template(String),
    /// A request that cannot be answered.
    #[error("{0}")]
    Request(String),
    /// A numerical operation failed.
    #[error("computation failed: {0}")]
    Compute(#[from] candle_core::Error),
}
