//! What a phase diagram can show.

use std::borrow::Cow;

use crate::theory::{CoverageRule, Metric, coverage};

/// What a phase diagram shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseQuantity {
    /// A metric of the policy, or with the target in its place.
    Metric(Metric),
    /// log₁₀ of the pair's ratio of masses, limited to ±300.
    PairRatio,
    /// log₁₀ of the fewest draws in which a share of the modes is expected to be seen; NaN where no number is enough.
    DrawsFor(SeenShare),
}

/// A share of the modes that is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenShare {
    /// 50 %.
    Half,
    /// 95 %.
    Most,
}

impl SeenShare {
    /// log₁₀ of the fewest draws for it.
    pub(super) fn draws(self, mode_masses: &[f64]) -> f64 {
        let share = match self {
            Self::Half => 0.5,
            Self::Most => 0.95,
        };
        coverage::draws_for(mode_masses, share).map_or(f64::NAN, |draws| (draws as f64).log10())
    }
}

impl PhaseQuantity {
    /// What a target has, in the order of a menu.
    pub const OF_TARGET: [Self; 16] = [
        Self::Metric(Metric::EffectiveModes),
        Self::Metric(Metric::LargestShare),
        Self::Metric(Metric::Balance),
        Self::Metric(Metric::ModeMass),
        Self::Metric(Metric::CoveredModes),
        Self::Metric(Metric::Coverage),
        Self::DrawsFor(SeenShare::Half),
        Self::DrawsFor(SeenShare::Most),
        Self::Metric(Metric::ExpectedReward),
        Self::Metric(Metric::OptimalObjective),
        Self::Metric(Metric::Entropy),
        Self::Metric(Metric::KlToReference),
        Self::Metric(Metric::KlFromReference),
        Self::Metric(Metric::EffectiveBeta),
        Self::Metric(Metric::CauseTarget),
        Self::PairRatio,
    ];

    /// What a trained policy has, in the order of a menu: that and everything that compares it with the target.
    pub const OF_POLICY: [Self; 25] = [
        Self::Metric(Metric::EffectiveModes),
        Self::Metric(Metric::LargestShare),
        Self::Metric(Metric::Balance),
        Self::Metric(Metric::ModeMass),
        Self::Metric(Metric::CoveredModes),
        Self::Metric(Metric::Coverage),
        Self::DrawsFor(SeenShare::Half),
        Self::DrawsFor(SeenShare::Most),
        Self::Metric(Metric::ExpectedReward),
        Self::Metric(Metric::Objective),
        Self::Metric(Metric::OptimalObjective),
        Self::Metric(Metric::ObjectiveGap),
        Self::Metric(Metric::Entropy),
        Self::Metric(Metric::KlToTarget),
        Self::Metric(Metric::KlFromTarget),
        Self::Metric(Metric::TvToTarget),
        Self::Metric(Metric::KlToReference),
        Self::Metric(Metric::KlFromReference),
        Self::Metric(Metric::EffectiveBeta),
        Self::Metric(Metric::CauseTarget),
        Self::Metric(Metric::CauseDynamics),
        Self::Metric(Metric::CauseSampling),
        Self::Metric(Metric::CauseRepresentation),
        Self::Metric(Metric::EstimatorBias),
        Self::PairRatio,
    ];

    /// Its name in menus and on the colour bar, with the numbers that a rule counts it by.
    #[must_use]
    pub fn label_by(self, rule: CoverageRule) -> Cow<'static, str> {
        match self {
            Self::Metric(metric) => metric.label_by(rule),
            Self::PairRatio => "log₁₀ ratio of the pair".into(),
            Self::DrawsFor(SeenShare::Half) => "log₁₀ n for 50 % of the modes".into(),
            Self::DrawsFor(SeenShare::Most) => "log₁₀ n for 95 % of the modes".into(),
        }
    }

    /// What it is, in a line.
    #[must_use]
    pub fn formula_by(self, rule: CoverageRule) -> Cow<'static, str> {
        match self {
            Self::Metric(metric) => metric.formula_by(rule),
            Self::PairRatio => "log₁₀ of the first arm's mass over the second's".into(),
            Self::DrawsFor(_) => {
                "log₁₀ of the fewest draws whose expected coverage reaches this share of the modes"
                    .into()
            }
        }
    }
}
