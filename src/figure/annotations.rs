//! What points at data rather than being data: error bars, events on the horizontal axis, letters in discs, and the edge that
//! lets a line or a point stand out from a heat map.

use super::{
    Dash, Marker, bars,
    marks::{Map, OUTSIDE},
    scene::{Anchor, Item, Paint, Stroke, Style},
};

/// Half the width of the caps of an error bar, in points.
const CAP: f64 = 2.2;
/// Events nearer than this to the last one drawn are not drawn, in points.
const APART: f64 = 3.0;
/// Opacity of an event's hairline, of the mark's own: there may be dozens, and what they cross is what counts.
const FAINT: f64 = 0.5;
/// A stretch with a badge that is not wider than this is a line, in points.
const NARROW: f64 = 6.0;
/// The width of such a line, in points.
const LINE: f64 = 1.5;
/// How much stronger such a line is than a shaded stretch, which stands behind nothing.
const STRONGER: f64 = 5.0;
/// How far the edge of a line or a point reaches beyond it, in points.
const EDGE: f64 = 0.9;

/// Error bars with caps.
pub(super) fn whiskers(
    points: &[(f64, f64, f64)],
    offset: f64,
    paint: Paint,
    map: &Map,
) -> Vec<Item> {
    let near = map.frame.grown(OUTSIDE);
    let runs: Vec<Vec<(f64, f64)>> = points
        .iter()
        .filter(|p| (p.0 + offset).is_finite() && !p.1.is_nan() && !p.2.is_nan())
        .map(|p| {
            let y = |value: f64| map.y(value).clamp(near.top, near.bottom);
            (map.x(p.0 + offset), y(p.1), y(p.2))
        })
        .filter(|(x, ..)| (near.left..=near.right).contains(x))
        .flat_map(|(x, low, high)| {
            let cap = |y: f64| vec![(x - CAP, y), (x + CAP, y)];
            [cap(low), vec![(x, low), (x, high)], cap(high)]
        })
        .collect();
    lines(runs, paint, 1.0)
}

/// A hairline and a diamond at its top for each event; of those that share a place, the first.
pub(super) fn events(events: &[(f64, String)], paint: Paint, map: &Map) -> Vec<Item> {
    let f = &map.frame;
    let mut places: Vec<f64> = events
        .iter()
        .map(|(at, _)| *at)
        .filter(|at| (map.x.0..=map.x.1).contains(at))
        .map(|at| map.x(at))
        .collect();
    places.sort_by(f64::total_cmp);
    let mut last = f64::NEG_INFINITY;
    places.retain(|at| {
        let seen = at - last >= APART;
        if seen {
            last = *at;
        }
        seen
    });
    if places.is_empty() {
        return Vec::new();
    }
    let faint = Paint {
        opacity: paint.opacity * FAINT,
        ..paint
    };
    let runs = places.iter().map(|&x| vec![(x, f.bottom), (x, f.top)]);
    let mut items = lines(runs.collect(), faint, 0.7);
    let tops: Vec<(f64, f64)> = places.iter().map(|&x| (x, f.top + 4.0)).collect();
    items.push(bars::markers(&tops, Marker::Diamond, paint));
    items
}

/// Picked stretches, shaded over the whole height; narrow ones are lines, or nobody would see them.
pub(super) fn picks(spans: &[(f64, f64, String)], paint: Paint, map: &Map) -> Vec<Item> {
    let f = &map.frame;
    spans
        .iter()
        .map(|(from, to, _)| (map.x(*from), map.x(*to)))
        .filter(|(left, right)| *right >= f.left && *left <= f.right)
        .map(|(left, right)| {
            let wide = right - left > NARROW;
            let (left, right) = if wide {
                (left + 0.75, right - 0.75)
            } else {
                let middle = (left + right) / 2.0;
                (middle - LINE / 2.0, middle + LINE / 2.0)
            };
            let outline = vec![
                (left, f.top),
                (right, f.top),
                (right, f.bottom),
                (left, f.bottom),
            ];
            let strength = if wide { 1.0 } else { STRONGER };
            Item::Areas {
                outlines: vec![outline],
                paint: Paint {
                    opacity: (paint.opacity * strength).min(1.0),
                    ..paint
                },
            }
        })
        .collect()
}

