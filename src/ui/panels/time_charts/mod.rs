//! Metrics over time as small multiples with one linked time axis: smoothing with the recorded range behind, edit marks,
//! pins, one cross-hair through all charts.

mod draw;
mod kinds;
mod legend;
mod readout;
mod trace;

use egui::{
    Align, Layout, PointerButton, Rect, Response, RichText, ScrollArea, Sense, Stroke, Ui,
    UiBuilder, pos2, vec2,
};

use self::draw::{curves, dot, edit_marks, fit, lanes};
use self::readout::Readout;
pub(crate) use self::{
    draw::RAW,
    kinds::{CHARTS, Chart, Curve, Shows},
    trace::{Point, trace, unsmoothed},
};
use crate::{
    engine::{History, Series, Snapshot},
    ui::{
        Action, Theme, View,
        chart::{Frame, Margins, decades, steps_label, ticks, time_ticks},
        figures,
        widgets::plot_menu,
    },
};

/// The least height of a chart before the panel scrolls.
const LEAST_HEIGHT: f32 = 76.0;
/// Width over height of a chart that reads well.
const SHAPE: f32 = 1.6;
/// The width from which another chart fits beside.
const LEAST_WIDTH: f32 = 165.0;

/// A pin's number and one trace per curve.
pub(crate) type PinTraces = (usize, Vec<Vec<Point>>);

/// State of the time charts: which are shown, zoom, smoothing.
pub(crate) struct TimeCharts {
    /// Of bandits, and of language models.
    shown: [[bool; CHARTS.len()]; 2],
    log: [bool; CHARTS.len()],
    /// Weight of the past in exponential smoothing, 0 for none.
    smoothing: f64,
    /// Steps shown; all if none.
    zoom: Option<(f64, f64)>,
    /// Step under the pointer, in whichever chart.
    hovered: Option<f64>,
    epoch: u64,
}

impl Default for TimeCharts {
    fn default() -> Self {
        Self {
            shown: [false, true]
                .map(|language| std::array::from_fn(|i| CHARTS[i].usual.shown(language))),
            log: [false; CHARTS.len()],
            smoothing: 0.0,
            zoom: None,
            hovered: None,
            epoch: 0,
        }
    }
}

