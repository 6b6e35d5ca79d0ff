//! Seeded streams of random numbers, one per purpose, so that drawing more of one kind never changes another.
//!
//! The numbers are ChaCha8's, made 16 blocks at a time; within those, word w of block b comes at place 16 w + b, which
//! is the order in which vector registers hold them.

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::kernel::{self, Simd};

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Initial parameters.
    Initialisation = 0,
    /// Batches drawn from the policy.
    Sampling = 1,
    /// Batches drawn from the reference.
    ReferenceSampling = 2,
}

const WORDS: usize = 256;

/// A ChaCha8 stream of 32-bit words.
#[derive(Clone)]
pub(super) struct Stream {
    simd: Simd,
    key: [u32; 8],
    stream: u64,
    /// Blocks made so far.
    blocks: u64,
    words: Box<[u32; WORDS]>,
    /// Words of `words` already drawn.
    used: usize,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream {} at word {}", self.stream, self.position())
    }
}

impl Stream {
    pub(super) fn new(seed: u64, purpose: Purpose) -> Self {
        let bytes = ChaCha8Rng::seed_from_u64(seed).get_seed();
        let mut key = [0; 8];
        for (word, four) in key.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = four
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        Self {
            simd: Simd::detect(),
            key,
            stream: purpose as u64,
            blocks: 0,
            words: Box::new([0; WORDS]),
            used: WORDS,
        }
    }

    /// How many words were drawn.
    pub(super) fn position(&self) -> u64 {
        self.blocks * 16 - (WORDS - self.used) as u64
    }

    /// Goes to where `position` words have been drawn.
    pub(super) fn seek(&mut self, position: u64) {
        let within = position % WORDS as u64;
        self.blocks = (position - within) / 16;
        self.used = WORDS;
        if within > 0 {
            self.refill();
            self.used = within as usize;
        }
    }

    /// Up to `wanted` further words, at least one if any is wanted; call again for the rest.
    pub(super) fn words(&mut self, wanted: usize) -> &[u32] {
        if self.used == WORDS {
            self.refill();
        }
        let from = self.used;
        self.used = WORDS.min(from + wanted);
        &self.words[from..self.used]
    }

    /// A number in [0, 1) with 53 random bits.
    pub(super) fn unit(&mut self) -> f64 {
        let high = self.words(1).first().copied().unwrap_or_default();
        let low = self.words(1).first().copied().unwrap_or_default();
        let bits = u64::from(high) << 32 | u64::from(low);
        (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A standard normal number (Box-Muller, one of the pair).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    fn refill(&mut self) {
        kernel::chacha8(
            self.simd,
            &self.key,
            self.blocks,
            self.stream,
            &mut self.words,
        );
        self.blocks += 16;
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::RngCore;

    use super::*;

    #[test]
    fn words_are_those_of_chacha8() {
        let mut known = ChaCha8Rng::seed_from_u64(7);
        known.set_stream(Purpose::ReferenceSampling as u64);
        let known: Vec<u32> = (0..512).map(|_| known.next_u32()).collect();
        for simd in [Simd::detect(), Simd::Portable] {
            let mut stream = Stream::new(7, Purpose::ReferenceSampling);
            stream.simd = simd;
            let words: Vec<u32> = (0..512).flat_map(|_| stream.words(1).to_vec()).collect();
            for (place, word) in words.iter().enumerate() {
                let (group, place) = (place / 256, place % 256);
                let (block, within) = (place % 16, place / 16);
                assert_eq!(*word, known[256 * group + 16 * block + within]);
            }
        }
    }

    #[test]
    fn a_stream_goes_on_from_where_it_was() {
        let mut one = Stream::new(1, Purpose::Sampling);
        for position in [0u64, 1, 255, 256, 300, 5000] {
            let mut two = Stream::new(1, Purpose::Sampling);
            two.seek(position);
            assert_eq!(two.position(), position);
            while one.position() < position {
                one.words(1);
            }
            assert_eq!(one.unit(), two.unit());
            one.seek(position);
        }
    }
}