/// A letter in a disc.
pub(super) fn badge(letter: &str, at: (f64, f64), paint: Paint, style: &Style) -> [Item; 3] {
    let dot = |radius: f64, paint: Paint| Item::Dots {
        centers: vec![at],
        radius,
        paint,
    };
    let ring = Paint {
        color: style.background,
        opacity: 1.0,
    };
    let solid = Paint {
        opacity: 1.0,
        ..paint
    };
    [
        dot(badge_radius(style) + 1.0, ring),
        dot(badge_radius(style), solid),
        Item::Text {
            at: (at.0, at.1 + style.font * 0.33),
            text: letter.to_owned(),
            size: style.font * 0.9,
            anchor: Anchor::Middle,
            angle: 0.0,
            color: style.background,
            halo: None,
        },
    ]
}

/// The radius of the disc of a badge, in points.
pub(super) fn badge_radius(style: &Style) -> f64 {
    style.font * 0.7
}

/// The edge behind what is drawn on a heat map, whose colours run from dark to light.
pub(super) fn edge(item: &Item) -> Option<Item> {
    let behind = |paint: &Paint, opacity: f64| Paint {
        color: opposite(paint.color),
        opacity: paint.opacity * opacity,
    };
    match item {
        Item::Lines { runs, stroke } => Some(Item::Lines {
            runs: runs.clone(),
            stroke: Stroke {
                paint: behind(&stroke.paint, 0.55),
                width: stroke.width + 2.0 * EDGE,
                dash: Dash::Solid,
            },
        }),
        Item::Dots {
            centers,
            radius,
            paint,
        } => Some(Item::Dots {
            centers: centers.clone(),
            radius: radius + EDGE,
            paint: behind(paint, 1.0),
        }),
        Item::Areas { .. } | Item::Cells { .. } | Item::Text { .. } | Item::Clipped { .. } => None,
    }
}

/// What a colour stands out against: white or nearly black.
pub(super) fn opposite([r, g, b]: [u8; 3]) -> [u8; 3] {
    let luma = 0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b);
    if luma < 140.0 { [0xFF; 3] } else { [0x14; 3] }
}

fn lines(runs: Vec<Vec<(f64, f64)>>, paint: Paint, width: f64) -> Vec<Item> {
    if runs.is_empty() {
        return Vec::new();
    }
    let stroke = Stroke {
        paint,
        width,
        dash: Dash::Solid,
    };
    vec![Item::Lines { runs, stroke }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::scene::Rect;

    const PAINT: Paint = Paint {
        color: [0x10, 0x60, 0xA0],
        opacity: 1.0,
    };

    fn map() -> Map {
        Map {
            x: (0.0, 100.0),
            y: (0.0, 1.0),
            frame: Rect {
                left: 0.0,
                top: 0.0,
                right: 100.0,
                bottom: 50.0,
            },
            log_y: false,
        }
    }

    #[test]
    fn whiskers_stand_where_their_bars_stand() {
        let items = whiskers(
            &[(20.0, 0.2, 0.6), (30.0, f64::NAN, 1.0)],
            5.0,
            PAINT,
            &map(),
        );
        let [Item::Lines { runs, .. }] = &items[..] else {
            panic!("{items:?}");
        };
        assert_eq!(runs.len(), 3, "a line and two caps: {runs:?}");
        assert_eq!(runs[1], [(25.0, 40.0), (25.0, 20.0)]);
    }

    #[test]
    fn events_on_one_place_are_drawn_once_and_in_any_order() {
        let at = |x: f64| (x, String::new());
        let all = [
            at(50.0),
            at(10.0),
            at(11.0),
            at(50.5),
            at(400.0),
            at(f64::NAN),
        ];
        let items = events(&all, PAINT, &map());
        let [Item::Lines { runs, .. }, Item::Areas { outlines, .. }] = &items[..] else {
            panic!("{items:?}");
        };
        assert_eq!(runs.len(), 2);
        assert_eq!(outlines.len(), 2, "a diamond each");
        assert!(events(&[], PAINT, &map()).is_empty());
    }
}
