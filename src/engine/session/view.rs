//! What others see of a session: the snapshot for the window, and everything it can be asked.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Analysis, Collapse, Ground, HISTORY_PERIOD, Journal, LmTrainer, Metrics, Preset, ProbeAnswer,
    Problem, Row, SampleRecord, Session, SessionError, Snapshot, Status, StepLog, bandit, lm,
};

impl Session {
    /// Metrics of the present policy.
    pub fn metrics(&mut self) -> Metrics {
        let trainer = &mut self.trainer;
        *self.shown.metrics.get_or_insert_with(|| trainer.measure())
    }

    /// Edits of a journal that have not taken effect yet: how many, and the step of the first.
    #[must_use]
    pub fn edits_ahead(&self) -> Option<(usize, u64)> {
        let first = self.replay.front()?;
        Some((self.replay.len(), first.step))
    }

    /// The step of this run at which dynamics and sampling as causes of collapse were last compared with the runs beside it;
    /// none where there are none.
    #[must_use]
    pub fn causes_at(&self) -> Option<u64> {
        self.trainer.causes_at()
    }

    /// A picture of this moment. Parts that did not change are shared with earlier ones, and the history is at most
    /// 50 ms old unless `complete`.
    pub fn snapshot(
        &mut self,
        epoch: u64,
        status: Status,
        steps_per_second: f64,
        complete: bool,
    ) -> Snapshot {
        let metrics = self.metrics();
        let shown = self.shown();
        self.refresh_history(complete);
        let keyframes = self.shown.keyframes.get_or_insert_with(|| {
            self.keyframes
                .iter()
                .map(|(_, frame)| frame.clone())
                .collect()
        });
        let marks = self
            .shown
            .marks
            .get_or_insert_with(|| self.marks.to_vec().into());
        let language = match (&mut self.language, self.trainer.language()) {
            (Some(run), Some(trainer)) => Some(Arc::new(run.snapshot(trainer, complete))),
            _ => None,
        };
        let samples = self.trainer.samples(shown);
        let sample_count = samples.iter().map(|&n| u64::from(n)).sum();
        let samples = samples.into();
        let policy: Arc<[f64]> = self.trainer.masses(shown).into();
        Snapshot {
            epoch,
            status,
            step: self.step,
            elapsed_secs: self.elapsed.as_secs_f64(),
            steps_per_second,
            problem: Arc::clone(&self.problem),
            objective: self.preset.objective,
            training: Arc::clone(&self.training),
            analysis: Arc::clone(&self.analysis),
            policy_modes: bandit::mode_masses(&self.problem, &policy).into(),
            policy,
            samples,
            sample_count,
            best_fit: self.trainer.best_fit(),
            metrics,
            causes_at: self.trainer.causes_at(),
            history: Arc::clone(&self.shown.history),
            keyframes: Arc::clone(keyframes),
            marks: Arc::clone(marks),
            language,
            collapse: self.watch.found(),
        }
    }

    pub(super) fn refresh_history(&mut self, complete: bool) {
        let now = Instant::now();
        let due = match self.shown.history_at {
            None => true,
            Some((step, at)) => step != self.step && (complete || now - at >= HISTORY_PERIOD),
        };
        if due {
            self.shown.history = Arc::new(self.recorder.history());
            self.shown.history_at = Some((self.step, now));
        }
    }

    /// Steps done.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Time spent training.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Marks the session failed, after a panic in it: nothing of the trainer is trusted any more.
    pub(crate) fn mark_failed(&mut self) {
        self.failed = true;
    }

