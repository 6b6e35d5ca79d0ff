#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use candle_core::Device;

use super::*;
use crate::{
    bandit::{ProblemSource, objective_value},
    experiment::{
        Advantage, AnswerSpec, KlEstimator, KlPenalty, LoraModule, Matching, PromptTask, Tune,
        parse_preset, set_path,
    },
    lm::{Model, PromptSpec, embedded, score_answers},
};

fn spec() -> LanguageSpec {
    let text = "(format: 1, title: \"t\", objective: (direction: Reverse, beta: 0.1), language: (model: \"embedded\", \
                prompts: [(prompt: \"pick 1 or 2:\", raw: true, answers: [(text: \"1\"), (text: \"2\", reward: 0.8)])]))";
    parse_preset(text).unwrap().language.unwrap()
}

fn model() -> Arc<LanguageModel> {
    Arc::new(LanguageModel::new(embedded(&Device::Cpu).unwrap()).unwrap())
}

fn training(update: Update) -> Training {
    Training {
        update,
        learning_rate: 1e-3,
        ..Training::default()
    }
}

fn sampled(batch: usize, advantage: Advantage, kl: KlPenalty) -> Update {
    Update::Sampled {
        batch,
        advantage,
        kl,
    }
}

/// A trainer on the embedded model, the objective changed by `--set` paths.
fn trainer(spec: LanguageSpec, sets: &[&str], training: Training) -> LmTrainer {
    let mut preset = crate::experiment::builtin_preset("figure-3").unwrap();
    preset.objective.beta = crate::theory::Beta::new(0.1).unwrap();
    for set in sets {
        set_path(&mut preset, set).unwrap();
    }
    let objective = preset.objective;
    let spec = Arc::new(spec);
    let prepared = Prepared::new(model(), Arc::clone(&spec), None, &Arc::default()).unwrap();
    let grounds = (prepared.masses().iter().enumerate())
        .map(|(prompt, masses)| {
            let bandit = spec.bandit(prompt, Some(masses.clone())).unwrap();
            let source = ProblemSource::evaluate(&bandit, None).unwrap();
            let problem = source.problem(&bandit, &objective).unwrap();
            let analysis = Analysis::new(&problem, &objective).unwrap();
            Ground {
                problem: Arc::new(problem),
                analysis: Arc::new(analysis),
            }
        })
        .collect();
    LmTrainer::new(prepared, grounds, objective, Arc::new(training)).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn the_reference_masses_are_those_of_the_composed_model() {
    let loaded = embedded(&Device::Cpu).unwrap();
    let composed = Model::new(&loaded.info.config, &loaded.weights).unwrap();
    let prompt = PromptSpec {
        prompt: "pick 1 or 2:".to_owned(),
        raw: true,
        prefill: String::new(),
    };
    let tokens = prompt.tokens(&loaded).unwrap();
    let answers = ["1".to_owned(), "2".to_owned()];
    let scores = score_answers(&composed, &loaded, &tokens, &answers).unwrap();
    let trainer = trainer(spec(), &[], training(Update::Exact));
    for (arm, score) in scores.iter().enumerate() {
        assert!((trainer.log_masses(0)[arm] - score.log_prob).abs() < 1e-4);
    }
    let sum: f64 = trainer.masses(0).iter().sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
}

#[test]
fn the_exact_gradient_is_that_of_the_objective() {
    for sets in [
        &[][..],
        &["objective.direction=Forward"],
        &["objective.mara=(threshold: Constant(0.5), anchor: Exact)"],
    ] {
        let mut trainer = trainer(spec(), sets, training(Update::Exact));
        // Somewhere that is neither reference nor target.
        for _ in 0..3 {
            trainer.step().unwrap();
        }
        let state = trainer.save_state();
        trainer.step().unwrap();
        let gradient = trainer.gradient.to_vec();
        let norm = gradient
            .iter()
            .map(|g| f64::from(g * g))
            .sum::<f64>()
            .sqrt();
        let value = |trainer: &mut LmTrainer, h: f64| {
            let mut moved = state.clone();
            for (p, g) in moved.parameters.iter_mut().zip(&gradient) {
                *p += (h * f64::from(*g) / norm) as f32;
            }
            trainer.restore(&moved).unwrap();
            let ground = &trainer.prompts[0].ground;
            let analysis = &ground.analysis;
            let rewards = analysis.paid_rewards();
            let reference = analysis.paid_reference(&ground.problem);
            let (masses, logs) = (trainer.masses(0), trainer.log_masses(0));
            objective_value(&trainer.objective, reference, rewards, masses, logs)
        };
        // The gradient is of −J, and its own direction has slope ‖g‖.
        let h = 2e-3;
        let slope = -(value(&mut trainer, h) - value(&mut trainer, -h)) / (2.0 * h);
        assert!(
            (slope / norm - 1.0).abs() < 0.02,
            "{sets:?}: slope {slope}, norm {norm}"
        );
    }
}

#[test]
fn estimators_with_the_same_expectation_agree_on_large_batches() {
    let large = |kl| sampled(60_000, Advantage::MeanBaseline, kl);
    let cases = [
        // The sampled KL counts each failing completion by itself, the exact one all of them together: close, not equal.
        (&[][..], Update::Exact, large(KlPenalty::Matched)),
        (
            &[],
            large(KlPenalty::Matched),
            large(KlPenalty::Loss(KlEstimator::K2)),
        ),
        (
            &["objective.direction=Forward"],
            large(KlPenalty::ReferenceSamples),
            large(KlPenalty::Matched),
        ),
        (
            &["objective.direction=Forward"],
            large(KlPenalty::ReferenceSamples),
            large(KlPenalty::Loss(KlEstimator::K3)),
        ),
    ];
    for (sets, first, second) in cases {
        // Further from the reference, forward estimators have tails that no batch covers.
        let away = if sets.is_empty() { 5 } else { 1 };
        let gradient = |update| {
            let mut trainer = trainer(spec(), sets, training(Update::Exact));
            for _ in 0..away {
                trainer.step().unwrap();
            }
            trainer.retrain(Arc::new(training(update))).unwrap();
            trainer.step().unwrap();
            trainer.gradient
        };
        let cosine = cosine(&gradient(first), &gradient(second));
        assert!(cosine > 0.97, "{sets:?} {second:?}: cosine {cosine}");
    }
}

#[test]
fn low_rank_factors_start_at_the_reference_and_learn() {
    let low_rank = LanguageSpec {
        tune: Tune::Lora {
            rank: 4,
            alpha: 8.0,
            modules: vec![LoraModule::Q, LoraModule::V, LoraModule::Down],
        },
        ..spec()
    };
    let full = trainer(spec(), &[], training(Update::Exact));
    let mut lora = trainer(
        low_rank,
        &[],
        Training {
            learning_rate: 1e-2,
            ..training(Update::Exact)
        },
    );
    assert!(lora.trained() < full.trained() / 10);
    for (a, b) in lora.masses(0).iter().zip(full.masses(0)) {
        assert!((a - b).abs() < 1e-6);
    }
    let before = lora.report().kl_to_target;
    for _ in 0..40 {
        lora.step().unwrap();
    }
    assert!(lora.report().kl_to_target < 0.2 * before);
}

#[test]
fn the_same_seed_gives_the_same_run_and_a_restored_state_goes_on_as_before() {
    let update = sampled(64, Advantage::LeaveOneOut, KlPenalty::ReferenceSamples);
    let low_rank = LanguageSpec {
        tune: Tune::Lora {
            rank: 4,
            alpha: 8.0,
            modules: vec![LoraModule::Q, LoraModule::V],
        },
        ..spec()
    };
    for (spec, keeps) in [(low_rank, KEPT), (spec(), KEPT), (spec(), 0)] {
        let mut twins = [0, 1].map(|_| trainer(spec.clone(), &[], training(update)));
        twins.iter_mut().for_each(|twin| twin.keeps = keeps);
        for step in 0..6 {
            let [first, second] = twins.each_mut().map(|twin| twin.step().unwrap());
            assert_eq!(first, second, "step {step} of {:?}", spec.tune);
            let [first, second] = &twins;
            assert!(
                first.gradient == second.gradient,
                "step {step} of {:?}",
                spec.tune
            );
        }
    }
    let state = [0, KEPT].map(|keeps| {
        let mut first = trainer(spec(), &[], training(update));
        first.keeps = keeps;
        for _ in 0..4 {
            first.step().unwrap();
        }
        let state = first.save_state();
        let onward: Vec<StepReport> = (0..4).map(|_| first.step().unwrap()).collect();
        let end = first.save_state();
        first.restore(&state).unwrap();
        let again: Vec<StepReport> = (0..4).map(|_| first.step().unwrap()).collect();
        assert_eq!(onward, again);
        assert!(first.save_state() == end);
        state
    });
    let other = Training {
        seed: 1,
        ..training(update)
    };
    let mut third = trainer(spec(), &[], other);
    for _ in 0..4 {
        third.step().unwrap();
    }
    assert!(third.save_state().parameters != state[1].parameters);
}

#[test]
fn a_hopeless_learning_rate_stops_at_the_last_good_step() {
    let update = sampled(16, Advantage::MeanBaseline, KlPenalty::Matched);
    let mut trainer = trainer(spec(), &[], training(update));
    trainer.step().unwrap();
    trainer
        .retrain(Arc::new(Training {
            learning_rate: 1e38,
            ..training(update)
        }))
        .unwrap();
    let mut good = trainer.save_state();
    let error = loop {
        match trainer.step() {
            Ok(_) => good = trainer.save_state(),
            Err(error) => break error,
        }
        assert!(good.step < 5, "a learning rate of 1e38 is no problem?");
    };
    let LmTrainError::NotFinite { step, kept, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((step, kept), (good.step + 1, good.step));
    assert!(trainer.save_state() == good);
}

#[test]
fn a_model_too_large_to_keep_trains_alike_and_keeps_its_last_good_parameters() {
    let update = sampled(16, Advantage::MeanBaseline, KlPenalty::Matched);
    let mut small = trainer(spec(), &[], training(update));
    let mut large = trainer(spec(), &[], training(update));
    large.keeps = 0;
    for _ in 0..3 {
        small.step().unwrap();
        large.step().unwrap();
    }
    let good = large.save_state();
    // Its gradients stay unformed, which rounds otherwise.
    for (own, other) in large.masses(0).iter().zip(small.masses(0)) {
        assert!((own / other - 1.0).abs() < 1e-4, "{own} against {other}");
    }
    let hopeless = Arc::new(Training {
        learning_rate: 1e38,
        ..training(update)
    });
    large.retrain(hopeless).unwrap();
    let (mut good, mut before) = (good, large.masses(0).to_vec());
    let error = loop {
        match large.step() {
            Ok(_) => (good, before) = (large.save_state(), large.masses(0).to_vec()),
            Err(error) => break error,
        }
        assert!(good.step < 8, "a learning rate of 1e38 is no problem?");
    };
    let LmTrainError::NotFinite { kept, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((kept, large.step_count()), (good.step, good.step));
    assert!(large.save_state().parameters == good.parameters && large.is_sound());
    assert_eq!(large.masses(0), before);
}

#[test]
fn every_prompt_gets_its_share_and_its_own_arms() {
    let mut two = spec();
    two.prompts.push(PromptTask {
        prompt: "toss a coin:".to_owned(),
        raw: true,
        prefill: String::new(),
        answers: ["heads", "tails"]
            .map(|text| AnswerSpec {
                text: text.to_owned(),
                reward: 1.0,
                label: None,
            })
            .to_vec(),
    });
    let update = sampled(65, Advantage::LeaveOneOut, KlPenalty::Matched);
    let mut trainer = trainer(two, &[], training(update));
    trainer.step().unwrap();
    let of = |prompt| -> u32 {
        let records = trainer.records().iter();
        records
            .filter(|r| r.prompt == prompt)
            .map(|r| r.count)
            .sum()
    };
    assert_eq!((of(0), of(1)), (33, 32));
    let heads = trainer.records().iter().find(|r| &*r.text == "heads");
    assert_eq!(heads.unwrap().arm, 0);
    assert_eq!(trainer.samples(1).iter().sum::<u32>(), 32);
}

#[test]
fn what_does_not_fit_the_model_is_named() {
    let refused = |change: fn(&mut LanguageSpec)| {
        let mut spec = spec();
        change(&mut spec);
        Prepared::new(model(), Arc::new(spec), None, &Arc::default())
            .unwrap_err()
            .to_string()
    };
    let long = refused(|spec| spec.prompts[0].prompt = "pick 1 ".repeat(40));
    assert!(
        long.contains("language.prompts.0.prompt") && long.contains("64"),
        "{long}"
    );
    let short = refused(|spec| spec.max_new_tokens = 1);
    assert!(short.contains("language.max_new_tokens: 1"), "{short}");
    let twins = refused(|spec| {
        spec.matching = Matching::FirstToken;
        spec.prompts[0].answers[1].text = "11".to_owned();
    });
    assert!(twins.contains("“11”") && twins.contains("“1”"), "{twins}");
    let chat = refused(|spec| spec.prompts[0].raw = false);
    assert!(chat.contains("chat template"), "{chat}");
}
