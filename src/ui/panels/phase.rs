//! The phase diagram: a quantity of the target, or of a policy trained in every cell, over two parameters, as a heat map with
//! the boundary on which two answers tie.
//! A click or a drag in it sets both parameters.

mod axes;
mod canvas;
mod export;
mod of;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use egui::{Button, ComboBox, DragValue, ProgressBar, RichText, Ui};

use super::pair::{mode_of, pair};
use crate::{
    bandit::Problem,
    engine::{
        Item, Parameter, PhaseAxis, PhaseMap, PhaseOf, PhaseQuantity, PhaseRequest, PhaseWorker,
    },
    experiment::Edit,
    theory::Objective,
    ui::{
        Action, Theme, View,
        widgets::{number::grouped, plot_menu::plot_menu, together::together},
    },
};
use axes::AxisKind;
use canvas::Canvas;
use of::Of;

/// Seconds of refinement before the thread rests by itself.
const BUDGET_SECS: f64 = 15.0;

/// The phase diagram.
#[derive(Default)]
pub(crate) struct PhaseDiagram {
    state: Option<State>,
    worker: Option<PhaseWorker>,
    /// Why there is no worker.
    failure: Option<String>,
    canvas: Canvas,
}

/// What the user chose, and what follows from it until it changes.
struct State {
    x: Chosen,
    y: Chosen,
    quantity: PhaseQuantity,
    /// Whose quantity it is.
    of: Of,
    /// Arms whose tie is drawn; fixed until the user picks others, so that a drag does not change what is drawn under it.
    pair: Option<(usize, usize)>,
    picked: (Option<usize>, Option<usize>),
    /// Arms and title of the problem that the axes were made for.
    identity: (usize, String),
    /// The problem looked at last, and the request that it led to with both parameters at their low ends.
    seen: Option<(Arc<Problem>, Objective)>,
    asked: Option<PhaseRequest>,
    generation: u64,
    budget_secs: f64,
    /// The user stopped the refinement.
    stopped: bool,
    /// The pointer is setting parameters.
    dragging: bool,
}

/// An axis as chosen.
#[derive(Clone, Copy)]
struct Chosen {
    kind: AxisKind,
    axis: PhaseAxis,
}

impl PhaseDiagram {
    /// Draws the panel. Call it only while the panel is visible.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        if view.problem.arms() < 2 {
            ui.label("A phase diagram needs at least two arms.");
            return;
        }
        if view.waits_for_model() {
            ui.label(
                "The target follows from the reference: it is not known until the model is loaded.",
            );
            return;
        }
        self.prepare(view);
        self.ensure_worker(ui);
        let Some(state) = &mut self.state else {
            return;
        };
        let latest = self.worker.as_ref().and_then(PhaseWorker::latest);
        let map = latest.filter(|map| map.generation == state.generation);
        ui.horizontal_wrapped(|ui| {
            state.choosers_ui(ui, view);
            let request = state.request(view);
            plot_menu(ui, "phase diagram", actions, |dark| {
                export::figure(&request, map.as_deref(), view, dark)
            });
            if let Some(worker) = &self.worker {
                state.ask(view, worker);
                state.progress_ui(ui, map.as_deref(), worker);
            }
            if self.canvas.has_boundary() {
                state.legend_ui(ui, view);
            }
        });
        if let Some(failure) = &self.failure {
            ui.colored_label(Theme::of(ui).error, failure);
        }
        let request = state.request(view);
        // A map of an older request of the same axes is better than nothing while the next one starts.
        let shown = map.or_else(|| {
            self.worker
                .as_ref()
                .and_then(PhaseWorker::latest)
                .filter(|map| map.request.x == request.x && map.request.y == request.y)
        });
        let wish = self.canvas.ui(ui, view, &request, shown.as_ref());
        state.follow(wish, view, actions);
    }

    /// Whether the map is computed to the end.
    #[cfg(test)]
    pub(super) fn is_computed(&self) -> bool {
        let latest = self.worker.as_ref().and_then(PhaseWorker::latest);
        let asked = self.state.as_ref().map(|state| state.generation);
        latest.is_some_and(|map| map.finished && Some(map.generation) == asked)
    }

    fn ensure_worker(&mut self, ui: &Ui) {
        if self.worker.is_none() && self.failure.is_none() {
            let context = ui.ctx().clone();
            match PhaseWorker::spawn(move || context.request_repaint()) {
                Ok(worker) => self.worker = Some(worker),
                Err(error) => {
                    self.failure = Some(format!("The phase diagram has no thread: {error}"));
                }
            }
        }
    }

    /// Makes or adapts the choice to the experiment shown.
    fn prepare(&mut self, view: &View) {
        let identity = (view.problem.arms(), view.preset.title.clone());
        if self
            .state
            .as_ref()
            .is_none_or(|state| state.identity != identity)
        {
            self.state = Some(State::new(view, identity));
        }
        if let Some(state) = &mut self.state {
            state.adapt(view);
        }
    }
}

