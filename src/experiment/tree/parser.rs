//! RON text → [`Tree`], by recursive descent with a bounded depth. What it stops at it tells with the field, and, where
//! that is sure, with a change of the text that gets past it.

use std::ops::Range;

use super::{Damage, Field, Kind, Node, Repair, SyntaxError, Tree, push_segment};
use crate::experiment::mistake::{Place, repeated};

/// Deepest accepted nesting; a preset needs fewer than ten levels.
const MAX_DEPTH: usize = 48;

/// What stands in for a value that cannot be read: a name that nothing is called.
const PLACEHOLDER: &str = "_";

/// Parses a whole text.
pub(super) fn parse(text: &str) -> Result<Tree<'_>, SyntaxError> {
    let mut parser = Parser {
        text,
        at: 0,
        path: Vec::new(),
        open: Vec::new(),
    };
    parser.skip_blank()?;
    let mut has_attributes = false;
    while parser.rest().starts_with("#!") {
        has_attributes = true;
        match parser.rest().find(']') {
            Some(end) => parser.at += end + 1,
            None => return Err(parser.error("`]` of this attribute is missing")),
        }
        parser.skip_blank()?;
    }
    let root = parser.value(0)?;
    parser.skip_blank()?;
    if parser.at < text.len() {
        let error = parser.error("nothing is expected after the closing bracket");
        return Err(error.mended(parser.at..text.len(), "", Damage::Open));
    }
    Ok(Tree {
        text,
        root,
        has_attributes,
    })
}

