//! What the trainer promises: right gradients for every family and update, targets that are reached, runs that repeat.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{
    bandit::{Mode, Shape},
    experiment::{Advantage, Features, KlEstimator, KlPenalty},
    theory::{Anchor, Beta, Direction, Distribution, Mara, MaraAlgorithm, Threshold},
};

/// A problem on a line, its modes the runs of arms with reward ≥ ½.
pub(super) fn problem(reference: &[f64], rewards: &[f64]) -> Arc<Problem> {
    let mut modes: Vec<Mode> = Vec::new();
    for (arm, _) in rewards.iter().enumerate().filter(|(_, r)| **r >= 0.5) {
        match modes
            .last_mut()
            .filter(|m| m.arms.last() == Some(&(arm as u32 - 1)))
        {
            Some(mode) => mode.arms.push(arm as u32),
            None => modes.push(Mode {
                label: arm.to_string(),
                arms: vec![arm as u32],
            }),
        }
    }
    Arc::new(Problem {
        shape: Shape::Line {
            count: rewards.len(),
            range: (0.0, 1.0),
        },
        names: None,
        reference: Distribution::from_weights(reference).unwrap(),
        rewards: rewards.to_vec(),
        modes,
        coverage: crate::theory::CoverageRule::USUAL,
    })
}

pub(super) fn objective(direction: Direction, beta: f64) -> Objective {
    Objective::new(direction, Beta::new(beta).unwrap())
}

pub(super) fn trainer(problem: &Arc<Problem>, objective: Objective, training: Training) -> Trainer {
    let analysis = Arc::new(Analysis::new(problem, &objective).unwrap());
    Trainer::new(Arc::clone(problem), objective, analysis, Arc::new(training)).unwrap()
}

pub(super) fn sampled(batch: usize, advantage: Advantage, kl: KlPenalty) -> Update {
    Update::Sampled {
        batch,
        advantage,
        kl,
    }
}

fn small() -> Arc<Problem> {
    problem(&[0.5, 0.2, 0.05, 0.15, 0.1], &[0.0, 1.0, 0.7, 0.2, 0.9])
}

const DIRECTIONS: [Direction; 6] = [
    Direction::Reverse,
    Direction::Forward,
    Direction::Alpha(0.5),
    Direction::Alpha(2.0),
    Direction::Alpha(-0.5),
    Direction::Alpha(1.0),
];

#[test]
fn exact_gradients_are_those_of_the_objective() {
    let problem = small();
    let swap = Mara {
        threshold: Threshold::Constant(0.8),
        algorithm: Some(MaraAlgorithm::SwapRewardAndReference),
        anchor: Anchor::Batch,
        per_class: false,
    };
    for direction in DIRECTIONS {
        for (entropy, mara) in [(0.0, None), (0.2, None), (0.0, Some(swap))] {
            // The α dial has no entropy bonus.
            if entropy > 0.0 && !matches!(direction, Direction::Reverse | Direction::Forward) {
                continue;
            }
            let objective = Objective {
                entropy,
                mara,
                ..objective(direction, 0.3)
            };
            let analysis = Analysis::new(&problem, &objective).unwrap();
            let drive = Drive::new(&problem, &objective, &analysis);
            let logits = [0.3, -0.2, 0.5, -1.0, 0.1];
            let value = |logits: &[f64]| {
                let masses = Softmax::normalise(logits);
                let logs: Vec<f64> = masses.iter().map(|m| m.ln()).collect();
                (signal::objective(&drive, &logs, &masses), logs, masses)
            };
            let (_, logs, masses) = value(&logits);
            let mut gradient = [0.0; 5];
            signal::exact(&drive, &logs, &masses, &mut gradient);
            for arm in 0..5 {
                let shifted = |by: f64| {
                    let mut logits = logits;
                    logits[arm] += by;
                    value(&logits).0
                };
                let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
                assert!(
                    (slope - gradient[arm]).abs() < 1e-8,
                    "{direction:?} {slope} {}",
                    gradient[arm]
                );
            }
            // The fused form of the step agrees.
            if drive.divergence == Divergence::Reverse {
                let mut softmax = Softmax::new(logits.to_vec());
                softmax.refresh(&drive);
                let line = softmax.projection(drive.beta + drive.entropy);
                let mut fused = [0.0; 5];
                kernel::project(
                    softmax.simd,
                    &softmax.logits,
                    softmax.shift,
                    &softmax.weights,
                    &drive.log_target,
                    line,
                    &mut fused,
                );
                for arm in 0..5 {
                    assert!((fused[arm] - gradient[arm]).abs() < 1e-12);
                }
            }
        }
    }
}

