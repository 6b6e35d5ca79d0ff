use egui_kittest::{Harness, kittest::Queryable};

use super::Inspector;
use crate::{
    experiment::Edit,
    ui::{
        Action,
        panels::stage::{Played, Stage, play},
    },
};

fn shown(stage: Stage, width: f32) -> Harness<'static, Played<Inspector>> {
    let mut harness = play(stage, (width, 520.0), Inspector::default(), Inspector::ui);
    harness.run();
    harness
}

#[test]
fn figure_2_ties_at_0_132_and_the_button_goes_there() {
    let mut harness = shown(Stage::of("figure-2"), 420.0);
    harness.get_by_label_contains("tie at β* = 0.131");
    harness.get_by_label_contains("Set β to 0.131").click();
    harness.run();
    let [Action::Edit { edit, done: true }] = &harness.state().actions[..] else {
        panic!("one finished edit, not {:?}", harness.state().actions);
    };
    let Edit::Objective(objective) = edit else {
        panic!("an edit of the objective, not {edit:?}");
    };
    assert!((objective.beta.get() - 0.1317).abs() < 2e-3);
    // There the two weigh the same.
    let stage = harness.state().stage.edited(edit);
    shown(stage, 420.0).get_by_label_contains("have the same target mass");
}

#[test]
fn equal_rewards_keep_their_ratio_for_every_beta() {
    let mut stage = Stage::of("figure-4");
    stage.selection.pair = (Some(1), Some(2));
    let harness = shown(stage, 420.0);
    harness.get_by_label_contains("15 × the target mass");
    harness.get_by_label_contains("15 × whatever β is");
}

#[test]
fn an_entropy_bonus_moves_the_ratio_of_equal_rewards() {
    let stage = Stage::of("figure-4");
    let objective = crate::theory::Objective {
        entropy: 0.1,
        ..stage.preset.objective
    };
    let mut stage = stage.edited(&Edit::Objective(objective));
    stage.selection.pair = (Some(1), Some(2));
    let harness = shown(stage, 420.0);
    harness.get_by_label_contains("the entropy bonus flattens it");
    assert!(harness.query_by_label_contains("whatever β is").is_none());
}

#[test]
fn mara_is_offered_and_makes_the_two_equal() {
    let mut stage = Stage::of("figure-4");
    stage.selection.pair = (Some(1), Some(2));
    let mut harness = shown(stage, 420.0);
    harness.get_by_label_contains("Switch on MARA").click();
    harness.run();
    let [Action::Edit { edit, .. }] = &harness.state().actions[..] else {
        panic!("one edit, not {:?}", harness.state().actions);
    };
    let stage = harness.state().stage.edited(edit);
    let harness = shown(stage, 420.0);
    harness.get_by_label_contains("have the same target mass");
    harness.get_by_label_contains("from 15 × to 1 ×");
}

#[test]
fn swap_exchanges_the_pair() {
    let mut stage = Stage::of("figure-3");
    stage.selection.pair = (Some(0), Some(2));
    let mut harness = shown(stage, 300.0);
    harness.get_by_label("Swap").click();
    harness.run();
    assert!(matches!(
        harness.state().actions[..],
        [Action::PickPair(Some(2), Some(0))]
    ));
}

#[test]
fn every_preset_and_width_draws() {
    for builtin in crate::experiment::builtin() {
        for width in [40.0, 900.0] {
            shown(Stage::of(builtin.name), width);
        }
    }
}
