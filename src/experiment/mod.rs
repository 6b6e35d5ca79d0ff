//! The experiment as plain data that every room may read: the preset a user writes, the edits made to it while it runs,
//! and the journal of those edits.

mod apply;
mod builtin;
pub(crate) mod closest;
mod describe;
mod edit;
mod exact_json;
mod fit;
pub mod formula;
mod journal;
mod language;
mod layout;
mod load;
mod locate;
pub(crate) mod matching;
mod mistake;
mod preset;
mod read;
mod recover;
mod save;
mod schema;
mod set;
mod structure;
mod training;
mod tree;
mod validate;

pub use apply::{EditError, apply};
pub use builtin::{Builtin, builtin, builtin_preset};
pub use describe::describe_edit;
pub(crate) use describe::{ProblemChange, problem_changes};
pub use edit::{Edit, JournalEntry};
pub use formula::{Formula, FormulaError};
pub use journal::{Journal, JournalError};
pub use language::{
    AnswerSpec, Checkpoints, LanguageSpec, LoraModule, Matching, OTHER, PromptTask,
    RewardProgramSpec, Tune,
};
pub use load::load_preset;
pub(crate) use load::read_text;
pub(crate) use locate::place;
pub(crate) use mistake::repeated;
pub use mistake::{LoadError, Mistake, Place, PresetErrors};
pub use preset::{
    Arms, BanditSpec, Block, Bump, Expectation, LabelledMode, ModeSpec, Noise, Preset, Quantity,
    Role, Source,
};
pub(crate) use read::{Examined, examine, follows, tells_arms};
pub use read::{FORMAT, MAX_PRESET_BYTES, parse_preset, to_ron};
pub use save::save_atomically;
pub(crate) use set::try_paths;
pub use set::{SetError, set_path, set_paths};
pub use training::{
    Advantage, Features, KlEstimator, KlPenalty, MAX_ACTIVATIONS, Optimizer, PolicyFamily, Start,
    StopRule, Training, Update,
};
pub use validate::{MAX_ARMS, MAX_BATCH};
pub(crate) use validate::{refusal, responsible, validate, validate_language};
