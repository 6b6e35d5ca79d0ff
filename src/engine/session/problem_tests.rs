#![expect(clippy::unwrap_used, reason = "tests may panic")]

use super::{
    tests::{bits, drive_like_the_window, never, preset, row_bits},
    *,
};
use crate::{
    experiment::{Arms, BanditSpec, Role, Source},
    theory::CoverageRule,
};

fn zipf() -> Source {
    Source::Zipf { exponent: 1.2 }
}

fn formula() -> Source {
    Source::Formula("gauss(x, 0.3, 0.1) + 0.8 * gauss(x, 0.8, 0.05)".to_owned())
}

fn problem(spec: BanditSpec) -> Edit {
    Edit::Problem(Box::new(spec))
}

/// Edits of a problem among others: sources replaced, bars on top of them, and everything back at last.
fn edits(preset: &Preset) -> Journal {
    let bandit = &preset.bandit;
    let on_zipf = bandit.with_source(Role::Reference, zipf());
    let both = on_zipf.with_source(Role::Rewards, formula());
    let mut journal = Journal::default();
    journal.push(120, problem(on_zipf));
    journal.push(300, Edit::Reward { arm: 3, value: 0.4 });
    journal.push(400, problem(both));
    journal.push(
        650,
        Edit::Reference {
            arm: 60,
            weight: 0.2,
        },
    );
    journal.push(900, problem(bandit.clone()));
    journal
}

#[test]
fn edits_of_the_problem_are_repeated_headless_bit_for_bit() {
    let preset = preset();
    let journal = edits(&preset);
    let mut window = Session::new(preset.clone(), None).unwrap();
    drive_like_the_window(&mut window, &journal, 1200);
    let written = Journal::parse(&window.journal().to_lines()).unwrap();
    assert_eq!(written, journal);
    let initial = window.initial_preset().as_ref().clone();
    let mut headless = Session::replay(initial, None, &written).unwrap();
    headless.advance(Budget::steps(1200), &never).unwrap();
    assert_eq!(bits(window.policy()), bits(headless.policy()));
    assert_eq!(row_bits(&window), row_bits(&headless));
    assert_eq!(window.preset(), headless.preset());
    let marks = window.marks.to_vec();
    assert_eq!(marks, headless.marks.to_vec());
    assert_eq!(marks[0].label, "reference power law 4 → Zipf 1.2");
    let mut plain = Session::new(preset, None).unwrap();
    plain.advance(Budget::steps(1200), &never).unwrap();
    assert_ne!(bits(window.policy()), bits(plain.policy()));
}

#[test]
fn what_the_window_has_solved_is_what_the_trainer_would_have_found() {
    let preset = preset();
    let spec = preset.bandit.with_source(Role::Rewards, formula());
    let run = |solved: Option<Solved>| {
        let mut session = Session::new(preset.clone(), None).unwrap();
        session.advance(Budget::steps(50), &never).unwrap();
        let refused = session.edit_towards([problem(spec.clone())], solved);
        assert!(refused.is_empty());
        session.advance(Budget::steps(50), &never).unwrap();
        bits(session.policy())
    };
    let mut after = preset.clone();
    after.bandit = spec.clone();
    let source = ProblemSource::evaluate(&after.bandit, None).unwrap();
    let problem = Arc::new(source.problem(&after.bandit, &after.objective).unwrap());
    let analysis = Analysis::new(&problem, &after.objective).unwrap();
    let solved = Solved {
        preset: Arc::new(after),
        source: Arc::new(source),
        problem,
        analysis: Arc::new(analysis),
    };
    assert_eq!(run(Some(solved)), run(None));
}

#[test]
fn bars_lie_on_the_sources_of_the_last_edit() {
    let preset = preset();
    let mut session = Session::new(preset.clone(), None).unwrap();
    drive_like_the_window(&mut session, &edits(&preset), 700);
    let now = session.preset();
    let source = ProblemSource::evaluate(&now.bandit, None).unwrap();
    let afresh = source.problem(&now.bandit, &now.objective).unwrap();
    assert_eq!(session.problem().as_ref(), &afresh);
    assert_eq!(now.bandit.rewards, formula());
}

