//! Which arms count as modes, and what to call them.

use super::{
    build::ProblemError,
    problem::{Mode, Shape},
};
use crate::{
    experiment::{LabelledMode, ModeSpec},
    theory::Objective,
};

/// The modes of a problem, disjoint, in order of their first arm.
pub(super) fn find_modes(
    spec: &ModeSpec,
    shape: &Shape,
    names: Option<&[String]>,
    rewards: &[f64],
    objective: &Objective,
) -> Result<Vec<Mode>, ProblemError> {
    let is_good =
        |threshold: f64| move |arm: usize| objective.effective_reward(rewards[arm]) >= threshold;
    Ok(match spec {
        ModeSpec::Labelled(labelled) => given(labelled, rewards.len())?,
        ModeSpec::EachArm { threshold } => {
            let good = is_good(*threshold);
            (0..rewards.len())
                .filter(|arm| good(*arm))
                .map(|arm| Mode {
                    label: run_label(arm, arm, names),
                    arms: vec![arm as u32],
                })
                .collect()
        }
        ModeSpec::Detected { threshold } => {
            let threshold = threshold.unwrap_or_else(|| halfway(rewards, objective));
            let good = is_good(threshold);
            match *shape {
                Shape::Line { .. } => runs(rewards.len(), names, good),
                Shape::Grid { rows, columns, .. } => regions(shape, rows, columns, rewards, good),
            }
        }
    })
}

/// Halfway between the smallest and the largest effective reward.
fn halfway(rewards: &[f64], objective: &Objective) -> f64 {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for &reward in rewards {
        low = if reward < low { reward } else { low };
        high = if reward > high { reward } else { high };
    }
    // Monotone in the raw reward, so that the ends stay the ends.
    let (a, b) = (
        objective.effective_reward(low),
        objective.effective_reward(high),
    );
    0.5 * a + 0.5 * b
}

/// Maximal runs of neighbouring good arms on a line.
fn runs(arms: usize, names: Option<&[String]>, good: impl Fn(usize) -> bool) -> Vec<Mode> {
    let mut modes = Vec::new();
    let mut start = None;
    for arm in 0..=arms {
        let inside = arm < arms && good(arm);
        match (start, inside) {
            (None, true) => start = Some(arm),
            (Some(first), false) => {
                modes.push(Mode {
                    label: run_label(first, arm - 1, names),
                    arms: (first as u32..arm as u32).collect(),
                });
                start = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    modes
}

fn run_label(first: usize, last: usize, names: Option<&[String]>) -> String {
    let name = |arm: usize| names.and_then(|names| names.get(arm));
    match (name(first), name(last)) {
        (Some(only), Some(_)) if first == last => only.clone(),
        (Some(a), Some(b)) => format!("{a}–{b}"),
        _ if first == last => format!("arm {first}"),
        _ => format!("arms {first}–{last}"),
    }
}

/// Regions of good arms that touch along an edge, on a grid.
fn regions(
    shape: &Shape,
    rows: usize,
    columns: usize,
    rewards: &[f64],
    good: impl Fn(usize) -> bool,
) -> Vec<Mode> {
    let mut seen: Vec<bool> = (0..rewards.len()).map(|arm| !good(arm)).collect();
    let mut modes = Vec::new();
    let mut to_visit: Vec<u32> = Vec::new();
    for first in 0..seen.len() {
        if std::mem::replace(&mut seen[first], true) {
            continue;
        }
        let mut arms = Vec::new();
        let mut best = first;
        to_visit.push(first as u32);
        while let Some(arm) = to_visit.pop() {
            arms.push(arm);
            let arm = arm as usize;
            if rewards[arm] > rewards[best] {
                best = arm;
            }
            let (row, column) = (arm / columns, arm % columns);
            let mut visit = |exists: bool, neighbour: usize| {
                if exists && !std::mem::replace(&mut seen[neighbour], true) {
                    to_visit.push(neighbour as u32);
                }
            };
            visit(column > 0, arm.wrapping_sub(1));
            visit(column + 1 < columns, arm + 1);
            visit(row > 0, arm.wrapping_sub(columns));
            visit(row + 1 < rows, arm + columns);
        }
        arms.sort_unstable();
        let (x, y) = shape.coordinates(best);
        modes.push(Mode {
            label: format!("at ({x:.2}, {y:.2})"),
            arms,
        });
    }
    modes
}

/// Modes given by hand; checked here again because the number of arms of a CSV or an edit may have changed.
fn given(labelled: &[LabelledMode], arms: usize) -> Result<Vec<Mode>, ProblemError> {
    let mut taken = vec![false; arms];
    let mut modes = Vec::with_capacity(labelled.len());
    for mode in labelled {
        let mut members = Vec::new();
        for &(from, to) in &mode.ranges {
            let range = taken.get_mut(from..to).filter(|range| !range.is_empty());
            let Some(range) = range else {
                return Err(ProblemError::Modes(format!(
                    "range ({from}, {to}) of “{}” is not accepted; two arms, the first one smaller, up to {arms} are",
                    mode.label
                )));
            };
            if let Some(twice) = range.iter().position(|taken| *taken) {
                return Err(ProblemError::Modes(format!(
                    "arm {} of “{}” is in a mode already; an arm belongs to one mode at most",
                    from + twice,
                    mode.label
                )));
            }
            range.fill(true);
            members.extend(from as u32..to as u32);
        }
        if members.is_empty() {
            return Err(ProblemError::Modes(format!(
                "“{}” has no arms; at least one range is needed",
                mode.label
            )));
        }
        members.sort_unstable();
        modes.push(Mode {
            label: mode.label.clone(),
            arms: members,
        });
    }
    modes.sort_by_key(|mode| mode.arms.first().copied());
    Ok(modes)
}
