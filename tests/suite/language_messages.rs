//! What the command line says about models and language presets that are not right.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::{
    fs,
    process::{Command, Stdio},
};

use assert_cmd::cargo::cargo_bin;
use candle_core::quantized::GgmlDType;

use crate::gguf::write_gguf;

/// Exit code, standard output and standard error; the model store is empty.
fn modescope(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(cargo_bin!("modescope"))
        .args(args)
        .env("MODESCOPE_MODELS_DIR", "/nonexistent")
        .env("HF_HUB_CACHE", "/nonexistent")
        .env_remove("MODESCOPE_SMOLLM2_GGUF")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn what_a_cut_file_holds_is_not_told_as_if_it_were_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.gguf");
    write_gguf(&path, GgmlDType::F32, 12, "");
    let shown = path.to_str().unwrap();
    let (code, out, errors) = modescope(&["model", "info", shown]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.contains("parameters"), "{out}");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 200]).unwrap();
    let (code, out, errors) = modescope(&["model", "info", shown]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(errors.contains("truncated"), "{errors}");
}

#[test]
fn a_model_that_is_not_there_is_told_with_the_command_that_gets_it() {
    let info = |name: &str| modescope(&["model", "info", name]).2;
    assert!(info("org/name").contains("modescope model fetch org/name"));
    assert!(info("somewhere/model.gguf").contains("modescope model import PATH"));
    assert!(info("name").contains("modescope model import PATH"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pytorch_model.bin"), "").unwrap();
    let pickle = || info(folder.path().to_str().unwrap());
    assert!(pickle().contains("pytorch_model.bin") && pickle().contains("pickle"));
    fs::write(folder.path().join("config.json"), "{}").unwrap();
    let tiny = "{\"model_type\": \"llama\", \"vocab_size\": 64, \"hidden_size\": 32, \"intermediate_size\": 48, \
                \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"rms_norm_eps\": 1e-5}";
    fs::write(folder.path().join("config.json"), tiny).unwrap();
    assert!(pickle().contains("pytorch_model.bin"), "{}", pickle());
}

#[test]
fn first_tokens_are_scored_without_the_end() {
    let score = |more: &[&str]| {
        let mut args = vec![
            "model",
            "score",
            "--model",
            "embedded",
            "--raw",
            "--prompt",
            "pick 1 or 2:",
            "--answers",
            "1,2",
            "--json",
        ];
        args.extend(more);
        let (code, out, errors) = modescope(&args);
        assert_eq!(code, Some(0), "{errors}");
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        json["answers"].as_array().unwrap().clone()
    };
    for (first, whole) in score(&["--first-token"]).iter().zip(score(&[])) {
        assert_eq!(first["tokens"].as_array().unwrap().len(), 1);
        assert_eq!(first["tokens"][0], whole["tokens"][0]);
        let near = |a: &serde_json::Value, b: &serde_json::Value| {
            (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-5
        };
        assert!(near(&first["log_prob"], &whole["token_log_probs"][0]));
    }
}

#[test]
fn a_language_preset_is_checked_against_the_embedded_model() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("preset.ron");
    let (_, good, _) = modescope(&["presets", "show", "lm-one-or-two"]);
    let validate = |text: &str| {
        fs::write(&file, text).unwrap();
        modescope(&["validate", file.to_str().unwrap()])
    };
    assert!(validate(&good).1.ends_with(": no mistakes\n"));
    let prompt = "prompt: \"pick 1 or 2:\"";
    assert!(good.contains(prompt));
    let long = good.replace(
        prompt,
        &format!("prompt: \"{}\"", "pick 1 or 2 ".repeat(20)),
    );
    let (code, out, _) = validate(&long);
    assert_eq!(code, Some(1));
    assert!(
        out.contains("language.prompts.0.prompt") && out.contains("context of 64"),
        "{out}"
    );
    let field = "language: (";
    let many = good.replacen(field, "language: (max_new_tokens: 4000,", 1);
    let (code, out, _) = validate(&many);
    assert_eq!(code, Some(1), "{many}");
    assert!(out.contains("language.max_new_tokens"), "{out}");
    // A model that is elsewhere is no mistake of the preset, and nothing is claimed of the task.
    let (code, out, _) = validate(&good.replace("\"embedded\"", "\"elsewhere\""));
    assert_eq!(code, Some(0), "{out}");
    assert!(
        out.contains("without its model") && out.contains("elsewhere"),
        "{out}"
    );
}

#[cfg(unix)]
#[test]
fn warnings_to_a_file_have_no_colours() {
    let (code, _, errors) = modescope(&[
        "run",
        "lm-one-or-two",
        "--steps",
        "1",
        "--set",
        "language.program=(command: [\"sh\", \"-c\", \"exit 3\"], timeout_secs: 5)",
    ]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("it is started again"), "{errors}");
    assert!(!errors.contains('\u{1b}'), "{errors:?}");
}
