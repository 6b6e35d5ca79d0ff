//! The menu that every plot has: export, copy as a picture, copy the data. A small button in the plot's header, and the
//! same entries under a right click on the plot. The figure is built only when an entry is chosen, in dark colours or not:
//! files are light, as paper is, unless dark ones are asked for; a copied picture looks like the window.

use egui::{Response, Ui};

use crate::{figure::Figure, ui::Action};

/// A "…" button with the entries. `name` says which plot ("main plot"), for screen readers and tests.
pub(crate) fn plot_menu(
    ui: &mut Ui,
    name: &str,
    actions: &mut Vec<Action>,
    figure: impl FnOnce(bool) -> Figure,
) {
    let (button, _) =
        egui::containers::menu::MenuButton::new("…").ui(ui, |ui| entries(ui, actions, figure));
    button
        .accessible_name(format!("Export {name}"))
        .on_hover_text("Export or copy this plot");
}

/// The same entries under a right click on the plot itself.
pub(crate) fn plot_context_menu(
    response: &Response,
    actions: &mut Vec<Action>,
    figure: impl FnOnce(bool) -> Figure,
) {
    response.context_menu(|ui| entries(ui, actions, figure));
}

/// The entries alone, for a plot whose own context menu has more to offer.
pub(crate) fn entries(ui: &mut Ui, actions: &mut Vec<Action>, figure: impl FnOnce(bool) -> Figure) {
    let dark = ui.visuals().dark_mode;
    let export = ui
        .button("Export…")
        .on_hover_text("SVG, PNG or CSV of exactly what is shown, in light colours for papers");
    let export_dark = dark.then(|| {
        ui.button("Export dark…")
            .on_hover_text("The same in the dark colours of the window")
    });
    let image = ui
        .button("Copy image")
        .on_hover_text("A picture in the colours of the window");
    let data = ui
        .button("Copy data")
        .on_hover_text("The numbers shown, as CSV");
    if export.clicked() {
        actions.push(Action::ExportFigure(Box::new(figure(false))));
    } else if export_dark.is_some_and(|button| button.clicked()) {
        actions.push(Action::ExportFigure(Box::new(figure(true))));
    } else if image.clicked() {
        actions.push(Action::CopyFigureImage(Box::new(figure(dark))));
    } else if data.clicked() {
        actions.push(Action::CopyFigureData(Box::new(figure(dark))));
    } else {
        return;
    }
    ui.close();
}
