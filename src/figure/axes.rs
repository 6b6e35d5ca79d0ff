//! One pair of axes: room for labels first, then the frame, then what is in it and around it.

use super::{
    Axes, Axis, Dash, Mark, MarkKind, SpanNames, bounds,
    contents::draw_marks,
    labels::{Measures, SLANTED, Side, color_bar, horizontal_labels, vertical_labels},
    marks::Map,
    scene::{Item, Paint, Rect, Stroke, Style},
    text,
    ticks::{Ticks, ticks},
};

pub(super) fn draw_axes(axes: &Axes, mut cell: Rect, style: &Style, items: &mut Vec<Item>) {
    let m = Measures {
        tick_font: style.font * 0.9,
        tick: style.font * 0.35,
        gap: style.font * 0.35,
    };
    let right_marks = axes.right.as_ref().map_or(&[][..], |r| r.marks.as_slice());
    let x_bounds = bounds::horizontal(&axes.x, axes.marks.iter().chain(right_marks));
    let y_bounds = bounds::vertical(&axes.y, &axes.marks);
    let right_bounds = axes
        .right
        .as_ref()
        .map(|right| bounds::vertical(&right.y, &right.marks));
    let heat = axes.marks.iter().find_map(|mark| match &mark.kind {
        MarkKind::HeatMap {
            value_range, log10, ..
        } => Some((mark, *value_range, *log10)),
        _ => None,
    });

    // Room for labels first, then the frame, then the ticks that fit it.
    let named = |axis: &Axis| !axis.label.trim().is_empty();
    let small = cell.width() < 9.0 * style.font || cell.height() < 7.0 * style.font;
    let rows = (cell.height() / (style.font * 2.6)) as usize;
    let y_ticks = ticks(&axes.y, y_bounds, rows);
    let right_ticks = axes
        .right
        .as_ref()
        .zip(right_bounds)
        .map(|(right, bounds)| ticks(&right.y, bounds, rows));
    let heat_ticks = heat.map(|(_, range, log10)| {
        let axis = Axis {
            log10,
            ..value_axis()
        };
        (range, ticks(&axis, range, rows.min(6)))
    });
    // The panel's own title need not be said twice.
    let bar_name = heat.map_or("", |(mark, ..)| {
        if mark.name == axes.title {
            ""
        } else {
            mark.name.as_str()
        }
    });
    // Names are words: they may take more of the room than numbers.
    let widest_of = |axis: &Axis| cell.width() * if axis.names.is_some() { 0.55 } else { 0.3 };
    let left_limit = widest_of(&axes.y);
    let column = |ticks: &Ticks, limit: f64| {
        ticks
            .major
            .iter()
            .map(|(_, label)| text::width(label, m.tick_font))
            .fold(0.0, f64::max)
            .min(limit)
    };
    let number_limit = cell.width() * 0.3;
    let title_height = style.font * 1.35;
    let mut frame = cell;
    if !small {
        frame.left += column(&y_ticks, left_limit) + m.tick + m.gap;
        frame.left += if named(&axes.y) { title_height } else { 0.0 };
        frame.top += style.font * 0.5;
        if axes
            .marks
            .iter()
            .any(|mark| matches!(&mark.kind, MarkKind::Spans { spans, names: SpanNames::Above } if !spans.is_empty()))
        {
            frame.top += style.font * 0.9;
        }
        if let (Some(right), Some(ticks)) = (&axes.right, &right_ticks) {
            frame.right -= column(ticks, number_limit) + m.tick + m.gap;
            frame.right -= if named(&right.y) { title_height } else { 0.0 };
        }
        if let Some((_, ticks)) = &heat_ticks {
            frame.right -= style.font * 2.0 + column(ticks, number_limit) + m.tick + m.gap;
            frame.right -= if bar_name.is_empty() {
                0.0
            } else {
                title_height
            };
        }
        if axes.right.is_none() && heat.is_none() {
            frame.right -= style.font;
        }
    }
    let mut x_ticks = tick_labels(&axes.x, x_bounds, frame.width(), &m);
    let slanted = !small && crowded(&x_ticks, x_bounds, frame.width(), m.tick_font);
    if !small {
        let widest = column(&x_ticks, number_limit).min(style.font * SLANTED);
        frame.bottom -= m.tick + m.gap;
        frame.bottom -= if slanted {
            widest * 0.64 + m.tick_font * 0.9
        } else {
            m.tick_font
        };
        frame.bottom -= if named(&axes.x) { title_height } else { 0.0 };
    }
    frame.right = frame.right.max(frame.left + 1.0);
    frame.bottom = frame.bottom.max(frame.top + 1.0);

    if let Some(aspect) = axes.aspect.filter(|a| a.is_finite() && *a > 0.0) {
        // What the frame does not take, nothing else does.
        let wide = (frame.width() - frame.height() * aspect).max(0.0);
        let high = (frame.height() - frame.width() / aspect).max(0.0);
        frame.right -= wide;
        cell.right -= wide;
        frame.bottom -= high;
        cell.bottom -= high;
        x_ticks = tick_labels(&axes.x, x_bounds, frame.width(), &m);
    }

    let map = Map {
        x: x_bounds,
        y: y_bounds,
        frame,
        log_y: axes.y.log10,
    };
    let right_map = right_bounds.map(|y| Map {
        y,
        log_y: axes.right.as_ref().is_some_and(|r| r.y.log10),
        ..map
    });
    if heat.is_none() {
        grid(
            &map,
            &x_ticks,
            &y_ticks,
            axes.x.names.is_some(),
            style,
            items,
        );
    }
    draw_marks(axes, &map, right_map.as_ref(), style, items);
    spines(
        &map,
        right_map.is_some() || heat.is_some(),
        heat.is_some(),
        style,
        items,
    );
    if small {
        return;
    }
    horizontal_labels(axes, &map, &x_ticks, slanted, &cell, style, &m, items);
    vertical_labels(
        &axes.y,
        &map,
        &y_ticks,
        Side::Left(cell.left),
        style.text,
        style,
        &m,
        items,
    );
    if let (Some(right), Some(map), Some(ticks)) = (&axes.right, &right_map, &right_ticks) {
        let color = one_color(&right.marks).map_or(style.text, |color| style.ink(color));
        let edge = frame.right + m.tick + m.gap + column(ticks, number_limit) + title_height;
        vertical_labels(
            &right.y,
            map,
            ticks,
            Side::Right(edge),
            color,
            style,
            &m,
            items,
        );
    }
    if let Some((range, ticks)) = &heat_ticks {
        color_bar(bar_name, *range, ticks, &map, cell.right, style, &m, items);
    }
}

