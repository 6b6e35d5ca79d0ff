//! Checkpoints that the window has written while a language model trains, so that a crash loses little: when the preset says
//! so, and after so much time where somebody wants that. Each run has a folder of its own beside those of earlier runs; of
//! the earlier runs of one experiment only the latest keeps what it wrote by itself.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    own_checkpoints::{OwnCheckpoints, next_after},
    session::Session,
};
use crate::lm::{
    self,
    checkpoint::{CHECKPOINT_FILE, CheckpointFolder, CheckpointInfo},
};

/// Earlier runs of an experiment that keep their checkpoints.
const EARLIER_RUNS: usize = 1;
/// Names tried for the folder of a run.
const NAMES: usize = 10_000;

/// Where a window's runs keep checkpoints, and how often beside what the preset says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeping {
    /// The folder of the runs' folders, made when the first checkpoint is written.
    pub base: PathBuf,
    /// Training time after which there is one in any case; none leaves it to the preset. A run of the model that is part of
    /// the program is soon done again, and is left to the preset as well.
    pub period: Option<Duration>,
}

/// A checkpoint and when it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptCheckpoint {
    /// Step, score and folder.
    pub info: CheckpointInfo,
    /// When, where the file system says so.
    pub written: Option<SystemTime>,
}

/// The checkpoints that a run may go on from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KeptCheckpoints {
    /// The folder of this run's, once it has any.
    pub folder: Option<PathBuf>,
    /// This run's, latest step first.
    pub own: Vec<KeptCheckpoint>,
    /// Those of earlier runs of the same experiment, the last written first.
    pub earlier: Vec<KeptCheckpoint>,
}

/// Writes them.
#[derive(Debug)]
pub(super) struct Keeper {
    keeping: Keeping,
    /// This run's, once its folder is made.
    own: Option<OwnCheckpoints>,
    /// Training time at the last attempt.
    tried_at: Duration,
    /// The last attempt failed, and somebody was told.
    failing: bool,
}

impl Keeper {
    pub(super) fn new(keeping: Keeping) -> Self {
        Self {
            keeping,
            own: None,
            tried_at: Duration::ZERO,
            failing: false,
        }
    }

    /// Other wishes for the run that goes on.
    pub(super) fn change(&mut self, keeping: Keeping) {
        if self.keeping.base != keeping.base {
            self.own = None;
        }
        self.keeping = keeping;
    }

    /// Another run begins.
    pub(super) fn begin(&mut self) {
        *self = Self::new(self.keeping.clone());
    }

    /// The run stands at another step now.
    pub(super) fn travelled(&mut self, session: &Session) {
        self.tried_at = session.elapsed();
        if let Some(own) = &mut self.own {
            own.forget_last();
        }
    }

    /// Steps that may be done before one is due.
    pub(super) fn steps_left(&self, session: &Session) -> u64 {
        self.next(session).map_or(u64::MAX, |due| {
            let here = session.step();
            // One that is due here could not be written.
            if due > here { due - here } else { 1 }
        })
    }

    fn next(&self, session: &Session) -> Option<u64> {
        match &self.own {
            Some(own) => own.next(session),
            None => next_after(session, None),
        }
    }

    /// Writes one if it is due after the steps just done; `last` where training ends here by itself. The outcome is one to
    /// tell: what was written, or, once, why nothing can be.
    pub(super) fn after_steps(
        &mut self,
        session: &mut Session,
        last: bool,
    ) -> Option<Result<PathBuf, String>> {
        let language = session.language()?;
        let by_step = language.spec().checkpoints.every.is_some();
        let period = (self.keeping.period).filter(|_| language.spec().model != lm::store::EMBEDDED);
        let waited = session.elapsed().saturating_sub(self.tried_at);
        let due = self.next(session) == Some(session.step())
            || period.is_some_and(|period| waited >= period)
            || (last && (by_step || period.is_some()));
        if !due || session.step() == 0 {
            return None;
        }
        self.tried_at = session.elapsed();
        match self.write(session)? {
            Ok(path) => {
                self.failing = false;
                Some(Ok(path))
            }
            Err(message) => (!std::mem::replace(&mut self.failing, true)).then_some(Err(message)),
        }
    }

