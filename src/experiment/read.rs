//! Reading and writing presets: text in, checked preset or located mistakes out.

use std::{io::Read, path::Path};

use ron::{extensions::Extensions, ser::PrettyConfig};

use super::{
    mistake::{LoadError, Mistake, Place, PresetErrors},
    preset::Preset,
    validate::validate,
};

/// Largest accepted preset file, in bytes.
pub const MAX_PRESET_BYTES: u64 = 64 << 20;

/// The version of the file format that this build reads and writes.
pub const FORMAT: u32 = 1;

/// Reads a preset from RON text and checks everything that can be checked without evaluating formulas or files.
///
/// # Errors
/// Every mistake found, with line and column where it can be located.
pub fn parse_preset(text: &str) -> Result<Preset, PresetErrors> {
    let preset: Preset = options().from_str(text).map_err(|error| {
        let place = Place {
            line: error.span.start.line,
            column: error.span.start.col,
        };
        let mut mistake = Mistake::new("", error.code.to_string());
        mistake.place = Some(place);
        PresetErrors::from(mistake)
    })?;
    match PresetErrors::collect(validate(&preset)) {
        None => Ok(preset),
        Some(errors) => Err(errors),
    }
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
    let config = PrettyConfig::new()
        .new_line("\n")
        .indentor("    ")
        .compact_arrays(true)
        .extensions(Extensions::empty());
    options()
        .to_string_pretty(preset, config)
        .map(|mut text| {
            text.push('\n');
            text
        })
        .unwrap_or_default()
}

/// RON as Modescope reads and writes it: `steps: 500` means `steps: Some(500)`.
pub(crate) fn options() -> ron::Options {
    ron::Options::default()
        .with_default_extension(Extensions::IMPLICIT_SOME)
        .with_recursion_limit(64)
}
