//! The window: shell, theme, panels, widgets. Draws a [`View`] and returns what the user asked for as [`Action`]s.

mod action;
mod chart;
mod figures;
mod panels;
mod start;
mod theme;
mod view;
mod widgets;

pub use action::{Action, Notice, ShellAction};
pub use start::{GuiOptions, run};
pub use theme::Theme;
pub use view::{Pin, Selection, View};
