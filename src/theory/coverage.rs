//! How many modes survive (docs/math.md section 5), from mode masses m_k.

use serde::{Deserialize, Serialize};

/// A mode counts as covered at this share of an even split, unless set otherwise.
pub const EPSILON: f64 = 0.1;
/// Draws of coverage@n, unless set otherwise.
pub const DRAWS: u64 = 10;
/// Most draws that coverage@n may be asked for.
pub const MOST_DRAWS: u64 = 1_000_000;
/// A largest share above this is called unimodal.
pub const UNIMODAL: f64 = 0.95;

/// What counts as covered, and in how many draws modes are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CoverageRule {
    /// ε of the covered modes, those with m_k ≥ ε/M; above 0, at most 1.
    pub epsilon: f64,
    /// n of coverage@n, 1 to [`MOST_DRAWS`].
    pub draws: u64,
}

impl CoverageRule {
    /// What is used unless set otherwise.
    pub const USUAL: Self = Self {
        epsilon: EPSILON,
        draws: DRAWS,
    };

    /// Whether nothing was set otherwise.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::USUAL
    }
}

impl Default for CoverageRule {
    fn default() -> Self {
        Self::USUAL
    }
}

/// The coverage metrics of section 5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coverage {
    /// Mass on modes, m = Σ m_k.
    pub mass: f64,
    /// Modes with m_k ≥ ε/M.
    pub covered: usize,
    /// exp(−Σ p_k log p_k) with p_k = m_k/m; NaN without mass on modes.
    pub effective: f64,
    /// min p_k / max p_k; NaN without mass on modes.
    pub balance: f64,
    /// max p_k; NaN without mass on modes.
    pub largest_share: f64,
}

/// Measures mode masses; None without modes.
#[must_use]
pub fn measure(mode_masses: &[f64], epsilon: f64) -> Option<Coverage> {
    let count = mode_masses.len();
    if count == 0 {
        return None;
    }
    let mass = super::kernels::sum(mode_masses);
    let limit = epsilon / count as f64;
    let (low, high) = mode_masses
        .iter()
        .fold((f64::INFINITY, 0.0_f64), |(low, high), &m| {
            (low.min(m), high.max(m))
        });
    let entropy: f64 = mode_masses
        .iter()
        .map(|&m| m / mass)
        .filter(|&p| p > 0.0)
        .map(|p| -p * p.ln())
        .sum();
    Some(Coverage {
        mass,
        covered: mode_masses.iter().filter(|&&m| m >= limit).count(),
        effective: if mass > 0.0 { entropy.exp() } else { f64::NAN },
        balance: low / high,
        largest_share: high / mass,
    })
}

/// coverage@n: the expected share of modes seen in n draws, (1/M) Σ (1 − (1−m_k)^n). NaN without modes.
#[must_use]
pub fn coverage_at(mode_masses: &[f64], draws: u64) -> f64 {
    let n = draws as f64;
    let seen: f64 = mode_masses
        .iter()
        .map(|&m| {
            if draws == 0 {
                0.0
            } else {
                -(n * (-m.min(1.0)).ln_1p()).exp_m1()
            }
        })
        .sum();
    seen / mode_masses.len() as f64
}

/// The fewest draws whose expected coverage reaches `share`; None if no number of draws (below 2⁶²) does.
#[must_use]
pub fn draws_for(mode_masses: &[f64], share: f64) -> Option<u64> {
    let enough = |n: u64| coverage_at(mode_masses, n) >= share;
    let mut high = 1_u64;
    while !enough(high) {
        high = high.checked_mul(2).filter(|&n| n <= 1 << 62)?;
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn an_even_split_covers_everything() {
        let found = measure(&[0.2; 5], EPSILON).unwrap();
        assert_eq!(found.covered, 5);
        assert!((found.mass - 1.0).abs() < 1e-15);
        assert!((found.effective - 5.0).abs() < 1e-12);
        assert!((found.balance - 1.0).abs() < 1e-12 && (found.largest_share - 0.2).abs() < 1e-12);
    }

    #[test]
    fn a_collapsed_policy_covers_one() {
        // ε/M = 0.05: 0.049 is not covered, 0.051 is.
        let found = measure(&[0.9, 0.049], EPSILON).unwrap();
        assert_eq!(found.covered, 1);
        assert_eq!(measure(&[0.9, 0.051], EPSILON).unwrap().covered, 2);
        assert!(found.largest_share > 0.94 && found.effective < 1.3);
        assert!(measure(&[], EPSILON).is_none());
        assert!(measure(&[0.0, 0.0], EPSILON).unwrap().effective.is_nan());
    }

    #[test]
    fn coverage_counts_draws() {
        assert_eq!(coverage_at(&[0.5, 0.5], 0), 0.0);
        assert!((coverage_at(&[0.5, 0.5], 1) - 0.5).abs() < 1e-15);
        assert!((coverage_at(&[0.5, 0.5], 2) - 0.75).abs() < 1e-15);
        assert!((coverage_at(&[1.0, 0.0], 1000) - 0.5).abs() < 1e-15);
        // Far below the rounding of 1 − m.
        assert!(
            (coverage_at(&[1e-20], 1 << 40) / (1e-20 * (1_u64 << 40) as f64) - 1.0).abs() < 1e-6
        );
    }

    #[test]
    fn draws_for_is_the_least_that_suffices() {
        for masses in [vec![0.5, 0.5], vec![0.9, 0.01, 0.001], vec![1e-6; 3]] {
            for share in [0.3, 0.5, 0.95] {
                let draws = draws_for(&masses, share).unwrap();
                assert!(coverage_at(&masses, draws) >= share);
                assert!(draws == 1 || coverage_at(&masses, draws - 1) < share);
            }
        }
        assert_eq!(draws_for(&[1.0, 0.0], 0.95), None);
    }
}
