//! Two modes as wholes: the ratio of their summed target masses, split as that of two arms is.

use std::sync::Arc;

use egui::{ComboBox, Label, RichText, TextWrapMode, Ui};

use super::{LISTED_ARMS, grid_ui, set_beta_ui, split};
use crate::{
    bandit::{Analysis, Problem},
    figure::Figure,
    theory::{Beta, LogRatio, Objective, decompose_modes, mode_tie_betas, solve},
    ui::{
        Action, View,
        panels::pair::{best_arm, mode_of},
        widgets::number::{factor, number},
    },
};

/// Ties of whole modes are looked for up to so many arms: some hundred solutions of the target, within a frame.
const TIES_UP_TO: usize = 1_000;

/// The modes of two arms, where comparing them as wholes says something else than comparing the arms.
pub(super) fn modes_of(view: &View, (a, b): (usize, usize)) -> Option<(usize, usize)> {
    let (first, second) = (mode_of(view, a)?, mode_of(view, b)?);
    let size = |mode: usize| view.problem.modes.get(mode).map_or(0, |m| m.arms.len());
    (first != second && size(first).max(size(second)) > 1).then_some((first, second))
}

/// Switches between arms and whole modes.
pub(super) fn switch_ui(ui: &mut Ui, whole: &mut bool) {
    ui.toggle_value(whole, "Whole modes").on_hover_text(
        "Compare the modes of the two arms by all their mass, not the two arms alone",
    );
}

/// Picks a mode, by its best arm.
pub(super) fn picker_ui(ui: &mut Ui, view: &View, name: &str, mode: usize) -> Option<usize> {
    let mut picked = None;
    let response = ComboBox::from_id_salt(name)
        .selected_text(label(view, mode))
        .width(110.0)
        .show_ui(ui, |ui| {
            ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
            for index in 0..view.problem.modes.len().min(LISTED_ARMS) {
                if ui
                    .selectable_label(index == mode, label(view, index))
                    .clicked()
                {
                    picked = best_arm(view, index);
                }
            }
        })
        .response;
    response
        .accessible_name(name)
        .on_hover_text("Or click an arm of it in the main plot");
    picked
}

fn label(view: &View, mode: usize) -> String {
    let mode = view.problem.modes.get(mode);
    mode.map_or_else(String::new, |mode| mode.label.clone())
}

/// What costs more than a look-up, kept until problem, target or modes change.
pub(super) struct Reading {
    problem: Arc<Problem>,
    analysis: Arc<Analysis>,
    objective: Objective,
    modes: (usize, usize),
    /// With everything that is on.
    now: Option<LogRatio>,
    /// Without MARA, where MARA is on and changes something.
    plain: Option<LogRatio>,
    /// Without MARA; not looked for on large problems.
    ties: Option<Arc<[Beta]>>,
}

impl Reading {
    /// The reading of now, with what still holds of an earlier one.
    pub(super) fn renewed(last: Option<Self>, view: &View, modes: (usize, usize)) -> Self {
        let objective = view.shown_objective();
        let (problem, analysis) = (view.problem, view.shown_analysis());
        let last = last.filter(|last| Arc::ptr_eq(&last.problem, problem) && last.modes == modes);
        // Ties depend on neither β nor MARA.
        let tying = |of: &Objective| Objective {
            beta: objective.beta,
            mara: None,
            ..*of
        };
        let kept = match last {
            Some(last) if Arc::ptr_eq(&last.analysis, analysis) && last.objective == objective => {
                return last;
            }
            Some(last) if tying(&last.objective) == tying(&objective) => last.ties,
            _ => None,
        };
        let arms = |mode: usize| problem.modes.get(mode).map_or(&[][..], |mode| &mode.arms);
        let (a, b) = (arms(modes.0), arms(modes.1));
        let logs = problem.reference.log_masses();
        let without = Objective {
            mara: None,
            ..objective
        };
        let now = decompose_modes(
            a,
            b,
            analysis.paid_reference(problem),
            &objective,
            &analysis.target,
        );
        let plain = analysis.mara.as_ref().and_then(|_| {
            let target = solve(&problem.reference, &analysis.rewards, &without).ok()?;
            decompose_modes(a, b, logs, &without, &target)
        });
        let ties = kept.or_else(|| {
            let few = logs.len() <= TIES_UP_TO;
            few.then(|| mode_tie_betas(a, b, logs, &analysis.rewards, &without).into())
        });
        Self {
            problem: Arc::clone(problem),
            analysis: Arc::clone(analysis),
            objective,
            modes,
            now,
            plain,
            ties,
        }
    }

