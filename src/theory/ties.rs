//! Tie points: the β* at which two arms have the same target mass (docs/math.md section 2).

use super::Tie;

/// The tie of two arms under reverse KL: β* = (R₁−R₂)/(log π_ref₂ − log π_ref₁), if positive.
#[must_use]
pub fn tie(first: usize, second: usize, log_reference: &[f64], rewards: &[f64]) -> Option<Tie> {
    let (r1, r2) = (*rewards.get(first)?, *rewards.get(second)?);
    let (l1, l2) = (*log_reference.get(first)?, *log_reference.get(second)?);
    let (better, other, gap, support) = if r1 > r2 {
        (first, second, r1 - r2, l2 - l1)
    } else {
        (second, first, r2 - r1, l1 - l2)
    };
    let beta = gap / support;
    (beta > 0.0 && beta.is_finite()).then_some(Tie {
        beta,
        better_reward: better,
        better_support: other,
    })
}

/// The ties of all pairs, ascending in β.
#[must_use]
pub fn pairwise(log_reference: &[f64], rewards: &[f64]) -> Vec<Tie> {
    let count = rewards.len();
    let mut ties: Vec<Tie> = (0..count)
        .flat_map(|i| (i + 1..count).map(move |j| (i, j)))
        .filter_map(|(i, j)| tie(i, j, log_reference, rewards))
        .collect();
    ties.sort_by(|a, b| a.beta.total_cmp(&b.beta));
    ties
}

/// The ties at which the target's best arm changes, ascending in β: the corners of the upper envelope of the lines
/// log π_ref + s·R over s = 1/β > 0, found as the upper right convex hull of the points (R, log π_ref).
#[must_use]
pub fn envelope(log_reference: &[f64], rewards: &[f64]) -> Vec<Tie> {
    let mut points: Vec<usize> = (0..rewards.len())
        .filter(|&arm| log_reference[arm] > f64::NEG_INFINITY)
        .collect();
    // Descending in reward, the better support first among equals.
    points.sort_unstable_by(|&a, &b| {
        rewards[b]
            .total_cmp(&rewards[a])
            .then(log_reference[b].total_cmp(&log_reference[a]))
            .then(a.cmp(&b))
    });
    let mut hull: Vec<usize> = Vec::new();
    for &arm in &points {
        if let Some(&last) = hull.last()
            && log_reference[arm] <= log_reference[last]
        {
            continue;
        }
        while let [.., before, last] = hull[..] {
            // The last corner stays only if it wins somewhere between its neighbours: ties ascend in β.
            let first =
                (rewards[before] - rewards[last]) / (log_reference[last] - log_reference[before]);
            let second =
                (rewards[last] - rewards[arm]) / (log_reference[arm] - log_reference[last]);
            if second <= first {
                hull.pop();
            } else {
                break;
            }
        }
        hull.push(arm);
    }
    hull.windows(2)
        .filter_map(|pair| tie(pair[0], pair[1], log_reference, rewards))
        .collect()
}

/// The ties between modes, each standing for its best arm (best reward, then best support); indices are modes.
#[must_use]
pub fn modes(log_reference: &[f64], rewards: &[f64], modes: &[&[u32]]) -> Vec<Tie> {
    let best: Vec<Option<usize>> = modes
        .iter()
        .map(|arms| best_arm(log_reference, rewards, arms))
        .collect();
    let logs: Vec<f64> = best
        .iter()
        .map(|arm| arm.map_or(f64::NEG_INFINITY, |arm| log_reference[arm]))
        .collect();
    let tops: Vec<f64> = best
        .iter()
        .map(|arm| arm.map_or(0.0, |arm| rewards[arm]))
        .collect();
    if modes.len() <= 24 {
        pairwise(&logs, &tops)
    } else {
        envelope(&logs, &tops)
    }
}

/// A mode's best arm: best reward within the support, then best support.
#[must_use]
pub fn best_arm(log_reference: &[f64], rewards: &[f64], arms: &[u32]) -> Option<usize> {
    arms.iter()
        .map(|&arm| arm as usize)
        .filter(|&arm| log_reference[arm] > f64::NEG_INFINITY)
        .max_by(|&a, &b| {
            rewards[a]
                .total_cmp(&rewards[b])
                .then(log_reference[a].total_cmp(&log_reference[b]))
                .then(b.cmp(&a))
        })
}
