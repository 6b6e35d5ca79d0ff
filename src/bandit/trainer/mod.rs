//! The trainer: one policy, one objective, one step at a time.
//!
//! A step makes a gradient over the arms' logits ([`signal`]), exactly or from a batch ([`batch`]), and turns it into
//! new logits: for the table in one fused pass ([`softmax`]), otherwise through a family's parameters. Same problem,
//! objective, training and seed give the same run, bit for bit; nothing here looks at a clock.

mod batch;
mod drive;
mod error;
mod kernel;
mod optimiser;
mod random;
mod sampler;
mod signal;
mod softmax;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use error::TrainError;

use self::{
    batch::Batch,
    drive::{Divergence, Drive},
    optimiser::Moments,
    sampler::TREE_ARMS,
    softmax::{Rule, Softmax, Source},
};
use super::{Analysis, Problem};
use crate::{
    experiment::{KlPenalty, PolicyFamily, Start, Training, Update},
    theory::{Metrics, Objective},
};

/// What every step reports, of the policy after the step. Cheap enough to record at full speed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepReport {
    /// E_π[R], effective reward.
    pub expected_reward: f64,
    /// KL(π‖G) in nats.
    pub kl_to_target: f64,
    /// Entropy of π in nats.
    pub entropy: f64,
}

/// Everything a trainer needs to go on exactly where it was, its random streams included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainerState {
    step: u64,
    parameters: Vec<f64>,
    shift: f64,
    moments: Moments,
    sampled_words: u64,
    reference_words: u64,
}

impl TrainerState {
    /// Roughly how much memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // Parameters and the optimiser's two moments of each.
        3 * size_of::<f64>() * self.parameters.len() + size_of::<Self>()
    }
}

/// Trains one policy on one problem.
#[derive(Debug)]
pub struct Trainer {
    problem: Arc<Problem>,
    objective: Objective,
    analysis: Arc<Analysis>,
    training: Arc<Training>,
    drive: Drive,
    softmax: Softmax,
    moments: Moments,
    /// ∂J/∂logit, where an update needs it for every arm.
    gradient: Vec<f64>,
    log_masses: Vec<f64>,
    masses: Vec<f64>,
    batch: Batch,
    step: u64,
    good: TrainerState,
}

/// A state to fall back on is kept every so many steps.
const KEEP_EVERY: u64 = 256;
/// How far a natural-gradient step may move a logit.
const NATURAL_LIMIT: f64 = 1.0;
/// Logits start at least this far above nothing: e^−800 is 0 in a double.
const LOGIT_FLOOR: f64 = -800.0;

impl Trainer {
    /// A trainer at step 0 of `training` on `problem`, optimising `objective` and measured against `analysis`, which
    /// must be the analysis of that problem and objective.
    ///
    /// # Errors
    /// [`TrainError::Field`] for a training that does not fit the problem, [`TrainError::Lengths`] for an analysis of
    /// another problem.
    pub fn new(
        problem: Arc<Problem>,
        objective: Objective,
        analysis: Arc<Analysis>,
        training: Arc<Training>,
    ) -> Result<Self, TrainError> {
        check_lengths(&problem, &analysis)?;
        check_training(&problem, &training)?;
        let arms = problem.arms();
        let drive = Drive::new(&problem, &objective, &analysis);
        let mut softmax = Softmax::new(start_logits(&problem, &training.start));
        softmax.refresh(&drive);
        let mut trainer = Self {
            drive,
            softmax,
            moments: Moments::new(arms),
            gradient: vec![0.0; arms],
            log_masses: vec![0.0; arms],
            masses: vec![0.0; arms],
            batch: Batch::new(arms, training.seed),
            step: 0,
            good: TrainerState::default(),
            problem,
            objective,
            analysis,
            training,
        };
        trainer.prepare_reference();
        trainer.good = trainer.save_state();
        Ok(trainer)
    }

    /// Steps done.
    #[must_use]
    pub fn step_count(&self) -> u64 {
        self.step
    }

