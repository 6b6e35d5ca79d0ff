//! The window with a language model: where its models and checkpoints come from.
#![cfg(feature = "gui")]
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::path::Path;

use egui::{Key, Modifiers};
use egui_kittest::{Harness, kittest::Queryable};
use modescope::{
    engine::{Budget, Session},
    experiment,
    ui::WorkbenchOptions,
};

use crate::window::{Bench, LANGUAGE, command, open, quiet, wait_until};

/// Types a path into the dialog that is open and confirms it.
pub(crate) fn answer(harness: &mut Harness<'_, Bench>, path: &Path, word: &str) {
    let field = harness.get_by_label("Path");
    field.focus();
    field.set_text_value_accesskit(&path.display().to_string());
    harness.run_steps(2);
    harness
        .get_by_role_and_label(egui::Role::Button, word)
        .click();
    harness.run_steps(3);
}

pub(crate) fn open_language(dir: &Path) -> Harness<'static, Bench> {
    let path = dir.join("language.ron");
    std::fs::write(&path, LANGUAGE).unwrap();
    let mut harness = open(WorkbenchOptions {
        open: Some(path.display().to_string()),
        ..quiet()
    });
    wait_until(&mut harness, "the model is loaded", |workbench| {
        workbench.snapshot().language.is_some()
    });
    harness
}

#[test]
fn an_error_that_ends_training_offers_the_way_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("language.ron");
    std::fs::write(&path, LANGUAGE).unwrap();
    let mut harness = open(WorkbenchOptions {
        open: Some(path.display().to_string()),
        sets: vec!["training.learning_rate=1e30".to_owned()],
        ..quiet()
    });
    wait_until(&mut harness, "the model is loaded", |workbench| {
        workbench.snapshot().language.is_some()
    });
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while harness
        .query_by_label_contains("An error ended training")
        .is_none()
    {
        assert!(std::time::Instant::now() < end, "no error is told");
        harness.key_press(Key::Period);
        harness.run_steps(2);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    harness.get_by_label("Go back to step 0").click();
    wait_until(&mut harness, "it went back", |workbench| {
        workbench.snapshot().step == 0
    });
    harness.run_steps(5);
    assert!(
        harness
            .query_by_label_contains("An error ended training")
            .is_none()
    );
}

#[test]
fn a_run_goes_on_from_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let preset = experiment::parse_preset(LANGUAGE).unwrap();
    let mut session = Session::new(preset, None).unwrap();
    session.advance(Budget::steps(3), &|| false).unwrap();
    let checkpoint = session.checkpoint(dir.path()).unwrap();
    session.advance(Budget::steps(2), &|| false).unwrap();

    let mut harness = open_language(dir.path());
    harness.key_press(Key::Period);
    wait_until(&mut harness, "one step is done", |workbench| {
        workbench.snapshot().step == 1
    });
    command(&mut harness, "go on from checkpoint");
    answer(&mut harness, &checkpoint, "Go on");
    wait_until(&mut harness, "the checkpoint is there", |workbench| {
        workbench.snapshot().step == 3
    });
    for step in [4, 5] {
        harness.key_press(Key::Period);
        wait_until(&mut harness, "a step more", |workbench| {
            workbench.snapshot().step == step
        });
    }
    let policy = harness.state().workbench().snapshot().policy.clone();
    assert_eq!(
        *policy,
        *session.policy(),
        "the run is not the one that wrote the checkpoint"
    );
}

#[test]
fn a_model_that_is_opened_takes_the_place_of_the_presets_own() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/embedded");
    let ask = |harness: &mut Harness<'_, Bench>| {
        harness.key_press_modifiers(Modifiers::COMMAND, Key::O);
        harness.run_steps(3);
        answer(harness, &model, "Open");
    };
    let mut bandit = open(quiet());
    ask(&mut bandit);
    let told = "open a language preset first";
    assert!(bandit.query_all_by_label_contains(told).next().is_some());

    let dir = tempfile::tempdir().unwrap();
    let mut harness = open_language(dir.path());
    ask(&mut harness);
    let named = model.display().to_string();
    let preset = harness.state().workbench().preset().clone();
    assert_eq!(preset.language.unwrap().model, named);
    wait_until(&mut harness, "the model is loaded", |workbench| {
        workbench.snapshot().language.is_some()
    });
}
