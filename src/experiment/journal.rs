//! The journal of a run: its edits with the steps at which they took effect. With the preset and its seed it repeats the
//! run, edits included.
//!
//! On disk it is JSON lines, an entry a line, so that a long run can append and a person can read.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    edit::{Edit, JournalEntry},
    exact_json,
};

/// The edits of a run, ascending in step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Journal {
    entries: Vec<JournalEntry>,
}

/// Why a text is not a journal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line} of the journal: {message}")]
pub struct JournalError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl Journal {
    /// Adds an edit that takes effect after `step` steps; steps never go down.
    pub fn push(&mut self, step: u64, edit: Edit) {
        let last = self.entries.last().map_or(0, |entry| entry.step);
        self.entries.push(JournalEntry {
            step: step.max(last),
            edit,
        });
    }

    /// The entries, ascending in step.
    #[must_use]
    pub fn entries(&self) -> &[JournalEntry] {
        &self.entries
    }

    /// The edits that take effect once `step` steps are done, in order.
    pub fn at(&self, step: u64) -> impl Iterator<Item = &Edit> {
        let first = self.entries.partition_point(|entry| entry.step < step);
        self.entries[first..]
            .iter()
            .take_while(move |entry| entry.step == step)
            .map(|entry| &entry.edit)
    }

    /// Forgets what took effect after `step`: the run went back there.
    pub fn truncate(&mut self, step: u64) {
        let kept = self.entries.partition_point(|entry| entry.step <= step);
        self.entries.truncate(kept);
    }

    /// The file: an entry a line.
    #[must_use]
    pub fn to_lines(&self) -> String {
        Self::lines_of(&self.entries)
    }

    /// Some entries as lines, to append to the file.
    #[must_use]
    pub fn lines_of(entries: &[JournalEntry]) -> String {
        let mut lines = String::new();
        for entry in entries {
            // An entry is plain data with text keys, which JSON can always write.
            lines.push_str(&serde_json::to_string(entry).unwrap_or_default());
            lines.push('\n');
        }
        lines
    }

    /// Reads what [`Self::to_lines`] wrote. A last line that was cut off, as by a crash while it was written, is left out.
    ///
    /// # Errors
    /// The first line that is no entry, or goes back in steps.
    pub fn parse(text: &str) -> Result<Self, JournalError> {
        let mut journal = Self::default();
        for (index, line) in text.split_inclusive('\n').enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let fail = |message: String| JournalError {
                line: index + 1,
                message,
            };
            let entry: JournalEntry = match exact_json::from_str(line) {
                Ok(entry) => entry,
                Err(_) if !line.ends_with('\n') => break,
                Err(error) => return Err(fail(format!("is no entry ({error})"))),
            };
            let last = journal.entries.last().map_or(0, |entry| entry.step);
            if entry.step < last {
                return Err(fail(format!(
                    "step {} comes after step {last}; steps must not go down",
                    entry.step
                )));
            }
            journal.entries.push(entry);
        }
        Ok(journal)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;
    use crate::experiment::{ModeSpec, StopRule, builtin_preset};

    fn journal() -> Journal {
        let preset = builtin_preset("estimator-trap").unwrap();
        let mut journal = Journal::default();
        journal.push(3, Edit::Objective(preset.objective));
        journal.push(3, Edit::Training(Box::new(preset.training)));
        journal.push(
            7,
            Edit::Reward {
                arm: 1,
                value: 0.1 + 0.2,
            },
        );
        journal.push(7, Edit::Modes(ModeSpec::EachArm { threshold: 0.5 }));
        journal.push(
            9,
            Edit::Stop(StopRule {
                steps: Some(u64::MAX),
                ..StopRule::default()
            }),
        );
        journal.push(
            12,
            Edit::Bars {
                rewards: vec![(0, 1e-300)],
                reference: vec![],
            },
        );
        journal
    }

    #[test]
    fn what_is_written_is_read_back_exactly() {
        let journal = journal();
        let text = journal.to_lines();
        assert_eq!(text.lines().count(), 6);
        assert_eq!(Journal::parse(&text).unwrap(), journal);
        assert_eq!(Journal::parse("").unwrap(), Journal::default());
    }

    #[test]
    fn a_cut_off_last_line_is_left_out_and_a_bad_one_named() {
        let text = journal().to_lines();
        let cut = Journal::parse(&text[..text.len() - 5]).unwrap();
        assert_eq!(cut.entries(), &journal().entries()[..5]);
        let bad = text.replacen("{\"step\":7", "{\"stop\":7", 1);
        assert_eq!(Journal::parse(&bad).unwrap_err().line, 3);
        for (line, name) in [
            (
                "{\"step\":5,\"foo\":1,\"edit\":{\"Reward\":{\"arm\":1,\"value\":2}}}\n",
                "foo",
            ),
            (
                "{\"step\":5,\"edit\":{\"Reward\":{\"arm\":1,\"value\":2,\"bar\":1}}}\n",
                "bar",
            ),
        ] {
            let told = Journal::parse(line).unwrap_err().to_string();
            assert!(told.contains(&format!("unknown field `{name}`")), "{told}");
        }
        let huge = "{\"step\":5,\"edit\":{\"Reward\":{\"arm\":1,\"value\":1e999}}}\n";
        assert_eq!(
            Journal::parse(huge).unwrap_err().to_string(),
            "line 1 of the journal: is no entry (1e999 is not accepted; a number up to 1.8e308 is)"
        );
        let back = text.replacen("{\"step\":9", "{\"step\":2", 1);
        let error = Journal::parse(&back).unwrap_err().to_string();
        assert_eq!(
            error,
            "line 5 of the journal: step 2 comes after step 7; steps must not go down"
        );
    }

    #[test]
    fn edits_are_found_by_step_and_forgotten_behind_one() {
        let mut journal = journal();
        assert_eq!(journal.at(3).count(), 2);
        assert_eq!(journal.at(4).count(), 0);
        assert_eq!(journal.at(12).count(), 1);
        journal.truncate(7);
        assert_eq!(journal.entries().len(), 4);
        journal.push(5, Edit::Stop(StopRule::default()));
        assert_eq!(journal.entries()[4].step, 7);
    }
}
