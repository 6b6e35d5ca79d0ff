//! Earlier runs kept for comparison, and their files beside the session's, so that they are there at the next start. A file
//! is written once, when its run is pinned: a line with the length of the head, the head as RON, then all numbers as f64,
//! little-endian, in the order of the head.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    engine::{History, Series, Snapshot},
    experiment::{self, Preset},
    theory::{Metric, Metrics},
};

/// The folder of the pins' files, in that of the session.
const FOLDER: &str = "pins";
/// What such a file ends in.
const ENDING: &str = "pin";
/// Version of the files; others are not read.
const FORMAT: u32 = 1;

/// An earlier run kept for comparison.
#[derive(Debug, Clone)]
pub struct Pin {
    /// What to call it.
    pub label: String,
    /// Drawn or not.
    pub visible: bool,
    /// Where it had come to.
    pub run: Arc<PinnedRun>,
    /// The experiment it ran.
    pub preset: Arc<Preset>,
    /// The name of its file, where the window keeps one.
    pub file: Option<String>,
}

/// What is kept of a pinned run.
#[derive(Debug, Clone, Default)]
pub struct PinnedRun {
    /// Steps done.
    pub step: u64,
    /// The policy's masses, one per arm.
    pub policy: Arc<[f64]>,
    /// Metrics of that policy.
    pub metrics: Metrics,
    /// Metrics over time.
    pub history: Arc<History>,
    /// Time by part over time, as in a language model's snapshot; empty for a bandit.
    pub timing: Arc<[Series]>,
}

impl PinnedRun {
    /// What is kept of a run as it is in a snapshot.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            step: snapshot.step,
            policy: snapshot.policy.clone(),
            metrics: snapshot.metrics,
            history: snapshot.history.clone(),
            timing: (snapshot.language.as_ref())
                .map_or_else(Arc::default, |language| language.timing.clone()),
        }
    }
}

/// A pin as the session lists it; the rest is in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ListedPin {
    pub(super) file: String,
    pub(super) label: String,
    pub(super) visible: bool,
}

/// The head of a file.
#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    step: u64,
    preset: Preset,
    arms: usize,
    /// The metrics whose values follow, by their names in files: others may be added.
    metrics: Vec<String>,
    /// The metrics over time, and the number of their buckets.
    history: Vec<(String, usize)>,
    timing: Vec<usize>,
}

/// The pins' folder.
pub(super) struct PinFiles {
    folder: PathBuf,
}

impl PinFiles {
    /// The folder in that of a session.
    pub(super) fn of_session(dir: &Path) -> Self {
        Self {
            folder: dir.join(FOLDER),
        }
    }

    /// Writes a new file; its name.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub(super) fn write(&self, run: &PinnedRun, preset: &Preset) -> Result<String, String> {
        let taken = (self.names().iter())
            .filter_map(|name| name.split_once('.')?.0.parse::<u64>().ok())
            .max();
        let name = format!("{}.{ENDING}", taken.map_or(1, |last| last + 1));
        let bytes = to_bytes(run, preset)?;
        experiment::save_atomically(&self.folder.join(&name), &bytes)
            .map_err(|error| format!("{} cannot be written: {error}", self.folder.display()))?;
        Ok(name)
    }

    /// Reads a pin that the session lists.
    ///
    /// # Errors
    /// One line that names it.
    pub(super) fn read(&self, listed: &ListedPin) -> Result<Pin, String> {
        let lost = |why: String| format!("The pin “{}” is lost: {why}", listed.label);
        if Path::new(&listed.file).file_name() != Some(listed.file.as_ref()) {
            return Err(lost(format!("{:?} is no name of a file", listed.file)));
        }
        let path = self.folder.join(&listed.file);
        let bytes = std::fs::read(&path)
            .map_err(|error| lost(format!("{} cannot be read: {error}", path.display())))?;
        let (run, preset) = from_bytes(&bytes).ok_or_else(|| {
            lost(format!(
                "{} is damaged or of another version",
                path.display()
            ))
        })?;
        Ok(Pin {
            label: listed.label.clone(),
            visible: listed.visible,
            run: Arc::new(run),
            preset: Arc::new(preset),
            file: Some(listed.file.clone()),
        })
    }

    /// Removes the files that no pin has any more.
    pub(super) fn remove_others(&self, listed: &[ListedPin]) {
        for name in self.names() {
            if !listed.iter().any(|pin| pin.file == name) {
                // The next start tries again.
                let _ = std::fs::remove_file(self.folder.join(name));
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        names
            .filter_map(|name| name.into_string().ok())
            .filter(|name| name.ends_with(&format!(".{ENDING}")))
            .collect()
    }
}

fn to_bytes(run: &PinnedRun, preset: &Preset) -> Result<Vec<u8>, String> {
    let key = |metric: &Metric| metric.key().to_owned();
    let history = run.history.series.iter();
    let head = Head {
        format: FORMAT,
        step: run.step,
        preset: preset.clone(),
        arms: run.policy.len(),
        metrics: Metric::ALL.iter().map(key).collect(),
        history: (Metric::ALL.iter().zip(history.clone()))
            .map(|(metric, series)| (key(metric), series.steps.len()))
            .collect(),
        timing: run.timing.iter().map(|series| series.steps.len()).collect(),
    };
    let head = ron::to_string(&head).map_err(|error| error.to_string())?;
    let mut bytes = format!("{}\n{head}", head.len()).into_bytes();
    let mut push = |value: f64| bytes.extend(value.to_le_bytes());
    run.policy.iter().copied().for_each(&mut push);
    run.metrics.iter().for_each(|(_, value)| push(value));
    for series in history.chain(run.timing.iter()) {
        series.steps.iter().copied().for_each(&mut push);
        for values in [&series.min, &series.max, &series.mean] {
            values.iter().for_each(|&value| push(value.into()));
        }
    }
    Ok(bytes)
}

fn from_bytes(bytes: &[u8]) -> Option<(PinnedRun, Preset)> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let length: usize = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    let (head, numbers) = bytes[end + 1..].split_at_checked(length)?;
    let head: Head = ron::from_str(std::str::from_utf8(head).ok()?).ok()?;
    let (numbers, rest) = numbers.as_chunks::<8>();
    if head.format != FORMAT || !rest.is_empty() {
        return None;
    }
    let mut numbers = Numbers(numbers);
    let policy = numbers.take(head.arms)?.into();
    let mut metrics = Metrics::default();
    for (key, value) in head.metrics.iter().zip(numbers.take(head.metrics.len())?) {
        if let Some(metric) = metric_of(key) {
            metrics.set(metric, value);
        }
    }
    let mut history = vec![Series::default(); Metric::ALL.len()];
    for (key, buckets) in &head.history {
        let series = numbers.series(*buckets)?;
        if let Some(metric) = metric_of(key) {
            history[metric as usize] = series;
        }
    }
    let timing: Option<Vec<Series>> = (head.timing.iter())
        .map(|&buckets| numbers.series(buckets))
        .collect();
    let run = PinnedRun {
        step: head.step,
        policy,
        metrics,
        history: Arc::new(History { series: history }),
        timing: timing?.into(),
    };
    numbers.0.is_empty().then_some((run, head.preset))
}

