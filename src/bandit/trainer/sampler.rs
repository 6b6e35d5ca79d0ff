//! Draws a batch of arms and keeps it as counts per distinct arm, which is all that any update needs.

use super::random::Stream;

/// One distinct arm of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Draw {
    pub(super) arm: u32,
    pub(super) count: u32,
    /// Effective reward, after MARA.
    pub(super) reward: f64,
    /// log π_ref, after MARA.
    pub(super) log_reference: f64,
    pub(super) log_mass: f64,
    /// What multiplies the arm's score.
    pub(super) weight: f64,
}

/// A batch as its distinct arms, ascending.
#[derive(Debug, Clone, Default)]
pub(super) struct Batch {
    pub(super) draws: Vec<Draw>,
    pub(super) total: usize,
}

/// Draws from masses by inverting their cumulative sum.
#[derive(Debug, Clone, Default)]
pub(super) struct Sampler {
    cumulative: Vec<f64>,
    counts: Vec<u32>,
}

impl Sampler {
    /// Prepares to draw in proportion to `weights` (≥ 0, not all zero).
    pub(super) fn prepare(&mut self, weights: &[f64]) {
        self.counts.resize(weights.len(), 0);
        self.cumulative.clear();
        let mut sum = 0.0;
        self.cumulative.extend(weights.iter().map(|w| {
            sum += w;
            sum
        }));
    }

    /// Draws `size` arms.
    pub(super) fn draw(&mut self, size: usize, stream: &mut Stream, batch: &mut Batch) {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        for _ in 0..size {
            let wanted = stream.unit() * total;
            let arm = self.cumulative.partition_point(|&c| c <= wanted);
            let last = self.counts.len().saturating_sub(1);
            self.counts[arm.min(last)] += 1;
        }
        batch.total = size;
        batch.draws.clear();
        for (arm, count) in self.counts.iter_mut().enumerate() {
            if *count > 0 {
                batch.draws.push(Draw {
                    arm: arm as u32,
                    count: *count,
                    reward: 0.0,
                    log_reference: 0.0,
                    log_mass: 0.0,
                    weight: 0.0,
                });
                *count = 0;
            }
        }
    }
}
