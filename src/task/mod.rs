//! What a language model is rewarded for: which of a prompt's answers a completion counts as ([`Judge`]), and rewards from
//! a program of the user's own ([`RewardProgram`]). Plain Rust on text: no model, no tensors; the trainer calls it between
//! sampling and the gradient.

mod judge;
mod program;

pub(crate) use judge::twins;
pub use judge::{Judge, TaskError, check_distinct};
pub use program::{
    MAX_FAILURES, MAX_TIMEOUT_SECS, ProgramError, RewardProgram, RewardReply, RewardRequest,
};