impl State {
    fn new(view: &View, identity: (usize, String)) -> Self {
        let pair = pair(view);
        let chosen = |kind| Chosen::new(kind, view, pair);
        Self {
            x: chosen(AxisKind::Beta),
            y: chosen(AxisKind::Gap),
            quantity: if view.problem.modes.len() > 1 {
                PhaseQuantity::OF_TARGET[0]
            } else {
                PhaseQuantity::PairRatio
            },
            of: Of::new(view),
            pair,
            picked: view.selection.pair,
            identity,
            seen: None,
            asked: None,
            generation: 0,
            budget_secs: BUDGET_SECS,
            stopped: false,
            dragging: false,
        }
    }

    /// Follows a newly picked pair, and widens axes that the present values have left.
    fn adapt(&mut self, view: &View) {
        if self.picked != view.selection.pair {
            self.picked = view.selection.pair;
            self.pair = pair(view);
            for chosen in [&mut self.x, &mut self.y] {
                if chosen.kind.uses_pair() {
                    *chosen = Chosen::new(chosen.kind, view, self.pair);
                }
            }
        }
        self.of.adapt(view, &mut self.quantity);
        if self.dragging {
            return;
        }
        for chosen in [&mut self.x, &mut self.y] {
            let present = chosen
                .axis
                .parameter
                .present(view.problem, &view.preset.objective);
            let fraction = chosen.axis.fraction_of(present);
            if fraction.is_finite() && !(-1e-6..=1.0 + 1e-6).contains(&fraction) {
                *chosen = Chosen::new(chosen.kind, view, self.pair);
            }
        }
    }

    fn request(&self, view: &View) -> PhaseRequest {
        let (columns, rows) = match view.problem.arms() {
            0..=2_000 => (96, 64),
            2_001..=20_000 => (64, 48),
            _ => (48, 32),
        };
        let of = self.of.wanted();
        let (columns, rows) = match of {
            PhaseOf::Target => (columns, rows),
            PhaseOf::Policy(_) => of::CELLS,
        };
        PhaseRequest {
            problem: Arc::clone(view.problem),
            objective: view.preset.objective,
            x: self.x.axis,
            y: self.y.axis,
            quantity: self.quantity,
            divides_reward: view.preset.training.update.divides_reward_alone(),
            pair: self.pair,
            columns,
            rows,
            budget_secs: match of {
                PhaseOf::Target => self.budget_secs,
                // Its cost is told, and it can be stopped.
                PhaseOf::Policy(_) => f64::INFINITY,
            },
            of,
        }
    }

