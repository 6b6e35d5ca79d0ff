//! Language models against independent sources: candle-transformers for logits, finite differences for gradients, and
//! scores that another implementation gave for a real model.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{collections::HashMap, path::PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::{llama, qwen2, qwen3};
use modescope::lm::{
    Family, LmError, Model, ModelConfig, ModelFile, PromptSpec, RopeScaling, load, score_answers,
};
use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

fn tiny(family: Family, tied: bool) -> ModelConfig {
    ModelConfig {
        family,
        vocab_size: 23,
        hidden_size: 16,
        intermediate_size: 24,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: if family == Family::Qwen3 { 6 } else { 4 },
        context: 64,
        norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        tied_embeddings: tied,
        qkv_bias: family == Family::Qwen2,
    }
}

fn random_weights(config: &ModelConfig, seed: u64, dtype: DType) -> HashMap<String, Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    config
        .tensor_shapes()
        .into_iter()
        .map(|(name, shape)| {
            let count = shape.iter().product();
            // Norm weights around one, so that no layer is switched off.
            let middle = if shape.len() == 1 && name.ends_with("weight") {
                1.0
            } else {
                0.0
            };
            let values: Vec<f64> = (0..count)
                .map(|_| middle + rng.random_range(-0.5..0.5))
                .collect();
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu)
                .unwrap()
                .to_dtype(dtype)
                .unwrap();
            (name, tensor)
        })
        .collect()
}

