//! Everything that follows from a problem and an objective alone, before any training: the target, its ties, its modes
//! and the sentence that says why. The window shows it in the same frame as an edit; the trainer measures against it.

use std::sync::Arc;

use super::{
    Problem,
    measure::{Ground, Worth, measure_ends, mode_masses},
    sentence::{Facts, sentence},
};
use crate::theory::{
    self, Divergence, MaraAlgorithm, Metric, Metrics, Objective, Target, TargetError, Tie,
    TieEffort, TieList, TieScope, Ties,
    mara::{self, Augmentation},
};

/// What an objective asks for on a problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// Effective rewards R = scale·r + offset, one per arm.
    pub rewards: Arc<[f64]>,
    /// What MARA makes of rewards and reference, where it is on and any arm is good.
    pub mara: Option<Augmentation>,
    /// The target.
    pub target: Target,
    /// Metrics with the target in place of the policy.
    pub target_metrics: Metrics,
    /// Metrics with the reference in place of the policy.
    pub reference_metrics: Metrics,
    /// What the reference is worth under an α-divergence, whatever β.
    reference_worth: Option<Worth>,
    /// Mode masses of the reference, one per mode.
    pub reference_modes: Vec<f64>,
    /// Mode masses of the target, one per mode.
    pub target_modes: Vec<f64>,
    /// Tie points between arms, ascending in β: of all pairs where there is time for them.
    pub ties: TieList,
    /// Tie points between modes (their best arms), ascending in β; indices are modes.
    pub mode_ties: Vec<Tie>,
    /// What the target looks like and why, in words.
    pub sentence: String,
}

/// Up to this many modes the ties of all pairs are listed, beyond it those of neighbours in reward.
const PAIRWISE_MODES: usize = 24;

impl Analysis {
    /// Solves an objective on a problem.
    ///
    /// # Errors
    /// [`TargetError`] for settings that have no target.
    pub fn new(problem: &Problem, objective: &Objective) -> Result<Self, TargetError> {
        Self::build(problem, objective, TieEffort::Frame, None)
    }

    /// As [`Self::new`], without ties.
    ///
    /// # Errors
    /// [`TargetError`] for settings that have no target.
    pub fn without_ties(problem: &Problem, objective: &Objective) -> Result<Self, TargetError> {
        Self::build(problem, objective, TieEffort::Skip, None)
    }

    /// As [`Self::new`], with the ties of all pairs on problems of up to some hundred arms, for when no frame waits.
    ///
    /// # Errors
    /// [`TargetError`] for settings that have no target.
    pub fn thorough(problem: &Problem, objective: &Objective) -> Result<Self, TargetError> {
        Self::build(problem, objective, TieEffort::Thorough, None)
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
        Self::build(problem, objective, TieEffort::Frame, kept)
    }

    /// Effective rewards after MARA, where it is on and changes any.
    #[must_use]
    pub fn augmented(&self) -> Option<&Arc<[f64]>> {
        self.mara.as_ref().map(|mara| &mara.rewards)
    }

    /// Natural-log reference masses after MARA's Algorithm 2, where it is on and changes any (not normalised).
    #[must_use]
    pub fn swapped_reference(&self) -> Option<&Arc<[f64]>> {
        self.mara.as_ref()?.log_reference.as_ref()
    }

    /// Effective rewards as optimised: after MARA, where it changes any.
    #[must_use]
    pub fn paid_rewards(&self) -> &[f64] {
        self.augmented().unwrap_or(&self.rewards)
    }

    /// Natural-log reference as optimised, on the problem that was analysed: after MARA, where it changes any.
    #[must_use]
    pub fn paid_reference<'a>(&'a self, problem: &'a Problem) -> &'a [f64] {
        self.swapped_reference()
            .map_or(problem.reference.log_masses(), |logs| &**logs)
    }

