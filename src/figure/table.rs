//! The numbers of a figure as CSV: exactly the values that were given, in full precision, nothing thinned out.
//!
//! Where all marks of a figure share their x values (bars with a curve over them), there is one row per x and one column
//! per mark. Otherwise there is one row per value with its mark's name beside it.

use std::{collections::HashMap, fmt::Write as _};

use super::{Axis, Figure, Mark, MarkKind};

/// The CSV text of a figure, with a header row. Values on a logarithmic axis are the logarithms, and the header says so.
pub(super) fn csv(figure: &Figure) -> String {
    wide(figure).unwrap_or_else(|| tidy(figure))
}

/// A mark with the axes that its values belong to.
struct Placed<'a> {
    /// Number of its axes, from 1.
    axes: usize,
    x: &'a Axis,
    y: &'a Axis,
    mark: &'a Mark,
}

fn marks(figure: &Figure) -> impl Iterator<Item = Placed<'_>> {
    figure.axes.iter().zip(1..).flat_map(|(group, axes)| {
        let place = move |y, mark| Placed {
            axes,
            x: &group.x,
            y,
            mark,
        };
        let right = group.right.iter();
        group
            .marks
            .iter()
            .map(move |mark| place(&group.y, mark))
            .chain(right.flat_map(move |right| right.marks.iter().map(move |m| place(&right.y, m))))
    })
}

/// One row per x, where that is possible.
fn wide(figure: &Figure) -> Option<String> {
    let [group] = figure.axes.as_slice() else {
        return None;
    };
    let mut shared: Option<Vec<f64>> = None;
    let mut columns: Vec<(String, Vec<f64>)> = Vec::new();
    for placed in marks(figure) {
        let xs: Vec<f64> = match &placed.mark.kind {
            MarkKind::Line { points, .. } | MarkKind::Points { points, .. } => {
                points.iter().map(|p| p.0).collect()
            }
            MarkKind::Bars { bars, .. } => bars.iter().map(|b| b.0).collect(),
            MarkKind::Band { points } => points.iter().map(|p| p.0).collect(),
            MarkKind::Text { .. } => continue,
            MarkKind::HeatMap { .. } | MarkKind::VerticalLine { .. } => return None,
        };
        if *shared.get_or_insert_with(|| xs.clone()) != xs {
            return None;
        }
        let mut column = |suffix: &str, values: Vec<f64>| {
            let name = column_name(&placed, suffix, &columns);
            columns.push((name, values));
        };
        match &placed.mark.kind {
            MarkKind::Line { points, .. } | MarkKind::Points { points, .. } => {
                column("", points.iter().map(|p| p.1).collect());
            }
            MarkKind::Bars { bars, .. } => column("", bars.iter().map(|b| b.1).collect()),
            MarkKind::Band { points } => {
                column(" low", points.iter().map(|p| p.1).collect());
                column(" high", points.iter().map(|p| p.2).collect());
            }
            MarkKind::Text { .. } | MarkKind::HeatMap { .. } | MarkKind::VerticalLine { .. } => {}
        }
    }
    let xs = shared?;
    let names: Option<HashMap<u64, &str>> = group.x.names.as_ref().map(|names| {
        names
            .iter()
            .map(|(at, n)| (at.to_bits(), n.as_str()))
            .collect()
    });
    let mut out = field(&axis_name(&group.x, "x"));
    if names.is_some() {
        out.push_str(",name");
    }
    for (name, _) in &columns {
        let _ = write!(out, ",{}", field(name));
    }
    out.push('\n');
    for (row, x) in xs.iter().enumerate() {
        let _ = write!(out, "{x}");
        if let Some(names) = &names {
            let name = names.get(&x.to_bits()).copied().unwrap_or_default();
            let _ = write!(out, ",{}", field(name));
        }
        for (_, values) in &columns {
            match values.get(row) {
                Some(value) => {
                    let _ = write!(out, ",{value}");
                }
                None => out.push(','),
            }
        }
        out.push('\n');
    }
    Some(out)
}

/// The mark's name, with the kind of its numbers, different from the columns so far.
fn column_name(placed: &Placed<'_>, suffix: &str, columns: &[(String, Vec<f64>)]) -> String {
    let mut name = mark_name(placed);
    name.push_str(suffix);
    if placed.y.log10 {
        name = format!("log10({name})");
    }
    let base = name.clone();
    let mut count = 1;
    while columns.iter().any(|(used, _)| *used == name) {
        count += 1;
        name = format!("{base} {count}");
    }
    name
}

fn mark_name(placed: &Placed<'_>) -> String {
    if !placed.mark.name.trim().is_empty() {
        return placed.mark.name.clone();
    }
    let kind = kind(&placed.mark.kind);
    if placed.y.label.trim().is_empty() {
        kind.to_owned()
    } else {
        format!("{} {kind}", placed.y.label)
    }
}

fn kind(kind: &MarkKind) -> &'static str {
    match kind {
        MarkKind::Line { .. } => "line",
        MarkKind::Bars { .. } => "bars",
        MarkKind::Band { .. } => "band",
        MarkKind::Points { .. } => "points",
        MarkKind::HeatMap { .. } => "heat map",
        MarkKind::VerticalLine { .. } => "vertical line",
        MarkKind::Text { .. } => "text",
    }
}

fn axis_name(axis: &Axis, otherwise: &str) -> String {
    let name = if axis.label.trim().is_empty() {
        otherwise
    } else {
        &axis.label
    };
    if axis.log10 {
        format!("log10({name})")
    } else {
        name.to_owned()
    }
}

