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
    let mut builder = tempfile::Builder::new();
    builder.prefix(".modescope-").suffix(".tmp");
    make_usual(&mut builder);
    let mut temporary = builder.tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    if let Ok(existing) = std::fs::metadata(path) {
        temporary
            .as_file()
            .set_permissions(existing.permissions())?;
    }
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    // The rename itself lives in the folder; a file system that cannot flush folders is no reason to fail.
    if let Ok(opened) = File::open(folder) {
        let _ = opened.sync_all();
    }
    Ok(())
}

/// A temporary file is private unless told otherwise; this one gets what a new file usually gets, which the user's umask
/// decides.
#[cfg(unix)]
fn make_usual(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn make_usual(_: &mut tempfile::Builder<'_, '_>) {}

#[cfg(all(test, unix))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_file_gets_what_any_new_file_gets_and_an_old_one_keeps_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let about = std::fs::metadata(folder.path().join(name)).unwrap();
            about.permissions().mode() & 0o777
        };
        std::fs::write(folder.path().join("usual"), b"").unwrap();
        save_atomically(&folder.path().join("saved"), b"1").unwrap();
        assert_eq!(mode("saved"), mode("usual"));
        let path = folder.path().join("saved");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        save_atomically(&path, b"2").unwrap();
        assert_eq!(mode("saved"), 0o600);
    }
}
