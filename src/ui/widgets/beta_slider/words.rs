//! What the β slider says of its ticks.

use crate::{
    bandit::Problem,
    theory::{Tie, TieCount, TieScope},
    ui::widgets::number::{grouped, number},
};

/// Pairs that tie in columns within reach, where they were counted.
pub(super) fn counted(counts: &[TieCount], is_near: impl Fn(f64) -> bool) -> u64 {
    let near = |count: &&TieCount| is_near((count.between.0 * count.between.1).sqrt());
    counts.iter().filter(near).map(|count| count.pairs).sum()
}

/// Which ties are marked, in words; empty if all are.
pub(super) fn scope_text(scope: TieScope) -> String {
    match scope {
        TieScope::All => String::new(),
        TieScope::Alike { pairs } => format!(
            " {} pairs tie; arms alike in reward and reference share a mark.",
            grouped(pairs)
        ),
        TieScope::Columns {
            columns,
            pairs: Some(pairs),
        } => format!(
            " {} pairs tie; of {} columns of the rail, each in which any does has a mark.",
            grouped(pairs),
            grouped(columns as u64)
        ),
        TieScope::Columns { pairs: None, .. } | TieScope::WinnerChanges { .. } => {
            " Marked so far are the ties at which the likeliest arm changes, and some of the others; the rest is being looked for."
                .to_owned()
        }
        TieScope::Unknown => {
            " No ties are marked: under Algorithm 1 of MARA with this divergence, rewards move with β."
                .to_owned()
        }
    }
}

/// A tie in words.
pub(super) fn tie_text(tie: &Tie, of_modes: bool, problem: &Problem) -> String {
    let name = |index: usize| {
        if of_modes {
            problem
                .modes
                .get(index)
                .map_or_else(|| format!("mode {index}"), |mode| mode.label.clone())
        } else {
            format!("arm {}", problem.arm_label(index))
        }
    };
    format!(
        "β* = {} {} (better reward) wins below, {} (better support) wins above",
        number(tie.beta),
        name(tie.better_reward),
        name(tie.better_support)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_within_reach_are_counted() {
        let count = |from: f64, pairs| TieCount {
            between: (from, 1.1 * from),
            pairs,
        };
        let counts = [count(0.1, 5), count(0.2, 7), count(3.0, 100)];
        assert_eq!(counted(&counts, |beta| beta < 1.0), 12);
    }
}
