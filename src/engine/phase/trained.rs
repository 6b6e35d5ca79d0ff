//! Phase diagrams of trained policies: in every cell a bandit is trained from its start, as `modescope run` would train it.

use std::{borrow::Cow, sync::Arc, time::Duration};

use super::{PhaseQuantity, PhaseRequest};
use crate::{
    bandit::{Analysis, Trainer, mode_masses},
    engine::{learner::total_variation, stop::StopWatch},
    experiment::{StopRule, Training},
    theory::Metric,
};

/// Whose quantity a phase diagram shows.
#[derive(Debug, Clone, PartialEq)]
pub enum PhaseOf {
    /// The target's.
    Target,
    /// That of a policy trained in each cell.
    Policy(PhaseTraining),
}

impl PhaseOf {
    /// In words: "the policy after 500 steps".
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Target => "the target".to_owned(),
            Self::Policy(PhaseTraining { training, steps }) => {
                let most = if training.stop.converged.is_some() {
                    "up to "
                } else {
                    ""
                };
                let plural = if *steps == 1 { "" } else { "s" };
                format!("the policy after {most}{steps} step{plural}")
            }
        }
    }
}

/// The training of a cell: a function of the request alone, so that the same request gives the same picture.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseTraining {
    training: Arc<Training>,
    steps: u64,
}

impl PhaseTraining {
    /// `training` for `steps` steps. Of its stop rule only convergence counts: the steps are given here, and what a clock
    /// ends would be another picture every time.
    #[must_use]
    pub fn new(training: &Training, steps: u64) -> Self {
        let stop = StopRule {
            steps: None,
            seconds: None,
            converged: training.stop.converged,
        };
        let training = Training {
            stop,
            ..training.clone()
        };
        Self {
            training: Arc::new(training),
            steps,
        }
    }

    /// Whether this is that training for so many steps.
    #[must_use]
    pub fn is_of(&self, training: &Training, steps: u64) -> bool {
        let Training {
            policy,
            start,
            update,
            optimizer,
            learning_rate,
            stop,
            seed,
        } = training;
        let own = &*self.training;
        self.steps == steps
            && own.policy == *policy
            && own.start == *start
            && own.update == *update
            && own.optimizer == *optimizer
            && own.learning_rate == *learning_rate
            && own.stop.converged == stop.converged
            && own.seed == *seed
    }

    /// Steps of a cell, fewer where it converges.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }
}

impl PhaseRequest {
    /// As [`Self::evaluate`], of a policy trained at this point; the ratio stays the target's, whose tie is drawn. NaN where
    /// there is no target or training fails. None as soon as `go_on`, asked before every step, says no.
    pub(super) fn evaluate_trained(
        &self,
        (x, y): (f64, f64),
        PhaseTraining { training, steps }: &PhaseTraining,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<(f64, f64)> {
        let (problem, objective) = self.at(x, y);
        let problem = match problem {
            Cow::Borrowed(_) => Arc::clone(&self.problem),
            Cow::Owned(problem) => Arc::new(problem),
        };
        if !go_on() {
            return None;
        }
        let Ok(analysis) = Analysis::without_ties(&problem, &objective) else {
            return Some((f64::NAN, f64::NAN));
        };
        let analysis = Arc::new(analysis);
        let ratio = self.pair_ratio(&analysis.target.log_masses);
        let trainer = Trainer::new(
            Arc::clone(&problem),
            objective,
            Arc::clone(&analysis),
            Arc::clone(training),
        );
        let Ok(mut trainer) = trainer else {
            return Some((f64::NAN, ratio));
        };
        let mut stop = StopWatch::new(training.stop);
        for step in 0..=*steps {
            if stop.checks_distance(step) {
                let distance = total_variation(trainer.masses(), &analysis.target.masses);
                stop.distance(step, distance);
            }
            if step == *steps || stop.holds(step, Duration::ZERO).is_some() {
                break;
            }
            if !go_on() {
                return None;
            }
            if trainer.step().is_err() {
                return Some((f64::NAN, ratio));
            }
        }
        let value = match self.quantity {
            PhaseQuantity::Metric(metric) => metric_of(metric, &mut trainer),
            PhaseQuantity::PairRatio => {
                self.pair_ratio(trainer.log_masses()) / std::f64::consts::LN_10
            }
            PhaseQuantity::DrawsFor(share) => share.draws(&mode_masses(&problem, trainer.masses())),
        };
        Some((value, ratio))
    }
}

/// One metric, without the cost of the causes where none is asked for.
fn metric_of(metric: Metric, trainer: &mut Trainer) -> f64 {
    let metrics = match metric {
        Metric::CauseDynamics
        | Metric::CauseSampling
        | Metric::CauseRepresentation
        | Metric::EstimatorBias => trainer.measure(),
        Metric::ExpectedReward
        | Metric::Objective
        | Metric::OptimalObjective
        | Metric::ObjectiveGap
        | Metric::KlToReference
        | Metric::KlFromReference
        | Metric::KlToTarget
        | Metric::KlFromTarget
        | Metric::TvToTarget
        | Metric::Entropy
        | Metric::ModeMass
        | Metric::CoveredModes
        | Metric::EffectiveModes
        | Metric::Balance
        | Metric::LargestShare
        | Metric::Coverage
        | Metric::EffectiveBeta
        | Metric::CauseTarget
        | Metric::GradientNorm
        | Metric::ValidShare => trainer.measure_without_causes(),
    };
    metrics.get(metric)
}
