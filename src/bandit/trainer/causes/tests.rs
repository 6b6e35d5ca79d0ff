//! Causes on problems whose companions follow at a slower pace, against plain loops written out here.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::{
    super::tests::*,
    paced::{LEAST_STRIDE, SETTLE},
    *,
};
use crate::{
    experiment::{Optimizer, Start},
    theory::Direction,
};

const ARMS: usize = 5_000;
const BETA: f64 = 0.02;

fn large() -> Arc<crate::bandit::Problem> {
    let place = |arm: usize| arm as f64 / ARMS as f64;
    let reference: Vec<f64> = (0..ARMS).map(|arm| (-4.0 * place(arm)).exp()).collect();
    let bump = |x: f64| (-(x / 0.03) * (x / 0.03)).exp();
    let rewards: Vec<f64> = (0..ARMS)
        .map(|arm| bump(place(arm) - 0.25) + bump(place(arm) - 0.75))
        .collect();
    problem(&reference, &rewards)
}

/// Plain ascent with a rate that moves masses of a 5,000th.
fn ascent(update: Update) -> Training {
    Training {
        update,
        optimizer: Optimizer::Sgd,
        learning_rate: 40.0,
        start: Start::Reference,
        ..Training::default()
    }
}

fn run_on(run: &mut Trainer, steps: u64) {
    for _ in 0..steps {
        run.step().unwrap();
    }
}

fn causes(run: &mut Trainer) -> [f64; 3] {
    let metrics = run.measure();
    Metric::COMPARED.map(|metric| metrics.get(metric))
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|logit| (logit - max).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| 0.5 * (a - b).abs()).sum()
}

/// Masses after so many steps of plain ascent along a gradient in the logits, made of masses.
fn ascend(start: &[f64], steps: u64, gradient: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut logits: Vec<f64> = start.iter().map(|mass| mass.ln()).collect();
    for _ in 0..steps {
        let gradient = gradient(&softmax(&logits));
        for (logit, g) in logits.iter_mut().zip(gradient) {
            *logit += 40.0 * g;
        }
    }
    softmax(&logits)
}

/// The point of π₀^{1−s} G^s as far from G as `exact`, by plain bisection.
fn mirror(start: &[f64], target: &[f64], exact: &[f64]) -> Vec<f64> {
    let at = |s: f64| {
        let logits: Vec<f64> = (start.iter().zip(target))
            .map(|(a, b)| (1.0 - s) * a.ln() + s * b.ln())
            .collect();
        softmax(&logits)
    };
    let (mut low, mut high) = (0.0, 1.0);
    while high - low > 1e-9 {
        let middle = 0.5 * (low + high);
        if apart(&at(middle), target) > apart(exact, target) {
            low = middle;
        } else {
            high = middle;
        }
    }
    at(high)
}

