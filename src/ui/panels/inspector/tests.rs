#![expect(clippy::unwrap_used, reason = "tests")]

use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable},
};

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
fn modes_are_compared_as_wholes() {
    // 100 arms fall as (1 − x)⁴; good are the first and the third quarter, so the ratio of the wholes is
    // (1 − (3/4)⁵) / ((1/2)⁵ − (1/4)⁵) = 25.2, but for the sums that stand for integrals.
    let mut harness = shown(Stage::of("figure-5"), 420.0);
    harness.get_by_label_contains("16.3 × the target mass");
    harness.get_by_label("Whole modes").click();
    harness.run();
    harness.get_by_label_contains("As a whole, first region gets 25.2 × the target mass");
    harness.get_by_label_contains("weigh the same at no β");
    // A mode is picked by its best arm.
    harness.get_by_label("First mode").click();
    harness.run();
    harness
        .get_by_role_and_label(egui::Role::Button, "second region")
        .click();
    harness.run();
    assert!(matches!(
        harness.state().actions[..],
        [Action::PickPair(Some(50), Some(50))]
    ));
}

#[test]
fn whole_modes_tie_elsewhere_than_their_best_arms() {
    let mut stage = Stage::of("step-reference");
    stage.selection.pair = (None, None);
    let mut harness = shown(stage, 420.0);
    let best = tie_shown(&harness);
    harness.get_by_label("Whole modes").click();
    harness.run();
    let whole = tie_shown(&harness);
    assert!((best / whole - 1.0).abs() > 1e-3, "{best} {whole}");
    harness
        .get_by_label_contains(&format!("Set β to {whole}"))
        .click();
    harness.run();
    let [Action::Edit { edit, .. }] = &harness.state().actions[..] else {
        panic!("one edit, not {:?}", harness.state().actions);
    };
    let masses = harness
        .state()
        .stage
        .edited(edit)
        .analysis
        .target_modes
        .clone();
    assert!((masses[0] / masses[1] - 1.0).abs() < 1e-9, "{masses:?}");
}

/// The β that the button of a tie offers.
fn tie_shown(harness: &Harness<'static, Played<Inspector>>) -> f64 {
    let button = harness.get_by_label_contains("Set β to");
    let label = button.accesskit_node().label().unwrap();
    label.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn every_preset_and_width_draws() {
    for builtin in crate::experiment::builtin() {
        for width in [40.0, 900.0] {
            shown(Stage::of(builtin.name), width);
        }
    }
}
