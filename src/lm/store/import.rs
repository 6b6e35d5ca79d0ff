//! Taking a model on disk into the store: checked first, then copied (or linked) under a temporary name and renamed.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{
    super::{
        error::LmError,
        export::{FolderWriter, write_error},
        weights::{ModelFile, model_files, verify},
    },
    EMBEDDED, ModelSource, ModelStore, StoredModel,
};

/// How a model is taken in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// What it is to be called; its own file name without ending if absent.
    pub name: Option<String>,
    /// A link to where it lies instead of a copy.
    pub link: bool,
    /// Replaces a model of that name.
    pub overwrite: bool,
}

impl ModelStore {
    /// Takes a GGUF file or a Hugging Face folder into the store; `progress` hears of bytes done and bytes in all.
    ///
    /// # Errors
    /// Says what is wrong with the model, the name or the place. Nothing half-done stays.
    pub fn import(
        &self,
        path: &Path,
        options: &ImportOptions,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<StoredModel, LmError> {
        let folder = self.models.as_ref().ok_or_else(|| {
            LmError::Request(
                "there is no data folder to import into; set MODESCOPE_MODELS_DIR to one"
                    .to_owned(),
            )
        })?;
        let file = ModelFile::find(path)?;
        verify(&file)?;
        let name = checked_name(&file, options.name.as_deref())?;
        let place = match &file {
            ModelFile::Gguf(_) => folder.join(format!("{name}.gguf")),
            ModelFile::HubFolder(_) => folder.join(&name),
        };
        let known = |model: &StoredModel| model.name == name && model.origin == super::IMPORTED;
        let old = self.list().into_iter().find(known);
        if let Some(old) = &old
            && !options.overwrite
        {
            return Err(LmError::Request(format!(
                "a model called {name:?} is there already ({}); give another --name, or --overwrite to replace it",
                old.source.path().unwrap_or(folder).display()
            )));
        }
        if let Some(old_path) = old.as_ref().and_then(|old| old.source.path())
            && same_file(old_path, path)
        {
            return Err(LmError::Request(format!(
                "{} is the model {name:?} of the store itself",
                path.display()
            )));
        }
        match (&file, options.link) {
            (ModelFile::Gguf(from) | ModelFile::HubFolder(from), true) => link(from, &place)?,
            (ModelFile::Gguf(from), false) => copy_file(from, &place, &mut progress)?,
            (ModelFile::HubFolder(from), false) => copy_folder(from, &place, &mut progress)?,
        }
        // A file of that name may have stood where there is a folder now, or the other way round.
        if let Some(old) = old.as_ref().and_then(|old| old.source.path())
            && old != place
        {
            remove(old)?;
        }
        Ok(StoredModel {
            name,
            source: ModelSource::File(ModelFile::find(&place)?),
            origin: super::IMPORTED,
        })
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// A name that can be a file's and cannot be mistaken for a path or for the embedded model.
fn checked_name(file: &ModelFile, wanted: Option<&str>) -> Result<String, LmError> {
    let name = match (wanted, file) {
        (Some(name), _) => name.to_owned(),
        (None, ModelFile::Gguf(path)) => lossy(path.file_stem()),
        (None, ModelFile::HubFolder(path)) => {
            let path = path.canonicalize().unwrap_or_else(|_| path.clone());
            lossy(path.file_name())
        }
    };
    let sound = |c: char| c.is_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(sound) || name == EMBEDDED {
        return Err(LmError::Request(format!(
            "name = {name:?} is not accepted; it must be letters, digits, '.', '_' and '-', not begin with '.', and not be \
             {EMBEDDED:?}"
        )));
    }
    Ok(name)
}

fn lossy(name: Option<&std::ffi::OsStr>) -> String {
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn copy_folder(
    from: &Path,
    place: &Path,
    progress: &mut impl FnMut(u64, u64),
) -> Result<(), LmError> {
    let files = model_files(from)?;
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |m| m.len());
    let total = files.iter().map(size).sum();
    let writer = FolderWriter::begin(place)?;
    let mut done = 0;
    for path in &files {
        let source = open(path)?;
        let name = lossy(path.file_name());
        writer.write(&name, |out| copy(source, out, &mut done, total, progress))?;
    }
    writer.finish()
}

fn copy_file(
    from: &Path,
    place: &Path,
    progress: &mut impl FnMut(u64, u64),
) -> Result<(), LmError> {
    let source = open(from)?;
    let total = source.metadata().map_or(0, |m| m.len());
    let error = |source| write_error(place, source);
    let folder = place.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(error)?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".modescope-")
        .suffix(".tmp")
        .tempfile_in(folder)
        .map_err(error)?;
    copy(source, &mut temporary, &mut 0, total, progress).map_err(error)?;
    temporary.as_file().sync_all().map_err(error)?;
    open_to_readers(temporary.path()).map_err(error)?;
    temporary.persist(place).map_err(|e| error(e.error))?;
    Ok(())
}

fn open(path: &Path) -> Result<File, LmError> {
    File::open(path).map_err(|source| LmError::Read {
        path: path.to_owned(),
        source,
    })
}

fn copy(
    mut from: File,
    to: &mut dyn Write,
    done: &mut u64,
    total: u64,
    progress: &mut impl FnMut(u64, u64),
) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count])?;
        *done += count as u64;
        progress(*done, total);
    }
}

fn remove(path: &Path) -> Result<(), LmError> {
    let is_folder = path.symlink_metadata().is_ok_and(|m| m.is_dir());
    let removed = if is_folder {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    removed.map_err(|e| write_error(path, e))
}

#[cfg(unix)]
fn link(from: &Path, place: &Path) -> Result<(), LmError> {
    let error = |source| write_error(place, source);
    let from = from.canonicalize().map_err(error)?;
    let folder = place.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(error)?;
    let temporary = tempfile::Builder::new()
        .prefix(".modescope-")
        .tempdir_in(folder)
        .map_err(error)?;
    let link = temporary.path().join("link");
    std::os::unix::fs::symlink(from, &link).map_err(error)?;
    if place.symlink_metadata().is_ok_and(|m| m.is_dir()) {
        remove(place)?;
    }
    std::fs::rename(link, place).map_err(error)
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> Result<(), LmError> {
    Err(LmError::Request(
        "links are not made on this system; import without --link".to_owned(),
    ))
}

/// A temporary file is private; the imported one is what a new file usually is.
#[cfg(unix)]
fn open_to_readers(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn open_to_readers(_: &Path) -> io::Result<()> {
    Ok(())
}
