//! Causes of collapse that only a trainer can see (docs/math.md section 4), as divergences between two policies.
//!
//! - Sampling: the run against a companion on the exact gradient from the same start with the same optimiser. The part of it
//!   that the estimator's own bias makes is told apart: a companion on the expectation of the run's update against the one on
//!   the exact gradient; none where the update is unbiased.
//! - Dynamics: the companion on the exact gradient against mirror descent from the same start, at the point of its path
//!   that is equally far from the target, TV(·, G) being the clock: so that the path counts and not the speed, and nothing
//!   is left of it once the run is at the target. Under `Reverse` mirror descent's path is π₀^{1−s} G^s; that path is used
//!   for every direction. A run that is mirror descent itself has none.
//! - Representation: the best fit within the family against G.
//!
//! Up to [`LARGEST`] arms a companion is stepped only when somebody looks, up to the step of the run; on larger problems it
//! follows at a slower pace ([`paced`]). It rests after a number of steps since the last edit that depends on the problem
//! alone: what is seen depends on the step, never on when one looked. While companions rest, they are compared with what the
//! run was when they went to rest; an edit then starts them anew at the run's policy. The training loop itself pays for two
//! comparisons of two numbers.

mod best_fit;
mod paced;
mod path;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::{paced::Paced, path::Path};
use super::{Trainer, TrainerState, fit::Fit};
use crate::{
    experiment::{Advantage, KlEstimator, KlPenalty, PolicyFamily, Training, Update},
    theory::{Divergence, Metric, Metrics},
};

/// Companions keep step with the run up to so many arms.
const LARGEST: usize = 2_000;
/// Multiplications that a companion may spend after each edit there.
const BUDGET: usize = 500_000_000;

/// What runs beside the run.
#[derive(Debug, Default)]
pub(super) struct Companions {
    /// The exact-gradient run; none while the run itself is one.
    exact: Option<Box<Trainer>>,
    /// The run on the expectation of the update, where that is another direction than the exact gradient.
    expected: Option<Box<Trainer>>,
    /// Step of the run that the companions have reached.
    reached: u64,
    /// Step of the run at the last edit.
    edited: u64,
    /// Step of the run at which companions go to rest; 0 without companions.
    rest_at: u64,
    /// Masses of the run at that step; empty before.
    rested: Vec<f64>,
    /// Log masses at which mirror descent stood at the last edit; empty on restricted families.
    mirror: Arc<[f64]>,
    /// Where companions of a large problem stand, which the five fields above leave out; none where nothing is to be compared.
    paced: Option<Paced>,
    /// Step of the run at which companions of a large problem are put where it is.
    pub(super) begins_at: u64,
    /// Step of the run at which its masses are to be kept for companions.
    pub(super) keep_at: u64,
    /// Step of the run at which companions of a large problem are to do their next one.
    follow_at: u64,
    /// Best fit to the target, if one was found; outer none is not looked for since the last edit.
    fit: Option<Option<Fit>>,
    /// Parameters of the last fit, a start for the next.
    last_fit: Option<Vec<f64>>,
}

/// The companions' part of a saved state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CompanionState {
    exact: Option<Box<TrainerState>>,
    #[serde(default)]
    expected: Option<Box<TrainerState>>,
    reached: u64,
    edited: u64,
    #[serde(default)]
    rested: Vec<f64>,
    mirror: Arc<[f64]>,
    #[serde(default)]
    paced: Option<Paced>,
}

/// The causes that companions tell, as total variations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Causes {
    sampling: f64,
    /// The part of sampling that the estimator's bias makes; none where its companion has left the finite numbers.
    bias: Option<f64>,
    /// None for restricted families.
    dynamics: Option<f64>,
}

impl Causes {
    /// Nothing has come apart yet.
    fn none(table: bool) -> Self {
        Self {
            sampling: 0.0,
            bias: Some(0.0),
            dynamics: table.then_some(0.0),
        }
    }
}

impl Trainer {
    /// Starts companions at the run's present policy, which must be one they share.
    pub(super) fn start_companions(&mut self) {
        let last_fit = self.companions.last_fit.take();
        self.companions = Companions {
            last_fit,
            ..Companions::default()
        };
        if self.is_companion {
            return;
        }
        if self.is_paced() {
            self.expect_paced();
            return;
        }
        self.begin_stretch();
        if self.training.policy == PolicyFamily::SoftmaxTable {
            self.companions.mirror = self.log_masses().into();
        }
        self.add_companions();
    }

