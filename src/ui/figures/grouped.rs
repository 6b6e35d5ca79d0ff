//! Series as bars beside each other over named places: next tokens, and the tokens of a completion.

use egui::Color32;

use super::{axis, mark};
use crate::figure::{Axes, Axis, Figure, Layout, Look, MarkKind};

/// One series of a figure of grouped bars.
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its colour.
    pub(crate) color: Color32,
    /// What tells it apart besides.
    pub(crate) look: Look,
    /// One height per place; NaN for none.
    pub(crate) heights: Vec<f64>,
}

/// Series as bars beside each other over named places.
pub(crate) fn grouped(
    title: &str,
    stem: &str,
    (places, labels): (&str, Vec<String>),
    measure: &str,
    groups: Vec<Group>,
    dark: bool,
) -> Figure {
    let count = groups.len().max(1) as f64;
    let width = 0.8 / count;
    let end = labels.len().max(1) as f64 - 0.5;
    let marks = groups
        .into_iter()
        .enumerate()
        .map(|(number, group)| {
            let heights = group.heights.into_iter().enumerate();
            let kind = MarkKind::Groups {
                bars: heights.map(|(place, v)| (place as f64, v)).collect(),
                width: 0.9 * width,
                offset: (number as f64 - (count - 1.0) / 2.0) * width,
                look: group.look,
            };
            mark(group.name, group.color, 1.0, kind)
        })
        .collect();
    let names = labels.into_iter().enumerate();
    Figure {
        title: title.to_owned(),
        file_stem: stem.to_owned(),
        size: (480.0, 300.0),
        dark,
        layout: Layout::Row,
        axes: vec![Axes {
            title: String::new(),
            aspect: None,
            x: Axis {
                label: places.to_owned(),
                log10: false,
                bounds: Some((-0.5, end)),
                names: Some(names.map(|(place, name)| (place as f64, name)).collect()),
            },
            y: axis(measure, false, None),
            marks,
            right: None,
        }],
    }
}

/// Draws all bars in the middle of their places: for series of which each place has one only.
pub(crate) fn one_bar_per_place(figure: &mut Figure) {
    for mark in figure.axes.iter_mut().flat_map(|axes| &mut axes.marks) {
        if let MarkKind::Groups { offset, width, .. } = &mut mark.kind {
            *offset = 0.0;
            *width = 0.72;
        }
    }
}
