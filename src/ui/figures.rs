//! From what a panel shows to a figure for files and the clipboard: pure functions of the view and the panel's own state
//! (zoom, log switch, hidden series), so that the figure says exactly what the screen says.

mod grouped;

use egui::Color32;

pub(crate) use self::grouped::{Group, grouped, one_bar_per_place};

use super::{
    Theme, View,
    chart::{Columns, Pen},
    panels::{
        main_plot::{Prepared, Series, axis_name, mode_runs, pin_color},
        time_charts::{Chart, PinTraces, Point, Shows},
    },
};
use crate::{
    bandit::{Problem, Shape},
    figure::{Axes, Axis, Dash, Figure, Layout, Look, Mark, MarkKind, Marker, RightAxis},
    theory::Metric,
};

/// What the main plot shows besides its columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MainPlotState {
    /// Arms on screen, [from, to).
    pub(crate) shown: (f64, f64),
    /// Ends of the mass axis (log₁₀ if `log`).
    pub(crate) mass: (f64, f64),
    /// Log₁₀ mass axis.
    pub(crate) log: bool,
    /// Ends of the reward axis, if one is shown.
    pub(crate) reward: Option<(f64, f64)>,
    /// Grouped bars instead of curves.
    pub(crate) bars: bool,
    /// Dark colours.
    pub(crate) dark: bool,
}

/// The main plot of a problem on a line.
pub(crate) fn main_plot(view: &View<'_>, prepared: &Prepared, state: MainPlotState) -> Figure {
    let theme = theme(state.dark);
    let Some(window) = prepared.window else {
        return empty("main plot", state.dark);
    };
    let place = Place::of(view.problem);
    let centre = |column: usize| {
        let (from, to) = (window.start(column), window.start(column + 1));
        place.x((from + to) as f64 / 2.0)
    };
    let unit = place.x(1.0) - place.x(0.0);
    let mass = |v: f64| scaled(v, state.log, state.mass.0);
    // Columns of several arms have no steps: the line goes through their centres.
    let slot = if window.aggregates() { 0.0 } else { unit };
    let column_width = unit * (window.end - window.first) as f64 / window.columns.max(1) as f64;
    let points = |values: &[f64], at: &dyn Fn(f64) -> f64| -> Vec<(f64, f64)> {
        let point = |(column, v): (usize, &f64)| (centre(column), at(*v));
        values.iter().enumerate().map(point).collect()
    };
    let levels =
        |levels: Vec<(f64, f64)>, line: f64, dash: Dash, marker: Option<Marker>| MarkKind::Levels {
            levels,
            width: if state.bars { 0.78 * unit } else { slot },
            joined: !state.bars,
            line,
            dash,
            marker,
        };
    let line = |columns: &Columns, line: f64, dash: Dash, marker: Option<Marker>| {
        levels(points(&columns.high, &mass), line, dash, marker)
    };
    let mut marks = Vec::new();
    let mut right = Vec::new();
    let spans: Vec<(f64, f64, String)> = mode_runs(view.problem)
        .into_iter()
        .filter_map(|(from, to, mode)| {
            let name = view.problem.modes.get(mode)?.label.clone();
            (to > window.first && from < window.end)
                .then(|| (place.x(from as f64), place.x(to as f64), name))
        })
        .collect();
    if !spans.is_empty() {
        marks.push(mark("mode", theme.muted, 0.12, MarkKind::Spans { spans }));
    }
    let side_by_side: Vec<Series> = [Series::Reference, Series::Samples, Series::Policy]
        .into_iter()
        .filter(|s| prepared.get(*s).is_some())
        .collect();
    let mut pinned = false;
    for series in Series::ALL {
        if matches!(
            series,
            Series::BestFit | Series::Reward | Series::Augmented | Series::Target
        ) && !pinned
        {
            pinned = true;
            for (index, columns) in &prepared.pins {
                let label = view
                    .pins
                    .get(*index)
                    .map_or("pin", |pin| pin.label.as_str());
                let kind = line(columns, 1.2, Dash::DashDotted, None);
                marks.push(mark(label, pin_color(*index), 1.0, kind));
            }
        }
        let Some(columns) = prepared.get(series) else {
            continue;
        };
        let color = series.color(&theme);
        let name = series.label();
        // Samples are means per column and have no range.
        if window.aggregates() && !series.is_reward() && series != Series::Samples {
            let band = (0..window.columns)
                .map(|c| (centre(c), mass(columns.low[c]), mass(columns.high[c])))
                .collect();
            let band = MarkKind::Band { points: band };
            marks.push(mark(&format!("{name} range"), color, 0.2, band));
        }
        let group = |look: Look| {
            let count = side_by_side.len().max(1) as f64;
            let number = side_by_side.iter().position(|s| *s == series).unwrap_or(0);
            let width = 0.78 * unit / count;
            MarkKind::Groups {
                bars: points(&columns.high, &mass),
                width: 0.9 * width,
                offset: (number as f64 - (count - 1.0) / 2.0) * width,
                look,
            }
        };
        let whole = |width: f64, look: Look| MarkKind::Groups {
            bars: points(&columns.high, &mass),
            width,
            offset: 0.0,
            look,
        };
        let reward = |marker: Marker| {
            let rewards = points(&columns.high, &|v| v);
            levels(rewards, 1.3, Dash::Solid, Some(marker))
        };
        let kind = match series {
            Series::Reference if state.bars => group(Look::Outlined),
            Series::Samples if state.bars => group(Look::Hatched),
            Series::Policy if state.bars => group(Look::Solid),
            Series::Reference => whole(column_width, Look::Area),
            Series::Samples => whole(column_width, Look::Solid),
            Series::Policy => line(columns, 1.6, Dash::Solid, None),
            Series::BestFit => line(columns, 1.2, Dash::Solid, Some(Marker::Triangle)),
            Series::Target if state.bars => whole(0.86 * unit, Look::Frame),
            Series::Target => line(columns, 1.8, Dash::Dashed, None),
            Series::Reward => reward(Marker::Square),
            Series::Augmented => reward(Marker::Diamond),
        };
        let opacity = if series == Series::Samples && !state.bars {
            0.55
        } else {
            1.0
        };
        let mark = mark(name, color, opacity, kind);
        if series.is_reward() {
            right.push(mark);
        } else {
            marks.push(mark);
        }
    }
    let names =
        (state.bars && (view.problem.names.is_some() || place.interval.is_none())).then(|| {
            (window.first..window.end)
                .map(|arm| (place.x(arm as f64 + 0.5), view.problem.arm_label(arm)))
                .collect()
        });
    Figure {
        title: view.preset.title.clone(),
        file_stem: "main-plot".to_owned(),
        size: (640.0, 360.0),
        dark: state.dark,
        layout: Layout::Row,
        axes: vec![Axes {
            title: String::new(),
            aspect: None,
            x: Axis {
                label: axis_name(view).to_owned(),
                log10: false,
                bounds: Some((place.x(state.shown.0), place.x(state.shown.1))),
                names,
            },
            y: axis("mass", state.log, Some(state.mass)),
            marks,
            right: state
                .reward
                .filter(|_| !right.is_empty())
                .map(|ends| RightAxis {
                    y: axis("reward", false, Some(ends)),
                    marks: right,
                }),
        }],
    }
}

