#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::{number, percent};
use crate::{
    bandit::{Analysis, Mode, Problem, Shape},
    theory::{
        Beta, CoverageRule, Direction, Distribution, Mara, MaraAlgorithm, Objective, Threshold,
    },
};

fn problem(reference: &[f64], rewards: &[f64], modes: &[&[u32]]) -> Problem {
    Problem {
        shape: Shape::Line {
            count: rewards.len(),
            range: (0.0, 1.0),
        },
        names: None,
        reference: Distribution::from_weights(reference).unwrap(),
        rewards: rewards.to_vec(),
        modes: modes
            .iter()
            .enumerate()
            .map(|(index, arms)| Mode {
                label: ["left", "right", "top", "low"][index % 4].to_owned(),
                arms: arms.to_vec(),
            })
            .collect(),
        coverage: CoverageRule::USUAL,
    }
}

fn objective(direction: Direction, beta: f64) -> Objective {
    Objective::new(direction, Beta::new(beta).unwrap())
}

fn says(problem: &Problem, objective: &Objective) -> String {
    let sentence = Analysis::new(problem, objective).unwrap().sentence;
    assert!(sentence.ends_with('.'), "{sentence}");
    assert!(
        !sentence.contains("NaN") && !sentence.contains("inf"),
        "{sentence}"
    );
    sentence
}

fn figure_2() -> Problem {
    let (a, b) = ((-4.05_f64).exp(), (-5.95_f64).exp());
    problem(&[a, b, 1.0 - a - b], &[0.75, 1.0, 0.0], &[&[0], &[1]])
}

#[test]
fn a_reward_gap_names_the_tie() {
    assert_eq!(
        says(&figure_2(), &objective(Direction::Reverse, 0.05)),
        "95.7 % of the target sits on one of 2 modes, right; they would tie at β = 0.132."
    );
}

#[test]
fn a_near_tie_is_a_split() {
    let text = says(&figure_2(), &objective(Direction::Reverse, 0.1316));
    assert!(
        text.starts_with("The target is split almost evenly between 2 modes")
            || text.contains("tie at β = 0.132"),
        "{text}"
    );
}

#[test]
fn a_reference_gap_stays() {
    let problem = problem(&[0.68, 0.30, 0.02], &[0.0, 1.0, 1.0], &[&[1], &[2]]);
    for direction in [
        Direction::Reverse,
        Direction::Forward,
        Direction::Alpha(0.5),
    ] {
        let text = says(&problem, &objective(direction, 0.01));
        assert!(
            text.contains("equal rewards, so the 15× gap in reference mass stays at every β"),
            "{text}"
        );
    }
}

#[test]
fn equal_reference_names_the_reward_gap() {
    assert_eq!(
        says(
            &problem(&[1.0, 1.0, 1.0], &[0.0, 0.9, 1.0], &[&[1], &[2]]),
            &objective(Direction::Reverse, 0.001)
        ),
        "100 % of the target sits on one of 2 modes, right; equal reference, so a reward gap of 0.1 decides at β = 0.001."
    );
}

#[test]
fn a_lead_in_both_never_ties() {
    let text = says(
        &problem(&[0.1, 0.2, 0.7], &[0.9, 1.0, 0.0], &[&[0], &[1]]),
        &objective(Direction::Reverse, 0.01),
    );
    assert!(text.contains("no β makes them tie"), "{text}");
}

#[test]
fn many_balanced_modes() {
    let text = says(
        &problem(
            &[1.0; 8],
            &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0],
            &[&[0], &[2], &[4], &[6]],
        ),
        &objective(Direction::Reverse, 0.05),
    );
    assert_eq!(
        text,
        "The target covers all 4 modes almost evenly (4 effective modes, 100 % of the mass)."
            .replace("100 %", "over 99.9 %")
    );
}

