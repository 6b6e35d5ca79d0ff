//! The inner loops of the table: gradient, optimiser, exponential with its sums, and the search of the sampler, each in
//! a form for AVX-512, one for AVX2 with FMA and a portable one, chosen once at run time.
//!
//! All work on a short chunk of every array, so that the passes of one step meet in the first-level cache: on large
//! problems a step reads and writes main arrays once (what bounds it: about 40 cycles per 8 arms of arithmetic, then the
//! bandwidth of the last-level cache). Results may differ in the last bits between machines, never on one.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

/// Which form of the loops this machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Simd {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Simd {
    /// The best form for this machine.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

/// Sums over arms of e = e^x, x = logit − shift: everything the report and the next gradient need, so that no step
/// takes a logarithm per arm.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    /// Σ e
    pub(super) mass: f64,
    /// Σ e R
    pub(super) reward: f64,
    /// Σ e (x − log G)
    pub(super) to_target: f64,
    /// Σ e x
    pub(super) exponent: f64,
}

impl Sums {
    pub(super) fn add(&mut self, other: &Self) {
        self.mass += other.mass;
        self.reward += other.reward;
        self.to_target += other.to_target;
        self.exponent += other.exponent;
    }
}

/// One step's constants of Adam, bias corrections folded in: θ += size · m / (√v · root + epsilon).
#[derive(Debug, Clone, Copy)]
pub(super) struct Adam {
    pub(super) beta1: f64,
    pub(super) beta2: f64,
    pub(super) epsilon: f64,
    pub(super) size: f64,
    pub(super) root: f64,
}

/// Gradients and first moments below this count as zero, and second moments below its square: numbers too small for a
/// normal double cost a hundred times as much to compute with.
pub(super) const TINY: f64 = 1e-140;
const TINY_SQUARE: f64 = 1e-280;
/// e^x is 0 below this.
const EXP_FLOOR: f64 = -708.0;