impl TimeCharts {
    /// Draws the charts into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        if self.epoch != view.snapshot.epoch {
            self.epoch = view.snapshot.epoch;
            self.zoom = None;
        }
        self.header_ui(ui, view, actions);
        let outer = ui.available_rect_before_wrap();
        if !outer.is_finite() || outer.width() < 20.0 || outer.height() < 12.0 {
            return;
        }
        let shown = self.shown_charts(view);
        if shown.is_empty() {
            ui.weak("No chart is chosen");
            return;
        }
        let (across, height) = grid(outer, shown.len());
        let scrolls = height * shown.len().div_ceil(across) as f32 > outer.height() + 1.0;
        let x = self.zoom.unwrap_or((0.0, last_step(view)));
        let mut hovered = None;
        ScrollArea::vertical()
            .auto_shrink([false, false])
            .show(ui, |ui| {
                let width = ui.available_width() / across as f32;
                for row in shown.chunks(across) {
                    let (_, strip) = ui.allocate_space(vec2(ui.available_width(), height));
                    for (place, &index) in row.iter().enumerate() {
                        let left = strip.left() + place as f32 * width;
                        let rect = Rect::from_min_size(
                            pos2(left, strip.top()),
                            vec2(width - 4.0, height - 2.0),
                        );
                        if ui.is_rect_visible(rect) {
                            let step = self.chart_ui(ui, index, rect, (x, scrolls), view, actions);
                            hovered = hovered.or(step);
                        }
                    }
                }
            });
        if hovered != self.hovered {
            // The charts drawn before the hovered one show the step in the next frame.
            self.hovered = hovered;
            ui.ctx().request_repaint();
        }
    }

    fn shown_charts(&self, view: &View) -> Vec<usize> {
        let shown = &self.shown[usize::from(view.preset.language.is_some())];
        (0..CHARTS.len()).filter(|&i| shown[i]).collect()
    }

    fn header_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        ui.horizontal_wrapped(|ui| {
            let (button, _) = egui::containers::menu::MenuButton::new("Charts").ui(ui, |ui| {
                let language = view.preset.language.is_some();
                let shown = &mut self.shown[usize::from(language)];
                for (chart, on) in CHARTS.iter().zip(shown.iter_mut()) {
                    if chart.usual.possible(language) {
                        ui.checkbox(on, chart.name);
                    }
                }
                ui.separator();
                if ui.button("Usual charts").clicked() {
                    self.shown = Self::default().shown;
                }
            });
            button.on_hover_text("Choose which charts are shown");
            ui.add(
                egui::Slider::new(&mut self.smoothing, 0.0..=0.99)
                    .text("smoothing")
                    .fixed_decimals(2),
            )
            .on_hover_text(
                "Weight of the past in exponential smoothing; the recorded range stays behind the line",
            );
            if let Some(text) = averaged(view) {
                ui.weak(text).on_hover_text(
                    "Every metric over time is a mean of all prompts; headline and plot are of the prompt shown",
                );
            }
            if self.zoom.is_some()
                && ui
                    .button("Whole run")
                    .on_hover_text("Show all steps (double click does the same)")
                    .clicked()
            {
                self.zoom = None;
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                plot_menu::plot_menu(ui, "time charts", actions, |dark| {
                    self.figure(view, &self.shown_charts(view), dark)
                });
            });
        });
    }

    /// One chart; returns the step under the pointer.
    fn chart_ui(
        &mut self,
        ui: &mut Ui,
        index: usize,
        place: Rect,
        (x, scrolls): ((f64, f64), bool),
        view: &View,
        actions: &mut Vec<Action>,
    ) -> Option<f64> {
        let chart = &CHARTS[index];
        let theme = Theme::of(ui);
        let labels = place.height() > 70.0;
        let margins = Margins {
            left: if chart.lanes { 4.0 } else { 40.0 },
            right: 6.0,
            top: 16.0,
            bottom: if labels { 15.0 } else { 3.0 },
        };
        let frame = Frame::new(ui, place, margins)?;
        let response = ui.interact(
            frame.rect,
            ui.scope_id().with(("time chart", index)),
            Sense::click_and_drag(),
        );
        let enabled = ui.is_enabled();
        response.widget_info(|| {
            egui::WidgetInfo::labeled(
                egui::Role::Image,
                enabled,
                format!("{} over time", chart.name),
            )
        });
        let x_scale = frame.x(x.0, x.1);
        let columns = frame.rect.width() as usize;
        let traces = self.traces(chart, recorded(view.snapshot), x, columns);
        let pins = self.pin_traces(chart, view, x, columns);
        if labels {
            let wanted = (frame.rect.width() / 60.0).clamp(3.0, 8.0) as usize;
            frame.bottom_axis(x_scale, &time_ticks(x.0, x.1, wanted), true);
        }
        frame.outline();
        let log = self.log[index] && !chart.lanes;
        // Under the curves and the names of lanes.
        let nearest_mark;
        let y = if chart.lanes {
            nearest_mark = edit_marks(&frame, x_scale, view, &response, &theme);
            lanes(ui, &frame, x_scale, chart, &traces, &pins, &theme);
            None
        } else {
            let all = traces
                .iter()
                .chain(pins.iter().flat_map(|(_, traces)| traces.iter()));
            let (low, high) = fit(all, log);
            let y = frame.y(low, high);
            let wanted = (frame.rect.height() / 20.0).clamp(2.0, 6.0) as usize;
            let marks = if log {
                decades(low, high, wanted)
            } else {
                ticks(low, high, wanted)
            };
            frame.left_axis(y, &marks);
            nearest_mark = edit_marks(&frame, x_scale, view, &response, &theme);
            curves(&frame, (x_scale, y, log), chart, &traces, &pins, &theme);
            Some(y)
        };
        if let Some(keyframe) = view.scrub {
            let at = x_scale.at(keyframe.step as f64);
            frame
                .inside
                .vline(at, frame.rect.y_range(), Stroke::new(1.5, theme.accent));
        }
        if let Some(step) = self.hovered.filter(|s| *s >= x.0 && *s <= x.1) {
            let color = ui.visuals().text_color().gamma_multiply(0.5);
            frame.inside.vline(
                x_scale.at(step),
                frame.rect.y_range(),
                Stroke::new(1.0, color),
            );
            if let Some(y) = y {
                for (curve, points) in chart.curves.iter().zip(&traces) {
                    dot(
                        &frame,
                        (x_scale, y, log),
                        points,
                        step,
                        (curve.color)(&theme),
                    );
                }
            }
        }
        self.title_ui(ui, (index, place), &traces, view, &theme);
        self.view_by_pointer(ui, &response, x, scrolls, view);
        let step = response
            .hover_pos()
            .filter(|at| frame.rect.contains(*at) && response.hovered())
            .map(|at| x_scale.value(at.x).clamp(x.0, x.1).round());
        if let Some(step) = step
            && !response.context_menu_opened()
        {
            let readout = Readout {
                chart,
                traces: &traces,
                pins: &pins,
                step,
                mark: nearest_mark,
            };
            readout.show(ui, &response, view);
        }
        response.context_menu(|ui| {
            if let Some(at) = self.hovered
                && ui
                    .button("Show the run at this step")
                    .on_hover_text("Scrub back to here")
                    .clicked()
            {
                actions.push(Action::Scrub(Some(at.max(0.0) as u64)));
                ui.close();
            }
            if !chart.lanes {
                ui.checkbox(&mut self.log[index], "Log₁₀ axis");
            }
            if ui.button("Hide this chart").clicked() {
                self.shown[usize::from(view.preset.language.is_some())][index] = false;
                ui.close();
            }
            ui.separator();
            plot_menu::entries(ui, actions, |dark| self.figure(view, &[index], dark));
        });
        step
    }

    /// Those of the pins that are drawn.
    fn pin_traces(
        &self,
        chart: &Chart,
        view: &View,
        x: (f64, f64),
        columns: usize,
    ) -> Vec<PinTraces> {
        let drawn = view.pins.iter().enumerate().filter(|(_, pin)| pin.visible);
        drawn
            .map(|(index, pin)| {
                let run: (&History, &[Series]) = (&pin.run.history, &pin.run.timing);
                (index, self.traces(chart, run, x, columns))
            })
            .collect()
    }

    fn traces(
        &self,
        chart: &Chart,
        (history, timing): (&History, &[Series]),
        x: (f64, f64),
        columns: usize,
    ) -> Vec<Vec<Point>> {
        chart
            .curves
            .iter()
            .map(|curve| {
                curve
                    .shows
                    .series(history, timing)
                    .map(|series| trace(series, x, self.smoothing, columns))
                    .unwrap_or_default()
            })
            .collect()
    }

    /// Names of the curves with their value at the pointer or the last one, and the log switch.
    fn title_ui(
        &mut self,
        ui: &mut Ui,
        (index, place): (usize, Rect),
        traces: &[Vec<Point>],
        view: &View,
        theme: &Theme,
    ) {
        let chart = &CHARTS[index];
        let strip = Rect::from_min_size(place.min, vec2(place.width(), 16.0));
        let mut ui = ui.new_child(
            UiBuilder::new()
                .id_salt(("title", index))
                .max_rect(strip)
                .layout(Layout::right_to_left(Align::Center)),
        );
        let ui = &mut ui;
        ui.shrink_clip_rect(strip);
        ui.spacing_mut().button_padding = vec2(3.0, 0.0);
        ui.spacing_mut().interact_size.y = 14.0;
        ui.spacing_mut().item_spacing.x = 6.0;
        if !chart.lanes {
            ui.toggle_value(&mut self.log[index], RichText::new("log").size(10.0))
                .on_hover_text("Log₁₀ axis")
                .accessible_name(format!("{} on a log axis", chart.name));
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            if chart.lanes {
                ui.label(RichText::new(chart.name).size(11.0));
                // Large problems' companions are behind, and all rest some time after an edit.
                if let Some(at) = view.snapshot.causes_at
                    && at < view.snapshot.step
                {
                    let text = format!("to step {}", steps_label(at as f64));
                    let label = egui::Label::new(RichText::new(text).size(10.0).weak());
                    ui.add(label.truncate()).on_hover_text(
                        "Dynamics, sampling and the estimator's bias compare the run with others trained beside it, up to \
                         this step: they are behind it on large problems, and rest some time after the last edit",
                    );
                }
                return;
            }
            let rule = view.problem.coverage;
            legend::curves_ui(ui, (chart, rule), traces, self.hovered, theme);
        });
    }

    /// Wheel zooms (with Ctrl where the panel scrolls), a drag moves, a double click shows the whole run.
    fn view_by_pointer(
        &mut self,
        ui: &Ui,
        response: &Response,
        (mut low, mut high): (f64, f64),
        scrolls: bool,
        view: &View,
    ) {
        let before = (low, high);
        let end = last_step(view);
        let per_pixel = (high - low) / f64::from(response.rect.width().max(1.0));
        if response.hovered()
            && let Some(at) = response.hover_pos()
        {
            let scroll = ui.input(egui::InputState::smooth_scroll_delta);
            let pinch = f64::from(ui.input(egui::InputState::zoom_delta));
            let wheel = if scrolls { 0.0 } else { f64::from(scroll.y) };
            let factor = (-wheel * 0.004).exp() / pinch.max(1e-3);
            let centre = low + per_pixel * f64::from(at.x - response.rect.left());
            low = centre - (centre - low) * factor;
            high = centre + (high - centre) * factor;
            low -= f64::from(scroll.x) * per_pixel;
            high -= f64::from(scroll.x) * per_pixel;
        }
        if response.dragged_by(PointerButton::Primary) || response.dragged_by(PointerButton::Middle)
        {
            let moved = f64::from(response.drag_delta().x) * per_pixel;
            low -= moved;
            high -= moved;
        }
        if response.double_clicked() {
            self.zoom = None;
        } else if (low - before.0).abs() + (high - before.1).abs() > 1e-9 * (end + 1.0) {
            let span = (high - low).clamp(4.0_f64.min(end), end);
            let low = ((low + high - span) / 2.0).clamp(0.0, (end - span).max(0.0));
            self.zoom = (span < end).then_some((low, low + span));
        }
    }

    fn figure(&self, view: &View, charts: &[usize], dark: bool) -> crate::figure::Figure {
        let x = self.zoom.unwrap_or((0.0, last_step(view)));
        let charts = charts
            .iter()
            .map(|&index| {
                let chart = &CHARTS[index];
                let log = self.log[index] && !chart.lanes;
                let traces = self.traces(chart, recorded(view.snapshot), x, 2000);
                let pins = self.pin_traces(chart, view, x, 2000);
                let all = traces
                    .iter()
                    .chain(pins.iter().flat_map(|(_, traces)| traces.iter()));
                figures::TimeFigure {
                    chart,
                    y: fit(all, log),
                    log,
                    traces,
                    pins,
                }
            })
            .collect();
        figures::time_charts(view, x, charts, dark)
    }
}

