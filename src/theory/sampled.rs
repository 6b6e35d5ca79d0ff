//! Metrics estimated from samples, each with its Monte-Carlo standard error (docs/math.md section 5).

use serde::Serialize;

use super::coverage::{self, Coverage, CoverageRule};

/// An estimate with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
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

/// A mass from how many of `draws` draws hit it; the error is binomial.
#[must_use]
pub fn share(hits: u64, draws: u64) -> Estimate {
    let n = draws as f64;
    let value = hits as f64 / n;
    Estimate {
        value,
        standard_error: (value * (1.0 - value) / n).max(0.0).sqrt(),
    }
}

/// How often each mode was drawn, from how often each arm was.
#[must_use]
pub fn mode_counts<'a>(modes: impl Iterator<Item = &'a [u32]>, counts: &[u32]) -> Vec<u64> {
    let of = |arm: &u32| counts.get(*arm as usize).copied().map_or(0, u64::from);
    modes.map(|arms| arms.iter().map(of).sum()).collect()
}

/// Mass of each mode from how often it was drawn among `draws`; the error is binomial.
#[must_use]
pub fn mode_masses(counts: &[u64], draws: u64) -> Vec<Estimate> {
    counts.iter().map(|&count| share(count, draws)).collect()
}

/// Mean of a number that each arm has, from how often each arm was drawn: E\[R\] from rewards. NaN without draws.
#[must_use]
pub fn mean_of(counts: &[u32], numbers: &[f64]) -> Estimate {
    let drawn = || {
        let each = counts.iter().zip(numbers);
        each.filter(|(count, _)| **count > 0)
            .map(|(&count, &number)| (f64::from(count), number))
    };
    let n: f64 = drawn().map(|(count, _)| count).sum();
    let value = drawn().map(|(count, number)| count * number).sum::<f64>() / n;
    let spread: f64 = drawn()
        .map(|(count, number)| count * (number - value) * (number - value))
        .sum();
    Estimate {
        value,
        standard_error: (spread / (n - 1.0) / n).sqrt(),
    }
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

/// The coverage metrics of section 5 from samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampledCoverage {
    /// Mass on modes.
    pub mass: Estimate,
    /// Covered modes; the error is what repeats of the batch would scatter by if modes were drawn independently.
    pub covered: Estimate,
    /// Effective modes.
    pub effective: Estimate,
    /// Smallest over largest mode share.
    pub balance: Estimate,
    /// Largest mode share.
    pub largest_share: Estimate,
    /// coverage@n.
    pub seen: Estimate,
}

/// Coverage from how often each mode was drawn among `draws` draws, misses included. Errors by the delta method for
/// multinomial counts, the largest and smallest mode taken as known, but for covered modes, which are binomial. None
/// without modes or draws.
#[must_use]
pub fn coverage(counts: &[u64], draws: u64, rule: CoverageRule) -> Option<SampledCoverage> {
    if draws == 0 {
        return None;
    }
    let n = draws as f64;
    let masses: Vec<f64> = counts.iter().map(|&count| count as f64 / n).collect();
    let Coverage {
        mass: _,
        covered,
        effective: _,
        balance,
        largest_share,
    } = coverage::measure(&masses, rule.epsilon)?;
    let hits: u64 = counts.iter().sum();
    let low = counts.iter().min().copied().unwrap_or(0) as f64;
    let high = counts.iter().max().copied().unwrap_or(0) as f64;
    let modes = counts.len() as f64;
    // ∂/∂m_k of coverage@n, whose variance is that of one draw's slope over n.
    let slope = |mass: f64| {
        let others = (rule.draws as f64 - 1.0) * (-mass.min(1.0)).ln_1p();
        let missed = if rule.draws == 1 { 1.0 } else { others.exp() };
        rule.draws as f64 * missed / modes
    };
    let (first, second) = masses.iter().fold((0.0, 0.0), |(first, second), &mass| {
        let slope = slope(mass);
        (first + mass * slope, second + mass * slope * slope)
    });
    Some(SampledCoverage {
        mass: share(hits, draws),
        covered: Estimate {
            value: covered as f64,
            standard_error: covered_error(counts, draws, rule.epsilon),
        },
        effective: effective_modes(counts),
        balance: Estimate {
            value: balance,
            standard_error: if counts.len() == 1 {
                0.0
            } else if low > 0.0 {
                balance * (1.0 / low + 1.0 / high).sqrt()
            } else if high > 0.0 {
                // One hit of the smallest mode more or less.
                1.0 / high
            } else {
                f64::NAN
            },
        },
        largest_share: Estimate {
            value: largest_share,
            standard_error: (largest_share * (1.0 - largest_share) / hits as f64)
                .max(0.0)
                .sqrt(),
        },
        seen: Estimate {
            value: coverage::coverage_at(&masses, rule.draws),
            standard_error: ((second - first * first).max(0.0) / n).sqrt(),
        },
    })
}

