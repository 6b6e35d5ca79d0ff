//! Whose quantity the diagram shows: the target's, or that of a policy trained in every cell, with what that costs.

use egui::{ComboBox, DragValue, Ui};

use crate::{
    engine::{PhaseMap, PhaseOf, PhaseQuantity, PhaseTraining},
    ui::{
        View,
        widgets::number::{grouped, significant},
    },
};

/// Columns and rows of a diagram whose cells are trained: a training costs thousands of targets.
pub(super) const CELLS: (usize, usize) = (48, 32);
/// Steps of a cell unless the stop rule has fewer.
const STEPS: u64 = 500;
/// Most steps of a cell.
const MOST_STEPS: u64 = 1_000_000;

/// The choice as it stands.
pub(super) struct Of {
    policy: bool,
    steps: u64,
    /// The training of a cell, made anew when the experiment's changes.
    training: Option<PhaseTraining>,
}

impl Of {
    pub(super) fn new(view: &View) -> Self {
        let rule = view.preset.training.stop.steps;
        Self {
            policy: false,
            steps: rule.map_or(STEPS, |steps| steps.clamp(1, STEPS)),
            training: None,
        }
    }

    /// Follows the experiment's training, and leaves a quantity that the chosen one does not have.
    pub(super) fn adapt(&mut self, view: &View, quantity: &mut PhaseQuantity) {
        self.policy &= reason_against(view).is_none();
        if self.policy {
            let training = &view.preset.training;
            let known = self.training.as_ref();
            if known.is_none_or(|known| !known.is_of(training, self.steps)) {
                self.training = Some(PhaseTraining::new(training, self.steps));
            }
        } else {
            self.training = None;
        }
        if !self.quantities().contains(quantity) {
            *quantity = self.quantities()[0];
        }
    }

    /// What the chosen one has, in the order of a menu.
    pub(super) fn quantities(&self) -> &'static [PhaseQuantity] {
        if self.policy {
            &PhaseQuantity::OF_POLICY
        } else {
            &PhaseQuantity::OF_TARGET
        }
    }

    /// The choice as a request has it.
    pub(super) fn wanted(&self) -> PhaseOf {
        match &self.training {
            Some(training) => PhaseOf::Policy(training.clone()),
            None => PhaseOf::Target,
        }
    }

    pub(super) fn ui(&mut self, ui: &mut Ui, view: &View) {
        let label = ui.label("of");
        let names = ["the target", "the policy after"];
        ComboBox::from_id_salt("phase of")
            .selected_text(names[usize::from(self.policy)])
            .width(100.0)
            .show_ui(ui, |ui| {
                ui.selectable_value(&mut self.policy, false, names[0])
                    .on_hover_text("What the objective asks for, before any training");
                let against = reason_against(view);
                ui.add_enabled_ui(against.is_none(), |ui| {
                    ui.selectable_value(&mut self.policy, true, names[1])
                        .on_hover_text(
                            "Every cell trains a policy of its own from the start, with this training, seed and rule of \
                             convergence",
                        )
                        .on_disabled_hover_text(against.unwrap_or_default());
                });
            })
            .response
            .labelled_by(label.id);
        if self.policy {
            let (columns, rows) = CELLS;
            let cost = grouped((columns * rows) as u64 * self.steps);
            ui.add(
                DragValue::new(&mut self.steps)
                    .range(1..=MOST_STEPS)
                    .speed(5.0)
                    .update_while_editing(false)
                    .suffix(" steps"),
            )
            .on_hover_text(format!(
                "Steps of every cell: {columns} × {rows} trainings are {cost} steps in all, fewer where policies converge. \
                 Causes of collapse cost up to three times as much."
            ))
            .accessible_name("Steps of every cell");
        }
    }
}

/// Why no policy can be trained in every cell.
fn reason_against(view: &View) -> Option<&'static str> {
    (view.preset.language.is_some())
        .then_some("A language model takes too long to be trained in every cell; bandits can be")
}

/// How far trainings have come, and how long the rest will take.
pub(super) fn progress(map: &PhaseMap) -> String {
    let (done, total) = (grouped(map.done as u64), grouped(map.total as u64));
    let left = match map.seconds_left() {
        None => String::new(),
        Some(seconds) if seconds < 90.0 => format!(", {} s left", significant(seconds.ceil(), 2)),
        Some(seconds) if seconds < 5_400.0 => format!(", {:.0} min left", seconds / 60.0),
        Some(seconds) => format!(", {} h left", significant(seconds / 3_600.0, 2)),
    };
    format!("{done} of {total} trained{left}")
}
