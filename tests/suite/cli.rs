//! The command line as a user meets it: what works, and that whatever goes wrong is one line on standard error that names
//! the field, the value and what is accepted.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use assert_cmd::cargo::cargo_bin;
use serde_json::{Value, json};

const EXAMPLE: [&str; 7] = [
    "target",
    "--reference",
    "0.68,0.30,0.02",
    "--rewards",
    "0,1,1",
    "--beta",
    "0.05",
];

struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs the program with arguments and standard input.
fn run(args: &[&str], input: &str) -> Outcome {
    let mut child = Command::new(cargo_bin!("modescope"))
        .args(args)
        .env_remove("MODESCOPE_LOG")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("WAYLAND_SOCKET")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = input.to_owned();
    let writer = std::thread::spawn(move || {
        // The program may be done before it has read everything.
        let _ = stdin.write_all(text.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Outcome {
        code: output.status.code().expect("ended by a signal"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn succeeds(args: &[&str]) -> String {
    let outcome = run(args, "");
    assert_eq!(outcome.code, 0, "{args:?}: {}", outcome.stderr);
    assert_eq!(outcome.stderr, "", "{args:?}");
    outcome.stdout
}

/// The program must end with this code and say one line that holds all the fragments.
#[track_caller]
fn fails(args: &[&str], code: i32, fragments: &[&str]) {
    let outcome = run(args, "");
    assert_eq!(outcome.code, code, "{args:?}: {}", outcome.stderr);
    assert_one_line(&outcome.stderr, fragments);
}

#[track_caller]
fn assert_one_line(stderr: &str, fragments: &[&str]) {
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("modescope: "), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for fragment in fragments {
        assert!(stderr.contains(fragment), "no {fragment:?} in {stderr}");
    }
}

/// The example with one option's value replaced, or an option added.
fn example_with(option: &str, value: &str) -> Vec<String> {
    let mut args: Vec<String> = EXAMPLE.iter().map(|arg| (*arg).to_owned()).collect();
    match args.iter().position(|arg| arg == option) {
        Some(at) => args[at + 1] = value.to_owned(),
        None => args.extend([option.to_owned(), value.to_owned()]),
    }
    args
}

#[track_caller]
fn refuses(option: &str, value: &str, fragments: &[&str]) {
    let args = example_with(option, value);
    fails(
        &args.iter().map(String::as_str).collect::<Vec<_>>(),
        1,
        fragments,
    );
}

fn answer_with(option: &str, value: &str) -> Value {
    let mut args = example_with(option, value);
    args.push("--json".to_owned());
    let text = succeeds(&args.iter().map(String::as_str).collect::<Vec<_>>());
    serde_json::from_str(&text).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap_or(f64::NEG_INFINITY))
        .collect()
}

// Help and usage.

#[test]
fn help_names_every_subcommand_and_shows_examples() {
    let help = succeeds(&["--help"]);
    for word in [
        "gui",
        "target",
        "run",
        "presets",
        "validate",
        "completions",
        "Examples",
    ] {
        assert!(help.contains(word), "{word}");
    }
    for command in ["gui", "target", "run", "presets", "validate", "completions"] {
        assert!(
            succeeds(&[command, "--help"]).contains("Examples"),
            "{command}"
        );
    }
    assert!(succeeds(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn usage_mistakes_are_one_line_and_exit_with_2() {
    fails(&["target", "--frobnicate"], 2, &["--frobnicate", "--help"]);
    fails(
        &["target", "--beta", "0.1"],
        2,
        &["--reference", "--rewards"],
    );
    fails(&["target", "--beta", "many"], 2, &["--beta", "many"]);
    fails(&["completions", "tcsh"], 2, &["tcsh", "bash", "zsh"]);
    fails(&["validate"], 2, &["FILE"]);
    fails(
        &["gui", "--size", "wide"],
        2,
        &["--size", "wide", "1280x800"],
    );
    fails(&["gui", "--after", "-1"], 2, &["--after", "-1"]);
    fails(&["gui", "--theme", "mauve"], 2, &["mauve", "light", "dark"]);
    fails(
        &["target", "--jsonl", "--beta", "1"],
        2,
        &["--jsonl", "--beta"],
    );
}

#[test]
fn a_log_filter_that_is_none_is_refused() {
    let output = Command::new(cargo_bin!("modescope"))
        .arg("presets")
        .env("MODESCOPE_LOG", "modescope=louder")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_one_line(
        &String::from_utf8(output.stderr).unwrap(),
        &["MODESCOPE_LOG"],
    );
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = succeeds(&["completions", shell]);
        assert!(
            script.contains("modescope") && script.contains("validate"),
            "{shell}"
        );
    }
}

#[test]
fn a_window_on_something_that_does_not_exist_is_refused_before_it_opens() {
    fails(&["figure-55"], 1, &["figure-55", "figure-5"]);
    fails(&["targte"], 1, &["targte", "modescope target"]);
    fails(&["gui", "nowhere/none.ron"], 1, &["nowhere/none.ron"]);
    fails(
        &["gui", "--set", "objective.beta=1"],
        1,
        &["--set objective.beta=1", "preset", "figure-5"],
    );
    fails(
        &["gui", "figure-5", "--set", "objective.beta=-1"],
        1,
        &["objective.beta", "-1"],
    );
}

// Targets.

#[test]
fn the_table_shows_arms_ties_and_the_sentence() {
    let text = succeeds(&EXAMPLE);
    for word in [
        "reference",
        "log target",
        "0.9375",
        "0.0625",
        "J*",
        "effective modes",
        "█",
    ] {
        assert!(text.contains(word), "no {word} in\n{text}");
    }
    let answer = answer_with("--beta", "0.05");
    let sentence = answer["sentence"].as_str().unwrap();
    assert!(!sentence.is_empty() && text.contains(sentence));
}

#[test]
fn equal_rewards_keep_the_reference_ratio_and_mara_makes_them_equal() {
    let plain = answer_with("--beta", "0.01");
    let target = numbers(&plain["target"]);
    assert!((target[1] / target[2] - 15.0).abs() < 1e-12);
    assert_eq!(plain["lambda"], Value::Null);
    assert_eq!(plain["modes"].as_array().unwrap().len(), 2);
    assert_eq!(plain["modes"][1]["arms"], json!([2]));

    let anchored = answer_with("--mara", "0.5");
    let target = numbers(&anchored["target"]);
    assert!((target[1] - target[2]).abs() < 1e-12 && target[1] > 0.49);

    let forward = answer_with("--direction", "forward");
    assert!(forward["lambda"].as_f64().unwrap() > 1.0);
    let dial = answer_with("--alpha", "0");
    for (a, b) in numbers(&forward["target"])
        .iter()
        .zip(numbers(&dial["target"]))
    {
        assert!((a - b).abs() < 1e-9, "alpha 0 is forward: {a} {b}");
    }
    // scale and 1/β are the same knob
    let scaled = answer_with("--reward-scale", "10");
    let sharper = answer_with("--beta", "0.005");
    for (a, b) in numbers(&scaled["log_target"])
        .iter()
        .zip(numbers(&sharper["log_target"]))
    {
        assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} {b}");
    }
    let flat = answer_with("--entropy", "100");
    assert!(numbers(&flat["target"])[0] < 0.5);
}

#[test]
fn forward_leaves_the_support_and_says_so() {
    let answer: Value = serde_json::from_str(&succeeds(&[
        "target",
        "--reference",
        "0.5,0.5,0",
        "--rewards",
        "0,0.5,1",
        "--beta",
        "0.1",
        "--direction",
        "forward",
        "--json",
    ]))
    .unwrap();
    assert!(answer["outside_support"].as_f64().unwrap() > 0.5);
    let reverse = run(
        &["target", "--jsonl"],
        "{\"reference\": [0.5, 0.5, 0], \"rewards\": [0, 0.5, 1], \"beta\": 0.1}\n",
    );
    let reverse: Value = serde_json::from_str(&reverse.stdout).unwrap();
    assert_eq!(reverse["log_target"][2], Value::Null, "−∞ is null");
    assert_eq!(reverse["target"][2], json!(0.0));
}

#[test]
fn every_golden_case_passes_through_jsonl() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../vectors/targets.json")).unwrap();
    let mut lines = String::new();
    let mut wanted = Vec::new();
    for case in &cases {
        let base = json!({
            "reference": case["reference"], "rewards": case["rewards"], "beta": case["beta"],
        });
        let mut ask = |extra: Value, expected: &Value| {
            let mut question = base.as_object().unwrap().clone();
            question.extend(extra.as_object().unwrap().clone());
            lines.push_str(&Value::Object(question).to_string());
            lines.push('\n');
            wanted.push((case, expected.clone()));
        };
        ask(json!({}), &case["reverse"]);
        ask(json!({"direction": "forward"}), &case["forward"]);
        if let Some(alpha) = case.get("alpha") {
            ask(json!({"alpha": alpha["alpha"]}), alpha);
        }
        if let Some(mara) = case.get("mara") {
            ask(json!({"mara": mara["tau"]}), mara);
            ask(
                json!({"mara": {"threshold": mara["tau"], "algorithm": 1}}),
                mara,
            );
        }
    }
    let outcome = run(&["target", "--jsonl"], &lines);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert_eq!(outcome.stdout.lines().count(), wanted.len());
    for (line, (case, expected)) in outcome.stdout.lines().zip(wanted) {
        let answer: Value = serde_json::from_str(line).unwrap();
        let largest = numbers(&case["rewards"])
            .iter()
            .fold(0.0_f64, |m, r| m.max(r.abs()));
        let stretch = largest / case["beta"].as_f64().unwrap();
        let tolerance = if stretch > 1e6 {
            stretch * 1e-15
        } else {
            1e-12
        };
        let close = |a: f64, b: f64, floor: f64, what: &str| {
            assert!(
                (a - b).abs() <= tolerance * b.abs() + floor,
                "{what}: {a} is not {b} in {case}"
            );
        };
        for (a, b) in numbers(&answer["target"])
            .into_iter()
            .zip(numbers(&expected["target"]))
        {
            close(a, b, 1e-300, "mass");
        }
        if let Some(logs) = expected.get("log_target") {
            for (a, b) in numbers(&answer["log_target"])
                .into_iter()
                .zip(numbers(logs))
            {
                if b == f64::NEG_INFINITY {
                    assert_eq!(a, b);
                } else {
                    close(a, b, 1e-18, "log mass");
                }
            }
            let (j, best) = (&answer["optimal_value"], &expected["optimal_value"]);
            close(j.as_f64().unwrap(), best.as_f64().unwrap(), 1e-15, "J*");
        }
        if let Some(lambda) = expected.get("lam") {
            close(
                answer["lambda"].as_f64().unwrap(),
                lambda.as_f64().unwrap(),
                1e-15,
                "lambda",
            );
        }
    }
}

#[test]
fn a_bad_line_is_answered_with_its_number_and_the_rest_goes_on() {
    let good = r#"{"reference": [0.5, 0.5], "rewards": [0, 1], "beta": 1}"#;
    let bad = [
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0, 1], "beta": 0}"#,
            "beta: 0",
        ),
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0, 1], "beta": -2.5}"#,
            "-2.5",
        ),
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0, 1]}"#,
            "beta: is missing",
        ),
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0, 1], "beta": 1, "betta": 1}"#,
            "betta: no such field",
        ),
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0], "beta": 1}"#,
            "rewards: 1 number",
        ),
        (r#"{"reference": [], "rewards": [], "beta": 1}"#, "no arms"),
        (
            r#"{"reference": [0.5, 0.6], "rewards": [0, 1], "beta": 1}"#,
            "1.1",
        ),
        (
            r#"{"reference": [1.5, -0.5], "rewards": [0, 1], "beta": 1}"#,
            "-0.5",
        ),
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0, NaN], "beta": 1}"#,
            "rewards: NaN is not accepted",
        ),
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0, 1e999], "beta": 1}"#,
            "rewards: 1e999 is not accepted",
        ),
        (
            r#"{"reference": [0.5, "half"], "rewards": [0, 1], "beta": 1}"#,
            "half",
        ),
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0, 1], "beta": 1, "direction": "up"}"#,
            "reverse",
        ),
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0, 1], "beta": 1, "mara": "on"}"#,
            "threshold",
        ),
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0, 1], "beta": 1, "mara": {"algorithm": 1}}"#,
            "percentile",
        ),
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0, 1], "beta": 1, "mara": {"threshold": 1, "algorithm": 3}}"#,
            "3",
        ),
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0, 1], "beta": 1, "mara": {"percentile": 7}}"#,
            "7",
        ),
        (
            r#"{"reference": [0.5, 0.5], "rewards": [0, 1], "beta": 1, "entropy": -1}"#,
            "entropy: -1",
        ),
        (r#"{"reference": [0.5, 0.5], "#, "column"),
        ("[1, 2]", "an object with the fields reference"),
        ("garbage", "column"),
        ("\u{0}\u{1}", "column"),
    ];
    let mut input = String::new();
    for (line, _) in bad {
        input.push_str(line);
        input.push('\n');
        input.push_str(good);
        input.push('\n');
    }
    let outcome = run(&["target", "--jsonl"], &input);
    assert_eq!(outcome.code, 1);
    assert_one_line(
        &outcome.stderr,
        &[&format!("{} of {}", bad.len(), 2 * bad.len())],
    );
    let answers: Vec<Value> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 2 * bad.len());
    for (i, (line, fragment)) in bad.iter().enumerate() {
        let refusal = &answers[2 * i];
        assert_eq!(refusal["line"], json!(2 * i + 1), "{line}");
        let error = refusal["error"].as_str().unwrap();
        assert!(error.contains(fragment), "no {fragment:?} in {error:?}");
        assert!(
            !error.contains('\n') && !error.contains("at line"),
            "{error}"
        );
        assert!(answers[2 * i + 1]["target"].is_array());
    }
}