/// Standard deviation of the number of covered modes over repeats: each mode reaches the limit with its own binomial
/// probability. Costs about ε·n operations.
fn covered_error(counts: &[u64], draws: u64, epsilon: f64) -> f64 {
    let n = draws as f64;
    // The fewest hits that count, a rounding error aside.
    let limit = (epsilon * n / counts.len() as f64 - 1e-9).ceil();
    let variance: f64 = counts
        .iter()
        .map(|&count| {
            let below = binomial_below(limit, n, count as f64 / n);
            below * (1.0 - below)
        })
        .sum();
    variance.sqrt()
}

/// P(fewer than `limit` hits in `n` draws of probability `p`).
fn binomial_below(limit: f64, n: f64, p: f64) -> f64 {
    if p <= 0.0 {
        return if limit > 0.0 { 1.0 } else { 0.0 };
    }
    if p >= 1.0 {
        return if limit > n { 1.0 } else { 0.0 };
    }
    let mut log_term = n * (-p).ln_1p();
    let log_odds = p.ln() - (-p).ln_1p();
    let (mut sum, mut hits) = (0.0, 0.0);
    while hits < limit && hits <= n {
        sum += log_term.exp();
        log_term += ((n - hits) / (hits + 1.0)).ln() + log_odds;
        hits += 1.0;
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
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

    /// Draws an arm of these masses, the last arm if nothing else.
    fn draw(masses: &[f64], u: f64) -> usize {
        let mut left = u;
        let found = masses.iter().position(|mass| {
            left -= mass;
            left < 0.0
        });
        found.unwrap_or(masses.len() - 1)
    }

    #[test]
    fn standard_errors_of_coverage_are_the_spread_of_repeats() {
        // Three modes, the last of which is about at the limit ε/M = 0.1, and a tenth of the mass on none.
        let masses = [0.5, 0.3, 0.1, 0.1];
        let rewards = [1.0, 0.5, 2.0, -1.0];
        let rule = CoverageRule {
            epsilon: 0.3,
            draws: 4,
        };
        let mut uniform = uniforms(11);
        let mut repeats: Vec<(SampledCoverage, Estimate)> = Vec::new();
        for _ in 0..1_000 {
            let mut counts = [0_u32; 4];
            for _ in 0..400 {
                counts[draw(&masses, uniform())] += 1;
            }
            let modes = [counts[0], counts[1], counts[2]].map(u64::from);
            let found = coverage(&modes, 400, rule).unwrap();
            repeats.push((found, mean_of(&counts, &rewards)));
        }
        type Part = fn(&(SampledCoverage, Estimate)) -> Estimate;
        let parts: [(&str, Part, f64); 7] = [
            ("mass", |one| one.0.mass, 0.9),
            // The third mode is below the limit in about half of the repeats, which single repeats are too sure of.
            ("covered", |one| one.0.covered, 2.5),
            ("effective", |one| one.0.effective, 2.55),
            ("balance", |one| one.0.balance, 0.2),
            ("largest", |one| one.0.largest_share, 0.5 / 0.9),
            ("seen", |one| one.0.seen, 0.680_4),
            ("reward", |one| one.1, 0.75),
        ];
        for (what, part, wanted) in parts {
            let values: Vec<f64> = repeats.iter().map(|one| part(one).value).collect();
            let errors = repeats.iter().map(|one| part(one).standard_error);
            let told = errors.sum::<f64>() / repeats.len() as f64;
            let spread = mean(&values).standard_error * (values.len() as f64).sqrt();
            let tolerance = if what == "covered" { 0.35 } else { 0.1 };
            assert!(
                (told / spread - 1.0).abs() < tolerance,
                "{what}: told {told}, spread {spread}"
            );
            let bias = mean(&values).value - wanted;
            assert!(bias.abs() < 0.25 * spread, "{what}: bias {bias}");
        }
    }

    #[test]
    fn nothing_drawn_has_no_coverage_and_one_mode_no_doubt_of_balance() {
        assert!(coverage(&[0, 0], 0, CoverageRule::USUAL).is_none());
        assert!(coverage(&[], 10, CoverageRule::USUAL).is_none());
        let missed = coverage(&[0, 0], 10, CoverageRule::USUAL).unwrap();
        assert_eq!((missed.mass.value, missed.covered.value), (0.0, 0.0));
        assert!(missed.effective.value.is_nan() && missed.balance.standard_error.is_nan());
        let alone = coverage(&[10], 10, CoverageRule::USUAL).unwrap();
        assert_eq!(alone.balance.value, 1.0);
        assert_eq!(alone.balance.standard_error, 0.0);
        assert_eq!(alone.covered.standard_error, 0.0);
    }

    #[test]
    fn mode_masses_are_binomial() {
        let found = mode_masses(&[25, 0], 100);
        assert!((found[0].value - 0.25).abs() < 1e-15);
        assert!((found[0].standard_error - (0.1875_f64 / 100.0).sqrt()).abs() < 1e-15);
        assert_eq!(found[1].value, 0.0);
    }
}
