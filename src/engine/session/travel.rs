//! Starting over, going back, and going on from a checkpoint.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Journal, Live, Marks, Metric, Recorder, SavedState, Session, SessionError, Shown,
    bandit_trainer, grounds, lm, problems,
};

/// A state to go back to.
enum Found {
    /// In memory.
    Kept(SavedState),
    /// On the disk, with the experiment as it was.
    Written(Box<lm::checkpoint::OpenCheckpoint>, Arc<Live>),
}

impl Session {
    /// Starts the present, edited experiment over at step 0, with a new seed if one is given.
    ///
    /// # Errors
    /// As [`Self::new`]; the session is then as before.
    pub fn reset(&mut self, seed: Option<u64>) -> Result<(), SessionError> {
        let mut preset = self.preset.clone();
        preset.training.seed = seed.unwrap_or(preset.training.seed);
        let base_dir = self.base_dir.clone();
        let session = match (&self.language, self.sources.first()) {
            (Some(run), _) => {
                let model = Arc::clone(&run.model);
                if !self.keeps_states() {
                    // Two policies of this size may not fit into memory.
                    if let Some(trainer) = self.trainer.language_mut() {
                        trainer.release();
                    }
                    self.failed = true;
                }
                Self::start_language(preset, base_dir, model, &self.stop_waiting)?
            }
            (None, Some(source)) => Self::start_bandit(preset, base_dir, source.clone())?,
            (None, None) => return Err(SessionError::NoLanguage),
        };
        #[cfg(test)]
        let session = Self {
            fault: self.fault,
            ..session
        };
        *self = session;
        Ok(())
    }

    /// The latest state at or before a step, from memory or from a checkpoint.
    fn state_at_or_before(&self, step: u64) -> Result<Option<(u64, Found)>, SessionError> {
        let kept = self.states.at_or_before(step);
        let written = self
            .written()
            .rev()
            .find(|(at, ..)| *at <= step && kept.is_none_or(|(kept, _)| kept < at));
        let (Some((at, path, live)), Some(trainer)) = (written, self.trainer.language()) else {
            return Ok(kept.map(|(at, saved)| (*at, Found::Kept(saved.clone()))));
        };
        let checkpoint = lm::checkpoint::open_checkpoint(path, &trainer.experiment())?;
        let live = Arc::clone(live);
        Ok(Some((at, Found::Written(Box::new(checkpoint), live))))
    }

    /// Checkpoints of this run that are still there, by step.
    fn written(&self) -> impl DoubleEndedIterator<Item = (u64, &Path, &Arc<Live>)> {
        (self.checkpoints.iter())
            .filter(|(_, path, _)| path.is_dir())
            .map(|(step, path, live)| (*step, path.as_path(), live))
    }

    /// Where the run can go back to, in words.
    fn reachable(&self) -> String {
        let mut steps: Vec<u64> = (self.states.iter().map(|(step, _)| *step))
            .chain(self.written().map(|(step, ..)| step))
            .collect();
        steps.sort_unstable();
        steps.dedup();
        let steps: Vec<String> = steps.iter().map(u64::to_string).collect();
        let (shown, many) = match steps.as_slice() {
            [] => (String::new(), false),
            [one] => (format!("step {one}, which is kept, and "), false),
            [first, .., last] if steps.len() > 8 => (
                format!(
                    "the {} steps kept, from {first} to {last}, and ",
                    steps.len()
                ),
                true,
            ),
            _ => (
                format!("steps {}, which are kept, and ", steps.join(", ")),
                true,
            ),
        };
        let verb = if many || !shown.is_empty() {
            "are"
        } else {
            "is"
        };
        let advice = if self.keeps_states() {
            ""
        } else {
            "; of a model this large only checkpoints are kept"
        };
        format!("{shown}step 0, by Reset, {verb} accepted{advice}")
    }

    /// Writes a checkpoint of a language run that somebody asked for into a folder of checkpoints; returns its own folder.
    /// It stays there until somebody removes it.
    ///
    /// # Errors
    /// [`SessionError::NoLanguage`], [`SessionError::Failed`] where the failed step left nothing worth keeping, or the
    /// file that cannot be written.
    pub fn checkpoint(&mut self, root: &Path) -> Result<PathBuf, SessionError> {
        self.write_checkpoint(root, true)
    }

    /// Writes one of a run's own checkpoints, and removes those that the experiment does not want kept.
    ///
    /// # Errors
    /// As [`Self::checkpoint`].
    pub(crate) fn checkpoint_by_itself(&mut self, root: &Path) -> Result<PathBuf, SessionError> {
        self.write_checkpoint(root, false)
    }

    fn write_checkpoint(&mut self, root: &Path, by_hand: bool) -> Result<PathBuf, SessionError> {
        if !self.is_sound() {
            return Err(SessionError::Failed { step: self.step });
        }
        let score = self.metrics().get(Metric::Objective);
        let Some(trainer) = self.trainer.language() else {
            return Err(SessionError::NoLanguage);
        };
        let kept = trainer.spec().checkpoints;
        let folder = lm::checkpoint::CheckpointFolder::new(root, kept.keep, kept.best);
        let checkpoint = lm::checkpoint::Checkpoint {
            experiment: trainer.experiment(),
            state: trainer.state(),
            score: score.is_finite().then_some(score),
        };
        let path = if by_hand {
            let own: Vec<&Path> = (self.checkpoints.iter())
                .filter(|(step, ..)| *step == self.step)
                .map(|(_, path, _)| path.as_path())
                .collect();
            folder.save_by_hand(&checkpoint, &own)?
        } else {
            folder.save(&checkpoint)?
        };
        let live = Arc::new(Live::of(&self.preset));
        self.checkpoints.retain(|(step, ..)| *step != self.step);
        self.checkpoints.push((self.step, path.clone(), live));
        Ok(path)
    }

