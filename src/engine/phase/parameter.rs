//! The parameters that an axis of a phase diagram can vary: how each changes a problem or an objective, where it stands now,
//! and which edit sets it.

use std::borrow::Cow;

use crate::{
    bandit::Problem,
    experiment::{Edit, Preset},
    theory::{Beta, Direction, Distribution, Mara, Objective, Threshold},
};

/// An arm or a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// One arm.
    Arm(usize),
    /// All arms of a mode together; its reward is its best arm's, its reference mass the sum.
    Mode(usize),
}

/// Something that a phase diagram varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// β.
    Beta,
    /// The reward scale.
    RewardScale,
    /// The reward offset.
    RewardOffset,
    /// Raw reward of the first above that of the second; the first one's is changed.
    RewardGap(Item, Item),
    /// Reference mass of the first over that of the second; the first one's is changed.
    ReferenceRatio(Item, Item),
    /// MARA's threshold τ (switches MARA on).
    Tau,
    /// α of the divergence.
    Alpha,
    /// Coefficient η of the entropy bonus.
    Entropy,
    /// The reference raised to this power: above 1 sharper, below 1 flatter, 0 uniform. Nothing in an experiment sets it.
    ReferencePower,
}

/// One axis: a parameter over an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PhaseAxis {
    /// What varies.
    pub parameter: Parameter,
    /// Value at the low edge; above 0 on a logarithmic axis.
    pub low: f64,
    /// Value at the high edge, above `low`.
    pub high: f64,
    /// Logarithmic.
    pub log10: bool,
}

impl PhaseAxis {
    /// The axis over the interval that suits a parameter and holds its present value.
    #[must_use]
    pub fn suited(parameter: Parameter, problem: &Problem, objective: &Objective) -> Self {
        let (low_reward, high_reward) = reward_range(problem);
        let spread = match high_reward - low_reward {
            spread if spread > 0.0 => spread,
            _ => 1.0,
        };
        let (low, high, log10) = match parameter {
            Parameter::Beta => (1e-3, 10.0, true),
            Parameter::RewardScale => (0.1, 100.0, true),
            Parameter::RewardOffset => (-spread, spread, false),
            Parameter::RewardGap(..) => (-spread, spread, false),
            Parameter::ReferenceRatio(..) => (1e-3, 1e3, true),
            Parameter::Tau => match objective.mara.map(|mara| mara.threshold) {
                Some(Threshold::Percentile(_)) => (0.0, 1.0, false),
                Some(Threshold::Constant(_)) | None => {
                    let ends = [low_reward, high_reward].map(|r| objective.effective_reward(r));
                    let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
                    let margin = 0.05 * (high - low).max(1e-3);
                    (low - margin, high + margin, false)
                }
            },
            Parameter::Alpha => (-0.5, 2.0, false),
            Parameter::Entropy => (1e-4, 10.0, true),
            Parameter::ReferencePower => (0.0, 3.0, false),
        };
        let mut axis = Self {
            parameter,
            low,
            high,
            log10,
        };
        axis.include(parameter.present(problem, objective));
        axis
    }

    /// Widens the axis to hold a value, with a margin.
    fn include(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.log10 {
            if value > 0.0 {
                self.low = self.low.min(value / 3.0);
                self.high = self.high.max(value * 3.0);
            }
        } else {
            let margin = 0.1 * (self.high - self.low);
            if value < self.low {
                self.low = value - margin;
            }
            if value > self.high {
                self.high = value + margin;
            }
        }
    }

    /// The value at a fraction of the axis.
    #[must_use]
    pub fn value_at(&self, fraction: f64) -> f64 {
        if self.log10 {
            let (low, high) = (self.low.log10(), self.high.log10());
            10f64.powf(low + fraction * (high - low))
        } else {
            self.low + fraction * (self.high - self.low)
        }
    }

    /// The fraction of the axis at which a value lies: 0 at the low edge, 1 at the high one; NaN where it has none.
    #[must_use]
    pub fn fraction_of(&self, value: f64) -> f64 {
        if self.log10 {
            let (low, high) = (self.low.log10(), self.high.log10());
            (value.log10() - low) / (high - low)
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }
}

impl Parameter {
    /// Its name on an axis.
    #[must_use]
    pub fn label(self, problem: &Problem) -> String {
        match self {
            Self::Beta => "β".to_owned(),
            Self::RewardScale => "reward scale".to_owned(),
            Self::RewardOffset => "reward offset".to_owned(),
            Self::RewardGap(a, b) => {
                format!("reward gap, {} − {}", a.label(problem), b.label(problem))
            }
            Self::ReferenceRatio(a, b) => {
                format!("π_ref ratio, {} / {}", a.label(problem), b.label(problem))
            }
            Self::Tau => "τ (MARA)".to_owned(),
            Self::Alpha => "α (1 reverse, 0 forward)".to_owned(),
            Self::Entropy => "η (entropy bonus)".to_owned(),
            Self::ReferencePower => "power of the reference".to_owned(),
        }
    }

