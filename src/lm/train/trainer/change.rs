//! Changes of a running fine-tune, and states to go back to.

use std::sync::Arc;

use super::{
    AdamW, AdamWSettings, Buffer, From, Ground, LanguageSpec, LmState, LmStateRef, LmTrainError,
    LmTrainer, Objective, Optimizer, PolicyFamily, Tape, Trained, Training, Update, Weigher,
};

impl LmTrainer {
    pub(super) fn keep(&mut self) {
        if self.trained.values().len() <= self.keeps {
            self.kept = Some(self.save_state());
        }
    }

    pub(super) fn fall_back(&mut self, what: &'static str) -> LmTrainError {
        let step = self.step + 1;
        if let Some(kept) = self.kept.take() {
            // The kept state is this very trainer's, so it fits.
            let _ = self.restore(&kept);
        } else if self.evaluate().is_err() {
            tracing::error!("the parameters before the step cannot be evaluated");
        }
        LmTrainError::NotFinite {
            step,
            what,
            kept: self.step,
            suggested: self.training.learning_rate / 10.0,
        }
    }

    /// Replaces problems, objective and analyses (one per prompt, same arms); the policy and its optimiser go on.
    ///
    /// # Errors
    /// When the number of prompts or arms changes.
    pub fn retarget(
        &mut self,
        grounds: Vec<Ground>,
        objective: Objective,
    ) -> Result<(), LmTrainError> {
        let fits = grounds.len() == self.prompts.len()
            && (grounds.iter().zip(&self.prompts))
                .all(|(ground, state)| ground.problem.arms() == state.masses.len());
        if !fits {
            return Err(LmTrainError::field(
                "language.prompts",
                "another number of prompts or answers",
                "a run keeps those it started with",
            ));
        }
        self.objective = objective;
        for (state, ground) in self.prompts.iter_mut().zip(grounds) {
            let anchor = state.weigher.running_anchor;
            state.weigher = Weigher::new(&ground.problem, &objective, &ground.analysis);
            state.weigher.running_anchor = anchor;
            state.ground = ground;
        }
        Ok(())
    }

    /// Replaces the training description; the policy and its moments go on. (Another seed is the caller's to notice: it
    /// begins anew.)
    ///
    /// # Errors
    /// As [`Self::new`]; the trainer is then as before.
    pub fn retrain(&mut self, training: Arc<Training>) -> Result<(), LmTrainError> {
        check_training(&training, self.prompts.len())?;
        self.training = training;
        self.optimiser
            .set_settings(settings(&self.training, &self.spec));
        Ok(())
    }

    /// Replaces what of the language part may change while a run goes on; [`Self::needs_restart`] tells.
    pub fn respec(&mut self, spec: Arc<LanguageSpec>) {
        self.spec = spec;
        self.optimiser
            .set_settings(settings(&self.training, &self.spec));
    }

    /// Whether a change of the language part begins the policy anew: another model, task or choice of what is trained.
    #[must_use]
    pub fn needs_restart(old: &LanguageSpec, new: &LanguageSpec) -> bool {
        let light = LanguageSpec {
            temperature: old.temperature,
            top_p: old.top_p,
            weight_decay: old.weight_decay,
            clip: old.clip,
            warm_up: old.warm_up,
            checkpoints: old.checkpoints,
            ..new.clone()
        };
        light != *old
    }

    /// Gives its memory back; the trainer is of no use afterwards.
    pub fn release(&mut self) {
        self.trained = Trained::Full(Buffer::default());
        self.optimiser = AdamW::new(0, AdamWSettings::default());
        self.gradient = Buffer::default();
        self.tape = Tape::new(&self.model.layout);
        self.kept = None;
    }

    /// Everything needed to go on from here exactly.
    #[must_use]
    pub fn save_state(&self) -> LmState {
        self.state().into()
    }

    /// As [`Self::save_state`], borrowed.
    #[must_use]
    pub fn state(&self) -> LmStateRef<'_> {
        LmStateRef {
            step: self.step,
            parameters: self.trained.values(),
            optimiser: self.optimiser.state(),
            drawn_words: self.drawn_words(),
            anchors: self
                .prompts
                .iter()
                .map(|state| state.weigher.running_anchor)
                .collect(),
            known: self.reference.known(),
        }
    }

    /// Goes to a saved state of this experiment.
    ///
    /// # Errors
    /// [`LmTrainError::ForeignState`] if it has another number of parameters.
    pub fn restore(&mut self, state: &LmState) -> Result<(), LmTrainError> {
        let expected = self.trained.values().len();
        for found in [state.parameters.len(), state.optimiser.first.len()] {
            if found != expected {
                return Err(LmTrainError::ForeignState { found, expected });
            }
        }
        self.optimiser = AdamW::from_state(
            state.optimiser.clone(),
            settings(&self.training, &self.spec),
        )?;
        self.trained.values_mut().copy_from_slice(&state.parameters);
        self.sampling.set_word_pos(state.drawn_words.0);
        self.reference_sampling.set_word_pos(state.drawn_words.1);
        for (prompt, anchor) in self.prompts.iter_mut().zip(&state.anchors) {
            prompt.weigher.running_anchor = *anchor;
        }
        self.reference.recall(&state.known);
        self.step = state.step;
        self.facts = None;
        self.evaluate()
    }
}

pub(super) fn check_training(training: &Training, prompts: usize) -> Result<(), LmTrainError> {
    if training.policy != PolicyFamily::SoftmaxTable {
        return Err(LmTrainError::field(
            "training.policy",
            "a restricted family",
            "the language model is the policy: leave it out",
        ));
    }
    if training.start != From::Reference {
        return Err(LmTrainError::field(
            "training.start",
            "another start",
            "Reference is: a fine-tune starts at its model",
        ));
    }
    if !matches!(training.optimizer, Optimizer::Adam { .. }) {
        return Err(LmTrainError::field(
            "training.optimizer",
            "another optimiser",
            "Adam is",
        ));
    }
    match training.update {
        Update::NaturalGradient => Err(LmTrainError::field(
            "training.update",
            "NaturalGradient",
            "Exact, Sampled and Dap are: it needs the softmax table",
        )),
        Update::Sampled { batch, .. } | Update::Dap { batch } if batch < prompts => {
            Err(LmTrainError::field(
                "training.update.batch",
                batch,
                format!("at least {prompts} is, one sample for each prompt"),
            ))
        }
        Update::Sampled { batch, .. } if batch < training.update.least_batch() => {
            Err(LmTrainError::field(
                "training.update.batch",
                batch,
                "at least 2 is, as this advantage compares a sample with others of its batch",
            ))
        }
        Update::Exact | Update::Sampled { .. } | Update::Dap { .. } => Ok(()),
    }
}

pub(super) fn settings(training: &Training, spec: &LanguageSpec) -> AdamWSettings {
    let (beta1, beta2, epsilon) = match training.optimizer {
        Optimizer::Adam {
            beta1,
            beta2,
            epsilon,
        } => (beta1, beta2, epsilon),
        // Refused by `check_training`.
        Optimizer::Sgd | Optimizer::Momentum { .. } => (0.9, 0.999, 1e-8),
    };
    AdamWSettings {
        beta1,
        beta2,
        epsilon,
        weight_decay: spec.weight_decay,
        max_norm: spec.clip,
    }
}
