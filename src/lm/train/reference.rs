//! Log-probabilities under the reference, which never changes: asked once for every completion, however often it is drawn.

use std::collections::HashMap;

use super::sampler::{self, Completion, Rule, Start};
use crate::lm::{
    LmError,
    fast::{Network, Tape, Trie},
};

/// Completions whose log-probabilities are remembered; beyond it the memory starts over.
const REMEMBERED: usize = 1 << 16;

/// What is known of the reference.
#[derive(Debug, Default)]
pub(super) struct Reference {
    trie: Trie,
    tape: Tape,
    /// The prompts' last nodes, and how many nodes all prompts have.
    prompts: Vec<usize>,
    base: usize,
    known: HashMap<(usize, Vec<u32>), Vec<f32>>,
}

impl Reference {
    /// Reads the prompts once.
    pub(super) fn new(network: Network<'_>, prompts: &[Vec<u32>]) -> Result<Self, LmError> {
        let mut trie = Trie::new();
        let prompts = prompts
            .iter()
            .map(|tokens| trie.insert(None, tokens))
            .collect::<Result<Vec<usize>, LmError>>()?;
        let mut tape = Tape::new(network.layout());
        tape.extend(network, &trie)?;
        Ok(Self {
            base: trie.len(),
            trie,
            tape,
            prompts,
            known: HashMap::new(),
        })
    }

    /// log π_ref of each token of each sequence; sequences are a prompt's number and tokens.
    pub(super) fn score(
        &mut self,
        network: Network<'_>,
        sequences: &[(usize, &[u32])],
        rows: &mut Vec<f32>,
    ) -> Result<Vec<Vec<f32>>, LmError> {
        let key = |&(prompt, tokens): &(usize, &[u32])| (prompt, tokens.to_vec());
        let mut missing: Vec<(usize, &[u32])> = sequences
            .iter()
            .filter(|sequence| !self.known.contains_key(&key(sequence)))
            .copied()
            .collect();
        missing.sort_unstable();
        missing.dedup();
        if self.known.len() + missing.len() > REMEMBERED {
            self.known.clear();
            missing = sequences.to_vec();
        }
        if !missing.is_empty() {
            let placed: Vec<(usize, &[u32])> = missing
                .iter()
                .map(|&(prompt, tokens)| (self.prompts[prompt], tokens))
                .collect();
            let scored = sampler::score(network, (&mut self.trie, &mut self.tape), &placed, rows)?;
            self.forget();
            for (sequence, scored) in missing.iter().zip(scored) {
                self.known.insert(key(sequence), scored.log_probs);
            }
        }
        Ok(sequences
            .iter()
            .map(|sequence| self.known.get(&key(sequence)).cloned().unwrap_or_default())
            .collect())
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
        let drawn = sampler::draw(network, pair, &starts, rule, rng, rows)?;
        self.forget();
        Ok(drawn)
    }

    /// Leaves the prompts only: a tape takes much more memory than what was asked of it.
    fn forget(&mut self) {
        self.trie.truncate(self.base);
        self.tape.truncate(self.base);
    }
}
