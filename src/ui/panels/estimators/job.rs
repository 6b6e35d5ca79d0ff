//! What the estimator view shows, computed away from the window: pure data in, pure data out.

use std::sync::Arc;

use crate::{
    bandit::{Analysis, Problem},
    experiment::Advantage,
    theory::{Estimator, EstimatorReport, Objective, Scene, exact_gradient},
};

/// Most bars of a miniature.
const BINS: usize = 40;
/// Following an estimator that belongs to no objective takes thousands of passes: only up to this many arms.
const FLOW_ARMS: usize = 256;

/// What a table is computed from; the same job gives the same table.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) problem: Arc<Problem>,
    pub(super) analysis: Arc<Analysis>,
    pub(super) objective: Objective,
    pub(super) policy: Policy,
    pub(super) step: u64,
    pub(super) batch: usize,
    pub(super) advantage: Advantage,
}

/// The masses of the policy, as the snapshot or the keyframe has them.
#[derive(Clone)]
pub(super) enum Policy {
    /// The latest.
    Now(Arc<[f64]>),
    /// A keyframe's.
    Then(Arc<[f32]>),
}

impl Job {
    /// Whether this job would give the same table.
    pub(super) fn same(&self, other: &Self) -> bool {
        let policy = match (&self.policy, &other.policy) {
            (Policy::Now(a), Policy::Now(b)) => Arc::ptr_eq(a, b),
            (Policy::Then(a), Policy::Then(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        policy
            && Arc::ptr_eq(&self.problem, &other.problem)
            && Arc::ptr_eq(&self.analysis, &other.analysis)
            && self.objective == other.objective
            && self.batch == other.batch
            && self.advantage == other.advantage
    }

    /// Computes the table.
    pub(super) fn run(self) -> Table {
        let log_policy: Vec<f64> = match &self.policy {
            Policy::Now(masses) => masses.iter().map(|m| m.ln()).collect(),
            Policy::Then(masses) => masses.iter().map(|&m| f64::from(m).ln()).collect(),
        };
        let log_reference = self.analysis.paid_reference(&self.problem);
        let rewards = self.analysis.paid_rewards();
        let scene = Scene::new(&self.objective, &log_policy, log_reference, rewards);
        let (mut exact, mut scratch) = (Vec::new(), Vec::new());
        exact_gradient(&scene, &mut exact);
        let rows = Estimator::list(self.advantage)
            .into_iter()
            .map(|estimator| Row {
                estimator,
                report: EstimatorReport::new(estimator, &scene, self.batch, &exact, &mut scratch),
                pull: estimator.pull(&scene).text(),
                pulled: estimator
                    .pulled_masses(&scene, FLOW_ARMS)
                    .map(|masses| binned(&masses)),
            })
            .collect();
        let lost = log_policy
            .iter()
            .zip(log_reference)
            .map(|(policy, reference)| reference - policy)
            .enumerate()
            .filter(|(_, ratio)| !ratio.is_nan())
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let target = binned(&self.analysis.target.masses);
        Table {
            rows,
            target,
            exact_length: exact.iter().map(|g| g * g).sum::<f64>().sqrt(),
            lost,
            job: self,
        }
    }
}

/// One estimator.
pub(super) struct Row {
    pub(super) estimator: Estimator,
    pub(super) report: EstimatorReport,
    pub(super) pull: String,
    /// Masses of the target it pulls towards, in bins.
    pub(super) pulled: Option<Vec<f32>>,
}

/// Everything shown.
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    /// The objective's own target, in bins.
    pub(super) target: Vec<f32>,
    pub(super) exact_length: f64,
    /// The arm where π_ref/π is largest, and the log of it.
    pub(super) lost: Option<(usize, f64)>,
    pub(super) job: Job,
}

/// Masses summed into at most [`BINS`] bins.
fn binned(masses: &[f64]) -> Vec<f32> {
    let bins = masses.len().clamp(1, BINS);
    let mut sums = vec![0.0f64; bins];
    for (arm, mass) in masses.iter().enumerate() {
        sums[arm * bins / masses.len()] += mass;
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_keep_the_mass() {
        let masses = vec![1.0 / 1003.0; 1003];
        let bins = binned(&masses);
        assert_eq!(bins.len(), BINS);
        assert!((bins.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert_eq!(binned(&[0.25, 0.75]), [0.25, 0.75]);
    }
}
