//! Marks to primitives: positions on axes become points on the picture. What is finer than a picture can show is reduced
//! here, always to the envelope (least and largest value per column), never to a sample.

use std::collections::{BTreeMap, HashSet};

use super::{
    Dash, Mark, MarkKind, SpanNames, annotations, bars as beside,
    colormap::viridis,
    scene::{Item, Paint, Rect, Stroke},
};

/// Columns into which fine data is reduced, per point of width.
const COLUMNS_PER_POINT: f64 = 2.0;
/// How far outside of its frame a line is still followed, in points.
pub(super) const OUTSIDE: f64 = 40.0;
/// Heat maps are reduced to at most this many cells on a side.
const CELLS: usize = 256;

/// Where values of a pair of axes lie on the picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Map {
    pub(super) x: (f64, f64),
    pub(super) y: (f64, f64),
    pub(super) frame: Rect,
    pub(super) log_y: bool,
}

impl Map {
    pub(super) fn x(&self, value: f64) -> f64 {
        let part = (value - self.x.0) / (self.x.1 - self.x.0);
        (self.frame.left + part * self.frame.width()).clamp(-1e6, 1e6)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        let part = (value - self.y.0) / (self.y.1 - self.y.0);
        (self.frame.bottom - part * self.frame.height()).clamp(-1e6, 1e6)
    }

    /// Where bars stand.
    pub(super) fn baseline(&self) -> f64 {
        if self.log_y {
            self.frame.bottom
        } else {
            self.y(0.0)
        }
    }

    /// The column of a horizontal position.
    fn column(&self, x: f64) -> i64 {
        ((x - self.frame.left) * COLUMNS_PER_POINT).floor() as i64
    }
}

/// The primitives of a mark, to be clipped to the frame. Labels of vertical lines and texts are drawn by the caller.
pub(super) fn items(mark: &Mark, map: &Map) -> Vec<Item> {
    let paint = Paint {
        color: mark.color,
        opacity: unit(mark.opacity),
    };
    match &mark.kind {
        MarkKind::Line {
            points,
            width,
            dash,
        } => line(points, positive(*width, 1.0), *dash, paint, map),
        MarkKind::Bars { bars, width } => self::bars(bars, *width, paint, map),
        MarkKind::Band { points } => band(points, paint, map),
        MarkKind::Points { points, radius } => {
            self::points(points, positive(*radius, 1.5), paint, map)
        }
        MarkKind::HeatMap {
            values,
            columns,
            x_range,
            y_range,
            value_range,
            log10: _,
        } => heat_map(values, *columns, *x_range, *y_range, *value_range, map),
        MarkKind::VerticalLine { x, dash } => {
            if !x.is_finite() {
                return Vec::new();
            }
            let at = map.x(*x);
            vec![Item::Lines {
                runs: vec![vec![(at, map.frame.bottom), (at, map.frame.top)]],
                stroke: Stroke {
                    paint,
                    width: 0.9,
                    dash: *dash,
                },
            }]
        }
        MarkKind::Groups {
            bars,
            width,
            offset,
            look,
        } => beside::groups(bars, (*width, *offset), *look, paint, map),
        MarkKind::Levels {
            levels,
            width,
            joined,
            line,
            dash,
            marker,
        } => {
            let stroke = Stroke {
                paint,
                width: positive(*line, 1.0),
                dash: *dash,
            };
            beside::levels(levels, *width, *joined, stroke, *marker, map)
        }
        MarkKind::Rows {
            rows,
            base,
            thickness,
        } => {
            let bars: Vec<(f64, f64)> = rows
                .iter()
                .flat_map(|(y, value)| [(*base, *y), (*value, *y), (f64::NAN, *y)])
                .collect();
            line(&bars, positive(*thickness, 8.0), Dash::Solid, paint, map)
        }
        MarkKind::Spans { spans, names } => match names {
            SpanNames::Above | SpanNames::Hidden => beside::spans(spans, paint, map),
            SpanNames::Badges => annotations::picks(spans, paint, map),
        },
        MarkKind::Whiskers { points, offset } => annotations::whiskers(points, *offset, paint, map),
        MarkKind::Events { events } => annotations::events(events, paint, map),
        MarkKind::Text { .. } => Vec::new(),
    }
}

