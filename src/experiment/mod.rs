//! The experiment as plain data that every room may read: the preset a user writes, the edits made to it while it runs,
//! and the journal of those edits.

mod edit;
mod preset;
mod training;

pub use edit::{Edit, JournalEntry};
pub use preset::{
    Arms, BanditSpec, Block, Bump, Expectation, LabelledMode, ModeSpec, Noise, Preset, Quantity,
    Source,
};
pub use training::{
    Advantage, Features, KlEstimator, KlPenalty, Optimizer, PolicyFamily, Start, StopRule,
    Training, Update,
};
