//! Which gradient estimator pulls towards what, for the current policy.

use crate::ui::{Action, View};

/// Which gradient estimator pulls towards what, for the current policy.
#[derive(Default)]
pub(crate) struct EstimatorView {}

impl EstimatorView {
    /// Draws the panel.
    pub(crate) fn ui(&mut self, _ui: &mut egui::Ui, _view: &View, _actions: &mut Vec<Action>) {}
}
