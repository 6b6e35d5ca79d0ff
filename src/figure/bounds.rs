//! Which interval an axis shows where the figure does not say: the one that fits its marks.

use super::{Axis, Mark, MarkKind};

/// The shown interval of a horizontal axis: finite, ascending, not empty.
pub(super) fn horizontal<'a>(axis: &Axis, marks: impl Iterator<Item = &'a Mark>) -> (f64, f64) {
    given(axis).unwrap_or_else(|| {
        let mut extent = Extent::default();
        for mark in marks {
            match &mark.kind {
                MarkKind::Line { points, .. } => extent.add_all(points.iter().map(|p| p.0), 0.0),
                MarkKind::Points { points, .. } => extent.add_all(points.iter().map(|p| p.0), 0.03),
                MarkKind::Band { points } => extent.add_all(points.iter().map(|p| p.0), 0.0),
                MarkKind::Bars { bars, width } => {
                    let half = if width.is_finite() {
                        width.abs() / 2.0
                    } else {
                        0.0
                    };
                    extent.add_all(bars.iter().flat_map(|b| [b.0 - half, b.0 + half]), 0.0);
                }
                MarkKind::Groups {
                    bars: places,
                    width,
                    offset,
                    ..
                } => {
                    let half = width.abs() / 2.0;
                    let ends = |p: &(f64, f64)| [p.0 + offset - half, p.0 + offset + half];
                    extent.add_all(places.iter().flat_map(ends), 0.0);
                }
                MarkKind::Levels {
                    levels: places,
                    width,
                    ..
                } => {
                    let half = width.abs() / 2.0;
                    let ends = |p: &(f64, f64)| [p.0 - half, p.0 + half];
                    extent.add_all(places.iter().flat_map(ends), 0.0);
                }
                MarkKind::Rows { rows, base, .. } => {
                    extent.add_all([*base].into_iter(), 0.0);
                    extent.add_all(rows.iter().map(|r| r.1), 0.03);
                }
                MarkKind::Spans { .. } => {}
                MarkKind::Whiskers { points, offset } => {
                    extent.add_all(points.iter().map(|p| p.0 + offset), 0.0);
                }
                MarkKind::Events { events } => {
                    extent.add_all(events.iter().map(|e| e.0), 0.0);
                }
                MarkKind::HeatMap { x_range, .. } => {
                    extent.add_all([x_range.0, x_range.1].into_iter(), 0.0);
                }
                MarkKind::VerticalLine { x, .. } => extent.add_all([*x].into_iter(), 0.0),
                MarkKind::Text { at, .. } => extent.add_all([at.0].into_iter(), 0.03),
            }
        }
        extent.interval()
    })
}

/// The shown interval of a vertical axis: finite, ascending, not empty. Bars stand on 0 unless the axis is logarithmic.
pub(super) fn vertical(axis: &Axis, marks: &[Mark]) -> (f64, f64) {
    given(axis).unwrap_or_else(|| {
        let mut extent = Extent::default();
        for mark in marks {
            match &mark.kind {
                MarkKind::Line { points, .. } | MarkKind::Points { points, .. } => {
                    extent.add_all(points.iter().map(|p| p.1), 0.05);
                }
                MarkKind::Band { points } | MarkKind::Whiskers { points, .. } => {
                    extent.add_all(points.iter().flat_map(|p| [p.1, p.2]), 0.05);
                }
                MarkKind::Bars { bars, .. } | MarkKind::Groups { bars, .. } => {
                    if !axis.log10 {
                        extent.add_all([0.0].into_iter(), 0.05);
                    }
                    extent.add_all(bars.iter().map(|b| b.1), 0.05);
                }
                MarkKind::HeatMap { y_range, .. } => {
                    extent.add_all([y_range.0, y_range.1].into_iter(), 0.0);
                }
                MarkKind::Levels { levels, .. } => {
                    extent.add_all(levels.iter().map(|l| l.1), 0.05);
                }
                MarkKind::Rows { rows, .. } => {
                    extent.add_all(rows.iter().flat_map(|r| [r.0 - 0.5, r.0 + 0.5]), 0.0);
                }
                MarkKind::VerticalLine { .. }
                | MarkKind::Spans { .. }
                | MarkKind::Events { .. } => {}
                MarkKind::Text { at, .. } => extent.add_all([at.1].into_iter(), 0.05),
            }
        }
        if extent.low == 0.0 && !axis.log10 {
            extent.keep_low = true;
        }
        extent.interval()
    })
}

