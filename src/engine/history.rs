//! Metrics over time in bounded memory: every series is a list of at most [`BUCKETS`] buckets of equal width in steps,
//! and when one would overflow, neighbours merge and the width doubles. Means are exact, minima and maxima are kept.

use super::{
    session::Row,
    snapshot::{History, Series},
};
use crate::{bandit::StepReport, theory::Metric};

/// Most buckets per series; after a merge half as many.
pub(crate) const BUCKETS: usize = 2048;

/// Metrics that every step reports.
const FAST: [Metric; 3] = [Metric::ExpectedReward, Metric::KlToTarget, Metric::Entropy];

/// Collects metrics over time; [`Recorder::history`] makes the picture that charts draw.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    /// Steps per bucket, a power of two.
    width: u64,
    /// One per [`Metric::ALL`].
    tracks: Vec<Track>,
    /// Buckets being filled for the metrics of every step, and the step at which they are full.
    fast: [Bucket; FAST.len()],
    fast_end: u64,
}

#[derive(Debug, Clone, Default)]
struct Track {
    buckets: Vec<Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// First step divided by the width.
    index: u64,
    min: f64,
    max: f64,
    sum: f64,
    count: f64,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            width: 1,
            tracks: vec![Track::default(); Metric::ALL.len()],
            fast: [Bucket::empty(0); FAST.len()],
            fast_end: 1,
        }
    }

    /// Records what a step reports. Called every step, in ascending order: a comparison and three additions.
    #[inline]
    pub(crate) fn record_step(&mut self, step: u64, report: &StepReport) {
        if step >= self.fast_end {
            self.close_fast(step);
        }
        self.fast[0].add(report.expected_reward);
        self.fast[1].add(report.kl_to_target);
        self.fast[2].add(report.entropy);
    }

    /// Records a full measurement; those of [`FAST`] come from [`Self::record_step`] but at step 0. What was compared at an
    /// earlier step is recorded there: such steps do not descend from row to row either.
    pub(crate) fn record_row(&mut self, row: &Row) {
        let mut full = false;
        for (metric, value) in row.metrics.iter() {
            if row.step == 0 || !FAST.contains(&metric) {
                let step = match row.causes_at {
                    Some(at) if Metric::COMPARED.contains(&metric) => at,
                    Some(_) | None => row.step,
                };
                let mut bucket = Bucket::empty(step / self.width);
                bucket.add(value);
                full |= self.tracks[metric as usize].push(bucket);
            }
        }
        if full {
            self.double_width();
        }
    }

    /// The picture as it is now: a copy of at most 2048 buckets of each metric.
    pub(crate) fn history(&self) -> History {
        let mut series: Vec<Series> = self.tracks.iter().map(|t| t.series(self.width)).collect();
        for (metric, open) in FAST
            .iter()
            .zip(&self.fast)
            .filter(|(_, open)| open.count > 0.0)
        {
            let mut track = Track {
                buckets: self.tracks[*metric as usize]
                    .buckets
                    .last()
                    .copied()
                    .into_iter()
                    .collect(),
            };
            let merged = track
                .buckets
                .last()
                .is_some_and(|last| last.index == open.index);
            track.push(*open);
            if let Some(last) = track.buckets.last() {
                last.append_to(self.width, merged, &mut series[*metric as usize]);
            }
        }
        History { series }
    }

    /// Starts over from the full measurements of a shorter run, after going back.
    pub(crate) fn from_rows(rows: &[Row]) -> Self {
        let mut recorder = Self::new();
        for row in rows {
            recorder.record_row(row);
            if row.step > 0 {
                let report = StepReport {
                    expected_reward: row.metrics.get(Metric::ExpectedReward),
                    kl_to_target: row.metrics.get(Metric::KlToTarget),
                    entropy: row.metrics.get(Metric::Entropy),
                };
                recorder.record_step(row.step, &report);
            }
        }
        recorder
    }

    #[cold]
    fn close_fast(&mut self, step: u64) {
        let mut full = false;
        for (metric, bucket) in FAST.iter().zip(&self.fast) {
            full |= self.tracks[*metric as usize].push(*bucket);
        }
        if full {
            self.double_width();
        }
        let index = step / self.width;
        self.fast = [Bucket::empty(index); FAST.len()];
        self.fast_end = (index + 1) * self.width;
    }

    fn double_width(&mut self) {
        self.width *= 2;
        for track in &mut self.tracks {
            let old = std::mem::take(&mut track.buckets);
            track.buckets.reserve_exact(BUCKETS + 1);
            for mut bucket in old {
                bucket.index /= 2;
                track.push(bucket);
            }
        }
        for bucket in &mut self.fast {
            bucket.index /= 2;
        }
        // The bucket being filled keeps what it has; its end moves out.
        self.fast_end = (self.fast[0].index + 1) * self.width;
    }
}

