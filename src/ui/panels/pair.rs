//! The pair of arms that inspector and phase diagram look at: the one the user picked, or the pair that decides.

use crate::{theory::Tie, ui::View};

/// The picked pair where it is complete and exists, otherwise the deciding one.
pub(crate) fn pair(view: &View) -> Option<(usize, usize)> {
    let arms = view.problem.arms();
    let leading = leading_pair(view);
    let valid = |arm: &usize| *arm < arms;
    match (
        view.selection.pair.0.filter(valid),
        view.selection.pair.1.filter(valid),
    ) {
        (Some(a), Some(b)) => Some((a, b)),
        (Some(a), None) => {
            leading.map(|(first, second)| (a, if a == first { second } else { first }))
        }
        (None, Some(b)) => {
            leading.map(|(first, second)| (if b == first { second } else { first }, b))
        }
        (None, None) => leading,
    }
}

/// The two arms whose contest decides the picture: the best arms of the modes that tie nearest the present β; without such
/// a tie, the best arms of the two heaviest modes of the target; without modes, its two heaviest arms.
pub(crate) fn leading_pair(view: &View) -> Option<(usize, usize)> {
    let (problem, analysis) = (view.problem, view.shown_analysis());
    let beta = view.shown_objective().beta.get().ln();
    let distance = |tie: &&Tie| (tie.beta.ln() - beta).abs();
    let nearest = analysis
        .mode_ties
        .iter()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)));
    if let Some(tie) = nearest
        && let (Some(a), Some(b)) = (
            best_arm(view, tie.better_reward),
            best_arm(view, tie.better_support),
        )
    {
        return Some((a, b));
    }
    let mut modes: Vec<usize> = (0..problem.modes.len()).collect();
    let mass = |mode: usize| analysis.target_modes.get(mode).copied().unwrap_or(0.0);
    modes.sort_by(|&a, &b| mass(b).total_cmp(&mass(a)));
    if let [first, second, ..] = modes[..]
        && let (Some(a), Some(b)) = (best_arm(view, first), best_arm(view, second))
    {
        return Some((a, b));
    }
    heaviest(&analysis.target.masses)
}

/// A mode's best arm: best reward, then best support.
pub(crate) fn best_arm(view: &View, mode: usize) -> Option<usize> {
    let logs = view.problem.reference.log_masses();
    let rewards = &view.shown_analysis().rewards;
    let arms = &view.problem.modes.get(mode)?.arms;
    arms.iter()
        .map(|&arm| arm as usize)
        .filter(|&arm| arm < logs.len() && arm < rewards.len())
        .max_by(|&a, &b| {
            (logs[a] > f64::NEG_INFINITY)
                .cmp(&(logs[b] > f64::NEG_INFINITY))
                .then(rewards[a].total_cmp(&rewards[b]))
                .then(logs[a].total_cmp(&logs[b]))
                .then(b.cmp(&a))
        })
}

fn heaviest(masses: &[f64]) -> Option<(usize, usize)> {
    let mut best: [Option<usize>; 2] = [None, None];
    for (arm, mass) in masses.iter().enumerate() {
        let above = |other: Option<usize>| other.is_none_or(|other| *mass > masses[other]);
        if above(best[0]) {
            best = [Some(arm), best[0]];
        } else if above(best[1]) {
            best[1] = Some(arm);
        }
    }
    Some((best[0]?, best[1]?))
}

/// The mode that holds an arm, if any.
pub(crate) fn mode_of(view: &View, arm: usize) -> Option<usize> {
    let arm = u32::try_from(arm).ok()?;
    view.problem
        .modes
        .iter()
        .position(|mode| mode.arms.binary_search(&arm).is_ok())
}
