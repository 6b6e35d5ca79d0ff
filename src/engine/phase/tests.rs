#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    bandit::ProblemSource,
    experiment::{apply, builtin_preset},
    theory::{Beta, Direction},
};

fn preset(name: &str) -> (crate::experiment::Preset, Arc<Problem>) {
    let preset = builtin_preset(name).unwrap();
    let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
    let problem = source.problem(&preset.bandit, &preset.objective).unwrap();
    (preset, Arc::new(problem))
}

/// Figure 2: modes at arms 21 and 80.
fn figure_2() -> PhaseRequest {
    let (preset, problem) = preset("figure-2");
    let gap = Parameter::RewardGap(Item::Mode(1), Item::Mode(0));
    PhaseRequest {
        x: PhaseAxis::suited(Parameter::Beta, &problem, &preset.objective),
        y: PhaseAxis::suited(gap, &problem, &preset.objective),
        problem,
        objective: preset.objective,
        quantity: PhaseQuantity::PairRatio,
        of: PhaseOf::Target,
        divides_reward: false,
        pair: Some((80, 21)),
        columns: 24,
        rows: 16,
        budget_secs: f64::INFINITY,
    }
}

fn finished(worker: &PhaseWorker, generation: u64) -> Arc<PhaseMap> {
    finished_within(20, worker, generation)
}

