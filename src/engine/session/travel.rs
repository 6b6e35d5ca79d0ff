//! Starting over, going back, and going on from a checkpoint.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Journal, LearnerState, Live, Marks, Metric, Recorder, SavedState, Session, SessionError, Shown,
    bandit_trainer, grounds, lm, problems,
};

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
                Self::start_language(preset, base_dir, model)?
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
    pub(super) fn state_at_or_before(
        &self,
        step: u64,
    ) -> Result<Option<(u64, SavedState)>, SessionError> {
        let kept = self.states.at_or_before(step).cloned();
        let written = self.checkpoints.iter().rev().find(|(at, path, _)| {
            *at <= step && kept.as_ref().is_none_or(|(kept, _)| kept < at) && path.is_dir()
        });
        let (Some((at, path, live)), Some(trainer)) = (written, self.trainer.language()) else {
            return Ok(kept);
        };
        let state = lm::checkpoint::load_checkpoint(path, trainer.model(), trainer.lora())?;
        let saved = SavedState {
            trainer: LearnerState::Language(Arc::new(state)),
            live: Arc::clone(live),
            stop: self.stop.clone(),
        };
        Ok(Some((*at, saved)))
    }

    /// Writes a checkpoint of a language run into a folder of checkpoints; returns its own folder.
    ///
    /// # Errors
    /// [`SessionError::NoLanguage`], or the file that cannot be written.
    pub fn checkpoint(&mut self, root: &Path) -> Result<PathBuf, SessionError> {
        let score = self.metrics().get(Metric::Objective);
        let (Some(trainer), Some(spec)) = (self.trainer.language(), &self.preset.language) else {
            return Err(SessionError::NoLanguage);
        };
        let kept = spec.checkpoints;
        let path = lm::checkpoint::CheckpointFolder::new(root, kept.keep, kept.best).save(
            &lm::checkpoint::Checkpoint {
                model: trainer.model(),
                lora: trainer.lora(),
                state: trainer.state(),
                score: score.is_finite().then_some(score),
                base_name: &spec.model,
            },
        )?;
        let live = Arc::new(Live::of(&self.preset));
        self.checkpoints.retain(|(step, ..)| *step != self.step);
        self.checkpoints.push((self.step, path.clone(), live));
        Ok(path)
    }

    /// Goes on from a checkpoint of this very experiment: a run of no steps becomes the run that wrote it, edits of its
    /// journal included.
    ///
    /// # Errors
    /// [`SessionError::NoLanguage`], a checkpoint that cannot be read or belongs to another experiment.
    pub fn go_on_from(&mut self, checkpoint: &Path) -> Result<(), SessionError> {
        let trainer = self
            .trainer
            .language_mut()
            .ok_or(SessionError::NoLanguage)?;
        let state = lm::checkpoint::load_checkpoint(checkpoint, trainer.model(), trainer.lora())?;
        trainer.restore(&state)?;
        // Edits of the journal keep their own steps.
        while let Some(entry) = self.replay.front().filter(|entry| entry.step <= state.step) {
            self.step = entry.step;
            self.replay_due()?;
        }
        self.step = state.step;
        self.rows.clear();
        self.recorder = Recorder::new();
        self.keyframes.truncate(0);
        self.states.truncate(0);
        self.shown = Shown::default();
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

    /// Goes back to the nearest saved state at or before `step` and to the experiment as it was then. Training from
    /// there repeats the first time bit for bit. Returns the step reached.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn revert(&mut self, step: u64) -> Result<u64, SessionError> {
        let Some((step, saved)) = self.state_at_or_before(step)? else {
            self.reset(None)?;
            return Ok(0);
        };
        let mut preset = self.preset.clone();
        saved.live.restore(&mut preset);
        let grounds = grounds(problems(&self.sources, &preset)?, &preset.objective)?;
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
            self.trainer.restore(&saved.trainer)?;
        } else {
            let mut trainer = bandit_trainer(&grounds, &preset)?;
            trainer.restore(&saved.trainer)?;
            self.trainer = trainer;
        }

        self.preset = preset;
        self.show(grounds);
        self.training = training;
        self.stop = saved.stop;
        self.step = step;
        self.failed = false;
        self.replay.clear();
        self.rows.retain(|row| row.step <= step);
        self.recorder = Recorder::from_rows(self.rows.iter().map(|row| (row.step, &row.metrics)));
        self.keyframes.truncate(step);
        self.states.truncate(step);
        self.checkpoints.retain(|(at, ..)| *at <= step);
        self.journal.truncate(step);
        self.marks.truncate(step);
        self.shown = Shown::default();
        self.set_boundary();
        Ok(step)
    }
}
