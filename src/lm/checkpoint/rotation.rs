//! Which checkpoints need not be kept.

use super::CheckpointInfo;

/// Places of the checkpoints (sorted by step) that are neither among the latest `keep` (at least one) nor, with
/// `keep_best`, the best.
#[must_use]
pub fn superfluous(all: &[CheckpointInfo], keep: usize, keep_best: bool) -> Vec<usize> {
    let old = all.len().saturating_sub(keep.max(1));
    let best = if keep_best { best(all) } else { None };
    (0..old).filter(|index| Some(*index) != best).collect()
}

/// Place of the highest score, the earliest among equals; none where nothing was measured.
pub(super) fn best(all: &[CheckpointInfo]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, checkpoint) in all.iter().enumerate() {
        if let Some(score) = checkpoint.score.filter(|score| !score.is_nan())
            && best.is_none_or(|(_, highest)| score > highest)
        {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn checkpoints(scores: &[Option<f64>]) -> Vec<CheckpointInfo> {
        let one = |(step, score): (usize, &Option<f64>)| CheckpointInfo {
            step: step as u64,
            score: *score,
            by_hand: false,
            path: PathBuf::new(),
        };
        scores.iter().enumerate().map(one).collect()
    }

    #[test]
    fn the_latest_stay_and_the_best_where_wanted() {
        let all = checkpoints(&[Some(0.1), Some(0.9), None, Some(0.9), Some(0.3)]);
        assert_eq!(superfluous(&all, 2, true), [0, 2]);
        assert_eq!(superfluous(&all, 2, false), [0, 1, 2]);
        assert_eq!(superfluous(&all, 4, true), [0]);
        assert_eq!(superfluous(&all, 9, true), [0; 0]);
    }

    #[test]
    fn the_newest_always_stays() {
        let all = checkpoints(&[Some(f64::NAN), None]);
        assert_eq!(superfluous(&all, 0, true), [0]);
        assert_eq!(superfluous(&all[..1], 0, false), [0; 0]);
        assert_eq!(superfluous(&[], 3, true), [0; 0]);
    }

    #[test]
    fn a_score_that_is_not_a_number_is_never_best() {
        let all = checkpoints(&[Some(-1.0), Some(f64::NAN), Some(-2.0)]);
        assert_eq!(best(&all), Some(0));
        assert_eq!(best(&checkpoints(&[None, Some(f64::NAN)])), None);
    }
}
