//! The list of pins: earlier runs kept for comparison, drawn over the present one in their own colours.

use egui::{RichText, ScrollArea, Sense, Ui, vec2};

use super::{
    headline::{metric_value, number},
    transport::grouped,
};
use crate::{
    theory::Metric,
    ui::{
        Action, View,
        commands::UiCommand,
        theme::Theme,
        widgets::icon::{Icon, icon_button},
    },
};

/// State of the list: which pin is being renamed.
#[derive(Default)]
pub(crate) struct PinList {
    renaming: Option<(usize, String)>,
}

impl PinList {
    /// Draws the list into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        ui.horizontal_wrapped(|ui| {
            let tip = format!(
                "{}  {}",
                UiCommand::Pin.tip(),
                UiCommand::Pin.shortcut_text(ui.ctx())
            );
            if ui.button("Pin now").on_hover_text(tip).clicked() {
                actions.push(Action::Pin);
            }
            if view.pins.is_empty() {
                ui.weak("Pin a run, change something, and see both policies in one plot");
            }
        });
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            for (index, pin) in view.pins.iter().enumerate() {
                ui.push_id(index, |ui| self.pin_ui(ui, index, (pin, view), actions));
            }
        });
    }

    fn pin_ui(
        &mut self,
        ui: &mut Ui,
        index: usize,
        (pin, view): (&crate::ui::Pin, &View),
        actions: &mut Vec<Action>,
    ) {
        let theme = Theme::of(ui);
        ui.horizontal(|ui| {
            let (icon, verb) = if pin.visible {
                (Icon::Eye, "Hide")
            } else {
                (Icon::EyeShut, "Show")
            };
            if icon_button(
                ui,
                icon,
                &format!("{verb} {}", pin.label),
                "Draw this pin or not",
                true,
            )
            .clicked()
            {
                actions.push(Action::TogglePin(index));
            }
            if icon_button(
                ui,
                Icon::Cross,
                &format!("Remove {}", pin.label),
                "Forget this pin",
                true,
            )
            .clicked()
            {
                actions.push(Action::Unpin(index));
            }
            let (swatch, _) = ui.allocate_exact_size(vec2(14.0, 10.0), Sense::hover());
            ui.painter()
                .rect_filled(swatch, 2.0, Theme::PINS[index % Theme::PINS.len()]);
            match &mut self.renaming {
                Some((which, text)) if *which == index => {
                    let field = ui.add(
                        egui::TextEdit::singleline(text)
                            .desired_width(160.0)
                            .hint_text("Name of the pin"),
                    );
                    if field.lost_focus() {
                        actions.push(Action::RenamePin(index, std::mem::take(text)));
                        self.renaming = None;
                    } else {
                        field.request_focus();
                    }
                }
                _ => {
                    let label = ui
                        .add(
                            egui::Label::new(view.pin_label(pin))
                                .truncate()
                                .sense(Sense::click()),
                        )
                        .on_hover_text("Click to rename");
                    if label.clicked() {
                        self.renaming = Some((index, pin.label.clone()));
                    }
                }
            }
        });
        let metrics = &pin.run.metrics;
        let other = if view.has_arms_of(pin) {
            ""
        } else {
            "other arms, "
        };
        let line = format!(
            "{other}step {}, E[R] {}, effective modes {}, TV to target {}",
            grouped(pin.run.step),
            number(metrics.get(Metric::ExpectedReward)),
            number(metrics.get(Metric::EffectiveModes)),
            number(metric_value(
                Metric::TvToTarget,
                metrics.get(Metric::TvToTarget)
            )),
        );
        ui.add(egui::Label::new(RichText::new(line).small().color(theme.muted)).truncate());
    }
}
