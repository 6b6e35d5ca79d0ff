//! A file is the old one or the new one, whenever the writer dies.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use modescope::experiment::save_atomically;

const SIZE: usize = 300_000;
const TARGET: &str = "MODESCOPE_TEST_SAVES_TO";

/// Not a test by itself: the process that the next test kills. Saves files of a single letter, over and over.
#[test]
fn writer_that_is_killed() {
    let Some(path) = std::env::var_os(TARGET).map(PathBuf::from) else {
        return;
    };
    for letter in (b'a'..=b'z').cycle() {
        save_atomically(&path, &vec![letter; SIZE]).unwrap();
    }
}

#[test]
fn a_killed_save_leaves_the_old_or_the_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("preset.ron");
    save_atomically(&path, &vec![b'a'; SIZE]).unwrap();
    let mut last = b'a';
    for round in 0..30_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "saving::writer_that_is_killed", "--nocapture"])
            .env(TARGET, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It is at work once the letter changes, however long a busy machine takes to start it.
        let patience = Instant::now() + Duration::from_secs(30);
        let mut has_written = false;
        while !has_written && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
            // Looked at once: the writer comes round to the same letter again.
            has_written = check(&path) != last;
        }
        // Killed at another moment of its work each time, and read while it works.
        let until = Instant::now() + Duration::from_micros(round * 730 % 9_000);
        while Instant::now() < until {
            check(&path);
        }
        // SIGKILL on Unix: no clean-up runs.
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_written, "the writer never got to write");
        last = check(&path);
    }
}

/// The file's one letter; panics where it is anything but one whole save.
fn check(path: &std::path::Path) -> u8 {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes.len(), SIZE, "a file of another length");
    let first = bytes[0];
    assert!(
        bytes.iter().all(|byte| *byte == first),
        "a mixture of two saves"
    );
    first
}

#[test]
fn saving_makes_folders_replaces_files_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("deeper").join("file.txt");
    save_atomically(&path, b"one").unwrap();
    save_atomically(&path, b"two").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "temporary files are gone");
}

#[test]
fn a_save_that_cannot_be_made_says_so_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // A folder stands where the file should go.
    let path = folder.path().join("taken");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("inside"), b"kept").unwrap();
    assert!(save_atomically(&path, b"x").is_err());
    assert_eq!(std::fs::read(path.join("inside")).unwrap(), b"kept");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // A file stands where its folder should be.
    let file = folder.path().join("file");
    std::fs::write(&file, b"kept").unwrap();
    assert!(save_atomically(&file.join("below"), b"x").is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"kept");
}