    /// Starts a computation where the map would differ from the one asked for last. The present values of the two
    /// parameters do not matter for that: both are put to the low ends of their axes before comparing.
    fn ask(&mut self, view: &View, worker: &PhaseWorker) {
        let request = self.request(view);
        let unchanged = self.seen.as_ref().is_some_and(|(problem, objective)| {
            Arc::ptr_eq(problem, view.problem) && *objective == view.preset.objective
        }) && self.asked.as_ref().is_some_and(|asked| {
            asked.x == request.x
                && asked.y == request.y
                && asked.quantity == request.quantity
                && asked.of == request.of
                && asked.divides_reward == request.divides_reward
                && asked.pair == request.pair
                && asked.budget_secs == request.budget_secs
        });
        if unchanged {
            return;
        }
        self.seen = Some((Arc::clone(view.problem), view.preset.objective));
        let (problem, objective) = request.at(request.x.low, request.y.low);
        let problem = match problem {
            std::borrow::Cow::Borrowed(_) => Arc::clone(view.problem),
            std::borrow::Cow::Owned(problem) => Arc::new(problem),
        };
        let normalised = PhaseRequest {
            problem,
            objective,
            ..request
        };
        if self.asked.as_ref() != Some(&normalised) {
            self.generation = worker.start(normalised.clone());
            self.asked = Some(normalised);
            self.stopped = false;
        }
    }

    fn choosers_ui(&mut self, ui: &mut Ui, view: &View) {
        let pair = self.pair;
        let other = (self.y.kind, self.x.kind);
        for (name, chosen, taken) in [
            ("Across", &mut self.x, other.0),
            ("Up", &mut self.y, other.1),
        ] {
            together(ui, name, |ui| {
                chooser_ui(ui, name, chosen, taken, view, pair)
            });
        }
        together(ui, "Colour", |ui| {
            let label = ui.label("Colour");
            let rule = view.problem.coverage;
            ComboBox::from_id_salt("phase quantity")
                .selected_text(self.quantity.label_by(rule))
                .width(120.0)
                .height(460.0)
                .show_ui(ui, |ui| {
                    for &quantity in self.of.quantities() {
                        let name = quantity.label_by(rule);
                        ui.selectable_value(&mut self.quantity, quantity, name)
                            .on_hover_text(quantity.formula_by(rule));
                    }
                })
                .response
                .labelled_by(label.id);
        });
        together(ui, "Of", |ui| self.of.ui(ui, view));
    }

    fn progress_ui(&mut self, ui: &mut Ui, map: Option<&PhaseMap>, worker: &PhaseWorker) {
        let theme = Theme::of(ui);
        let small = |text: String| RichText::new(text).small().color(theme.muted);
        match map {
            None => {
                ui.label(small("Starting".to_owned()));
            }
            Some(map) if map.failed => {
                ui.colored_label(
                    theme.error,
                    "The computation failed; change an axis to try again",
                );
            }
            Some(map) if !map.finished => {
                let part = map.done as f32 / map.total.max(1) as f32;
                if self.stopped {
                    ui.label(small(format!("Stopped at {:.0} %", part * 100.0)));
                    if ui.small_button("Start again").clicked() {
                        self.asked = None;
                    }
                    return;
                }
                ui.add(
                    ProgressBar::new(part)
                        .desired_width(140.0)
                        .desired_height(8.0),
                );
                let told = match &map.request.of {
                    PhaseOf::Target => format!("{:.0} %", part * 100.0),
                    PhaseOf::Policy(_) => of::progress(map),
                };
                ui.add(egui::Label::new(small(told)).extend());
                if ui
                    .small_button("Stop")
                    .on_hover_text("Keep what is there")
                    .clicked()
                {
                    worker.cancel();
                    self.stopped = true;
                }
            }
            Some(map) => {
                if ui.max_rect().width() > 560.0 {
                    let cells = |n: usize| n.div_ceil(map.stride.min(n).max(1));
                    let what = match &map.request.of {
                        PhaseOf::Target => "targets".to_owned(),
                        PhaseOf::Policy(training) => {
                            format!("trainings of {} steps", grouped(training.steps()))
                        }
                    };
                    let done = small(format!(
                        "{} × {} {what} in {:.1} s",
                        cells(map.request.columns),
                        cells(map.request.rows),
                        map.elapsed_secs
                    ));
                    // In one piece, on the next row if need be.
                    ui.add(egui::Label::new(done).extend());
                }
                if map.done < map.total
                    && map.request.of == PhaseOf::Target
                    && ui
                        .add(Button::new("Refine").small())
                        .on_hover_text("Take all the time it needs")
                        .clicked()
                {
                    self.budget_secs = f64::INFINITY;
                }
            }
        }
    }

