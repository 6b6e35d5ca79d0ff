//! Why one arm beats another under the target: the log-ratio of two arms split into what the reference and what the reward
//! contribute, the β at which they tie, and what MARA does to them.

use std::sync::Arc;

use egui::{ComboBox, DragValue, Grid, Label, RichText, TextWrapMode, Ui};

use super::pair::{best_arm, mode_of, pair};
use crate::{
    bandit::{Analysis, Problem},
    experiment::Edit,
    figure::Figure,
    theory::{Anchor, Beta, LogRatio, Mara, Objective, Threshold, decompose, solve, tie_beta},
    ui::{
        Action, Theme, View,
        widgets::{
            number::{factor, number},
            plot_menu::plot_menu,
        },
    },
};

mod split;
#[cfg(test)]
mod tests;
mod whole;

/// Above this many arms a picker asks for the number instead of listing every arm.
const LISTED_ARMS: usize = 200;

/// The inspector: two arms and why one outweighs the other.
#[derive(Default)]
pub(crate) struct Inspector {
    reading: Option<Reading>,
    /// The modes of the pair are compared as wholes.
    whole: bool,
    modes: Option<whole::Reading>,
}

/// Everything shown that costs more than a look-up, kept until problem, target or pair change.
struct Reading {
    problem: Arc<Problem>,
    analysis: Arc<Analysis>,
    objective: Objective,
    pair: (usize, usize),
    /// With everything that is on.
    now: Option<LogRatio>,
    /// Without MARA, where MARA is on and changes something.
    plain: Option<LogRatio>,
    tie: Option<Beta>,
}

impl Reading {
    fn new(view: &View, (a, b): (usize, usize)) -> Self {
        let objective = view.shown_objective();
        let (problem, analysis) = (view.problem, view.shown_analysis());
        let logs = problem.reference.log_masses();
        let swapped = analysis.paid_reference(problem);
        let rewards = analysis.paid_rewards();
        let now = decompose(a, b, swapped, rewards, &objective, &analysis.target);
        let changed = analysis.mara.is_some();
        let without = Objective {
            mara: None,
            ..objective
        };
        let plain = if changed {
            solve(&problem.reference, &analysis.rewards, &without)
                .ok()
                .and_then(|target| decompose(a, b, logs, &analysis.rewards, &without, &target))
        } else {
            None
        };
        let tie = tie_beta(a, b, logs, &analysis.rewards, &without);
        Self {
            problem: Arc::clone(problem),
            analysis: Arc::clone(analysis),
            objective,
            pair: (a, b),
            now,
            plain,
            tie,
        }
    }

    fn fits(&self, view: &View, pair: (usize, usize)) -> bool {
        Arc::ptr_eq(&self.problem, view.problem)
            && Arc::ptr_eq(&self.analysis, view.shown_analysis())
            && self.objective == view.shown_objective()
            && self.pair == pair
    }
}

impl Inspector {
    /// Draws the panel.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        egui::ScrollArea::vertical()
            .auto_shrink([false, false])
            .show(ui, |ui| self.contents_ui(ui, view, actions));
    }

    fn contents_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        if view.waits_for_model() {
            ui.label("What each answer gets is not known until the model is loaded.");
            return;
        }
        let Some(pair) = pair(view) else {
            ui.label("There is only one arm, so nothing to compare it with.");
            return;
        };
        let modes = whole::modes_of(view, pair);
        if let Some(modes) = modes.filter(|_| self.whole) {
            let reading = whole::Reading::renewed(self.modes.take(), view, modes);
            ui.horizontal_wrapped(|ui| {
                pickers_ui(ui, view, pair, Some(modes), actions);
                whole::switch_ui(ui, &mut self.whole);
                plot_menu(ui, "inspector", actions, |dark| reading.figure(view, dark));
            });
            reading.ui(ui, view, actions);
            self.modes = Some(reading);
            return;
        }
        if !self
            .reading
            .as_ref()
            .is_some_and(|reading| reading.fits(view, pair))
        {
            self.reading = Some(Reading::new(view, pair));
        }
        let Some(reading) = &self.reading else {
            return;
        };
        ui.horizontal_wrapped(|ui| {
            pickers_ui(ui, view, pair, None, actions);
            if modes.is_some() {
                whole::switch_ui(ui, &mut self.whole);
            }
            plot_menu(ui, "inspector", actions, |dark| figure(view, reading, dark));
        });
        ui.add_space(4.0);
        ui.add(Label::new(RichText::new(headline(view, reading)).strong()).wrap());
        ui.add_space(4.0);
        if let Some(now) = reading.now {
            split::split_ui(ui, now, reading.plain);
        }
        ui.add_space(4.0);
        tie_ui(ui, view, reading, actions);
        mara_ui(ui, view, reading, actions);
        ui.add_space(6.0);
        numbers_ui(ui, view, pair);
    }
}

