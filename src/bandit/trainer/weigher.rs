//! Sampled updates for answers that carry their own log-probabilities, as a language model's completions do.
//!
//! The completions of one prompt are samples of a bandit whose arms are the acceptable answers and everything else
//! (docs/math.md section 6). What multiplies each sample's score is therefore what it is for a bandit (section 4): the
//! very same code. Completions that count as the same arm keep their own log-probabilities.

use super::{
    drive::{Drive, LOG_ZERO, slope, weighted_slope},
    kernel::Simd,
    mara::{BatchMara, RunningAnchor},
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
    /// Raw reward where it is not the arm's.
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
    objective: Objective,
    mara: Option<BatchMara>,
    /// MARA's best anchor so far.
    pub(crate) running_anchor: Option<RunningAnchor>,
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
            objective: *objective,
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
            let of_arm = self.drive.sampled_rewards()[drawn.arm];
            self.rewards
                .push((drawn.reward).map_or(of_arm, |raw| self.objective.effective_reward(raw)));
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
        // A completion of its own, which may be all there ever is of its arm's reward.
        let answer_of = |slot: usize| RunningAnchor {
            arm: batch[slot].arm as u32,
            reward: batch[slot].reward,
            log_reference: Some(slots.log_reference[slot]),
        };
        let slots = match &mut self.mara {
            Some(mara) => mara.apply(&slots, answer_of, &self.drive, &mut self.running_anchor),
            None => slots,
        };
        self.weights.clear();
        self.weights.resize(batch.len(), 0.0);
        signal::weigh(self.simd, &self.drive, update, &slots, &mut self.weights);
        let plain = |drawn: &Drawn| {
            let of_arm = self.drive.rewards[drawn.arm];
            (drawn.reward).map_or(of_arm, |raw| self.objective.effective_reward(raw))
        };
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

    const UPDATE: Update = Update::Sampled {
        batch: 4,
        advantage: Advantage::MeanBaseline,
        kl: KlPenalty::Matched,
    };
    const RUNNING: &str = "objective.mara=(threshold: Constant(0.5), anchor: RunningMaximum)";

    /// A completion that a program pays.
    fn paid(arm: usize, reward: f64, log_reference: f64) -> Drawn {
        Drawn {
            arm,
            count: 1,
            reward: Some(reward),
            log_prob: -1.0,
            log_reference,
        }
    }

    /// One that earns what its arm does.
    fn listed(arm: usize, log_reference: f64) -> Drawn {
        Drawn {
            reward: None,
            ..paid(arm, 0.0, log_reference)
        }
    }

    fn weigher(sets: &[&str]) -> Weigher {
        let (problem, objective, analysis) = problem(&[&["objective.beta=0.5"], sets].concat());
        Weigher::new(&problem, &objective, &analysis)
    }

    /// The same run under another objective or with other rewards.
    fn edited(weigher: &Weigher, sets: &[&str]) -> Weigher {
        Weigher {
            running_anchor: weigher.running_anchor,
            ..self::weigher(sets)
        }
    }

    /// The reward after MARA of a batch's only completion.
    fn levelled(weigher: &mut Weigher, drawn: Drawn) -> f64 {
        let weighed = weigher.weigh(UPDATE, &[drawn]);
        weighed[0].reward + weighed[0].bonus
    }

    /// R(z) + β (log π_ref(z) − log π_ref(y)), docs/math.md section 3, Algorithm 1, with β = 0.5. Arm 0 of Figure 4 earns
    /// nothing by itself and stands for everything else here.
    #[test]
    fn the_running_anchor_keeps_its_own_reward_and_reference_from_batch_to_batch() {
        let near = |found: f64, wanted: f64| {
            assert!((found - wanted).abs() < 1e-12, "{found} against {wanted}");
        };
        let mut weigher = weigher(&[RUNNING]);
        let weighed = weigher.weigh(UPDATE, &[paid(0, 2.0, -1.5), listed(1, -3.0)]);
        near(weighed[0].bonus, 0.0);
        near(weighed[1].reward + weighed[1].bonus, 2.0 + 0.5 * 1.5);
        // The next batch has neither the anchor nor another completion of its arm.
        near(levelled(&mut weigher, listed(1, -3.0)), 2.75);
        // Another completion of its arm is not the anchor: neither its reward nor its log π_ref count.
        near(levelled(&mut weigher, paid(0, 0.6, -4.0)), 2.0 + 0.5 * 2.5);
        // A bad one is left alone, and one with less support does not take its place.
        near(levelled(&mut weigher, paid(0, 0.1, -1.0)), 0.1);
        near(levelled(&mut weigher, listed(2, -1.6)), 2.05);
        // Drawn again it is what it is paid now; too little, and it is none any more.
        near(levelled(&mut weigher, paid(0, 1.0, -1.5)), 1.0);
        near(levelled(&mut weigher, listed(1, -3.0)), 1.75);
        let mut fallen = weigher.clone();
        near(levelled(&mut fallen, paid(0, 0.2, -1.5)), 0.2);
        assert_eq!(fallen.running_anchor, None);
        // Better support takes over for good.
        near(levelled(&mut weigher, listed(2, -1.25)), 1.0);
        near(levelled(&mut weigher, paid(0, 3.0, -1.5)), 1.0 + 0.5 * 0.25);
    }

    #[test]
    fn the_running_anchor_follows_edits_of_scale_offset_threshold_and_rewards() {
        let near = |found: f64, wanted: f64| {
            assert!((found - wanted).abs() < 1e-12, "{found} against {wanted}");
        };
        let mut first = weigher(&[RUNNING]);
        levelled(&mut first, paid(0, 2.0, -1.5));
        let scaled = ["objective.reward_scale=0.25", "objective.reward_offset=0.4"];
        let mut after = edited(&first, &[&[RUNNING], &scaled[..]].concat());
        // R(z) = 0.25 · 2 + 0.4, and arm 1 earns 0.65.
        near(levelled(&mut after, listed(1, -3.0)), 0.9 + 0.5 * 1.5);
        near(
            levelled(&mut edited(&after, &[RUNNING]), listed(1, -3.0)),
            2.75,
        );
        let raised = "objective.mara=(threshold: Constant(2.5), anchor: RunningMaximum)";
        let mut after = edited(&first, &[raised]);
        near(levelled(&mut after, listed(1, -3.0)), 1.0);
        assert_eq!(after.running_anchor, None);
        // Of an answer that its arm pays, the arm's present reward counts.
        let mut first = weigher(&[RUNNING]);
        levelled(&mut first, listed(1, -0.75));
        let mut after = edited(&first, &[RUNNING, "bandit.rewards=List([0.0, 0.7, 1.0])"]);
        near(levelled(&mut after, listed(2, -3.0)), 0.7 + 0.5 * 2.25);
        let mut after = edited(&first, &[RUNNING, "bandit.rewards=List([0.0, 0.3, 1.0])"]);
        near(levelled(&mut after, listed(2, -3.0)), 1.0);
        assert_eq!(
            after.running_anchor,
            Some(RunningAnchor {
                arm: 2,
                reward: None,
                log_reference: Some(-3.0)
            })
        );
        // A file of before there were such knows the arm only.
        after.running_anchor = Some(RunningAnchor::of_arm(1));
        after = edited(&after, &[RUNNING]);
        near(
            levelled(&mut after, listed(2, -3.0)),
            1.0 + 0.5 * (0.3f64.ln() + 3.0),
        );
    }
}
