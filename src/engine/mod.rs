//! The run: one trainer thread owns the policy; commands go in through a bounded channel, events and a latest-value
//! snapshot come out. The window and the command line drive the same `Session`.

mod check;
mod collapse;
mod edits;
mod expectation;
mod history;
mod keeping;
mod keyframes;
mod language;
mod language_log;
mod learner;
mod message;
mod newest;
mod outbox;
mod own_checkpoints;
mod pace;
mod phase;
mod priority;
mod run_folder;
mod sampled;
mod samples_log;
mod schedule;
mod session;
mod snapshot;
mod stop;
mod summary;
mod tensorboard;
mod thread;
mod tie_search;

pub use check::check_file;
#[cfg(feature = "gui")]
pub(crate) use check::check_prompts;
pub use expectation::{CheckError, Checked, check_expectations};
pub use keeping::{Keeping, KeptCheckpoint, KeptCheckpoints};
pub use message::{Command, Event, ProbeAnswer, Solved, Speed, StopReason};
pub use phase::{
    Item, Parameter, PhaseAxis, PhaseMap, PhaseOf, PhaseQuantity, PhaseRequest, PhaseTraining,
    PhaseWorker, SeenShare, contour, tie_boundary,
};
pub use run_folder::{RunFolder, RunFolderError};
pub use sampled::SampledSummary;
pub use samples_log::{DEFAULT_LIMIT_BYTES, SampleLine, SamplesLog, SamplesLogError};
pub use session::{Budget, Row, Session, SessionError, StepLog};
pub use snapshot::{
    Collapse, EditMark, Fallen, History, Keyframe, LanguageSnapshot, Series, Snapshot, Status,
};
pub use summary::{Ended, ModeSummary, Outcome, PromptSummary, Summary};
pub use tensorboard::{EventWriter, now_secs};
pub use thread::{Engine, SendRefused};
pub use tie_search::{TieRequest, TieSearch, TiesFound};
