//! Everything about a preset that its types cannot say and that needs neither files nor formula values: ranges, lengths,
//! finiteness. Collects every mistake with the path of its field; the caller locates them in the text.

use std::fmt::Display;

use super::{
    formula::Formula,
    language::LanguageSpec,
    mistake::{Mistake, repeated},
    preset::{Arms, BanditSpec, ModeSpec, Noise, Preset, Source},
    read::FORMAT,
    training::{Features, Optimizer, PolicyFamily, Start, StopRule, Training, Update},
};
use crate::theory::{
    CoverageRule, Direction, Distribution, DistributionError, Objective, Threshold, Written,
    coverage::MOST_DRAWS,
};

#[path = "validate_language.rs"]
mod language_checks;

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
        None if preset.bandit.is_left_out() => check.mistakes.push(Mistake::new(
            "bandit",
            "is missing; a preset has `bandit: (…)` or `language: (…)`",
        )),
        None => check.bandit(&preset.bandit, arms),
        Some(language) => language_checks::check(language, &mut check),
    }
    check.objective(&preset.objective);
    check.training(&preset.training, arms);
    check.coverage(preset.coverage);
    check.expectations(preset, arms);
    check.mistakes
}

/// Every mistake in a language part; paths start with `language`.
pub(crate) fn validate_language(language: &LanguageSpec) -> Vec<Mistake> {
    let mut check = Check::default();
    language_checks::check(language, &mut check);
    check.mistakes
}

/// Every mistake in an objective; paths start with `objective`.
pub(crate) fn validate_objective(objective: &Objective) -> Vec<Mistake> {
    let mut check = Check::default();
    check.objective(objective);
    check.mistakes
}

