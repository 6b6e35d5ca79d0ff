//! Text → tokens.

use std::ops::Range;

use super::Fault;
use crate::experiment::mistake::repeated;

/// A piece of a formula.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    Number(f64),
    Name(&'a str),
    /// One of `+ - * / ^ ( ) , < <= > >= == != && || !`.
    Mark(&'static str),
}

const MARKS: [&str; 17] = [
    // Longer ones first: `<=` is not `<` and then `=`.
    "<=", ">=", "==", "!=", "&&", "||", "+", "-", "*", "/", "^", "(", ")", ",", "<", ">", "!",
];

/// Splits a formula; every token comes with its bytes.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token<'_>, Range<usize>)>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        } else if next.is_ascii_digit() || next == '.' {
            let length = number_length(rest);
            let value = rest[..length].parse().map_err(|_| {
                let shown = repeated(&rest[..length]);
                Fault::new(&(at..at), format!("`{shown}` is not a number"))
            })?;
            tokens.push((Token::Number(value), at..at + length));
            length
        } else if next.is_alphabetic() || next == '_' {
            let length = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            tokens.push((Token::Name(&rest[..length]), at..at + length));
            length
        } else if let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) {
            tokens.push((Token::Mark(mark), at..at + mark.len()));
            mark.len()
        } else {
            let message = match next {
                '=' => "`=` is not accepted; write `==` to compare".to_owned(),
                '&' | '|' => format!("`{next}` is not accepted; write `{next}{next}`"),
                '%' => "`%` is not accepted; write mod(a, b)".to_owned(),
                _ => format!("`{}` is not accepted", next.escape_debug()),
            };
            return Err(Fault::new(&(at..at), message));
        };
        at += length;
    }
    Ok(tokens)
}

/// Length of the number at the start: digits, a point, an exponent.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent_end = digits(end + 1 + sign);
        if exponent_end > end + 1 + sign {
            end = exponent_end;
        }
    }
    end
}
