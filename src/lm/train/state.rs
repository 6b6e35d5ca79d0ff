//! What is trained, and everything a run needs to go on exactly where it was.

use std::sync::Arc;

use super::{error::LmTrainError, reference::KnownReference};
use crate::{
    bandit::RunningAnchor,
    experiment::{LoraModule, Tune},
    lm::{
        LanguageModel, LmError,
        fast::{AdamWState, Buffer, LoraLayout, Network},
    },
};

/// The trained parameters.
#[derive(Debug, Clone)]
pub(super) enum Trained {
    /// All of the model's.
    Full(Buffer),
    /// Low-rank factors on the frozen weights.
    Lora { layout: LoraLayout, factors: Buffer },
}

/// The layout of low-rank factors on a model.
///
/// # Errors
/// A rank, α or choice of modules that does not fit the model, with its field.
pub(super) fn lora_layout(
    model: &LanguageModel,
    rank: usize,
    alpha: f64,
    modules: &[LoraModule],
) -> Result<LoraLayout, LmTrainError> {
    let width = model.layout.config().hidden_size;
    if rank > width {
        return Err(LmTrainError::field(
            "language.tune.rank",
            rank,
            format!("1 to {width} are, the width of the model"),
        ));
    }
    Ok(LoraLayout::new(&model.layout, rank, alpha, modules)?)
}

impl Trained {
    /// Parameters that make the policy equal to the reference.
    pub(super) fn new(model: &LanguageModel, tune: &Tune, seed: u64) -> Result<Self, LmTrainError> {
        Ok(match tune {
            Tune::Full => Self::Full(Buffer::from(model.weights.as_slice())),
            Tune::Lora {
                rank,
                alpha,
                modules,
            } => {
                let layout = lora_layout(model, *rank, *alpha, modules)?;
                let factors = Buffer::from(layout.initial(seed).as_slice());
                Self::Lora { layout, factors }
            }
        })
    }

    /// The policy as something to run.
    pub(super) fn network<'a>(&'a self, model: &'a LanguageModel) -> Result<Network<'a>, LmError> {
        match self {
            Self::Full(parameters) => Network::full(&model.layout, parameters),
            Self::Lora { layout, factors } => {
                Network::lora(&model.layout, &model.weights, layout, factors)
            }
        }
    }

    pub(super) fn values(&self) -> &[f32] {
        match self {
            Self::Full(values) => values,
            Self::Lora { factors, .. } => factors,
        }
    }

    /// Exchanges the parameters with as many other numbers.
    pub(super) fn exchange(&mut self, other: &mut Buffer) {
        std::mem::swap(
            match self {
                Self::Full(values) => values,
                Self::Lora { factors, .. } => factors,
            },
            other,
        );
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        match self {
            Self::Full(values) => values,
            Self::Lora { factors, .. } => factors,
        }
    }
}

/// Everything a trainer needs to go on exactly where it was, its random streams included.
#[derive(Debug, Clone, PartialEq)]
pub struct LmState {
    /// Steps done.
    pub step: u64,
    /// Trained numbers, in the order of the flat buffer.
    pub parameters: Vec<f32>,
    /// The optimiser's moments and steps.
    pub optimiser: AdamWState,
    /// Words drawn from the streams of samples of the policy and of the reference.
    pub drawn_words: (u128, u128),
    /// MARA's best anchor so far, per prompt.
    pub anchors: Vec<Option<RunningAnchor>>,
    /// What was asked of the reference so far.
    pub known: Vec<Arc<KnownReference>>,
}

/// A borrowed [`LmState`]: writing a checkpoint of a large model must not take its memory twice.
#[derive(Debug, Clone)]
pub struct LmStateRef<'a> {
    /// As [`LmState::step`].
    pub step: u64,
    /// As [`LmState::parameters`].
    pub parameters: &'a [f32],
    /// As [`LmState::optimiser`].
    pub optimiser: &'a AdamWState,
    /// As [`LmState::drawn_words`].
    pub drawn_words: (u128, u128),
    /// As [`LmState::anchors`].
    pub anchors: Vec<Option<RunningAnchor>>,
    /// As [`LmState::known`].
    pub known: &'a [Arc<KnownReference>],
}

impl<'a> From<&'a LmState> for LmStateRef<'a> {
    fn from(state: &'a LmState) -> Self {
        Self {
            step: state.step,
            parameters: &state.parameters,
            optimiser: &state.optimiser,
            drawn_words: state.drawn_words,
            anchors: state.anchors.clone(),
            known: &state.known,
        }
    }
}

impl From<LmStateRef<'_>> for LmState {
    fn from(state: LmStateRef<'_>) -> Self {
        Self {
            step: state.step,
            parameters: state.parameters.to_vec(),
            optimiser: state.optimiser.clone(),
            drawn_words: state.drawn_words,
            anchors: state.anchors,
            known: state.known.to_vec(),
        }
    }
}

impl LmState {
    /// Roughly how much memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        3 * size_of::<f32>() * self.parameters.len() + size_of::<Self>()
    }
}
