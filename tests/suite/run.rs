//! `modescope run` and its run folder.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

fn modescope(args: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("modescope"));
    command.args(args).stdin(Stdio::null());
    command
}

fn json(args: &[&str]) -> Value {
    let output = modescope(args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

#[test]
fn the_summary_has_what_a_script_needs() {
    let run = json(&["run", "figure-3", "--steps", "300", "--seed", "5", "--json"]);
    assert_eq!(run["steps"], 300);
    assert_eq!(run["seed"], 5);
    assert!(run["steps_per_second"].as_f64().unwrap() > 0.0);
    for key in [
        "mode_mass",
        "covered_modes",
        "effective_modes",
        "balance",
        "largest_share",
        "coverage",
        "kl_to_target",
        "kl_from_target",
        "tv_to_target",
        "kl_to_reference",
        "kl_from_reference",
        "entropy",
        "expected_reward",
        "objective",
        "objective_gap",
    ] {
        assert!(
            run["metrics"][key].is_number(),
            "{key}: {}",
            run["metrics"][key]
        );
    }
    let (policy, target) = (numbers(&run["policy"]), numbers(&run["target"]));
    assert_eq!((policy.len(), target.len()), (3, 3));
    assert!((policy.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!((target[2] - 0.5118).abs() < 1e-4);
}

#[test]
fn the_same_seed_gives_the_same_run_and_options_change_it() {
    let policy = |more: &[&str]| {
        let mut args = vec!["run", "figure-5", "--steps", "200", "--json"];
        args.extend(more);
        numbers(&json(&args)["policy"])
    };
    assert_eq!(policy(&[]), policy(&[]));
    assert_ne!(policy(&[]), policy(&["--seed", "1234"]));
    assert_ne!(policy(&[]), policy(&["--set", "objective.beta=0.5"]));
}

#[test]
fn a_table_is_for_people() {
    let output = modescope(&["run", "figure-3", "--steps", "50"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in ["50 steps", "effective modes", "KL(π‖G)", "target", "best"] {
        assert!(text.contains(expected), "{expected} is missing in {text}");
    }
}

#[test]
fn mistakes_are_one_line_that_names_them() {
    for (args, expected) in [
        (&["run", "figure-99"][..], "figure-99"),
        (&["run", "no/such/file.ron"], "file.ron"),
        (&["run", "figure-3", "--set", "objective.beta=-1"], "beta"),
        (&["run", "figure-3", "--set", "objective.betta=1"], "betta"),
        (&["run", "figure-3", "--steps", "-4"], "-4"),
        (
            &["run", "figure-3", "--steps", "1", "--journal", "none.jsonl"],
            "none.jsonl",
        ),
    ] {
        let output = modescope(args).output().unwrap();
        assert!(!output.status.success());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(errors.trim_end().lines().count(), 1, "{errors}");
        assert!(
            errors.contains(expected),
            "{expected} is missing in {errors}"
        );
    }
}

#[test]
fn validate_run_tells_which_expectation_does_not_come_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("preset.ron");
    let shown = modescope(&["presets", "show", "figure-3"])
        .output()
        .unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    let validate = || {
        let output = modescope(&["validate", "--run", file.to_str().unwrap()])
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    fs::write(&file, &text).unwrap();
    let (good, out) = validate();
    assert!(good, "{out}");
    let wrong = text.replacen("(0.06925, 0.06935)", "(0.5, 0.6)", 1);
    assert_ne!(wrong, text);
    fs::write(&file, wrong).unwrap();
    let (good, out) = validate();
    assert!(!good);
    assert!(
        out.contains("measured 0.06925") && out.contains("expected 0.5 to 0.6"),
        "{out}"
    );
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap()
}

#[test]
fn a_run_folder_repeats_the_run_edits_included() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let journal = folder.path().join("journal.jsonl");
    fs::write(
        &journal,
        "{\"step\":20,\"edit\":{\"Reward\":{\"arm\":1,\"value\":0.30000000000000004}}}\n\
         {\"step\":120,\"edit\":{\"Reference\":{\"arm\":0,\"weight\":0.7}}}\n",
    )
    .unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let run = |preset: &str, journal: &Path, out: &Path| {
        json(&[
            "run",
            preset,
            "--steps",
            "700",
            "--json",
            "--journal",
            &path(journal),
            "--out",
            &path(out),
        ])
    };
    let a = run("figure-4", &journal, &first);
    let b = run(
        &path(&first.join("preset.ron")),
        &first.join("journal.jsonl"),
        &second,
    );
    assert_eq!(a["policy"], b["policy"]);
    for file in [
        "metrics.csv",
        "journal.jsonl",
        "policy.csv",
        "target.csv",
        "preset.ron",
    ] {
        assert_eq!(read(&first, file), read(&second, file), "{file}");
    }
    assert_eq!(
        read(&first, "journal.jsonl"),
        fs::read_to_string(&journal).unwrap()
    );
    let summary: Value = serde_json::from_str(&read(&first, "summary.json")).unwrap();
    assert_eq!(
        (&summary["steps"], &summary["ended"]),
        (&Value::from(700), &Value::from("steps"))
    );
    let metrics = read(&first, "metrics.csv");
    let columns = metrics.lines().next().unwrap().split(',').count();
    assert!(
        metrics
            .lines()
            .all(|line| line.split(',').count() == columns)
    );
    assert!(metrics.lines().count() > 500, "every early step is there");
    // A run that is there is not lost by accident.
    let again = modescope(&["run", "figure-4", "--steps", "1", "--out", &path(&first)])
        .output()
        .unwrap();
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("--overwrite"));
    assert_eq!(read(&first, "metrics.csv"), metrics);
    // And nothing else is ever replaced.
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("thesis.txt"), "years").unwrap();
    let occupied = modescope(&[
        "run",
        "figure-4",
        "--steps",
        "1",
        "--overwrite",
        "--out",
        &path(&other),
    ]);
    assert!(!{ occupied }.output().unwrap().status.success());
}

#[test]
fn the_last_step_is_in_the_metrics_and_the_summary_says_what_is_infinite() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let summary = json(&[
        "run",
        "outside-the-support",
        "--set",
        "objective.direction=Reverse",
        "--set",
        "training.update=Exact",
        "--set",
        "training.start=Uniform",
        "--steps",
        "1003",
        "--json",
        "--out",
        out.to_str().unwrap(),
    ]);
    let metrics = read(&out, "metrics.csv");
    let last = metrics.lines().last().unwrap();
    assert!(last.starts_with("1003,"), "{last}");
    let infinite = summary["infinite_metrics"].as_array().unwrap();
    assert!(
        infinite.contains(&Value::from("kl_to_reference")),
        "{infinite:?}"
    );
    assert_eq!(summary["metrics"]["kl_to_reference"], Value::Null);
    for draws in ["draws", "target_draws"] {
        assert!(summary[draws].get("for_50_percent").is_some(), "{summary}");
    }
}

#[cfg(unix)]
#[test]
fn a_killed_run_leaves_whole_lines_and_an_interrupted_one_its_summary() {
    let folder = tempfile::tempdir().unwrap();
    for (signal, name) in [("-KILL", "killed"), ("-INT", "interrupted")] {
        let out = folder.path().join(name);
        let mut child = modescope(&[
            "run",
            "figure-5",
            "--steps",
            "1000000000",
            "--json",
            "--out",
            out.to_str().unwrap(),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        let begun = Instant::now();
        let lines = || fs::read_to_string(out.join("metrics.csv")).map_or(0, |t| t.lines().count());
        while lines() < 600 {
            assert!(begun.elapsed() < Duration::from_secs(20), "no metrics");
            std::thread::sleep(Duration::from_millis(20));
        }
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let output = child.wait().unwrap();
        let metrics = read(&out, "metrics.csv");
        assert!(metrics.ends_with('\n'));
        let columns = metrics.lines().next().unwrap().split(',').count();
        assert!(
            metrics
                .lines()
                .all(|line| line.split(',').count() == columns)
        );
        let summary: Value = serde_json::from_str(&read(&out, "summary.json")).unwrap();
        if signal == "-INT" {
            assert_eq!(output.code(), Some(130));
            assert_eq!(summary["ended"], "interrupted");
            assert!(out.join("policy.csv").exists());
        } else {
            assert_eq!(summary["ended"], "running");
        }
    }
}

#[test]
fn a_collapse_is_told_on_standard_error() {
    let run = |sets: &[&str]| {
        let args = ["run", "lm-one-or-two", "--steps", "60", "--json"];
        let output = modescope(&[&args, sets].concat()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let told = run(&["--set", "training.learning_rate=0.3"]);
    assert_eq!(
        told.matches("The policy has collapsed at step ").count(),
        1,
        "{told}"
    );
    assert!(
        told.contains("smaller training.learning_rate (now 0.3)"),
        "{told}"
    );
    assert!(!run(&[]).contains("collapsed"));
}