/// The complete map of a request, which must be there within so many seconds.
pub(super) fn finished_within(
    seconds: u64,
    worker: &PhaseWorker,
    generation: u64,
) -> Arc<PhaseMap> {
    let limit = Duration::from_secs(seconds);
    let start = Instant::now();
    loop {
        if let Some(map) = worker.latest()
            && map.generation == generation
            && map.finished
        {
            return map;
        }
        assert!(start.elapsed() < limit, "no map in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn every_cell_is_the_target_at_its_parameters() {
    let (sender, woken) = mpsc::channel();
    let worker = PhaseWorker::spawn(move || sender.send(()).unwrap_or(())).unwrap();
    let request = figure_2();
    let map = finished(&worker, worker.start(request.clone()));
    assert!(woken.try_recv().is_ok(), "nobody was woken");
    assert!(!map.failed);
    assert_eq!((map.done, map.stride), (24 * 16, 1));
    for (row, column) in [(0, 0), (7, 11), (15, 23)] {
        let x = request.x.value_at((column as f64 + 0.5) / 24.0);
        let y = request.y.value_at((row as f64 + 0.5) / 16.0);
        let value = f64::from(map.values[row * 24 + column]);
        // log G₁/G₂ in closed form.
        let logs = request.problem.reference.log_masses();
        let wanted = (logs[80] - logs[21] + y / x).clamp(-700.0, 700.0) / std::f64::consts::LN_10;
        assert!(
            (value - wanted).abs() < 1e-3 * (1.0 + wanted.abs()),
            "row {row} column {column}: {value} against {wanted}"
        );
    }
}

#[test]
fn the_boundary_runs_through_the_tie_point() {
    let request = figure_2();
    let segments = tie_boundary(&request, None);
    assert!(!segments.is_empty());
    let logs = request.problem.reference.log_masses();
    for [from, to] in segments {
        for (x, y) in [from, to] {
            let (beta, gap) = (request.x.value_at(x), request.y.value_at(y));
            let tie = gap / (logs[21] - logs[80]);
            assert!(
                (beta / tie).ln().abs() < 0.05,
                "at gap {gap} the boundary says β = {beta}, the closed form {tie}"
            );
        }
    }
}

#[test]
fn the_boundary_of_the_cells_agrees_with_the_closed_form() {
    let worker = PhaseWorker::spawn(|| {}).unwrap();
    let request = PhaseRequest {
        columns: 48,
        rows: 32,
        ..figure_2()
    };
    let map = finished(&worker, worker.start(request.clone()));
    let ratios: Vec<f64> = map.log_ratios.iter().map(|&v| f64::from(v)).collect();
    let logs = request.problem.reference.log_masses();
    let cells = contour(&ratios, 48, 32);
    assert!(!cells.is_empty());
    for [from, _] in cells {
        let tie = request.y.value_at(from.1) / (logs[21] - logs[80]);
        let off = request.x.fraction_of(tie) - from.0;
        assert!(off.abs() < 1.0 / 48.0, "half a cell is the most: {off}");
    }
}

/// Between cells, where a straight line through the log-ratio misses, the boundary still is where the two arms tie.
#[test]
fn a_finished_boundary_runs_through_the_ties_in_every_direction() {
    let worker = PhaseWorker::spawn(|| {}).unwrap();
    for direction in [
        Direction::Forward,
        Direction::Alpha(0.5),
        Direction::Alpha(1.5),
    ] {
        for entropy in [0.0, 0.05] {
            if entropy > 0.0 && direction != Direction::Forward {
                continue;
            }
            let coarse = figure_2();
            let objective = Objective {
                direction,
                entropy,
                ..coarse.objective
            };
            let request = PhaseRequest {
                objective,
                columns: 12,
                rows: 8,
                ..coarse
            };
            let map = finished(&worker, worker.start(request.clone()));
            let segments = tie_boundary(&request, Some(&map));
            assert!(!segments.is_empty(), "{direction:?}");
            for (x, y) in segments.into_iter().flatten() {
                let (beta, gap) = (request.x.value_at(x), request.y.value_at(y));
                let (problem, _) = request.at(beta, gap);
                let rewards: Vec<f64> = (problem.rewards.iter())
                    .map(|&raw| objective.effective_reward(raw))
                    .collect();
                let logs = problem.reference.log_masses();
                let tie = crate::theory::tie_beta(80, 21, logs, &rewards, &objective).unwrap();
                let off = request.x.fraction_of(tie.get()) - x;
                assert!(
                    off.abs() < 1e-5,
                    "{direction:?} at gap {gap}: {beta} against {tie:?}"
                );
            }
        }
    }
}

#[test]
fn a_new_request_replaces_the_old_one_at_once() {
    let worker = PhaseWorker::spawn(|| {}).unwrap();
    let long = PhaseRequest {
        columns: 2000,
        rows: 2000,
        ..figure_2()
    };
    worker.start(long);
    std::thread::sleep(Duration::from_millis(20));
    let start = Instant::now();
    let map = finished(&worker, worker.start(figure_2()));
    assert_eq!(map.total, 24 * 16);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn refinement_stops_when_its_budget_is_spent() {
    let worker = PhaseWorker::spawn(|| {}).unwrap();
    let map = finished(
        &worker,
        worker.start(PhaseRequest {
            columns: 2000,
            rows: 2000,
            budget_secs: 0.05,
            ..figure_2()
        }),
    );
    assert!(map.done < map.total && map.finished && !map.failed);
}

#[test]
fn edits_set_what_the_axes_show() {
    let (preset, problem) = preset("figure-2");
    let (first, second) = (Item::Mode(1), Item::Mode(0));
    let values = [
        (Parameter::Beta, 0.5),
        (Parameter::RewardGap(first, second), -0.1),
        (Parameter::ReferenceRatio(first, second), 3.0),
        (Parameter::Tau, 0.7),
        (Parameter::Alpha, 0.25),
        (Parameter::RewardScale, 2.0),
        (Parameter::RewardOffset, -1.0),
        (Parameter::Entropy, 0.01),
    ];
    for (parameter, value) in values {
        let mut edited = preset.clone();
        for edit in Parameter::edits(&[(parameter, value)], &preset, &problem) {
            apply(&mut edited, &edit, problem.arms()).unwrap();
        }
        let source = ProblemSource::evaluate(&edited.bandit, None).unwrap();
        let after = source.problem(&edited.bandit, &edited.objective).unwrap();
        let present = parameter.present(&after, &edited.objective);
        assert!((present - value).abs() < 1e-9, "{parameter:?}: {present}");
        // Applying it to the problem directly is the same thing.
        let mut direct = Cow::Borrowed(problem.as_ref());
        let mut objective = preset.objective;
        parameter.apply(value, &mut direct, &mut objective);
        assert!((parameter.present(&direct, &objective) - value).abs() < 1e-9);
        assert_eq!(objective, edited.objective);
        // And doing it a second time changes nothing.
        assert_eq!(
            Parameter::edits(&[(parameter, value)], &edited, &after)
                .iter()
                .filter(|edit| matches!(edit, crate::experiment::Edit::Objective(_)))
                .count(),
            0
        );
    }
}

#[test]
fn a_suited_axis_holds_the_present_value() {
    let (mut preset, problem) = preset("figure-5");
    preset.objective.beta = Beta::new(3e-6).unwrap();
    preset.objective.reward_scale = 1e4;
    for parameter in [
        Parameter::Beta,
        Parameter::RewardScale,
        Parameter::RewardOffset,
    ] {
        let axis = PhaseAxis::suited(parameter, &problem, &preset.objective);
        let fraction = axis.fraction_of(parameter.present(&problem, &preset.objective));
        assert!((0.0..=1.0).contains(&fraction), "{parameter:?}: {fraction}");
        assert!((axis.value_at(axis.fraction_of(0.5)) - 0.5).abs() < 1e-9);
    }
}

#[test]
fn every_quantity_is_the_metric_of_the_target() {
    let mut scratch = Scratch::default();
    for name in ["figure-5", "figure-5-mara-forward", "figure-1b-reverse"] {
        let (preset, problem) = preset(name);
        for quantity in PhaseQuantity::OF_TARGET {
            let request = PhaseRequest {
                problem: Arc::clone(&problem),
                objective: preset.objective,
                quantity,
                ..figure_2()
            };
            let PhaseQuantity::Metric(metric) = quantity else {
                continue;
            };
            let objective = Objective {
                beta: Beta::new(0.3).unwrap(),
                ..preset.objective
            };
            let request = PhaseRequest {
                y: PhaseAxis::suited(Parameter::RewardScale, &problem, &objective),
                ..request
            };
            let analysis = Analysis::new(&problem, &objective).unwrap();
            let wanted = analysis.target_metrics.get(metric);
            let (value, _) = request.evaluate(0.3, objective.reward_scale, &mut scratch);
            assert!(
                (value - wanted).abs() < 1e-9 || (value.is_nan() && wanted.is_nan()),
                "{metric:?} of {name}: {value} against {wanted}"
            );
        }
    }
}