    /// Where it stands now; NaN where it has no value (τ without MARA).
    #[must_use]
    pub fn present(self, problem: &Problem, objective: &Objective) -> f64 {
        match self {
            Self::Beta => objective.beta.get(),
            Self::RewardScale => objective.reward_scale,
            Self::RewardOffset => objective.reward_offset,
            Self::RewardGap(a, b) => a.reward(problem) - b.reward(problem),
            Self::ReferenceRatio(a, b) => a.reference(problem) / b.reference(problem),
            Self::Tau => match objective.mara.map(|mara| mara.threshold) {
                Some(Threshold::Constant(value) | Threshold::Percentile(value)) => value,
                None => f64::NAN,
            },
            Self::Alpha => match objective.direction {
                Direction::Reverse => 1.0,
                Direction::Forward => 0.0,
                Direction::Alpha(alpha) => alpha,
            },
            Self::Entropy => objective.entropy,
            Self::ReferencePower => 1.0,
        }
    }

    /// Changes problem or objective so that it has this value; leaves them alone where the value makes no sense.
    pub fn apply(self, value: f64, problem: &mut Cow<'_, Problem>, objective: &mut Objective) {
        match self {
            Self::Beta
            | Self::RewardScale
            | Self::RewardOffset
            | Self::Tau
            | Self::Alpha
            | Self::Entropy => self.apply_to_objective(value, objective),
            Self::RewardGap(a, b) => {
                let shift = value - (a.reward(problem) - b.reward(problem));
                if shift.is_finite() && shift != 0.0 {
                    let problem = problem.to_mut();
                    for arm in a.arms(problem) {
                        if let Some(reward) = problem.rewards.get_mut(arm) {
                            *reward += shift;
                        }
                    }
                }
            }
            Self::ReferenceRatio(a, b) => {
                let shift = (value / (a.reference(problem) / b.reference(problem))).ln();
                if shift.is_finite() && shift != 0.0 {
                    let mut logs = problem.reference.log_masses().to_vec();
                    for arm in a.arms(problem) {
                        if let Some(log) = logs.get_mut(arm) {
                            *log += shift;
                        }
                    }
                    set_reference(problem, &logs);
                }
            }
            Self::ReferencePower => {
                if value.is_finite() && value != 1.0 {
                    let logs: Vec<f64> = problem
                        .reference
                        .log_masses()
                        .iter()
                        // An excluded arm stays excluded, at power 0 too.
                        .map(|&log| if log.is_finite() { log * value } else { log })
                        .collect();
                    set_reference(problem, &logs);
                }
            }
        }
    }

    fn apply_to_objective(self, value: f64, objective: &mut Objective) {
        if !value.is_finite() {
            return;
        }
        match self {
            Self::Beta => {
                if let Ok(beta) = Beta::new(value) {
                    objective.beta = beta;
                }
            }
            Self::RewardScale => objective.reward_scale = value,
            Self::RewardOffset => objective.reward_offset = value,
            Self::Tau => {
                let mara = objective.mara.get_or_insert(Mara {
                    threshold: Threshold::Constant(value),
                    algorithm: None,
                    anchor: crate::theory::Anchor::default(),
                    per_class: false,
                });
                mara.threshold = match mara.threshold {
                    Threshold::Constant(_) => Threshold::Constant(value),
                    Threshold::Percentile(_) => Threshold::Percentile(value.clamp(0.0, 1.0)),
                };
            }
            Self::Alpha => objective.direction = Direction::Alpha(value),
            Self::Entropy => objective.entropy = value.max(0.0),
            Self::RewardGap(..) | Self::ReferenceRatio(..) | Self::ReferencePower => {}
        }
    }

    /// Whether it is part of the objective (and set by one edit of it).
    #[must_use]
    pub fn in_objective(self) -> bool {
        match self {
            Self::Beta
            | Self::RewardScale
            | Self::RewardOffset
            | Self::Tau
            | Self::Alpha
            | Self::Entropy => true,
            Self::RewardGap(..) | Self::ReferenceRatio(..) | Self::ReferencePower => false,
        }
    }

