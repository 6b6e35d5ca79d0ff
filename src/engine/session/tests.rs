#![expect(clippy::unwrap_used, reason = "tests may panic")]

use super::*;
use crate::{
    experiment::{Optimizer, StopRule, Update, builtin_preset},
    theory::{Beta, Direction, Metric},
};

/// A failure that a test asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// An error before the step after this one.
    Error(u64),
    /// A panic there.
    Panic(u64),
}

impl Fault {
    pub(super) fn strike(fault: Option<Self>, step: u64) -> Result<(), SessionError> {
        match fault {
            Some(Self::Error(at)) if at == step => Err(SessionError::Fault(step)),
            Some(Self::Panic(at)) if at == step => panic!("a test asked for this panic"),
            _ => Ok(()),
        }
    }
}

pub(super) fn never() -> bool {
    false
}

pub(super) fn preset() -> Preset {
    let mut preset = builtin_preset("figure-5").unwrap();
    preset.training = Training {
        seed: 7,
        ..Training::default()
    };
    preset
}

fn objective(preset: &Preset, beta: f64) -> Edit {
    let mut objective = preset.objective;
    objective.beta = Beta::new(beta).unwrap();
    Edit::Objective(objective)
}

fn edits(preset: &Preset) -> Journal {
    let mut forward = preset.objective;
    forward.direction = Direction::Forward;
    let slower = Training {
        learning_rate: 0.01,
        optimizer: Optimizer::Momentum { momentum: 0.5 },
        ..preset.training.clone()
    };
    [
        (0, objective(preset, 0.2)),
        (37, Edit::Reward { arm: 3, value: 0.4 }),
        (
            37,
            Edit::Reference {
                arm: 60,
                weight: 0.2,
            },
        ),
        (500, Edit::Objective(forward)),
        (700, Edit::Training(Box::new(slower))),
        (
            1301,
            Edit::Bars {
                rewards: vec![(9, 2.0)],
                reference: vec![],
            },
        ),
    ]
    .into_iter()
    .fold(Journal::default(), |mut journal, (step, edit)| {
        journal.push(step, edit);
        journal
    })
}

pub(super) fn bits(masses: &[f64]) -> Vec<u64> {
    masses.iter().map(|mass| mass.to_bits()).collect()
}

pub(super) fn row_bits(session: &Session) -> Vec<(u64, Vec<u64>)> {
    session
        .rows()
        .iter()
        .map(|row| {
            (
                row.step,
                row.metrics
                    .iter()
                    .map(|(_, value)| value.to_bits())
                    .collect(),
            )
        })
        .collect()
}

/// Drives a session as the window does: small slices of time, interruptions, snapshots in between.
pub(super) fn drive_like_the_window(session: &mut Session, journal: &Journal, steps: u64) {
    let mut journal = journal.entries().iter().peekable();
    let mut slice = 0;
    while session.step() < steps {
        while let Some(entry) = journal.next_if(|entry| entry.step <= session.step()) {
            assert!(session.edit([entry.edit.clone()]).is_empty());
        }
        let next = journal.peek().map_or(steps, |entry| entry.step.min(steps));
        slice += 1;
        let budget = Budget {
            steps: (next - session.step()).min(1 + slice % 13),
            until: Some(Instant::now() + Duration::from_micros(slice % 7 * 10)),
            stop_rules: true,
        };
        session.advance(budget, &|| slice % 3 == 0).unwrap();
        if slice % 5 == 0 {
            session.snapshot(1, Status::Running, 0.0, slice % 2 == 0);
        }
    }
}

#[test]
fn the_window_and_a_headless_replay_give_the_same_run_bit_for_bit() {
    let preset = preset();
    let journal = edits(&preset);
    let mut window = Session::new(preset.clone(), None).unwrap();
    drive_like_the_window(&mut window, &journal, 3000);

    let mut headless = Session::replay(
        window.initial_preset().as_ref().clone(),
        None,
        window.journal(),
    )
    .unwrap();
    headless.advance(Budget::steps(3000), &never).unwrap();

    assert_eq!(window.journal(), &journal);
    assert_eq!(headless.journal(), &journal);
    assert_eq!(bits(window.policy()), bits(headless.policy()));
    assert_eq!(row_bits(&window), row_bits(&headless));
    assert_eq!(window.preset(), headless.preset());
    let frames = |session: &Session| -> Vec<(u64, Arc<[f32]>)> {
        session
            .keyframes
            .iter()
            .map(|(step, f)| (*step, Arc::clone(&f.policy)))
            .collect()
    };
    assert_eq!(frames(&window), frames(&headless));
    assert_eq!(window.marks.to_vec(), headless.marks.to_vec());
}

