//! A probability distribution over arms that cannot hold nonsense: log masses that sum (in mass) to one.

use thiserror::Error;

use super::{Written, kernels};

/// A normalised distribution over a finite set of arms, held as natural-log masses (−∞ for an impossible arm).
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    log_masses: Vec<f64>,
}

/// Why a list of numbers is not a distribution; each message names the arm and the value.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum DistributionError {
    /// No arm at all.
    #[error("there are no arms; at least one mass is needed")]
    Empty,
    /// A weight that is negative, NaN or infinite.
    #[error("mass {} of arm {arm} is not accepted; masses are finite numbers ≥ 0", Written(*.value))]
    BadMass {
        /// Index of the first offending arm.
        arm: usize,
        /// Its value.
        value: f64,
    },
    /// Every weight is zero.
    #[error("all masses are zero; at least one arm needs a positive mass")]
    AllZero,
    /// The masses were promised to be normalised and are not.
    #[error("masses sum to {}; they must sum to 1 (within 1e-6)", Written(*.sum))]
    NotNormalised {
        /// What they sum to.
        sum: f64,
    },
}

impl Distribution {
    /// Normalises non-negative weights of any scale.
    ///
    /// # Errors
    /// Names the first weight that is negative or not finite, an empty list, or weights that are all zero.
    pub fn from_weights(weights: &[f64]) -> Result<Self, DistributionError> {
        check(weights)?;
        let mut log_masses = vec![0.0; weights.len()];
        kernels::ln(weights, &mut log_masses);
        Self::normalise(log_masses)
    }

    /// Takes masses that already sum to one (within 1e-6) and removes the remaining rounding.
    ///
    /// # Errors
    /// As [`Self::from_weights`], and [`DistributionError::NotNormalised`].
    pub fn from_masses(masses: &[f64]) -> Result<Self, DistributionError> {
        check(masses)?;
        let sum = kernels::sum(masses);
        if (sum - 1.0).abs() > 1e-6 {
            return Err(DistributionError::NotNormalised { sum });
        }
        Self::from_weights(masses)
    }

    /// Normalises natural-log weights (−∞ allowed, not all).
    ///
    /// # Errors
    /// [`DistributionError::BadMass`] for NaN or +∞, [`DistributionError::AllZero`], [`DistributionError::Empty`].
    pub fn from_log_weights(log_weights: &[f64]) -> Result<Self, DistributionError> {
        if log_weights.is_empty() {
            return Err(DistributionError::Empty);
        }
        for (arm, &value) in log_weights.iter().enumerate() {
            if value.is_nan() || value == f64::INFINITY {
                return Err(DistributionError::BadMass { arm, value });
            }
        }
        Self::normalise(log_weights.to_vec())
    }

    fn normalise(mut log_masses: Vec<f64>) -> Result<Self, DistributionError> {
        if kernels::normalise_log(&mut log_masses) == f64::NEG_INFINITY {
            return Err(DistributionError::AllZero);
        }
        Ok(Self { log_masses })
    }

    /// The uniform distribution over `arms` arms (at least one).
    ///
    /// # Errors
    /// [`DistributionError::Empty`] for zero arms.
    pub fn uniform(arms: usize) -> Result<Self, DistributionError> {
        Self::from_log_weights(&vec![0.0; arms])
    }

    /// Natural-log masses, one per arm.
    #[must_use]
    pub fn log_masses(&self) -> &[f64] {
        &self.log_masses
    }

    /// Masses, one per arm, freshly allocated.
    #[must_use]
    pub fn masses(&self) -> Vec<f64> {
        let mut masses = vec![0.0; self.log_masses.len()];
        kernels::exp(&self.log_masses, &mut masses);
        masses
    }

    /// The number of arms; never zero.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a distribution is never empty by construction"
    )]
    pub fn len(&self) -> usize {
        self.log_masses.len()
    }
}

fn check(weights: &[f64]) -> Result<(), DistributionError> {
    if weights.is_empty() {
        return Err(DistributionError::Empty);
    }
    for (arm, &value) in weights.iter().enumerate() {
        if !value.is_finite() || value < 0.0 {
            return Err(DistributionError::BadMass { arm, value });
        }
    }
    Ok(())
}
