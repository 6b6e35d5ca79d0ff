//! Metrics over time as small multiples with one linked time axis: smoothing with the recorded range behind, edit marks,
//! pins, one cross-hair through all charts.

mod kinds;
mod trace;

use egui::{
    Align, Align2, Color32, Layout, PointerButton, Pos2, Rect, Response, RichText, ScrollArea,
    Sense, Stroke, Ui, UiBuilder, pos2, vec2,
};

pub(crate) use self::{
    kinds::{CHARTS, Chart, Curve},
    trace::{Point, trace},
};
use super::main_plot::pin_color;
use crate::{
    engine::{History, Snapshot},
    ui::{
        Action, Theme, View,
        chart::{
            Frame, Margins, Pen, Scale, band, decades, line, number, steps_label, ticks, time_ticks,
        },
        figures,
        widgets::plot_menu,
    },
};

/// The least height of a chart before the panel scrolls.
const LEAST_HEIGHT: f32 = 76.0;
/// The width from which another chart fits beside.
const LEAST_WIDTH: f32 = 165.0;

/// A pin's number and one trace per curve.
pub(crate) type PinTraces = (usize, Vec<Vec<Point>>);

/// State of the time charts: which are shown, zoom, smoothing.
pub(crate) struct TimeCharts {
    shown: [bool; CHARTS.len()],
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
            shown: std::array::from_fn(|i| CHARTS[i].usual),
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
        let shown: Vec<usize> = (0..CHARTS.len()).filter(|&i| self.shown[i]).collect();
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

