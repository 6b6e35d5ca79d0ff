//! One question about a target, as it comes from the command line or a JSON line, checked and answered.

use serde::{Deserialize, Serialize, de};

use crate::{
    bandit::{Analysis, Problem, ProblemSource},
    experiment::{Arms, BanditSpec, MAX_ARMS, ModeSpec, Source},
    theory::{
        Beta, Direction, Distribution, DistributionError, Mara, MaraAlgorithm, Metric, Objective,
        TargetError, Threshold, TieScope, Written,
    },
};

/// Up to this many arms every good arm is a mode of its own; beyond it, neighbouring good arms are one.
const SEPARATE_ARMS: usize = 1_000;

/// A question, not yet checked. The field names are those of the JSON lines.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) reference: Vec<f64>,
    pub(super) rewards: Vec<f64>,
    pub(super) beta: f64,
    #[serde(default)]
    pub(super) direction: Option<DirectionName>,
    /// In place of `direction`.
    #[serde(default)]
    pub(super) alpha: Option<f64>,
    #[serde(default)]
    pub(super) entropy: Option<f64>,
    #[serde(default, deserialize_with = "mara")]
    pub(super) mara: Option<MaraRequest>,
    #[serde(default)]
    pub(super) reward_scale: Option<f64>,
    #[serde(default)]
    pub(super) reward_offset: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DirectionName {
    #[serde(alias = "Reverse")]
    Reverse,
    #[serde(alias = "Forward")]
    Forward,
}

/// MARA as asked for: exactly one of `threshold` and `percentile`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MaraRequest {
    #[serde(alias = "tau")]
    pub(super) threshold: Option<f64>,
    pub(super) percentile: Option<f64>,
    pub(super) algorithm: Option<i64>,
    pub(super) per_class: bool,
}

