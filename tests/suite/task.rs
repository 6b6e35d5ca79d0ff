//! What a language model is rewarded for: match rules, checks of a task, and the example reward program.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use modescope::{
    engine::{Budget, Session},
    experiment::{
        AnswerSpec, LanguageSpec, Matching, PromptTask, RewardProgramSpec, builtin_preset,
    },
    task::{Judge, RewardProgram, RewardRequest, check_distinct},
};
use proptest::prelude::*;

fn task(matching: Matching, answers: &[&str]) -> LanguageSpec {
    LanguageSpec {
        model: "embedded".to_owned(),
        prompts: vec![PromptTask {
            prompt: "pick".to_owned(),
            raw: true,
            prefill: String::new(),
            answers: answers
                .iter()
                .map(|&text| AnswerSpec {
                    text: text.to_owned(),
                    reward: 1.0,
                    label: None,
                })
                .collect(),
        }],
        matching,
        failure_reward: 0.0,
        program: None,
        max_new_tokens: 8,
        temperature: 1.0,
        top_p: 1.0,
        tune: modescope::experiment::Tune::Full,
        weight_decay: 0.0,
        clip: None,
        warm_up: 0,
        checkpoints: modescope::experiment::Checkpoints::default(),
    }
}

fn tags(open: &str, close: &str) -> Matching {
    Matching::Tagged {
        open: open.to_owned(),
        close: close.to_owned(),
    }
}

