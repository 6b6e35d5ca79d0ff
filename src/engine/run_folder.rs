//! A run on disk, the same from the window and from the command line: `preset.ron` (the experiment at step 0, everything
//! resolved), `journal.jsonl` (the edits made since), `metrics.csv`, `policy.csv`, `target.csv` and `summary.json`.
//!
//! Whole files are replaced at once; the two that grow are written in whole lines, so that a killed process leaves a
//! folder that can be read.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

use super::{
    language_log::LanguageLog,
    own_checkpoints::OwnCheckpoints,
    samples_log::SamplesLogError,
    session::{Row, Session},
    summary::{Ended, Summary},
};
use crate::{
    bandit::{Analysis, Problem},
    experiment::{self, Edit, Journal, JournalEntry, LanguageSpec, Preset, Source},
    lm::checkpoint::CheckpointFolder,
    theory::Metric,
};

const PRESET: &str = "preset.ron";
const JOURNAL: &str = "journal.jsonl";
const METRICS: &str = "metrics.csv";
const POLICY: &str = "policy.csv";
const TARGET: &str = "target.csv";
const CHECKPOINTS: &str = "checkpoints";
const SUMMARY: &str = "summary.json";
/// Room for what is written at the end, kept free while checkpoints and samples may fill the disk.
const RESERVE: &str = ".modescope-reserve";
const RESERVE_BYTES: usize = 1 << 18;

