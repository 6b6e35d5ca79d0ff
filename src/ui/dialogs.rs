//! Asking for files. The desktop's own dialog runs in a thread, so that the window never waits for it; where the desktop
//! has none (a bare X server), a small window with a path field takes its place.

use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender, bounded};
use egui::{
    Context, Key, Modal,
    text::{CCursor, CCursorRange},
};

use crate::{experiment::Role, figure::Figure, lm::checkpoint::CHECKPOINT_FILE};

/// What a file is asked for.
#[derive(Debug, Clone)]
pub(super) enum Purpose {
    /// Open an experiment or a table.
    Open,
    /// A table of numbers for a bandit.
    Table(Role),
    /// Save the experiment.
    Save,
    /// Write a run folder.
    SaveRun,
    /// Write a checkpoint.
    Checkpoint,
    /// Go on from a checkpoint.
    GoOn,
    /// Save a figure.
    Figure(Box<Figure>),
}

/// An answered question.
pub(super) struct Answer {
    /// What was asked.
    pub(super) purpose: Purpose,
    /// The file or folder; none if the user thought better of it.
    pub(super) path: Option<PathBuf>,
}

/// The question shown in a window of our own.
struct Typed {
    purpose: Purpose,
    text: String,
    folder: PathBuf,
    fresh: bool,
    /// The user has changed the suggestion.
    edited: bool,
}

/// Open questions and their answers.
pub(super) struct Dialogs {
    sender: Sender<Option<Answer>>,
    receiver: Receiver<Option<Answer>>,
    asking: Option<Purpose>,
    typed: Option<Typed>,
    folder: PathBuf,
    plain: bool,
}

impl Dialogs {
    /// Nothing asked yet. `plain` keeps to the window of our own.
    pub(super) fn new(plain: bool) -> Self {
        let (sender, receiver) = bounded(4);
        let folder = std::env::current_dir().unwrap_or_default();
        Self {
            sender,
            receiver,
            asking: None,
            typed: None,
            folder,
            plain,
        }
    }

    /// A window of our own is open and takes the keys.
    pub(super) fn is_modal(&self) -> bool {
        self.typed.is_some()
    }

    /// Asks for a file. `name` is what to suggest. One question at a time: a second one is ignored while the first is open.
    pub(super) fn ask(&mut self, ctx: &Context, purpose: Purpose, name: &str) {
        if self.asking.is_some() || self.typed.is_some() {
            return;
        }
        if self.plain || !has_desktop_dialog() {
            self.typed = Some(Typed {
                purpose,
                text: name.to_owned(),
                folder: self.folder.clone(),
                fresh: true,
                edited: false,
            });
            return;
        }
        self.asking = Some(purpose.clone());
        let (sender, ctx, folder, name) = (
            self.sender.clone(),
            ctx.clone(),
            self.folder.clone(),
            name.to_owned(),
        );
        let started = std::thread::Builder::new()
            .name("modescope-dialog".to_owned())
            .spawn(move || {
                let path = ask_desktop(&purpose, &folder, &name);
                // The window may be gone by now.
                let _ = sender.send(Some(Answer { purpose, path }));
                ctx.request_repaint();
            });
        if started.is_err() {
            self.asking = None;
        }
    }

    /// Answers since the last call.
    pub(super) fn answers(&mut self) -> Vec<Answer> {
        let answers: Vec<Answer> = self.receiver.try_iter().flatten().collect();
        for answer in &answers {
            self.asking = None;
            if let Some(folder) = answer.path.as_deref().and_then(Path::parent) {
                self.folder = folder.to_owned();
            }
        }
        answers
    }

