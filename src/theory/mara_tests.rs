#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::theory::{
    Anchor, Beta, Direction, Distribution, Mara, Objective, Target, solve, solve_weights,
};

/// The paper's Figure 5.
fn figure_5() -> (Distribution, Vec<f64>) {
    let weights: Vec<f64> = (0..100)
        .map(|i| (1.0 - (f64::from(i) + 0.5) / 100.0).powi(4))
        .collect();
    let rewards = (0..100)
        .map(|i| {
            if i < 25 || (50..75).contains(&i) {
                1.0
            } else {
                0.0
            }
        })
        .collect();
    (Distribution::from_weights(&weights).unwrap(), rewards)
}

fn objective(direction: Direction, beta: f64) -> Objective {
    Objective::new(direction, Beta::new(beta).unwrap())
}

fn mara(threshold: Threshold, algorithm: Option<MaraAlgorithm>, per_class: bool) -> Option<Mara> {
    Some(Mara {
        threshold,
        algorithm,
        anchor: Anchor::Exact,
        per_class,
    })
}

fn solve_mara(
    reference: &Distribution,
    rewards: &[f64],
    objective: &Objective,
    classes: &[&[u32]],
) -> (Augmentation, Target) {
    let log_reference = reference.log_masses();
    let found = augment(log_reference, rewards, objective, classes)
        .unwrap()
        .unwrap();
    let target = solve_weights(
        found.log_reference.as_deref().unwrap_or(log_reference),
        &found.rewards,
        objective,
    )
    .unwrap();
    (found, target)
}

fn peak(target: &Target) -> f64 {
    target.masses.iter().copied().fold(0.0, f64::max)
}

/// Every good arm has this mass.
fn assert_flat(target: &Target, rewards: &[f64], want: f64, what: &str) {
    for (arm, (&mass, &reward)) in target.masses.iter().zip(rewards).enumerate() {
        if reward == 1.0 {
            assert!(
                (mass - want).abs() < 5e-5,
                "{what}: arm {arm} has {mass}, expected {want}"
            );
        }
    }
}

#[test]
fn figure_5_comes_out() {
    let (reference, rewards) = figure_5();
    for (beta, plain, reverse, forward) in
        [(0.01, 0.0618, 0.0200, 0.0200), (1.0, 0.056, 0.0194, 0.0188)]
    {
        let target = solve(&reference, &rewards, &objective(Direction::Reverse, beta)).unwrap();
        assert!(
            (peak(&target) - plain).abs() < 5e-4,
            "peak {}",
            peak(&target)
        );
        for (direction, want) in [(Direction::Reverse, reverse), (Direction::Forward, forward)] {
            let mut asked = objective(direction, beta);
            asked.mara = mara(Threshold::Constant(0.5), None, false);
            let (found, target) = solve_mara(&reference, &rewards, &asked, &[]);
            assert_eq!((found.good, found.anchored.anchor.index), (50, 0));
            assert_flat(
                &target,
                &rewards,
                want,
                &format!("{direction:?} at β = {beta}"),
            );
        }
    }
}

#[test]
fn algorithm_1_under_forward_favours_the_rarest_good_arm() {
    let (reference, rewards) = figure_5();
    let mut asked = objective(Direction::Forward, 0.01);
    asked.mara = mara(
        Threshold::Constant(0.5),
        Some(MaraAlgorithm::AugmentReward),
        false,
    );
    let (_, target) = solve_mara(&reference, &rewards, &asked, &[]);
    assert!(
        (target.masses[74] - 0.83).abs() < 0.01,
        "{}",
        target.masses[74]
    );
}

#[test]
fn both_algorithms_are_one_under_reverse() {
    let (reference, rewards) = figure_5();
    let mut asked = objective(Direction::Reverse, 0.3);
    asked.mara = mara(
        Threshold::Constant(0.5),
        Some(MaraAlgorithm::AugmentReward),
        false,
    );
    let (_, first) = solve_mara(&reference, &rewards, &asked, &[]);
    asked.mara = mara(
        Threshold::Constant(0.5),
        Some(MaraAlgorithm::SwapRewardAndReference),
        false,
    );
    let (_, second) = solve_mara(&reference, &rewards, &asked, &[]);
    for (a, b) in first.masses.iter().zip(&second.masses) {
        assert!((a - b).abs() < 1e-14);
    }
    assert!((first.optimal_value - second.optimal_value).abs() < 1e-12);
}

#[test]
fn swapping_is_uniform_for_every_alpha() {
    let (reference, rewards) = figure_5();
    for alpha in [-0.5, 0.3, 0.7, 1.5, 2.0] {
        let mut asked = objective(Direction::Alpha(alpha), 0.2);
        asked.mara = mara(Threshold::Constant(0.5), None, false);
        let (_, target) = solve_mara(&reference, &rewards, &asked, &[]);
        let sum: f64 = target.masses.iter().sum();
        assert!((sum - 1.0).abs() < 1e-12);
        assert_flat(&target, &rewards, target.masses[0], &format!("α = {alpha}"));
    }
}

