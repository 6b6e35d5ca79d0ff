//! Causes of collapse that only a trainer can see (docs/math.md section 4), as divergences between two policies.
//!
//! - Sampling: the run against a companion that follows the expectation of the run's own update from the same start with
//!   the same optimiser. Where an estimator is biased that is not the objective's gradient; its bias is none of the causes.
//! - Dynamics: a companion on the exact gradient against mirror descent from the same start, at the point of its path
//!   that is equally far from the target, TV(·, G) being the clock: so that the path counts and not the speed, and nothing
//!   is left of it once the run is at the target. Under `Reverse` mirror descent's path is π₀^{1−s} G^s; that path is used
//!   for every direction. A run that is mirror descent itself has none.
//! - Representation: the best fit within the family against G.
//!
//! A companion is stepped only when somebody looks, up to the step of the run, and rests after a number of steps since
//! the last edit that depends on the problem alone: what is seen depends on the step, never on when one looked. While
//! companions rest, they are compared with what the run was when they went to rest; an edit then starts them anew at the
//! run's policy. The training loop itself pays for one comparison of two numbers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Trainer, TrainerState,
    fit::{self, Fit},
    kernel::{self, Simd},
};
use crate::{
    experiment::{Advantage, KlEstimator, KlPenalty, PolicyFamily, Training, Update},
    theory::{Divergence, Metric, Metrics},
};

/// Companions exist up to so many arms.
pub(crate) const LARGEST: usize = 2_000;
/// Multiplications that a companion may spend after each edit.
const BUDGET: usize = 500_000_000;
/// How finely the point of mirror descent's path is sought, its whole length being 1.
const PATH_STEP: f64 = 1e-6;
/// Peaks of the target that a best fit starts from, besides the whole of it.
const PEAK_STARTS: usize = 3;
/// A peak ends where the target falls below this share of its top.
const PEAK_EDGE: f64 = 0.1;

/// What runs beside the run.
#[derive(Debug, Default)]
pub(super) struct Companions {
    /// The exact-gradient run; none while the run itself is one, or on large problems.
    exact: Option<Box<Trainer>>,
    /// The run on the expectation of the update, where that is another direction than the exact gradient.
    expected: Option<Box<Trainer>>,
    /// Step of the run that the companions have reached.
    reached: u64,
    /// Step of the run at the last edit.
    edited: u64,
    /// Step of the run at which companions go to rest; 0 without companions.
    pub(super) rest_at: u64,
    /// Masses of the run at that step; empty before.
    rested: Vec<f64>,
    /// Log masses at which mirror descent stood at the last edit; empty on large problems and restricted families.
    mirror: Vec<f64>,
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
    mirror: Vec<f64>,
}

impl Trainer {
    /// Starts companions at the run's present policy, which must be one they share.
    pub(super) fn start_companions(&mut self) {
        let last_fit = self.companions.last_fit.take();
        self.companions = Companions {
            last_fit,
            ..Companions::default()
        };
        self.begin_stretch();
        if self.problem.arms() > LARGEST || self.is_companion {
            return;
        }
        if self.training.policy == PolicyFamily::SoftmaxTable {
            self.companions.mirror = self.log_masses().to_vec();
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
        self.companions.rest_at = if self.problem.arms() > LARGEST || self.is_companion {
            0
        } else {
            self.companions.edited + most
        };
    }

    /// Keeps the policy that resting companions are compared with.
    #[cold]
    pub(super) fn keep_for_companions(&mut self) {
        self.companions.rested = self.masses().to_vec();
    }

    /// Adds the companions that the run needs and does not have, at the run's present policy.
    fn add_companions(&mut self) {
        if self.problem.arms() > LARGEST || self.is_companion {
            return;
        }
        let needed = Needed::by(&self.training, self.drive.divergence);
        if needed.exact && self.companions.exact.is_none() {
            self.companions.exact = self.companion(exactly(&self.training));
        }
        if !needed.expected {
            self.companions.expected = None;
        } else if self.companions.expected.is_none() {
            self.companions.expected = self.companion(self.training.as_ref().clone());
        }
    }

    /// A companion of this training at the run's present policy.
    fn companion(&self, training: Training) -> Option<Box<Trainer>> {
        let mut companion = Trainer::build(
            Arc::clone(&self.problem),
            self.objective,
            Arc::clone(&self.analysis),
            Arc::new(training),
            true,
        )
        .ok()?;
        let state = TrainerState {
            companions: CompanionState::default(),
            ..self.save_state()
        };
        companion.restore(&state).ok()?;
        Some(Box::new(companion))
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
        if self.compared_until().is_some_and(|until| until < self.step) {
            self.start_companions();
            return;
        }
        self.follow();
        if self.training.update == Update::NaturalGradient {
            // The run is its own mirror descent.
            if !self.companions.mirror.is_empty() {
                self.companions.mirror = self.log_masses().to_vec();
            }
        } else if let Some(point) = self.mirror_point() {
            self.companions.mirror = point.into_iter().map(f64::ln).collect();
        }
        self.begin_stretch();
    }

    /// After problem or objective changed.
    pub(super) fn retarget_companions(&mut self) {
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
            mirror: companions.mirror.clone(),
        }
    }

    pub(super) fn restore_companions(&mut self, state: &CompanionState) {
        if !state.mirror.is_empty() {
            self.companions.mirror.clone_from(&state.mirror);
        }
        self.companions.edited = state.edited;
        self.set_rest();
        self.companions.rested.clone_from(&state.rested);
        if self.companions.rested.len() != self.problem.arms() {
            self.companions.rested.clear();
        }
        self.add_companions();
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
        self.companions.reached = state.reached;
    }

