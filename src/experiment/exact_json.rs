//! JSON whose numbers read back bit for bit. The JSON reader rounds some decimals to a neighbouring double, and a replay
//! with a β that is off by one bit is another run.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::mistake::repeated;

/// Reads a value from JSON, every double exactly the one that was written.
pub(crate) fn from_str<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let mut value: Value = serde_json::from_str(&quote_numbers(text))?;
    restore_numbers(&mut value)?;
    serde_json::from_value(value)
}

/// Marks a number that travels as a string.
const MARK: char = '\u{1}';

/// Turns every number into a marked string. The JSON reader rounds some decimals to a neighbouring double.
fn quote_numbers(line: &str) -> String {
    let mut quoted = String::with_capacity(line.len() + 32);
    let mut in_string = false;
    let mut in_number = false;
    let mut escaped = false;
    for c in line.chars() {
        let digit = c.is_ascii_digit()
            || matches!(c, '-' | '+' | '.')
            || (in_number && matches!(c, 'e' | 'E'));
        if !in_string && digit != in_number {
            // Marks only appear escaped inside of JSON strings, so that a user's text cannot hold one.
            quoted.push_str(if digit { "\"\\u0001" } else { "\"" });
            in_number = digit;
        }
        if c == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && c == '\\' && !escaped;
        quoted.push(c);
    }
    if in_number {
        quoted.push('"');
    }
    quoted
}

fn restore_numbers(value: &mut Value) -> serde_json::Result<()> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(text) => {
            if let Some(number) = text.strip_prefix(MARK) {
                let exact = if let Ok(whole) = number.parse::<u64>() {
                    Some(whole.into())
                } else {
                    number.parse().ok().and_then(serde_json::Number::from_f64)
                };
                let accepted = exact.ok_or_else(|| {
                    serde::de::Error::custom(format_args!(
                        "{} is not accepted; a number up to 1.8e308 is",
                        repeated(number)
                    ))
                });
                *value = Value::Number(accepted?);
            }
            Ok(())
        }
        Value::Array(values) => values.iter_mut().try_for_each(restore_numbers),
        Value::Object(values) => values.values_mut().try_for_each(restore_numbers),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use proptest::prelude::*;

    use super::*;
    use crate::{
        experiment::{Edit, Journal, LabelledMode, ModeSpec, StopRule, Training},
        theory::{Beta, Direction, Objective},
    };

    proptest! {
        #[test]
        fn every_edit_reads_back_bit_for_bit(
            step in 0..u64::MAX,
            value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO,
            beta in 1e-6..1e6f64,
            label in ".*",
        ) {
            let mut journal = Journal::default();
            for edit in [
                Edit::Reward { arm: 17, value },
                Edit::Reference { arm: 0, weight: value },
                Edit::Objective(Objective::new(Direction::Alpha(value), Beta::new(beta).unwrap())),
                Edit::Training(Box::new(Training { learning_rate: value, ..Training::default() })),
                Edit::Modes(ModeSpec::Labelled(vec![LabelledMode {
                    label: format!("1.5{label}\u{1}7"),
                    ranges: vec![(0, 3)],
                }])),
                Edit::Stop(StopRule { steps: Some(step), converged: Some(value), seconds: None }),
                Edit::Bars { rewards: vec![(3, value)], reference: vec![] },
            ] {
                journal.push(step, edit);
            }
            prop_assert_eq!(Journal::parse(&journal.to_lines()).unwrap(), journal);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".*") {
            let _ = from_str::<Edit>(&text);
            let _ = Journal::parse(&format!("{text}\n"));
        }
    }
}
