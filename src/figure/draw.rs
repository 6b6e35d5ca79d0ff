//! A figure to a scene: where title, legend, frames, ticks and labels go. The legend sits above the axes, where it can
//! never cover data.

use super::{
    Axes, Axis, Dash, Figure, Mark, MarkKind, bounds,
    colormap::viridis,
    marks::{self, Map},
    scene::{Anchor, Item, Paint, Rect, Scene, Stroke, Style},
    text,
    ticks::{Ticks, ticks},
};

/// Figures are drawn at least and at most this large, in points.
const SIDE: (f64, f64) = (24.0, 14_400.0);

/// Lays out a figure.
pub(super) fn scene(figure: &Figure) -> Scene {
    let side = |s: f64| {
        if s.is_finite() {
            s.clamp(SIDE.0, SIDE.1)
        } else {
            400.0
        }
    };
    let size = (side(figure.size.0), side(figure.size.1));
    let style = Style::new(figure.dark, size);
    let mut items = Vec::new();
    let margin = style.font * 0.8;
    let mut top = margin;
    let roomy = size.0 > 20.0 * style.font && size.1 > 14.0 * style.font;
    if roomy {
        top = title(figure, &style, size.0, margin, top, &mut items);
        top = legend(figure, &style, size, margin, top, &mut items);
    }
    let count = figure.axes.len().max(1) as f64;
    let gap = style.font * 1.4;
    let width = (size.0 - 2.0 * margin - gap * (count - 1.0)) / count;
    for (i, axes) in figure.axes.iter().enumerate() {
        let left = margin + i as f64 * (width + gap);
        let cell = Rect {
            left,
            top,
            right: left + width.max(1.0),
            bottom: (size.1 - margin).max(top + 1.0),
        };
        draw_axes(axes, cell, &style, &mut items);
    }
    Scene {
        size,
        background: style.background,
        title: figure.title.clone(),
        id: figure.file_stem.clone(),
        items,
    }
}

fn title(
    figure: &Figure,
    style: &Style,
    width: f64,
    margin: f64,
    mut top: f64,
    items: &mut Vec<Item>,
) -> f64 {
    let size = style.font * 1.2;
    for line in text::wrapped(&figure.title, size, width - 2.0 * margin, 2) {
        top += size;
        items.push(Item::Text {
            at: (margin, top),
            text: line,
            size,
            anchor: Anchor::Start,
            angle: 0.0,
            color: style.text,
            halo: None,
        });
        top += size * 0.3;
    }
    if figure.title.is_empty() {
        top
    } else {
        top + style.font * 0.5
    }
}

/// One line per name and colour, in the order of drawing; a curve and its spread share one.
fn legend_entries(figure: &Figure) -> Vec<&Mark> {
    let mut entries: Vec<&Mark> = Vec::new();
    let marks = figure.axes.iter().flat_map(|axes| {
        axes.marks
            .iter()
            .chain(axes.right.iter().flat_map(|right| right.marks.iter()))
    });
    for mark in marks {
        let drawn_otherwise = matches!(
            mark.kind,
            MarkKind::HeatMap { .. } | MarkKind::VerticalLine { .. } | MarkKind::Text { .. }
        );
        if mark.name.trim().is_empty() || drawn_otherwise {
            continue;
        }
        match entries
            .iter_mut()
            .find(|e| e.name == mark.name && e.color == mark.color)
        {
            Some(entry) => {
                if matches!(entry.kind, MarkKind::Band { .. }) {
                    *entry = mark;
                }
            }
            None => entries.push(mark),
        }
    }
    entries
}

