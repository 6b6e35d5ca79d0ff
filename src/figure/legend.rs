//! The legend: names beside small pictures of their marks, in lines above the axes.

use super::{
    Axes, Dash, Mark, MarkKind, Marker,
    bars::{boxes_items, markers},
    colormap::viridis,
    scene::{Anchor, Item, Paint, Rect, Stroke, Style},
    text,
};

/// The entries that every one of several axes has, to be shown once above all.
pub(super) fn shared(axes: &[Axes]) -> Vec<&Mark> {
    let [first, others @ ..] = axes else {
        return Vec::new();
    };
    if others.is_empty() {
        return Vec::new();
    }
    let others: Vec<Vec<&Mark>> = others
        .iter()
        .map(|axes| entries(std::iter::once(axes)))
        .collect();
    entries(std::iter::once(first))
        .into_iter()
        .filter(|entry| {
            others
                .iter()
                .all(|held| held.iter().any(|e| same(e, entry)))
        })
        .collect()
}

/// Whether two marks are one entry.
pub(super) fn same(a: &Mark, b: &Mark) -> bool {
    a.legend_name() == b.legend_name() && a.color == b.color
}

/// One entry per name and colour, in the order of drawing; a curve and its spread share one.
pub(super) fn entries<'a>(axes: impl Iterator<Item = &'a Axes>) -> Vec<&'a Mark> {
    let mut entries: Vec<&Mark> = Vec::new();
    let marks = axes.flat_map(|axes| {
        axes.marks
            .iter()
            .chain(axes.right.iter().flat_map(|right| right.marks.iter()))
    });
    for mark in marks {
        let drawn_otherwise = matches!(
            mark.kind,
            MarkKind::HeatMap { .. }
                | MarkKind::VerticalLine { .. }
                | MarkKind::Text { .. }
                | MarkKind::Rows { .. }
                | MarkKind::Spans { .. }
        );
        if mark.legend_name().is_empty() || drawn_otherwise {
            continue;
        }
        match entries.iter_mut().find(|e| same(e, mark)) {
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

/// Writes the entries into the top of `area`, as far as it reaches, and returns where they end.
pub(super) fn legend(entries: &[&Mark], style: &Style, area: Rect, items: &mut Vec<Item>) -> f64 {
    let mut top = area.top;
    if entries.is_empty() {
        return top;
    }
    let (swatch, gap) = (style.font * 2.2, style.font * 1.5);
    let line = style.font * 1.55;
    let most_lines = ((area.height() / line) as usize).max(1);
    let (mut left, mut lines) = (area.left, 1);
    for (i, entry) in entries.iter().enumerate() {
        let room = area.width() - swatch - style.font * 0.5;
        let name = text::shortened(entry.legend_name(), style.font, room);
        let width = swatch + style.font * 0.5 + text::width(&name, style.font);
        if left > area.left && left + width > area.right {
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
            left = area.left;
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
        MarkKind::Groups { look, .. } => items.extend(boxes_items(
            &[Rect {
                left,
                right,
                top: middle - half * 1.2,
                bottom: middle + half * 1.2,
            }],
            *look,
            paint,
        )),
        MarkKind::Levels {
            line, dash, marker, ..
        } => {
            items.push(Item::Lines {
                runs: vec![vec![(left, middle), (right, middle)]],
                stroke: Stroke {
                    paint,
                    width: line.clamp(1.0, 4.0),
                    dash: *dash,
                },
            });
            if let Some(marker) = marker {
                items.push(markers(&[((left + right) / 2.0, middle)], *marker, paint));
            }
        }
        MarkKind::Whiskers { .. } => {
            let (x, up) = ((left + right) / 2.0, half * 1.4);
            let cap = |y: f64| vec![(x - half * 0.6, y), (x + half * 0.6, y)];
            let line = vec![(x, middle - up), (x, middle + up)];
            items.push(Item::Lines {
                runs: vec![cap(middle - up), line, cap(middle + up)],
                stroke: Stroke {
                    paint,
                    width: 1.0,
                    dash: Dash::Solid,
                },
            });
        }
        MarkKind::Events { .. } => items.push(markers(
            &[((left + right) / 2.0, middle)],
            Marker::Diamond,
            paint,
        )),
        MarkKind::Bars { .. }
        | MarkKind::Rows { .. }
        | MarkKind::Spans { .. }
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
