//! Edits: what a user may change while a run goes on, and the journal that makes such a run repeatable.

use serde::{Deserialize, Serialize};

use super::{
    language::LanguageSpec,
    preset::{BanditSpec, ModeSpec},
    training::{StopRule, Training},
};
use crate::theory::{CoverageRule, Objective};

/// One change to a running experiment. Whole small values, so that applying one is a plain assignment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Edit {
    /// The whole objective.
    Objective(Objective),
    /// The whole training description. Another family or start begins the policy anew; everything else goes on.
    Training(Box<Training>),
    /// One arm's raw reward.
    Reward {
        /// The arm.
        arm: usize,
        /// Its raw reward.
        value: f64,
    },
    /// One arm's reference weight; all weights are normalised together afterwards.
    Reference {
        /// The arm.
        arm: usize,
        /// Its weight ≥ 0, on the scale on which the others sum to what they are now.
        weight: f64,
    },
    /// The whole bandit: arms, sources, modes and hand-made changes. Other names, reference and rewards take effect in the
    /// run; another number or layout of the arms begins it anew.
    Problem(Box<BanditSpec>),
    /// What counts as a mode.
    Modes(ModeSpec),
    /// What of the modes counts as covered.
    Coverage(CoverageRule),
    /// When to stop.
    Stop(StopRule),
    /// The whole language part. Another model, prompt, list of answers or choice of trained parameters begins the policy anew.
    Language(Box<LanguageSpec>),
    /// The rewards of a prompt of a language preset other than the first: of its answers in order, then of everything else,
    /// which all prompts share.
    Answers {
        /// The prompt, from 1.
        prompt: usize,
        /// Their raw rewards.
        rewards: Vec<f64>,
    },
    /// All hand-made bar changes at once (undo and redo of drags): replaces both edit lists of the bandit.
    Bars {
        /// As `BanditSpec::reward_edits`.
        rewards: Vec<(usize, f64)>,
        /// As `BanditSpec::reference_edits`.
        reference: Vec<(usize, f64)>,
    },
}

impl Edit {
    /// Whether everything that an earlier edit set is set by this one, too. What training edits do to a policy on the way is
    /// for their carriers to judge: here they cover nothing.
    pub(crate) fn covers(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Reward { arm: a, .. }, Self::Reward { arm: b, .. })
            | (Self::Reference { arm: a, .. }, Self::Reference { arm: b, .. }) => a == b,
            (Self::Answers { prompt: a, .. }, Self::Answers { prompt: b, .. }) => a == b,
            (Self::Bars { .. }, Self::Reward { .. } | Self::Reference { .. } | Self::Bars { .. })
            | (Self::Objective(_), Self::Objective(_))
            | (Self::Modes(_), Self::Modes(_))
            | (Self::Coverage(_), Self::Coverage(_))
            | (Self::Stop(_), Self::Stop(_))
            | (Self::Language(_), Self::Language(_))
            // A whole bandit holds its modes and hand-made changes too.
            | (
                Self::Problem(_),
                Self::Problem(_)
                | Self::Modes(_)
                | Self::Reward { .. }
                | Self::Reference { .. }
                | Self::Bars { .. },
            ) => true,
            _ => false,
        }
    }
}

/// An edit with the step at whose start it took effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalEntry {
    /// Steps done when the edit took effect.
    pub step: u64,
    /// The edit.
    pub edit: Edit,
}
