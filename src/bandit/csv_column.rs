//! One column of a CSV file as numbers, with the row and column of whatever is no number.

use std::{io::Read, path::Path};

use csv::StringRecord;

use super::{build::ProblemError, fault::Faults};
use crate::experiment::{MAX_ARMS, MAX_PRESET_BYTES, Role, repeated};

/// Of one table so many bad lines are told.
const TOLD: usize = 20;

/// Reads a column of a CSV file: exactly `arms` numbers, ≥ 0 for the reference. Without a name it is the only column, or the
/// one called like its role. A first row of numbers is data, any other one names the columns.
///
/// # Errors
/// Why it cannot be read at all, or every bad line up to 20 and a wrong number of them.
pub(super) fn read_column(
    path: &Path,
    column: Option<&str>,
    role: Role,
    arms: usize,
) -> Result<Vec<f64>, Faults> {
    let fail = |message: String| ProblemError::Csv {
        field: role.field(),
        path: path.to_owned(),
        message,
    };
    let bytes = read_bytes(path).map_err(&fail)?;
    let mut rows = Rows::of(&bytes);
    let first = rows.next().transpose().map_err(&fail)?;
    let headers = first.as_ref().filter(|first| !is_data(first)).cloned();
    let index = match &headers {
        Some(headers) => by_name(headers, column, role).map_err(&fail)?,
        None => {
            let columns = first.as_ref().map_or(0, StringRecord::len);
            without_names(columns, column).map_err(&fail)?
        }
    };
    let name = match headers.as_ref().and_then(|headers| headers.get(index)) {
        Some(name) => repeated(name),
        None => (index + 1).to_string(),
    };
    let accepted = match role {
        Role::Reference => "a finite number ≥ 0",
        Role::Rewards => "a finite number",
    };
    let accepts = |value: &f64| value.is_finite() && (role == Role::Rewards || *value >= 0.0);
    let mut values = Vec::with_capacity(arms.min(MAX_ARMS));
    let mut bad: Vec<String> = Vec::new();
    let (mut count, mut more) = (0_usize, 0_usize);
    let data = first.filter(|_| headers.is_none()).map(Ok);
    for row in data.into_iter().chain(rows) {
        count += 1;
        let problem = match row {
            Ok(record) => {
                let text = record.get(index).unwrap_or_default();
                match text.parse().ok().filter(accepts) {
                    Some(value) if values.len() < arms => {
                        values.push(value);
                        continue;
                    }
                    // That there are too many is told once.
                    Some(_) => continue,
                    None => {
                        let line = record.position().map_or(0, |at| line_of(&bytes, at));
                        let shown = repeated(text);
                        format!(
                            "line {line}, column “{name}”: “{shown}” is not accepted; {accepted} is"
                        )
                    }
                }
            }
            Err(problem) => problem,
        };
        if bad.len() < TOLD {
            bad.push(problem);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        bad.push(format!(
            "… {more} more lines: in each {accepted} is accepted"
        ));
    }
    if count != arms {
        let below = if headers.is_some() {
            " below its header"
        } else {
            ""
        };
        bad.push(format!(
            "has {count} rows{below}; {arms}, one for each arm, are needed"
        ));
    }
    match Faults::of(bad.into_iter().map(fail).collect()) {
        Some(faults) => Err(faults),
        None => Ok(values),
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| {
        format!("cannot be read ({error}); a CSV file that can be is accepted")
    };
    // A pipe or a device could block or never end.
    let about = std::fs::metadata(path).map_err(cannot)?;
    if !about.is_file() {
        return Err("is not a file; a CSV file is accepted".to_owned());
    }
    if about.len() > MAX_PRESET_BYTES {
        return Err(format!(
            "has {} bytes; at most {MAX_PRESET_BYTES} are accepted",
            about.len()
        ));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(MAX_PRESET_BYTES)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    Ok(bytes)
}

/// The line of a row. Its position is that of the empty lines above it, if there are any.
fn line_of(bytes: &[u8], at: &csv::Position) -> u64 {
    let start = usize::try_from(at.byte()).unwrap_or(usize::MAX);
    let empty = (bytes.get(start..).unwrap_or_default().iter())
        .take_while(|byte| matches!(byte, b'\n' | b'\r'))
        .filter(|byte| **byte == b'\n');
    at.line() + empty.count() as u64
}

/// The rows of a table; one that cannot be read is told in words, and the next one follows.
struct Rows<'a> {
    bytes: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    is_over: bool,
}

impl<'a> Rows<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            reader: csv::ReaderBuilder::new()
                .trim(csv::Trim::All)
                .has_headers(false)
                .from_reader(bytes),
            is_over: false,
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<StringRecord, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let mut record = StringRecord::new();
        match self.reader.read_record(&mut record) {
            Ok(true) => Some(Ok(record)),
            Ok(false) => None,
            Err(error) => {
                // Behind a row of another length or that is no text the next row follows; behind anything else nothing.
                self.is_over = !matches!(
                    error.kind(),
                    csv::ErrorKind::UnequalLengths { .. } | csv::ErrorKind::Utf8 { .. }
                );
                Some(Err(describe(self.bytes, &error)))
            }
        }
    }
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

fn describe(bytes: &[u8], error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos: Some(pos),
            expected_len,
            len,
        } => format!(
            "line {}: {len} columns are not accepted; {expected_len} are, as in the first row",
            line_of(bytes, pos)
        ),
        csv::ErrorKind::Utf8 { pos: Some(pos), .. } => {
            format!(
                "line {}: bytes that are no text are not accepted; text in UTF-8 is",
                line_of(bytes, pos)
            )
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
        read_column(&path, column, role, arms)
            .map_err(|faults| ProblemError::from(faults).to_string())
    }

    fn all(role: Role, text: &[u8], arms: usize) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.csv");
        std::fs::write(&path, text).unwrap();
        let faults = read_column(&path, None, role, arms).unwrap_err();
        faults.all().map(|fault| fault.to_string()).collect()
    }

    #[test]
    fn every_bad_line_is_told_up_to_twenty() {
        let found = all(
            Role::Rewards,
            b"reward,b\n1,2\nx,3\n\n4\n\xff,1\n,1\n7,1\n",
            6,
        );
        let wanted = [
            "line 3, column “reward”: “x” is not accepted; a finite number is",
            "line 5: 1 columns are not accepted; 2 are",
            "line 6: bytes that are no text",
            "line 7, column “reward”: “” is not accepted",
        ];
        assert_eq!(found.len(), wanted.len(), "{found:#?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.contains(wanted), "{found} / {wanted}");
        }
        let many = format!("r\n{}", "x\n".repeat(30));
        let found = all(Role::Rewards, many.as_bytes(), 31);
        assert_eq!(found.len(), 22, "{found:#?}");
        assert!(found[19].contains("line 21,"), "{found:#?}");
        assert!(found[20].contains("… 10 more lines"), "{found:#?}");
        assert!(
            found[21].contains("has 30 rows below its header; 31, one"),
            "{found:#?}"
        );
    }

    #[test]
    fn a_negative_mass_is_told_with_its_line() {
        let text = b"p\n1\n-2\n3\n-0.5\n";
        assert_eq!(read_as(Role::Rewards, text, None, 4).unwrap().len(), 4);
        let found = all(Role::Reference, text, 4);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(
            found[0].contains("line 3, column “p”: “-2” is not accepted; a finite number ≥ 0 is")
        );
        assert!(found[1].contains("line 5, "));
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
            told.contains("has 3 rows; 4, one for each arm, are needed"),
            "{told}"
        );
    }

    #[test]
    fn what_is_no_number_is_told_with_row_and_column() {
        for (text, arms, wanted) in [
            (
                &b"reward,b\n1,2\nx,3\n"[..],
                2,
                "line 3, column \u{201c}reward\u{201d}: \u{201c}x\u{201d} is not accepted",
            ),
            (b"a\n1\nNaN\n", 2, "line 3"),
            (b"a\n1\ninf\n", 2, "line 3"),
            (b"a\n1\n\"\"\n", 2, "line 3"),
            (
                b"reward,b\n1,2\n3\n",
                2,
                "line 3: 1 columns are not accepted; 2 are",
            ),
            (b"a\n1\n2\n3\n", 2, "has 3 rows below its header; 2, one"),
            (
                b"a\n1\n",
                2,
                "has 1 rows below its header; 2, one for each arm, are needed",
            ),
            (b"", 1, "has 0 rows"),
            (b"a\n\xff\xfe\n", 1, "line 2"),
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