fn legend(
    figure: &Figure,
    style: &Style,
    size: (f64, f64),
    margin: f64,
    mut top: f64,
    items: &mut Vec<Item>,
) -> f64 {
    let entries = legend_entries(figure);
    if entries.is_empty() {
        return top;
    }
    let (swatch, gap) = (style.font * 2.2, style.font * 1.5);
    let line = style.font * 1.55;
    let limit = size.0 - 2.0 * margin;
    let most_lines = ((size.1 * 0.2 / line) as usize).max(1);
    let (mut left, mut lines) = (margin, 1);
    for (i, entry) in entries.iter().enumerate() {
        let name = text::shortened(&entry.name, style.font, limit - swatch - style.font * 0.5);
        let width = swatch + style.font * 0.5 + text::width(&name, style.font);
        if left > margin && left + width > margin + limit {
            if lines == most_lines {
                let rest = entries.len() - i;
                items.push(label(
                    (left, top + style.font),
                    format!("+ {rest}"),
                    Anchor::Start,
                    style,
                ));
                break;
            }
            lines += 1;
            left = margin;
            top += line;
        }
        let middle = top + style.font * 0.65;
        sample(entry, (left, middle), swatch, style, items);
        items.push(label(
            (left + swatch + style.font * 0.5, top + style.font),
            name,
            Anchor::Start,
            style,
        ));
        left += width + gap;
    }
    top + line + style.font * 0.4
}

/// The legend's picture of a mark.
fn sample(
    mark: &Mark,
    (left, middle): (f64, f64),
    width: f64,
    style: &Style,
    items: &mut Vec<Item>,
) {
    let paint = Paint {
        color: mark.color,
        opacity: mark.opacity,
    };
    let right = left + width;
    let half = style.font * 0.36;
    if is_close(mark.color, style.background) {
        // White on white: shown on what such marks are drawn upon.
        items.push(Item::Areas {
            outlines: vec![vec![
                (left, middle - half * 1.4),
                (right, middle - half * 1.4),
                (right, middle + half * 1.4),
                (left, middle + half * 1.4),
            ]],
            paint: Paint {
                color: viridis(if style.background[0] > 0x80 { 0.0 } else { 0.7 }),
                opacity: 1.0,
            },
        });
    }
    match &mark.kind {
        MarkKind::Line { dash, width, .. } => items.push(Item::Lines {
            runs: vec![vec![(left, middle), (right, middle)]],
            stroke: Stroke {
                paint,
                width: width.clamp(1.0, 4.0),
                dash: *dash,
            },
        }),
        MarkKind::Points { radius, .. } => items.push(Item::Dots {
            centers: vec![((left + right) / 2.0, middle)],
            radius: radius.clamp(1.0, half),
            paint,
        }),
        MarkKind::Bars { .. }
        | MarkKind::Band { .. }
        | MarkKind::HeatMap { .. }
        | MarkKind::VerticalLine { .. }
        | MarkKind::Text { .. } => items.push(Item::Areas {
            outlines: vec![vec![
                (left, middle - half),
                (right, middle - half),
                (right, middle + half),
                (left, middle + half),
            ]],
            paint,
        }),
    }
}

/// Whether a colour can hardly be seen on another.
fn is_close(a: [u8; 3], b: [u8; 3]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.abs_diff(b) < 0x30)
}

fn label(at: (f64, f64), text: String, anchor: Anchor, style: &Style) -> Item {
    Item::Text {
        at,
        text,
        size: style.font,
        anchor,
        angle: 0.0,
        color: style.text,
        halo: None,
    }
}

/// Sizes of tick labels and gaps, from the style's text size.
struct Measures {
    tick_font: f64,
    tick: f64,
    gap: f64,
}

