//! The log: what happened, with times since the window opened.

use egui::{RichText, ScrollArea, Ui};

use crate::ui::{
    action::{Action, Notice},
    theme::Theme,
};

/// The log keeps this many lines.
const LINES: usize = 1000;

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Info,
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Error => "error",
        }
    }
}

/// What happened since the window opened, and how much of it is shown.
#[derive(Default)]
pub(crate) struct LogPanel {
    lines: std::collections::VecDeque<(f64, Level, String)>,
    errors_only: bool,
}

impl LogPanel {
    /// Adds a line at `time` (seconds since the window opened).
    pub(crate) fn push(&mut self, time_secs: f64, notice: &Notice) {
        let (level, text) = match notice {
            Notice::Done(text) | Notice::Info(text) => (Level::Info, text),
            Notice::Error(text) => (Level::Error, text),
        };
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back((time_secs, level, text.clone()));
    }

    /// Draws the log into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let theme = Theme::of(ui);
        ui.horizontal(|ui| {
            ui.checkbox(&mut self.errors_only, "Errors only");
            if ui
                .button("Copy")
                .on_hover_text("Put the whole log on the clipboard")
                .clicked()
            {
                let lines: Vec<String> = self
                    .lines
                    .iter()
                    .map(|(time, level, text)| {
                        format!("{}  {}  {text}", clock(*time), level.word())
                    })
                    .collect();
                actions.push(Action::CopyText {
                    text: lines.join("\n"),
                    what: "Log copied".to_owned(),
                });
            }
            if ui.button("Clear").clicked() {
                self.lines.clear();
            }
        });
        let shown: Vec<_> = self
            .lines
            .iter()
            .filter(|(_, level, _)| !self.errors_only || *level == Level::Error)
            .collect();
        if shown.is_empty() {
            ui.weak("Nothing yet");
            return;
        }
        ScrollArea::vertical()
            .auto_shrink(false)
            .stick_to_bottom(true)
            .show(ui, |ui| {
                for (time, level, text) in shown {
                    ui.horizontal_top(|ui| {
                        ui.label(RichText::new(clock(*time)).monospace().color(theme.muted));
                        let text = match level {
                            Level::Info => RichText::new(text),
                            Level::Error => RichText::new(text).color(theme.error),
                        };
                        ui.add(egui::Label::new(text).wrap().selectable(true));
                    });
                }
            });
    }
}

/// "01:02.3" since the window opened.
fn clock(secs: f64) -> String {
    let minutes = (secs / 60.0).floor();
    format!("{minutes:02}:{:04.1}", secs - 60.0 * minutes)
}
