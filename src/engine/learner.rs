//! What a session trains: a bandit's policy, or a language model whose answers are the arms of one.

use std::sync::Arc;

use super::session::SessionError;
use crate::{
    bandit::{Analysis, Problem, StepReport, Trainer, TrainerState},
    experiment::Training,
    lm::{Ground, LmState, LmTrainer},
    theory::{Metrics, Objective},
};

/// See the module.
#[derive(Debug)]
pub(super) enum Learner {
    Bandit(Box<Trainer>),
    Language(Box<LmTrainer>),
}

/// What going back to a step needs of a learner.
#[derive(Debug, Clone)]
pub(super) enum LearnerState {
    Bandit(Box<TrainerState>),
    Language(Arc<LmState>),
}

impl LearnerState {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Bandit(state) => state.bytes(),
            Self::Language(state) => state.bytes(),
        }
    }
}

impl Learner {
    pub(super) fn step(&mut self) -> Result<StepReport, SessionError> {
        Ok(match self {
            Self::Bandit(trainer) => {
                let report = trainer.step()?;
                trainer.follow_in_time();
                report
            }
            Self::Language(trainer) => trainer.step()?,
        })
    }

    /// Masses of one prompt's answers, or of all arms.
    pub(super) fn masses(&mut self, prompt: usize) -> &[f64] {
        match self {
            Self::Bandit(trainer) => trainer.masses(),
            Self::Language(trainer) => trainer.masses(prompt),
        }
    }

    pub(super) fn log_masses(&mut self, prompt: usize) -> &[f64] {
        match self {
            Self::Bandit(trainer) => trainer.log_masses(),
            Self::Language(trainer) => trainer.log_masses(prompt),
        }
    }

    pub(super) fn samples(&mut self, prompt: usize) -> &[u32] {
        match self {
            Self::Bandit(trainer) => trainer.samples(),
            Self::Language(trainer) => trainer.samples(prompt),
        }
    }

    pub(super) fn measure(&mut self) -> Metrics {
        match self {
            Self::Bandit(trainer) => trainer.measure(),
            Self::Language(trainer) => trainer.measure(),
        }
    }

    pub(super) fn measure_without_causes(&mut self) -> Metrics {
        match self {
            Self::Bandit(trainer) => trainer.measure_without_causes(),
            Self::Language(trainer) => trainer.measure(),
        }
    }

    /// The step at which causes of collapse were last compared, where there are companions.
    pub(super) fn causes_at(&self) -> Option<u64> {
        match self {
            Self::Bandit(trainer) => trainer.causes_at(),
            Self::Language(_) => None,
        }
    }

    pub(super) fn best_fit(&self) -> Option<Arc<[f64]>> {
        match self {
            Self::Bandit(trainer) => trainer.best_fit(),
            Self::Language(_) => None,
        }
    }

    /// `grounds` has one entry per prompt, a single one for a bandit.
    pub(super) fn retarget(
        &mut self,
        grounds: &[Ground],
        objective: Objective,
    ) -> Result<(), SessionError> {
        match self {
            Self::Bandit(trainer) => {
                if let Some(Ground { problem, analysis }) = grounds.first().cloned() {
                    trainer.retarget(problem, objective, analysis)?;
                }
            }
            Self::Language(trainer) => trainer.retarget(grounds.to_vec(), objective)?,
        }
        Ok(())
    }

    pub(super) fn retrain(&mut self, training: Arc<Training>) -> Result<(), SessionError> {
        match self {
            Self::Bandit(trainer) => trainer.retrain(training)?,
            Self::Language(trainer) => trainer.retrain(training)?,
        }
        Ok(())
    }

    pub(super) fn save_state(&self) -> LearnerState {
        match self {
            Self::Bandit(trainer) => LearnerState::Bandit(Box::new(trainer.save_state())),
            Self::Language(trainer) => LearnerState::Language(Arc::new(trainer.save_state())),
        }
    }

    pub(super) fn restore(&mut self, state: &LearnerState) -> Result<(), SessionError> {
        match (self, state) {
            (Self::Bandit(trainer), LearnerState::Bandit(state)) => trainer.restore(state)?,
            (Self::Language(trainer), LearnerState::Language(state)) => trainer.restore(state)?,
            // A session keeps states of its own learner only.
            (Self::Bandit(_), LearnerState::Language(_))
            | (Self::Language(_), LearnerState::Bandit(_)) => {}
        }
        Ok(())
    }

    /// Bytes of a saved state, roughly.
    pub(super) fn state_bytes(&self) -> usize {
        match self {
            Self::Bandit(_) => 0,
            Self::Language(trainer) => 12 * trainer.trained(),
        }
    }

    pub(super) fn language(&self) -> Option<&LmTrainer> {
        match self {
            Self::Bandit(_) => None,
            Self::Language(trainer) => Some(trainer),
        }
    }

    pub(super) fn language_mut(&mut self) -> Option<&mut LmTrainer> {
        match self {
            Self::Bandit(_) => None,
            Self::Language(trainer) => Some(trainer),
        }
    }
}

/// ½ Σ |p − q|.
pub(super) fn total_variation(p: &[f64], q: &[f64]) -> f64 {
    0.5 * p.iter().zip(q).map(|(p, q)| (p - q).abs()).sum::<f64>()
}

/// A problem and its analysis for every prompt of an experiment; the only one of a bandit.
pub(super) fn grounds(
    problems: Vec<Arc<Problem>>,
    objective: &Objective,
) -> Result<Vec<Ground>, SessionError> {
    problems
        .into_iter()
        .map(|problem| {
            let analysis = Analysis::new(&problem, objective)?;
            Ok(Ground {
                problem,
                analysis: Arc::new(analysis),
            })
        })
        .collect()
}
