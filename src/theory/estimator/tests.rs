#![expect(clippy::unwrap_used, reason = "tests")]

use rand::{Rng, SeedableRng, distr::weighted::WeightedIndex, prelude::Distribution as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::experiment::KlEstimator;

const ADVANTAGES: [Advantage; 4] = [
    Advantage::None,
    Advantage::MeanBaseline,
    Advantage::LeaveOneOut,
    Advantage::GroupNormalised,
];

fn logs(weights: &[f64]) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    weights.iter().map(|w| (w / total).ln()).collect()
}

struct Case {
    log_policy: Vec<f64>,
    log_reference: Vec<f64>,
    rewards: Vec<f64>,
}

impl Case {
    fn random(arms: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |low: f64, high: f64| -> Vec<f64> {
            (0..arms).map(|_| rng.random_range(low..high)).collect()
        };
        Self {
            log_policy: logs(&draw(0.05, 1.0)),
            log_reference: logs(&draw(0.05, 1.0)),
            rewards: draw(-1.0, 1.0),
        }
    }

    fn scene(&self, direction: Direction, beta: f64, entropy: f64) -> Scene<'_> {
        Scene {
            log_policy: &self.log_policy,
            log_reference: &self.log_reference,
            rewards: &self.rewards,
            direction,
            beta,
            entropy,
        }
    }
}

/// J by its definition, on logits.
fn objective(logits: &[f64], scene: &Scene) -> f64 {
    let total: f64 = logits.iter().map(|l| l.exp()).sum();
    let alpha = scene.alpha();
    logits
        .iter()
        .enumerate()
        .map(|(y, logit)| {
            let (p, q) = (logit.exp() / total, scene.log_reference[y].exp());
            let divergence = if alpha == 1.0 {
                p * (p / q).ln()
            } else if alpha == 0.0 {
                q * (q / p).ln()
            } else {
                let t: f64 = p / q;
                q * (t.powf(alpha) - alpha * t - (1.0 - alpha)) / (alpha * (alpha - 1.0))
            };
            p * scene.rewards[y] - scene.beta * divergence - scene.entropy * p * p.ln()
        })
        .sum()
}

fn numeric_gradient(scene: &Scene) -> Vec<f64> {
    let step = 1e-5;
    (0..scene.arms())
        .map(|y| {
            let moved = |by: f64| {
                let mut logits = scene.log_policy.to_vec();
                logits[y] += by;
                objective(&logits, scene)
            };
            (moved(step) - moved(-step)) / (2.0 * step)
        })
        .collect()
}

fn assert_close(a: &[f64], b: &[f64], tolerance: f64, what: &str) {
    assert_eq!(a.len(), b.len());
    for (y, (a, b)) in a.iter().zip(b).enumerate() {
        assert!(
            (a - b).abs() <= tolerance,
            "{what}: arm {y}: {a} against {b}"
        );
    }
}

const DIRECTIONS: [Direction; 6] = [
    Direction::Reverse,
    Direction::Forward,
    Direction::Alpha(0.5),
    Direction::Alpha(2.0),
    Direction::Alpha(-1.0),
    Direction::Alpha(1.0 + 1e-9),
];

#[test]
fn exact_gradient_is_the_slope_of_the_objective() {
    for (seed, direction) in DIRECTIONS.into_iter().enumerate() {
        let case = Case::random(7, seed as u64);
        for entropy in [0.0, 0.2] {
            // J of α next to 1 cannot be differenced: compare with α = 1.
            let compared = match direction {
                Direction::Alpha(alpha) if (alpha - 1.0).abs() < 1e-6 => Direction::Reverse,
                other => other,
            };
            let mut gradient = Vec::new();
            exact_gradient(&case.scene(direction, 0.3, entropy), &mut gradient);
            let numeric = numeric_gradient(&case.scene(compared, 0.3, entropy));
            assert_close(&gradient, &numeric, 1e-8, &format!("{direction:?}"));
        }
    }
}

