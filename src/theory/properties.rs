//! Properties of the targets that must hold on any problem.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::{
    Beta, Direction, Distribution, Divergence, Objective, Target, Ties,
    divergence::{self, f_alpha},
    kernels, solve, validity_beta,
};

/// J(π) by its definition.
fn value(objective: &Objective, log_reference: &[f64], rewards: &[f64], policy: &[f64]) -> f64 {
    let beta = objective.beta.get();
    let logs: Vec<f64> = policy.iter().map(|p| p.ln()).collect();
    let pay: f64 = policy.iter().zip(rewards).map(|(p, r)| p * r).sum();
    let cost = match Divergence::from(objective.direction) {
        Divergence::Reverse => divergence::kl(&logs, log_reference),
        Divergence::Forward => divergence::kl(log_reference, &logs),
        Divergence::Alpha(alpha) => logs
            .iter()
            .zip(log_reference)
            .map(|(&p, &q)| f_alpha(alpha, p, q))
            .sum(),
    };
    let bonus = objective.entropy * divergence::entropy(&logs);
    pay - beta * cost + bonus
}

fn problem() -> impl Strategy<Value = (Distribution, Vec<f64>)> {
    (1..24_usize).prop_flat_map(|count| {
        let weight = prop_oneof![
            6 => (-8.0..0.0_f64).prop_map(f64::exp),
            2 => (-300.0..0.0_f64).prop_map(f64::exp),
            1 => Just(0.0),
        ];
        let reward = prop_oneof![4 => -3.0..3.0_f64, 1 => Just(1.0), 1 => Just(0.0)];
        (
            prop::collection::vec(weight, count),
            prop::collection::vec(reward, count),
        )
            .prop_filter_map("some support", |(weights, rewards)| {
                Some((Distribution::from_weights(&weights).ok()?, rewards))
            })
    })
}

fn objective() -> impl Strategy<Value = Objective> {
    let direction = prop_oneof![
        Just(Direction::Reverse),
        Just(Direction::Forward),
        // Beyond 2 an arm at the edge of being cut is known to less than these tests ask for.
        (-2.0..2.0_f64).prop_map(Direction::Alpha),
    ];
    (
        direction,
        -6.0..6.0_f64,
        prop_oneof![2 => Just(0.0), 1 => 0.001..2.0_f64],
    )
        .prop_map(|(direction, exponent, entropy)| {
            let mut objective =
                Objective::new(direction, Beta::new(10_f64.powf(exponent)).unwrap());
            if !matches!(direction.into(), Divergence::Alpha(_)) {
                objective.entropy = entropy;
            }
            objective
        })
}

fn plain(direction: Direction, beta: f64) -> Objective {
    Objective::new(direction, Beta::new(beta).unwrap())
}

