//! Drawing reward and reference by hand: what a drag means as an [`Edit`].

use std::cmp::Ordering;

use crate::{experiment::Edit, ui::View};

/// What a drag changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bar {
    /// The raw reward; the pointer says the effective one.
    Reward,
    /// The reference weight; the pointer says the normalised mass.
    Reference,
}

impl Bar {
    /// Its name for tooltips.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Reward => "reward",
            Self::Reference => "reference",
        }
    }
}

/// The most that hand-drawn arms may hold together, so that the others keep something.
const MOST: f64 = 0.999;

/// The edit that gives arms new effective rewards or reference masses: a single one, or all bars at once.
/// None where that is impossible (a reward scale of 0, the only arm's mass).
pub(crate) fn edit(view: &View<'_>, bar: Bar, changes: &[(usize, f64)]) -> Option<Edit> {
    let arms = view.problem.arms();
    let mut changes: Vec<(usize, f64)> = changes
        .iter()
        .copied()
        .filter(|(arm, value)| *arm < arms && value.is_finite())
        .collect();
    match bar {
        Bar::Reward => {
            let objective = &view.preset.objective;
            for (_, value) in &mut changes {
                *value = (*value - objective.reward_offset) / objective.reward_scale;
            }
            changes.retain(|(_, value)| value.is_finite());
        }
        Bar::Reference => to_weights(view, &mut changes),
    }
    let bandit = &view.preset.bandit;
    if let (prompt @ 1.., Bar::Reward) = (view.shown_prompt(), bar) {
        let mut rewards = view.problem.rewards.clone();
        for (arm, value) in &changes {
            rewards[*arm] = *value;
        }
        return (!changes.is_empty()).then_some(Edit::Answers { prompt, rewards });
    }
    match (changes.as_slice(), bar) {
        ([], _) => None,
        (&[(arm, value)], Bar::Reward) => Some(Edit::Reward { arm, value }),
        (&[(arm, weight)], Bar::Reference) => Some(Edit::Reference { arm, weight }),
        (_, Bar::Reward) => Some(Edit::Bars {
            rewards: replaced(&bandit.reward_edits, &changes),
            reference: bandit.reference_edits.clone(),
        }),
        (_, Bar::Reference) => Some(Edit::Bars {
            rewards: bandit.reward_edits.clone(),
            reference: replaced(&bandit.reference_edits, &changes),
        }),
    }
}

/// Masses wanted after normalising become weights beside the others' present weights.
fn to_weights(view: &View<'_>, changes: &mut Vec<(usize, f64)>) {
    let log_masses = view.problem.reference.log_masses();
    if log_masses.len() < 2 {
        changes.clear();
        return;
    }
    let held: f64 = changes.iter().map(|(arm, _)| log_masses[*arm].exp()).sum();
    let wanted: f64 = changes.iter().map(|(_, mass)| mass.max(0.0)).sum();
    let others = weight_total(view) * (1.0 - held).max(0.0);
    let shrink = if wanted > MOST { MOST / wanted } else { 1.0 };
    let rest = 1.0 - wanted * shrink;
    if others <= 1e-12 {
        // These arms hold everything: only their proportions count, and they cannot all be zero.
        if wanted <= 0.0 {
            changes.clear();
        }
        return;
    }
    for (_, mass) in changes {
        *mass = mass.max(0.0) * shrink * others / rest;
    }
}

/// What all reference weights sum to on the scale of the edits: known from any edited arm, 1 before the first edit.
fn weight_total(view: &View<'_>) -> f64 {
    view.preset
        .bandit
        .reference_edits
        .iter()
        .rev()
        .find_map(|&(arm, weight)| {
            let mass = view.problem.reference.log_masses().get(arm)?.exp();
            let total = weight / mass;
            (weight > 0.0 && total.is_finite()).then_some(total)
        })
        .unwrap_or(1.0)
}

fn replaced(old: &[(usize, f64)], new: &[(usize, f64)]) -> Vec<(usize, f64)> {
    let mut changed: Vec<usize> = new.iter().map(|(arm, _)| *arm).collect();
    changed.sort_unstable();
    old.iter()
        .copied()
        .filter(|(arm, _)| changed.binary_search(arm).is_err())
        .chain(new.iter().copied())
        .collect()
}

/// The arms that a stroke passes between two pointer positions (arm, value), values interpolated: painting leaves no
/// gaps. The arm where the stroke comes from was set before.
pub(crate) fn stroke(from: (usize, f64), to: (usize, f64)) -> Vec<(usize, f64)> {
    let value = |arm: usize| {
        let share = arm.abs_diff(from.0) as f64 / from.0.abs_diff(to.0) as f64;
        (arm, from.1 + (to.1 - from.1) * share)
    };
    match from.0.cmp(&to.0) {
        Ordering::Less => (from.0 + 1..=to.0).map(value).collect(),
        Ordering::Equal => vec![to],
        Ordering::Greater => (to.0..from.0).map(value).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stroke_has_no_gaps_and_ends_at_the_pointer() {
        assert_eq!(stroke((3, 1.0), (3, 2.0)), [(3, 2.0)]);
        assert_eq!(stroke((3, 1.0), (5, 3.0)), [(4, 2.0), (5, 3.0)]);
        assert_eq!(stroke((5, 3.0), (3, 1.0)), [(3, 1.0), (4, 2.0)]);
    }

    #[test]
    fn replacing_keeps_the_other_edits() {
        assert_eq!(
            replaced(&[(1, 0.1), (2, 0.2)], &[(2, 0.5), (7, 0.7)]),
            [(1, 0.1), (2, 0.5), (7, 0.7)]
        );
    }
}
