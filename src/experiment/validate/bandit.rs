//! Arms, reference, rewards, modes and hand-made changes.

use super::{Check, MAX_ARMS, Sign, TOLD};
use crate::{
    experiment::{
        formula::Formula,
        mistake::{Mistake, repeated},
        preset::{Arms, BanditSpec, ModeSpec, Noise, Source},
    },
    theory::{Distribution, DistributionError, Written},
};

impl Check {
    pub(super) fn bandit(&mut self, bandit: &BanditSpec, arms: Option<usize>) {
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
                let faults = Formula::faults(text);
                let more = faults.len().saturating_sub(TOLD);
                for error in faults.iter().take(TOLD) {
                    let mut mistake = Mistake::new(field, error.to_string());
                    mistake.inner_column = Some(error.column());
                    self.mistakes.push(mistake);
                }
                if more > 0 {
                    let message = format!("… {more} more mistakes in this formula");
                    self.mistakes.push(Mistake::new(field, message));
                }
            }
        }
    }

    /// Finite numbers of the right sign, and as masses not all zero; true if so.
    pub(super) fn list(&mut self, field: &str, values: &[f64], sign: Sign) -> bool {
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
                if low.is_finite() && high.is_finite() && !(low < high && (high - low).is_finite())
                {
                    self.refuse(
                        format!("{field}.noise.high"),
                        Written(high),
                        format_args!(
                            "a number above `low`, which is {}, and less than 1.7e308 from it, as the width must be finite, is",
                            Written(low)
                        ),
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

    pub(super) fn modes(&mut self, modes: &ModeSpec, arms: usize) {
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

    pub(super) fn edits(&mut self, field: &str, edits: &[(usize, f64)], arms: usize, sign: Sign) {
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
}
