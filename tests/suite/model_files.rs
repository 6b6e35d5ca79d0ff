//! Folders, adapters and checkpoints against the published formats, against `transformers` and `peft` where they are
//! installed, and against an interrupted run.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::HashMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use candle_core::{Device, Tensor};
use modescope::bandit::RunningAnchor;
use modescope::experiment::{AnswerSpec, LanguageSpec, Matching, PromptTask, builtin_preset};
use modescope::lm::{
    ChatTemplate, Family, LanguageModel, LmState, LoadedModel, Message, Model, ModelConfig,
    ModelFile, ModelInfo, RopeScaling, Yarn,
    checkpoint::{Checkpoint, CheckpointFolder, Experiment, load_checkpoint},
    embedded,
    export::{Adapter, HubFolder, config_json, loaded_tensors, save_adapter, save_hub_folder},
    fast::{AdamWState, LoraLayout, LoraModule},
    load,
};
use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use serde_json::{Value, json};

const CHAT: &str = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{{ eos_token }}{% endfor %}<assistant>";

/// A small model of a family with random weights and the embedded model's tokenizer.
fn tiny(family: Family, tied: bool, rope_scaling: RopeScaling) -> LoadedModel {
    let tokenizer = embedded(&Device::Cpu).unwrap().tokenizer;
    let config = ModelConfig {
        family,
        vocab_size: tokenizer.vocab_size(),
        hidden_size: 32,
        intermediate_size: 48,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: if family == Family::Qwen3 { 12 } else { 8 },
        context: 64,
        norm_eps: 1e-5,
        rope_theta: 5_000.0,
        rope_scaling,
        tied_embeddings: tied,
        qkv_bias: family == Family::Qwen2,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let weights: HashMap<String, Tensor> = config
        .tensor_shapes()
        .into_iter()
        .map(|(name, shape)| {
            let norm = shape.len() == 1 && name.ends_with("weight");
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|_| f32::from(u8::from(norm)) + rng.random_range(-0.3..0.3))
                .collect();
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        })
        .collect();
    LoadedModel {
        info: ModelInfo {
            name: "tiny".to_owned(),
            license: None,
            config,
            tensor_types: vec![],
            file_bytes: 0,
        },
        weights,
        tokenizer,
        chat: Some(ChatTemplate::new(CHAT, String::new(), "<end>".to_owned()).unwrap()),
    }
}

fn save(folder: &Path, model: &LoadedModel) {
    let folder_content = HubFolder {
        config: &model.info.config,
        tensors: loaded_tensors(&model.weights).unwrap(),
        tokenizer: &model.tokenizer,
        chat: model.chat.as_ref(),
    };
    save_hub_folder(folder, &folder_content).unwrap();
}

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-0.2..0.2)).collect()
}

/// Log-probability of each token after the first, by the composed forward.
fn log_probs(config: &ModelConfig, weights: &HashMap<String, Tensor>, tokens: &[u32]) -> Vec<f64> {
    let model = Model::new(config, weights).unwrap();
    let hidden = model.hidden(&[tokens]).unwrap().squeeze(0).unwrap();
    let rows: Vec<Vec<f32>> = model.log_probs(&hidden).unwrap().to_vec2().unwrap();
    let next = tokens.iter().skip(1);
    rows.iter()
        .zip(next)
        .map(|(row, &token)| f64::from(row[token as usize]))
        .collect()
}

/// A Python that has torch, transformers and peft; without it these tests say that they are skipped.
fn python() -> Option<PathBuf> {
    let path = std::env::var_os("MODESCOPE_PYTHON").map(PathBuf::from);
    if path.is_none() {
        crate::say_skipped("MODESCOPE_PYTHON does not name a Python with transformers and peft");
    }
    path
}

