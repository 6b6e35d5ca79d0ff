//! Everything about a preset that its types cannot say and that needs neither files nor formula values: ranges, lengths,
//! finiteness. Collects every mistake with the path of its field; the caller locates them in the text.

mod bandit;
mod expectations;
mod language;
mod training;

pub(crate) use expectations::{refusal, responsible};

use std::fmt::Display;

use super::{
    language::LanguageSpec,
    mistake::Mistake,
    preset::{Arms, BanditSpec, ModeSpec, Preset},
    read::FORMAT,
    training::{StopRule, Training},
};
use crate::theory::{
    CoverageRule, Direction, Divergence, Objective, Threshold, Written, coverage::MOST_DRAWS,
};

/// Most arms that a problem may have.
pub const MAX_ARMS: usize = 1_000_000;

/// Most samples per step.
pub const MAX_BATCH: usize = 65_536;

/// Of one list so many bad values are told one by one.
const TOLD: usize = 20;

/// Largest accepted |α|; beyond it the α-family is numerically its limit.
const MAX_ALPHA: f64 = 100.0;

/// Every mistake in a preset.
pub(crate) fn validate(preset: &Preset) -> Vec<Mistake> {
    validate_for(preset, arm_count(&preset.bandit.arms))
}

/// As [`validate`], for a number of arms; absent where that is unknown and lengths cannot be held against it.
pub(crate) fn validate_for(preset: &Preset, arms: Option<usize>) -> Vec<Mistake> {
    let mut check = Check::default();
    if preset.format != FORMAT {
        check.refuse(
            "format",
            preset.format,
            format_args!("this build reads format {FORMAT}"),
        );
    }
    check.filled("title", &preset.title);
    match &preset.language {
        None if preset.bandit.is_left_out() => {
            let message = "is missing; a preset has `bandit: (…)` or `language: (…)`";
            check.mistakes.push(Mistake {
                is_missing: true,
                ..Mistake::new("bandit", message)
            });
        }
        None => check.bandit(&preset.bandit, arms),
        Some(language) => language::check(language, &mut check),
    }
    check.objective(&preset.objective);
    check.training(&preset.training, Learns::of(preset, arms));
    check.coverage(preset.coverage);
    check.expectations(preset, arms);
    check.mistakes
}

/// Every mistake in a language part; paths start with `language`.
pub(crate) fn validate_language(language: &LanguageSpec) -> Vec<Mistake> {
    let mut check = Check::default();
    language::check(language, &mut check);
    check.mistakes
}

/// Every mistake in an objective; paths start with `objective`.
pub(crate) fn validate_objective(objective: &Objective) -> Vec<Mistake> {
    let mut check = Check::default();
    check.objective(objective);
    check.mistakes
}

/// What a learner trains on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Learns {
    /// The number of arms, where it is known.
    pub(crate) arms: Option<usize>,
    /// Axes that the arms lie along.
    pub(crate) axes: usize,
    /// The number of prompts of a language model's task.
    pub(crate) prompts: Option<usize>,
}

impl Learns {
    /// What a preset's learner trains on, with a number of arms.
    pub(crate) fn of(preset: &Preset, arms: Option<usize>) -> Self {
        Self {
            arms,
            axes: preset.bandit.arms.axes(),
            prompts: (preset.language.as_ref()).map(|language| language.prompts.len()),
        }
    }
}

/// Every mistake in a training description; paths start with `training`.
pub(crate) fn validate_training(training: &Training, on: Learns) -> Vec<Mistake> {
    let mut check = Check::default();
    check.training(training, on);
    check.mistakes
}

/// Every mistake in a stop rule; paths start with `training.stop`.
pub(crate) fn validate_stop(stop: &StopRule) -> Vec<Mistake> {
    let mut check = Check::default();
    check.stop(stop);
    check.mistakes
}

/// Every mistake in a mode description for a number of arms; paths start with `bandit.modes`.
pub(crate) fn validate_modes(modes: &ModeSpec, arms: usize) -> Vec<Mistake> {
    let mut check = Check::default();
    check.modes(modes, arms);
    check.mistakes
}

/// Every mistake in what counts as covered; paths start with `coverage`.
pub(crate) fn validate_coverage(coverage: CoverageRule) -> Vec<Mistake> {
    let mut check = Check::default();
    check.coverage(coverage);
    check.mistakes
}

/// Every mistake in a bandit; paths start with `bandit`.
pub(crate) fn validate_bandit(bandit: &BanditSpec) -> Vec<Mistake> {
    let mut check = Check::default();
    check.bandit(bandit, arm_count(&bandit.arms));
    check.mistakes
}

