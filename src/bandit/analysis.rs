//! Everything that follows from a problem and an objective alone, before any training: the target, its ties, its modes
//! and the sentence that says why. The window shows it in the same frame as an edit; the trainer measures against it.

use super::{
    Problem,
    measure::{Ground, measure_target, mode_masses},
    sentence::{Facts, sentence},
};
use crate::theory::{self, Metric, Metrics, Objective, Target, TargetError, Tie, Ties, mara};

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

/// Up to this many arms (or modes) the ties of all pairs are listed, beyond it the ones at which the winner changes.
const PAIRWISE: usize = 24;
/// From this many arms on, measuring target and reference side by side is worth a second thread.
const SIDE_BY_SIDE: usize = 1 << 16;
/// At most this many ties are listed on larger problems, evenly thinned: more than a slider can show.
const TIES: usize = 1024;

impl Analysis {
    /// Solves an objective on a problem.
    ///
    /// # Errors
    /// [`TargetError`] for settings that have no target.
    pub fn new(problem: &Problem, objective: &Objective) -> Result<Self, TargetError> {
        Self::build(problem, objective, None)
    }

    /// As [`Self::new`], to the last bit, in half the time on a large problem: what a change of β leaves alone is taken
    /// from `earlier`, the analysis of the very same problem under another objective.
    ///
    /// # Errors
    /// [`TargetError`] for settings that have no target.
    pub fn renewed(
        problem: &Problem,
        objective: &Objective,
        earlier: (&Self, &Objective),
    ) -> Result<Self, TargetError> {
        let (analysis, old) = earlier;
        let kept = same_ties(old, objective).then_some(analysis);
        Self::build(problem, objective, kept)
    }

    /// `kept` has the same ties.
    fn build(
        problem: &Problem,
        objective: &Objective,
        kept: Option<&Self>,
    ) -> Result<Self, TargetError> {
        let log_reference = problem.reference.log_masses();
        let rewards: Vec<f64> = problem
            .rewards
            .iter()
            .map(|&raw| objective.effective_reward(raw))
            .collect();
        let classes: Vec<&[u32]> = problem.modes.iter().map(|mode| &*mode.arms).collect();
        let mara = mara::augment(log_reference, &rewards, objective, &classes)?;
        let paid_rewards = mara.as_ref().map_or(&*rewards, |mara| &*mara.rewards);
        let paid_reference = mara
            .as_ref()
            .and_then(|mara| mara.log_reference.as_deref())
            .unwrap_or(log_reference);
        let target = theory::solve_weights(paid_reference, paid_rewards, objective)?;

        let ground = Ground {
            rewards: &rewards,
            paid_rewards,
            paid_reference,
            target: &target,
        };
        let reference = problem.reference.masses();
        let of_target = || {
            measure_target(
                problem,
                objective,
                &ground,
                &target.masses,
                &target.log_masses,
            )
        };
        let of_reference =
            || measure_target(problem, objective, &ground, &reference, log_reference);
        let (target_metrics, reference_metrics) = if problem.arms() < SIDE_BY_SIDE {
            (of_target(), of_reference())
        } else {
            rayon::join(of_target, of_reference)
        };
        let reference_modes = match kept {
            Some(kept) => kept.reference_modes.clone(),
            None => mode_masses(problem, &reference),
        };
        let target_modes = mode_masses(problem, &target.masses);
        // Ties come from the form of MARA whose reward does not depend on β.
        let swapped = mara
            .as_ref()
            .filter(|_| kept.is_none())
            .map(|mara| mara.swapped(log_reference, &rewards));
        let (tie_reference, tie_rewards) = swapped
            .as_ref()
            .map_or((log_reference, &*rewards), |(logs, rewards)| {
                (logs, rewards)
            });
        let ties = Ties::new(tie_reference, tie_rewards, objective.direction.into());
        let (arm_ties, mode_ties) = match kept {
            Some(kept) => (kept.ties.clone(), kept.mode_ties.clone()),
            None => {
                let arms = if problem.arms() <= PAIRWISE {
                    ties.pairwise(&(0..problem.arms()).collect::<Vec<_>>())
                } else {
                    ties.envelope(TIES)
                };
                (arms, ties.modes(&classes, PAIRWISE))
            }
        };
        let sentence = sentence(&Facts {
            problem,
            objective,
            mara: mara.as_ref(),
            target: &target,
            target_modes: &target_modes,
            reference_modes: &reference_modes,
            kl_to_reference: target_metrics.get(Metric::KlToReference),
            ties: mara.is_none().then_some(&ties),
            rewards: paid_rewards,
            log_reference: paid_reference,
        });
        let (augmented, swapped_reference) = match mara {
            Some(mara) => (Some(mara.rewards), mara.log_reference),
            None => (None, None),
        };
        Ok(Self {
            augmented,
            swapped_reference,
            target,
            target_metrics,
            reference_metrics,
            reference_modes,
            target_modes,
            ties: arm_ties,
            mode_ties,
            sentence,
            rewards,
        })
    }
}

