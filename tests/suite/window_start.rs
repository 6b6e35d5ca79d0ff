//! Where a policy starts, chosen in the window: from what is shown, as given masses.
#![cfg(feature = "gui")]

use egui_kittest::Harness;
use modescope::experiment::Start;

use super::window::{Bench, choose, command, open, quiet, wait_until};

fn start(harness: &Harness<'_, Bench>) -> Start {
    harness.state().workbench().preset().training.start.clone()
}

#[test]
fn a_run_starts_anew_from_the_policy_or_the_target_that_is_shown() {
    let mut harness = open(quiet());
    for step in 1..=3 {
        command(&mut harness, "One step");
        wait_until(&mut harness, "a step is done", |workbench| {
            workbench.snapshot().step == step
        });
    }
    let reached = harness.state().workbench().snapshot().policy.clone();
    let reference = harness
        .state()
        .workbench()
        .snapshot()
        .problem
        .reference
        .masses();
    choose(&mut harness, "Start", "The policy shown");
    assert_eq!(start(&harness), Start::Given(reached.to_vec()));
    wait_until(&mut harness, "the run begins anew", |workbench| {
        workbench.snapshot().step == 0
    });
    let begun = harness.state().workbench().snapshot().policy.clone();
    let apart = |other: &[f64]| {
        let gaps = begun.iter().zip(other).map(|(a, b)| (a - b).abs());
        gaps.fold(0.0, f64::max)
    };
    assert!(apart(&reached) < 1e-15, "{}", apart(&reached));
    assert!(apart(&reference) > 1e-6, "the policy had not moved");

    choose(&mut harness, "Start", "The target shown");
    wait_until(&mut harness, "the run begins at the target", |workbench| {
        let snapshot = workbench.snapshot();
        let pairs = snapshot.policy.iter().zip(&snapshot.analysis.target.masses);
        snapshot.step == 0 && pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-12)
    });
    command(&mut harness, "Undo");
    harness.run_steps(2);
    assert_eq!(start(&harness), Start::Given(reached.to_vec()));
    command(&mut harness, "Undo");
    harness.run_steps(2);
    assert_eq!(start(&harness), Start::Reference);
}
