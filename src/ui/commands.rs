//! Everything a key, the menu or the palette can ask for: one table feeds all three and the shortcut list.

use egui::{Key, KeyboardShortcut, Modifiers};

use super::{Action, ShellAction, action::TextCopy};

/// The menu that lists a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Menu {
    /// Open, save, quit.
    File,
    /// Undo, redo, copy.
    Edit,
    /// Panels, theme, size.
    View,
    /// Transport.
    Run,
    /// Learn.
    Help,
}

impl Menu {
    /// The menus, left to right.
    pub(crate) const ALL: [Self; 5] = [Self::File, Self::Edit, Self::View, Self::Run, Self::Help];

    /// Its title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::File => "File",
            Self::Edit => "Edit",
            Self::View => "View",
            Self::Run => "Run",
            Self::Help => "Help",
        }
    }
}

macro_rules! commands {
    ($($variant:ident, $menu:ident, $name:literal, $tip:literal, [$($key:expr),*], $action:expr;)+) => {
        /// One command of the window.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum UiCommand { $(#[doc = $tip] $variant,)+ }

        impl UiCommand {
            /// Every command, in the order of the menus.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in menus, palette and shortcut list.
            pub(crate) fn name(self) -> &'static str { match self { $(Self::$variant => $name,)+ } }

            /// What it does, in a line.
            pub(crate) fn tip(self) -> &'static str { match self { $(Self::$variant => $tip,)+ } }

            /// The menu that lists it.
            pub(crate) fn menu(self) -> Menu { match self { $(Self::$variant => Menu::$menu,)+ } }

            /// Its keys, the first one shown in menus.
            pub(crate) fn shortcuts(self) -> &'static [KeyboardShortcut] {
                match self { $(Self::$variant => const { &[$($key),*] },)+ }
            }

            /// What to carry out.
            pub(crate) fn action(self) -> Action { match self { $(Self::$variant => $action,)+ } }
        }
    };
}

const fn key(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

const fn ctrl(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

const fn ctrl_shift(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), key)
}

const fn shift(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::SHIFT, key)
}

commands! {
    Gallery, File, "Presets…", "Browse the built-in experiments", [key(Key::G)], Action::Shell(ShellAction::Gallery);
    Open, File, "Open…", "Open an experiment (.ron) or a table of rewards (.csv)", [ctrl(Key::O)], Action::OpenDialog;
    Previous, File, "Reopen previous", "Open again what was open before, with its changes", [ctrl_shift(Key::T)], Action::OpenPrevious;
    Save, File, "Save", "Save the experiment to its file", [ctrl(Key::S)], Action::Save;
    SaveAs, File, "Save as…", "Save the experiment to another file", [ctrl_shift(Key::S)], Action::SaveAs;
    SaveRun, File, "Save run…", "Write preset, journal, metrics and policy of this run to a folder", [], Action::SaveRun;
    Quit, File, "Quit", "Close the window", [ctrl(Key::Q)], Action::Shell(ShellAction::Quit);

    Undo, Edit, "Undo", "Take back the last change of the experiment", [ctrl(Key::Z)], Action::Undo;
    Redo, Edit, "Redo", "Do the last undone change again", [ctrl_shift(Key::Z), ctrl(Key::Y)], Action::Redo;
    CopyRon, Edit, "Copy preset as RON", "Put the experiment on the clipboard as a preset file", [ctrl_shift(Key::C)], Action::Copy(TextCopy::Ron);
    CopyCommandLine, Edit, "Copy as command line", "Put the modescope run command that repeats this experiment on the clipboard", [], Action::Copy(TextCopy::CommandLine);

    Problem, Edit, "Arms, reference and rewards", "Show the controls of the problem: its arms, and where reference and rewards come from", [], Action::Shell(ShellAction::Problem);

    Palette, View, "Command palette", "Find any command or preset by typing", [ctrl(Key::P), ctrl(Key::K)], Action::Shell(ShellAction::Palette);
    Log, View, "Log", "Show what happened, with times", [key(Key::L)], Action::Shell(ShellAction::Log);
    Theme, View, "Light or dark", "Switch between the light and the dark theme", [key(Key::T)], Action::Shell(ShellAction::ToggleTheme);
    ZoomIn, View, "Larger", "Everything larger, up to 300 %", [ctrl(Key::Plus), ctrl(Key::Equals)], Action::Shell(ShellAction::Zoom(1));
    ZoomOut, View, "Smaller", "Everything smaller, down to 50 %", [ctrl(Key::Minus)], Action::Shell(ShellAction::Zoom(-1));
    ZoomReset, View, "Normal size", "Back to 100 %", [ctrl(Key::Num0)], Action::Shell(ShellAction::Zoom(0));
    ResetLayout, View, "Reset layout", "Put every panel back to its default place", [], Action::Shell(ShellAction::ResetLayout);

    ToggleRun, Run, "Run or pause", "Train, or stop at the next step", [key(Key::Space)], Action::ToggleRun;
    Step, Run, "One step", "Pause, then train one step", [key(Key::Period)], Action::Step(1);
    StepTen, Run, "Ten steps", "Pause, then train ten steps", [shift(Key::Period)], Action::Step(10);
    Reset, Run, "Reset", "Back to step 0 with the same seed", [key(Key::R)], Action::Reset;
    Reseed, Run, "Reseed", "Back to step 0 with the next seed", [shift(Key::R)], Action::Reseed;
    Pin, Run, "Pin this run", "Keep the current policy to compare with", [key(Key::P)], Action::Pin;
    Checkpoint, Run, "Checkpoint now…", "Write a language model (or its LoRA adapter) and the optimiser's state to a folder", [], Action::Checkpoint;
    GoOn, Run, "Go on from checkpoint…", "Continue a language preset from a checkpoint of it, optimiser and random numbers included", [], Action::GoOn;
    Live, Run, "Back to live", "Leave the timeline and follow the run again", [key(Key::End)], Action::Scrub(None);

    Tour, Help, "Guided tour", "Six steps through the idea, on the real controls", [], Action::Shell(ShellAction::Tour);
    Shortcuts, Help, "Keyboard shortcuts", "List every key", [key(Key::Questionmark), key(Key::F1)], Action::Shell(ShellAction::Shortcuts);
    About, Help, "About Modescope", "Version, paper and licences", [], Action::Shell(ShellAction::About);
}

