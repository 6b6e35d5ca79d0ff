//! RON text as a tree of spans: where every field and value of a preset stands.
//!
//! The decoder proper is the `ron` crate; this tree serves what it cannot: telling several mistakes at once with their
//! places, replacing one value in a text, and laying a text out for people.

use std::ops::Range;

/// Deepest accepted nesting; a preset needs fewer than ten levels.
pub(crate) const MAX_DEPTH: usize = 48;

/// A value with its bytes in the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) kind: Kind,
}

/// What a value looks like; meaning is the schema's business.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Number,
    Text,
    Char,
    /// `true`, `Reverse`, `None`.
    Name,
    /// `(a: 1)` or `Name(a: 1)`.
    Struct {
        name: Option<Range<usize>>,
        fields: Vec<Field>,
    },
    /// `(1, 2)`, `Name(1)` or `()`.
    Tuple {
        name: Option<Range<usize>>,
        items: Vec<Node>,
    },
    List(Vec<Node>),
    /// `{…}`, which no preset has.
    Map,
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: Range<usize>,
    pub(crate) value: Node,
    /// Past its comma, or past its value where there is none.
    pub(crate) end: usize,
}

/// A syntax error.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SyntaxError {
    pub(crate) at: usize,
    pub(crate) message: String,
}

/// A text and its tree.
#[derive(Debug)]
pub(crate) struct Tree<'t> {
    pub(crate) text: &'t str,
    pub(crate) root: Node,
    /// The text starts with `#![enable(…)]`, which may change what shapes mean.
    pub(crate) has_attributes: bool,
}

impl<'t> Tree<'t> {
    /// Parses a whole text.
    pub(crate) fn parse(text: &'t str) -> Result<Self, SyntaxError> {
        let mut parser = Parser { text, at: 0 };
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
            return Err(parser.error("nothing is expected after the closing bracket"));
        }
        Ok(Self {
            text,
            root,
            has_attributes,
        })
    }

    /// The text of a span; a raw name, such as the `r#None` of an enum's own `None`, without its prefix.
    pub(crate) fn at(&self, span: &Range<usize>) -> &'t str {
        let text = self.text.get(span.clone()).unwrap_or_default();
        match text.strip_prefix("r#") {
            Some(name) if name.chars().all(|c| c.is_alphanumeric() || c == '_') => name,
            _ => text,
        }
    }

    /// The value at a path, or the innermost one on the way to it that is written down. Names of variants may be left
    /// out of a path.
    pub(crate) fn find(&self, path: &str) -> &Node {
        let mut node = &self.root;
        for segment in path.split('.').filter(|segment| !segment.is_empty()) {
            match self.child(node, segment) {
                Some(child) => node = child,
                None => break,
            }
        }
        node
    }

    fn child<'n>(&self, node: &'n Node, segment: &str) -> Option<&'n Node> {
        let index = segment.parse::<usize>().ok();
        match &node.kind {
            Kind::Struct { name, fields } => fields
                .iter()
                .find(|field| self.at(&field.name) == segment)
                .map(|field| &field.value)
                .or_else(|| (self.name(name) == Some(segment)).then_some(node)),
            Kind::Tuple { name, items } => match items.as_slice() {
                _ if self.name(name) == Some(segment) => Some(node),
                [only] => self.child(only, segment),
                items => items.get(index?),
            },
            Kind::List(items) => items.get(index?),
            Kind::Number | Kind::Text | Kind::Char | Kind::Name | Kind::Map => None,
        }
    }

    pub(crate) fn name(&self, name: &Option<Range<usize>>) -> Option<&'t str> {
        name.as_ref().map(|span| self.at(span))
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
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
        }
    }

    /// "`x` is not expected here; … is", or that the text ends.
    fn unexpected(&self, wanted: &str) -> SyntaxError {
        match self.peek() {
            None => self.error(format!("the text ends here; {wanted} is missing")),
            Some(found) => self.error(format!(
                "`{}` is not expected here; {wanted} is",
                found.escape_debug()
            )),
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
            return Err(self.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.skip_blank()?;
        let start = self.at;
        let rest = self.rest();
        let kind = match rest.chars().next() {
            None => return Err(self.unexpected("a value")),
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
            Some(_) => return Err(self.unexpected("a value")),
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
        let mut fields = Vec::new();
        let mut items = Vec::new();
        loop {
            self.skip_blank()?;
            if self.peek() == Some(')') {
                self.at += 1;
                return Ok(if fields.is_empty() {
                    Kind::Tuple { name, items }
                } else {
                    Kind::Struct { name, fields }
                });
            }
            if self.peek().is_none() {
                return Err(self.unclosed(open, ')'));
            }
            let before = self.at;
            let field = self.field_name()?;
            let value_start = self.at;
            if field.is_none() && !fields.is_empty() {
                self.at = before;
                return Err(self.unexpected("a field name and `:`"));
            }
            if field.is_some() && !items.is_empty() {
                return Err(self.error_at(before, "a field is not expected among values"));
            }
            self.at = value_start;
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
                Some(_) => return Err(self.unexpected("`,` or `)`")),
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
            if self.peek() == Some(':') {
                self.at += 1;
                return Ok(Some(name));
            }
        }
        self.at = start;
        Ok(None)
    }

    fn list(&mut self, depth: usize) -> Parsed<Kind> {
        let open = self.at;
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip_blank()?;
            match self.peek() {
                Some(']') => {
                    self.at += 1;
                    return Ok(Kind::List(items));
                }
                None => return Err(self.unclosed(open, ']')),
                Some(_) => items.push(self.value(depth + 1)?),
            }
            self.skip_blank()?;
            match self.peek() {
                Some(',') => self.at += 1,
                Some(']') => {}
                None => return Err(self.unclosed(open, ']')),
                Some(_) => return Err(self.unexpected("`,` or `]`")),
            }
        }
    }

    /// Maps are only stepped over: no field takes one.
    fn map(&mut self, depth: usize) -> Parsed<Kind> {
        let open = self.at;
        self.at += 1;
        loop {
            self.skip_blank()?;
            match self.peek() {
                Some('}') => {
                    self.at += 1;
                    return Ok(Kind::Map);
                }
                None => return Err(self.unclosed(open, '}')),
                Some(',' | ':') => self.at += 1,
                Some(_) => drop(self.value(depth + 1)?),
            }
        }
    }

    fn unclosed(&self, open: usize, close: char) -> SyntaxError {
        let place = super::mistake::Place::of_offset(self.text, open);
        self.error(format!(
            "the text ends here; the `{close}` for the bracket at {place} is missing"
        ))
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
            Err(self.error_at(start, format!("`{}` is not a number", &rest[..length])))
        }
    }
}

fn is_raw_string(rest: &str) -> bool {
    let after = rest[1..].trim_start_matches('#');
    after.len() < rest.len() - 1 && after.starts_with('"')
}