fn expectation(estimator: Estimator, scene: &Scene) -> Vec<f64> {
    let mut gradient = Vec::new();
    expected_gradient(estimator, scene, 1_000_000_000, &mut gradient);
    gradient
}

fn unbaselined(kl: KlPenalty) -> Estimator {
    Estimator::Sampled {
        advantage: Advantage::None,
        kl,
    }
}

/// The gradient of −β D alone: exact gradient minus that of the reward.
fn penalty(scene: &Scene) -> Vec<f64> {
    let mut with = Vec::new();
    exact_gradient(scene, &mut with);
    let reward = expectation(unbaselined(KlPenalty::Off), scene);
    with.iter().zip(reward).map(|(a, b)| a - b).collect()
}

fn loss_alone(estimator: Estimator, scene: &Scene) -> Vec<f64> {
    let with = expectation(estimator, scene);
    let reward = expectation(unbaselined(KlPenalty::Off), scene);
    with.iter().zip(reward).map(|(a, b)| a - b).collect()
}

#[test]
fn k1_as_a_loss_has_no_expected_gradient() {
    let case = Case::random(9, 1);
    let scene = case.scene(Direction::Reverse, 0.7, 0.0);
    let pull = loss_alone(unbaselined(KlPenalty::Loss(KlEstimator::K1)), &scene);
    assert_close(&pull, &[0.0; 9], 1e-15, "k1 loss");
}

#[test]
fn k3_as_a_loss_and_reference_samples_follow_the_forward_divergence() {
    let case = Case::random(9, 2);
    let forward = penalty(&case.scene(Direction::Forward, 0.7, 0.0));
    let reverse = case.scene(Direction::Reverse, 0.7, 0.0);
    for kl in [
        KlPenalty::Loss(KlEstimator::K3),
        KlPenalty::ReferenceSamples,
    ] {
        let pull = loss_alone(unbaselined(kl), &reverse);
        assert_close(&pull, &forward, 1e-14, &format!("{kl:?}"));
    }
}

#[test]
fn k2_k3plus_rho_k3_and_shaping_follow_the_reverse_divergence() {
    let case = Case::random(9, 3);
    let wanted = penalty(&case.scene(Direction::Reverse, 0.7, 0.0));
    let forward = case.scene(Direction::Forward, 0.7, 0.0);
    for kl in [
        KlPenalty::Loss(KlEstimator::K2),
        KlPenalty::Loss(KlEstimator::K3Plus),
        KlPenalty::Loss(KlEstimator::RhoK3),
        KlPenalty::InReward(KlEstimator::K1),
    ] {
        let pull = loss_alone(unbaselined(kl), &forward);
        assert_close(&pull, &wanted, 1e-14, &format!("{kl:?}"));
    }
}

#[test]
fn matched_is_unbiased_in_every_direction() {
    for direction in DIRECTIONS {
        let case = Case::random(8, 4);
        let scene = case.scene(direction, 0.4, 0.1);
        let mut exact = Vec::new();
        exact_gradient(&scene, &mut exact);
        let matched = expectation(unbaselined(KlPenalty::Matched), &scene);
        assert_close(&matched, &exact, 1e-13, &format!("{direction:?}"));
    }
}

#[test]
fn dap_is_twice_the_reverse_gradient_over_beta() {
    let case = Case::random(8, 5);
    let scene = case.scene(Direction::Reverse, 0.25, 0.0);
    let mut exact = Vec::new();
    exact_gradient(&scene, &mut exact);
    exact.iter_mut().for_each(|g| *g *= 2.0 / 0.25);
    assert_close(&expectation(Estimator::Dap, &scene), &exact, 1e-13, "DAP");
}

#[test]
fn values_in_the_reward_are_not_the_gradient_of_the_divergence() {
    let case = Case::random(8, 6);
    let scene = case.scene(Direction::Reverse, 0.5, 0.0);
    let mut exact = Vec::new();
    exact_gradient(&scene, &mut exact);
    for estimator in [KlEstimator::K2, KlEstimator::K3] {
        let estimator = unbaselined(KlPenalty::InReward(estimator));
        let report = EstimatorReport::new(estimator, &scene, 64, &exact, &mut Vec::new());
        assert!(report.cosine < 0.999, "{estimator:?}: {}", report.cosine);
    }
}

