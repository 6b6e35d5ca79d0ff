//! The mode strip: how much mass each mode holds under reference, target, policy and samples.

use crate::ui::{Action, View};

/// State of the mode strip.
#[derive(Default)]
pub(crate) struct ModeStrip {}

impl ModeStrip {
    /// Draws the strip into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut egui::Ui, view: &View, actions: &mut Vec<Action>) {
        let _ = (view, actions);
        ui.label("mode strip");
    }
}
