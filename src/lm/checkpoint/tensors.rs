//! Reading a safetensors file of f32 tensors straight to where they belong: a checkpoint of a large model must not be in
//! memory a second time while it is loaded.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use super::super::{error::LmError, fast::Span};

/// Numbers read in one go.
const CHUNK: usize = 1 << 16;
/// A header of more bytes is none: a name and a few numbers for each tensor do not take that much.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// A file whose header has been read.
#[derive(Debug)]
pub(super) struct TensorFile {
    path: PathBuf,
    file: File,
    entries: HashMap<String, Entry>,
    /// Where the numbers begin, and how many bytes of them there are.
    start: u64,
    bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl TensorFile {
    pub(super) fn open(path: &Path) -> Result<Self, LmError> {
        let unreadable = |source| LmError::Read {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let truncated = |what: &str| LmError::Malformed {
            path: path.to_owned(),
            why: format!("{what}; it may be truncated"),
        };
        let mut prefix = [0; 8];
        let short = |_| truncated("it has no header");
        file.read_exact(&mut prefix).map_err(short)?;
        let header_bytes = u64::from_le_bytes(prefix);
        if header_bytes > MAX_HEADER_BYTES || header_bytes + 8 > length {
            return Err(truncated(&format!(
                "its header of {header_bytes} bytes does not fit its {length} bytes"
            )));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact(&mut header).map_err(short)?;
        let mut all: HashMap<String, Value> = serde_json::from_slice(&header)
            .map_err(|e| truncated(&format!("its header is not JSON ({e})")))?;
        all.remove("__metadata__");
        let entries = all
            .into_iter()
            .map(|(name, value)| Ok((name, serde_json::from_value(value)?)))
            .collect::<Result<_, serde_json::Error>>()
            .map_err(|e| truncated(&format!("its header is not understood ({e})")))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            entries,
            start: 8 + header_bytes,
            bytes: length - 8 - header_bytes,
        })
    }

    /// Looks whether every tensor is there, with the right shape and finite numbers, and none of them less than `least`.
    pub(super) fn check(
        &mut self,
        names: &[(String, Span)],
        prefix: &str,
        least: f32,
    ) -> Result<(), LmError> {
        for (name, span) in names {
            let name = format!("{prefix}{name}");
            let path = self.path.clone();
            let mut bad = None;
            self.each(&name, *span, |_, values| {
                bad = bad.or_else(|| {
                    let wrong = |v: &&f32| !v.is_finite() || **v < least;
                    values.iter().find(wrong).copied()
                });
            })?;
            if let Some(value) = bad {
                let accepted = if least.is_finite() {
                    format!("finite numbers of at least {least} are")
                } else {
                    "finite numbers are".to_owned()
                };
                return Err(LmError::Tensor {
                    why: format!("{value} in {} is not accepted; {accepted}", path.display()),
                    name,
                });
            }
        }
        Ok(())
    }

    /// Reads every tensor to its place in a flat buffer.
    pub(super) fn read(
        &mut self,
        names: &[(String, Span)],
        prefix: &str,
        flat: &mut [f32],
    ) -> Result<(), LmError> {
        for (name, span) in names {
            let Some(place) = flat.get_mut(span.range()) else {
                return Err(LmError::Request(format!(
                    "{} numbers have no place for tensor {name}",
                    flat.len()
                )));
            };
            let name = format!("{prefix}{name}");
            self.each(&name, *span, |at, values| {
                for (to, from) in place.iter_mut().skip(at).zip(values) {
                    *to = *from;
                }
            })?;
        }
        Ok(())
    }

    /// Gives a tensor's numbers away, some at a time, with the place of the first of them.
    fn each(
        &mut self,
        name: &str,
        span: Span,
        mut take: impl FnMut(usize, &[f32]),
    ) -> Result<(), LmError> {
        let path = &self.path;
        let wrong = |why: String| LmError::Tensor {
            why: format!("{} {why}", path.display()),
            name: name.to_owned(),
        };
        let entry = (self.entries.get(name)).ok_or_else(|| wrong("does not have it".to_owned()))?;
        let count = span.range().len();
        if entry.dtype != "F32" || entry.shape.iter().product::<usize>() != count {
            return Err(wrong(format!(
                "has it as {} with shape {:?}; F32 of {} by {} is needed",
                entry.dtype, entry.shape, span.rows, span.columns
            )));
        }
        let (from, to) = entry.data_offsets;
        if to < from || to - from != 4 * count as u64 || to > self.bytes {
            return Err(wrong(format!(
                "has it at bytes {from} to {to} of {}; it may be truncated",
                self.bytes
            )));
        }
        let unreadable = |source| LmError::Read {
            path: path.clone(),
            source,
        };
        self.file
            .seek(SeekFrom::Start(self.start + from))
            .map_err(unreadable)?;
        let mut bytes = vec![0; 4 * CHUNK.min(count)];
        let mut values = Vec::with_capacity(CHUNK.min(count));
        let mut at = 0;
        while at < count {
            let now = CHUNK.min(count - at);
            bytes.truncate(4 * now);
            self.file.read_exact(&mut bytes).map_err(unreadable)?;
            values.clear();
            let (words, _) = bytes.as_chunks::<4>();
            values.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
            take(at, &values);
            at += now;
        }
        Ok(())
    }
}
