//! What outlives the window: the experiment with its unsaved changes, layout, theme, size, recent files. Written every
//! twenty seconds and at exit, to a temporary name first, so a crash leaves the old or the new file.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use egui_tiles::Tree;
use serde::{Deserialize, Serialize};

use super::{
    document::Origin,
    layout::Pane,
    pinned::{ListedPin, PinFiles},
    theme::ThemeChoice,
};
use crate::experiment::{self, Preset};

/// Version of the session file; another one starts afresh.
const FORMAT: u32 = 1;
/// Seconds between autosaves.
pub(super) const INTERVAL_SECS: f64 = 20.0;
/// Recent files kept.
pub(super) const RECENT: usize = 10;

/// The session file's contents.
#[derive(Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) format: u32,
    /// The window was closed properly.
    pub(super) clean_exit: bool,
    /// What was open.
    pub(super) experiment: Option<SavedExperiment>,
    /// Where the panels were.
    pub(super) tree: Option<Tree<Pane>>,
    /// Where the panels of language runs were.
    #[serde(default)]
    pub(super) language_tree: Option<Tree<Pane>>,
    /// Light, dark or as the system.
    pub(super) theme: ThemeChoice,
    /// Size of everything; 1 is normal.
    pub(super) zoom: f32,
    /// Files opened or saved, newest first.
    pub(super) recent: Vec<PathBuf>,
    /// The guided tour was offered once.
    pub(super) tour_offered: bool,
    /// Loaded models get a checkpoint after some minutes in any case.
    #[serde(default = "yes")]
    pub(super) keep_by_time: bool,
    /// Size of the window in points.
    #[serde(default)]
    pub(super) window_size: Option<[f32; 2]>,
    /// Runs kept for comparison.
    #[serde(default)]
    pub(super) pins: Vec<ListedPin>,
}

fn yes() -> bool {
    true
}

impl Default for Session {
    fn default() -> Self {
        Self {
            format: FORMAT,
            clean_exit: true,
            experiment: None,
            tree: None,
            language_tree: None,
            theme: ThemeChoice::default(),
            zoom: 1.0,
            recent: Vec::new(),
            tour_offered: false,
            keep_by_time: true,
            window_size: None,
            pins: Vec::new(),
        }
    }
}

/// An open experiment with its unsaved changes.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedExperiment {
    /// As edited.
    pub(super) preset: Box<Preset>,
    /// Where it came from.
    pub(super) origin: Origin,
    /// Unsaved changes.
    pub(super) dirty: bool,
    /// It was training.
    pub(super) running: bool,
}

/// The session file, and the lock that makes this window the one that writes it.
pub(super) struct SessionStore {
    file: Option<PathBuf>,
    /// The pins' files, where this window writes the session.
    pub(super) pins: Option<PinFiles>,
    /// Held as long as the window lives.
    _lock: Option<File>,
    /// Time of the last save, seconds since the window opened.
    pub(super) saved_at: f64,
    last: String,
}

impl SessionStore {
    /// Opens the folder: what was kept there, and what is wrong with it. The second window of the same user reads the
    /// session but never writes it.
    pub(super) fn open(dir: Option<PathBuf>) -> (Self, Option<Session>, Option<String>) {
        let mut store = Self {
            file: None,
            pins: None,
            _lock: None,
            saved_at: 0.0,
            last: String::new(),
        };
        let Some(dir) = dir else {
            return (store, None, None);
        };
        if let Err(error) = std::fs::create_dir_all(&dir) {
            let trouble = format!("The session cannot be kept in {}: {error}", dir.display());
            return (store, None, Some(trouble));
        }
        let file = dir.join("session.ron");
        let (session, mut trouble) = read(&file);
        match File::create(dir.join("session.lock")) {
            Ok(lock) if lock.try_lock().is_ok() => {
                store._lock = Some(lock);
                if trouble.is_some() {
                    // Kept aside for whoever wants to look; a failure to do so changes nothing.
                    let _ = std::fs::rename(&file, dir.join("session.broken.ron"));
                }
                store.file = Some(file);
                remove_leftovers(&dir);
                let pins = PinFiles::of_session(&dir);
                if let Some(session) = &session {
                    pins.remove_others(&session.pins);
                }
                store.pins = Some(pins);
            }
            Ok(_) => {
                let note =
                    "Another Modescope window keeps the session; this one will not be restored"
                        .to_owned();
                trouble = trouble.or(Some(note));
                let session = session.map(|session| Session {
                    experiment: None,
                    pins: Vec::new(),
                    clean_exit: true,
                    ..session
                });
                return (store, session, trouble);
            }
            Err(error) => trouble = Some(format!("The session cannot be kept: {error}")),
        }
        (store, session, trouble)
    }

    /// This window writes the session.
    pub(super) fn is_active(&self) -> bool {
        self.file.is_some()
    }

    /// Writes the session if it changed since the last time.
    ///
    /// # Errors
    /// One line for the user.
    pub(super) fn save(&mut self, session: &Session) -> Result<(), String> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let text = ron::to_string(session)
            .map_err(|error| format!("The session cannot be written: {error}"))?;
        if text == self.last {
            return Ok(());
        }
        experiment::save_atomically(file, text.as_bytes())
            .map_err(|error| format!("The session cannot be written: {error}"))?;
        self.last = text;
        Ok(())
    }
}

fn read(file: &Path) -> (Option<Session>, Option<String>) {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (None, None),
        Err(error) => {
            return (
                None,
                Some(format!("The last session cannot be read: {error}")),
            );
        }
    };
    match ron::from_str::<Session>(&text) {
        Ok(session) if session.format == FORMAT => (Some(session), None),
        Ok(_) => (
            None,
            Some("The last session is of another version; starting afresh".to_owned()),
        ),
        Err(error) => (
            None,
            Some(format!(
                "The last session is damaged ({error}); starting afresh"
            )),
        ),
    }
}

/// Removes what saves that a crash cut short have left: with the lock held nobody else is saving here.
fn remove_leftovers(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".modescope-") && name.ends_with(".tmp") {
            // The next start tries again.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The size of the window when it was last open.
pub(super) fn last_window_size(dir: &Path) -> Option<[f32; 2]> {
    let (session, _) = read(&dir.join("session.ron"));
    session?
        .window_size
        .filter(|size| size.iter().all(|side| (200.0..=16_384.0).contains(side)))
}

/// The folder of the session file: `MODESCOPE_STATE_DIR`, or the platform's folder for application data.
#[must_use]
pub(super) fn default_dir() -> Option<PathBuf> {
    use etcetera::AppStrategy;
    if let Some(dir) = std::env::var_os("MODESCOPE_STATE_DIR") {
        return (!dir.is_empty()).then(|| PathBuf::from(dir));
    }
    etcetera::choose_app_strategy(etcetera::AppStrategyArgs {
        top_level_domain: "org".to_owned(),
        author: "Modescope".to_owned(),
        app_name: "Modescope".to_owned(),
    })
    .ok()
    .map(|strategy| strategy.data_dir())
}