    /// Companions are where the run is, and go on from there.
    fn begin_stretch(&mut self) {
        self.companions.edited = self.step;
        self.companions.reached = self.step;
        self.companions.rested = Vec::new();
        self.set_rest();
    }

    fn set_rest(&mut self) {
        let cost = self.family.as_ref().map_or(0, |family| family.cost());
        let most = (BUDGET / (40 * self.problem.arms() + 4 * cost)).clamp(100, 20_000) as u64;
        self.companions.rest_at = self.companions.edited + most;
        self.companions.keep_at = self.companions.rest_at;
        self.companions.follow_at = u64::MAX;
        self.companions.begins_at = u64::MAX;
    }

    /// Keeps the policy that companions are compared with later.
    #[cold]
    pub(super) fn keep_for_companions(&mut self) {
        if self.is_paced() {
            self.keep_paced();
        } else if !self.is_companion {
            self.companions.rested = self.masses().to_vec();
        }
    }

    /// Adds the companions that the run needs and does not have, at the run's present policy.
    fn add_companions(&mut self) {
        if self.is_companion {
            return;
        }
        let needed = Needed::by(&self.training, self.drive.divergence);
        if needed.exact && self.companions.exact.is_none() {
            self.companions.exact = self.companion(exactly(&self.training), None);
        }
        if !needed.expected {
            self.companions.expected = None;
        } else if self.companions.expected.is_none() {
            self.companions.expected = self.companion(self.training.as_ref().clone(), None);
        }
    }

    /// A companion of this training at the run's present policy; `old` is one of this run to make it of.
    fn companion(&self, training: Training, old: Option<Box<Trainer>>) -> Option<Box<Trainer>> {
        let training = Arc::new(training);
        let mut companion = match old {
            Some(mut old) => {
                old.problem = Arc::clone(&self.problem);
                old.objective = self.objective;
                old.analysis = Arc::clone(&self.analysis);
                old.drive = Arc::clone(&self.drive);
                old.training = training;
                old
            }
            None => Box::new(
                Trainer::build(
                    Arc::clone(&self.problem),
                    self.objective,
                    Arc::clone(&self.analysis),
                    training,
                    Some(Arc::clone(&self.drive)),
                )
                .ok()?,
            ),
        };
        companion.stand_where(self).ok()?;
        Some(companion)
    }

    /// Goes to the policy and the optimiser's state of a run on the same problem and family.
    fn stand_where(&mut self, run: &Trainer) -> Result<(), String> {
        self.step = run.step;
        self.moments.go_to(&run.moments);
        match (&mut self.family, &run.family) {
            (Some(family), Some(other)) => {
                family.parameters_mut().copy_from_slice(other.parameters());
                family.fill_logits(&mut self.softmax.logits)?;
            }
            (None, _) | (_, None) => self.softmax.logits.copy_from_slice(&run.softmax.logits),
        }
        self.softmax.refresh_at(&self.drive, run.softmax.shift);
        Ok(())
    }

    /// Brings the companions up to the run, or to their rest.
    pub(super) fn follow(&mut self) {
        let until = self.step.min(self.companions.rest_at);
        let companions = &mut self.companions;
        let steps = until.saturating_sub(companions.reached);
        for companion in [&mut companions.exact, &mut companions.expected] {
            let on = |companion: &mut Box<Trainer>| (0..steps).all(|_| companion.step().is_ok());
            if companion.as_mut().is_some_and(|companion| !on(companion)) {
                *companion = None;
            }
        }
        companions.reached += steps;
    }

    /// The last step at which run and companions were compared; none without companions.
    pub(super) fn compared_until(&self) -> Option<u64> {
        if self.is_paced() {
            return self.paced_until();
        }
        let companions = &self.companions;
        if companions.exact.is_some() || companions.expected.is_some() {
            Some(self.step.min(companions.rest_at))
        } else {
            None
        }
    }

    /// Before an edit takes effect: companions are brought up to now and go on from there. Those at rest start anew at the
    /// run's policy.
    pub(super) fn settle_companions(&mut self) {
        if let Some(Some(fit)) = self.companions.fit.take() {
            self.companions.last_fit = Some(fit.parameters);
        }
        if self.is_companion || self.is_paced() {
            return;
        }
        if self.compared_until().is_some_and(|until| until < self.step) {
            self.start_companions();
            return;
        }
        self.follow();
        if self.training.update == Update::NaturalGradient {
            // The run is its own mirror descent.
            if !self.companions.mirror.is_empty() {
                self.companions.mirror = self.log_masses().into();
            }
        } else if let Some(point) = self
            .exact_masses()
            .and_then(|exact| self.mirror_point(&exact))
        {
            self.companions.mirror = point.into_iter().map(f64::ln).collect();
        }
        self.begin_stretch();
    }

