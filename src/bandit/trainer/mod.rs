//! The trainer: one policy, one objective, one step at a time.
//!
//! A step makes a gradient over the arms' logits ([`signal`]), exactly or from a batch ([`batch`]), and turns it into
//! new logits: for the table in one fused pass ([`softmax`]), otherwise through a family's parameters. Same problem,
//! objective, training and seed give the same run, bit for bit; nothing here looks at a clock.

mod batch;
mod causes;
mod drive;
mod error;
mod family;
mod fit;
mod kernel;
mod mara;
mod optimiser;
mod random;
mod sampler;
mod signal;
mod softmax;
mod weigher;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use error::TrainError;
pub use mara::RunningAnchor;
pub(crate) use weigher::{Drawn, Weighed, Weigher};

use self::{
    batch::Batch,
    causes::{CompanionState, Companions},
    drive::Drive,
    family::Family,
    mara::BatchMara,
    optimiser::Moments,
    sampler::TREE_ARMS,
    softmax::{Rule, Softmax, Source},
};
use super::{Analysis, Problem};
use crate::{
    experiment::{Optimizer, PolicyFamily, Start, Training, Update},
    theory::{Divergence, Metric, Metrics, Objective, Written, kernels},
};

/// What every step reports, of the policy after the step. Cheap enough to record at full speed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepReport {
    /// E_π\[R\], effective reward.
    pub expected_reward: f64,
    /// KL(π‖G) in nats.
    pub kl_to_target: f64,
    /// Entropy of π in nats.
    pub entropy: f64,
}

/// Everything a trainer needs to go on exactly where it was, its random streams included. Keep it in a format that holds
/// every double exactly, infinities included (RON does, JSON does not).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainerState {
    step: u64,
    parameters: Vec<f64>,
    shift: f64,
    moments: Moments,
    sampled_words: u64,
    reference_words: u64,
    running_anchor: Option<u32>,
    companions: CompanionState,
}

impl TrainerState {
    /// Roughly how much memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // Parameters and the optimiser's two moments of each, as many again in two companions, the mirror's logits and the
        // masses compared with companions at rest or of a slower pace.
        11 * size_of::<f64>() * self.parameters.len() + size_of::<Self>()
    }
}

