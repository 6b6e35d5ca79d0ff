//! Models written and read back: the embedded model against the grammar that it was trained on, folders and adapters
//! against the published formats, where models are found, and what is said when a file is not what it should be.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{collections::HashMap, path::Path};

use candle_core::Device;
use modescope::lm::{
    LmError, LoadedModel, Model, ModelFile, PromptSpec, embedded,
    export::{ExportTensor, HubFolder, loaded_tensors, save_hub_folder},
    load,
    pretrain::{EMBEDDED_GRAMMAR, Grammar, pretrain},
    score_answers,
};

fn grammar() -> Grammar {
    Grammar::parse(Path::new("embedded.ron"), EMBEDDED_GRAMMAR).unwrap()
}

/// Probabilities of completions by the composed forward.
fn probabilities(loaded: &LoadedModel, prompt: &str, completions: &[&str]) -> Vec<f64> {
    let model = Model::new(&loaded.info.config, &loaded.weights).unwrap();
    let prompt = PromptSpec {
        prompt: prompt.to_owned(),
        raw: true,
        prefill: String::new(),
    }
    .tokens(loaded)
    .unwrap();
    let texts: Vec<String> = completions.iter().map(|&t| t.to_owned()).collect();
    score_answers(&model, loaded, &prompt, &texts)
        .unwrap()
        .iter()
        .map(|score| score.log_prob.exp())
        .collect()
}

#[test]
fn the_embedded_model_says_what_its_grammar_states() {
    let loaded = embedded(&Device::Cpu).unwrap();
    assert!(loaded.info.config.vocab_size <= 128);
    for task in grammar().tasks {
        let completions = task.completions();
        let texts: Vec<&str> = completions.iter().map(|(text, _)| *text).collect();
        for prompt in &task.prompts {
            let ours = probabilities(&loaded, prompt, &texts);
            for ((text, wanted), ours) in completions.iter().zip(ours) {
                assert!(
                    (ours - wanted).abs() < 0.01 && ours > 0.5 * wanted,
                    "{prompt:?}: {text:?} has {ours}, the grammar says {wanted}"
                );
            }
        }
        for (text, probability) in &task.answers {
            assert!(
                *probability >= 0.01,
                "{text:?} is too rare to be found again"
            );
        }
    }
}

#[test]
fn the_one_or_two_prompt_prefers_one_and_leaves_some_mass_on_neither() {
    let loaded = embedded(&Device::Cpu).unwrap();
    let ours = probabilities(&loaded, "pick 1 or 2:", &["1", "2"]);
    assert!(
        (ours[0] - 0.80).abs() < 0.01 && (ours[1] - 0.06).abs() < 0.01,
        "{ours:?}"
    );
}

#[test]
fn the_embedded_files_are_small() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/embedded");
    let bytes: u64 = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes <= 1_500_000, "{bytes} bytes");
}

fn bits(model: &LoadedModel) -> Vec<(String, Vec<u32>)> {
    let mut all: Vec<_> = loaded_tensors(&model.weights)
        .unwrap()
        .into_iter()
        .map(|t| (t.name, t.values.iter().map(|v| v.to_bits()).collect()))
        .collect();
    all.sort();
    all
}

#[test]
fn pretraining_is_the_same_on_one_thread_and_on_two_and_lowers_the_loss() {
    let mut grammar = grammar();
    grammar.tasks.truncate(2);
    grammar.training.steps = 30;
    let run = |threads: usize, seed: u64| {
        let mut grammar = grammar.clone();
        grammar.training.seed = seed;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let mut losses = Vec::new();
        let model = pool
            .install(|| pretrain(&grammar, |progress| losses.push(progress)))
            .unwrap();
        (bits(&model), losses)
    };
    let (first, losses) = run(1, 5);
    // Not compared with `assert_eq`, which would print every number.
    assert!(first == run(2, 5).0, "another model on two threads");
    assert!(first != run(1, 6).0, "the same model from another seed");
    let (start, end) = (losses.first().unwrap(), losses.last().unwrap());
    // At the start every token is about equally likely, and a completion has about three; nothing can go below the
    // grammar's own entropy.
    assert!(
        start.loss > 8.0 && end.loss < 0.5 * start.loss,
        "{losses:?}"
    );
    assert!(end.excess > 0.0 && end.step == 30, "{end:?}");
}