    /// After problem or objective changed.
    pub(super) fn retarget_companions(&mut self) {
        if self.is_paced() {
            self.expect_paced();
            return;
        }
        let (problem, analysis) = (&self.problem, &self.analysis);
        for companion in [&mut self.companions.exact, &mut self.companions.expected] {
            let follows = |companion: &mut Box<Trainer>| {
                let (problem, analysis) = (Arc::clone(problem), Arc::clone(analysis));
                companion
                    .retarget(problem, self.objective, analysis)
                    .is_ok()
            };
            if companion
                .as_mut()
                .is_some_and(|companion| !follows(companion))
            {
                *companion = None;
            }
        }
        self.add_companions();
    }

    /// After the training description changed, with the policy going on.
    pub(super) fn retrain_companions(&mut self) {
        if self.is_paced() {
            self.expect_paced();
            return;
        }
        let exact = Arc::new(exactly(&self.training));
        let expected = Arc::clone(&self.training);
        let companions = &mut self.companions;
        for (companion, training) in [
            (&mut companions.exact, exact),
            (&mut companions.expected, expected),
        ] {
            if let Some(follower) = companion
                && follower.retrain(training).is_err()
            {
                *companion = None;
            }
        }
        self.add_companions();
    }

    pub(super) fn save_companions(&self) -> CompanionState {
        let companions = &self.companions;
        let state = |companion: &Option<Box<Trainer>>| {
            let companion = companion.as_ref()?;
            Some(Box::new(companion.save_state()))
        };
        CompanionState {
            exact: state(&companions.exact),
            expected: state(&companions.expected),
            reached: companions.reached,
            edited: companions.edited,
            rested: companions.rested.clone(),
            mirror: Arc::clone(&companions.mirror),
            paced: companions.paced.clone(),
        }
    }

    pub(super) fn restore_companions(&mut self, state: &CompanionState) {
        if self.is_companion {
            return;
        }
        if self.is_paced() {
            match &state.paced {
                Some(paced) => self.restore_paced(paced, &state.mirror),
                None => self.expect_paced(),
            }
        } else {
            if !state.mirror.is_empty() {
                self.companions.mirror.clone_from(&state.mirror);
            }
            self.companions.edited = state.edited;
            self.set_rest();
            self.companions.rested.clone_from(&state.rested);
            if self.companions.rested.len() != self.problem.arms() {
                self.companions.rested.clear();
            }
            self.companions.reached = state.reached;
            self.add_companions();
        }
        let companions = &mut self.companions;
        for (companion, saved) in [
            (&mut companions.exact, &state.exact),
            (&mut companions.expected, &state.expected),
        ] {
            let fits = match (&mut *companion, saved) {
                (Some(companion), Some(saved)) => companion.restore(saved).is_ok(),
                (Some(_), None) | (None, _) => false,
            };
            if !fits {
                *companion = None;
            }
        }
        if self.is_paced() {
            self.lose_paced_if_incomplete();
        }
    }

    /// Sets the causes that need a trainer; NaN where a family has none, or a companion has left the finite numbers.
    pub(super) fn measure_causes(&mut self, metrics: &mut Metrics) {
        let causes = if self.is_paced() {
            self.paced_causes()
        } else {
            self.follow();
            self.causes_now()
        };
        let table = self.training.policy == PolicyFamily::SoftmaxTable;
        let causes = causes.or_else(|| (!self.is_sampled()).then(|| Causes::none(table)));
        let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
        metrics.set(Metric::CauseSampling, or_nan(causes.map(|c| c.sampling)));
        metrics.set(Metric::EstimatorBias, or_nan(causes.and_then(|c| c.bias)));
        metrics.set(
            Metric::CauseDynamics,
            or_nan(causes.and_then(|c| c.dynamics)),
        );
        let representation = if self.family.is_none() {
            0.0
        } else {
            self.find_fit();
            let fit = self.best_fit();
            fit.map_or(f64::NAN, |fit| {
                total_variation(&fit, &self.analysis.target.masses)
            })
        };
        metrics.set(Metric::CauseRepresentation, representation);
    }

