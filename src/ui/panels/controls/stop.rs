//! Controls of the stop rule.

use egui::{DragValue, Ui};

use crate::experiment::StopRule;

/// Draws the rules into `stop`.
pub(super) fn stop_ui(ui: &mut Ui, stop: &mut StopRule) {
    let mut steps = stop.steps.map(|steps| steps as f64);
    optional(
        ui,
        "After steps",
        "Stop after this many steps.",
        &mut steps,
        1000.0,
        1.0..=1e12,
        10.0,
        "",
    );
    stop.steps = steps.map(|steps| steps.round().max(1.0) as u64);
    optional(
        ui,
        "When converged",
        "Stop once TV(π, G) = ½ Σ |π − G| stays at or below this for 100 steps.",
        &mut stop.converged,
        0.01,
        1e-9..=1.0,
        0.001,
        "",
    );
    optional(
        ui,
        "After seconds",
        "Stop after this many seconds of training; pauses do not count.",
        &mut stop.seconds,
        60.0,
        0.1..=1e9,
        1.0,
        " s",
    );
    if *stop == StopRule::default() {
        super::row::note(ui, "No rule: the run goes on until it is paused.");
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call per rule, each with its own words and numbers"
)]
fn optional(
    ui: &mut Ui,
    label: &str,
    tip: &str,
    value: &mut Option<f64>,
    default: f64,
    range: std::ops::RangeInclusive<f64>,
    speed: f64,
    suffix: &str,
) {
    ui.horizontal(|ui| {
        let mut on = value.is_some();
        let check = ui.checkbox(&mut on, label).on_hover_text(tip);
        if check.changed() {
            *value = on.then_some(default);
        }
        let mut shown = value.unwrap_or(default);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let field = DragValue::new(&mut shown)
                .range(range)
                .speed(speed)
                .suffix(suffix.to_owned())
                .custom_formatter(|value, _| super::row::compact(value))
                .update_while_editing(false);
            let field = ui
                .add_enabled(value.is_some(), field)
                .labelled_by(check.id)
                .on_hover_text(tip);
            if field.changed() {
                *value = Some(shown);
            }
        });
    });
}
