//! A batch of samples and the gradient it makes.
//!
//! On small problems everything is dense, one number per arm; on large ones only the arms that came up are touched, and
//! the rest of the gradient, −π Σ weight, is left to the pass over all arms.

use super::{
    drive::Drive,
    mara::{BatchMara, RunningAnchor},
    random::{Purpose, Stream},
    sampler::{BLOCK, Sampler, TREE_ARMS},
    signal::{self, Slots},
    softmax::{Softmax, Source},
};
use crate::{experiment::Update, theory::Distribution};

/// The histogram of recent samples covers at least this many samples, or this many batches, and at most twice that.
const RECENT_SAMPLES: u64 = 16_384;
const RECENT_BATCHES: u64 = 16;

/// Buffers and random streams of sampled updates.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    sampling: Stream,
    reference_sampling: Stream,
    sampler: Sampler,
    reference: Option<Reference>,
    mara: Option<BatchMara>,
    /// MARA's best anchor so far.
    pub(super) running_anchor: Option<RunningAnchor>,
    /// How often each slot's arm came up.
    counts: Vec<f64>,
    /// What each sample's score is multiplied with, one per slot.
    weights: Vec<f64>,
    rewards: Vec<f64>,
    log_reference: Vec<f64>,
    log_masses: Vec<f64>,
    /// Sparse: the slots' arms, ascending; `parts` are their shares of the gradient.
    arms: Vec<u32>,
    parts: Vec<f64>,
    factor: f64,
    drawn: Vec<u32>,
    /// Histograms of the present window of samples and of the one before.
    current: Vec<u32>,
    previous: Vec<u32>,
    current_total: u64,
    shown: Vec<u32>,
}

/// The reference as something to draw from.
#[derive(Debug, Clone)]
struct Reference {
    masses: Vec<f64>,
    block_sums: Vec<f64>,
    sampler: Sampler,
}

impl Batch {
    pub(super) fn new(arms: usize, seed: u64) -> Self {
        let slots = if arms <= TREE_ARMS { arms } else { 0 };
        Self {
            sampling: Stream::new(seed, Purpose::Sampling),
            reference_sampling: Stream::new(seed, Purpose::ReferenceSampling),
            sampler: Sampler::default(),
            reference: None,
            mara: None,
            running_anchor: None,
            counts: vec![0.0; slots],
            weights: vec![0.0; slots],
            rewards: Vec::new(),
            log_reference: Vec::new(),
            log_masses: vec![0.0; slots],
            arms: Vec::new(),
            parts: Vec::new(),
            factor: 0.0,
            drawn: Vec::new(),
            current: vec![0; arms],
            previous: vec![0; arms],
            current_total: 0,
            shown: vec![0; arms],
        }
    }

    /// Words drawn from the two streams.
    pub(super) fn positions(&self) -> (u64, u64) {
        (self.sampling.position(), self.reference_sampling.position())
    }

    /// Goes to where so many words have been drawn.
    pub(super) fn seek(&mut self, sampled: u64, reference: u64) {
        self.sampling.seek(sampled);
        self.reference_sampling.seek(reference);
    }

    /// Makes the reference ready to be drawn from.
    pub(super) fn prepare_reference(&mut self, reference: &Distribution) {
        let masses = reference.masses();
        self.reference = Some(Reference {
            block_sums: masses
                .chunks(BLOCK)
                .map(|block| block.iter().sum())
                .collect(),
            masses,
            sampler: Sampler::default(),
        });
    }

    /// Sets how MARA works within batches.
    pub(super) fn set_mara(&mut self, mara: Option<BatchMara>) {
        self.mara = mara;
    }

    /// How often each arm came up recently.
    pub(super) fn recent(&mut self) -> &[u32] {
        let both = self.current.iter().zip(&self.previous);
        for (shown, (current, previous)) in self.shown.iter_mut().zip(both) {
            *shown = current + previous;
        }
        &self.shown
    }

    /// Draws a batch and fills `gradient` (one number per arm, at most [`TREE_ARMS`]).
    pub(super) fn fill_dense(
        &mut self,
        drive: &Drive,
        softmax: &Softmax,
        update: Update,
        gradient: &mut [f64],
    ) {
        let Some(size) = batch_size(update) else {
            return;
        };
        let arms = gradient.len();
        let normaliser = softmax.log_normaliser();
        let total = softmax.sums.mass;
        let (weights, stream) = (&softmax.weights, &mut self.sampling);
        self.sampler
            .draw_counts(weights, total, size, stream, &mut self.counts);
        self.turn_window(size);
        for (recent, count) in self.current.iter_mut().zip(self.sampler.histogram(arms)) {
            *recent += count;
        }
        for (log_mass, logit) in self.log_masses.iter_mut().zip(&softmax.logits) {
            *log_mass = logit - normaliser;
        }
        let slots = Slots {
            counts: &self.counts,
            total: size as f64,
            rewards: drive.sampled_rewards(),
            log_reference: drive.sampled_log_reference(),
            log_masses: &self.log_masses,
            expected: false,
        };
        let slots = match &mut self.mara {
            Some(mara) => {
                let answer_of = |slot: usize| RunningAnchor::of_arm(slot as u32);
                mara.apply(&slots, answer_of, drive, &mut self.running_anchor)
            }
            None => slots,
        };
        signal::weigh(softmax.simd, drive, update, &slots, &mut self.weights);
        let share = 1.0 / size as f64;
        let mut sum = share * signal::dot(&self.counts, &self.weights);
        for ((g, count), weight) in gradient.iter_mut().zip(&self.counts).zip(&self.weights) {
            *g = count * weight * share;
        }
        if let Some(reference) = self
            .reference
            .as_mut()
            .filter(|_| update.draws_from_reference())
        {
            let stream = &mut self.reference_sampling;
            reference
                .sampler
                .draw_counts(&reference.masses, 1.0, size, stream, &mut self.counts);
            for (arm, (g, count)) in gradient.iter_mut().zip(&self.counts).enumerate() {
                if *count > 0.0 {
                    let part = count * share * reference_weight(drive, &self.mara, arm);
                    *g += part;
                    sum += part;
                }
            }
        }
        let factor = sum / softmax.sums.mass;
        for (g, weight) in gradient.iter_mut().zip(&softmax.weights) {
            *g -= weight * factor;
        }
    }

