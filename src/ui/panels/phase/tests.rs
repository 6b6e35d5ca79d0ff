#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use egui::vec2;
use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable},
};

use super::PhaseDiagram;
use crate::{
    experiment::Edit,
    ui::{
        Action,
        panels::stage::{Played, Stage, play},
    },
};

/// Runs until the diagram is computed.
fn shown(stage: Stage, size: (f32, f32)) -> Harness<'static, Played<PhaseDiagram>> {
    let mut harness = play(stage, size, PhaseDiagram::default(), PhaseDiagram::ui);
    let start = Instant::now();
    while !harness.state().panel.is_computed() {
        assert!(start.elapsed() < Duration::from_secs(60), "no map in time");
        std::thread::sleep(Duration::from_millis(5));
        harness.step();
    }
    harness.step();
    harness.step();
    harness
}

#[test]
fn a_click_sets_both_parameters() {
    let mut harness = shown(Stage::of("figure-2"), (640.0, 420.0));
    let plot = harness.get_by_label_contains("Phase diagram of").rect();
    // A quarter in from the left on 1e-3..10, three quarters up.
    let at = plot.left_top() + vec2(0.25 * plot.width(), 0.25 * plot.height());
    harness.drag_at(at);
    harness.step();
    harness.drop_at(at);
    harness.step();
    harness.step();
    let mut beta = None;
    let mut gap = None;
    for action in &harness.state().actions {
        if let Action::Edit { edit, done: true } = action {
            match edit {
                Edit::Objective(objective) => beta = Some(objective.beta.get()),
                Edit::Bars { rewards, .. } => gap = Some(rewards.clone()),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!((beta.unwrap().log10() + 2.0).abs() < 0.02, "{beta:?}");
    // All twelve arms of one mode move together.
    assert_eq!(gap.unwrap().len(), 12);
    let generation = harness.state().panel.state.as_ref().unwrap().generation;
    assert_eq!(generation, 1);
}

#[test]
fn moving_along_the_axes_does_not_start_over() {
    let mut harness = shown(Stage::of("figure-3"), (640.0, 420.0));
    let mut objective = harness.state().stage.preset.objective;
    objective.beta = crate::theory::Beta::new(0.02).unwrap();
    let stage = harness.state().stage.edited(&Edit::Objective(objective));
    harness.state_mut().stage = stage;
    harness.step();
    harness.step();
    let generation = |h: &Harness<'static, Played<PhaseDiagram>>| {
        h.state().panel.state.as_ref().unwrap().generation
    };
    assert_eq!(generation(&harness), 1);
    objective.reward_scale = 2.0;
    let stage = harness.state().stage.edited(&Edit::Objective(objective));
    harness.state_mut().stage = stage;
    harness.step();
    assert_eq!(generation(&harness), 2);
}

#[test]
fn nothing_runs_over_the_right_edge() {
    for width in [300.0, 438.0, 580.0, 640.0] {
        let harness = shown(Stage::of("figure-5"), (width, 420.0));
        for label in ["Across, range", "Up, range", "Colour"] {
            let found = harness.get_all_by_label(label);
            let right = found.map(|node| node.rect().right()).fold(0.0, f32::max);
            assert!(right <= width, "{label} ends at {right} of {width}");
        }
        let plot = harness.get_by_label_contains("Phase diagram of").rect();
        assert!(plot.right() <= width, "{plot:?} in {width}");
    }
}

#[test]
fn small_and_large_places_draw() {
    for (name, size) in [
        ("figure-1b-reverse", (30.0, 20.0)),
        ("figure-3", (240.0, 200.0)),
        ("outside-the-support", (1600.0, 900.0)),
    ] {
        let mut stage = Stage::of(name);
        stage.selection.pair = (Some(0), Some(2));
        shown(stage, size);
    }
}

/// Takes a choice of a drop-down.
fn choose(harness: &mut Harness<'static, Played<PhaseDiagram>>, label: &str, choice: &str) {
    harness
        .get_by_role_and_label(egui::Role::ComboBox, label)
        .click();
    harness.run_steps(3);
    harness
        .get_by_role_and_label(egui::Role::Button, choice)
        .click();
    harness.run_steps(3);
}

fn wait(harness: &mut Harness<'static, Played<PhaseDiagram>>) {
    let start = Instant::now();
    while !harness.state().panel.is_computed() {
        assert!(start.elapsed() < Duration::from_secs(120), "no map in time");
        std::thread::sleep(Duration::from_millis(5));
        harness.step();
    }
    harness.run_steps(2);
}

#[test]
fn a_diagram_of_the_trained_policy_says_so_and_follows_the_training() {
    let mut stage = Stage::of("figure-5");
    stage.preset.training.stop.steps = Some(20);
    let mut harness = shown(stage, (760.0, 420.0));
    harness.get_by_label_contains("Phase diagram of effective modes of the target over");
    choose(&mut harness, "of", "the policy after");
    harness.get_by_label_contains("Phase diagram of effective modes of the policy after 20 steps");
    wait(&mut harness);
    choose(&mut harness, "Colour", "J");
    wait(&mut harness);
    harness.get_by_label_contains("Phase diagram of J of the policy after 20 steps over");
    harness.get_by_label_contains("48 × 32 trainings of 20 steps in");
    let Played { stage, panel, .. } = harness.state();
    let (view, state) = (stage.view(), panel.state.as_ref().unwrap());
    let map = panel.worker.as_ref().unwrap().latest().unwrap();
    let figure = super::export::figure(&state.request(&view), Some(&map), &view, true);
    let title = "J of the policy after 20 steps";
    assert_eq!(figure.title, title);
    let csv = crate::figure::to_csv(&figure);
    assert!(csv.contains(title), "{}", csv.lines().next().unwrap());
    let generation = |h: &Harness<'static, Played<PhaseDiagram>>| {
        h.state().panel.state.as_ref().unwrap().generation
    };
    let before = generation(&harness);
    // When to stop by steps or by the clock does not concern a cell.
    harness.state_mut().stage.preset.training.stop.steps = Some(77);
    harness.state_mut().stage.preset.training.stop.seconds = Some(1.0);
    harness.run_steps(2);
    assert_eq!(generation(&harness), before);
    harness.state_mut().stage.preset.training.learning_rate = 0.5;
    harness.run_steps(2);
    assert_eq!(generation(&harness), before + 1);
    // What only a policy has goes with it.
    choose(&mut harness, "of", "the target");
    harness.get_by_label_contains("Phase diagram of effective modes of the target over");
}

#[test]
fn a_language_model_is_not_trained_in_every_cell() {
    let mut harness = shown(Stage::of("lm-die"), (760.0, 420.0));
    harness
        .get_by_role_and_label(egui::Role::ComboBox, "of")
        .click();
    harness.run_steps(3);
    let choice = harness.get_by_role_and_label(egui::Role::Button, "the policy after");
    assert!(choice.accesskit_node().is_disabled());
}