fn refusal(spec: &LanguageSpec) -> String {
    let message = Judge::new(spec).unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn exact_wants_the_whole_answer_and_its_end() {
    let judge = Judge::new(&task(Matching::Exact, &["1", "2", " 2"])).unwrap();
    assert_eq!(judge.judge(0, "1", Some("1"), true), Some(0));
    assert_eq!(judge.judge(0, "2", Some("2"), true), Some(1));
    assert_eq!(judge.judge(0, " 2", Some(" 2"), true), Some(2));
    for (text, ended) in [
        ("1", false),
        ("12", true),
        ("1 ", true),
        ("", true),
        ("3", true),
    ] {
        assert_eq!(judge.judge(0, text, Some("1"), ended), None, "{text:?}");
    }
    assert_eq!(judge.judge(1, "1", Some("1"), true), None);
    assert!(judge.matching().is_exact());
}

#[test]
fn first_token_looks_at_the_first_token_alone() {
    let mut judge = Judge::new(&task(Matching::FirstToken, &["red", "green"])).unwrap();
    assert_eq!(judge.judge(0, "red wine", Some("red"), false), Some(0));
    assert_eq!(judge.judge(0, "red", Some("r"), true), None);
    assert_eq!(judge.judge(0, "", None, true), None);
    // A tokenizer that cuts the words up.
    let first = ["re".to_owned(), "gr".to_owned()];
    judge.set_first_tokens(0, &first).unwrap();
    assert_eq!(judge.judge(0, "rest", Some("re"), false), Some(0));
    assert_eq!(judge.judge(0, "green", Some("green"), false), None);
    assert!(judge.matching().is_exact());
    let same = ["g".to_owned(), "g".to_owned()];
    let message = judge.set_first_tokens(0, &same).unwrap_err().to_string();
    assert!(
        message.contains("“red” and “green” begin with the same token “g”"),
        "{message}"
    );
}

#[test]
fn a_pattern_takes_its_first_group_or_the_whole_match() {
    let judge = |pattern: &str| {
        Judge::new(&task(Matching::Regex(pattern.to_owned()), &["7", "12"])).unwrap()
    };
    let grouped = judge(r"^\D*(\d+)\b");
    assert_eq!(grouped.judge(0, "I pick 12, no 7", None, false), Some(1));
    assert_eq!(grouped.judge(0, "7", None, true), Some(0));
    assert_eq!(grouped.judge(0, "17", None, true), None);
    assert_eq!(grouped.judge(0, "none", None, true), None);
    let plain = judge(r"\d+");
    assert_eq!(plain.judge(0, "say 12!", None, true), Some(1));
    let either = judge(r"<(\d+)>|\d+");
    assert_eq!(either.judge(0, "<7> 12", None, true), Some(0));
    assert_eq!(either.judge(0, "12 <7>", None, true), Some(1));
    assert!(!plain.matching().is_exact());
}

#[test]
fn tags_take_what_stands_between_the_first_pair() {
    let spec = task(tags("<a>", "</a>"), &["1", "two words"]);
    let judge = Judge::new(&spec).unwrap();
    assert_eq!(judge.judge(0, "so <a>1</a> it is", None, false), Some(0));
    assert_eq!(judge.judge(0, "<a>\n two words </a>", None, true), Some(1));
    assert_eq!(judge.judge(0, "<a>2</a><a>1</a>", None, true), None);
    assert_eq!(judge.judge(0, "</a>1<a>", None, true), None);
    assert_eq!(judge.judge(0, "<a>1", None, true), None);
    assert!(!judge.matching().is_exact());
    assert_eq!(judge.canonical(0, 0).unwrap(), "<a>1</a>");
}

#[test]
fn every_prompt_has_answers_of_its_own() {
    let mut spec = task(Matching::Exact, &["1", "2"]);
    let mut second = spec.prompts[0].clone();
    second.answers.remove(0);
    spec.prompts.push(second);
    let judge = Judge::new(&spec).unwrap();
    assert_eq!(judge.judge(0, "2", None, true), Some(1));
    assert_eq!(judge.judge(1, "2", None, true), Some(0));
    assert_eq!(judge.judge(1, "1", None, true), None);
}

#[test]
fn tasks_that_make_no_sense_are_refused_with_field_and_reason() {
    let pattern = |pattern: &str| Matching::Regex(pattern.to_owned());
    let mut no_prompts = task(Matching::Exact, &["1"]);
    no_prompts.prompts.clear();
    let mut infinite = task(Matching::Exact, &["1", "2"]);
    infinite.prompts[0].answers[1].reward = f64::INFINITY;
    let mut failure = task(Matching::Exact, &["1"]);
    failure.failure_reward = f64::NAN;
    for (spec, parts) in [
        (no_prompts, ["language.prompts", "0"]),
        (
            task(Matching::Exact, &[]),
            ["language.prompts.0.answers", "0"],
        ),
        (
            task(Matching::Exact, &["1", ""]),
            ["language.prompts.0.answers.1.text", "empty"],
        ),
        (
            task(Matching::Exact, &["1", "2", "1"]),
            ["language.prompts.0.answers.2.text", "second time"],
        ),
        (infinite, ["language.prompts.0.answers.1.reward", "inf"]),
        (failure, ["language.failure_reward", "NaN"]),
        (
            task(tags("", "</a>"), &["1"]),
            ["language.matching.open", "empty"],
        ),
        (
            task(tags("<a>", ""), &["1"]),
            ["language.matching.close", "empty"],
        ),
        (
            task(tags("#", "#"), &["1"]),
            ["language.matching.close", "two different tags"],
        ),
        (
            task(tags("<a>", "</a>"), &["1", " 2"]),
            ["language.prompts.0.answers.1.text", "could never be found"],
        ),
        (
            task(tags("<a>", "</a>"), &["1</a>2"]),
            ["language.prompts.0.answers.0.text", "finds “1”"],
        ),
        (
            task(pattern("(\\d"), &["1"]),
            ["language.matching", "unclosed group"],
        ),
        (task(pattern(""), &["1"]), ["language.matching", "is empty"]),
        (
            task(pattern("((a{100}){100}){100}"), &["1"]),
            ["language.matching", "simpler pattern"],
        ),
        (
            task(pattern(r"answer (\d)"), &["1"]),
            ["language.prompts.0.answers.0.text", "finds nothing"],
        ),
        (
            task(pattern(r"\d"), &["1", "12"]),
            ["language.prompts.0.answers.1.text", "finds “1”"],
        ),
    ] {
        let message = refusal(&spec);
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[test]
fn answers_with_the_same_tokens_are_refused() {
    let answers = ["a", "b", "c"].map(str::to_owned);
    check_distinct(&[vec![1], vec![1, 2], vec![2]], &answers).unwrap();
    let twins = check_distinct(&[vec![1, 5], vec![2], vec![1, 5]], &answers).unwrap_err();
    assert!(twins.to_string().contains("“a” and “c”"), "{twins}");
    let empty = check_distinct(&[vec![1], vec![]], &answers).unwrap_err();
    assert!(empty.to_string().contains("“b” has no tokens"), "{empty}");
}

proptest! {
    #[test]
    fn no_completion_upsets_a_rule(text in ".{0,60}", answer in "[a-z<>/ ]{1,6}", ended: bool) {
        for matching in [
            Matching::Exact,
            Matching::FirstToken,
            Matching::Regex("^(.*)$".to_owned()),
            tags("<", ">"),
        ] {
            let Ok(judge) = Judge::new(&task(matching, &[&answer])) else { continue };
            let _ = judge.judge(0, &text, Some(&text), ended);
            // What stands for an answer in the chart counts as that answer.
            let canonical = judge.canonical(0, 0).unwrap();
            prop_assert_eq!(judge.judge(0, &canonical, Some(&canonical), true), Some(0));
        }
    }
}

#[test]
fn the_example_program_rewards_even_numbers() {
    let spec = RewardProgramSpec {
        command: ["python3", "reward_program.py"].map(str::to_owned).to_vec(),
        folder: None,
        timeout_secs: 20.0,
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("presets");
    let mut program = RewardProgram::start(&spec, Some(&folder)).unwrap();
    let request = |completion| RewardRequest {
        prompt: "Say an even number.",
        completion,
        log_prob: -1.0,
        log_reference: -2.0,
    };
    let batch = ["4", " 12\n", "7", "four", "", "100"].map(request);
    let replies = program.rewards(&batch, &|| false).unwrap();
    let rewards: Vec<f64> = replies.iter().map(|reply| reply.reward).collect();
    assert_eq!(rewards, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(replies[1].label.as_deref(), Some("12"));
    assert_eq!(replies[2].label, None);
}

/// The first language preset, rewarded by a program in `folder`: 1 for a digit, but it dies while there is a file `broken`
/// and hangs while there is a file `hangs`.
fn rewarded_by_a_program(folder: &Path) -> Session {
    let source = r#"
import json, os, sys, time
for line in sys.stdin:
    if os.path.exists("broken"): sys.exit("broken today")
    if os.path.exists("hangs"): time.sleep(60)
    asked = json.loads(line)
    print(json.dumps({"id": asked["id"], "reward": float(asked["completion"] in ("1", "2"))}))
"#;
    std::fs::write(folder.join("reward.py"), source).unwrap();
    let mut preset = builtin_preset("lm-one-or-two").unwrap();
    preset.language.as_mut().unwrap().program = Some(RewardProgramSpec {
        command: ["python3", "reward.py"].map(str::to_owned).to_vec(),
        folder: None,
        timeout_secs: 30.0,
    });
    Session::new(preset, Some(folder)).unwrap()
}

#[test]
fn a_run_rests_while_its_program_is_broken_and_goes_on_as_if_nothing_had_been() {
    let folder = tempfile::tempdir().unwrap();
    let mut smooth = rewarded_by_a_program(folder.path());
    smooth.advance(Budget::steps(12), &|| false).unwrap();

    let mut troubled = rewarded_by_a_program(folder.path());
    troubled.advance(Budget::steps(5), &|| false).unwrap();
    let before = troubled.policy().to_vec();
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "").unwrap();
    let message = troubled
        .advance(Budget::steps(7), &|| false)
        .unwrap_err()
        .to_string();
    assert!(message.contains("broken today"), "{message}");
    assert!(message.contains("3 failures in a row"), "{message}");
    assert!(!troubled.is_failed());
    assert_eq!(troubled.step(), 5);
    assert_eq!(troubled.policy(), before);
    std::fs::remove_file(&broken).unwrap();
    troubled.advance(Budget::steps(7), &|| false).unwrap();
    assert_eq!(troubled.step(), 12);
    assert_eq!(troubled.policy(), smooth.policy());
}

#[test]
fn a_run_that_shall_end_does_not_wait_for_its_program() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = rewarded_by_a_program(folder.path());
    session.advance(Budget::steps(1), &|| false).unwrap();
    std::fs::write(folder.path().join("hangs"), "").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    session.stop_when(&stop);
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        session.advance(Budget::steps(5), &|| false).unwrap();
    });
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(session.step(), 1);
    assert!(!session.is_failed());
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_does_not_outlive_a_killed_modescope() {
    let folder = tempfile::tempdir().unwrap();
    // It never looks at its input, so the end of it means nothing.
    let script = "import os, time\nopen('pid.tmp', 'w').write(str(os.getpid()))\nos.rename('pid.tmp', 'pid')\ntime.sleep(120)\n";
    std::fs::write(folder.path().join("deaf.py"), script).unwrap();
    let mut modescope = std::process::Command::new(env!("CARGO_BIN_EXE_modescope"))
        .args(["run", "lm-one-or-two", "--set"])
        .arg(format!(
            "language.program=(command: [\"python3\", \"deaf.py\"], folder: {:?}, timeout_secs: 100)",
            folder.path()
        ))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let within = |limit: u64, holds: &dyn Fn() -> bool| {
        let end = Instant::now() + Duration::from_secs(limit);
        while !holds() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        holds()
    };
    let pid = folder.path().join("pid");
    let started = within(30, &|| pid.is_file());
    modescope.kill().unwrap();
    modescope.wait().unwrap();
    assert!(started, "the program did not start");
    let pid = std::fs::read_to_string(&pid).unwrap();
    let stat = format!("/proc/{pid}/stat");
    let ended = || {
        // A zombie nobody waited for has ended as well.
        std::fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z "))
    };
    assert!(within(10, &ended), "process {pid} goes on");
}
