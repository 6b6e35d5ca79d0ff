//! Causes of collapse that only a trainer can see (docs/math.md section 4), as divergences between two policies.
//!
//! - Sampling: the run against a companion that follows the exact gradient from the same start with the same optimiser.
//! - Dynamics: that exact-gradient run against mirror descent from the same start, at the point of its path that is
//!   equally far from the target, TV(·, G) being the clock: so that the path counts and not the speed, and nothing is
//!   left of it once the run is at the target. Under `Reverse` mirror descent's path is π₀^{1−s} G^s; that path is used
//!   for every direction.
//! - Representation: the best fit within the family against G.
//!
//! A companion is stepped only when somebody looks, up to the step of the run, and rests after a number of steps since
//! the last edit that depends on the problem alone: what is seen depends on the step, never on when one looked. The
//! training loop itself pays nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Trainer, TrainerState,
    fit::{self, Fit},
    kernel::{self, Simd},
};
use crate::{
    experiment::{PolicyFamily, Training, Update},
    theory::{Metric, Metrics},
};

/// Companions exist up to so many arms.
const LARGEST: usize = 2_000;
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
    /// Step of the run that `exact` has reached.
    reached: u64,
    /// Step of the run at the last edit.
    edited: u64,
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
    reached: u64,
    edited: u64,
    mirror: Vec<f64>,
}

impl Trainer {
    /// Starts companions at the run's present policy, which must be one they share.
    pub(super) fn start_companions(&mut self) {
        self.companions = Companions {
            reached: self.step,
            edited: self.step,
            ..Companions::default()
        };
        if self.problem.arms() > LARGEST || self.is_companion {
            return;
        }
        if self.training.policy == PolicyFamily::SoftmaxTable {
            self.companions.mirror = self.log_masses().to_vec();
        }
        self.add_exact_companion();
    }

    /// Adds the exact-gradient companion where the run needs one and has none: at the run's present policy.
    fn add_exact_companion(&mut self) {
        let wanted = self.training.update != Update::Exact
            && self.problem.arms() <= LARGEST
            && !self.is_companion;
        if !wanted || self.companions.exact.is_some() {
            return;
        }
        let built = Trainer::build(
            Arc::clone(&self.problem),
            self.objective,
            Arc::clone(&self.analysis),
            Arc::new(exactly(&self.training)),
            true,
        );
        if let Ok(mut companion) = built {
            let state = TrainerState {
                companions: CompanionState::default(),
                ..self.save_state()
            };
            if companion.restore(&state).is_ok() {
                self.companions.exact = Some(Box::new(companion));
                self.companions.reached = self.step;
            }
        }
    }

    /// Brings the companion up to the run.
    pub(super) fn follow(&mut self) {
        let cost = self.family.as_ref().map_or(0, |family| family.cost());
        let most = (BUDGET / (40 * self.problem.arms() + 4 * cost)).clamp(100, 20_000) as u64;
        let until = self.step.min(self.companions.edited + most);
        let companions = &mut self.companions;
        if let Some(exact) = &mut companions.exact {
            while companions.reached < until {
                if exact.step().is_err() {
                    companions.exact = None;
                    break;
                }
                companions.reached += 1;
            }
        }
    }

    /// Before an edit takes effect: both companions are brought up to now and go on from there.
    pub(super) fn settle_companions(&mut self) {
        self.follow();
        if let Some(point) = self.mirror_point() {
            self.companions.mirror = point.into_iter().map(f64::ln).collect();
        }
        self.companions.edited = self.step;
        self.companions.reached = self.step;
        if let Some(Some(fit)) = self.companions.fit.take() {
            self.companions.last_fit = Some(fit.parameters);
        }
    }

    /// After problem or objective changed.
    pub(super) fn retarget_companions(&mut self) {
        let (problem, analysis) = (Arc::clone(&self.problem), Arc::clone(&self.analysis));
        if let Some(exact) = &mut self.companions.exact
            && exact.retarget(problem, self.objective, analysis).is_err()
        {
            self.companions.exact = None;
        }
    }

    /// After the training description changed, with the policy going on.
    pub(super) fn retrain_companions(&mut self) {
        let training = Arc::new(exactly(&self.training));
        if let Some(exact) = &mut self.companions.exact
            && exact.retrain(training).is_err()
        {
            self.companions.exact = None;
        }
        self.add_exact_companion();
    }

    pub(super) fn save_companions(&self) -> CompanionState {
        CompanionState {
            exact: self
                .companions
                .exact
                .as_ref()
                .map(|exact| Box::new(exact.save_state())),
            reached: self.companions.reached,
            edited: self.companions.edited,
            mirror: self.companions.mirror.clone(),
        }
    }

    pub(super) fn restore_companions(&mut self, state: &CompanionState) {
        self.companions.reached = state.reached;
        self.companions.edited = state.edited;
        if !state.mirror.is_empty() {
            self.companions.mirror.clone_from(&state.mirror);
        }
        match &state.exact {
            None => self.companions.exact = None,
            Some(saved) => {
                self.add_exact_companion();
                if let Some(exact) = &mut self.companions.exact
                    && exact.restore(saved).is_err()
                {
                    self.companions.exact = None;
                }
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
        let exact = self.exact_masses();
        let sampling = match (&exact, sampled) {
            (_, false) => 0.0,
            (Some(exact), true) => total_variation(self.masses(), exact),
            (None, true) => f64::NAN,
        };
        metrics.set(Metric::CauseSampling, sampling);
        let dynamics = match (&exact, self.mirror_point()) {
            (Some(exact), Some(mirror)) => total_variation(exact, &mirror),
            _ => f64::NAN,
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

    /// The best fit found at the last look.
    pub(super) fn known_fit(&self) -> Option<Arc<[f64]>> {
        let found = self.companions.fit.as_ref()?.as_ref()?;
        Some(Arc::clone(&found.masses))
    }

    /// Masses of the exact-gradient run.
    fn exact_masses(&mut self) -> Option<Vec<f64>> {
        match (&mut self.companions.exact, self.training.update) {
            (Some(exact), _) => Some(exact.masses().to_vec()),
            (None, Update::Exact) => Some(self.masses().to_vec()),
            (None, _) => None,
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

fn exactly(training: &Training) -> Training {
    Training {
        update: Update::Exact,
        ..training.clone()
    }
}

fn total_variation(a: &[f64], b: &[f64]) -> f64 {
    0.5 * a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>()
}
