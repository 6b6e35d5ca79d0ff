//! Reading and writing presets: text in, checked preset or located mistakes out.

use std::{io::Read, ops::Range, path::Path};

use ron::extensions::Extensions;

use super::{
    layout::lay_out,
    mistake::{LoadError, Mistake, Place, PresetErrors},
    preset::Preset,
    schema,
    structure::{self, Findings},
    tree::{Kind, Node, Tree},
    validate::validate,
};

/// Largest accepted preset file, in bytes.
pub const MAX_PRESET_BYTES: u64 = 64 << 20;

/// The version of the file format that this build reads and writes.
pub const FORMAT: u32 = 1;

/// Reads a preset from RON text and checks everything that can be checked without evaluating formulas or files.
///
/// # Errors
/// Every mistake found, with line and column where it can be located. A preset of another format version gets that one
/// message.
pub fn parse_preset(text: &str) -> Result<Preset, PresetErrors> {
    if text.len() as u64 > MAX_PRESET_BYTES {
        let message = format!(
            "the text has {} bytes; a preset has at most {MAX_PRESET_BYTES}",
            text.len()
        );
        return Err(Mistake::new("", message).into());
    }
    check_format(text)?;
    let tree = Tree::parse(text).map_err(|error| {
        let mut mistake = Mistake::new("", error.message);
        mistake.place = Some(Place::of_offset(text, error.at));
        mistake
    })?;
    let findings = if tree.has_attributes {
        // `#![enable(…)]` may change what shapes mean; the decoder alone knows.
        Findings::default()
    } else {
        structure::check(&tree, &schema::PRESET)
    };
    if findings.mistakes.is_empty() {
        let preset = decode(text)?;
        let mistakes = validate(&preset);
        return match PresetErrors::collect(located(mistakes, &tree)) {
            None => Ok(preset),
            Some(errors) => Err(errors),
        };
    }
    // The rest of the text is checked too, with the mistakes found so far mended.
    let mut mistakes = findings.mistakes;
    if let Ok(preset) = decode(&mended(text, findings.repairs)) {
        let further = validate(&preset)
            .into_iter()
            .filter(|further| !follows(further, &mistakes))
            .collect();
        mistakes.extend(located(further, &tree));
    }
    match PresetErrors::collect(mistakes) {
        Some(errors) => Err(errors),
        None => decode(text),
    }
}

/// Refuses another version of the format before anything else is looked at, since everything else may differ.
fn check_format(text: &str) -> Result<(), PresetErrors> {
    let Some((at, version)) = format_field(text) else {
        return Ok(());
    };
    if version == u64::from(FORMAT) {
        return Ok(());
    }
    let message = if version > u64::from(FORMAT) {
        format!(
            "format {version} is from a newer version of Modescope; this one reads format {FORMAT}"
        )
    } else {
        format!("format {version} does not exist; this version of Modescope reads format {FORMAT}")
    };
    let mut mistake = Mistake::new("format", message);
    mistake.place = Some(Place::of_offset(text, at));
    Err(mistake.into())
}

/// The number behind `format:` where that is the first field, however the rest of the text looks.
fn format_field(text: &str) -> Option<(usize, u64)> {
    let rest = skip_blank(text);
    let rest = skip_blank(rest.strip_prefix('(')?);
    let rest = skip_blank(rest.strip_prefix("format")?);
    let rest = skip_blank(rest.strip_prefix(':')?);
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let version = rest[..length].parse().ok()?;
    Some((text.len() - rest.len(), version))
}

/// Without leading white space, line comments and attributes.
fn skip_blank(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        if !(text.starts_with("//") || text.starts_with("#!")) {
            return text;
        }
        text = text.find('\n').map_or("", |end| &text[end..]);
    }
}

fn decode(text: &str) -> Result<Preset, PresetErrors> {
    options().from_str(text).map_err(|error| {
        let mut mistake = Mistake::new("", error.code.to_string());
        mistake.place = Some(Place {
            line: error.span.start.line,
            column: error.span.start.col,
        });
        mistake.into()
    })
}

