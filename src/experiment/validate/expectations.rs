//! What a preset says must come out. The changes under which it says so are tried by whoever checks the file: an edit may
//! leave them behind, and the preset runs all the same.

use super::Check;
use crate::{
    experiment::{mistake::repeated, preset::Preset, set::relates},
    theory::Written,
};

impl Check {
    pub(super) fn expectations(&mut self, preset: &Preset, arms: Option<usize>) {
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
            let is_changed = |set: &String| relates(set, "bandit.arms") || relates(set, "language");
            let Some(arms) = arms.filter(|_| !expectation.given.iter().any(is_changed)) else {
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
