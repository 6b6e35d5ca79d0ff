//! What is wrong with a preset, as sentences for its author: which field, where in the text, what is accepted.

use std::{fmt, path::PathBuf};

use thiserror::Error;

/// A position in a text, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Place {
    /// The place of a byte offset; an offset past the end is the end.
    pub(crate) fn of_offset(text: &str, offset: usize) -> Self {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: 1 + before.bytes().filter(|&b| b == b'\n').count(),
            column: 1 + before[line_start..].chars().count(),
        }
    }

    /// The byte offset of the place in its text; a place past the end is the end.
    pub(crate) fn offset(self, text: &str) -> usize {
        let newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        let start = std::iter::once(0)
            .chain(newlines)
            .nth(self.line.saturating_sub(1))
            .unwrap_or(text.len());
        let line = text.get(start..).unwrap_or_default();
        let column = line.char_indices().nth(self.column.saturating_sub(1));
        column.map_or(text.len(), |(at, _)| start + at)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A user's own text as a message may repeat it: on one line, not too long, nothing invisible.
pub(crate) fn repeated(text: &str) -> String {
    const LONGEST: usize = 60;
    let words: Vec<&str> = text.split_whitespace().collect();
    let joined = words.join(" ");
    let mut shown = String::new();
    for c in joined.chars().take(LONGEST) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if joined.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// One mistake in a preset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where in the text, where that is known.
    pub place: Option<Place>,
    /// Path of the field, as `--set` takes it ("objective.beta"); empty for mistakes of the whole text.
    pub field: String,
    /// One sentence: the value and what is accepted.
    pub message: String,
    /// Column within the text that the field holds (a formula), from 1.
    pub(crate) inner_column: Option<usize>,
    /// The field is not there and is needed.
    pub(crate) is_missing: bool,
}

impl Mistake {
    /// A mistake in a field, not yet located.
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: None,
            field: field.into(),
            message: message.into(),
            inner_column: None,
            is_missing: false,
        }
    }

    /// The same at a column of the text that the field holds, from 1.
    pub(crate) fn at_column(mut self, column: usize) -> Self {
        self.inner_column = Some(column);
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "{place}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that was found wrong with a preset, at least one mistake, in order of place.
///
/// Shown on one line it tells the first mistake and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct PresetErrors {
    mistakes: Vec<Mistake>,
}

impl PresetErrors {
    /// Collects mistakes; `None` if there are none.
    pub(crate) fn collect(mut mistakes: Vec<Mistake>) -> Option<Self> {
        // Unlocated ones last, otherwise in the order of the text.
        mistakes.sort_by_key(|m| (m.place.is_none(), m.place));
        mistakes.dedup();
        (!mistakes.is_empty()).then_some(Self { mistakes })
    }

    /// The mistakes, at least one.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl From<Mistake> for PresetErrors {
    fn from(mistake: Mistake) -> Self {
        Self {
            mistakes: vec![mistake],
        }
    }
}

impl fmt::Display for PresetErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mistakes.as_slice() {
            [] => f.write_str("the preset is not accepted"),
            [only] => only.fmt(f),
            [first, rest @ ..] => write!(f, "{first} (and {} more)", rest.len()),
        }
    }
}

/// Why a preset file could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why; not called a source, or the message would be told twice.
        error: std::io::Error,
    },
    /// A folder, or a pipe or device, which could block or never end.
    #[error("{} is {what}; a preset file is accepted", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The file is larger than presets may be.
    #[error("{} has {bytes} bytes; a preset has at most {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The file is not text.
    #[error("{}:{place}: the byte 0x{byte:02X} is not accepted here; text in UTF-8 is", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where the first bad byte stands.
        place: Place,
        /// That byte.
        byte: u8,
    },
    /// The text is not an accepted preset.
    #[error("{}:{errors}", path.display())]
    Preset {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        errors: PresetErrors,
    },
}
