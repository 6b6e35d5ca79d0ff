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

/// A formula in pieces.
pub(super) struct Lexed<'a> {
    /// Every token with its bytes; for a misspelt operator the one that was probably meant.
    pub(super) tokens: Vec<(Token<'a>, Range<usize>)>,
    /// What is no token. One that is the last ended the reading.
    pub(super) faults: Vec<Fault>,
}

/// Splits a formula.
pub(super) fn tokens(text: &str) -> Lexed<'_> {
    let mut tokens = Vec::new();
    let mut faults = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        } else if next.is_ascii_digit() || next == '.' {
            let length = number_length(rest);
            let value = rest[..length].parse().unwrap_or_else(|_| {
                let shown = repeated(&rest[..length]);
                let message = format!("`{shown}` is not accepted; a number is");
                faults.push(Fault::new(&(at..at), message));
                1.0
            });
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
            let (message, meant) = match next {
                '=' => (
                    "`=` is not accepted; write `==` to compare".to_owned(),
                    Some("=="),
                ),
                '&' => ("`&` is not accepted; write `&&`".to_owned(), Some("&&")),
                '|' => ("`|` is not accepted; write `||`".to_owned(), Some("||")),
                '%' => ("`%` is not accepted; write mod(a, b)".to_owned(), Some("*")),
                _ => (
                    format!(
                        "`{}` is not accepted; numbers, names, brackets and operators are",
                        next.escape_debug()
                    ),
                    None,
                ),
            };
            let mut fault = Fault::new(&(at..at), message);
            fault.is_last = meant.is_none();
            faults.push(fault);
            let Some(meant) = meant else {
                break;
            };
            tokens.push((Token::Mark(meant), at..at + 1));
            1
        };
        at += length;
    }
    Lexed { tokens, faults }
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
