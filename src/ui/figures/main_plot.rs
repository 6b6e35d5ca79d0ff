//! The main plot of a problem on a line as a figure.

use super::{SAMPLE_ERROR, axis, empty, mark, picked, pin_label, scaled, theme};
use crate::{
    bandit::{Problem, Shape},
    figure::{Axes, Axis, Dash, Figure, Layout, Look, MarkKind, Marker, RightAxis, SpanNames},
    ui::{
        View,
        chart::{Columns, Window, steps_label},
        panels::main_plot::{
            Prepared, Series, axis_name, every_mode_is_an_arm, mode_runs, pin_color, sample_error,
        },
    },
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
        let kind = MarkKind::Spans {
            spans,
            // Where every mode is one arm of its name, the names stand under the plot already.
            names: if state.bars && every_mode_is_an_arm(view.problem) {
                SpanNames::Hidden
            } else {
                SpanNames::Above
            },
        };
        marks.push(mark("mode", theme.muted, 0.12, kind));
    }
    let side_by_side: Vec<Series> = [Series::Reference, Series::Samples, Series::Policy]
        .into_iter()
        .filter(|s| prepared.get(*s).is_some())
        .collect();
    let count = side_by_side.len().max(1) as f64;
    let width_beside = 0.78 * unit / count;
    let beside = |number: usize| (number as f64 - (count - 1.0) / 2.0) * width_beside;
    let mut pinned = false;
    for series in Series::ALL {
        if matches!(
            series,
            Series::BestFit | Series::Reward | Series::Augmented | Series::Target
        ) && !pinned
        {
            pinned = true;
            for (index, columns) in &prepared.pins {
                let kind = line(columns, 1.2, Dash::DashDotted, None);
                marks.push(mark(&pin_label(view, *index), pin_color(*index), 1.0, kind));
            }
        }
        let Some(columns) = prepared.get(series) else {
            continue;
        };
        let color = series.color(&theme);
        let name = match view.scrub {
            Some(frame) if series == Series::Policy => {
                &format!("policy at step {}", steps_label(frame.step as f64))
            }
            _ => series.label(),
        };
        // Samples are means per column and have no range.
        if window.aggregates() && !series.is_reward() && series != Series::Samples {
            let band = (0..window.columns)
                .map(|c| (centre(c), mass(columns.low[c]), mass(columns.high[c])))
                .collect();
            let band = MarkKind::Band { points: band };
            marks.push(mark(&format!("{name} range"), color, 0.2, band));
        }
        let group = |look: Look| {
            let number = side_by_side.iter().position(|s| *s == series);
            MarkKind::Groups {
                bars: points(&columns.high, &mass),
                width: 0.9 * width_beside,
                offset: beside(number.unwrap_or(0)),
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
        if series == Series::Samples && state.bars {
            let number = side_by_side.iter().position(|s| *s == series);
            let kind = MarkKind::Whiskers {
                points: errors(view, columns)
                    .zip(0..)
                    .map(|((low, high), column)| (centre(column), mass(low), mass(high)))
                    .collect(),
                offset: beside(number.unwrap_or(0)),
            };
            marks.push(self::mark(SAMPLE_ERROR, color, 1.0, kind));
        }
    }
    let spans = picked_columns(view, window, &place);
    if !spans.is_empty() {
        let kind = MarkKind::Spans {
            spans,
            names: SpanNames::Badges,
        };
        marks.push(mark("picked", theme.accent, 0.12, kind));
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

/// Ends of the error bar of every column's sample share.
fn errors(view: &View<'_>, columns: &Columns) -> impl Iterator<Item = (f64, f64)> {
    let count = view.snapshot.sample_count;
    columns.high.iter().map(move |&share| {
        let error = sample_error(share, count);
        ((share - error).max(0.0), share + error)
    })
}

/// The columns of the picked arms with their letters; arms that share a column share a letter's place.
fn picked_columns(view: &View<'_>, window: Window, place: &Place) -> Vec<(f64, f64, String)> {
    let mut columns: Vec<(usize, String)> = Vec::new();
    for (arm, letter) in picked(view) {
        if !(window.first..window.end).contains(&arm) {
            continue;
        }
        let column = window.column(arm);
        match columns.last_mut() {
            Some((last, letters)) if *last == column => letters.push_str(&letter),
            _ => columns.push((column, letter)),
        }
    }
    let ends = |column: usize| {
        let from = place.x(window.start(column) as f64);
        (from, place.x(window.start(column + 1) as f64))
    };
    columns
        .into_iter()
        .map(|(column, letter)| (ends(column).0, ends(column).1, letter))
        .collect()
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
