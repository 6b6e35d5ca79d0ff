//! A prefix tree of token sequences: each node is one token after one history, computed once however many samples share
//! it.

use std::ops::Range;

use super::super::error::LmError;

/// No parent: the first token of a sequence.
const ROOT: u32 = u32::MAX;

/// Nodes in an order in which parents come before children. A node is a token that the model reads; the last token of a
/// sequence is read by nobody and is therefore no node but a choice made at one.
#[derive(Debug, Clone, Default)]
pub struct Trie {
    tokens: Vec<u32>,
    parents: Vec<u32>,
    /// For each node its history, itself last: `paths[starts[i]..starts[i + 1]]`.
    paths: Vec<u32>,
    starts: Vec<usize>,
}

impl Trie {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self {
            starts: vec![0],
            ..Self::default()
        }
    }

    /// Forgets every node from `nodes` on; keeps the memory.
    pub fn truncate(&mut self, nodes: usize) {
        if nodes < self.len() {
            self.tokens.truncate(nodes);
            self.parents.truncate(nodes);
            self.starts.truncate(nodes + 1);
            self.paths
                .truncate(self.starts.last().copied().unwrap_or(0));
        }
    }

    /// Number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Adds a node below `parent` (none for a first token) without looking whether it is there already.
    ///
    /// # Errors
    /// When the parent is not a node.
    pub fn push(&mut self, parent: Option<usize>, token: u32) -> Result<usize, LmError> {
        let node = self.len();
        let history = match parent {
            None => 0..0,
            Some(parent) if parent < node => self.starts[parent]..self.starts[parent + 1],
            Some(parent) => {
                return Err(LmError::Request(format!(
                    "node {parent} is not in a tree of {node} nodes"
                )));
            }
        };
        self.tokens.push(token);
        self.parents.push(parent.map_or(ROOT, |p| p as u32));
        self.paths.extend_from_within(history);
        self.paths.push(node as u32);
        self.starts.push(self.paths.len());
        Ok(node)
    }

    /// Adds a chain of tokens below `parent`, sharing whatever is there; returns the last node.
    ///
    /// # Errors
    /// When the chain is empty or the parent is not a node.
    pub fn insert(&mut self, parent: Option<usize>, tokens: &[u32]) -> Result<usize, LmError> {
        let mut at = parent;
        for &token in tokens {
            at = Some(match self.child(at, token) {
                Some(node) => node,
                None => self.push(at, token)?,
            });
        }
        at.ok_or_else(|| LmError::Request("a sequence needs at least one token".to_owned()))
    }

    /// The child of a node with a token. Looks from the newest node back, where siblings lie.
    #[must_use]
    pub fn child(&self, parent: Option<usize>, token: u32) -> Option<usize> {
        let wanted = parent.map_or(ROOT, |p| p as u32);
        let first = parent.map_or(0, |p| p + 1);
        (first..self.len())
            .rev()
            .find(|&node| self.parents[node] == wanted && self.tokens[node] == token)
    }

    /// The node before a node in its sequence; none for a first token.
    pub(super) fn parent(&self, node: usize) -> Option<usize> {
        let parent = self.parents[node];
        (parent != ROOT).then_some(parent as usize)
    }

    /// A node's token.
    pub(super) fn token(&self, node: usize) -> u32 {
        self.tokens[node]
    }

    /// A node's place in its sequence, from 0.
    pub(super) fn position(&self, node: usize) -> usize {
        self.starts[node + 1] - self.starts[node] - 1
    }

    /// A node's history, itself last.
    pub(super) fn path(&self, node: usize) -> &[u32] {
        &self.paths[self.starts[node]..self.starts[node + 1]]
    }

    /// Where a node's history lies among all histories: the layout of attention weights.
    pub(super) fn path_range(&self, node: usize) -> Range<usize> {
        self.starts[node]..self.starts[node + 1]
    }

    /// All nodes, sequence after sequence: neighbours in this order share most of their histories, whose keys and values
    /// then stay in cache. A parent comes before its first child's descendants.
    pub(super) fn by_sequence(&self, nodes: usize, order: &mut Vec<u32>) {
        // The newest leaf that each node leads to.
        let mut leaf = vec![ROOT; nodes];
        for node in (0..nodes).rev() {
            if leaf[node] == ROOT {
                leaf[node] = node as u32;
            }
            if let Some(parent) = self.parent(node)
                && leaf[parent] == ROOT
            {
                leaf[parent] = leaf[node];
            }
        }
        order.clear();
        order.extend(0..nodes as u32);
        order.sort_by_key(|&node| leaf[node as usize]);
    }

    /// Sum of the lengths of the histories of some nodes.
    pub(super) fn paths_between(&self, nodes: &Range<usize>) -> usize {
        self.starts[nodes.end] - self.starts[nodes.start]
    }

    /// Sum of the lengths of all histories.
    pub(super) fn paths_len(&self) -> usize {
        self.paths.len()
    }
}
