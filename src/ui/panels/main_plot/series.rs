//! Which series there are, where their values come from, and their columns on screen.

use egui::Color32;

use crate::ui::{
    Theme, View,
    chart::{Columns, Held, Pen, Swatch, Values, Window},
};

/// The series of the plot, in drawing order: the target last, on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Series {
    /// π_ref.
    Reference,
    /// Recent samples as shares.
    Samples,
    /// π, live or scrubbed.
    Policy,
    /// Best fit of a restricted family.
    BestFit,
    /// R.
    Reward,
    /// R after MARA.
    Augmented,
    /// G.
    Target,
}

impl Series {
    /// All, in drawing order.
    pub(crate) const ALL: [Self; 7] = [
        Self::Reference,
        Self::Samples,
        Self::Policy,
        Self::BestFit,
        Self::Reward,
        Self::Augmented,
        Self::Target,
    ];

    /// Its name in legend, tooltip and figures.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Samples => "samples",
            Self::Policy => "policy",
            Self::BestFit => "best fit",
            Self::Reward => "reward",
            Self::Augmented => "augmented reward",
            Self::Target => "target",
        }
    }

    /// What it is, for the legend's tooltip.
    pub(crate) fn explanation(self) -> &'static str {
        match self {
            Self::Reference => "Reference policy π_ref, mass per arm",
            Self::Samples => "Share of each arm among recent samples of the policy",
            Self::Policy => "Policy π, mass per arm",
            Self::BestFit => "Best fit to the target that this policy family can express",
            Self::Reward => "Effective reward R = scale · r + offset, on the right-hand axis",
            Self::Augmented => "Reward after MARA, on the right-hand axis",
            Self::Target => "Target G, the optimal policy of the objective",
        }
    }

    /// Its colour.
    pub(crate) fn color(self, theme: &Theme) -> Color32 {
        match self {
            Self::Reference => theme.reference,
            Self::Samples => theme.samples,
            Self::Policy => theme.policy,
            Self::BestFit => theme.best_fit,
            Self::Reward => theme.reward,
            Self::Augmented => theme.augmented,
            Self::Target => theme.target,
        }
    }

    /// How it looks in the legend: as bars on few arms, as curves on many.
    pub(crate) fn swatch(self, bars: bool) -> Swatch {
        match self {
            Self::Reference => Swatch::Area,
            Self::Samples => Swatch::Hatched,
            Self::Policy if bars => Swatch::Solid,
            Self::Policy => Swatch::Line(Pen::Solid),
            Self::BestFit => Swatch::Marked(3),
            Self::Reward => Swatch::Marked(4),
            Self::Augmented => Swatch::Marked(2),
            Self::Target => Swatch::Line(Pen::Dashed),
        }
    }

    /// Whether it is a reward, drawn against the right-hand axis.
    pub(crate) fn is_reward(self) -> bool {
        matches!(self, Self::Reward | Self::Augmented)
    }

    /// Its values with the allocation that holds them; none where it does not exist or belongs to another problem, and of
    /// a model that is not loaded none but the reward.
    pub(crate) fn values<'v>(self, view: &'v View<'_>) -> Option<(Held, Values<'v>)> {
        if view.waits_for_model() && self != Self::Reward {
            return None;
        }
        let arms = view.problem.arms();
        let analysis = view.shown_analysis();
        let (held, values) = match self {
            Self::Reference => (
                Held::Problem(view.problem.clone()),
                Values::Log(view.problem.reference.log_masses()),
            ),
            Self::Samples => {
                if view.scrub.is_some() || view.snapshot.sample_count == 0 {
                    return None;
                }
                (
                    Held::Counts(view.snapshot.samples.clone()),
                    Values::Counts(&view.snapshot.samples, view.snapshot.sample_count),
                )
            }
            Self::Policy => match view.scrub {
                Some(frame) => (
                    Held::Frame(frame.policy.clone()),
                    Values::Single(&frame.policy),
                ),
                None => (
                    Held::Numbers(view.snapshot.policy.clone()),
                    Values::Plain(&view.snapshot.policy),
                ),
            },
            Self::BestFit => {
                let fit = view.snapshot.best_fit.as_ref()?;
                (Held::Numbers(fit.clone()), Values::Plain(fit))
            }
            Self::Reward => (
                Held::Numbers(analysis.rewards.clone()),
                Values::Plain(&analysis.rewards),
            ),
            Self::Augmented => {
                let augmented = analysis.augmented()?;
                (Held::Numbers(augmented.clone()), Values::Plain(augmented))
            }
            Self::Target => (
                Held::Analysis(analysis.clone()),
                Values::Plain(&analysis.target.masses),
            ),
        };
        (values.len() == arms).then_some((held, values))
    }
}

/// The standard error of an arm's share among `count` samples.
pub(crate) fn sample_error(share: f64, count: u64) -> f64 {
    (share * (1.0 - share) / count.max(1) as f64)
        .max(0.0)
        .sqrt()
}

/// Every series that is shown, as columns.
#[derive(Default)]
pub(crate) struct Prepared {
    /// The columns of each shown series, in drawing order.
    shown: [Option<Columns>; Series::ALL.len()],
    /// The columns of each pin that is drawn, with its number.
    pub(crate) pins: Vec<(usize, Columns)>,
    /// What the columns hold.
    pub(crate) window: Option<Window>,
}

impl Prepared {
    /// Brings the columns up to date.
    pub(crate) fn update(
        &mut self,
        view: &View<'_>,
        window: Window,
        shown: impl Fn(Series) -> bool,
    ) {
        self.window = Some(window);
        for (slot, series) in self.shown.iter_mut().zip(Series::ALL) {
            match series.values(view).filter(|_| shown(series)) {
                Some((held, values)) => slot
                    .get_or_insert_with(Columns::default)
                    .update(held, window, values),
                None => *slot = None,
            }
        }
        let drawn = |index: &usize| {
            view.pins
                .get(*index)
                .is_some_and(|pin| pin.visible && view.has_arms_of(pin))
        };
        self.pins.retain(|(index, _)| drawn(index));
        for index in (0..view.pins.len()).filter(drawn) {
            if !self.pins.iter().any(|(known, _)| *known == index) {
                self.pins.push((index, Columns::default()));
            }
        }
        for (index, columns) in &mut self.pins {
            let policy = &view.pins[*index].run.policy;
            columns.update(Held::Numbers(policy.clone()), window, Values::Plain(policy));
        }
    }

    /// The columns of a series, if it is shown.
    pub(crate) fn get(&self, series: Series) -> Option<&Columns> {
        self.shown[series as usize].as_ref()
    }

    /// The columns of everything that is a mass.
    pub(crate) fn masses(&self) -> impl Iterator<Item = &Columns> {
        Series::ALL
            .into_iter()
            .filter(|series| !series.is_reward())
            .filter_map(|series| self.get(series))
            .chain(self.pins.iter().map(|(_, columns)| columns))
    }
}