fn unit(opacity: f64) -> f64 {
    if opacity.is_nan() {
        1.0
    } else {
        opacity.clamp(0.0, 1.0)
    }
}

fn positive(value: f64, otherwise: f64) -> f64 {
    if value.is_finite() && value > 0.0 {
        value.min(1e3)
    } else {
        otherwise
    }
}

pub(super) fn line(
    points: &[(f64, f64)],
    width: f64,
    dash: Dash,
    paint: Paint,
    map: &Map,
) -> Vec<Item> {
    let near = map.frame.grown(OUTSIDE);
    let mut runs: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut lonely = Vec::new();
    for stretch in points.split(|p| !p.0.is_finite() || p.1.is_nan()) {
        let stretch: Vec<(f64, f64)> = stretch.iter().map(|p| (map.x(p.0), map.y(p.1))).collect();
        match stretch.as_slice() {
            [] => {}
            [only] => lonely.push(*only),
            _ => runs.extend(clipped(&thinned(stretch, map), &near)),
        }
    }
    let mut out = Vec::new();
    if !runs.is_empty() {
        out.push(Item::Lines {
            runs,
            stroke: Stroke { paint, width, dash },
        });
    }
    if !lonely.is_empty() {
        out.push(Item::Dots {
            centers: lonely,
            radius: width.max(1.0),
            paint,
        });
    }
    out
}

/// First, lowest, highest and last point of every stretch within one column; looks the same and stays small.
fn thinned(points: Vec<(f64, f64)>, map: &Map) -> Vec<(f64, f64)> {
    if points.len() as f64 <= 4.0 * map.frame.width() * COLUMNS_PER_POINT {
        return points;
    }
    let mut out = Vec::new();
    for group in points.chunk_by(|a, b| map.column(a.0) == map.column(b.0)) {
        let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        out.push(*first);
        if group.len() > 2 {
            out.extend(group.iter().min_by(by_height));
            out.extend(group.iter().max_by(by_height));
        }
        if group.len() > 1 {
            out.push(*last);
        }
    }
    out
}

/// The parts of a line inside a rectangle (Liang-Barsky).
fn clipped(points: &[(f64, f64)], to: &Rect) -> Vec<Vec<(f64, f64)>> {
    let mut runs: Vec<Vec<(f64, f64)>> = Vec::new();
    for pair in points.windows(2) {
        let [from, till] = [pair[0], pair[1]];
        let (dx, dy) = (till.0 - from.0, till.1 - from.1);
        let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
        for (p, q) in [
            (-dx, from.0 - to.left),
            (dx, to.right - from.0),
            (-dy, from.1 - to.top),
            (dy, to.bottom - from.1),
        ] {
            if p == 0.0 {
                if q < 0.0 {
                    leave = -1.0;
                }
            } else if p < 0.0 {
                enter = enter.max(q / p);
            } else {
                leave = leave.min(q / p);
            }
        }
        if enter > leave {
            continue;
        }
        let start = (from.0 + enter * dx, from.1 + enter * dy);
        let end = if leave >= 1.0 {
            till
        } else {
            (from.0 + leave * dx, from.1 + leave * dy)
        };
        match runs.last_mut() {
            Some(run) if enter == 0.0 && run.last() == Some(&from) => run.push(end),
            _ => runs.push(vec![start, end]),
        }
    }
    runs
}