#[test]
fn transformers_and_peft_load_what_is_written_and_agree_on_every_log_probability() {
    let Some(python) = python() else { return };
    let parent = tempfile::tempdir().unwrap();
    let llama3 = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 32.0,
    };
    // Slow, fast and middling frequencies among the few that these models have.
    let yarn = Yarn {
        beta_fast: 2.0,
        beta_slow: 0.05,
        ..Yarn::new(4.0, 32)
    };
    let exact = Yarn {
        attention_factor: Some(1.4),
        truncate: false,
        ..yarn
    };
    let weighted = Yarn {
        mscale: Some(2.0),
        mscale_all_dim: Some(0.5),
        truncate: false,
        ..yarn
    };
    let sentence_piece = parent.path().join("sp.gguf");
    super::gguf::write_sentence_piece(&sentence_piece);
    let file = |path: PathBuf| load(&ModelFile::find(&path).unwrap(), &Device::Cpu).unwrap();
    let mut models = vec![
        embedded(&Device::Cpu).unwrap(),
        tiny(Family::Llama, false, RopeScaling::None),
        tiny(Family::Llama, true, llama3),
        tiny(Family::Llama, true, RopeScaling::Linear { factor: 2.0 }),
        tiny(Family::Llama, true, RopeScaling::Dynamic { factor: 4.0 }),
        tiny(Family::Llama, true, RopeScaling::Yarn(yarn)),
        tiny(Family::Qwen2, true, RopeScaling::None),
        tiny(Family::Qwen2, false, RopeScaling::None),
        tiny(Family::Qwen2, true, RopeScaling::Yarn(exact)),
        tiny(Family::Qwen3, true, RopeScaling::None),
        tiny(Family::Qwen3, true, RopeScaling::Yarn(weighted)),
        file(sentence_piece),
    ];
    models.extend(std::env::var_os("MODESCOPE_SMOLLM2_GGUF").map(|path| file(path.into())));
    let mut cases = Vec::new();
    let mut expected = Vec::new();
    for (index, model) in models.into_iter().enumerate() {
        let folder = parent.path().join(format!("model-{index}"));
        save(&folder, &model);
        let text = match model.info.config.vocab_size {
            12 => "ab c abc",
            _ => "Pick 1 or 23 at random:  Blue-ish\n",
        };
        let tokens = model.tokenizer.encode_prompt(text).unwrap();
        let decoded = model.tokenizer.decode(&tokens).unwrap();
        let message = Message {
            role: "user".to_owned(),
            content: "hi".to_owned(),
        };
        let chat = model
            .chat
            .as_ref()
            .map(|c| c.render(&[message], "").unwrap());
        let messages = chat
            .as_ref()
            .map(|_| json!([{"role": "user", "content": "hi"}]));
        let config = model.info.config.clone();
        let plain = log_probs(&config, &model.weights, &tokens);
        let end = model.tokenizer.end_token();
        let ready = LanguageModel::new(model).unwrap();
        let modules = if index % 2 == 0 {
            &LoraModule::ALL[..]
        } else {
            &LoraModule::ALL[..3]
        };
        let lora = LoraLayout::new(&ready.layout, 3, 12.0, modules).unwrap();
        let factors = random(lora.len(), 3);
        let merged = lora.merge(&ready.layout, &ready.weights, &factors).unwrap();
        let adapted = log_probs(&config, &ready.layout.unflatten(&merged).unwrap(), &tokens);
        let adapter = parent.path().join(format!("adapter-{index}"));
        let content = Adapter {
            layout: &lora,
            factors: &factors,
            base_name: "tiny",
        };
        save_adapter(&adapter, &content).unwrap();
        for (adapter, log_probs) in [(None, plain), (Some(adapter), adapted)] {
            cases.push(json!({"folder": folder, "adapter": adapter, "text": text, "tokens": tokens, "messages": messages}));
            expected.push((
                config.clone(),
                tokens.clone(),
                decoded.clone(),
                log_probs,
                chat.clone(),
                end,
            ));
        }
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/check_models.py");
    let mut child = Command::new(python)
        .arg(script)
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for case in &cases {
        writeln!(input, "{case}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), expected.len());
    for (line, (config, tokens, decoded, log_probs, chat, end)) in lines.lines().zip(expected) {
        let theirs: Value = serde_json::from_str(line).unwrap();
        assert_eq!(theirs["problems"], json!([]));
        // transformers 5 takes its own Qwen2Tokenizer for every qwen2 model, whatever the folder says.
        if config.family != Family::Qwen2 {
            assert_eq!(theirs["tokens"], json!(tokens));
            assert_eq!(theirs["decoded"], json!(decoded));
        }
        assert_eq!(theirs["chat"], json!(chat));
        assert_eq!(theirs["end"], json!(end));
        let theirs = theirs["log_probs"].as_array().unwrap();
        assert_eq!(theirs.len(), log_probs.len());
        for (a, b) in theirs.iter().zip(log_probs) {
            // Thirty layers of f32 round differently where sums are taken in another order.
            let tolerance = if config.layers > 8 { 1e-3 } else { 1e-4 };
            assert!(
                (a.as_f64().unwrap() - b).abs() < tolerance,
                "{a} against {b}"
            );
        }
    }
}

#[test]
fn scaled_rotary_frequencies_survive_the_config_file() {
    let llama3 = RopeScaling::Llama3 {
        factor: 32.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 8192.0,
    };
    let mut config = tiny(Family::Llama, true, llama3).info.config;
    config.head_dim = 64;
    config.rope_theta = 500_000.0;
    let wanted = config.rope_frequencies();
    // What a GGUF file stores instead: what each plain frequency is divided by.
    let divisors: Vec<f32> = (0..32)
        .map(|i| (500_000f64.powf(-2.0 * f64::from(i) / 64.0) / wanted[i as usize]) as f32)
        .collect();
    config.rope_scaling = RopeScaling::Divisors(divisors);
    let text = config_json(&config, None, Some(1)).unwrap().to_string();
    let read = ModelConfig::from_json(Path::new("config.json"), &text).unwrap();
    for (a, b) in read.rope_frequencies().iter().zip(&wanted) {
        assert!((a - b).abs() <= 1e-5 * b, "{a} against {b}");
    }
    config.rope_scaling = RopeScaling::Divisors(vec![3.0; 32]);
    let error = config_json(&config, None, None).unwrap_err().to_string();
    assert!(error.contains("rope_freqs"), "{error}");
}

fn header(path: &Path) -> HashMap<String, Value> {
    let file = std::fs::read(path).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    serde_json::from_slice(&file[8..8 + length]).unwrap()
}

/// Names and shapes as PEFT's own checkpoints have them.
#[test]
fn adapters_have_the_names_shapes_and_settings_of_peft() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("adapter");
    let model = LanguageModel::new(tiny(Family::Qwen3, true, RopeScaling::None)).unwrap();
    let modules = [LoraModule::Q, LoraModule::V, LoraModule::Down];
    let lora = LoraLayout::new(&model.layout, 5, 7.5, &modules).unwrap();
    let factors = random(lora.len(), 1);
    let content = Adapter {
        layout: &lora,
        factors: &factors,
        base_name: "Qwen/Qwen3-0.6B",
    };
    save_adapter(&folder, &content).unwrap();
    let config: Value =
        serde_json::from_slice(&std::fs::read(folder.join("adapter_config.json")).unwrap())
            .unwrap();
    for (field, value) in [
        ("peft_type", json!("LORA")),
        ("task_type", json!("CAUSAL_LM")),
        ("r", json!(5)),
        ("lora_alpha", json!(7.5)),
        ("base_model_name_or_path", json!("Qwen/Qwen3-0.6B")),
        ("target_modules", json!(["q_proj", "v_proj", "down_proj"])),
    ] {
        assert_eq!(config[field], value, "{field}");
    }
    // The whole file: every key is a field of peft's `LoraConfig`.
    assert_eq!(
        config,
        json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": "Qwen/Qwen3-0.6B",
            "r": 5,
            "lora_alpha": 7.5,
            "target_modules": ["q_proj", "v_proj", "down_proj"],
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "modules_to_save": null,
            "use_rslora": false,
            "use_dora": false,
        })
    );
    let header = header(&folder.join("adapter_model.safetensors"));
    let mut expected = HashMap::new();
    for layer in 0..2 {
        for (module, inputs, outputs) in [
            ("self_attn.q_proj", 32, 48),
            ("self_attn.v_proj", 32, 24),
            ("mlp.down_proj", 48, 32),
        ] {
            let name = |factor: &str| {
                format!("base_model.model.model.layers.{layer}.{module}.lora_{factor}.weight")
            };
            expected.insert(name("A"), json!([5, inputs]));
            expected.insert(name("B"), json!([outputs, 5]));
        }
    }
    assert_eq!(header.len(), expected.len() + 1);
    for (name, shape) in expected {
        assert_eq!(header[&name]["shape"], shape, "{name}");
        assert_eq!(header[&name]["dtype"], "F32", "{name}");
    }
}

