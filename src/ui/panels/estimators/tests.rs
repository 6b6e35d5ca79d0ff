#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use egui_kittest::{Harness, kittest::Queryable};

use super::EstimatorView;
use crate::{
    experiment::{Edit, KlEstimator, KlPenalty, Update},
    theory::{Estimator, Spread},
    ui::{
        Action,
        panels::stage::{Played, Stage, play},
    },
};

/// Runs until the table is there.
fn shown(stage: Stage, width: f32) -> Harness<'static, Played<EstimatorView>> {
    let mut harness = play(
        stage,
        (width, 620.0),
        EstimatorView::default(),
        EstimatorView::ui,
    );
    let start = Instant::now();
    while harness.state().panel.table.is_none() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "no table in time"
        );
        std::thread::sleep(Duration::from_millis(5));
        harness.step();
    }
    harness.step();
    harness
}

#[test]
fn a_click_makes_an_estimator_the_running_one() {
    let mut harness = shown(Stage::of("estimator-trap"), 1000.0);
    harness.get_by_label_contains("k3 as a loss (running)");
    harness.get_by_label("k2 as a loss").click();
    harness.step();
    harness.step();
    let [
        Action::Edit {
            edit: Edit::Training(training),
            done: true,
        },
    ] = &harness.state().actions[..]
    else {
        panic!(
            "one edit of the training, not {:?}",
            harness.state().actions
        );
    };
    assert!(matches!(
        training.update,
        Update::Sampled {
            batch: 4096,
            kl: KlPenalty::Loss(KlEstimator::K2),
            ..
        }
    ));
}

#[test]
fn the_trap_is_told_by_the_table() {
    let harness = shown(Stage::of("estimator-trap"), 1000.0);
    let table = harness.state().panel.table.as_ref().unwrap();
    let row = |wanted: KlPenalty| {
        table
            .rows
            .iter()
            .find(|row| matches!(row.estimator, Estimator::Sampled { kl, .. } if kl == wanted))
            .unwrap()
    };
    let k3 = row(KlPenalty::Loss(KlEstimator::K3));
    let k2 = row(KlPenalty::Loss(KlEstimator::K2));
    assert_eq!(k3.pull, "forward target");
    assert_eq!(k2.pull, "reverse target");
    // The preset says 0.407 against 0.052 on the good answer.
    assert!((k2.pulled.as_ref().unwrap()[1] - 0.4065).abs() < 1e-3);
    assert!((k3.pulled.as_ref().unwrap()[1] - 0.052).abs() < 2e-2);
    assert!((k2.report.cosine - 1.0).abs() < 1e-9);
}

#[test]
fn a_lost_arm_shows_as_variance_from_rare_arms() {
    let mut stage = Stage::of("estimator-trap");
    stage.snapshot.policy = vec![1e-12, 0.5, 0.5 - 1e-12].into();
    let harness = shown(stage, 1000.0);
    let table = harness.state().panel.table.as_ref().unwrap();
    let k3 = table
        .rows
        .iter()
        .find(|row| row.estimator.name() == "k3 as a loss")
        .unwrap();
    assert!(matches!(k3.report.spread, Spread::RareArms { share } if share > 0.99));
    harness.get_by_label_contains("where k3 has its variance");
}

#[test]
fn every_preset_and_width_draws() {
    for builtin in crate::experiment::builtin() {
        for width in [60.0, 1200.0] {
            shown(Stage::of(builtin.name), width);
        }
    }
}
