//! The softmax over arms and its fused step: gradient, optimiser, exponential and sums, chunk by chunk.
//!
//! A pass leaves behind everything the next step needs (sums, and sums over blocks of arms for the sampler), so each
//! step goes over its arrays once. Sums are kept per chunk and added in order, so that a run does not depend on how
//! chunks were shared among threads.

use std::sync::{Mutex, PoisonError};

use super::{
    StepReport,
    drive::Drive,
    kernel::{self, Adam, Simd, Sums},
    sampler::{BLOCK, TREE_ARMS},
};

/// Arms per chunk: six arrays of it fit the first-level cache.
const CHUNK: usize = 512;
/// Arms per span, the unit that threads share.
const SPAN: usize = 16 * CHUNK;
/// From so many arms on a second thread helps.
const SHARED_ARMS: usize = 4 * SPAN;

/// A logit beyond this is a run that blew up, though it may still be finite.
const LARGEST_LOGIT: f64 = 1e15;

/// Where a pass takes the gradient in the logits from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// scale · e (log G − x + offset).
    Project { scale: f64, offset: f64 },
    /// Given for every arm.
    Dense(&'a [f64]),
    /// factor · e everywhere, and parts on a few arms (ascending, distinct).
    Sparse {
        factor: f64,
        arms: &'a [u32],
        parts: &'a [f64],
    },
}

impl Source<'_> {
    /// Writes a sparse gradient out for every arm.
    pub(super) fn spread(self, weights: &[f64], out: &mut [f64]) {
        match self {
            Self::Project { .. } | Self::Dense(_) => {}
            Self::Sparse {
                factor,
                arms,
                parts,
            } => {
                for (g, weight) in out.iter_mut().zip(weights) {
                    *g = factor * weight;
                }
                for (&arm, part) in arms.iter().zip(parts) {
                    out[arm as usize] += part;
                }
            }
        }
    }
}

/// What a pass does with the gradient.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    Plain { rate: f64 },
    Momentum { rate: f64, decay: f64 },
    Adam(Adam),
}

/// Logits with the distribution they stand for.
#[derive(Debug, Clone)]
pub(super) struct Softmax {
    pub(super) simd: Simd,
    pub(super) logits: Vec<f64>,
    /// e^(logit − shift).
    pub(super) weights: Vec<f64>,
    pub(super) shift: f64,
    pub(super) sums: Sums,
    /// log of `sums.mass`.
    log_sum: f64,
    chunk_sums: Vec<Sums>,
    /// Sums of `weights` over blocks of arms; empty on small problems.
    pub(super) block_sums: Vec<f64>,
    pub(super) report: StepReport,
}

/// The same stretch of every array.
struct Stretch<'a> {
    from: usize,
    logits: &'a mut [f64],
    weights: &'a mut [f64],
    first: &'a mut [f64],
    second: &'a mut [f64],
    log_target: &'a [f64],
    rewards: &'a [f64],
    sums: &'a mut [Sums],
    block_sums: &'a mut [f64],
}

impl Softmax {
    pub(super) fn new(logits: Vec<f64>) -> Self {
        let arms = logits.len();
        let blocks = if arms > TREE_ARMS {
            arms.div_ceil(BLOCK)
        } else {
            0
        };
        Self {
            simd: Simd::detect(),
            weights: vec![0.0; arms],
            shift: 0.0,
            sums: Sums::default(),
            log_sum: 0.0,
            chunk_sums: vec![Sums::default(); arms.div_ceil(CHUNK)],
            block_sums: vec![0.0; blocks],
            report: StepReport::default(),
            logits,
        }
    }

