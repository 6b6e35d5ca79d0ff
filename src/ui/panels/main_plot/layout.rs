//! Where things are: the scales of one frame of the plot.

use egui::{Pos2, Rect, Ui};

use super::{
    edit::Bar,
    series::{Prepared, Series},
};
use crate::{
    bandit::{Problem, Shape},
    ui::{
        View,
        chart::{Frame, Margins, Scale, Tick, Window, decades, settle, settle_decades, ticks},
    },
};

/// Up to this many arms on screen are drawn as grouped bars with their names.
pub(crate) const MOST_BARS: usize = 40;

/// The vertical axis of masses, linear or log₁₀.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MassAxis {
    /// Over masses, or over their log₁₀.
    pub(crate) scale: Scale,
    /// Which of the two.
    pub(crate) log: bool,
}

impl MassAxis {
    /// Where a mass is; masses below a log axis lie on its lower edge; NaN stays NaN and breaks lines.
    pub(crate) fn at(self, mass: f64) -> f32 {
        if mass.is_nan() {
            return f32::NAN;
        }
        if self.log {
            self.scale.at(mass.log10().max(self.scale.low))
        } else {
            self.scale.at(mass)
        }
    }

    /// The mass at a pixel.
    pub(crate) fn mass(self, pixel: f32) -> f64 {
        let value = self.scale.value(pixel);
        if self.log { 10f64.powf(value) } else { value }
    }

    /// The baseline.
    pub(crate) fn base(self) -> f32 {
        self.scale.from
    }

    /// Its ticks.
    pub(crate) fn ticks(self, height: f32) -> Vec<Tick> {
        let wanted = (height / 45.0).clamp(2.0, 8.0) as usize;
        if self.log {
            decades(self.scale.low, self.scale.high, wanted)
        } else {
            ticks(self.scale.low, self.scale.high, wanted)
        }
    }
}

/// Ends of the vertical axes, kept from frame to frame so that they hold still.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Bounds {
    /// Upper end of the linear mass axis.
    mass: Option<f64>,
    /// Ends of the log₁₀ mass axis.
    log: Option<(f64, f64)>,
    /// Ends of the reward axis.
    reward: Option<(f64, f64)>,
}

impl Bounds {
    /// Fits the shown columns; the axis along which a drag goes on stays where it is.
    pub(crate) fn fit(&mut self, prepared: &Prepared, dragged: Option<Bar>) {
        let hold = dragged == Some(Bar::Reference);
        let top = prepared.masses().map(|c| c.top).fold(0.0, f64::max);
        if !(hold && self.mass.is_some()) {
            self.mass = Some(settle(self.mass, top * 1.1));
        }
        if !(hold && self.log.is_some()) {
            let bottom = [Series::Reference, Series::Policy, Series::Target]
                .into_iter()
                .filter_map(|series| prepared.get(series))
                .map(|c| c.bottom_positive)
                .fold(f64::INFINITY, f64::min);
            self.log = Some(settle_decades(top, bottom));
        }
        if !(dragged == Some(Bar::Reward) && self.reward.is_some()) {
            let finite = |v: &f64| v.is_finite();
            let rewards = || {
                [Series::Reward, Series::Augmented]
                    .into_iter()
                    .filter_map(|series| prepared.get(series))
            };
            let low = rewards()
                .map(|c| c.bottom)
                .filter(finite)
                .fold(f64::INFINITY, f64::min);
            let high = rewards()
                .map(|c| c.top)
                .filter(finite)
                .fold(f64::NEG_INFINITY, f64::max);
            self.reward = (low <= high).then(|| reward_bounds(self.reward, low, high));
        }
    }
}

impl Bounds {
    /// Ends of the linear mass axis.
    pub(crate) fn linear_ends(self) -> (f64, f64) {
        (0.0, self.mass.unwrap_or(1.0))
    }

    /// Ends of the log₁₀ mass axis, as logs.
    pub(crate) fn log_ends(self) -> (f64, f64) {
        self.log.unwrap_or((-4.0, 0.0))
    }

    /// Ends of the reward axis, if a reward is shown.
    pub(crate) fn reward_ends(self) -> Option<(f64, f64)> {
        self.reward
    }
}

/// Room above and below, zero included where it is near, held still under small changes.
fn reward_bounds(current: Option<(f64, f64)>, low: f64, high: f64) -> (f64, f64) {
    let span = (high - low).max(0.1 * high.abs()).max(1e-9);
    let below = if low >= 0.0 && low <= 2.0 * span {
        0.0
    } else {
        low - 0.12 * span
    };
    let above = if high <= 0.0 && -high <= 0.5 * span {
        0.0
    } else {
        high + 0.15 * span
    };
    match current {
        Some((l, h))
            if l <= low
                && h >= high
                && (h - l) <= 1.6 * (above - below)
                && h >= high + 0.04 * span =>
        {
            (l, h)
        }
        Some(_) | None => (below, above),
    }
}

