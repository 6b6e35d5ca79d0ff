//! From what a panel shows to a figure for files and the clipboard: pure functions of the view and the panel's own state
//! (zoom, log switch, hidden series), so that the figure says exactly what the screen says. What follows the pointer (the arm
//! under it, the cross-hair) is not part of a figure.

mod grouped;
mod heat_maps;
mod main_plot;
mod time_charts;

use egui::Color32;

pub(crate) use self::{
    grouped::{Group, grouped, one_bar_per_place},
    heat_maps::{MapFigure, heat_maps},
    main_plot::{MainPlotState, main_plot},
    time_charts::{TimeFigure, time_charts},
};

use super::{Theme, View, panels::main_plot::Series};
use crate::figure::{Axis, Figure, Layout, Look, Mark, MarkKind};

/// What the error bars of the samples are.
const SAMPLE_ERROR: &str = "samples ± standard error";

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
        legend: None,
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

/// The picked arms of the inspector with their letters, ascending; one that is picked twice has both.
fn picked(view: &View<'_>) -> Vec<(usize, String)> {
    let (a, b) = view.selection.pair;
    let mut picked: Vec<(usize, String)> = match (a, b) {
        (Some(a), Some(b)) if a == b => vec![(a, "AB".to_owned())],
        _ => [(a, "A"), (b, "B")]
            .into_iter()
            .filter_map(|(arm, letter)| Some((arm?, letter.to_owned())))
            .collect(),
    };
    picked.sort();
    picked
}

/// What a pin is called in a figure.
fn pin_label(view: &View<'_>, index: usize) -> String {
    view.pins
        .get(index)
        .map_or_else(|| "pin".to_owned(), |pin| view.pin_label(pin))
}

/// Mode masses as grouped bars, one group per mode in the order on screen.
pub(crate) fn mode_strip(
    view: &View<'_>,
    labels: &[String],
    rows: &[(Series, Vec<f64>)],
    sample_errors: Option<&[f64]>,
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
    let mut figure = grouped(
        &view.preset.title,
        "modes",
        ("mode", labels.to_vec()),
        "mass",
        groups.collect(),
        dark,
    );
    let samples = rows
        .iter()
        .position(|(series, _)| *series == Series::Samples);
    if let (Some(row), Some(errors)) = (samples, sample_errors)
        && let Some(axes) = figure.axes.first_mut()
        && let Some(MarkKind::Groups { offset, .. }) = axes.marks.get(row).map(|mark| &mark.kind)
    {
        let masses = rows[row].1.iter().zip(errors).enumerate();
        let kind = MarkKind::Whiskers {
            points: masses
                .map(|(place, (mass, error))| (place as f64, (mass - error).max(0.0), mass + error))
                .collect(),
            offset: *offset,
        };
        axes.marks
            .push(mark(SAMPLE_ERROR, theme.samples, 1.0, kind));
    }
    figure
}