    fn write(&mut self, session: &mut Session) -> Option<Result<PathBuf, String>> {
        let failed =
            |why: String| format!("the checkpoint was not written, training goes on: {why}");
        let is_first = self.own.is_none();
        if is_first {
            let base = &self.keeping.base;
            let claimed = claim_folder(base, &session.preset().slug());
            match claimed {
                Ok(root) => self.own = Some(OwnCheckpoints::new(root)),
                Err(error) => {
                    return Some(Err(failed(format!("{}: {error}", base.display()))));
                }
            }
        }
        let own = self.own.as_mut()?;
        let outcome = own.write(session)?;
        if is_first && outcome.is_ok() {
            let own = own.root().to_owned();
            self.drop_older_runs(session, &own);
        }
        Some(outcome.map_err(|error| failed(error.to_string())))
    }

    /// Removes what the runs of this experiment before the last one wrote by themselves.
    fn drop_older_runs(&self, session: &Session, own: &Path) {
        let mut runs: Vec<PathBuf> = Vec::new();
        for kept in self.found(session) {
            if let Some(run) = kept.info.path.parent()
                && run != own
                && !runs.iter().any(|known| known == run)
            {
                runs.push(run.to_owned());
            }
        }
        for run in runs.into_iter().skip(EARLIER_RUNS) {
            // What cannot be removed is found again by the next run.
            let _ = CheckpointFolder::new(&run, 1, false).clear(session.origin());
            // Only if nothing is left in it.
            let _ = std::fs::remove_dir(&run);
        }
    }

    /// Every checkpoint of this experiment, the last written first.
    fn found(&self, session: &Session) -> Vec<KeptCheckpoint> {
        let Some(trainer) = session.language() else {
            return Vec::new();
        };
        let Ok(runs) = std::fs::read_dir(&self.keeping.base) else {
            return Vec::new();
        };
        let all = (runs.flatten())
            .flat_map(|run| CheckpointFolder::new(&run.path(), 1, false).list())
            .collect();
        let mut found: Vec<KeptCheckpoint> =
            lm::checkpoint::of_experiment(all, &trainer.experiment())
                .into_iter()
                .map(|info| KeptCheckpoint {
                    written: written(&info.path),
                    info,
                })
                .collect();
        found.sort_by_key(|kept| std::cmp::Reverse((kept.written, kept.info.step)));
        found
    }

    /// What there is to go on from.
    pub(super) fn list(&self, session: &Session) -> Arc<KeptCheckpoints> {
        let folder = self.own.as_ref().map(|own| own.root().to_owned());
        let (mut own, earlier): (Vec<_>, Vec<_>) = self
            .found(session)
            .into_iter()
            .partition(|kept| folder.is_some() && kept.info.path.parent() == folder.as_deref());
        own.sort_by_key(|kept| std::cmp::Reverse(kept.info.step));
        Arc::new(KeptCheckpoints {
            folder,
            own,
            earlier,
        })
    }
}

/// Makes the first folder `NAME-run-N` that nobody has.
fn claim_folder(base: &Path, name: &str) -> io::Result<PathBuf> {
    std::fs::create_dir_all(base)?;
    for number in 1..NAMES {
        let folder = base.join(format!("{name}-run-{number}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!(
        "there are {NAMES} runs of {name} already"
    )))
}

