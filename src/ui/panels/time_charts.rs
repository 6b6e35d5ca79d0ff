//! Metrics over time as small multiples with one linked time axis.

use crate::ui::{Action, View};

/// State of the time charts: which are shown, zoom, smoothing.
#[derive(Default)]
pub(crate) struct TimeCharts {}

impl TimeCharts {
    /// Draws the charts into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut egui::Ui, view: &View, actions: &mut Vec<Action>) {
        let _ = (view, actions);
        ui.label("time charts");
    }
}