    fn header_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        ui.horizontal_wrapped(|ui| {
            let (button, _) = egui::containers::menu::MenuButton::new("Charts").ui(ui, |ui| {
                for (chart, on) in CHARTS.iter().zip(&mut self.shown) {
                    ui.checkbox(on, chart.name);
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
            if self.zoom.is_some()
                && ui
                    .button("Whole run")
                    .on_hover_text("Show all steps (double click does the same)")
                    .clicked()
            {
                self.zoom = None;
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let dark = ui.visuals().dark_mode;
                plot_menu::plot_menu(ui, "time charts", actions, || {
                    let shown: Vec<usize> = (0..CHARTS.len()).filter(|&i| self.shown[i]).collect();
                    self.figure(view, &shown, dark)
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
        let traces = self.traces(chart, &view.snapshot.history, x, columns);
        let pins: Vec<PinTraces> = view
            .pins
            .iter()
            .enumerate()
            .filter(|(_, pin)| pin.visible)
            .map(|(i, pin)| (i, self.traces(chart, &pin.snapshot.history, x, columns)))
            .collect();
        if labels {
            let wanted = (frame.rect.width() / 70.0).clamp(1.0, 8.0) as usize;
            frame.bottom_axis(x_scale, &time_ticks(x.0, x.1, wanted), true);
        }
        let log = self.log[index] && !chart.lanes;
        let y = if chart.lanes {
            lanes(&frame, x_scale, chart, &traces, &pins, &theme);
            None
        } else {
            let all = traces
                .iter()
                .chain(pins.iter().flat_map(|(_, traces)| traces.iter()));
            let (low, high) = fit(all, log);
            let y = frame.y(low, high);
            let wanted = (frame.rect.height() / 24.0).clamp(1.0, 6.0) as usize;
            let marks = if log {
                decades(low, high, wanted)
            } else {
                ticks(low, high, wanted)
            };
            frame.left_axis(y, &marks);
            curves(&frame, (x_scale, y, log), chart, &traces, &pins, &theme);
            Some(y)
        };
        frame.outline();
        let nearest_mark = edit_marks(&frame, x_scale, view, &response, &theme);
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
        self.title_ui(ui, index, place, &traces, &theme);
        self.view_by_pointer(ui, &response, x, scrolls, view);
        let step = response
            .hover_pos()
            .filter(|at| frame.rect.contains(*at) && response.hovered())
            .map(|at| x_scale.value(at.x).clamp(x.0, x.1).round());
        if let Some(step) = step
            && !response.context_menu_opened()
        {
            self.readout(
                ui,
                &response,
                chart,
                &traces,
                &pins,
                step,
                nearest_mark,
                view,
            );
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
                self.shown[index] = false;
                ui.close();
            }
            ui.separator();
            plot_menu::entries(ui, actions, || self.figure(view, &[index], theme.dark));
        });
        step
    }

    fn traces(
        &self,
        chart: &Chart,
        history: &History,
        x: (f64, f64),
        columns: usize,
    ) -> Vec<Vec<Point>> {
        chart
            .curves
            .iter()
            .map(|curve| {
                history
                    .get(curve.metric)
                    .map(|series| trace(series, x, self.smoothing, columns))
                    .unwrap_or_default()
            })
            .collect()
    }

    /// Names of the curves with their value at the pointer or the last one, and the log switch.
    fn title_ui(
        &mut self,
        ui: &mut Ui,
        index: usize,
        place: Rect,
        traces: &[Vec<Point>],
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
                return;
            }
            for (curve, points) in chart.curves.iter().zip(traces) {
                let value = match self.hovered {
                    Some(step) => trace::at(points, step),
                    None => points.last().copied(),
                };
                let value = value.map_or_else(|| "–".to_owned(), |p| number(p.mean));
                let text = RichText::new(format!("{} {value}", curve.metric.label())).size(11.0);
                let (swatch, _) = ui.allocate_exact_size(vec2(12.0, 8.0), Sense::hover());
                let y = swatch.center().y;
                line(
                    ui.painter(),
                    &[pos2(swatch.left(), y), pos2(swatch.right(), y)],
                    curve.pen,
                    Stroke::new(2.0, (curve.color)(theme)),
                );
                ui.add(egui::Label::new(text).truncate())
                    .on_hover_text(format!(
                        "{} = {}",
                        curve.metric.label(),
                        curve.metric.formula()
                    ));
            }
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

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one chart, used once"
    )]
    fn readout(
        &self,
        ui: &Ui,
        response: &Response,
        chart: &Chart,
        traces: &[Vec<Point>],
        pins: &[PinTraces],
        step: f64,
        mark: Option<&str>,
        view: &View,
    ) {
        let theme = Theme::of(ui);
        egui::Tooltip::always_open(
            ui.ctx().clone(),
            ui.layer_id(),
            response.id,
            egui::PopupAnchor::Pointer,
        )
        .gap(14.0)
        .accessible_name("Values at the pointer")
        .show(|ui| {
            ui.label(RichText::new(format!("Step {}", steps_label(step))).strong());
            if let Some(mark) = mark {
                ui.colored_label(theme.edit_mark, mark);
            }
            egui::Grid::new("values")
                .num_columns(2)
                .spacing([14.0, 2.0])
                .min_col_width(0.0)
                .show(ui, |ui| {
                    let row = |ui: &mut Ui, name: &str, color: Color32, points: &[Point]| {
                        let Some(point) = trace::at(points, step) else {
                            return;
                        };
                        ui.horizontal(|ui| {
                            let (rect, _) = ui.allocate_exact_size(vec2(8.0, 8.0), Sense::hover());
                            ui.painter().rect_filled(rect, 2.0, color);
                            ui.label(name);
                        });
                        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                            ui.label(RichText::new(number(point.mean)).monospace());
                        });
                        ui.end_row();
                    };
                    for (curve, points) in chart.curves.iter().zip(traces) {
                        row(ui, curve.metric.label(), (curve.color)(&theme), points);
                    }
                    for (index, traces) in pins {
                        let label = view.pins.get(*index).map_or("", |pin| pin.label.as_str());
                        for (curve, points) in chart.curves.iter().zip(traces) {
                            let name = format!(
                                "{}, {}",
                                curve.metric.label(),
                                crate::ui::chart::elide(label, 20)
                            );
                            row(ui, &name, pin_color(*index), points);
                        }
                    }
                });
            for curve in chart.curves {
                ui.label(
                    RichText::new(format!(
                        "{} = {}",
                        curve.metric.label(),
                        curve.metric.formula()
                    ))
                    .small()
                    .weak(),
                );
            }
        });
    }

    fn figure(&self, view: &View, charts: &[usize], dark: bool) -> crate::figure::Figure {
        let x = self.zoom.unwrap_or((0.0, last_step(view)));
        let charts = charts
            .iter()
            .map(|&index| {
                let chart = &CHARTS[index];
                let log = self.log[index] && !chart.lanes;
                let traces = self.traces(chart, &view.snapshot.history, x, 2000);
                let pins: Vec<PinTraces> = view
                    .pins
                    .iter()
                    .enumerate()
                    .filter(|(_, pin)| pin.visible)
                    .map(|(i, pin)| (i, self.traces(chart, &pin.snapshot.history, x, 2000)))
                    .collect();
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

/// How many charts stand side by side, and how high each is.
fn grid(outer: Rect, count: usize) -> (usize, f32) {
    let across = ((outer.width() / LEAST_WIDTH) as usize).clamp(1, count);
    // No ragged last row where fewer columns do as well.
    let down = count.div_ceil(across);
    let across = count.div_ceil(down);
    (
        across,
        (outer.height() / down as f32 - 3.0).max(LEAST_HEIGHT),
    )
}

/// The last step that any history on screen reaches.
fn last_step(view: &View) -> f64 {
    let reach = |snapshot: &Snapshot| snapshot.step as f64;
    view.pins
        .iter()
        .filter(|pin| pin.visible)
        .map(|pin| reach(&pin.snapshot))
        .fold(reach(view.snapshot), f64::max)
        .max(1.0)
}

/// Vertical bounds that hold what is drawn, at round numbers so that they hold still; logs if `log`.
fn fit<'a>(traces: impl Iterator<Item = &'a Vec<Point>>, log: bool) -> (f64, f64) {
    let mut low = f64::INFINITY;
    let mut high = f64::NEG_INFINITY;
    for point in traces.flatten() {
        for value in [point.low, point.high] {
            let value = if log { value.log10() } else { value };
            if value.is_finite() {
                low = low.min(value);
                high = high.max(value);
            }
        }
    }
    if low > high {
        return if log { (-2.0, 0.0) } else { (0.0, 1.0) };
    }
    if log {
        // A value that touches zero must not push everything else to the top.
        low = low.max(high - 12.0);
        let pad = 0.05 * (high - low).max(0.1);
        return (low - pad, high + pad);
    }
    if low >= 0.0 && low < 0.4 * high {
        low = 0.0;
    }
    let span = (high - low).max(1e-3 * high.abs()).max(1e-12);
    let step = 10f64.powf((span / 4.0).log10().floor());
    (
        ((low - 0.02 * span) / step)
            .floor()
            .max(if low == 0.0 { 0.0 } else { f64::NEG_INFINITY })
            * step,
        ((high + 0.04 * span) / step).ceil() * step,
    )
}

fn curves(
    frame: &Frame,
    (x, y, log): (Scale, Scale, bool),
    chart: &Chart,
    traces: &[Vec<Point>],
    pins: &[PinTraces],
    theme: &Theme,
) {
    let at = |value: f64| vertical(y, log, value);
    for (index, traces) in pins {
        for (points, _) in traces.iter().zip(chart.curves) {
            line(
                &frame.inside,
                &path(points, x, at),
                Pen::DashDot,
                Stroke::new(1.1, pin_color(*index)),
            );
        }
    }
    for (curve, points) in chart.curves.iter().zip(traces) {
        let color = (curve.color)(theme);
        let range: Vec<(f32, f32, f32)> = points
            .iter()
            .map(|p| (x.at(p.step), at(p.low), at(p.high)))
            .collect();
        band(&frame.inside, &range, color.gamma_multiply(0.22));
        line(
            &frame.inside,
            &path(points, x, at),
            curve.pen,
            Stroke::new(1.6, color),
        );
    }
}

/// One lane per curve. Divergences share one scale and total variations another, so that lanes of a unit compare.
fn lanes(
    frame: &Frame,
    x: Scale,
    chart: &Chart,
    traces: &[Vec<Point>],
    pins: &[PinTraces],
    theme: &Theme,
) {
    use crate::theory::Metric;
    let is_divergence = |curve: &Curve| curve.metric == Metric::CauseTarget;
    let top = |divergence: bool| {
        chart
            .curves
            .iter()
            .zip(traces)
            .filter(|(curve, _)| is_divergence(curve) == divergence)
            .flat_map(|(_, points)| points.iter().map(|p| p.high))
            .filter(|v| v.is_finite())
            .fold(0.0, f64::max)
    };
    let height = frame.rect.height() / chart.curves.len().max(1) as f32;
    for (lane, (curve, points)) in chart.curves.iter().zip(traces).enumerate() {
        let bottom = frame.rect.top() + height * (lane + 1) as f32;
        let top_value = top(is_divergence(curve)).max(1e-6);
        let y = Scale::new(0.0, top_value, bottom - 1.0, bottom - height + 3.0);
        let color = (curve.color)(theme);
        for (index, traces) in pins {
            if let Some(points) = traces.get(lane) {
                line(
                    &frame.inside,
                    &path(points, x, |v| y.at(v)),
                    Pen::DashDot,
                    Stroke::new(1.1, pin_color(*index)),
                );
            }
        }
        let filled: Vec<_> = points
            .iter()
            .map(|p| (x.at(p.step), y.from, y.at(p.mean)))
            .collect();
        band(&frame.inside, &filled, color.gamma_multiply(0.25));
        line(
            &frame.inside,
            &path(points, x, |v| y.at(v)),
            curve.pen,
            Stroke::new(1.4, color),
        );
        let last = points
            .last()
            .map_or_else(|| "–".to_owned(), |p| number(p.mean));
        let name = curve.metric.label().trim_start_matches("cause: ");
        let text = frame.inside.layout_no_wrap(
            format!("{name} {last}"),
            frame.font(),
            color.lerp_to_gamma(frame.text_color(), 0.5),
        );
        if text.size().y <= height + 2.0 {
            let back = Rect::from_min_size(
                pos2(frame.rect.left() + 3.0, bottom - height + 1.0),
                text.size(),
            );
            frame.inside.galley(back.min, text, frame.text_color());
        }
        frame.inside.hline(
            frame.rect.x_range(),
            bottom,
            Stroke::new(1.0, frame.text_color().gamma_multiply(0.3)),
        );
    }
}

fn path(points: &[Point], x: Scale, at: impl Fn(f64) -> f32) -> Vec<Pos2> {
    points
        .iter()
        .map(|p| pos2(x.at(p.step), at(p.mean)))
        .collect()
}

fn vertical(y: Scale, log: bool, value: f64) -> f32 {
    let value = if log { value.log10() } else { value };
    if value.is_nan() {
        f32::NAN
    } else if value == f64::NEG_INFINITY {
        y.at(y.low)
    } else {
        y.at(value)
    }
}

fn dot(
    frame: &Frame,
    (x, y, log): (Scale, Scale, bool),
    points: &[Point],
    step: f64,
    color: Color32,
) {
    let Some(point) = trace::at(points, step) else {
        return;
    };
    let at = pos2(x.at(step), vertical(y, log, point.mean));
    if at.y.is_finite() {
        frame.inside.circle_filled(at, 3.0, color);
    }
}

/// Lines where edits took effect; returns the label of the one under the pointer.
fn edit_marks<'v>(
    frame: &Frame,
    x: Scale,
    view: &'v View<'_>,
    response: &Response,
    theme: &Theme,
) -> Option<&'v str> {
    let pointer = response.hover_pos();
    let mut last = f32::NEG_INFINITY;
    let mut nearest: Option<(f32, &str)> = None;
    for mark in view.snapshot.marks.iter() {
        let at = x.at(mark.step as f64);
        if !frame.rect.x_range().contains(at) {
            continue;
        }
        if let Some(pointer) = pointer {
            let distance = (pointer.x - at).abs();
            // Of several edits at one place the last one counts.
            if distance < 5.0 && nearest.is_none_or(|(best, _)| distance <= best) {
                nearest = Some((distance, &mark.label));
            }
        }
        // A drag leaves hundreds of marks on a few pixels.
        if at - last < 3.0 {
            continue;
        }
        last = at;
        line(
            &frame.inside,
            &[pos2(at, frame.rect.top()), pos2(at, frame.rect.bottom())],
            Pen::Dotted,
            Stroke::new(1.0, theme.edit_mark),
        );
        frame.inside.add(crate::ui::chart::marker(
            pos2(at, frame.rect.top() + 3.0),
            2,
            2.5,
            theme.edit_mark,
        ));
    }
    let (_, label) = nearest?;
    frame.outside.text(
        frame.rect.left_bottom() + vec2(3.0, -2.0),
        Align2::LEFT_BOTTOM,
        label,
        frame.font(),
        theme.edit_mark,
    );
    Some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(low: f64, high: f64) -> Point {
        Point {
            step: 0.0,
            low,
            high,
            mean: (low + high) / 2.0,
        }
    }

    #[test]
    fn bounds_hold_every_value_and_are_round() {
        for (low, high) in [
            (0.0, 1.0),
            (0.93, 0.97),
            (-3.0, 2.0),
            (5.0, 5.0),
            (1e-9, 2e-9),
        ] {
            let trace = vec![point(low, high)];
            let (from, to) = fit([&trace].into_iter(), false);
            assert!(from <= low && to >= high && from < to, "{from} {to}");
        }
        assert_eq!(fit([&vec![point(0.1, 0.9)]].into_iter(), false).0, 0.0);
        assert_eq!(fit(std::iter::empty(), false), (0.0, 1.0));
        let zero = vec![point(0.0, 1.0)];
        let (from, to) = fit([&zero].into_iter(), true);
        assert!(from.is_finite() && to >= 0.0);
    }

    #[test]
    fn charts_fill_the_panel_without_ragged_rows() {
        let outer = Rect::from_min_size(Pos2::ZERO, vec2(1000.0, 300.0));
        assert_eq!(grid(outer, 6).0, 3);
        assert_eq!(grid(outer, 1).0, 1);
        assert_eq!(
            grid(Rect::from_min_size(Pos2::ZERO, vec2(30.0, 30.0)), 6).0,
            1
        );
    }

    #[test]
    fn every_metric_is_on_some_chart() {
        for metric in crate::theory::Metric::ALL {
            assert!(
                CHARTS
                    .iter()
                    .any(|chart| chart.curves.iter().any(|curve| curve.metric == *metric)),
                "{metric:?}"
            );
        }
    }
}