/// Bars as areas. Bars that touch become one skyline, so that no seams show; bars finer than a column become the envelope.
pub(super) fn bars(bars: &[(f64, f64)], width: f64, paint: Paint, map: &Map) -> Vec<Item> {
    let base = map.baseline();
    let half = width.abs() / 2.0;
    if !half.is_finite() {
        return Vec::new();
    }
    let span = map.x(map.x.0 + 2.0 * half) - map.frame.left;
    let near = map.frame.grown(OUTSIDE);
    let boxes = bars
        .iter()
        .filter(|b| b.0.is_finite() && !b.1.is_nan())
        .map(|b| (map.x(b.0 - half), map.x(b.0 + half), map.y(b.1)))
        .filter(|b| b.1 >= near.left && b.0 <= near.right)
        .map(|(left, right, top)| (left, right, top.clamp(near.top, near.bottom)));
    let base = base.clamp(near.top, near.bottom);
    let crowded = bars.len() as f64 > map.frame.width() * COLUMNS_PER_POINT;
    let outlines = if span < 1.0 && crowded {
        let mut columns: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        for (left, right, top) in boxes {
            for column in map.column(left)..=map.column(right - 1e-9).max(map.column(left)) {
                let (up, down) = columns.entry(column).or_insert((base, base));
                *up = up.min(top);
                *down = down.max(top);
            }
        }
        let edge = |column: i64| map.frame.left + column as f64 / COLUMNS_PER_POINT;
        let sides = [
            columns
                .iter()
                .map(|(c, (up, _))| (edge(*c), edge(*c + 1), *up))
                .collect::<Vec<_>>(),
            columns
                .iter()
                .map(|(c, (_, down))| (edge(*c), edge(*c + 1), *down))
                .collect(),
        ];
        sides
            .into_iter()
            .flat_map(|side| skylines(side.into_iter(), base))
            .collect()
    } else {
        skylines(boxes, base)
    };
    if outlines.is_empty() {
        Vec::new()
    } else {
        vec![Item::Areas { outlines, paint }]
    }
}

/// Boxes (left, right, top) on a common base, as outlines; neighbours that touch share one.
fn skylines(boxes: impl Iterator<Item = (f64, f64, f64)>, base: f64) -> Vec<Vec<(f64, f64)>> {
    let mut outlines: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut end: Option<f64> = None;
    for (left, right, top) in boxes {
        if (top - base).abs() < 1e-3 {
            continue;
        }
        match (outlines.last_mut(), end) {
            (Some(outline), Some(at)) if (left - at).abs() < 0.05 => {
                outline.extend([(at, top), (right, top)]);
            }
            _ => {
                close(&mut outlines, end, base);
                outlines.push(vec![(left, base), (left, top), (right, top)]);
            }
        }
        end = Some(right);
    }
    close(&mut outlines, end, base);
    for outline in &mut outlines {
        // Equal heights next to each other need no corner between them.
        outline.dedup();
    }
    outlines
}

fn close(outlines: &mut [Vec<(f64, f64)>], end: Option<f64>, base: f64) {
    if let (Some(outline), Some(at)) = (outlines.last_mut(), end) {
        outline.push((at, base));
    }
}

fn band(points: &[(f64, f64, f64)], paint: Paint, map: &Map) -> Vec<Item> {
    let near = map.frame.grown(OUTSIDE);
    let mut outlines = Vec::new();
    for stretch in points.split(|p| !p.0.is_finite() || p.1.is_nan() || p.2.is_nan()) {
        let mut edges: Vec<(f64, f64, f64)> = stretch
            .iter()
            .map(|p| {
                let (a, b) = (map.y(p.1), map.y(p.2));
                (
                    map.x(p.0).clamp(near.left, near.right),
                    a.max(b).clamp(near.top, near.bottom),
                    a.min(b).clamp(near.top, near.bottom),
                )
            })
            .collect();
        if edges.len() as f64 > 2.0 * map.frame.width() * COLUMNS_PER_POINT {
            edges = edges
                .chunk_by(|a, b| map.column(a.0) == map.column(b.0))
                .filter_map(|group| {
                    group
                        .iter()
                        .copied()
                        .reduce(|a, b| (a.0, a.1.max(b.1), a.2.min(b.2)))
                })
                .collect();
        }
        if edges.len() > 1 {
            let mut outline: Vec<(f64, f64)> = edges.iter().map(|e| (e.0, e.2)).collect();
            outline.extend(edges.iter().rev().map(|e| (e.0, e.1)));
            outlines.push(outline);
        }
    }
    if outlines.is_empty() {
        Vec::new()
    } else {
        vec![Item::Areas { outlines, paint }]
    }
}

