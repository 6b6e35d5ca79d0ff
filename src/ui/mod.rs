//! The window: shell, theme, panels, widgets. Draws a [`View`] and returns what the user asked for as [`Action`]s.
//!
//! `run` is the only place that knows eframe; [`Workbench`] needs egui alone, so tests drive all of it without a window.

mod action;
mod allocator;
mod app;
mod background;
mod chart;
mod clipboard;
mod commands;
mod dialogs;
mod document;
mod figures;
mod frame_stats;
mod keeping;
mod layout;
mod leaving;
mod link;
mod menu;
mod opening;
mod panels;
mod perform;
mod pinned;
mod prompt_picture;
mod run;
mod session;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod testing;
mod theme;
mod tie_marks;
mod toasts;
mod view;
mod widgets;

pub use action::{Action, Notice, ShellAction, TextCopy};
pub use app::{Workbench, WorkbenchOptions};
pub use keeping::Checkpointing;
pub use pinned::{Pin, PinnedRun};
pub use run::{GuiError, GuiOptions, run};
pub use theme::{Theme, ThemeChoice};
pub use view::{Loading, Selection, View};