    /// The edits that set parameters to values: one for the objective, one for the bars, none for what nothing sets.
    #[must_use]
    pub fn edits(values: &[(Self, f64)], preset: &Preset, problem: &Problem) -> Vec<Edit> {
        let mut objective = preset.objective;
        let mut bars = (
            preset.bandit.reward_edits.clone(),
            preset.bandit.reference_edits.clone(),
        );
        let before = bars.clone();
        for &(parameter, value) in values {
            parameter.apply_to_objective(value, &mut objective);
            match parameter {
                Self::RewardGap(a, b) => {
                    let shift = value - (a.reward(problem) - b.reward(problem));
                    for arm in a.arms(problem) {
                        if let Some(reward) = problem.rewards.get(arm)
                            && shift.is_finite()
                        {
                            put(&mut bars.0, arm, reward + shift);
                        }
                    }
                }
                Self::ReferenceRatio(a, b) => {
                    let factor = value / (a.reference(problem) / b.reference(problem));
                    // Weights are on the scale of the normalised source, which earlier edits moved away from the
                    // masses: rescale all edited arms together with the new ones.
                    let scale = weight_scale(&bars.1, problem);
                    for arm in a.arms(problem) {
                        if let Some(log) = problem.reference.log_masses().get(arm)
                            && factor.is_finite()
                        {
                            put(&mut bars.1, arm, log.exp() * scale * factor);
                        }
                    }
                }
                Self::Beta
                | Self::RewardScale
                | Self::RewardOffset
                | Self::Tau
                | Self::Alpha
                | Self::Entropy
                | Self::ReferencePower => {}
            }
        }
        let mut edits = Vec::new();
        if objective != preset.objective {
            edits.push(Edit::Objective(objective));
        }
        if bars != before {
            edits.push(Edit::Bars {
                rewards: bars.0,
                reference: bars.1,
            });
        }
        edits
    }
}

/// What multiplies a mass to give a weight on the scale of the normalised source: earlier edits tell, where there are any.
fn weight_scale(edits: &[(usize, f64)], problem: &Problem) -> f64 {
    edits
        .iter()
        .find_map(|&(arm, weight)| {
            let mass = problem.reference.log_masses().get(arm)?.exp();
            (mass > 0.0 && weight > 0.0).then(|| weight / mass)
        })
        .unwrap_or(1.0)
}

fn put(edits: &mut Vec<(usize, f64)>, arm: usize, value: f64) {
    match edits.iter_mut().find(|(edited, _)| *edited == arm) {
        Some(edit) => edit.1 = value,
        None => edits.push((arm, value)),
    }
}

fn set_reference(problem: &mut Cow<'_, Problem>, logs: &[f64]) {
    if let Ok(reference) = Distribution::from_log_weights(logs) {
        problem.to_mut().reference = reference;
    }
}

fn reward_range(problem: &Problem) -> (f64, f64) {
    problem
        .rewards
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &r| {
            (low.min(r), high.max(r))
        })
}

impl Item {
    /// What to call it.
    #[must_use]
    pub fn label(self, problem: &Problem) -> String {
        match self {
            Self::Arm(arm) if problem.names.is_some() => problem.arm_label(arm),
            Self::Arm(arm) => format!("arm {arm}"),
            Self::Mode(mode) => problem
                .modes
                .get(mode)
                .map_or_else(|| format!("mode {mode}"), |mode| mode.label.clone()),
        }
    }

    /// Its arms.
    #[must_use]
    pub fn arms(self, problem: &Problem) -> Vec<usize> {
        match self {
            Self::Arm(arm) => vec![arm],
            Self::Mode(mode) => problem.modes.get(mode).map_or_else(Vec::new, |mode| {
                mode.arms.iter().map(|&arm| arm as usize).collect()
            }),
        }
    }

    /// Its best raw reward; NaN where it has no arms.
    #[must_use]
    pub fn reward(self, problem: &Problem) -> f64 {
        self.arms(problem)
            .iter()
            .filter_map(|&arm| problem.rewards.get(arm))
            .fold(f64::NAN, |best, &reward| best.max(reward))
    }

    /// Its reference mass.
    #[must_use]
    pub fn reference(self, problem: &Problem) -> f64 {
        self.arms(problem)
            .iter()
            .filter_map(|&arm| problem.reference.log_masses().get(arm))
            .map(|log| log.exp())
            .sum()
    }
}