/// Every mistake in a training description for a number of arms; paths start with `training`.
pub(crate) fn validate_training(training: &Training, arms: usize) -> Vec<Mistake> {
    let mut check = Check::default();
    check.training(training, Some(arms));
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
                "two finite numbers, the smaller one first, are",
            );
        }
    }

    fn bandit(&mut self, bandit: &BanditSpec, arms: Option<usize>) {
        self.arms(&bandit.arms);
        self.source(
            "bandit.reference",
            &bandit.reference,
            arms,
            Sign::NotNegative,
        );
        self.source("bandit.rewards", &bandit.rewards, arms, Sign::Any);
        if let Some(arms) = arms {
            self.modes(&bandit.modes, arms);
            self.edits("bandit.reward_edits", &bandit.reward_edits, arms, Sign::Any);
            self.edits(
                "bandit.reference_edits",
                &bandit.reference_edits,
                arms,
                Sign::NotNegative,
            );
        }
    }

    fn arms(&mut self, arms: &Arms) {
        match arms {
            Arms::Line { count, range } => {
                self.whole("bandit.arms.count", *count, 1, MAX_ARMS);
                self.range("bandit.arms.range", *range);
            }
            Arms::Grid {
                rows,
                columns,
                x_range,
                y_range,
            } => {
                self.whole("bandit.arms.rows", *rows, 1, MAX_ARMS);
                self.whole("bandit.arms.columns", *columns, 1, MAX_ARMS);
                if rows.saturating_mul(*columns) > MAX_ARMS {
                    self.refuse(
                        "bandit.arms",
                        format_args!("a grid of {rows} × {columns}"),
                        format_args!("at most {MAX_ARMS} arms are"),
                    );
                }
                self.range("bandit.arms.x_range", *x_range);
                self.range("bandit.arms.y_range", *y_range);
            }
            Arms::Named(names) => {
                if !(1..=MAX_ARMS).contains(&names.len()) {
                    self.refuse(
                        "bandit.arms",
                        format_args!("a list of {} names", names.len()),
                        format_args!("1 to {MAX_ARMS} names are"),
                    );
                }
            }
        }
    }

    /// `arms` is absent where the number of arms is itself a mistake.
    fn source(&mut self, field: &str, source: &Source, arms: Option<usize>, sign: Sign) {
        let masses = sign == Sign::NotNegative;
        match source {
            Source::Constant(value) => {
                self.number(field, *value, if masses { Sign::Positive } else { sign });
            }
            Source::List(values) => {
                if let Some(arms) = arms
                    && values.len() != arms
                {
                    self.refuse(
                        field,
                        format_args!("a list of {} numbers", values.len()),
                        format_args!("one number for each of the {arms} arms is"),
                    );
                }
                if self.list(field, values, sign)
                    && masses
                    && let Err(error @ DistributionError::NotNormalised { .. }) =
                        Distribution::from_masses(values)
                {
                    self.mistakes.push(Mistake::new(
                        field,
                        format!("{error}; Weights([…]) takes weights of any scale"),
                    ));
                }
            }
            Source::Weights(_) if !masses => self.refuse(
                field,
                "Weights([…]), which is for the reference,",
                "List([…]) is",
            ),
            Source::Weights(values) => {
                if let Some(arms) = arms
                    && values.len() != arms
                {
                    self.refuse(
                        field,
                        format_args!("a list of {} weights", values.len()),
                        format_args!("one weight for each of the {arms} arms is"),
                    );
                }
                self.list(field, values, sign);
            }
            Source::Csv { path, .. } => {
                if path.as_os_str().is_empty() {
                    self.refuse(
                        format!("{field}.path"),
                        "an empty path",
                        "the name of a CSV file is",
                    );
                }
            }
            Source::Bumps { bumps, floor } => {
                self.number(&format!("{field}.floor"), *floor, sign);
                for (index, bump) in bumps.iter().enumerate() {
                    let at = |name| format!("{field}.bumps.{index}.{name}");
                    self.number(&at("x"), bump.x, Sign::Any);
                    self.number(&at("y"), bump.y, Sign::Any);
                    self.number(&at("width"), bump.width, Sign::Positive);
                    self.number(&at("height"), bump.height, sign);
                }
                if bumps.is_empty() && masses && *floor == 0.0 {
                    self.all_zero(field);
                }
            }
            Source::Blocks { blocks, otherwise } => {
                self.number(&format!("{field}.otherwise"), *otherwise, sign);
                for (index, block) in blocks.iter().enumerate() {
                    let at = |name| format!("{field}.blocks.{index}.{name}");
                    self.number(&at("value"), block.value, sign);
                    if block.from >= block.to {
                        self.refuse(
                            at("to"),
                            block.to,
                            format_args!("an arm after `from`, which is {}, is", block.from),
                        );
                    } else if let Some(arms) = arms
                        && block.to > arms
                    {
                        self.refuse(
                            at("to"),
                            block.to,
                            format_args!("at most {arms}, the number of arms, is"),
                        );
                    }
                }
                if masses && *otherwise == 0.0 && blocks.iter().all(|block| block.value == 0.0) {
                    self.all_zero(field);
                }
            }
            Source::PowerLaw { exponent } | Source::Zipf { exponent } => {
                self.between(&format!("{field}.exponent"), *exponent, -1e3, 1e3);
            }
            Source::Random { seed: _, noise } => self.noise(field, noise, masses),
            Source::Formula(text) => {
                if let Err(error) = Formula::parse(text) {
                    let mut mistake = Mistake::new(field, error.to_string());
                    mistake.inner_column = Some(error.column());
                    self.mistakes.push(mistake);
                }
            }
        }
    }

    /// Finite numbers of the right sign, and as masses not all zero; true if so.
    fn list(&mut self, field: &str, values: &[f64], sign: Sign) -> bool {
        let mut bad = (values.iter().enumerate()).filter(|(_, value)| !sign.accepts(**value));
        let mut told = 0;
        for (index, &value) in bad.by_ref().take(TOLD) {
            self.refuse(format!("{field}.{index}"), Written(value), sign.accepted());
            told += 1;
        }
        let more = bad.count();
        if more > 0 {
            self.refuse(
                field,
                format_args!("… {more} more values: each"),
                sign.accepted(),
            );
        }
        if told == 0 && sign == Sign::NotNegative && values.iter().all(|value| *value == 0.0) {
            self.all_zero(field);
            return false;
        }
        told == 0
    }

    fn all_zero(&mut self, field: &str) {
        self.mistakes.push(Mistake::new(
            field,
            "all masses are zero; at least one arm needs a positive mass",
        ));
    }

    fn noise(&mut self, field: &str, noise: &Noise, masses: bool) {
        match *noise {
            Noise::Uniform { low, high } => {
                let sign = if masses { Sign::NotNegative } else { Sign::Any };
                self.number(&format!("{field}.noise.low"), low, sign);
                self.number(&format!("{field}.noise.high"), high, Sign::Any);
                // The width must be finite too.
                if low.is_finite() && high.is_finite() && !(low < high && (high - low).is_finite())
                {
                    self.refuse(
                        format!("{field}.noise.high"),
                        high,
                        format_args!("a number above `low`, which is {low}, is"),
                    );
                }
            }
            Noise::Normal { mean, std } => {
                if masses {
                    self.refuse(
                        format!("{field}.noise"),
                        "Normal, which can be negative,",
                        "Uniform with low ≥ 0 and LogNormal are",
                    );
                }
                self.number(&format!("{field}.noise.mean"), mean, Sign::Any);
                self.number(&format!("{field}.noise.std"), std, Sign::NotNegative);
            }
            Noise::LogNormal { mean, std } => {
                // exp(700) is the edge of what a double can hold.
                self.between(&format!("{field}.noise.mean"), mean, -300.0, 300.0);
                self.between(&format!("{field}.noise.std"), std, 0.0, 30.0);
            }
        }
    }

    fn modes(&mut self, modes: &ModeSpec, arms: usize) {
        match modes {
            ModeSpec::Detected { threshold: None } => {}
            ModeSpec::Detected {
                threshold: Some(threshold),
            }
            | ModeSpec::EachArm { threshold } => {
                self.number("bandit.modes.threshold", *threshold, Sign::Any);
            }
            ModeSpec::Labelled(labelled) => {
                let mut taken: Vec<(usize, usize, usize)> = Vec::new();
                for (index, mode) in labelled.iter().enumerate() {
                    let field = format!("bandit.modes.{index}");
                    self.filled(&format!("{field}.label"), &mode.label);
                    if mode.ranges.is_empty() {
                        self.refuse(
                            format!("{field}.ranges"),
                            "an empty list",
                            "at least one range is",
                        );
                    }
                    for (range, &(from, to)) in mode.ranges.iter().enumerate() {
                        if from >= to || to > arms {
                            self.refuse(
                                format!("{field}.ranges.{range}"),
                                format_args!("({from}, {to})"),
                                format_args!("two arms, the first one smaller, up to {arms} are"),
                            );
                        } else {
                            taken.push((from, to, index));
                        }
                    }
                }
                taken.sort_unstable();
                for pair in taken.windows(2) {
                    let (before, after) = (pair[0], pair[1]);
                    if after.0 < before.1 {
                        let label = |mode: usize| {
                            labelled
                                .get(mode)
                                .map_or(String::new(), |mode| repeated(&mode.label))
                        };
                        self.mistakes.push(Mistake::new(
                            format!("bandit.modes.{}", after.2.max(before.2)),
                            format!(
                                "arm {} is in “{}” and in “{}”; an arm belongs to one mode at most, once",
                                after.0,
                                label(before.2),
                                label(after.2)
                            ),
                        ));
                    }
                }
            }
        }
    }

    fn edits(&mut self, field: &str, edits: &[(usize, f64)], arms: usize, sign: Sign) {
        for (index, &(arm, value)) in edits.iter().enumerate() {
            if arm >= arms {
                self.refuse(
                    format!("{field}.{index}"),
                    format_args!("arm {arm}"),
                    format_args!("arms 0 to {} are", arms.saturating_sub(1)),
                );
            } else if !sign.accepts(value) {
                self.refuse(
                    format!("{field}.{index}"),
                    format_args!("value {} of arm {arm}", Written(value)),
                    sign.accepted(),
                );
            }
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

    fn coverage(&mut self, coverage: CoverageRule) {
        let CoverageRule { epsilon, draws } = coverage;
        if !(epsilon > 0.0 && epsilon <= 1.0) {
            self.refuse(
                "coverage.epsilon",
                Written(epsilon),
                "above 0, at most 1 is",
            );
        }
        if !(1..=MOST_DRAWS).contains(&draws) {
            self.refuse("coverage.draws", draws, "1 to 1,000,000 are");
        }
    }

    fn training(&mut self, training: &Training, arms: Option<usize>) {
        self.policy(&training.policy);
        if let Start::Given(masses) = &training.start {
            if let Some(arms) = arms
                && masses.len() != arms
            {
                self.refuse(
                    "training.start",
                    format_args!("a list of {} masses", masses.len()),
                    format_args!("one mass for each of the {arms} arms is"),
                );
            }
            self.list("training.start", masses, Sign::NotNegative);
        }
        match training.update {
            Update::Sampled { batch, .. } | Update::Dap { batch } => {
                let least = training.update.least_batch();
                if batch == 1 && least > 1 {
                    self.refuse(
                        "training.update.batch",
                        batch,
                        format_args!(
                            "2 to {MAX_BATCH} are, as this advantage compares a sample with others of its batch"
                        ),
                    );
                } else {
                    self.whole("training.update.batch", batch, least, MAX_BATCH);
                }
            }
            Update::Exact | Update::NaturalGradient => {}
        }
        self.optimizer(&training.optimizer);
        self.number(
            "training.learning_rate",
            training.learning_rate,
            Sign::Positive,
        );
        self.stop(&training.stop);
    }

    fn policy(&mut self, policy: &PolicyFamily) {
        match policy {
            PolicyFamily::SoftmaxTable | PolicyFamily::Gaussian => {}
            PolicyFamily::GaussianMixture { components } => {
                self.whole("training.policy.components", *components, 1, 64);
            }
            PolicyFamily::LinearSoftmax { features } => self.features(features),
            PolicyFamily::Mlp { features, hidden } => {
                self.features(features);
                if !(1..=4).contains(&hidden.len()) {
                    self.refuse(
                        "training.policy.hidden",
                        format_args!("{} layers", hidden.len()),
                        "1 to 4 hidden layers are",
                    );
                }
                for (layer, width) in hidden.iter().enumerate().take(4) {
                    self.whole(&format!("training.policy.hidden.{layer}"), *width, 1, 1024);
                }
            }
        }
    }

    fn features(&mut self, features: &Features) {
        let field = "training.policy.features";
        match *features {
            Features::Polynomial(degree) => self.whole(field, degree, 1, 16),
            Features::Fourier(frequency) => self.whole(field, frequency, 1, 64),
        }
    }

    fn optimizer(&mut self, optimizer: &Optimizer) {
        let mut decay = |name: &str, value: f64| {
            if !(0.0..1.0).contains(&value) {
                self.refuse(
                    format!("training.optimizer.{name}"),
                    value,
                    "a number ≥ 0 and below 1 is",
                );
            }
        };
        match *optimizer {
            Optimizer::Sgd => {}
            Optimizer::Momentum { momentum } => decay("momentum", momentum),
            Optimizer::Adam {
                beta1,
                beta2,
                epsilon,
            } => {
                decay("beta1", beta1);
                decay("beta2", beta2);
                self.number("training.optimizer.epsilon", epsilon, Sign::Positive);
            }
        }
    }

    fn stop(&mut self, stop: &StopRule) {
        if stop.steps == Some(0) {
            self.refuse("training.stop.steps", 0, "a whole number from 1 is");
        }
        if let Some(converged) = stop.converged {
            self.between("training.stop.converged", converged, 0.0, 1.0);
        }
        if let Some(seconds) = stop.seconds {
            self.number("training.stop.seconds", seconds, Sign::Positive);
        }
    }

    fn expectations(&mut self, preset: &Preset, arms: Option<usize>) {
        for (index, expectation) in preset.expectations.iter().enumerate() {
            let at = |name| format!("expectations.{index}.{name}");
            self.filled(&at("says"), &expectation.says);
            let (low, high) = expectation.between;
            if low.is_nan() || high.is_nan() || low > high {
                self.refuse(
                    at("between"),
                    format_args!("({low}, {high})"),
                    "two numbers, the smaller one first, are",
                );
            }
            let Some(arms) = arms else {
                continue;
            };
            for arm in expectation.quantity.arms().filter(|arm| *arm >= arms) {
                self.refuse(
                    at("quantity"),
                    format_args!("arm {arm}"),
                    format_args!("arms 0 to {} are", arms - 1),
                );
            }
        }
    }
}
