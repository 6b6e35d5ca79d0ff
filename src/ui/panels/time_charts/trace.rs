//! A recorded series as the points of a chart: cut to the shown steps, smoothed, one point per pixel column.

use crate::engine::Series;

/// A point of a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// Step.
    pub(crate) step: f64,
    /// Smallest recorded value.
    pub(crate) low: f64,
    /// Largest recorded value.
    pub(crate) high: f64,
    /// Smoothed mean.
    pub(crate) mean: f64,
    /// The mean as it was recorded.
    pub(crate) raw: f64,
}

/// The points of a series between two steps (one more on each side, so that lines reach the edges), after exponential
/// smoothing with weight `smoothing` on the past. At most about `columns` points: neighbours are merged, keeping the
/// lowest and the highest.
pub(crate) fn trace(
    series: &Series,
    (from, to): (f64, f64),
    smoothing: f64,
    columns: usize,
) -> Vec<Point> {
    let count = series
        .steps
        .len()
        .min(series.min.len())
        .min(series.max.len())
        .min(series.mean.len());
    let steps = &series.steps[..count];
    let first = steps.partition_point(|s| *s < from).saturating_sub(1);
    let end = (steps.partition_point(|s| *s <= to) + 1).min(count);
    let mut smooth = f64::NAN;
    let mut points: Vec<Point> = Vec::with_capacity(end.saturating_sub(first).min(columns) + 2);
    let merged = end.saturating_sub(first).div_ceil(columns.max(1)).max(1);
    // Smoothing starts a good way before what is shown, so that zooming does not change the line.
    let memory = if smoothing > 0.0 {
        (8.0 / (1.0 - smoothing)) as usize
    } else {
        0
    };
    for (index, &step) in steps
        .iter()
        .enumerate()
        .take(end)
        .skip(first.saturating_sub(memory))
    {
        let mean = f64::from(series.mean[index]);
        smooth = if smooth.is_nan() {
            mean
        } else {
            smoothing * smooth + (1.0 - smoothing) * mean
        };
        if index < first {
            continue;
        }
        let (low, high) = (f64::from(series.min[index]), f64::from(series.max[index]));
        if (index - first).is_multiple_of(merged) || points.is_empty() {
            points.push(Point {
                step,
                low,
                high,
                mean: smooth,
                raw: mean,
            });
        } else if let Some(point) = points.last_mut() {
            point.low = point.low.min(low);
            point.high = point.high.max(high);
            point.mean = smooth;
            point.raw = mean;
        }
    }
    points
}

/// The same points with the recorded means in the place of the smoothed ones; none if nothing was smoothed.
pub(crate) fn unsmoothed(points: &[Point]) -> Option<Vec<Point>> {
    let smoothed = |p: &Point| p.raw.is_finite() && p.raw != p.mean;
    let bare = |p: &Point| Point { mean: p.raw, ..*p };
    (points.iter().any(smoothed)).then(|| points.iter().map(bare).collect())
}

/// The point at a step: the last one that starts at or before it.
pub(crate) fn at(points: &[Point], step: f64) -> Option<Point> {
    let next = points.partition_point(|p| p.step <= step);
    points.get(next.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f32]) -> Series {
        Series {
            steps: (0..values.len()).map(|i| 10.0 * i as f64).collect(),
            min: values.iter().map(|v| v - 1.0).collect(),
            max: values.iter().map(|v| v + 1.0).collect(),
            mean: values.to_vec(),
        }
    }

    #[test]
    fn what_was_not_smoothed_is_there_only_where_something_was() {
        let values: Vec<f32> = (0..300).map(|i| (i as f32 * 0.9).sin()).collect();
        let plain = trace(&series(&values), (0.0, 1e9), 0.0, 1000);
        assert_eq!(unsmoothed(&plain), None);
        let smooth = trace(&series(&values), (0.0, 1e9), 0.9, 1000);
        assert_eq!(unsmoothed(&smooth), Some(plain));
    }

    #[test]
    fn merging_keeps_extremes() {
        let mut values = vec![0.0; 1000];
        values[501] = 50.0;
        let points = trace(&series(&values), (0.0, 1e9), 0.0, 100);
        assert!(points.len() <= 100);
        assert_eq!(points.iter().map(|p| p.high).fold(0.0, f64::max), 51.0);
        assert!(points.windows(2).all(|p| p[0].step < p[1].step));
    }

    #[test]
    fn zoom_does_not_change_the_smoothed_line() {
        let values: Vec<f32> = (0..2000).map(|i| (i as f32 * 0.37).sin()).collect();
        let all = trace(&series(&values), (0.0, 1e9), 0.9, 4000);
        let part = trace(&series(&values), (9_000.0, 9_500.0), 0.9, 4000);
        let same = at(&all, 9_200.0).zip(at(&part, 9_200.0));
        assert!(same.is_some_and(|(a, b)| (a.mean - b.mean).abs() < 1e-3));
    }

    #[test]
    fn nothing_recorded_draws_nothing() {
        assert!(trace(&Series::default(), (0.0, 1.0), 0.5, 10).is_empty());
        assert_eq!(at(&[], 3.0), None);
    }
}
