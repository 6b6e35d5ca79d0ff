//! The controls.

use egui::Ui;

use crate::{
    experiment::Edit,
    theory::Direction,
    ui::{Action, View, widgets::beta_slider::beta_slider},
};

/// State of the controls.
#[derive(Default)]
pub(crate) struct Controls {}

impl Controls {
    /// Draws the controls into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let mut objective = view.preset.objective;
        let before = objective;
        ui.horizontal(|ui| {
            ui.selectable_value(&mut objective.direction, Direction::Reverse, "Reverse KL");
            ui.selectable_value(&mut objective.direction, Direction::Forward, "Forward KL");
        });
        let change = beta_slider(ui, objective.beta, view.problem, view.analysis);
        objective.beta = change.beta;
        if objective != before || change.changed {
            let done = change.done || !change.changed;
            actions.push(Action::Edit {
                edit: Edit::Objective(objective),
                done,
            });
        }
    }
}
