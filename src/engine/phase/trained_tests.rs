#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::{Duration, Instant};

use super::{tests::finished_within, *};
use crate::{
    bandit::{ProblemSource, Trainer},
    engine::{Budget, Session},
    experiment::{Advantage, KlPenalty, Optimizer, Preset, Start, Update, builtin_preset},
    theory::Beta,
};

/// A preset with short sampled training, and its diagram of a policy over β and the reward scale.
fn diagram(name: &str, quantity: PhaseQuantity, steps: u64) -> (Preset, PhaseRequest) {
    let mut preset = builtin_preset(name).unwrap();
    preset.training.update = Update::Sampled {
        batch: 32,
        advantage: Advantage::MeanBaseline,
        kl: KlPenalty::Matched,
    };
    preset.training.stop.converged = None;
    let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
    let problem = source.problem(&preset.bandit, &preset.objective).unwrap();
    let request = PhaseRequest {
        x: PhaseAxis::suited(Parameter::Beta, &problem, &preset.objective),
        y: PhaseAxis::suited(Parameter::RewardScale, &problem, &preset.objective),
        problem: Arc::new(problem),
        objective: preset.objective,
        quantity,
        of: PhaseOf::Policy(PhaseTraining::new(&preset.training, steps)),
        divides_reward: false,
        pair: Some((0, 60)),
        columns: 5,
        rows: 4,
        budget_secs: f64::INFINITY,
    };
    (preset, request)
}

fn training(request: &PhaseRequest) -> &PhaseTraining {
    match &request.of {
        PhaseOf::Policy(training) => training,
        PhaseOf::Target => unreachable!("it is of a policy"),
    }
}

/// What a headless run of the preset at a point measures.
fn run(preset: &Preset, (beta, scale): (f64, f64), steps: u64, metric: Metric) -> f64 {
    let mut preset = preset.clone();
    preset.objective.beta = Beta::new(beta).unwrap();
    preset.objective.reward_scale = scale;
    preset.training.stop.steps = None;
    let mut session = Session::new(preset, None).unwrap();
    let budget = Budget {
        stop_rules: true,
        ..Budget::steps(steps)
    };
    session.advance(budget, &|| false).unwrap();
    session.metrics().get(metric)
}

#[test]
fn every_cell_is_the_run_of_its_parameters() {
    for (metric, scale) in [
        (Metric::TvToTarget, 1.0),
        (Metric::EffectiveModes, 0.5),
        (Metric::ObjectiveGap, 2.0),
        (Metric::CauseSampling, 1.5),
        (Metric::CauseDynamics, 1.0),
    ] {
        let (preset, request) = diagram("figure-2", PhaseQuantity::Metric(metric), 120);
        let point = (0.2, scale);
        let found = request
            .evaluate_trained(point, training(&request), &mut || true)
            .unwrap();
        let wanted = run(&preset, point, 120, metric);
        assert!(
            wanted.is_finite() && found.0 == wanted,
            "{metric:?}: {} against {wanted}",
            found.0
        );
    }
}

#[test]
fn a_cell_ends_where_its_policy_has_converged() {
    let metric = Metric::TvToTarget;
    let (mut preset, mut request) = diagram("figure-5", PhaseQuantity::Metric(metric), 3_000);
    // From the target itself: nothing moves, and after a hundred steps that is steady.
    preset.training.update = Update::Exact;
    preset.training.optimizer = Optimizer::Sgd;
    preset.training.stop.converged = Some(0.2);
    request.of = PhaseOf::Policy(PhaseTraining::new(&preset.training, 3_000));
    let mut steps = 0;
    let mut count = || {
        steps += 1;
        true
    };
    let point = (10.0, 1.0);
    let found = request
        .evaluate_trained(point, training(&request), &mut count)
        .unwrap();
    assert!(steps < 2_900, "{steps} steps");
    assert_eq!(found.0, run(&preset, point, 3_000, metric));
    assert!(found.0 > 0.0 && found.0 <= 0.2, "{}", found.0);
}

#[test]
fn a_training_that_fails_leaves_its_cell_open_and_the_tie_known() {
    let (mut preset, mut request) = diagram(
        "figure-5",
        PhaseQuantity::Metric(Metric::ExpectedReward),
        50,
    );
    preset.training.optimizer = Optimizer::Sgd;
    preset.training.learning_rate = 1e300;
    request.of = PhaseOf::Policy(PhaseTraining::new(&preset.training, 50));
    let (value, ratio) = request
        .evaluate_trained((0.1, 100.0), training(&request), &mut || true)
        .unwrap();
    let logs = request.problem.reference.log_masses();
    assert!(value.is_nan(), "{value}");
    assert!(ratio.is_finite() && logs[0] > logs[60]);
}

