#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::{
    bandit::{Mode, Shape},
    theory::{Beta, CoverageRule, Direction, Distribution, decompose},
};

fn problem(reference: &[f64], rewards: &[f64]) -> Problem {
    Problem {
        shape: Shape::Line {
            count: rewards.len(),
            range: (0.0, 1.0),
        },
        names: None,
        reference: Distribution::from_weights(reference).unwrap(),
        rewards: rewards.to_vec(),
        modes: vec![
            Mode {
                label: "a".to_owned(),
                arms: vec![0, 1],
            },
            Mode {
                label: "b".to_owned(),
                arms: vec![3],
            },
        ],
        coverage: CoverageRule::USUAL,
    }
}

fn logs(masses: &[f64]) -> Vec<f64> {
    masses.iter().map(|p| p.ln()).collect()
}

fn close(got: f64, want: f64) -> bool {
    got == want || (got - want).abs() < 1e-12 * (1.0 + want.abs())
}

const DIRECTIONS: [Direction; 4] = [
    Direction::Reverse,
    Direction::Forward,
    Direction::Alpha(0.5),
    Direction::Alpha(1.7),
];

#[test]
fn metrics_follow_their_formulas() {
    let problem = problem(&[0.1, 0.2, 0.3, 0.4], &[1.0, 0.5, 0.0, 0.8]);
    let policy = [0.4, 0.3, 0.1, 0.2];
    let mut objective = Objective::new(Direction::Reverse, Beta::new(0.5).unwrap());
    objective.reward_scale = 2.0;
    objective.reward_offset = -0.3;
    let analysis = Analysis::new(&problem, &objective).unwrap();
    let metrics = measure(&problem, &objective, &analysis, &logs(&policy));
    let q = problem.reference.masses();
    let g = &analysis.target.masses;
    let kl = |p: &[f64], q: &[f64]| -> f64 { p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum() };
    let pay: f64 = policy
        .iter()
        .zip(&problem.rewards)
        .map(|(p, r)| p * (2.0 * r - 0.3))
        .sum();
    let entropy: f64 = policy.iter().map(|p| -p * p.ln()).sum();
    let tv: f64 = policy.iter().zip(g).map(|(p, g)| 0.5 * (p - g).abs()).sum();
    for (metric, want) in [
        (Metric::ExpectedReward, pay),
        (Metric::KlToReference, kl(&policy, &q)),
        (Metric::KlFromReference, kl(&q, &policy)),
        (Metric::KlToTarget, kl(&policy, g)),
        (Metric::KlFromTarget, kl(g, &policy)),
        (Metric::TvToTarget, tv),
        (Metric::Entropy, entropy),
        (Metric::Objective, pay - 0.5 * kl(&policy, &q)),
        (Metric::ModeMass, 0.9),
        (Metric::CoveredModes, 2.0),
        (Metric::LargestShare, 0.7 / 0.9),
        (Metric::Balance, 0.2 / 0.7),
        (Metric::EffectiveBeta, 0.5),
    ] {
        assert!(
            close(metrics.get(metric), want),
            "{metric:?}: {} {want}",
            metrics.get(metric)
        );
    }
    assert!(metrics.get(Metric::CauseDynamics).is_nan());
}

#[test]
fn the_gap_is_what_the_definition_says_in_every_direction() {
    // With an arm outside the support that is worth going to.
    let problem = problem(&[0.3, 0.2, 0.5, 0.0], &[1.0, 0.5, 0.0, 1.4]);
    for direction in DIRECTIONS {
        for entropy in [0.0, 0.2] {
            let mut objective = Objective::new(direction, Beta::new(0.3).unwrap());
            if matches!(direction, Direction::Alpha(_)) && entropy > 0.0 {
                continue;
            }
            objective.entropy = entropy;
            let analysis = Analysis::new(&problem, &objective).unwrap();
            let finite = !matches!(direction, Direction::Reverse | Direction::Alpha(1.7));
            let policy = if finite {
                [0.4, 0.3, 0.1, 0.2]
            } else {
                [0.5, 0.3, 0.2, 0.0]
            };
            let metrics = measure(&problem, &objective, &analysis, &logs(&policy));
            let value = objective_value(
                &objective,
                problem.reference.log_masses(),
                &analysis.rewards,
                &policy,
                &logs(&policy),
            );
            let gap = metrics.get(Metric::ObjectiveGap);
            assert!(gap > 0.0);
            assert!(
                close(metrics.get(Metric::Objective), value),
                "{direction:?} η = {entropy}: {} {value}",
                metrics.get(Metric::Objective)
            );
            assert!(
                close(analysis.target.optimal_value - value, gap),
                "{direction:?}"
            );
            assert!(analysis.target_metrics.get(Metric::ObjectiveGap) < 1e-12);
        }
    }
}

