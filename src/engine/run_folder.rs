//! A run on disk, the same from the window and from the command line: `preset.ron` (the experiment at step 0, everything
//! resolved), `journal.jsonl` (the edits made since), `metrics.csv`, `policy.csv`, `target.csv` and `summary.json`.
//!
//! Whole files are replaced at once; the two that grow are written in whole lines, so that a killed process leaves a
//! folder that can be read.

use std::{
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

use super::{
    language_log::LanguageLog,
    session::{Row, Session},
    summary::{Ended, Summary},
};
use crate::{
    bandit::{Analysis, Problem},
    experiment::{self, Journal, Preset, Source},
    theory::Metric,
};

const PRESET: &str = "preset.ron";
const JOURNAL: &str = "journal.jsonl";
const METRICS: &str = "metrics.csv";
const POLICY: &str = "policy.csv";
const TARGET: &str = "target.csv";
const CHECKPOINTS: &str = "checkpoints";
const SUMMARY: &str = "summary.json";

/// Why a run folder was not written.
#[derive(Debug, Error)]
pub enum RunFolderError {
    /// The disk said no.
    #[error("{path} could not be written: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A language model's checkpoint; whatever was written before is still there.
    #[error("the checkpoint was not written: {0}")]
    Checkpoint(String),
    /// The folder holds something else.
    #[error("{0} holds files that are not a run; choose a new or empty folder")]
    Occupied(PathBuf),
    /// The folder holds a run.
    #[error("{0} holds a run already; choose another folder, or add --overwrite to replace it")]
    HoldsRun(PathBuf),
}

/// A run folder that grows while a run goes on.
#[derive(Debug)]
pub struct RunFolder {
    folder: PathBuf,
    metrics: File,
    journal: File,
    rows_written: usize,
    edits_written: usize,
    /// What a language model's run writes besides.
    language: Option<LanguageLog>,
    /// Step of the last checkpoint.
    checkpoint_at: Option<u64>,
}

impl RunFolder {
    /// Makes the folder and writes what is known at the start. A run that is there already is replaced if `overwrite`;
    /// anything else is left alone.
    ///
    /// # Errors
    /// [`RunFolderError`].
    pub fn create(
        folder: &Path,
        session: &mut Session,
        overwrite: bool,
    ) -> Result<Self, RunFolderError> {
        make_folder(folder, overwrite)?;
        let preset = resolved(session.initial_preset(), session.base_dir());
        save(&folder.join(PRESET), experiment::to_ron(&preset).as_bytes())?;
        let mut run = Self {
            metrics: start_lines(&folder.join(METRICS), &header())?,
            journal: start_lines(&folder.join(JOURNAL), "")?,
            language: match session.language() {
                Some(_) => Some(LanguageLog::create(folder)?),
                None => None,
            },
            checkpoint_at: None,
            folder: folder.to_owned(),
            rows_written: 0,
            edits_written: 0,
        };
        session.log_steps();
        save_summary(folder, &Summary::of(session, Ended::Running, false))?;
        run.append(session)?;
        Ok(run)
    }

    /// Adds what was recorded since the last time. The run must not have gone back since.
    ///
    /// # Errors
    /// [`RunFolderError::Io`].
    pub fn append(&mut self, session: &mut Session) -> Result<(), RunFolderError> {
        let steps = session.take_step_log();
        let rows = session.rows().get(self.rows_written..).unwrap_or_default();
        if let (Some(log), Some(trainer)) = (&mut self.language, session.language()) {
            log.append(trainer.spec(), &steps, rows)?;
        }
        if self
            .next_checkpoint(session)
            .is_some_and(|due| due == session.step())
        {
            self.checkpoint(session)?;
        }
        let rows = session.rows().get(self.rows_written..).unwrap_or_default();
        if !rows.is_empty() {
            let mut lines = String::with_capacity(rows.len() * 256);
            rows.iter().for_each(|row| push_row(&mut lines, row));
            write_lines(&mut self.metrics, &self.folder.join(METRICS), &lines)?;
            self.rows_written += rows.len();
        }
        let edits = session
            .journal()
            .entries()
            .get(self.edits_written..)
            .unwrap_or_default();
        if !edits.is_empty() {
            let path = self.folder.join(JOURNAL);
            let lines = Journal::lines_of(edits);
            write_lines(&mut self.journal, &path, &lines)?;
            self.edits_written += edits.len();
        }
        Ok(())
    }

    /// The next step, from the present one on, at which a checkpoint is due and not yet written.
    #[must_use]
    pub fn next_checkpoint(&self, session: &Session) -> Option<u64> {
        let every = session.language()?.spec().checkpoints.every?;
        let step = session.step();
        let due = step.div_ceil(every).max(1) * every;
        Some(if self.checkpoint_at == Some(due) {
            due + every
        } else {
            due
        })
    }

    /// Writes a checkpoint of a language run; for a bandit there is nothing to write.
    fn checkpoint(&mut self, session: &mut Session) -> Result<(), RunFolderError> {
        if session.language().is_none() || self.checkpoint_at == Some(session.step()) {
            return Ok(());
        }
        session
            .checkpoint(&self.folder.join(CHECKPOINTS))
            .map_err(|error| RunFolderError::Checkpoint(error.to_string()))?;
        self.checkpoint_at = Some(session.step());
        Ok(())
    }

    /// Writes the rest: policy, target and summary.
    ///
    /// # Errors
    /// [`RunFolderError::Io`].
    pub fn finish(
        mut self,
        session: &mut Session,
        summary: &Summary,
    ) -> Result<(), RunFolderError> {
        self.append(session)?;
        if let Some(row) = last_row(session) {
            let mut line = String::new();
            push_row(&mut line, &row);
            write_lines(&mut self.metrics, &self.folder.join(METRICS), &line)?;
        }
        if !session.is_failed() && session.step() > 0 {
            self.checkpoint(session)?;
        }
        let (policy, log_policy) = (session.policy().to_vec(), session.log_policy().to_vec());
        let policy = policy_csv(session.problem(), &policy, &log_policy);
        let target = target_csv(session.problem(), session.analysis());
        save(&self.folder.join(POLICY), policy.as_bytes())?;
        save(&self.folder.join(TARGET), target.as_bytes())?;
        save_summary(&self.folder, summary)
    }
}

/// Everything that a run folder holds, taken from a session at one moment so that it can be written elsewhere.
#[derive(Debug)]
pub(crate) struct RunPicture {
    preset: Preset,
    rows: Vec<Row>,
    journal: Journal,
    problem: Arc<Problem>,
    analysis: Arc<Analysis>,
    policy: Vec<f64>,
    log_policy: Vec<f64>,
    summary: Summary,
}

impl RunPicture {
    pub(crate) fn of(session: &mut Session) -> Self {
        Self {
            preset: resolved(session.initial_preset(), session.base_dir()),
            rows: session
                .rows()
                .to_vec()
                .into_iter()
                .chain(last_row(session))
                .collect(),
            journal: session.journal().clone(),
            problem: Arc::clone(session.problem()),
            analysis: Arc::clone(session.analysis()),
            policy: session.policy().to_vec(),
            log_policy: session.log_policy().to_vec(),
            summary: Summary::of(session, Ended::Running, false),
        }
    }

    /// Writes the folder, replacing a run that is there.
    ///
    /// # Errors
    /// [`RunFolderError`].
    pub(crate) fn save(&self, folder: &Path) -> Result<(), RunFolderError> {
        make_folder(folder, true)?;
        let mut metrics = header();
        self.rows.iter().for_each(|row| push_row(&mut metrics, row));
        let policy = policy_csv(&self.problem, &self.policy, &self.log_policy);
        save(
            &folder.join(PRESET),
            experiment::to_ron(&self.preset).as_bytes(),
        )?;
        save(&folder.join(METRICS), metrics.as_bytes())?;
        save(&folder.join(JOURNAL), self.journal.to_lines().as_bytes())?;
        save(&folder.join(POLICY), policy.as_bytes())?;
        save(
            &folder.join(TARGET),
            target_csv(&self.problem, &self.analysis).as_bytes(),
        )?;
        save_summary(folder, &self.summary)
    }
}

/// Makes the folder, unless it holds something that must not be replaced.
fn make_folder(folder: &Path, overwrite: bool) -> Result<(), RunFolderError> {
    let io_error = |error| RunFolderError::Io {
        path: folder.to_owned(),
        error,
    };
    if folder.exists() {
        let occupied = folder.read_dir().map_err(io_error)?.next().is_some();
        if occupied && !folder.join(PRESET).is_file() {
            return Err(RunFolderError::Occupied(folder.to_owned()));
        }
        if occupied && !overwrite {
            return Err(RunFolderError::HoldsRun(folder.to_owned()));
        }
    }
    std::fs::create_dir_all(folder).map_err(io_error)
}

/// Metrics at the step where the run stands, unless they are recorded: later in a run only every so many steps are.
fn last_row(session: &mut Session) -> Option<Row> {
    let step = session.step();
    let is_recorded = session.rows().last().is_some_and(|row| row.step >= step);
    (!is_recorded).then(|| Row {
        step,
        metrics: session.metrics(),
    })
}

/// First line of `metrics.csv`.
fn header() -> String {
    let mut header = String::from("step");
    for metric in Metric::ALL {
        header.push(',');
        header.push_str(metric.key());
    }
    header.push('\n');
    header
}

fn save_summary(folder: &Path, summary: &Summary) -> Result<(), RunFolderError> {
    let path = folder.join(SUMMARY);
    let summary = Summary {
        policy: None,
        target: None,
        ..summary.clone()
    };
    let mut text = serde_json::to_string_pretty(&summary).map_err(|error| RunFolderError::Io {
        path: path.clone(),
        error: error.into(),
    })?;
    text.push('\n');
    save(&path, text.as_bytes())
}

/// The preset with relative paths made absolute, so that it can be read from anywhere.
fn resolved(preset: &Preset, base_dir: Option<&Path>) -> Preset {
    let mut preset = preset.clone();
    let absolute = |path: &Path| {
        let path = base_dir.map_or_else(|| path.to_owned(), |base| base.join(path));
        std::path::absolute(&path).unwrap_or(path)
    };
    if let Some(language) = &mut preset.language {
        let path = absolute(Path::new(&language.model));
        if path.exists() {
            language.model = path.to_string_lossy().into_owned();
        }
    }
    for source in [&mut preset.bandit.reference, &mut preset.bandit.rewards] {
        if let Source::Csv { path, .. } = source {
            *path = absolute(path);
        }
    }
    preset
}

fn push_row(lines: &mut String, row: &Row) {
    // Writing to a string cannot fail.
    let _ = write!(lines, "{}", row.step);
    for (_, value) in row.metrics.iter() {
        lines.push(',');
        push_number(lines, value);
    }
    lines.push('\n');
}

/// The shortest text that reads back as the same double; nothing for NaN.
fn push_number(text: &mut String, value: f64) {
    if value.is_nan() {
    } else if value == f64::INFINITY {
        text.push_str("inf");
    } else if value == f64::NEG_INFINITY {
        text.push_str("-inf");
    } else {
        let _ = write!(text, "{value:?}");
    }
}

fn policy_csv(problem: &Problem, policy: &[f64], log_policy: &[f64]) -> String {
    arms_csv(problem, &[("policy", policy), ("log_policy", log_policy)])
}

fn target_csv(problem: &Problem, analysis: &Analysis) -> String {
    arms_csv(
        problem,
        &[
            ("reference", &problem.reference.masses()),
            ("reward", &analysis.rewards),
            ("target", &analysis.target.masses),
            ("log_target", &analysis.target.log_masses),
        ],
    )
}

/// One line per arm: number, name, coordinates, then the columns.
fn arms_csv(problem: &Problem, columns: &[(&str, &[f64])]) -> String {
    let mut text = String::from("arm,label,x,y");
    for (name, _) in columns {
        text.push(',');
        text.push_str(name);
    }
    text.push('\n');
    for arm in 0..problem.arms() {
        let (x, y) = problem.coordinates(arm);
        let _ = write!(text, "{arm},");
        push_quoted(&mut text, &problem.arm_label(arm));
        let _ = write!(text, ",{x:?},{y:?}");
        for (_, values) in columns {
            text.push(',');
            push_number(&mut text, values.get(arm).copied().unwrap_or(f64::NAN));
        }
        text.push('\n');
    }
    text
}

fn push_quoted(text: &mut String, label: &str) {
    if label.contains([',', '"', '\n', '\r']) {
        text.push('"');
        text.push_str(&label.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(label);
    }
}

fn save(path: &Path, bytes: &[u8]) -> Result<(), RunFolderError> {
    experiment::save_atomically(path, bytes).map_err(|error| RunFolderError::Io {
        path: path.to_owned(),
        error,
    })
}

/// A new file of lines.
fn start_lines(path: &Path, header: &str) -> Result<File, RunFolderError> {
    save(path, header.as_bytes())?;
    OpenOptions::new()
        .append(true)
        .open(path)
        .map_err(|error| RunFolderError::Io {
            path: path.to_owned(),
            error,
        })
}

/// Appends whole lines in one go.
fn write_lines(file: &mut File, path: &Path, lines: &str) -> Result<(), RunFolderError> {
    file.write_all(lines.as_bytes())
        .map_err(|error| RunFolderError::Io {
            path: path.to_owned(),
            error,
        })
}
