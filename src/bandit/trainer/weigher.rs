//! Sampled updates for answers that carry their own log-probabilities, as a language model's completions do.
//!
//! The completions of one prompt are samples of a bandit whose arms are the acceptable answers and everything else
//! (docs/math.md section 6). What multiplies each sample's score is therefore what it is for a bandit (section 4): the
//! very same code. Completions that count as the same arm keep their own log-probabilities.

use super::{
    drive::{Drive, LOG_ZERO, slope, weighted_slope},
    kernel::Simd,
    mara::BatchMara,
    signal::{self, Slots},
};
use crate::{
    bandit::{Analysis, Problem},
    experiment::Update,
    theory::Objective,
};

/// One distinct answer of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Drawn {
    /// The arm it counts as.
    pub(crate) arm: usize,
    /// How often it came up.
    pub(crate) count: u32,
    /// Effective reward where it is not the arm's.
    pub(crate) reward: Option<f64>,
    /// log π.
    pub(crate) log_prob: f64,
    /// log π_ref.
    pub(crate) log_reference: f64,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Weighed {
    /// Effective reward before MARA.
    pub(crate) reward: f64,
    /// What MARA added to the reward.
    pub(crate) bonus: f64,
    /// What the score is multiplied with; the gradient is the mean of weight · ∇ log π over all samples.
    pub(crate) weight: f64,
}

/// Weighs the batches of one prompt.
#[derive(Debug, Clone)]
pub(crate) struct Weigher {
    drive: Drive,
    mara: Option<BatchMara>,
    /// MARA's best anchor so far.
    pub(crate) running_anchor: Option<u32>,
    simd: Simd,
    counts: Vec<f64>,
    rewards: Vec<f64>,
    log_reference: Vec<f64>,
    log_masses: Vec<f64>,
    weights: Vec<f64>,
}

