//! A language model's run in a session: the same rules as a bandit's.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::{
    experiment::{LanguageSpec, Source, parse_preset, set_path, to_ron},
    theory::{Beta, Metric},
};

const PRESET: &str = "(format: 1, title: \"t\", language: (model: \"embedded\", prompts: [(prompt: \"pick 1 or 2:\", raw: true, \
                      answers: [(text: \"1\"), (text: \"2\")])]), objective: (direction: Reverse, beta: 0.1), \
                      training: (update: Sampled(batch: 32, advantage: LeaveOneOut, kl: Matched), learning_rate: 1e-3))";

fn preset() -> Preset {
    parse_preset(PRESET).unwrap()
}

fn steps(session: &mut Session, steps: u64) {
    session.advance(Budget::steps(steps), &|| false).unwrap();
}

fn beta(session: &Session, beta: f64) -> Edit {
    Edit::Objective(Objective {
        beta: Beta::new(beta).unwrap(),
        ..session.preset().objective
    })
}

#[test]
fn the_model_says_what_the_reference_is_and_the_target_is_exact_before_training() {
    let mut session = Session::new(preset(), None).unwrap();
    assert_eq!(
        session.problem().names.as_deref().unwrap(),
        ["1", "2", "other"]
    );
    let Source::Weights(reference) = &session.preset().bandit.reference else {
        panic!("{:?}", session.preset().bandit.reference);
    };
    assert!((reference.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    // docs/math.md section 1: G ∝ π_ref e^{R/β}, with R = 1, 1, 0.
    let weight = |arm: usize| reference[arm] * if arm < 2 { 10.0f64.exp() } else { 1.0 };
    let total: f64 = (0..3).map(weight).sum();
    for arm in 0..3 {
        let found = session.analysis().target.masses[arm];
        assert!((found - weight(arm) / total).abs() < 1e-12);
    }
    let reference = reference.clone();
    for (policy, reference) in session.policy().iter().zip(reference) {
        assert!((policy - reference).abs() < 1e-6);
    }
}

#[test]
fn what_is_saved_is_the_language_preset_with_its_edited_rewards() {
    let mut session = Session::new(preset(), None).unwrap();
    let refused = session.edit([Edit::Reward { arm: 1, value: 0.5 }]);
    assert!(refused.is_empty());
    let text = to_ron(session.preset());
    assert!(!text.contains("bandit"), "{text}");
    let read = parse_preset(&text).unwrap();
    let language = read.language.unwrap();
    assert_eq!(language.prompts[0].answers[1].reward, 0.5);
    assert_eq!(session.analysis().rewards, [1.0, 0.5, 0.0]);
}

#[test]
fn a_replay_of_the_journal_and_a_way_back_repeat_the_run_bit_for_bit() {
    let mut live = Session::new(preset(), None).unwrap();
    steps(&mut live, 3);
    let edit = beta(&live, 0.02);
    live.edit([edit, Edit::Reward { arm: 1, value: 0.9 }]);
    steps(&mut live, 4);
    let rows: Vec<Row> = live.rows().to_vec();
    let policy = live.policy().to_vec();

    let mut replay = Session::replay(preset(), None, live.journal()).unwrap();
    steps(&mut replay, 7);
    assert_eq!(replay.policy(), policy);
    assert!(same(replay.rows(), &rows));

    assert_eq!(live.revert(2).unwrap(), 2);
    assert_eq!(live.preset().objective.beta.get(), 0.1);
    let edit = beta(&live, 0.02);
    steps(&mut live, 1);
    live.edit([edit, Edit::Reward { arm: 1, value: 0.9 }]);
    steps(&mut live, 4);
    assert_eq!(live.policy(), policy);
    live.reset(None).unwrap();
    assert_eq!(live.step(), 0);
}

/// Rows with the same bits: the gradient's norm is not a number at step 0, and NaN equals nothing. After going back the
/// last step's own facts are gone too.
fn same(a: &[Row], b: &[Row]) -> bool {
    let bits = |row: &Row| {
        let values = row.metrics.iter().map(|(_, value)| value.to_bits());
        (row.step, values.collect::<Vec<u64>>())
    };
    a.iter().map(bits).eq(b.iter().map(bits))
}

#[test]
fn edits_that_a_run_cannot_follow_are_refused_with_the_reason() {
    let mut session = Session::new(preset(), None).unwrap();
    let language = session.preset().language.clone().unwrap();
    let heavy = LanguageSpec {
        max_new_tokens: 5,
        ..language.clone()
    };
    let light = LanguageSpec {
        temperature: 0.7,
        ..language
    };
    let refused = session.edit([
        Edit::Language(Box::new(heavy)),
        Edit::Reference {
            arm: 0,
            weight: 0.5,
        },
        Edit::Language(Box::new(light)),
    ]);
    let messages: Vec<String> = refused.iter().map(|(_, error)| error.to_string()).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains("fresh start"), "{messages:?}");
    assert!(messages[1].contains("the model's own"), "{messages:?}");
    assert_eq!(session.language().unwrap().spec().temperature, 0.7);
}

#[test]
fn a_snapshot_shows_samples_and_what_a_step_took() {
    let mut session = Session::new(preset(), None).unwrap();
    steps(&mut session, 2);
    let snapshot = session.snapshot(1, Status::Paused, 0.0, true);
    let language = snapshot.language.unwrap();
    assert_eq!(language.samples.iter().map(|s| s.count).sum::<u32>(), 32);
    assert_eq!(language.timing[0].steps.len(), 2);
    assert!(language.facts.as_ref().unwrap().parts.total() > 0.0);
    assert!(snapshot.metrics.get(Metric::ValidShare) > 0.5);
    assert_eq!(snapshot.sample_count, 64);
}

#[test]
fn a_model_that_is_not_there_is_named() {
    let mut missing = preset();
    set_path(&mut missing, "language.model=nowhere/model.gguf").unwrap();
    let error = Session::new(missing, None).unwrap_err().to_string();
    assert!(error.contains("nowhere/model.gguf"), "{error}");
}

#[test]
fn a_run_goes_on_from_a_checkpoint_exactly_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    for tune in ["Full", "Lora(rank: 4, alpha: 8, modules: [Q, V])"] {
        let mut preset = preset();
        set_path(&mut preset, &format!("language.tune={tune}")).unwrap();
        let mut first = Session::new(preset.clone(), None).unwrap();
        steps(&mut first, 2);
        let edit = beta(&first, 0.05);
        first.edit([edit]);
        steps(&mut first, 2);
        let written = first.checkpoint(folder.path()).unwrap();
        let trainer = first.language().unwrap();
        let read = lm::checkpoint::load_checkpoint(&written, trainer.model(), trainer.lora());
        assert!(read.unwrap() == trainer.save_state(), "{tune}");
        steps(&mut first, 3);

        let mut second = Session::replay(preset.clone(), None, first.journal()).unwrap();
        second.go_on_from(&written).unwrap();
        assert_eq!(second.step(), 4);
        assert_eq!(second.preset().objective.beta.get(), 0.05);
        steps(&mut second, 3);
        assert_eq!(second.policy(), first.policy(), "{tune}");
        assert_eq!(second.journal().entries(), first.journal().entries());
    }
}

#[test]
fn a_checkpoint_of_another_model_size_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut full = Session::new(preset(), None).unwrap();
    let written = full.checkpoint(folder.path()).unwrap();
    let mut preset = preset();
    set_path(
        &mut preset,
        "language.tune=Lora(rank: 4, alpha: 8, modules: [Q, V])",
    )
    .unwrap();
    let mut low_rank = Session::new(preset, None).unwrap();
    let before = low_rank.policy().to_vec();
    let error = low_rank.go_on_from(&written).unwrap_err().to_string();
    assert!(!error.contains('\n') && !error.is_empty(), "{error}");
    assert_eq!(low_rank.policy(), before);
    assert!(
        low_rank
            .checkpoint(std::path::Path::new("/proc/nowhere"))
            .is_err()
    );
}