/// One batch's gradient, written the way the definitions read: sample, average, subtract.
fn sampled(estimator: Estimator, scene: &Scene, batch: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let masses: Vec<f64> = scene.log_policy.iter().map(|l| l.exp()).collect();
    let from_policy = WeightedIndex::new(&masses).unwrap();
    let arms: Vec<usize> = (0..batch).map(|_| from_policy.sample(rng)).collect();
    let log_w = |y: usize| scene.log_reference[y] - scene.log_policy[y];
    let mut gradient = vec![0.0; masses.len()];
    let mut score = |y: usize, weight: f64| {
        for (g, p) in gradient.iter_mut().zip(&masses) {
            *g -= weight * p / batch as f64;
        }
        gradient[y] += weight / batch as f64;
    };
    let Estimator::Sampled { advantage, kl } = estimator else {
        for &y in &arms {
            score(y, 2.0 * (scene.rewards[y] / scene.beta + log_w(y)));
        }
        return gradient;
    };
    let value = |kind: KlEstimator, y: usize| match kind {
        KlEstimator::K1 => -log_w(y),
        KlEstimator::K2 => 0.5 * log_w(y).powi(2),
        _ => log_w(y).exp() - 1.0 - log_w(y),
    };
    let inside: Vec<f64> = arms
        .iter()
        .map(|&y| {
            scene.rewards[y]
                - scene.beta
                    * match kl {
                        KlPenalty::InReward(kind) => value(kind, y),
                        KlPenalty::Matched => match scene.direction {
                            Direction::Reverse => -log_w(y),
                            Direction::Forward => 1.0 - log_w(y).exp(),
                            Direction::Alpha(a) => ((1.0 - a) * log_w(y)).exp_m1() / (a - 1.0),
                        },
                        _ => 0.0,
                    }
        })
        .collect();
    let mean: f64 = inside.iter().sum::<f64>() / batch as f64;
    for (&y, &inside_value) in arms.iter().zip(&inside) {
        let others = (mean * batch as f64 - inside_value) / (batch as f64 - 1.0);
        let weight = match advantage {
            Advantage::None => inside_value,
            Advantage::MeanBaseline => inside_value - mean,
            Advantage::LeaveOneOut => inside_value - others,
            Advantage::GroupNormalised => unreachable!("σ of a batch has no closed form"),
        };
        let loss = match kl {
            KlPenalty::Loss(KlEstimator::K1) => 1.0,
            KlPenalty::Loss(KlEstimator::K3) => 1.0 - log_w(y).exp(),
            KlPenalty::Loss(_) => -log_w(y),
            _ => 0.0,
        };
        score(y, weight - scene.beta * loss);
    }
    if kl == KlPenalty::ReferenceSamples {
        let masses: Vec<f64> = scene.log_reference.iter().map(|l| l.exp()).collect();
        let from_reference = WeightedIndex::new(&masses).unwrap();
        for _ in 0..batch {
            score(from_reference.sample(rng), scene.beta);
        }
    }
    gradient
}

