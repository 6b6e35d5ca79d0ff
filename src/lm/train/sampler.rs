//! Drawing completions level by level on a prefix tree: what many samples share is computed once.

use rand::RngCore;

use crate::lm::{
    LmError,
    fast::{Network, Tape, Trie},
};

/// A distinct completion of a batch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Completion {
    pub(super) prompt: usize,
    /// Its tokens, the end token included where the model ended it.
    pub(super) tokens: Vec<u32>,
    /// The node at which each token was chosen.
    pub(super) nodes: Vec<usize>,
    /// log π of each token, at temperature 1 whatever it was drawn with.
    pub(super) log_probs: Vec<f32>,
    pub(super) count: u32,
    pub(super) ended: bool,
}

impl Completion {
    /// log π of the whole.
    pub(super) fn log_prob(&self) -> f64 {
        self.log_probs.iter().map(|&p| f64::from(p)).sum()
    }
}

/// How completions are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rule {
    /// The token that ends a completion.
    pub(super) end: Option<u32>,
    pub(super) max_tokens: usize,
    pub(super) temperature: f64,
    pub(super) top_p: f64,
}

/// Where samples of a prompt start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Start {
    pub(super) prompt: usize,
    /// The prompt's last node.
    pub(super) node: usize,
    pub(super) count: u32,
}

/// Rows of the vocabulary that are looked at together: bounds memory.
const ROWS: usize = 64;
/// Below the smallest positive `f32`, whose logarithm is −103.3.
const LOG_FLOOR: f32 = -104.0;

/// Draws completions, extending tree and tape by the nodes that are new. `reached` is told the number of tokens that the
/// longest completions have.
pub(super) fn draw(
    network: Network<'_>,
    (trie, tape): (&mut Trie, &mut Tape),
    starts: &[Start],
    rule: &Rule,
    (rng, rows): (&mut impl RngCore, &mut Vec<f32>),
    reached: impl Fn(usize),
) -> Result<Vec<Completion>, LmError> {
    let vocabulary = network.layout().config().vocab_size;
    let mut active: Vec<(usize, Completion)> = starts
        .iter()
        .filter(|start| start.count > 0)
        .map(|start| {
            let completion = Completion {
                prompt: start.prompt,
                tokens: Vec::new(),
                nodes: Vec::new(),
                log_probs: Vec::new(),
                count: start.count,
                ended: false,
            };
            (start.node, completion)
        })
        .collect();
    let mut done = Vec::new();
    let mut chooser = Chooser::default();
    let mut length = 0;
    while !active.is_empty() {
        tape.extend(network, trie)?;
        let mut next = Vec::new();
        for group in active.chunks(ROWS) {
            let nodes: Vec<usize> = group.iter().map(|(node, _)| *node).collect();
            let _ = tape.distributions(network, &nodes, rows);
            for ((node, so_far), row) in group.iter().zip(rows.chunks_exact(vocabulary)) {
                for (token, count) in chooser.choose(row, so_far.count, rule, rng) {
                    let mut longer = so_far.clone();
                    longer.tokens.push(token);
                    longer.nodes.push(*node);
                    longer.log_probs.push(log(row[token as usize]));
                    longer.count = count;
                    longer.ended = Some(token) == rule.end;
                    if longer.ended || longer.tokens.len() >= rule.max_tokens {
                        done.push(longer);
                    } else {
                        next.push((*node, longer));
                    }
                }
            }
        }
        for (node, completion) in &mut next {
            let token = completion.tokens.last().copied().unwrap_or_default();
            *node = match trie.child(Some(*node), token) {
                Some(child) => child,
                None => trie.push(Some(*node), token)?,
            };
        }
        active = next;
        length += 1;
        reached(length);
    }
    Ok(done)
}

/// log π of each token of given sequences, each as the node of its prompt and its tokens. Extends tree and tape; leaves the
/// nodes at which tokens were chosen in `nodes`.
pub(super) fn score(
    network: Network<'_>,
    (trie, tape): (&mut Trie, &mut Tape),
    sequences: &[(usize, &[u32])],
    rows: &mut Vec<f32>,
) -> Result<Vec<Scored>, LmError> {
    let vocabulary = network.layout().config().vocab_size;
    let mut scored: Vec<Scored> = Vec::with_capacity(sequences.len());
    let mut wanted: Vec<(usize, usize, usize)> = Vec::new();
    for (index, (prompt, tokens)) in sequences.iter().enumerate() {
        let mut nodes = Vec::with_capacity(tokens.len());
        let mut at = *prompt;
        for (position, &token) in tokens.iter().enumerate() {
            nodes.push(at);
            wanted.push((at, index, position));
            if position + 1 < tokens.len() {
                at = match trie.child(Some(at), token) {
                    Some(child) => child,
                    None => trie.push(Some(at), token)?,
                };
            }
        }
        scored.push(Scored {
            log_probs: vec![0.0; tokens.len()],
            nodes,
        });
    }
    tape.extend(network, trie)?;
    wanted.sort_unstable();
    let mut rest = wanted.as_slice();
    while !rest.is_empty() {
        let mut nodes: Vec<usize> = Vec::new();
        let mut taken = 0;
        for &(node, ..) in rest {
            if nodes.last() != Some(&node) {
                if nodes.len() == ROWS {
                    break;
                }
                nodes.push(node);
            }
            taken += 1;
        }
        let _ = tape.distributions(network, &nodes, rows);
        let (now, later) = rest.split_at(taken);
        let mut row = 0;
        for &(node, index, position) in now {
            while nodes[row] != node {
                row += 1;
            }
            let token = sequences[index].1[position] as usize;
            scored[index].log_probs[position] = log(rows[row * vocabulary + token]);
        }
        rest = later;
    }
    Ok(scored)
}

