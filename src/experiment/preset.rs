//! The preset: one RON file that describes a whole experiment, as the user writes it and before it is checked.
//!
//! Reading and checking live beside it; `bandit::Problem` is what a checked preset becomes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{language::LanguageSpec, training::Training};
use crate::theory::{CoverageRule, Metric, Objective};

/// A whole experiment as written in a `.ron` file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Version of the file format; this build reads 1.
    pub format: u32,
    /// A short title, sentence case.
    pub title: String,
    /// One paragraph: what the set-up is and where it comes from.
    #[serde(default)]
    pub summary: String,
    /// One line: what to look for.
    #[serde(default)]
    pub look_for: String,
    /// The arms, their reference and rewards. A language preset leaves it out: its answers are the arms.
    #[serde(default, skip_serializing_if = "BanditSpec::is_left_out")]
    pub bandit: BanditSpec,
    /// A language model and what it is asked, in place of a bandit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageSpec>,
    /// What is optimised.
    pub objective: Objective,
    /// How it is optimised.
    #[serde(default)]
    pub training: Training,
    /// What of the modes counts as covered, and in how many draws they are looked for.
    #[serde(default, skip_serializing_if = "CoverageRule::is_usual")]
    pub coverage: CoverageRule,
    /// What must come out; checked by running the preset headless.
    #[serde(default)]
    pub expectations: Vec<Expectation>,
}

/// A bandit problem: arms, where the reference and the reward come from, and what counts as a mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BanditSpec {
    /// How many arms, where they lie and what they are called.
    pub arms: Arms,
    /// Unnormalised reference masses.
    pub reference: Source,
    /// Raw rewards.
    pub rewards: Source,
    /// What counts as a mode.
    #[serde(default)]
    pub modes: ModeSpec,
    /// Raw rewards changed by hand after `rewards` was evaluated: (arm, value).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reward_edits: Vec<(usize, f64)>,
    /// Reference weights changed by hand after `reference` was evaluated and normalised: (arm, weight). All weights,
    /// edited or not, are then normalised together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_edits: Vec<(usize, f64)>,
}

impl Preset {
    /// Its title as a file name.
    #[must_use]
    pub fn slug(&self) -> String {
        let words: Vec<String> = self
            .title
            .to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .take(6)
            .map(|word| word.chars().take(24).collect())
            .collect();
        if words.is_empty() {
            "experiment".to_owned()
        } else {
            words.join("-")
        }
    }

    /// As a file holds it: a language preset without the bandit that it stands for, changes of rewards taken into its
    /// answers; a bandit without expectations of arms that edits took away.
    #[must_use]
    pub fn as_written(&self) -> Self {
        let mut written = self.clone();
        if let Some(language) = &mut written.language {
            language.absorb_rewards(&self.bandit.reward_edits);
            written.bandit = BanditSpec::default();
        } else {
            let arms = self.bandit.arms.count();
            let expected = &mut written.expectations;
            expected.retain(|one| one.quantity.arms().all(|arm| arm < arms));
        }
        written
    }
}

impl Quantity {
    /// The arms that it names.
    pub(crate) fn arms(&self) -> impl Iterator<Item = usize> {
        let (first, second) = match *self {
            Self::TargetMass(arm) | Self::PolicyMass(arm) => (Some(arm), None),
            Self::TieBeta(a, b) => (Some(a), Some(b)),
            Self::TargetPeak | Self::Target(_) | Self::PolicyPeak | Self::Policy(_) => (None, None),
        };
        first.into_iter().chain(second)
    }
}

impl Default for BanditSpec {
    /// No arms at all: stands for a bandit that is left out.
    fn default() -> Self {
        Self {
            arms: Arms::Named(Vec::new()),
            reference: Source::Constant(1.0),
            rewards: Source::Constant(0.0),
            modes: ModeSpec::default(),
            reward_edits: Vec::new(),
            reference_edits: Vec::new(),
        }
    }
}

impl BanditSpec {
    /// Whether the bandit was left out.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        *self == Self::default()
    }
}

/// How many arms there are (1 to 10⁶), where they lie, and what they are called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Arms {
    /// Arms on a line; arm i of n lies at the centre of the i-th of n equal cells of `range`.
    Line {
        /// Number of arms.
        count: usize,
        /// Interval covered by the arms; absent is (0, 1).
        #[serde(default)]
        range: Option<(f64, f64)>,
    },
    /// Arms on a grid, row by row, row 0 at the smallest y.
    Grid {
        /// Number of rows (y).
        rows: usize,
        /// Number of columns (x).
        columns: usize,
        /// Interval covered by the columns; absent is (0, 1).
        #[serde(default)]
        x_range: Option<(f64, f64)>,
        /// Interval covered by the rows; absent is (0, 1).
        #[serde(default)]
        y_range: Option<(f64, f64)>,
    },
    /// Named arms on a line, as many as there are names; arm i lies at x = i.
    Named(Vec<String>),
}

