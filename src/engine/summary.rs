//! The outcome of a run as one value: `modescope run --json`, `summary.json` in a run folder, and the table on the terminal.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{sampled::SampledSummary, session::Session};
use crate::{
    bandit,
    lm::Ground,
    theory::{
        CoverageRule, Metric, Metrics, coverage,
        sampled::{self, Estimate},
    },
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
    /// Those of them done in `seconds`: fewer where the run went on from a checkpoint.
    pub steps_now: u64,
    /// Seconds spent training.
    pub seconds: f64,
    /// Mean speed over these seconds.
    pub steps_per_second: f64,
    /// Seed of the random streams.
    pub seed: u64,
    /// Every metric of the policy by its key, the mean over the prompts; absent where it is not defined.
    pub metrics: BTreeMap<&'static str, Option<f64>>,
    /// The same of the target.
    pub target_metrics: BTreeMap<&'static str, Option<f64>>,
    /// Keys of the policy's metrics that are infinite, which `metrics` has as absent.
    pub infinite_metrics: Vec<&'static str>,
    /// The same of the target.
    pub infinite_target_metrics: Vec<&'static str>,
    /// Monte-Carlo standard errors of those of `metrics` that the last batch gave, by key; the others are exact.
    pub standard_errors: BTreeMap<&'static str, f64>,
    /// What the coverage metrics count by: `epsilon` of the covered modes, `draws` of coverage@n.
    pub coverage: CoverageRule,
    /// The step that the causes dynamics and sampling and the estimator's bias are of, an earlier one than `steps` where the
    /// runs beside the run are behind or rest; absent where nothing runs beside it.
    pub causes_at_step: Option<u64>,
    /// What is known of the arms; left out where there are several prompts, each with its own.
    #[serde(flatten)]
    pub outcome: Option<Outcome>,
    /// Each prompt of a language model's run that has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<PromptSummary>,
}

/// What a bandit's arms, or a prompt's answers, came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Number of arms.
    pub arms: usize,
    /// Draws that the policy needs to see a share of the modes.
    pub draws: Draws,
    /// The same of the target.
    pub target_draws: Draws,
    /// Mass on each mode.
    pub modes: Vec<ModeSummary>,
    /// What the samples of recent batches say of the policy, with standard errors; absent under exact updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled: Option<SampledSummary>,
    /// What the target looks like and why, in words.
    pub sentence: String,
    /// The policy's masses, one per arm; left out of run folders, where `policy.csv` has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Vec<f64>>,
    /// The target's masses, one per arm; left out of run folders, where `target.csv` has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Vec<f64>>,
}

/// One prompt of several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromptSummary {
    /// The prompt's text.
    pub prompt: String,
    /// The first words of the model's turn.
    pub prefill: String,
    /// What its answers came to.
    #[serde(flatten)]
    pub outcome: Outcome,
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
    /// Its share of recent samples, as `value` and `standard_error`; absent under exact updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<Estimate>,
}

impl Summary {
    /// Sums up a run as it stands. `masses` says whether policy and target are wanted arm by arm.
    pub fn of(session: &mut Session, ended: Ended, masses: bool) -> Self {
        let metrics = session.metrics();
        let grounds = session.grounds().to_vec();
        let mut outcomes: Vec<Outcome> = (grounds.iter().enumerate())
            .map(|(prompt, ground)| {
                let log_policy = session.log_policy_of(prompt).to_vec();
                let sampled = SampledSummary::of(ground, session.samples_of(prompt), &log_policy);
                Outcome::of(ground, session.policy_of(prompt), sampled, masses)
            })
            .collect();
        let mut target_metrics = Metrics::default();
        for &metric in Metric::ALL {
            let of = |ground: &Ground| ground.analysis.target_metrics.get(metric);
            let sum: f64 = grounds.iter().map(of).sum();
            target_metrics.set(metric, sum / grounds.len().max(1) as f64);
        }
        let (outcome, prompts) = match outcomes.len() {
            1 => (outcomes.pop(), Vec::new()),
            _ => (None, prompts(session, outcomes)),
        };
        Self {
            title: session.preset().title.clone(),
            ended,
            steps: session.step(),
            steps_now: session.steps_done(),
            seconds: session.elapsed().as_secs_f64(),
            steps_per_second: session.steps_per_second(),
            seed: session.preset().training.seed,
            metrics: by_key(&metrics),
            target_metrics: by_key(&target_metrics),
            infinite_metrics: infinite(&metrics),
            infinite_target_metrics: infinite(&target_metrics),
            standard_errors: standard_errors(session, &metrics),
            coverage: session.preset().coverage,
            causes_at_step: session.causes_at(),
            outcome,
            prompts,
        }
    }

    /// The same without the masses arm by arm.
    #[must_use]
    pub(super) fn without_masses(&self) -> Self {
        let mut summary = self.clone();
        let prompts = summary.prompts.iter_mut().map(|prompt| &mut prompt.outcome);
        for outcome in summary.outcome.iter_mut().chain(prompts) {
            outcome.policy = None;
            outcome.target = None;
        }
        summary
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

/// Outcomes with the texts of their prompts.
fn prompts(session: &Session, outcomes: Vec<Outcome>) -> Vec<PromptSummary> {
    let tasks = (session.preset().language.as_ref()).map_or(&[][..], |language| &language.prompts);
    (outcomes.into_iter().zip(tasks))
        .map(|(outcome, task)| PromptSummary {
            prompt: task.prompt.clone(),
            prefill: task.prefill.clone(),
            outcome,
        })
        .collect()
}

impl Outcome {
    fn of(
        Ground { problem, analysis }: &Ground,
        policy: &[f64],
        sampled: Option<SampledSummary>,
        masses: bool,
    ) -> Self {
        let samples = |mode: usize| sampled.as_ref()?.modes.get(mode).copied();
        let policy_modes = bandit::mode_masses(problem, policy);
        let draws = Draws::of(&policy_modes);
        let modes = (problem.modes.iter())
            .zip(&analysis.reference_modes)
            .zip(&analysis.target_modes)
            .zip(policy_modes)
            .enumerate()
            .map(
                |(index, (((mode, &reference), &target), policy))| ModeSummary {
                    label: mode.label.clone(),
                    arms: mode.arms.len(),
                    reference,
                    target,
                    policy,
                    samples: samples(index),
                },
            )
            .collect();
        Self {
            arms: problem.arms(),
            draws,
            target_draws: Draws::of(&analysis.target_modes),
            modes,
            sampled,
            sentence: analysis.sentence.clone(),
            policy: masses.then(|| policy.to_vec()),
            target: masses.then(|| analysis.target.masses.clone()),
        }
    }
}

/// Standard errors of the metrics that a batch gave.
fn standard_errors(session: &Session, metrics: &Metrics) -> BTreeMap<&'static str, f64> {
    let share = metrics.get(Metric::ValidShare);
    let batch = session.preset().training.update.batch();
    let (Some(batch), true) = (batch, share.is_finite()) else {
        return BTreeMap::new();
    };
    let hits = (share * batch as f64).round() as u64;
    let error = sampled::share(hits, batch as u64).standard_error;
    BTreeMap::from([(Metric::ValidShare.key(), error)])
}

fn by_key(metrics: &Metrics) -> BTreeMap<&'static str, Option<f64>> {
    metrics
        .iter()
        .map(|(metric, value)| (metric.key(), value.is_finite().then_some(value)))
        .collect()
}