/// Numbers of every step that are no metrics, over time; times, for instance.
#[derive(Debug, Clone)]
pub(crate) struct Extra {
    width: u64,
    tracks: Vec<Track>,
}

impl Extra {
    /// For so many numbers a step.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            width: 1,
            tracks: vec![Track::default(); count],
        }
    }

    /// Records the numbers of a step, ascending in step.
    pub(crate) fn record(&mut self, step: u64, values: impl IntoIterator<Item = f64>) {
        let mut full = false;
        for (track, value) in self.tracks.iter_mut().zip(values) {
            let mut bucket = Bucket::empty(step / self.width);
            bucket.add(value);
            full |= track.push(bucket);
        }
        if full {
            self.width *= 2;
            for track in &mut self.tracks {
                for mut bucket in std::mem::take(&mut track.buckets) {
                    bucket.index /= 2;
                    track.push(bucket);
                }
            }
        }
    }

    /// One series per number.
    pub(crate) fn series(&self) -> Vec<Series> {
        self.tracks
            .iter()
            .map(|track| track.series(self.width))
            .collect()
    }
}

impl Track {
    /// Appends a bucket, or merges it into the last one if that has the same index; true when the track is full.
    fn push(&mut self, bucket: Bucket) -> bool {
        if bucket.count == 0.0 {
            return false;
        }
        match self.buckets.last_mut() {
            Some(last) if last.index == bucket.index => last.merge(&bucket),
            _ => self.buckets.push(bucket),
        }
        self.buckets.len() > BUCKETS
    }

    fn series(&self, width: u64) -> Series {
        let mut series = Series {
            steps: Vec::with_capacity(self.buckets.len() + 1),
            min: Vec::with_capacity(self.buckets.len() + 1),
            max: Vec::with_capacity(self.buckets.len() + 1),
            mean: Vec::with_capacity(self.buckets.len() + 1),
        };
        for bucket in &self.buckets {
            bucket.append_to(width, false, &mut series);
        }
        series
    }
}

impl Bucket {
    fn empty(index: u64) -> Self {
        Self {
            index,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            count: 0.0,
        }
    }

    #[inline]
    fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.sum += value;
            self.count += 1.0;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count += other.count;
    }

    fn append_to(&self, width: u64, replace_last: bool, series: &mut Series) {
        if replace_last {
            series.steps.pop();
            series.min.pop();
            series.max.pop();
            series.mean.pop();
        }
        let (min, max) = (to_f32(self.min), to_f32(self.max));
        series.steps.push((self.index * width) as f64);
        series.min.push(min);
        series.max.push(max);
        // Rounding must not push the mean out of its interval.
        series
            .mean
            .push(to_f32(self.sum / self.count).clamp(min, max));
    }
}