/// Why a run folder was not written.
#[derive(Debug, Error)]
pub enum RunFolderError {
    /// The disk said no.
    #[error("{} could not be written: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The samples of a language model; the run goes on without them.
    #[error(transparent)]
    Samples(#[from] SamplesLogError),
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

/// A run folder that grows while a run goes on. Once it is made, nothing that cannot be written ends the run: it becomes a
/// warning, and everything else is written.
#[derive(Debug)]
pub struct RunFolder {
    folder: PathBuf,
    metrics: Lines,
    journal: Lines,
    rows_written: usize,
    edits_written: usize,
    /// Rows that the language log has, too.
    rows_logged: usize,
    /// What a language model's run writes besides.
    language: Option<LanguageLog>,
    checkpoints: OwnCheckpoints,
    warnings: Vec<String>,
    /// Files that could not be written the last time, each of which is told once.
    failing: BTreeSet<PathBuf>,
    /// Something is missing in the folder.
    is_incomplete: bool,
}

impl RunFolder {
    /// Makes the folder and writes what is known at the start. A run that is there already is replaced if `overwrite`, its
    /// checkpoints and TensorBoard events included, but for the checkpoint that the session went on from and those that
    /// somebody asked for; anything else is left alone.
    ///
    /// # Errors
    /// [`RunFolderError`].
    pub fn create(
        folder: &Path,
        session: &mut Session,
        overwrite: bool,
    ) -> Result<Self, RunFolderError> {
        make_folder(folder, overwrite)?;
        CheckpointFolder::new(&folder.join(CHECKPOINTS), 1, false)
            .clear(session.origin())
            .map_err(|error| RunFolderError::Checkpoint(error.to_string()))?;
        LanguageLog::clear(folder)?;
        let preset = resolved(session.initial_preset(), session.base_dir());
        save(&folder.join(PRESET), experiment::to_ron(&preset).as_bytes())?;
        let mut run = Self {
            metrics: Lines::start(folder.join(METRICS), &header())?,
            journal: Lines::start(folder.join(JOURNAL), "")?,
            language: match session.language() {
                Some(_) => Some(LanguageLog::create(folder)?),
                None => None,
            },
            checkpoints: OwnCheckpoints::new(folder.join(CHECKPOINTS)),
            folder: folder.to_owned(),
            rows_written: 0,
            edits_written: 0,
            rows_logged: 0,
            warnings: Vec::new(),
            failing: BTreeSet::new(),
            is_incomplete: false,
        };
        session.log_steps();
        if session.language().is_some() {
            let path = folder.join(RESERVE);
            let reserved = std::fs::write(&path, vec![0; RESERVE_BYTES]);
            reserved.map_err(|error| RunFolderError::Io { path, error })?;
        }
        save_summary(folder, &Summary::of(session, Ended::Running, false))?;
        run.append(session);
        Ok(run)
    }

    /// Adds what was recorded since the last time. The run must not have gone back since.
    pub fn append(&mut self, session: &mut Session) {
        let steps = session.take_step_log();
        let rows = session.rows().get(self.rows_written..).unwrap_or_default();
        let mut outcomes = Vec::new();
        // The numbers first: should the disk fill up, samples are the smaller loss.
        if !rows.is_empty() {
            let mut lines = String::with_capacity(rows.len() * 256);
            rows.iter().for_each(|row| push_row(&mut lines, row));
            let outcome = self.metrics.append(&lines);
            if outcome.is_ok() {
                self.rows_written += rows.len();
            }
            outcomes.push((self.metrics.path.clone(), outcome));
        }
        let edits = session
            .journal()
            .entries()
            .get(self.edits_written..)
            .unwrap_or_default();
        if !edits.is_empty() {
            let lines = Journal::lines_of(&resolved_edits(edits, session.base_dir()));
            let outcome = self.journal.append(&lines);
            if outcome.is_ok() {
                self.edits_written += edits.len();
            }
            outcomes.push((self.journal.path.clone(), outcome));
        }
        if let (Some(log), Some(trainer)) = (&mut self.language, session.language()) {
            let measured = session.rows().get(self.rows_logged..).unwrap_or_default();
            outcomes.extend(log.append(trainer.spec(), &steps, measured));
            self.rows_logged += measured.len();
        }
        for (path, outcome) in outcomes {
            self.note(path, outcome);
        }
        if self.checkpoints.is_due(session) {
            self.checkpoint(session);
        }
    }

    /// The next step, from the present one on, at which a checkpoint is due and not yet written.
    #[must_use]
    pub fn next_checkpoint(&self, session: &Session) -> Option<u64> {
        self.checkpoints.next(session)
    }

    /// Writes a checkpoint of a language run; for a bandit there is nothing to write.
    fn checkpoint(&mut self, session: &mut Session) {
        if let Some(outcome) = self.checkpoints.write(session) {
            let outcome = outcome
                .map(drop)
                .map_err(|error| RunFolderError::Checkpoint(error.to_string()));
            self.note(self.checkpoints.root().to_owned(), outcome);
        }
    }

    /// Remembers what became of a file, and warns of it if it was well before.
    fn note(&mut self, path: PathBuf, outcome: Result<(), RunFolderError>) {
        match outcome {
            Ok(()) => {
                self.failing.remove(&path);
            }
            Err(error) => {
                self.is_incomplete = true;
                if self.failing.insert(path) {
                    self.warnings.push(error.to_string());
                }
            }
        }
    }

    /// What could not be written since the last time, one line each. A file that goes on failing is told once.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Whether something could not be written.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Writes the rest: policy, target, summary, and the last good state of a language run.
    pub fn finish(&mut self, session: &mut Session, summary: &Summary) {
        // Where there is none, there is nothing to make room with.
        let _ = std::fs::remove_file(self.folder.join(RESERVE));
        self.append(session);
        if let Some(row) = last_row(session) {
            let mut line = String::new();
            push_row(&mut line, &row);
            let outcome = self.metrics.append(&line);
            self.note(self.metrics.path.clone(), outcome);
        }
        let prompts = PromptPicture::all(session);
        for (name, text) in [
            (POLICY, policy_csv(&prompts)),
            (TARGET, target_csv(&prompts)),
        ] {
            let path = self.folder.join(name);
            let outcome = save(&path, text.as_bytes());
            self.note(path, outcome);
        }
        let outcome = save_summary(&self.folder, summary);
        self.note(self.folder.join(SUMMARY), outcome);
        if session.is_sound() && session.step() > 0 {
            self.checkpoint(session);
        }
    }
}

/// What there is to write of one prompt's answers, or of a bandit.
#[derive(Debug)]
struct PromptPicture {
    problem: Arc<Problem>,
    analysis: Arc<Analysis>,
    policy: Vec<f64>,
    log_policy: Vec<f64>,
}

impl PromptPicture {
    fn all(session: &mut Session) -> Vec<Self> {
        let grounds = session.grounds().to_vec();
        (grounds.into_iter().enumerate())
            .map(|(prompt, ground)| Self {
                problem: ground.problem,
                analysis: ground.analysis,
                policy: session.policy_of(prompt).to_vec(),
                log_policy: session.log_policy_of(prompt).to_vec(),
            })
            .collect()
    }
}

/// Everything that a run folder holds, taken from a session at one moment so that it can be written elsewhere.
#[derive(Debug)]
pub(crate) struct RunPicture {
    preset: Preset,
    rows: Vec<Row>,
    journal: Vec<JournalEntry>,
    prompts: Vec<PromptPicture>,
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
            journal: resolved_edits(session.journal().entries(), session.base_dir()),
            prompts: PromptPicture::all(session),
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
        save(
            &folder.join(PRESET),
            experiment::to_ron(&self.preset).as_bytes(),
        )?;
        save(&folder.join(METRICS), metrics.as_bytes())?;
        save(
            &folder.join(JOURNAL),
            Journal::lines_of(&self.journal).as_bytes(),
        )?;
        save(&folder.join(POLICY), policy_csv(&self.prompts).as_bytes())?;
        save(&folder.join(TARGET), target_csv(&self.prompts).as_bytes())?;
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
        causes_at: session.causes_at(),
    })
}

/// First line of `metrics.csv`.
fn header() -> String {
    let mut header = String::from("step");
    for metric in Metric::ALL {
        header.push(',');
        header.push_str(metric.key());
    }
    // The step that dynamics, sampling and the estimator's bias are of.
    header.push_str(",causes_at_step\n");
    header
}

