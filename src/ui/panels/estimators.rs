//! Which gradient estimator pulls towards what, for the policy as it is now: expected direction and length against the exact
//! gradient, variance, signal-to-noise at the batch, and the target that each ends at. A click makes one the running estimator.

use std::sync::{Arc, Mutex, PoisonError};

use egui::{ComboBox, DragValue, RichText, Ui};

use crate::{
    experiment::{Advantage, Edit, PolicyFamily, Training, Update},
    theory::{Estimator, Spread},
    ui::{
        Action, Theme, View,
        chart::steps_label,
        widgets::{
            number::{factor, number},
            plot_menu::plot_menu,
        },
    },
};
use job::{Job, Policy, Table};

mod cells;
mod job;
mod table;
#[cfg(test)]
mod tests;

/// Shortest time between two computations.
const REFRESH_SECS: f64 = 0.25;
/// Batch where the run uses none.
const DEFAULT_BATCH: usize = 256;
/// Largest batch a run can have.
const LARGEST_BATCH: usize = 65_536;

/// The estimator view.
#[derive(Default)]
pub(crate) struct EstimatorView {
    /// Overrides of the running batch and advantage, for looking at others.
    batch: Option<usize>,
    advantage: Option<Advantage>,
    table: Option<Table>,
    /// The table in the making.
    pending: Option<Arc<Slot>>,
    started_at: f64,
    /// The preset that the table was last scrolled for.
    scrolled_for: Option<String>,
    /// The last frame in which the panel was drawn.
    drawn_in: u64,
}

/// Where the computing thread leaves its table.
#[derive(Default)]
struct Slot {
    table: Mutex<Option<Table>>,
}

impl EstimatorView {
    /// Draws the panel. Call it only while the panel is visible: it computes a few times per second as the policy moves.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        if view.waits_for_model() {
            ui.label(
                "Gradients follow from the policy: they are not known until the model is loaded.",
            );
            return;
        }
        let running = Estimator::of(&view.preset.training.update);
        let batch = self.batch.unwrap_or_else(|| running_batch(view));
        let advantage = self.advantage.unwrap_or_else(|| running_advantage(view));
        self.refresh(ui, view, batch, advantage);

        ui.horizontal_wrapped(|ui| self.header_ui(ui, view, batch, advantage, actions));
        let Some(table) = &self.table else {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label("Computing");
            });
            return;
        };
        notes_ui(ui, view, table);
        ui.add_space(2.0);
        // On opening, and with another preset, from the left again and at the row in use.
        let frame = ui.ctx().cumulative_frame_nr();
        let opened = frame > self.drawn_in + 2;
        self.drawn_in = frame;
        let title = &view.preset.title;
        let afresh = opened || self.scrolled_for.as_ref() != Some(title);
        let mut area = egui::ScrollArea::both().auto_shrink([false, false]);
        if afresh {
            self.scrolled_for = Some(title.clone());
            area = area.scroll_offset(egui::Vec2::ZERO);
        }
        let chosen = area
            .show(ui, |ui| table::table_ui(ui, table, running, afresh))
            .inner;
        if let Some(estimator) = chosen {
            actions.push(Action::Edit {
                edit: Edit::Training(Box::new(Training {
                    update: estimator.update(batch),
                    ..view.preset.training.clone()
                })),
                done: true,
            });
        }
    }

    /// Takes what is done and starts what is due.
    fn refresh(&mut self, ui: &Ui, view: &View, batch: usize, advantage: Advantage) {
        if let Some(slot) = &self.pending {
            let done = slot
                .table
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if done.is_some() {
                self.table = done;
                self.pending = None;
            } else if Arc::strong_count(slot) == 1 {
                // Its thread ended without a table.
                self.pending = None;
            }
        }
        let job = Job {
            problem: Arc::clone(view.problem),
            analysis: Arc::clone(view.shown_analysis()),
            objective: view.shown_objective(),
            policy: view.scrub.map_or_else(
                || Policy::Now(Arc::clone(&view.snapshot.policy)),
                |frame| Policy::Then(Arc::clone(&frame.policy)),
            ),
            step: view.scrub.map_or(view.snapshot.step, |frame| frame.step),
            batch,
            advantage,
        };
        let current = self.table.as_ref().is_some_and(|t| t.job.same(&job));
        if current || self.pending.is_some() {
            return;
        }
        let now = ui.input(|input| input.time);
        let wait = self.started_at + REFRESH_SECS - now;
        if self.table.is_some() && wait > 0.0 {
            ui.ctx()
                .request_repaint_after(std::time::Duration::from_secs_f64(wait));
            return;
        }
        self.started_at = now;
        let slot = Arc::new(Slot::default());
        let inside = Arc::clone(&slot);
        let context = ui.ctx().clone();
        let thread = std::thread::Builder::new()
            .name("modescope-estimators".to_owned())
            .spawn(move || {
                let table = job.run();
                *inside.table.lock().unwrap_or_else(PoisonError::into_inner) = Some(table);
                context.request_repaint();
            });
        // Where the system refuses a thread, the next refresh tries again.
        if thread.is_ok() {
            self.pending = Some(slot);
        }
    }

    fn header_ui(
        &mut self,
        ui: &mut Ui,
        view: &View,
        batch: usize,
        advantage: Advantage,
        actions: &mut Vec<Action>,
    ) {
        let label = ui.label("Advantage");
        let mut picked = advantage;
        ComboBox::from_id_salt("estimator advantage")
            .selected_text(advantage_name(advantage))
            .width(120.0)
            .show_ui(ui, |ui| {
                for other in [
                    Advantage::None,
                    Advantage::MeanBaseline,
                    Advantage::LeaveOneOut,
                    Advantage::GroupNormalised,
                ] {
                    ui.selectable_value(&mut picked, other, advantage_name(other));
                }
            })
            .response
            .labelled_by(label.id)
            .on_hover_text("What is subtracted from, and divides, the reward in every row");
        if picked != advantage {
            self.advantage = Some(picked);
        }
        let label = ui.label("Batch");
        let mut size = batch;
        if ui
            .add(
                DragValue::new(&mut size)
                    .range(1..=LARGEST_BATCH)
                    .speed(1.0 + batch as f64 * 0.01),
            )
            .labelled_by(label.id)
            .on_hover_text("Samples per step for variance and signal-to-noise")
            .changed()
        {
            self.batch = Some(size);
        }
        let differs = self.batch.is_some_and(|b| b != running_batch(view))
            || self.advantage.is_some_and(|a| a != running_advantage(view));
        if differs
            && ui
                .button("As the run")
                .on_hover_text("Back to the run's own advantage and batch")
                .clicked()
        {
            self.batch = None;
            self.advantage = None;
        }
        if let Some(table) = &self.table {
            let theme = Theme::of(ui);
            ui.label(
                RichText::new(format!("at step {}", steps_label(table.job.step as f64)))
                    .color(theme.muted)
                    .small(),
            );
            plot_menu(ui, "estimator view", actions, |dark| {
                table::figure(table, dark)
            });
        }
    }
}

