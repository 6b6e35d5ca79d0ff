//! One column of a CSV file as numbers, with the row and column of whatever is no number.

use std::{io::Read, path::Path};

use super::build::ProblemError;
use crate::experiment::{MAX_PRESET_BYTES, repeated};

/// Reads a column (the first one if none is named) of a CSV file with a header row: exactly `arms` numbers.
pub(super) fn read_column(
    path: &Path,
    column: Option<&str>,
    field: &'static str,
    arms: usize,
) -> Result<Vec<f64>, ProblemError> {
    let fail = |message: String| ProblemError::Csv {
        field,
        path: path.to_owned(),
        message,
    };
    let cannot = |error: std::io::Error| fail(format!("cannot be read ({error})"));
    // A pipe or a device could block or never end.
    let about = std::fs::metadata(path).map_err(cannot)?;
    if !about.is_file() {
        return Err(fail("is not a file".to_owned()));
    }
    if about.len() > MAX_PRESET_BYTES {
        return Err(fail(format!(
            "has {} bytes; at most {MAX_PRESET_BYTES} are accepted",
            about.len()
        )));
    }
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(file.take(MAX_PRESET_BYTES));
    let headers = reader
        .headers()
        .map_err(|error| fail(describe(&error)))?
        .clone();
    let index = match column {
        None => 0,
        Some(wanted) => headers
            .iter()
            .position(|name| name == wanted)
            .ok_or_else(|| {
                let names: Vec<&str> = headers.iter().take(20).collect();
                fail(format!(
                    "has no column “{}”; it has {}",
                    repeated(wanted),
                    repeated(&names.join(", "))
                ))
            })?,
    };
    let name = repeated(headers.get(index).unwrap_or("1"));
    let mut values = Vec::with_capacity(arms);
    let mut record = csv::StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(|error| fail(describe(&error)))?
    {
        let row = record.position().map_or(0, csv::Position::line);
        let text = record.get(index).unwrap_or_default();
        let value: f64 = text
            .parse()
            .ok()
            .filter(|v: &f64| v.is_finite())
            .ok_or_else(|| {
                let shown = repeated(text);
                fail(format!(
                    "row {row}, column “{name}”: “{shown}” is not accepted; a finite number is"
                ))
            })?;
        if values.len() == arms {
            return Err(fail(format!(
                "has more than {arms} rows below its header; one for each arm is needed"
            )));
        }
        values.push(value);
    }
    if values.len() < arms {
        return Err(fail(format!(
            "has {} rows below its header; one for each of the {arms} arms is needed",
            values.len()
        )));
    }
    Ok(values)
}

fn describe(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos: Some(pos),
            expected_len,
            len,
        } => format!(
            "row {}: {len} columns where the header has {expected_len}",
            pos.line()
        ),
        csv::ErrorKind::Utf8 { pos: Some(pos), .. } => {
            format!("row {}: is not UTF-8 text", pos.line())
        }
        _ => format!("cannot be read ({error})"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;

    fn read(text: &[u8], column: Option<&str>, arms: usize) -> Result<Vec<f64>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.csv");
        std::fs::write(&path, text).unwrap();
        read_column(&path, column, "bandit.rewards", arms).map_err(|error| error.to_string())
    }

    #[test]
    fn a_column_is_found_by_name_or_is_the_first() {
        let text = b"name, reward\n1, 0.5\n2 , 1e-3\n";
        assert_eq!(read(text, Some("reward"), 2).unwrap(), [0.5, 1e-3]);
        assert_eq!(read(text, None, 2).unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn what_is_no_number_is_told_with_row_and_column() {
        for (text, arms, wanted) in [
            (
                &b"a,b\n1,2\nx,3\n"[..],
                2,
                "row 3, column \u{201c}a\u{201d}: \u{201c}x\u{201d} is not accepted",
            ),
            (b"a\n1\nNaN\n", 2, "row 3"),
            (b"a\n1\ninf\n", 2, "row 3"),
            (b"a\n1\n\"\"\n", 2, "row 3"),
            (
                b"a,b\n1,2\n3\n",
                2,
                "row 3: 1 columns where the header has 2",
            ),
            (b"a\n1\n2\n3\n", 2, "more than 2 rows"),
            (
                b"a\n1\n",
                2,
                "has 1 rows below its header; one for each of the 2 arms",
            ),
            (b"", 1, "has 0 rows"),
            (b"a\n\xff\xfe\n", 1, "row 2"),
        ] {
            let error = read(text, None, arms).unwrap_err();
            assert!(error.contains(wanted), "{error} / {wanted}");
            assert!(
                error.starts_with("bandit.rewards: ") && !error.contains('\n'),
                "{error}"
            );
        }
        let error = read(b"a,b\n1,2\n", Some("c"), 1).unwrap_err();
        assert!(
            error.contains("has no column \u{201c}c\u{201d}; it has a, b"),
            "{error}"
        );
    }

    #[test]
    fn folders_and_devices_are_no_csv_files() {
        for path in ["/", "/dev/zero", "/nonexistent/file.csv"] {
            assert!(read_column(Path::new(path), None, "bandit.rewards", 1).is_err());
        }
    }
}