    /// Whether updates are made from samples.
    fn is_sampled(&self) -> bool {
        match self.training.update {
            Update::Exact | Update::NaturalGradient => false,
            Update::Sampled { .. } | Update::Dap { .. } => true,
        }
    }

    /// The causes as companions tell them that keep step with the run; none where one of them is missing.
    fn causes_now(&mut self) -> Option<Causes> {
        let exact = self.exact_masses()?;
        let needed = Needed::by(&self.training, self.drive.divergence);
        let bias = match (&mut self.companions.expected, needed.expected) {
            (_, false) => Some(0.0),
            (expected, true) => {
                (expected.as_mut()).map(|expected| total_variation(expected.masses(), &exact))
            }
        };
        Some(Causes {
            sampling: if self.is_sampled() {
                total_variation(self.compared_masses(), &exact)
            } else {
                0.0
            },
            bias,
            dynamics: match self.training.update {
                Update::NaturalGradient => (!self.companions.mirror.is_empty()).then_some(0.0),
                Update::Exact | Update::Sampled { .. } | Update::Dap { .. } => {
                    self.mirror_distance(&exact)
                }
            },
        })
    }

    /// Masses of the run at the last step that companions have reached.
    fn compared_masses(&mut self) -> &[f64] {
        if self.step > self.companions.rest_at && !self.companions.rested.is_empty() {
            &self.companions.rested
        } else {
            self.masses()
        }
    }

    /// The best fit found at the last look.
    pub(super) fn known_fit(&self) -> Option<Arc<[f64]>> {
        let found = self.companions.fit.as_ref()?.as_ref()?;
        Some(Arc::clone(&found.masses))
    }

    /// Masses of the exact-gradient run.
    fn exact_masses(&mut self) -> Option<Vec<f64>> {
        match (&mut self.companions.exact, self.training.update) {
            (Some(exact), _) => Some(exact.masses().to_vec()),
            (None, Update::Exact | Update::NaturalGradient) => Some(self.masses().to_vec()),
            (None, Update::Sampled { .. } | Update::Dap { .. }) => None,
        }
    }

    /// The point of mirror descent's path that is as far from the target as the masses of the exact-gradient run; none for
    /// restricted families.
    fn mirror_point(&self, exact: &[f64]) -> Option<Vec<f64>> {
        if self.companions.mirror.is_empty() {
            return None;
        }
        let target = &self.analysis.target.masses;
        let path = Path {
            from: &self.companions.mirror,
            to: &self.drive.log_target,
            target,
            rewards: &self.drive.rewards,
        };
        Some(path.point(total_variation(exact, target)))
    }

    /// How far the exact-gradient run is from that point.
    fn mirror_distance(&self, exact: &[f64]) -> Option<f64> {
        Some(total_variation(exact, &self.mirror_point(exact)?))
    }
}

/// The same training on exact gradients; a natural one stays natural.
fn exactly(training: &Training) -> Training {
    Training {
        update: match training.update {
            Update::NaturalGradient => Update::NaturalGradient,
            Update::Exact | Update::Sampled { .. } | Update::Dap { .. } => Update::Exact,
        },
        ..training.clone()
    }
}

/// Which companions a run needs.
struct Needed {
    exact: bool,
    /// Besides: the expectation of the update does not point along the exact gradient, or not always equally long.
    expected: bool,
}

impl Needed {
    fn by(training: &Training, divergence: Divergence) -> Self {
        match training.update {
            Update::Exact | Update::NaturalGradient => Self {
                exact: false,
                expected: false,
            },
            Update::Dap { .. } => Self {
                exact: true,
                expected: true,
            },
            Update::Sampled { advantage, kl, .. } => {
                let faithful = match kl {
                    KlPenalty::Matched => true,
                    KlPenalty::InReward(KlEstimator::K1) => divergence == Divergence::Reverse,
                    KlPenalty::InReward(_)
                    | KlPenalty::Loss(_)
                    | KlPenalty::ReferenceSamples
                    | KlPenalty::Off => false,
                };
                Self {
                    exact: true,
                    expected: !faithful || advantage == Advantage::GroupNormalised,
                }
            }
        }
    }
}

fn total_variation(a: &[f64], b: &[f64]) -> f64 {
    distance(a.iter().copied(), b.iter().copied())
}

/// ½ Σ |a − b|.
fn distance(a: impl Iterator<Item = f64>, b: impl Iterator<Item = f64>) -> f64 {
    0.5 * a.zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>()
}

#[cfg(test)]
mod tests;
