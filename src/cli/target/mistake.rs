//! What is wrong with a JSON line that cannot be read as a question: the field, its value and what is accepted. Looked for
//! only once a line is refused, so that good lines pay nothing.

use serde_json::Value;

use crate::experiment::repeated;

/// Every field of a question with what it takes.
const FIELDS: [(&str, &str); 9] = [
    ("reference", "a list of numbers ≥ 0 that sum to 1"),
    ("rewards", "a list of finite numbers, one per arm"),
    ("beta", "a finite number above 0"),
    ("direction", "\"reverse\" or \"forward\""),
    ("alpha", "a finite number (1 is reverse, 0 is forward)"),
    ("entropy", "a finite number ≥ 0"),
    (
        "mara",
        "a number, or an object with threshold or percentile, algorithm (1 or 2) and per_class (true or false)",
    ),
    ("reward_scale", "a finite number"),
    ("reward_offset", "a finite number"),
];

/// Fields without which there is no question.
const NEEDED: [&str; 3] = ["reference", "rewards", "beta"];

/// The sentence for a line that `error` refuses.
pub(super) fn explain(line: &[u8], error: &serde_json::Error) -> String {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => {
            return format!(
                "the line is not UTF-8 text (first bad byte at column {})",
                error.valid_up_to() + 1
            );
        }
    };
    match serde_json::from_str::<Value>(text) {
        Ok(value) => by_value(&value)
            .or_else(|| doubled(&value, error))
            .unwrap_or_else(|| plain(error)),
        Err(error) => by_place(text, &error),
    }
}

/// A field that is given a second time, where that is what the reader says. The value shown is the last one.
fn doubled(value: &Value, error: &serde_json::Error) -> Option<String> {
    let message = error.to_string();
    let name = message
        .strip_prefix("duplicate field `")?
        .split('`')
        .next()?;
    let (path, value) = match value.get(name) {
        Some(value) => (name.to_owned(), Some(value)),
        None => (
            format!("mara.{name}"),
            value.get("mara").and_then(|mara| mara.get(name)),
        ),
    };
    let shown = value
        .map(|value| repeated(&value.to_string()))
        .unwrap_or_default();
    Some(format!(
        "{path}: {shown} as a second value is not accepted; accepted: each field once (column {})",
        error.column()
    ))
}

/// What the reader says, on one line with the column alone.
fn plain(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message
        .split_once(" at line ")
        .map_or(message.as_str(), |(message, _)| message);
    match error.column() {
        0 => message.to_owned(),
        column => format!("{message} (column {column})"),
    }
}

fn accepted(field: &str) -> Option<&'static str> {
    let found = FIELDS.iter().find(|(name, _)| *name == field);
    found.map(|(_, accepted)| *accepted)
}

fn names() -> String {
    FIELDS.map(|(name, _)| name).join(", ")
}

/// The first field of readable JSON that does not fit.
fn by_value(value: &Value) -> Option<String> {
    let Value::Object(fields) = value else {
        return Some(format!(
            "{} is not accepted; accepted: an object with the fields {}",
            repeated(&value.to_string()),
            names()
        ));
    };
    for (field, value) in fields {
        let Some(accepted) = accepted(field) else {
            return Some(format!(
                "{}: no such field; accepted: {}",
                repeated(field),
                names()
            ));
        };
        let refused = |shown: String| {
            Some(format!(
                "{field}: {shown} is not accepted; accepted: {accepted}"
            ))
        };
        let optional = !NEEDED.contains(&field.as_str());
        match (field.as_str(), value) {
            (_, Value::Null) if optional => {}
            ("reference" | "rewards", Value::Array(items)) => {
                if let Some(arm) = items.iter().position(|item| !item.is_number()) {
                    let shown = repeated(&items[arm].to_string());
                    return refused(format!("{shown} (arm {arm})"));
                }
            }
            ("direction", Value::String(_)) | ("mara", Value::Object(_)) => {
                if let Some(told) = of_parts(field, value, accepted) {
                    return Some(told);
                }
            }
            (
                "beta" | "alpha" | "entropy" | "mara" | "reward_scale" | "reward_offset",
                Value::Number(_),
            ) => {}
            (_, value) => return refused(repeated(&value.to_string())),
        }
    }
    let missing = NEEDED.iter().find(|name| !fields.contains_key(**name))?;
    Some(format!(
        "{missing}: is missing; needed: {}",
        accepted(missing).unwrap_or_default()
    ))
}

/// A direction that is none, or the first part of MARA that does not fit.
fn of_parts(field: &str, value: &Value, accepted: &str) -> Option<String> {
    if let Value::String(name) = value {
        let known = ["reverse", "forward", "Reverse", "Forward"].contains(&name.as_str());
        return (!known).then(|| {
            format!(
                "{field}: {} is not accepted; accepted: {accepted}",
                repeated(&value.to_string())
            )
        });
    }
    for (part, value) in value.as_object()? {
        let (fits, accepted) = match part.as_str() {
            "threshold" | "tau" => (value.is_number() || value.is_null(), "a finite number"),
            "percentile" => (value.is_number() || value.is_null(), "a number from 0 to 1"),
            "algorithm" => (value.is_i64() || value.is_null(), "1 or 2"),
            "per_class" => (value.is_boolean(), "true or false"),
            _ => {
                return Some(format!(
                    "{field}.{}: no such field; accepted: threshold, percentile, algorithm, per_class",
                    repeated(part)
                ));
            }
        };
        if !fits {
            return Some(format!(
                "{field}.{part}: {} is not accepted; accepted: {accepted}",
                repeated(&value.to_string())
            ));
        }
    }
    None
}

