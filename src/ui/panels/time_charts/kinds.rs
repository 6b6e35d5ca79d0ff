//! Which charts there are and what each shows.

use egui::Color32;

use crate::{
    theory::Metric,
    ui::{Theme, chart::Pen},
};

/// One curve of a chart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Curve {
    /// What it shows.
    pub(crate) metric: Metric,
    /// Its pen.
    pub(crate) pen: Pen,
    /// Its colour.
    pub(crate) color: fn(&Theme) -> Color32,
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
    /// Shown unless switched off.
    pub(crate) usual: bool,
}

const fn curve(metric: Metric, pen: Pen, color: fn(&Theme) -> Color32) -> Curve {
    Curve { metric, pen, color }
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
pub(crate) const CHARTS: [Chart; 13] = [
    Chart {
        name: "Expected reward",
        curves: &[curve(Metric::ExpectedReward, Pen::Solid, reward)],
        lanes: false,
        usual: true,
    },
    Chart {
        name: "Objective",
        curves: &[
            curve(Metric::Objective, Pen::Solid, policy),
            curve(Metric::OptimalObjective, Pen::Dashed, target),
        ],
        lanes: false,
        usual: true,
    },
    Chart {
        name: "KL to target",
        curves: &[
            curve(Metric::KlToTarget, Pen::Solid, policy),
            curve(Metric::KlFromTarget, Pen::Dashed, target),
        ],
        lanes: false,
        usual: true,
    },
    Chart {
        name: "KL to reference",
        curves: &[
            curve(Metric::KlToReference, Pen::Solid, policy),
            curve(Metric::KlFromReference, Pen::Dashed, reference),
        ],
        lanes: false,
        usual: true,
    },
    Chart {
        name: "Modes",
        curves: &[
            curve(Metric::EffectiveModes, Pen::Solid, policy),
            curve(Metric::CoveredModes, Pen::Dotted, best_fit),
        ],
        lanes: false,
        usual: true,
    },
    Chart {
        name: "Causes of collapse",
        curves: &[
            curve(Metric::CauseTarget, Pen::Solid, target),
            curve(Metric::CauseDynamics, Pen::Solid, policy),
            curve(Metric::CauseSampling, Pen::Solid, reward),
            curve(Metric::CauseRepresentation, Pen::Solid, best_fit),
        ],
        lanes: true,
        usual: true,
    },
    Chart {
        name: "Total variation to target",
        curves: &[curve(Metric::TvToTarget, Pen::Solid, policy)],
        lanes: false,
        usual: false,
    },
    Chart {
        name: "Left to gain",
        curves: &[curve(Metric::ObjectiveGap, Pen::Solid, policy)],
        lanes: false,
        usual: false,
    },
    Chart {
        name: "Entropy",
        curves: &[curve(Metric::Entropy, Pen::Solid, policy)],
        lanes: false,
        usual: false,
    },
    Chart {
        name: "Mass on modes",
        curves: &[
            curve(Metric::ModeMass, Pen::Solid, policy),
            curve(Metric::LargestShare, Pen::Dashed, augmented),
        ],
        lanes: false,
        usual: false,
    },
    Chart {
        name: "Balance",
        curves: &[curve(Metric::Balance, Pen::Solid, policy)],
        lanes: false,
        usual: false,
    },
    Chart {
        name: "Coverage",
        curves: &[curve(Metric::Coverage, Pen::Solid, policy)],
        lanes: false,
        usual: false,
    },
    Chart {
        name: "Effective β",
        curves: &[curve(Metric::EffectiveBeta, Pen::Solid, policy)],
        lanes: false,
        usual: false,
    },
];