    /// Draws a batch and keeps its gradient for [`Self::source`].
    pub(super) fn fill_sparse(&mut self, drive: &Drive, softmax: &Softmax, update: Update) {
        let Some(size) = batch_size(update) else {
            return;
        };
        let normaliser = softmax.log_normaliser();
        self.drawn.clear();
        self.sampler.draw_arms(
            &softmax.weights,
            &softmax.block_sums,
            size,
            &mut self.sampling,
            &mut self.drawn,
        );
        self.turn_window(size);
        for arm in &self.drawn {
            self.current[*arm as usize] += 1;
        }
        tally(&mut self.drawn, &mut self.arms, &mut self.counts);
        let slots = self.arms.len();
        self.rewards.clear();
        self.log_reference.clear();
        self.log_masses.clear();
        for arm in &self.arms {
            let arm = *arm as usize;
            self.rewards.push(drive.sampled_rewards()[arm]);
            self.log_reference.push(drive.sampled_log_reference()[arm]);
            self.log_masses.push(softmax.logits[arm] - normaliser);
        }
        let drawn = Slots {
            counts: &self.counts,
            total: size as f64,
            rewards: &self.rewards,
            log_reference: &self.log_reference,
            log_masses: &self.log_masses,
            expected: false,
        };
        self.weights.clear();
        self.weights.resize(slots, 0.0);
        let arms = &self.arms;
        let drawn = match &mut self.mara {
            Some(mara) => {
                let answer_of = |slot: usize| RunningAnchor::of_arm(arms[slot]);
                mara.apply(&drawn, answer_of, drive, &mut self.running_anchor)
            }
            None => drawn,
        };
        signal::weigh(softmax.simd, drive, update, &drawn, &mut self.weights);
        let share = 1.0 / size as f64;
        let mut sum = share * signal::dot(&self.counts, &self.weights);
        self.parts.clear();
        let samples = self.counts.iter().zip(&self.weights);
        self.parts
            .extend(samples.map(|(count, weight)| count * weight * share));
        if let Some(reference) = self
            .reference
            .as_mut()
            .filter(|_| update.draws_from_reference())
        {
            self.drawn.clear();
            reference.sampler.draw_arms(
                &reference.masses,
                &reference.block_sums,
                size,
                &mut self.reference_sampling,
                &mut self.drawn,
            );
            // Both lists are ascending: merge them through one sorted list of (arm, part).
            let mut both: Vec<(u32, f64)> = self
                .arms
                .iter()
                .copied()
                .zip(self.parts.iter().copied())
                .collect();
            for &arm in &self.drawn {
                let part = share * reference_weight(drive, &self.mara, arm as usize);
                both.push((arm, part));
                sum += part;
            }
            both.sort_by_key(|&(arm, _)| arm);
            self.arms.clear();
            self.parts.clear();
            for (arm, part) in both {
                match self
                    .parts
                    .last_mut()
                    .filter(|_| self.arms.last() == Some(&arm))
                {
                    Some(last) => *last += part,
                    None => {
                        self.arms.push(arm);
                        self.parts.push(part);
                    }
                }
            }
        }
        self.factor = -sum / softmax.sums.mass;
    }

    /// The gradient that [`Self::fill_sparse`] made.
    pub(super) fn source(&self) -> Source<'_> {
        Source::Sparse {
            factor: self.factor,
            arms: &self.arms,
            parts: &self.parts,
        }
    }

    fn turn_window(&mut self, size: usize) {
        let size = size as u64;
        if self.current_total >= RECENT_SAMPLES.max(RECENT_BATCHES * size) {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.current.fill(0);
            self.current_total = 0;
        }
        self.current_total += size;
    }
}

fn batch_size(update: Update) -> Option<usize> {
    match update {
        Update::Sampled { batch, .. } | Update::Dap { batch } => Some(batch),
        Update::Exact | Update::NaturalGradient => None,
    }
}

/// What the score of a sample of the reference is multiplied with: β, times what MARA makes of its π_ref.
fn reference_weight(drive: &Drive, mara: &Option<BatchMara>, arm: usize) -> f64 {
    let exact = drive.sampled_log_reference()[arm] - drive.log_reference[arm];
    let lift = mara.as_ref().map_or(exact, |mara| mara.lift(drive, arm));
    drive.beta * lift.exp()
}

/// Sorts the drawn arms and counts equal ones.
fn tally(drawn: &mut [u32], arms: &mut Vec<u32>, counts: &mut Vec<f64>) {
    drawn.sort_unstable();
    arms.clear();
    counts.clear();
    for &arm in drawn.iter() {
        match counts.last_mut().filter(|_| arms.last() == Some(&arm)) {
            Some(count) => *count += 1.0,
            None => {
                arms.push(arm);
                counts.push(1.0);
            }
        }
    }
}