#[test]
fn the_forward_form_as_a_reward_has_the_same_target() {
    let (reference, rewards) = figure_5();
    let mut asked = objective(Direction::Forward, 0.5);
    asked.mara = mara(Threshold::Constant(0.5), None, false);
    let (found, target) = solve_mara(&reference, &rewards, &asked, &[]);
    let reward = forward_reward(
        reference.log_masses(),
        &rewards,
        &found.anchored,
        target.lambda.unwrap(),
    );
    let again = solve(&reference, &reward, &objective(Direction::Forward, 0.5)).unwrap();
    for (a, b) in target.masses.iter().zip(&again.masses) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }
}

#[test]
fn per_class_is_uniform_over_modes_and_keeps_proportions_within() {
    let (reference, rewards) = figure_5();
    // One wide class and one narrow one; good arms in neither are classes of their own, so put all of them in.
    let first: Vec<u32> = (0..25).collect();
    let second: Vec<u32> = (50..75).collect();
    for direction in [
        Direction::Reverse,
        Direction::Forward,
        Direction::Alpha(0.5),
    ] {
        let mut asked = objective(direction, 0.05);
        asked.mara = mara(Threshold::Constant(0.5), None, true);
        let (_, target) = solve_mara(&reference, &rewards, &asked, &[&first, &second]);
        let mass =
            |class: &[u32]| -> f64 { class.iter().map(|&arm| target.masses[arm as usize]).sum() };
        assert!(
            (mass(&first) / mass(&second) - 1.0).abs() < 1e-10,
            "{direction:?}"
        );
        let within = target.log_masses[0] - target.log_masses[10];
        let wanted = reference.log_masses()[0] - reference.log_masses()[10];
        assert!((within - wanted).abs() < 1e-9, "{direction:?}");
    }
}

#[test]
fn thresholds_keep_what_they_say() {
    let rewards: Vec<f64> = (0..10).map(f64::from).collect();
    let kept = |threshold_: Threshold| {
        let tau = threshold(threshold_, &rewards).unwrap();
        rewards.iter().filter(|&&reward| reward >= tau).count()
    };
    assert_eq!(kept(Threshold::Percentile(0.9)), 1);
    assert_eq!(kept(Threshold::Percentile(0.5)), 5);
    assert_eq!(kept(Threshold::Percentile(0.0)), 10);
    assert_eq!(kept(Threshold::Percentile(1.0)), 1);
    assert_eq!(kept(Threshold::Constant(7.5)), 2);
    assert!(threshold(Threshold::Percentile(1.5), &rewards).is_err());
    assert!(threshold(Threshold::Constant(f64::NAN), &rewards).is_err());
}

#[test]
fn nothing_good_changes_nothing_and_impossible_arms_stay_so() {
    let reference = Distribution::from_weights(&[0.5, 0.5, 0.0]).unwrap();
    let mut asked = objective(Direction::Reverse, 0.1);
    asked.mara = mara(Threshold::Constant(5.0), None, false);
    assert_eq!(
        augment(reference.log_masses(), &[0.0, 1.0, 9.0], &asked, &[]).unwrap(),
        None
    );
    asked.mara = mara(Threshold::Constant(1.0), None, false);
    let (found, target) = solve_mara(&reference, &[0.0, 1.0, 9.0], &asked, &[]);
    assert_eq!(found.good, 1);
    assert_eq!(target.masses[2], 0.0);
}

#[test]
fn a_batch_is_augmented_by_its_own_anchor() {
    let rewards = [1.0, 0.0, 0.9, 1.0];
    let logs = [-5.0, -0.1, -2.0, -3.0];
    let tau = threshold(Threshold::Constant(0.8), &rewards).unwrap();
    let anchor = find_anchor(&rewards, &logs, tau).unwrap();
    assert_eq!(
        (anchor.index, anchor.reward, anchor.log_reference),
        (2, 0.9, -2.0)
    );
    let first = Anchored {
        algorithm: MaraAlgorithm::AugmentReward,
        threshold: tau,
        beta: 0.1,
        anchor,
    };
    let (reward, log_reference) = first.apply(1.0, -5.0, -5.0);
    assert!((reward - 1.2).abs() < 1e-12);
    assert_eq!(log_reference, -5.0);
    assert_eq!(first.apply(0.0, -0.1, -0.1), (0.0, -0.1));
    let second = Anchored {
        algorithm: MaraAlgorithm::SwapRewardAndReference,
        ..first
    };
    assert_eq!(second.apply(1.0, -5.0, -5.0), (0.9, -2.0));
    assert_eq!(find_anchor(&rewards, &logs, 2.0), None);
}
