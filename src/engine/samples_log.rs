//! `samples.jsonl` of a run: what the language model said, one JSON object a line, for reading with any tool afterwards.
//!
//! A day-long run would fill the disk, so the file has a limit that it never passes: the first half of the room takes every
//! step, the next quarter every fourth step, the next eighth every sixteenth, and so on. Each such change is a line of its
//! own with the single key `note`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::Serialize;
use thiserror::Error;

use crate::{experiment::LanguageSpec, lm::SampleRecord};

/// Limit on the file where nobody asks for another one.
pub const DEFAULT_LIMIT_BYTES: u64 = 256 * 1024 * 1024;
/// Lines wait in memory up to this many bytes.
const BUFFER_BYTES: usize = 64 * 1024;
/// From one stage to the next, steps are written this many times more rarely.
const THINNING: u64 = 4;
/// Stage at which writing stops: the room left is then too small to say anything.
const LAST_STAGE: u32 = 16;

/// One distinct completion of a step. Numbers that are not finite are `null` in the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleLine<'a> {
    /// Step at which it was sampled.
    pub step: u64,
    /// Index of the prompt in the task.
    pub prompt: usize,
    /// The text, without the prefill and the end token.
    pub completion: &'a str,
    /// How often the batch held it.
    pub count: usize,
    /// The answer it counts as (or the reward program's label); absent for "other".
    pub answer: Option<&'a str>,
    /// Effective reward R.
    pub reward: f64,
    /// What its score was weighed with.
    pub advantage: f64,
    /// log π of the whole sequence, in nats, at sampling.
    pub log_prob: f64,
    /// log π_ref of the same.
    pub log_reference: f64,
    /// What MARA added to the reward; 0 where it is off.
    pub bonus: f64,
}

impl<'a> SampleLine<'a> {
    /// A sample as the trainer tells it.
    #[must_use]
    pub fn of(step: u64, sample: &'a SampleRecord, language: &'a LanguageSpec) -> Self {
        let answer = language
            .prompts
            .get(sample.prompt)
            .and_then(|task| task.answers.get(sample.arm))
            .map(|answer| answer.text.as_str());
        Self {
            step,
            prompt: sample.prompt,
            completion: &sample.text,
            count: sample.count as usize,
            answer: sample.label.as_deref().or(answer),
            reward: sample.reward,
            advantage: sample.advantage,
            log_prob: sample.log_prob,
            log_reference: sample.log_reference,
            bonus: sample.bonus,
        }
    }
}

/// Why samples are no longer written.
#[derive(Debug, Error)]
#[error("samples are no longer written, {} refused: {error}", path.display())]
pub struct SamplesLogError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

/// The file, open for appending. An error is told once; after it the log is silent and the run goes on without it.
#[derive(Debug)]
pub struct SamplesLog {
    path: PathBuf,
    file: Option<File>,
    waiting: Vec<u8>,
    limit_bytes: u64,
    /// Bytes written or waiting.
    length: u64,
    stage: u32,
}