/// What the metrics of several prompts are.
fn averaged(view: &View) -> Option<String> {
    let prompts = view.snapshot.language.as_ref()?.spec.prompts.len();
    (prompts > 1).then(|| format!("mean of {prompts} prompts"))
}

/// How many charts stand side by side, and how high each is.
fn grid(outer: Rect, count: usize) -> (usize, f32) {
    let count = count.max(1);
    let most = ((outer.width() / LEAST_WIDTH) as usize).clamp(1, count);
    let size = |across: usize| {
        vec2(
            outer.width() / across as f32,
            outer.height() / count.div_ceil(across) as f32 - 3.0,
        )
    };
    // How far a chart is from the shape that reads best.
    let off = |across: usize| {
        (size(across).x / size(across).y.max(1.0) / SHAPE)
            .ln()
            .abs()
    };
    let across = (1..=most)
        // No ragged last row where fewer columns do as well.
        .map(|across| count.div_ceil(count.div_ceil(across)))
        .filter(|&across| size(across).y >= LEAST_HEIGHT)
        .min_by(|&a, &b| off(a).total_cmp(&off(b)))
        .unwrap_or_else(|| count.div_ceil(count.div_ceil(most)));
    (across, size(across).y.max(LEAST_HEIGHT))
}

/// The last step that any history on screen reaches.
fn last_step(view: &View) -> f64 {
    let pins = view.pins.iter().filter(|pin| pin.visible);
    let step = pins.map(|pin| pin.run.step).max().unwrap_or(0);
    step.max(view.snapshot.step).max(1) as f64
}

/// What was recorded of the run so far: metrics, and the time by part of a language model's.
fn recorded(snapshot: &Snapshot) -> (&History, &[Series]) {
    let timing = (snapshot.language.as_ref()).map_or(&[][..], |language| &language.timing);
    (&snapshot.history, timing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_fill_the_panel_without_ragged_rows() {
        let outer = Rect::from_min_size(egui::Pos2::ZERO, vec2(1000.0, 300.0));
        assert_eq!(grid(outer, 6).0, 3);
        assert_eq!(grid(outer.with_max_y(130.0), 6).0, 6);
        assert_eq!(grid(outer.with_max_x(700.0), 6).0, 3);
        assert_eq!(grid(outer, 1).0, 1);
        assert_eq!(
            grid(Rect::from_min_size(egui::Pos2::ZERO, vec2(30.0, 30.0)), 6).0,
            1
        );
    }

    #[test]
    fn every_metric_is_on_some_chart() {
        for metric in crate::theory::Metric::ALL {
            assert!(
                CHARTS.iter().any(|chart| chart
                    .curves
                    .iter()
                    .any(|curve| curve.shows == Shows::Metric(*metric))),
                "{metric:?}"
            );
        }
    }
}
