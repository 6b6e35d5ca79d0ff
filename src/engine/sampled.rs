//! What the samples of a run say of its policy: the metrics of `docs/math.md` section 5 as estimates, each with its
//! Monte-Carlo standard error, for the summary of a run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    lm::Ground,
    theory::{
        Metric,
        sampled::{self, Estimate},
    },
};

/// Estimates from the samples of recent batches, which the policy drew while it was trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampledSummary {
    /// Samples that the estimates come from.
    pub draws: u64,
    /// Metrics by their keys, each as `value` and `standard_error`; either is null where it is not defined.
    pub metrics: BTreeMap<&'static str, Estimate>,
    /// Mass of every mode, in the order of the modes; the summary has them beside the exact masses.
    #[serde(skip)]
    pub(super) modes: Vec<Estimate>,
}

impl SampledSummary {
    /// What `counts` draws of each arm say of a policy; none where nothing was drawn.
    pub(super) fn of(ground: &Ground, counts: &[u32], log_policy: &[f64]) -> Option<Self> {
        let draws: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        if draws == 0 {
            return None;
        }
        let Ground { problem, analysis } = ground;
        let modes = problem.modes.iter().map(|mode| &*mode.arms);
        let hits = sampled::mode_counts(modes, counts);
        let ratio_to = |other: &[f64]| -> Estimate {
            let pairs = log_policy.iter().zip(other);
            let ratios: Vec<f64> = pairs.map(|(policy, other)| policy - other).collect();
            sampled::mean_of(counts, &ratios)
        };
        let mut metrics = BTreeMap::new();
        let mut put = |metric: Metric, estimate: Estimate| {
            metrics.insert(metric.key(), estimate);
        };
        put(
            Metric::ExpectedReward,
            sampled::mean_of(counts, &analysis.rewards),
        );
        put(Metric::Entropy, sampled::entropy(counts));
        put(
            Metric::KlToReference,
            ratio_to(problem.reference.log_masses()),
        );
        put(Metric::KlToTarget, ratio_to(&analysis.target.log_masses));
        if let Some(found) = sampled::coverage(&hits, draws, problem.coverage) {
            put(Metric::ModeMass, found.mass);
            put(Metric::CoveredModes, found.covered);
            put(Metric::EffectiveModes, found.effective);
            put(Metric::Balance, found.balance);
            put(Metric::LargestShare, found.largest_share);
            put(Metric::Coverage, found.seen);
        }
        Some(Self {
            draws,
            metrics,
            modes: sampled::mode_masses(&hits, draws),
        })
    }

    /// The estimate of a metric, where there is one.
    #[must_use]
    pub fn metric(&self, metric: Metric) -> Option<Estimate> {
        self.metrics.get(metric.key()).copied()
    }
}