/// One row per value.
fn tidy(figure: &Figure) -> String {
    let mut out = "axes,mark,kind,x_axis,y_axis,x,y,y_high,value\n".to_owned();
    for placed in marks(figure) {
        let start = format!(
            "{},{},{},{},{}",
            placed.axes,
            field(&mark_name(&placed)),
            kind(&placed.mark.kind),
            field(&axis_name(placed.x, "x")),
            field(&axis_name(placed.y, "y"))
        );
        let mut row = |x: f64, rest: std::fmt::Arguments<'_>| {
            let _ = writeln!(out, "{start},{x},{rest}");
        };
        match &placed.mark.kind {
            MarkKind::Line { points, .. }
            | MarkKind::Points { points, .. }
            | MarkKind::Bars { bars: points, .. } => {
                for (x, y) in points {
                    row(*x, format_args!("{y},,"));
                }
            }
            MarkKind::Band { points } => {
                for (x, low, high) in points {
                    row(*x, format_args!("{low},{high},"));
                }
            }
            MarkKind::HeatMap {
                values,
                columns,
                x_range,
                y_range,
                ..
            } => {
                let rows = values.len().checked_div(*columns).unwrap_or(0);
                for (i, value) in values.iter().take(rows * columns).enumerate() {
                    let x = center(*x_range, i % columns, *columns);
                    let y = center(*y_range, i / columns, rows);
                    row(x, format_args!("{y},,{value}"));
                }
            }
            MarkKind::VerticalLine { x, .. } => row(*x, format_args!(",,")),
            MarkKind::Text { at, text } => row(at.0, format_args!("{},,{}", at.1, field(text))),
        }
    }
    out
}

fn center((low, high): (f64, f64), cell: usize, cells: usize) -> f64 {
    low + (high - low) * (cell as f64 + 0.5) / cells as f64
}

/// A text field, quoted where CSV asks for it.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Axes, Dash, RightAxis};

    fn axis(label: &str, log10: bool) -> Axis {
        Axis {
            label: label.to_owned(),
            log10,
            bounds: None,
            names: None,
        }
    }

    fn mark(name: &str, kind: MarkKind) -> Mark {
        Mark {
            name: name.to_owned(),
            color: [0; 3],
            opacity: 1.0,
            kind,
        }
    }

    fn line(points: &[(f64, f64)]) -> MarkKind {
        MarkKind::Line {
            points: points.to_vec(),
            width: 1.0,
            dash: Dash::Solid,
        }
    }

    fn figure(marks: Vec<Mark>, right: Option<RightAxis>, log10: bool) -> Figure {
        Figure {
            title: String::new(),
            file_stem: "f".to_owned(),
            size: (300.0, 200.0),
            dark: false,
            axes: vec![Axes {
                x: axis("arm", false),
                y: axis("mass", log10),
                marks,
                right,
            }],
        }
    }

    #[test]
    fn marks_that_share_x_become_columns() {
        let third = 1.0 / 3.0;
        let text = csv(&figure(
            vec![
                mark("policy", line(&[(0.0, third), (1.0, 1e-300)])),
                mark("a, b", line(&[(0.0, f64::NAN), (1.0, -0.5)])),
            ],
            Some(RightAxis {
                y: axis("R", false),
                marks: vec![mark(
                    "reward",
                    MarkKind::Bars {
                        bars: vec![(0.0, 1.0), (1.0, 0.0)],
                        width: 1.0,
                    },
                )],
            }),
            false,
        ));
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("arm,policy,\"a, b\",reward"));
        assert_eq!(lines.next(), Some("0,0.3333333333333333,NaN,1"));
        let row: Vec<f64> = lines
            .next()
            .unwrap_or_default()
            .split(',')
            .filter_map(|v| v.parse().ok())
            .collect();
        assert_eq!(row, [1.0, 1e-300, -0.5, 0.0]);
    }

    #[test]
    fn logarithms_say_so_and_equal_names_are_told_apart() {
        let text = csv(&figure(
            vec![
                mark("p", line(&[(0.0, -3.0)])),
                mark("p", line(&[(0.0, f64::NEG_INFINITY)])),
            ],
            None,
            true,
        ));
        assert_eq!(text, "arm,log10(p),log10(p) 2\n0,-3,-inf\n");
    }

    #[test]
    fn different_x_and_lines_across_become_one_row_per_value() {
        let text = csv(&figure(
            vec![
                mark("p", line(&[(0.0, 1.0)])),
                mark(
                    "tie",
                    MarkKind::VerticalLine {
                        x: 0.5,
                        dash: Dash::Dotted,
                    },
                ),
            ],
            None,
            false,
        ));
        assert_eq!(
            text,
            "axes,mark,kind,x_axis,y_axis,x,y,y_high,value\n1,p,line,arm,mass,0,1,,\n1,tie,vertical line,arm,mass,0.5,,,\n"
        );
    }

    #[test]
    fn heat_maps_list_every_cell_at_its_centre() {
        let text = csv(&figure(
            vec![mark(
                "m",
                MarkKind::HeatMap {
                    values: vec![1.0, 2.0, 3.0, 4.0, 9.0],
                    columns: 2,
                    x_range: (0.0, 2.0),
                    y_range: (0.0, 2.0),
                    value_range: (1.0, 4.0),
                },
            )],
            None,
            false,
        ));
        let last = text.lines().last();
        assert_eq!(last, Some("1,m,heat map,arm,mass,1.5,1.5,,4"));
        assert_eq!(text.lines().count(), 5);
    }

    #[test]
    fn an_empty_figure_is_a_header() {
        let mut empty = figure(vec![], None, false);
        assert_eq!(csv(&empty).lines().count(), 1);
        empty.axes.clear();
        assert_eq!(csv(&empty).lines().count(), 1);
    }
}