fn save_summary(folder: &Path, summary: &Summary) -> Result<(), RunFolderError> {
    let path = folder.join(SUMMARY);
    let summary = summary.without_masses();
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
    if let Some(language) = &mut preset.language {
        resolve_language(language, base_dir);
    }
    for source in [&mut preset.bandit.reference, &mut preset.bandit.rewards] {
        if let Source::Csv { path, .. } = source {
            *path = absolute(path, base_dir);
        }
    }
    preset
}

/// The same for the language part.
fn resolve_language(language: &mut LanguageSpec, base_dir: Option<&Path>) {
    let path = absolute(Path::new(&language.model), base_dir);
    if path.exists() {
        language.model = path.to_string_lossy().into_owned();
    }
    if let Some(program) = &mut language.program {
        // Relative paths among its arguments begin there, and so do those that the program itself opens.
        let folder = program.folder.as_deref().unwrap_or(Path::new("."));
        program.folder = Some(absolute(folder, base_dir));
    }
}

fn absolute(path: &Path, base_dir: Option<&Path>) -> PathBuf {
    let path = base_dir.map_or_else(|| path.to_owned(), |base| base.join(path));
    std::path::absolute(&path).unwrap_or(path)
}

/// Edits as they follow the resolved preset: a language part in them must not differ in where its files are.
fn resolved_edits(edits: &[JournalEntry], base_dir: Option<&Path>) -> Vec<JournalEntry> {
    let mut edits = edits.to_vec();
    for entry in &mut edits {
        if let Edit::Language(language) = &mut entry.edit {
            resolve_language(language, base_dir);
        }
    }
    edits
}

fn push_row(lines: &mut String, row: &Row) {
    // Writing to a string cannot fail.
    let _ = write!(lines, "{}", row.step);
    for (_, value) in row.metrics.iter() {
        lines.push(',');
        push_number(lines, value);
    }
    lines.push(',');
    if let Some(step) = row.causes_at {
        let _ = write!(lines, "{step}");
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

fn policy_csv(prompts: &[PromptPicture]) -> String {
    let mut text = arms_header(prompts, &["policy", "log_policy"]);
    for (index, prompt) in prompts.iter().enumerate() {
        let columns = [prompt.policy.as_slice(), prompt.log_policy.as_slice()];
        push_arms(&mut text, prompts.len(), index, prompt, &columns);
    }
    text
}

fn target_csv(prompts: &[PromptPicture]) -> String {
    let names = ["reference", "reward", "target", "log_target"];
    let mut text = arms_header(prompts, &names);
    for (index, prompt) in prompts.iter().enumerate() {
        let reference = prompt.problem.reference.masses();
        let Analysis {
            rewards, target, ..
        } = &*prompt.analysis;
        let columns = [
            reference.as_slice(),
            rewards,
            target.masses.as_slice(),
            target.log_masses.as_slice(),
        ];
        push_arms(&mut text, prompts.len(), index, prompt, &columns);
    }
    text
}

/// First line of a file of arms: prompt where there are several, number, name, coordinates, then the columns.
fn arms_header(prompts: &[PromptPicture], columns: &[&str]) -> String {
    let mut text = String::from(match prompts.len() {
        0 | 1 => "arm,label,x,y",
        _ => "prompt,arm,label,x,y",
    });
    for name in columns {
        text.push(',');
        text.push_str(name);
    }
    text.push('\n');
    text
}

/// One line per arm of a prompt.
fn push_arms(
    text: &mut String,
    prompts: usize,
    index: usize,
    PromptPicture { problem, .. }: &PromptPicture,
    columns: &[&[f64]],
) {
    for arm in 0..problem.arms() {
        let (x, y) = problem.coordinates(arm);
        if prompts > 1 {
            let _ = write!(text, "{index},");
        }
        let _ = write!(text, "{arm},");
        push_quoted(text, &problem.arm_label(arm));
        let _ = write!(text, ",{x:?},{y:?}");
        for values in columns {
            text.push(',');
            push_number(text, values.get(arm).copied().unwrap_or(f64::NAN));
        }
        text.push('\n');
    }
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

/// A file that grows by whole lines.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    file: File,
    /// Bytes that are whole lines.
    length: u64,
}

impl Lines {
    /// A new file.
    fn start(path: PathBuf, header: &str) -> Result<Self, RunFolderError> {
        save(&path, header.as_bytes())?;
        let opened = OpenOptions::new().append(true).open(&path);
        match opened {
            Ok(file) => Ok(Self {
                path,
                file,
                length: header.len() as u64,
            }),
            Err(error) => Err(RunFolderError::Io { path, error }),
        }
    }

    /// Appends whole lines in one go: all of them, or none.
    fn append(&mut self, lines: &str) -> Result<(), RunFolderError> {
        let outcome = self.file.write_all(lines.as_bytes());
        match outcome {
            Ok(()) => {
                self.length += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Part of them may have found room. If they cannot be removed either, a reader sees a cut line.
                let _ = self.file.set_len(self.length);
                Err(RunFolderError::Io {
                    path: self.path.clone(),
                    error,
                })
            }
        }
    }
}