#[test]
fn another_seed_or_another_edit_gives_another_run() {
    let run = |seed, beta: Option<f64>| {
        let mut preset = preset();
        preset.training.seed = seed;
        let edit = beta.map(|beta| objective(&preset, beta));
        let mut session = Session::new(preset, None).unwrap();
        assert!(session.edit(edit).is_empty());
        session.advance(Budget::steps(50), &never).unwrap();
        bits(session.policy())
    };
    assert_eq!(run(1, None), run(1, None));
    assert_ne!(run(1, None), run(2, None));
    assert_ne!(run(1, None), run(1, Some(0.5)));
}

#[test]
fn going_back_repeats_the_first_time_bit_for_bit() {
    let preset = preset();
    let mut session = Session::new(preset.clone(), None).unwrap();
    drive_like_the_window(&mut session, &edits(&preset), 2000);
    let reached = session.revert(1000).unwrap();
    assert!((900..=1000).contains(&reached), "{reached} is near 1000");
    assert_eq!(session.step(), reached);
    let slower = session.preset().training.learning_rate;
    assert!(
        (slower - 0.01).abs() < 1e-12,
        "the experiment is as it was then"
    );
    assert!(
        session
            .journal()
            .entries()
            .iter()
            .all(|entry| entry.step <= reached)
    );
    assert!(session.rows().iter().all(|row| row.step <= reached));
    session
        .advance(Budget::steps(2000 - reached), &never)
        .unwrap();

    let mut kept = edits(&preset);
    kept.truncate(reached);
    let mut straight = Session::replay(preset, None, &kept).unwrap();
    straight.advance(Budget::steps(2000), &never).unwrap();
    assert_eq!(bits(session.policy()), bits(straight.policy()));
    assert_eq!(row_bits(&session), row_bits(&straight));
}

#[test]
fn going_back_across_another_family_or_start_works() {
    let preset = preset();
    let mut session = Session::new(preset.clone(), None).unwrap();
    session.advance(Budget::steps(100), &never).unwrap();
    let at_100 = bits(session.policy());
    let uniform = Training {
        start: crate::experiment::Start::Uniform,
        ..preset.training
    };
    assert!(session.edit([Edit::Training(Box::new(uniform))]).is_empty());
    assert_ne!(bits(session.policy()), at_100, "the policy begins anew");
    session.advance(Budget::steps(20), &never).unwrap();
    assert_eq!(session.revert(99).unwrap(), 99);
    session.advance(Budget::steps(1), &never).unwrap();
    assert_eq!(bits(session.policy()), at_100);
}

#[test]
fn a_reset_starts_the_edited_experiment_over() {
    let preset = preset();
    let mut session = Session::new(preset.clone(), None).unwrap();
    session.advance(Budget::steps(10), &never).unwrap();
    assert!(session.edit([objective(&preset, 0.5)]).is_empty());
    session.reset(Some(99)).unwrap();
    assert_eq!(session.step(), 0);
    assert!(session.journal().entries().is_empty());
    let initial = session.initial_preset();
    assert_eq!(initial.training.seed, 99);
    assert_eq!(initial.objective.beta.get().to_bits(), 0.5f64.to_bits());
}

#[test]
fn an_impossible_edit_is_refused_and_changes_nothing() {
    let preset = preset();
    let mut session = Session::new(preset.clone(), None).unwrap();
    session.advance(Budget::steps(5), &never).unwrap();
    let everything_zero = Edit::Bars {
        rewards: vec![],
        reference: (0..100).map(|arm| (arm, 0.0)).collect(),
    };
    let refused = session.edit([
        Edit::Reward {
            arm: 100,
            value: 1.0,
        },
        Edit::Reward {
            arm: 0,
            value: f64::NAN,
        },
        everything_zero,
        objective(&preset, 0.3),
    ]);
    assert_eq!(refused.len(), 3, "{refused:?}");
    for (_, error) in &refused {
        assert_eq!(error.to_string().lines().count(), 1);
    }
    assert_eq!(
        session.journal().entries().len(),
        1,
        "the good one of them took effect"
    );
    let mut expected = preset;
    expected.objective.beta = Beta::new(0.3).unwrap();
    assert_eq!(session.preset(), &expected);
    session.advance(Budget::steps(5), &never).unwrap();
}

#[test]
fn a_run_stops_after_the_wanted_steps_and_goes_on_when_told() {
    let mut preset = preset();
    preset.training.stop = StopRule {
        steps: Some(321),
        ..StopRule::default()
    };
    let mut session = Session::new(preset, None).unwrap();
    let later = || Budget::until(Instant::now() + Duration::from_secs(20));
    assert_eq!(
        session.advance(later(), &never).unwrap(),
        Some(StopReason::Steps)
    );
    assert_eq!(session.step(), 321);
    assert_eq!(
        session.advance(later(), &never).unwrap(),
        Some(StopReason::Steps)
    );
    session.ignore_stop();
    let soon = Budget {
        steps: 100,
        ..later()
    };
    assert_eq!(session.advance(soon, &never).unwrap(), None);
    assert_eq!(session.step(), 421);
}