pub(super) fn value_axis() -> Axis {
    Axis {
        label: String::new(),
        log10: false,
        bounds: None,
        names: None,
    }
}

/// The colour that all marks share, if they do.
fn one_color(marks: &[Mark]) -> Option<[u8; 3]> {
    let first = marks.first()?.color;
    marks.iter().all(|m| m.color == first).then_some(first)
}

/// As many labels as fit beside each other. Names are all kept where they fit slanted, and thinned out otherwise.
fn tick_labels(axis: &Axis, bounds: (f64, f64), width: f64, m: &Measures) -> Ticks {
    if axis.names.is_some() {
        let mut all = ticks(axis, bounds, 2);
        let most = (width / (m.tick_font * 1.25)).max(1.0) as usize;
        let every = all.major.len().div_ceil(most).max(1);
        all.major = all.major.into_iter().step_by(every).collect();
        for (_, label) in &mut all.major {
            *label = text::shortened(label, m.tick_font, m.tick_font * 1.1 * SLANTED);
        }
        return all;
    }
    let mut count = (width / (m.tick_font * 3.0)).clamp(2.0, 12.0) as usize;
    loop {
        let ticks = ticks(axis, bounds, count);
        if count <= 2 || !crowded(&ticks, bounds, width, m.tick_font) {
            return ticks;
        }
        count -= 1;
    }
}

/// Whether labels would touch when written horizontally.
fn crowded(ticks: &Ticks, bounds: (f64, f64), width: f64, font: f64) -> bool {
    let scale = width / (bounds.1 - bounds.0);
    let spans: Vec<(f64, f64)> = ticks
        .major
        .iter()
        .map(|(at, label)| {
            let (middle, half) = ((at - bounds.0) * scale, text::width(label, font) / 2.0);
            (middle - half, middle + half)
        })
        .collect();
    spans
        .windows(2)
        .any(|pair| pair[0].1 + font * 0.5 > pair[1].0)
}

fn grid(
    map: &Map,
    x_ticks: &Ticks,
    y_ticks: &Ticks,
    names: bool,
    style: &Style,
    items: &mut Vec<Item>,
) {
    let frame = &map.frame;
    let mut runs = Vec::new();
    if !names {
        for (at, _) in &x_ticks.major {
            let x = map.x(*at);
            runs.push(vec![(x, frame.top), (x, frame.bottom)]);
        }
    }
    for (at, _) in &y_ticks.major {
        let y = map.y(*at);
        runs.push(vec![(frame.left, y), (frame.right, y)]);
    }
    if !runs.is_empty() {
        items.push(lines(runs, style.grid, 0.6));
    }
}

pub(super) fn lines(runs: Vec<Vec<(f64, f64)>>, color: [u8; 3], width: f64) -> Item {
    Item::Lines {
        runs,
        stroke: Stroke {
            paint: Paint {
                color,
                opacity: 1.0,
            },
            width,
            dash: Dash::Solid,
        },
    }
}

fn spines(map: &Map, right: bool, full: bool, style: &Style, items: &mut Vec<Item>) {
    let f = &map.frame;
    let mut run = vec![(f.left, f.top), (f.left, f.bottom), (f.right, f.bottom)];
    if right {
        run.push((f.right, f.top));
    }
    if full {
        run.push((f.left, f.top));
    }
    items.push(lines(vec![run], style.axis, 0.8));
}