/// The nearest finite `f32`.
fn to_f32(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use proptest::prelude::*;

    use super::*;
    use crate::theory::Metrics;

    fn report(value: f64) -> StepReport {
        StepReport {
            expected_reward: value,
            kl_to_target: -value,
            entropy: f64::NAN,
        }
    }

    fn row(step: u64) -> Row {
        let mut metrics = Metrics::default();
        metrics.set(Metric::TvToTarget, value(step));
        metrics.set(Metric::ExpectedReward, value(step));
        Row {
            step,
            metrics,
            causes_at: None,
        }
    }

    /// A value for a step that is not monotone, sometimes not finite.
    fn value(step: u64) -> f64 {
        match step % 97 {
            13 => f64::NAN,
            14 => f64::INFINITY,
            _ => (step as f64 * 0.7).sin() * 1e3 + step as f64,
        }
    }

    fn recorded(steps: u64) -> Recorder {
        let mut recorder = Recorder::new();
        recorder.record_row(&row(0));
        for step in 1..=steps {
            recorder.record_step(step, &report(value(step)));
            if crate::engine::schedule::is_measured(step, 100) {
                recorder.record_row(&row(step));
            }
        }
        recorder
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn buckets_are_bounded_ascending_and_hold_every_step(steps in 0u64..40_000) {
            let history = recorded(steps).history();
            prop_assert_eq!(history.series.len(), Metric::ALL.len());
            for series in &history.series {
                let n = series.steps.len();
                prop_assert!(n <= BUCKETS + 1);
                prop_assert!(series.min.len() == n && series.max.len() == n && series.mean.len() == n);
                prop_assert!(series.steps.windows(2).all(|pair| pair[0] < pair[1]));
                for i in 0..n {
                    let (min, mean, max) = (series.min[i], series.mean[i], series.max[i]);
                    prop_assert!(min.is_finite() && max.is_finite());
                    prop_assert!(min <= mean && mean <= max, "{min} {mean} {max}");
                }
            }
            // Every step lies in a bucket whose interval holds its value.
            let reward = history.get(Metric::ExpectedReward).unwrap();
            prop_assert!(steps < 3000 || reward.steps.len() >= BUCKETS / 2);
            for step in (0..=steps).filter(|&step| value(step).is_finite()) {
                let bucket = reward.steps.partition_point(|&first| first <= step as f64) - 1;
                let (min, max) = (reward.min[bucket], reward.max[bucket]);
                let v = value(step) as f32;
                prop_assert!((min..=max).contains(&v), "step {step}: {v} not in {min}..{max}");
            }
            prop_assert!(history.get(Metric::Entropy).unwrap().steps.is_empty(), "NaN is left out");
        }
    }

    #[test]
    fn means_are_exact_over_all_merges() {
        let mut recorder = Recorder::new();
        let steps = 1u64 << 15;
        for step in 0..steps {
            recorder.record_step(step, &report(step as f64));
        }
        let history = recorder.history();
        let reward = history.get(Metric::ExpectedReward).unwrap();
        let width = reward.steps[1] - reward.steps[0];
        for (first, &mean) in reward.steps.iter().zip(&reward.mean) {
            let expected = first + (width - 1.0) / 2.0;
            assert!((f64::from(mean) - expected).abs() <= 1e-6 * expected.max(1.0));
        }
    }

    #[test]
    fn after_going_back_every_full_measurement_is_still_there() {
        let rows: Vec<Row> = (0..=5000)
            .filter(|&step| crate::engine::schedule::is_measured(step, 100))
            .map(row)
            .collect();
        let history = Recorder::from_rows(&rows).history();
        for metric in [Metric::TvToTarget, Metric::ExpectedReward] {
            let series = history.get(metric).unwrap();
            for row in rows.iter().filter(|row| value(row.step).is_finite()) {
                let bucket = series
                    .steps
                    .partition_point(|&first| first <= row.step as f64)
                    - 1;
                let value = row.metrics.get(metric) as f32;
                assert!((series.min[bucket]..=series.max[bucket]).contains(&value));
            }
            assert!(series.steps.last().is_some_and(|&last| last <= 5000.0));
        }
    }

    #[test]
    fn what_was_compared_at_an_earlier_step_is_recorded_there() {
        let compared = [(0, 0), (1, 0), (64, 0), (128, 32), (512, 32), (1024, 96)];
        let rows: Vec<Row> = (compared.iter())
            .map(|&(step, at)| {
                let mut row = row(step);
                row.metrics.set(Metric::CauseSampling, at as f64 / 1000.0);
                row.metrics.set(Metric::CauseRepresentation, 0.5);
                row.causes_at = Some(at);
                row
            })
            .collect();
        let history = Recorder::from_rows(&rows).history();
        let sampling = history.get(Metric::CauseSampling).unwrap();
        assert_eq!(sampling.steps, [0.0, 32.0, 96.0]);
        assert_eq!(sampling.mean, [0.0, 0.032, 0.096]);
        let representation = history.get(Metric::CauseRepresentation).unwrap();
        assert_eq!(representation.steps, compared.map(|(step, _)| step as f64));
    }
}
