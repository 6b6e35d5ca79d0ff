//! Small GGUF files, written as llama.cpp's converter does.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{collections::HashMap, path::Path};

use candle_core::{
    Device, Tensor,
    quantized::{
        GgmlDType, QTensor,
        gguf_file::{self, Value},
    },
};
use modescope::lm::{Family, ModelConfig, ModelFile, RopeScaling, Yarn, inspect, verify};
use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

/// A one-layer Llama whose rows fill the blocks of every quantised type.
pub(super) fn gguf_config() -> ModelConfig {
    ModelConfig {
        family: Family::Llama,
        vocab_size: 12,
        hidden_size: 256,
        intermediate_size: 512,
        layers: 1,
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        context: 32,
        norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        tied_embeddings: true,
        qkv_bias: false,
    }
}

pub(super) fn gguf_weights() -> HashMap<String, Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let shapes = gguf_config().tensor_shapes().into_iter();
    shapes
        .map(|(name, shape)| {
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|_| rng.random_range(-1.0..1.0))
                .collect();
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        })
        .collect()
}

/// Letters as tokens.
fn letters(tokens: usize) -> Vec<(&'static str, Value)> {
    let letters = (0..tokens).map(|i| Value::String(char::from(b'a' + i as u8).to_string()));
    vec![
        ("tokenizer.ggml.model", Value::String("gpt2".to_owned())),
        ("tokenizer.ggml.pre", Value::String("gpt-2".to_owned())),
        ("tokenizer.ggml.tokens", Value::Array(letters.collect())),
        ("tokenizer.ggml.merges", Value::Array(vec![])),
        ("tokenizer.ggml.eos_token_id", Value::U32(0)),
    ]
}

