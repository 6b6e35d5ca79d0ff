//! What a preset says must come out, and under which changes.

use std::collections::HashMap;

use super::{Check, TOLD, arm_count, validate_for};
use crate::{
    experiment::{
        mistake::{Mistake, repeated},
        preset::Preset,
        read::to_ron,
        set::{relates, try_paths},
    },
    theory::Written,
};

/// Changes are tried on a preset while the texts they make have so many bytes together; those of huge presets are left to
/// whoever makes them.
const TRIED_BYTES: usize = 64 << 20;

impl Check {
    pub(super) fn expectations(&mut self, preset: &Preset, arms: Option<usize>, unsure: &[&str]) {
        for (index, expectation) in preset.expectations.iter().enumerate() {
            let at = |name| format!("expectations.{index}.{name}");
            self.filled(&at("says"), &expectation.says);
            let (low, high) = expectation.between;
            if low.is_nan() || high.is_nan() || low > high {
                self.refuse(
                    at("between"),
                    format_args!("({}, {})", Written(low), Written(high)),
                    "two numbers, the smaller one first, are",
                );
            }
        }
        if preset.expectations.is_empty() {
            return;
        }
        let known = Known {
            bare: Preset {
                expectations: Vec::new(),
                ..preset.clone()
            },
            arms,
            unsure,
        };
        self.given(preset, &known);
    }

    /// The changes under which expectations hold, and the arms that they name.
    fn given(&mut self, preset: &Preset, known: &Known<'_>) {
        let base = self.mistakes.clone();
        let mut size = None;
        let mut tried: HashMap<&[String], Tried> = HashMap::new();
        let mut left = TRIED_BYTES;
        for (index, expectation) in preset.expectations.iter().enumerate() {
            let given = expectation.given.as_slice();
            let mut arms = known.arms;
            if !given.is_empty() {
                let cost = *size.get_or_insert_with(|| to_ron(&known.bare).len()) * given.len();
                if !tried.contains_key(given) {
                    if cost > left {
                        continue;
                    }
                    left -= cost;
                }
                let Tried {
                    mistakes,
                    arms: changed,
                } = tried
                    .entry(given)
                    .or_insert_with(|| known.try_given(given, &base));
                arms = *changed;
                for (at, message) in mistakes {
                    let field = format!("expectations.{index}.given.{at}");
                    self.mistakes.push(Mistake::new(field, message.clone()));
                }
            }
            let Some(arms) = arms else {
                continue;
            };
            for arm in expectation.quantity.arms().filter(|arm| *arm >= arms) {
                self.refuse(
                    format!("expectations.{index}.quantity"),
                    format_args!("arm {arm}"),
                    format_args!("arms 0 to {} are", arms - 1),
                );
            }
        }
    }
}

/// The preset that changes are tried on.
struct Known<'a> {
    /// Without its expectations.
    bare: Preset,
    arms: Option<usize>,
    /// Fields of which the preset has not what its author wrote.
    unsure: &'a [&'a str],
}

/// What some changes come to.
struct Tried {
    /// By index of the change.
    mistakes: Vec<(usize, String)>,
    /// The number of arms then, where it is known.
    arms: Option<usize>,
}

impl Known<'_> {
    /// Mistakes that a preset had before are not those of its changes.
    fn try_given(&self, given: &[String], base: &[Mistake]) -> Tried {
        let is_sure = |index: usize| {
            let assignment = given.get(index).map_or("", String::as_str);
            let part = |path: &str| {
                path.split(['.', '='])
                    .next()
                    .map(|part| part.trim().to_owned())
            };
            (self.unsure.iter()).all(|field| part(field) != part(assignment))
        };
        let (changed, refused) = try_paths(&self.bare, given);
        let mut mistakes: Vec<(usize, String)> = refused
            .iter()
            .filter(|(index, _)| is_sure(*index))
            .map(|(index, error)| (*index, refusal(given, *index, error)))
            .collect();
        let arms = match self.arms {
            Some(_) => arm_count(&changed.bandit.arms),
            None => None,
        };
        let further = validate_for(&changed, arms, self.unsure);
        for mistake in further
            .into_iter()
            .filter(|one| !base.contains(one))
            .take(TOLD)
        {
            let index = responsible(given, &mistake.field);
            if is_sure(index) && !refused.iter().any(|(other, _)| *other == index) {
                mistakes.push((index, refusal(given, index, &mistake)));
            }
        }
        Tried { mistakes, arms }
    }
}

/// The change that brought a mistake of this field about: the last one that sets it, or else the last one.
pub(crate) fn responsible(given: &[String], field: &str) -> usize {
    (given
        .iter()
        .rposition(|assignment| relates(assignment, field)))
    .unwrap_or(given.len().saturating_sub(1))
}

/// What to say of a change that is not accepted.
pub(crate) fn refusal(given: &[String], index: usize, why: &impl std::fmt::Display) -> String {
    let assignment = given.get(index).map_or("", String::as_str);
    format!("“{}” is not accepted; {why}", repeated(assignment))
}
