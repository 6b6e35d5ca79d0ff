//! How the window is started: by the command line's `gui`.

use std::path::PathBuf;

/// What the command line asks of the window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GuiOptions {
    /// A built-in preset's name or a preset file; none opens the last session, or Figure 5.
    pub open: Option<String>,
    /// Save a picture of the window here (PNG) after `after_secs`, then exit.
    pub screenshot: Option<PathBuf>,
    /// Train at full speed, write frame-time statistics here (JSON) after `after_secs`, then exit.
    pub frame_stats: Option<PathBuf>,
    /// When the picture or the statistics are taken, in seconds after the first frame.
    pub after_secs: f64,
    /// Size of the window in points.
    pub size: Option<[f32; 2]>,
    /// Dark (true) or light (false) whatever was used last time.
    pub dark: Option<bool>,
}

/// Opens the window and returns when it is closed.
///
/// # Errors
/// A preset that cannot be opened, a picture that cannot be written, or no display.
pub fn run(_options: GuiOptions) -> anyhow::Result<()> {
    anyhow::bail!("the window is not in this build yet")
}
