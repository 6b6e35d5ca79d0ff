//! Targets against vectors from an independent 60-digit solver (docs/math.md, last sections).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use modescope::theory::{
    Beta, Direction, Distribution, Mara, MaraAlgorithm, Objective, Target, Threshold, mara, solve,
};
use serde_json::Value;

const VECTORS: &str = include_str!("../vectors/targets.json");

fn cases() -> Vec<Value> {
    serde_json::from_str(VECTORS).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap_or(f64::NEG_INFINITY))
        .collect()
}

struct Case {
    name: String,
    reference: Distribution,
    rewards: Vec<f64>,
    beta: f64,
    value: Value,
}

fn each_case(mut check: impl FnMut(&Case)) {
    let mut count = 0;
    for (index, value) in cases().into_iter().enumerate() {
        let case = Case {
            name: format!("case {index} {}", value["name"].as_str().unwrap_or("")),
            reference: Distribution::from_masses(&numbers(&value["reference"])).unwrap(),
            rewards: numbers(&value["rewards"]),
            beta: value["beta"].as_f64().unwrap(),
            value,
        };
        check(&case);
        count += 1;
    }
    assert_eq!(count, 46, "the vectors are complete");
}

impl Case {
    /// 1e-12, but where R/β exceeds 1e6 the decimal rewards of the vectors and their doubles differ by more than that: 1e-6
    /// (R/β is 1e10 there).
    fn tolerance(&self) -> f64 {
        let top = self.rewards.iter().fold(0.0_f64, |top, r| top.max(r.abs()));
        if top / self.beta > 1e6 { 1e-6 } else { 1e-12 }
    }

    fn solve(&self, direction: Direction) -> Target {
        let objective = Objective::new(direction, Beta::new(self.beta).unwrap());
        solve(&self.reference, &self.rewards, &objective).unwrap()
    }
}

/// Within the case's tolerance above 1e-300, absolute below.
fn same_masses(case: &Case, what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    let relative = case.tolerance();
    for (arm, (&g, &w)) in got.iter().zip(want).enumerate() {
        let tolerance = if w > 1e-300 { relative * w } else { 1e-12 };
        assert!(
            (g - w).abs() <= tolerance,
            "{} {what}: arm {arm} has mass {g:e}, expected {w:e}, relative error {:e}",
            case.name,
            (g - w).abs() / w
        );
    }
}

fn same_number(case: &Case, what: &str, got: f64, want: f64) {
    assert!(
        // Sixty digits end at 1e-60: a log mass closer to zero than that reads zero there.
        got == want
            || (got - want).abs() <= case.tolerance() * want.abs()
            || (got - want).abs() < 1e-58,
        "{} {what}: {got:e}, expected {want:e}, relative error {:e}",
        case.name,
        (got - want).abs() / want.abs()
    );
}

#[test]
fn reverse_targets_match() {
    each_case(|case| {
        let want = &case.value["reverse"];
        let target = case.solve(Direction::Reverse);
        same_masses(case, "reverse", &target.masses, &numbers(&want["target"]));
        for (&got, want) in target.log_masses.iter().zip(numbers(&want["log_target"])) {
            same_number(case, "reverse log mass", got, want);
        }
        same_number(
            case,
            "reverse J*",
            target.optimal_value,
            want["optimal_value"].as_f64().unwrap(),
        );
    });
}

#[test]
fn forward_targets_match() {
    each_case(|case| {
        let want = &case.value["forward"];
        let target = case.solve(Direction::Forward);
        same_masses(case, "forward", &target.masses, &numbers(&want["target"]));
        same_number(
            case,
            "Λ",
            target.lambda.unwrap(),
            want["lam"].as_f64().unwrap(),
        );
    });
}

#[test]
fn alpha_targets_match() {
    let mut count = 0;
    each_case(|case| {
        let want = &case.value["alpha"];
        if want.is_null() {
            return;
        }
        count += 1;
        let target = case.solve(Direction::Alpha(want["alpha"].as_f64().unwrap()));
        same_masses(case, "alpha", &target.masses, &numbers(&want["target"]));
        same_number(
            case,
            "λ",
            target.lambda.unwrap(),
            want["lam"].as_f64().unwrap(),
        );
    });
    assert_eq!(count, 40);
}

#[test]
fn mara_matches_under_both_algorithms() {
    let mut count = 0;
    each_case(|case| {
        let want = &case.value["mara"];
        if want.is_null() {
            return;
        }
        count += 1;
        for algorithm in [
            MaraAlgorithm::AugmentReward,
            MaraAlgorithm::SwapRewardAndReference,
        ] {
            let mut objective = Objective::new(Direction::Reverse, Beta::new(case.beta).unwrap());
            objective.mara = Some(Mara {
                threshold: Threshold::Constant(want["tau"].as_f64().unwrap()),
                algorithm: Some(algorithm),
                anchor: Default::default(),
                per_class: false,
            });
            let log_reference = case.reference.log_masses();
            let found = mara::augment(log_reference, &case.rewards, &objective, &[])
                .unwrap()
                .unwrap();
            assert_eq!(
                found.anchored.anchor.index as u64,
                want["anchor"].as_u64().unwrap(),
                "{}",
                case.name
            );
            if algorithm == MaraAlgorithm::AugmentReward {
                for (&got, want) in found.rewards.iter().zip(numbers(&want["augmented"])) {
                    same_number(case, "augmented reward", got, want);
                }
            }
            let target = modescope::theory::solve_weights(
                found.log_reference.as_deref().unwrap_or(log_reference),
                &found.rewards,
                &objective,
            )
            .unwrap();
            same_masses(case, "MARA", &target.masses, &numbers(&want["target"]));
        }
    });
    assert_eq!(count, 40);
}
