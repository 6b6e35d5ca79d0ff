//! What the ties of a problem follow from, for whoever lists them without an analysis.

use std::borrow::Cow;

use super::{
    Problem,
    analysis::{moves_with_beta, same_ties},
};
use crate::theory::{Objective, TargetError, Ties, mara};

/// Reference and rewards that ties are of: after MARA, in its form whose reward does not depend on β.
#[derive(Debug, Clone, PartialEq)]
pub struct TieGround<'a> {
    log_reference: Cow<'a, [f64]>,
    rewards: Vec<f64>,
    objective: Objective,
}

impl<'a> TieGround<'a> {
    /// The ground of a problem's ties; none where rewards themselves move with β.
    ///
    /// # Errors
    /// [`TargetError`] for settings that have no target.
    pub fn new(problem: &'a Problem, objective: &Objective) -> Result<Option<Self>, TargetError> {
        let log_reference = problem.reference.log_masses();
        let rewards: Vec<f64> = (problem.rewards.iter())
            .map(|&raw| objective.effective_reward(raw))
            .collect();
        let classes: Vec<&[u32]> = problem.modes.iter().map(|mode| &*mode.arms).collect();
        let mara = mara::augment(log_reference, &rewards, objective, &classes)?;
        let (log_reference, rewards) = match mara {
            Some(mara) if moves_with_beta(&mara, objective) => return Ok(None),
            Some(mara) => {
                let (logs, rewards) = mara.swapped(log_reference, &rewards);
                (Cow::Owned(logs), rewards)
            }
            None => (Cow::Borrowed(log_reference), rewards),
        };
        Ok(Some(Self {
            log_reference,
            rewards,
            objective: *objective,
        }))
    }

    /// The ties.
    #[must_use]
    pub fn ties(&self) -> Ties<'_> {
        Ties::of(&self.log_reference, &self.rewards, &self.objective)
    }

    /// Whether two objectives have the same ties on a problem: they do whatever their β.
    #[must_use]
    pub fn is_same(old: &Objective, new: &Objective) -> bool {
        same_ties(old, new)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::{
        bandit::{Analysis, ProblemSource},
        experiment::builtin_preset,
        theory::{Beta, Direction, TieEffort, TieScope},
    };

    #[test]
    fn its_ties_are_those_of_the_analysis() {
        for name in [
            "figure-5",
            "figure-5-mara-reverse",
            "figure-5-mara-forward",
            "figure-2",
        ] {
            let preset = builtin_preset(name).unwrap();
            let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
            for direction in [Direction::Reverse, preset.objective.direction] {
                let objective = Objective {
                    direction,
                    reward_scale: 2.0,
                    ..preset.objective
                };
                let problem = source.problem(&preset.bandit, &objective).unwrap();
                let analysis = Analysis::thorough(&problem, &objective).unwrap();
                let other_beta = Objective {
                    beta: Beta::new(3.0).unwrap(),
                    ..objective
                };
                assert!(TieGround::is_same(&objective, &other_beta));
                let ground = TieGround::new(&problem, &other_beta).unwrap().unwrap();
                let list = ground.ties().list(TieEffort::Thorough);
                assert_eq!(list, analysis.ties, "{name}");
            }
        }
    }

    #[test]
    fn rewards_that_move_with_beta_have_no_ground() {
        let preset = builtin_preset("figure-5-mara-reverse").unwrap();
        let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
        let problem = source.problem(&preset.bandit, &preset.objective).unwrap();
        let mara = preset.objective.mara.map(|mara| crate::theory::Mara {
            algorithm: Some(crate::theory::MaraAlgorithm::AugmentReward),
            ..mara
        });
        let objective = Objective {
            direction: Direction::Forward,
            mara,
            ..preset.objective
        };
        assert_eq!(TieGround::new(&problem, &objective).unwrap(), None);
        let analysis = Analysis::thorough(&problem, &objective).unwrap();
        assert_eq!(analysis.ties.scope, TieScope::Unknown);
    }
}