/// Which of the two lists of numbers of a bandit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The reference weights.
    Reference,
    /// The raw rewards.
    Rewards,
}

impl Role {
    /// The field's path in a preset.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Reference => "bandit.reference",
            Self::Rewards => "bandit.rewards",
        }
    }
}

/// Where one number per arm comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Source {
    /// The same number for every arm.
    Constant(f64),
    /// One number per arm; as a reference they sum to 1.
    List(Vec<f64>),
    /// One weight per arm for the reference, of any scale: they are normalised.
    Weights(Vec<f64>),
    /// A column of a CSV file; relative paths start at the preset's folder.
    Csv {
        /// The file.
        path: PathBuf,
        /// Name of the column; absent is the only one, or the one named after what it is for (reference, reward, rewards).
        #[serde(default)]
        column: Option<String>,
    },
    /// `floor` plus a sum of Gaussian bumps `height · exp(−½ ((x−center)/width)²)` (both axes on a grid).
    Bumps {
        /// The bumps.
        bumps: Vec<Bump>,
        /// Added everywhere.
        #[serde(default)]
        floor: f64,
    },
    /// Constant on ranges of arms, the last block that holds an arm wins.
    Blocks {
        /// The blocks.
        blocks: Vec<Block>,
        /// Value of arms in no block.
        #[serde(default)]
        otherwise: f64,
    },
    /// `(1 − (i + ½)/n)^exponent`, i the arm index: the paper's Figure 5 with exponent 4.
    PowerLaw {
        /// The exponent.
        exponent: f64,
    },
    /// `1 / (i + 1)^exponent`, i the arm index.
    Zipf {
        /// The exponent.
        exponent: f64,
    },
    /// Independent random numbers from a seed.
    Random {
        /// Seed of its own stream.
        seed: u64,
        /// Their distribution.
        noise: Noise,
    },
    /// A formula in the arm index `i`, the number of arms `n`, and the coordinates `x` and `y`.
    Formula(String),
}

/// One Gaussian bump of [`Source::Bumps`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bump {
    /// Centre on the x axis.
    pub x: f64,
    /// Centre on the y axis (grids only).
    #[serde(default)]
    pub y: f64,
    /// Standard deviation, above 0, in the unit of the coordinates.
    pub width: f64,
    /// Value at the centre.
    pub height: f64,
}

/// One block of [`Source::Blocks`]: arms `from` (included) to `to` (excluded).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// First arm.
    pub from: usize,
    /// One past the last arm.
    pub to: usize,
    /// Value on the block.
    pub value: f64,
}

/// Distribution of [`Source::Random`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Noise {
    /// Uniform on [low, high).
    Uniform {
        /// Lower end.
        low: f64,
        /// Upper end, above `low`.
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation, ≥ 0.
        std: f64,
    },
    /// exp of a normal.
    LogNormal {
        /// Mean of the logarithm.
        mean: f64,
        /// Standard deviation of the logarithm, ≥ 0.
        std: f64,
    },
}

/// What counts as a mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ModeSpec {
    /// Maximal runs (connected regions on a grid) of neighbouring arms with effective reward ≥ `threshold`; absent is
    /// halfway between the smallest and the largest reward.
    Detected {
        /// The threshold on the effective reward.
        #[serde(default)]
        threshold: Option<f64>,
    },
    /// Given by hand.
    Labelled(Vec<LabelledMode>),
    /// Every arm with effective reward ≥ `threshold` is a mode of its own.
    EachArm {
        /// The threshold on the effective reward.
        threshold: f64,
    },
}

impl Default for ModeSpec {
    fn default() -> Self {
        Self::Detected { threshold: None }
    }
}

/// A mode given by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelledMode {
    /// What to call it.
    pub label: String,
    /// Its arms, as ranges [from, to).
    pub ranges: Vec<(usize, usize)>,
}

/// Something that must come out of a preset, checked by running it headless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The expectation in words, for a reader.
    pub says: String,
    /// `path=value` overrides of the preset under which it holds (none for the preset itself).
    #[serde(default)]
    pub given: Vec<String>,
    /// What is measured.
    pub quantity: Quantity,
    /// Smallest and largest accepted value, both included.
    pub between: (f64, f64),
}

/// What an [`Expectation`] measures. Target quantities need no training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Quantity {
    /// Mass of one arm under the target.
    TargetMass(usize),
    /// Largest mass of any arm under the target.
    TargetPeak,
    /// A metric with the target in place of the policy.
    Target(Metric),
    /// The β at which two arms tie under the reverse target.
    TieBeta(usize, usize),
    /// Mass of one arm under the policy when the run stops.
    PolicyMass(usize),
    /// Largest mass of any arm under the policy when the run stops.
    PolicyPeak,
    /// A metric of the policy when the run stops.
    Policy(Metric),
}
