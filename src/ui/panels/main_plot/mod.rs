//! The main plot: reference, reward, target, policy and samples over the arms in one picture.

use crate::ui::{Action, View};

/// State of the main plot: zoom, what is shown, what a drag edits.
#[derive(Default)]
pub(crate) struct MainPlot {}

impl MainPlot {
    /// Draws the plot into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut egui::Ui, view: &View, actions: &mut Vec<Action>) {
        let _ = (view, actions);
        ui.label("main plot");
    }
}