fn arm_name(view: &View, arm: usize) -> String {
    let label = view.problem.arm_label(arm);
    if view.problem.names.is_some() {
        label
    } else {
        format!("arm {label}")
    }
}

/// The same with a capital at the start of a sentence, unless it is the user's own name for an arm.
fn capital(name: &str) -> String {
    name.strip_prefix("arm ")
        .map_or_else(|| name.to_owned(), |number| format!("Arm {number}"))
}

fn full_name(view: &View, arm: usize) -> String {
    match mode_of(view, arm) {
        Some(mode) if view.problem.modes[mode].arms.len() > 1 => {
            format!(
                "{} ({})",
                arm_name(view, arm),
                view.problem.modes[mode].label
            )
        }
        _ => arm_name(view, arm),
    }
}

/// `modes` are those of the pair where they are compared as wholes.
fn pickers_ui(
    ui: &mut Ui,
    view: &View,
    (a, b): (usize, usize),
    modes: Option<(usize, usize)>,
    actions: &mut Vec<Action>,
) {
    let pick = |ui: &mut Ui, first: bool| match modes {
        Some((x, y)) => {
            let (name, mode) = if first {
                ("First mode", x)
            } else {
                ("Second mode", y)
            };
            whole::picker_ui(ui, view, name, mode)
        }
        None if first => picker_ui(ui, view, "First arm", a),
        None => picker_ui(ui, view, "Second arm", b),
    };
    if let Some(arm) = pick(ui, true) {
        actions.push(Action::PickPair(Some(arm), Some(b)));
    }
    ui.label("against");
    if let Some(arm) = pick(ui, false) {
        actions.push(Action::PickPair(Some(a), Some(arm)));
    }
    if ui
        .button("Swap")
        .on_hover_text("Exchange first and second")
        .clicked()
    {
        actions.push(Action::PickPair(Some(b), Some(a)));
    }
    let picked = view.selection.pair != (None, None);
    if ui
        .add_enabled(picked, egui::Button::new("Deciding pair"))
        .on_hover_text("The two arms whose contest decides the target now: the modes that tie nearest the present β")
        .clicked()
    {
        actions.push(Action::PickPair(None, None));
    }
}

fn picker_ui(ui: &mut Ui, view: &View, name: &str, arm: usize) -> Option<usize> {
    let mut picked = None;
    let arms = view.problem.arms();
    let response = ComboBox::from_id_salt(name)
        .selected_text(full_name(view, arm))
        .width(110.0)
        .show_ui(ui, |ui| {
            ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
            for (index, mode) in view.problem.modes.iter().enumerate().take(LISTED_ARMS) {
                if mode.arms.len() > 1
                    && let Some(best) = best_arm(view, index)
                    && ui
                        .selectable_label(best == arm, format!("best of {}", mode.label))
                        .clicked()
                {
                    picked = Some(best);
                }
            }
            if arms <= LISTED_ARMS {
                ui.separator();
                for other in 0..arms {
                    if ui
                        .selectable_label(other == arm, arm_name(view, other))
                        .clicked()
                    {
                        picked = Some(other);
                    }
                }
            }
        })
        .response;
    response
        .accessible_name(name)
        .on_hover_text("Or click an arm in the main plot");
    if arms > LISTED_ARMS {
        let mut index = arm;
        if ui
            .add(DragValue::new(&mut index).range(0..=arms - 1))
            .accessible_name(format!("{name} number"))
            .changed()
        {
            picked = Some(index);
        }
    }
    picked
}