    /// `kept` has the same ties.
    fn build(
        problem: &Problem,
        objective: &Objective,
        effort: TieEffort,
        kept: Option<&Self>,
    ) -> Result<Self, TargetError> {
        let log_reference = problem.reference.log_masses();
        // What keeps its ties keeps its rewards and MARA's settings: only β differs.
        let rewards: Arc<[f64]> = match kept {
            Some(kept) => kept.rewards.clone(),
            None => (problem.rewards.iter())
                .map(|&raw| objective.effective_reward(raw))
                .collect(),
        };
        let classes: Vec<&[u32]> = problem.modes.iter().map(|mode| &*mode.arms).collect();
        let kept_mara = kept.and_then(|kept| kept.mara.as_ref());
        let moved_mara = kept_mara.and_then(|mara| mara.at_beta(objective.beta.get()));
        // The reference and rewards that are optimised are the same as well.
        let kept_paid = kept.filter(|_| kept_mara.is_none() || moved_mara.is_some());
        let mara = match moved_mara {
            Some(mara) => Some(mara),
            None => {
                let tau = kept_mara.map(|mara| mara.anchored.threshold);
                mara::augment_from(tau, log_reference, &rewards, objective, &classes)?
            }
        };
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
        let reference_modes = match kept {
            Some(kept) => kept.reference_modes.clone(),
            None => mode_masses(problem, &problem.reference.masses()),
        };
        let target_modes = mode_masses(problem, &target.masses);
        let measured = measure_ends(
            problem,
            objective,
            &ground,
            (&target_modes, &reference_modes),
            kept_paid.and_then(|kept| kept.reference_worth),
        );
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
        let ties = Ties::of(tie_reference, tie_rewards, objective);
        let (arm_ties, mode_ties) = match kept {
            Some(kept) => (kept.ties.clone(), kept.mode_ties.clone()),
            None if mara
                .as_ref()
                .is_some_and(|mara| moves_with_beta(mara, objective)) =>
            {
                let none = TieList {
                    scope: TieScope::Unknown,
                    ..TieList::default()
                };
                (none, Vec::new())
            }
            None => (ties.list(effort), ties.modes(&classes, PAIRWISE_MODES)),
        };
        let sentence = sentence(&Facts {
            problem,
            objective,
            mara: mara.as_ref(),
            target: &target,
            target_modes: &target_modes,
            reference_modes: &reference_modes,
            kl_to_reference: measured.target.get(Metric::KlToReference),
            ties: mara.is_none().then_some(&ties),
            mode_ties: (classes.len() <= PAIRWISE_MODES).then_some(&*mode_ties),
            rewards: paid_rewards,
            log_reference: paid_reference,
        });
        Ok(Self {
            mara,
            target,
            target_metrics: measured.target,
            reference_metrics: measured.reference,
            reference_worth: measured.reference_worth,
            reference_modes,
            target_modes,
            ties: arm_ties,
            mode_ties,
            sentence,
            rewards,
        })
    }
}

/// MARA's Algorithm 1 adds β times a number to rewards; only under reverse KL that is the same as another reference.
pub(super) fn moves_with_beta(mara: &Augmentation, objective: &Objective) -> bool {
    mara.anchored.algorithm == MaraAlgorithm::AugmentReward
        && Divergence::from(objective.direction) != Divergence::Reverse
}

