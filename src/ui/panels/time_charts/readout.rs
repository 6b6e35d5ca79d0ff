//! The numbers under the pointer.

use egui::{Color32, Response, RichText, Sense, Ui, vec2};

use super::{Chart, PinTraces, Point, Shows, averaged, trace};
use crate::{
    bandit,
    ui::{
        Theme, View,
        chart::{align, elide, number, steps_label},
        panels::main_plot::pin_color,
        widgets::number::grouped,
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
            if self.chart.lanes && view.problem.arms() > bandit::MOST_COMPARED_ARMS {
                let most = grouped(bandit::MOST_COMPARED_ARMS as u64);
                let text = format!("dynamics and sampling are measured on up to {most} arms");
                ui.label(RichText::new(text).small());
            }
            let rule = view.problem.coverage;
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

    fn row(
        &self,
        ui: &mut Ui,
        name: &str,
        color: Color32,
        (shows, points): (Shows, &[Point]),
        batch: Option<usize>,
    ) {
        let Some(point) = trace::at(points, self.step) else {
            return;
        };
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(8.0, 8.0), Sense::hover());
            ui.painter().rect_filled(rect, 2.0, color);
            ui.label(name);
        });
        let value = number(shows.value(point.mean));
        ui.label(RichText::new(align(&value, 11)).monospace());
        if let Some(error) = shows.error(point.mean, batch) {
            ui.label(RichText::new(format!("± {} of one batch", number(error))).monospace());
        }
        ui.end_row();
    }
}