#[test]
fn large_problems_have_the_causes_that_a_plain_loop_finds() {
    let problem = large();
    let reference = problem.reference.masses();
    // π (a − E a), a = R − β log(π/π_ref): the reverse objective's.
    let exact_gradient = |masses: &[f64]| -> Vec<f64> {
        let worth: Vec<f64> = (0..ARMS)
            .map(|arm| problem.rewards[arm] - BETA * (masses[arm] / reference[arm]).ln())
            .collect();
        let mean: f64 = masses.iter().zip(&worth).map(|(m, w)| m * w).sum();
        masses
            .iter()
            .zip(&worth)
            .map(|(m, w)| m * (w - mean))
            .collect()
    };
    // π (R − E R) + β (π_ref − π): what k3 as a loss follows in expectation (docs/math.md section 4).
    let k3_gradient = |masses: &[f64]| -> Vec<f64> {
        let mean: f64 = masses
            .iter()
            .zip(&problem.rewards)
            .map(|(m, r)| m * r)
            .sum();
        (0..ARMS)
            .map(|arm| {
                masses[arm] * (problem.rewards[arm] - mean) + BETA * (reference[arm] - masses[arm])
            })
            .collect()
    };
    let unbiased = sampled(2_048, Advantage::None, KlPenalty::Matched);
    let biased = sampled(2_048, Advantage::None, KlPenalty::Loss(KlEstimator::K3));
    for (update, is_biased) in [(unbiased, false), (biased, true), (Update::Exact, false)] {
        let mut run = trainer(
            &problem,
            objective(Direction::Reverse, BETA),
            ascent(update),
        );
        let mut path = vec![run.masses().to_vec()];
        for _ in 0..400 {
            run.step().unwrap();
            path.push(run.masses().to_vec());
        }
        let [dynamics, sampling, bias] = causes(&mut run);
        let at = run.causes_at().unwrap();
        // A tenth of the time for the companions, a quarter of a doubling between points.
        assert!((64..=400).contains(&at), "{update:?}: {at}");
        let start = &path[0];
        let exact = ascend(start, at, exact_gradient);
        let point = mirror(start, &run.analysis.target.masses, &exact);
        let wanted = [
            apart(&exact, &point),
            apart(&path[at as usize], &exact),
            if is_biased {
                apart(&ascend(start, at, k3_gradient), &exact)
            } else {
                0.0
            },
        ];
        // Mirror descent's point is sought to a millionth of its path; the run's masses are kept as f32.
        for (tolerance, (found, wanted)) in [1e-5, 1e-6, 1e-6]
            .into_iter()
            .zip([dynamics, sampling, bias].into_iter().zip(wanted))
        {
            assert!(
                (found - wanted).abs() < tolerance,
                "{update:?} at {at}: {found} {wanted}"
            );
        }
        assert!(wanted[0] > 1e-3, "{wanted:?}");
        assert!(wanted[1] > 1e-3 || update == Update::Exact, "{wanted:?}");
        assert!(wanted[2] > 1e-4 || !is_biased, "{wanted:?}");
    }
}

#[test]
fn on_large_problems_too_what_is_seen_depends_on_the_step_alone() {
    let problem = large();
    let goal = objective(Direction::Reverse, BETA);
    let update = sampled(
        1_024,
        Advantage::MeanBaseline,
        KlPenalty::Loss(KlEstimator::K3),
    );
    for training in [
        ascent(update),
        Training {
            optimizer: Optimizer::default(),
            learning_rate: 0.01,
            ..ascent(update)
        },
    ] {
        let start = || trainer(&problem, goal, training.clone());
        let (mut unseen, mut followed, mut seen) = (start(), start(), start());
        let mut before = 0;
        for step in 1..=2_000 {
            unseen.step().unwrap();
            followed.step().unwrap();
            followed.follow_in_time();
            // Never more than one step of the companions to one of the run.
            let reached = followed.companions.paced.as_ref().unwrap().reached();
            assert!(reached <= before + 1);
            before = reached;
            seen.step().unwrap();
            if step % 37 == 0 {
                causes(&mut seen);
            }
        }
        let all = [&mut unseen, &mut followed, &mut seen].map(|run| {
            let causes = causes(run).map(f64::to_bits);
            (causes, run.causes_at(), run.masses().to_vec())
        });
        assert!(
            all[0].1.is_some_and(|at| (32..2_000).contains(&at)),
            "{:?}",
            all[0].1
        );
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0], all[2]);

        // Across a saved state, in the middle of a stretch.
        let text = ron::to_string(&followed.save_state()).unwrap();
        let mut restored = start();
        restored.restore(&ron::from_str(&text).unwrap()).unwrap();
        assert_eq!(causes(&mut restored).map(f64::to_bits), all[0].0);
        run_on(&mut unseen, 1_500);
        run_on(&mut restored, 1_500);
        assert!(unseen.causes_at() < Some(3_500));
        assert_eq!(causes(&mut restored), causes(&mut unseen));
        assert!(restored.causes_at() > all[0].1);
    }
}

