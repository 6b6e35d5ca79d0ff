//! Everything that follows from a problem and an objective alone, before any training: the target, its ties, its modes
//! and the sentence that says why. The window shows it in the same frame as an edit; the trainer measures against it.

use super::{
    Problem,
    measure::{Ground, measure_target, mode_masses},
    sentence::sentence,
};
use crate::theory::{self, Metrics, Objective, Target, TargetError, Tie, mara, ties};

/// What an objective asks for on a problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// Effective rewards R = scale·r + offset, one per arm.
    pub rewards: Vec<f64>,
    /// Effective rewards after MARA, where it is on and changes any.
    pub augmented: Option<Vec<f64>>,
    /// Natural-log reference masses after MARA's Algorithm 2, where it is on and changes any (not normalised).
    pub swapped_reference: Option<Vec<f64>>,
    /// The target.
    pub target: Target,
    /// Metrics with the target in place of the policy.
    pub target_metrics: Metrics,
    /// Metrics with the reference in place of the policy.
    pub reference_metrics: Metrics,
    /// Mode masses of the reference, one per mode.
    pub reference_modes: Vec<f64>,
    /// Mode masses of the target, one per mode.
    pub target_modes: Vec<f64>,
    /// Tie points between arms (all pairs on small problems, the winners' boundary on large ones), ascending in β.
    pub ties: Vec<Tie>,
    /// Tie points between modes (their best arms), ascending in β; indices are modes.
    pub mode_ties: Vec<Tie>,
    /// What the target looks like and why, in words.
    pub sentence: String,
}

/// Up to this many arms the ties of all pairs are listed, beyond it the ones at which the winner changes.
const PAIRWISE_ARMS: usize = 24;

impl Analysis {
    /// Solves an objective on a problem.
    ///
    /// # Errors
    /// [`TargetError`] for settings that have no target.
    pub fn new(problem: &Problem, objective: &Objective) -> Result<Self, TargetError> {
        let log_reference = problem.reference.log_masses();
        let rewards: Vec<f64> = problem
            .rewards
            .iter()
            .map(|&raw| objective.effective_reward(raw))
            .collect();
        let classes: Vec<&[u32]> = problem.modes.iter().map(|mode| &*mode.arms).collect();
        let mara = mara::augment(log_reference, &rewards, objective, &classes)?;
        let (augmented, swapped_reference) = match mara {
            Some(mara) => (Some(mara.rewards), mara.log_reference),
            None => (None, None),
        };
        let paid_rewards = augmented.as_deref().unwrap_or(&rewards);
        let paid_reference = swapped_reference.as_deref().unwrap_or(log_reference);
        let target = theory::solve_weights(paid_reference, paid_rewards, objective)?;

        let ground = Ground {
            rewards: &rewards,
            paid_rewards,
            paid_reference,
            target: &target,
        };
        let reference = problem.reference.masses();
        let target_metrics = measure_target(
            problem,
            objective,
            &ground,
            &target.masses,
            &target.log_masses,
        );
        let reference_metrics =
            measure_target(problem, objective, &ground, &reference, log_reference);
        let reference_modes = mode_masses(problem, &reference);
        let target_modes = mode_masses(problem, &target.masses);
        let ties = if problem.arms() <= PAIRWISE_ARMS {
            ties::pairwise(log_reference, &rewards)
        } else {
            ties::envelope(log_reference, &rewards)
        };
        let mode_ties = ties::modes(log_reference, &rewards, &classes);
        let sentence = sentence(problem, &target, &target_modes, &mode_ties);
        Ok(Self {
            augmented,
            swapped_reference,
            target,
            target_metrics,
            reference_metrics,
            reference_modes,
            target_modes,
            ties,
            mode_ties,
            sentence,
            rewards,
        })
    }
}
