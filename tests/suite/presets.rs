//! Every embedded preset does what it says: each stated expectation is checked, those about a policy by training it.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::path::Path;

use modescope::{
    engine::check_expectations,
    experiment::{
        Arms, PolicyFamily, Preset, Quantity, Update, builtin, load_preset, parse_preset, set_path,
    },
};

#[test]
fn every_stated_expectation_of_every_preset_holds() {
    let mut failures = Vec::new();
    for builtin in builtin() {
        let start = std::time::Instant::now();
        let preset = parse_preset(builtin.text).unwrap();
        if !model_is_here(&preset) {
            crate::say_skipped(&format!(
                "{}: MODESCOPE_SMOLLM2_GGUF does not name its model",
                builtin.name
            ));
            continue;
        }
        for checked in check_expectations(&preset, None).unwrap() {
            let (low, high) = checked.expectation.between;
            let line = format!(
                "{}: {}: {:.6} in [{low}, {high}]",
                builtin.name, checked.expectation.says, checked.measured
            );
            println!("{line}");
            if !checked.holds() {
                failures.push(line);
            }
            if let Some(collapse) = checked.collapse {
                failures.push(format!("{}: {}", builtin.name, collapse.says()));
            }
        }
        println!("{} took {:?}", builtin.name, start.elapsed());
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Whether a preset's model is part of the program or on this disk.
fn model_is_here(preset: &Preset) -> bool {
    match &preset.language {
        Some(language) if language.model != "embedded" => {
            std::env::var_os("MODESCOPE_SMOLLM2_GGUF")
                .is_some_and(|path| Path::new(&path).is_file())
        }
        Some(_) | None => true,
    }
}

#[test]
fn an_expectation_of_a_policy_says_how_long_to_train() {
    for builtin in builtin() {
        let preset = parse_preset(builtin.text).unwrap();
        for expectation in &preset.expectations {
            let mut preset = preset.clone();
            for given in &expectation.given {
                set_path(&mut preset, given).unwrap();
            }
            let trains = match expectation.quantity {
                Quantity::PolicyMass(_) | Quantity::PolicyPeak | Quantity::Policy(_) => true,
                Quantity::TargetMass(_)
                | Quantity::TargetPeak
                | Quantity::Target(_)
                | Quantity::TieBeta(..) => false,
            };
            // Exact steps on few arms take less than a microsecond each.
            let few = matches!(preset.bandit.arms, Arms::Line { count, .. } if count <= 100);
            let is_quick = few
                && preset.training.update == Update::Exact
                && preset.training.policy == PolicyFamily::SoftmaxTable;
            let most = if is_quick { 1_000_000 } else { 10_000 };
            assert!(
                !trains
                    || preset
                        .training
                        .stop
                        .steps
                        .is_some_and(|steps| steps <= most),
                "{}: {}",
                builtin.name,
                expectation.says
            );
        }
    }
}

#[test]
fn every_preset_is_complete_and_its_texts_are_for_readers() {
    let mut titles = Vec::new();
    for builtin in builtin() {
        let preset = parse_preset(builtin.text).unwrap();
        assert!(preset.expectations.len() >= 3, "{}", builtin.name);
        assert!(
            !builtin
                .name
                .contains(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
        );
        for text in [&preset.title, &preset.summary, &preset.look_for] {
            assert!(!text.is_empty(), "{}", builtin.name);
            assert!(!text.contains(['\n', '\\']), "{}: {text}", builtin.name);
            assert!(!text.contains("  "), "{}: {text}", builtin.name);
        }
        assert!(preset.title.chars().count() <= 64, "{}", preset.title);
        assert!(
            preset.look_for.chars().count() <= 180,
            "{}",
            preset.look_for
        );
        titles.push(preset.title);
    }
    titles.sort();
    titles.dedup();
    assert_eq!(titles.len(), builtin().len(), "titles differ");
}

#[test]
fn the_folder_holds_the_embedded_presets_and_no_others() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("presets");
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "ron"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut names: Vec<&str> = builtin().iter().map(|builtin| builtin.name).collect();
    names.sort_unstable();
    assert_eq!(files, names);
    for builtin in builtin() {
        let path = folder.join(builtin.name).with_extension("ron");
        assert_eq!(
            load_preset(&path).unwrap(),
            parse_preset(builtin.text).unwrap()
        );
    }
}
