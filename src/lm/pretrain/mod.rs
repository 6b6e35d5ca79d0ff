//! Very small models trained from nothing on a grammar: how the embedded model was made, and how to make another.
//!
//! A grammar lists every completion with its probability, so nothing is sampled: each step descends the exact
//! cross-entropy, and the model ends at the distribution that the file states.

mod alphabet;
mod grammar;
mod train;

pub use grammar::{Grammar, GrammarTask, Shape, Training};
pub use train::{PretrainProgress, pretrain};

/// The grammar of the embedded model, `presets/grammars/embedded.ron`.
pub const EMBEDDED_GRAMMAR: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/presets/grammars/embedded.ron"
));
