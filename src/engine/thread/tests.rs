#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::{
    bandit::{Analysis, ProblemSource},
    engine::{StopReason, session::tests::Fault},
    experiment::{Preset, StopRule, builtin_preset},
    theory::Beta,
};

fn preset() -> Preset {
    let mut preset = builtin_preset("figure-5").unwrap();
    preset.training.stop = StopRule::default();
    preset
}

fn load(preset: &Preset, run: bool) -> Command {
    Command::Load {
        preset: Arc::new(preset.clone()),
        base_dir: None,
        run,
    }
}

fn engine() -> Engine {
    Engine::spawn(|| {}).unwrap()
}

/// Waits until the snapshot is as wanted; tests fail after 20 seconds.
fn wait_for(engine: &Engine, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let begun = Instant::now();
    loop {
        if let Some(snapshot) = engine.snapshot().filter(|s| wanted(s)) {
            return snapshot;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "waited in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn wait_for_event(engine: &Engine, wanted: impl Fn(&Event) -> bool) -> Event {
    let begun = Instant::now();
    loop {
        match engine.try_event() {
            Some(event) if wanted(&event) => return event,
            Some(_) => {}
            None => std::thread::sleep(Duration::from_millis(2)),
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "waited in vain for an event"
        );
    }
}

fn beta_edit(preset: &Preset, beta: f64) -> Command {
    let mut objective = preset.objective;
    objective.beta = Beta::new(beta).unwrap();
    Command::Edit(Edit::Objective(objective))
}

#[test]
fn a_loaded_experiment_waits_steps_runs_and_pauses() {
    let engine = engine();
    assert!(engine.snapshot().is_none());
    engine.send(load(&preset(), false)).unwrap();
    let first = wait_for(&engine, "the first snapshot", |_| true);
    assert_eq!((first.step, first.status), (0, Status::Paused));
    assert!(matches!(
        wait_for_event(&engine, |_| true),
        Event::Loaded { epoch: 1, .. }
    ));

    engine.send(Command::Step(3)).unwrap();
    engine.send(Command::Step(1)).unwrap();
    wait_for(&engine, "four steps", |s| {
        s.step == 4 && s.status == Status::Paused
    });

    engine.send(Command::Run).unwrap();
    wait_for(&engine, "a run", |s| {
        s.step > 1000 && s.status == Status::Running && s.steps_per_second > 0.0
    });
    engine.send(Command::Pause).unwrap();
    let paused = wait_for(&engine, "a pause", |s| s.status == Status::Paused);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(engine.snapshot().unwrap().step, paused.step);

    engine.send(Command::Reset { seed: Some(5) }).unwrap();
    let reset = wait_for(&engine, "a reset", |s| s.epoch == 2);
    assert_eq!((reset.step, reset.training.seed), (0, 5));
}

#[test]
fn an_edit_is_seen_at_once_while_training_and_while_paused() {
    let preset = preset();
    let engine = engine();
    engine.send(load(&preset, true)).unwrap();
    wait_for(&engine, "a run", |s| s.step > 1000);
    let begun = Instant::now();
    engine.send(beta_edit(&preset, 0.7)).unwrap();
    let beta =
        |wanted: f64| move |s: &Snapshot| s.objective.beta.get().to_bits() == wanted.to_bits();
    wait_for(&engine, "the edit", beta(0.7));
    assert!(begun.elapsed() < Duration::from_millis(500));
    let Event::Edited { step, .. } = wait_for_event(&engine, |e| matches!(e, Event::Edited { .. }))
    else {
        unreachable!();
    };
    assert!(step > 1000);
    engine.send(Command::Pause).unwrap();
    engine.send(beta_edit(&preset, 0.8)).unwrap();
    let paused = wait_for(&engine, "the edit in a pause", beta(0.8));
    assert_eq!(paused.status, Status::Paused);
    engine.send(beta_edit(&preset, 0.9)).unwrap();
    engine
        .send(Command::Edit(Edit::Reward {
            arm: 12_345,
            value: 0.0,
        }))
        .unwrap();
    let Event::Refused { message } =
        wait_for_event(&engine, |e| matches!(e, Event::Refused { .. }))
    else {
        unreachable!();
    };
    assert!(
        message.contains("12345") || message.contains("12,345"),
        "{message}"
    );
}

#[test]
fn a_stop_rule_ends_the_run_once_and_run_goes_on_regardless() {
    let mut preset = preset();
    preset.training.stop.steps = Some(500);
    let engine = engine();
    engine.send(load(&preset, true)).unwrap();
    wait_for(&engine, "the end", |s| {
        s.status == Status::Finished && s.step == 500
    });
    let stopped = wait_for_event(&engine, |e| matches!(e, Event::Stopped { .. }));
    assert!(matches!(
        stopped,
        Event::Stopped {
            reason: StopReason::Steps,
            step: 500
        }
    ));
    engine.send(Command::Run).unwrap();
    wait_for(&engine, "more", |s| {
        s.step > 1000 && s.status == Status::Running
    });
}

#[test]
fn a_failing_trainer_is_told_and_a_reset_works_again() {
    for prepare in [
        (|session| session.fault = Some(Fault::Error(300))) as fn(&mut Session),
        |session| session.fault = Some(Fault::Panic(300)),
    ] {
        let engine = Engine::spawn_with(Arc::new(|| {}), prepare).unwrap();
        engine.send(load(&preset(), true)).unwrap();
        let Event::Failed { message, .. } =
            wait_for_event(&engine, |e| matches!(e, Event::Failed { .. }))
        else {
            unreachable!();
        };
        assert!(message.contains("a test asked for this"), "{message}");
        assert_eq!(message.lines().count(), 1);
        let last = wait_for(&engine, "the failure", |s| s.status == Status::Failed);
        assert!(last.step <= 300, "the last good picture stays");
        engine.send(Command::Run).unwrap();
        wait_for_event(&engine, |e| matches!(e, Event::Refused { .. }));
        engine.send(Command::Reset { seed: None }).unwrap();
        engine.send(Command::Step(200)).unwrap();
        wait_for(&engine, "200 steps", |s| {
            s.epoch == 2 && s.step == 200 && s.status == Status::Paused
        });
        engine.send(load(&preset(), false)).unwrap();
        wait_for(&engine, "another load", |s| {
            s.epoch == 3 && s.status == Status::Paused
        });
    }
}

#[test]
fn a_broken_preset_is_refused_and_the_run_goes_on() {
    let engine = engine();
    engine.send(load(&preset(), true)).unwrap();
    wait_for(&engine, "a run", |s| s.step > 10);
    let mut broken = preset();
    broken.bandit.reference = crate::experiment::Source::List(vec![1.0, -1.0]);
    engine.send(load(&broken, true)).unwrap();
    wait_for_event(&engine, |e| matches!(e, Event::Refused { .. }));
    let step = engine.snapshot().unwrap().step;
    let on = wait_for(&engine, "the old run", |s| s.step > step);
    assert_eq!(on.epoch, 1);
}

#[test]
fn going_back_answers_with_the_experiment_as_it_was() {
    let preset = preset();
    let engine = engine();
    engine.send(load(&preset, false)).unwrap();
    engine.send(Command::Step(100)).unwrap();
    wait_for(&engine, "100 steps", |s| {
        s.step == 100 && s.status == Status::Paused
    });
    engine.send(beta_edit(&preset, 0.9)).unwrap();
    engine.send(Command::Step(50)).unwrap();
    wait_for(&engine, "150 steps", |s| {
        s.step == 150 && s.status == Status::Paused
    });
    engine.send(Command::Revert { step: 99 }).unwrap();
    let reverted = wait_for_event(&engine, |e| matches!(e, Event::Reverted { .. }));
    let Event::Reverted { step, preset: then } = reverted else {
        unreachable!();
    };
    assert_eq!(step, 99);
    assert_eq!(*then, preset);
    let snapshot = wait_for(&engine, "step 99", |s| s.step == 99);
    assert!(snapshot.marks.is_empty());
    assert!(snapshot.keyframes.iter().all(|frame| frame.step <= 99));
}

#[test]
fn too_many_orders_are_refused_without_waiting_and_the_thread_still_ends() {
    // One long order keeps the thread busy: a step at a time on a large problem.
    let mut large = preset();
    large.bandit =
        builtin_preset("many-arms").map_or_else(|| large.bandit.clone(), |preset| preset.bandit);
    let engine = engine();
    let mut refused = 0;
    for _ in 0..5000 {
        let begun = Instant::now();
        if engine.send(load(&large, false)) == Err(SendRefused::Busy) {
            refused += 1;
        }
        assert!(
            begun.elapsed() < Duration::from_millis(500),
            "sending never waits"
        );
        if refused > 10 {
            break;
        }
    }
    assert!(refused > 0);
    let begun = Instant::now();
    drop(engine);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "the flag ends it, not the queue"
    );
}

#[test]
fn unread_snapshots_are_not_made_and_idle_means_idle() {
    static WAKES: AtomicUsize = AtomicUsize::new(0);
    let engine = Engine::spawn(|| {
        WAKES.fetch_add(1, Ordering::Relaxed);
    })
    .unwrap();
    engine.send(load(&preset(), true)).unwrap();
    wait_for(&engine, "a run", |s| s.step > 10);
    std::thread::sleep(Duration::from_millis(400));
    let before = WAKES.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(
        WAKES.load(Ordering::Relaxed),
        before,
        "nobody reads, nothing is made"
    );
    let stale = engine.snapshot().unwrap().step;
    wait_for(&engine, "a fresh one", |s| s.step > stale);
    engine.send(Command::Pause).unwrap();
    wait_for(&engine, "a pause", |s| s.status == Status::Paused);
    std::thread::sleep(Duration::from_millis(400));
    let before = WAKES.load(Ordering::Relaxed);
    let _ = engine.snapshot();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(WAKES.load(Ordering::Relaxed), before, "paused: no wakes");
}

#[test]
fn a_speed_limit_holds_and_orders_still_act_at_once() {
    let engine = engine();
    engine
        .send(Command::Speed(Speed::StepsPerSecond(100.0)))
        .unwrap();
    engine.send(load(&preset(), true)).unwrap();
    wait_for(&engine, "a run", |s| s.step >= 1);
    let (step, begun) = (engine.snapshot().unwrap().step, Instant::now());
    std::thread::sleep(Duration::from_millis(300));
    let now = wait_for(&engine, "some steps", |s| s.step >= step + 10);
    let rate = (now.step - step) as f64 / begun.elapsed().as_secs_f64();
    assert!((50.0..=130.0).contains(&rate), "{rate} steps per second");
    engine
        .send(Command::Speed(Speed::StepsPerSecond(0.1)))
        .unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let begun = Instant::now();
    engine.send(Command::Pause).unwrap();
    wait_for(&engine, "a pause", |s| s.status == Status::Paused);
    assert!(begun.elapsed() < Duration::from_millis(300));
}

#[test]
fn a_run_is_saved_from_the_window_and_disk_errors_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine();
    engine.send(load(&preset(), false)).unwrap();
    engine.send(Command::Step(40)).unwrap();
    wait_for(&engine, "40 steps", |s| {
        s.step == 40 && s.status == Status::Paused
    });
    let target = folder.path().join("run");
    engine.send(Command::SaveRun(target.clone())).unwrap();
    let saved = wait_for_event(&engine, |e| matches!(e, Event::Saved(_)));
    assert!(matches!(saved, Event::Saved(path) if path == target));
    let metrics = std::fs::read_to_string(target.join("metrics.csv")).unwrap();
    assert_eq!(metrics.lines().count(), 42, "a header and steps 0 to 40");
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    engine.send(Command::SaveRun(file)).unwrap();
    wait_for_event(&engine, |e| matches!(e, Event::Refused { .. }));
}

