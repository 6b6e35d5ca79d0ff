//! Columns against the ties of all pairs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::theory::{Beta, Direction};

/// Edges of columns of a slider.
fn edges(columns: u32) -> Vec<f64> {
    (0..=columns)
        .map(|edge| 10f64.powf(12.0 * f64::from(edge) / f64::from(columns) - 6.0))
        .collect()
}

fn search<'a>(ties: &Ties<'a>, betas: &[f64]) -> TieColumns<'a> {
    let mut columns = ties.columns(betas, 0);
    while columns.advance(&|| false) == TieProgress::More {}
    columns
}

fn objectives() -> Vec<Objective> {
    [
        (Direction::Reverse, 0.0),
        (Direction::Reverse, 0.3),
        (Direction::Forward, 0.0),
        (Direction::Forward, 0.3),
        (Direction::Forward, 1e-3),
        (Direction::Alpha(0.5), 0.0),
        (Direction::Alpha(-0.7), 0.0),
        (Direction::Alpha(1.5), 0.0),
        (Direction::Alpha(3.0), 0.0),
    ]
    .into_iter()
    .map(|(direction, entropy)| Objective {
        entropy,
        ..Objective::new(direction, Beta::new(1.0).unwrap())
    })
    .collect()
}

/// (log reference, rewards): smooth, rough and of few values, with arms alike and outside the support.
fn problem() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    (2..150_usize, 0..4_u32).prop_flat_map(|(count, kind)| {
        let log = match kind {
            0 => (-8.0..0.0_f64).boxed(),
            1 => (-4..0_i32).prop_map(f64::from).boxed(),
            2 => prop_oneof![9 => -8.0..0.0_f64, 1 => Just(f64::NEG_INFINITY)].boxed(),
            _ => (-300.0..0.0_f64).boxed(),
        };
        let reward = match kind {
            0 | 3 => (-3.0..3.0_f64).boxed(),
            1 => (0..5_i32).prop_map(|r| 0.25 * f64::from(r)).boxed(),
            _ => prop_oneof![Just(0.0), Just(1.0), 0.0..1.0_f64].boxed(),
        };
        (
            prop::collection::vec(log, count),
            prop::collection::vec(reward, count),
        )
    })
}

