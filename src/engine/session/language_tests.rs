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
    assert_eq!(*session.analysis().rewards, [1.0, 0.5, 0.0]);
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
        let read = lm::checkpoint::load_checkpoint(&written, &trainer.experiment());
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

#[test]
fn a_run_that_left_the_finite_numbers_goes_on_from_its_last_good_step() {
    let mut session = Session::new(preset(), None).unwrap();
    steps(&mut session, 2);
    let gentle = session.preset().training.clone();
    let with_rate = |learning_rate| {
        Edit::Training(Box::new(Training {
            learning_rate,
            ..gentle.clone()
        }))
    };
    assert!(session.edit([with_rate(1e38)]).is_empty());
    let error = (0..8).find_map(|_| session.advance(Budget::steps(1), &|| false).err());
    let error = error.unwrap().to_string();
    let good = session.step();
    assert!(error.contains(&format!("as after step {good}")), "{error}");
    assert!(!session.is_failed() && session.policy().iter().all(|p| p.is_finite()));
    assert!(session.revert(2).unwrap() == 2 && session.edit([with_rate(1e-3)]).is_empty());
    steps(&mut session, 1);
    assert_eq!(session.step(), 3);
}

#[test]
fn going_back_to_what_is_not_kept_is_refused_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Session::new(preset(), None).unwrap();
    steps(&mut first, 4);
    let written = first.checkpoint(folder.path()).unwrap();
    let mut second = Session::new(preset(), None).unwrap();
    // As with a model too large to keep states of.
    second.states = Thinned::new(2, u64::MAX);
    second.go_on_from(&written).unwrap();
    steps(&mut second, 3);
    second.checkpoint(folder.path()).unwrap();
    let policy = second.policy().to_vec();
    let error = second.revert(2).unwrap_err().to_string();
    for says in ["step 2 ", "step 7, which is kept", "step 0, by Reset"] {
        assert!(error.contains(says), "{error}");
    }
    assert_eq!((second.step(), second.policy()), (7, policy.as_slice()));
    steps(&mut second, 1);
    assert_eq!(second.revert(8).unwrap(), 7);
    assert_eq!(second.policy(), policy);
    assert_eq!(second.revert(0).unwrap(), 0);
}

#[test]
fn going_back_to_a_checkpoint_on_the_disk_repeats_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = Session::new(preset(), None).unwrap();
    steps(&mut session, 3);
    session.checkpoint(folder.path()).unwrap();
    steps(&mut session, 2);
    let policy = session.policy().to_vec();
    // As with a model too large to keep states of.
    session.states.truncate(0);
    session.states = Thinned::new(2, u64::MAX);
    assert_eq!(session.revert(4).unwrap(), 3);
    assert!(session.revert(1).is_err());
    steps(&mut session, 2);
    assert_eq!(session.policy(), policy);
}

#[test]
fn a_speed_counts_the_steps_of_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Session::new(preset(), None).unwrap();
    steps(&mut first, 4);
    let written = first.checkpoint(folder.path()).unwrap();
    let mut second = Session::new(preset(), None).unwrap();
    second.go_on_from(&written).unwrap();
    assert_eq!(second.steps_per_second(), 0.0);
    steps(&mut second, 3);
    assert_eq!((second.step(), second.steps_done()), (7, 3));
    let expected = 3.0 / second.elapsed().as_secs_f64();
    assert!((second.steps_per_second() / expected - 1.0).abs() < 1e-9);
}

#[test]
fn a_reward_program_is_not_waited_for_once_somebody_wants_to_stop() {
    let mut asked = preset();
    set_path(
        &mut asked,
        "language.program=(command: [\"sleep\", \"60\"], timeout_secs: 60)",
    )
    .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let setter = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            stop.store(true, Ordering::Relaxed);
        })
    };
    let begun = Instant::now();
    let started = Session::new_with_progress(asked, None, &stop, &mut |_| {});
    setter.join().unwrap();
    assert!(matches!(
        started,
        Err(SessionError::Language(LmTrainError::Stopped))
    ));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn answers_that_will_hardly_be_sampled_are_told_before_the_first_step() {
    let mut rare = preset();
    set_path(
        &mut rare,
        "language.prompts.0.answers=[(text: \"red\"), (text: \"blue\")]",
    )
    .unwrap();
    let mut session = Session::new(rare.clone(), None).unwrap();
    let notice = session.take_notice().unwrap();
    assert!(
        notice.contains("P(valid)") && notice.contains("32"),
        "{notice}"
    );
    assert_eq!(session.take_notice(), None);
    // Once is enough, however long none comes up.
    steps(&mut session, 12);
    assert_eq!(session.take_notice(), None);
    // Without samples there is nothing to miss.
    set_path(&mut rare, "training.update=Exact").unwrap();
    assert_eq!(Session::new(rare, None).unwrap().take_notice(), None);
    assert_eq!(Session::new(preset(), None).unwrap().take_notice(), None);
}

#[test]
fn a_policy_that_left_the_answers_is_told_apart_from_a_prompt_that_does_not_lead_to_them() {
    let mut wild = preset();
    set_path(&mut wild, "training.learning_rate=1").unwrap();
    let mut session = Session::new(wild, None).unwrap();
    let notice = (0..60).find_map(|_| {
        steps(&mut session, 1);
        session.take_notice()
    });
    let notice = notice.unwrap();
    for says in [
        "has collapsed",
        "training.learning_rate (now 1)",
        "objective.beta (now 0.1)",
    ] {
        assert!(notice.contains(says), "{notice}");
    }
}

