//! Log-probabilities under the reference, which never changes: asked once for every completion, however often it is drawn.

use std::{collections::HashMap, sync::Arc};

use super::sampler::{self, Completion, Rule, Start};
use crate::lm::{
    LmError,
    fast::{Network, Tape, Trie},
};

/// Completions whose log-probabilities are remembered; further ones are asked for each time.
const REMEMBERED: usize = 1 << 16;

/// A completion whose log-probabilities are known. They depend, in their last bits, on what they were computed together
/// with, so that a run that goes on exactly has to remember them.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownReference {
    /// The prompt's number.
    pub prompt: usize,
    /// The completion's tokens.
    pub tokens: Vec<u32>,
    /// log π_ref of each.
    pub log_probs: Vec<f32>,
}

/// What is known of the reference.
#[derive(Debug, Default)]
pub(super) struct Reference {
    trie: Trie,
    tape: Tape,
    /// The prompts' last nodes, and how many nodes all prompts have.
    prompts: Vec<usize>,
    base: usize,
    /// In the order in which they came up, and where each is.
    known: Vec<Arc<KnownReference>>,
    places: HashMap<(usize, Vec<u32>), usize>,
}

impl Reference {
    /// Reads the prompts once.
    pub(super) fn new(network: Network<'_>, prompts: &[Vec<u32>]) -> Result<Self, LmError> {
        let mut trie = Trie::new();
        let prompts = prompts
            .iter()
            .map(|tokens| trie.insert(None, tokens))
            .collect::<Result<Vec<usize>, LmError>>()?;
        let mut tape = Tape::inference(network.layout());
        tape.extend(network, &trie)?;
        Ok(Self {
            base: trie.len(),
            trie,
            tape,
            prompts,
            known: Vec::new(),
            places: HashMap::new(),
        })
    }

    /// log π_ref of each token of each sequence; sequences are a prompt's number and tokens.
    pub(super) fn score(
        &mut self,
        network: Network<'_>,
        sequences: &[(usize, &[u32])],
        rows: &mut Vec<f32>,
    ) -> Result<Vec<Vec<f32>>, LmError> {
        let mut missing: Vec<(usize, &[u32])> = sequences
            .iter()
            .filter(|sequence| !self.places.contains_key(&key(sequence)))
            .copied()
            .collect();
        missing.sort_unstable();
        missing.dedup();
        let mut fresh: HashMap<(usize, Vec<u32>), Vec<f32>> = HashMap::new();
        if !missing.is_empty() {
            let placed: Vec<(usize, &[u32])> = missing
                .iter()
                .map(|&(prompt, tokens)| (self.prompts[prompt], tokens))
                .collect();
            let scored = sampler::score(network, (&mut self.trie, &mut self.tape), &placed, rows)?;
            self.forget();
            for (sequence, scored) in missing.iter().zip(scored) {
                fresh.insert(key(sequence), scored.log_probs.clone());
                self.remember(KnownReference {
                    prompt: sequence.0,
                    tokens: sequence.1.to_vec(),
                    log_probs: scored.log_probs,
                });
            }
        }
        Ok(sequences
            .iter()
            .map(|sequence| {
                let key = key(sequence);
                match self.places.get(&key) {
                    Some(&place) => self.known[place].log_probs.clone(),
                    None => fresh.get(&key).cloned().unwrap_or_default(),
                }
            })
            .collect())
    }

    fn remember(&mut self, known: KnownReference) {
        if self.known.len() < REMEMBERED {
            let place = (known.prompt, known.tokens.clone());
            self.places.insert(place, self.known.len());
            self.known.push(Arc::new(known));
        }
    }

    /// Everything that is remembered.
    pub(super) fn known(&self) -> &[Arc<KnownReference>] {
        &self.known
    }

    /// Remembers this and nothing else.
    pub(super) fn recall(&mut self, known: &[Arc<KnownReference>]) {
        self.known = known.to_vec();
        self.places = (known.iter().enumerate())
            .map(|(place, known)| ((known.prompt, known.tokens.clone()), place))
            .collect();
    }

    /// Draws completions from the reference.
    pub(super) fn draw(
        &mut self,
        network: Network<'_>,
        counts: &[u32],
        rule: &Rule,
        rng: &mut impl rand::RngCore,
        rows: &mut Vec<f32>,
    ) -> Result<Vec<Completion>, LmError> {
        let starts: Vec<Start> = (self.prompts.iter().zip(counts).enumerate())
            .map(|(prompt, (&node, &count))| Start {
                prompt,
                node,
                count,
            })
            .collect();
        let pair = (&mut self.trie, &mut self.tape);
        let drawn = sampler::draw(network, pair, &starts, rule, (rng, rows), |_| {})?;
        self.forget();
        Ok(drawn)
    }

    /// Leaves the prompts only: a tape takes much more memory than what was asked of it.
    fn forget(&mut self) {
        self.trie.truncate(self.base);
        self.tape.truncate(self.base);
    }
}

fn key(&(prompt, tokens): &(usize, &[u32])) -> (usize, Vec<u32>) {
    (prompt, tokens.to_vec())
}