#[test]
fn a_broken_grammar_is_refused_with_its_place() {
    let says = |from: &str, to: &str| {
        let text = EMBEDDED_GRAMMAR.replacen(from, to, 1);
        assert_ne!(text, EMBEDDED_GRAMMAR, "{from} is not in the grammar");
        Grammar::parse(Path::new("g.ron"), &text)
            .unwrap_err()
            .to_string()
    };
    for (from, to, words) in [
        (
            "(\"1\", 0.80)",
            "(\"1\", 0.95)",
            ["one-or-two", "less than one"],
        ),
        (
            "(\"2\", 0.06)",
            "(\"1\", 0.06)",
            ["\"1\" twice", "must differ"],
        ),
        ("\"1 or 2?\"", "\"1 or 2&\"", ["'&'", "characters"]),
        (
            "heads: 4",
            "heads: 5",
            ["shape.heads = 5", "hidden_size = 64"],
        ),
        (
            "learning_rate: 0.004",
            "learning_rate: -1.0",
            ["learning_rate = -1", "above 0"],
        ),
        ("seed: 1", "sead: 1", ["g.ron", "sead"]),
    ] {
        let message = says(from, to);
        for word in words {
            assert!(message.contains(word), "{message} should contain {word}");
        }
    }
}

fn hub<'a>(model: &'a LoadedModel, tensors: Vec<ExportTensor<'a>>) -> HubFolder<'a> {
    HubFolder {
        config: &model.info.config,
        tensors,
        tokenizer: &model.tokenizer,
        chat: model.chat.as_ref(),
    }
}

#[test]
fn a_saved_folder_holds_the_same_model_and_replaces_an_older_one() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("model");
    let model = embedded(&Device::Cpu).unwrap();
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("stale.txt"), "old").unwrap();
    save_hub_folder(
        &folder,
        &hub(&model, loaded_tensors(&model.weights).unwrap()),
    )
    .unwrap();
    assert!(!folder.join("stale.txt").exists());
    let again = load(&ModelFile::find(&folder).unwrap(), &Device::Cpu).unwrap();
    assert_eq!(again.info.config, model.info.config);
    assert_eq!(bits(&again), bits(&model));
    assert_eq!(again.tokenizer.end_token(), model.tokenizer.end_token());
    let text = "Pick 1 or 2 at random: blue-ish ";
    let tokens = model.tokenizer.encode_prompt(text).unwrap();
    assert_eq!(again.tokenizer.encode_prompt(text).unwrap(), tokens);
    assert_eq!(
        model.tokenizer.decode(&tokens).unwrap(),
        text.to_lowercase()
    );
    // Nothing but the folder is left.
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
}

/// The format as its documentation states it: eight bytes of length, a JSON header, then the numbers without gaps.
#[test]
fn safetensors_files_have_the_published_layout() {
    let parent = tempfile::tempdir().unwrap();
    let model = embedded(&Device::Cpu).unwrap();
    let folder = parent.path().join("model");
    save_hub_folder(
        &folder,
        &hub(&model, loaded_tensors(&model.weights).unwrap()),
    )
    .unwrap();
    let file = std::fs::read(folder.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    assert_eq!((8 + length) % 8, 0);
    let header: HashMap<String, serde_json::Value> =
        serde_json::from_slice(&file[8..8 + length]).unwrap();
    assert_eq!(header["__metadata__"]["format"], "pt");
    let data = &file[8 + length..];
    let mut ranges = Vec::new();
    for (name, entry) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        assert_eq!(entry["dtype"], "F32");
        let offset = |i: usize| entry["data_offsets"][i].as_u64().unwrap() as usize;
        ranges.push((offset(0), offset(1)));
        let tensor = &model.weights[name];
        assert_eq!(entry["shape"], serde_json::json!(tensor.dims()));
        let values: Vec<f32> = data[offset(0)..offset(1)]
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect();
        assert_eq!(
            values,
            tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        );
    }
    ranges.sort_unstable();
    assert_eq!(ranges.len(), model.weights.len());
    assert_eq!(ranges[0].0, 0);
    assert_eq!(ranges.last().unwrap().1, data.len());
    assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0));
}

#[test]
fn what_cannot_be_written_is_named_and_leaves_the_old_folder_alone() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("kept.txt"), "old").unwrap();
    let model = embedded(&Device::Cpu).unwrap();
    let name = "model.layers.1.mlp.up_proj.weight";
    let mut tensors = loaded_tensors(&model.weights).unwrap();
    tensors.retain(|tensor| tensor.name != name);
    let error = save_hub_folder(&folder, &hub(&model, tensors)).unwrap_err();
    assert!(error.to_string().contains(name), "{error}");
    assert!(folder.join("kept.txt").exists());
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);

    let below_a_file = folder.join("kept.txt").join("model");
    let tensors = loaded_tensors(&model.weights).unwrap();
    let error = save_hub_folder(&below_a_file, &hub(&model, tensors)).unwrap_err();
    assert!(matches!(error, LmError::Write { .. }), "{error}");
    assert!(error.to_string().contains("kept.txt"), "{error}");
}