#[test]
fn going_back_over_an_edit_of_the_problem_takes_the_old_sources_back() {
    let preset = preset();
    let mut session = Session::new(preset.clone(), None).unwrap();
    drive_like_the_window(&mut session, &edits(&preset), 600);
    let reached = session.revert(100).unwrap();
    assert!(reached <= 100);
    assert_eq!(session.preset().bandit, preset.bandit);
    let fresh = Session::new(preset.clone(), None).unwrap();
    assert_eq!(session.problem(), fresh.problem());
    // Later edits lie on the old sources, and a new start has them too.
    let bar = Edit::Reward { arm: 3, value: 0.4 };
    assert!(session.edit([bar.clone()]).is_empty());
    session
        .advance(Budget::steps(300 - reached), &never)
        .unwrap();
    let mut journal = Journal::default();
    journal.push(reached, bar);
    let mut straight = Session::replay(preset, None, &journal).unwrap();
    straight.advance(Budget::steps(300), &never).unwrap();
    assert_eq!(bits(session.policy()), bits(straight.policy()));
}

#[test]
fn other_arms_need_a_fresh_start_and_a_bad_source_changes_nothing() {
    let preset = preset();
    let mut session = Session::new(preset.clone(), None).unwrap();
    session.advance(Budget::steps(5), &never).unwrap();
    let arms = Arms::Line {
        count: 50,
        range: None,
    };
    let fewer = preset.bandit.with_arms(arms).0;
    let grid = Arms::Grid {
        rows: 10,
        columns: 10,
        x_range: None,
        y_range: None,
    };
    let bad = |text: &str| {
        let source = Source::Formula(text.to_owned());
        problem(preset.bandit.with_source(Role::Rewards, source))
    };
    let refused = session.edit([
        problem(fewer),
        problem(preset.bandit.with_arms(grid).0),
        bad("1 +"),
        bad("1 / (i - 7)"),
    ]);
    let words = ["fresh start", "fresh start", "bandit.rewards", "arm 7"];
    assert_eq!(refused.len(), words.len());
    for ((_, error), word) in refused.iter().zip(words) {
        assert!(error.to_string().contains(word), "{error} lacks {word}");
    }
    assert_eq!(session.preset(), &preset);
    assert!(session.journal().entries().is_empty());
    session.advance(Budget::steps(5), &never).unwrap();
    let mut plain = Session::new(preset, None).unwrap();
    plain.advance(Budget::steps(10), &never).unwrap();
    assert_eq!(bits(session.policy()), bits(plain.policy()));
}

#[test]
fn what_counts_as_covered_changes_metrics_and_nothing_of_the_run() {
    let mut preset = preset();
    preset.training.stop.steps = None;
    let rule = CoverageRule {
        epsilon: 1.0,
        draws: 200,
    };
    let run = |edits: &[Edit]| {
        let mut session = Session::new(preset.clone(), None).unwrap();
        session.advance(Budget::steps(60), &never).unwrap();
        assert!(session.edit(edits.to_vec()).is_empty());
        session.advance(Budget::steps(60), &never).unwrap();
        session
    };
    let (mut plain, mut edited) = (run(&[]), run(&[Edit::Coverage(rule)]));
    assert_eq!(bits(plain.policy()), bits(edited.policy()));
    let modes = bandit::mode_masses(edited.problem(), plain.policy());
    let seen: f64 = modes.iter().map(|m| 1.0 - (1.0 - m).powi(200)).sum();
    let wanted = seen / modes.len() as f64;
    let found = edited.metrics().get(Metric::Coverage);
    assert!((found - wanted).abs() < 1e-9, "{found} against {wanted}");
    assert_ne!(found, plain.metrics().get(Metric::Coverage));
    assert_eq!(edited.preset().coverage, rule);
    let labels: Vec<String> = edited.marks.to_vec().into_iter().map(|m| m.label).collect();
    assert_eq!(
        labels,
        ["ε of covered modes 0.1 → 1", "draws of coverage 10 → 200"]
    );
    // The journal repeats it, and going back takes it back.
    let written = Journal::parse(&edited.journal().to_lines()).unwrap();
    let mut again = Session::replay(preset.clone(), None, &written).unwrap();
    again.advance(Budget::steps(120), &never).unwrap();
    assert_eq!(again.metrics().get(Metric::Coverage), found);
    edited.revert(30).unwrap();
    assert_eq!(edited.preset().coverage, CoverageRule::USUAL);
    let nothing = Edit::Coverage(CoverageRule {
        draws: 0,
        ..CoverageRule::USUAL
    });
    assert_eq!(edited.edit([nothing]).len(), 1, "no draws are refused");
}
