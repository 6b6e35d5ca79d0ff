//! Going on from a checkpoint on the disk, in the memory that the trainer has already.

use super::{AdamW, LmTrainError, LmTrainer, change::settings};
use crate::lm::{
    checkpoint::{Experiment, OpenCheckpoint},
    fast::{AdamWState, zeros},
};

impl LmTrainer {
    /// What a checkpoint of this run belongs to.
    #[must_use]
    pub fn experiment(&self) -> Experiment<'_> {
        Experiment {
            model: &self.model,
            lora: self.lora(),
            spec: &self.spec,
        }
    }

    /// Whether policy and optimiser are those after [`Self::step_count`] steps, and finite. After a step that failed this
    /// tells whether the last good state is back.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let optimiser = self.optimiser.state();
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        u64::from(optimiser.steps) == self.step
            && optimiser.first.len() == self.trained.values().len()
            && self.is_finite()
            && finite(self.trained.values())
            && finite(&optimiser.first)
            && finite(&optimiser.second)
    }

    /// Goes to where a checkpoint of this experiment stands. The numbers are read straight into place: a large model is at
    /// no time in memory a second time.
    ///
    /// # Errors
    /// [`LmTrainError::ForeignState`] if it has another number of parameters; the trainer is then as before. Where the disk
    /// fails half-way, the trainer is of no use until it is restored.
    pub fn restore_from(&mut self, mut checkpoint: OpenCheckpoint) -> Result<(), LmTrainError> {
        let (found, expected) = (checkpoint.trained(), self.trained.values().len());
        if found != expected {
            return Err(LmTrainError::ForeignState { found, expected });
        }
        let settings = settings(&self.training, &self.spec);
        self.kept = None;
        // The present moments go before the new ones come.
        self.optimiser = AdamW::new(0, settings);
        let (mut first, mut second) = (zeros(expected), zeros(expected));
        checkpoint.read_moments(&mut first, &mut second)?;
        let rest = checkpoint.rest().clone();
        let moments = AdamWState {
            first,
            second,
            steps: rest.optimiser_steps,
        };
        self.optimiser = AdamW::from_state(moments, settings)?;
        checkpoint.read_parameters(self.trained.values_mut())?;
        self.sampling.set_word_pos(rest.drawn_words.0);
        self.reference_sampling.set_word_pos(rest.drawn_words.1);
        for (prompt, anchor) in self.prompts.iter_mut().zip(&rest.anchors) {
            prompt.weigher.running_anchor = *anchor;
        }
        self.reference.recall(&rest.known);
        self.step = rest.step;
        self.facts = None;
        self.evaluate()
    }
}