/// Columns in which any of all pairs ties, by their places.
fn tying_columns(ties: &Ties, columns: &TieColumns) -> BTreeSet<usize> {
    let arms = ties.rewards.len();
    let pairs = (0..arms).flat_map(|a| (0..a).map(move |b| (a, b)));
    pairs
        .filter_map(|(a, b)| columns.column(ties.place_of(ties.crossing(a, b)?)?))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    /// A column has a tick exactly if any of all pairs ties in it.
    #[test]
    fn a_column_has_a_tick_where_any_pair_ties((log_reference, rewards) in problem(), count in 1..400_u32) {
        for objective in objectives() {
            let ties = Ties::of(&log_reference, &rewards, &objective);
            let columns = search(&ties, &edges(count));
            let found: BTreeSet<usize> = (0..count as usize).filter(|&c| columns.has_tie(c)).collect();
            prop_assert_eq!(found, tying_columns(&ties, &columns), "{:?}", objective);
            let pairs = ties.pairwise(&(0..rewards.len()).collect::<Vec<_>>());
            let list = columns.list();
            // By β alone, whatever places are: no tie is farther from a tick than edges can be off.
            let width = 10f64.powf(12.0 / f64::from(count) * 2.5) * (1.0 + 1e-9);
            for tie in pairs.iter().filter(|tie| (1e-6..=1e6).contains(&tie.beta)) {
                let is_near = |listed: &ListedTie| (tie.beta / listed.tie.beta).ln().abs() <= width.ln();
                prop_assert!(list.ties.iter().any(is_near), "{objective:?}: nothing near {tie:?}");
            }
            // Each is a tie, and each change of the winner is among them.
            for listed in &list.ties {
                let tie = listed.tie;
                let same = |other: &&Tie| (other.beta / tie.beta - 1.0).abs() < 1e-12;
                prop_assert!(pairs.iter().any(|other| same(&other)), "{objective:?}: {tie:?}");
            }
            let winners = ties.envelope(usize::MAX);
            prop_assert_eq!(list.ties.iter().filter(|listed| listed.changes_winner).count(), winners.len());
            // So many pairs tie within the columns, counted one by one and by sorting.
            let TieScope::Columns { pairs: Some(counted), .. } = list.scope else { panic!("{:?}", list.scope) };
            prop_assert_eq!(counted, list.counts.iter().map(|count| count.pairs).sum::<u64>());
            let (low, high) = (columns.edges()[0], columns.edges()[count as usize]);
            let sorted = sweep::pairs_between(&ties, &sweep::Arms::distinct(&ties), low, high);
            prop_assert_eq!(counted, sorted, "{:?}", objective);
            let within = pairs.iter().filter(|tie| (1e-6..=1e6).contains(&tie.beta)).count() as u64;
            let near = |tie: &&Tie| tie.beta < 1.1e-6 || tie.beta > 0.9e6;
            let outside = pairs.iter().filter(near).count() as u64;
            prop_assert!(counted.abs_diff(within) <= outside, "{objective:?}: {counted} against {within}");
        }
    }

    /// All of those that differ, where they are few.
    #[test]
    fn few_arms_that_differ_have_all_their_ties((log_reference, rewards) in problem()) {
        for objective in objectives() {
            let ties = Ties::of(&log_reference, &rewards, &objective);
            let mut columns = ties.columns(&edges(10), usize::MAX);
            prop_assert_eq!(columns.advance(&|| false), TieProgress::Done);
            let list = columns.list();
            let all = ties.pairwise(&(0..rewards.len()).collect::<Vec<_>>());
            let betas = |ties: Vec<f64>| { let mut bits: Vec<u64> = ties.iter().map(|beta| beta.to_bits()).collect(); bits.dedup(); bits };
            let listed = betas(list.ties.iter().map(|listed| listed.tie.beta).collect());
            let wanted = betas(all.iter().map(|tie| tie.beta).collect());
            prop_assert_eq!(listed, wanted);
            match list.scope {
                TieScope::All => prop_assert_eq!(list.ties.len(), all.len()),
                TieScope::Alike { pairs } => prop_assert_eq!(pairs as usize, all.len()),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Numbers between 0 and 1.
fn noise(count: usize, mut state: u64) -> Vec<f64> {
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        })
        .collect()
}

/// Passes with some of the arms come first here, and must leave the last one to find the rest.
#[test]
fn thousands_of_arms_have_the_columns_of_all_their_pairs() {
    let log_reference: Vec<f64> = noise(3_000, 1).into_iter().map(|u| 1e-4 * u).collect();
    let rewards = noise(3_000, 2);
    for objective in objectives() {
        let ties = Ties::of(&log_reference, &rewards, &objective);
        let columns = search(&ties, &edges(700));
        let wanted = tying_columns(&ties, &columns);
        let found: BTreeSet<usize> = (0..700).filter(|&c| columns.has_tie(c)).collect();
        assert!(wanted.len() > 20 && wanted.len() < 700, "{}", wanted.len());
        assert_eq!(found, wanted, "{objective:?}");
    }
}

/// A search that is stopped goes on where it was.
#[test]
fn a_search_stops_and_goes_on() {
    let (log_reference, rewards) = (noise(2_000, 3), noise(2_000, 4));
    let ties = Ties::new(&log_reference, &rewards, Divergence::Forward);
    let betas = edges(300);
    let mut columns = ties.columns(&betas, 0);
    assert_eq!(columns.advance(&|| true), TieProgress::Stopped);
    assert_eq!(columns.advance(&|| false), TieProgress::More);
    assert_eq!(columns.advance(&|| true), TieProgress::Stopped);
    while columns.advance(&|| false) == TieProgress::More {}
    assert_eq!(columns.list(), search(&ties, &betas).list());
}
