//! From what a panel shows to a figure for files and the clipboard: pure functions of the view and the panel's own state
//! (zoom, log switch, hidden series), so that the figure says exactly what the screen says.

use egui::Color32;

use super::{
    Theme, View,
    chart::{Columns, Pen},
    panels::{
        main_plot::{Prepared, Series, pin_color},
        time_charts::{Chart, PinTraces, Point},
    },
};
use crate::{
    bandit::{Problem, Shape},
    figure::{Axes, Axis, Dash, Figure, Mark, MarkKind, RightAxis},
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
    let column_width = unit * (window.end - window.first) as f64 / window.columns.max(1) as f64;
    let mass = |v: f64| scaled(v, state.log, state.mass.0);
    let points = |values: &[f64], at: &dyn Fn(f64) -> f64| -> Vec<(f64, f64)> {
        values
            .iter()
            .enumerate()
            .map(|(column, v)| (centre(column), at(*v)))
            .collect()
    };
    let line = |columns: &Columns, at: &dyn Fn(f64) -> f64, width: f64, dash: Dash| {
        if state.bars {
            levels(columns, &centre, at, 0.4 * unit, width, dash)
        } else {
            MarkKind::Line {
                points: points(&columns.high, at),
                width,
                dash,
            }
        }
    };
    let mut marks = Vec::new();
    let mut right = Vec::new();
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
                let kind = line(columns, &mass, 1.2, Dash::Dotted);
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
        let kind = match series {
            Series::Reference | Series::Samples | Series::Policy if state.bars => {
                let count = side_by_side.len() as f64;
                let number = side_by_side.iter().position(|s| *s == series).unwrap_or(0);
                let width = 0.8 * unit / count;
                let offset = (number as f64 - (count - 1.0) / 2.0) * width;
                let bars = points(&columns.high, &mass)
                    .into_iter()
                    .map(|(x, y)| (x + offset, y))
                    .collect();
                MarkKind::Bars {
                    bars,
                    width: 0.92 * width,
                }
            }
            Series::Reference | Series::Samples => MarkKind::Bars {
                bars: points(&columns.high, &mass),
                width: column_width,
            },
            Series::Policy => line(columns, &mass, 1.6, Dash::Solid),
            Series::BestFit => line(columns, &mass, 1.2, Dash::Solid),
            Series::Target => line(columns, &mass, 1.8, Dash::Dashed),
            Series::Reward => line(columns, &|v| v, 1.2, Dash::Solid),
            Series::Augmented => line(columns, &|v| v, 1.2, Dash::Dotted),
        };
        let opacity = match series {
            Series::Reference => 0.4,
            Series::Samples => 0.55,
            Series::Policy
            | Series::BestFit
            | Series::Reward
            | Series::Augmented
            | Series::Target => 1.0,
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
        axes: vec![Axes {
            x: Axis {
                label: place.label().to_owned(),
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

/// Short level lines, one per arm, broken by NaN in between.
fn levels(
    columns: &Columns,
    centre: &dyn Fn(usize) -> f64,
    at: &dyn Fn(f64) -> f64,
    half: f64,
    width: f64,
    dash: Dash,
) -> MarkKind {
    let points = columns
        .high
        .iter()
        .enumerate()
        .flat_map(|(column, v)| {
            let (x, y) = (centre(column), at(*v));
            [(x - half, y), (x + half, y), (x + half, f64::NAN)]
        })
        .collect();
    MarkKind::Line {
        points,
        width,
        dash,
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

    fn label(&self) -> &'static str {
        if self.interval.is_some() { "x" } else { "arm" }
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
}

/// The heat maps of a problem on a grid, side by side.
pub(crate) fn heat_maps(view: &View<'_>, maps: Vec<MapFigure<'_>>, dark: bool) -> Figure {
    let (x_range, y_range) = match view.problem.shape {
        Shape::Grid {
            x_range, y_range, ..
        } => (x_range, y_range),
        Shape::Line { range, .. } => (range, (0.0, 1.0)),
    };
    Figure {
        title: view.preset.title.clone(),
        file_stem: "heat-maps".to_owned(),
        size: (240.0 * maps.len().max(1) as f64, 240.0),
        dark,
        axes: maps
            .into_iter()
            .map(|map| Axes {
                x: axis(map.name, false, Some(x_range)),
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

/// Time charts side by side.
pub(crate) fn time_charts(
    view: &View<'_>,
    x: (f64, f64),
    charts: Vec<TimeFigure<'_>>,
    dark: bool,
) -> Figure {
    let theme = theme(dark);
    let many = charts.len() > 1;
    let stem = match charts.as_slice() {
        [one] => one.chart.name.to_lowercase().replace(' ', "-"),
        _ => "time-charts".to_owned(),
    };
    Figure {
        title: view.preset.title.clone(),
        file_stem: stem,
        size: if many {
            (260.0 * charts.len() as f64, 240.0)
        } else {
            (480.0, 300.0)
        },
        dark,
        axes: charts
            .into_iter()
            .map(|chart| time_axes(view, x, &chart, &theme))
            .collect(),
    }
}

fn time_axes(view: &View<'_>, x: (f64, f64), shown: &TimeFigure<'_>, theme: &Theme) -> Axes {
    let at = |v: f64| scaled(v, shown.log, shown.y.0);
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
        for (curve, points) in shown.chart.curves.iter().zip(traces) {
            let kind = MarkKind::Line {
                points: path(points),
                width: 1.0,
                dash: Dash::Dotted,
            };
            let name = format!("{}, {label}", curve.shows.label());
            marks.push(mark(&name, pin_color(*index), 1.0, kind));
        }
    }
    for (curve, points) in shown.chart.curves.iter().zip(&shown.traces) {
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
            Pen::Dashed | Pen::DashDot => Dash::Dashed,
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
    let width = 0.8 / rows.len().max(1) as f64;
    let marks = rows
        .iter()
        .enumerate()
        .map(|(place, (series, masses))| {
            let offset = (place as f64 - (rows.len() as f64 - 1.0) / 2.0) * width;
            let kind = MarkKind::Bars {
                bars: masses
                    .iter()
                    .enumerate()
                    .map(|(mode, mass)| (mode as f64 + offset, *mass))
                    .collect(),
                width: 0.92 * width,
            };
            mark(series.label(), series.color(&theme), 0.9, kind)
        })
        .collect();
    Figure {
        title: view.preset.title.clone(),
        file_stem: "modes".to_owned(),
        size: (480.0, 300.0),
        dark,
        axes: vec![Axes {
            x: Axis {
                label: "mode".to_owned(),
                log10: false,
                bounds: Some((-0.5, labels.len() as f64 - 0.5)),
                names: Some(
                    labels
                        .iter()
                        .enumerate()
                        .map(|(mode, label)| (mode as f64, label.clone()))
                        .collect(),
                ),
            },
            y: axis("mass", false, None),
            marks,
            right: None,
        }],
    }
}
