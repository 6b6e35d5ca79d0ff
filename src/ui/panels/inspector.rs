//! Why one arm beats another under the target: the log-ratio of two arms or modes, split into its parts.

use crate::ui::{Action, View};

/// Why one arm beats another under the target: the log-ratio of two arms or modes, split into its parts.
#[derive(Default)]
pub(crate) struct Inspector {}

impl Inspector {
    /// Draws the panel.
    pub(crate) fn ui(&mut self, _ui: &mut egui::Ui, _view: &View, _actions: &mut Vec<Action>) {}
}
