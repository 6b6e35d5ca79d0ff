//! Rewards from any program: JSON lines on its standard input and output, one reply for each request and in their order.
//!
//! ```text
//! in   {"id":1,"prompt":"Pick 1 or 2","completion":"2","log_prob":-0.61,"log_reference":-1.9}
//! out  {"id":1,"reward":1.0,"label":"two"}
//! ```
//!
//! `label` may be left out. The log-probabilities are those of the whole sequence in nats; `null` stands for −∞. A program
//! that breaks the protocol, hangs or dies is killed and started afresh for the next batch, up to [`MAX_FAILURES`] times in
//! a row. docs/tasks.md tells the same to its author.

mod child;
mod reply;
#[cfg(test)]
mod tests;

use std::{
    mem,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use thiserror::Error;

use self::{
    child::{MAX_LINE_BYTES, Pipe, Running},
    reply::{Question, read_reply},
};
use crate::experiment::RewardProgramSpec;

/// Failures in a row after which a program is not started again.
pub const MAX_FAILURES: u32 = 3;
/// Longest time that may be asked for one batch: a day.
pub const MAX_TIMEOUT_SECS: f64 = 86_400.0;
/// How often a wait looks whether it should stop.
const LOOK: Duration = Duration::from_millis(20);
/// How long a program that takes no more input may still answer.
const DEAF: Duration = Duration::from_secs(1);

/// A completion to be rewarded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RewardRequest<'a> {
    /// The prompt as the preset has it.
    pub prompt: &'a str,
    /// The completion, without prefill and end token.
    pub completion: &'a str,
    /// log π of the whole sequence in nats.
    pub log_prob: f64,
    /// log π_ref of the same.
    pub log_reference: f64,
}

/// What the program said of a completion.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardReply {
    /// The raw reward, finite.
    pub reward: f64,
    /// The mode that it belongs to, if the program says so.
    pub label: Option<String>,
}

/// Why there are no rewards; each is one line that names the command.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// No command was given.
    #[error(
        "the reward program's command is empty; accepted is a program and its arguments, such as [\"python3\", \"reward.py\"]"
    )]
    NoCommand,
    /// A time-out that cannot be kept.
    #[error("timeout_secs is {0}; accepted is a number above 0 and up to {MAX_TIMEOUT_SECS}")]
    Timeout(f64),
    /// It did not start.
    #[error("reward program `{command}` did not start: {error}")]
    Start {
        /// The command.
        command: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// It answered something else than a reply.
    #[error("reward program `{command}`, line {line} of its output: {why}")]
    Reply {
        /// The command.
        command: String,
        /// Line of its output, from 1, since it was started.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It did not answer in time.
    #[error(
        "reward program `{command}` answered {answered} of {asked} requests in {secs} s; it has to flush its output after every line{words}"
    )]
    Late {
        /// The command.
        command: String,
        /// Replies that came.
        answered: usize,
        /// Requests in the batch.
        asked: usize,
        /// The time-out in seconds.
        secs: f64,
        /// The last lines of its standard error, if any.
        words: String,
    },
    /// It ended, or closed its output, before it had answered.
    #[error(
        "reward program `{command}` {how} {place}, with {answered} of {asked} requests answered{words}"
    )]
    Ended {
        /// The command.
        command: String,
        /// Its exit status, in words.
        how: String,
        /// Where in its output that was, in words.
        place: String,
        /// Replies that came.
        answered: usize,
        /// Requests in the batch.
        asked: usize,
        /// The last lines of its standard error, if any.
        words: String,
    },
    /// It failed too often and is left alone.
    #[error("{last} (after {MAX_FAILURES} failures in a row it is not started again)")]
    GivenUp {
        /// The last failure.
        last: String,
    },
    /// The caller asked to stop; nothing is wrong with the program.
    #[error("stopped while waiting for the reward program")]
    Stopped,
}

/// A reward program, running or ready to be started again. Dropping it kills the program and what it started.
#[derive(Debug)]
pub struct RewardProgram {
    command: Vec<String>,
    folder: Option<PathBuf>,
    timeout: Duration,
    running: Option<Running>,
    /// Failures since the last good batch, and the last of them.
    failures: u32,
    last_failure: String,
    next_id: u64,
}

impl RewardProgram {
    /// Starts the program in its folder, or in `base_dir`, the preset's: relative paths in the command begin there.
    ///
    /// # Errors
    /// When the command is empty, the time-out is not usable, or the program does not start.
    pub fn start(spec: &RewardProgramSpec, base_dir: Option<&Path>) -> Result<Self, ProgramError> {
        if spec
            .command
            .first()
            .is_none_or(|word| word.trim().is_empty())
        {
            return Err(ProgramError::NoCommand);
        }
        let secs = spec.timeout_secs;
        if !(secs > 0.0 && secs <= MAX_TIMEOUT_SECS) {
            return Err(ProgramError::Timeout(secs));
        }
        let mut program = Self {
            command: spec.command.clone(),
            folder: match (base_dir, &spec.folder) {
                (Some(base), Some(folder)) => Some(base.join(folder)),
                (None, Some(folder)) => Some(folder.clone()),
                (base, None) => base.map(Path::to_owned),
            },
            timeout: Duration::from_secs_f64(secs),
            running: None,
            failures: 0,
            last_failure: String::new(),
            next_id: 1,
        };
        program.running = Some(program.spawn()?);
        Ok(program)
    }

