//! Modescope: which distribution does a KL-regularised objective ask for, does training reach it, and how many
//! modes survive?
//!
//! The rooms, and the one direction in which they may look (`theory` ← `bandit` ← `engine` ← `cli`, `ui`):
//!
//! - [`theory`]: pure functions on slices: targets, MARA, estimators, coverage. No I/O, no threads.
//! - [`experiment`]: plain data that every room may read: the preset file, its validation, edits, the journal.
//! - [`bandit`]: a problem (arms, modes, landscapes), policy families and the step that trains them.
//! - [`engine`]: the background thread: commands in, events and snapshots out; history and run folders.
//! - [`lm`]: language models: weights, tokenizers, a differentiable forward, exact log-probabilities.
//! - [`task`]: what a language model is rewarded for: match rules, reward programs.
//! - [`figure`]: figure description → drawing primitives → SVG, PNG, CSV. Never egui.
//! - [`cli`]: one file per subcommand.
//! - [`ui`]: egui only: shell, theme, panels, widgets. No formulas, no file formats, no locks.

pub mod bandit;
pub mod cli;
pub mod engine;
pub mod experiment;
pub mod figure;
pub mod lm;
pub mod task;
pub mod theory;
#[cfg(feature = "gui")]
pub mod ui;
