//! Everything a panel can ask for: one enum feeds the panels, the menu, the palette and the shortcuts.

use std::path::PathBuf;

use crate::{
    engine::Speed,
    experiment::{Edit, Preset, Role},
};

/// A wish of the user, carried out by the shell after the frame is drawn.
#[derive(Debug, Clone)]
pub enum Action {
    /// Run if paused, pause if running.
    ToggleRun,
    /// Run, whether running already or not.
    Start,
    /// Pause, then one step (or more).
    Step(u64),
    /// Back to step 0, same seed.
    Reset,
    /// Back to step 0, next seed.
    Reseed,
    /// How fast to train.
    SetSpeed(Speed),
    /// Change the experiment. `done` is false while a drag goes on, so that a drag is one step of undo.
    Edit {
        /// The change.
        edit: Edit,
        /// The gesture is over.
        done: bool,
    },
    /// Undo the last edit.
    Undo,
    /// Redo the last undone edit.
    Redo,
    /// Show the run as it was at this step; `None` follows the run again.
    Scrub(Option<u64>),
    /// Continue training from this step.
    Revert(u64),
    /// Keep the current run for comparison.
    Pin,
    /// Show or hide a pin.
    TogglePin(usize),
    /// Drop a pin.
    Unpin(usize),
    /// Call a pin something else.
    RenamePin(usize, String),
    /// Point at an arm (or at none).
    Hover(Option<usize>),
    /// Make this arm the next one of the inspector's pair.
    Pick(usize),
    /// Set the inspector's pair.
    PickPair(Option<usize>, Option<usize>),
    /// Open a preset that is embedded in the program, by name.
    OpenPreset(String),
    /// Open an experiment that is already in memory.
    OpenExperiment(Box<Preset>),
    /// Open a file.
    OpenFile(PathBuf),
    /// Open again what was open before this experiment, changes included.
    OpenPrevious,
    /// Ask for the table that a bandit's reference or rewards are to be read from.
    ChooseTable(Role),
    /// Ask for a file to open.
    OpenDialog,
    /// Save to where it came from, or ask.
    Save,
    /// Ask where to save.
    SaveAs,
    /// Write the whole run to a folder that is asked for.
    SaveRun,
    /// Save a figure of what a plot shows: ask for a file (SVG, PNG, CSV by its ending).
    ExportFigure(Box<crate::figure::Figure>),
    /// Put a figure on the clipboard as a picture.
    CopyFigureImage(Box<crate::figure::Figure>),
    /// Put the experiment on the clipboard.
    Copy(TextCopy),
    /// Put text on the clipboard and say so.
    CopyText {
        /// The text.
        text: String,
        /// What it is, for the toast: "Preset copied".
        what: String,
    },
    /// Put the data of a figure on the clipboard as CSV.
    CopyFigureData(Box<crate::figure::Figure>),
    /// Ask a language model for its most likely next tokens.
    Probe {
        /// The user's turn, or the whole text when `raw`.
        prompt: String,
        /// No chat template.
        raw: bool,
        /// First words of the model's turn.
        prefill: String,
    },
    /// Write a checkpoint of a language model to a folder that is asked for.
    Checkpoint,
    /// Go on from a checkpoint that is asked for.
    GoOn,
    /// Go on from this checkpoint.
    GoOnFrom(PathBuf),
    /// Write a checkpoint of a loaded model after some minutes in any case, or leave it to the preset.
    KeepByTime(bool),
    /// Show a folder in the desktop's file manager.
    OpenFolder(PathBuf),
    /// Show another prompt of a language preset.
    ShowPrompt(usize),
    /// Put another task in the place of a language preset's and begin anew.
    Retask(Box<crate::experiment::LanguageSpec>),
    /// Try again to load what could not be loaded.
    LoadAgain,
    /// Show a short message.
    Notify(Notice),
    /// Open, close or switch something of the shell.
    Shell(ShellAction),
}

/// A form in which the experiment goes to the clipboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextCopy {
    /// The preset file.
    Ron,
    /// The `modescope run` command that repeats it.
    CommandLine,
}

/// A short message and how serious it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// Something went well.
    Done(String),
    /// Something the user should know.
    Info(String),
    /// Something failed; one line.
    Error(String),
}

/// Parts of the shell that open, close or switch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ShellAction {
    /// The command palette.
    Palette,
    /// The list of shortcuts.
    Shortcuts,
    /// The preset gallery.
    Gallery,
    /// The guided tour, from its first step.
    Tour,
    /// The log panel.
    Log,
    /// The phase diagram.
    Phase,
    /// The controls of the problem.
    Problem,
    /// Light or dark.
    ToggleTheme,
    /// Larger (> 0), smaller (< 0) or default (0) user interface.
    Zoom(i8),
    /// Panels back to their default places.
    ResetLayout,
    /// The about window.
    About,
    /// Close the window.
    Quit,
}
