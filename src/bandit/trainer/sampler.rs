//! Draws batches of arms in proportion to weights. All any update needs of a batch is how often each arm came up.
//!
//! Few arms: a 16-way tree over 32-bit cumulative thresholds, rebuilt at every step, and one 32-bit word per sample.
//! Many arms: cumulative sums of blocks of arms (the exponential pass leaves them behind), a binary search among them, a
//! scan within the block, and 53 bits per sample; no pass over all arms.

use super::{
    kernel::{self, Simd},
    random::Stream,
};

/// Up to so many arms the tree is used.
pub(super) const TREE_ARMS: usize = 4096;
/// Arms per block of the block sums.
pub(super) const BLOCK: usize = 64;

/// Draws arms. Buffers are kept between batches.
#[derive(Debug, Clone)]
pub(super) struct Sampler {
    simd: Simd,
    cumulative: Vec<f64>,
    thresholds: Vec<u32>,
    coarse: Vec<u32>,
    top: Vec<u32>,
    histogram: Vec<u32>,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            simd: Simd::detect(),
            cumulative: Vec::new(),
            thresholds: Vec::new(),
            coarse: Vec::new(),
            top: Vec::new(),
            histogram: Vec::new(),
        }
    }
}

impl Sampler {
    /// Fills `counts` (one number per arm, at most [`TREE_ARMS`]) with how often each arm came up in `size` draws;
    /// `total` is the sum of the weights.
    pub(super) fn draw_counts(
        &mut self,
        weights: &[f64],
        total: f64,
        size: usize,
        stream: &mut Stream,
        counts: &mut [f64],
    ) {
        let arms = weights.len();
        let last = self.plant(weights, total);
        let mut left = size;
        while left > 0 {
            let words = stream.words(left);
            left -= words.len();
            let tree = [&self.top[..], &self.coarse, &self.thresholds];
            kernel::count(self.simd, words, tree, last, &mut self.histogram, arms);
        }
        // The first of the four histograms takes the others' counts and is kept for `histogram`.
        let (one, rest) = self.histogram.split_at_mut(arms);
        let (two, rest) = rest.split_at(arms);
        let (three, four) = rest.split_at(arms);
        let parts = one.iter_mut().zip(two).zip(three).zip(four);
        for (count, (((a, b), c), d)) in counts.iter_mut().zip(parts) {
            *a += b + c + d;
            // Signed, because that converts in one instruction; batches are far below 2³¹.
            *count = f64::from(*a as i32);
        }
    }

    /// How often each arm came up in the last [`Self::draw_counts`].
    pub(super) fn histogram(&self, arms: usize) -> &[u32] {
        &self.histogram[..arms]
    }

    /// Appends `size` draws to `drawn`, unordered, given sums of `weights` over blocks of [`BLOCK`] arms.
    pub(super) fn draw_arms(
        &mut self,
        weights: &[f64],
        block_sums: &[f64],
        size: usize,
        stream: &mut Stream,
        drawn: &mut Vec<u32>,
    ) {
        self.cumulative.clear();
        let mut sum = 0.0;
        self.cumulative.extend(block_sums.iter().map(|s| {
            sum += s;
            sum
        }));
        let last_block = block_sums.iter().rposition(|&s| s > 0.0).unwrap_or(0);
        drawn.extend((0..size).map(|_| {
            let wanted = stream.unit() * sum;
            let block = self
                .cumulative
                .partition_point(|&c| c <= wanted)
                .min(last_block);
            let before = if block == 0 {
                0.0
            } else {
                self.cumulative[block - 1]
            };
            let from = block * BLOCK;
            let mut rest = wanted - before;
            let mut last = from;
            for (place, weight) in weights[from..].iter().take(BLOCK).enumerate() {
                // Rounding may leave a little at a block's end: that goes to its last possible arm.
                if *weight > 0.0 {
                    last = from + place;
                    rest -= weight;
                    if rest < 0.0 {
                        break;
                    }
                }
            }
            last as u32
        }));
    }

    /// Builds the tree; returns the last arm that can come up.
    fn plant(&mut self, weights: &[f64], total: f64) -> u32 {
        let arms = weights.len();
        self.histogram.clear();
        self.histogram.resize(4 * arms, 0);
        if self.thresholds.len() != arms.next_multiple_of(16) {
            self.thresholds.clear();
            self.thresholds.resize(arms.next_multiple_of(16), u32::MAX);
        }
        kernel::accumulate(self.simd, weights, total, &mut self.thresholds);
        let every_16th = |from: &[u32], to: &mut Vec<u32>| {
            to.clear();
            to.extend(from.iter().skip(15).step_by(16));
            to.resize(to.len().next_multiple_of(16), u32::MAX);
        };
        every_16th(&self.thresholds, &mut self.coarse);
        every_16th(&self.coarse, &mut self.top);
        let last = weights.iter().rposition(|&w| w > 0.0).unwrap_or(arms - 1);
        last as u32
    }
}