fn families() -> Vec<PolicyFamily> {
    vec![
        PolicyFamily::Gaussian,
        PolicyFamily::GaussianMixture { components: 3 },
        PolicyFamily::LinearSoftmax {
            features: Features::Polynomial(3),
        },
        PolicyFamily::LinearSoftmax {
            features: Features::Fourier(2),
        },
        PolicyFamily::Mlp {
            features: Features::Fourier(2),
            hidden: vec![7, 5],
        },
    ]
}

#[test]
fn every_family_pulls_back_to_every_parameter() {
    let line = problem(&[1.0; 15], &[0.0; 15]);
    let mut grid = (*line).clone();
    grid.shape = Shape::Grid {
        rows: 3,
        columns: 5,
        x_range: (0.0, 1.0),
        y_range: (-1.0, 1.0),
    };
    for problem in [&*line, &grid] {
        for family in families() {
            let mut family = family::new(problem, &family, 3).unwrap().unwrap();
            // Away from the start, where last layers are zero and components alike.
            let mut stream = random::Stream::new(5, random::Purpose::Initialisation);
            for parameter in family.parameters_mut() {
                *parameter += 0.3 * stream.normal();
            }
            let weights: Vec<f64> = (0..15).map(|_| stream.normal()).collect();
            let mut logits = [0.0; 15];
            let mut gradient = vec![f64::NAN; family.parameters().len()];
            family.fill_logits(&mut logits).unwrap();
            family.pull_back(&weights, &mut gradient).unwrap();
            assert!(
                gradient.iter().filter(|g| g.abs() > 1e-9).count() == gradient.len(),
                "{family:?}"
            );
            for (i, pulled) in gradient.iter().enumerate() {
                let mut at = |by: f64| {
                    family.parameters_mut()[i] += by;
                    family.fill_logits(&mut logits).unwrap();
                    family.parameters_mut()[i] -= by;
                    signal::dot(&logits, &weights)
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                // A mixture's logits have a common constant of no effect; weights that sum to zero would hide it,
                // these do not, so it counts on both sides.
                let constant = slope - pulled;
                assert!(
                    constant.abs() < 1e-6 * (1.0 + slope.abs()),
                    "{family:?} {i}: {slope} {pulled}"
                );
            }
        }
    }
}

/// The mean gradient in the logits over many batches, and the exact one of `of`.
fn mean_gradient(
    update: Update,
    direction: Direction,
    of: Direction,
    beta_of: f64,
) -> (Vec<f64>, Vec<f64>) {
    let problem = small();
    let objective = objective(direction, 0.3);
    let start = Start::Given(vec![0.3, 0.25, 0.1, 0.2, 0.15]);
    let training = Training {
        update,
        start,
        ..Training::default()
    };
    let mut trainer = trainer(&problem, objective, training);
    let batches = 400;
    let mut mean = vec![0.0; 5];
    for _ in 0..batches {
        let (batch, softmax) = (&mut trainer.batch, &trainer.softmax);
        batch.fill_dense(&trainer.drive, softmax, update, &mut trainer.gradient);
        for (mean, g) in mean.iter_mut().zip(&trainer.gradient) {
            *mean += g / f64::from(batches);
        }
    }
    let other = Objective {
        beta: Beta::new(beta_of).unwrap(),
        ..self::objective(of, 0.3)
    };
    let analysis = Analysis::new(&problem, &other).unwrap();
    let drive = Drive::new(&problem, &other, &analysis);
    let mut exact = vec![0.0; 5];
    trainer.fill_masses();
    signal::exact(&drive, &trainer.log_masses, &trainer.masses, &mut exact);
    (mean, exact)
}

#[test]
fn sampled_gradients_have_the_expectation_of_their_estimator() {
    use Advantage::{LeaveOneOut, MeanBaseline, None};
    use Direction::{Alpha, Forward, Reverse};
    let tiny = 1e-12;
    let cases = [
        (MeanBaseline, KlPenalty::Matched, Reverse, Reverse, 0.3),
        (LeaveOneOut, KlPenalty::Matched, Reverse, Reverse, 0.3),
        (None, KlPenalty::Matched, Reverse, Reverse, 0.3),
        (MeanBaseline, KlPenalty::Matched, Forward, Forward, 0.3),
        (LeaveOneOut, KlPenalty::Matched, Alpha(0.5), Alpha(0.5), 0.3),
        (
            MeanBaseline,
            KlPenalty::InReward(KlEstimator::K1),
            Reverse,
            Reverse,
            0.3,
        ),
        (
            LeaveOneOut,
            KlPenalty::Loss(KlEstimator::K1),
            Reverse,
            Reverse,
            tiny,
        ),
        (
            LeaveOneOut,
            KlPenalty::Loss(KlEstimator::K2),
            Reverse,
            Reverse,
            0.3,
        ),
        (
            LeaveOneOut,
            KlPenalty::Loss(KlEstimator::K3),
            Reverse,
            Forward,
            0.3,
        ),
        (
            LeaveOneOut,
            KlPenalty::Loss(KlEstimator::K3Plus),
            Reverse,
            Reverse,
            0.3,
        ),
        (
            LeaveOneOut,
            KlPenalty::Loss(KlEstimator::RhoK3),
            Reverse,
            Reverse,
            0.3,
        ),
        (
            LeaveOneOut,
            KlPenalty::ReferenceSamples,
            Reverse,
            Forward,
            0.3,
        ),
        (LeaveOneOut, KlPenalty::Off, Reverse, Reverse, tiny),
    ];
    for (advantage, kl, direction, of, beta) in cases {
        let (mean, exact) = mean_gradient(sampled(4096, advantage, kl), direction, of, beta);
        for (arm, (mean, exact)) in mean.iter().zip(&exact).enumerate() {
            // 1.6 million samples: standard errors are below 6e-4.
            assert!(
                (mean - exact).abs() < 2e-3,
                "{advantage:?} {kl:?} {arm}: {mean} {exact}"
            );
        }
    }
    // DAP: twice the gradient of −KL(π‖G), which is ∇J/β.
    let (mean, exact) = mean_gradient(Update::Dap { batch: 4096 }, Reverse, Reverse, 0.3);
    for (mean, exact) in mean.iter().zip(&exact) {
        assert!((mean - 2.0 * exact / 0.3).abs() < 2e-2, "{mean} {exact}");
    }
}

#[test]
fn the_table_reaches_every_target() {
    let problem = small();
    for direction in DIRECTIONS {
        for update in [Update::Exact, Update::NaturalGradient] {
            let training = Training {
                update,
                learning_rate: if update == Update::Exact { 0.02 } else { 0.05 },
                ..Training::default()
            };
            let mut trainer = trainer(&problem, objective(direction, 0.3), training);
            for _ in 0..4000 {
                trainer.step().unwrap();
            }
            let metrics = trainer.measure();
            let distance = metrics.get(Metric::TvToTarget);
            assert!(distance < 1e-3, "{direction:?} {update:?}: {distance}");
            // The cheap report and the careful metrics agree.
            let report = trainer.report();
            for (metric, value) in [
                (Metric::ExpectedReward, report.expected_reward),
                (Metric::Entropy, report.entropy),
                (Metric::KlToTarget, report.kl_to_target),
            ] {
                let careful = metrics.get(metric);
                assert!(
                    careful == value || (careful - value).abs() < 1e-9,
                    "{direction:?} {update:?} {metric:?} {careful} {value}"
                );
            }
        }
    }
}

#[test]
fn sampled_training_reaches_the_target_on_small_and_large_problems() {
    for arms in [40usize, 5000] {
        let reference: Vec<f64> = (0..arms).map(|i| 1.0 + (i % 7) as f64).collect();
        let rewards: Vec<f64> = (0..arms)
            .map(|i| f64::from(u8::from(i < arms / 4)))
            .collect();
        let problem = problem(&reference, &rewards);
        let training = Training {
            update: sampled(2048, Advantage::LeaveOneOut, KlPenalty::Matched),
            learning_rate: 0.01,
            ..Training::default()
        };
        let mut trainer = trainer(&problem, objective(Direction::Reverse, 0.5), training);
        let first = trainer.report();
        for _ in 0..600 {
            trainer.step().unwrap();
        }
        let last = trainer.report();
        assert!(
            last.kl_to_target < 0.1 * first.kl_to_target,
            "{arms}: {first:?} {last:?}"
        );
        let samples: u32 = trainer.samples().iter().sum();
        assert!(samples >= 16_384, "{samples}");
    }
}

#[test]
fn a_single_gaussian_locks_on_a_peak_and_a_table_takes_both() {
    let bump = |x: f64, at: f64| (-0.5 * ((x - at) / 0.5).powi(2)).exp();
    let xs: Vec<f64> = (0..60)
        .map(|i| -4.0 + 8.0 * (f64::from(i) + 0.5) / 60.0)
        .collect();
    let target: Vec<f64> = xs
        .iter()
        .map(|x| 0.6 * bump(*x, -2.0) + 0.4 * bump(*x, 2.0) + 1e-6)
        .collect();
    let rewards: Vec<f64> = target.iter().map(|t| t.ln()).collect();
    let problem = problem(&[1.0; 60], &rewards);
    let run = |direction, policy| {
        let training = Training {
            policy,
            update: Update::Exact,
            start: Start::Given(xs.iter().map(|x| bump(x / 2.0, -0.25)).collect()),
            learning_rate: 0.02,
            ..Training::default()
        };
        let mut trainer = trainer(&problem, objective(direction, 1.0), training);
        for _ in 0..1500 {
            trainer.step().unwrap();
        }
        let left: f64 = trainer.masses()[..30].iter().sum();
        (left, trainer.measure())
    };
    let (left, metrics) = run(Direction::Reverse, PolicyFamily::Gaussian);
    assert!(left > 0.99, "{left}");
    // The best a single Gaussian can do is to give up the other peak's 0.4.
    assert!(
        (metrics.get(Metric::CauseRepresentation) - 0.4).abs() < 0.02,
        "{metrics:?}"
    );
    let (left, _) = run(Direction::Forward, PolicyFamily::Gaussian);
    assert!((0.3..0.9).contains(&left), "{left}");
    let mixture = PolicyFamily::GaussianMixture { components: 2 };
    for policy in [PolicyFamily::SoftmaxTable, mixture] {
        let (left, metrics) = run(Direction::Reverse, policy.clone());
        assert!((left - 0.6).abs() < 0.01, "{policy:?} {left}");
        assert!(
            metrics.get(Metric::CauseRepresentation) < 0.01,
            "{policy:?}"
        );
    }
}

#[test]
fn networks_learn_and_start_at_the_reference() {
    let reference: Vec<f64> = (0..30).map(|i| 1.0 + f64::from(i) / 10.0).collect();
    let rewards: Vec<f64> = (0..30)
        .map(|i| f64::from(u8::from((5..10).contains(&i))))
        .collect();
    let problem = problem(&reference, &rewards);
    for policy in [
        PolicyFamily::LinearSoftmax {
            features: Features::Fourier(8),
        },
        PolicyFamily::Mlp {
            features: Features::Fourier(3),
            hidden: vec![24],
        },
    ] {
        for update in [
            Update::Exact,
            sampled(1024, Advantage::LeaveOneOut, KlPenalty::Matched),
        ] {
            let training = Training {
                policy: policy.clone(),
                update,
                learning_rate: 0.01,
                ..Training::default()
            };
            let mut trainer = trainer(&problem, objective(Direction::Reverse, 0.5), training);
            let start = trainer.measure();
            assert!(
                start.get(Metric::KlToReference) < 0.05,
                "{policy:?} {start:?}"
            );
            for _ in 0..600 {
                trainer.step().unwrap();
            }
            let end = trainer.measure();
            let kl = Metric::KlToTarget;
            assert!(
                end.get(kl) < 0.3 * start.get(kl),
                "{policy:?} {update:?} {} {}",
                end.get(kl),
                start.get(kl)
            );
        }
    }
}

#[test]
fn k3_as_a_loss_goes_to_the_forward_target_and_k2_to_the_reverse_one() {
    let problem = problem(&[0.9, 0.08, 0.02], &[0.0, 0.7, 1.0]);
    for (kl, reached) in [
        (KlPenalty::Loss(KlEstimator::K3), Direction::Forward),
        (KlPenalty::Loss(KlEstimator::K2), Direction::Reverse),
        (KlPenalty::InReward(KlEstimator::K1), Direction::Reverse),
        (KlPenalty::ReferenceSamples, Direction::Forward),
    ] {
        let training = Training {
            update: sampled(4096, Advantage::MeanBaseline, kl),
            learning_rate: 0.005,
            ..Training::default()
        };
        let mut trainer = trainer(&problem, objective(Direction::Reverse, 0.2), training);
        for _ in 0..3000 {
            trainer.step().unwrap();
        }
        let target = Analysis::new(&problem, &objective(reached, 0.2))
            .unwrap()
            .target;
        let pairs = trainer.masses().iter().zip(&target.masses);
        let distance: f64 = pairs.map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0;
        assert!(distance < 0.03, "{kl:?}: {distance}");
    }
}

#[test]
fn dividing_by_the_group_deviation_changes_beta() {
    let problem = small();
    let kl = KlPenalty::Loss(KlEstimator::K2);
    let training = Training {
        update: sampled(4096, Advantage::GroupNormalised, kl),
        learning_rate: 0.002,
        ..Training::default()
    };
    let mut trainer = trainer(&problem, objective(Direction::Reverse, 0.3), training);
    for _ in 0..5000 {
        trainer.step().unwrap();
    }
    let effective = trainer.measure().get(Metric::EffectiveBeta);
    assert!(effective < 0.2, "{effective}");
    // The fixed point is the target of β·σ, σ taken there.
    let target = Analysis::new(&problem, &objective(Direction::Reverse, effective))
        .unwrap()
        .target;
    let pairs = trainer.masses().iter().zip(&target.masses);
    let distance: f64 = pairs.map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0;
    assert!(distance < 0.03, "{distance}");
}

#[test]
fn the_effective_beta_is_that_of_rewards_as_mara_leaves_them() {
    let problem = problem(&[0.5, 0.2, 0.3], &[0.0, 1.0, 1.0]);
    let objective = Objective {
        mara: Some(Mara {
            threshold: Threshold::Constant(0.5),
            algorithm: Some(MaraAlgorithm::AugmentReward),
            anchor: Anchor::Exact,
            per_class: false,
        }),
        ..objective(Direction::Reverse, 0.3)
    };
    let kl = KlPenalty::Loss(KlEstimator::K2);
    let training = Training {
        update: sampled(64, Advantage::GroupNormalised, kl),
        ..Training::default()
    };
    let effective = (trainer(&problem, objective, training).measure()).get(Metric::EffectiveBeta);
    // The rarer of the two good arms gets 1 + 0.3 ln(0.3/0.2).
    let paid = [0.0, 1.0 + 0.3 * 1.5f64.ln(), 1.0];
    let mean = 0.2 * paid[1] + 0.3 * paid[2];
    let variance = 0.2 * paid[1] * paid[1] + 0.3 * paid[2] * paid[2] - mean * mean;
    assert!(
        (effective - 0.3 * variance.sqrt()).abs() < 1e-12,
        "{effective}"
    );
}

#[test]
fn mara_within_batches_levels_the_good_arms() {
    let reference: Vec<f64> = (0..40)
        .map(|i| (1.0 - (f64::from(i) + 0.5) / 40.0).powi(4))
        .collect();
    let good = |i: i32| i < 10 || (20..30).contains(&i);
    let rewards: Vec<f64> = (0..40).map(|i| f64::from(u8::from(good(i)))).collect();
    let problem = problem(&reference, &rewards);
    for (direction, anchor, per_class) in [
        (Direction::Reverse, Anchor::Batch, false),
        (Direction::Reverse, Anchor::RunningMaximum, false),
        (Direction::Forward, Anchor::Exact, false),
        (Direction::Forward, Anchor::RunningMaximum, false),
        (Direction::Reverse, Anchor::RunningMaximum, true),
    ] {
        let objective = Objective {
            mara: Some(Mara {
                threshold: Threshold::Constant(0.5),
                algorithm: None,
                anchor,
                per_class,
            }),
            ..objective(direction, 0.2)
        };
        let training = Training {
            update: sampled(4096, Advantage::LeaveOneOut, KlPenalty::Matched),
            learning_rate: 0.01,
            ..Training::default()
        };
        let mut trainer = trainer(&problem, objective, training);
        for _ in 0..1500 {
            trainer.step().unwrap();
        }
        let metrics = trainer.measure();
        let distance = metrics.get(Metric::TvToTarget);
        assert!(
            distance < 0.06,
            "{direction:?} {anchor:?} {per_class}: {distance}"
        );
        assert!(
            metrics.get(Metric::Balance) > 0.85,
            "{direction:?} {anchor:?} {metrics:?}"
        );
    }
}

#[test]
fn same_seed_same_run_also_across_a_saved_state_and_an_edit() {
    let problem = small();
    let updates = [
        sampled(100, Advantage::LeaveOneOut, KlPenalty::Matched),
        sampled(7, Advantage::MeanBaseline, KlPenalty::ReferenceSamples),
        Update::Dap { batch: 64 },
        Update::Exact,
    ];
    for update in updates {
        for policy in [
            PolicyFamily::SoftmaxTable,
            PolicyFamily::GaussianMixture { components: 2 },
        ] {
            let training = Training {
                update,
                policy: policy.clone(),
                ..Training::default()
            };
            let first = objective(Direction::Reverse, 0.3);
            let second = Objective {
                mara: Some(Mara {
                    threshold: Threshold::Percentile(0.5),
                    algorithm: None,
                    anchor: Anchor::RunningMaximum,
                    per_class: false,
                }),
                ..objective(Direction::Forward, 0.2)
            };
            let edit = |trainer: &mut Trainer| {
                let analysis = Arc::new(Analysis::new(&problem, &second).unwrap());
                trainer
                    .retarget(Arc::clone(&problem), second, analysis)
                    .unwrap();
            };
            let mut one = trainer(&problem, first, training.clone());
            let mut two = trainer(&problem, first, training.clone());
            for step in 0..600 {
                if step == 300 {
                    edit(&mut one);
                    edit(&mut two);
                }
                // Looking at one of them often changes nothing.
                if step % 50 == 0 {
                    two.measure();
                }
                assert_eq!(one.step().unwrap(), two.step().unwrap());
            }
            let saved = one.save_state();
            let text = ron::to_string(&saved).unwrap();
            let saved: TrainerState = ron::from_str(&text).unwrap();
            let mut other = trainer(&problem, second, training);
            other.restore(&saved).unwrap();
            for _ in 0..300 {
                assert_eq!(one.step().unwrap(), other.step().unwrap());
            }
            assert_eq!(one.masses(), other.masses());
            assert_eq!(one.step_count(), other.step_count());
            let (a, b) = (one.measure(), other.measure());
            for ((metric, a), (_, b)) in a.iter().zip(b.iter()) {
                assert!(
                    a == b || a.is_nan() && b.is_nan(),
                    "{metric:?} {a} {b} {update:?} {policy:?}"
                );
            }
        }
    }
}

#[test]
fn large_problems_do_not_depend_on_how_threads_share_them() {
    let arms = 40_000;
    let reference = vec![1.0; arms];
    let rewards: Vec<f64> = (0..arms).map(|i| (i % 10) as f64 / 10.0).collect();
    let problem = problem(&reference, &rewards);
    let run = || {
        let mut trainer = trainer(
            &problem,
            objective(Direction::Reverse, 0.3),
            Training::default(),
        );
        for _ in 0..20 {
            trainer.step().unwrap();
        }
        trainer.masses().to_vec()
    };
    let alone = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    assert_eq!(run(), alone.install(run));
}

#[test]
fn a_rate_that_blows_up_is_told_and_undone() {
    let problem = small();
    for policy in [PolicyFamily::SoftmaxTable, PolicyFamily::Gaussian] {
        let training = Training {
            policy,
            optimizer: Optimizer::Sgd,
            update: Update::Exact,
            ..Training::default()
        };
        let mut trainer = trainer(
            &problem,
            objective(Direction::Reverse, 0.3),
            training.clone(),
        );
        for _ in 0..300 {
            trainer.step().unwrap();
        }
        let wild = Training {
            learning_rate: 1e308,
            ..training
        };
        trainer.retrain(Arc::new(wild)).unwrap();
        let error = (0..200).find_map(|_| trainer.step().err()).unwrap();
        assert!(matches!(error, TrainError::NotFinite { .. }), "{error}");
        assert!(error.to_string().contains("learning rate"), "{error}");
        let sum: f64 = trainer.masses().iter().sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    }
}

#[test]
fn bad_training_is_refused_with_its_field() {
    let problem = small();
    let good = Training::default();
    let refused = |training: Training| {
        let objective = objective(Direction::Reverse, 0.3);
        let analysis = Arc::new(Analysis::new(&problem, &objective).unwrap());
        Trainer::new(
            Arc::clone(&problem),
            objective,
            analysis,
            Arc::new(training),
        )
        .map(|_| ())
        .unwrap_err()
        .to_string()
    };
    let cases = [
        (
            Training {
                learning_rate: f64::NAN,
                ..good.clone()
            },
            "learning_rate = NaN",
        ),
        (
            Training {
                update: Update::Dap { batch: 0 },
                ..good.clone()
            },
            "update.batch = 0",
        ),
        (
            Training {
                start: Start::Given(vec![1.0]),
                ..good.clone()
            },
            "start = 1 masses",
        ),
        (
            Training {
                start: Start::Given(vec![-1.0; 5]),
                ..good.clone()
            },
            "start = -1",
        ),
        (
            Training {
                start: Start::Given(vec![0.0; 5]),
                ..good.clone()
            },
            "start = 0 everywhere",
        ),
        (
            Training {
                policy: PolicyFamily::GaussianMixture { components: 65 },
                ..good.clone()
            },
            "components = 65",
        ),
        (
            Training {
                policy: PolicyFamily::LinearSoftmax {
                    features: Features::Polynomial(0),
                },
                ..good.clone()
            },
            "features = 0",
        ),
        (
            Training {
                policy: PolicyFamily::Mlp {
                    features: Features::Polynomial(2),
                    hidden: vec![],
                },
                ..good.clone()
            },
            "hidden = []",
        ),
        (
            Training {
                policy: PolicyFamily::Gaussian,
                update: Update::NaturalGradient,
                ..good
            },
            "needs the softmax table",
        ),
    ];
    for (training, says) in cases {
        let message = refused(training);
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn dynamics_and_sampling_are_told_apart() {
    // Equal rewards, unequal start, tiny β: the softmax gradient lets the richer arm take all, mirror descent does not.
    let problem = problem(&[1.0; 4], &[1.0, 1.0, 0.0, 0.0]);
    let training = Training {
        start: Start::Given(vec![4.0, 2.0, 1.0, 1.0]),
        update: Update::Exact,
        optimizer: Optimizer::Sgd,
        learning_rate: 1.0,
        ..Training::default()
    };
    let mut exact = trainer(
        &problem,
        objective(Direction::Reverse, 1e-4),
        training.clone(),
    );
    for _ in 0..3000 {
        exact.step().unwrap();
    }
    let metrics = exact.measure();
    assert!(metrics.get(Metric::CauseDynamics) > 0.05, "{metrics:?}");
    assert_eq!(metrics.get(Metric::CauseSampling), 0.0);
    assert_eq!(metrics.get(Metric::CauseRepresentation), 0.0);

    // At the target nothing is left of it, whatever the path was.
    let quick = Training {
        optimizer: Optimizer::default(),
        start: Start::Given(vec![1.0, 2.0, 1.0, 6.0]),
        learning_rate: 0.02,
        ..training.clone()
    };
    let mut done = trainer(&problem, objective(Direction::Reverse, 0.5), quick);
    for _ in 0..3000 {
        done.step().unwrap();
    }
    let metrics = done.measure();
    assert!(metrics.get(Metric::CauseDynamics) < 1e-3, "{metrics:?}");

    let update = sampled(2, Advantage::None, KlPenalty::Matched);
    let mut noisy = trainer(
        &problem,
        objective(Direction::Reverse, 1e-4),
        Training {
            update,
            learning_rate: 0.3,
            start: Start::Uniform,
            ..training
        },
    );
    for _ in 0..3000 {
        noisy.step().unwrap();
    }
    let metrics = noisy.measure();
    assert!(metrics.get(Metric::CauseSampling) > 0.02, "{metrics:?}");
}

#[test]
fn causes_are_those_of_the_last_step_compared() {
    let problem = problem(&[0.4, 0.3, 0.2, 0.1], &[1.0, 0.8, 0.0, 0.2]);
    let first = objective(Direction::Reverse, 0.1);
    let training = Training {
        update: sampled(4, Advantage::MeanBaseline, KlPenalty::Matched),
        learning_rate: 1e-4,
        ..Training::default()
    };
    let mut run = trainer(&problem, first, training.clone());
    let walk = |run: &mut Trainer, steps: u64| {
        for _ in 0..steps {
            run.step().unwrap();
        }
    };
    let causes = |run: &mut Trainer| {
        let metrics = run.measure();
        [Metric::CauseSampling, Metric::CauseDynamics].map(|cause| metrics.get(cause))
    };
    let rest = 20_000;
    walk(&mut run, rest);
    let mut looked_at = trainer(&problem, first, training.clone());
    walk(&mut looked_at, rest);
    let compared = causes(&mut looked_at);
    assert!(compared[0] > 1e-4, "{compared:?}");
    assert_eq!(looked_at.causes_at(), Some(rest));
    // What the run does after that changes nothing, whether one looked before or not, and across a saved state.
    for run in [&mut run, &mut looked_at] {
        walk(run, 5_000);
        assert_eq!(causes(run), compared);
        assert_eq!(run.causes_at(), Some(rest));
    }
    let mut restored = trainer(&problem, first, training);
    restored.restore(&looked_at.save_state()).unwrap();
    walk(&mut restored, 1_000);
    assert_eq!(causes(&mut restored), compared);

    // An edit starts the comparison anew, at the run's policy.
    let second = objective(Direction::Reverse, 0.3);
    let analysis = Arc::new(Analysis::new(&problem, &second).unwrap());
    run.retarget(Arc::clone(&problem), second, analysis)
        .unwrap();
    let [sampling, dynamics] = causes(&mut run);
    assert!(sampling == 0.0 && dynamics < 1e-5, "{sampling} {dynamics}");
    walk(&mut run, 100);
    assert_eq!(run.causes_at(), Some(25_100));
    let [sampling, _] = causes(&mut run);
    assert!(sampling > 0.0 && sampling < 0.02, "{sampling}");
}

#[test]
fn a_natural_gradient_run_has_no_dynamics() {
    let problem = problem(&[1.0; 4], &[1.0, 1.0, 0.0, 0.0]);
    for direction in [Direction::Reverse, Direction::Forward] {
        let training = Training {
            start: Start::Given(vec![4.0, 2.0, 1.0, 1.0]),
            update: Update::NaturalGradient,
            learning_rate: 0.1,
            ..Training::default()
        };
        let mut run = trainer(&problem, objective(direction, 0.01), training);
        for _ in 0..500 {
            run.step().unwrap();
        }
        let metrics = run.measure();
        assert_eq!(metrics.get(Metric::CauseDynamics), 0.0);
        assert_eq!(metrics.get(Metric::CauseSampling), 0.0);
    }
}

#[test]
fn what_a_large_batch_leaves_of_sampling_drift_is_the_bias_of_the_estimator() {
    let problem = problem(&[0.6, 0.3, 0.1], &[0.0, 0.7, 1.0]);
    let penalties = [
        KlPenalty::Matched,
        KlPenalty::InReward(KlEstimator::K2),
        KlPenalty::InReward(KlEstimator::K3),
        KlPenalty::Loss(KlEstimator::K1),
        KlPenalty::Loss(KlEstimator::K2),
        KlPenalty::Loss(KlEstimator::K3),
        KlPenalty::ReferenceSamples,
        KlPenalty::Off,
    ];
    let advantages = [
        Advantage::None,
        Advantage::MeanBaseline,
        Advantage::LeaveOneOut,
        Advantage::GroupNormalised,
    ];
    let mut updates = vec![Update::Dap { batch: 65_536 }];
    for kl in penalties {
        updates.extend(advantages.map(|advantage| sampled(65_536, advantage, kl)));
    }
    for update in updates {
        for optimizer in [Optimizer::Sgd, Optimizer::default()] {
            let training = Training {
                update,
                optimizer,
                learning_rate: 0.02,
                ..Training::default()
            };
            let mut run = trainer(&problem, objective(Direction::Reverse, 0.3), training);
            let start = run.masses().to_vec();
            for _ in 0..100 {
                run.step().unwrap();
            }
            let moved: f64 = (run.masses().iter().zip(&start))
                .map(|(now, then)| 0.5 * (now - then).abs())
                .sum();
            let metrics = run.measure();
            let [sampling, bias] =
                [Metric::CauseSampling, Metric::EstimatorBias].map(|metric| metrics.get(metric));
            let drift = (sampling - bias).abs();
            assert!(
                drift < 0.01 && drift < 0.2 * moved + 1e-3,
                "{update:?} {optimizer:?}: {sampling} and {bias} of {moved}"
            );
            let unbiased = matches!(
                update,
                Update::Sampled {
                    kl: KlPenalty::Matched,
                    advantage: Advantage::None | Advantage::MeanBaseline | Advantage::LeaveOneOut,
                    ..
                }
            );
            assert_eq!(bias == 0.0, unbiased, "{update:?} {optimizer:?}: {bias}");
        }
    }
}

#[test]
fn a_failing_run_is_not_advised_to_do_what_it_does() {
    let problem = problem(&[0.5, 0.5], &[0.0, 1.0]);
    for (optimizer, advised) in [(Optimizer::Sgd, true), (Optimizer::default(), false)] {
        let training = Training {
            update: Update::Exact,
            optimizer,
            learning_rate: 1e300,
            ..Training::default()
        };
        let mut run = trainer(&problem, objective(Direction::Forward, 0.2), training);
        let error = (0..1000)
            .find_map(|_| run.step().err())
            .unwrap()
            .to_string();
        assert_eq!(error.contains("or Adam"), advised, "{error}");
        assert!(error.contains("learning rate 1e300"), "{error}");
    }
}

#[test]
fn a_lone_sample_has_no_others_to_be_compared_with() {
    for (advantage, accepted) in [
        (Advantage::None, true),
        (Advantage::MeanBaseline, true),
        (Advantage::LeaveOneOut, false),
        (Advantage::GroupNormalised, false),
    ] {
        let training = Training {
            update: sampled(1, advantage, KlPenalty::Matched),
            ..Training::default()
        };
        let problem = small();
        let objective = objective(Direction::Reverse, 0.1);
        let analysis = Arc::new(Analysis::new(&problem, &objective).unwrap());
        let built = Trainer::new(problem, objective, analysis, Arc::new(training));
        assert_eq!(built.is_ok(), accepted, "{advantage:?}");
    }
}

#[test]
fn arms_without_reference_mass_stay_empty_under_reverse_and_fill_under_forward() {
    let problem = problem(&[0.6, 0.4, 0.0], &[0.0, 0.3, 1.0]);
    let exact = Training {
        update: Update::Exact,
        ..Training::default()
    };
    let mut kept = trainer(&problem, objective(Direction::Reverse, 0.2), exact.clone());
    for _ in 0..2000 {
        kept.step().unwrap();
    }
    assert_eq!(kept.masses()[2], 0.0);
    assert!(kept.report().kl_to_target < 1e-6);
    assert_eq!(kept.log_masses()[2], f64::NEG_INFINITY);

    let start = Start::Uniform;
    let mut free = trainer(
        &problem,
        objective(Direction::Forward, 0.2),
        Training { start, ..exact },
    );
    for _ in 0..4000 {
        free.step().unwrap();
    }
    let distance = free.measure().get(Metric::TvToTarget);
    assert!(distance < 0.02, "{distance}");
}