    /// Whether the present state is one to go on from: training has not failed, or the state before the failed step is
    /// back.
    pub(crate) fn is_sound(&self) -> bool {
        !self.failed || (self.trainer.language()).is_some_and(lm::LmTrainer::is_sound)
    }

    /// Goes on from a checkpoint of this very experiment: a run of no steps becomes the run that wrote it, edits of its
    /// journal included.
    ///
    /// # Errors
    /// [`SessionError::NoLanguage`], a checkpoint that cannot be read or belongs to another experiment: the session is then
    /// as before.
    pub fn go_on_from(&mut self, checkpoint: &Path) -> Result<(), SessionError> {
        let trainer = self
            .trainer
            .language_mut()
            .ok_or(SessionError::NoLanguage)?;
        let opened = lm::checkpoint::open_checkpoint(checkpoint, &trainer.experiment())?;
        let step = opened.step();
        // Should the disk fail on the way, only a reset helps.
        self.failed = true;
        trainer.restore_from(opened)?;
        self.failed = false;
        // Edits of the journal keep their own steps.
        while let Some(entry) = self.replay.front().filter(|entry| entry.step <= step) {
            self.step = entry.step;
            self.replay_due()?;
        }
        self.step = step;
        self.origin = Some(checkpoint.to_owned());
        self.rows.clear();
        self.recorder = Recorder::new();
        self.keyframes.truncate(0);
        self.states.truncate(0);
        self.shown = Shown::default();
        self.watch.restart();
        self.at_boundary()
    }

    /// As [`Self::go_on_from`] in the midst of another run: what was recorded and edited so far is forgotten, and the present
    /// experiment is the one that the journal starts from. Returns the step reached.
    ///
    /// # Errors
    /// As [`Self::go_on_from`]; the session is then as before.
    pub fn leave_for(&mut self, checkpoint: &Path) -> Result<u64, SessionError> {
        self.replay.clear();
        self.go_on_from(checkpoint)?;
        self.failed = false;
        self.initial = Arc::new(self.preset.clone());
        self.journal = Journal::default();
        self.marks = Marks::default();
        self.checkpoints.clear();
        let live = Arc::new(Live::of(&self.preset));
        self.checkpoints
            .push((self.step, checkpoint.to_owned(), live));
        self.shown = Shown::default();
        self.set_boundary();
        Ok(self.step)
    }

    /// The checkpoint that the run went on from.
    #[must_use]
    pub fn origin(&self) -> Option<&Path> {
        self.origin.as_deref()
    }

    /// Goes back to the nearest saved state at or before `step` and to the experiment as it was then. Training from
    /// there repeats the first time bit for bit. Returns the step reached.
    ///
    /// # Errors
    /// As [`Self::new`], and [`SessionError::NotKept`] where there is no such state: the session is then as before.
    pub fn revert(&mut self, step: u64) -> Result<u64, SessionError> {
        let (step, found) = match self.state_at_or_before(step)? {
            Some(found) => found,
            // The start is known without having been kept.
            None if step == 0 => {
                self.reset(None)?;
                return Ok(0);
            }
            None => {
                let kept = self.reachable();
                return Err(SessionError::NotKept { step, kept });
            }
        };
        let mut preset = self.preset.clone();
        let sources = match &found {
            Found::Kept(saved) => {
                saved.live.restore(&mut preset);
                saved.sources.clone()
            }
            Found::Written(_, live) => {
                live.restore(&mut preset);
                // A language model's reference stays what it is.
                self.sources.clone()
            }
        };
        let grounds = grounds(problems(&sources, &preset)?, &preset.objective)?;
        let training = Arc::new(preset.training.clone());
        if self.language.is_some() {
            let spec = preset.language.clone();
            if training.seed != self.training.seed {
                self.trainer = self.fresh_language_trainer(&training)?;
            }
            if let (Some(trainer), Some(spec)) = (self.trainer.language_mut(), spec) {
                trainer.respec(Arc::new(spec));
            }
            self.trainer.retarget(&grounds, preset.objective)?;
            self.trainer.retrain(Arc::clone(&training))?;
        } else {
            self.trainer = bandit_trainer(&grounds, &preset)?;
        }
        match found {
            Found::Kept(saved) => {
                self.trainer.restore(&saved.trainer)?;
                self.stop = saved.stop;
            }
            Found::Written(checkpoint, _) => {
                if let Some(trainer) = self.trainer.language_mut() {
                    // Should the disk fail on the way, only a reset helps.
                    self.failed = true;
                    trainer.restore_from(*checkpoint)?;
                }
            }
        }

        self.preset = preset;
        self.sources = sources;
        self.show(grounds);
        self.training = training;
        self.step = step;
        self.failed = false;
        self.replay.clear();
        self.rows.retain(|row| row.step <= step);
        self.recorder = Recorder::from_rows(&self.rows);
        self.keyframes.truncate(step);
        self.states.truncate(step);
        self.checkpoints.retain(|(at, ..)| *at <= step);
        self.journal.truncate(step);
        self.marks.truncate(step);
        self.watch.restart();
        self.shown = Shown::default();
        self.set_boundary();
        Ok(step)
    }
}
