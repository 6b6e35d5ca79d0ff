//! Reading on past syntax errors, so that one forgotten comma does not hide every other mistake.
//!
//! A text is mended where that is sure (see [`Repair`](super::tree::Repair)), one error at a time, and what the mended text
//! says is checked as any other. Nothing is told that may only follow from the mending: not of the field that was
//! mended, nor that something is missing where a bracket had to be closed.

use super::{
    mistake::{Mistake, Place, PresetErrors},
    read::{Examined, Trust, examine_tree, is_part_of},
    tree::{Damage, Repair, SyntaxError, Tree},
};

/// So many syntax errors are told of one text.
const TOLD: usize = 20;

/// Texts of up to so many bytes are mended; every error costs a pass over the text.
const LARGEST: usize = 1 << 20;

/// A text after its syntax errors were mended.
#[derive(Default)]
struct Mended {
    text: String,
    /// Where the text differs from the one before each repair: start, bytes taken out, bytes put in.
    repairs: Vec<(usize, usize, usize)>,
    /// The fields that were mended.
    damaged: Vec<(String, Damage)>,
    errors: Vec<Mistake>,
}

/// Every mistake of a text that is not RON, as far as they can be known: `first` is why it is none.
///
/// # Errors
/// The first syntax error, where one cannot be mended.
pub(super) fn examine(text: &str, first: SyntaxError) -> Result<Examined, PresetErrors> {
    let mut mended = Mended {
        text: text.to_owned(),
        ..Mended::default()
    };
    let mut error = first;
    loop {
        let goes_on = mended.take(text, error);
        match Tree::parse(&mended.text) {
            Ok(tree) if goes_on => {
                let further = mended.further(text, &tree);
                let mut mistakes = mended.errors;
                mistakes.extend(further);
                return Ok(Examined {
                    preset: None,
                    mistakes,
                    mended_fields: Vec::new(),
                });
            }
            Err(next) if goes_on => error = next,
            Ok(_) | Err(_) => {
                // Where reading has to end, what came before may have been misread as well: only the first is sure.
                mended.errors.truncate(1);
                let none = || Mistake::new("", "the text is not RON").into();
                return Err(PresetErrors::collect(mended.errors).unwrap_or_else(none));
            }
        }
    }
}

impl Mended {
    /// Notes an error and mends it; false where it cannot be.
    fn take(&mut self, text: &str, error: SyntaxError) -> bool {
        let mut mistake = Mistake::new(error.field.clone(), error.message);
        mistake.place = Some(Place::of_offset(text, self.original(error.at)));
        if let Some(bracket) = error.bracket {
            let here = Place::of_offset(&self.text, bracket).to_string();
            let there = Place::of_offset(text, self.original(bracket)).to_string();
            mistake.message = mistake.message.replace(&here, &there);
        }
        self.errors.push(mistake);
        let is_worth_it = self.errors.len() < TOLD && text.len() <= LARGEST;
        let is_whole = |repair: &Repair| Tree::parse(&repair.applied(&self.text)).is_ok();
        let mut repairs = error.repairs;
        if repairs.len() > 1 && is_worth_it {
            repairs.retain(is_whole);
        }
        let (Some(repair), true, true) = (repairs.pop(), repairs.is_empty(), is_worth_it) else {
            return false;
        };
        self.repairs.push((
            repair.span.start,
            repair.span.len(),
            repair.replacement.len(),
        ));
        self.damaged.push((error.field, repair.damage));
        self.text = repair.applied(&self.text);
        true
    }

    /// The offset in the text as it was written.
    fn original(&self, offset: usize) -> usize {
        let back = |at: usize, &(start, out, put): &(usize, usize, usize)| {
            if at < start {
                at
            } else if at < start + put {
                start
            } else {
                at - put + out
            }
        };
        self.repairs.iter().rev().fold(offset, back)
    }

    /// What is wrong with the mended text and does not follow from the mending.
    fn further(&self, text: &str, tree: &Tree<'_>) -> Vec<Mistake> {
        let fields: Vec<&str> = (self.damaged.iter())
            .filter(|(_, damage)| *damage != Damage::Nothing)
            .map(|(field, _)| field.as_str())
            .collect();
        let found = match examine_tree(tree, &Trust::but(&fields)) {
            Ok(examined) => examined.mistakes,
            // What only the decoder finds may come from the mending.
            Err(_) => return Vec::new(),
        };
        found
            .into_iter()
            .filter(|mistake| !self.follows(mistake))
            .map(|mut mistake| {
                mistake.place = (mistake.place)
                    .map(|place| Place::of_offset(text, self.original(place.offset(&self.text))));
                mistake
            })
            .collect()
    }

