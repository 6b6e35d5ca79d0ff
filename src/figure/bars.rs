//! Bars and level lines that stand for one place of the axis each, with the edge, the hatch or the marker that tells a series
//! apart without its colour; and the shaded stretches behind them.

use super::{
    Dash, Look, Marker,
    marks::{self, Map, OUTSIDE},
    scene::{Item, Paint, Rect, Stroke},
};

/// Opacity of the fill behind an edge or a hatch, of the mark's own.
const LIGHT: f64 = 0.3;
/// Distance between slanted lines, in points.
const HATCH: f64 = 4.0;
/// Radius of markers, in points.
pub(super) const MARKER: f64 = 2.8;

/// Bars of `(width, offset)` in data units around their places.
pub(super) fn groups(
    bars: &[(f64, f64)],
    (width, offset): (f64, f64),
    look: Look,
    paint: Paint,
    map: &Map,
) -> Vec<Item> {
    let half = width.abs() / 2.0;
    if !half.is_finite() || !offset.is_finite() {
        return Vec::new();
    }
    let moved = || -> Vec<(f64, f64)> { bars.iter().map(|b| (b.0 + offset, b.1)).collect() };
    match look {
        Look::Solid => marks::bars(&moved(), width, paint, map),
        Look::Area => {
            let light = Paint {
                opacity: paint.opacity * LIGHT,
                ..paint
            };
            let mut items = marks::bars(&moved(), width, light, map);
            items.extend(marks::line(
                &steps(&moved(), half, true),
                1.1,
                Dash::Solid,
                paint,
                map,
            ));
            items
        }
        Look::Outlined | Look::Dashed | Look::Frame | Look::Hatched => {
            let near = map.frame.grown(OUTSIDE);
            let base = map.baseline().clamp(near.top, near.bottom);
            let boxes: Vec<Rect> = moved()
                .into_iter()
                .filter(|b| b.0.is_finite() && !b.1.is_nan())
                .map(|(x, height)| {
                    let top = map.y(height).clamp(near.top, near.bottom);
                    Rect {
                        left: map.x(x - half),
                        right: map.x(x + half),
                        top: top.min(base),
                        bottom: top.max(base),
                    }
                })
                .filter(|b| b.right >= near.left && b.left <= near.right)
                .collect();
            boxes_items(&boxes, look, paint)
        }
    }
}

/// Boxes in a look; the legend draws its samples with this, too.
pub(super) fn boxes_items(boxes: &[Rect], look: Look, paint: Paint) -> Vec<Item> {
    let boxes: Vec<Rect> = boxes.iter().copied().filter(|b| b.height() > 0.0).collect();
    if boxes.is_empty() {
        return Vec::new();
    }
    let fill = |share: f64| Item::Areas {
        outlines: boxes
            .iter()
            .map(|b| {
                vec![
                    (b.left, b.bottom),
                    (b.left, b.top),
                    (b.right, b.top),
                    (b.right, b.bottom),
                ]
            })
            .collect(),
        paint: Paint {
            opacity: paint.opacity * share,
            ..paint
        },
    };
    let lines = |runs: Vec<Vec<(f64, f64)>>, width: f64, dash: Dash| Item::Lines {
        runs,
        stroke: Stroke { paint, width, dash },
    };
    let edges = |width: f64, dash: Dash| {
        let inset = width / 2.0;
        let runs = boxes
            .iter()
            .map(|b| {
                let (left, right) = (b.left + inset, (b.right - inset).max(b.left + inset));
                let top = (b.top + inset).min(b.bottom);
                vec![
                    (left, b.bottom),
                    (left, top),
                    (right, top),
                    (right, b.bottom),
                ]
            })
            .collect();
        lines(runs, width, dash)
    };
    match look {
        Look::Solid => vec![fill(1.0)],
        Look::Area | Look::Outlined => vec![fill(LIGHT), edges(1.0, Dash::Solid)],
        Look::Dashed => vec![fill(LIGHT), edges(1.2, Dash::Dashed)],
        Look::Frame => vec![edges(1.7, Dash::Dashed)],
        Look::Hatched => {
            let slanted: Vec<_> = boxes.iter().flat_map(hatch).collect();
            let mut items = vec![fill(LIGHT), edges(0.8, Dash::Solid)];
            if !slanted.is_empty() {
                items.push(lines(slanted, 0.8, Dash::Solid));
            }
            items
        }
    }
}

