//! Opening the window: the only place that knows eframe. Also takes the window's own picture and measures its frames.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use eframe::egui;
use egui::{ScreenshotCallback, ViewportBuilder, ViewportCommand};
use thiserror::Error;

use super::{
    app::{self, Workbench, WorkbenchOptions},
    frame_stats::FrameStats,
    session,
    theme::ThemeChoice,
};
use crate::{engine::Speed, experiment};

/// How to open the window.
#[derive(Debug, Clone, Default)]
pub struct GuiOptions {
    /// A built-in preset's name or a file; without it the last session, or Figure 5.
    pub open: Option<String>,
    /// Changes to what is opened by name, `path=value` as [`experiment::set_paths`] takes them.
    pub sets: Vec<String>,
    /// Save a picture of the window here (PNG) after `after_secs`, then close.
    pub screenshot: Option<PathBuf>,
    /// Train at full speed for `after_secs`, write frame-time statistics here (JSON), then close.
    pub frame_stats: Option<PathBuf>,
    /// Seconds from the first frame to the picture or the end of the measurement.
    pub after_secs: f64,
    /// Size of the window in points.
    pub size: Option<[f32; 2]>,
    /// Dark or light; without it as last time.
    pub dark: Option<bool>,
}

/// The speed at which a new window trains: the policy's way to the target takes seconds, so that it can be watched.
const WATCHABLE: Speed = Speed::StepsPerSecond(300.0);