/// What a window would have worked out for an experiment with another β.
fn solved(source: &Arc<ProblemSource>, preset: &Preset, beta: f64) -> Solved {
    let mut preset = preset.clone();
    preset.objective.beta = Beta::new(beta).unwrap();
    let problem = source.problem(&preset.bandit, &preset.objective).unwrap();
    let analysis = Analysis::new(&problem, &preset.objective).unwrap();
    Solved {
        preset: Arc::new(preset),
        source: Arc::clone(source),
        problem: Arc::new(problem),
        analysis: Arc::new(analysis),
    }
}

#[test]
fn what_the_window_solved_is_taken_where_it_belongs() {
    let preset = preset();
    let source = Arc::new(ProblemSource::evaluate(&preset.bandit, None).unwrap());
    let taken = |snapshot: &Snapshot, solved: &Solved| {
        Arc::ptr_eq(&snapshot.problem, &solved.problem)
            && Arc::ptr_eq(&snapshot.analysis, &solved.analysis)
    };
    let has_beta = |beta: f64| move |s: &Snapshot| s.objective.beta.get() == beta;
    let engine = engine();
    let first = solved(&source, &preset, preset.objective.beta.get());
    engine.send(Command::Solved(first.clone())).unwrap();
    engine.send(load(&preset, false)).unwrap();
    assert!(taken(&wait_for(&engine, "the load", |_| true), &first));

    let second = solved(&source, &preset, 0.3);
    engine.send(Command::Solved(second.clone())).unwrap();
    engine.send(beta_edit(&preset, 0.3)).unwrap();
    assert!(taken(
        &wait_for(&engine, "the edit", has_beta(0.3)),
        &second
    ));

    // Of another β, and of another evaluation of the sources.
    let other = Arc::new(ProblemSource::clone(&source));
    for (beta, foreign) in [
        (0.5, solved(&source, &preset, 0.7)),
        (0.6, solved(&other, &preset, 0.6)),
    ] {
        engine.send(Command::Solved(foreign.clone())).unwrap();
        engine.send(beta_edit(&preset, beta)).unwrap();
        let snapshot = wait_for(&engine, "the edit", has_beta(beta));
        assert!(!taken(&snapshot, &foreign));
        let own = solved(&source, &preset, beta).analysis;
        assert!(snapshot.analysis.target == own.target);
    }
    // It served one order only.
    engine.send(beta_edit(&preset, 0.3)).unwrap();
    assert!(!taken(
        &wait_for(&engine, "the edit", has_beta(0.3)),
        &second
    ));
}