/// For text that is no JSON: the field in which reading stopped, and the word that stands there.
fn by_place(text: &str, error: &serde_json::Error) -> String {
    let column = error.column();
    let at = column.saturating_sub(1).min(text.len());
    let word = word_at(text, at);
    match field_at(text, at).and_then(|field| {
        let accepted = accepted(&field)?;
        Some((field, accepted))
    }) {
        Some((field, accepted)) if !word.is_empty() => format!(
            "{field}: {} is not accepted; accepted: {accepted} (column {column})",
            repeated(word)
        ),
        Some((field, accepted)) => format!("{field}: {}; accepted: {accepted}", plain(error)),
        None => format!(
            "{}; accepted: an object with the fields {}",
            plain(error),
            names()
        ),
    }
}

/// The number or name around a byte; reading stops at its start or just behind it.
fn word_at(text: &str, at: usize) -> &str {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    let bytes = text.as_bytes();
    let inside = |at: usize| bytes.get(at).is_some_and(is_part);
    let mut start = at;
    while start > 0 && inside(start - 1) {
        start -= 1;
    }
    let length = bytes
        .iter()
        .skip(start)
        .take_while(|byte| is_part(byte))
        .count();
    text.get(start..start + length).unwrap_or_default()
}

/// The name before the last colon of the outermost object up to a byte.
fn field_at(text: &str, at: usize) -> Option<String> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut start = 0;
    let (mut last, mut field) = (None, None);
    for (place, byte) in text.bytes().enumerate().take(at) {
        if in_text {
            if byte == b'"' && !escaped {
                in_text = false;
                last = text.get(start..place);
            }
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => {
                in_text = true;
                escaped = false;
                start = place + 1;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 1 => field = last.take(),
            b',' if depth == 1 => field = None,
            _ => {}
        }
    }
    field.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::cli::target::Request;

    fn told(line: &str) -> String {
        let error = serde_json::from_str::<Request>(line).unwrap_err();
        explain(line.as_bytes(), &error)
    }

    #[test]
    fn every_mistake_names_field_value_and_what_is_accepted() {
        let start = r#"{"reference": [0.5, 0.5], "rewards": [0, 1], "beta": "#;
        for (rest, wanted) in [
            (
                "NaN}",
                "beta: NaN is not accepted; accepted: a finite number above 0 (column ",
            ),
            (
                "1e400}",
                "beta: 1e400 is not accepted; accepted: a finite number above 0 (column ",
            ),
            (
                "-Infinity}",
                "beta: -Infinity is not accepted; accepted: a finite number above 0 (column ",
            ),
            (
                "\"x\"}",
                "beta: \"x\" is not accepted; accepted: a finite number above 0",
            ),
            (
                "null}",
                "beta: null is not accepted; accepted: a finite number above 0",
            ),
            (
                "1, \"alpha\": true}",
                "alpha: true is not accepted; accepted: a finite number",
            ),
            (
                "1, \"direction\": \"sideways\"}",
                "direction: \"sideways\" is not accepted; accepted: \"reverse\" or",
            ),
            (
                "1, \"mara\": {\"tau\": \"x\"}}",
                "mara.tau: \"x\" is not accepted; accepted: a finite number",
            ),
            (
                "1, \"mara\": {\"threshold\": NaN}}",
                "mara: NaN is not accepted; accepted: a number, or an object",
            ),
            (
                "1, \"mara\": {\"x\": 1}}",
                "mara.x: no such field; accepted: threshold",
            ),
            (
                "1, \"bet\": 1}",
                "bet: no such field; accepted: reference, rewards, beta",
            ),
            ("", "beta: EOF while parsing a value (column "),
        ] {
            let told = told(&format!("{start}{rest}"));
            assert!(told.starts_with(wanted), "{rest}: {told} / {wanted}");
        }
        for (line, wanted) in [
            (
                "null",
                "null is not accepted; accepted: an object with the fields reference, rewards, beta",
            ),
            ("[1]", "[1] is not accepted; accepted: an object"),
            ("{}", "beta: is missing; needed: a finite number above 0"),
            (
                r#"{"reference": [0.5, "a"], "rewards": [0, 1], "beta": 1}"#,
                "reference: \"a\" (arm 1) is not accepted; accepted: a list of numbers",
            ),
            (
                r#"{"reference": 1, "rewards": [0, 1], "beta": 1}"#,
                "reference: 1 is not accepted; accepted: a list of numbers",
            ),
            (
                r#"{"reference": [0.5, NaN], "rewards": [0, 1], "beta": 1}"#,
                "reference: NaN is not accepted; accepted: a list of numbers",
            ),
            ("hello", "expected value (column 1); accepted: an object"),
            (
                r#"{"beta": 1, "beta": 2, "reference": [1], "rewards": [1]}"#,
                "beta: 2 as a second value is not accepted; accepted: each field once (column ",
            ),
        ] {
            let told = told(line);
            let missing = wanted.contains("is missing") && told.contains("is missing");
            assert!(
                told.starts_with(wanted) || missing,
                "{line}: {told} / {wanted}"
            );
        }
    }
}
