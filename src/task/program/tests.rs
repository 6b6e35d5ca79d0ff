//! Small programs that do everything wrong, one by one.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{cell::Cell, fs, time::Instant};

use super::*;

/// Answers each line with reward 1 if the completion has the letter a, else 0.
const GOOD: &str = r#"
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    good = "a" in asked["completion"]
    print(json.dumps({"id": asked["id"], "reward": float(good), "label": "has a" if good else None}))
"#;

fn python(source: &str, timeout_secs: f64) -> RewardProgramSpec {
    RewardProgramSpec {
        command: ["python3", "-c", source].map(str::to_owned).to_vec(),
        folder: None,
        timeout_secs,
    }
}

fn shell(source: &str, timeout_secs: f64) -> RewardProgramSpec {
    RewardProgramSpec {
        command: ["sh", "-c", source].map(str::to_owned).to_vec(),
        folder: None,
        timeout_secs,
    }
}

fn request(completion: &str) -> RewardRequest<'_> {
    RewardRequest {
        prompt: "say something",
        completion,
        log_prob: -0.5,
        log_reference: f64::NEG_INFINITY,
    }
}

fn never() -> bool {
    false
}

/// The message of the first failure of a program that is asked for two rewards.
fn failure(spec: &RewardProgramSpec) -> String {
    let mut program = RewardProgram::start(spec, None).unwrap();
    let message = program
        .rewards(&[request("a"), request("b")], &never)
        .unwrap_err()
        .to_string();
    assert!(!message.contains('\n'), "{message}");
    assert!(message.contains(&program.command()), "{message}");
    message
}

#[test]
fn a_good_program_rewards_batch_after_batch() {
    let mut program = RewardProgram::start(&python(GOOD, 10.0), None).unwrap();
    let first = program
        .rewards(&[request("cat"), request("dog"), request("ü\n\"a")], &never)
        .unwrap();
    let rewards: Vec<f64> = first.iter().map(|reply| reply.reward).collect();
    assert_eq!(rewards, [1.0, 0.0, 1.0]);
    assert_eq!(first[0].label.as_deref(), Some("has a"));
    assert_eq!(first[1].label, None);
    let id = program.running.as_ref().unwrap().id();
    assert_eq!(program.rewards(&[], &never).unwrap(), []);
    let second = program.rewards(&[request("")], &never).unwrap();
    assert_eq!(second[0].reward, 0.0);
    assert_eq!(program.running.as_ref().unwrap().id(), id);
}

#[test]
fn the_program_sees_prompt_and_log_probabilities() {
    let source = r#"
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    good = asked["prompt"] == "say something" and asked["log_prob"] == -0.5 and asked["log_reference"] is None
    print(json.dumps({"id": asked["id"], "reward": 2.5 if good else -1}))
"#;
    let mut program = RewardProgram::start(&python(source, 10.0), None).unwrap();
    let replies = program.rewards(&[request("x")], &never).unwrap();
    assert_eq!(replies[0].reward, 2.5);
}

#[test]
fn a_batch_larger_than_every_pipe_does_not_lock_up() {
    // The program answers at once, and with long lines, so that both pipes are full while both sides want to write.
    let source = r#"
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    sys.stderr.write("y" * 1000 + "\n")
    print(json.dumps({"id": asked["id"], "reward": len(asked["completion"]), "why": "z" * 4000}))
"#;
    let long = "x".repeat(4000);
    let mut program = RewardProgram::start(&python(source, 30.0), None).unwrap();
    let replies = program.rewards(&vec![request(&long); 500], &never).unwrap();
    assert_eq!(replies.len(), 500);
    assert!(replies.iter().all(|reply| reply.reward == 4000.0));
}

#[test]
fn garbage_is_named_with_its_line() {
    let message = failure(&shell(
        "read x; echo '{\"id\":1,\"reward\":1}'; echo hello; cat",
        5.0,
    ));
    assert!(
        message.contains("line 2 of its output: `hello` is not JSON"),
        "{message}"
    );
}