    /// Does one step.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] if the parameters leave the finite numbers; the trainer is then back at a recent good
    /// state and can go on after an edit.
    pub fn step(&mut self) -> Result<StepReport, TrainError> {
        if self.step.is_multiple_of(KEEP_EVERY) {
            self.keep();
        }
        let rate = self.training.learning_rate;
        let sound = match self.training.update {
            Update::Exact if self.drive.divergence == Divergence::Reverse => {
                let (scale, offset) = self
                    .softmax
                    .projection(self.drive.beta + self.drive.entropy);
                self.advance(Gradient::Project { scale, offset })
            }
            Update::Exact => {
                self.fill_masses();
                signal::exact(
                    &self.drive,
                    &self.log_masses,
                    &self.masses,
                    &mut self.gradient,
                );
                self.advance(Gradient::Dense)
            }
            Update::NaturalGradient => {
                self.fill_masses();
                let limit = NATURAL_LIMIT / rate;
                signal::natural(
                    &self.drive,
                    &self.log_masses,
                    &self.masses,
                    limit,
                    &mut self.gradient,
                );
                let Moments { first, second, .. } = &mut self.moments;
                let source = Source::Dense(&self.gradient);
                self.softmax
                    .step(&self.drive, source, Rule::Plain { rate }, first, second)
            }
            Update::Sampled { batch, .. } | Update::Dap { batch } => {
                let update = self.training.update;
                if self.problem.arms() <= TREE_ARMS {
                    self.batch
                        .fill_dense(&self.drive, &self.softmax, update, &mut self.gradient);
                    self.advance(Gradient::Dense)
                } else {
                    self.batch.fill_sparse(&self.drive, &self.softmax, update);
                    debug_assert!(batch > 0);
                    self.advance(Gradient::Sparse)
                }
            }
        };
        self.step += 1;
        if sound {
            Ok(self.softmax.report)
        } else {
            Err(self.fall_back())
        }
    }

    fn advance(&mut self, gradient: Gradient) -> bool {
        let rule = self
            .moments
            .advance(self.training.optimizer, self.training.learning_rate);
        let source = match gradient {
            Gradient::Project { scale, offset } => Source::Project { scale, offset },
            Gradient::Dense => Source::Dense(&self.gradient),
            Gradient::Sparse => self.batch.source(),
        };
        let Moments { first, second, .. } = &mut self.moments;
        self.softmax.step(&self.drive, source, rule, first, second)
    }

    /// Replaces problem, objective and analysis (same number of arms); the policy and its optimiser go on.
    ///
    /// # Errors
    /// [`TrainError::Lengths`] if the number of arms changes.
    pub fn retarget(
        &mut self,
        problem: Arc<Problem>,
        objective: Objective,
        analysis: Arc<Analysis>,
    ) -> Result<(), TrainError> {
        check_lengths(&problem, &analysis)?;
        if problem.arms() != self.problem.arms() {
            return Err(TrainError::Lengths {
                problem: problem.arms(),
                analysis: self.problem.arms(),
            });
        }
        self.drive = Drive::new(&problem, &objective, &analysis);
        self.problem = problem;
        self.objective = objective;
        self.analysis = analysis;
        let shift = self.softmax.shift;
        self.softmax.refresh_at(&self.drive, shift);
        self.prepare_reference();
        Ok(())
    }

    /// Replaces the training description. Another family, start or seed begins the policy anew at step 0; everything
    /// else goes on, with the optimiser's moments kept unless the optimiser changes.
    ///
    /// # Errors
    /// As [`Self::new`]; the trainer is then as before.
    pub fn retrain(&mut self, training: Arc<Training>) -> Result<(), TrainError> {
        let old = &self.training;
        if old.policy != training.policy || old.start != training.start || old.seed != training.seed
        {
            *self = Self::new(
                Arc::clone(&self.problem),
                self.objective,
                Arc::clone(&self.analysis),
                training,
            )?;
            return Ok(());
        }
        check_training(&self.problem, &training)?;
        if old.optimizer != training.optimizer {
            self.moments = Moments::new(self.softmax.logits.len());
        }
        self.training = training;
        self.prepare_reference();
        Ok(())
    }

    /// The policy's masses, one per arm.
    pub fn masses(&mut self) -> &[f64] {
        self.fill_masses();
        &self.masses
    }

