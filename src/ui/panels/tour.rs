//! The guided tour.

use egui::Context;

use crate::ui::{Action, View};

/// State of the tour: the step it is at.
#[derive(Default)]
pub(crate) struct Tour {
    step: Option<usize>,
}

impl Tour {
    /// Begins at the first step.
    pub(crate) fn start(&mut self) {
        self.step = Some(0);
    }

    /// Draws the present step, if the tour goes on.
    pub(crate) fn ui(&mut self, _ctx: &Context, _view: &View, _actions: &mut Vec<Action>) {}
}