impl Weigher {
    /// A weigher for the batches of `problem`.
    pub(crate) fn new(problem: &Problem, objective: &Objective, analysis: &Analysis) -> Self {
        let drive = Drive::new(problem, objective, analysis);
        Self {
            mara: BatchMara::new(problem, objective, &drive),
            drive,
            running_anchor: None,
            simd: Simd::detect(),
            counts: Vec::new(),
            rewards: Vec::new(),
            log_reference: Vec::new(),
            log_masses: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// Weighs a batch under a sampled update.
    pub(crate) fn weigh(&mut self, update: Update, batch: &[Drawn]) -> Vec<Weighed> {
        self.counts.clear();
        self.rewards.clear();
        self.log_reference.clear();
        self.log_masses.clear();
        for drawn in batch {
            self.counts.push(f64::from(drawn.count));
            let lift = self.exact_lift(drawn.arm);
            self.rewards.push(
                drawn
                    .reward
                    .unwrap_or_else(|| self.drive.sampled_rewards()[drawn.arm]),
            );
            self.log_reference
                .push((drawn.log_reference + lift).max(LOG_ZERO));
            self.log_masses.push(drawn.log_prob);
        }
        let slots = Slots {
            counts: &self.counts,
            total: self.counts.iter().sum(),
            rewards: &self.rewards,
            log_reference: &self.log_reference,
            log_masses: &self.log_masses,
            expected: false,
        };
        let arm_of = |slot: usize| batch[slot].arm;
        let slots = match &mut self.mara {
            Some(mara) => mara.apply(&slots, arm_of, &self.drive, &mut self.running_anchor),
            None => slots,
        };
        self.weights.clear();
        self.weights.resize(batch.len(), 0.0);
        signal::weigh(self.simd, &self.drive, update, &slots, &mut self.weights);
        let plain = |drawn: &Drawn| drawn.reward.unwrap_or(self.drive.rewards[drawn.arm]);
        (batch.iter().zip(slots.rewards).zip(&self.weights))
            .map(|((drawn, paid), weight)| Weighed {
                reward: plain(drawn),
                bonus: paid - plain(drawn),
                weight: *weight,
            })
            .collect()
    }

    /// What the score of a sample of the reference is multiplied with, under an update that draws from the reference.
    pub(crate) fn reference_weight(&self, arm: usize) -> f64 {
        let lift = match &self.mara {
            Some(mara) => mara.lift(&self.drive, arm),
            None => self.exact_lift(arm),
        };
        self.drive.beta * lift.exp()
    }

    /// The exact gradient as weights of log π of every arm but the last, whose mass is what the others leave: with
    /// π_K = 1 − Σ π_y, ∂J/∂ log π_y = π_y (a_y − a_K), a = ∂J/∂π.
    pub(crate) fn exact(&self, log_masses: &[f64], masses: &[f64]) -> Vec<f64> {
        let drive = &self.drive;
        let (rewards, reference) = (drive.exact_rewards(), drive.exact_log_reference());
        let Some(last) = masses.len().checked_sub(1) else {
            return Vec::new();
        };
        let plain = |arm: usize| rewards[arm] - drive.entropy * log_masses[arm];
        let rest =
            plain(last) - drive.beta * slope(drive.divergence, log_masses[last] - reference[last]);
        (0..last)
            .map(|arm| {
                let (mass, log_mass) = (masses[arm], log_masses[arm]);
                mass * (plain(arm) - rest)
                    - drive.beta * weighted_slope(drive.divergence, mass, log_mass, reference[arm])
            })
            .collect()
    }

    /// By how much exact MARA raised an arm's log π_ref.
    fn exact_lift(&self, arm: usize) -> f64 {
        self.drive.sampled_log_reference()[arm] - self.drive.log_reference[arm]
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::{
        bandit::{ProblemSource, objective_value},
        experiment::{Advantage, KlPenalty, builtin_preset, set_path},
    };

    fn problem(sets: &[&str]) -> (Problem, Objective, Analysis) {
        let mut preset = builtin_preset("figure-4").unwrap();
        for set in sets {
            set_path(&mut preset, set).unwrap();
        }
        let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
        let problem = source.problem(&preset.bandit, &preset.objective).unwrap();
        let analysis = Analysis::new(&problem, &preset.objective).unwrap();
        (problem, preset.objective, analysis)
    }

    #[test]
    fn exact_weights_are_the_derivatives_of_the_objective() {
        for sets in [
            &["objective.beta=0.3"][..],
            &["objective.beta=0.3", "objective.direction=Forward"],
            &["objective.beta=0.3", "objective.direction=Alpha(0.4)"],
            &["objective.beta=0.3", "objective.entropy=0.2"],
        ] {
            let (problem, objective, analysis) = problem(sets);
            let weigher = Weigher::new(&problem, &objective, &analysis);
            let value = |logs: [f64; 2]| {
                let rest: f64 = 1.0 - logs[0].exp() - logs[1].exp();
                let all = [logs[0], logs[1], rest.ln()];
                let masses = all.map(f64::exp);
                let reference = problem.reference.log_masses();
                objective_value(&objective, reference, &analysis.rewards, &masses, &all)
            };
            let logs = [0.5f64.ln(), 0.2f64.ln()];
            let all = [logs[0], logs[1], 0.3f64.ln()];
            let weights = weigher.exact(&all, &[0.5, 0.2, 0.3]);
            for arm in 0..2 {
                let h = 1e-5;
                let (mut up, mut down) = (logs, logs);
                up[arm] += h;
                down[arm] -= h;
                let slope = (value(up) - value(down)) / (2.0 * h);
                assert!(
                    (weights[arm] - slope).abs() < 1e-6,
                    "{sets:?}: {} against {slope}",
                    weights[arm]
                );
            }
        }
    }

    #[test]
    fn samples_of_one_arm_keep_their_own_log_probabilities() {
        let (problem, objective, analysis) = problem(&["objective.beta=0.5"]);
        let mut weigher = Weigher::new(&problem, &objective, &analysis);
        let update = Update::Sampled {
            batch: 4,
            advantage: Advantage::None,
            kl: KlPenalty::Matched,
        };
        let drawn = |log_prob, log_reference| Drawn {
            arm: 1,
            count: 2,
            reward: None,
            log_prob,
            log_reference,
        };
        let weighed = weigher.weigh(update, &[drawn(-1.0, -2.0), drawn(-3.0, -2.5)]);
        // R − β log(π/π_ref), with R = 1 for arm 1 of Figure 4.
        assert!((weighed[0].weight - (1.0 - 0.5 * 1.0)).abs() < 1e-12);
        assert!((weighed[1].weight - (1.0 - 0.5 * -0.5)).abs() < 1e-12);
        assert_eq!((weighed[0].reward, weighed[0].bonus), (1.0, 0.0));
    }
}
