//! Maximum likelihood on a whole grammar: the tree of all prompts and completions is built once, every step is one forward
//! and one backward over it.

use std::{collections::HashMap, f64::consts::PI};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use rand_distr::{Distribution as _, StandardNormal};

use super::{
    super::{
        error::LmError,
        fast::{AdamW, AdamWSettings, Backward, Choice, Layout, Network, Tape, Trie},
        tokenizer::LmTokenizer,
        weights::{LoadedModel, ModelInfo},
    },
    alphabet,
    grammar::Grammar,
};

/// Where training stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PretrainProgress {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Cross-entropy of a completion under the model, nats, averaged over prompts.
    pub loss: f64,
    /// What the loss exceeds the grammar's own entropy by: KL(grammar‖model), nats.
    pub excess: f64,
}

/// Steps between two reports.
const REPORT_EVERY: u64 = 25;

/// Trains a model of the grammar's shape from the grammar's seed; `report` hears of the first step, some between and the
/// last.
///
/// The same grammar gives the same weights, bit for bit, on one machine.
///
/// # Errors
/// When a text does not fit the context, or the loss stops being a number.
pub fn pretrain(
    grammar: &Grammar,
    mut report: impl FnMut(PretrainProgress),
) -> Result<LoadedModel, LmError> {
    let tokenizer = alphabet::tokenizer(grammar)?;
    let config = grammar.config(tokenizer.vocab_size());
    config.check()?;
    let layout = Layout::new(&config)?;
    let mut parameters = initial(&layout, grammar.training.seed);
    let corpus = Corpus::new(grammar, &tokenizer)?;
    let settings = AdamWSettings {
        beta2: 0.99,
        ..AdamWSettings::default()
    };
    let mut optimiser = AdamW::new(parameters.len(), settings);
    let (mut tape, mut backward) = (Tape::new(&layout), Backward::default());
    let mut gradient = vec![0.0; parameters.len()];
    let steps = grammar.training.steps;
    let mut scratch = Vec::new();
    for step in 0..=steps {
        let network = Network::full(&layout, &parameters)?;
        tape.truncate(0);
        tape.extend(network, &corpus.trie)?;
        if step % REPORT_EVERY == 0 || step == steps {
            let loss = corpus.loss(&mut tape, network, &mut scratch);
            if !loss.is_finite() {
                return Err(LmError::Request(format!(
                    "the loss became {loss} at step {step}; training.learning_rate = {} is too large",
                    grammar.training.learning_rate
                )));
            }
            report(PretrainProgress {
                step,
                steps,
                loss,
                excess: loss - corpus.entropy,
            });
        }
        if step < steps {
            backward.run(network, &corpus.trie, &tape, &corpus.choices, &mut gradient);
            optimiser.step(&mut parameters, &gradient, rate(grammar, step));
        }
    }
    let weights = layout.unflatten(&parameters)?;
    let tensors = weights.len();
    Ok(LoadedModel {
        info: ModelInfo {
            name: "pretrained".to_owned(),
            license: None,
            config,
            tensor_types: vec![("F32".to_owned(), tensors)],
            file_bytes: 4 * parameters.len() as u64,
        },
        weights,
        tokenizer,
        chat: None,
    })
}

/// The grammar as a tree with the weight of every choice in it.
struct Corpus {
    trie: Trie,
    /// By node; the weight is −(probability of the choice given the prompt) / (number of prompts), so that the weighted sum
    /// of log-probabilities is the cross-entropy.
    choices: Vec<Choice>,
    /// Mean entropy of the completions over prompts, nats.
    entropy: f64,
}

impl Corpus {
    fn new(grammar: &Grammar, tokenizer: &LmTokenizer) -> Result<Self, LmError> {
        let prompts: usize = grammar.tasks.iter().map(|task| task.prompts.len()).sum();
        let mut trie = Trie::new();
        let mut weights: HashMap<(usize, u32), f64> = HashMap::new();
        let mut entropy = 0.0;
        for task in &grammar.tasks {
            for prompt in &task.prompts {
                let start = trie.insert(None, &tokenizer.encode_prompt(prompt)?)?;
                for (text, probability) in task.completions() {
                    let weight = probability / prompts as f64;
                    entropy -= weight * probability.ln();
                    let mut tokens = tokenizer.encode_continuation(text)?;
                    tokens.extend(tokenizer.end_token());
                    let mut node = start;
                    for (place, &token) in tokens.iter().enumerate() {
                        *weights.entry((node, token)).or_default() -= weight;
                        if place + 1 < tokens.len() {
                            node = trie.insert(Some(node), &[token])?;
                        }
                    }
                }
            }
        }
        let mut choices: Vec<Choice> = weights
            .into_iter()
            .map(|((node, token), weight)| Choice {
                node,
                token,
                weight: weight as f32,
            })
            .collect();
        choices.sort_by_key(|choice| (choice.node, choice.token));
        Ok(Self {
            trie,
            choices,
            entropy,
        })
    }

    /// Mean cross-entropy of the completions over prompts, nats.
    fn loss(&self, tape: &mut Tape, network: Network<'_>, probabilities: &mut Vec<f32>) -> f64 {
        let mut nodes: Vec<usize> = self.choices.iter().map(|choice| choice.node).collect();
        nodes.dedup();
        let _ = tape.distributions(network, &nodes, probabilities);
        let vocabulary = network.layout().config().vocab_size;
        let mut rows = nodes.iter().zip(probabilities.chunks_exact(vocabulary));
        let mut row = rows.next();
        let mut loss = 0.0;
        for choice in &self.choices {
            while row.is_some_and(|(&node, _)| node < choice.node) {
                row = rows.next();
            }
            if let Some((_, row)) = row {
                loss += f64::from(choice.weight) * f64::from(row[choice.token as usize]).ln();
            }
        }
        loss
    }
}

/// Norms at one; every matrix normal with the variance of one over its inputs, the two that write to the residual stream
/// smaller by √(2·layers).
fn initial(layout: &Layout, seed: u64) -> Vec<f32> {
    let config = layout.config();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let depth = (2.0 * config.layers as f64).sqrt();
    let mut parameters = vec![0.0f32; layout.len()];
    for (name, span) in layout.tensors() {
        let values = &mut parameters[span.range()];
        if span.columns == 1 {
            values.fill(1.0);
            continue;
        }
        let writes = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
        let spread = 1.0 / (span.columns as f64).sqrt() / if writes { depth } else { 1.0 };
        for value in values {
            let normal: f64 = StandardNormal.sample(&mut rng);
            *value = (spread * normal) as f32;
        }
    }
    parameters
}

fn rate(grammar: &Grammar, step: u64) -> f64 {
    let training = grammar.training;
    let top = training.learning_rate;
    if step < training.warm_up {
        return top * (step + 1) as f64 / training.warm_up as f64;
    }
    let falling = training.steps.saturating_sub(training.warm_up).max(1);
    let share = (step - training.warm_up) as f64 / falling as f64;
    top * 0.5 * (1.0 + (PI * share).cos())
}
