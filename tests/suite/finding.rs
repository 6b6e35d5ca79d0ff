//! The paper's finding on a language model (arXiv 2510.20817): with equal rewards a KL-regularised run ends on the answer
//! that the reference prefers, and with MARA at the same β it keeps them all, at the same reward.
//!
//! The embedded presets, several seeds each; what is compared is the trained model's exact answer probabilities.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use modescope::{
    engine::{Budget, Session},
    experiment::{builtin_preset, set_path},
    theory::Metric,
};

const SEEDS: [u64; 3] = [1, 2, 3];
/// Enough to arrive at the target, and not only on the way to it: what is checked then hangs on no seed.
const STEPS: u64 = 1000;
const MARA: &str = "objective.mara=(threshold: Constant(0.8))";

struct Outcome {
    /// Exact probabilities of the answers and of everything else.
    policy: Vec<f64>,
    /// Expected reward: with 0/1 rewards the probability of an acceptable answer.
    reward: f64,
    effective_modes: f64,
}

impl Outcome {
    /// Shares of the valid mass.
    fn shares(&self) -> Vec<f64> {
        let (_, answers) = self.policy.split_last().unwrap();
        let valid: f64 = answers.iter().sum();
        answers.iter().map(|mass| mass / valid).collect()
    }
}

fn train(preset: &str, changes: &[&str], seed: u64) -> Outcome {
    let mut preset = builtin_preset(preset).unwrap();
    preset.training.seed = seed;
    for change in changes {
        set_path(&mut preset, change).unwrap();
    }
    assert_eq!(preset.objective.beta.get(), 0.01);
    let mut session = Session::new(preset, None).unwrap();
    session.advance(Budget::steps(STEPS), &|| false).unwrap();
    let metrics = session.metrics();
    Outcome {
        policy: session.policy().to_vec(),
        reward: metrics.get(Metric::ExpectedReward),
        effective_modes: metrics.get(Metric::EffectiveModes),
    }
}

fn one_or_two_collapses_without_mara(plain: &str, with_mara: &str, seeds: &[u64]) {
    for &seed in seeds {
        let plain = train(plain, &[], seed);
        let mara = train(with_mara, &[], seed);
        let largest = plain.shares().into_iter().fold(0.0, f64::max);
        assert!(largest > 0.9, "seed {seed}: {:?}", plain.policy);
        assert!(
            mara.shares().iter().all(|share| *share > 0.3),
            "seed {seed}: {:?}",
            mara.policy
        );
        assert!(plain.reward > 0.98, "seed {seed}: {}", plain.reward);
        assert!(
            (plain.reward - mara.reward).abs() < 0.01,
            "seed {seed}: {} without and {} with MARA",
            plain.reward,
            mara.reward
        );
    }
}

#[test]
fn one_or_two_ends_on_one_answer_and_mara_keeps_both_at_the_same_reward() {
    one_or_two_collapses_without_mara("lm-one-or-two", "lm-one-or-two-mara", &SEEDS);
}

#[test]
fn the_forward_kl_changes_nothing_about_that() {
    one_or_two_collapses_without_mara(
        "lm-one-or-two-forward",
        "lm-one-or-two-mara-forward",
        &SEEDS[..2],
    );
}

#[test]
fn digits_keep_the_reference_s_few_modes_and_mara_keeps_all_ten_at_the_same_reward() {
    for seed in SEEDS {
        let plain = train("lm-digit", &[], seed);
        let mara = train("lm-digit", &[MARA], seed);
        assert!(
            plain.effective_modes < 7.0,
            "seed {seed}: {} of {:?}",
            plain.effective_modes,
            plain.policy
        );
        assert!(
            mara.effective_modes > 9.0,
            "seed {seed}: {} of {:?}",
            mara.effective_modes,
            mara.policy
        );
        assert!(plain.reward > 0.98, "seed {seed}: {}", plain.reward);
        assert!((plain.reward - mara.reward).abs() < 0.01, "seed {seed}");
    }
}
