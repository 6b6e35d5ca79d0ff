//! What is inside a frame: the marks, clipped to it, and on top of them the texts and the labels of vertical lines.

use super::{
    Axes, Ground, Mark, MarkKind, SpanNames,
    annotations::{badge, badge_radius, edge, opposite},
    marks::{self, Map},
    scene::{Anchor, Item, Paint, Style},
    text,
};

pub(super) fn draw_marks(
    axes: &Axes,
    map: &Map,
    right: Option<&Map>,
    style: &Style,
    items: &mut Vec<Item>,
) {
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
    let heat = |mark: &Mark| matches!(mark.kind, MarkKind::HeatMap { .. });
    let on_heat = axes.marks.iter().any(heat);
    let mut drawn = Vec::new();
    let mut whole = Vec::new();
    for (mark, map) in &pairs {
        let parts = marks::items(mark, map).into_iter().flat_map(|item| {
            let edge = on_heat.then(|| edge(&item)).flatten();
            edge.into_iter().chain([item])
        });
        if matches!(mark.kind, MarkKind::Points { .. }) {
            // What is on the frame is not cut in two.
            whole.extend(parts);
        } else {
            drawn.extend(parts);
        }
    }
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
            MarkKind::Text { at, text, on } if at.0.is_finite() && at.1.is_finite() => {
                let at = (map.x(at.0), map.y(at.1));
                match on {
                    Ground::Picture => texts.push(Item::Text {
                        at: (at.0, at.1 + style.font * 0.35),
                        text: text.clone(),
                        size: style.font,
                        anchor: Anchor::Middle,
                        angle: 0.0,
                        color: mark.color,
                        halo: Some(opposite(mark.color)),
                    }),
                    Ground::Disc => whole.extend(badge(text, at, paint(mark), style)),
                }
            }
            MarkKind::Text { .. }
            | MarkKind::Line { .. }
            | MarkKind::Bars { .. }
            | MarkKind::Band { .. }
            | MarkKind::Points { .. }
            | MarkKind::Groups { .. }
            | MarkKind::Levels { .. }
            | MarkKind::Rows { .. }
            | MarkKind::Whiskers { .. }
            | MarkKind::Events { .. }
            | MarkKind::HeatMap { .. } => {}
            MarkKind::Spans { spans, names } => match names {
                SpanNames::Above => span_labels(spans, map, style, items),
                SpanNames::Hidden => {}
                SpanNames::Badges => whole.extend(badges(spans, paint(mark), map, style)),
            },
        }
    }
    items.extend(whole);
    if !texts.is_empty() {
        items.push(Item::Clipped {
            to: map.frame,
            items: texts,
        });
    }
}

fn paint(mark: &Mark) -> Paint {
    Paint {
        color: mark.color,
        opacity: mark.opacity,
    }
}

/// The letters of shaded stretches in discs, each at the top of its stretch.
fn badges(spans: &[(f64, f64, String)], paint: Paint, map: &Map, style: &Style) -> Vec<Item> {
    let y = map.frame.top + badge_radius(style) + 2.0;
    spans
        .iter()
        .map(|(from, to, letter)| ((from + to) / 2.0, letter))
        .filter(|(at, _)| (map.x.0..=map.x.1).contains(at))
        .flat_map(|(at, letter)| badge(letter, (map.x(at), y), paint, style))
        .collect()
}

/// The names of shaded stretches above them, where they have room.
fn span_labels(spans: &[(f64, f64, String)], map: &Map, style: &Style, items: &mut Vec<Item>) {
    let size = style.font * 0.85;
    let mut free_from = f64::NEG_INFINITY;
    for (from, to, name) in spans {
        let (left, right) = (
            map.x(*from).max(map.frame.left),
            map.x(*to).min(map.frame.right),
        );
        let width = text::width(name, size);
        let middle = ((left + right) / 2.0)
            .min(map.frame.right - width / 2.0)
            .max(map.frame.left + width / 2.0);
        if right <= left || middle - width / 2.0 < free_from || width > map.frame.width() {
            continue;
        }
        free_from = middle + width / 2.0 + size * 0.5;
        items.push(Item::Text {
            at: (middle, map.frame.top - size * 0.35),
            text: name.clone(),
            size,
            anchor: Anchor::Middle,
            angle: 0.0,
            color: style.text,
            halo: None,
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
