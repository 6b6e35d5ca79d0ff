//! The phase diagram as a figure.

use egui::Color32;

use super::canvas::value_range;
use crate::{
    engine::{Item, PhaseAxis, PhaseMap, PhaseRequest, tie_boundary},
    figure::{Axes, Axis, Dash, Figure, Layout, MarkKind},
    ui::{View, figures},
};

/// Exactly what is shown: map, boundary, present parameters.
pub(super) fn figure(
    request: &PhaseRequest,
    map: Option<&PhaseMap>,
    view: &View,
    dark: bool,
) -> Figure {
    let ends = |axis: &PhaseAxis| {
        if axis.log10 {
            (axis.low.log10(), axis.high.log10())
        } else {
            (axis.low, axis.high)
        }
    };
    let (x_range, y_range) = (ends(&request.x), ends(&request.y));
    let place = |(low, high): (f64, f64), fraction: f64| low + fraction * (high - low);
    let mut marks = Vec::new();
    if let Some(map) = map {
        let kind = MarkKind::HeatMap {
            values: map.values.iter().map(|&value| f64::from(value)).collect(),
            columns: map.request.columns,
            x_range,
            y_range,
            value_range: value_range(map),
            log10: false,
        };
        let name = map.request.title();
        marks.push(figures::mark(&name, Color32::BLACK, 1.0, kind));
    }
    let mut points = Vec::new();
    for [from, to] in tie_boundary(request, map) {
        for (x, y) in [from, to] {
            points.push((place(x_range, x), place(y_range, y)));
        }
        points.push((f64::NAN, f64::NAN));
    }
    if let Some((a, b)) = request.pair
        && !points.is_empty()
    {
        let item = |arm| Item::Arm(arm).label(view.problem);
        let kind = MarkKind::Line {
            points,
            width: 1.5,
            dash: Dash::Solid,
        };
        let name = format!("{} and {} tie", item(a), item(b));
        marks.push(figures::mark(&name, Color32::WHITE, 1.0, kind));
    }
    let present = |axis: &PhaseAxis, range| {
        let value = axis.parameter.present(view.problem, &view.preset.objective);
        place(range, axis.fraction_of(value))
    };
    let here = (present(&request.x, x_range), present(&request.y, y_range));
    if here.0.is_finite() && here.1.is_finite() {
        let kind = MarkKind::Points {
            points: vec![here],
            radius: 4.0,
        };
        let color = figures::theme(dark).accent;
        marks.push(figures::mark("present parameters", color, 1.0, kind));
    }
    let axis = |axis: &PhaseAxis, range| Axis {
        label: axis.parameter.label(view.problem),
        log10: axis.log10,
        bounds: Some(range),
        names: None,
    };
    Figure {
        title: request.title(),
        file_stem: "phase-diagram".to_owned(),
        size: (460.0, 340.0),
        dark,
        layout: Layout::Row,
        axes: vec![Axes {
            title: String::new(),
            aspect: None,
            x: axis(&request.x, x_range),
            y: axis(&request.y, y_range),
            marks,
            right: None,
        }],
    }
}
