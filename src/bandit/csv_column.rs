//! One column of a CSV file as numbers, with the row and column of whatever is no number.

use std::path::Path;

use super::build::ProblemError;
use crate::experiment::MAX_PRESET_BYTES;

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
    let size = std::fs::metadata(path)
        .map_err(|error| fail(format!("cannot be read ({error})")))?
        .len();
    if size > MAX_PRESET_BYTES {
        return Err(fail(format!(
            "has {size} bytes; at most {MAX_PRESET_BYTES} are accepted"
        )));
    }
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| fail(format!("cannot be read ({error})")))?;
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
                    "has no column “{wanted}”; it has {}",
                    names.join(", ")
                ))
            })?,
    };
    let name = headers.get(index).unwrap_or("1").to_owned();
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
                let shown: String = text.chars().take(40).collect();
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
