//! The numbers under the pointer.

use egui::{Color32, Response, RichText, Sense, Ui, vec2};

use super::{Chart, PinTraces, Point, Shows, averaged, trace};
use crate::{
    experiment::PolicyFamily,
    theory::Metric,
    ui::{
        Theme, View,
        chart::{align, elide, number, steps_label},
        panels::main_plot::pin_color,
    },
};

/// What a chart tells of the step under the pointer.
pub(super) struct Readout<'a> {
    pub(super) chart: &'a Chart,
    pub(super) traces: &'a [Vec<Point>],
    pub(super) pins: &'a [PinTraces],
    pub(super) step: f64,
    /// The edit near the pointer.
    pub(super) mark: Option<&'a str>,
}

impl Readout<'_> {
    /// Shows it at the pointer.
    pub(super) fn show(&self, ui: &Ui, response: &Response, view: &View) {
        egui::Tooltip::always_open(
            ui.ctx().clone(),
            ui.layer_id(),
            response.id,
            egui::PopupAnchor::Pointer,
        )
        .gap(14.0)
        .accessible_name("Values at the pointer")
        .show(|ui| {
            ui.label(RichText::new(format!("Step {}", steps_label(self.step))).strong());
            if let Some(text) = averaged(view) {
                ui.label(RichText::new(text).small().weak());
            }
            if let Some(mark) = self.mark {
                ui.colored_label(Theme::of(ui).edit_mark, mark);
            }
            egui::Grid::new("values")
                .num_columns(3)
                .spacing([14.0, 2.0])
                .min_col_width(0.0)
                .show(ui, |ui| self.rows(ui, view));
            if self.shows_compared()
                && let Some(at) = view.snapshot.causes_at.map(|at| at as f64)
                && at < self.step
            {
                let at = steps_label(at);
                let text = format!(
                    "dynamics, sampling and estimator bias are those of step {at}, the last one compared"
                );
                ui.label(RichText::new(text).small());
            }
            let rule = view.problem.coverage;
            for (name, reason) in self.missing(view) {
                ui.label(RichText::new(format!("{name}: {reason}")).small());
            }
            for curve in self.chart.curves {
                let (label, formula) = (curve.shows.label_by(rule), curve.shows.formula_by(rule));
                let text = format!("{label} = {formula}");
                ui.label(RichText::new(text).small().weak());
            }
        });
    }

    fn rows(&self, ui: &mut Ui, view: &View) {
        let theme = Theme::of(ui);
        let rule = view.problem.coverage;
        let batch = view.snapshot.training.update.batch();
        for (curve, points) in self.chart.curves.iter().zip(self.traces) {
            let color = (curve.color)(&theme);
            let name = curve.shows.label_by(rule);
            self.row(ui, &name, color, (curve.shows, points), batch);
        }
        for (index, traces) in self.pins {
            let pin = view.pins.get(*index);
            let label = pin.map_or_else(String::new, |pin| view.pin_label(pin));
            for (curve, points) in self.chart.curves.iter().zip(traces) {
                let name = format!("{}, {}", curve.shows.label(), elide(&label, 32));
                self.row(ui, &name, pin_color(*index), (curve.shows, points), None);
            }
        }
    }

    fn shows_compared(&self) -> bool {
        let mut curves = self.chart.curves.iter();
        curves.any(|curve| matches!(curve.shows, Shows::Metric(metric) if Metric::COMPARED.contains(&metric)))
    }

    /// Curves that have no value in this run, with the reason.
    fn missing(&self, view: &View) -> Vec<(&'static str, &'static str)> {
        let empty =
            (self.chart.curves.iter().zip(self.traces)).filter(|(_, points)| points.is_empty());
        empty
            .filter_map(|(curve, _)| match curve.shows {
                Shows::Metric(metric) => Some((metric.label(), why_missing(metric, view)?)),
                Shows::Part(_) | Shows::TokensPerSecond => None,
            })
            .collect()
    }

    fn row(
        &self,
        ui: &mut Ui,
        name: &str,
        color: Color32,
        (shows, points): (Shows, &[Point]),
        batch: Option<usize>,
    ) {
        let point = trace::at(points, self.step);
        // A lane stays there without a value: why it has none is said below.
        if point.is_none() && !self.chart.lanes {
            return;
        }
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(8.0, 8.0), Sense::hover());
            ui.painter().rect_filled(rect, 2.0, color);
            ui.label(name);
        });
        let value = point.map_or_else(|| "–".to_owned(), |p| number(shows.value(p.mean)));
        ui.label(RichText::new(align(&value, 11)).monospace());
        if let Some(error) = point.and_then(|point| shows.error(point.mean, batch)) {
            ui.label(RichText::new(format!("± {} of one batch", number(error))).monospace());
        }
        ui.end_row();
    }
}

/// Why a cause of collapse has no value in this run, if that is known.
fn why_missing(metric: Metric, view: &View) -> Option<&'static str> {
    let compared = Metric::COMPARED.contains(&metric);
    if view.snapshot.language.is_some() && (compared || metric == Metric::CauseRepresentation) {
        return Some("compared for bandits only; beside a language model nothing else is trained");
    }
    if view
        .snapshot
        .history
        .series
        .iter()
        .all(|series| series.steps.is_empty())
    {
        return Some("nothing is recorded yet");
    }
    match metric {
        Metric::CauseTarget => Some("the problem has no modes, so no answer counts as good"),
        Metric::CauseDynamics if view.snapshot.training.policy != PolicyFamily::SoftmaxTable => {
            Some(
                "defined for the softmax table only; this policy family does not reach every point of mirror descent's path",
            )
        }
        Metric::CauseRepresentation => Some("no best fit within the family was found"),
        _ if compared => Some("the run beside this one left the finite numbers"),
        _ => None,
    }
}
