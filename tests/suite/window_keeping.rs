//! What the window does so that training is not lost: checkpoints by itself, the way back after a crash, questions.
#![cfg(feature = "gui")]
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::path::{Path, PathBuf};

use egui::Key;
use egui_kittest::{Harness, kittest::Queryable};
use modescope::{lm::checkpoint::CheckpointFolder, ui::WorkbenchOptions};

use crate::window::{Bench, LANGUAGE, command, kept_in, open, quiet, wait_until};

fn language_file(dir: &Path) -> String {
    let path = dir.join("language.ron");
    std::fs::write(&path, LANGUAGE).unwrap();
    path.display().to_string()
}

fn step(harness: &mut Harness<'_, Bench>, steps: std::ops::RangeInclusive<u64>) {
    for step in steps {
        harness.key_press(Key::Period);
        wait_until(harness, "a step more", |workbench| {
            workbench.snapshot().step == step
        });
    }
}

fn loaded(harness: &mut Harness<'_, Bench>) {
    wait_until(harness, "the model is loaded", |workbench| {
        workbench.snapshot().language.is_some()
    });
}

fn click(harness: &mut Harness<'_, Bench>, name: &str) {
    harness
        .get_by_role_and_label(egui::Role::Button, name)
        .click();
    harness.run_steps(3);
}

fn says(harness: &Harness<'_, Bench>, text: &str) -> bool {
    harness.query_all_by_label_contains(text).next().is_some()
}

/// Steps of the checkpoints in the folders of runs under a session's folder.
fn written(dir: &Path) -> Vec<(PathBuf, Vec<u64>)> {
    let Ok(runs) = std::fs::read_dir(dir.join("checkpoints")) else {
        return Vec::new();
    };
    let mut runs: Vec<PathBuf> = runs.map(|entry| entry.unwrap().path()).collect();
    runs.sort();
    let steps = |run: &Path| {
        let list = CheckpointFolder::new(run, 1, false).list();
        list.iter().map(|checkpoint| checkpoint.step).collect()
    };
    runs.into_iter()
        .map(|run| (run.clone(), steps(&run)))
        .collect()
}

#[test]
fn a_run_that_was_cut_off_can_be_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let file = language_file(dir.path());
    let state = dir.path().join("state");
    let policy = {
        let mut harness = open(WorkbenchOptions {
            open: Some(file),
            sets: vec![
                "language.checkpoints.every=2".to_owned(),
                "language.checkpoints.keep=2".to_owned(),
                "language.checkpoints.best=false".to_owned(),
            ],
            ..kept_in(&state)
        });
        loaded(&mut harness);
        step(&mut harness, 1..=7);
        let [(run, steps)] = written(&state).try_into().unwrap();
        assert!(run.ends_with("one-or-two-run-1"), "{}", run.display());
        assert_eq!(steps, [4, 6], "the last two stay");
        let policy = harness.state().workbench().snapshot().policy.clone();
        harness.state_mut().workbench_mut().on_exit();
        policy
    };
    // As a killed process leaves it.
    let session = state.join("session.ron");
    let text = std::fs::read_to_string(&session).unwrap();
    let cut_off = text.replace("clean_exit:true", "clean_exit:false");
    assert_ne!(text, cut_off);
    std::fs::write(&session, cut_off).unwrap();

    let mut harness = open(kept_in(&state));
    loaded(&mut harness);
    wait_until(&mut harness, "there is a question", |_| true);
    harness.run_steps(5);
    assert!(says(&harness, "Go on where the run was?"));
    click(&mut harness, "Go on from step 6");
    wait_until(&mut harness, "the checkpoint is there", |workbench| {
        workbench.snapshot().step == 6
    });
    step(&mut harness, 7..=7);
    assert_eq!(harness.state().workbench().snapshot().policy, policy);

    // The run that goes on has a folder of its own, and the one before keeps what it wrote.
    step(&mut harness, 8..=8);
    let [(_, first), (_, second)] = written(&state).try_into().unwrap();
    assert_eq!((first, second), (vec![4, 6], vec![8]));
}

