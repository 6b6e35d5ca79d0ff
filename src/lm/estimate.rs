//! How much memory training a model takes, told before it is loaded.

use super::{config::ModelConfig, fast::LoraModule};

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TuneSize<'a> {
    /// Every parameter.
    Full,
    /// Low-rank factors.
    Lora {
        /// Their rank.
        rank: usize,
        /// The matrices of every layer that have them.
        modules: &'a [LoraModule],
    },
}

/// How large the batch of a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize {
    /// Tokens of all prompts; each is computed once however many samples follow it.
    pub prompt_tokens: usize,
    /// Samples of a step.
    pub samples: usize,
    /// Most tokens of a sample.
    pub new_tokens: usize,
}

/// Bytes by part. Everything is f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryEstimate {
    /// The trained parameters: a copy of the model, or the low-rank factors.
    pub weights: u64,
    /// The frozen model, which is also what low-rank factors lie on.
    pub reference: u64,
    /// The gradient of what is trained.
    pub gradient: u64,
    /// AdamW's two moments.
    pub moments: u64,
    /// Activations, logits and scratch of a step in which no two samples share a token beyond the prompt: the most it can be.
    pub activations: u64,
}

impl MemoryEstimate {
    /// All parts together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.weights + self.reference + self.gradient + self.moments + self.activations
    }
}

/// Estimates what training takes.
#[must_use]
pub fn estimate(config: &ModelConfig, tune: TuneSize<'_>, batch: BatchSize) -> MemoryEstimate {
    const FLOAT: u64 = size_of::<f32>() as u64;
    let parameters = config.parameters() as u64;
    let trained = match tune {
        TuneSize::Full => parameters,
        TuneSize::Lora { rank, modules } => {
            let per_layer: usize = modules.iter().map(|m| sides(config, *m)).sum();
            (config.layers * rank * per_layer) as u64
        }
    };
    let floats = |n: u64| n * FLOAT;
    MemoryEstimate {
        weights: floats(trained),
        reference: floats(parameters),
        gradient: floats(trained),
        moments: floats(2 * trained),
        activations: floats(activations(config, batch)),
    }
}

/// Inputs plus outputs of a matrix: what a factor pair of rank one has.
fn sides(config: &ModelConfig, module: LoraModule) -> usize {
    let (d, f) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (
        config.heads * config.head_dim,
        config.kv_heads * config.head_dim,
    );
    match module {
        LoraModule::Q | LoraModule::O => d + q,
        LoraModule::K | LoraModule::V => d + kv,
        LoraModule::Gate | LoraModule::Up | LoraModule::Down => d + f,
    }
}

/// Numbers kept per node of the prefix tree by forward and backward, those of the reference included, and a row of logits
/// for every sampled token, once for the policy and once in the backward.
fn activations(config: &ModelConfig, batch: BatchSize) -> u64 {
    let (d, f) = (config.hidden_size, config.intermediate_size);
    let q = config.heads * config.head_dim;
    let qkv = q + 2 * config.kv_heads * config.head_dim;
    let sampled = batch.samples * batch.new_tokens;
    let nodes = batch.prompt_tokens + sampled;
    let longest = batch.prompt_tokens + batch.new_tokens;
    let row = 4 * d + qkv + q + 3 * f;
    let kept = config.layers * (row + config.heads * longest) + 2 * d;
    let scratch = 2 * d + qkv + q + 3 * f;
    let logits = (sampled + 1).min(nodes) * config.vocab_size;
    (nodes * (2 * kept + scratch) + 2 * logits) as u64
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::lm::{
        embedded_info,
        fast::{Layout, LoraLayout},
    };

    const BATCH: BatchSize = BatchSize {
        prompt_tokens: 10,
        samples: 64,
        new_tokens: 4,
    };

    #[test]
    fn counts_what_the_layouts_hold() {
        let config = embedded_info().unwrap().config;
        let layout = Layout::new(&config).unwrap();
        let full = estimate(&config, TuneSize::Full, BATCH);
        let bytes = 4 * layout.len() as u64;
        assert_eq!((full.weights, full.reference), (bytes, bytes));
        assert_eq!((full.gradient, full.moments), (bytes, 2 * bytes));
        let factors = LoraLayout::new(&layout, 4, 8.0, &LoraModule::ALL).unwrap();
        let tune = TuneSize::Lora {
            rank: 4,
            modules: &LoraModule::ALL,
        };
        let lora = estimate(&config, tune, BATCH);
        assert_eq!(lora.weights, 4 * factors.len() as u64);
        assert_eq!(lora.reference, bytes);
        assert!(lora.total() < full.total());
    }

    #[test]
    fn more_samples_take_more() {
        let config = embedded_info().unwrap().config;
        let twice = BatchSize {
            samples: 128,
            ..BATCH
        };
        let of = |batch| estimate(&config, TuneSize::Full, batch).activations;
        assert!(of(twice) > of(BATCH) && of(twice) < 3 * of(BATCH));
    }
}