fn given(axis: &Axis) -> Option<(f64, f64)> {
    let (a, b) = axis.bounds?;
    ((a - b).is_finite() && a != b).then_some((a.min(b), a.max(b)))
}

/// The smallest interval that holds what was added, with room around it.
struct Extent {
    low: f64,
    high: f64,
    /// Room to leave on both sides, as a share of the interval.
    room: f64,
    keep_low: bool,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            room: 0.0,
            keep_low: false,
        }
    }
}

impl Extent {
    fn add_all(&mut self, values: impl Iterator<Item = f64>, room: f64) {
        for value in values.filter(|v| v.abs() < 1e300) {
            self.low = self.low.min(value);
            self.high = self.high.max(value);
            self.room = self.room.max(room);
        }
    }

    fn interval(&self) -> (f64, f64) {
        if self.low > self.high {
            return (0.0, 1.0);
        }
        let span = self.high - self.low;
        if span <= self.high.abs().max(self.low.abs()) * 1e-12 {
            let half = if self.low == 0.0 {
                0.5
            } else {
                self.low.abs() * 0.1
            };
            return if self.keep_low && self.low == 0.0 {
                (0.0, 1.0)
            } else {
                (self.low - half, self.high + half)
            };
        }
        let room = span * self.room;
        let low = if self.keep_low {
            self.low
        } else {
            self.low - room
        };
        (low, self.high + room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Dash;

    fn axis(bounds: Option<(f64, f64)>) -> Axis {
        Axis {
            label: String::new(),
            log10: false,
            bounds,
            names: None,
        }
    }

    fn mark(kind: MarkKind) -> Mark {
        Mark {
            name: String::new(),
            legend: None,
            color: [0; 3],
            opacity: 1.0,
            kind,
        }
    }

    fn line(points: Vec<(f64, f64)>) -> Vec<Mark> {
        vec![mark(MarkKind::Line {
            points,
            width: 1.0,
            dash: Dash::Solid,
        })]
    }

    #[test]
    fn intervals_are_never_empty_or_infinite() {
        for points in [
            vec![],
            vec![(1.0, 2.0)],
            vec![(0.0, 0.0), (0.0, 0.0)],
            vec![(f64::NAN, f64::INFINITY), (3.0, f64::NEG_INFINITY)],
            vec![(1e307, -1e307), (-1e307, 1e307)],
            vec![(1e17, 1.0), (1e17 + 2.0, 1.0)],
        ] {
            let marks = line(points);
            for (low, high) in [
                horizontal(&axis(None), marks.iter()),
                vertical(&axis(None), &marks),
            ] {
                assert!(low < high && (high - low).is_finite(), "{low} {high}");
            }
        }
    }

    #[test]
    fn bars_stand_on_zero() {
        let marks = [mark(MarkKind::Bars {
            bars: vec![(0.0, 2.0), (1.0, 4.0)],
            width: 1.0,
        })];
        assert_eq!(horizontal(&axis(None), marks.iter()), (-0.5, 1.5));
        let (low, high) = vertical(&axis(None), &marks);
        assert!(low == 0.0 && high > 4.0);
    }

    #[test]
    fn given_bounds_win_unless_they_make_no_sense() {
        let marks = line(vec![(0.0, 0.0), (1.0, 1.0)]);
        assert_eq!(
            horizontal(&axis(Some((5.0, 2.0))), marks.iter()),
            (2.0, 5.0)
        );
        assert_eq!(
            horizontal(&axis(Some((2.0, 2.0))), marks.iter()),
            (0.0, 1.0)
        );
        assert_eq!(
            horizontal(&axis(Some((f64::NAN, 2.0))), marks.iter()),
            (0.0, 1.0)
        );
    }
}