fn largest_difference(a: &Target, b: &Target) -> f64 {
    a.masses
        .iter()
        .zip(&b.masses)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(20_817), ..ProptestConfig::default() })]

    #[test]
    fn targets_sum_to_one((reference, rewards) in problem(), objective in objective()) {
        let target = solve(&reference, &rewards, &objective).unwrap();
        let sum: f64 = target.masses.iter().sum();
        prop_assert!((sum - 1.0).abs() < 1e-12, "sum − 1 = {:e}", sum - 1.0);
        for (&mass, &log_mass) in target.masses.iter().zip(&target.log_masses) {
            prop_assert!(mass >= 0.0 && log_mass <= 0.0);
            prop_assert!((mass - log_mass.exp()).abs() <= 1e-12 * mass + 1e-300);
        }
        prop_assert!(target.optimal_value.is_finite());
    }

    #[test]
    fn no_move_improves_the_target(
        (reference, rewards) in problem(),
        objective in objective(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        size in -9.0..0.0_f64,
    ) {
        let target = solve(&reference, &rewards, &objective).unwrap();
        let log_reference = reference.log_masses();
        let (from, to) = (from.index(rewards.len()), to.index(rewards.len()));
        let beta = objective.beta.get();
        // Rounding of J by its definition grows with its parts.
        let noise = 1e-11 * (10.0 + beta * 30.0 + objective.entropy * 10.0);
        let best = value(&objective, log_reference, &rewards, &target.masses);
        prop_assert!(
            (best - target.optimal_value).abs() <= noise,
            "J* = {}, by definition {best}", target.optimal_value
        );
        let moved = target.masses[from] * 10_f64.powf(size);
        let mut policy = target.masses.clone();
        policy[from] -= moved;
        policy[to] += moved;
        let other = value(&objective, log_reference, &rewards, &policy);
        prop_assert!(other <= best + noise, "moving {moved:e} from {from} to {to} gains {:e}", other - best);
    }

    #[test]
    fn mixing_towards_anything_loses((reference, rewards) in problem(), objective in objective(), seed in prop::collection::vec(0.01..1.0_f64, 24)) {
        let target = solve(&reference, &rewards, &objective).unwrap();
        let total: f64 = seed[..rewards.len()].iter().sum();
        let best = value(&objective, reference.log_masses(), &rewards, &target.masses);
        let noise = 1e-11 * (10.0 + objective.beta.get() * 30.0 + objective.entropy * 10.0);
        for share in [1e-6, 1e-3, 0.1, 0.9] {
            let policy: Vec<f64> = target.masses.iter().zip(&seed)
                .map(|(g, s)| (1.0 - share) * g + share * s / total)
                .collect();
            let other = value(&objective, reference.log_masses(), &rewards, &policy);
            prop_assert!(other <= best + noise, "gains {:e}", other - best);
        }
    }

    #[test]
    fn a_large_beta_stays_at_the_reference((reference, rewards) in problem(), alpha in -1.0..2.5_f64) {
        for direction in [Direction::Reverse, Direction::Forward, Direction::Alpha(alpha)] {
            let target = solve(&reference, &rewards, &plain(direction, 1e9)).unwrap();
            for (mass, wanted) in target.masses.iter().zip(reference.masses()) {
                prop_assert!((mass - wanted).abs() < 1e-7);
            }
            let mean = kernels::dot(&reference.masses(), &rewards);
            prop_assert!((target.optimal_value - mean).abs() < 1e-6, "J* = {}, mean {mean}", target.optimal_value);
        }
    }

    #[test]
    fn a_small_beta_takes_the_best_arm(weights in prop::collection::vec(0.01..1.0_f64, 2..20), alpha in -1.0..2.5_f64) {
        let reference = Distribution::from_weights(&weights).unwrap();
        let rewards: Vec<f64> = (0..weights.len()).map(|i| i as f64 * 0.1).collect();
        for direction in [Direction::Reverse, Direction::Forward, Direction::Alpha(alpha)] {
            let target = solve(&reference, &rewards, &plain(direction, 1e-9)).unwrap();
            prop_assert!(target.masses.last().unwrap() > &(1.0 - 1e-3), "{direction:?} {:?}", target.masses);
        }
    }

    #[test]
    fn the_dial_meets_both_directions((reference, rewards) in problem(), exponent in -2.0..3.0_f64) {
        let beta = 10_f64.powf(exponent);
        let reverse = solve(&reference, &rewards, &plain(Direction::Reverse, beta)).unwrap();
        let forward = solve(&reference, &rewards, &plain(Direction::Forward, beta)).unwrap();
        // Near α = 1 the reverse limit needs a bounded reference: outside mass costs 1/(1−α), so keep that above any reward.
        for step in [1e-9, -1e-9] {
            let near = solve(&reference, &rewards, &plain(Direction::Alpha(1.0 + step), beta)).unwrap();
            prop_assert!(largest_difference(&near, &reverse) < 1e-3 * (1.0 + 1.0 / beta), "{step}");
            let near = solve(&reference, &rewards, &plain(Direction::Alpha(step), beta)).unwrap();
            prop_assert!(largest_difference(&near, &forward) < 1e-4, "{step}");
        }
        prop_assert_eq!(solve(&reference, &rewards, &plain(Direction::Alpha(1.0), beta)).unwrap(), reverse);
        prop_assert_eq!(solve(&reference, &rewards, &plain(Direction::Alpha(0.0), beta)).unwrap(), forward);
    }

    #[test]
    fn a_vanishing_entropy_bonus_changes_nothing(
        weights in prop::collection::vec(0.01..1.0_f64, 12),
        rewards in prop::collection::vec(-3.0..3.0_f64, 12),
        exponent in -2.0..2.0_f64,
    ) {
        let reference = Distribution::from_weights(&weights).unwrap();
        for direction in [Direction::Reverse, Direction::Forward] {
            let mut objective = plain(direction, 10_f64.powf(exponent));
            let without = solve(&reference, &rewards, &objective).unwrap();
            objective.entropy = 1e-9;
            let with = solve(&reference, &rewards, &objective).unwrap();
            prop_assert!(largest_difference(&with, &without) < 1e-4, "{direction:?}");
        }
    }

    #[test]
    fn at_a_tie_both_arms_have_one_mass((reference, rewards) in problem(), alpha in -1.5..2.0_f64) {
        for (direction, entropy) in [
            (Direction::Reverse, 0.0),
            (Direction::Forward, 0.0),
            (Direction::Alpha(alpha), 0.0),
            (Direction::Reverse, 0.2),
            (Direction::Forward, 0.2),
        ] {
            let objective = Objective { entropy, ..plain(direction, 1.0) };
            let ties = Ties::of(reference.log_masses(), &rewards, &objective);
            for tie in ties.pairwise(&(0..rewards.len()).collect::<Vec<_>>()) {
                let logs = reference.log_masses();
                let gap = logs[tie.better_support] - logs[tie.better_reward];
                if !(1e-6..1e6).contains(&tie.beta) || gap > 40.0 {
                    continue;
                }
                let at = Objective { entropy, ..plain(direction, tie.beta) };
                let target = solve(&reference, &rewards, &at).unwrap();
                let (a, b) = (target.masses[tie.better_reward], target.masses[tie.better_support]);
                // Near the cut of α > 1 only the absolute size is known.
                if a.max(b) > 1e-6 {
                    prop_assert!((a / b - 1.0).abs() < 1e-5, "{direction:?} η = {entropy} β* = {}: {a:e} against {b:e}", tie.beta);
                }
                prop_assert!(rewards[tie.better_reward] > rewards[tie.better_support]);
            }
        }
    }

    #[test]
    fn the_envelope_lists_every_change_of_the_winner((reference, rewards) in problem()) {
        let ties = Ties::new(reference.log_masses(), &rewards, Divergence::Reverse);
        let corners = ties.envelope(usize::MAX);
        prop_assert!(corners.windows(2).all(|pair| pair[0].beta <= pair[1].beta));
        let winner = |beta: f64| {
            let logs: Vec<f64> = reference.log_masses().iter().zip(&rewards).map(|(l, r)| l + r / beta).collect();
            kernels::max(&logs)
        };
        // Between corners the arm named by them is the winner.
        for pair in corners.windows(2) {
            prop_assert_eq!(pair[0].better_support, pair[1].better_reward);
            let beta = (pair[0].beta * pair[1].beta).sqrt();
            let arm = pair[0].better_support;
            let own = reference.log_masses()[arm] + rewards[arm] / beta;
            prop_assert!((winner(beta) - own).abs() <= 1e-9 * (1.0 + own.abs()));
        }
        // Below the first and above the last.
        if let (Some(first), Some(last)) = (corners.first(), corners.last()) {
            let own = |arm: usize, beta: f64| reference.log_masses()[arm] + rewards[arm] / beta;
            prop_assert!(winner(first.beta / 2.0) <= own(first.better_reward, first.beta / 2.0) + 1e-9 * (1.0 + 1.0 / first.beta));
            prop_assert!(winner(last.beta * 2.0) <= own(last.better_support, last.beta * 2.0) + 1e-9);
        }
    }

    #[test]
    fn a_wanted_validity_is_met(valid in 0.001..0.9_f64, more in 0.01..0.99_f64) {
        let wanted = valid + (1.0 - valid) * more;
        let beta = validity_beta(valid, wanted).unwrap();
        let reference = Distribution::from_weights(&[valid, 1.0 - valid]).unwrap();
        let target = solve(&reference, &[1.0, 0.0], &plain(Direction::Reverse, beta.get())).unwrap();
        prop_assert!((target.masses[0] - wanted).abs() < 1e-10);
    }
}