    /// Draws everything below the pickers.
    pub(super) fn ui(&self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        ui.add_space(4.0);
        ui.add(Label::new(RichText::new(self.headline(view)).strong()).wrap());
        ui.add_space(4.0);
        if let Some(now) = self.now {
            split::split_ui(ui, now, self.plain);
        }
        ui.add_space(4.0);
        self.ties_ui(ui, view, actions);
        if let (Some(plain), Some(now)) = (self.plain, self.now)
            && (plain.total - now.total).abs() > 1e-9
        {
            let text = format!(
                "MARA changes the ratio from {} to {} (first over second).",
                factor(plain.total),
                factor(now.total)
            );
            ui.add(Label::new(text).wrap());
        }
        ui.add_space(6.0);
        self.numbers_ui(ui, view);
    }

    fn headline(&self, view: &View) -> String {
        let (first, second) = (label(view, self.modes.0), label(view, self.modes.1));
        let Some(now) = self.now else {
            return format!("The target or the reference gives nothing to {first} or {second}.");
        };
        if now.total.abs() < 1e-9 {
            return format!("As wholes, {first} and {second} have the same target mass.");
        }
        let (more, less) = if now.total > 0.0 {
            (first, second)
        } else {
            (second, first)
        };
        format!(
            "As a whole, {more} gets {} the target mass of {less}.",
            factor(now.total.abs())
        )
    }

    fn ties_ui(&self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let without = if self.plain.is_some() {
            "Without MARA the modes"
        } else {
            "The modes"
        };
        let text = match self.ties.as_deref() {
            None => format!(
                "Ties of whole modes are sought up to {TIES_UP_TO} arms; those of their best arms are under the slider of β."
            ),
            Some([]) => {
                format!("{without} weigh the same at no β between 1e−6 and 1e6.")
            }
            Some(ties) => {
                let betas: Vec<String> = ties.iter().map(|beta| number(beta.get())).collect();
                format!("{without} weigh the same at β* = {}.", betas.join(" and "))
            }
        };
        ui.add(Label::new(text).wrap());
        for &beta in self.ties.as_deref().unwrap_or_default() {
            set_beta_ui(ui, view, beta, actions);
        }
    }

    fn numbers_ui(&self, ui: &mut Ui, view: &View) {
        let (a, b) = self.modes;
        let at = |masses: &[f64], mode: usize| masses.get(mode).copied().unwrap_or(f64::NAN);
        let policy = |mode: usize| -> f64 {
            if view.scrub.is_none() {
                return at(&view.snapshot.policy_modes, mode);
            }
            let arms = self.problem.modes.get(mode).map_or(&[][..], |m| &m.arms);
            arms.iter().map(|&arm| view.policy_mass(arm as usize)).sum()
        };
        let (reference, target) = (&self.analysis.reference_modes, &self.analysis.target_modes);
        let rows = [
            (
                "reference π_ref",
                "Mass of the mode under the reference policy",
                at(reference, a),
                at(reference, b),
            ),
            (
                "target G",
                "Mass that the objective asks for on the mode",
                at(target, a),
                at(target, b),
            ),
            (
                "policy π",
                "Mass of the mode under the policy now",
                policy(a),
                policy(b),
            ),
        ];
        grid_ui(ui, [label(view, a), label(view, b)], &rows);
    }

    /// The split as a figure.
    pub(super) fn figure(&self, view: &View, dark: bool) -> Figure {
        let (a, b) = (label(view, self.modes.0), label(view, self.modes.1));
        split::figure(
            (&format!("log G({a}) / G({b})"), &a),
            self.now,
            self.plain,
            dark,
        )
    }
}
