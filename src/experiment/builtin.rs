//! The presets that are embedded in the program.

use super::{preset::Preset, read::parse_preset};

/// A preset that is embedded in the program; also a file in `presets/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builtin {
    /// Its name on the command line and in links: the file's name without its ending.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! builtins {
    ($($name:literal,)+) => {
        &[$(Builtin {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/presets/", $name, ".ron")),
        },)+]
    };
}

/// In the order in which the gallery shows them; the first one opens by default.
const BUILTINS: &[Builtin] = builtins![
    "figure-5",
    "figure-5-mara-reverse",
    "figure-5-mara-forward",
    "figure-1a-reverse",
    "figure-1a-forward",
    "figure-1b-reverse",
    "figure-1b-forward",
    "figure-2",
    "figure-3",
    "figure-4",
    "step-reference",
    "landscape",
    "many-arms",
    "estimator-trap",
    "dynamics-collapse",
    "outside-the-support",
    "lm-one-or-two",
    "lm-one-or-two-mara",
    "lm-one-or-two-forward",
    "lm-one-or-two-mara-forward",
    "lm-die",
    "lm-digit",
    "lm-colours",
    "lm-smollm2-one-or-two",
    "lm-smollm2-one-or-two-mara",
    "lm-smollm2-one-or-two-forward",
    "lm-smollm2-one-or-two-mara-forward",
    "lm-smollm2-die",
    "lm-smollm2-digit",
    "lm-smollm2-colours",
];

/// The embedded presets in the order in which the gallery shows them; the first one opens by default.
#[must_use]
pub fn builtin() -> &'static [Builtin] {
    BUILTINS
}

/// An embedded preset by name.
#[must_use]
pub fn builtin_preset(name: &str) -> Option<Preset> {
    let found = BUILTINS.iter().find(|builtin| builtin.name == name)?;
    // A test reads every embedded preset, so that this cannot be None for a name that exists.
    parse_preset(found.text).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;
    use crate::{bandit::ProblemSource, experiment::to_ron};

    #[test]
    fn every_preset_reads_becomes_a_problem_and_survives_a_round_trip() {
        for builtin in builtin() {
            let preset = parse_preset(builtin.text)
                .unwrap_or_else(|errors| panic!("{}: {:#?}", builtin.name, errors.mistakes()));
            let problem = ProblemSource::evaluate(&preset.bandit, None)
                .unwrap()
                .problem(&preset.bandit, &preset.objective)
                .unwrap();
            assert!(!problem.modes.is_empty(), "{} has no modes", builtin.name);
            assert!(!preset.expectations.is_empty(), "{}", builtin.name);
            assert!(!preset.summary.is_empty() && !preset.look_for.is_empty());
            let written = to_ron(&preset);
            assert_eq!(parse_preset(&written).unwrap(), preset, "{written}");
        }
    }
}