fn headline(view: &View, reading: &Reading) -> String {
    let (a, b) = reading.pair;
    let (first, second) = (arm_name(view, a), arm_name(view, b));
    let (upper_first, upper_second) = (capital(&first), capital(&second));
    if a == b {
        return "Pick two different arms to compare.".to_owned();
    }
    let mass = |arm: usize| {
        view.shown_analysis()
            .target
            .masses
            .get(arm)
            .copied()
            .unwrap_or(0.0)
    };
    let Some(now) = reading.now else {
        return match (mass(a) > 0.0, mass(b) > 0.0) {
            (true, false) => format!("{upper_first} has target mass, {second} gets none at all."),
            (false, true) => format!("{upper_second} has target mass, {first} gets none at all."),
            _ => format!(
                "The log-ratio of {first} and {second} has no parts: the reference excludes one of them."
            ),
        };
    };
    if now.total.abs() < 1e-9 {
        format!("{upper_first} and {second} have the same target mass.")
    } else if now.total > 0.0 {
        format!(
            "{upper_first} gets {} the target mass of {second}.",
            factor(now.total)
        )
    } else {
        format!(
            "{upper_second} gets {} the target mass of {first}.",
            factor(-now.total)
        )
    }
}

fn tie_ui(ui: &mut Ui, view: &View, reading: &Reading, actions: &mut Vec<Action>) {
    let (a, b) = reading.pair;
    if a == b {
        return;
    }
    let rewards = &view.shown_analysis().rewards;
    let logs = view.problem.reference.log_masses();
    let (Some(&ra), Some(&rb), Some(&la), Some(&lb)) =
        (rewards.get(a), rewards.get(b), logs.get(a), logs.get(b))
    else {
        return;
    };
    let (better, supported) = if ra > rb { (a, b) } else { (b, a) };
    let plain = if reading.plain.is_some() {
        "Without MARA they"
    } else {
        "They"
    };
    let text = match reading.tie {
        Some(beta) => format!(
            "{plain} tie at β* = {}. Below it {} wins by reward, above it {} wins by support.",
            number(beta.get()),
            arm_name(view, better),
            arm_name(view, supported)
        ),
        None if la == f64::NEG_INFINITY || lb == f64::NEG_INFINITY => {
            "The reference excludes one of them, so no β makes them tie.".to_owned()
        }
        None if ra == rb && la == lb => {
            "Same reward and same reference: the same target mass for every β.".to_owned()
        }
        None if ra == rb && view.shown_objective().entropy > 0.0 => {
            let now = reading.plain.or(reading.now);
            let now = now.map_or_else(String::new, |now| {
                format!(" At this β it is {}.", factor(now.total.abs()))
            });
            format!(
                "Equal rewards: {}the reference sets a ratio of {}, and the entropy bonus flattens it, the more the smaller β is.\
                 {now} The rarer one is never preferred.",
                if reading.plain.is_some() {
                    "without MARA "
                } else {
                    ""
                },
                factor((la - lb).abs())
            )
        }
        None if ra == rb => format!(
            "Equal rewards: {}the ratio stays {} whatever β is. The rarer one is never preferred.",
            if reading.plain.is_some() {
                "without MARA "
            } else {
                ""
            },
            factor((la - lb).abs())
        ),
        None if la == lb => format!(
            "Equal reference: {} wins for every β, and the smaller β, the more decisively.",
            arm_name(view, better)
        ),
        None if (ra > rb) == (la > lb) => format!(
            "{} is better in reward and in reference, so it wins for every β.",
            capital(&arm_name(view, better))
        ),
        None => "No β between 1e−6 and 1e6 makes them tie.".to_owned(),
    };
    ui.add(Label::new(text).wrap());
    if let Some(beta) = reading.tie {
        set_beta_ui(ui, view, beta, actions);
    }
}

/// A button that puts β on a tie point.
fn set_beta_ui(ui: &mut Ui, view: &View, beta: Beta, actions: &mut Vec<Action>) {
    let at_tie = (view.shown_objective().beta.get() / beta.get() - 1.0).abs() < 1e-9;
    if ui
        .add_enabled(
            !at_tie && view.scrub.is_none(),
            egui::Button::new(format!("Set β to {}", number(beta.get()))),
        )
        .on_hover_text("Put β exactly on the tie point")
        .clicked()
    {
        actions.push(edit(Objective {
            beta,
            ..view.preset.objective
        }));
    }
}

