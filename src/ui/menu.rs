//! The menu bar, from the table of commands.

use egui::{
    Button, RichText, Ui,
    containers::menu::{MenuBar, MenuButton},
};

use super::{
    Workbench,
    action::Action,
    commands::{Menu, UiCommand},
    document::Origin,
    layout::Pane,
};

/// Draws the menu bar, with the experiment's name at its right.
pub(super) fn menu_ui(workbench: &mut Workbench, ui: &mut Ui, actions: &mut Vec<Action>) {
    MenuBar::new().ui(ui, |ui| {
        for menu in Menu::ALL {
            MenuButton::new(menu.title()).ui(ui, |ui| {
                ui.set_min_width(210.0);
                for &command in UiCommand::ALL
                    .iter()
                    .filter(|command| command.menu() == menu)
                {
                    if starts_group(command) {
                        ui.separator();
                    }
                    command_ui(workbench, ui, command, actions);
                    if command == UiCommand::Open {
                        recent_ui(workbench, ui, actions);
                    }
                }
                if menu == Menu::View {
                    ui.separator();
                    panes_ui(workbench, ui);
                }
            });
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let (name, from) = match workbench.document.origin() {
                Origin::Untitled => (
                    "not saved yet".to_owned(),
                    "This experiment has no file yet".to_owned(),
                ),
                Origin::Builtin(name) => (name.clone(), format!("Built-in preset {name}")),
                Origin::File(path) | Origin::Table(path) => {
                    let name = path.file_name().unwrap_or(path.as_os_str());
                    (
                        name.to_string_lossy().into_owned(),
                        path.display().to_string(),
                    )
                }
            };
            let dirty = workbench.document.is_dirty();
            let (text, tip) = if dirty {
                (
                    format!("{name}, changed"),
                    format!("{from}\nThere are unsaved changes"),
                )
            } else {
                (name, from)
            };
            ui.add(egui::Label::new(RichText::new(text).weak()).truncate())
                .on_hover_text(tip);
        });
    });
}

fn starts_group(command: UiCommand) -> bool {
    matches!(
        command,
        UiCommand::Save
            | UiCommand::Quit
            | UiCommand::CopyRon
            | UiCommand::Theme
            | UiCommand::Reset
            | UiCommand::Pin
            | UiCommand::About
    )
}

fn command_ui(workbench: &Workbench, ui: &mut Ui, command: UiCommand, actions: &mut Vec<Action>) {
    let language = workbench.preset().language.is_some();
    let enabled = match command {
        UiCommand::Checkpoint | UiCommand::GoOn => language,
        UiCommand::Undo => workbench.document.can_undo(),
        UiCommand::Redo => workbench.document.can_redo(),
        UiCommand::Previous => workbench.previous.is_some(),
        UiCommand::Live => workbench.scrub.is_some(),
        _ => true,
    };
    let button = Button::new(command.name()).shortcut_text(command.shortcut_text(ui.ctx()));
    if ui
        .add_enabled(enabled, button)
        .on_hover_text(command.tip())
        .on_disabled_hover_text(why_not(command))
        .clicked()
    {
        actions.push(command.action());
        ui.close();
    }
}

/// Why a command cannot be given now.
fn why_not(command: UiCommand) -> &'static str {
    match command {
        UiCommand::Checkpoint | UiCommand::GoOn => {
            "Only runs that train a language model have checkpoints"
        }
        UiCommand::Live => "The latest step is shown already",
        UiCommand::Previous => "Nothing was open before",
        UiCommand::Undo => "There is nothing to undo",
        UiCommand::Redo => "There is nothing to redo",
        _ => command.tip(),
    }
}

fn recent_ui(workbench: &Workbench, ui: &mut Ui, actions: &mut Vec<Action>) {
    ui.add_enabled_ui(!workbench.recent.is_empty(), |ui| {
        ui.menu_button("Open recent", |ui| {
            for path in &workbench.recent {
                let name = path
                    .file_name()
                    .unwrap_or(path.as_os_str())
                    .to_string_lossy();
                if ui
                    .button(name)
                    .on_hover_text(path.display().to_string())
                    .clicked()
                {
                    actions.push(Action::OpenFile(path.clone()));
                    ui.close();
                }
            }
        });
    });
}

fn panes_ui(workbench: &mut Workbench, ui: &mut Ui) {
    let language = workbench.preset().language.is_some();
    let tree = workbench.layouts.own(language);
    for pane in Pane::of_run(language) {
        let Some(id) = tree.tiles.find_pane(&pane) else {
            continue;
        };
        let mut visible = tree.is_visible(id);
        if ui.checkbox(&mut visible, pane.title()).changed() {
            tree.set_visible(id, visible);
        }
    }
}