    /// The policy's natural-log masses, one per arm.
    pub fn log_masses(&mut self) -> &[f64] {
        self.fill_masses();
        &self.log_masses
    }

    /// Metrics of the policy as it is, causes of collapse included.
    pub fn measure(&mut self) -> Metrics {
        let mut metrics = Metrics::default();
        metrics.set(
            crate::theory::Metric::ExpectedReward,
            self.softmax.report.expected_reward,
        );
        metrics.set(
            crate::theory::Metric::KlToTarget,
            self.softmax.report.kl_to_target,
        );
        metrics.set(crate::theory::Metric::Entropy, self.softmax.report.entropy);
        metrics
    }

    /// What the last step reported (at step 0: the start).
    #[must_use]
    pub fn report(&self) -> StepReport {
        self.softmax.report
    }

    /// How often each arm was drawn in recent batches; all zero under exact updates.
    pub fn samples(&mut self) -> &[u32] {
        self.batch.recent()
    }

    /// The best fit to the target within a restricted policy family, where it is known.
    #[must_use]
    pub fn best_fit(&self) -> Option<Arc<[f64]>> {
        None
    }

    /// Everything needed to go on from here exactly.
    #[must_use]
    pub fn save_state(&self) -> TrainerState {
        let mut state = TrainerState::default();
        self.save_into(&mut state);
        state
    }

    /// Goes to a saved state of this experiment.
    ///
    /// # Errors
    /// [`TrainError::ForeignState`] if it has another number of parameters.
    pub fn restore(&mut self, state: &TrainerState) -> Result<(), TrainError> {
        if state.parameters.len() != self.softmax.logits.len() {
            return Err(TrainError::ForeignState {
                found: state.parameters.len(),
                expected: self.softmax.logits.len(),
            });
        }
        self.step = state.step;
        self.softmax.logits.clone_from(&state.parameters);
        self.moments.clone_from(&state.moments);
        self.batch.seek(state.sampled_words, state.reference_words);
        self.softmax.refresh_at(&self.drive, state.shift);
        Ok(())
    }

    fn save_into(&self, state: &mut TrainerState) {
        state.step = self.step;
        state.parameters.clone_from(&self.softmax.logits);
        state.shift = self.softmax.shift;
        state.moments.clone_from(&self.moments);
        (state.sampled_words, state.reference_words) = self.batch.positions();
    }

    fn keep(&mut self) {
        let mut good = std::mem::take(&mut self.good);
        self.save_into(&mut good);
        self.good = good;
    }

    fn fill_masses(&mut self) {
        let normaliser = self.softmax.log_normaliser();
        let scale = 1.0 / self.softmax.sums.mass;
        for (log_mass, logit) in self.log_masses.iter_mut().zip(&self.softmax.logits) {
            *log_mass = logit - normaliser;
        }
        for (mass, weight) in self.masses.iter_mut().zip(&self.softmax.weights) {
            *mass = weight * scale;
        }
    }

    fn prepare_reference(&mut self) {
        if let Update::Sampled {
            kl: KlPenalty::ReferenceSamples,
            ..
        } = self.training.update
        {
            self.batch.prepare_reference(&self.problem.reference);
        }
    }

    fn fall_back(&mut self) -> TrainError {
        let failed = self.step;
        let good = self.good.clone();
        // The kept state came from this very trainer, so it fits.
        let restored = self.restore(&good).is_ok();
        TrainError::NotFinite {
            step: failed,
            restored: if restored { self.step } else { 0 },
            learning_rate: self.training.learning_rate,
            beta: self.objective.beta.get(),
            suggested: self.training.learning_rate / 10.0,
        }
    }
}

/// Which buffer holds the gradient of a step.
#[derive(Debug, Clone, Copy)]
enum Gradient {
    Project { scale: f64, offset: f64 },
    Dense,
    Sparse,
}

fn check_lengths(problem: &Problem, analysis: &Analysis) -> Result<(), TrainError> {
    let lengths = [analysis.rewards.len(), analysis.target.log_masses.len()];
    match lengths.iter().find(|&&n| n != problem.arms()) {
        Some(&analysis) => Err(TrainError::Lengths {
            problem: problem.arms(),
            analysis,
        }),
        None => Ok(()),
    }
}