macro_rules! dispatch {
    ($simd:expr, $name:ident($($argument:expr),*)) => {
        match $simd {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Simd::detect` found the instructions on this machine.
            Simd::Avx512 => unsafe { avx512::$name($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Simd::Avx2 => unsafe { portable::avx2::$name($($argument),*) },
            Simd::Portable => portable::$name::<false>($($argument),*),
        }
    };
}

/// `out` = scale · e · (log G − x + offset): ∂J/∂logit under `Reverse` and its relatives.
pub(super) fn project(
    simd: Simd,
    logits: &[f64],
    shift: f64,
    weights: &[f64],
    log_target: &[f64],
    (scale, offset): (f64, f64),
    out: &mut [f64],
) {
    dispatch!(
        simd,
        project(logits, shift, weights, log_target, (scale, offset), out)
    );
}

/// One step of Adam.
pub(super) fn adam(
    simd: Simd,
    constants: &Adam,
    gradient: &[f64],
    parameters: &mut [f64],
    first: &mut [f64],
    second: &mut [f64],
) {
    dispatch!(simd, adam(constants, gradient, parameters, first, second));
}

/// Fills `weights` with e^(logit − shift) and returns the sums.
pub(super) fn exponentiate(
    simd: Simd,
    logits: &[f64],
    shift: f64,
    log_target: &[f64],
    rewards: &[f64],
    weights: &mut [f64],
) -> Sums {
    dispatch!(
        simd,
        exponentiate(logits, shift, log_target, rewards, weights)
    )
}

/// Fills `thresholds` with the cumulative sums of `weights` as shares of `total`, on the scale of 32-bit words; entries
/// past the last weight are left alone.
pub(super) fn accumulate(simd: Simd, weights: &[f64], total: f64, thresholds: &mut [u32]) {
    dispatch!(simd, accumulate(weights, total, thresholds));
}

/// Adds one to `histogram[arm]` for each word, where arm is the number of `thresholds` at or below the word (at most
/// `last`). `coarse` and `top` hold every 16th threshold and every 16th of those, all padded to multiples of 16 with
/// `u32::MAX`. `histogram` is four histograms of `stride` entries.
pub(super) fn count(
    simd: Simd,
    words: &[u32],
    [top, coarse, thresholds]: [&[u32]; 3],
    last: u32,
    histogram: &mut [u32],
    stride: usize,
) {
    dispatch!(
        simd,
        count(words, [top, coarse, thresholds], last, histogram, stride)
    );
}

/// 16 consecutive ChaCha8 blocks from `counter` on, word by word: `out[16 w + b]` is word w of block b.
pub(super) fn chacha8(simd: Simd, key: &[u32; 8], counter: u64, stream: u64, out: &mut [u32; 256]) {
    dispatch!(simd, chacha8(key, counter, stream, out));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms() -> Vec<Simd> {
        let mut forms = vec![Simd::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                forms.push(Simd::Avx2);
            }
            if Simd::detect() == Simd::Avx512 {
                forms.push(Simd::Avx512);
            }
        }
        forms
    }

    #[test]
    fn exponentials_and_their_sums_are_right_on_every_machine() {
        for simd in forms() {
            for count in [1, 7, 8, 9, 100] {
                let logits: Vec<f64> = (0..count).map(|i| 3.0 - 7.9 * f64::from(i)).collect();
                let target: Vec<f64> = (0..count).map(|i| -0.3 * f64::from(i)).collect();
                let rewards: Vec<f64> = (0..count).map(|i| f64::from(i % 3)).collect();
                let mut weights = vec![f64::NAN; logits.len()];
                let sums = exponentiate(simd, &logits, 2.0, &target, &rewards, &mut weights);
                let mut right = Sums::default();
                for i in 0..logits.len() {
                    let x = logits[i] - 2.0;
                    let e = if x < EXP_FLOOR { 0.0 } else { x.exp() };
                    assert!(
                        (weights[i] - e).abs() <= 1e-15 * e,
                        "{simd:?} {x}: {} {e}",
                        weights[i]
                    );
                    right.mass += e;
                    right.reward += e * rewards[i];
                    right.to_target += e * (x - target[i]);
                    right.exponent += e * x;
                }
                assert!((sums.mass - right.mass).abs() < 1e-13);
                assert!((sums.reward - right.reward).abs() < 1e-13);
                assert!((sums.to_target - right.to_target).abs() < 1e-12);
                assert!((sums.exponent - right.exponent).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn adam_is_adam_on_every_machine() {
        let constants = Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            size: 0.05,
            root: 1.7,
        };
        for simd in forms() {
            let count = 21;
            let gradient: Vec<f64> = (0..count)
                .map(|i| [1.0, -1e-3, 1e-9, 0.0, -1e-100, 1e-200, 1e60][i % 7])
                .collect();
            let (mut parameters, mut first, mut second) =
                (vec![0.5; count], vec![1e-4; count], vec![1e-7; count]);
            adam(
                simd,
                &constants,
                &gradient,
                &mut parameters,
                &mut first,
                &mut second,
            );
            for (i, g) in gradient.iter().enumerate() {
                let m = 0.9 * 1e-4 + 0.1 * g;
                let v: f64 = 0.999 * 1e-7 + 0.001 * g * g;
                let parameter = 0.5 + 0.05 * m / (v.sqrt() * 1.7 + 1e-8);
                assert!((first[i] - m).abs() <= 1e-14 * m.abs(), "{simd:?}");
                assert!((second[i] - v).abs() <= 1e-14 * v, "{simd:?}");
                assert!((parameters[i] - parameter).abs() < 1e-14, "{simd:?} {g}");
            }
            // Nothing moves an arm that never had a gradient.
            let (mut parameters, mut first, mut second) = ([-800.0], [0.0], [0.0]);
            adam(
                simd,
                &constants,
                &[0.0],
                &mut parameters,
                &mut first,
                &mut second,
            );
            assert_eq!((parameters, first, second), ([-800.0], [0.0], [0.0]));
        }
    }

    #[test]
    fn thresholds_are_cumulative_shares_on_every_machine() {
        for simd in forms() {
            for arms in [1usize, 8, 9, 100] {
                let weights: Vec<f64> = (0..arms).map(|i| ((i * 7) % 5) as f64 + 0.5).collect();
                let total: f64 = weights.iter().sum();
                let mut thresholds = vec![7; arms + 3];
                accumulate(simd, &weights, total, &mut thresholds);
                let mut sum = 0.0;
                for (weight, threshold) in weights.iter().zip(&thresholds) {
                    sum += weight;
                    let right = sum / total * f64::from(u32::MAX);
                    assert!(
                        (f64::from(*threshold) - right).abs() <= 1.01,
                        "{simd:?} {arms}"
                    );
                }
                assert_eq!(thresholds[arms..], [7, 7, 7]);
            }
        }
    }

    #[test]
    fn every_word_finds_its_arm() {
        for simd in forms() {
            for arms in [1usize, 5, 16, 17, 100, 256, 257, 4096] {
                let pad = |v: &[u32]| {
                    let mut v = v.to_vec();
                    v.resize(v.len().next_multiple_of(16), u32::MAX);
                    v
                };
                let mut thresholds: Vec<u32> = (1..=arms)
                    .map(|i| {
                        (u64::from(u32::MAX) * (i as u64).pow(2) / (arms as u64).pow(2)) as u32
                    })
                    .collect();
                if arms > 4 {
                    thresholds[2] = thresholds[1];
                }
                let thresholds = pad(&thresholds);
                let every =
                    |v: &[u32]| pad(&v.iter().skip(15).step_by(16).copied().collect::<Vec<_>>());
                let coarse = every(&thresholds);
                let top = every(&coarse);
                let words: Vec<u32> = (0..999u32)
                    .map(|i| i.wrapping_mul(2_654_435_761))
                    .chain([0, u32::MAX])
                    .collect();
                let mut histogram = vec![0; 4 * arms];
                count(
                    simd,
                    &words,
                    [&top, &coarse, &thresholds],
                    arms as u32 - 1,
                    &mut histogram,
                    arms,
                );
                let mut right = vec![0; arms];
                for word in &words {
                    let arm = thresholds.iter().filter(|&t| t <= word).count();
                    right[arm.min(arms - 1)] += 1;
                }
                let found: Vec<u32> = (0..arms)
                    .map(|a| (0..4).map(|h| histogram[h * arms + a]).sum())
                    .collect();
                assert_eq!(found, right, "{simd:?} {arms}");
            }
        }
    }
}