#[test]
fn a_session_that_ended_well_asks_nothing_and_lists_its_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let file = language_file(dir.path());
    let state = dir.path().join("state");
    {
        let mut harness = open(WorkbenchOptions {
            open: Some(file),
            sets: vec!["language.checkpoints.every=2".to_owned()],
            ..kept_in(&state)
        });
        loaded(&mut harness);
        step(&mut harness, 1..=2);
        harness.state_mut().workbench_mut().on_exit();
    }
    let mut harness = open(kept_in(&state));
    loaded(&mut harness);
    harness.run_steps(5);
    assert!(!says(&harness, "Go on where the run was?"));
    // Both lie below the window's edge.
    harness
        .get_by_role_and_label(egui::Role::Button, "Go on from…")
        .click_accesskit();
    harness.run_steps(3);
    harness.get_by_label_contains("Step 2").click_accesskit();
    wait_until(&mut harness, "the checkpoint is there", |workbench| {
        workbench.snapshot().step == 2
    });
}

#[test]
fn a_folder_that_cannot_be_written_is_named_once_and_training_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = language_file(dir.path());
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("checkpoints"), "in the way").unwrap();
    let mut harness = open(WorkbenchOptions {
        open: Some(file),
        sets: vec!["language.checkpoints.every=1".to_owned()],
        ..kept_in(&state)
    });
    loaded(&mut harness);
    step(&mut harness, 1..=3);
    let place = state.join("checkpoints").display().to_string();
    let told = format!("the checkpoint was not written, training goes on: {place}");
    harness.run_steps(3);
    assert!(says(&harness, &told));
}

fn ends(mut harness: Harness<'_, Bench>) {
    harness.state_mut().workbench_mut().on_exit();
}

#[test]
fn pins_are_there_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut harness = open(kept_in(dir.path()));
    step(&mut harness, 1..=3);
    harness.key_press(Key::P);
    harness.run_steps(2);
    command(&mut harness, "figure 4");
    harness.key_press(Key::P);
    harness.run_steps(2);
    let of = |harness: &Harness<'_, Bench>| {
        let pins = harness.state().workbench().pins().iter();
        pins.map(|pin| {
            let history = pin.run.history.series.iter();
            (
                pin.label.clone(),
                pin.preset.title.clone(),
                (pin.run.step, pin.run.policy.clone(), pin.visible),
                history.map(|series| series.steps.len()).sum::<usize>(),
            )
        })
        .collect::<Vec<_>>()
    };
    let before = of(&harness);
    assert_eq!((before.len(), before[0].2.0), (2, 3));
    assert!(before[0].3 > 0, "its charts are kept");
    ends(harness);

    let mut harness = open(kept_in(dir.path()));
    assert_eq!(of(&harness), before);
    click(&mut harness, "Pins");
    click(&mut harness, &format!("Hide {}", before[0].0));
    click(&mut harness, &format!("Remove {}", before[1].0));
    ends(harness);

    // Another preset is named: the pins are there all the same.
    let harness = open(WorkbenchOptions {
        open: Some("figure-2".to_owned()),
        ..kept_in(dir.path())
    });
    let pins = of(&harness);
    assert_eq!(
        (pins.len(), &pins[0].0, pins[0].2.2),
        (1, &before[0].0, false)
    );
    let files = std::fs::read_dir(dir.path().join("pins")).unwrap().count();
    assert_eq!(files, 1, "the removed pin's file is gone");
}

#[test]
fn a_pin_whose_file_is_gone_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut harness = open(kept_in(dir.path()));
    harness.key_press(Key::P);
    harness.run_steps(2);
    let label = harness.state().workbench().pins()[0].label.clone();
    ends(harness);
    std::fs::remove_dir_all(dir.path().join("pins")).unwrap();
    let harness = open(kept_in(dir.path()));
    assert!(harness.state().workbench().pins().is_empty());
    assert!(says(&harness, &format!("The pin “{label}” is lost")));
}