fn points(points: &[(f64, f64)], radius: f64, paint: Paint, map: &Map) -> Vec<Item> {
    let near = map.frame.grown(0.01);
    let mut centers: Vec<(f64, f64)> = points
        .iter()
        .filter(|p| p.0.is_finite() && p.1.is_finite())
        .map(|p| (map.x(p.0), map.y(p.1)))
        .filter(|p| {
            (near.left..=near.right).contains(&p.0) && (near.top..=near.bottom).contains(&p.1)
        })
        .collect();
    if centers.len() > 5_000 {
        // Markers that lie on each other within a quarter of a radius look like one.
        let cell = (radius / 4.0).max(0.25);
        let mut seen = HashSet::new();
        centers.retain(|p| seen.insert(((p.0 / cell) as i64, (p.1 / cell) as i64)));
    }
    if centers.is_empty() {
        return Vec::new();
    }
    vec![Item::Dots {
        centers,
        radius,
        paint,
    }]
}

fn heat_map(
    values: &[f64],
    columns: usize,
    x_range: (f64, f64),
    y_range: (f64, f64),
    value_range: (f64, f64),
    map: &Map,
) -> Vec<Item> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    let finite = [x_range.0, x_range.1, y_range.0, y_range.1];
    if rows == 0 || finite.iter().any(|v| !v.is_finite()) {
        return Vec::new();
    }
    let (wide, high) = (columns.min(CELLS), rows.min(CELLS));
    let mut levels = vec![f64::NAN; wide * high];
    for (row, line) in values.chunks_exact(columns).enumerate() {
        for (column, value) in line.iter().enumerate() {
            let cell = &mut levels[(row * high / rows) * wide + column * wide / columns];
            // f64::max prefers the number over NaN.
            *cell = cell.max(*value);
        }
    }
    let mut cells: BTreeMap<u8, Vec<Rect>> = BTreeMap::new();
    let x_at = |i: usize| map.x(x_range.0 + (x_range.1 - x_range.0) * i as f64 / wide as f64);
    let y_at = |i: usize| map.y(y_range.0 + (y_range.1 - y_range.0) * i as f64 / high as f64);
    for (row, line) in levels.chunks_exact(wide).enumerate() {
        let mut column = 0;
        for group in line.chunk_by(|a, b| level(*a, value_range) == level(*b, value_range)) {
            let till = column + group.len();
            if let Some(level) = group.first().and_then(|v| level(*v, value_range)) {
                cells.entry(level).or_default().push(Rect {
                    left: x_at(column).min(x_at(till)),
                    right: x_at(column).max(x_at(till)),
                    top: y_at(row).min(y_at(row + 1)),
                    bottom: y_at(row).max(y_at(row + 1)),
                });
            }
            column = till;
        }
    }
    cells
        .into_iter()
        .map(|(level, cells)| Item::Cells {
            cells,
            color: viridis(f64::from(level) / 255.0),
        })
        .collect()
}

/// The colour step of a value, none for NaN.
fn level(value: f64, (low, high): (f64, f64)) -> Option<u8> {
    if value.is_nan() {
        return None;
    }
    let part = if high > low {
        (value - low) / (high - low)
    } else {
        0.5
    };
    Some((part.clamp(0.0, 1.0) * 255.0).round() as u8)
}
