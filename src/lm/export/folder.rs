//! A folder that appears whole or not at all.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::super::error::LmError;

/// A folder in the making: files go to a temporary folder beside the wanted place; [`FolderWriter::finish`] moves it there.
/// Dropped before that, it leaves nothing behind.
#[derive(Debug)]
pub struct FolderWriter {
    place: PathBuf,
    temporary: TempDir,
}

impl FolderWriter {
    /// Begins a folder that is to be at `place`; missing parents are made.
    ///
    /// # Errors
    /// When the parent folder cannot be made or written.
    pub fn begin(place: &Path) -> Result<Self, LmError> {
        let error = |source| write_error(place, source);
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if place.file_name().is_none() {
            return Err(LmError::Request(format!(
                "{} cannot be the name of a folder to write; give a new name",
                place.display()
            )));
        }
        if place.is_file() {
            return Err(error(io::Error::from(io::ErrorKind::NotADirectory)));
        }
        std::fs::create_dir_all(parent).map_err(error)?;
        let temporary = tempfile::Builder::new()
            .prefix(".modescope-")
            .suffix(".tmp")
            .tempdir_in(parent)
            .map_err(error)?;
        Ok(Self {
            place: place.to_owned(),
            temporary,
        })
    }

    /// Where files can be written until the folder is finished.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Writes one file of the folder and flushes it to the disk.
    ///
    /// # Errors
    /// Names the file at its later place; a full disk shows here.
    pub fn write(
        &self,
        name: &str,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), LmError> {
        let attempt = || -> io::Result<()> {
            let file = File::create_new(self.temporary.path().join(name))?;
            let mut writer = io::BufWriter::with_capacity(1 << 20, file);
            content(&mut writer)?;
            writer.into_inner().map_err(|e| e.into_error())?.sync_all()
        };
        attempt().map_err(|source| write_error(&self.place.join(name), source))
    }

    /// Writes a JSON file, indented.
    ///
    /// # Errors
    /// See [`Self::write`].
    pub fn write_json(&self, name: &str, value: &serde_json::Value) -> Result<(), LmError> {
        self.write(name, |out| {
            serde_json::to_writer_pretty(&mut *out, value)?;
            out.write_all(b"\n")
        })
    }

    /// Moves the folder to its place. What was there before is replaced only now, and comes back if the move fails.
    ///
    /// # Errors
    /// When the folder cannot be moved.
    pub fn finish(self) -> Result<(), LmError> {
        let Self { place, temporary } = self;
        let error = |source| write_error(&place, source);
        open_to_readers(temporary.path()).map_err(error)?;
        sync_folder(temporary.path());
        let old = if place.exists() {
            let aside = tempfile::Builder::new()
                .prefix(".modescope-old-")
                .tempdir_in(temporary.path().parent().unwrap_or(Path::new(".")))
                .map_err(error)?;
            std::fs::rename(&place, aside.path().join("old")).map_err(error)?;
            Some(aside)
        } else {
            None
        };
        if let Err(source) = std::fs::rename(temporary.path(), &place) {
            if let Some(old) = old {
                let _ = std::fs::rename(old.path().join("old"), &place);
            }
            return Err(error(source));
        }
        // It is no longer at its temporary name, so there is nothing to remove.
        let _ = temporary.keep();
        if let Some(parent) = place.parent() {
            sync_folder(if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            });
        }
        Ok(())
    }
}

/// The system's word for a failed write, with the file.
pub(in crate::lm) fn write_error(path: &Path, source: io::Error) -> LmError {
    LmError::Write {
        path: path.to_owned(),
        source,
    }
}

/// A file system that cannot flush folders is no reason to fail.
fn sync_folder(folder: &Path) {
    if let Ok(opened) = File::open(folder) {
        let _ = opened.sync_all();
    }
}

/// A temporary folder is private; the finished one is what a new folder usually is.
#[cfg(unix)]
fn open_to_readers(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn open_to_readers(_: &Path) -> io::Result<()> {
    Ok(())
}