#[test]
fn a_pin_that_cannot_be_kept_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pins"), "in the way").unwrap();
    let mut harness = open(kept_in(dir.path()));
    harness.key_press(Key::P);
    harness.run_steps(2);
    assert_eq!(harness.state().workbench().pins().len(), 1);
    assert!(says(&harness, "but lost when the window closes"));
}

fn asks(harness: &Harness<'_, Bench>) -> bool {
    says(harness, "Keep what was trained?")
}

/// A window that asks about any training at all, one step into it.
fn trained(file: &str) -> Harness<'static, Bench> {
    let mut harness = open(WorkbenchOptions {
        open: Some(file.to_owned()),
        ask_after_secs: Some(0.0),
        ..quiet()
    });
    loaded(&mut harness);
    step(&mut harness, 1..=1);
    harness
}

fn close(harness: &mut Harness<'_, Bench>) -> Vec<egui::ViewportCommand> {
    let root = egui::ViewportId::ROOT;
    let info = harness.input_mut().viewports.entry(root).or_default();
    info.events.push(egui::ViewportEvent::Close);
    harness.step();
    let commands = harness.output().viewport_output[&root].commands.clone();
    let info = harness.input_mut().viewports.entry(root).or_default();
    info.events.clear();
    harness.run_steps(2);
    commands
}

#[test]
fn closing_the_window_asks_before_training_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut harness = trained(&language_file(dir.path()));
    let commands = close(&mut harness);
    assert!(commands.contains(&egui::ViewportCommand::CancelClose));
    assert!(asks(&harness));
    click(&mut harness, "Cancel");
    assert!(!asks(&harness));
    assert!(close(&mut harness).contains(&egui::ViewportCommand::CancelClose));
    click(&mut harness, "Lose it");
    assert!(!close(&mut harness).contains(&egui::ViewportCommand::CancelClose));
}

#[test]
fn opening_another_preset_asks_before_training_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut harness = trained(&language_file(dir.path()));
    command(&mut harness, "figure 4");
    assert!(asks(&harness));
    click(&mut harness, "Cancel");
    assert_eq!(harness.state().workbench().preset().title, "One or two");
    command(&mut harness, "figure 4");
    click(&mut harness, "Lose it");
    assert_ne!(harness.state().workbench().preset().title, "One or two");
}

#[test]
fn starting_over_asks_before_training_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut harness = trained(&language_file(dir.path()));
    for key in [Key::R, Key::Escape] {
        harness.key_press(key);
        harness.run_steps(3);
        assert_eq!(asks(&harness), key == Key::R);
    }
    assert_eq!(harness.state().workbench().snapshot().step, 1);
    harness.key_press(Key::R);
    harness.run_steps(3);
    click(&mut harness, "Lose it");
    wait_until(&mut harness, "the run is at its start", |workbench| {
        workbench.snapshot().step == 0
    });
}

#[test]
fn little_training_is_lost_without_a_question() {
    let dir = tempfile::tempdir().unwrap();
    let mut harness = open(WorkbenchOptions {
        open: Some(language_file(dir.path())),
        ..quiet()
    });
    loaded(&mut harness);
    step(&mut harness, 1..=1);
    assert!(!close(&mut harness).contains(&egui::ViewportCommand::CancelClose));
    command(&mut harness, "figure 4");
    assert!(!asks(&harness));
    assert_ne!(harness.state().workbench().preset().title, "One or two");
}

#[test]
fn a_checkpoint_makes_the_question_needless() {
    let dir = tempfile::tempdir().unwrap();
    let mut harness = open(WorkbenchOptions {
        open: Some(language_file(dir.path())),
        sets: vec!["language.checkpoints.every=2".to_owned()],
        ask_after_secs: Some(0.0),
        ..kept_in(&dir.path().join("state"))
    });
    loaded(&mut harness);
    step(&mut harness, 1..=2);
    wait_until(&mut harness, "the checkpoint is known", |_| {
        written(&dir.path().join("state")).len() == 1
    });
    harness.run_steps(5);
    command(&mut harness, "reset");
    assert!(!asks(&harness));
}