#[test]
fn no_modes_one_arm_one_mode() {
    let none = problem(&[0.5, 0.5], &[0.0, 1.0], &[]);
    assert_eq!(
        says(&none, &objective(Direction::Reverse, 1.0)),
        "No arm counts as a mode; the likeliest, arm 1, holds 73.1 % of the target."
    );
    assert_eq!(
        says(
            &problem(&[1.0], &[3.0], &[&[0]]),
            &objective(Direction::Forward, 1.0)
        ),
        "There is one arm, so the target is that arm at every β."
    );
    assert_eq!(
        says(
            &problem(&[0.5, 0.5], &[0.0, 1.0], &[&[1]]),
            &objective(Direction::Reverse, 1.0)
        ),
        "73.1 % of the target sits on the only mode, left."
    );
}

#[test]
fn mara_makes_good_arms_equal() {
    let problem = problem(&[0.68, 0.30, 0.02], &[0.0, 1.0, 1.0], &[&[1], &[2]]);
    let mut asked = objective(Direction::Reverse, 0.05);
    asked.mara = Some(Mara {
        threshold: Threshold::Constant(0.5),
        algorithm: None,
        anchor: Default::default(),
        per_class: false,
    });
    assert_eq!(
        says(&problem, &asked),
        "MARA makes the 2 good arms equal; together they hold over 99.9 % of the target."
    );
    asked.direction = Direction::Forward;
    assert!(says(&problem, &asked).starts_with("MARA makes the 2 good arms equal"));
    asked.mara = asked.mara.map(|mara| Mara {
        algorithm: Some(MaraAlgorithm::AugmentReward),
        ..mara
    });
    let text = says(&problem, &asked);
    assert!(
        text.starts_with(
            "Algorithm 1 of MARA does not make good arms equal under forward KL; arm 2"
        ),
        "{text}"
    );
    // Nothing is good: MARA is silent.
    asked.mara = asked.mara.map(|mara| Mara {
        threshold: Threshold::Constant(2.0),
        ..mara
    });
    assert!(!says(&problem, &asked).contains("MARA"));
}

#[test]
fn leftover_mass_is_named() {
    // Λ = 3 = the reward of arm 2: the support keeps ½·½/3 + ½·½/2 = 0.2083.
    let problem = problem(&[0.5, 0.5, 0.0], &[0.0, 1.0, 3.0], &[&[1], &[2]]);
    let text = says(&problem, &objective(Direction::Forward, 0.5));
    assert!(
        text.starts_with("79.2 % of the mass lies outside the reference's support, on arm 2. "),
        "{text}"
    );
    assert!(!says(&problem, &objective(Direction::Reverse, 0.5)).contains("outside"));
}

#[test]
fn a_huge_beta_stays_at_the_reference() {
    let text = says(&figure_2(), &objective(Direction::Reverse, 100.0));
    assert_eq!(
        text,
        "β = 100 outweighs the rewards, so the target stays at the reference; only 2.0 % of the target sits on the 2 modes; the likeliest arm, arm 2, holds 98.0 %."
    );
}

