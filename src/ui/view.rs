//! Everything a panel may draw from, as one value.

use std::sync::Arc;

use super::{keeping::Checkpointing, pinned::Pin};
use crate::{
    bandit::{Analysis, Problem},
    engine::{Keyframe, ProbeAnswer, Snapshot},
    experiment::Preset,
    theory::{Metrics, Objective, TieList},
};

/// One frame's picture of the world. Panels read it and push [`super::Action`]s; they change nothing else but their own
/// small state (zoom, what is unfolded).
pub struct View<'a> {
    /// The experiment as edited in the window, a step ahead of the trainer while a drag goes on.
    pub preset: &'a Preset,
    /// Its problem, edits included.
    pub problem: &'a Arc<Problem>,
    /// What it asks for: computed by the window in the same frame as the edit.
    pub analysis: &'a Arc<Analysis>,
    /// Its ties as far as a search found them, where the analysis lists those of too few pairs.
    pub ties: Option<&'a Arc<TieList>>,
    /// The latest picture from the trainer.
    pub snapshot: &'a Snapshot,
    /// The keyframe shown instead of the latest policy while the user scrubs.
    pub scrub: Option<&'a Keyframe>,
    /// Earlier runs kept for comparison.
    pub pins: &'a [Pin],
    /// What is hovered and picked, shared by all panels.
    pub selection: &'a Selection,
    /// The last answer of a language model to a question about its next tokens.
    pub probe: Option<&'a Arc<ProbeAnswer>>,
    /// What is being loaded, or why it was not.
    pub loading: Option<&'a Loading>,
    /// An error ended training at the step of the snapshot, the last good one.
    pub stopped: bool,
    /// Checkpoints of the run and how they are kept, where there is a window that keeps any.
    pub checkpoints: Option<&'a Checkpointing>,
}

/// How far a load has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Loading {
    /// It goes on.
    Going {
        /// What is being done, in a few words.
        what: String,
        /// How much of it is done, from 0 to 1, where that is known.
        share: Option<f32>,
        /// Time of the window when this began, in seconds.
        since_secs: f64,
    },
    /// It ended without success; the reason in one line.
    Failed(String),
}

/// What is hovered and picked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// The arm under the pointer, in whichever panel.
    pub hovered: Option<usize>,
    /// First and second arm of the inspector.
    pub pair: (Option<usize>, Option<usize>),
}

impl View<'_> {
    /// What the objective asked for when the drawn policy was made: then, while scrubbing; else what it asks for now.
    #[must_use]
    pub fn shown_analysis(&self) -> &Arc<Analysis> {
        self.scrubbed()
            .map_or(self.analysis, |frame| &frame.analysis)
    }

    /// The objective that belongs to [`Self::shown_analysis`].
    #[must_use]
    pub fn shown_objective(&self) -> Objective {
        self.scrubbed()
            .map_or(self.preset.objective, |frame| frame.objective)
    }

    /// The keyframe shown, where its target is one over the arms of today.
    fn scrubbed(&self) -> Option<&Keyframe> {
        self.scrub
            .filter(|frame| frame.analysis.rewards.len() == self.problem.arms())
    }

    /// What to call a pin: its label, and the experiment it ran where that is another one.
    #[must_use]
    pub fn pin_label(&self, pin: &Pin) -> String {
        if pin.preset.title == self.preset.title {
            pin.label.clone()
        } else {
            format!("{}, {}", pin.label, pin.preset.title)
        }
    }

    /// Whether a pin's policy is one over the arms of today and can be drawn over them.
    #[must_use]
    pub fn has_arms_of(&self, pin: &Pin) -> bool {
        pin.run.policy.len() == self.problem.arms()
    }

    /// Whether the model is not there yet, so that reference, policy and target are placeholders; the rewards are known.
    #[must_use]
    pub fn waits_for_model(&self) -> bool {
        self.loading.is_some()
    }

    /// Problem, analysis and all ties that are known, unless the model that they follow from is not there yet.
    #[must_use]
    pub fn known(&self) -> Option<(&Problem, &Analysis, &TieList)> {
        let ties = self.ties.map_or(&self.analysis.ties, |found| found);
        (!self.waits_for_model()).then_some((&**self.problem, &**self.analysis, ties))
    }

    /// The masses to draw as the policy: the scrubbed ones, or the latest.
    #[must_use]
    pub fn policy_mass(&self, arm: usize) -> f64 {
        match self.scrub {
            Some(frame) => frame.policy.get(arm).copied().map_or(0.0, f64::from),
            None => self.snapshot.policy.get(arm).copied().unwrap_or(0.0),
        }
    }

    /// The prompt that problem, analysis and snapshot belong to; 0 for a bandit.
    #[must_use]
    pub fn shown_prompt(&self) -> usize {
        (self.snapshot.language.as_ref()).map_or(0, |language| language.shown_prompt)
    }

    /// The metrics that belong to the policy drawn.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        self.scrub
            .map_or(&self.snapshot.metrics, |frame| &frame.metrics)
    }
}