impl UiCommand {
    /// The first shortcut in the notation of the system, empty if there is none.
    pub(crate) fn shortcut_text(self, ctx: &egui::Context) -> String {
        self.shortcuts()
            .first()
            .map_or_else(String::new, |shortcut| text(ctx, shortcut))
    }

    /// Every shortcut, "Ctrl+P or Ctrl+K".
    pub(crate) fn all_shortcuts_text(self, ctx: &egui::Context) -> String {
        let all: Vec<String> = self
            .shortcuts()
            .iter()
            .map(|shortcut| text(ctx, shortcut))
            .collect();
        all.join(" or ")
    }
}

fn text(ctx: &egui::Context, shortcut: &KeyboardShortcut) -> String {
    match shortcut.logical_key {
        Key::Questionmark => "?".to_owned(),
        Key::Period if shortcut.modifiers.is_none() => ".".to_owned(),
        _ => ctx.format_shortcut(shortcut),
    }
}

/// The commands whose keys were pressed since the last frame. While a text field has the focus, plain keys belong to it,
/// and so do the keys that edit text.
pub(crate) fn pressed(ctx: &egui::Context) -> Vec<UiCommand> {
    let typing = ctx.text_edit_focused();
    let mut found = Vec::new();
    ctx.input_mut(|input| {
        // More modifiers first: Ctrl+Shift+Z must not count as Ctrl+Z.
        let mut candidates: Vec<(UiCommand, KeyboardShortcut)> = UiCommand::ALL
            .iter()
            .flat_map(|&command| command.shortcuts().iter().map(move |&s| (command, s)))
            .filter(|(command, shortcut)| !typing || reaches_past_text(*command, shortcut))
            .collect();
        candidates.sort_by_key(|(_, s)| u8::from(!s.modifiers.shift));
        for (command, shortcut) in candidates {
            if consume(input, &shortcut) {
                found.push(command);
            }
        }
    });
    found
}

fn reaches_past_text(command: UiCommand, shortcut: &KeyboardShortcut) -> bool {
    match command {
        UiCommand::Undo | UiCommand::Redo | UiCommand::CopyRon => false,
        _ => shortcut.modifiers.command || shortcut.logical_key == Key::F1,
    }
}

/// Like egui's `consume_shortcut`, but a plain key needs to come without Ctrl and Alt, and `?` and `+` may need Shift.
fn consume(input: &mut egui::InputState, shortcut: &KeyboardShortcut) -> bool {
    let wants = shortcut.modifiers;
    let shifted_symbol = matches!(shortcut.logical_key, Key::Questionmark | Key::Plus);
    let mut hit = false;
    input.events.retain(|event| {
        let egui::Event::Key {
            key,
            pressed: true,
            repeat,
            modifiers,
            ..
        } = event
        else {
            return true;
        };
        let matches = *key == shortcut.logical_key
            && modifiers.alt == wants.alt
            && (modifiers.command || modifiers.ctrl) == wants.command
            && (shifted_symbol || modifiers.shift == wants.shift);
        if !matches {
            return true;
        }
        let repeats = matches!(
            shortcut.logical_key,
            Key::Period | Key::Z | Key::Y | Key::Plus | Key::Minus
        );
        hit |= !repeat || repeats;
        false
    });
    hit
}

#[cfg(test)]
mod tests {
    use super::UiCommand;

    #[test]
    fn no_two_commands_share_a_key_or_a_name() {
        let mut keys = Vec::new();
        let mut names = Vec::new();
        for command in UiCommand::ALL {
            for shortcut in command.shortcuts() {
                assert!(
                    !keys.contains(shortcut),
                    "{command:?} uses {shortcut:?} again"
                );
                keys.push(*shortcut);
            }
            assert!(
                !names.contains(&command.name()),
                "{command:?} has a name twice"
            );
            names.push(command.name());
        }
    }
}