fn written(checkpoint: &Path) -> Option<SystemTime> {
    std::fs::metadata(checkpoint.join(CHECKPOINT_FILE))
        .and_then(|metadata| metadata.modified())
        .ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::{
        engine::Budget,
        experiment::{Preset, parse_preset, set_path},
    };

    /// The embedded model as a file, so that it counts as one that was loaded.
    fn loaded() -> Preset {
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/embedded");
        let text = format!(
            "(format: 1, title: \"Kept\", language: (model: {model:?}, prompts: [(prompt: \"pick 1 or 2:\", raw: true, \
             answers: [(text: \"1\"), (text: \"2\")])]), objective: (direction: Reverse, beta: 0.1), \
             training: (update: Sampled(batch: 8, advantage: LeaveOneOut, kl: Matched), learning_rate: 1e-3))"
        );
        parse_preset(&text).unwrap()
    }

    fn keeper(base: &Path, period: Option<Duration>) -> Keeper {
        Keeper::new(Keeping {
            base: base.to_owned(),
            period,
        })
    }

    /// Trains a step and lets the keeper look; whether it wrote.
    fn step(keeper: &mut Keeper, session: &mut Session, last: bool) -> bool {
        session.advance(Budget::steps(1), &|| false).unwrap();
        keeper
            .after_steps(session, last)
            .is_some_and(|outcome| outcome.is_ok())
    }

    #[test]
    fn a_loaded_model_is_kept_after_some_time_and_the_embedded_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut session = Session::new(loaded(), None).unwrap();
        let mut often = keeper(dir.path(), Some(Duration::ZERO));
        assert!(step(&mut often, &mut session, false));
        assert_eq!(often.list(&session).own.len(), 1);
        let mut seldom = keeper(dir.path(), Some(Duration::from_secs(3600)));
        assert!(!step(&mut seldom, &mut session, false));
        assert!(step(&mut seldom, &mut session, true), "the last one");
        let mut never = keeper(dir.path(), None);
        assert!(!step(&mut never, &mut session, true));

        let mut embedded = loaded();
        set_path(&mut embedded, "language.model=embedded").unwrap();
        let mut session = Session::new(embedded, None).unwrap();
        assert!(!step(&mut often, &mut session, true));
    }

    #[test]
    fn what_fails_is_told_once_until_it_is_well_again() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("taken");
        std::fs::write(&base, "a file").unwrap();
        let mut session = Session::new(loaded(), None).unwrap();
        let mut keeper = keeper(&base, Some(Duration::ZERO));
        let mut next = |keeper: &mut Keeper| {
            session.advance(Budget::steps(1), &|| false).unwrap();
            keeper.after_steps(&mut session, false)
        };
        let told = next(&mut keeper).unwrap().unwrap_err();
        assert!(told.contains(&base.display().to_string()), "{told}");
        assert!(next(&mut keeper).is_none());
        std::fs::remove_file(&base).unwrap();
        assert!(next(&mut keeper).unwrap().is_ok());
    }

    #[test]
    fn only_the_last_of_the_earlier_runs_keeps_what_it_wrote_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let mut session = Session::new(loaded(), None).unwrap();
        let mut keeper = keeper(dir.path(), Some(Duration::ZERO));
        let mut folders = Vec::new();
        for _ in 0..3 {
            keeper.begin();
            session.reset(None).unwrap();
            assert!(step(&mut keeper, &mut session, false));
            folders.push(keeper.list(&session).folder.clone().unwrap());
            // Of another experiment: it stays.
            let mut other = loaded();
            set_path(&mut other, "language.prompts.0.answers=[(text: \"3\")]").unwrap();
            let mut other = Session::new(other, None).unwrap();
            let mut its = Keeper::new(keeper.keeping.clone());
            if folders.len() == 1 {
                assert!(step(&mut its, &mut other, false));
                folders.push(its.list(&other).folder.clone().unwrap());
            }
        }
        let there: Vec<bool> = folders.iter().map(|folder| folder.is_dir()).collect();
        assert_eq!(there, [false, true, true, true]);
        let kept = keeper.list(&session);
        assert_eq!((kept.own.len(), kept.earlier.len()), (1, 1));
    }
}
