//! What a language model's run writes beside the metrics: `samples.jsonl`, and TensorBoard scalars in `tensorboard/`.

use std::path::{Path, PathBuf};

use super::{
    run_folder::RunFolderError,
    samples_log::{DEFAULT_LIMIT_BYTES, SampleLine, SamplesLog, SamplesLogError},
    session::{Row, StepLog},
    tensorboard::{EventWriter, is_event_file, now_secs},
};
use crate::{experiment::LanguageSpec, lm::StepParts};

const SAMPLES: &str = "samples.jsonl";
const EVENTS: &str = "tensorboard";

/// The open files.
#[derive(Debug)]
pub(super) struct LanguageLog {
    samples: SamplesLog,
    events: EventWriter,
}

impl LanguageLog {
    pub(super) fn create(folder: &Path) -> Result<Self, RunFolderError> {
        let path = folder.join(SAMPLES);
        let samples = SamplesLog::create(&path, DEFAULT_LIMIT_BYTES)
            .map_err(|refused| io_error(&refused.path, refused.error))?;
        let events = folder.join(EVENTS);
        Ok(Self {
            samples,
            events: EventWriter::create(&events).map_err(|error| io_error(&events, error))?,
        })
    }

    /// Removes the events of an earlier run: TensorBoard would draw both as one.
    pub(super) fn clear(folder: &Path) -> Result<(), RunFolderError> {
        let events = folder.join(EVENTS);
        let Ok(entries) = std::fs::read_dir(&events) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            if is_event_file(&entry.file_name().to_string_lossy()) {
                let path = entry.path();
                std::fs::remove_file(&path).map_err(|error| io_error(&path, error))?;
            }
        }
        Ok(())
    }

    /// Writes steps and measurements, in order, and lets readers see them; returns what became of each file.
    pub(super) fn append(
        &mut self,
        spec: &LanguageSpec,
        steps: &[StepLog],
        rows: &[Row],
    ) -> [(PathBuf, Result<(), RunFolderError>); 2] {
        let samples = self
            .write_samples(spec, steps)
            .map_err(RunFolderError::from);
        let scalars = self.write_scalars(steps, rows);
        let path = self.events.path();
        [
            (self.samples.path().to_owned(), samples),
            (path.to_owned(), scalars.map_err(|e| io_error(path, e))),
        ]
    }

    fn write_samples(
        &mut self,
        spec: &LanguageSpec,
        steps: &[StepLog],
    ) -> Result<(), SamplesLogError> {
        for step in steps {
            if self.samples.wants(step.step) {
                let lines: Vec<SampleLine<'_>> = (step.samples.iter())
                    .map(|sample| SampleLine::of(step.step, sample, spec))
                    .collect();
                self.samples.append(step.step, &lines)?;
            }
        }
        self.samples.flush()
    }

    fn write_scalars(&mut self, steps: &[StepLog], rows: &[Row]) -> std::io::Result<()> {
        let now = now_secs();
        for row in rows {
            for (metric, value) in row.metrics.iter().filter(|(_, value)| !value.is_nan()) {
                let tag = format!("metrics/{}", metric.key());
                self.events.scalar(&tag, row.step, now, value)?;
            }
        }
        // As often as metrics are measured: a fast model would fill the disk otherwise.
        let measured = |step: &&StepLog| {
            rows.binary_search_by_key(&step.step, |row| row.step)
                .is_ok()
        };
        for step in steps.iter().filter(measured) {
            let facts = &step.facts;
            let total = facts.parts.total();
            let mut write = |tag: &str, value| self.events.scalar(tag, step.step, now, value);
            write("train/learning_rate", facts.learning_rate)?;
            write(
                "speed/tokens_per_second",
                1e3 * facts.sampled_tokens as f64 / total.max(1e-9),
            )?;
            write("speed/step_ms", total)?;
            for (name, value) in StepParts::NAMES.iter().zip(facts.parts.values()) {
                write(&format!("speed/{name}_ms"), value)?;
            }
        }
        self.events.flush()
    }
}

fn io_error(path: &Path, error: std::io::Error) -> RunFolderError {
    RunFolderError::Io {
        path: path.to_owned(),
        error,
    }
}
