//! Which arms count as modes, and what to call them.

use super::{
    build::ProblemError,
    problem::{Mode, Shape},
};
use crate::{
    experiment::{LabelledMode, ModeSpec, repeated},
    theory::Objective,
};

/// The modes of a problem, disjoint, in order of their first arm.
pub(super) fn find_modes(
    spec: &ModeSpec,
    shape: &Shape,
    names: Option<&[String]>,
    rewards: &[f64],
    objective: &Objective,
) -> Result<Vec<Mode>, ProblemError> {
    let is_good =
        |threshold: f64| move |arm: usize| objective.effective_reward(rewards[arm]) >= threshold;
    Ok(match spec {
        ModeSpec::Labelled(labelled) => given(labelled, rewards.len())?,
        ModeSpec::EachArm { threshold } => {
            let good = is_good(*threshold);
            (0..rewards.len())
                .filter(|arm| good(*arm))
                .map(|arm| Mode {
                    label: run_label(arm, arm, names),
                    arms: vec![arm as u32],
                })
                .collect()
        }
        ModeSpec::Detected { threshold } => {
            let threshold = threshold.unwrap_or_else(|| halfway(rewards, objective));
            let good = is_good(threshold);
            match *shape {
                Shape::Line { .. } => runs(rewards.len(), names, good),
                Shape::Grid { rows, columns, .. } => regions(shape, rows, columns, rewards, good),
            }
        }
    })
}

/// Halfway between the smallest and the largest effective reward.
fn halfway(rewards: &[f64], objective: &Objective) -> f64 {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for &reward in rewards {
        low = if reward < low { reward } else { low };
        high = if reward > high { reward } else { high };
    }
    // Monotone in the raw reward, so that the ends stay the ends.
    let (a, b) = (
        objective.effective_reward(low),
        objective.effective_reward(high),
    );
    0.5 * a + 0.5 * b
}

