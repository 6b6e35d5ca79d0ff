//! Preset files: reading no more than a preset may have, and telling what is no preset at all.

use std::{io::Read, path::Path};

use super::{
    mistake::{LoadError, Place},
    preset::Preset,
    read::{MAX_PRESET_BYTES, parse_preset},
};

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
    let io = |error| LoadError::Io {
        path: path.to_owned(),
        error,
    };
    // Opening a pipe can already block.
    let about = std::fs::metadata(path).map_err(io)?;
    if !about.is_file() {
        return Err(LoadError::NoFile {
            path: path.to_owned(),
            what: if about.is_dir() {
                "a folder"
            } else {
                "a pipe or a device"
            },
        });
    }
    let file = std::fs::File::open(path).map_err(io)?;
    let told = about.len();
    let too_large = |bytes| LoadError::TooLarge {
        path: path.to_owned(),
        bytes,
        limit: MAX_PRESET_BYTES,
    };
    if told > MAX_PRESET_BYTES {
        return Err(too_large(told));
    }
    // A growing file does not tell its size: read no further than the limit.
    let mut bytes = Vec::new();
    file.take(MAX_PRESET_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_PRESET_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    String::from_utf8(bytes).map_err(|error| {
        let (bytes, at) = (error.as_bytes(), error.utf8_error().valid_up_to());
        let sound = bytes.get(..at).map(String::from_utf8_lossy);
        LoadError::NotText {
            path: path.to_owned(),
            place: Place::of_offset(&sound.unwrap_or_default(), at),
            byte: bytes.get(at).copied().unwrap_or_default(),
        }
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;

    #[test]
    fn files_that_are_no_presets_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.ron");
        assert!(
            load_preset(&path)
                .unwrap_err()
                .to_string()
                .contains("cannot read")
        );
        std::fs::write(&path, b"(format: 1, title: \"\xff\xfe\")").unwrap();
        let told = load_preset(&path).unwrap_err().to_string();
        assert!(
            told.contains(":1:21: the byte 0xFF is not accepted here; text in UTF-8 is"),
            "{told}"
        );
        // A sparse file: large to look at, nothing on the disk.
        std::fs::File::create(&path)
            .unwrap()
            .set_len(MAX_PRESET_BYTES + 1)
            .unwrap();
        let told = load_preset(&path).unwrap_err().to_string();
        assert!(
            told.contains("67108865 bytes") && told.contains("67108864"),
            "{told}"
        );
        let text = "(\n    format: 1,\n    title: \"t\",\n    bandit: (\narms: Line(count: 0),\n        reference: Constant(1),\n        \
                    rewards: Constant(1),\n    ),\n    objective: (direction: Reverse, beta: 1),\n)";
        std::fs::write(&path, text).unwrap();
        let told = load_preset(&path).unwrap_err().to_string();
        assert!(told.contains("p.ron:5:19: bandit.arms.count: 0"), "{told}");
    }
}
