//! What the target looks like and why, in one or two plain sentences with numbers.

use super::Problem;
use crate::theory::{Target, Tie};

/// Writes the sentence.
pub(super) fn sentence(problem: &Problem, target: &Target, modes: &[f64], ties: &[Tie]) -> String {
    let mass: f64 = modes.iter().sum();
    let Some((top, share)) = modes
        .iter()
        .copied()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(&b.1))
    else {
        let (arm, mass) = target
            .masses
            .iter()
            .copied()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or((0, 1.0));
        return format!(
            "No arm counts as a mode; the likeliest arm {} holds {:.1} % of the target.",
            problem.arm_label(arm),
            100.0 * mass
        );
    };
    let tie = ties
        .iter()
        .find(|tie| tie.better_reward == top || tie.better_support == top)
        .map_or(String::new(), |tie| {
            format!("; they would tie at β = {:.3}", tie.beta)
        });
    format!(
        "{:.1} % of the target sits on one of {} modes ({}), {:.1} % on all of them{}.",
        100.0 * share,
        modes.len(),
        problem.modes[top].label,
        100.0 * mass,
        tie
    )
}