/// The model with more metadata.
pub(super) fn write_gguf_saying(path: &Path, more: &[(&'static str, Value)]) {
    let metadata = [letters(12), more.to_vec()].concat();
    write_gguf_with(path, GgmlDType::F32, &metadata, "");
}

/// Writes the model as llama.cpp's converter does: its names, and q and k with rows permuted for interleaved rotation.
/// `skip` leaves a tensor out.
pub(super) fn write_gguf(path: &Path, dtype: GgmlDType, tokens: usize, skip: &str) {
    write_gguf_with(path, dtype, &letters(tokens), skip);
}

/// The same with a SentencePiece vocabulary, which wants a begin token and a space in front of every text.
pub(super) fn write_sentence_piece(path: &Path) {
    let tokens = [
        "<unk>", "<s>", "</s>", "▁", "a", "b", "c", "▁a", "ab", "▁ab", "bc", "▁c",
    ];
    let kinds = [2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    let vocabulary = [
        ("tokenizer.ggml.model", Value::String("llama".to_owned())),
        (
            "tokenizer.ggml.tokens",
            Value::Array(tokens.map(|t| Value::String(t.to_owned())).to_vec()),
        ),
        (
            "tokenizer.ggml.scores",
            Value::Array((0..12u8).map(|i| Value::F32(-f32::from(i))).collect()),
        ),
        (
            "tokenizer.ggml.token_type",
            Value::Array(kinds.map(Value::I32).to_vec()),
        ),
        ("tokenizer.ggml.bos_token_id", Value::U32(1)),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        ("tokenizer.ggml.unknown_token_id", Value::U32(0)),
    ];
    write_gguf_with(path, GgmlDType::F32, &vocabulary, "");
}

fn write_gguf_with(path: &Path, dtype: GgmlDType, vocabulary: &[(&str, Value)], skip: &str) {
    let config = gguf_config();
    let mut tensors = Vec::new();
    for (name, tensor) in gguf_weights() {
        let heads = match name.as_str() {
            n if n.contains("q_proj") => Some(config.heads),
            n if n.contains("k_proj") => Some(config.kv_heads),
            _ => None,
        };
        let tensor = match heads {
            None => tensor,
            Some(heads) => tensor
                .reshape((heads, 2, 32, 256))
                .unwrap()
                .transpose(1, 2)
                .unwrap()
                .contiguous()
                .unwrap()
                .reshape((heads * 64, 256))
                .unwrap(),
        };
        let kind = if tensor.rank() == 1 {
            GgmlDType::F32
        } else {
            dtype
        };
        let mut name = name
            .replace("model.embed_tokens", "token_embd")
            .replace("model.norm", "output_norm")
            .replace("model.layers.", "blk.");
        for (hub, gguf) in [
            ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("self_attn.o_proj", "attn_output"),
            ("mlp.gate_proj", "ffn_gate"),
            ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "ffn_norm"),
        ] {
            name = name.replace(hub, gguf);
        }
        if skip.is_empty() || !name.contains(skip) {
            tensors.push((name, QTensor::quantize(&tensor, kind).unwrap()));
        }
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let text = |t: &str| Value::String(t.to_owned());
    let metadata = [
        ("general.architecture", text("llama")),
        ("general.name", text("Tiny")),
        ("general.license", text("apache-2.0")),
        ("llama.embedding_length", Value::U32(256)),
        ("llama.feed_forward_length", Value::U32(512)),
        ("llama.block_count", Value::U32(1)),
        ("llama.attention.head_count", Value::U32(4)),
        ("llama.attention.head_count_kv", Value::U32(2)),
        ("llama.context_length", Value::U32(32)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
    ];
    let metadata = metadata.iter().chain(vocabulary).map(|(k, v)| (*k, v));
    let metadata: Vec<(&str, &Value)> = metadata.collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let mut file = std::fs::File::create(path).unwrap();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
}

/// The metadata keys and their meaning are those of llama.cpp (`llm_load_hparams`, `llama_context`, `rope_yarn`).
#[test]
fn scaling_that_metadata_names_is_what_llama_cpp_makes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let text = |t: &str| Value::String(t.to_owned());
    let read = |more: &[(&'static str, Value)]| {
        write_gguf_saying(&path, more);
        let file = ModelFile::find(&path).unwrap();
        verify(&file).and_then(|_| inspect(&file)).map(|m| m.config)
    };
    let kind = |name: &str| ("llama.rope.scaling.type", text(name));
    let factor = ("llama.rope.scaling.factor", Value::F32(4.0));
    let original = ("llama.rope.scaling.original_context_length", Value::U32(8));
    let linear = RopeScaling::Linear { factor: 4.0 };
    for (more, scaling) in [
        (vec![], RopeScaling::None),
        (vec![kind("none"), factor.clone()], RopeScaling::None),
        (vec![kind("linear"), factor.clone()], linear.clone()),
        // llama.cpp takes a scaling without a name for a linear one.
        (vec![factor.clone()], linear.clone()),
        (vec![("llama.rope.scale_linear", Value::F32(4.0))], linear),
        (
            vec![kind("yarn"), factor.clone(), original.clone()],
            RopeScaling::Yarn(Yarn::new(4.0, 8)),
        ),
        (
            vec![kind("yarn"), factor.clone()],
            RopeScaling::Yarn(Yarn::new(4.0, 32)),
        ),
        (
            vec![
                kind("yarn"),
                factor.clone(),
                original.clone(),
                ("llama.rope.scaling.yarn_beta_fast", Value::F32(16.0)),
                ("llama.rope.scaling.yarn_beta_slow", Value::F32(2.0)),
                ("llama.rope.scaling.yarn_attn_factor", Value::F32(0.75)),
                ("llama.rope.scaling.yarn_ext_factor", Value::F32(1.0)),
                ("llama.rope.scaling.yarn_log_multiplier", Value::F32(0.1)),
            ],
            RopeScaling::Yarn(Yarn {
                beta_fast: 16.0,
                beta_slow: 2.0,
                attention_factor: Some(0.75),
                ..Yarn::new(4.0, 8)
            }),
        ),
    ] {
        assert_eq!(read(&more).unwrap().rope_scaling, scaling, "{more:?}");
    }
    // It multiplies what follows from the factor: 0.5 · (1 + 0.1 ln 4).
    let sharper = ("llama.rope.scaling.attn_factor", Value::F32(0.5));
    let config = read(&[kind("yarn"), factor.clone(), original, sharper.clone()]).unwrap();
    assert!((config.rope_attention_factor() - 0.569_314_718).abs() < 1e-9);
    for (more, words) in [
        (vec![kind("longrope")], "llama.rope.scaling.type = longrope"),
        (
            vec![kind("linear"), factor.clone(), sharper],
            "attn_factor = 0.5",
        ),
        (
            vec![
                kind("yarn"),
                ("llama.rope.scaling.factor", Value::F32(-1.0)),
            ],
            "llama.rope.scaling.factor is not a finite number above 0",
        ),
        (
            vec![
                kind("yarn"),
                ("llama.rope.scaling.yarn_ext_factor", Value::F32(0.5)),
            ],
            "yarn_ext_factor = 0.5",
        ),
        (
            vec![
                kind("yarn"),
                ("llama.rope.scaling.yarn_beta_fast", Value::F32(0.5)),
            ],
            "beta_fast = 0.5",
        ),
    ] {
        let message = read(&more).unwrap_err().to_string();
        assert!(message.contains(words), "{message} should contain {words}");
    }
}