/// How arms lie along the horizontal axis of a figure: by coordinate where there is one, else arm i at x = i.
struct Place {
    interval: Option<(f64, f64)>,
    arms: f64,
}

impl Place {
    fn of(problem: &Problem) -> Self {
        let interval = match problem.shape {
            Shape::Line { range, .. }
                if problem.names.is_none() && range != (0.0, 1.0) && range.0 < range.1 =>
            {
                Some(range)
            }
            Shape::Line { .. } | Shape::Grid { .. } => None,
        };
        Self {
            interval,
            arms: problem.arms() as f64,
        }
    }

    /// From arms on screen (arm i covers [i, i + 1)).
    fn x(&self, arm: f64) -> f64 {
        match self.interval {
            Some((from, to)) => from + (to - from) * arm / self.arms,
            None => arm - 0.5,
        }
    }
}

/// A map of the heat map panel as it is on screen.
pub(crate) struct MapFigure<'a> {
    /// Its title.
    pub(crate) name: &'a str,
    /// Values as shown (log₁₀ if so switched), row 0 at the bottom.
    pub(crate) values: Vec<f64>,
    /// Number of columns.
    pub(crate) columns: usize,
    /// Values at the ends of the colour scale.
    pub(crate) range: (f64, f64),
    /// Values are log₁₀.
    pub(crate) log: bool,
}

/// The heat maps of a problem on a grid, in the grid's proportions.
pub(crate) fn heat_maps(view: &View<'_>, maps: Vec<MapFigure<'_>>, dark: bool) -> Figure {
    let (x_range, y_range, aspect) = match view.problem.shape {
        Shape::Grid {
            x_range,
            y_range,
            rows,
            columns,
        } => {
            let aspect = columns as f64 / rows.max(1) as f64;
            (x_range, y_range, aspect.clamp(0.25, 4.0))
        }
        Shape::Line { range, .. } => (range, (0.0, 1.0), 4.0),
    };
    let across = maps.len().clamp(1, 3);
    // Room for the numbers beside a map and the colour bar, and for those below it.
    let cell = (180.0 * aspect.clamp(0.6, 1.6) + 115.0, 180.0 + 55.0);
    Figure {
        title: view.preset.title.clone(),
        file_stem: "heat-maps".to_owned(),
        size: (
            cell.0 * across as f64,
            cell.1 * maps.len().div_ceil(across).max(1) as f64 + 20.0,
        ),
        dark,
        layout: Layout::Grid { columns: across },
        axes: maps
            .into_iter()
            .map(|map| Axes {
                title: map.name.to_owned(),
                aspect: Some(aspect),
                x: axis("x", false, Some(x_range)),
                y: axis("y", false, Some(y_range)),
                marks: vec![mark(
                    map.name,
                    Color32::GRAY,
                    1.0,
                    MarkKind::HeatMap {
                        values: map.values,
                        columns: map.columns,
                        x_range,
                        y_range,
                        value_range: map.range,
                        log10: map.log,
                    },
                )],
                right: None,
            })
            .collect(),
    }
}

