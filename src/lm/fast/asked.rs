//! Distributions over the vocabulary that were asked for: sampling, the exact answers and the backward ask for the same
//! nodes, and a large head costs milliseconds each time.

/// Distributions of some nodes of a tape.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// The row of each node, or [`NONE`].
    rows: Vec<u32>,
    values: Vec<f32>,
    log_sums: Vec<f32>,
}

const NONE: u32 = u32::MAX;
/// Numbers kept at most: 32 MB.
const MOST: usize = 1 << 23;

impl Asked {
    /// Forgets every node from `nodes` on.
    pub(super) fn truncate(&mut self, nodes: usize) {
        self.rows.truncate(nodes);
        if nodes == 0 {
            self.values.clear();
            self.log_sums.clear();
        }
    }

    /// The distribution of a node and its log Σ e^logit, if it was asked for.
    pub(super) fn get(&self, node: usize, vocabulary: usize) -> Option<(&[f32], f32)> {
        let row = *self.rows.get(node)? as usize;
        let values = self
            .values
            .get(row.checked_mul(vocabulary)?..)?
            .get(..vocabulary)?;
        Some((values, *self.log_sums.get(row)?))
    }

    /// Those of `nodes` that were not asked for yet, each once.
    pub(super) fn missing(&self, nodes: &[usize]) -> Vec<usize> {
        let is_there = |node: usize| self.rows.get(node).is_some_and(|&row| row != NONE);
        let mut missing: Vec<usize> = (nodes.iter().copied())
            .filter(|&node| !is_there(node))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// Keeps what `fill` writes for these nodes, which are missing; nothing where there is no room.
    pub(super) fn keep(
        &mut self,
        nodes: &[usize],
        vocabulary: usize,
        fill: impl FnOnce(&mut [f32]) -> Vec<f32>,
    ) {
        let at = self.values.len();
        if nodes.is_empty() || at + nodes.len() * vocabulary > MOST {
            return;
        }
        self.values.resize(at + nodes.len() * vocabulary, 0.0);
        let log_sums = fill(&mut self.values[at..]);
        for &node in nodes {
            if self.rows.len() <= node {
                self.rows.resize(node + 1, NONE);
            }
        }
        for (&node, log_sum) in nodes.iter().zip(log_sums) {
            self.rows[node] = self.log_sums.len() as u32;
            self.log_sums.push(log_sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_there_until_its_node_goes() {
        let mut asked = Asked::default();
        asked.keep(&[2, 5], 3, |out| {
            out.copy_from_slice(&[0.1, 0.2, 0.7, 0.3, 0.3, 0.4]);
            vec![1.5, 2.5]
        });
        assert_eq!(asked.get(5, 3), Some((&[0.3, 0.3, 0.4][..], 2.5)));
        assert_eq!(asked.get(3, 3), None);
        assert_eq!(asked.missing(&[7, 5, 0, 7]), [0, 7]);
        asked.truncate(5);
        assert_eq!(asked.missing(&[2, 5]), [5]);
        asked.keep(&[5], 3, |out| {
            out.fill(0.5);
            vec![0.0]
        });
        assert_eq!(asked.get(5, 3), Some((&[0.5; 3][..], 0.0)));
        asked.truncate(0);
        assert_eq!(asked.get(2, 3), None);
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut asked = Asked::default();
        asked.keep(&[0, 1], MOST / 2 + 1, |_| unreachable!("there is no room"));
        assert_eq!(asked.missing(&[0, 1]), [0, 1]);
    }
}