/// The scales of one frame.
pub(crate) struct Plot {
    /// The data area.
    pub(crate) frame: Frame,
    /// Along the bottom, in arms: arm i covers [i, i + 1).
    pub(crate) x: Scale,
    /// Masses.
    pub(crate) mass: MassAxis,
    /// Rewards, on the right; absent when no reward is shown.
    pub(crate) reward: Option<Scale>,
    /// Arms on screen.
    pub(crate) window: Window,
    /// Grouped bars instead of curves.
    pub(crate) bars: bool,
}

impl Plot {
    /// Lays the plot out; none if there is no room.
    pub(crate) fn new(
        ui: &Ui,
        outer: Rect,
        shown: (f64, f64),
        bounds: Bounds,
        (window, log): (Window, bool),
    ) -> Option<Self> {
        let narrow = outer.width() < 240.0;
        let low = outer.height() < 110.0;
        let side = if narrow { 4.0 } else { 46.0 };
        let margins = Margins {
            left: side,
            right: if bounds.reward.is_some() { side } else { 8.0 },
            top: if low { 2.0 } else { 16.0 },
            bottom: if low { 4.0 } else { 30.0 },
        };
        let frame = Frame::new(ui, outer, margins)?;
        let (bottom, top) = if log {
            bounds.log_ends()
        } else {
            bounds.linear_ends()
        };
        Some(Self {
            x: frame.x(shown.0, shown.1),
            mass: MassAxis {
                scale: frame.y(bottom, top),
                log,
            },
            reward: bounds.reward.map(|(low, high)| frame.y(low, high)),
            bars: window.end - window.first <= MOST_BARS,
            window,
            frame,
        })
    }

    /// The arm at a horizontal position.
    pub(crate) fn arm_at(&self, x: f32) -> usize {
        let arm = self.x.value(x).floor().max(0.0) as usize;
        arm.clamp(
            self.window.first,
            self.window.end.saturating_sub(1).max(self.window.first),
        )
    }

    /// The column that holds an arm.
    pub(crate) fn column_of(&self, arm: usize) -> usize {
        self.window.column(arm)
    }

    /// Left and right edge of an arm.
    pub(crate) fn slot(&self, arm: usize) -> (f32, f32) {
        (self.x.at(arm as f64), self.x.at(arm as f64 + 1.0))
    }

    /// Centre of an arm.
    pub(crate) fn centre(&self, arm: usize) -> f32 {
        self.x.at(arm as f64 + 0.5)
    }

    /// Where a reward is.
    pub(crate) fn reward_at(&self, reward: f64) -> f32 {
        match self.reward {
            Some(scale) if reward.is_finite() => scale.at(reward),
            Some(_) | None => f32::NAN,
        }
    }

    /// Whether a point is in the data area.
    pub(crate) fn holds(&self, at: Pos2) -> bool {
        self.frame.rect.contains(at)
    }
}

/// What the horizontal axis measures: the coordinate where the problem gives an interval, else the arm number.
pub(crate) fn axis_name(view: &View<'_>) -> &'static str {
    let problem = view.problem;
    if view.preset.language.is_some() {
        return "answer";
    }
    if problem.names.is_none() && coordinates(problem).is_some() {
        "x"
    } else {
        "arm"
    }
}

/// Ticks of the horizontal axis in arms: names under bars, coordinates or arm numbers otherwise.
pub(crate) fn arm_ticks(problem: &Problem, plot: &Plot) -> Vec<Tick> {
    let width = plot.frame.rect.width();
    if plot.bars && (problem.names.is_some() || coordinates(problem).is_none()) {
        let arms = (plot.window.end - plot.window.first).max(1);
        let room = width / arms as f32;
        let letters = ((room / 6.0) as usize).clamp(4, 24);
        return (plot.window.first..plot.window.end)
            .map(|arm| Tick {
                value: arm as f64 + 0.5,
                label: crate::ui::chart::elide(&problem.arm_label(arm), letters),
            })
            .collect();
    }
    let wanted = (width / 80.0).clamp(2.0, 12.0) as usize;
    match coordinates(problem) {
        Some((from, to)) if problem.names.is_none() => {
            let cells = problem.arms() as f64;
            let coordinate = |arm: f64| from + (to - from) * arm / cells;
            ticks(coordinate(plot.x.low), coordinate(plot.x.high), wanted)
                .into_iter()
                .map(|tick| Tick {
                    value: (tick.value - from) / (to - from) * cells,
                    label: tick.label,
                })
                .collect()
        }
        Some(_) | None => crate::ui::chart::time_ticks(plot.x.low, plot.x.high, wanted)
            .into_iter()
            .filter(|tick| tick.value < plot.x.high - 0.5)
            .map(|tick| Tick {
                value: tick.value + 0.5,
                label: tick.label,
            })
            .collect(),
    }
}

/// The interval of a line that is not just the default (0, 1).
fn coordinates(problem: &Problem) -> Option<(f64, f64)> {
    match problem.shape {
        Shape::Line { range, .. } if range != (0.0, 1.0) && range.0 < range.1 => Some(range),
        Shape::Line { .. } | Shape::Grid { .. } => None,
    }
}