    fn legend_ui(&self, ui: &mut Ui, view: &View) {
        if let Some((a, b)) = self.pair {
            let name = |arm| Item::Arm(arm).label(view.problem);
            let text = format!("white line where {} and {} tie", name(a), name(b));
            let text = RichText::new(text).small().color(Theme::of(ui).muted);
            ui.add(egui::Label::new(text).extend());
        }
    }

    /// Turns what the pointer wants into edits.
    fn follow(&mut self, wish: Option<canvas::Wish>, view: &View, actions: &mut Vec<Action>) {
        let Some(wish) = wish else {
            self.dragging = false;
            return;
        };
        self.dragging = !wish.done;
        let values = [
            (self.x.axis.parameter, wish.x),
            (self.y.axis.parameter, wish.y),
        ];
        let mut edits = Parameter::edits(&values, view.preset, view.problem);
        if edits.is_empty() && wish.done {
            // Nothing more to change: only tells that the gesture is over.
            edits.push(Edit::Objective(view.preset.objective));
        }
        actions.extend(edits.into_iter().map(|edit| Action::Edit {
            edit,
            done: wish.done,
        }));
    }
}

impl Chosen {
    fn new(kind: AxisKind, view: &View, pair: Option<(usize, usize)>) -> Self {
        let (a, b) = pair.unwrap_or((0, 1));
        let parameter = kind.parameter(item(view, a, b), item(view, b, a));
        Self {
            kind,
            axis: PhaseAxis::suited(parameter, view.problem, &view.preset.objective),
        }
    }
}

/// The mode that holds an arm, unless it has no other arm or holds the other one too.
fn item(view: &View, arm: usize, other: usize) -> Item {
    match mode_of(view, arm) {
        Some(mode)
            if view.problem.modes[mode].arms.len() > 1 && mode_of(view, other) != Some(mode) =>
        {
            Item::Mode(mode)
        }
        _ => Item::Arm(arm),
    }
}

fn chooser_ui(
    ui: &mut Ui,
    name: &str,
    chosen: &mut Chosen,
    taken: AxisKind,
    view: &View,
    pair: Option<(usize, usize)>,
) {
    let label = ui.label(name);
    let mut kind = chosen.kind;
    ComboBox::from_id_salt(name)
        .selected_text(kind.label())
        .width(110.0)
        .show_ui(ui, |ui| {
            for other in AxisKind::ALL.into_iter().filter(|&other| other != taken) {
                ui.selectable_value(&mut kind, other, other.label())
                    .on_hover_text(other.explanation());
            }
        })
        .response
        .labelled_by(label.id)
        .on_hover_text(kind.explanation());
    if kind != chosen.kind {
        *chosen = Chosen::new(kind, view, pair);
    }
    let (button, _) = egui::containers::menu::MenuButton::new("range").ui(ui, |ui| {
        range_ui(ui, name, chosen, view, pair);
    });
    button.accessible_name(format!("{name}, range"));
}

fn range_ui(
    ui: &mut Ui,
    name: &str,
    chosen: &mut Chosen,
    view: &View,
    pair: Option<(usize, usize)>,
) {
    let mut axis = chosen.axis;
    let speed = if axis.log10 {
        axis.low * 0.02
    } else {
        (axis.high - axis.low) * 0.005
    };
    ui.horizontal(|ui| {
        for (end, value) in [("from", &mut axis.low), ("to", &mut axis.high)] {
            let label = ui.label(end);
            ui.add(
                DragValue::new(value)
                    .speed(speed)
                    .update_while_editing(false),
            )
            .labelled_by(label.id);
        }
    });
    ui.checkbox(&mut axis.log10, format!("{name}, logarithmic"));
    let ordered = axis.low.is_finite() && axis.high.is_finite() && axis.low < axis.high;
    if ordered && (!axis.log10 || axis.low > 0.0) {
        chosen.axis = axis;
    }
    if ui
        .button("Fit")
        .on_hover_text("Back to the interval that suits")
        .clicked()
    {
        *chosen = Chosen::new(chosen.kind, view, pair);
        ui.close();
    }
}