#[test]
fn a_target_at_the_reference_names_the_true_reason() {
    let lead = |problem: &Problem, objective: &Objective| {
        let text = says(problem, objective);
        text.split("; ").next().unwrap_or_default().to_owned()
    };
    let equal = problem(&[0.9, 0.1], &[1.0, 1.0], &[&[0], &[1]]);
    let every = "All rewards are equal, so the target is the reference at every β";
    for direction in [Direction::Reverse, Direction::Forward] {
        for beta in [1e-6, 100.0] {
            assert_eq!(lead(&equal, &objective(direction, beta)), every);
        }
    }
    let gap = problem(&[0.9, 0.1], &[1.0, 0.0], &[&[0], &[1]]);
    let mut scaled = objective(Direction::Reverse, 0.01);
    scaled.reward_scale = 0.0;
    assert_eq!(lead(&gap, &scaled), every);
    let mut flattened = objective(Direction::Reverse, 1e6);
    flattened.entropy = 0.1;
    assert_eq!(
        lead(&equal, &flattened),
        "All rewards are equal and β = 1.00e6 outweighs the entropy bonus, so the target stays at the reference"
    );
    flattened.beta = Beta::new(0.1).unwrap();
    assert_eq!(
        lead(&problem(&[0.5, 0.5], &[1.0, 1.0], &[]), &flattened),
        "All arms are alike, so the target is the reference at every β"
    );
    assert_eq!(
        lead(
            &problem(&[0.9, 0.1, 0.0], &[1.0, 1.0, 3.0], &[]),
            &objective(Direction::Reverse, 0.01)
        ),
        "All rewards within the reference's support are equal, so the target is the reference at every β"
    );
    let there = problem(&[0.9999, 0.0001], &[1.0, 0.0], &[&[0], &[1]]);
    for beta in [1e-4, 1e4] {
        assert_eq!(
            lead(&there, &objective(Direction::Reverse, beta)),
            "The reference already puts over 99.9 % on the best reward, so the target stays there"
        );
    }
    let rare = problem(&[0.9999, 0.0001], &[0.0, 1.0], &[&[1]]);
    let text = says(&rare, &objective(Direction::Reverse, 10.0));
    assert!(
        text.starts_with("β = 10 outweighs the rewards, so the target stays at the reference; under 0.1 % of the target sits on the only mode"),
        "{text}"
    );
}

#[test]
fn no_mass_on_the_modes_is_none() {
    let text = says(
        &problem(&[0.5, 0.5, 0.0], &[0.0, 0.5, 1.0], &[&[2]]),
        &objective(Direction::Reverse, 0.5),
    );
    assert!(
        text.starts_with("None of the target sits on the only mode"),
        "{text}"
    );
}

#[test]
fn good_arms_outside_the_support_are_named() {
    let mut asked = objective(Direction::Reverse, 1.0);
    asked.mara = Some(Mara {
        threshold: Threshold::Constant(0.8),
        algorithm: None,
        anchor: Default::default(),
        per_class: false,
    });
    assert!(
        says(&problem(&[0.6, 0.4, 0.0], &[1.0, 0.0, 1.0], &[&[0], &[2]]), &asked).starts_with(
            "Only one arm within the reference's support is good (1 other lies outside it), so MARA changes nothing; it holds 80.3 %"
        ),
    );
    assert!(
        says(&problem(&[0.5, 0.3, 0.2, 0.0, 0.0], &[1.0, 0.0, 1.0, 1.0, 2.0], &[]), &asked).starts_with(
            "MARA makes the 2 good arms within the reference's support equal (2 others lie outside it); together they hold"
        ),
    );
}

#[test]
fn mass_off_the_modes_is_the_news() {
    let text = says(&figure_2(), &objective(Direction::Reverse, 0.5));
    assert!(
        text.starts_with("Only ") && text.contains("sits on the 2 modes"),
        "{text}"
    );
}

#[test]
fn wide_modes_speak_of_their_best_arms() {
    let text = says(
        &problem(
            &[5.0, 5.0, 5.0, 1.0, 1.0, 1.0],
            &[0.8, 0.9, 0.0, 0.0, 1.0, 0.9],
            &[&[0, 1], &[4, 5]],
        ),
        &objective(Direction::Reverse, 0.01),
    );
    assert!(
        text.contains("their best arms would tie at β = 0.0621"),
        "{text}"
    );
}

#[test]
fn numbers_read_well() {
    assert_eq!(percent(1.0), "100 %");
    assert_eq!(percent(0.9996), "over 99.9 %");
    assert_eq!(percent(0.987), "98.7 %");
    assert_eq!(percent(1e-9), "under 0.1 %");
    assert_eq!(percent(0.0), "0 %");
    assert_eq!(number(0.13158), "0.132");
    assert_eq!(number(15.0), "15");
    assert_eq!(number(100.0), "100");
    assert_eq!(number(1234.5), "1234");
    assert_eq!(number(1e-6), "1.00e-6");
}