impl SyntaxError {
    fn mended(
        mut self,
        span: Range<usize>,
        replacement: impl Into<String>,
        damage: Damage,
    ) -> Self {
        self.repairs.push(Repair {
            span,
            replacement: replacement.into(),
            damage,
        });
        self
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    /// The way to the value that is being read. On the way out of an error it stays as it is.
    path: Vec<Segment>,
    /// What closes the brackets that are open, outermost first.
    open: Vec<char>,
}

/// A step on the way to a value.
enum Segment {
    Field(Range<usize>),
    Index(usize),
}

type Parsed<T> = Result<T, SyntaxError>;

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        self.error_at(self.at, message)
    }

    fn error_at(&self, at: usize, message: impl Into<String>) -> SyntaxError {
        SyntaxError {
            at,
            message: message.into(),
            field: self.field(),
            bracket: None,
            repairs: Vec::new(),
        }
    }

    /// The path so far, from its start and not longer than a line can hold.
    fn field(&self) -> String {
        const LONGEST: usize = 200;
        let mut path = String::new();
        for segment in &self.path {
            match segment {
                Segment::Field(name) => {
                    let name = self.text.get(name.clone()).unwrap_or_default();
                    push_segment(&mut path, &repeated(name));
                }
                Segment::Index(index) => push_segment(&mut path, &index.to_string()),
            }
            if path.len() > LONGEST {
                path.push('…');
                break;
            }
        }
        path
    }

    /// "`x` is not expected here; … is", or that the text ends.
    fn unexpected(&self, wanted: &str) -> SyntaxError {
        match self.peek() {
            None => self
                .error(format!("the text ends here; {wanted} is missing"))
                .mended(
                    self.text.len()..self.text.len(),
                    format!("{PLACEHOLDER}{}", self.closing()),
                    Damage::Open,
                ),
            Some(found) => {
                let rest = self.rest();
                let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                let shown = match &rest[..word.unwrap_or(rest.len())] {
                    "" => found.escape_debug().to_string(),
                    word => repeated(word),
                };
                self.error(format!("`{shown}` is not expected here; {wanted} is"))
            }
        }
    }

    /// What closes all brackets that are open.
    fn closing(&self) -> String {
        // A line comment at the end of the text would swallow it.
        std::iter::once('\n')
            .chain(self.open.iter().rev().copied())
            .collect()
    }

    /// Something else than a comma or the closing bracket stands behind a value.
    fn no_comma(&mut self, close: char) -> SyntaxError {
        let error = self.unexpected(&format!("`,` or `{close}`"));
        let at = self.at;
        let Some(found) = self.peek() else {
            return error;
        };
        let before = self.text.get(..at).unwrap_or_default();
        let is_apart = before.ends_with(char::is_whitespace);
        match found {
            ';' => error.mended(at..at + 1, ",", Damage::Nothing),
            ')' | ']' | '}' => self.wrong_close(error, close),
            '{' | ':' => error,
            '(' | '[' | '"' if close == ')' => error,
            _ if close == ')' && self.starts_field() => error.mended(at..at, ",", Damage::Nothing),
            _ if close == ']'
                && is_apart
                && (found.is_ascii_digit() || "-([\"".contains(found)) =>
            {
                error.mended(at..at, ",", Damage::Nothing)
            }
            _ => match self.stray() {
                0 => error,
                stray => error.mended(at..at + stray, "", Damage::Value),
            },
        }
    }

    /// Another bracket closes here than the one that is open: that one was forgotten, or one further in never opened.
    fn wrong_close(&self, error: SyntaxError, close: char) -> SyntaxError {
        let at = self.at;
        let mut outer = self.open.iter().rev().skip(1);
        if outer.any(|outer| self.peek() == Some(*outer)) {
            error
                .mended(at..at, close.to_string(), Damage::Open)
                .mended(at..at + 1, "", Damage::Value)
        } else {
            error
        }
    }

    /// Whether a name and a colon follow.
    fn starts_field(&mut self) -> bool {
        let start = self.at;
        let found = matches!(self.field_name(), Ok(Some(_)));
        self.at = start;
        found
    }

    /// Length of the marks that stand here and mean nothing. Words may be those of a text that lost a quote: what they
    /// would mean is anybody's guess.
    fn stray(&self) -> usize {
        let rest = self.rest();
        rest.find(|c: char| {
            c.is_alphanumeric() || c.is_whitespace() || ",()[]{}\"':;._".contains(c)
        })
        .unwrap_or(rest.len())
    }

    /// Something stands where a value should be.
    fn no_value(&self) -> SyntaxError {
        let error = self.unexpected("a value");
        let (at, stray) = (self.at, self.stray());
        match self.peek() {
            None => error,
            Some(',' | ')' | ']') => error.mended(at..at, PLACEHOLDER, Damage::Value),
            Some(_) if stray > 0 => error.mended(at..at + stray, PLACEHOLDER, Damage::Value),
            Some(_) => error,
        }
    }

    /// Skips white space and comments.
    fn skip_blank(&mut self) -> Parsed<()> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.skip_block_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    /// Block comments nest.
    fn skip_block_comment(&mut self) -> Parsed<()> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Ok(());
                }
            } else {
                match rest.chars().next() {
                    Some(c) => self.at += c.len_utf8(),
                    None => return Err(self.error_at(start, "`*/` of this comment is missing")),
                }
            }
        }
    }

    fn value(&mut self, depth: usize) -> Parsed<Node> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!(
                "is nested deeper than is accepted; values nest at most {MAX_DEPTH} levels, and a preset needs fewer than ten"
            )));
        }
        self.skip_blank()?;
        let start = self.at;
        let rest = self.rest();
        let kind = match rest.chars().next() {
            None => return Err(self.no_value()),
            Some('(') => self.bracket(None, depth)?,
            Some('[') => self.list(depth)?,
            Some('{') => self.map(depth)?,
            Some('"') => self.string()?,
            Some('r') if rest.starts_with("r\"") || is_raw_string(rest) => self.raw_string()?,
            Some('b') if rest.starts_with("b\"") => {
                self.at += 1;
                self.string()?
            }
            Some('\'') => self.character()?,
            Some(c) if c.is_ascii_digit() || matches!(c, '+' | '-' | '.') => self.number()?,
            Some(c) if c.is_alphabetic() || c == '_' => self.named(depth)?,
            Some(_) => return Err(self.no_value()),
        };
        Ok(Node {
            span: start..self.at,
            kind,
        })
    }

    fn identifier(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let rest = self.rest();
        let name = rest.strip_prefix("r#").unwrap_or(rest);
        let first = name.chars().next()?;
        if !(first.is_alphabetic() || first == '_') {
            return None;
        }
        let length = name
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(name.len());
        self.at += rest.len() - name.len() + length;
        Some(start..self.at)
    }

    /// `true`, `Reverse`, `inf`, `NaN`, or a name before a bracket.
    fn named(&mut self, depth: usize) -> Parsed<Kind> {
        let Some(name) = self.identifier() else {
            return Err(self.unexpected("a name"));
        };
        if matches!(&self.text[name.clone()], "inf" | "NaN") {
            return Ok(Kind::Number);
        }
        let end = self.at;
        self.skip_blank()?;
        if self.peek() == Some('(') {
            self.bracket(Some(name), depth)
        } else {
            // Blanks after a bare name are not part of it.
            self.at = end;
            Ok(Kind::Name)
        }
    }

    /// What follows in round brackets: fields or items.
    fn bracket(&mut self, name: Option<Range<usize>>, depth: usize) -> Parsed<Kind> {
        let open = self.at;
        self.at += 1;
        self.open.push(')');
        let level = self.path.len();
        let mut fields = Vec::new();
        let mut items = Vec::new();
        loop {
            self.skip_blank()?;
            if self.peek() == Some(')') {
                self.at += 1;
                self.open.pop();
                self.path.truncate(level);
                return Ok(if fields.is_empty() {
                    Kind::Tuple { name, items }
                } else {
                    Kind::Struct { name, fields }
                });
            }
            match self.peek() {
                None => return Err(self.unclosed(open, ')')),
                Some(']' | '}') => {
                    return Err(self.wrong_close(self.unexpected("a field or `)`"), ')'));
                }
                Some(_) => {}
            }
            let before = self.at;
            let field = self.field_name()?;
            let value_start = self.at;
            if field.is_none() && !fields.is_empty() {
                self.at = before;
                let error = self.unexpected("a field name and `:`");
                return Err(match self.peek() {
                    Some(',') => error.mended(before..before + 1, "", Damage::Nothing),
                    _ => error,
                });
            }
            if field.is_some() && !items.is_empty() {
                return Err(self.error_at(before, "a field is not expected among values"));
            }
            self.at = value_start;
            self.path.truncate(level);
            match &field {
                Some(name) => self.path.push(Segment::Field(name.clone())),
                // One value in brackets is known by the name of its field.
                None if items.is_empty() => {}
                None => self.path.push(Segment::Index(items.len())),
            }
            let value = self.value(depth + 1)?;
            let mut end = self.at;
            self.skip_blank()?;
            match self.peek() {
                Some(',') => {
                    self.at += 1;
                    end = self.at;
                }
                Some(')') => {}
                None => return Err(self.unclosed(open, ')')),
                Some(_) => return Err(self.no_comma(')')),
            }
            match field {
                Some(name) => fields.push(Field { name, value, end }),
                None => items.push(value),
            }
        }
    }

    /// A name followed by a colon; the position is left alone where there is none.
    fn field_name(&mut self) -> Parsed<Option<Range<usize>>> {
        let start = self.at;
        if let Some(name) = self.identifier() {
            self.skip_blank()?;
            match self.peek() {
                Some(':') => {
                    self.at += 1;
                    return Ok(Some(name));
                }
                Some('=') => {
                    let at = self.at;
                    let error = self.error(format!(
                        "`=` is not expected behind `{}`; `:` is",
                        repeated(self.text.get(name).unwrap_or_default())
                    ));
                    return Err(error.mended(at..at + 1, ":", Damage::Nothing));
                }
                Some(_) | None => {}
            }
        }
        self.at = start;
        Ok(None)
    }

    fn list(&mut self, depth: usize) -> Parsed<Kind> {
        let open = self.at;
        self.at += 1;
        self.open.push(']');
        let level = self.path.len();
        let mut items = Vec::new();
        loop {
            self.skip_blank()?;
            match self.peek() {
                Some(']') => {
                    self.at += 1;
                    self.open.pop();
                    self.path.truncate(level);
                    return Ok(Kind::List(items));
                }
                None => return Err(self.unclosed(open, ']')),
                Some(')' | '}') => {
                    return Err(self.wrong_close(self.unexpected("a value or `]`"), ']'));
                }
                Some(',') => {
                    let at = self.at;
                    let error = self.unexpected("a value");
                    return Err(error.mended(at..at + 1, "", Damage::Nothing));
                }
                Some(_) => {
                    self.path.truncate(level);
                    self.path.push(Segment::Index(items.len()));
                    items.push(self.value(depth + 1)?);
                }
            }
            self.skip_blank()?;
            match self.peek() {
                Some(',') => self.at += 1,
                Some(']') => {}
                None => return Err(self.unclosed(open, ']')),
                Some(_) => return Err(self.no_comma(']')),
            }
        }
    }

    /// Maps are only stepped over: no field takes one.
    fn map(&mut self, depth: usize) -> Parsed<Kind> {
        let open = self.at;
        self.at += 1;
        self.open.push('}');
        loop {
            self.skip_blank()?;
            match self.peek() {
                Some('}') => {
                    self.at += 1;
                    self.open.pop();
                    return Ok(Kind::Map);
                }
                None => return Err(self.unclosed(open, '}')),
                Some(',' | ':') => self.at += 1,
                Some(_) => drop(self.value(depth + 1)?),
            }
        }
    }

    fn unclosed(&self, open: usize, close: char) -> SyntaxError {
        let place = Place::of_offset(self.text, open);
        let end = self.text.len();
        let error = self.error(format!(
            "the text ends here; the `{close}` for the bracket at {place} is missing"
        ));
        SyntaxError {
            bracket: Some(open),
            ..error.mended(end..end, self.closing(), Damage::Open)
        }
    }

    fn string(&mut self) -> Parsed<Kind> {
        let start = self.at;
        self.at += 1;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                None => {
                    return Err(self.error_at(start, "the closing `\"` of this text is missing"));
                }
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Kind::Text);
                }
                // Whatever is escaped, a quote above all, does not end the text.
                Some(b'\\') => self.at = (self.at + 2).min(bytes.len()),
                Some(_) => self.at += 1,
            }
        }
    }

    fn raw_string(&mut self) -> Parsed<Kind> {
        let start = self.at;
        let hashes = self.rest()[1..].bytes().take_while(|&b| b == b'#').count();
        let closing = format!("\"{}", "#".repeat(hashes));
        self.at += 1 + hashes + 1;
        match self.rest().find(&closing) {
            Some(length) => {
                self.at += length + closing.len();
                Ok(Kind::Text)
            }
            None => Err(self.error_at(
                start,
                format!("the closing `{closing}` of this text is missing"),
            )),
        }
    }

    fn character(&mut self) -> Parsed<Kind> {
        let start = self.at;
        let rest = &self.rest()[1..];
        let from = if rest.starts_with('\\') { 2 } else { 0 };
        match rest.get(from..).and_then(|rest| rest.find('\'')) {
            Some(length) => {
                self.at += 1 + from + length + 1;
                Ok(Kind::Char)
            }
            None => Err(self.error_at(start, "the closing `'` is missing")),
        }
    }

    fn number(&mut self) -> Parsed<Kind> {
        let start = self.at;
        let rest = self.rest();
        let mut previous = ' ';
        let mut length = rest.len();
        for (offset, c) in rest.char_indices() {
            let sign_fits = offset == 0 || matches!(previous, 'e' | 'E');
            let is_part = c.is_ascii_alphanumeric()
                || matches!(c, '.' | '_')
                || (matches!(c, '+' | '-') && sign_fits);
            if !is_part {
                length = offset;
                break;
            }
            previous = c;
        }
        self.at += length;
        if rest[..length].bytes().any(|b| b.is_ascii_digit())
            || rest[..length].ends_with("inf")
            || rest[..length].ends_with("NaN")
        {
            Ok(Kind::Number)
        } else {
            let error = self.error_at(
                start,
                format!("`{}` is not accepted; a number is", &rest[..length]),
            );
            Err(error.mended(start..start + length, PLACEHOLDER, Damage::Value))
        }
    }
}

fn is_raw_string(rest: &str) -> bool {
    let after = rest[1..].trim_start_matches('#');
    after.len() < rest.len() - 1 && after.starts_with('"')
}
