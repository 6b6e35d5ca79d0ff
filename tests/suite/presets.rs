//! Every embedded preset does what it says: each stated expectation is checked, those about a policy by training it.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::{path::Path, sync::Arc};

use modescope::{
    bandit::{self, Analysis, Problem, ProblemSource, Trainer},
    experiment::{
        Expectation, PolicyFamily, Preset, Quantity, builtin, load_preset, parse_preset, set_path,
    },
    theory::ties,
};

struct Built {
    preset: Preset,
    problem: Arc<Problem>,
    analysis: Arc<Analysis>,
}

fn build(preset: Preset) -> Built {
    let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
    let problem = source.problem(&preset.bandit, &preset.objective).unwrap();
    let analysis = Analysis::new(&problem, &preset.objective).unwrap();
    Built {
        preset,
        problem: Arc::new(problem),
        analysis: Arc::new(analysis),
    }
}

/// A trainer that has run until the preset's own stop rule of steps.
fn train(built: &Built) -> Trainer {
    let Some(steps) = built.preset.training.stop.steps else {
        panic!("an expectation of a policy needs a number of steps");
    };
    let mut trainer = Trainer::new(
        Arc::clone(&built.problem),
        built.preset.objective,
        Arc::clone(&built.analysis),
        Arc::new(built.preset.training.clone()),
    )
    .unwrap();
    for _ in 0..steps {
        trainer.step().unwrap();
    }
    trainer
}

fn peak(masses: &[f64]) -> f64 {
    masses.iter().copied().fold(0.0, f64::max)
}

fn measure(preset: &Preset, expectation: &Expectation) -> Option<f64> {
    let mut preset = preset.clone();
    for assignment in &expectation.given {
        set_path(&mut preset, assignment).unwrap();
    }
    let needs_training = matches!(
        expectation.quantity,
        Quantity::PolicyMass(_) | Quantity::PolicyPeak | Quantity::Policy(_)
    );
    if needs_training && !matches!(preset.training.policy, PolicyFamily::SoftmaxTable) {
        return None;
    }
    let built = build(preset);
    Some(match expectation.quantity {
        Quantity::TargetMass(arm) => built.analysis.target.masses[arm],
        Quantity::TargetPeak => peak(&built.analysis.target.masses),
        Quantity::Target(metric) => built.analysis.target_metrics.get(metric),
        Quantity::TieBeta(a, b) => {
            let log_reference = built.problem.reference.log_masses();
            ties::tie(a, b, log_reference, &built.analysis.rewards)
                .unwrap()
                .beta
        }
        Quantity::PolicyMass(arm) => train(&built).masses()[arm],
        Quantity::PolicyPeak => peak(train(&built).masses()),
        Quantity::Policy(metric) => {
            let mut trainer = train(&built);
            let Built {
                preset,
                problem,
                analysis,
            } = &built;
            bandit::measure(problem, &preset.objective, analysis, trainer.log_masses()).get(metric)
        }
    })
}

#[test]
fn every_stated_expectation_of_every_preset_holds() {
    let mut failures = Vec::new();
    for builtin in builtin() {
        let preset = parse_preset(builtin.text).unwrap();
        for expectation in &preset.expectations {
            let start = std::time::Instant::now();
            let Some(value) = measure(&preset, expectation) else {
                continue;
            };
            let (low, high) = expectation.between;
            let says = &expectation.says;
            let line = format!(
                "{}: {says}: {value:.6} in [{low}, {high}] ({:?})",
                builtin.name,
                start.elapsed()
            );
            println!("{line}");
            if !(low..=high).contains(&value) {
                failures.push(line);
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
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
