//! The outcome of a run as one value: `modescope run --json`, `summary.json` in a run folder, and the table on the terminal.

use std::collections::BTreeMap;

use serde::Serialize;

use super::session::Session;
use crate::{
    bandit,
    theory::{Metric, Metrics, coverage},
};

/// What came out of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Title of the experiment.
    pub title: String,
    /// Why the run ended.
    pub ended: Ended,
    /// Steps done.
    pub steps: u64,
    /// Seconds spent training.
    pub seconds: f64,
    /// Mean speed over the whole run.
    pub steps_per_second: f64,
    /// Seed of the random streams.
    pub seed: u64,
    /// Number of arms.
    pub arms: usize,
    /// Every metric of the policy by its key; absent where it is not defined.
    pub metrics: BTreeMap<&'static str, Option<f64>>,
    /// The same of the target.
    pub target_metrics: BTreeMap<&'static str, Option<f64>>,
    /// Keys of the policy's metrics that are infinite, which `metrics` has as absent.
    pub infinite_metrics: Vec<&'static str>,
    /// The same of the target.
    pub infinite_target_metrics: Vec<&'static str>,
    /// Draws that the policy needs to see a share of the modes.
    pub draws: Draws,
    /// The same of the target.
    pub target_draws: Draws,
    /// The step at which the causes dynamics and sampling were last compared; absent where nothing runs beside the run.
    pub causes_at_step: Option<u64>,
    /// Mass on each mode.
    pub modes: Vec<ModeSummary>,
    /// What the target looks like and why, in words.
    pub sentence: String,
    /// The policy's masses, one per arm; left out of run folders, where `policy.csv` has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Vec<f64>>,
    /// The target's masses, one per arm; left out of run folders, where `target.csv` has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Vec<f64>>,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It did not: it may go on, or was killed.
    Running,
    /// The wanted number of steps is done.
    Steps,
    /// The policy stayed close to the target.
    Converged,
    /// The wanted time is over.
    Seconds,
    /// The user stopped it.
    Interrupted,
    /// Training failed; the numbers are those of the last good policy.
    Failed,
}

/// The fewest draws whose expected share of modes seen reaches 50 % and 95 %; absent without modes, or where no number does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Draws {
    /// For half of the modes.
    pub for_50_percent: Option<u64>,
    /// For 95 % of them.
    pub for_95_percent: Option<u64>,
}

impl Draws {
    fn of(mode_masses: &[f64]) -> Self {
        let draws = |share| coverage::draws_for(mode_masses, share);
        Self {
            for_50_percent: draws(0.5),
            for_95_percent: draws(0.95),
        }
    }
}

/// Mass on one mode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModeSummary {
    /// Its name.
    pub label: String,
    /// Number of its arms.
    pub arms: usize,
    /// Its mass under the reference.
    pub reference: f64,
    /// Its mass under the target.
    pub target: f64,
    /// Its mass under the policy.
    pub policy: f64,
}

impl Summary {
    /// Sums up a run as it stands. `masses` says whether policy and target are wanted arm by arm.
    pub fn of(session: &mut Session, ended: Ended, masses: bool) -> Self {
        let metrics = session.metrics();
        let policy = session.policy().to_vec();
        let (problem, analysis) = (session.problem(), session.analysis());
        let seconds = session.elapsed().as_secs_f64();
        let policy_modes = bandit::mode_masses(problem, &policy);
        let draws = Draws::of(&policy_modes);
        let modes = problem
            .modes
            .iter()
            .zip(&analysis.reference_modes)
            .zip(&analysis.target_modes)
            .zip(policy_modes)
            .map(|(((mode, &reference), &target), policy)| ModeSummary {
                label: mode.label.clone(),
                arms: mode.arms.len(),
                reference,
                target,
                policy,
            })
            .collect();
        Self {
            title: session.preset().title.clone(),
            ended,
            steps: session.step(),
            seconds,
            steps_per_second: if seconds > 0.0 {
                session.step() as f64 / seconds
            } else {
                0.0
            },
            seed: session.preset().training.seed,
            arms: problem.arms(),
            metrics: by_key(&metrics),
            target_metrics: by_key(&analysis.target_metrics),
            infinite_metrics: infinite(&metrics),
            infinite_target_metrics: infinite(&analysis.target_metrics),
            draws,
            target_draws: Draws::of(&analysis.target_modes),
            causes_at_step: session.causes_at(),
            modes,
            sentence: analysis.sentence.clone(),
            target: masses.then(|| analysis.target.masses.clone()),
            policy: masses.then_some(policy),
        }
    }

    /// A metric of the policy, NaN where it is not defined.
    #[must_use]
    pub fn metric(&self, metric: Metric) -> f64 {
        value(&self.metrics, &self.infinite_metrics, metric)
    }

    /// A metric of the target, NaN where it is not defined.
    #[must_use]
    pub fn target_metric(&self, metric: Metric) -> f64 {
        value(&self.target_metrics, &self.infinite_target_metrics, metric)
    }
}

fn value(
    finite: &BTreeMap<&'static str, Option<f64>>,
    infinite: &[&'static str],
    metric: Metric,
) -> f64 {
    match finite.get(metric.key()).copied().flatten() {
        Some(value) => value,
        None if infinite.contains(&metric.key()) => f64::INFINITY,
        None => f64::NAN,
    }
}

/// Keys of the metrics that are +∞; none can be −∞ but J, which is told by J* − J being +∞.
fn infinite(metrics: &Metrics) -> Vec<&'static str> {
    metrics
        .iter()
        .filter(|(_, value)| *value == f64::INFINITY)
        .map(|(metric, _)| metric.key())
        .collect()
}

fn by_key(metrics: &Metrics) -> BTreeMap<&'static str, Option<f64>> {
    metrics
        .iter()
        .map(|(metric, value)| (metric.key(), value.is_finite().then_some(value)))
        .collect()
}