fn last_logits(model: &Model, tokens: &[u32]) -> Vec<f32> {
    let hidden = model.hidden(&[tokens]).unwrap();
    let last = hidden
        .narrow(1, tokens.len() - 1, 1)
        .unwrap()
        .squeeze(1)
        .unwrap();
    model
        .logits(&last)
        .unwrap()
        .squeeze(0)
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn oracle_logits(
    config: &ModelConfig,
    weights: &HashMap<String, Tensor>,
    tokens: &[u32],
) -> Vec<f32> {
    let input = Tensor::new(tokens, &Device::Cpu)
        .unwrap()
        .unsqueeze(0)
        .unwrap();
    let builder = VarBuilder::from_tensors(weights.clone(), DType::F32, &Device::Cpu);
    let logits = match config.family {
        Family::Llama => {
            let shape = llama::Config {
                hidden_size: config.hidden_size,
                intermediate_size: config.intermediate_size,
                vocab_size: config.vocab_size,
                num_hidden_layers: config.layers,
                num_attention_heads: config.heads,
                num_key_value_heads: config.kv_heads,
                use_flash_attn: false,
                rms_norm_eps: config.norm_eps,
                rope_theta: config.rope_theta as f32,
                bos_token_id: None,
                eos_token_id: None,
                rope_scaling: match config.rope_scaling {
                    RopeScaling::Llama3 {
                        factor,
                        low_freq_factor,
                        high_freq_factor,
                        original_context,
                    } => Some(llama::Llama3RopeConfig {
                        factor: factor as f32,
                        low_freq_factor: low_freq_factor as f32,
                        high_freq_factor: high_freq_factor as f32,
                        original_max_position_embeddings: original_context as usize,
                        rope_type: llama::Llama3RopeType::Llama3,
                    }),
                    _ => None,
                },
                max_position_embeddings: config.context,
                tie_word_embeddings: config.tied_embeddings,
            };
            let mut cache = llama::Cache::new(false, DType::F32, &shape, &Device::Cpu).unwrap();
            llama::Llama::load(builder, &shape)
                .unwrap()
                .forward(&input, 0, &mut cache)
                .unwrap()
        }
        Family::Qwen2 => {
            let shape = qwen2::Config {
                vocab_size: config.vocab_size,
                hidden_size: config.hidden_size,
                intermediate_size: config.intermediate_size,
                num_hidden_layers: config.layers,
                num_attention_heads: config.heads,
                num_key_value_heads: config.kv_heads,
                max_position_embeddings: config.context,
                sliding_window: config.context,
                max_window_layers: config.layers,
                tie_word_embeddings: config.tied_embeddings,
                rope_theta: config.rope_theta,
                rms_norm_eps: config.norm_eps,
                use_sliding_window: false,
                hidden_act: Activation::Silu,
            };
            qwen2::ModelForCausalLM::new(&shape, builder)
                .unwrap()
                .forward(&input, 0)
                .unwrap()
        }
        Family::Qwen3 => {
            let shape = qwen3::Config {
                vocab_size: config.vocab_size,
                hidden_size: config.hidden_size,
                intermediate_size: config.intermediate_size,
                num_hidden_layers: config.layers,
                num_attention_heads: config.heads,
                head_dim: config.head_dim,
                attention_bias: false,
                num_key_value_heads: config.kv_heads,
                max_position_embeddings: config.context,
                sliding_window: None,
                max_window_layers: config.layers,
                tie_word_embeddings: config.tied_embeddings,
                rope_theta: config.rope_theta,
                rms_norm_eps: config.norm_eps,
                use_sliding_window: false,
                hidden_act: Activation::Silu,
            };
            qwen3::ModelForCausalLM::new(&shape, builder)
                .unwrap()
                .forward(&input, 0)
                .unwrap()
        }
    };
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn logits_equal_candle_transformers_for_each_family() {
    let mut configs: Vec<ModelConfig> = [Family::Llama, Family::Qwen2, Family::Qwen3]
        .into_iter()
        .flat_map(|family| [tiny(family, true), tiny(family, false)])
        .collect();
    configs.push(ModelConfig {
        rope_scaling: RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 16.0,
        },
        ..tiny(Family::Llama, true)
    });
    for (seed, config) in configs.iter().enumerate() {
        let weights = random_weights(config, seed as u64, DType::F32);
        let model = Model::new(config, &weights).unwrap();
        for tokens in [&[5u32][..], &[1, 2, 3, 22, 0, 7, 7, 4, 19, 11, 3, 2][..]] {
            let ours = last_logits(&model, tokens);
            let theirs = oracle_logits(config, &weights, tokens);
            for (a, b) in ours.iter().zip(&theirs) {
                assert!(
                    (a - b).abs() < 1e-4,
                    "{:?} tied {}: {a} against {b}",
                    config.family,
                    config.tied_embeddings
                );
            }
        }
    }
}

/// A scalar that depends on every position: the mean log-probability of a fixed continuation.
fn loss(config: &ModelConfig, weights: &HashMap<String, Tensor>) -> Tensor {
    let model = Model::new(config, weights).unwrap();
    let (first, second): (&[u32], &[u32]) = (&[1, 4, 7, 2, 9], &[3, 3, 8, 20, 0]);
    let hidden = model
        .hidden(&[first, second])
        .unwrap()
        .reshape((10, config.hidden_size))
        .unwrap();
    let targets = Tensor::new(&[4u32, 7, 2, 9, 12, 3, 8, 20, 0, 1], &Device::Cpu)
        .unwrap()
        .unsqueeze(1)
        .unwrap();
    model
        .log_probs(&hidden)
        .unwrap()
        .gather(&targets, 1)
        .unwrap()
        .mean_all()
        .unwrap()
}

#[test]
fn every_parameter_gets_the_gradient_that_finite_differences_give() {
    for (family, tied) in [
        (Family::Llama, true),
        (Family::Llama, false),
        (Family::Qwen2, true),
        (Family::Qwen2, false),
        (Family::Qwen3, true),
        (Family::Qwen3, false),
    ] {
        let config = tiny(family, tied);
        let values = random_weights(&config, 7, DType::F64);
        let variables: HashMap<String, Var> = values
            .iter()
            .map(|(name, value)| (name.clone(), Var::from_tensor(value).unwrap()))
            .collect();
        let as_tensors = variables
            .iter()
            .map(|(n, v)| (n.clone(), v.as_tensor().clone()))
            .collect();
        let gradients = loss(&config, &as_tensors).backward().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(99);
        for (name, variable) in &variables {
            let gradient = gradients
                .get(variable)
                .unwrap_or_else(|| panic!("{family:?}: {name} gets no gradient"));
            let direction: Vec<f64> = (0..gradient.elem_count())
                .map(|_| rng.random_range(-1.0..1.0))
                .collect();
            let direction = Tensor::from_vec(direction, gradient.dims(), &Device::Cpu).unwrap();
            let analytic = (gradient * &direction)
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f64>()
                .unwrap();
            let step = 1e-5;
            let at = |sign: f64| {
                let mut moved = values.clone();
                let value = (&values[name] + (&direction * (sign * step)).unwrap()).unwrap();
                moved.insert(name.clone(), value);
                loss(&config, &moved).to_scalar::<f64>().unwrap()
            };
            let numeric = (at(1.0) - at(-1.0)) / (2.0 * step);
            assert!(
                (analytic - numeric).abs() <= 1e-6 * (1.0 + numeric.abs()) && analytic != 0.0,
                "{family:?} tied {tied}: {name}: {analytic} against {numeric}"
            );
        }
    }
}

#[test]
fn bad_sequences_are_refused_with_the_number_that_is_wrong() {
    let config = tiny(Family::Llama, true);
    let model = Model::new(&config, &random_weights(&config, 0, DType::F32)).unwrap();
    let says = |sequences: &[&[u32]]| model.hidden(sequences).unwrap_err().to_string();
    assert!(says(&[&[1, 99]]).contains("token 99"));
    assert!(says(&[&[1; 65]]).contains("65 tokens"));
    assert!(says(&[]).contains("non-empty"));
    assert!(says(&[&[1], &[1, 2]]).contains("equally long"));
}

#[test]
fn what_is_not_a_model_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let says = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        match ModelFile::find(&path).and_then(|file| load(&file, &Device::Cpu)) {
            Ok(_) => panic!("{name} was accepted"),
            Err(error) => error.to_string(),
        }
    };
    assert!(says("weights.bin", b"x").contains("pickle"));
    assert!(says("notes.txt", b"x").contains("file type"));
    assert!(says("cut.gguf", b"GGUF\x03\x00\x00\x00\x10").contains("truncated"));
    assert!(says("empty.gguf", b"").contains("GGUF"));
    assert!(matches!(
        ModelFile::find(&folder.path().join("nothing.gguf")),
        Err(LmError::NotAModel { .. })
    ));
}