fn draw_axes(axes: &Axes, cell: Rect, style: &Style, items: &mut Vec<Item>) {
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
        MarkKind::HeatMap { value_range, .. } => Some((mark, *value_range)),
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
    let heat_ticks = heat.map(|(_, range)| (range, ticks(&value_axis(), range, rows.min(6))));
    let column = |ticks: &Ticks| {
        ticks
            .major
            .iter()
            .map(|(_, label)| text::width(label, m.tick_font))
            .fold(0.0, f64::max)
            .min(cell.width() * 0.3)
    };
    let title_height = style.font * 1.35;
    let mut frame = cell;
    if !small {
        frame.left += column(&y_ticks) + m.tick + m.gap;
        frame.left += if named(&axes.y) { title_height } else { 0.0 };
        frame.top += style.font * 0.5;
        if let (Some(right), Some(ticks)) = (&axes.right, &right_ticks) {
            frame.right -= column(ticks) + m.tick + m.gap;
            frame.right -= if named(&right.y) { title_height } else { 0.0 };
        }
        if let (Some((mark, _)), Some((_, ticks))) = (heat, &heat_ticks) {
            frame.right -= style.font * 2.0 + column(ticks) + m.tick + m.gap;
            frame.right -= if mark.name.is_empty() {
                0.0
            } else {
                title_height
            };
        }
        if axes.right.is_none() && heat.is_none() {
            frame.right -= style.font;
        }
    }
    let x_ticks = x_ticks(&axes.x, x_bounds, frame.width(), &m);
    let slanted = !small && crowded(&x_ticks, x_bounds, frame.width(), m.tick_font);
    if !small {
        let widest = column(&x_ticks).min(style.font * 7.0);
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
        let color = one_color(&right.marks).unwrap_or(style.text);
        let edge = frame.right + m.tick + m.gap + column(ticks) + title_height;
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
    if let (Some((mark, _)), Some((range, ticks))) = (heat, &heat_ticks) {
        color_bar(mark, *range, ticks, &map, cell.right, style, &m, items);
    }
}

fn value_axis() -> Axis {
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
fn x_ticks(axis: &Axis, bounds: (f64, f64), width: f64, m: &Measures) -> Ticks {
    if axis.names.is_some() {
        let mut all = ticks(axis, bounds, 2);
        let most = (width / (m.tick_font * 1.25)).max(1.0) as usize;
        let every = all.major.len().div_ceil(most).max(1);
        all.major = all.major.into_iter().step_by(every).collect();
        for (_, label) in &mut all.major {
            *label = text::shortened(label, m.tick_font, m.tick_font * 9.0);
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

fn lines(runs: Vec<Vec<(f64, f64)>>, color: [u8; 3], width: f64) -> Item {
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

fn draw_marks(axes: &Axes, map: &Map, right: Option<&Map>, style: &Style, items: &mut Vec<Item>) {
    let pairs: Vec<(&Mark, &Map)> = axes
        .marks
        .iter()
        .map(|mark| (mark, map))
        .chain(
            axes.right
                .iter()
                .zip(right)
                .flat_map(|(axis, map)| axis.marks.iter().map(move |mark| (mark, map))),
        )
        .collect();
    let drawn: Vec<Item> = pairs
        .iter()
        .flat_map(|(mark, map)| marks::items(mark, map))
        .collect();
    if !drawn.is_empty() {
        items.push(Item::Clipped {
            to: map.frame,
            items: drawn,
        });
    }
    let mut taken: Vec<(f64, f64, usize)> = Vec::new();
    let mut texts = Vec::new();
    for (mark, map) in pairs {
        match &mark.kind {
            MarkKind::VerticalLine { x, .. } => {
                line_label(mark, *x, map, &mut taken, style, &mut texts);
            }
            MarkKind::Text { at, text } if at.0.is_finite() && at.1.is_finite() => {
                texts.push(Item::Text {
                    at: (map.x(at.0), map.y(at.1) + style.font * 0.35),
                    text: text.clone(),
                    size: style.font,
                    anchor: Anchor::Middle,
                    angle: 0.0,
                    color: mark.color,
                    halo: Some(opposite(mark.color)),
                });
            }
            MarkKind::Text { .. }
            | MarkKind::Line { .. }
            | MarkKind::Bars { .. }
            | MarkKind::Band { .. }
            | MarkKind::Points { .. }
            | MarkKind::HeatMap { .. } => {}
        }
    }
    if !texts.is_empty() {
        items.push(Item::Clipped {
            to: map.frame,
            items: texts,
        });
    }
}

/// The label of a vertical line, at its top, in the first row where it covers no other such label.
fn line_label(
    mark: &Mark,
    x: f64,
    map: &Map,
    taken: &mut Vec<(f64, f64, usize)>,
    style: &Style,
    items: &mut Vec<Item>,
) {
    if mark.name.trim().is_empty() || !(map.x.0..=map.x.1).contains(&x) {
        return;
    }
    let size = style.font * 0.85;
    let name = text::shortened(&mark.name, size, map.frame.width() * 0.45);
    let (at, width) = (map.x(x), text::width(&name, size));
    let gap = size * 0.4;
    let rightwards = at + gap + width <= map.frame.right;
    let (from, to) = if rightwards {
        (at + gap, at + gap + width)
    } else {
        (at - gap - width, at - gap)
    };
    let most = ((map.frame.height() * 0.4 / (size * 1.25)) as usize).max(1);
    let free = (0..most).find(|row| {
        taken
            .iter()
            .all(|(a, b, used)| used != row || to + gap < *a || from - gap > *b)
    });
    let Some(row) = free else { return };
    taken.push((from, to, row));
    items.push(Item::Text {
        at: (
            if rightwards { from } else { to },
            map.frame.top + size * (1.0 + 1.25 * row as f64),
        ),
        text: name,
        size,
        anchor: if rightwards {
            Anchor::Start
        } else {
            Anchor::End
        },
        angle: 0.0,
        color: mark.color,
        halo: Some(style.background),
    });
}

/// What letters of a colour stand out against: white or nearly black.
fn opposite([r, g, b]: [u8; 3]) -> [u8; 3] {
    let luma = 0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b);
    if luma < 140.0 { [0xFF; 3] } else { [0x14; 3] }
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

#[expect(
    clippy::too_many_arguments,
    reason = "layout facts that only this step needs"
)]
fn horizontal_labels(
    axes: &Axes,
    map: &Map,
    ticks: &Ticks,
    slanted: bool,
    cell: &Rect,
    style: &Style,
    m: &Measures,
    items: &mut Vec<Item>,
) {
    let bottom = map.frame.bottom;
    let mut marks: Vec<Vec<(f64, f64)>> = Vec::new();
    for at in &ticks.minor {
        marks.push(vec![
            (map.x(*at), bottom),
            (map.x(*at), bottom + m.tick * 0.6),
        ]);
    }
    for (at, text) in &ticks.major {
        let x = map.x(*at);
        marks.push(vec![(x, bottom), (x, bottom + m.tick)]);
        let below = bottom + m.tick + m.gap;
        items.push(Item::Text {
            at: if slanted {
                (x + m.tick_font * 0.35, below + m.tick_font * 0.55)
            } else {
                (x, below + m.tick_font * 0.8)
            },
            text: if slanted {
                text::shortened(text, m.tick_font, style.font * 7.0)
            } else {
                text.clone()
            },
            size: m.tick_font,
            anchor: if slanted { Anchor::End } else { Anchor::Middle },
            angle: if slanted { -40.0 } else { 0.0 },
            color: style.text,
            halo: None,
        });
    }
    if !marks.is_empty() {
        items.push(lines(marks, style.axis, 0.8));
    }
    if !axes.x.label.trim().is_empty() {
        items.push(Item::Text {
            at: (
                (map.frame.left + map.frame.right) / 2.0,
                cell.bottom - style.font * 0.15,
            ),
            text: text::shortened(&axes.x.label, style.font, cell.width()),
            size: style.font,
            anchor: Anchor::Middle,
            angle: 0.0,
            color: style.text,
            halo: None,
        });
    }
}

/// Which side of the frame an axis is on, and where its label's outer edge is.
#[derive(Clone, Copy)]
enum Side {
    Left(f64),
    Right(f64),
}

#[expect(
    clippy::too_many_arguments,
    reason = "layout facts that only this step needs"
)]
fn vertical_labels(
    axis: &Axis,
    map: &Map,
    ticks: &Ticks,
    side: Side,
    color: [u8; 3],
    style: &Style,
    m: &Measures,
    items: &mut Vec<Item>,
) {
    let (edge, outwards, anchor, outer) = match side {
        Side::Left(outer) => (map.frame.left, -1.0, Anchor::End, outer),
        Side::Right(outer) => (map.frame.right, 1.0, Anchor::Start, outer),
    };
    // A point more than measured: the width of a text is an estimate.
    let limit = (outer - edge).abs() - m.tick - m.gap + 1.0;
    let mut marks: Vec<Vec<(f64, f64)>> = Vec::new();
    for at in &ticks.minor {
        let y = map.y(*at);
        marks.push(vec![(edge, y), (edge + outwards * m.tick * 0.6, y)]);
    }
    for (at, text) in &ticks.major {
        let y = map.y(*at);
        marks.push(vec![(edge, y), (edge + outwards * m.tick, y)]);
        items.push(Item::Text {
            at: (edge + outwards * (m.tick + m.gap), y + m.tick_font * 0.35),
            text: text::shortened(text, m.tick_font, limit),
            size: m.tick_font,
            anchor,
            angle: 0.0,
            color,
            halo: None,
        });
    }
    if !marks.is_empty() {
        items.push(lines(marks, style.axis, 0.8));
    }
    if !axis.label.trim().is_empty() {
        let x = match side {
            Side::Left(_) => outer + style.font * 0.85,
            Side::Right(_) => outer - style.font * 0.3,
        };
        items.push(Item::Text {
            at: (x, (map.frame.top + map.frame.bottom) / 2.0),
            text: text::shortened(&axis.label, style.font, map.frame.height() * 1.15),
            size: style.font,
            anchor: Anchor::Middle,
            angle: -90.0,
            color,
            halo: None,
        });
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "layout facts that only this step needs"
)]
fn color_bar(
    mark: &Mark,
    range: (f64, f64),
    ticks: &Ticks,
    map: &Map,
    outer: f64,
    style: &Style,
    m: &Measures,
    items: &mut Vec<Item>,
) {
    let mut labels = text_width(ticks, m.tick_font) + m.tick + m.gap;
    labels += if mark.name.is_empty() {
        0.0
    } else {
        style.font * 1.35
    };
    let right = outer - labels;
    let bar = Rect {
        left: right - style.font,
        right,
        ..map.frame
    };
    const STEPS: usize = 128;
    let height = bar.height() / STEPS as f64;
    for step in 0..STEPS {
        items.push(Item::Cells {
            cells: vec![Rect {
                bottom: bar.bottom - step as f64 * height,
                top: bar.bottom - (step + 1) as f64 * height,
                ..bar
            }],
            color: viridis((step as f64 + 0.5) / STEPS as f64),
        });
    }
    let bar_map = Map {
        y: range,
        log_y: false,
        frame: bar,
        x: (0.0, 1.0),
    };
    items.push(lines(
        vec![vec![
            (bar.left, bar.top),
            (bar.left, bar.bottom),
            (bar.right, bar.bottom),
            (bar.right, bar.top),
            (bar.left, bar.top),
        ]],
        style.axis,
        0.8,
    ));
    let axis = Axis {
        label: mark.name.clone(),
        ..value_axis()
    };
    vertical_labels(
        &axis,
        &bar_map,
        ticks,
        Side::Right(outer),
        style.text,
        style,
        m,
        items,
    );
}

fn text_width(ticks: &Ticks, font: f64) -> f64 {
    ticks
        .major
        .iter()
        .map(|(_, label)| text::width(label, font))
        .fold(0.0, f64::max)
}
