//! What is around a frame: ticks with their labels, the axes' names, the colour bar of a heat map.

use super::{
    Axes, Axis,
    axes::{lines, value_axis},
    colormap::viridis,
    marks::Map,
    scene::{Anchor, Item, Rect, Style},
    text,
    ticks::Ticks,
};

/// The most room of a slanted label, in text sizes.
pub(super) const SLANTED: f64 = 9.0;

/// Sizes of tick labels and gaps, from the style's text size.
pub(super) struct Measures {
    pub(super) tick_font: f64,
    pub(super) tick: f64,
    pub(super) gap: f64,
}

#[expect(
    clippy::too_many_arguments,
    reason = "layout facts that only this step needs"
)]
pub(super) fn horizontal_labels(
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
                text::shortened(text, m.tick_font, style.font * SLANTED)
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
pub(super) enum Side {
    Left(f64),
    Right(f64),
}

#[expect(
    clippy::too_many_arguments,
    reason = "layout facts that only this step needs"
)]
pub(super) fn vertical_labels(
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
pub(super) fn color_bar(
    name: &str,
    range: (f64, f64),
    ticks: &Ticks,
    map: &Map,
    outer: f64,
    style: &Style,
    m: &Measures,
    items: &mut Vec<Item>,
) {
    let mut labels = text_width(ticks, m.tick_font) + m.tick + m.gap;
    labels += if name.is_empty() {
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
        label: name.to_owned(),
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