fn metric_of(key: &str) -> Option<Metric> {
    let mut all = Metric::ALL.iter();
    all.find(|metric| metric.key() == key).copied()
}

/// What is left of a file's numbers.
struct Numbers<'a>(&'a [[u8; 8]]);

impl Numbers<'_> {
    fn take(&mut self, count: usize) -> Option<Vec<f64>> {
        let (taken, left) = self.0.split_at_checked(count)?;
        self.0 = left;
        Some(
            taken
                .iter()
                .map(|&bytes| f64::from_le_bytes(bytes))
                .collect(),
        )
    }

    fn series(&mut self, buckets: usize) -> Option<Series> {
        let steps = self.take(buckets)?;
        let mut column = || {
            let values = self.take(buckets)?;
            Some(values.into_iter().map(|value| value as f32).collect())
        };
        Some(Series {
            steps,
            min: column()?,
            max: column()?,
            mean: column()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;
    use crate::ui::testing::World;

    fn same(a: &[Series], b: &[Series]) -> bool {
        a.len() == b.len()
            && a.iter().zip(b).all(|(a, b)| {
                (&a.steps, &a.min, &a.max, &a.mean) == (&b.steps, &b.min, &b.max, &b.mean)
            })
    }

    #[test]
    fn a_pin_comes_back_from_its_file_to_the_last_bit() {
        let dir = tempfile::tempdir().unwrap();
        let files = PinFiles::of_session(dir.path());
        for world in [World::language(), World::builtin("figure-5")] {
            let run = PinnedRun::of(&world.snapshot);
            let file = files.write(&run, &world.preset).unwrap();
            let listed = ListedPin {
                file,
                label: "1 reverse".to_owned(),
                visible: false,
            };
            let pin = files.read(&listed).unwrap();
            assert_eq!((pin.label.as_str(), pin.visible), ("1 reverse", false));
            assert_eq!(*pin.preset, world.preset);
            assert_eq!((pin.run.step, &pin.run.policy), (run.step, &run.policy));
            for (metric, value) in run.metrics.iter() {
                assert_eq!(pin.run.metrics.get(metric).to_bits(), value.to_bits());
            }
            assert!(same(&pin.run.history.series, &run.history.series));
            assert!(same(&pin.run.timing, &run.timing));
            assert_eq!(run.timing.is_empty(), world.preset.language.is_none());
        }
        assert_eq!(files.names().len(), 2);
    }

    #[test]
    fn what_is_no_whole_file_is_told_by_the_pins_name() {
        let dir = tempfile::tempdir().unwrap();
        let files = PinFiles::of_session(dir.path());
        let world = World::builtin("figure-5");
        let file = files
            .write(&PinnedRun::of(&world.snapshot), &world.preset)
            .unwrap();
        let path = dir.path().join(FOLDER).join(&file);
        let whole = std::fs::read(&path).unwrap();
        let listed = ListedPin {
            file,
            label: "mine".to_owned(),
            visible: true,
        };
        for cut in [0, 1, 5, 200, whole.len() - 8, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let told = files.read(&listed).unwrap_err();
            assert!(told.starts_with("The pin “mine” is lost: "), "{told}");
        }
        let elsewhere = ListedPin {
            file: "../session.ron".to_owned(),
            ..listed
        };
        assert!(files.read(&elsewhere).is_err());
    }
}