#[test]
fn a_run_stops_once_it_has_been_close_to_the_target_for_a_hundred_steps() {
    let mut preset = preset();
    preset.training.update = Update::NaturalGradient;
    preset.training.learning_rate = 1.0;
    preset.training.stop = StopRule {
        converged: Some(0.01),
        ..StopRule::default()
    };
    let mut session = Session::new(preset.clone(), None).unwrap();
    let budget = Budget {
        stop_rules: true,
        ..Budget::steps(200_000)
    };
    assert_eq!(
        session.advance(budget, &never).unwrap(),
        Some(StopReason::Converged)
    );
    let stopped = session.step();
    let mut check = Session::new(preset, None).unwrap();
    let distance = |session: &mut Session| {
        let target = session.analysis().target.masses.clone();
        total_variation(session.policy(), &target)
    };
    check.advance(Budget::steps(stopped - 100), &never).unwrap();
    let mut far = 0;
    for _ in 0..=100 {
        far += usize::from(distance(&mut check) > 0.01);
        check.advance(Budget::steps(1), &never).unwrap();
    }
    assert_eq!(far, 0, "it was close all the time");
    // Moving the target away makes it train again.
    assert!(session.edit([objective(session.preset(), 3.0)]).is_empty());
    assert_eq!(
        session
            .advance(
                Budget {
                    stop_rules: true,
                    ..Budget::steps(50)
                },
                &never
            )
            .unwrap(),
        None
    );
}

#[test]
fn a_run_stops_after_the_wanted_time() {
    let mut preset = preset();
    preset.training.stop = StopRule {
        seconds: Some(0.05),
        ..StopRule::default()
    };
    let mut session = Session::new(preset, None).unwrap();
    let reason = session.advance(
        Budget::until(Instant::now() + Duration::from_secs(20)),
        &never,
    );
    assert_eq!(reason.unwrap(), Some(StopReason::Seconds));
    assert!((0.05..5.0).contains(&session.elapsed().as_secs_f64()));
}

#[test]
fn after_a_failure_nothing_trains_until_a_reset_or_going_back() {
    let mut session = Session::new(preset(), None).unwrap();
    session.fault = Some(Fault::Error(64));
    assert!(session.advance(Budget::steps(100), &never).is_err());
    assert!(session.is_failed());
    assert!(matches!(
        session.advance(Budget::steps(1), &never),
        Err(SessionError::Failed { step: 64 })
    ));
    assert!(
        session.edit([objective(session.preset(), 0.3)]).is_empty(),
        "edits still count"
    );
    session.fault = None;
    assert_eq!(session.revert(60).unwrap(), 60);
    session.advance(Budget::steps(100), &never).unwrap();
    session.reset(None).unwrap();
    session.advance(Budget::steps(100), &never).unwrap();
}

#[test]
fn many_frames_of_a_drag_leave_one_mark_with_first_and_last_value() {
    let preset = preset();
    let mut session = Session::new(preset.clone(), None).unwrap();
    session.advance(Budget::steps(1000), &never).unwrap();
    for i in 1..=20 {
        assert!(
            session
                .edit([objective(&preset, 0.01 + f64::from(i) * 0.01)])
                .is_empty()
        );
        session.advance(Budget::steps(3), &never).unwrap();
    }
    let snapshot = session.snapshot(0, Status::Paused, 0.0, true);
    let marks: Vec<_> = snapshot
        .marks
        .iter()
        .map(|m| (m.step, m.label.as_str()))
        .collect();
    assert_eq!(marks.len(), 1, "{marks:?}");
    assert_eq!(marks[0].0, 1000);
    assert!(
        marks[0].1.starts_with("β ") && marks[0].1.ends_with("→ 0.21"),
        "{marks:?}"
    );
}

#[test]
fn a_snapshot_shows_the_run_as_it_is() {
    let mut session = Session::new(preset(), None).unwrap();
    session.advance(Budget::steps(5000), &never).unwrap();
    let snapshot = session.snapshot(3, Status::Paused, 0.0, true);
    assert_eq!((snapshot.epoch, snapshot.step), (3, 5000));
    assert_eq!(bits(&snapshot.policy), bits(session.policy()));
    assert!((snapshot.policy.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert_eq!(snapshot.policy_modes.len(), snapshot.problem.modes.len());
    let reward = snapshot.history.get(Metric::ExpectedReward).unwrap();
    assert_eq!(reward.steps.first(), Some(&0.0));
    assert!(reward.steps.last().is_some_and(|&last| last > 4990.0));
    assert!(snapshot.keyframes.len() > 100 && snapshot.keyframes.len() <= 240);
}