fn state(step: u64, count: usize) -> LmState {
    LmState {
        step,
        parameters: random(count, step),
        optimiser: AdamWState {
            first: random(count, step + 100),
            second: random(count, step + 200).iter().map(|v| v.abs()).collect(),
            steps: step as u32,
        },
        drawn_words: ((1 << 68) - 5, 17),
        // Numbers that a JSON reader may round.
        anchors: vec![
            None,
            Some(RunningAnchor {
                arm: 3,
                reward: Some(0.1 + 0.2),
                log_reference: Some(-1.0 / 3.0e5),
            }),
        ],
        known: Vec::new(),
    }
}

/// A task of two prompts with three answers each.
fn spec() -> LanguageSpec {
    let task = |prompt: &str| PromptTask {
        prompt: prompt.to_owned(),
        raw: true,
        prefill: String::new(),
        answers: ["a", "b", "c"]
            .map(|text| AnswerSpec {
                text: text.to_owned(),
                reward: 1.0,
                label: None,
            })
            .to_vec(),
    };
    LanguageSpec {
        model: "tiny".to_owned(),
        prompts: vec![task("one"), task("two")],
        ..builtin_preset("lm-one-or-two").unwrap().language.unwrap()
    }
}

#[test]
fn checkpoints_come_back_bit_for_bit_full_and_adapted_and_only_the_wanted_ones_stay() {
    let parent = tempfile::tempdir().unwrap();
    let model = LanguageModel::new(tiny(Family::Qwen2, true, RopeScaling::None)).unwrap();
    let lora = LoraLayout::new(&model.layout, 2, 4.0, &LoraModule::ALL).unwrap();
    let spec = spec();
    for (name, lora, count) in [
        ("full", None, model.layout.len()),
        ("lora", Some(&lora), lora.len()),
    ] {
        let experiment = Experiment {
            model: &model,
            lora,
            spec: &spec,
        };
        let folder = CheckpointFolder::new(&parent.path().join(name), 2, true);
        assert!(folder.list().is_empty() && folder.latest().is_none());
        for (step, score) in [
            (10, Some(0.2)),
            (20, Some(0.9)),
            (30, None),
            (40, Some(0.5)),
        ] {
            let state = state(step, count);
            let checkpoint = Checkpoint {
                experiment,
                state: (&state).into(),
                score,
            };
            let place = folder.save(&checkpoint).unwrap();
            assert!(place.ends_with(format!("step-0000{step}")));
            assert_eq!(load_checkpoint(&place, &experiment).unwrap(), state);
        }
        let steps: Vec<u64> = folder.list().iter().map(|c| c.step).collect();
        assert_eq!(steps, [20, 30, 40]);
        assert_eq!(folder.latest().unwrap().step, 40);
        let best = folder.best().unwrap();
        assert_eq!((best.step, best.score), (20, Some(0.9)));
        folder.clear(Some(&best.path)).unwrap();
        assert_eq!(folder.latest().unwrap().step, 20);

        // Another choice of trained parameters, a cut file and a missing one are told.
        let other = LoraLayout::new(&model.layout, 3, 4.0, &LoraModule::ALL).unwrap();
        let others = Experiment {
            lora: Some(&other),
            ..experiment
        };
        let error = load_checkpoint(&best.path, &others)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("language.tune") && error.contains("LoRA of rank 3"),
            "{error}"
        );
        let optimizer = best.path.join("optimizer.safetensors");
        let bytes = std::fs::read(&optimizer).unwrap();
        std::fs::write(&optimizer, &bytes[..bytes.len() / 2]).unwrap();
        let error = load_checkpoint(&best.path, &experiment)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("optimizer.safetensors") && error.contains("truncated"),
            "{error}"
        );
        std::fs::remove_file(best.path.join("trainer.json")).unwrap();
        assert!(folder.best().is_none());
        assert!(
            load_checkpoint(&best.path, &experiment)
                .unwrap_err()
                .to_string()
                .contains("trainer.json")
        );
    }
}

