//! One arm's numbers in every series, as a tooltip; shared by plot and heat maps.

use egui::{Color32, RichText, Ui};

use super::{
    marks::WAITING,
    series::{Series, sample_error},
};
use crate::{
    bandit::Shape,
    experiment::OTHER,
    ui::{
        Theme, View,
        chart::{align, number},
    },
};

/// One line of the tooltip: name, value, colour of its series.
pub(crate) struct Line {
    /// What the number is.
    pub(crate) name: String,
    /// The number as text.
    pub(crate) value: String,
    /// The colour of its series, if it has one.
    pub(crate) color: Option<Color32>,
}

/// Everything known of one arm.
pub(crate) fn lines(view: &View<'_>, arm: usize, theme: &Theme) -> Vec<Line> {
    let mut lines = Vec::with_capacity(10);
    let mut add = |name: &str, value: String, color: Option<Color32>| {
        lines.push(Line {
            name: name.to_owned(),
            value,
            color,
        });
    };
    let value = |series: Series| {
        series
            .values(view)
            .map(|(_, values)| values.get(arm))
            .filter(|v| !v.is_nan())
    };
    for series in [
        Series::Reward,
        Series::Augmented,
        Series::Reference,
        Series::Target,
        Series::Policy,
        Series::BestFit,
    ] {
        if let Some(v) = value(series) {
            add(series.label(), number(v), Some(series.color(theme)));
        }
    }
    if let Some(share) = value(Series::Samples) {
        let error = sample_error(share, view.snapshot.sample_count);
        add(
            Series::Samples.label(),
            format!("{} ± {}", number(share), number(error)),
            Some(theme.samples),
        );
    }
    for (index, pin) in view.pins.iter().enumerate().filter(|(_, p)| p.visible) {
        if view.has_arms_of(pin)
            && let Some(mass) = pin.run.policy.get(arm)
        {
            add(
                &crate::ui::chart::elide(&view.pin_label(pin), 32),
                number(*mass),
                Some(super::draw::pin_color(index)),
            );
        }
    }
    let log_reference = view.problem.reference.log_masses().get(arm).copied();
    if let (Some(policy), Some(reference)) = (value(Series::Policy), log_reference) {
        add("log π/π_ref", number(policy.ln() - reference), None);
    }
    let log_target = view.shown_analysis().target.log_masses.get(arm).copied();
    if let (Some(target), Some(reference)) = (log_target, log_reference)
        && !view.waits_for_model()
    {
        add("log G/π_ref", number(target - reference), None);
    }
    lines
}

/// What the arm is called and where it lies.
pub(crate) fn title(view: &View<'_>, arm: usize) -> String {
    let label = view.problem.arm_label(arm);
    let (x, y) = view.problem.coordinates(arm);
    if view.preset.language.is_some() {
        return if label == OTHER {
            "Everything else".to_owned()
        } else {
            format!("Answer “{label}”")
        };
    }
    match view.problem.shape {
        Shape::Line { range, .. } if view.problem.names.is_none() && range != (0.0, 1.0) => {
            format!("Arm {label} at x = {}", number(x))
        }
        Shape::Line { .. } => format!("Arm {label}"),
        Shape::Grid { .. } => format!("Arm {label} at ({}, {})", number(x), number(y)),
    }
}

/// Draws the tooltip's contents.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, arm: usize) {
    let theme = Theme::of(ui);
    ui.label(RichText::new(title(view, arm)).strong());
    if let Some(mode) = view
        .problem
        .modes
        .iter()
        .find(|mode| mode.arms.binary_search(&(arm as u32)).is_ok())
    {
        ui.label(RichText::new(format!("Mode {}", mode.label)).small().weak());
    }
    if view.waits_for_model() {
        ui.label(RichText::new(WAITING).small().weak());
    }
    egui::Grid::new("arm numbers")
        .num_columns(2)
        .spacing([14.0, 2.0])
        .min_col_width(0.0)
        .show(ui, |ui| {
            let lines = lines(view, arm, &theme);
            let letters = lines
                .iter()
                .map(|l| l.value.chars().count())
                .max()
                .unwrap_or(0);
            for line in lines {
                ui.horizontal(|ui| {
                    let (rect, _) =
                        ui.allocate_exact_size(egui::vec2(8.0, 8.0), egui::Sense::hover());
                    if let Some(color) = line.color {
                        ui.painter().rect_filled(rect, 2.0, color);
                    }
                    ui.label(line.name);
                });
                ui.label(RichText::new(align(&line.value, letters)).monospace());
                ui.end_row();
            }
        });
}

/// Shows the tooltip at the pointer.
pub(crate) fn tooltip(ui: &Ui, id: egui::Id, view: &View<'_>, arm: usize) {
    egui::Tooltip::always_open(
        ui.ctx().clone(),
        ui.layer_id(),
        id,
        egui::PopupAnchor::Pointer,
    )
    .gap(14.0)
    .accessible_name("Arm under the pointer")
    .show(|content| self::ui(content, view, arm));
}