fn check_training(problem: &Problem, training: &Training) -> Result<(), TrainError> {
    let field = |field, value: String, accepted| {
        Err(TrainError::Field {
            field,
            value,
            accepted,
        })
    };
    let rate = training.learning_rate;
    if !(rate.is_finite() && rate > 0.0) {
        return field("learning_rate", rate.to_string(), "a finite number above 0");
    }
    if let Update::Sampled { batch, .. } | Update::Dap { batch } = training.update
        && !(1..=65_536).contains(&batch)
    {
        return field("update.batch", batch.to_string(), "1 to 65,536");
    }
    if let Start::Given(masses) = &training.start {
        if masses.len() != problem.arms() {
            return field(
                "start",
                format!("{} masses", masses.len()),
                "as many masses as there are arms",
            );
        }
        if let Some(bad) = masses.iter().find(|m| !(m.is_finite() && **m >= 0.0)) {
            return field("start", bad.to_string(), "finite masses ≥ 0");
        }
        if masses.iter().all(|&m| m == 0.0) {
            return field("start", "0 everywhere".into(), "at least one mass above 0");
        }
    }
    if training.policy != PolicyFamily::SoftmaxTable {
        return field(
            "policy",
            format!("{:?}", training.policy),
            "the softmax table only, so far",
        );
    }
    Ok(())
}

fn start_logits(problem: &Problem, start: &Start) -> Vec<f64> {
    let mut logits: Vec<f64> = match start {
        Start::Reference => problem.reference.log_masses().to_vec(),
        Start::Uniform => vec![0.0; problem.arms()],
        Start::Given(masses) => masses.iter().map(|m| m.ln()).collect(),
    };
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for logit in &mut logits {
        *logit = (*logit - max).max(LOGIT_FLOOR);
    }
    logits
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{
        bandit::{Mode, Shape},
        theory::{Beta, Direction, Distribution, Target},
    };

    /// A reverse problem with its closed-form target.
    fn reverse(
        reference: &[f64],
        rewards: &[f64],
        beta: f64,
    ) -> (Arc<Problem>, Objective, Arc<Analysis>) {
        let reference = Distribution::from_weights(reference).unwrap();
        let weights: Vec<f64> = reference
            .log_masses()
            .iter()
            .zip(rewards)
            .map(|(l, r)| l + r / beta)
            .collect();
        let target = Distribution::from_log_weights(&weights).unwrap();
        let problem = Problem {
            shape: Shape::Line {
                count: rewards.len(),
                range: (0.0, 1.0),
            },
            names: None,
            reference,
            rewards: rewards.to_vec(),
            modes: vec![Mode {
                label: "first".into(),
                arms: vec![0],
            }],
        };
        let analysis = Analysis {
            rewards: rewards.to_vec(),
            augmented: None,
            swapped_reference: None,
            target: Target {
                log_masses: target.log_masses().to_vec(),
                masses: target.masses(),
                lambda: None,
                optimal_value: 0.0,
                outside_support: 0.0,
            },
            target_metrics: Metrics::default(),
            reference_metrics: Metrics::default(),
            reference_modes: vec![],
            target_modes: vec![],
            ties: vec![],
            mode_ties: vec![],
            sentence: String::new(),
        };
        let objective = Objective::new(Direction::Reverse, Beta::new(beta).unwrap());
        (Arc::new(problem), objective, Arc::new(analysis))
    }

    #[test]
    fn exact_and_sampled_training_reach_the_target() {
        let exact = Update::Exact;
        let sampled = Training::default().update;
        for (update, bound) in [
            (exact, 1e-6),
            (Update::NaturalGradient, 1e-6),
            (sampled, 0.02),
        ] {
            let (problem, objective, analysis) = reverse(&[0.5, 0.3, 0.2], &[0.0, 0.9, 1.0], 0.5);
            let training = Training {
                update,
                ..Training::default()
            };
            let mut trainer =
                Trainer::new(problem, objective, analysis, Arc::new(training)).unwrap();
            let mut report = trainer.report();
            for _ in 0..3000 {
                report = trainer.step().unwrap();
            }
            assert!(report.kl_to_target < bound, "{update:?}: {report:?}");
        }
    }
}