#[cfg(unix)]
#[test]
fn a_program_that_pays_for_something_else_than_an_answer_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let script = "import json, sys\nfor line in sys.stdin:\n    r = json.loads(line)\n    \
                  print(json.dumps({'id': r['id'], 'reward': 0.75}), flush=True)\n";
    std::fs::write(folder.path().join("reward.py"), script).unwrap();
    let mut paid = preset();
    for set in [
        "language.program=(command: [\"python3\", \"reward.py\"], timeout_secs: 30)",
        "training.update.batch=512",
    ] {
        set_path(&mut paid, set).unwrap();
    }
    let mut session = Session::new(paid, Some(folder.path())).unwrap();
    assert_eq!(session.take_notice(), None);
    steps(&mut session, 1);
    let notice = session.take_notice().unwrap();
    for says in [
        "gives 0.75 to",
        "failure_reward = 0",
        "language.prompts.0.answers",
    ] {
        assert!(notice.contains(says), "{notice}");
    }
    steps(&mut session, 1);
    assert_eq!(session.take_notice(), None);
}

fn two_prompts() -> Preset {
    let mut two = preset();
    set_path(
        &mut two,
        "language.prompts=[(prompt: \"pick 1 or 2:\", raw: true, answers: [(text: \"1\"), (text: \"2\")]), \
         (prompt: \"roll a die:\", raw: true, answers: [(text: \"1\"), (text: \"2\"), (text: \"3\")])]",
    )
    .unwrap();
    two
}

#[test]
fn rewards_of_another_prompt_can_be_changed_in_a_run_that_repeats_bit_for_bit() {
    let answers = |rewards: &[f64]| Edit::Answers {
        prompt: 1,
        rewards: rewards.to_vec(),
    };
    let mut session = Session::new(two_prompts(), None).unwrap();
    steps(&mut session, 2);
    let first = session.grounds()[0].analysis.rewards.clone();
    assert!(session.edit([answers(&[0.25, 1.0, 1.0, 0.0])]).is_empty());
    assert_eq!(
        *session.grounds()[1].analysis.rewards,
        [0.25, 1.0, 1.0, 0.0]
    );
    assert_eq!(session.grounds()[0].analysis.rewards, first);
    // docs/math.md section 1: G ∝ π_ref e^{R/β}.
    let ground = &session.grounds()[1];
    let reference = ground.problem.reference.masses();
    let target = &ground.analysis.target.masses;
    let ratio = target[0] / target[1];
    let expected = reference[0] / reference[1] * (-0.75f64 / 0.1).exp();
    assert!((ratio / expected - 1.0).abs() < 1e-9);
    steps(&mut session, 3);

    let mut again = Session::replay(two_prompts(), None, session.journal()).unwrap();
    steps(&mut again, 5);
    for prompt in 0..2 {
        assert_eq!(again.policy_of(prompt), session.policy_of(prompt));
    }
    let mut without = Session::new(two_prompts(), None).unwrap();
    steps(&mut without, 5);
    assert_ne!(without.policy_of(1), session.policy_of(1));

    // What else may change in a run still may, and going back takes the rewards along.
    let mut warmer = session.preset().language.clone().unwrap();
    warmer.temperature = 1.5;
    assert!(session.edit([Edit::Language(Box::new(warmer))]).is_empty());
    session.revert(1).unwrap();
    assert_eq!(*session.grounds()[1].analysis.rewards, [1.0, 1.0, 1.0, 0.0]);
}

#[test]
fn everything_else_is_worth_the_same_for_every_prompt() {
    let mut session = Session::new(two_prompts(), None).unwrap();
    let others = |session: &Session| {
        let of = |prompt: usize| *session.grounds()[prompt].analysis.rewards.last().unwrap();
        (of(0), of(1))
    };
    let by_second = Edit::Answers {
        prompt: 1,
        rewards: vec![1.0, 1.0, 1.0, -0.5],
    };
    assert!(session.edit([by_second]).is_empty());
    assert_eq!(others(&session), (-0.5, -0.5));
    let by_first = Edit::Reward {
        arm: 2,
        value: -0.25,
    };
    assert!(session.edit([by_first]).is_empty());
    assert_eq!(others(&session), (-0.25, -0.25));
    // As undo takes it back.
    let none = Edit::Bars {
        rewards: vec![],
        reference: vec![],
    };
    assert!(session.edit([none]).is_empty());
    assert_eq!(others(&session), (0.0, 0.0));
    let text = to_ron(session.preset());
    let read = Session::new(parse_preset(&text).unwrap(), None).unwrap();
    assert_eq!(others(&read), (0.0, 0.0));
}

#[test]
fn rewards_that_fit_no_other_prompt_are_refused_by_name() {
    let mut session = Session::new(two_prompts(), None).unwrap();
    for (prompt, rewards, says) in [
        (0, vec![1.0; 3], "language.prompts.0"),
        (2, vec![1.0; 4], "prompts 1 to 1"),
        (1, vec![1.0; 3], "4 are"),
        (1, vec![f64::NAN; 4], "finite"),
        (1, vec![1.0; 4], ""),
    ] {
        let refused = session.edit([Edit::Answers { prompt, rewards }]);
        let told = (refused.first()).map_or_else(String::new, |(_, error)| error.to_string());
        assert!(
            told.contains(says) && told.is_empty() == says.is_empty(),
            "{told}"
        );
    }
}
