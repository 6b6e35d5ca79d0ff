//! Which charts there are and what each shows.

use std::borrow::Cow;

use egui::Color32;

use crate::{
    engine::{History, Series},
    lm::StepParts,
    theory::{CoverageRule, Metric},
    ui::{Theme, chart::Pen, panels::headline::metric_value},
};

/// One curve of a chart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Curve {
    /// What it shows.
    pub(crate) shows: Shows,
    /// Its pen.
    pub(crate) pen: Pen,
    /// Its colour.
    pub(crate) color: fn(&Theme) -> Color32,
}

/// Where a curve comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// A metric of the run.
    Metric(Metric),
    /// Milliseconds of a part of a language model's step, as [`StepParts::NAMES`] lists them.
    Part(usize),
    /// Tokens that a language model sampled per second.
    TokensPerSecond,
}

impl Shows {
    /// A short name with the numbers that a rule counts it by.
    pub(crate) fn label_by(self, rule: CoverageRule) -> Cow<'static, str> {
        match self {
            Self::Metric(metric) => metric.label_by(rule),
            Self::Part(_) | Self::TokensPerSecond => self.label().into(),
        }
    }

    /// A short name.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Metric(metric) => metric.label(),
            Self::Part(part) => StepParts::NAMES.get(part).copied().unwrap_or_default(),
            Self::TokensPerSecond => "tokens/s",
        }
    }

    /// A value as it is shown, without what rounding leaves of a zero.
    pub(crate) fn value(self, value: f64) -> f64 {
        match self {
            Self::Metric(metric) => metric_value(metric, value),
            Self::Part(_) | Self::TokensPerSecond => value,
        }
    }

    /// What it is, in a line.
    pub(crate) fn formula_by(self, rule: CoverageRule) -> Cow<'static, str> {
        match self {
            Self::Metric(metric) => metric.formula_by(rule),
            Self::Part(_) => "milliseconds of a step".into(),
            Self::TokensPerSecond => "tokens sampled per second".into(),
        }
    }

    /// The Monte-Carlo standard error of a value that one step's batch of samples gave; none of what is exact.
    pub(crate) fn error(self, value: f64, batch: Option<usize>) -> Option<f64> {
        match self {
            Self::Metric(Metric::ValidShare) => {
                let variance = value * (1.0 - value) / batch? as f64;
                Some(variance.max(0.0).sqrt())
            }
            Self::Metric(_) | Self::Part(_) | Self::TokensPerSecond => None,
        }
    }

    /// Its series, if anything was recorded.
    pub(crate) fn series<'a>(
        self,
        history: &'a History,
        timing: &'a [Series],
    ) -> Option<&'a Series> {
        match self {
            Self::Metric(metric) => history.get(metric),
            Self::Part(part) => timing.get(part),
            Self::TokensPerSecond => timing.get(StepParts::NAMES.len()),
        }
    }
}

/// Which runs show a chart at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usual {
    /// All.
    Always,
    /// Bandits; language models have it for the asking.
    Bandit,
    /// Language models; bandits do not have it.
    Language,
    /// None.
    Never,
}

impl Usual {
    /// A run shows the chart unless it is switched off.
    pub(crate) fn shown(self, language: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Bandit => !language,
            Self::Language => language,
            Self::Never => false,
        }
    }

    /// A run can show the chart.
    pub(crate) fn possible(self, language: bool) -> bool {
        language || self != Self::Language
    }
}

/// One chart: several curves on one scale, or one lane per curve.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chart {
    /// Its name in the list of charts.
    pub(crate) name: &'static str,
    /// Its curves.
    pub(crate) curves: &'static [Curve],
    /// A lane of its own for each curve, since they have different units.
    pub(crate) lanes: bool,
    /// Who shows it unless it is switched off.
    pub(crate) usual: Usual,
}

const fn curve(metric: Metric, pen: Pen, color: fn(&Theme) -> Color32) -> Curve {
    Curve {
        shows: Shows::Metric(metric),
        pen,
        color,
    }
}

const fn part(index: usize, color: fn(&Theme) -> Color32) -> Curve {
    Curve {
        shows: Shows::Part(index),
        pen: Pen::Solid,
        color,
    }
}

