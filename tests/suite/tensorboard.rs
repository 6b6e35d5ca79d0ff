//! Event files for TensorBoard against what an independent writer made of the same values.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use modescope::engine::EventWriter;

/// tests/vectors/tensorboardx.tfevents was written by the Python package tensorboardX 2.6.5 (protobuf 7.36.2) from these
/// values with `SummaryWriter.add_scalar(tag, value, step, walltime)`, the file's own time being `START`.
const START: f64 = 1_700_000_000.25;
const SCALARS: [(&str, f64, u64, f64); 4] = [
    ("reward", 1.0, 0, START),
    ("reward", 0.5, 1, START + 1.0),
    ("kl/reverse", -3.25, 300, START + 2.5),
    ("größe", 1e-30, 5_000_000_000, START + 3.0),
];

#[test]
fn event_files_are_byte_for_byte_those_of_tensorboardx() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create_at(&folder.path().join("run"), START).unwrap();
    for (tag, value, step, wall_time) in SCALARS {
        writer.scalar(tag, step, wall_time, value).unwrap();
    }
    writer.flush().unwrap();
    let written = std::fs::read(writer.path()).unwrap();
    let golden = include_bytes!("../vectors/tensorboardx.tfevents");
    assert_eq!(written, golden);
}

#[test]
fn two_writers_in_one_folder_have_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let first = EventWriter::create_at(folder.path(), START).unwrap();
    let second = EventWriter::create_at(folder.path(), START).unwrap();
    assert_ne!(first.path(), second.path());
    let name = first.path().file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with("events.out.tfevents.1700000000."),
        "{name}"
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "").unwrap();
    assert!(EventWriter::create(&file).is_err());
}