impl SamplesLog {
    /// Starts an empty file that will hold at most `limit_bytes`; missing folders are made, an existing file is replaced.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path, limit_bytes: u64) -> Result<Self, SamplesLogError> {
        let refused = |error| SamplesLogError {
            path: path.to_owned(),
            error,
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(refused)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(path)
            .map_err(refused)?;
        Ok(Self {
            path: path.to_owned(),
            file: Some(file),
            waiting: Vec::with_capacity(BUFFER_BYTES),
            limit_bytes,
            length: 0,
            stage: 0,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a step's samples would be written now, so that nobody prepares lines for nothing.
    #[must_use]
    pub fn wants(&self, step: u64) -> bool {
        self.file.is_some()
            && self.stage < LAST_STAGE
            && step.is_multiple_of(THINNING.pow(self.stage))
    }

    /// Adds the samples of one step: all of them or, when the step is one that is left out, none.
    ///
    /// # Errors
    /// The first time that the file refuses; from then on nothing is written and nothing is said.
    pub fn append(&mut self, step: u64, records: &[SampleLine<'_>]) -> Result<(), SamplesLogError> {
        if !self.wants(step) {
            return Ok(());
        }
        let start = self.waiting.len();
        for record in records {
            // Plain text and numbers always serialise, and a vector takes every byte.
            let _ = serde_json::to_writer(&mut self.waiting, record);
            self.waiting.push(b'\n');
        }
        let added = (self.waiting.len() - start) as u64;
        if self.length + added > self.room() {
            self.waiting.truncate(start);
            self.next_stage(step);
            return self.append(step, records);
        }
        self.length += added;
        if self.waiting.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// As [`SamplesLog::append`].
    pub fn flush(&mut self) -> Result<(), SamplesLogError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let outcome = file.write_all(&self.waiting);
        self.waiting.clear();
        outcome.map_err(|error| {
            self.file = None;
            SamplesLogError {
                path: self.path.clone(),
                error,
            }
        })
    }

    /// Bytes that the file may have by the end of the present stage: 1 − 2^−(stage+1) of the limit.
    fn room(&self) -> u64 {
        self.limit_bytes - (self.limit_bytes >> (self.stage + 1))
    }

    fn next_stage(&mut self, step: u64) {
        #[derive(Serialize)]
        struct Note {
            note: String,
        }
        self.stage += 1;
        let note = if self.stage < LAST_STAGE {
            format!(
                "from step {step} on only every {}th step is written, since this file may have {} bytes at most",
                THINNING.pow(self.stage),
                self.limit_bytes
            )
        } else {
            format!(
                "from step {step} on nothing is written, since this file may have {} bytes at most",
                self.limit_bytes
            )
        };
        let start = self.waiting.len();
        let _ = serde_json::to_writer(&mut self.waiting, &Note { note });
        self.waiting.push(b'\n');
        let added = (self.waiting.len() - start) as u64;
        if self.length + added > self.limit_bytes {
            self.waiting.truncate(start);
        } else {
            self.length += added;
        }
    }
}

impl Drop for SamplesLog {
    fn drop(&mut self) {
        // Whoever wants to know of errors has called `flush`.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use serde_json::Value;

    fn record(step: u64, completion: &str) -> SampleLine<'_> {
        SampleLine {
            step,
            prompt: 0,
            completion,
            count: 3,
            answer: Some("one"),
            reward: 1.0,
            advantage: 0.25,
            log_prob: -0.5,
            log_reference: f64::NEG_INFINITY,
            bonus: 0.0,
        }
    }

    fn lines(path: &Path) -> Vec<Value> {
        fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn every_sample_is_one_line_of_json() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/samples.jsonl");
        let mut log = SamplesLog::create(&path, DEFAULT_LIMIT_BYTES).unwrap();
        log.append(7, &[record(7, "a \"b\"\nü"), record(7, "")])
            .unwrap();
        log.flush().unwrap();
        let read = lines(&path);
        assert_eq!(read.len(), 2);
        assert_eq!(read[0]["completion"], "a \"b\"\nü");
        assert_eq!(read[0]["step"], 7);
        assert_eq!(read[0]["count"], 3);
        assert_eq!(read[0]["answer"], "one");
        assert_eq!(read[0]["advantage"], 0.25);
        assert_eq!(read[0]["log_reference"], Value::Null);
    }

    #[test]
    fn a_long_run_stays_under_its_limit_and_says_what_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("samples.jsonl");
        let limit = 40_000;
        let mut log = SamplesLog::create(&path, limit).unwrap();
        for step in 0..20_000 {
            log.append(step, &[record(step, "x"), record(step, "y")])
                .unwrap();
        }
        drop(log);
        let size = fs::metadata(&path).unwrap().len();
        assert!(size <= limit && size > limit * 3 / 4, "{size}");
        let read = lines(&path);
        let steps: Vec<u64> = read
            .iter()
            .filter_map(|line| line["step"].as_u64())
            .collect();
        // Nothing is missing at the start, and the file reaches far into the run.
        assert!((0..50).all(|step| steps.contains(&step)));
        assert!(*steps.last().unwrap() > 2_000);
        assert!(steps.is_sorted());
        // No step is cut in half.
        assert!(steps.chunks(2).all(|pair| pair[0] == pair[1]));
        let first_note = read.iter().find_map(|line| line["note"].as_str()).unwrap();
        assert!(first_note.contains("every 4th step"), "{first_note}");
    }

    #[test]
    fn one_step_that_is_larger_than_the_limit_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("samples.jsonl");
        let mut log = SamplesLog::create(&path, 300).unwrap();
        let long = "x".repeat(1000);
        log.append(0, &[record(0, &long)]).unwrap();
        log.append(1, &[record(1, "y")]).unwrap();
        drop(log);
        assert!(fs::metadata(&path).unwrap().len() <= 300);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_told_once() {
        let mut log = SamplesLog::create(Path::new("/dev/full"), DEFAULT_LIMIT_BYTES).unwrap();
        log.append(0, &[record(0, "x")]).unwrap();
        let message = log.flush().unwrap_err().to_string();
        assert!(message.contains("/dev/full"), "{message}");
        assert!(!log.wants(1));
        log.append(1, &[record(1, "x")]).unwrap();
        log.flush().unwrap();
    }
}