#[test]
fn blank_lines_are_no_questions_but_count() {
    let outcome = run(&["target", "--jsonl"], "\n  \r\nnonsense\n\n");
    assert_eq!(outcome.code, 1);
    assert_eq!(outcome.stdout.lines().count(), 1);
    assert!(outcome.stdout.contains("\"line\":3"), "{}", outcome.stdout);
    let empty = run(&["target", "--jsonl"], "");
    assert_eq!(
        (empty.code, empty.stdout.as_str(), empty.stderr.as_str()),
        (0, "", "")
    );
}

#[test]
fn a_dialogue_gets_each_answer_before_the_next_question() {
    let mut child = Command::new(cargo_bin!("modescope"))
        .args(["target", "--jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..3 {
        writeln!(
            stdin,
            r#"{{"reference": [0.5, 0.5], "rewards": [0, 1], "beta": 1}}"#
        )
        .unwrap();
        stdin.flush().unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.contains("log_target"));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(cargo_bin!("modescope"))
        .args(["target", "--jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let question = "{\"reference\": [0.5, 0.5], \"rewards\": [0, 1], \"beta\": 1}\n".repeat(64);
    while stdin.write_all(question.as_bytes()).is_ok() {}
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn numbers_that_make_no_target_are_refused_by_name() {
    refuses(
        "--reference",
        "0.6,0.3,0.02",
        &["reference", "0.92", "sum to 1"],
    );
    refuses(
        "--reference",
        "0.7,0.5,-0.2",
        &["reference", "-0.2", "arm 2", "≥ 0"],
    );
    refuses("--reference", "0.5,NaN,0.5", &["reference", "NaN", "arm 1"]);
    refuses("--reference", "0.5,inf,0.5", &["reference", "inf", "arm 1"]);
    refuses("--reference", "0,0,0", &["reference"]);
    refuses("--reference", "0.5,0.5", &["rewards", "3", "2"]);
    refuses("--rewards", "0,1", &["rewards", "2", "3"]);
    refuses(
        "--rewards",
        "0,nan,1",
        &["rewards", "NaN", "arm 1", "finite"],
    );
    refuses("--rewards", "0,1,-inf", &["rewards", "-inf", "arm 2"]);
    refuses("--rewards", "-1e308,1,1.7e308", &["rewards", "308"]);
    for beta in ["0", "-1", "NaN", "inf"] {
        refuses("--beta", beta, &["beta", "above 0"]);
    }
    refuses("--alpha", "NaN", &["alpha", "NaN"]);
    refuses("--entropy", "-0.5", &["entropy", "-0.5", "≥ 0"]);
    refuses("--mara", "inf", &["mara", "inf"]);
    refuses("--reward-scale", "NaN", &["reward_scale", "NaN"]);
    refuses("--reward-offset", "inf", &["reward_offset", "inf"]);
    let mut args: Vec<&str> = EXAMPLE.to_vec();
    args.extend(["--mara", "0.5", "--mara-algorithm", "3"]);
    fails(&args, 1, &["mara", "3", "1 or 2"]);
    args.truncate(EXAMPLE.len());
    args.extend(["--mara-algorithm", "1"]);
    fails(&args, 2, &["--mara"]);
}

// Presets.

#[test]
fn presets_are_listed_and_each_can_be_shown_and_validated() {
    let list: Value = serde_json::from_str(&succeeds(&["presets", "--json"])).unwrap();
    let list = list.as_array().unwrap();
    let plain = succeeds(&["presets"]);
    assert_eq!(
        list[0]["name"],
        json!("figure-5"),
        "the first one opens by default"
    );
    let folder = tempfile::tempdir().unwrap();
    let mut files = vec!["validate".to_owned()];
    for preset in list {
        let name = preset["name"].as_str().unwrap();
        assert!(plain.contains(name));
        assert!(plain.contains(preset["look_for"].as_str().unwrap()));
        let text = succeeds(&["presets", "show", name]);
        let path = folder.path().join(format!("{name}.ron"));
        fs::write(&path, text).unwrap();
        files.push(path.to_str().unwrap().to_owned());
    }
    let report = succeeds(&files.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(report.lines().count(), list.len());
    fails(&["presets", "show", "figure5"], 1, &["figure5", "figure-5"]);
    fails(
        &["presets", "show", "qqq"],
        1,
        &["qqq", "figure-5", "landscape"],
    );
}

/// A small preset; each test spoils one part of it.
const PRESET: &str = r#"(
    format: 1,
    title: "A test",
    bandit: (
        arms: Line(count: 3),
        reference: List([0.5, 0.3, 0.2]),
        rewards: List([0.0, 1.0, 1.0]),
    ),
    objective: (direction: Reverse, beta: 0.1),
)
"#;

/// What `validate` says of a text.
fn mistakes_in(text: &[u8]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoilt.ron");
    fs::write(&path, text).unwrap();
    validate(&path)
}

fn validate(path: &Path) -> Outcome {
    run(&["validate", path.to_str().unwrap()], "")
}

#[track_caller]
fn spoilt(old: &str, new: &str, place: &str, fragments: &[&str]) {
    assert!(PRESET.contains(old));
    let outcome = mistakes_in(PRESET.replacen(old, new, 1).as_bytes());
    assert_eq!(
        outcome.code, 1,
        "{new}: {}{}",
        outcome.stdout, outcome.stderr
    );
    assert_one_line(&outcome.stderr, &["mistake"]);
    assert!(
        outcome.stdout.lines().any(|line| {
            line.contains(&format!("spoilt.ron{place}"))
                && fragments.iter().all(|fragment| line.contains(fragment))
        }),
        "{new}: no {place} with {fragments:?} in {}",
        outcome.stdout
    );
}

#[test]
fn mistakes_in_a_preset_have_line_and_column() {
    assert_eq!(mistakes_in(PRESET.as_bytes()).code, 0);
    spoilt("beta: 0.1", "beta: 0.0", ":9:", &["beta", "0"]);
    spoilt("beta: 0.1", "beta: -1", ":9:", &["-1"]);
    spoilt("beta: 0.1", "beta: NaN", ":9:", &["NaN"]);
    spoilt("beta: 0.1", "beta: inf", ":9:", &["inf"]);
    spoilt("beta: 0.1", "betta: 0.1", ":9:", &["betta"]);
    spoilt("Reverse", "Sideways", ":9:", &["Sideways", "Forward"]);
    spoilt("format: 1", "format: 2", ":2:", &["format", "2", "1"]);
    spoilt(
        "0.5, 0.3, 0.2",
        "0.5, -0.3, 0.2",
        ":6:",
        &["reference", "-0.3"],
    );
    spoilt(
        "0.5, 0.3, 0.2",
        "0.5, NaN, 0.2",
        ":6:",
        &["reference", "NaN"],
    );
    spoilt("0.5, 0.3, 0.2", "0.5, 0.3", ":6:", &["reference", "2", "3"]);
    spoilt("0.0, 1.0, 1.0", "0.0, inf, 1.0", ":7:", &["rewards", "inf"]);
    spoilt("count: 3", "count: 0", ":5:", &["arms", "0"]);
    spoilt("count: 3", "count: 2000000", ":5:", &["2000000", "1000000"]);
}

#[test]
fn what_shows_only_when_formulas_and_files_are_read_is_found_too() {
    spoilt(
        "List([0.0, 1.0, 1.0])",
        "Formula(\"1 / (i - 1)\")",
        ":",
        &["rewards"],
    );
    spoilt(
        "List([0.0, 1.0, 1.0])",
        "Formula(\"sqrt(\")",
        ":",
        &["rewards"],
    );
    spoilt(
        "List([0.5, 0.3, 0.2])",
        "Csv(path: \"missing.csv\")",
        ":",
        &["missing.csv"],
    );
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("r.csv"), "reward\n1\ntwo\n3\n").unwrap();
    let path = folder.path().join("spoilt.ron");
    let text = PRESET.replace("List([0.0, 1.0, 1.0])", "Csv(path: \"r.csv\")");
    fs::write(&path, text).unwrap();
    let outcome = validate(&path);
    assert_eq!(outcome.code, 1);
    for word in ["r.csv", "two"] {
        assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    }
    fs::write(folder.path().join("r.csv"), "reward\n1\n2\n3\n").unwrap();
    assert_eq!(validate(&path).code, 0, "relative to the preset's folder");
}

#[test]
fn files_that_are_no_presets_are_refused_in_one_line() {
    for cut in [0, 1, 40, 100, PRESET.len() - 4] {
        let outcome = mistakes_in(&PRESET.as_bytes()[..cut]);
        assert_eq!(outcome.code, 1, "cut at {cut}");
        assert!(outcome.stdout.contains("spoilt.ron:"), "{}", outcome.stdout);
    }
    assert_eq!(mistakes_in(&[0xFF, 0xFE, 0x00]).code, 1);
    assert_eq!(mistakes_in("(".repeat(100_000).as_bytes()).code, 1);

    let folder = tempfile::tempdir().unwrap();
    let huge = folder.path().join("huge.ron");
    fs::File::create(&huge).unwrap().set_len(65 << 20).unwrap();
    let outcome = validate(&huge);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.contains("huge.ron"), "{}", outcome.stdout);

    let outcome = validate(folder.path());
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.contains("folder"), "{}", outcome.stdout);

    let outcome = validate(&folder.path().join("missing.ron"));
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.contains("missing.ron"), "{}", outcome.stdout);
}

#[test]
fn several_files_are_all_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (
        folder.path().join("good.ron"),
        folder.path().join("bad.ron"),
    );
    fs::write(&good, PRESET).unwrap();
    let two = PRESET
        .replace("beta: 0.1", "beta: 0.1, entropy: -1.0")
        .replace("A test", "");
    fs::write(&bad, two).unwrap();
    let outcome = run(
        &["validate", bad.to_str().unwrap(), good.to_str().unwrap()],
        "",
    );
    assert_eq!(outcome.code, 1);
    let of_bad: Vec<&str> = outcome
        .stdout
        .lines()
        .filter(|l| l.contains("bad.ron:"))
        .collect();
    assert_eq!(of_bad.len(), 2, "{}", outcome.stdout);
    assert!(outcome.stdout.contains("good.ron: no mistakes"));
}