    /// The replies to a batch, one for each request. Waits for them at most the preset's time-out (the first batch's time
    /// includes the program's start), and for as long as `stopped` says no, which is asked every 20 ms.
    ///
    /// # Errors
    /// [`ProgramError`]. The program is then killed; the next call starts it again unless it has failed [`MAX_FAILURES`]
    /// times in a row.
    pub fn rewards(
        &mut self,
        requests: &[RewardRequest<'_>],
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<RewardReply>, ProgramError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        if self.failures >= MAX_FAILURES {
            return Err(ProgramError::GivenUp {
                last: self.last_failure.clone(),
            });
        }
        let outcome = match self.running.take() {
            Some(running) => self.batch(running, requests, stopped),
            None => self
                .spawn()
                .and_then(|running| self.batch(running, requests, stopped)),
        };
        match &outcome {
            Ok(_) => self.failures = 0,
            Err(ProgramError::Stopped) => {}
            Err(error) => {
                self.failures += 1;
                self.last_failure = error.to_string();
            }
        }
        outcome
    }

    /// Forgets past failures, so that the next batch starts the program again.
    pub fn retry(&mut self) {
        self.failures = 0;
    }

    /// The command on one line, as messages name it.
    #[must_use]
    pub fn command(&self) -> String {
        let shown: Vec<String> = self.command.iter().map(|word| shown(word)).collect();
        shown.join(" ")
    }

    fn spawn(&self) -> Result<Running, ProgramError> {
        Running::start(&self.command, self.folder.as_deref()).map_err(|error| ProgramError::Start {
            command: self.command(),
            error,
        })
    }

    /// Asks a running program and, if all goes well, keeps it for the next batch; else it is dropped and so killed.
    fn batch(
        &mut self,
        mut running: Running,
        requests: &[RewardRequest<'_>],
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<RewardReply>, ProgramError> {
        let first_id = self.next_id;
        self.next_id += requests.len() as u64;
        running.send(questions(requests, first_id));
        let mut deadline = Instant::now() + self.timeout;
        let mut silent = false;
        let mut replies = Vec::with_capacity(requests.len());
        while replies.len() < requests.len() {
            if stopped() {
                return Err(ProgramError::Stopped);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.late(&running, replies.len(), requests.len()));
            }
            match running.next(left.min(LOOK)) {
                // What it started may hold its output open after it ended.
                None if running.has_ended() && mem::replace(&mut silent, true) => {
                    return Err(self.ended(running, replies.len(), requests.len()));
                }
                None => {}
                Some(Pipe::Line(line)) if line.trim_ascii().is_empty() => {}
                Some(Pipe::Line(line)) => {
                    let id = first_id + replies.len() as u64;
                    let reply = read_reply(&line, id).map_err(|why| self.refused(&running, why))?;
                    replies.push(reply);
                }
                Some(Pipe::TooLong) => {
                    let why = format!("it has more than {MAX_LINE_BYTES} bytes");
                    return Err(self.refused(&running, why));
                }
                Some(Pipe::Closed) => {
                    return Err(self.ended(running, replies.len(), requests.len()));
                }
                // It ends, or has read enough to answer; there is no reason to wait for long.
                Some(Pipe::Deaf) => deadline = deadline.min(Instant::now() + DEAF),
            }
        }
        self.running = Some(running);
        Ok(replies)
    }

    fn refused(&self, running: &Running, why: String) -> ProgramError {
        ProgramError::Reply {
            command: self.command(),
            line: running.lines,
            why,
        }
    }

    fn late(&self, running: &Running, answered: usize, asked: usize) -> ProgramError {
        ProgramError::Late {
            command: self.command(),
            answered,
            asked,
            secs: self.timeout.as_secs_f64(),
            words: in_words(&running.error_lines()),
        }
    }

    fn ended(&self, running: Running, answered: usize, asked: usize) -> ProgramError {
        let place = match running.lines {
            0 => "before any output".to_owned(),
            line => format!("after line {line} of its output"),
        };
        let words = in_words(&running.last_words());
        let how = match running.ended() {
            Some(status) => format!("ended ({status})"),
            None => "closed its output".to_owned(),
        };
        ProgramError::Ended {
            command: self.command(),
            how,
            place,
            answered,
            asked,
            words,
        }
    }
}

fn questions(requests: &[RewardRequest<'_>], first_id: u64) -> Vec<u8> {
    let mut lines = Vec::with_capacity(requests.len() * 128);
    for (request, id) in requests.iter().zip(first_id..) {
        let question = Question {
            id,
            prompt: request.prompt,
            completion: request.completion,
            log_prob: request.log_prob,
            log_reference: request.log_reference,
        };
        // Texts and numbers always serialise, and a vector takes every byte.
        let _ = serde_json::to_writer(&mut lines, &question);
        lines.push(b'\n');
    }
    lines
}

/// The end of a message: what the program last wrote to standard error.
fn in_words(error_lines: &[String]) -> String {
    if error_lines.is_empty() {
        String::new()
    } else {
        format!("; its last words were: {}", error_lines.join(" | "))
    }
}

/// A word of a command as a shell would take it, on one line.
fn shown(word: &str) -> String {
    let plain = !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || "-_./=:,+@%".contains(c));
    if plain {
        word.to_owned()
    } else {
        format!("'{}'", crate::experiment::repeated(word))
    }
}
