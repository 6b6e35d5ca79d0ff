//! Scalars for TensorBoard: an event file that `tensorboard --logdir` reads while the run goes on.
//!
//! The format is small enough to write by hand. A file is a list of records `length (u64), masked CRC-32C of the length,
//! payload, masked CRC-32C of the payload`, little endian (TensorFlow's TFRecord); a payload is an `Event` in protocol
//! buffers, of which scalars need five fields.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Records wait in memory up to this many bytes.
const BUFFER_BYTES: usize = 64 * 1024;
/// What TensorBoard looks for in the first record.
const FILE_VERSION: &str = "brain.Event:2";

/// Fields of `Event` and `Summary` (tensorboard/compat/proto/event.proto and summary.proto).
mod field {
    pub(super) const EVENT_WALL_TIME: u32 = 1;
    pub(super) const EVENT_STEP: u32 = 2;
    pub(super) const EVENT_FILE_VERSION: u32 = 3;
    pub(super) const EVENT_SUMMARY: u32 = 5;
    pub(super) const SUMMARY_VALUE: u32 = 1;
    pub(super) const VALUE_TAG: u32 = 1;
    pub(super) const VALUE_SIMPLE_VALUE: u32 = 2;
}

/// Whether a file of this name was written by an [`EventWriter`].
pub(super) fn is_event_file(name: &str) -> bool {
    name.starts_with(NAME_START) && name.contains(NAME_MIDDLE)
}

/// Readers want "tfevents" in the name and sort files by the time that follows it.
const NAME_START: &str = "events.out.tfevents.";
/// Who wrote it.
const NAME_MIDDLE: &str = ".modescope.";

/// One event file that grows by whole records. Dropping it writes what still waits; call [`EventWriter::flush`] to learn
/// of errors.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: PathBuf,
    waiting: Vec<u8>,
}

impl EventWriter {
    /// Starts a new event file in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn create(dir: &Path) -> io::Result<Self> {
        Self::create_at(dir, now_secs())
    }

    /// As [`EventWriter::create`], with the file's time in seconds since 1970.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn create_at(dir: &Path, wall_time_secs: f64) -> io::Result<Self> {
        static FILES: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(dir)?;
        let name = format!(
            "{NAME_START}{:010}{NAME_MIDDLE}{}.{}",
            wall_time_secs.max(0.0) as u64,
            std::process::id(),
            FILES.fetch_add(1, Ordering::Relaxed),
        );
        let path = dir.join(name);
        let mut writer = Self {
            file: File::create_new(&path)?,
            path,
            waiting: Vec::with_capacity(BUFFER_BYTES),
        };
        let mut event = Vec::new();
        push_double(&mut event, field::EVENT_WALL_TIME, wall_time_secs);
        push_bytes(
            &mut event,
            field::EVENT_FILE_VERSION,
            FILE_VERSION.as_bytes(),
        );
        push_record(&mut writer.waiting, &event);
        writer.flush()?;
        Ok(writer)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds one value of the series `tag` ("reward", "kl/to_reference": TensorBoard groups by the part before `/`).
    /// `wall_time_secs` counts from 1970; the value is kept in single precision, and may be NaN or infinite.
    ///
    /// # Errors
    /// When the file cannot be written; what waited is then dropped, and the file still ends in a whole record or in one
    /// that readers skip.
    pub fn scalar(
        &mut self,
        tag: &str,
        step: u64,
        wall_time_secs: f64,
        value: f64,
    ) -> io::Result<()> {
        let mut entry = Vec::with_capacity(tag.len() + 16);
        push_bytes(&mut entry, field::VALUE_TAG, tag.as_bytes());
        push_float(&mut entry, field::VALUE_SIMPLE_VALUE, value as f32);
        let mut summary = Vec::with_capacity(entry.len() + 8);
        push_bytes(&mut summary, field::SUMMARY_VALUE, &entry);
        let mut event = Vec::with_capacity(summary.len() + 32);
        push_double(&mut event, field::EVENT_WALL_TIME, wall_time_secs);
        if step != 0 {
            push_key(&mut event, field::EVENT_STEP, Wire::Varint);
            push_varint(&mut event, step);
        }
        push_bytes(&mut event, field::EVENT_SUMMARY, &summary);
        push_record(&mut self.waiting, &event);
        if self.waiting.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what waits, so that a reader sees it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let outcome = self.file.write_all(&self.waiting);
        self.waiting.clear();
        outcome
    }
}