/// A number is a threshold.
fn mara<'de, D: de::Deserializer<'de>>(deserializer: D) -> Result<Option<MaraRequest>, D::Error> {
    struct Visitor;

    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Option<MaraRequest>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(
                "a threshold, or an object with threshold or percentile, algorithm and per_class",
            )
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_f64<E: de::Error>(self, threshold: f64) -> Result<Self::Value, E> {
            Ok(Some(MaraRequest {
                threshold: Some(threshold),
                ..MaraRequest::default()
            }))
        }

        fn visit_i64<E: de::Error>(self, threshold: i64) -> Result<Self::Value, E> {
            self.visit_f64(threshold as f64)
        }

        fn visit_u64<E: de::Error>(self, threshold: u64) -> Result<Self::Value, E> {
            self.visit_f64(threshold as f64)
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            MaraRequest::deserialize(de::value::MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(Visitor)
}

/// A question with its answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) problem: Problem,
    pub(super) objective: Objective,
    pub(super) analysis: Analysis,
}

impl Request {
    /// Checks the question and answers it; a mistake is a sentence that names field, value and what is accepted.
    pub(super) fn solve(self) -> Result<Answer, String> {
        let objective = self.objective()?;
        let modes = self.modes(&objective);
        check_arms(&self.reference, &self.rewards)?;
        let count = self.reference.len();
        let spec = BanditSpec {
            arms: Arms::Line {
                count,
                range: Some((-0.5, count as f64 - 0.5)),
            },
            reference: Source::List(self.reference),
            rewards: Source::List(self.rewards),
            modes,
            reward_edits: Vec::new(),
            reference_edits: Vec::new(),
        };
        let problem = ProblemSource::evaluate(&spec, None)
            .and_then(|source| source.problem(&spec, &objective))
            .map_err(|error| error.to_string())?;
        let analysis = Analysis::thorough(&problem, &objective).map_err(|error| match error {
            TargetError::Reward { .. } | TargetError::Range { .. } => format!(
                "rewards, with reward_scale {} and reward_offset {}: {error}",
                Written(objective.reward_scale),
                Written(objective.reward_offset)
            ),
            other => other.to_string(),
        })?;
        Ok(Answer {
            problem,
            objective,
            analysis,
        })
    }

    fn objective(&self) -> Result<Objective, String> {
        let beta = Beta::new(self.beta)
            .map_err(|_| refused("beta", Written(self.beta), "a finite number above 0"))?;
        let direction = match (self.alpha, self.direction) {
            (Some(alpha), Some(direction)) => {
                let name = match direction {
                    DirectionName::Reverse => "reverse",
                    DirectionName::Forward => "forward",
                };
                return Err(format!(
                    "alpha: {} is not accepted beside direction: {name}; accepted: one of the two",
                    Written(alpha)
                ));
            }
            (Some(alpha), None) if !alpha.is_finite() => {
                return Err(refused(
                    "alpha",
                    Written(alpha),
                    "a finite number (1 is reverse, 0 is forward)",
                ));
            }
            (Some(alpha), None) => Direction::Alpha(alpha),
            (None, Some(DirectionName::Forward)) => Direction::Forward,
            (None, Some(DirectionName::Reverse) | None) => Direction::Reverse,
        };
        let mut objective = Objective::new(direction, beta);
        objective.reward_scale = finite("reward_scale", self.reward_scale.unwrap_or(1.0))?;
        objective.reward_offset = finite("reward_offset", self.reward_offset.unwrap_or(0.0))?;
        objective.entropy = self.entropy.unwrap_or(0.0);
        if !(objective.entropy.is_finite() && objective.entropy >= 0.0) {
            return Err(refused(
                "entropy",
                Written(objective.entropy),
                "a finite number ≥ 0",
            ));
        }
        objective.mara = self.mara.map(MaraRequest::checked).transpose()?;
        Ok(objective)
    }

    fn modes(&self, objective: &Objective) -> ModeSpec {
        let threshold = match objective.mara.map(|mara| mara.threshold) {
            Some(Threshold::Constant(threshold)) => threshold,
            Some(Threshold::Percentile(_)) | None => self.middle(objective),
        };
        if self.rewards.len() <= SEPARATE_ARMS {
            ModeSpec::EachArm { threshold }
        } else {
            ModeSpec::Detected {
                threshold: Some(threshold),
            }
        }
    }

    /// Halfway between the smallest and the largest effective reward.
    fn middle(&self, objective: &Objective) -> f64 {
        let effective = || {
            self.rewards
                .iter()
                .map(|raw| objective.effective_reward(*raw))
        };
        let low = effective().fold(f64::INFINITY, f64::min);
        let high = effective().fold(f64::NEG_INFINITY, f64::max);
        0.5 * low + 0.5 * high
    }
}

impl MaraRequest {
    fn checked(self) -> Result<Mara, String> {
        let threshold = match (self.threshold, self.percentile) {
            (Some(threshold), None) => Threshold::Constant(finite("mara threshold", threshold)?),
            (None, Some(share)) if (0.0..=1.0).contains(&share) => Threshold::Percentile(share),
            (None, Some(share)) => {
                return Err(refused(
                    "mara percentile",
                    Written(share),
                    "a number from 0 to 1",
                ));
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err("mara: one of threshold and percentile is accepted".to_owned());
            }
        };
        let algorithm = match self.algorithm {
            None => None,
            Some(1) => Some(MaraAlgorithm::AugmentReward),
            Some(2) => Some(MaraAlgorithm::SwapRewardAndReference),
            Some(other) => return Err(refused("mara algorithm", other, "1 or 2")),
        };
        Ok(Mara {
            threshold,
            algorithm,
            anchor: crate::theory::Anchor::Exact,
            per_class: self.per_class,
        })
    }
}

fn check_arms(reference: &[f64], rewards: &[f64]) -> Result<(), String> {
    if reference.len() > MAX_ARMS {
        return Err(refused(
            "reference",
            format_args!("a list of {} arms", reference.len()),
            format_args!("1 to {MAX_ARMS} arms"),
        ));
    }
    Distribution::from_masses(reference).map_err(|error| match error {
        DistributionError::NotNormalised { sum } => {
            // Without the rounding of the last digits: 0.92, not 0.9199999999999999.
            let sum = (sum * 1e12).round() / 1e12;
            format!("reference: {}", DistributionError::NotNormalised { sum })
        }
        other => format!("reference: {other}"),
    })?;
    if rewards.len() != reference.len() {
        return Err(format!(
            "rewards: {} numbers are not accepted for {} reference masses; one per arm is",
            rewards.len(),
            reference.len()
        ));
    }
    match rewards.iter().position(|reward| !reward.is_finite()) {
        Some(arm) => Err(refused(
            "rewards",
            format_args!("{} (arm {arm})", Written(rewards[arm])),
            "finite numbers",
        )),
        None => Ok(()),
    }
}

fn finite(field: &str, value: f64) -> Result<f64, String> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(refused(field, Written(value), "a finite number"))
    }
}