#[test]
fn a_saved_hub_folder_loads_and_a_missing_or_misshapen_tensor_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = tiny(Family::Qwen3, true);
    let mut weights = random_weights(&config, 3, DType::F32);
    let json = serde_json::json!({
        "model_type": "qwen3", "vocab_size": config.vocab_size, "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size, "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads, "num_key_value_heads": config.kv_heads, "head_dim": config.head_dim,
        "max_position_embeddings": config.context, "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta, "tie_word_embeddings": true, "eos_token_id": 2,
    });
    std::fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
    let vocab: serde_json::Map<String, serde_json::Value> = (0..23u8)
        .map(|i| (char::from(b'a' + i).to_string(), serde_json::json!(i)))
        .collect();
    let tokenizer = serde_json::json!({"version": "1.0", "added_tokens": [],
        "model": {"type": "BPE", "vocab": vocab, "merges": []}});
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let save = |weights: &HashMap<String, Tensor>| {
        candle_core::safetensors::save(weights, folder.path().join("model.safetensors")).unwrap();
    };
    save(&weights);
    let file = ModelFile::find(folder.path()).unwrap();
    let loaded = load(&file, &Device::Cpu).unwrap();
    assert_eq!(loaded.info.config, config);
    let ours = last_logits(&Model::new(&config, &weights).unwrap(), &[1, 2, 3]);
    assert_eq!(
        last_logits(
            &Model::new(&loaded.info.config, &loaded.weights).unwrap(),
            &[1, 2, 3]
        ),
        ours
    );

    let model = Model::new(&loaded.info.config, &loaded.weights).unwrap();
    let prompt = PromptSpec {
        prompt: "abc".to_owned(),
        raw: true,
        prefill: "d".to_owned(),
    }
    .tokens(&loaded)
    .unwrap();
    assert_eq!(prompt, [0, 1, 2, 3]);
    let twice = ["a".to_owned(), "a".to_owned()];
    let error = score_answers(&model, &loaded, &prompt, &twice)
        .unwrap_err()
        .to_string();
    assert!(error.contains("same tokens"), "{error}");
    let chat = PromptSpec {
        prompt: "abc".to_owned(),
        raw: false,
        prefill: String::new(),
    }
    .tokens(&loaded);
    assert!(chat.unwrap_err().to_string().contains("--raw"));

    let name = "model.layers.1.mlp.up_proj.weight";
    let right = weights.remove(name).unwrap();
    save(&weights);
    assert!(
        load(&file, &Device::Cpu)
            .unwrap_err()
            .to_string()
            .contains(name)
    );
    weights.insert(name.to_owned(), right.t().unwrap().contiguous().unwrap());
    save(&weights);
    let error = load(&file, &Device::Cpu).unwrap_err().to_string();
    assert!(
        error.contains(name) && error.contains("[16, 24]"),
        "{error}"
    );
}

/// Where the gate puts the real model; without it these tests say that they are skipped.
pub(super) fn real_model() -> Option<PathBuf> {
    let path = std::env::var_os("MODESCOPE_SMOLLM2_GGUF").map(PathBuf::from);
    match path {
        Some(path) if path.is_file() => Some(path),
        _ => {
            crate::say_skipped(
                "MODESCOPE_SMOLLM2_GGUF does not name SmolLM2-135M-Instruct.Q4_1.gguf (see the README)",
            );
            None
        }
    }
}

#[test]
fn smollm2_scores_equal_those_of_transformers() {
    let Some(path) = real_model() else { return };
    let loaded = load(&ModelFile::find(&path).unwrap(), &Device::Cpu).unwrap();
    let model = Model::new(&loaded.info.config, &loaded.weights).unwrap();
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/smollm2_scores.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let prompt = PromptSpec {
            prompt: case["prompt"].as_str().unwrap().to_owned(),
            raw: case["raw"].as_bool().unwrap(),
            prefill: String::new(),
        }
        .tokens(&loaded)
        .unwrap();
        assert_eq!(serde_json::json!(prompt), case["prompt_tokens"]);
        let expected = case["answers"].as_array().unwrap();
        let answers: Vec<String> = expected
            .iter()
            .map(|a| a["text"].as_str().unwrap().to_owned())
            .collect();
        let scores = score_answers(&model, &loaded, &prompt, &answers).unwrap();
        assert_eq!(scores.len(), expected.len());
        for (ours, theirs) in scores.iter().zip(expected) {
            assert_eq!(serde_json::json!(ours.tokens), theirs["tokens"]);
            let difference = ours.log_prob - theirs["log_prob"].as_f64().unwrap();
            assert!(
                difference.abs() <= 1e-3,
                "{:?}: off by {difference}",
                ours.text
            );
        }
    }
}
