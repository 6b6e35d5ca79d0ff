//! The time charts as a figure.

use super::{axis, mark, pin_label, scaled, theme};
use crate::{
    figure::{Axes, Dash, Figure, Layout, Mark, MarkKind},
    theory::Metric,
    ui::{
        Theme, View,
        chart::Pen,
        panels::{
            main_plot::pin_color,
            time_charts::{Chart, PinTraces, Point, RAW, Shows, unsmoothed},
        },
    },
};

/// A time chart as it is on screen.
pub(crate) struct TimeFigure<'a> {
    /// Which chart.
    pub(crate) chart: &'a Chart,
    /// Vertical bounds (log₁₀ if `log`).
    pub(crate) y: (f64, f64),
    /// Log₁₀ axis.
    pub(crate) log: bool,
    /// One trace per curve.
    pub(crate) traces: Vec<Vec<Point>>,
    /// The traces of each visible pin, with its number.
    pub(crate) pins: Vec<PinTraces>,
}

/// Time charts, three in a row.
pub(crate) fn time_charts(
    view: &View<'_>,
    x: (f64, f64),
    charts: Vec<TimeFigure<'_>>,
    dark: bool,
) -> Figure {
    let theme = theme(dark);
    let stem = match charts.as_slice() {
        [one] => one.chart.name.to_lowercase().replace(' ', "-"),
        _ => "time-charts".to_owned(),
    };
    let axes: Vec<Axes> = charts
        .iter()
        .flat_map(|chart| time_axes(view, x, chart, &theme))
        .collect();
    let across = axes.len().clamp(1, 3);
    let rows = axes.len().div_ceil(across).max(1) as f64;
    // Edits and pins have one legend above all charts, a line or two.
    let legend = 21.0 * common(view, x, &charts).div_ceil(across) as f64;
    // Two curves to a line of a chart's own legend.
    let most = charts
        .iter()
        .filter(|chart| !chart.chart.lanes)
        .map(|chart| chart.chart.curves.len())
        .max();
    let lines = 21.0 * most.unwrap_or(0).div_ceil(2).saturating_sub(1) as f64;
    Figure {
        title: view.preset.title.clone(),
        file_stem: stem,
        size: if across > 1 {
            (
                270.0 * across as f64,
                (210.0 + lines) * rows + 30.0 + legend,
            )
        } else {
            (480.0, 300.0 * rows + legend)
        },
        dark,
        layout: Layout::Grid { columns: across },
        axes,
    }
}

/// How many entries of the legend are not curves of a chart: edits, and the pins.
fn common(view: &View<'_>, x: (f64, f64), charts: &[TimeFigure<'_>]) -> usize {
    let pins = charts.iter().map(|chart| chart.pins.len()).max();
    pins.unwrap_or(0) + usize::from(!edits(view, x).is_empty())
}

/// The axes of a chart: one pair, or one per curve where curves have lanes of their own.
fn time_axes(view: &View<'_>, x: (f64, f64), shown: &TimeFigure<'_>, theme: &Theme) -> Vec<Axes> {
    let curves = shown.chart.curves;
    let rule = view.problem.coverage;
    if !shown.chart.lanes {
        return vec![curve_axes(view, x, shown, 0..curves.len(), theme)];
    }
    // Lanes of one unit compare: divergences share a scale, and so do total variations.
    let is_divergence = |shows: Shows| shows == Shows::Metric(Metric::CauseTarget);
    curves
        .iter()
        .enumerate()
        .map(|(lane, curve)| {
            let top = curves
                .iter()
                .zip(&shown.traces)
                .filter(|(other, _)| is_divergence(other.shows) == is_divergence(curve.shows))
                .flat_map(|(_, points)| points.iter().map(|p| p.high))
                .filter(|v| v.is_finite())
                .fold(1e-6, f64::max);
            let mut axes = curve_axes(view, x, shown, lane..lane + 1, theme);
            axes.y = axis(&curve.shows.label_by(rule), false, Some((0.0, 1.05 * top)));
            axes
        })
        .collect()
}

/// Some curves of a chart on one pair of axes.
fn curve_axes(
    view: &View<'_>,
    x: (f64, f64),
    shown: &TimeFigure<'_>,
    lanes: std::ops::Range<usize>,
    theme: &Theme,
) -> Axes {
    let at = |v: f64| scaled(v, shown.log, shown.y.0);
    let rule = view.problem.coverage;
    let chosen = |index: &usize| lanes.contains(index);
    let path = |points: &[Point]| points.iter().map(|p| (p.step, at(p.mean))).collect();
    let mut marks = Vec::new();
    let events = edits(view, x);
    if !events.is_empty() {
        let kind = MarkKind::Events { events };
        marks.push(mark("edit", theme.edit_mark, 1.0, kind));
    }
    for (index, traces) in &shown.pins {
        let label = pin_label(view, *index);
        let curves = shown.chart.curves.iter().zip(traces).enumerate();
        for (_, (curve, points)) in curves.filter(|(index, _)| chosen(index)) {
            let kind = MarkKind::Line {
                points: path(points),
                width: 1.0,
                dash: Dash::DashDotted,
            };
            let name = format!("{}, {label}", curve.shows.label());
            // All curves of a pin look alike.
            marks.push(Mark {
                legend: Some(label.clone()),
                ..mark(&name, pin_color(*index), 1.0, kind)
            });
        }
    }
    let curves = shown.chart.curves.iter().zip(&shown.traces).enumerate();
    for (_, (curve, points)) in curves.filter(|(index, _)| chosen(index)) {
        let color = (curve.color)(theme);
        let name = curve.shows.label_by(rule);
        let range = MarkKind::Band {
            points: points
                .iter()
                .map(|p| (p.step, at(p.low), at(p.high)))
                .collect(),
        };
        marks.push(mark("", color, 0.22, range));
        let dash = match curve.pen {
            Pen::Solid => Dash::Solid,
            Pen::Dashed => Dash::Dashed,
            Pen::DashDot => Dash::DashDotted,
            Pen::Dotted => Dash::Dotted,
        };
        if let Some(raw) = unsmoothed(points) {
            let kind = MarkKind::Line {
                points: path(&raw),
                width: 0.8,
                dash,
            };
            marks.push(Mark {
                legend: Some(String::new()),
                ..mark(&format!("{name}, not smoothed"), color, RAW.into(), kind)
            });
        }
        let kind = MarkKind::Line {
            points: path(points),
            width: 1.5,
            dash,
        };
        marks.push(mark(&name, color, 1.0, kind));
    }
    if let Some(frame) = view.scrub {
        let kind = MarkKind::VerticalLine {
            x: frame.step as f64,
            dash: Dash::Solid,
        };
        marks.push(mark("step shown", theme.accent, 1.0, kind));
    }
    Axes {
        title: String::new(),
        aspect: None,
        x: axis("step", false, Some(x)),
        y: axis(shown.chart.name, shown.log, Some(shown.y)),
        marks,
        right: None,
    }
}

/// The edits within the steps shown.
fn edits(view: &View<'_>, (from, to): (f64, f64)) -> Vec<(f64, String)> {
    view.snapshot
        .marks
        .iter()
        .map(|edit| (edit.step as f64, edit.label.clone()))
        .filter(|(step, _)| (from..=to).contains(step))
        .collect()
}