    /// Sets the three causes that need a trainer; NaN where a problem is too large for companions.
    pub(super) fn measure_causes(&mut self, metrics: &mut Metrics) {
        self.follow();
        let sampled = match self.training.update {
            Update::Exact | Update::NaturalGradient => false,
            Update::Sampled { .. } | Update::Dap { .. } => true,
        };
        let sampling = match (self.expected_masses(), sampled) {
            (_, false) => 0.0,
            (Some(expected), true) => total_variation(self.compared_masses(), &expected),
            (None, true) => f64::NAN,
        };
        metrics.set(Metric::CauseSampling, sampling);
        let dynamics = if self.companions.mirror.is_empty() {
            f64::NAN
        } else if self.training.update == Update::NaturalGradient {
            0.0
        } else {
            match (self.exact_masses(), self.mirror_point()) {
                (Some(exact), Some(mirror)) => total_variation(&exact, &mirror),
                _ => f64::NAN,
            }
        };
        metrics.set(Metric::CauseDynamics, dynamics);
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

    /// Masses of the run at the last step that companions have reached.
    fn compared_masses(&mut self) -> &[f64] {
        if self.step > self.companions.rest_at && !self.companions.rested.is_empty() {
            &self.companions.rested
        } else {
            self.masses()
        }
    }

    /// Masses of the run on the expectation of the update.
    fn expected_masses(&mut self) -> Option<Vec<f64>> {
        if Needed::by(&self.training, self.drive.divergence).expected {
            let expected = self.companions.expected.as_mut()?;
            return Some(expected.masses().to_vec());
        }
        self.exact_masses()
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

    /// The point of mirror descent's path that is as far from the target as the exact-gradient run.
    fn mirror_point(&mut self) -> Option<Vec<f64>> {
        if self.companions.mirror.is_empty() {
            return None;
        }
        let exact = self.exact_masses()?;
        let masses = &self.analysis.target.masses;
        let wanted = total_variation(&exact, masses);
        let (target, rewards) = (&self.drive.log_target, &self.drive.rewards);
        let arms = target.len();
        let (mut logits, mut point) = (vec![0.0; arms], vec![0.0; arms]);
        let mut go_to = |s: f64, point: &mut Vec<f64>| {
            let mut max = f64::NEG_INFINITY;
            let ends = self.companions.mirror.iter().zip(target);
            for (logit, (from, to)) in logits.iter_mut().zip(ends) {
                let from = from.max(super::LOGIT_FLOOR);
                *logit = from + s * (to - from);
                max = max.max(*logit);
            }
            let simd = Simd::detect();
            let sums = kernel::exponentiate(simd, &logits, max, target, rewards, point);
            point.iter_mut().for_each(|mass| *mass /= sums.mass);
            total_variation(point, masses)
        };
        let (mut low, mut high) = (0.0, 1.0);
        if go_to(0.0, &mut point) <= wanted {
            high = 0.0;
        }
        while high - low > PATH_STEP {
            let middle = 0.5 * (low + high);
            if go_to(middle, &mut point) > wanted {
                low = middle;
            } else {
                high = middle;
            }
        }
        go_to(high, &mut point);
        Some(point)
    }

    /// Looks for the best fit to the target unless that was done since the last edit.
    fn find_fit(&mut self) {
        if self.companions.fit.is_some() {
            return;
        }
        let family = super::family::new(&self.problem, &self.training.policy, self.training.seed);
        let Ok(Some(mut family)) = family else {
            self.companions.fit = Some(None);
            return;
        };
        let target = &self.analysis.target.masses;
        let parts = self.peaks();
        let mut starts = vec![fit::Start::Masses(target)];
        starts.extend(parts.iter().map(|part| fit::Start::Masses(part)));
        if let Some(last) = &self.companions.last_fit {
            starts.push(fit::Start::Parameters(last));
        }
        let found = fit::to_objective(family.as_mut(), &self.drive, &starts).unwrap_or_default();
        self.companions.fit = Some(found);
    }

    /// The target's mass on each of its largest modes, or, where no modes are known, on the runs of arms around its highest
    /// peaks; normalised. Nothing if there is only one.
    fn peaks(&self) -> Vec<Vec<f64>> {
        let masses = &self.analysis.target.masses;
        let mut parts: Vec<Vec<f64>> = Vec::new();
        if self.problem.modes.len() > 1 {
            for mode in &self.problem.modes {
                let mut part = vec![0.0; masses.len()];
                for &arm in &mode.arms {
                    part[arm as usize] = masses[arm as usize];
                }
                parts.push(part);
            }
        } else {
            let mut left = masses.clone();
            for _ in 0..PEAK_STARTS {
                let Some(top) = (0..left.len()).max_by(|&a, &b| left[a].total_cmp(&left[b])) else {
                    break;
                };
                let edge = PEAK_EDGE * left[top];
                let below = |arm: &usize| left[*arm] < edge;
                let from = (0..top).rev().find(below).map_or(0, |arm| arm + 1);
                let to = (top..left.len()).find(below).unwrap_or(left.len());
                let mut part = vec![0.0; left.len()];
                part[from..to].copy_from_slice(&left[from..to]);
                left[from..to].fill(0.0);
                parts.push(part);
            }
        }
        let sum = |part: &Vec<f64>| part.iter().sum::<f64>();
        parts.retain(|part| sum(part) > 0.0);
        parts.sort_by(|a, b| sum(b).total_cmp(&sum(a)));
        parts.truncate(PEAK_STARTS);
        for part in &mut parts {
            let total = sum(part);
            part.iter_mut().for_each(|mass| *mass /= total);
        }
        if parts.len() > 1 { parts } else { Vec::new() }
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
    0.5 * a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>()
}