fn mara_ui(ui: &mut Ui, view: &View, reading: &Reading, actions: &mut Vec<Action>) {
    let (a, b) = reading.pair;
    if a == b {
        return;
    }
    let objective = view.shown_objective();
    let rewards = &view.shown_analysis().rewards;
    let (Some(&ra), Some(&rb)) = (rewards.get(a), rewards.get(b)) else {
        return;
    };
    ui.add_space(4.0);
    if objective.mara.is_some() {
        let text = match (reading.plain, reading.now) {
            (Some(plain), Some(now)) if (plain.total - now.total).abs() > 1e-9 => format!(
                "MARA changes the ratio from {} to {} (first over second).",
                factor(plain.total),
                factor(now.total)
            ),
            _ => "MARA is on and leaves this pair's ratio as it is.".to_owned(),
        };
        ui.add(Label::new(text).wrap());
        return;
    }
    let threshold = ra.min(rb);
    ui.add(
        Label::new(format!(
            "MARA with τ ≤ {} counts both as good and gives them the same target mass.",
            number(threshold)
        ))
        .wrap(),
    );
    let text = format!("Switch on MARA at τ = {}", number(threshold));
    if ui
        .add_enabled(view.scrub.is_none(), egui::Button::new(text))
        .on_hover_text(
            "Mode-anchored reward augmentation: good answers share the anchor's reward and support",
        )
        .clicked()
    {
        actions.push(edit(Objective {
            mara: Some(Mara {
                threshold: Threshold::Constant(threshold),
                algorithm: None,
                anchor: Anchor::default(),
                per_class: false,
            }),
            ..view.preset.objective
        }));
    }
}

fn edit(objective: Objective) -> Action {
    Action::Edit {
        edit: Edit::Objective(objective),
        done: true,
    }
}

fn numbers_ui(ui: &mut Ui, view: &View, (a, b): (usize, usize)) {
    let analysis = view.shown_analysis();
    let at = |values: &[f64], arm: usize| values.get(arm).copied().unwrap_or(f64::NAN);
    let logs = view.problem.reference.log_masses();
    let mut rows: Vec<(&str, &str, f64, f64)> = vec![(
        "reward R",
        "Effective reward: scale · raw + offset",
        at(&analysis.rewards, a),
        at(&analysis.rewards, b),
    )];
    if let Some(augmented) = analysis.augmented() {
        rows.push((
            "after MARA",
            "Augmented reward",
            at(augmented, a),
            at(augmented, b),
        ));
    }
    rows.push((
        "reference π_ref",
        "Mass under the reference policy",
        at(logs, a).exp(),
        at(logs, b).exp(),
    ));
    rows.push((
        "target G",
        "Mass the objective asks for",
        at(&analysis.target.masses, a),
        at(&analysis.target.masses, b),
    ));
    rows.push((
        "policy π",
        "Mass under the policy now",
        view.policy_mass(a),
        view.policy_mass(b),
    ));
    grid_ui(ui, [arm_name(view, a), arm_name(view, b)], &rows);
}

/// Numbers of first and second side by side; each row has a label, an explanation and the two.
fn grid_ui(ui: &mut Ui, names: [String; 2], rows: &[(&str, &str, f64, f64)]) {
    let theme = Theme::of(ui);
    Grid::new("inspector numbers")
        .num_columns(3)
        .spacing([16.0, 4.0])
        .striped(true)
        .show(ui, |ui| {
            ui.label("");
            for name in names {
                ui.label(RichText::new(name).color(theme.muted));
            }
            ui.end_row();
            for &(label, explained, first, second) in rows {
                ui.label(label).on_hover_text(explained);
                for value in [first, second] {
                    ui.label(RichText::new(number(value)).monospace());
                }
                ui.end_row();
            }
        });
}

fn figure(view: &View, reading: &Reading, dark: bool) -> Figure {
    let (a, b) = reading.pair;
    let (a, b) = (arm_name(view, a), arm_name(view, b));
    split::figure(
        (&format!("log G({a}) / G({b})"), &a),
        reading.now,
        reading.plain,
        dark,
    )
}