    /// Whether a mistake may be one of the mending.
    fn follows(&self, mistake: &Mistake) -> bool {
        let field = mistake.field.as_str();
        let parent = field.rsplit_once('.').map_or("", |(parent, _)| parent);
        self.damaged.iter().any(|(damaged, damage)| {
            let touches =
                is_part_of(damaged, field) || (!damaged.is_empty() && is_part_of(field, damaged));
            match damage {
                Damage::Nothing => false,
                Damage::Value => touches,
                // A bracket that closed too early leaves fields in the wrong struct and others without one.
                Damage::Open if damaged.is_empty() => parent.is_empty(),
                Damage::Open => touches || (mistake.is_missing && is_part_of(damaged, parent)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use crate::experiment::{builtin, parse_preset};

    fn told(text: &str) -> Vec<String> {
        let errors = parse_preset(text).unwrap_err();
        errors.mistakes().iter().map(ToString::to_string).collect()
    }

    /// A preset with a mistake in its value of β and one in its start; `lines` stand between them.
    fn around(objective: &str, training: &str) -> String {
        format!(
            "(\n    format: 1,\n    title: \"\",\n    bandit: (\n        arms: Line(count: 3),\n        reference: Weights([1, 2, 3]),\n        \
             rewards: Constant(1),\n    ),\n    objective: ({objective}),\n    training: ({training}),\n)\n"
        )
    }

    #[test]
    fn other_mistakes_are_told_beside_a_syntax_error() {
        for (objective, training, wanted) in [
            (
                "direction: Reverse beta: -1",
                "sed: 3",
                &[
                    "3:12: title: is empty",
                    "9:36: objective.direction: `beta` is not expected here; `,` or `)` is",
                    "9:42: objective.beta: `-1` is not accepted",
                    "10:16: training.sed: unknown field",
                ][..],
            ),
            (
                "direction = Reverse, beta = 0",
                "seed: 3",
                &[
                    "3:12: title",
                    "9:27: `=` is not expected behind `direction`; `:` is",
                    "9:43: objective.direction: `=` is not expected behind `beta`; `:` is",
                    "9:45: objective.beta: `0` is not accepted",
                ],
            ),
            (
                "direction: Reverse, beta: , entropy: -1",
                "learning_rate: 0",
                &[
                    "3:12: title",
                    "9:43: objective.beta: `,` is not expected here; a value is",
                    "9:54: objective.entropy: -1",
                    "10:31: training.learning_rate: 0",
                ],
            ),
            (
                "direction: Reverse,, beta: 0.1; entropy: -1",
                "learning_rate: 1%",
                &[
                    "3:12: title",
                    "9:36: objective.direction: `,` is not expected here",
                    "9:47: objective.beta: `;` is not expected here",
                    "9:58: objective.entropy: -1",
                    "10:32: training.learning_rate: `%` is not expected here",
                ],
            ),
            (
                "direction: Reverse, beta: -",
                "start: Given([1, 2), seed: -1",
                &[
                    "3:12: title",
                    "9:43: objective.beta: `-` is not accepted; a number is",
                    "10:34: training.start.1: `)` is not expected here",
                    "10:43: training.seed: `-1` is not accepted; a whole number from 0 to 18446744073709551615 is",
                ],
            ),
        ] {
            // The first mistake in a struct without fields is told of the struct.
            let found = told(&around(objective, training));
            assert_eq!(found.len(), wanted.len(), "{found:#?}");
            for (found, wanted) in found.iter().zip(wanted) {
                let short = found.replace("objective: `=`", "`=`");
                assert!(
                    found.starts_with(wanted) || short.starts_with(wanted),
                    "{found}\n{wanted}"
                );
            }
        }
    }

    #[test]
    fn a_bracket_too_many_or_too_few_invents_nothing() {
        let good = around("direction: Reverse, beta: 0.1", "seed: 3").replace("\"\"", "\"t\"");
        parse_preset(&good).unwrap();
        for (old, new) in [
            ("beta: 0.1),", "beta: 0.1)),"),
            ("Weights([1, 2, 3]),", "Weights([1, 2, 3),"),
            ("Weights([1, 2, 3]),", "Weights([1, 2, 3],"),
            ("Line(count: 3),", "Line(count: 3,"),
            ("seed: 3),\n)", "seed: 3)"),
            ("seed: 3),\n)", "seed: 3"),
        ] {
            assert!(good.contains(old));
            let found = told(&good.replace(old, new));
            assert_eq!(found.len(), 1, "{new}: {found:#?}");
        }
    }

    #[test]
    fn one_character_less_is_at_most_two_mistakes() {
        // Any bracket, comma, colon or quote taken out of a sound preset: nothing is invented.
        for builtin in builtin().iter() {
            for (at, _) in (builtin.text.char_indices()).filter(|(_, c)| "()[],:\"".contains(*c)) {
                let mut text = builtin.text.to_owned();
                text.remove(at);
                if let Err(errors) = parse_preset(&text) {
                    let count = errors.mistakes().len();
                    assert!(
                        count <= 2,
                        "{} at {at}: {:#?}",
                        builtin.name,
                        errors.mistakes()
                    );
                }
            }
        }
    }
}