/// Trains one policy on one problem.
#[derive(Debug)]
pub struct Trainer {
    problem: Arc<Problem>,
    objective: Objective,
    analysis: Arc<Analysis>,
    training: Arc<Training>,
    drive: Arc<Drive>,
    softmax: Softmax,
    moments: Moments,
    /// ∂J/∂logit, where an update needs it for every arm.
    gradient: Vec<f64>,
    log_masses: Vec<f64>,
    masses: Vec<f64>,
    batch: Batch,
    /// A restricted policy family; none for the table.
    family: Option<Box<dyn Family>>,
    parameter_gradient: Vec<f64>,
    /// Arms that the start gives no mass at all.
    ruled_out: Vec<u32>,
    step: u64,
    /// A recent sound state, without companions.
    good: TrainerState,
    companions: Companions,
    /// It goes beside a run: batches are replaced by what is expected of them.
    is_companion: bool,
    /// What is expected of each arm's count in a batch; companions only.
    expected_counts: Vec<f64>,
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
        Self::build(problem, objective, analysis, training, None)
    }

    /// A companion is given the drive of the run that it goes beside, and is put where that run is afterwards.
    fn build(
        problem: Arc<Problem>,
        objective: Objective,
        analysis: Arc<Analysis>,
        training: Arc<Training>,
        beside: Option<Arc<Drive>>,
    ) -> Result<Self, TrainError> {
        check_lengths(&problem, &analysis)?;
        check_training(&problem, &training)?;
        let arms = problem.arms();
        let is_companion = beside.is_some();
        let drive = beside.unwrap_or_else(|| Arc::new(Drive::new(&problem, &objective, &analysis)));
        let mut family = family::new(&problem, &training.policy, training.seed)?;
        let (mut logits, ruled_out) = start_logits(&problem, &training.start);
        if let Some(family) = &mut family {
            let failed = |reason| TrainError::Network { step: 0, reason };
            let start = Softmax::normalise(&logits);
            let uniform = start.iter().all(|&mass| mass == start[0]);
            // A new network is uniform as it is.
            if !is_companion && (!uniform || family.fits_by_moments()) {
                fit::to_masses(family.as_mut(), &start).map_err(failed)?;
            }
            family.fill_logits(&mut logits).map_err(failed)?;
        }
        let parameters = family
            .as_ref()
            .map_or(arms, |family| family.parameters().len());
        let mut softmax = Softmax::new(logits);
        softmax.refresh(&drive);
        let mut trainer = Self {
            drive,
            softmax,
            moments: Moments::new(parameters),
            gradient: vec![0.0; arms],
            log_masses: vec![0.0; arms],
            masses: vec![0.0; arms],
            batch: Batch::new(if is_companion { 0 } else { arms }, training.seed),
            parameter_gradient: vec![0.0; if family.is_some() { parameters } else { 0 }],
            ruled_out: if family.is_some() {
                Vec::new()
            } else {
                ruled_out
            },
            family,
            step: 0,
            good: TrainerState::default(),
            companions: Companions::default(),
            is_companion,
            expected_counts: Vec::new(),
            problem,
            objective,
            analysis,
            training,
        };
        if !is_companion {
            trainer.prepare_batches();
            trainer.keep();
            trainer.start_companions();
        }
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
        if self.step == self.companions.begins_at {
            self.begin_paced();
        }
        // A companion that fails is given up.
        if self.step.is_multiple_of(KEEP_EVERY) && !self.is_companion {
            self.keep();
        }
        let outcome = match self.family {
            None => Ok(self.step_table()),
            Some(_) => self.step_family(),
        };
        self.step += 1;
        if self.step == self.companions.keep_at {
            self.keep_for_companions();
        }
        match outcome {
            Ok(true) => Ok(self.softmax.report),
            Ok(false) => Err(self.fall_back()),
            Err(reason) => {
                let step = self.step;
                self.fall_back();
                Err(TrainError::Network { step, reason })
            }
        }
    }

    /// One step on the table's logits; false if it left the finite numbers.
    fn step_table(&mut self) -> bool {
        let source = match self.training.update {
            Update::Exact if self.drive.divergence == Divergence::Reverse => {
                let (scale, offset) = self
                    .softmax
                    .projection(self.drive.beta + self.drive.entropy);
                Source::Project { scale, offset }
            }
            Update::Exact => {
                self.fill_exact();
                Source::Dense(&self.gradient)
            }
            Update::NaturalGradient => {
                let rate = self.training.learning_rate;
                self.softmax
                    .fill_masses(&mut self.log_masses, &mut self.masses);
                let limit = NATURAL_LIMIT / rate;
                let (logs, masses) = (&self.log_masses, &self.masses);
                signal::natural(&self.drive, logs, masses, limit, &mut self.gradient);
                let Moments { first, second, .. } = &mut self.moments;
                let source = Source::Dense(&self.gradient);
                return self
                    .softmax
                    .step(&self.drive, source, Rule::Plain { rate }, first, second);
            }
            update @ (Update::Sampled { .. } | Update::Dap { .. }) => {
                if self.is_companion {
                    self.fill_expected(update);
                    Source::Dense(&self.gradient)
                } else if self.problem.arms() <= TREE_ARMS {
                    self.batch
                        .fill_dense(&self.drive, &self.softmax, update, &mut self.gradient);
                    Source::Dense(&self.gradient)
                } else {
                    self.batch.fill_sparse(&self.drive, &self.softmax, update);
                    self.batch.source()
                }
            }
        };
        let rule = self
            .moments
            .advance(self.training.optimizer, self.training.learning_rate);
        let Moments { first, second, .. } = &mut self.moments;
        self.softmax.step(&self.drive, source, rule, first, second)
    }

    /// One step on a family's parameters; false if it left the finite numbers.
    fn step_family(&mut self) -> Result<bool, String> {
        match self.training.update {
            // The natural gradient needs the table, which was checked.
            Update::Exact | Update::NaturalGradient => self.fill_exact(),
            update @ (Update::Sampled { .. } | Update::Dap { .. }) => {
                if self.is_companion {
                    self.fill_expected(update);
                } else if self.problem.arms() <= TREE_ARMS {
                    self.batch
                        .fill_dense(&self.drive, &self.softmax, update, &mut self.gradient);
                } else {
                    self.batch.fill_sparse(&self.drive, &self.softmax, update);
                    self.batch
                        .source()
                        .spread(&self.softmax.weights, &mut self.gradient);
                }
            }
        }
        let Some(family) = &mut self.family else {
            return Ok(false);
        };
        family.pull_back(&self.gradient, &mut self.parameter_gradient)?;
        let rule = self
            .moments
            .advance(self.training.optimizer, self.training.learning_rate);
        let Moments { first, second, .. } = &mut self.moments;
        let gradient = &self.parameter_gradient;
        rule.apply(
            self.softmax.simd,
            gradient,
            family.parameters_mut(),
            first,
            second,
        );
        if !family.parameters().iter().all(|p| p.is_finite()) {
            return Ok(false);
        }
        family.fill_logits(&mut self.softmax.logits)?;
        Ok(self.softmax.refresh(&self.drive))
    }

    fn fill_exact(&mut self) {
        self.softmax
            .fill_masses(&mut self.log_masses, &mut self.masses);
        signal::exact(
            &self.drive,
            &self.log_masses,
            &self.masses,
            &mut self.gradient,
        );
    }

    /// The expectation of a sampled update.
    fn fill_expected(&mut self, update: Update) {
        self.softmax
            .fill_masses(&mut self.log_masses, &mut self.masses);
        signal::expected(
            self.softmax.simd,
            &self.drive,
            update,
            (&self.log_masses, &self.masses),
            &mut self.expected_counts,
            &mut self.gradient,
        );
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
        self.settle_companions();
        self.drive = Arc::new(Drive::new(&problem, &objective, &analysis));
        self.problem = problem;
        self.objective = objective;
        self.analysis = analysis;
        let shift = self.softmax.shift;
        self.softmax.refresh_at(&self.drive, shift);
        self.prepare_batches();
        self.retarget_companions();
        Ok(())
    }

    /// Replaces the training description. Another family, start or seed begins the policy anew at step 0; everything
    /// else goes on, with the optimiser's moments kept unless the optimiser changes.
    ///
    /// # Errors
    /// As [`Self::new`]; the trainer is then as before.
    pub fn retrain(&mut self, training: Arc<Training>) -> Result<(), TrainError> {
        let old = &self.training;
        if training.begins_anew_from(old) {
            *self = Self::build(
                Arc::clone(&self.problem),
                self.objective,
                Arc::clone(&self.analysis),
                training,
                self.is_companion.then(|| Arc::clone(&self.drive)),
            )?;
            return Ok(());
        }
        check_training(&self.problem, &training)?;
        let new_optimizer = old.optimizer != training.optimizer;
        self.settle_companions();
        if new_optimizer {
            self.moments = Moments::new(self.moments.first.len());
        }
        self.training = training;
        self.prepare_batches();
        self.retrain_companions();
        Ok(())
    }

    /// The policy's masses, one per arm.
    pub fn masses(&mut self) -> &[f64] {
        self.fill_masses();
        &self.masses
    }

    /// The policy's natural-log masses, one per arm; −∞ only where the start gave no mass and there still is none.
    pub fn log_masses(&mut self) -> &[f64] {
        self.fill_masses();
        &self.log_masses
    }

    /// Metrics of the policy as it is, causes of collapse included.
    ///
    /// The causes cost a few milliseconds after an edit and little otherwise. On more than 2,000 arms they cost up to a tenth
    /// of the steps since the last look, and are those of an earlier step ([`Self::causes_at`]).
    pub fn measure(&mut self) -> Metrics {
        let mut metrics = self.measure_without_causes();
        self.measure_causes(&mut metrics);
        metrics
    }

    /// As [`Self::measure`], with the causes that need companions left out (NaN), at a fraction of the cost.
    pub fn measure_without_causes(&mut self) -> Metrics {
        self.fill_masses();
        let mut metrics = super::measure(
            &self.problem,
            &self.objective,
            &self.analysis,
            &self.log_masses,
        );
        metrics.set(Metric::EffectiveBeta, self.effective_beta());
        for cause in [
            Metric::CauseDynamics,
            Metric::CauseSampling,
            Metric::EstimatorBias,
            Metric::CauseRepresentation,
        ] {
            metrics.set(cause, f64::NAN);
        }
        metrics
    }

    /// β, or β·σ where the reward is divided by the batch's standard deviation and the penalty is not; σ is the policy's
    /// exact one, of rewards as MARA leaves them.
    fn effective_beta(&self) -> f64 {
        let beta = self.objective.beta.get();
        if !self.training.update.divides_reward_alone() {
            return beta;
        }
        beta * kernels::deviation(&self.masses, self.drive.exact_rewards())
    }

    /// The step at which dynamics and sampling as causes of collapse were last compared with the runs beside this one: the
    /// present step, or an earlier one where those rest some time after the last edit or, on more than 2,000 arms, follow at
    /// a slower pace. None where there are none.
    #[must_use]
    pub fn causes_at(&self) -> Option<u64> {
        self.compared_until()
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
        self.known_fit()
    }

    /// Everything needed to go on from here exactly.
    #[must_use]
    pub fn save_state(&self) -> TrainerState {
        let mut state = TrainerState::default();
        self.save_into(&mut state);
        state.companions = self.save_companions();
        state
    }

    /// Goes to a saved state of this experiment, with the problem, objective and training it was saved under.
    ///
    /// # Errors
    /// [`TrainError::ForeignState`] if it has another number of parameters.
    pub fn restore(&mut self, state: &TrainerState) -> Result<(), TrainError> {
        self.restore_policy(state)?;
        self.restore_companions(&state.companions);
        Ok(())
    }

    fn restore_policy(&mut self, state: &TrainerState) -> Result<(), TrainError> {
        let expected = self.moments.first.len();
        let lengths = [
            &state.parameters,
            &state.moments.first,
            &state.moments.second,
        ];
        if let Some(wrong) = lengths.iter().find(|list| list.len() != expected) {
            return Err(TrainError::ForeignState {
                found: wrong.len(),
                expected,
            });
        }
        self.step = state.step;
        self.moments.clone_from(&state.moments);
        self.batch.seek(state.sampled_words, state.reference_words);
        self.batch.running_anchor = state.running_anchor.map(RunningAnchor::of_arm);
        if let Some(family) = &mut self.family {
            family.parameters_mut().copy_from_slice(&state.parameters);
            family
                .fill_logits(&mut self.softmax.logits)
                .map_err(|reason| TrainError::Network {
                    step: state.step,
                    reason,
                })?;
        } else {
            self.softmax.logits.copy_from_slice(&state.parameters);
        }
        self.softmax.refresh_at(&self.drive, state.shift);
        Ok(())
    }

    fn save_into(&self, state: &mut TrainerState) {
        state.step = self.step;
        state.parameters.clear();
        state.parameters.extend_from_slice(match &self.family {
            Some(family) => family.parameters(),
            None => &self.softmax.logits,
        });
        state.shift = self.softmax.shift;
        state.moments.clone_from(&self.moments);
        (state.sampled_words, state.reference_words) = self.batch.positions();
        state.running_anchor = self.batch.running_anchor.map(|anchor| anchor.arm);
    }

    fn keep(&mut self) {
        let mut good = std::mem::take(&mut self.good);
        self.save_into(&mut good);
        self.good = good;
    }

    fn fill_masses(&mut self) {
        self.softmax
            .fill_masses(&mut self.log_masses, &mut self.masses);
        for &arm in &self.ruled_out {
            if self.masses[arm as usize] == 0.0 {
                self.log_masses[arm as usize] = f64::NEG_INFINITY;
            }
        }
    }

    /// Everything that batches need to know of the problem and the objective.
    fn prepare_batches(&mut self) {
        if self.is_companion {
            return;
        }
        self.batch
            .set_mara(BatchMara::new(&self.problem, &self.objective, &self.drive));
        if self.training.update.draws_from_reference() {
            self.batch.prepare_reference(&self.problem.reference);
        }
    }

    fn fall_back(&mut self) -> TrainError {
        let failed = self.step;
        let good = std::mem::take(&mut self.good);
        // The kept state came from this very trainer, so it fits.
        let restored = self.restore_policy(&good).is_ok();
        self.good = good;
        TrainError::NotFinite {
            step: failed,
            restored: if restored { self.step } else { 0 },
            learning_rate: self.training.learning_rate,
            beta: self.objective.beta.get(),
            suggested: self.training.learning_rate / 10.0,
            or_adam: match self.training.optimizer {
                Optimizer::Sgd | Optimizer::Momentum { .. } => " or Adam",
                Optimizer::Adam { .. } => "",
            },
        }
    }
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
        return field(
            "learning_rate",
            Written(rate).to_string(),
            "a finite number above 0",
        );
    }
    if let Update::Sampled { batch, .. } | Update::Dap { batch } = training.update {
        let least = training.update.least_batch();
        if !(least..=65_536).contains(&batch) {
            let accepted = if least == 1 {
                "1 to 65,536"
            } else {
                "2 to 65,536, as this advantage compares a sample with others of its batch"
            };
            return field("update.batch", batch.to_string(), accepted);
        }
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
    match training.optimizer {
        Optimizer::Sgd => {}
        Optimizer::Momentum { momentum } => {
            if !(0.0..1.0).contains(&momentum) {
                return field("optimizer.momentum", momentum.to_string(), "0 to below 1");
            }
        }
        Optimizer::Adam {
            beta1,
            beta2,
            epsilon,
        } => {
            for (name, value) in [("optimizer.beta1", beta1), ("optimizer.beta2", beta2)] {
                if !(0.0..1.0).contains(&value) {
                    return field(name, value.to_string(), "0 to below 1");
                }
            }
            if !(epsilon.is_finite() && epsilon > 0.0) {
                return field(
                    "optimizer.epsilon",
                    epsilon.to_string(),
                    "a finite number above 0",
                );
            }
        }
    }
    if training.update == Update::NaturalGradient && training.policy != PolicyFamily::SoftmaxTable {
        return field(
            "update",
            "NaturalGradient".into(),
            "the natural gradient needs the softmax table",
        );
    }
    Ok(())
}

/// Logits of a start, floored, and the arms without any mass.
fn start_logits(problem: &Problem, start: &Start) -> (Vec<f64>, Vec<u32>) {
    let mut logits: Vec<f64> = match start {
        Start::Reference => problem.reference.log_masses().to_vec(),
        Start::Uniform => vec![0.0; problem.arms()],
        Start::Given(masses) => masses.iter().map(|m| m.ln()).collect(),
    };
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut ruled_out = Vec::new();
    for (arm, logit) in logits.iter_mut().enumerate() {
        if *logit == f64::NEG_INFINITY {
            ruled_out.push(arm as u32);
        }
        *logit = (*logit - max).max(LOGIT_FLOOR);
    }
    (logits, ruled_out)
}

#[cfg(test)]
mod tests;
