//! A model ready to be trained: its frozen weights in one flat buffer, its tokenizer and its chat template.

use std::sync::{Arc, OnceLock};

use super::{
    chat::ChatTemplate,
    error::LmError,
    fast::{Layout, Network},
    score::PromptSpec,
    tokenizer::LmTokenizer,
    weights::{LoadedModel, ModelInfo},
};

/// A model as the reference of a run. Policies that train few parameters read its weights too: they are in memory once.
#[derive(Debug)]
pub struct LanguageModel {
    /// What is known of it.
    pub info: ModelInfo,
    /// Where each tensor lies in `weights`.
    pub layout: Layout,
    /// Its weights, never changed.
    pub weights: Arc<Vec<f32>>,
    /// Its tokenizer.
    pub tokenizer: LmTokenizer,
    /// Its chat template, where it has one.
    pub chat: Option<ChatTemplate>,
    /// See [`Self::fingerprint`].
    fingerprint: OnceLock<u64>,
}

impl LanguageModel {
    /// Lays a loaded model out for training.
    ///
    /// # Errors
    /// Names a family that the training path does not run, or a tensor that does not fit.
    pub fn new(mut loaded: LoadedModel) -> Result<Self, LmError> {
        let layout = Layout::new(&loaded.info.config)?;
        let weights = layout.flatten_owned(std::mem::take(&mut loaded.weights))?;
        return_freed_memory();
        if let Some(bad) = weights.iter().position(|w| !w.is_finite()) {
            let name = layout
                .tensors()
                .iter()
                .find(|(_, span)| span.range().contains(&bad))
                .map_or_else(String::new, |(name, _)| name.clone());
            return Err(LmError::Tensor {
                name,
                why: "it holds a number that is not finite".to_owned(),
            });
        }
        Ok(Self {
            info: loaded.info,
            layout,
            weights: Arc::new(weights),
            tokenizer: loaded.tokenizer,
            chat: loaded.chat,
            fingerprint: OnceLock::new(),
        })
    }

    /// A hash of the weights, made once: they never change, and a large model takes its time.
    pub(super) fn fingerprint(&self) -> u64 {
        *(self.fingerprint).get_or_init(|| super::checkpoint::fingerprint(&self.weights))
    }

    /// The frozen model as something to run.
    ///
    /// # Errors
    /// When the weights do not fill the layout, which [`Self::new`] rules out.
    pub fn network(&self) -> Result<Network<'_>, LmError> {
        Network::full(&self.layout, &self.weights)
    }

    /// A prompt's tokens as the model sees them.
    ///
    /// # Errors
    /// As [`PromptSpec::tokens`].
    pub fn prompt_tokens(&self, prompt: &PromptSpec) -> Result<Vec<u32>, LmError> {
        let text = prompt.text(self.chat.as_ref())?;
        prompt.tokenise(&text, &self.tokenizer)
    }
}

/// What was freed goes back to the system at once: of a model of some hundred million parameters, the C library's allocator
/// would otherwise keep as much again in its gaps.
fn return_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "malloc_trim has no safe form")]
        // SAFETY: malloc_trim takes a number and may be called at any time.
        let _ = unsafe { libc::malloc_trim(0) };
    }
}