/// Slanted lines across a box.
fn hatch(b: &Rect) -> Vec<Vec<(f64, f64)>> {
    let (width, height) = (b.width(), b.height());
    if width < 1.5 || height < 1.5 {
        return Vec::new();
    }
    let spacing = HATCH.max((width + height) / 160.0);
    let count = ((width + height) / spacing) as usize;
    (1..=count)
        .filter_map(|i| {
            // From the lower edge up and to the right.
            let x = b.left - height + i as f64 * spacing;
            let (from, to) = ((b.left - x).max(0.0), (b.right - x).min(height));
            (to > from).then(|| vec![(x + from, b.bottom - from), (x + to, b.bottom - to)])
        })
        .collect()
}

/// Two corners per place, and a gap after them unless they are joined.
fn steps(levels: &[(f64, f64)], half: f64, joined: bool) -> Vec<(f64, f64)> {
    levels
        .iter()
        .flat_map(|&(x, y)| {
            let gap = (!joined).then_some((x + half, f64::NAN));
            [(x - half, y), (x + half, y)].into_iter().chain(gap)
        })
        .collect()
}

/// Level lines with their markers.
pub(super) fn levels(
    levels: &[(f64, f64)],
    width: f64,
    joined: bool,
    stroke: Stroke,
    marker: Option<Marker>,
    map: &Map,
) -> Vec<Item> {
    let half = width.abs() / 2.0;
    if !half.is_finite() {
        return Vec::new();
    }
    let points = steps(levels, half, joined);
    let mut items = marks::line(&points, stroke.width, stroke.dash, stroke.paint, map);
    let Some(marker) = marker else { return items };
    let at = |p: &(f64, f64)| (map.x(p.0), map.y(p.1));
    let seen = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
    let centers: Vec<(f64, f64)> = if joined {
        let (offset, spacing) = match marker {
            Marker::Square => (12.0, 48.0),
            Marker::Triangle => (30.0, 60.0),
            Marker::Diamond => (36.0, 48.0),
        };
        let mut next = map.frame.left + offset;
        levels
            .iter()
            .filter(seen)
            .map(at)
            .filter(|p| {
                let due = p.0 >= next && p.0 <= map.frame.right;
                if due {
                    next = p.0 + spacing;
                }
                due
            })
            .collect()
    } else {
        points.iter().filter(seen).map(at).collect()
    };
    if !centers.is_empty() {
        items.push(markers(&centers, marker, stroke.paint));
    }
    items
}

/// Markers at points of the picture.
pub(super) fn markers(centers: &[(f64, f64)], marker: Marker, paint: Paint) -> Item {
    let r = MARKER;
    let outline: &[(f64, f64)] = match marker {
        Marker::Square => &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
        Marker::Diamond => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
        Marker::Triangle => &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
    };
    Item::Areas {
        outlines: centers
            .iter()
            .map(|c| {
                outline
                    .iter()
                    .map(|o| (c.0 + r * o.0, c.1 + r * o.1))
                    .collect()
            })
            .collect(),
        paint,
    }
}

/// Shaded stretches over the whole height; those that share a pixel are one.
pub(super) fn spans(spans: &[(f64, f64, String)], paint: Paint, map: &Map) -> Vec<Item> {
    let f = &map.frame;
    let mut filled_to = f.left;
    let mut outlines = Vec::new();
    for (from, to, _) in spans {
        let (left, right) = (map.x(*from).max(filled_to), map.x(*to).min(f.right));
        if right > left + 0.05 {
            outlines.push(vec![
                (left, f.top),
                (right, f.top),
                (right, f.bottom),
                (left, f.bottom),
            ]);
            filled_to = right;
        }
    }
    if outlines.is_empty() {
        Vec::new()
    } else {
        vec![Item::Areas { outlines, paint }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slanted_lines_stay_in_their_box() {
        let b = Rect {
            left: 3.0,
            top: 5.0,
            right: 23.0,
            bottom: 90.0,
        };
        let lines = hatch(&b);
        assert!(lines.len() > 10);
        for (x, y) in lines.into_iter().flatten() {
            assert!((3.0..=23.0).contains(&x) && (5.0..=90.0).contains(&y));
        }
    }

    #[test]
    fn joined_levels_have_no_slanted_stretch() {
        let points = steps(&[(0.0, 1.0), (1.0, 3.0)], 0.5, true);
        assert_eq!(points, [(-0.5, 1.0), (0.5, 1.0), (0.5, 3.0), (1.5, 3.0)]);
        assert!(steps(&[(0.0, 1.0)], 0.5, false)[2].1.is_nan());
    }
}