/// Ties follow from reference, effective rewards, divergence and MARA's settings alone.
fn same_ties(old: &Objective, new: &Objective) -> bool {
    old.direction == new.direction
        && old.reward_scale == new.reward_scale
        && old.reward_offset == new.reward_offset
        && old.mara == new.mara
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::{
        bandit::ProblemSource,
        experiment::builtin_preset,
        theory::{Anchor, Beta, Direction, Mara, MaraAlgorithm, Threshold},
    };

    #[test]
    fn a_renewed_analysis_is_the_one_made_anew() {
        for name in ["figure-5", "figure-2", "many-arms"] {
            let preset = builtin_preset(name).unwrap();
            let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
            let old = preset.objective;
            let problem = source.problem(&preset.bandit, &old).unwrap();
            let before = Analysis::new(&problem, &old).unwrap();
            let beta = Beta::new(3.0 * old.beta.get()).unwrap();
            let with_mara = |per_class: bool, algorithm: MaraAlgorithm| Objective {
                beta,
                mara: Some(Mara {
                    threshold: Threshold::Percentile(0.7),
                    algorithm: Some(algorithm),
                    anchor: Anchor::default(),
                    per_class,
                }),
                ..old
            };
            for new in [
                Objective { beta, ..old },
                Objective {
                    beta,
                    reward_scale: 2.0,
                    ..old
                },
                Objective {
                    direction: Direction::Forward,
                    ..old
                },
                with_mara(false, MaraAlgorithm::AugmentReward),
                with_mara(true, MaraAlgorithm::AugmentReward),
                with_mara(true, MaraAlgorithm::SwapRewardAndReference),
            ] {
                // What differs but in β, and what keeps its ties.
                let earlier = Objective {
                    beta: old.beta,
                    ..new
                };
                let same = Analysis::new(&problem, &earlier).unwrap();
                let anew = Analysis::new(&problem, &new).unwrap();
                for (before, old) in [(&before, &old), (&same, &earlier)] {
                    let renewed = Analysis::renewed(&problem, &new, (before, old)).unwrap();
                    assert!(renewed.ties == anew.ties && renewed.mode_ties == anew.mode_ties);
                    assert!(renewed.target == anew.target && renewed.rewards == anew.rewards);
                    assert_eq!(renewed.reference_modes, anew.reference_modes, "{name}");
                    assert_eq!(renewed.target_modes, anew.target_modes, "{name}");
                    assert_eq!(renewed.sentence, anew.sentence, "{name}");
                    for metrics in [
                        |a: &Analysis| format!("{:?}", a.target_metrics),
                        |a: &Analysis| format!("{:?}", a.reference_metrics),
                    ] {
                        assert_eq!(metrics(&renewed), metrics(&anew), "{name}");
                    }
                }
            }
        }
    }
}