/// Maximal runs of neighbouring good arms on a line.
fn runs(arms: usize, names: Option<&[String]>, good: impl Fn(usize) -> bool) -> Vec<Mode> {
    let mut modes = Vec::new();
    let mut start = None;
    for arm in 0..=arms {
        let inside = arm < arms && good(arm);
        match (start, inside) {
            (None, true) => start = Some(arm),
            (Some(first), false) => {
                modes.push(Mode {
                    label: run_label(first, arm - 1, names),
                    arms: (first as u32..arm as u32).collect(),
                });
                start = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    modes
}

fn run_label(first: usize, last: usize, names: Option<&[String]>) -> String {
    let name = |arm: usize| names.and_then(|names| names.get(arm));
    match (name(first), name(last)) {
        (Some(only), Some(_)) if first == last => only.clone(),
        (Some(a), Some(b)) => format!("{a}–{b}"),
        _ if first == last => format!("arm {first}"),
        _ => format!("arms {first}–{last}"),
    }
}

/// Regions of good arms that touch along an edge, on a grid.
fn regions(
    shape: &Shape,
    rows: usize,
    columns: usize,
    rewards: &[f64],
    good: impl Fn(usize) -> bool,
) -> Vec<Mode> {
    let mut seen: Vec<bool> = (0..rewards.len()).map(|arm| !good(arm)).collect();
    let mut modes = Vec::new();
    let mut to_visit: Vec<u32> = Vec::new();
    for first in 0..seen.len() {
        if std::mem::replace(&mut seen[first], true) {
            continue;
        }
        let mut arms = Vec::new();
        let mut best = first;
        to_visit.push(first as u32);
        while let Some(arm) = to_visit.pop() {
            arms.push(arm);
            let arm = arm as usize;
            if rewards[arm] > rewards[best] {
                best = arm;
            }
            let (row, column) = (arm / columns, arm % columns);
            let mut visit = |exists: bool, neighbour: usize| {
                if exists && !std::mem::replace(&mut seen[neighbour], true) {
                    to_visit.push(neighbour as u32);
                }
            };
            visit(column > 0, arm.wrapping_sub(1));
            visit(column + 1 < columns, arm + 1);
            visit(row > 0, arm.wrapping_sub(columns));
            visit(row + 1 < rows, arm + columns);
        }
        arms.sort_unstable();
        let (x, y) = shape.coordinates(best);
        modes.push(Mode {
            label: format!("at ({x:.2}, {y:.2})").replace('-', "−"),
            arms,
        });
    }
    modes
}

/// Modes given by hand; checked here again because the number of arms of a CSV or an edit may have changed.
fn given(labelled: &[LabelledMode], arms: usize) -> Result<Vec<Mode>, ProblemError> {
    let mut taken = vec![false; arms];
    let mut modes = Vec::with_capacity(labelled.len());
    for mode in labelled {
        let mut members = Vec::new();
        for &(from, to) in &mode.ranges {
            let range = taken.get_mut(from..to).filter(|range| !range.is_empty());
            let Some(range) = range else {
                return Err(ProblemError::Modes(format!(
                    "range ({from}, {to}) of “{}” is not accepted; two arms, the first one smaller, up to {arms} are",
                    repeated(&mode.label)
                )));
            };
            if let Some(twice) = range.iter().position(|taken| *taken) {
                return Err(ProblemError::Modes(format!(
                    "arm {} of “{}” is in a mode already; an arm belongs to one mode at most",
                    from + twice,
                    repeated(&mode.label)
                )));
            }
            range.fill(true);
            members.extend(from as u32..to as u32);
        }
        if members.is_empty() {
            return Err(ProblemError::Modes(format!(
                "“{}” has no arms; at least one range is needed",
                repeated(&mode.label)
            )));
        }
        members.sort_unstable();
        modes.push(Mode {
            label: mode.label.clone(),
            arms: members,
        });
    }
    modes.sort_by_key(|mode| mode.arms.first().copied());
    Ok(modes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use crate::{
        bandit::ProblemSource,
        experiment::{parse_preset, set_path},
    };

    fn modes(arms: &str, rewards: &str, spec: &str) -> Result<Vec<(String, Vec<u32>)>, String> {
        let text = format!(
            "(format: 1, title: \"t\", bandit: (arms: {arms}, reference: Constant(1), rewards: {rewards}, modes: {spec}), \
             objective: (direction: Reverse, beta: 1, reward_scale: 2))"
        );
        let preset = parse_preset(&text).map_err(|errors| errors.to_string())?;
        let problem = ProblemSource::evaluate(&preset.bandit, None)
            .and_then(|source| source.problem(&preset.bandit, &preset.objective))
            .map_err(|error| error.to_string())?;
        Ok(problem
            .modes
            .into_iter()
            .map(|mode| (mode.label, mode.arms))
            .collect())
    }

    #[test]
    fn runs_on_a_line_are_modes_and_named_by_their_ends() {
        let found = modes(
            "Line(count: 7)",
            "List([1, 1, 0, 0, 1, 0, 1])",
            "Detected()",
        )
        .unwrap();
        assert_eq!(
            found,
            [
                ("arms 0–1".to_owned(), vec![0, 1]),
                ("arm 4".to_owned(), vec![4]),
                ("arm 6".to_owned(), vec![6]),
            ]
        );
        let named = "Named([\"a\", \"b\", \"c\"])";
        let found = modes(named, "List([1, 1, 0])", "Detected()").unwrap();
        assert_eq!(found, [("a–b".to_owned(), vec![0, 1])]);
        let found = modes(named, "List([1, 1, 0])", "EachArm(threshold: 2)").unwrap();
        assert_eq!(
            found,
            [("a".to_owned(), vec![0]), ("b".to_owned(), vec![1])]
        );
    }

    #[test]
    fn thresholds_count_effective_rewards() {
        // The scale is 2, so that 0.6 raw is 1.2 effective.
        let found = modes(
            "Line(count: 2)",
            "List([0.6, 0.4])",
            "Detected(threshold: 1)",
        )
        .unwrap();
        assert_eq!(found, [("arm 0".to_owned(), vec![0])]);
    }

    #[test]
    fn equal_rewards_are_one_mode_and_unreachable_thresholds_none() {
        assert_eq!(
            modes("Line(count: 3)", "Constant(5)", "Detected()")
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            modes("Line(count: 3)", "Constant(5)", "Detected(threshold: 11)")
                .unwrap()
                .len(),
            0
        );
    }

    #[test]
    fn regions_on_a_grid_touch_along_edges_not_corners() {
        let rewards = "List([1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 0, 1])";
        let found = modes("Grid(rows: 3, columns: 4)", rewards, "Detected()").unwrap();
        let arms: Vec<Vec<u32>> = found.iter().map(|(_, arms)| arms.clone()).collect();
        assert_eq!(arms, [vec![0, 1, 5, 6], vec![8], vec![11]]);
        assert_eq!(found[1].0, "at (0.12, 0.83)");
    }

    #[test]
    fn labelled_modes_are_sorted_and_must_not_overlap() {
        let line = "Line(count: 9)";
        let spec = "Labelled([(label: \"late\", ranges: [(7, 9), (5, 6)]), (label: \"early\", ranges: [(0, 2)])])";
        assert_eq!(
            modes(line, "Constant(1)", spec).unwrap(),
            [
                ("early".to_owned(), vec![0, 1]),
                ("late".to_owned(), vec![5, 7, 8])
            ]
        );
        for bad in [
            "Labelled([(label: \"a\", ranges: [(0, 2), (1, 3)])])",
            "Labelled([(label: \"a\", ranges: [(0, 10)])])",
            "Labelled([(label: \"a\", ranges: [(2, 2)])])",
            "Labelled([(label: \"a\", ranges: [])])",
            "Labelled([(label: \"\", ranges: [(0, 1)])])",
        ] {
            assert!(modes(line, "Constant(1)", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hundred_thousand_arms_become_a_problem_in_milliseconds() {
        let mut preset = crate::experiment::builtin_preset("many-arms").unwrap();
        set_path(
            &mut preset,
            "bandit.reference_edits=[(5, 0.001), (99999, 0.2)]",
        )
        .unwrap();
        let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
        // The best of several, since other programs share the machine.
        let best = (0..20)
            .map(|_| {
                let start = std::time::Instant::now();
                let problem = source.problem(&preset.bandit, &preset.objective).unwrap();
                assert_eq!(problem.modes.len(), 8);
                start.elapsed()
            })
            .min()
            .unwrap();
        println!("problem of 100,000 arms with edits: {best:?}");
        assert!(best.as_micros() < 5_000, "{best:?}");
    }
}
