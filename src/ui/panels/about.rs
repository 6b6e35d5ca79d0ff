//! Two small windows: the list of shortcuts, and what Modescope is.

use egui::{Context, Grid, RichText, ScrollArea, Window};

use crate::ui::commands::{Menu, UiCommand};

/// The list of every key, from the table of commands.
pub(crate) fn shortcuts_ui(ctx: &Context, open: &mut bool) {
    if !*open {
        return;
    }
    if ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::Escape)) {
        *open = false;
    }
    centred(ctx, "Keyboard shortcuts", open, 440.0, |ui| {
        for menu in Menu::ALL {
            let commands: Vec<_> = UiCommand::ALL
                .iter()
                .filter(|c| c.menu() == menu && !c.shortcuts().is_empty())
                .collect();
            ui.label(RichText::new(menu.title()).strong());
            Grid::new(menu.title())
                .num_columns(2)
                .striped(true)
                .min_col_width(190.0)
                .show(ui, |ui| {
                    for command in commands {
                        ui.label(command.name()).on_hover_text(command.tip());
                        ui.label(RichText::new(command.all_shortcuts_text(ui.ctx())).monospace());
                        ui.end_row();
                    }
                });
            ui.add_space(8.0);
        }
        ui.label(RichText::new("In plots and controls").strong());
        Grid::new("pointer")
            .num_columns(2)
            .striped(true)
            .min_col_width(190.0)
            .show(ui, |ui| {
                for (what, how) in [
                    ("Move between controls", "Tab, Shift+Tab"),
                    ("Press the control in focus", "Enter"),
                    ("Change the slider in focus", "Arrow keys"),
                    ("Type a value", "Click the number"),
                    ("Close a window", "Escape"),
                ] {
                    ui.label(what);
                    ui.label(RichText::new(how).monospace());
                    ui.end_row();
                }
            });
    });
}

/// What Modescope is, which version, and where its theory comes from.
pub(crate) fn about_ui(ctx: &Context, open: &mut bool) {
    if !*open {
        return;
    }
    if ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::Escape)) {
        *open = false;
    }
    centred(ctx, "About Modescope", open, 420.0, |ui| {
        ui.heading(concat!("Modescope ", env!("CARGO_PKG_VERSION")));
        ui.label("Which distribution does a KL-regularised objective ask for, does training reach it, and how many modes survive?");
        ui.add_space(8.0);
        ui.label("The theory follows GX-Chen, Prakash, Guo, Fergus and Ranganath, KL-Regularized Reinforcement Learning is Designed to Mode Collapse, arXiv 2510.20817.");
        ui.hyperlink_to(
            "arxiv.org/abs/2510.20817",
            "https://arxiv.org/abs/2510.20817",
        );
        ui.add_space(8.0);
        ui.label("Licensed under MIT or Apache-2.0, at your choice. Drawn with egui.");
    });
}

/// A window in the middle that scrolls where the screen is too small for it.
pub(crate) fn centred(
    ctx: &Context,
    title: &str,
    open: &mut bool,
    width: f32,
    contents: impl FnOnce(&mut egui::Ui),
) {
    let screen = ctx.content_rect();
    if screen.width() < 40.0 || screen.height() < 60.0 {
        return;
    }
    let width = width.min(screen.width() - 36.0).max(30.0);
    Window::new(title)
        .open(open)
        .collapsible(false)
        .resizable(false)
        .pivot(egui::Align2::CENTER_CENTER)
        .fixed_pos(screen.center())
        .max_height((screen.height() - 60.0).max(20.0))
        .show(ctx, |ui| {
            ui.set_width(width);
            ScrollArea::vertical()
                .max_height((screen.height() - 110.0).max(20.0))
                .min_scrolled_height((screen.height() - 110.0).max(20.0))
                .auto_shrink([false, true])
                .show(ui, contents);
        });
}
