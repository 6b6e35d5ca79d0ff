//! Seeded streams of random numbers, one per purpose, so that drawing more of one kind never changes another.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Batches drawn from the policy.
    Sampling = 1,
    /// Batches drawn from the reference.
    ReferenceSampling = 2,
}

/// A ChaCha stream of 32-bit words.
#[derive(Debug, Clone)]
pub(super) struct Stream(ChaCha8Rng);

impl Stream {
    pub(super) fn new(seed: u64, purpose: Purpose) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose as u64);
        Self(rng)
    }

    /// How many words were drawn.
    pub(super) fn position(&self) -> u128 {
        self.0.get_word_pos()
    }

    /// Goes to where `position` words have been drawn.
    pub(super) fn seek(&mut self, position: u128) {
        self.0.set_word_pos(position);
    }

    /// A number in [0, 1) with 53 random bits.
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}
