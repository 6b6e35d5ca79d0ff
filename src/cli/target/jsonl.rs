//! One question per line in, one answer per line out. Memory stays flat however many lines come, and a line that is not
//! accepted is answered with its number and what is wrong.

use std::{
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    process::ExitCode,
};

use serde::Serialize;

use super::{Request, mistake::explain};

/// Longest accepted line in bytes: a million arms at full precision.
const MAX_LINE: usize = 64 << 20;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[derive(Serialize)]
struct Refusal<'a> {
    line: u64,
    error: &'a str,
}

pub(super) fn execute(input: &mut impl Read, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let mut output = BufWriter::with_capacity(1 << 16, output);
    let mut line = Vec::new();
    let (mut number, mut refused) = (0_u64, 0_u64);
    loop {
        // Whoever waits for an answer before asking again gets it.
        if input.buffer().is_empty() {
            output.flush()?;
        }
        let Some(length) = read_line(&mut input, &mut line)? else {
            break;
        };
        number += 1;
        // Some editors and spreadsheets start a file with a mark of its encoding.
        if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if length <= MAX_LINE && line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let answer = if length > MAX_LINE {
            Err(format!(
                "a line of {length} bytes is not accepted; at most {MAX_LINE} are"
            ))
        } else {
            parse(&line).and_then(Request::solve)
        };
        match answer {
            Ok(answer) => serde_json::to_writer(&mut output, &answer.to_json())?,
            Err(error) => {
                refused += 1;
                let error = crate::cli::one_line(&error);
                serde_json::to_writer(
                    &mut output,
                    &Refusal {
                        line: number,
                        error: &error,
                    },
                )?;
            }
        }
        output.write_all(b"\n")?;
        // One huge line must not keep its memory for all that follow.
        if line.capacity() > 1 << 20 {
            line = Vec::new();
        }
    }
    output.flush()?;
    if refused == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let noun = if number == 1 { "line" } else { "lines" };
    anyhow::bail!("{refused} of {number} {noun} not accepted")
}

/// Reads a line without its end into `line` and returns its length, none at the end of the input. Of a line that is too
/// long the start is kept and the rest skipped.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<usize>> {
    line.clear();
    let mut length = 0;
    let mut any = false;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(any.then_some(length));
        }
        any = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        length += part.len();
        let room = MAX_LINE.saturating_sub(line.len()).min(part.len());
        line.extend_from_slice(&part[..room]);
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(Some(length));
        }
    }
}

fn parse(line: &[u8]) -> Result<Request, String> {
    serde_json::from_slice(line).map_err(|error| explain(line, &error))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn lines_end_with_and_without_a_newline() {
        let mut input = BufReader::with_capacity(2, &b"abc\n\nde"[..]);
        let mut line = Vec::new();
        assert_eq!(read_line(&mut input, &mut line).unwrap(), Some(3));
        assert_eq!(line, b"abc");
        assert_eq!(read_line(&mut input, &mut line).unwrap(), Some(0));
        assert_eq!(read_line(&mut input, &mut line).unwrap(), Some(2));
        assert_eq!(line, b"de");
        assert_eq!(read_line(&mut input, &mut line).unwrap(), None);
    }

    #[test]
    fn a_line_beyond_the_limit_is_skipped_and_the_next_one_read() {
        let huge = io::repeat(b'1').take(MAX_LINE as u64 + 10);
        let mut input = BufReader::new(huge.chain(&b"\nnext\n"[..]));
        let mut line = Vec::new();
        assert_eq!(
            read_line(&mut input, &mut line).unwrap(),
            Some(MAX_LINE + 10)
        );
        assert_eq!(line.len(), MAX_LINE);
        assert_eq!(read_line(&mut input, &mut line).unwrap(), Some(4));
        assert_eq!(line, b"next");
    }

    /// Answers of the whole input, one JSON value per line.
    fn answers(input: &[u8]) -> Vec<serde_json::Value> {
        let mut output = Vec::new();
        // The error of refused lines repeats what the output says.
        let _ = execute(&mut &*input, &mut output);
        output
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    const QUESTIONS: [&str; 3] = [
        r#"{"reference": [0.5, 0.25, 0.25], "rewards": [0, 1e0, -1.5], "beta": 0.1, "mara": 0.5}"#,
        r#"{"reference": [1], "rewards": [3], "beta": 1e-6, "alpha": 0.5, "reward_scale": 2}"#,
        r#"{"reference": [0.5, 0.5, 0], "rewards": [0, 0, 9], "beta": 1e6, "direction": "forward", "mara": {"percentile": 0.9, "per_class": true}}"#,
    ];

    #[test]
    fn a_byte_order_mark_is_no_mistake() {
        let line = [BYTE_ORDER_MARK, QUESTIONS[0].as_bytes(), b"\n"].concat();
        assert!(answers(&line)[0]["target"].is_array());
    }

    #[test]
    fn alpha_and_direction_are_one_too_many() {
        let line = br#"{"reference": [1], "rewards": [3], "beta": 1, "alpha": 0.5, "direction": "forward"}"#;
        assert_eq!(
            answers(line)[0]["error"],
            "alpha: 0.5 is not accepted beside direction: forward; accepted: one of the two"
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

        /// Questions with a few bytes changed: each line is answered, with a distribution or with an error.
        #[test]
        fn spoilt_questions_are_answered_or_refused(
            which in 0..QUESTIONS.len(),
            changes in proptest::collection::vec((0..200_usize, proptest::sample::select(b"0123456789.-+eE[]{},:\"nulltrue x\x00\xff".to_vec())), 0..4),
        ) {
            let mut question = QUESTIONS[which].as_bytes().to_vec();
            for (at, byte) in changes {
                let at = at % question.len();
                question[at] = byte;
            }
            let answers = answers(&question);
            proptest::prop_assert_eq!(answers.len(), 1);
            match answers[0]["target"].as_array() {
                Some(target) => {
                    let sum: f64 = target.iter().filter_map(serde_json::Value::as_f64).sum();
                    proptest::prop_assert!((sum - 1.0).abs() < 1e-9, "{}", sum);
                }
                None => {
                    proptest::prop_assert_eq!(&answers[0]["line"], 1);
                    proptest::prop_assert!(answers[0]["error"].is_string());
                }
            }
        }
    }
}