/// The text with some spans replaced.
fn mended(text: &str, mut repairs: Vec<(Range<usize>, String)>) -> String {
    repairs.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (span, replacement) in repairs {
        out.push_str(text.get(done..span.start).unwrap_or_default());
        out.push_str(&replacement);
        done = done.max(span.end);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// Whether a mistake of the mended text says nothing new: its field was mended, or the number of arms was.
fn follows(further: &Mistake, found: &[Mistake]) -> bool {
    found.iter().any(|first| {
        let is_inside = |outer: &str, inner: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        is_inside(&first.field, &further.field)
            || is_inside(&further.field, &first.field)
            || first.field == "bandit"
            || first.field.starts_with("bandit.arms")
    })
}

/// Gives every mistake the place of its field, or of the innermost part of it that is written down.
fn located(mistakes: Vec<Mistake>, tree: &Tree<'_>) -> Vec<Mistake> {
    let locate = |mut mistake: Mistake| {
        let node = tree.find(&mistake.field);
        let text = tree.at(&node.span);
        let mut at = node.span.start;
        if let Some(column) = mistake.inner_column
            && let Some(inner) = innermost_text(node)
            && !tree.at(&inner.span).contains(['\\', '\n'])
        {
            // A column of the formula is one of the file too where the text is written without escapes.
            let quoted = tree.at(&inner.span);
            let skipped = quoted.char_indices().nth(column).map_or(0, |(at, _)| at);
            at = inner.span.start + skipped;
        }
        // A list in a variant is the more telling place; the whole text is none.
        if !(text.is_empty() || mistake.field.is_empty()) {
            mistake.place = Some(Place::of_offset(tree.text, at));
        }
        mistake
    };
    mistakes.into_iter().map(locate).collect()
}

/// The one text in a value such as `Formula("…")`.
fn innermost_text(node: &Node) -> Option<&Node> {
    match &node.kind {
        Kind::Text => Some(node),
        Kind::Tuple { items, .. } => match items.as_slice() {
            [only] => innermost_text(only),
            _ => None,
        },
        Kind::Number
        | Kind::Char
        | Kind::Name
        | Kind::Struct { .. }
        | Kind::List(_)
        | Kind::Map => None,
    }
}

/// Where a field stands in a preset's text, or the innermost part of its path that is written down; for showing errors
/// that come from evaluating a preset.
#[must_use]
pub fn locate(text: &str, field: &str) -> Option<Place> {
    let tree = Tree::parse(text).ok()?;
    Some(Place::of_offset(text, tree.find(field).span.start))
}

/// Reads a preset file (at most [`MAX_PRESET_BYTES`]).
///
/// # Errors
/// The file cannot be read, is too large or no text, or what [`parse_preset`] finds.
pub fn load_preset(path: &Path) -> Result<Preset, LoadError> {
    let text = read_text(path)?;
    parse_preset(&text).map_err(|errors| LoadError::Preset {
        path: path.to_owned(),
        errors,
    })
}

/// Reads a text file of at most [`MAX_PRESET_BYTES`].
pub(crate) fn read_text(path: &Path) -> Result<String, LoadError> {
    let io = |source| LoadError::Io {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(io)?;
    let told = file.metadata().map_err(io)?.len();
    let too_large = |bytes| LoadError::TooLarge {
        path: path.to_owned(),
        bytes,
        limit: MAX_PRESET_BYTES,
    };
    if told > MAX_PRESET_BYTES {
        return Err(too_large(told));
    }
    // A pipe or a growing file does not tell its size: read no further than the limit.
    let mut bytes = Vec::new();
    file.take(MAX_PRESET_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_PRESET_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    String::from_utf8(bytes).map_err(|error| LoadError::NotText {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })
}

/// Writes a preset as RON that people like to read: pretty, in a stable order, read back to an equal preset.
/// Comments of the file it may have come from are not kept.
#[must_use]
pub fn to_ron(preset: &Preset) -> String {
    // A preset is plain data, which RON can always write, and what RON writes is a tree.
    let text = options().to_string(preset).unwrap_or_default();
    match Tree::parse(&text) {
        Ok(tree) => lay_out(&tree),
        Err(_) => text,
    }
}

/// RON as Modescope reads and writes it: `steps: 500` means `steps: Some(500)`.
pub(crate) fn options() -> ron::Options {
    ron::Options::default()
        .with_default_extension(Extensions::IMPLICIT_SOME)
        .with_recursion_limit(64)
}