fn policy(theme: &Theme) -> Color32 {
    theme.policy
}
fn target(theme: &Theme) -> Color32 {
    theme.target
}
fn reference(theme: &Theme) -> Color32 {
    theme.reference
}
fn reward(theme: &Theme) -> Color32 {
    theme.reward
}
fn best_fit(theme: &Theme) -> Color32 {
    theme.best_fit
}
fn augmented(theme: &Theme) -> Color32 {
    theme.augmented
}

/// Every chart, in reading order.
pub(crate) const CHARTS: [Chart; 17] = [
    Chart {
        name: "Expected reward",
        curves: &[curve(Metric::ExpectedReward, Pen::Solid, reward)],
        lanes: false,
        usual: Usual::Always,
    },
    Chart {
        name: "Objective",
        curves: &[
            curve(Metric::Objective, Pen::Solid, policy),
            curve(Metric::OptimalObjective, Pen::Dashed, target),
        ],
        lanes: false,
        usual: Usual::Always,
    },
    Chart {
        name: "KL to target",
        curves: &[
            curve(Metric::KlToTarget, Pen::Solid, policy),
            curve(Metric::KlFromTarget, Pen::Dashed, target),
        ],
        lanes: false,
        usual: Usual::Always,
    },
    Chart {
        name: "KL to reference",
        curves: &[
            curve(Metric::KlToReference, Pen::Solid, policy),
            curve(Metric::KlFromReference, Pen::Dashed, reference),
        ],
        lanes: false,
        usual: Usual::Always,
    },
    Chart {
        name: "Modes",
        curves: &[
            curve(Metric::EffectiveModes, Pen::Solid, policy),
            curve(Metric::CoveredModes, Pen::Dotted, best_fit),
        ],
        lanes: false,
        usual: Usual::Always,
    },
    Chart {
        name: "Causes of collapse",
        curves: &[
            curve(Metric::CauseTarget, Pen::Solid, target),
            curve(Metric::CauseDynamics, Pen::Solid, policy),
            curve(Metric::CauseSampling, Pen::Solid, reward),
            curve(Metric::EstimatorBias, Pen::Dashed, reward),
            curve(Metric::CauseRepresentation, Pen::Solid, best_fit),
        ],
        lanes: true,
        usual: Usual::Bandit,
    },
    Chart {
        name: "Total variation to target",
        curves: &[curve(Metric::TvToTarget, Pen::Solid, policy)],
        lanes: false,
        usual: Usual::Never,
    },
    Chart {
        name: "Left to gain",
        curves: &[curve(Metric::ObjectiveGap, Pen::Solid, policy)],
        lanes: false,
        usual: Usual::Never,
    },
    Chart {
        name: "Entropy",
        curves: &[curve(Metric::Entropy, Pen::Solid, policy)],
        lanes: false,
        usual: Usual::Never,
    },
    Chart {
        name: "Mass on modes",
        curves: &[
            curve(Metric::ModeMass, Pen::Solid, policy),
            curve(Metric::LargestShare, Pen::Dashed, augmented),
        ],
        lanes: false,
        usual: Usual::Never,
    },
    Chart {
        name: "Balance",
        curves: &[curve(Metric::Balance, Pen::Solid, policy)],
        lanes: false,
        usual: Usual::Never,
    },
    Chart {
        name: "Coverage",
        curves: &[curve(Metric::Coverage, Pen::Solid, policy)],
        lanes: false,
        usual: Usual::Never,
    },
    Chart {
        name: "Effective β",
        curves: &[curve(Metric::EffectiveBeta, Pen::Solid, policy)],
        lanes: false,
        usual: Usual::Never,
    },
    Chart {
        name: "Valid share",
        curves: &[curve(Metric::ValidShare, Pen::Solid, best_fit)],
        lanes: false,
        usual: Usual::Language,
    },
    Chart {
        name: "Gradient norm",
        curves: &[curve(Metric::GradientNorm, Pen::Solid, policy)],
        lanes: false,
        usual: Usual::Language,
    },
    Chart {
        name: "Tokens per second",
        curves: &[Curve {
            shows: Shows::TokensPerSecond,
            pen: Pen::Solid,
            color: reward,
        }],
        lanes: false,
        usual: Usual::Language,
    },
    Chart {
        name: "Step time by part",
        curves: &[
            part(0, policy),
            part(1, reference),
            part(2, reward),
            part(3, target),
            part(4, best_fit),
            part(5, augmented),
        ],
        lanes: false,
        usual: Usual::Language,
    },
];