#[test]
fn values_of_formulas_and_files_are_told_beside_other_mistakes() {
    let text = PRESET
        .replace("List([0.5, 0.3, 0.2])", "Csv(path: \"missing.csv\")")
        .replace("List([0.0, 1.0, 1.0])", "Formula(\"1 / (i - 1)\")")
        .replace("beta: 0.1", "betta: 0.1")
        .replace("A test", "");
    let outcome = mistakes_in(text.as_bytes());
    for words in ["title", "missing.csv", "division by zero at arm 1", "betta"] {
        assert!(
            outcome.stdout.contains(words),
            "{words}: {}",
            outcome.stdout
        );
    }
    // Every bad mass of a list, and many of them in brief.
    let bad = |count: usize| {
        let list = vec!["-1"; count].join(", ");
        let text = PRESET
            .replace("0.5, 0.3, 0.2", &list)
            .replace("count: 3", &format!("count: {count}"))
            .replace("List([0.0, 1.0, 1.0])", "Constant(1)");
        mistakes_in(text.as_bytes()).stdout
    };
    assert_eq!(bad(3).matches("bandit.reference.").count(), 3);
    let many = bad(100);
    assert_eq!(many.matches("bandit.reference.").count(), 20, "{many}");
    assert!(many.contains("80 more values"), "{many}");
}