#[test]
fn a_checkpoint_of_a_full_fine_tune_is_a_model_and_leftovers_of_a_killed_process_go() {
    let parent = tempfile::tempdir().unwrap();
    let model = LanguageModel::new(tiny(Family::Llama, true, RopeScaling::None)).unwrap();
    let state = state(7, model.layout.len());
    let leftover = parent.path().join(".modescope-abc.tmp");
    std::fs::create_dir(&leftover).unwrap();
    std::fs::write(leftover.join("model.safetensors"), "half").unwrap();
    let folder = CheckpointFolder::new(parent.path(), 1, false);
    let spec = spec();
    let checkpoint = Checkpoint {
        experiment: Experiment {
            model: &model,
            lora: None,
            spec: &spec,
        },
        state: (&state).into(),
        score: Some(f64::NAN),
    };
    let place = folder.save(&checkpoint).unwrap();
    assert!(!leftover.exists());
    assert_eq!(folder.latest().unwrap().score, None);
    let mut shares = vec![];
    let loaded = modescope::lm::open(place.to_str().unwrap(), None, &mut |share| {
        shares.push(share);
    })
    .unwrap();
    assert_eq!(shares.len(), loaded.weights.len() + 1);
    assert!(shares.is_sorted(), "{shares:?}");
    assert_eq!((shares[0], shares[shares.len() - 1]), (0.0, 1.0));
    assert_eq!(
        loaded.info.file_bytes,
        std::fs::metadata(place.join("model.safetensors"))
            .unwrap()
            .len()
    );
    let again = LanguageModel::new(loaded).unwrap();
    assert_eq!(*again.weights, state.parameters);
    assert_eq!(again.layout, model.layout);
}

