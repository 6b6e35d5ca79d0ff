//! The controls: everything that may change while a run goes on, in sections that fold. Each control says on hover what
//! it does, with the formula.

mod arms;
mod checkpoints;
mod fetching;
mod language;
mod model_facts;
mod modes;
mod numbers;
mod objective;
mod problem;
mod row;
mod source;
mod stop;
mod texts;
mod training;

pub(crate) use objective::default_mara;

use egui::{CollapsingHeader, Response, RichText, ScrollArea, Ui};

use crate::{
    experiment::{Edit, Role, Source},
    ui::{Action, View, commands::UiCommand, theme::Theme},
};

/// State of the controls.
#[derive(Default)]
pub(crate) struct Controls {
    validity: objective::Validity,
    hidden_text: Option<String>,
    language: language::LanguageControls,
    problem: problem::ProblemControls,
    /// Unfold the problem and bring it into sight.
    reveal_problem: bool,
}

impl Controls {
    /// Draws the controls into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        preset_ui(ui, view, actions);
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            // Room for the scroll bar.
            ui.set_max_width((ui.available_width() - 8.0).max(60.0));
            if view.preset.language.is_none() {
                let reveal = std::mem::take(&mut self.reveal_problem);
                let header = foldable(ui, "Problem", false, reveal, |ui| {
                    self.problem.ui(ui, view, actions);
                });
                if reveal {
                    header.scroll_to_me(Some(egui::Align::TOP));
                    header.request_focus();
                }
            }
            section(ui, "Objective", true, |ui| {
                self.objective_ui(ui, view, actions)
            });
            section(ui, "MARA", true, |ui| {
                edit_objective(ui, view, actions, objective::mara_ui)
            });
            if let Some(spec) = &view.preset.language {
                section(ui, "Language model", true, |ui| {
                    self.language.ui(ui, view, spec, actions);
                });
            }
            section(ui, "Training", true, |ui| {
                let mut training = view.preset.training.clone();
                training::training_ui(ui, view, &mut training, &mut self.hidden_text);
                if training != view.preset.training {
                    actions.push(edit(ui, Edit::Training(Box::new(training))));
                }
            });
            section(ui, "Stop rule", false, |ui| {
                let mut stop = view.preset.training.stop;
                stop::stop_ui(ui, &mut stop);
                if stop != view.preset.training.stop {
                    actions.push(edit(ui, Edit::Stop(stop)));
                }
            });
            if view.preset.language.is_some() {
                // The answers say which modes there are.
                ui.add_space(12.0);
                return;
            }
            section(ui, "Modes", false, |ui| {
                let mut modes = view.preset.bandit.modes.clone();
                modes::modes_ui(ui, view, &mut modes);
                if modes != view.preset.bandit.modes {
                    actions.push(edit(ui, Edit::Modes(modes)));
                }
            });
            ui.add_space(12.0);
        });
    }

    /// Unfolds the problem and brings it into sight in the next frame.
    pub(crate) fn reveal_problem(&mut self) {
        self.reveal_problem = true;
    }

    /// A text is being typed whose changes are one gesture. Asks for this frame.
    pub(crate) fn is_typing(&mut self) -> bool {
        self.problem.take_typing()
    }

    /// Takes why the last change of the problem was refused, to say it beside its control; false if none was made here.
    pub(crate) fn refuse(&mut self, error: &str) -> bool {
        self.problem.refuse(error)
    }

    /// A source is about to be asked for on behalf of these controls.
    pub(crate) fn propose(&mut self, role: Role, source: &Source) {
        self.problem.propose(role, source);
    }

    fn objective_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let mut objective = view.preset.objective;
        let beta_done = objective::objective_ui(ui, view, &mut objective, &mut self.validity);
        let changed = objective != view.preset.objective;
        match beta_done {
            // The β slider knows itself when its gesture is over.
            Some(done) => actions.push(Action::Edit {
                edit: Edit::Objective(objective),
                done,
            }),
            None if changed => actions.push(edit(ui, Edit::Objective(objective))),
            None => {}
        }
    }
}

fn edit_objective(
    ui: &mut Ui,
    view: &View,
    actions: &mut Vec<Action>,
    add: fn(&mut Ui, &View, &mut crate::theory::Objective),
) {
    let mut objective = view.preset.objective;
    add(ui, view, &mut objective);
    if objective != view.preset.objective {
        actions.push(edit(ui, Edit::Objective(objective)));
    }
}

/// An edit whose gesture lasts as long as the pointer is held.
fn edit(ui: &Ui, edit: Edit) -> Action {
    let done = ui.input(|input| !input.pointer.any_down());
    Action::Edit { edit, done }
}

/// What is open, and the way to others.
fn preset_ui(ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
    ui.horizontal(|ui| {
        let tip = format!(
            "{}  {}",
            UiCommand::Gallery.tip(),
            UiCommand::Gallery.shortcut_text(ui.ctx())
        );
        if ui.button("Presets").on_hover_text(tip).clicked() {
            actions.push(UiCommand::Gallery.action());
        }
        let title = RichText::new(&view.preset.title).strong();
        let tip = format!("{}\n\n{}", view.preset.summary, view.preset.look_for);
        ui.add(egui::Label::new(title).truncate())
            .on_hover_text(tip.trim().to_owned());
    });
    if !view.preset.look_for.is_empty() {
        let theme = Theme::of(ui);
        ui.add(
            egui::Label::new(
                RichText::new(&view.preset.look_for)
                    .small()
                    .color(theme.muted),
            )
            .wrap(),
        );
    }
    ui.add_space(2.0);
}

fn section(ui: &mut Ui, title: &str, open: bool, add: impl FnOnce(&mut Ui)) {
    foldable(ui, title, open, false, add);
}

/// As [`section`], unfolded whatever it was where that is wanted; its header.
fn foldable(
    ui: &mut Ui,
    title: &str,
    open: bool,
    unfold: bool,
    add: impl FnOnce(&mut Ui),
) -> Response {
    ui.separator();
    CollapsingHeader::new(RichText::new(title).strong())
        .default_open(open)
        .open(unfold.then_some(true))
        .show_unindented(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            add(ui);
            ui.add_space(2.0);
        })
        .header_response
}