#[test]
fn masses_that_do_not_sum_to_one_are_refused_and_weights_are_not() {
    spoilt(
        "0.5, 0.3, 0.2",
        "0.2, 0.2, 0.2",
        ":6:",
        &[
            "bandit.reference",
            "masses sum to 0.6",
            "must sum to 1",
            "Weights([…])",
        ],
    );
    let weights = PRESET.replace("List([0.5, 0.3, 0.2])", "Weights([5, 3, 2])");
    let outcome = mistakes_in(weights.as_bytes());
    assert_eq!(outcome.code, 0, "{}", outcome.stdout);
}

#[test]
fn an_error_is_told_once() {
    for (args, words) in [
        (&["run", "nope.ron"][..], "No such file"),
        (&["run", "/"], "folder"),
        (
            &[
                "run",
                "figure-4",
                "--set",
                "bandit.reference_edits=[(0,0),(1,0),(2,0)]",
                "--steps",
                "1",
            ],
            "all masses are zero",
        ),
    ] {
        let outcome = run(args, "");
        assert_eq!(outcome.code, 1);
        assert_eq!(
            outcome.stderr.matches(words).count(),
            1,
            "{}",
            outcome.stderr
        );
        assert_one_line(&outcome.stderr, &[words]);
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.ron");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let outcome = validate(&pipe);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.contains("is a pipe"), "{}", outcome.stdout);
}

#[test]
fn edits_that_a_run_does_not_reach_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.jsonl");
    fs::write(
        &journal,
        "{\"step\":5,\"edit\":{\"Reward\":{\"arm\":0,\"value\":0.5}}}\n{\"step\":50,\"edit\":{\"Reward\":{\"arm\":0,\"value\":0.25}}}\n",
    )
    .unwrap();
    let replay = |steps: &str| {
        let journal = journal.to_str().unwrap();
        run(
            &[
                "run",
                "figure-3",
                "--steps",
                steps,
                "--journal",
                journal,
                "--json",
            ],
            "",
        )
    };
    let short = replay("10");
    assert_eq!(short.code, 0);
    assert_eq!(
        short.stderr,
        "1 edit of the journal was not made: the run ended at step 10, the next one belongs to step 50\n"
    );
    assert_eq!(replay("60").stderr, "");
}

