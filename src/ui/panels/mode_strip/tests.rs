#![expect(clippy::unwrap_used, reason = "tests")]

use egui_kittest::{Harness, kittest::Queryable};

use super::ModeStrip;
use crate::{
    experiment::Edit,
    theory::CoverageRule,
    ui::{
        Action,
        panels::stage::{Played, Stage, play},
    },
};

/// Figure 5 with 36 samples on the first mode, 4 on the second and 10 on no mode.
fn strip() -> Harness<'static, Played<ModeStrip>> {
    let mut stage = Stage::of("figure-5");
    let mut counts = vec![0; stage.problem.arms()];
    counts[stage.problem.modes[0].arms[1] as usize] = 36;
    counts[stage.problem.modes[1].arms[2] as usize] = 4;
    counts[99] = 10;
    stage.snapshot.samples = counts.into();
    stage.snapshot.sample_count = 50;
    let mut harness = play(stage, (1000.0, 160.0), ModeStrip::default(), ModeStrip::ui);
    harness.run_steps(3);
    harness
}

#[test]
fn epsilon_and_draws_are_edits_of_the_experiment() {
    let mut harness = strip();
    for (name, value) in [("Draws for coverage", 40.0), ("ε of covered modes", 0.3)] {
        harness
            .get_by_role_and_label(egui::Role::SpinButton, name)
            .set_value_accesskit(value);
        harness.run_steps(2);
        let asked: Vec<Edit> = (harness.state_mut().actions.drain(..))
            .filter_map(|action| match action {
                Action::Edit { edit, done: true } => Some(edit),
                _ => None,
            })
            .collect();
        let before = harness.state().stage.preset.coverage;
        let wanted = if value > 1.0 {
            CoverageRule {
                draws: 40,
                ..before
            }
        } else {
            CoverageRule {
                epsilon: 0.3,
                ..before
            }
        };
        assert_eq!(asked.first(), Some(&Edit::Coverage(wanted)), "{name}");
    }
}

#[test]
fn the_numbers_follow_the_rule_of_the_problem() {
    let rule = CoverageRule {
        epsilon: 0.1,
        draws: 2,
    };
    let mut harness = strip();
    let samples = harness.state().stage.snapshot.samples.clone();
    let mut stage = harness.state().stage.edited(&Edit::Coverage(rule));
    stage.snapshot.samples = samples;
    stage.snapshot.sample_count = 50;
    harness.state_mut().stage = stage;
    harness.run_steps(2);
    let measured = harness.state().panel.masses.measured[3].unwrap();
    // Of 50 samples 36 and 4 are on modes: (1 − 0.28² + 1 − 0.92²) / 2.
    let texts = measured.texts(2);
    assert_eq!(texts[5], "0.538", "{texts:?}");
}

#[test]
fn samples_have_their_standard_errors() {
    let harness = strip();
    let sampled = harness.state().panel.masses.sampled.as_ref().unwrap();
    let texts = sampled.texts();
    // √(0.8 · 0.2 / 50) of the mass on modes, √(0.9 · 0.1 / 40) of the largest share.
    assert_eq!((&*texts[4], &*texts[3]), ("± 0.057", "± 0.047"));
    for text in ["± 0.057", "standard error"] {
        assert!(harness.query_all_by_label(text).next().is_some(), "{text}");
    }
    // √(0.08 · 0.92 / 50).
    harness.get_by_label_contains("samples 0.080 ± 0.038");
}

#[test]
fn a_mode_that_was_never_drawn_is_not_told_as_certain() {
    let never = crate::theory::sampled::share(0, 100);
    // 1 − 0.05^(1/100).
    assert_eq!(
        super::doubt(never, 100),
        "none drawn, below 0.02951 with 95 % confidence"
    );
    assert_eq!(
        super::doubt(crate::theory::sampled::share(25, 100), 100),
        "± 0.04330"
    );
}