/// What [`score`] found of a sequence.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scored {
    pub(super) log_probs: Vec<f32>,
    pub(super) nodes: Vec<usize>,
}

impl Scored {
    pub(super) fn log_prob(&self) -> f64 {
        self.log_probs.iter().map(|&p| f64::from(p)).sum()
    }
}

fn log(probability: f32) -> f32 {
    if probability.is_nan() {
        f32::NAN
    } else {
        probability.ln().max(LOG_FLOOR)
    }
}

/// Draws tokens from a row of probabilities.
#[derive(Debug, Default)]
struct Chooser {
    uniforms: Vec<f64>,
    weights: Vec<f64>,
    order: Vec<u32>,
}

impl Chooser {
    /// How often each token comes up in `count` draws, ascending in token; nothing for a row without mass.
    fn choose(
        &mut self,
        row: &[f32],
        count: u32,
        rule: &Rule,
        rng: &mut impl RngCore,
    ) -> Vec<(u32, u32)> {
        self.uniforms.clear();
        self.uniforms.extend((0..count).map(|_| {
            // 53 random bits make a double in [0, 1).
            (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
        }));
        self.uniforms.sort_by(f64::total_cmp);
        self.weights.clear();
        if rule.temperature == 1.0 {
            self.weights.extend(row.iter().map(|&p| f64::from(p)));
        } else {
            let power = 1.0 / rule.temperature;
            let largest = f64::from(row.iter().copied().fold(0.0, f32::max));
            self.weights
                .extend(row.iter().map(|&p| (f64::from(p) / largest).powf(power)));
        }
        if rule.top_p < 1.0 {
            self.keep_nucleus(rule.top_p);
        }
        let total: f64 = self.weights.iter().sum();
        let mut chosen: Vec<(u32, u32)> = Vec::new();
        let mut uniforms = self.uniforms.iter().peekable();
        let mut below = 0.0;
        for (token, weight) in self.weights.iter().enumerate() {
            if uniforms.peek().is_none() {
                break;
            }
            below += weight;
            let mut here = 0;
            while uniforms.next_if(|u| **u * total < below).is_some() {
                here += 1;
            }
            if here > 0 {
                chosen.push((token as u32, here));
            }
        }
        // Rounding may leave a draw beyond the last token's mass.
        let left = uniforms.count() as u32;
        if left > 0
            && total > 0.0
            && let Some(last) = self.weights.iter().rposition(|w| *w > 0.0)
        {
            match chosen.last_mut().filter(|(token, _)| *token == last as u32) {
                Some((_, count)) => *count += left,
                None => chosen.push((last as u32, left)),
            }
        }
        chosen
    }

    /// Keeps the most likely tokens that together hold at least `top_p` of the mass.
    fn keep_nucleus(&mut self, top_p: f64) {
        let total: f64 = self.weights.iter().sum();
        self.order.clear();
        self.order.extend(0..self.weights.len() as u32);
        let weights = &self.weights;
        self.order
            .sort_by(|&a, &b| weights[b as usize].total_cmp(&weights[a as usize]));
        let mut held = 0.0;
        let mut kept = 0;
        for &token in &self.order {
            held += weights[token as usize];
            kept += 1;
            if held >= top_p * total {
                break;
            }
        }
        for &token in &self.order[kept..] {
            self.weights[token as usize] = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    use super::*;

    const PLAIN: Rule = Rule {
        end: None,
        max_tokens: 1,
        temperature: 1.0,
        top_p: 1.0,
    };

    fn shares(row: &[f32], rule: &Rule) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut chooser = Chooser::default();
        let n = 200_000;
        let mut shares = vec![0.0; row.len()];
        for (token, count) in chooser.choose(row, n, rule, &mut rng) {
            shares[token as usize] = f64::from(count) / f64::from(n);
        }
        shares
    }

    #[test]
    fn draws_follow_the_row_the_temperature_and_the_nucleus() {
        let row = [0.5, 0.25, 0.125, 0.125];
        let close = |got: Vec<f64>, wanted: [f64; 4]| {
            for (got, wanted) in got.iter().zip(wanted) {
                // Four standard deviations of a share of 200,000 draws at most.
                assert!((got - wanted).abs() < 0.0045, "{got} against {wanted}");
            }
        };
        close(shares(&row, &PLAIN), [0.5, 0.25, 0.125, 0.125]);
        let hot = Rule {
            temperature: 0.5,
            ..PLAIN
        };
        let squares = 0.25 + 0.0625 + 2.0 * 0.015_625;
        close(
            shares(&row, &hot),
            [0.25, 0.0625, 0.015_625, 0.015_625].map(|w| w / squares),
        );
        let nucleus = Rule {
            top_p: 0.7,
            ..PLAIN
        };
        close(shares(&row, &nucleus), [2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0]);
    }

    #[test]
    fn every_draw_lands_somewhere() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let row = [0.0, 1e-30, 0.999_999, 0.0];
        let chosen = Chooser::default().choose(&row, 1000, &PLAIN, &mut rng);
        assert_eq!(chosen.iter().map(|(_, n)| n).sum::<u32>(), 1000);
    }
}
