//! The presets gallery.

use egui::Context;

use crate::ui::Action;

/// State of the gallery.
#[derive(Default)]
pub(crate) struct Gallery {
    open: bool,
}

impl Gallery {
    /// Opens or closes it.
    pub(crate) fn toggle(&mut self) {
        self.open = !self.open;
    }

    /// Draws it, if it is open.
    pub(crate) fn ui(&mut self, ctx: &Context, actions: &mut Vec<Action>) {
        let mut open = self.open;
        super::about::centred(ctx, "Presets", &mut open, 500.0, |ui| {
            for preset in crate::experiment::builtin() {
                if ui.button(preset.name).clicked() {
                    actions.push(Action::OpenPreset(preset.name.to_string()));
                    self.open = false;
                }
            }
        });
        self.open &= open;
    }
}