#[test]
fn missing_support_is_infinite_not_nan() {
    let problem = problem(&[0.5, 0.5, 0.0, 0.0], &[1.0, 0.5, 0.0, 0.2]);
    let objective = Objective::new(Direction::Reverse, Beta::new(1.0).unwrap());
    let analysis = Analysis::new(&problem, &objective).unwrap();
    let metrics = measure(
        &problem,
        &objective,
        &analysis,
        &logs(&[1.0, 0.0, 0.0, 0.0]),
    );
    assert_eq!(metrics.get(Metric::KlFromReference), f64::INFINITY);
    assert!(close(metrics.get(Metric::KlToReference), 2.0_f64.ln()));
    assert_eq!(metrics.get(Metric::Entropy), 0.0);
    let metrics = measure(
        &problem,
        &objective,
        &analysis,
        &logs(&[0.5, 0.0, 0.0, 0.5]),
    );
    assert_eq!(metrics.get(Metric::KlToReference), f64::INFINITY);
    assert_eq!(metrics.get(Metric::KlToTarget), f64::INFINITY);
    assert!(
        metrics
            .iter()
            .filter(|(_, value)| value.is_nan())
            .all(|(metric, _)| matches!(
                metric,
                Metric::CauseDynamics
                    | Metric::CauseSampling
                    | Metric::EstimatorBias
                    | Metric::CauseRepresentation
                    | Metric::GradientNorm
                    | Metric::ValidShare
            ))
    );
}

#[test]
fn log_ratios_split_into_their_parts() {
    let problem = problem(&[0.1, 0.2, 0.3, 0.4], &[1.0, 0.5, 0.0, 0.8]);
    for direction in DIRECTIONS {
        let objective = Objective::new(direction, Beta::new(0.7).unwrap());
        let analysis = Analysis::new(&problem, &objective).unwrap();
        let logs = problem.reference.log_masses();
        let ratio = decompose(0, 3, logs, &analysis.rewards, &objective, &analysis.target).unwrap();
        let total = analysis.target.log_masses[0] - analysis.target.log_masses[3];
        assert!(close(ratio.total, total), "{direction:?}");
        assert!(close(ratio.reference_part, 0.25_f64.ln()));
        let lambda = analysis.target.lambda.unwrap_or(0.0);
        let reward_part = match direction {
            Direction::Reverse => 0.2 / 0.7,
            Direction::Forward => ((lambda - 0.8) / (lambda - 1.0)).ln(),
            Direction::Alpha(alpha) => {
                let z = |r: f64| 1.0 + (alpha - 1.0) * (r - lambda) / 0.7;
                (z(1.0) / z(0.8)).ln() / (alpha - 1.0)
            }
        };
        assert!(
            close(ratio.reward_part, reward_part),
            "{direction:?}: {} {reward_part}",
            ratio.reward_part
        );
    }
}

#[test]
fn a_target_at_one_good_arm_is_its_own_cause() {
    let problem = problem(&[0.1, 0.2, 0.3, 0.4], &[1.0, 0.9, 0.0, 0.9]);
    let cause = |beta: f64| {
        let objective = Objective::new(Direction::Reverse, Beta::new(beta).unwrap());
        Analysis::new(&problem, &objective)
            .unwrap()
            .target_metrics
            .get(Metric::CauseTarget)
    };
    // KL to uniform over three good arms.
    assert!(close(cause(1e-4), 3.0_f64.ln()));
    assert!(cause(1.0) < 0.5);
}
