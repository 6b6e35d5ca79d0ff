//! The heat maps of a problem on a grid as a figure.

use egui::Color32;

use super::{axis, mark, picked, theme};
use crate::{
    bandit::Shape,
    figure::{Axes, Figure, Ground, Layout, Mark, MarkKind},
    ui::View,
};

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
    let letters: Vec<Mark> = picked(view)
        .into_iter()
        .map(|(arm, letter)| {
            let kind = MarkKind::Text {
                at: view.problem.coordinates(arm),
                text: letter,
                on: Ground::Disc,
            };
            mark("picked", theme(dark).accent, 1.0, kind)
        })
        .collect();
    let across = maps.len().clamp(1, 3);
    // Room for the numbers beside a map and the colour bar, and for those below it.
    let cell = (180.0 * aspect.clamp(0.6, 1.6) + 135.0, 180.0 + 90.0);
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
                marks: std::iter::once(MarkKind::HeatMap {
                    values: map.values,
                    columns: map.columns,
                    x_range,
                    y_range,
                    value_range: map.range,
                    log10: map.log,
                })
                .map(|kind| mark(map.name, Color32::GRAY, 1.0, kind))
                .chain(letters.iter().cloned())
                .collect(),
                right: None,
            })
            .collect(),
    }
}