    /// Draws the window of our own, if it is open.
    pub(super) fn ui(&mut self, ctx: &Context) {
        let Some(typed) = &mut self.typed else { return };
        let title = match typed.purpose {
            Purpose::Open => "Open a file",
            Purpose::Table(Role::Reference) => "Read the reference from a table",
            Purpose::Table(Role::Rewards) => "Read the rewards from a table",
            Purpose::Save => "Save the experiment as",
            Purpose::SaveRun => "Save the run to a folder",
            Purpose::Checkpoint => "Write a checkpoint to a folder",
            Purpose::GoOn => "Go on from a checkpoint",
            Purpose::Figure(_) => "Export the figure as",
        };
        let hint = match typed.purpose {
            Purpose::Open => {
                "An experiment (.ron), a table (.csv), or a model (.gguf, folder) for the language preset"
            }
            Purpose::Table(_) => "A .csv file with one row per arm",
            Purpose::Save => "The file ends in .ron",
            Purpose::SaveRun | Purpose::Checkpoint => "The folder is made if it is not there",
            Purpose::GoOn => "The folder of one checkpoint, such as checkpoints/step-000100",
            Purpose::Figure(_) => "The ending says what to write: .svg, .png or .csv",
        };
        let mut answer: Option<Option<PathBuf>> = None;
        let response = Modal::new(egui::Id::unique("file dialog")).show(ctx, |ui| {
            ui.set_width((ctx.content_rect().width() - 60.0).clamp(120.0, 520.0));
            ui.heading(title);
            ui.weak(hint);
            ui.add_space(6.0);
            let label = ui.label("Path");
            let mut output = egui::TextEdit::singleline(&mut typed.text)
                .desired_width(f32::INFINITY)
                .show(ui);
            let field = output.response.response.labelled_by(label.id);
            if std::mem::take(&mut typed.fresh) {
                field.request_focus();
                // Typing replaces the name and keeps its ending.
                output
                    .state
                    .cursor
                    .set_char_range(Some(stem_range(&typed.text)));
                output.state.store(ui.ctx(), field.id);
            }
            typed.edited |= field.changed();
            let path = typed.folder.join(typed.text.trim());
            ui.add(
                egui::Label::new(
                    egui::RichText::new(path.display().to_string())
                        .small()
                        .weak(),
                )
                .truncate(),
            );
            let exists = path.exists();
            let (word, problem) = match typed.purpose {
                Purpose::Open => (
                    "Open",
                    (!path.is_file() && !path.join("config.json").is_file())
                        .then_some("There is no such file, and no model's folder"),
                ),
                Purpose::Table(_) => ("Open", (!path.is_file()).then_some("There is no such file")),
                Purpose::Save | Purpose::Figure(_) => {
                    let taken = exists && !path.is_dir();
                    (
                        if taken { "Replace" } else { "Save" },
                        path.is_dir().then_some("This is a folder; add a file name"),
                    )
                }
                Purpose::SaveRun | Purpose::Checkpoint => (
                    "Save",
                    path.is_file()
                        .then_some("This is a file; a folder is needed"),
                ),
                Purpose::GoOn => (
                    "Go on",
                    (!path.join(CHECKPOINT_FILE).is_file())
                        .then_some("There is no checkpoint here"),
                ),
            };
            let problem = if typed.text.trim().is_empty() {
                Some("Type a path")
            } else {
                problem
            };
            // An empty field that nobody has touched is no mistake yet.
            let told = problem.filter(|_| typed.edited || !typed.text.is_empty());
            ui.label(
                egui::RichText::new(told.unwrap_or(" ")).color(super::theme::Theme::of(ui).error),
            );
            ui.horizontal(|ui| {
                let go = ui.add_enabled(problem.is_none(), egui::Button::new(word));
                let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
                if go.clicked() || (entered && problem.is_none()) {
                    answer = Some(Some(path));
                }
                if ui.button("Cancel").clicked() {
                    answer = Some(None);
                }
            });
        });
        if response.should_close() && answer.is_none() {
            answer = Some(None);
        }
        if let Some(path) = answer
            && let Some(typed) = self.typed.take()
        {
            // The channel holds more answers than there can be questions.
            let _ = self.sender.try_send(Some(Answer {
                purpose: typed.purpose,
                path,
            }));
            ctx.request_repaint();
        }
    }
}

/// The name in a path without folder and ending.
fn stem_range(text: &str) -> CCursorRange {
    let letters = |bytes: &str| bytes.chars().count();
    let name_from = text.rfind(['/', '\\']).map_or(0, |at| at + 1);
    let name = text.get(name_from..).unwrap_or_default();
    let stem = match name.rfind('.') {
        Some(at) if at > 0 => name.get(..at).unwrap_or(name),
        Some(_) | None => name,
    };
    let from = letters(text.get(..name_from).unwrap_or_default());
    CCursorRange::two(CCursor::new(from), CCursor::new(from + letters(stem)))
}

/// The desktop can show a file dialog: elsewhere always; on Linux, where a session bus can reach a file portal.
fn has_desktop_dialog() -> bool {
    if !cfg!(all(unix, not(target_os = "macos"))) {
        return true;
    }
    let bus =
        std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some_and(|address| !address.is_empty());
    let portal = [
        "/usr/share/dbus-1/services",
        "/usr/local/share/dbus-1/services",
        "/run/current-system/sw/share/dbus-1/services",
    ]
    .iter()
    .any(|folder| {
        Path::new(folder)
            .join("org.freedesktop.portal.Desktop.service")
            .exists()
    });
    bus && portal
}

/// Shows a folder in the desktop's file manager.
///
/// # Errors
/// One line where there is none.
pub(super) fn show_folder(folder: &Path) -> Result<(), String> {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let failed = |why: String| {
        format!(
            "{} cannot be shown: {program}: {why}; copy its path instead",
            folder.display()
        )
    };
    let status = std::process::Command::new(program)
        .arg(folder)
        .status()
        .map_err(|error| failed(error.to_string()))?;
    // Explorer answers with 1 when all went well.
    if status.success() || cfg!(windows) {
        Ok(())
    } else {
        Err(failed(status.to_string()))
    }
}

fn ask_desktop(purpose: &Purpose, folder: &Path, name: &str) -> Option<PathBuf> {
    let dialog = rfd::FileDialog::new()
        .set_directory(folder)
        .set_file_name(name);
    match purpose {
        Purpose::Open => dialog
            .set_title("Open an experiment")
            .add_filter("Experiments, tables and models", &["ron", "csv", "gguf"])
            .add_filter("All files", &["*"])
            .pick_file(),
        Purpose::Table(_) => dialog
            .set_title("Open a table of numbers")
            .add_filter("Tables", &["csv"])
            .add_filter("All files", &["*"])
            .pick_file(),
        Purpose::Save => dialog
            .set_title("Save the experiment")
            .add_filter("Experiment", &["ron"])
            .save_file(),
        Purpose::SaveRun => dialog.set_title("Folder for the run").pick_folder(),
        Purpose::Checkpoint => dialog.set_title("Folder for the checkpoint").pick_folder(),
        Purpose::GoOn => dialog.set_title("Folder of a checkpoint").pick_folder(),
        Purpose::Figure(_) => dialog
            .set_title("Export the figure")
            .add_filter("SVG drawing", &["svg"])
            .add_filter("PNG picture", &["png"])
            .add_filter("CSV table", &["csv"])
            .save_file(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_marked_without_folder_and_ending() {
        for (text, from, to) in [
            ("figure-5.ron", 0, 8),
            ("données/été.ron", 8, 11),
            ("folder", 0, 6),
            (".hidden", 0, 7),
            ("", 0, 0),
        ] {
            let range = stem_range(text).as_sorted_char_range();
            assert_eq!((range.start.0, range.end.0), (from, to), "{text}");
        }
    }
}