#[test]
fn of_many_arms_the_target_lists_the_ties_that_it_says() {
    let list = |values: Vec<f64>| {
        let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
        texts.join(",")
    };
    for (arms, listed) in [(30, "all"), (310, "all"), (1010, "one_per_column")] {
        let total: usize = (1..=arms).sum();
        // Every better arm is a rarer one, so that every pair ties.
        let masses = (0..arms).map(|arm| (arms - arm) as f64 / total as f64);
        let rewards = (0..arms).map(|arm| arm as f64 / arms as f64);
        let (reference, rewards) = (list(masses.collect()), list(rewards.collect()));
        let args = [
            "target",
            "--reference",
            &reference,
            "--rewards",
            &rewards,
            "--beta",
            "0.1",
        ];
        let answer: Value =
            serde_json::from_str(&succeeds(&[&args[..], &["--json"]].concat())).unwrap();
        assert_eq!(answer["ties_listed"], listed);
        let ties = answer["ties"].as_array().unwrap();
        let table = succeeds(&args);
        if listed == "all" {
            assert_eq!(ties.len(), arms * (arms - 1) / 2);
            assert_eq!(answer["tying_pairs"], Value::Null);
            let more = format!("and {} more; --json lists them", ties.len() - 12);
            assert!(table.contains(&more), "{table}");
        } else {
            assert_eq!(answer["tying_pairs"], arms * (arms - 1) / 2);
            assert!(ties.iter().any(|tie| tie["changes_winner"] == false));
            assert!(
                table.contains(
                    "and one of each of 1200 columns of log β from 1e-6 to 1e6 (509545 pairs tie;"
                ),
                "{table}"
            );
        }
    }
}
