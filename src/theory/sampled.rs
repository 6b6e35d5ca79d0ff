//! Metrics estimated from samples, each with its Monte-Carlo standard error (docs/math.md section 5).

/// An estimate with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its standard error; NaN where one draw tells nothing of it.
    pub standard_error: f64,
}

/// Mean of independent draws: E\[R\] from sampled rewards, KL(π‖π_ref) from sampled log π/π_ref.
#[must_use]
pub fn mean(draws: &[f64]) -> Estimate {
    let n = draws.len() as f64;
    let value = super::kernels::sum(draws) / n;
    let spread: f64 = draws.iter().map(|x| (x - value) * (x - value)).sum();
    Estimate {
        value,
        standard_error: (spread / (n - 1.0) / n).sqrt(),
    }
}

/// Mass of each mode from how often it was drawn among `draws`; the error is binomial.
#[must_use]
pub fn mode_masses(counts: &[u64], draws: u64) -> Vec<Estimate> {
    let n = draws as f64;
    counts
        .iter()
        .map(|&count| {
            let value = count as f64 / n;
            Estimate {
                value,
                standard_error: (value * (1.0 - value) / n).sqrt(),
            }
        })
        .collect()
}

/// Entropy in nats from how often each arm was drawn: plug-in with the Miller-Madow correction, error by the delta method.
#[must_use]
pub fn entropy(counts: &[u32]) -> Estimate {
    let n: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    let seen = counts.iter().filter(|&&count| count > 0);
    let (mut plain, mut square, mut kinds) = (0.0, 0.0, 0.0);
    for &count in seen {
        let p = f64::from(count) / n;
        plain -= p * p.ln();
        square += p * p.ln() * p.ln();
        kinds += 1.0;
    }
    Estimate {
        value: plain + (kinds - 1.0) / (2.0 * n),
        standard_error: ((square - plain * plain).max(0.0) / n).sqrt(),
    }
}

/// Effective modes exp(−Σ p_k log p_k) from how often each mode was drawn; error by the delta method. NaN without a hit.
#[must_use]
pub fn effective_modes(counts: &[u64]) -> Estimate {
    let n: f64 = counts.iter().map(|&count| count as f64).sum();
    let (mut entropy, mut square) = (0.0, 0.0);
    for &count in counts.iter().filter(|&&count| count > 0) {
        let p = count as f64 / n;
        entropy -= p * p.ln();
        square += p * p.ln() * p.ln();
    }
    let value = if n > 0.0 { entropy.exp() } else { f64::NAN };
    Estimate {
        value,
        standard_error: value * ((square - entropy * entropy).max(0.0) / n).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator of uniform numbers.
    fn uniforms(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    #[test]
    fn standard_errors_are_the_spread_of_repeats() {
        let masses = [0.5, 0.3, 0.15, 0.05];
        let truth: f64 = masses.iter().map(|p: &f64| -p * p.ln()).sum();
        let mut uniform = uniforms(7);
        let (mut means, mut entropies, mut effective) = (vec![], vec![], vec![]);
        for _ in 0..400 {
            let mut counts = [0_u32; 4];
            let mut draws = vec![];
            for _ in 0..500 {
                let mut u = uniform();
                let arm = masses
                    .iter()
                    .position(|p| {
                        u -= p;
                        u < 0.0
                    })
                    .unwrap_or(3);
                counts[arm] += 1;
                draws.push(arm as f64);
            }
            means.push(mean(&draws));
            entropies.push(entropy(&counts));
            effective.push(effective_modes(&counts.map(u64::from)));
        }
        for (what, estimates, wanted) in [
            ("mean", means, 0.75),
            ("entropy", entropies, truth),
            ("effective modes", effective, truth.exp()),
        ] {
            let values: Vec<f64> = estimates.iter().map(|e| e.value).collect();
            let spread = mean(&values).standard_error * (values.len() as f64).sqrt();
            let told =
                estimates.iter().map(|e| e.standard_error).sum::<f64>() / values.len() as f64;
            assert!(
                (told / spread - 1.0).abs() < 0.12,
                "{what}: told {told}, spread {spread}"
            );
            let bias = mean(&values).value - wanted;
            assert!(bias.abs() < 0.25 * spread, "{what}: bias {bias}");
        }
    }

    #[test]
    fn mode_masses_are_binomial() {
        let found = mode_masses(&[25, 0], 100);
        assert!((found[0].value - 0.25).abs() < 1e-15);
        assert!((found[0].standard_error - (0.1875_f64 / 100.0).sqrt()).abs() < 1e-15);
        assert_eq!(found[1].value, 0.0);
    }
}