/// A small model, its checkpoints at some steps in one folder, and what they belong to.
fn saved<'a>(
    root: &Path,
    experiment: Experiment<'a>,
    steps: &[u64],
    by_hand: bool,
) -> Vec<PathBuf> {
    let folder = CheckpointFolder::new(root, 2, false);
    (steps.iter())
        .map(|step| {
            let state = state(*step, experiment.model.layout.len());
            let checkpoint = Checkpoint {
                experiment,
                state: (&state).into(),
                score: None,
            };
            match by_hand {
                true => folder.save_by_hand(&checkpoint, &[]).unwrap(),
                false => folder.save(&checkpoint).unwrap(),
            }
        })
        .collect()
}

#[test]
fn a_new_checkpoint_stays_beside_those_of_later_steps_and_those_that_somebody_asked_for() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path();
    let model = LanguageModel::new(tiny(Family::Llama, true, RopeScaling::None)).unwrap();
    let spec = spec();
    let experiment = Experiment {
        model: &model,
        lora: None,
        spec: &spec,
    };
    let steps = || -> Vec<(u64, bool)> {
        let all = CheckpointFolder::new(root, 2, false).list();
        all.iter().map(|c| (c.step, c.by_hand)).collect()
    };
    // An earlier run went further.
    saved(root, experiment, &[100, 200, 300], false);
    assert_eq!(steps(), [(200, false), (300, false)]);
    saved(root, experiment, &[10, 20, 30], false);
    assert_eq!(
        steps(),
        [(20, false), (30, false), (200, false), (300, false)]
    );
    // One more of a step that is there does not take its place.
    let by_hand = saved(root, experiment, &[5, 15, 25, 25], true);
    assert!(by_hand[3].ends_with("step-000025-2"), "{by_hand:?}");
    saved(root, experiment, &[25, 40], false);
    let hand: Vec<(u64, bool)> = steps().into_iter().filter(|(_, hand)| *hand).collect();
    assert_eq!(hand, [(5, true), (15, true), (25, true), (25, true)]);
    CheckpointFolder::new(root, 2, false).clear(None).unwrap();
    assert_eq!(steps(), hand);
}