fn running_batch(view: &View) -> usize {
    match view.preset.training.update {
        Update::Sampled { batch, .. } | Update::Dap { batch } => batch,
        Update::Exact | Update::NaturalGradient => DEFAULT_BATCH,
    }
}

fn running_advantage(view: &View) -> Advantage {
    match view.preset.training.update {
        Update::Sampled { advantage, .. } => advantage,
        Update::Dap { .. } | Update::Exact | Update::NaturalGradient => Advantage::MeanBaseline,
    }
}

fn advantage_name(advantage: Advantage) -> &'static str {
    match advantage {
        Advantage::None => "none",
        Advantage::MeanBaseline => "mean baseline",
        Advantage::LeaveOneOut => "leave one out",
        Advantage::GroupNormalised => "group-normalised",
    }
}

fn notes_ui(ui: &mut Ui, view: &View, table: &Table) {
    let theme = Theme::of(ui);
    let mut notes = vec![format!(
        "exact gradient of length {}",
        number(table.exact_length)
    )];
    if let Some((arm, log_ratio)) = table.lost
        && log_ratio > 3.0
    {
        let times = if log_ratio.is_finite() {
            factor(log_ratio)
        } else {
            "infinitely many ×".to_owned()
        };
        notes.push(format!(
            "π_ref is {times} π at arm {}, where k3 has its variance",
            view.problem.arm_label(arm)
        ));
    }
    let rare = |row: &job::Row| matches!(row.report.spread, Spread::RareArms { .. });
    if table.rows.iter().any(rare) {
        notes.push(format!(
            "* mostly from arms that a batch of {} is unlikely to hold",
            table.job.batch
        ));
    }
    if view.preset.training.policy != PolicyFamily::SoftmaxTable {
        notes.push("in logits, as for a softmax table".to_owned());
    }
    ui.add(egui::Label::new(RichText::new(notes.join("; ")).color(theme.muted).small()).wrap());
}
