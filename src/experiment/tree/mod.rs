//! RON text as a tree of spans: where every field and value of a preset stands.
//!
//! The decoder proper is the `ron` crate; this tree serves what it cannot: telling several mistakes at once with their
//! places, replacing one value in a text, and laying a text out for people.

use std::ops::Range;

mod parser;

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
    /// The field in which reading stopped, or the innermost one that was complete before it.
    pub(crate) field: String,
    /// Offset of the bracket that the message tells the place of.
    pub(crate) bracket: Option<usize>,
    /// How the text can be mended so that the rest of it can be checked; of several the one that makes it whole.
    pub(crate) repairs: Vec<Repair>,
}

/// A change of the text after which reading gets past a syntax error.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Repair {
    pub(crate) span: Range<usize>,
    pub(crate) replacement: String,
    pub(crate) damage: Damage,
}

impl Repair {
    /// The text with this change.
    pub(crate) fn applied(&self, text: &str) -> String {
        let (before, after) = (text.get(..self.span.start), text.get(self.span.end..));
        [
            before.unwrap_or_default(),
            &self.replacement,
            after.unwrap_or_default(),
        ]
        .concat()
    }
}

/// What cannot be trusted once a text is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Nothing: a comma, say, was the mistake.
    Nothing,
    /// The value of the field.
    Value,
    /// The value of the field, and that nothing is missing from the structs around it.
    Open,
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
        parser::parse(text)
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

    /// Path of the innermost value around a byte offset, as [`Self::find`] takes it.
    pub(crate) fn path_at(&self, offset: usize) -> String {
        let around = |node: &Node| node.span.contains(&offset);
        let mut path = String::new();
        let mut node = &self.root;
        loop {
            let next = match &node.kind {
                Kind::Struct { fields, .. } => fields
                    .iter()
                    .find(|field| (field.name.start..field.value.span.end).contains(&offset))
                    .map(|field| (Some(self.at(&field.name).to_owned()), &field.value)),
                Kind::Tuple { items, .. } if items.len() == 1 => items
                    .first()
                    .filter(|item| around(item))
                    .map(|item| (None, item)),
                Kind::Tuple { items, .. } | Kind::List(items) => items
                    .iter()
                    .enumerate()
                    .find(|(_, item)| around(item))
                    .map(|(index, item)| (Some(index.to_string()), item)),
                Kind::Number | Kind::Text | Kind::Char | Kind::Name | Kind::Map => None,
            };
            let Some((segment, inner)) = next else {
                return path;
            };
            if let Some(segment) = segment {
                push_segment(&mut path, &segment);
            }
            node = inner;
        }
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

fn push_segment(path: &mut String, segment: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(segment);
}