impl Drop for EventWriter {
    fn drop(&mut self) {
        // Whoever wants to know of errors has called `flush`.
        let _ = self.flush();
    }
}

/// Seconds since 1970 now.
#[must_use]
pub fn now_secs() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// How a protocol-buffer field is laid out.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

fn push_key(out: &mut Vec<u8>, field: u32, wire: Wire) {
    push_varint(out, u64::from(field << 3 | wire as u32));
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn push_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    push_key(out, field, Wire::Bytes);
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn push_double(out: &mut Vec<u8>, field: u32, value: f64) {
    push_key(out, field, Wire::Fixed64);
    out.extend_from_slice(&value.to_le_bytes());
}

fn push_float(out: &mut Vec<u8>, field: u32, value: f32) {
    push_key(out, field, Wire::Fixed32);
    out.extend_from_slice(&value.to_le_bytes());
}

fn push_record(out: &mut Vec<u8>, payload: &[u8]) {
    let length = (payload.len() as u64).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&masked(crc32c(&length)).to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&masked(crc32c(payload)).to_le_bytes());
}

/// TFRecord's mask: a checksum stored next to data that may itself hold checksums.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), as in RFC 3720 appendix B.4.
#[must_use]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
    })
}

const TABLE: [u32; 256] = {
    const REFLECTED: u32 = 0x82f6_3b78;
    let mut table = [0_u32; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ REFLECTED
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        let iscsi_read: Vec<u8> = [
            [0x01, 0xc0, 0, 0],
            [0; 4],
            [0; 4],
            [0; 4],
            [0x14, 0, 0, 0],
            [0, 0, 0x04, 0],
            [0, 0, 0, 0x14],
            [0, 0, 0, 0x18],
            [0x28, 0, 0, 0],
            [0; 4],
            [0x02, 0, 0, 0],
            [0; 4],
        ]
        .concat();
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&rising), 0x46dd_794e);
        assert_eq!(crc32c(&falling), 0x113f_db5c);
        assert_eq!(crc32c(&iscsi_read), 0xd996_3a56);
        // The usual check value of CRC catalogues.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn numbers_of_every_length_are_varints() {
        let varint = |value| {
            let mut out = Vec::new();
            push_varint(&mut out, value);
            out
        };
        // The examples of the protocol-buffer encoding guide, and both ends.
        assert_eq!(varint(1), [0x01]);
        assert_eq!(varint(150), [0x96, 0x01]);
        assert_eq!(varint(0), [0x00]);
        assert_eq!(varint(127), [0x7f]);
        assert_eq!(varint(128), [0x80, 0x01]);
        assert_eq!(
            varint(u64::MAX),
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
        );
    }

    #[test]
    fn records_reach_the_file_whole_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(dir.path()).unwrap();
        for step in 0..3000 {
            writer
                .scalar("some/long/series", step, 0.0, step as f64)
                .unwrap();
            if step % 1000 == 500 {
                let bytes = fs::read(writer.path()).unwrap();
                assert_eq!(whole_records(&bytes), bytes.len());
            }
        }
        let path = writer.path().to_owned();
        drop(writer);
        let bytes = fs::read(path).unwrap();
        assert_eq!(whole_records(&bytes), bytes.len());
    }

    /// Length of the part of a file that is whole records with the right checksums.
    fn whole_records(bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(head) = bytes.get(at..at + 12) {
            let length = u64::from_le_bytes(head[..8].try_into().unwrap()) as usize;
            assert_eq!(
                head[8..],
                masked(crc32c(&head[..8])).to_le_bytes(),
                "at {at}"
            );
            let Some(rest) = bytes.get(at + 12..at + 16 + length) else {
                break;
            };
            let (payload, sum) = rest.split_at(length);
            assert_eq!(sum, masked(crc32c(payload)).to_le_bytes(), "at {at}");
            at += 16 + length;
        }
        at
    }
}