    /// The masses that logits stand for.
    pub(super) fn normalise(logits: &[f64]) -> Vec<f64> {
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logits.iter().map(|logit| (logit - max).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    /// log of the sum of e^logit.
    pub(super) fn log_normaliser(&self) -> f64 {
        self.shift + self.log_sum
    }

    /// Recomputes everything from the logits; false if any number is not finite.
    pub(super) fn refresh(&mut self, drive: &Drive) -> bool {
        let max = self
            .logits
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        self.refresh_at(drive, max)
    }

    /// As [`Self::refresh`], with a known shift, so that a restored run repeats the same rounding.
    pub(super) fn refresh_at(&mut self, drive: &Drive, shift: f64) -> bool {
        self.shift = shift;
        let chunks = self
            .logits
            .chunks(CHUNK)
            .zip(self.weights.chunks_mut(CHUNK));
        let fixed = drive
            .log_target
            .chunks(CHUNK)
            .zip(drive.rewards.chunks(CHUNK));
        for (((logits, weights), (target, rewards)), sums) in
            chunks.zip(fixed).zip(&mut self.chunk_sums)
        {
            *sums = kernel::exponentiate(self.simd, logits, shift, target, rewards, weights);
        }
        sum_blocks(&self.weights, &mut self.block_sums);
        self.absorb(drive)
    }

    /// One step on the logits; false if any number is not finite afterwards.
    pub(super) fn step(
        &mut self,
        drive: &Drive,
        source: Source<'_>,
        rule: Rule,
        first: &mut [f64],
        second: &mut [f64],
    ) -> bool {
        let pass = Pass {
            simd: self.simd,
            old_shift: self.shift,
            shift: self.log_normaliser(),
            source,
            rule,
        };
        let blocks_per_span = if self.block_sums.is_empty() {
            1
        } else {
            SPAN / BLOCK
        };
        if self.logits.len() < SHARED_ARMS {
            pass.run(Stretch {
                from: 0,
                logits: &mut self.logits,
                weights: &mut self.weights,
                first,
                second,
                log_target: &drive.log_target,
                rewards: &drive.rewards,
                sums: &mut self.chunk_sums,
                block_sums: &mut self.block_sums,
            });
        } else {
            let policy = self
                .logits
                .chunks_mut(SPAN)
                .zip(self.weights.chunks_mut(SPAN));
            let moments = first.chunks_mut(SPAN).zip(second.chunks_mut(SPAN));
            let fixed = drive
                .log_target
                .chunks(SPAN)
                .zip(drive.rewards.chunks(SPAN));
            let sums = self
                .chunk_sums
                .chunks_mut(SPAN / CHUNK)
                .zip(self.block_sums.chunks_mut(blocks_per_span));
            let spans = policy.zip(moments).zip(fixed).zip(sums).enumerate();
            // Whoever is free takes the next span: a helper that wakes up late costs nothing.
            let spans = Mutex::new(spans);
            let next = || spans.lock().unwrap_or_else(PoisonError::into_inner).next();
            let take = || {
                while let Some((index, (((policy, moments), fixed), sums))) = next() {
                    pass.run(Stretch {
                        from: index * SPAN,
                        logits: policy.0,
                        weights: policy.1,
                        first: moments.0,
                        second: moments.1,
                        log_target: fixed.0,
                        rewards: fixed.1,
                        sums: sums.0,
                        block_sums: sums.1,
                    });
                }
            };
            rayon::in_place_scope(|scope| {
                scope.spawn(|_| take());
                take();
            });
        }
        self.shift = pass.shift;
        self.absorb(drive)
    }

    /// Adds up the chunks and makes the report; starts over from the largest logit where the shift no longer fits.
    fn absorb(&mut self, drive: &Drive) -> bool {
        self.sums = Sums::default();
        for sums in &self.chunk_sums {
            self.sums.add(sums);
        }
        let Sums {
            mass,
            reward,
            to_target,
            exponent,
        } = self.sums;
        if !(1e-200..1e200).contains(&mass) {
            let max = self
                .logits
                .iter()
                .copied()
                .fold(f64::NEG_INFINITY, f64::max);
            let sound = self.logits.iter().all(|l| l.abs() < LARGEST_LOGIT);
            return sound && max != self.shift && self.refresh_at(drive, max);
        }
        self.log_sum = mass.ln();
        let kl = (to_target / mass - self.log_sum).max(0.0);
        let impossible = drive
            .target_zeros
            .iter()
            .any(|&arm| self.weights[arm as usize] > 0.0);
        self.report = StepReport {
            expected_reward: reward / mass,
            kl_to_target: if impossible { f64::INFINITY } else { kl },
            entropy: (self.log_sum - exponent / mass).max(0.0),
        };
        // Sums of finite numbers can still overflow or meet ∞ − ∞.
        reward.is_finite() && to_target.is_finite() && exponent.is_finite()
    }

    /// Fills in log masses and masses.
    pub(super) fn fill_masses(&self, log_masses: &mut [f64], masses: &mut [f64]) {
        let normaliser = self.log_normaliser();
        for (log_mass, logit) in log_masses.iter_mut().zip(&self.logits) {
            *log_mass = logit - normaliser;
        }
        let scale = 1.0 / self.sums.mass;
        for (mass, weight) in masses.iter_mut().zip(&self.weights) {
            *mass = weight * scale;
        }
    }

    /// The coefficients of [`Source::Project`] that make it the exact gradient of −κ KL(π‖G).
    pub(super) fn projection(&self, kappa: f64) -> (f64, f64) {
        (kappa / self.sums.mass, self.sums.to_target / self.sums.mass)
    }
}

/// What a pass does, the same for every stretch.
#[derive(Clone, Copy)]
struct Pass<'a> {
    simd: Simd,
    /// Shift of the weights as they are.
    old_shift: f64,
    /// Shift of the weights to be.
    shift: f64,
    source: Source<'a>,
    rule: Rule,
}

impl Pass<'_> {
    fn run(&self, stretch: Stretch<'_>) {
        let policy = stretch
            .logits
            .chunks_mut(CHUNK)
            .zip(stretch.weights.chunks_mut(CHUNK));
        let moments = stretch
            .first
            .chunks_mut(CHUNK)
            .zip(stretch.second.chunks_mut(CHUNK));
        let fixed = stretch
            .log_target
            .chunks(CHUNK)
            .zip(stretch.rewards.chunks(CHUNK));
        let mut buffer = [0.0; CHUNK];
        let mut from = stretch.from;
        let mut blocks = stretch.block_sums.chunks_mut(CHUNK / BLOCK);
        for ((((logits, weights), (first, second)), (target, rewards)), sums) in
            policy.zip(moments).zip(fixed).zip(stretch.sums)
        {
            let buffer = &mut buffer[..logits.len()];
            let gradient: &[f64] = match self.source {
                Source::Project { scale, offset } => {
                    let line = (scale, offset);
                    kernel::project(
                        self.simd,
                        logits,
                        self.old_shift,
                        weights,
                        target,
                        line,
                        buffer,
                    );
                    buffer
                }
                Source::Dense(gradient) => &gradient[from..from + logits.len()],
                Source::Sparse {
                    factor,
                    arms,
                    parts,
                } => {
                    for (g, weight) in buffer.iter_mut().zip(weights.iter()) {
                        *g = factor * weight;
                    }
                    let start = arms.partition_point(|&arm| (arm as usize) < from);
                    for (arm, part) in arms[start..].iter().zip(&parts[start..]) {
                        match buffer.get_mut(*arm as usize - from) {
                            Some(g) => *g += part,
                            None => break,
                        }
                    }
                    buffer
                }
            };
            self.rule.apply(self.simd, gradient, logits, first, second);
            *sums = kernel::exponentiate(self.simd, logits, self.shift, target, rewards, weights);
            if let Some(blocks) = blocks.next() {
                sum_blocks(weights, blocks);
            }
            from += logits.len();
        }
    }
}

fn sum_blocks(weights: &[f64], sums: &mut [f64]) {
    for (sum, block) in sums.iter_mut().zip(weights.chunks(BLOCK)) {
        let mut lanes = [0.0; 8];
        for eight in block.chunks(8) {
            for (lane, weight) in lanes.iter_mut().zip(eight) {
                *lane += weight;
            }
        }
        *sum = lanes.iter().sum();
    }
}
