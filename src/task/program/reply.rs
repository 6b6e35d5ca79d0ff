//! The lines of the protocol: what is asked and what may be answered.

use serde::Serialize;
use serde_json::{Map, Value};

use super::RewardReply;
use crate::experiment::repeated;

/// Longest label, in characters.
const MAX_LABEL: usize = 200;

/// A request as it goes over the pipe.
#[derive(Serialize)]
pub(super) struct Question<'a> {
    pub(super) id: u64,
    pub(super) prompt: &'a str,
    pub(super) completion: &'a str,
    pub(super) log_prob: f64,
    pub(super) log_reference: f64,
}

/// Reads the reply to request `id`, or says in one sentence what is wrong with the line.
pub(super) fn read_reply(line: &[u8], id: u64) -> Result<RewardReply, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let value: Value = serde_json::from_str(text).map_err(|_| {
        let named = ["NaN", "Infinity"]
            .into_iter()
            .find(|name| text.contains(name));
        match named {
            Some(name) => format!("{name} is not a number of JSON; a reward is a finite number"),
            None => format!("`{}` is not JSON", repeated(text)),
        }
    })?;
    let Value::Object(fields) = value else {
        return Err(format!(
            "`{}` is not an object; accepted is {{\"id\": {id}, \"reward\": 1.0}}",
            repeated(text)
        ));
    };
    match fields.get("id") {
        Some(given) if given.as_u64() == Some(id) => {}
        Some(given) => {
            return Err(format!(
                "id is {} where {id} is next; replies come in the order of the requests, one each",
                repeated(&given.to_string())
            ));
        }
        None => return Err("id is missing; it repeats the request's".to_owned()),
    }
    Ok(RewardReply {
        reward: reward(&fields)?,
        label: label(&fields)?,
    })
}

fn reward(fields: &Map<String, Value>) -> Result<f64, String> {
    match fields.get("reward") {
        Some(value) => value
            .as_f64()
            .filter(|reward| reward.is_finite())
            .ok_or_else(|| {
                format!(
                    "reward is {}; a finite number is needed",
                    repeated(&value.to_string())
                )
            }),
        None => Err("reward is missing".to_owned()),
    }
}

fn label(fields: &Map<String, Value>) -> Result<Option<String>, String> {
    match fields.get("label") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(label)) if label.chars().count() > MAX_LABEL => Err(format!(
            "label has {} characters; at most {MAX_LABEL} are accepted",
            label.chars().count()
        )),
        Some(Value::String(label)) => Ok(Some(label.clone())),
        Some(other) => Err(format!(
            "label is {}; a text or null is needed",
            repeated(&other.to_string())
        )),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn good_replies_are_read() {
        let plain = read_reply(br#"{"id": 3, "reward": 1}"#, 3).unwrap();
        assert_eq!((plain.reward, plain.label), (1.0, None));
        let full = br#"{"reward": -2.5e-3, "label": "a mode", "id": 3, "why": ["more"]}"#;
        let full = read_reply(full, 3).unwrap();
        assert_eq!(full.reward, -0.0025);
        assert_eq!(full.label.as_deref(), Some("a mode"));
        assert_eq!(
            read_reply(br#"{"id": 3, "reward": 1, "label": null}"#, 3)
                .unwrap()
                .label,
            None
        );
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (line, part) in [
            ("hello\tthere", "`hello there` is not JSON"),
            ("1.0", "not an object"),
            ("[1, 2]", "not an object"),
            (r#"{"reward": 1}"#, "id is missing"),
            (r#"{"id": 4, "reward": 1}"#, "id is 4 where 3 is next"),
            (r#"{"id": "3", "reward": 1}"#, r#"id is "3""#),
            (r#"{"id": 3}"#, "reward is missing"),
            (r#"{"id": 3, "reward": null}"#, "reward is null"),
            (r#"{"id": 3, "reward": "1"}"#, r#"reward is "1""#),
            (r#"{"id": 3, "reward": true}"#, "reward is true"),
            (r#"{"id": 3, "reward": NaN}"#, "NaN is not a number of JSON"),
            (
                r#"{"id": 3, "reward": -Infinity}"#,
                "Infinity is not a number of JSON",
            ),
            (r#"{"id": 3, "reward": 1e999}"#, "is not JSON"),
            (r#"{"id": 3, "reward": 1, "label": 5}"#, "label is 5"),
        ] {
            let why = read_reply(line.as_bytes(), 3).unwrap_err();
            assert!(why.contains(part), "{line}: {why}");
            assert!(!why.contains('\n'), "{line}: {why}");
        }
        let long = format!(
            r#"{{"id": 3, "reward": 1, "label": "{}"}}"#,
            "x".repeat(300)
        );
        assert!(read_reply(long.as_bytes(), 3).unwrap_err().contains("300"));
        assert!(read_reply(&[0xff, 0xfe], 3).unwrap_err().contains("UTF-8"));
    }
}