#[test]
fn a_checkpoint_of_another_experiment_is_refused_by_the_name_of_the_field() {
    let parent = tempfile::tempdir().unwrap();
    let model = LanguageModel::new(tiny(Family::Llama, true, RopeScaling::None)).unwrap();
    let other_model = LanguageModel::new(tiny(Family::Qwen2, true, RopeScaling::None)).unwrap();
    let spec = spec();
    let experiment = Experiment {
        model: &model,
        lora: None,
        spec: &spec,
    };
    let place = &saved(parent.path(), experiment, &[3], false)[0];
    let refusal = |change: &dyn Fn(&mut LanguageSpec), model: &LanguageModel| {
        let mut spec = spec.clone();
        change(&mut spec);
        let experiment = Experiment {
            model,
            lora: None,
            spec: &spec,
        };
        load_checkpoint(place, &experiment)
            .err()
            .map_or_else(String::new, |error| error.to_string())
    };
    let answer = |spec: &mut LanguageSpec| spec.prompts[1].answers[2].text = "d".to_owned();
    for (says, refused) in [
        ("language.model", refusal(&|_| {}, &other_model)),
        (
            "language.matching",
            refusal(&|s| s.matching = Matching::FirstToken, &model),
        ),
        (
            "language.prompts is",
            refusal(&|s| s.prompts.truncate(1), &model),
        ),
        (
            "language.prompts.1.prompt",
            refusal(&|s| s.prompts[1].prompt.push('?'), &model),
        ),
        (
            "language.prompts.0.raw",
            refusal(&|s| s.prompts[0].raw = false, &model),
        ),
        (
            "language.prompts.0.prefill",
            refusal(&|s| s.prompts[0].prefill.push('I'), &model),
        ),
        ("language.prompts.1.answers", refusal(&answer, &model)),
    ] {
        assert!(refused.contains(says), "{says}: {refused}");
        assert!(!refused.contains('\n'), "{refused}");
    }
    // Another name of the same model, other rewards and settings are no other experiment.
    let same = |spec: &mut LanguageSpec| {
        spec.model = "elsewhere".to_owned();
        spec.prompts[0].answers[0].reward = 0.5;
        spec.temperature = 0.5;
    };
    assert_eq!(refusal(&same, &model), "");
}

#[test]
fn numbers_that_no_run_leaves_in_a_checkpoint_are_refused_by_name() {
    let parent = tempfile::tempdir().unwrap();
    let model = LanguageModel::new(tiny(Family::Llama, true, RopeScaling::None)).unwrap();
    let spec = spec();
    let experiment = Experiment {
        model: &model,
        lora: None,
        spec: &spec,
    };
    let place = &saved(parent.path(), experiment, &[3], false)[0];
    let path = place.join("trainer.json");
    let good: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let one = 1.0f32.to_bits();
    let minus = (-1.0f32).to_bits();
    for (field, value, says) in [
        ("anchors", json!([99, null]), "anchors.0 = 99"),
        ("anchors", json!([null]), "1 entries"),
        (
            "anchor_bits",
            json!([[null, null]]),
            "anchor_bits = 1 entries",
        ),
        (
            "anchor_bits",
            json!([[null, null], [f64::NAN.to_bits(), null]]),
            "the bits of NaN",
        ),
        (
            "anchor_bits",
            json!([[null, f64::INFINITY.to_bits()], [null, null]]),
            "anchor_bits.0 = the bits of inf",
        ),
        ("known", json!([[2, [1], [minus]]]), "prompt 2"),
        ("known", json!([[0, [1_000_000], [minus]]]), "token 1000000"),
        ("known", json!([[0, [1], []]]), "0 log-probabilities"),
        ("known", json!([[0, [], []]]), "0 tokens"),
        ("known", json!([[0, [1], [one]]]), "the bits of 1"),
        (
            "known",
            json!([[0, [1], [f32::NAN.to_bits()]]]),
            "the bits of NaN",
        ),
        ("optimizer_steps", json!(0), "optimizer_steps = 0"),
        ("step", json!(1u64 << 63), "9223372036854775808"),
        (
            "drawn_words",
            json!([(1u128 << 68).to_string(), "0"]),
            "drawn_words.0",
        ),
        ("format", json!(1), "format = 1"),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        std::fs::write(&path, bad.to_string()).unwrap();
        let error = load_checkpoint(place, &experiment).unwrap_err().to_string();
        assert!(
            error.contains(says) && error.contains("trainer.json"),
            "{error}"
        );
    }
    std::fs::write(&path, good.to_string()).unwrap();
    load_checkpoint(place, &experiment).unwrap();

    // A tensor with a number that is not finite, or a second moment below zero.
    let optimizer = place.join("optimizer.safetensors");
    let bytes = std::fs::read(&optimizer).unwrap();
    for (value, says) in [(f32::NAN, "NaN"), (-1.0, "at least 0")] {
        let mut bad = bytes.clone();
        // The second moments come last in the alphabet.
        let end = bad.len();
        bad[end - 4..].copy_from_slice(&value.to_le_bytes());
        std::fs::write(&optimizer, bad).unwrap();
        let error = load_checkpoint(place, &experiment).unwrap_err().to_string();
        assert!(error.contains("second.") && error.contains(says), "{error}");
    }
}