fn finished(worker: &PhaseWorker, generation: u64) -> Arc<PhaseMap> {
    finished_within(60, worker, generation)
}

#[test]
fn the_same_request_gives_the_same_picture() {
    let quantity = PhaseQuantity::Metric(Metric::KlToTarget);
    let (_, request) = diagram("figure-5", quantity, 40);
    let worker = PhaseWorker::spawn(|| {}).unwrap();
    let first = finished(&worker, worker.start(request.clone()));
    let second = finished(&worker, worker.start(request.clone()));
    assert_eq!((first.done, first.stride, first.failed), (20, 1, false));
    assert_eq!(first.values, second.values);
    let (x, y) = (request.x.value_at(2.5 / 5.0), request.y.value_at(1.5 / 4.0));
    let cell = request.evaluate_trained((x, y), training(&request), &mut || true);
    assert_eq!(first.values[5 + 2], cell.unwrap().0 as f32);
}

#[test]
fn a_long_training_is_dropped_within_a_step() {
    let quantity = PhaseQuantity::Metric(Metric::KlToTarget);
    let (_, long) = diagram("figure-5", quantity, u64::MAX);
    let (_, short) = diagram("figure-5", quantity, 5);
    let worker = PhaseWorker::spawn(|| {}).unwrap();
    let generation = worker.start(long);
    let start = Instant::now();
    // It says at once that it has begun, so that it can be stopped.
    while worker
        .latest()
        .is_none_or(|map| map.generation != generation)
    {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing shown");
        std::thread::sleep(Duration::from_millis(1));
    }
    let map = finished(&worker, worker.start(short));
    assert_eq!(map.done, 20);
    assert!(start.elapsed() < Duration::from_secs(40));
}

#[test]
fn effective_beta_of_the_target_is_that_of_a_policy_which_starts_there() {
    let quantity = PhaseQuantity::Metric(Metric::EffectiveBeta);
    let (mut preset, request) = diagram("figure-2", quantity, 0);
    preset.training.update = Update::Sampled {
        batch: 32,
        advantage: Advantage::GroupNormalised,
        kl: KlPenalty::Off,
    };
    let request = PhaseRequest {
        of: PhaseOf::Target,
        divides_reward: preset.training.update.divides_reward_alone(),
        ..request
    };
    let mut objective = preset.objective;
    objective.beta = Beta::new(0.2).unwrap();
    let analysis = Analysis::new(&request.problem, &objective).unwrap();
    preset.training.start = Start::Given(analysis.target.masses.clone());
    let mut trainer = Trainer::new(
        Arc::clone(&request.problem),
        objective,
        Arc::new(analysis),
        Arc::new(preset.training),
    )
    .unwrap();
    let wanted = trainer.measure().get(Metric::EffectiveBeta);
    let (found, _) = request.evaluate(0.2, objective.reward_scale, &mut Scratch::default());
    assert!(
        wanted < 0.19 && (found - wanted).abs() < 1e-9,
        "{found} against {wanted}"
    );
    let plain = PhaseRequest {
        divides_reward: false,
        ..request
    };
    let (found, _) = plain.evaluate(0.2, objective.reward_scale, &mut Scratch::default());
    assert_eq!(found, 0.2);
}

#[test]
fn draws_are_the_fewest_whose_coverage_suffices() {
    let (_, request) = diagram("figure-5", PhaseQuantity::DrawsFor(SeenShare::Most), 0);
    let request = PhaseRequest {
        of: PhaseOf::Target,
        ..request
    };
    let (found, _) = request.evaluate(0.01, 1.0, &mut Scratch::default());
    let mut objective = request.objective;
    objective.beta = Beta::new(0.01).unwrap();
    objective.reward_scale = 1.0;
    let modes = Analysis::new(&request.problem, &objective)
        .unwrap()
        .target_modes;
    let draws = 10_f64.powf(found).round() as u64;
    assert!(coverage::coverage_at(&modes, draws) >= 0.95, "{draws}");
    assert!(coverage::coverage_at(&modes, draws - 1) < 0.95, "{draws}");
}

#[test]
fn titles_say_whose_the_quantity_is() {
    let (_, mut request) = diagram("figure-5", PhaseQuantity::Metric(Metric::Coverage), 500);
    assert_eq!(request.title(), "coverage@10 of the policy after 500 steps");
    request.of = PhaseOf::Target;
    assert_eq!(request.title(), "coverage@10 of the target");
}
