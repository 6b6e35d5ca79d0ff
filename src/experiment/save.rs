//! Writing files so that a crash leaves the old or the new one, never half of one.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

/// Writes `bytes` to a temporary file in the same folder, flushes it to the disk and renames it over `path`.
///
/// A reader, or a crash at any moment, sees the old content or the new, never a mixture. Missing parent folders are
/// made. An existing file keeps its permissions.
///
/// # Errors
/// The folder cannot be made or written, the disk is full, or the rename is refused; `path` is then as before.
pub fn save_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".modescope-")
        .suffix(".tmp")
        .tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    set_permissions(path, temporary.as_file())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    // The rename itself lives in the folder; a file system that cannot flush folders is no reason to fail.
    if let Ok(opened) = File::open(folder) {
        let _ = opened.sync_all();
    }
    Ok(())
}

/// A temporary file is private; the saved one gets what it replaces had, or what a new file usually gets.
#[cfg(unix)]
fn set_permissions(path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = match std::fs::metadata(path) {
        Ok(existing) => existing.permissions(),
        Err(_) => std::fs::Permissions::from_mode(0o644),
    };
    file.set_permissions(permissions)
}

#[cfg(not(unix))]
fn set_permissions(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}