#[test]
fn many_arms_are_solved_as_exactly_as_few() {
    // 10⁶ arms in 4 groups against the 4-arm problem with the groups' masses.
    let count = 1_000_000;
    let group = |arm: usize| (arm * 7919) % 4;
    let weights: Vec<f64> = (0..count)
        .map(|arm| [4.0, 3.0, 2.0, 1.0][group(arm)])
        .collect();
    let rewards: Vec<f64> = (0..count)
        .map(|arm| [0.0, 0.3, 0.6, 0.9][group(arm)])
        .collect();
    let many = Distribution::from_weights(&weights).unwrap();
    let few = Distribution::from_weights(&[4.0, 3.0, 2.0, 1.0]).unwrap();
    for (direction, entropy) in [
        (Direction::Reverse, 0.0),
        (Direction::Forward, 0.0),
        (Direction::Alpha(0.5), 0.0),
        (Direction::Alpha(2.0), 0.0),
        (Direction::Alpha(3.0), 0.0),
        (Direction::Alpha(25.0), 0.0),
        // All arms divided alike, a bonus changes nothing but λ.
        (Direction::Reverse, 0.1),
        (Direction::Forward, 0.1),
    ] {
        for beta in [1e-6, 0.01, 0.3, 1e6] {
            let objective = Objective {
                entropy,
                ..plain(direction, beta)
            };
            let large = solve(&many, &rewards, &objective).unwrap();
            let small = solve(&few, &[0.0, 0.3, 0.6, 0.9], &objective).unwrap();
            for arm in 0..8 {
                let want = small.masses[group(arm)] / 250_000.0;
                let got = large.masses[arm];
                // An arm that α > 1 is about to cut knows its mass to the rounding of R/β only.
                let floor = if direction == Direction::Alpha(2.0) {
                    1e-20
                } else {
                    1e-300
                };
                assert!(
                    (got - want).abs() <= 1e-12 * want + floor,
                    "{direction:?} {beta}: {got:e} {want:e}"
                );
            }
            let bonus = entropy * 250_000.0_f64.ln();
            // With a bonus J* is what β log Z leaves beside other terms in β.
            let lost = if entropy > 0.0 { 1e-4 * beta } else { 0.0 };
            let scale = small.optimal_value.abs() + bonus + lost;
            assert!(
                (large.optimal_value - small.optimal_value - bonus).abs() <= 1e-11 * scale,
                "{direction:?} {beta}"
            );
        }
    }
}