#[test]
fn a_wrong_id_and_rewards_that_are_no_numbers_are_refused() {
    for (reply, part) in [
        (r#"{"id":2,"reward":1}"#, "id is 2 where 1 is next"),
        (r#"{"id":1,"reward":NaN}"#, "NaN is not a number of JSON"),
        (r#"{"id":1,"reward":Infinity}"#, "Infinity is not a number"),
        (r#"{"id":1,"reward":null}"#, "reward is null"),
    ] {
        let message = failure(&shell(&format!("echo '{reply}'; cat >/dev/null"), 5.0));
        assert!(message.contains("line 1 of its output"), "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let message = failure(&shell("yes x | tr -d '\\n'", 20.0));
    assert!(message.contains("more than 1048576 bytes"), "{message}");
}

#[test]
fn a_line_of_just_the_limit_is_read() {
    let source = r#"
import sys
for line in sys.stdin:
    text = '{"id":1,"reward":1,"why":"' + "x" * (1024 * 1024 - 28) + '"}'
    sys.stdout.write(text + "\n")
"#;
    let mut program = RewardProgram::start(&python(source, 10.0), None).unwrap();
    assert_eq!(
        program.rewards(&[request("")], &never).unwrap()[0].reward,
        1.0
    );
}

#[test]
fn a_program_that_hangs_is_late() {
    let started = Instant::now();
    let message = failure(&shell(
        "echo warming up >&2; echo '{\"id\":1,\"reward\":1}'; sleep 60",
        0.3,
    ));
    assert!(
        message.contains("answered 1 of 2 requests in 0.3 s"),
        "{message}"
    );
    assert!(message.contains("warming up"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_program_that_dies_leaves_its_status_and_last_words() {
    let message = failure(&shell(
        "echo one >&2; echo two >&2; echo three >&2; echo four >&2; exit 3",
        10.0,
    ));
    assert!(message.contains("exit status: 3"), "{message}");
    assert!(message.contains("were: two | three | four"), "{message}");
    assert!(message.contains("before any output"), "{message}");
    assert!(message.contains("0 of 2 requests"), "{message}");

    let message = failure(&python("raise ValueError('no good')", 10.0));
    assert!(message.contains("ValueError: no good"), "{message}");
    assert!(message.contains("exit status: 1"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_program_that_is_killed_says_by_which_signal() {
    let message = failure(&shell("kill -9 $$", 10.0));
    assert!(message.contains("signal: 9"), "{message}");
}

#[test]
fn a_program_that_closes_its_output_is_not_waited_for() {
    let started = Instant::now();
    let message = failure(&shell("exec >&-; sleep 60", 30.0));
    assert!(message.contains("closed its output"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_program_that_reads_nothing_is_late_not_waited_for() {
    let long = "x".repeat(1 << 20);
    let mut program = RewardProgram::start(&shell("exec <&-; sleep 60", 30.0), None).unwrap();
    let started = Instant::now();
    let message = program
        .rewards(&[request(&long)], &never)
        .unwrap_err()
        .to_string();
    assert!(message.contains("0 of 1 requests"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn commands_that_cannot_start_are_refused_at_once() {
    let spec = |command: &[&str], timeout_secs| RewardProgramSpec {
        command: command.iter().map(|&word| word.to_owned()).collect(),
        folder: None,
        timeout_secs,
    };
    let refusal =
        |spec: &RewardProgramSpec| RewardProgram::start(spec, None).unwrap_err().to_string();
    let missing = refusal(&spec(&["/no/such/program", "two words"], 1.0));
    assert!(
        missing.contains("`/no/such/program 'two words'` did not start"),
        "{missing}"
    );
    assert!(refusal(&spec(&[], 1.0)).contains("command is empty"));
    assert!(refusal(&spec(&[" "], 1.0)).contains("command is empty"));
    for secs in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
        assert!(refusal(&spec(&["cat"], secs)).contains("timeout_secs"));
    }
}

#[test]
fn relative_programs_start_in_the_presets_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("reward.py"), GOOD).unwrap();
    let spec = RewardProgramSpec {
        command: ["python3", "reward.py"].map(str::to_owned).to_vec(),
        folder: None,
        timeout_secs: 10.0,
    };
    let mut program = RewardProgram::start(&spec, Some(folder.path())).unwrap();
    assert_eq!(
        program.rewards(&[request("a")], &never).unwrap()[0].reward,
        1.0
    );
}

#[test]
fn a_program_that_fails_once_is_started_again() {
    // Dies on the second request of its life.
    let source = r#"
import json, sys
for number, line in enumerate(sys.stdin):
    if number == 1: sys.exit("one is enough")
    print(json.dumps({"id": json.loads(line)["id"], "reward": 1}))
"#;
    let mut program = RewardProgram::start(&python(source, 10.0), None).unwrap();
    // More often than failures in a row are forgiven: every good batch in between starts the count anew.
    for _ in 0..MAX_FAILURES + 1 {
        program.rewards(&[request("a")], &never).unwrap();
        let message = program
            .rewards(&[request("a")], &never)
            .unwrap_err()
            .to_string();
        assert!(message.contains("one is enough"), "{message}");
    }
    program.rewards(&[request("a")], &never).unwrap();
}

#[test]
fn a_program_that_always_fails_is_given_up_until_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let spec = shell("echo start >> starts; echo nonsense", 10.0);
    let starts = || {
        fs::read_to_string(folder.path().join("starts"))
            .unwrap()
            .lines()
            .count()
    };
    let mut program = RewardProgram::start(&spec, Some(folder.path())).unwrap();
    for _ in 0..MAX_FAILURES {
        let error = program.rewards(&[request("a")], &never).unwrap_err();
        assert!(matches!(error, ProgramError::Reply { .. }), "{error}");
    }
    for _ in 0..3 {
        let error = program.rewards(&[request("a")], &never).unwrap_err();
        assert!(matches!(error, ProgramError::GivenUp { .. }), "{error}");
        assert!(
            error.to_string().contains("`nonsense` is not JSON"),
            "{error}"
        );
    }
    assert_eq!(starts(), MAX_FAILURES as usize);
    program.retry();
    let error = program.rewards(&[request("a")], &never).unwrap_err();
    assert!(matches!(error, ProgramError::Reply { .. }), "{error}");
    assert_eq!(starts(), MAX_FAILURES as usize + 1);
}

#[test]
fn a_wait_ends_when_the_caller_wants_to_stop() {
    let mut program = RewardProgram::start(&shell("sleep 60", 30.0), None).unwrap();
    let looks = Cell::new(0);
    let stopped = || {
        looks.set(looks.get() + 1);
        looks.get() > 3
    };
    let started = Instant::now();
    let error = program.rewards(&[request("a")], &stopped).unwrap_err();
    assert!(matches!(error, ProgramError::Stopped), "{error}");
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(program.failures, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn dropping_kills_the_program_and_what_it_started_and_leaves_no_zombie() {
    let folder = tempfile::tempdir().unwrap();
    let source = "trap '' TERM HUP INT; sleep 60 & echo $! > grandchild; echo '{\"id\":1,\"reward\":1}'; sleep 60; sleep 60";
    let mut program = RewardProgram::start(&shell(source, 10.0), Some(folder.path())).unwrap();
    program.rewards(&[request("a")], &never).unwrap();
    let child = program.running.as_ref().unwrap().id().unwrap();
    let grandchild = fs::read_to_string(folder.path().join("grandchild")).unwrap();
    assert!(alive(&child.to_string()) && alive(grandchild.trim()));
    let started = Instant::now();
    drop(program);
    assert!(started.elapsed() < Duration::from_secs(1));
    // Ours is gone altogether, zombie included; the grandchild is dead, and whoever inherits it sweeps it up.
    assert!(!Path::new(&format!("/proc/{child}")).exists());
    let patience = Instant::now() + Duration::from_secs(2);
    while alive(grandchild.trim()) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!alive(grandchild.trim()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_failed_program_leaves_neither_children_nor_zombies() {
    let folder = tempfile::tempdir().unwrap();
    let source = "echo $$ > own; sleep 60 & echo $! > grandchild; exit 1";
    let mut program = RewardProgram::start(&shell(source, 10.0), Some(folder.path())).unwrap();
    let message = program
        .rewards(&[request("a")], &never)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("exit status: 1") || message.contains("closed"),
        "{message}"
    );
    let number = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(!Path::new("/proc").join(number("own").trim()).exists());
    let grandchild = number("grandchild");
    let patience = Instant::now() + Duration::from_secs(2);
    while alive(grandchild.trim()) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!alive(grandchild.trim()));
}

/// Whether a process is there and not a zombie.
#[cfg(target_os = "linux")]
fn alive(id: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else {
        return false;
    };
    !matches!(
        stat.rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next()),
        Some('Z' | 'X')
    )
}