/// Ties follow from reference, effective rewards, divergence, entropy bonus and MARA's settings alone.
pub(super) fn same_ties(old: &Objective, new: &Objective) -> bool {
    old.direction == new.direction
        && old.entropy == new.entropy
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
                Objective {
                    direction: Direction::Forward,
                    entropy: 0.2,
                    ..old
                },
                Objective {
                    direction: Direction::Alpha(0.5),
                    ..old
                },
                Objective {
                    direction: Direction::Alpha(0.5),
                    ..with_mara(false, MaraAlgorithm::SwapRewardAndReference)
                },
                Objective {
                    direction: Direction::Alpha(1.5),
                    ..with_mara(true, MaraAlgorithm::SwapRewardAndReference)
                },
                Objective {
                    direction: Direction::Alpha(0.5),
                    ..with_mara(false, MaraAlgorithm::AugmentReward)
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
                    assert_eq!(renewed.mara, anew.mara, "{name}");
                    assert_eq!(renewed.reference_modes, anew.reference_modes, "{name}");
                    assert_eq!(renewed.reference_worth, anew.reference_worth, "{name}");
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

    fn random(arms: usize) -> Problem {
        let mut state = 7_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let weights: Vec<f64> = (0..arms).map(|_| next() + 0.01).collect();
        Problem {
            shape: crate::bandit::Shape::Line {
                count: arms,
                range: (0.0, 1.0),
            },
            names: None,
            reference: theory::Distribution::from_weights(&weights).unwrap(),
            rewards: (0..arms).map(|_| next()).collect(),
            modes: Vec::new(),
            coverage: theory::CoverageRule::USUAL,
        }
    }

    /// Pairs in which the better reward has the poorer support.
    fn pairs(problem: &Problem) -> usize {
        let logs = problem.reference.log_masses();
        let ties = |a: usize, b: usize| {
            (problem.rewards[a] - problem.rewards[b]) * (logs[a] - logs[b]) < 0.0
        };
        (0..logs.len())
            .map(|a| (0..a).filter(|&b| ties(a, b)).count())
            .sum()
    }

    #[test]
    fn a_hundred_arms_have_all_their_ties() {
        let problem = random(100);
        let wanted = pairs(&problem);
        assert!(wanted > 2_000);
        for (direction, entropy) in [
            (Direction::Reverse, 0.0),
            (Direction::Reverse, 0.3),
            (Direction::Forward, 0.0),
            (Direction::Forward, 0.3),
            (Direction::Alpha(0.5), 0.0),
        ] {
            let objective = Objective {
                entropy,
                ..Objective::new(direction, Beta::new(0.1).unwrap())
            };
            let thorough = Analysis::thorough(&problem, &objective).unwrap().ties;
            assert_eq!(thorough.scope, TieScope::All);
            // Without a bonus some pairs of forward and α would tie only where no target is.
            let all = entropy > 0.0 || direction == Direction::Reverse;
            let count = thorough.ties.len();
            assert!(
                if all {
                    count == wanted
                } else {
                    count > wanted / 3
                },
                "{direction:?} η = {entropy}: {count} of {wanted}"
            );
            let few = Analysis::new(&problem, &objective).unwrap().ties;
            let winners: Vec<_> = thorough
                .ties
                .iter()
                .filter(|listed| listed.changes_winner)
                .collect();
            assert!(winners.len() > 2);
            match few.scope {
                TieScope::All => assert_eq!(few, thorough),
                TieScope::WinnerChanges { total } => {
                    assert_eq!(total, winners.len());
                    assert!(few.ties.iter().eq(winners));
                }
                other => panic!("ties of {direction:?} are {other:?}"),
            }
            if entropy == 0.0 || direction == Direction::Reverse {
                assert_eq!(few.scope, TieScope::All, "{direction:?}");
            }
        }
    }

    /// An analysis runs inside a frame, ties included.
    #[test]
    fn an_analysis_is_quick_at_any_number_of_arms() {
        for arms in [24, 60, 100, 140, 200, 1_000, 100_000] {
            let problem = random(arms);
            for (direction, entropy) in [
                (Direction::Reverse, 0.0),
                (Direction::Forward, 0.0),
                (Direction::Forward, 0.3),
                (Direction::Alpha(0.5), 0.0),
                (Direction::Alpha(2.0), 0.0),
            ] {
                let objective = Objective {
                    entropy,
                    ..Objective::new(direction, Beta::new(0.1).unwrap())
                };
                let took = |_| {
                    let start = std::time::Instant::now();
                    let ties = Analysis::new(&problem, &objective).unwrap().ties;
                    (start.elapsed(), ties.scope, ties.ties.len())
                };
                let best = (0..5).map(took).min_by_key(|(time, ..)| *time).unwrap();
                println!("{arms} arms, {direction:?} η = {entropy}: {best:?}");
                let limit = if arms <= 1_000 { 0.006 } else { 0.2 };
                assert!(
                    best.0.as_secs_f64() < limit,
                    "{arms} {direction:?}: {best:?}"
                );
            }
        }
    }

    #[test]
    fn forward_ties_with_an_entropy_bonus_are_ties() {
        let problem = random(12);
        let objective = |beta: f64| Objective {
            entropy: 0.3,
            ..Objective::new(Direction::Forward, Beta::new(beta).unwrap())
        };
        let ties = Analysis::new(&problem, &objective(1.0)).unwrap().ties.ties;
        assert_eq!(ties.len(), pairs(&problem));
        for listed in ties {
            let tie = listed.tie;
            let target = Analysis::new(&problem, &objective(tie.beta))
                .unwrap()
                .target;
            let masses = [tie.better_reward, tie.better_support].map(|arm| target.masses[arm]);
            assert!(
                (masses[0] / masses[1] - 1.0).abs() < 1e-9,
                "{tie:?} {masses:?}"
            );
            let top = target.masses.iter().copied().fold(0.0, f64::max);
            let leads = masses[0] > top * (1.0 - 1e-9);
            assert_eq!(listed.changes_winner, leads, "{tie:?}");
        }
    }

    #[test]
    fn no_ties_are_listed_where_rewards_move_with_beta() {
        let preset = builtin_preset("figure-5").unwrap();
        let problem = ProblemSource::evaluate(&preset.bandit, None)
            .unwrap()
            .problem(&preset.bandit, &preset.objective)
            .unwrap();
        let objective = Objective {
            direction: Direction::Forward,
            mara: Some(Mara {
                threshold: Threshold::Constant(0.5),
                algorithm: Some(MaraAlgorithm::AugmentReward),
                anchor: Anchor::default(),
                per_class: false,
            }),
            ..preset.objective
        };
        let analysis = Analysis::new(&problem, &objective).unwrap();
        assert_eq!(analysis.ties.scope, TieScope::Unknown);
        assert!(analysis.ties.ties.is_empty() && analysis.mode_ties.is_empty());
    }
}