/// Why the window did not open or could not finish its errand.
#[derive(Debug, Error)]
pub enum GuiError {
    /// No window.
    #[error("the window cannot be opened: {0} (`modescope run` works without a display)")]
    Window(String),
    /// What was named has no problem or no target.
    #[error("{name}: {why}")]
    Experiment {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// The picture or the statistics could not be written.
    #[error("{path} cannot be written: {reason}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Opens the window and returns when it is closed.
///
/// # Errors
/// [`GuiError::Window`] where there is no display or no OpenGL; [`GuiError::Write`] where a picture or statistics were
/// asked for and cannot be written.
pub fn run(options: GuiOptions) -> Result<(), GuiError> {
    let started = Instant::now();
    super::allocator::keep_freed_memory();
    // A mistake in what is opened is told before there is a window.
    let opened = (options.open.as_deref())
        .map(|name| {
            app::open_changed(name, &options.sets).map_err(|why| GuiError::Experiment {
                name: name.to_owned(),
                why,
            })
        })
        .transpose()?;
    let errand = options.screenshot.is_some() || options.frame_stats.is_some();
    let state_dir = if errand { None } else { session::default_dir() };
    let last_size = || state_dir.as_deref().and_then(session::last_window_size);
    let [width, height] = options.size.or_else(last_size).unwrap_or([1280.0, 800.0]);
    let native = eframe::NativeOptions {
        viewport: ViewportBuilder::default()
            .with_title("Modescope")
            .with_app_id("modescope")
            .with_inner_size([width, height])
            .with_min_inner_size([200.0, 150.0])
            .with_icon(egui::IconData::default()),
        persist_window: false,
        system_font_fallback: false,
        ..eframe::NativeOptions::default()
    };
    let outcome: Outcome = Arc::default();
    let theirs = outcome.clone();
    let result = eframe::run_native(
        "modescope",
        native,
        Box::new(move |creation| {
            let ctx = &creation.egui_ctx;
            let workbench = Workbench::begin(
                ctx,
                WorkbenchOptions {
                    open: options.open,
                    sets: options.sets,
                    state_dir,
                    theme: options.dark.map(|dark| {
                        if dark {
                            ThemeChoice::Dark
                        } else {
                            ThemeChoice::Light
                        }
                    }),
                    run: true,
                    plain_dialogs: false,
                    errand,
                    speed: if errand { Speed::Full } else { WATCHABLE },
                    ask_after_secs: None,
                },
                opened,
            )?;
            Ok(Box::new(Window {
                workbench,
                after_secs: options.after_secs,
                screenshot: options.screenshot,
                stats: options
                    .frame_stats
                    .map(|path| (path, FrameStats::new(started))),
                first_frame: None,
                outcome: theirs,
            }))
        }),
    );
    if let Some(error) = outcome.lock().ok().and_then(|mut outcome| outcome.take()) {
        return Err(error);
    }
    result.map_err(|error| GuiError::Window(reason(&error.to_string())))
}

/// Why there is no window, without the place in the window library's source that its message begins with.
fn reason(message: &str) -> String {
    let told = message
        .split_once("os error at ")
        .and_then(|(_, rest)| rest.split_once(": "))
        .map(|(_, told)| told.trim_end_matches('.'));
    match told {
        Some(told) => format!("no display: {told}"),
        None => message.to_owned(),
    }
}

/// What went wrong with the errand.
type Outcome = Arc<Mutex<Option<GuiError>>>;

struct Window {
    workbench: Workbench,
    after_secs: f64,
    screenshot: Option<PathBuf>,
    stats: Option<(PathBuf, FrameStats)>,
    first_frame: Option<Instant>,
    outcome: Outcome,
}

impl eframe::App for Window {
    fn raw_input_hook(&mut self, ctx: &egui::Context, _input: &mut egui::RawInput) {
        if let Some((_, stats)) = &mut self.stats {
            stats.frame_begins(ctx);
        }
    }

    fn logic(&mut self, ctx: &egui::Context, frame: &mut eframe::Frame) {
        if let Some((_, stats)) = &mut self.stats {
            stats.inject(ctx, &mut self.workbench, frame.info().cpu_usage);
        }
        self.workbench.logic(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.workbench.ui(ui);
        let first = *self.first_frame.get_or_insert_with(Instant::now);
        let left = self.after_secs - first.elapsed().as_secs_f64();
        if let Some((_, stats)) = &mut self.stats {
            stats.ui_ended(&self.workbench);
        }
        self.errands(ui.ctx(), left);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }

    fn persist_egui_memory(&self) -> bool {
        false
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.workbench.on_exit();
    }
}

impl Window {
    /// Takes the picture or ends the measurement when it is time.
    fn errands(&mut self, ctx: &egui::Context, left_secs: f64) {
        if self.screenshot.is_none() && self.stats.is_none() {
            return;
        }
        if left_secs > 0.0 {
            if self.stats.is_some() {
                ctx.request_repaint();
            } else {
                ctx.request_repaint_after(Duration::from_secs_f64(left_secs));
            }
            return;
        }
        if let Some((path, stats)) = self.stats.take() {
            let written = stats.report(&self.workbench).and_then(|text| {
                experiment::save_atomically(&path, text.as_bytes())
                    .map_err(|error| error.to_string())
            });
            self.finish(&path, written);
            if self.screenshot.is_none() {
                ctx.send_viewport_cmd(ViewportCommand::Close);
                return;
            }
        }
        if let Some(path) = self.screenshot.take() {
            let outcome = self.outcome.clone();
            let closer = ctx.clone();
            self.workbench.close_without_asking();
            ctx.send_viewport_cmd(ViewportCommand::Screenshot(ScreenshotCallback::new(
                move |image| {
                    let written = encode(&image).and_then(|bytes| {
                        experiment::save_atomically(&path, &bytes)
                            .map_err(|error| error.to_string())
                    });
                    note(&outcome, &path, written);
                    closer.send_viewport_cmd(ViewportCommand::Close);
                    closer.request_repaint();
                },
            )));
            ctx.request_repaint();
        }
    }

    fn finish(&mut self, path: &Path, written: Result<(), String>) {
        self.workbench.close_without_asking();
        note(&self.outcome, path, written);
    }
}

fn note(outcome: &Outcome, path: &Path, written: Result<(), String>) {
    if let (Err(reason), Ok(mut outcome)) = (written, outcome.lock()) {
        *outcome = Some(GuiError::Write {
            path: path.to_owned(),
            reason,
        });
    }
}

/// A picture as a PNG file.
fn encode(image: &egui::ColorImage) -> Result<Vec<u8>, String> {
    let [width, height] = image.size;
    let side = |length: usize| u32::try_from(length).map_err(|error| error.to_string());
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(width)?, side(height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let pixels: Vec<u8> = image
        .pixels
        .iter()
        .flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()])
        .collect();
    let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
    writer
        .write_image_data(&pixels)
        .map_err(|error| error.to_string())?;
    writer.finish().map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn a_missing_display_is_told_without_a_place_in_some_source() {
        assert_eq!(
            reason(
                "winit EventLoopError: os error at /home/a/winit/src/linux/mod.rs:765: neither WAYLAND_DISPLAY nor \
                 WAYLAND_SOCKET nor DISPLAY is set."
            ),
            "no display: neither WAYLAND_DISPLAY nor WAYLAND_SOCKET nor DISPLAY is set"
        );
        assert_eq!(reason("OpenGL 2.0 is needed"), "OpenGL 2.0 is needed");
    }
}
