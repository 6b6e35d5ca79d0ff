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
use modescope::lm::{
    ChatTemplate, Family, LanguageModel, LmState, LoadedModel, Message, Model, ModelConfig,
    ModelFile, ModelInfo, RopeScaling,
    checkpoint::{Checkpoint, CheckpointFolder, load_checkpoint},
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
    let sentence_piece = parent.path().join("sp.gguf");
    super::gguf::write_sentence_piece(&sentence_piece);
    let file = |path: PathBuf| load(&ModelFile::find(&path).unwrap(), &Device::Cpu).unwrap();
    let mut models = vec![
        embedded(&Device::Cpu).unwrap(),
        tiny(Family::Llama, false, RopeScaling::None),
        tiny(Family::Llama, true, llama3),
        tiny(Family::Llama, true, RopeScaling::Linear { factor: 2.0 }),
        tiny(Family::Qwen2, true, RopeScaling::None),
        tiny(Family::Qwen2, false, RopeScaling::None),
        tiny(Family::Qwen3, true, RopeScaling::None),
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
        drawn_words: (u128::MAX - 5, 17),
        anchors: vec![None, Some(3)],
        known: Vec::new(),
    }
}

#[test]
fn checkpoints_come_back_bit_for_bit_full_and_adapted_and_only_the_wanted_ones_stay() {
    let parent = tempfile::tempdir().unwrap();
    let model = LanguageModel::new(tiny(Family::Qwen2, true, RopeScaling::None)).unwrap();
    let lora = LoraLayout::new(&model.layout, 2, 4.0, &LoraModule::ALL).unwrap();
    for (name, lora, count) in [
        ("full", None, model.layout.len()),
        ("lora", Some(&lora), lora.len()),
    ] {
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
                model: &model,
                lora,
                state: (&state).into(),
                score,
                base_name: "tiny",
            };
            let place = folder.save(&checkpoint).unwrap();
            assert!(place.ends_with(format!("step-0000{step}")));
            assert_eq!(load_checkpoint(&place, &model, lora).unwrap(), state);
        }
        let steps: Vec<u64> = folder.list().iter().map(|c| c.step).collect();
        assert_eq!(steps, [20, 30, 40]);
        assert_eq!(folder.latest().unwrap().step, 40);
        let best = folder.best().unwrap();
        assert_eq!((best.step, best.score), (20, Some(0.9)));
        folder.forget_after(20).unwrap();
        assert_eq!(folder.latest().unwrap().step, 20);

        // Another choice of trained parameters, a cut file and a missing one are told.
        let other = LoraLayout::new(&model.layout, 3, 4.0, &LoraModule::ALL).unwrap();
        let error = load_checkpoint(&best.path, &model, Some(&other))
            .unwrap_err()
            .to_string();
        assert!(error.contains("this run trains LoRA of rank 3"), "{error}");
        let optimizer = best.path.join("optimizer.safetensors");
        let bytes = std::fs::read(&optimizer).unwrap();
        std::fs::write(&optimizer, &bytes[..bytes.len() / 2]).unwrap();
        let error = load_checkpoint(&best.path, &model, lora)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("optimizer.safetensors") && error.contains("truncated"),
            "{error}"
        );
        std::fs::remove_file(best.path.join("trainer.json")).unwrap();
        assert!(folder.best().is_none());
        assert!(
            load_checkpoint(&best.path, &model, lora)
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
    let checkpoint = Checkpoint {
        model: &model,
        lora: None,
        state: (&state).into(),
        score: Some(f64::NAN),
        base_name: "tiny",
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
