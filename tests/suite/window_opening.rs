//! What opening another experiment keeps, and what the window says of tables.
#![cfg(feature = "gui")]
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::path::Path;

use egui::{Key, Modifiers};
use egui_kittest::{Harness, kittest::Queryable};
use modescope::theory::Direction;

use crate::{
    window::{Bench, command, open, quiet, wait_until},
    window_language::{answer, open_language},
};

fn open_file(harness: &mut Harness<'_, Bench>, path: &Path) {
    harness.key_press_modifiers(Modifiers::COMMAND, Key::O);
    harness.run_steps(3);
    answer(harness, path, "Open");
}

fn says(harness: &Harness<'_, Bench>, words: &str) -> usize {
    harness.query_all_by_label_contains(words).count()
}

fn direction(harness: &Harness<'_, Bench>) -> Direction {
    harness.state().workbench().preset().objective.direction
}

fn undo(harness: &mut Harness<'_, Bench>) {
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run_steps(3);
}

#[test]
fn a_table_that_was_only_opened_has_nothing_to_save() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("rewards.csv");
    std::fs::write(&table, "reference,reward\n3,0.5\n2,0.25\n1,1\n").unwrap();
    let mut harness = open(quiet());
    open_file(&mut harness, &table);
    let opened = harness.state().workbench();
    assert_eq!(
        (opened.preset().title.as_str(), opened.is_dirty()),
        ("rewards", false)
    );
    assert!(says(&harness, "rewards.csv") > 0, "the menu bar names it");

    command(&mut harness, "figure 4");
    assert_eq!(says(&harness, "Save the changes?"), 0);
    open_file(&mut harness, &table);
    harness.get_by_label("Forward KL").click();
    harness.run_steps(3);
    assert!(harness.state().workbench().is_dirty());
    command(&mut harness, "figure 4");
    assert!(says(&harness, "Save the changes?") > 0);
}

#[test]
fn a_table_without_rewards_is_told_what_would_be_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("two.csv");
    for (text, found) in [
        ("1,2\n3,4\n", "has 2 columns without names"),
        ("x,y\n1,2\n", "has the columns x, y"),
    ] {
        std::fs::write(&table, text).unwrap();
        let mut harness = open(quiet());
        let before = harness.state().workbench().preset().clone();
        open_file(&mut harness, &table);
        assert_eq!(*harness.state().workbench().preset(), before);
        let accepted = "accepted: one column of rewards, or several that the first row names, one of them “reward”";
        let told = [found, accepted].map(|words| says(&harness, words));
        assert!(
            told.iter().all(|count| *count > 0),
            "{found}: {told:?} in the toast"
        );
        command(&mut harness, "log");
        let logged = [found, accepted].map(|words| says(&harness, words));
        assert_eq!(logged, told.map(|count| count + 1), "in toast and log");
    }
}

#[test]
fn what_was_open_before_comes_back_with_its_undo() {
    let mut harness = open(quiet());
    harness.get_by_label("Forward KL").click();
    harness.run_steps(3);
    command(&mut harness, "figure 4");
    command(&mut harness, "reopen previous");
    assert_eq!(direction(&harness), Direction::Forward);
    undo(&mut harness);
    assert_eq!(direction(&harness), Direction::Reverse);
    assert!(!harness.state().workbench().is_dirty(), "as the preset is");
}

#[test]
fn a_language_preset_keeps_its_undo_when_its_model_is_loaded_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut harness = open_language(dir.path());
    let loaded = |harness: &mut Harness<'static, Bench>| {
        wait_until(harness, "the model is loaded", |workbench| {
            workbench.snapshot().language.is_some()
        });
        harness.run_steps(3);
    };
    harness.get_by_label("Forward KL").click();
    harness.run_steps(3);
    command(&mut harness, "figure 4");
    harness.get_by_label("Open without saving").click();
    harness.run_steps(3);
    command(&mut harness, "reopen previous");
    loaded(&mut harness);
    assert_eq!(direction(&harness), Direction::Forward);
    undo(&mut harness);
    assert_eq!(direction(&harness), Direction::Reverse);
}
