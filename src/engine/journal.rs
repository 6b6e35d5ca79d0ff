//! The journal of edits as JSON lines, read back exactly: a replay with a β that is off by one bit is another run.

use std::{fs, io, path::Path};

use serde::Deserialize as _;
use serde_json::Value;
use thiserror::Error;

use crate::experiment::JournalEntry;

/// Why a journal could not be read.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("cannot read the journal: {0}")]
    Io(#[from] io::Error),
    /// A line that is not an edit.
    #[error("line {line} of the journal is not an edit: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Steps that go down.
    #[error(
        "line {line} of the journal is for step {step}, before the line above it; steps must not go down"
    )]
    Order {
        /// Counted from 1.
        line: usize,
        /// Its step.
        step: u64,
    },
}

/// Edits as JSON, one per line.
pub(crate) fn to_lines(edits: &[JournalEntry]) -> serde_json::Result<String> {
    let mut lines = String::new();
    for entry in edits {
        lines.push_str(&serde_json::to_string(entry)?);
        lines.push('\n');
    }
    Ok(lines)
}

/// Reads a journal file. A last line without an end is what a killed process leaves, and is skipped.
///
/// # Errors
/// [`JournalError`].
pub fn read_journal(path: &Path) -> Result<Vec<JournalEntry>, JournalError> {
    from_lines(&fs::read_to_string(path)?)
}

fn from_lines(text: &str) -> Result<Vec<JournalEntry>, JournalError> {
    let mut entries: Vec<JournalEntry> = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let Some(line) = line.strip_suffix('\n') else {
            break;
        };
        if line.trim().is_empty() {
            continue;
        }
        let entry = from_line(line).map_err(|error| JournalError::Line {
            line: number,
            reason: error.to_string(),
        })?;
        if entries.last().is_some_and(|last| last.step > entry.step) {
            return Err(JournalError::Order {
                line: number,
                step: entry.step,
            });
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn from_line(line: &str) -> serde_json::Result<JournalEntry> {
    let mut value: Value = serde_json::from_str(&quote_numbers(line))?;
    restore_numbers(&mut value);
    JournalEntry::deserialize(value)
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

fn restore_numbers(value: &mut Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            if let Some(number) = text.strip_prefix(MARK) {
                let exact = if let Ok(whole) = number.parse::<u64>() {
                    Some(whole.into())
                } else {
                    number.parse().ok().and_then(serde_json::Number::from_f64)
                };
                if let Some(exact) = exact {
                    *value = Value::Number(exact);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(restore_numbers),
        Value::Object(values) => values.values_mut().for_each(restore_numbers),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use proptest::prelude::*;

    use super::*;
    use crate::{
        experiment::{Edit, LabelledMode, ModeSpec, StopRule, Training},
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
            let entries: Vec<JournalEntry> = [
                Edit::Reward { arm: 17, value },
                Edit::Reference { arm: 0, weight: value },
                Edit::Objective(Objective::new(Direction::Alpha(value), Beta::new(beta).unwrap())),
                Edit::Training(Box::new(Training { learning_rate: value, ..Training::default() })),
                Edit::Modes(ModeSpec::Labelled(vec![LabelledMode { label: format!("1.5{label}\u{1}7"), ranges: vec![(0, 3)] }])),
                Edit::Stop(StopRule { steps: Some(step), converged: Some(value), seconds: None }),
                Edit::Bars { rewards: vec![(3, value)], reference: vec![] },
            ]
            .map(|edit| JournalEntry { step, edit })
            .into();
            let text = to_lines(&entries).unwrap();
            prop_assert_eq!(from_lines(&text).unwrap(), entries);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".*") {
            let _ = from_lines(&text);
            let _ = from_lines(&format!("{text}\n"));
        }
    }

    #[test]
    fn half_a_last_line_is_skipped_and_other_mistakes_are_named() {
        let line = "{\"step\":3,\"edit\":{\"Reward\":{\"arm\":1,\"value\":0.1}}}\n";
        assert_eq!(
            from_lines(&format!("{line}{}", &line[..20])).unwrap().len(),
            1
        );
        let error = from_lines(&format!("{line}nonsense\n"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("line 2 "), "{error}");
        let earlier = line.replace('3', "2");
        let error = from_lines(&format!("{line}{earlier}"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("step 2"), "{error}");
    }
}
