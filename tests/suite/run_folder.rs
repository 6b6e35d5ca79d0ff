//! Run folders of language models: what they replace, what becomes of a run whose folder cannot be written, and whether they
//! repeat and go on.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

fn run(args: &[&str]) -> Output {
    Command::new(cargo_bin!("modescope"))
        .arg("run")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn last_step(folder: &Path) -> String {
    let metrics = fs::read_to_string(folder.join("metrics.csv")).unwrap();
    let last = metrics.lines().last().unwrap();
    last.split(',').next().unwrap().to_owned()
}

#[test]
fn a_run_that_replaces_another_keeps_its_own_checkpoints_and_events_only() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let to = out.to_str().unwrap();
    let every = |n: u64| format!("language.checkpoints.every={n}");
    succeeds(&run(&[
        "lm-one-or-two",
        "--steps",
        "30",
        "--set",
        &every(10),
        "--out",
        to,
    ]));
    succeeds(&run(&[
        "lm-one-or-two",
        "--steps",
        "5",
        "--set",
        &every(2),
        "--out",
        to,
        "--overwrite",
    ]));
    let checkpoints = out.join("checkpoints");
    assert_eq!(names(&checkpoints).last().unwrap(), "step-000005");
    assert!(
        !names(&checkpoints)
            .iter()
            .any(|name| name > &"step-000005".to_owned())
    );
    assert_eq!(names(&out.join("tensorboard")).len(), 1);
    assert!(
        !names(&out).iter().any(|name| name.starts_with('.')),
        "{:?}",
        names(&out)
    );
    // A run may go on in the place of the run that it goes on from.
    let from = checkpoints.join("step-000005");
    let table = succeeds(&run(&[
        "lm-one-or-two",
        "--steps",
        "8",
        "--from",
        from.to_str().unwrap(),
        "--out",
        to,
        "--overwrite",
    ]));
    assert!(table.contains("8 steps, 3 of them now,"), "{table}");
    assert_eq!(names(&checkpoints), ["step-000005", "step-000008"]);
}