/// A figure with axes only.
pub(crate) fn empty(name: &str, dark: bool) -> Figure {
    Figure {
        title: name.to_owned(),
        file_stem: name.replace(' ', "-"),
        size: (640.0, 360.0),
        dark,
        layout: Layout::Row,
        axes: Vec::new(),
    }
}

/// An axis without names.
pub(crate) fn axis(label: &str, log10: bool, bounds: Option<(f64, f64)>) -> Axis {
    Axis {
        label: label.to_owned(),
        log10,
        bounds,
        names: None,
    }
}

/// A mark in a colour of the theme.
pub(crate) fn mark(name: &str, color: Color32, opacity: f64, kind: MarkKind) -> Mark {
    Mark {
        name: name.to_owned(),
        color: [color.r(), color.g(), color.b()],
        opacity,
        kind,
    }
}

/// A value, or its log₁₀ held at the axis' lower end.
fn scaled(value: f64, log: bool, lowest: f64) -> f64 {
    if log {
        if value.is_nan() {
            f64::NAN
        } else {
            value.log10().max(lowest)
        }
    } else {
        value
    }
}

/// The colours of a figure.
pub(crate) fn theme(dark: bool) -> Theme {
    if dark { Theme::DARK } else { Theme::LIGHT }
}

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
    // Every curve of a pin may take a line of its legend.
    let curves = |chart: &TimeFigure<'_>| {
        if chart.chart.lanes {
            1
        } else {
            chart.chart.curves.len()
        }
    };
    let most = charts.iter().map(|chart| curves(chart) * chart.pins.len());
    let legend = 21.0 * most.max().unwrap_or(0) as f64;
    Figure {
        title: view.preset.title.clone(),
        file_stem: stem,
        size: if across > 1 {
            (270.0 * across as f64, (190.0 + legend) * rows + 30.0)
        } else {
            (480.0, 300.0 * rows + legend)
        },
        dark,
        layout: Layout::Grid { columns: across },
        axes,
    }
}

/// The axes of a chart: one pair, or one per curve where curves have lanes of their own.
fn time_axes(view: &View<'_>, x: (f64, f64), shown: &TimeFigure<'_>, theme: &Theme) -> Vec<Axes> {
    let curves = shown.chart.curves;
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
            axes.y = axis(curve.shows.label(), false, Some((0.0, 1.05 * top)));
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
    let chosen = |index: &usize| lanes.contains(index);
    let path = |points: &[Point]| points.iter().map(|p| (p.step, at(p.mean))).collect();
    let mut marks = Vec::new();
    for edit in view.snapshot.marks.iter() {
        let step = edit.step as f64;
        if step >= x.0 && step <= x.1 {
            let kind = MarkKind::VerticalLine {
                x: step,
                dash: Dash::Dotted,
            };
            marks.push(mark("", theme.edit_mark, 0.7, kind));
        }
    }
    for (index, traces) in &shown.pins {
        let label = view
            .pins
            .get(*index)
            .map_or("pin", |pin| pin.label.as_str());
        let curves = shown.chart.curves.iter().zip(traces).enumerate();
        for (_, (curve, points)) in curves.filter(|(index, _)| chosen(index)) {
            let kind = MarkKind::Line {
                points: path(points),
                width: 1.0,
                dash: Dash::DashDotted,
            };
            let name = format!("{}, {label}", curve.shows.label());
            marks.push(mark(&name, pin_color(*index), 1.0, kind));
        }
    }
    let curves = shown.chart.curves.iter().zip(&shown.traces).enumerate();
    for (_, (curve, points)) in curves.filter(|(index, _)| chosen(index)) {
        let color = (curve.color)(theme);
        let name = curve.shows.label();
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
        let kind = MarkKind::Line {
            points: path(points),
            width: 1.5,
            dash,
        };
        marks.push(mark(name, color, 1.0, kind));
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

/// Mode masses as grouped bars, one group per mode in the order on screen.
pub(crate) fn mode_strip(
    view: &View<'_>,
    labels: &[String],
    rows: &[(Series, Vec<f64>)],
    dark: bool,
) -> Figure {
    let theme = theme(dark);
    let groups = rows.iter().map(|(series, masses)| Group {
        name: series.label(),
        color: series.color(&theme),
        look: match series {
            Series::Reference => Look::Outlined,
            Series::Target => Look::Dashed,
            Series::Samples => Look::Hatched,
            Series::Policy | Series::BestFit | Series::Reward | Series::Augmented => Look::Solid,
        },
        heights: masses.clone(),
    });
    grouped(
        &view.preset.title,
        "modes",
        ("mode", labels.to_vec()),
        "mass",
        groups.collect(),
        dark,
    )
}