/// Every mistake in hand-made changes for a number of arms.
pub(crate) fn validate_bars(
    rewards: &[(usize, f64)],
    reference: &[(usize, f64)],
    arms: usize,
) -> Vec<Mistake> {
    let mut check = Check::default();
    check.edits("bandit.reward_edits", rewards, arms, Sign::Any);
    check.edits("bandit.reference_edits", reference, arms, Sign::NotNegative);
    check.mistakes
}

/// The number of arms, where it is not absurd.
pub(crate) fn arm_count(arms: &Arms) -> Option<usize> {
    Some(arms.count()).filter(|count| (1..=MAX_ARMS).contains(count))
}

/// Which values a number may take.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Any,
    NotNegative,
    Positive,
}

impl Sign {
    fn accepts(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Self::Any => true,
                Self::NotNegative => value >= 0.0,
                Self::Positive => value > 0.0,
            }
    }

    fn accepted(self) -> &'static str {
        match self {
            Self::Any => "a finite number is",
            Self::NotNegative => "a finite number ≥ 0 is",
            Self::Positive => "a finite number above 0 is",
        }
    }
}

#[derive(Default)]
struct Check {
    mistakes: Vec<Mistake>,
}

impl Check {
    /// Notes that `value` of `field` is not accepted, and what is.
    fn refuse(&mut self, field: impl Into<String>, value: impl Display, accepted: impl Display) {
        let message = format!("{value} is not accepted; {accepted}");
        self.mistakes.push(Mistake::new(field, message));
    }

    fn number(&mut self, field: &str, value: f64, sign: Sign) {
        if !sign.accepts(value) {
            self.refuse(field, Written(value), sign.accepted());
        }
    }

    fn between(&mut self, field: &str, value: f64, low: f64, high: f64) {
        if !(low..=high).contains(&value) {
            self.refuse(
                field,
                Written(value),
                format_args!("a number from {low} to {high} is"),
            );
        }
    }

    fn whole(&mut self, field: &str, value: usize, low: usize, high: usize) {
        if !(low..=high).contains(&value) {
            self.refuse(
                field,
                value,
                format_args!("a whole number from {low} to {high} is"),
            );
        }
    }

    /// A label: one line with something in it.
    fn filled(&mut self, field: &str, text: &str) {
        if text.trim().is_empty() {
            self.mistakes
                .push(Mistake::new(field, "is empty; a short text is needed"));
        } else if text.contains(char::is_control) {
            self.mistakes.push(Mistake::new(
                field,
                "has more than one line; a short text is needed",
            ));
        }
    }

    fn range(&mut self, field: &str, range: Option<(f64, f64)>) {
        if let Some((low, high)) = range
            && !(low.is_finite() && high.is_finite() && low < high && (high - low).is_finite())
        {
            self.refuse(
                field,
                format_args!("({}, {})", Written(low), Written(high)),
                "two finite numbers, the smaller one first and less than 1.7e308 apart, as their distance must be finite, are",
            );
        }
    }

    fn coverage(&mut self, coverage: CoverageRule) {
        let CoverageRule { epsilon, draws } = coverage;
        if !(epsilon > 0.0 && epsilon <= 1.0) {
            self.refuse(
                "coverage.epsilon",
                Written(epsilon),
                "a number above 0, at most 1 is",
            );
        }
        if !(1..=MOST_DRAWS).contains(&draws) {
            self.refuse(
                "coverage.draws",
                draws,
                format_args!("a whole number from 1 to {MOST_DRAWS} is"),
            );
        }
    }

    fn objective(&mut self, objective: &Objective) {
        let Objective {
            direction,
            beta,
            reward_scale,
            reward_offset,
            entropy,
            mara,
        } = *objective;
        if let Direction::Alpha(alpha) = direction {
            self.between("objective.direction", alpha, -MAX_ALPHA, MAX_ALPHA);
        }
        if let Divergence::Alpha(alpha) = direction.into()
            && entropy > 0.0
            && entropy.is_finite()
            && alpha.is_finite()
        {
            self.refuse(
                "objective.entropy",
                format_args!(
                    "{} beside direction: Alpha({})",
                    Written(entropy),
                    Written(alpha)
                ),
                "0 is, as an entropy bonus has a known target for Reverse and Forward only",
            );
        }
        self.number("objective.beta", beta.get(), Sign::Positive);
        self.number("objective.reward_scale", reward_scale, Sign::Any);
        self.number("objective.reward_offset", reward_offset, Sign::Any);
        self.number("objective.entropy", entropy, Sign::NotNegative);
        if let Some(mara) = mara {
            match mara.threshold {
                Threshold::Constant(value) => {
                    self.number("objective.mara.threshold", value, Sign::Any);
                }
                Threshold::Percentile(value) => {
                    self.between("objective.mara.threshold", value, 0.0, 1.0);
                }
            }
        }
    }
}