#[test]
fn expectation_and_variance_agree_with_simulation() {
    let case = Case::random(5, 7);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let runs = 20_000;
    for direction in [Direction::Forward, Direction::Alpha(0.5)] {
        let scene = case.scene(direction, 0.6, 0.0);
        let mut exact = Vec::new();
        exact_gradient(&scene, &mut exact);
        for advantage in &ADVANTAGES[..3] {
            for estimator in Estimator::list(*advantage) {
                if matches!(
                    estimator,
                    Estimator::Sampled {
                        advantage: Advantage::GroupNormalised,
                        ..
                    }
                ) {
                    continue;
                }
                // Small, so that a baseline from the batch matters.
                let batch = 3;
                let mut expected = Vec::new();
                let report = EstimatorReport::new(estimator, &scene, batch, &exact, &mut expected);
                let mut mean = vec![0.0; 5];
                let mut squares = Vec::with_capacity(runs);
                for _ in 0..runs {
                    let gradient = sampled(estimator, &scene, batch, &mut rng);
                    let mut distance = 0.0;
                    for ((m, g), e) in mean.iter_mut().zip(&gradient).zip(&expected) {
                        *m += g / runs as f64;
                        distance += (g - e).powi(2);
                    }
                    squares.push(distance);
                }
                let covariance = squares.iter().sum::<f64>() / runs as f64;
                let spread = squares
                    .iter()
                    .map(|s| (s - covariance).powi(2))
                    .sum::<f64>()
                    / runs as f64;
                let error = 5.0 * (covariance / runs as f64).sqrt();
                assert_close(&mean, &expected, error, &format!("{estimator:?}"));
                let error = 5.0 * (spread / runs as f64).sqrt();
                let exact_covariance = report.variance / batch as f64;
                assert!(
                    (covariance - exact_covariance).abs() <= error,
                    "{estimator:?} {direction:?}: simulated {covariance}, closed form {exact_covariance} ± {error}"
                );
            }
        }
    }
}

#[test]
fn group_normalisation_divides_the_reward_and_not_the_penalty() {
    let case = Case::random(6, 8);
    let scene = case.scene(Direction::Reverse, 0.5, 0.0);
    let grpo = Estimator::Sampled {
        advantage: Advantage::GroupNormalised,
        kl: KlPenalty::Loss(KlEstimator::K2),
    };
    let mean: f64 = (0..6)
        .map(|y| case.log_policy[y].exp() * case.rewards[y])
        .sum();
    let sigma = (0..6)
        .map(|y| case.log_policy[y].exp() * (case.rewards[y] - mean).powi(2))
        .sum::<f64>()
        .sqrt();
    // ∇(R/σ − β KL) is 1/σ times the gradient with β·σ.
    let mut wanted = Vec::new();
    exact_gradient(
        &case.scene(Direction::Reverse, 0.5 * sigma, 0.0),
        &mut wanted,
    );
    wanted.iter_mut().for_each(|g| *g /= sigma);
    assert_close(
        &expectation(grpo, &scene),
        &wanted,
        1e-8,
        "group-normalised",
    );
    let Pull::Moving {
        objective,
        sigma: told,
    } = grpo.pull(&scene)
    else {
        panic!("a group-normalised loss has a moving target");
    };
    assert!((told - sigma).abs() < 1e-12);
    assert!((objective.beta.get() - 0.5 * sigma).abs() < 1e-12);
}

#[test]
fn variance_of_k3_is_infinite_or_rare_where_the_policy_left_the_reference() {
    let reference = logs(&[0.5, 0.5]);
    for (log_left, infinite) in [(-60.0, false), (-900.0, true)] {
        let log_policy = [f64::ln_1p(-f64::exp(log_left)), log_left];
        let scene = Scene {
            log_policy: &log_policy,
            log_reference: &reference,
            rewards: &[1.0, 0.0],
            direction: Direction::Forward,
            beta: 0.1,
            entropy: 0.0,
        };
        let mut exact = Vec::new();
        exact_gradient(&scene, &mut exact);
        // The forward gradient still asks for the lost arm, and k3's expectation too.
        assert!((exact[1] - 0.1 * 0.5).abs() < 1e-9, "{exact:?}");
        let k3 = unbaselined(KlPenalty::Loss(KlEstimator::K3));
        let report = EstimatorReport::new(k3, &scene, 256, &exact, &mut Vec::new());
        assert!((report.cosine - 1.0).abs() < 1e-9, "{report:?}");
        if infinite {
            assert_eq!(report.spread, Spread::Infinite);
            assert_eq!(report.signal_to_noise, 0.0);
        } else {
            assert!(matches!(report.spread, Spread::RareArms { share } if share > 0.99));
            assert!(report.signal_to_noise < 1e-6);
        }
    }
}

