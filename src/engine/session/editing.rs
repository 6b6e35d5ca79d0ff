//! Edits of a running experiment: each takes effect at a step boundary, is written to the journal, or is refused and changes
//! nothing.

use std::sync::Arc;

use super::{
    Analysis, Edit, EditError, Ground, Learner, Live, LmTrainer, Mistake, Objective, ProblemSource,
    Session, SessionError, Solved, StopWatch, Training, experiment, grounds, lm, problems,
};

impl Session {
    pub(super) fn replay_due(&mut self) -> Result<(), SessionError> {
        let mut due = Vec::new();
        while self
            .replay
            .front()
            .is_some_and(|entry| entry.step <= self.step)
        {
            due.extend(self.replay.pop_front().map(|entry| entry.edit));
        }
        match self.edit(due).into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// As [`Self::edit`]. `solved` may be what the last of the edits leads to: what belongs to the experiment as it is then
    /// is not worked out again.
    pub fn edit_towards(
        &mut self,
        edits: impl IntoIterator<Item = Edit>,
        solved: Option<Solved>,
    ) -> Vec<(Edit, SessionError)> {
        self.solved = solved;
        let refused = self.edit(edits);
        self.solved = None;
        refused
    }

    /// Applies edits in order at this step boundary and writes them to the journal. An edit that is not accepted
    /// changes nothing and is returned with the reason.
    pub fn edit(&mut self, edits: impl IntoIterator<Item = Edit>) -> Vec<(Edit, SessionError)> {
        let mut refused = Vec::new();
        let mut changed = false;
        for edit in edits {
            match self.apply(&edit) {
                Ok(()) => {
                    changed = true;
                    self.journal.push(self.step, edit);
                }
                Err(error) => refused.push((edit, error)),
            }
        }
        if changed {
            self.shown.metrics = None;
            self.shown.marks = None;
            self.shown.live = None;
            self.watch.restart();
            if !self.failed {
                self.renew_records();
            }
            self.set_boundary();
        }
        refused
    }

    pub(super) fn apply(&mut self, edit: &Edit) -> Result<(), SessionError> {
        let before = Live::of(&self.preset);
        let old = self.preset.objective;
        let mut marks = self.marks.clone();
        marks.add(self.step, &self.preset, edit);
        let applied = experiment::apply(&mut self.preset, edit, self.problem.arms())
            .map_err(SessionError::from)
            .and_then(|()| self.carry_out(edit, &old, &before));
        match applied {
            Ok(()) => self.marks = marks,
            Err(_) => before.restore(&mut self.preset),
        }
        applied
    }

    /// Makes the trainer follow the preset after an edit; `old` is the objective before it, `before` all that edits change.
    fn carry_out(
        &mut self,
        edit: &Edit,
        old: &Objective,
        before: &Live,
    ) -> Result<(), SessionError> {
        match edit {
            Edit::Stop(rule) => {
                self.training = Arc::new(self.preset.training.clone());
                self.stop = StopWatch::new(*rule);
            }
            Edit::Language(spec) => {
                let old = self
                    .trainer
                    .language()
                    .map(|trainer| Arc::clone(trainer.spec()));
                let Some(old) = old else {
                    return Err(SessionError::NoLanguage);
                };
                if LmTrainer::needs_restart(&old, spec) {
                    return Err(EditError(Mistake::new(
                        "language",
                        "another model, prompt, answer, rule or choice of trained parameters needs a fresh start; \
                         temperature, top_p, weight_decay, clip, warm_up and checkpoints can change in a run",
                    ))
                    .into());
                }
                if let Some(trainer) = self.trainer.language_mut() {
                    trainer.respec(Arc::new(spec.as_ref().clone()));
                }
            }
            Edit::Training(_) => {
                let training = Arc::new(self.preset.training.clone());
                if !self.failed {
                    if self.language.is_some() && training.seed != self.training.seed {
                        self.trainer = self.fresh_language_trainer(&training)?;
                    } else {
                        self.trainer.retrain(Arc::clone(&training))?;
                    }
                }
                if training.stop != self.training.stop {
                    self.stop = StopWatch::new(training.stop);
                }
                self.training = training;
            }
            Edit::Problem(_) => {
                let source = self.renewed_source(before)?;
                let objective = self.preset.objective;
                let grounds = match self.solved_ground(&source) {
                    Some(ground) => vec![ground],
                    None => {
                        let sources = std::slice::from_ref(&source);
                        grounds(problems(sources, &self.preset)?, &objective)?
                    }
                };
                if !self.failed {
                    self.trainer.retarget(&grounds, objective)?;
                }
                self.sources = vec![source];
                self.show(grounds);
                self.stop.target_moved();
            }
            Edit::Objective(_)
            | Edit::Reward { .. }
            | Edit::Reference { .. }
            | Edit::Modes(_)
            | Edit::Coverage(_)
            | Edit::Bars { .. }
            | Edit::Answers { .. } => {
                let objective = self.preset.objective;
                let kept = matches!(edit, Edit::Objective(_))
                    && ProblemSource::same_under(old, &objective);
                let source = self.sources.first().cloned();
                let grounds =
                    if let Some(ground) = source.and_then(|source| self.solved_ground(&source)) {
                        vec![ground]
                    } else if kept {
                        self.renewed_grounds(old, &objective)?
                    } else {
                        grounds(problems(&self.sources, &self.preset)?, &objective)?
                    };
                if !self.failed {
                    self.trainer.retarget(&grounds, objective)?;
                }
                if let (Some(trainer), Some(spec)) =
                    (self.trainer.language_mut(), &self.preset.language)
                    && **trainer.spec() != *spec
                {
                    // Its rewards are those of the bars.
                    trainer.respec(Arc::new(spec.clone()));
                }
                self.show(grounds);
                if !matches!(edit, Edit::Coverage(_)) {
                    self.stop.target_moved();
                }
            }
        }
        Ok(())
    }

    /// The evaluated sources of the experiment as it is now, on the same arms as `before`.
    fn renewed_source(&self, before: &Live) -> Result<Arc<ProblemSource>, SessionError> {
        let Some(old) = self.sources.first() else {
            return Err(SessionError::NoLanguage);
        };
        let known = (self.solved.as_ref()).filter(|one| one.preset.bandit == self.preset.bandit);
        let source = match known {
            Some(solved) => Arc::clone(&solved.source),
            None => {
                let bandit = &self.preset.bandit;
                let base_dir = self.base_dir.as_deref();
                Arc::new(old.renewed(before.bandit(), bandit, base_dir)?)
            }
        };
        if !source.same_layout(old) {
            return Err(EditError(Mistake::new(
                "bandit.arms",
                "another number or layout of the arms needs a fresh start; names, reference, rewards and modes can change in \
                 a run",
            ))
            .into());
        }
        Ok(source)
    }

    /// Problem and target of the experiment as it is now, with these evaluated sources, where they are known already.
    fn solved_ground(&mut self, source: &Arc<ProblemSource>) -> Option<Ground> {
        let solved = self.solved.take_if(|solved| {
            self.language.is_none()
                && Arc::ptr_eq(source, &solved.source)
                && solved.preset.objective == self.preset.objective
                && solved.preset.bandit == self.preset.bandit
                && solved.preset.coverage == self.preset.coverage
        })?;
        Some(Ground {
            problem: solved.problem,
            analysis: solved.analysis,
        })
    }

    /// The present problems under another objective than `old`.
    fn renewed_grounds(
        &self,
        old: &Objective,
        objective: &Objective,
    ) -> Result<Vec<Ground>, SessionError> {
        (self.grounds.iter())
            .map(|ground| {
                let earlier = (&*ground.analysis, old);
                let analysis = Analysis::renewed(&ground.problem, objective, earlier)?;
                Ok(Ground {
                    problem: Arc::clone(&ground.problem),
                    analysis: Arc::new(analysis),
                })
            })
            .collect()
    }

    /// Makes these the problems of the run.
    pub(super) fn show(&mut self, grounds: Vec<Ground>) {
        if let Some(Ground { problem, analysis }) = grounds.get(self.shown()).cloned() {
            self.problem = problem;
            self.analysis = analysis;
        }
        self.grounds = grounds;
    }

    /// A language model at the start of its training, on the present problems.
    pub(super) fn fresh_language_trainer(
        &self,
        training: &Arc<Training>,
    ) -> Result<Learner, SessionError> {
        let (Some(run), Some(spec)) = (&self.language, &self.preset.language) else {
            return Err(SessionError::NoLanguage);
        };
        let spec = Arc::new(spec.clone());
        let base_dir = self.base_dir.as_deref();
        let prepared =
            lm::Prepared::new(Arc::clone(&run.model), spec, base_dir, &self.stop_waiting)?;
        let trainer = LmTrainer::new(
            prepared,
            self.grounds.clone(),
            self.preset.objective,
            Arc::clone(training),
        )?;
        Ok(Learner::Language(Box::new(trainer)))
    }

    /// A keyframe or state of this very step shows the experiment after its edits.
    pub(super) fn renew_records(&mut self) {
        if self.keyframes.last_step() == Some(self.step) {
            let frame = self.keyframe();
            self.keyframes.replace_last(frame);
            self.shown.keyframes = None;
        }
        if self.states.last_step() == Some(self.step) {
            let state = self.saved_state();
            self.states.replace_last(state);
        }
    }
}
