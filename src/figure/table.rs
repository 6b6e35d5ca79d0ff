//! The numbers of a figure as CSV: exactly the values that were given, in full precision, nothing thinned out.
//!
//! Where all marks of a figure share their x values (bars with a curve over them), there is one row per x and one column
//! per mark. Where all marks are lying bars over the same names, there is one row per name. Otherwise there is one row per
//! value with its mark's name beside it. Places that have names are written with them; offsets of drawing are not data.

use std::{collections::HashMap, fmt::Write as _};

use super::{Axis, Figure, Mark, MarkKind};

/// The CSV text of a figure, with a header row. Values on a logarithmic axis are the logarithms, and the header says so.
pub(super) fn csv(figure: &Figure) -> String {
    wide(figure)
        .or_else(|| named_rows(figure))
        .unwrap_or_else(|| tidy(figure))
}

/// From, to and name of a shaded stretch.
type Span = (f64, f64, String);

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
    let mut stretches: Vec<(&str, &[Span])> = Vec::new();
    for placed in marks(figure) {
        let xs: Vec<f64> = match &placed.mark.kind {
            MarkKind::Line { points, .. } | MarkKind::Points { points, .. } => {
                points.iter().map(|p| p.0).collect()
            }
            MarkKind::Bars { bars: points, .. }
            | MarkKind::Groups { bars: points, .. }
            | MarkKind::Levels { levels: points, .. } => points.iter().map(|p| p.0).collect(),
            MarkKind::Band { points } | MarkKind::Whiskers { points, .. } => {
                points.iter().map(|p| p.0).collect()
            }
            MarkKind::Text { .. } => continue,
            MarkKind::Spans { spans, .. } => {
                stretches.push((placed.mark.name.as_str(), spans.as_slice()));
                continue;
            }
            MarkKind::HeatMap { .. }
            | MarkKind::VerticalLine { .. }
            | MarkKind::Events { .. }
            | MarkKind::Rows { .. } => return None,
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
            MarkKind::Bars { bars: points, .. }
            | MarkKind::Groups { bars: points, .. }
            | MarkKind::Levels { levels: points, .. } => {
                column("", points.iter().map(|p| p.1).collect());
            }
            MarkKind::Band { points } | MarkKind::Whiskers { points, .. } => {
                column(" low", points.iter().map(|p| p.1).collect());
                column(" high", points.iter().map(|p| p.2).collect());
            }
            MarkKind::Text { .. }
            | MarkKind::HeatMap { .. }
            | MarkKind::VerticalLine { .. }
            | MarkKind::Events { .. }
            | MarkKind::Rows { .. }
            | MarkKind::Spans { .. } => {}
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
    for (name, _) in &stretches {
        let _ = write!(out, ",{}", field(name));
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
        for (_, spans) in &stretches {
            // Ascending and apart, as neighbours on an axis are.
            let place = spans.partition_point(|span| span.1 <= *x);
            let name = spans
                .get(place)
                .filter(|span| span.0 <= *x)
                .map_or("", |span| span.2.as_str());
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

/// One row per name, where every mark is lying bars over the same names.
fn named_rows(figure: &Figure) -> Option<String> {
    let names = figure.axes.first()?.y.names.as_ref()?;
    let mut columns: Vec<(String, HashMap<u64, f64>)> = Vec::new();
    for group in &figure.axes {
        if group.y.names.as_ref() != Some(names) || group.right.is_some() {
            return None;
        }
        for mark in &group.marks {
            let MarkKind::Rows { rows, .. } = &mark.kind else {
                return None;
            };
            let name = if group.x.log10 {
                format!("log10({})", mark.name)
            } else {
                mark.name.clone()
            };
            let values = rows.iter().map(|(y, value)| (y.to_bits(), *value));
            columns.push((name, values.collect()));
        }
    }
    let mut out = field(&axis_name(&figure.axes.first()?.y, "name"));
    for (name, _) in &columns {
        let _ = write!(out, ",{}", field(name));
    }
    out.push('\n');
    for (at, name) in names {
        out.push_str(&field(name));
        for (_, values) in &columns {
            match values.get(&at.to_bits()) {
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
        MarkKind::Bars { .. } | MarkKind::Groups { .. } | MarkKind::Rows { .. } => "bars",
        MarkKind::Levels { .. } => "levels",
        MarkKind::Spans { .. } => "span",
        MarkKind::Band { .. } => "band",
        MarkKind::Whiskers { .. } => "error bars",
        MarkKind::Events { .. } => "events",
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
    let mut out = "axes,mark,kind,x_axis,y_axis,x,y,y_high,value,name\n".to_owned();
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
        let name_at = |axis: &'_ Axis, at: f64| -> String {
            let names = axis.names.iter().flatten();
            let mut found = names.filter(|(place, _)| *place == at);
            found
                .next()
                .map_or_else(String::new, |(_, name)| field(name))
        };
        let name = |x: f64, y: f64| {
            let name = name_at(placed.x, x);
            if name.is_empty() {
                name_at(placed.y, y)
            } else {
                name
            }
        };
        match &placed.mark.kind {
            MarkKind::Line { points, .. }
            | MarkKind::Points { points, .. }
            | MarkKind::Bars { bars: points, .. }
            | MarkKind::Groups { bars: points, .. }
            | MarkKind::Levels { levels: points, .. } => {
                for (x, y) in points {
                    row(*x, format_args!("{y},,,{}", name(*x, *y)));
                }
            }
            MarkKind::Rows { rows, .. } => {
                for (y, value) in rows {
                    row(*value, format_args!("{y},,,{}", name(f64::NAN, *y)));
                }
            }
            MarkKind::Spans { spans, .. } => {
                // From in x, to in value.
                for (from, to, name) in spans {
                    row(*from, format_args!(",,{to},{}", field(name)));
                }
            }
            MarkKind::Band { points } | MarkKind::Whiskers { points, .. } => {
                for (x, low, high) in points {
                    row(*x, format_args!("{low},{high},,{}", name(*x, f64::NAN)));
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
                    row(x, format_args!("{y},,{value},"));
                }
            }
            MarkKind::VerticalLine { x, .. } => row(*x, format_args!(",,,")),
            MarkKind::Events { events } => {
                for (x, what) in events {
                    row(*x, format_args!(",,,{}", field(what)));
                }
            }
            MarkKind::Text { at, text, .. } => {
                row(at.0, format_args!("{},,,{}", at.1, field(text)))
            }
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
    use crate::figure::{Axes, Dash, Layout, Look, RightAxis, SpanNames};

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
            legend: None,
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
            layout: Layout::Row,
            axes: vec![Axes {
                title: String::new(),
                aspect: None,
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
            "axes,mark,kind,x_axis,y_axis,x,y,y_high,value,name\n1,p,line,arm,mass,0,1,,,\n1,tie,vertical line,arm,mass,0.5,,,,\n"
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
                    log10: false,
                },
            )],
            None,
            false,
        ));
        let last = text.lines().last();
        assert_eq!(last, Some("1,m,heat map,arm,mass,1.5,1.5,,4,"));
        assert_eq!(text.lines().count(), 5);
    }

    #[test]
    fn bars_beside_each_other_share_a_row_with_the_name_of_their_place() {
        let group = |name: &str, offset: f64, heights: [f64; 2]| {
            mark(
                name,
                MarkKind::Groups {
                    bars: vec![(0.0, heights[0]), (1.0, heights[1])],
                    width: 0.3,
                    offset,
                    look: Look::Hatched,
                },
            )
        };
        let spans = MarkKind::Spans {
            spans: vec![(0.5, 1.5, "peak".to_owned())],
            names: SpanNames::Above,
        };
        let mut shown = figure(
            vec![
                mark("mode", spans),
                group("policy", -0.26, [0.25, 0.75]),
                group("samples", 0.26, [0.5, 0.5]),
            ],
            None,
            false,
        );
        shown.axes[0].x.names = Some(vec![(0.0, "a, b".to_owned()), (1.0, "1".to_owned())]);
        assert_eq!(
            csv(&shown),
            "arm,name,mode,policy,samples\n0,\"a, b\",,0.25,0.5\n1,1,peak,0.75,0.5\n"
        );
    }

    #[test]
    fn lying_bars_have_one_row_per_name_and_no_base() {
        let rows = |name: &str, rows: Vec<(f64, f64)>| {
            mark(
                name,
                MarkKind::Rows {
                    rows,
                    base: -3.5,
                    thickness: 9.0,
                },
            )
        };
        let mut shown = figure(
            vec![rows("cosine", vec![(1.0, 0.5), (0.0, 1.0)])],
            None,
            false,
        );
        shown.axes[0].y = Axis {
            names: Some(vec![(1.0, "k1".to_owned()), (0.0, "k3".to_owned())]),
            ..axis("estimator", false)
        };
        shown.axes.push(Axes {
            x: axis("variance", true),
            marks: vec![rows("variance", vec![(0.0, -2.0)])],
            ..shown.axes[0].clone()
        });
        assert_eq!(
            csv(&shown),
            "estimator,cosine,log10(variance)\nk1,0.5,\nk3,1,-2\n"
        );
    }

    #[test]
    fn an_empty_figure_is_a_header() {
        let mut empty = figure(vec![], None, false);
        assert_eq!(csv(&empty).lines().count(), 1);
        empty.axes.clear();
        assert_eq!(csv(&empty).lines().count(), 1);
    }
}