fn refused(field: &str, value: impl std::fmt::Display, accepted: impl std::fmt::Display) -> String {
    format!("{field}: {value} is not accepted; accepted: {accepted}")
}

/// The answer as JSON has it. Numbers read back as the same doubles.
#[derive(Debug, Serialize)]
pub(super) struct AnswerJson<'a> {
    target: &'a [f64],
    /// −∞ is null.
    log_target: &'a [f64],
    lambda: Option<f64>,
    optimal_value: f64,
    modes: Vec<ModeJson<'a>>,
    effective_modes: f64,
    ties: Vec<TieJson>,
    /// Which ties these are: "all", "one_of_alike" (of arms alike in reward and reference the first stands for all),
    /// "one_per_column" (winner changes, and one of each of up to 1,200 equal columns of log β from 1e-6 to 1e6),
    /// "winner_changes", "some_winner_changes", or "none" where rewards move with β.
    ties_listed: &'static str,
    /// How many pairs tie, where more do than are listed.
    tying_pairs: Option<u64>,
    outside_support: f64,
    sentence: &'a str,
}

#[derive(Debug, Serialize)]
struct ModeJson<'a> {
    label: &'a str,
    arms: &'a [u32],
    reference: f64,
    target: f64,
}

#[derive(Debug, Serialize)]
struct TieJson {
    beta: f64,
    better_reward: usize,
    better_support: usize,
    /// The likeliest arm changes at this β.
    changes_winner: bool,
}

impl Answer {
    pub(super) fn to_json(&self) -> AnswerJson<'_> {
        let analysis = &self.analysis;
        AnswerJson {
            target: &analysis.target.masses,
            log_target: &analysis.target.log_masses,
            lambda: analysis.target.lambda,
            optimal_value: analysis.target.optimal_value,
            modes: self
                .problem
                .modes
                .iter()
                .zip(analysis.reference_modes.iter().zip(&analysis.target_modes))
                .map(|(mode, (reference, target))| ModeJson {
                    label: &mode.label,
                    arms: &mode.arms,
                    reference: *reference,
                    target: *target,
                })
                .collect(),
            effective_modes: analysis.target_metrics.get(Metric::EffectiveModes),
            ties: analysis
                .ties
                .ties
                .iter()
                .map(|listed| TieJson {
                    beta: listed.tie.beta,
                    better_reward: listed.tie.better_reward,
                    better_support: listed.tie.better_support,
                    changes_winner: listed.changes_winner,
                })
                .collect(),
            ties_listed: match analysis.ties.scope {
                TieScope::All => "all",
                TieScope::Alike { .. } => "one_of_alike",
                TieScope::Columns { .. } => "one_per_column",
                TieScope::WinnerChanges { total } if total <= analysis.ties.ties.len() => {
                    "winner_changes"
                }
                TieScope::WinnerChanges { .. } => "some_winner_changes",
                TieScope::Unknown => "none",
            },
            tying_pairs: match analysis.ties.scope {
                TieScope::Alike { pairs } => Some(pairs),
                TieScope::Columns { pairs, .. } => pairs,
                TieScope::All | TieScope::WinnerChanges { .. } | TieScope::Unknown => None,
            },
            outside_support: analysis.target.outside_support,
            sentence: &analysis.sentence,
        }
    }
}