#[test]
fn an_edit_starts_the_comparison_anew_on_large_problems() {
    let problem = large();
    let update = sampled(256, Advantage::MeanBaseline, KlPenalty::Matched);
    let mut run = trainer(
        &problem,
        objective(Direction::Reverse, BETA),
        ascent(update),
    );
    run_on(&mut run, 200);
    let [_, sampling, bias] = causes(&mut run);
    assert!(sampling > 1e-3 && bias == 0.0);
    let second = objective(Direction::Reverse, 0.1);
    let analysis = Arc::new(crate::bandit::Analysis::new(&problem, &second).unwrap());
    run.retarget(Arc::clone(&problem), second, analysis)
        .unwrap();
    assert_eq!(causes(&mut run), [0.0; 3]);
    assert_eq!(run.causes_at(), Some(200));
    // A state saved before the stretch begins has it begin at the same step.
    run_on(&mut run, SETTLE / 2);
    let saved = run.save_state();
    let mut same = trainer(&problem, second, ascent(update));
    same.restore(&saved).unwrap();
    for run in [&mut run, &mut same] {
        run_on(run, SETTLE / 2);
    }
    let start = run.masses().to_vec();
    let mut path = vec![start.clone()];
    for _ in 0..200 {
        run.step().unwrap();
        same.step().unwrap();
        path.push(run.masses().to_vec());
    }
    let found = causes(&mut run);
    assert_eq!(causes(&mut same), found);
    let after = run.causes_at().unwrap() - 200 - SETTLE;
    assert!(after >= LEAST_STRIDE, "{after}");
    let mut exact = trainer(
        &problem,
        second,
        Training {
            start: Start::Given(start.clone()),
            ..ascent(Update::Exact)
        },
    );
    run_on(&mut exact, after);
    let sampling = apart(&path[after as usize], exact.masses());
    assert!(sampling > 1e-5, "{sampling}");
    assert!((found[1] - sampling).abs() < 1e-6, "{found:?} {sampling}");
    // Mirror descent goes without companions.
    run.retrain(Arc::new(Training {
        learning_rate: 0.1,
        ..ascent(Update::NaturalGradient)
    }))
    .unwrap();
    run_on(&mut run, 50);
    assert_eq!(causes(&mut run), [0.0; 3]);
    assert_eq!(run.causes_at(), None);
}

#[test]
fn companions_of_large_problems_rest_in_the_end() {
    let arms = LARGEST + 1;
    let rewards: Vec<f64> = (0..arms)
        .map(|arm| f64::from(u8::from(arm % 7 == 0)))
        .collect();
    let problem = problem(&vec![1.0; arms], &rewards);
    let update = sampled(2, Advantage::MeanBaseline, KlPenalty::Matched);
    let training = Training {
        learning_rate: 1e-3,
        ..ascent(update)
    };
    let mut run = trainer(&problem, objective(Direction::Reverse, BETA), training);
    run_on(&mut run, 80_000);
    let resting = causes(&mut run);
    let at = run.causes_at().unwrap();
    assert!((16_000..=20_000).contains(&at), "{at}");
    assert!(run.companions.exact.is_none() && run.companions.mirror.is_empty());
    run_on(&mut run, 2_000);
    assert_eq!(causes(&mut run), resting);
    assert_eq!(run.causes_at(), Some(at));
    let saved = run.save_state();
    run.restore(&saved).unwrap();
    assert_eq!(causes(&mut run), resting);
    assert_eq!(run.save_state(), saved);
}

#[test]
fn families_on_large_problems_have_sampling_and_no_dynamics() {
    let problem = large();
    let training = Training {
        policy: PolicyFamily::Gaussian,
        optimizer: Optimizer::default(),
        learning_rate: 0.01,
        ..ascent(sampled(16, Advantage::MeanBaseline, KlPenalty::Matched))
    };
    let mut run = trainer(&problem, objective(Direction::Reverse, BETA), training);
    run_on(&mut run, 1_000);
    let [dynamics, sampling, bias] = causes(&mut run);
    assert!(dynamics.is_nan() && sampling > 1e-3 && bias == 0.0);
    assert!(run.causes_at() >= Some(32));
}

#[test]
fn states_of_earlier_versions_can_still_be_read() {
    let problem = large();
    let update = sampled(64, Advantage::MeanBaseline, KlPenalty::Matched);
    let mut run = trainer(
        &problem,
        objective(Direction::Reverse, BETA),
        ascent(update),
    );
    run_on(&mut run, 100);
    let mut state = run.save_state();
    state.companions = CompanionState::default();
    let text = ron::to_string(&state).unwrap();
    let earlier = text.replace(",paced:None", "");
    assert_ne!(text, earlier);
    run.restore(&ron::from_str(&earlier).unwrap()).unwrap();
    // A stretch begins, as after an edit.
    assert_eq!((causes(&mut run), run.causes_at()), ([0.0; 3], Some(100)));
    run_on(&mut run, 400);
    let [_, sampling, _] = causes(&mut run);
    assert!(sampling > 0.0 && run.causes_at() > Some(100 + SETTLE));
}