#[test]
fn an_arm_that_is_never_drawn_is_lost_to_samples_but_not_to_the_exact_gradient() {
    let log_policy = [0.0, f64::NEG_INFINITY];
    let scene = Scene {
        log_policy: &log_policy,
        log_reference: &logs(&[0.5, 0.5]),
        rewards: &[0.0, 0.0],
        direction: Direction::Forward,
        beta: 1.0,
        entropy: 0.0,
    };
    let mut exact = Vec::new();
    exact_gradient(&scene, &mut exact);
    assert_eq!(exact, [-0.5, 0.5]);
    let k3 = expectation(unbaselined(KlPenalty::Loss(KlEstimator::K3)), &scene);
    assert_eq!(k3, [0.0, 0.0]);
}

#[test]
fn the_target_an_estimator_pulls_towards_has_no_expected_gradient() {
    let case = Case::random(6, 9);
    for direction in [
        Direction::Reverse,
        Direction::Forward,
        Direction::Alpha(0.5),
    ] {
        let scene = case.scene(direction, 0.5, 0.0);
        for estimator in Estimator::list(Advantage::MeanBaseline) {
            let pull = estimator.pull(&scene);
            if matches!(pull, Pull::Moving { .. } | Pull::BestReward) {
                continue;
            }
            let masses = estimator.pulled_masses(&scene, 100).unwrap();
            let at: Vec<f64> = masses.iter().map(|m| m.max(1e-300).ln()).collect();
            let there = Scene {
                log_policy: &at,
                ..scene
            };
            let gradient = expectation(estimator, &there);
            let left = if pull == Pull::FromHere {
                // Arms that it drives out never come to rest; those that stay are worth the same.
                let worth = || {
                    let pairs = gradient.iter().zip(&masses);
                    pairs.filter(|(_, m)| **m > 1e-6).map(|(g, m)| g / m)
                };
                worth().fold(f64::MIN, f64::max) - worth().fold(f64::MAX, f64::min)
            } else {
                gradient.iter().map(|g| g.abs()).fold(0.0, f64::max)
            };
            assert!(left < 1e-6, "{estimator:?} towards {pull:?}: {left} left");
        }
    }
}

#[test]
fn without_a_penalty_only_the_best_reward_remains() {
    let case = Case {
        log_policy: logs(&[1.0, 2.0, 6.0, 1.0]),
        log_reference: logs(&[1.0, 1.0, 1.0, 1.0]),
        rewards: vec![0.0, 1.0, 1.0, 0.5],
    };
    let scene = case.scene(Direction::Reverse, 0.5, 0.0);
    let masses = unbaselined(KlPenalty::Off)
        .pulled_masses(&scene, 0)
        .unwrap();
    assert_close(&masses, &[0.0, 0.25, 0.75, 0.0], 1e-15, "no penalty");
}

#[test]
fn a_group_normalised_reward_with_a_bonus_pulls_to_its_own_temperature() {
    // Where runs of such rewards with η = ½ end, by the trainer; and with a mean baseline, whose end is e^{R/η}.
    let ends = [
        (Advantage::GroupNormalised, [0.002, 0.004, 0.994]),
        (Advantage::MeanBaseline, [0.098, 0.240, 0.662]),
    ];
    for kl in [KlPenalty::Off, KlPenalty::Loss(KlEstimator::K1)] {
        for (advantage, end) in ends {
            let log_policy = logs(&end);
            let case = Case {
                log_reference: logs(&[1.0, 1.0, 1.0]),
                rewards: vec![0.0, 0.5, 1.0],
                log_policy,
            };
            let scene = case.scene(Direction::Reverse, 1e-9, 0.5);
            let estimator = Estimator::Sampled { advantage, kl };
            let pulled = estimator.pulled_masses(&scene, 0).unwrap();
            for (own, end) in pulled.iter().zip(end) {
                assert!((own - end).abs() < 0.01, "{advantage:?}: {pulled:?}");
            }
        }
    }
}