#[test]
fn a_checkpoint_that_cannot_be_written_costs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let to = out.to_str().unwrap();
    succeeds(&run(&["lm-one-or-two", "--steps", "2", "--out", to]));
    fs::remove_dir_all(out.join("checkpoints")).unwrap();
    fs::write(out.join("checkpoints"), "a file").unwrap();
    let output = run(&[
        "lm-one-or-two",
        "--steps",
        "30",
        "--set",
        "language.checkpoints.every=10",
        "--out",
        to,
        "--overwrite",
        "--json",
    ]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("checkpoints/step-000010"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["steps"], 30);
    let written = fs::read_to_string(out.join("summary.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["ended"], "steps");
    assert_eq!(last_step(&out), "30");
    assert!(out.join("policy.csv").is_file() && out.join("target.csv").is_file());
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_goes_on_without_the_samples_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let to = out.to_str().unwrap();
    succeeds(&run(&["lm-one-or-two", "--steps", "2", "--out", to]));
    fs::remove_file(out.join("samples.jsonl")).unwrap();
    std::os::unix::fs::symlink("/dev/full", out.join("samples.jsonl")).unwrap();
    let output = run(&["lm-one-or-two", "--steps", "30", "--out", to, "--overwrite"]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("samples are no longer written"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(text(&output.stdout).contains("30 steps"));
    assert_eq!(last_step(&out), "30");
    assert_eq!(
        names(&out.join("checkpoints")).last().unwrap(),
        "step-000030"
    );
}

#[test]
fn the_last_good_state_of_a_run_that_failed_is_a_checkpoint_to_go_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let output = run(&[
        "lm-one-or-two",
        "--set",
        "training.learning_rate=1e38",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let checkpoints: Vec<PathBuf> = names(&out.join("checkpoints"))
        .iter()
        .map(|name| out.join("checkpoints").join(name))
        .collect();
    assert_eq!(checkpoints.len(), 1, "{}", text(&output.stderr));
    let from = checkpoints[0].to_str().unwrap();
    // It is read, and already has the one step that is wanted.
    let table = succeeds(&run(&["lm-one-or-two", "--steps", "1", "--from", from]));
    assert!(table.contains("1 steps, 0 of them now,"), "{table}");
}

#[cfg(unix)]
#[test]
fn a_run_with_a_reward_program_repeats_from_its_folder() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("place");
    fs::create_dir(&place).unwrap();
    let script = "import json, sys\nbonus = float(open('bonus.txt').read())\nfor line in sys.stdin:\n    \
                  r = json.loads(line)\n    print(json.dumps({'id': r['id'], 'reward': bonus * (r['completion'] == '1')}), \
                  flush=True)\n";
    fs::write(place.join("reward.py"), script).unwrap();
    fs::write(place.join("bonus.txt"), "0.5").unwrap();
    let shown = Command::new(cargo_bin!("modescope"))
        .args(["presets", "show", "lm-one-or-two"])
        .output()
        .unwrap();
    let program = "language: (program: (command: [\"python3\", \"reward.py\"], timeout_secs: 60),";
    let preset = text(&shown.stdout).replacen("language: (", program, 1);
    assert!(preset.contains("reward.py"), "{preset}");
    fs::write(place.join("mine.ron"), preset).unwrap();
    let (first, second) = (home.path().join("first"), home.path().join("second"));
    let policy = |preset: &Path, out: &Path| {
        succeeds(&run(&[
            preset.to_str().unwrap(),
            "--steps",
            "6",
            "--out",
            out.to_str().unwrap(),
        ]));
        fs::read_to_string(out.join("policy.csv")).unwrap()
    };
    let a = policy(&place.join("mine.ron"), &first);
    let b = policy(&first.join("preset.ron"), &second);
    assert_eq!(a, b);
    let preset = |folder: &Path| fs::read_to_string(folder.join("preset.ron")).unwrap();
    assert_eq!(preset(&first), preset(&second));
}

#[cfg(target_os = "linux")]
#[test]
fn a_reward_program_does_not_outlive_a_run_that_is_ended_while_it_starts() {
    use std::{
        io::Read as _,
        time::{Duration, Instant},
    };
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("number");
    let program = format!(
        "language.program=(command: [\"sh\", \"-c\", \"echo $$ > {}; exec sleep 300\"], timeout_secs: 300)",
        mark.display()
    );
    let mut child = Command::new(cargo_bin!("modescope"))
        .args(["run", "lm-one-or-two", "--steps", "3", "--set", &program])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let number = loop {
        let number = fs::read_to_string(&mark).unwrap_or_default();
        if number.ends_with('\n') {
            break number.trim().to_owned();
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it never started"
        );
        std::thread::sleep(Duration::from_millis(10));
    };
    let sent = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let status = child.wait().unwrap();
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    assert_eq!(status.code(), Some(130), "{errors}");
    assert_eq!(errors, "stopped before the first step\n");
    let alive = || {
        let stat = fs::read_to_string(format!("/proc/{number}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    let begun = Instant::now();
    while alive() {
        assert!(begun.elapsed() < Duration::from_secs(5), "it lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_prompt_of_several_comes_out_under_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let two = "language.prompts=[(prompt: \"pick 1 or 2:\", raw: true, answers: [(text: \"1\"), (text: \"2\")]), \
               (prompt: \"pick a digit:\", raw: true, answers: [(text: \"0\"), (text: \"5\"), (text: \"7\")])]";
    let args = |more: &[&'static str]| -> Output {
        let to = out.to_str().unwrap();
        let mut all = vec![
            "lm-one-or-two",
            "--steps",
            "3",
            "--set",
            two,
            "--out",
            to,
            "--overwrite",
        ];
        all.extend(more);
        run(&all)
    };
    let table = succeeds(&args(&[]));
    for says in [
        "prompt 0: \"pick 1 or 2:\"",
        "prompt 1: \"pick a digit:\"",
        "\n7",
    ] {
        assert!(table.contains(says), "{says} is missing in {table}");
    }
    let json: Value = serde_json::from_str(&succeeds(&args(&["--json"]))).unwrap();
    let prompts = json["prompts"].as_array().unwrap();
    assert_eq!(prompts.len(), 2);
    assert_eq!(prompts[1]["prompt"], "pick a digit:");
    assert_eq!(prompts[1]["policy"].as_array().unwrap().len(), 4);
    assert_eq!(prompts[1]["target"].as_array().unwrap().len(), 4);
    assert!(json.get("policy").is_none(), "whose policy?");
    for file in ["policy.csv", "target.csv"] {
        let rows = fs::read_to_string(out.join(file)).unwrap();
        let rows: Vec<&str> = rows.lines().collect();
        assert!(rows[0].starts_with("prompt,arm,label,"), "{rows:?}");
        assert_eq!(rows.len(), 1 + 3 + 4);
        assert!(
            rows[1].starts_with("0,0,1,") && rows[6].starts_with("1,2,7,"),
            "{rows:?}"
        );
    }
}

#[test]
fn samples_of_another_distribution_are_told_once() {
    let output = run(&[
        "lm-one-or-two",
        "--steps",
        "3",
        "--set",
        "language.temperature=0.7",
        "--json",
    ]);
    let errors = text(&output.stderr);
    assert_eq!(errors.matches("off-policy").count(), 1, "{errors}");
    assert!(errors.contains("language.temperature = 0.7"), "{errors}");
    let plain = run(&["lm-one-or-two", "--steps", "3", "--json"]);
    assert_eq!(text(&plain.stderr), "");
}

#[test]
fn a_prompt_that_does_not_lead_to_the_answers_is_told_however_short_the_run() {
    let output = run(&[
        "lm-one-or-two",
        "--steps",
        "1",
        "--json",
        "--set",
        "language.prompts.0.answers=[(text: \"red\"), (text: \"blue\")]",
    ]);
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(
        errors.contains("P(valid)") && errors.contains("prefill"),
        "{errors}"
    );
}

/// The real model is too large to keep states of: going back needs a checkpoint, and going on must not take more memory
/// than training.
#[test]
fn a_large_model_goes_on_in_the_memory_that_it_trains_in_and_back_to_checkpoints_only() {
    use modescope::{
        engine::{Budget, Session},
        experiment::builtin_preset,
    };
    if crate::lm::real_model().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let written = {
        let preset = builtin_preset("lm-smollm2-one-or-two").unwrap();
        let mut session = Session::new(preset, None).unwrap();
        let step = |session: &mut Session| {
            session.advance(Budget::steps(1), &|| false).unwrap();
            session.policy().to_vec()
        };
        step(&mut session);
        let error = session.revert(1).unwrap_err().to_string();
        assert!(
            error.contains("step 1 ") && error.contains("only checkpoints"),
            "{error}"
        );
        let written = session.checkpoint(folder.path()).unwrap();
        let policy = step(&mut session);
        assert_eq!(session.revert(1).unwrap(), 1);
        assert_eq!(step(&mut session), policy);
        written
    };
    let from = written.to_str().unwrap();
    let mut child = Command::new(cargo_bin!("modescope"))
        .args([
            "run",
            "lm-smollm2-one-or-two",
            "--steps",
            "2",
            "--from",
            from,
            "--json",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        // The highest so far, as Linux counts it; elsewhere only that it goes on is tested.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let value = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        peak_kb = peak_kb.max(value.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert!(ended.success());
    assert!(peak_kb < 3_000_000, "{peak_kb} kB at most");
}
