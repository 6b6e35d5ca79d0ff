//! One column of a CSV file as numbers, with the row and column of whatever is no number.

use std::{io::Read, path::Path};

use csv::StringRecord;

use super::build::ProblemError;
use crate::experiment::{MAX_PRESET_BYTES, Role, repeated};

/// Reads a column of a CSV file: exactly `arms` numbers. Without a name it is the only column, or the one called like its
/// role. A first row of numbers is data, any other one names the columns.
pub(super) fn read_column(
    path: &Path,
    column: Option<&str>,
    role: Role,
    arms: usize,
) -> Result<Vec<f64>, ProblemError> {
    let fail = |message: String| ProblemError::Csv {
        field: role.field(),
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
        .has_headers(false)
        .from_reader(file.take(MAX_PRESET_BYTES));
    let mut record = StringRecord::new();
    let mut any = reader
        .read_record(&mut record)
        .map_err(|error| fail(describe(&error)))?;
    let headers = (any && !is_data(&record)).then(|| record.clone());
    let columns = record.len();
    let index = match &headers {
        Some(headers) => by_name(headers, column, role).map_err(&fail)?,
        None => without_names(columns, column).map_err(&fail)?,
    };
    let name = match headers.as_ref().and_then(|headers| headers.get(index)) {
        Some(name) => repeated(name),
        None => (index + 1).to_string(),
    };
    let below = if headers.is_some() {
        " below its header"
    } else {
        ""
    };
    if headers.is_some() {
        any = reader
            .read_record(&mut record)
            .map_err(|error| fail(describe(&error)))?;
    }
    let mut values = Vec::with_capacity(arms);
    while any {
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
                "has more than {arms} rows{below}; one for each arm is needed"
            )));
        }
        values.push(value);
        any = reader
            .read_record(&mut record)
            .map_err(|error| fail(describe(&error)))?;
    }
    if values.len() < arms {
        return Err(fail(format!(
            "has {} rows{below}; one for each of the {arms} arms is needed",
            values.len()
        )));
    }
    Ok(values)
}

/// Whether a first row holds numbers and not names.
pub(crate) fn is_data(record: &StringRecord) -> bool {
    record.iter().all(|text| text.parse::<f64>().is_ok())
}

/// The column of that name; without one the only column, or the one called like what is read.
fn by_name(headers: &StringRecord, column: Option<&str>, role: Role) -> Result<usize, String> {
    let names = || {
        let names: Vec<&str> = headers.iter().take(20).collect();
        repeated(&names.join(", "))
    };
    if let Some(wanted) = column {
        let found = headers.iter().position(|name| name == wanted);
        return found
            .ok_or_else(|| format!("has no column “{}”; it has {}", repeated(wanted), names()));
    }
    if headers.len() == 1 {
        return Ok(0);
    }
    let called: &[&str] = match role {
        Role::Reference => &["reference"],
        Role::Rewards => &["reward", "rewards"],
    };
    let is_called = |name: &str| {
        called
            .iter()
            .any(|wanted| name.eq_ignore_ascii_case(wanted))
    };
    let mut found = (headers.iter().enumerate()).filter(|(_, name)| is_called(name));
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Ok(index),
        (None, _) | (Some(_), Some(_)) => Err(format!(
            "has {} columns and none is chosen; accepted: column: one of {}",
            headers.len(),
            names()
        )),
    }
}

/// The only column of a file whose first row is data.
fn without_names(columns: usize, column: Option<&str>) -> Result<usize, String> {
    match column {
        Some(wanted) => Err(format!(
            "has no column “{}”, as its first row holds numbers; a first row of names is needed",
            repeated(wanted)
        )),
        None if columns > 1 => Err(format!(
            "has {columns} columns and its first row holds numbers; a first row of names and the name of a column are needed"
        )),
        None => Ok(0),
    }
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

    fn read_as(
        role: Role,
        text: &[u8],
        column: Option<&str>,
        arms: usize,
    ) -> Result<Vec<f64>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.csv");
        std::fs::write(&path, text).unwrap();
        read_column(&path, column, role, arms).map_err(|error| error.to_string())
    }

    fn read(text: &[u8], column: Option<&str>, arms: usize) -> Result<Vec<f64>, String> {
        read_as(Role::Rewards, text, column, arms)
    }

    #[test]
    fn a_column_is_found_by_name_or_is_the_only_one() {
        let text = b"name, reward\n1, 0.5\n2 , 1e-3\n";
        assert_eq!(read(text, Some("reward"), 2).unwrap(), [0.5, 1e-3]);
        assert_eq!(read(b"value\n1\n2\n", None, 2).unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn of_several_columns_the_one_called_like_its_role_is_taken() {
        let text = b"arm,label,Reference,reward\n0,a,0.25,3\n1,b,0.75,4\n";
        assert_eq!(
            read_as(Role::Reference, text, None, 2).unwrap(),
            [0.25, 0.75]
        );
        assert_eq!(read(text, None, 2).unwrap(), [3.0, 4.0]);
        assert_eq!(read(b"arm,rewards\n0,3\n", None, 1).unwrap(), [3.0]);
        for text in [
            &b"arm,label,p,r\n0,a,0.25,3\n"[..],
            b"arm,reward,rewards\n0,1,2\n",
        ] {
            let told = read(text, None, 1).unwrap_err();
            assert!(
                told.contains("columns and none is chosen; accepted: column: one of arm, "),
                "{told}"
            );
        }
    }

    #[test]
    fn a_first_row_of_numbers_is_data() {
        assert_eq!(read(b"0.5\n0.25\n", None, 2).unwrap(), [0.5, 0.25]);
        let told = read(b"0,0.5\n1,0.25\n", None, 2).unwrap_err();
        assert!(
            told.contains("has 2 columns and its first row holds numbers"),
            "{told}"
        );
        let told = read(b"0,0.5\n1,0.25\n", Some("reward"), 2).unwrap_err();
        assert!(
            told.contains("has no column \u{201c}reward\u{201d}, as its first row"),
            "{told}"
        );
        let told = read(b"1\n2\n3\n", None, 4).unwrap_err();
        assert!(
            told.contains("has 3 rows; one for each of the 4 arms"),
            "{told}"
        );
    }

    #[test]
    fn what_is_no_number_is_told_with_row_and_column() {
        for (text, arms, wanted) in [
            (
                &b"reward,b\n1,2\nx,3\n"[..],
                2,
                "row 3, column \u{201c}reward\u{201d}: \u{201c}x\u{201d} is not accepted",
            ),
            (b"a\n1\nNaN\n", 2, "row 3"),
            (b"a\n1\ninf\n", 2, "row 3"),
            (b"a\n1\n\"\"\n", 2, "row 3"),
            (
                b"reward,b\n1,2\n3\n",
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
            assert!(read_column(Path::new(path), None, Role::Rewards, 1).is_err());
        }
    }
}
