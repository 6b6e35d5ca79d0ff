//! A metric of the target over two parameters of the objective.

use crate::ui::{Action, View};

/// A metric of the target over two parameters of the objective.
#[derive(Default)]
pub(crate) struct PhaseDiagram {}

impl PhaseDiagram {
    /// Draws the panel.
    pub(crate) fn ui(&mut self, _ui: &mut egui::Ui, _view: &View, _actions: &mut Vec<Action>) {}
}