    /// Whether training failed and needs a reset.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.failed
    }

    /// The experiment as edited.
    #[must_use]
    pub fn preset(&self) -> &Preset {
        &self.preset
    }

    /// The experiment at step 0, from which the journal starts.
    #[must_use]
    pub fn initial_preset(&self) -> &Arc<Preset> {
        &self.initial
    }

    /// Where the preset's relative paths start.
    #[must_use]
    pub fn base_dir(&self) -> Option<&Path> {
        self.base_dir.as_deref()
    }

    /// The problem, edits included.
    #[must_use]
    pub fn problem(&self) -> &Arc<Problem> {
        &self.problem
    }

    /// What the objective asks for.
    #[must_use]
    pub fn analysis(&self) -> &Arc<Analysis> {
        &self.analysis
    }

    /// The policy's masses, one per arm.
    pub fn policy(&mut self) -> &[f64] {
        self.trainer
            .masses(self.language.as_ref().map_or(0, |run| run.shown))
    }

    /// The policy's natural-log masses, one per arm.
    pub fn log_policy(&mut self) -> &[f64] {
        self.trainer
            .log_masses(self.language.as_ref().map_or(0, |run| run.shown))
    }

    /// The masses of one prompt's answers under the policy, or of a bandit's arms.
    pub fn policy_of(&mut self, prompt: usize) -> &[f64] {
        self.trainer.masses(prompt)
    }

    /// Their natural logarithms.
    pub fn log_policy_of(&mut self, prompt: usize) -> &[f64] {
        self.trainer.log_masses(prompt)
    }

    /// How often each arm, or each answer to one prompt, was drawn in recent batches; all zero under exact updates.
    pub fn samples_of(&mut self, prompt: usize) -> &[u32] {
        self.trainer.samples(prompt)
    }

    /// Problem and target of every prompt; of a bandit the only one.
    #[must_use]
    pub fn grounds(&self) -> &[Ground] {
        &self.grounds
    }

    /// Steps per second of training, over the time in [`Self::elapsed`]; 0 before the first step.
    #[must_use]
    pub fn steps_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 {
            self.steps_done as f64 / seconds
        } else {
            0.0
        }
    }

    /// Steps done in the time in [`Self::elapsed`]: fewer than [`Self::step`] where the run went on from a checkpoint.
    #[must_use]
    pub fn steps_done(&self) -> u64 {
        self.steps_done
    }

    /// The language model's trainer, where there is one.
    #[must_use]
    pub fn language(&self) -> Option<&LmTrainer> {
        self.trainer.language()
    }

    /// Distinct completions of the last batch of a language run, most frequent first.
    #[must_use]
    pub fn samples(&self) -> Option<&Arc<[SampleRecord]>> {
        self.trainer.language().map(LmTrainer::records)
    }

    /// How training has ruined the policy, if it has.
    #[must_use]
    pub fn collapse(&self) -> Option<Collapse> {
        self.watch.found()
    }

    /// The first collapse of this run, whatever came after.
    #[must_use]
    pub fn first_collapse(&self) -> Option<Collapse> {
        self.watch.first()
    }

    /// Something that the user should know of the run, told once.
    pub fn take_notice(&mut self) -> Option<String> {
        if let Some(collapse) = self.watch.take() {
            let beta = self.preset.objective.beta.get();
            return Some(collapse.message(self.training.learning_rate, beta));
        }
        let trainer = self.trainer.language()?;
        let collapsed = self.watch.first().is_some();
        self.language.as_mut()?.notice(trainer, collapsed)
    }

    /// From now on, keeps every step of a language run until [`Self::take_step_log`].
    pub fn log_steps(&mut self) {
        if self.language.is_some() {
            self.step_log = Some(Vec::new());
        }
    }

    /// The steps since the last time.
    pub fn take_step_log(&mut self) -> Vec<StepLog> {
        self.step_log
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Shows another prompt of a language run: problem, analysis and policy are its own from now on.
    ///
    /// # Errors
    /// [`SessionError::NoPrompt`] or [`SessionError::NoLanguage`].
    pub fn show_prompt(&mut self, prompt: usize) -> Result<(), SessionError> {
        let last = self.grounds.len().saturating_sub(1);
        let run = self.language.as_mut().ok_or(SessionError::NoLanguage)?;
        if prompt > last {
            return Err(SessionError::NoPrompt { prompt, last });
        }
        run.shown = prompt;
        self.show(self.grounds.clone());
        // Policies of another prompt are no pictures of this one.
        self.keyframes.truncate(0);
        self.shown.keyframes = None;
        Ok(())
    }

    /// The most likely next tokens of a text under policy and reference.
    ///
    /// # Errors
    /// [`SessionError::NoLanguage`], or a text that the model cannot take.
    pub fn probe(
        &mut self,
        prompt: &lm::PromptSpec,
        limit: usize,
    ) -> Result<ProbeAnswer, SessionError> {
        let trainer = self
            .trainer
            .language_mut()
            .ok_or(SessionError::NoLanguage)?;
        let text = prompt.text(trainer.model().chat.as_ref())?;
        let tokens = trainer.probe(&text, limit)?;
        Ok(ProbeAnswer { text, tokens })
    }

    /// Edits made, with their steps.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Every metric at the steps of the schedule.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}
