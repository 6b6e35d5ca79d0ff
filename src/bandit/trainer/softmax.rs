//! The softmax over arms: logits, their masses and the three numbers reported at every step.

use super::{StepReport, drive::Drive};

/// Logits with the distribution they stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Softmax {
    pub(super) logits: Vec<f64>,
    pub(super) masses: Vec<f64>,
    /// log of the sum of e^logit.
    pub(super) log_normaliser: f64,
    pub(super) report: StepReport,
}

impl Softmax {
    /// Recomputes everything from the logits; false if any number is not finite.
    pub(super) fn refresh(&mut self, drive: &Drive) -> bool {
        let max = self
            .logits
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        self.masses.resize(self.logits.len(), 0.0);
        for (mass, logit) in self.masses.iter_mut().zip(&self.logits) {
            *mass = (logit - max).exp();
            sum += *mass;
        }
        if !(sum.is_finite() && sum > 0.0 && max.is_finite()) {
            return false;
        }
        self.log_normaliser = max + sum.ln();
        let (mut reward, mut kl, mut entropy) = (0.0, 0.0, 0.0);
        for (arm, mass) in self.masses.iter_mut().enumerate() {
            *mass /= sum;
            let log_mass = self.logits[arm] - self.log_normaliser;
            reward += *mass * drive.rewards[arm];
            kl += *mass * (log_mass - drive.log_target[arm]);
            entropy -= *mass * log_mass;
        }
        if drive
            .target_zeros
            .iter()
            .any(|&arm| self.masses[arm as usize] > 0.0)
        {
            kl = f64::INFINITY;
        }
        self.report = StepReport {
            expected_reward: reward,
            kl_to_target: kl.max(0.0),
            entropy: entropy.max(0.0),
        };
        true
    }

    /// log π of one arm.
    pub(super) fn log_mass(&self, arm: usize) -> f64 {
        self.logits[arm] - self.log_normaliser
    }
}
