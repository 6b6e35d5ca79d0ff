//! The transport: run, pause, step, reset, reseed; how fast; how far; and the timeline to go back on.

use std::time::Duration;

use egui::{Align, Layout, RichText, Ui};

use super::{
    headline::{number, status_word},
    timeline::Timeline,
};
use crate::{
    engine::{LanguageSnapshot, Snapshot, Speed, Status},
    experiment::StopRule,
    ui::{
        Action, View,
        commands::UiCommand,
        theme::Theme,
        widgets::icon::{Icon, icon_button},
    },
};

pub(crate) use crate::ui::widgets::number::grouped;

/// State of the transport.
pub(crate) struct Transport {
    /// Limit that comes back when the speed is limited again, in steps per second.
    limit: f64,
    limited: bool,
    /// Width that the limit took when it was last drawn.
    limit_width: f32,
    timeline: Timeline,
}

/// Sampling that takes longer than this is followed token by token.
const SLOW: Duration = Duration::from_millis(500);
/// The least width of the timeline.
const TIMELINE: f32 = 120.0;
/// Width of the buttons that stand beside the timeline while it shows an earlier step.
pub(super) const SCRUB_BUTTONS: f32 = 212.0;
/// Widths of what always stands there.
const STATUS: f32 = 54.0;
/// See `STATUS`.
const STEP: f32 = 92.0;
/// Width of the bar that shows how much of a run is done.
const DONE: f32 = 70.0;

/// What the bar may leave out, in the order in which it is left out last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Limit,
    Rate,
    TimeLeft,
    Elapsed,
    Tokens,
}

/// The parts that `room` holds, each with its width: from the most important one on, until one does not fit.
fn fitting(room: f32, parts: &[(Part, f32)]) -> Vec<Part> {
    let mut left = room;
    parts
        .iter()
        .take_while(|(_, width)| {
            left -= width;
            left >= 0.0
        })
        .map(|(part, _)| *part)
        .collect()
}

impl Default for Transport {
    fn default() -> Self {
        Self::new(Speed::Full)
    }
}

/// Limit offered where none was set, in steps per second.
const OFFERED_LIMIT: f64 = 300.0;

impl Transport {
    /// A transport that shows the speed at which training begins.
    pub(crate) fn new(speed: Speed) -> Self {
        let (limit, limited) = match speed {
            Speed::Full => (OFFERED_LIMIT, false),
            Speed::StepsPerSecond(limit) => (limit, true),
        };
        Self {
            limit,
            limited,
            limit_width: 150.0,
            timeline: Timeline::default(),
        }
    }

    /// Draws the transport as one bar.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        ui.horizontal_centered(|ui| {
            self.buttons(ui, view, actions);
            ui.separator();
            let shown = self.shown(ui, view);
            if shown.contains(&Part::Limit) {
                let limit = ui.horizontal(|ui| self.speed(ui, actions));
                self.limit_width = limit.response.rect.width();
                ui.separator();
            }
            progress(ui, view.snapshot, &shown);
            ui.separator();
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                self.timeline.ui(ui, view, actions)
            });
        });
    }

    /// What matters least goes first where the bar is short, so that the timeline keeps its place.
    fn shown(&self, ui: &Ui, view: &View) -> Vec<Part> {
        let gap = ui.spacing().item_spacing.x;
        let separator = 6.0 + 2.0 * gap;
        let snapshot = view.snapshot;
        let timeline = match view.scrub {
            Some(_) => TIMELINE + SCRUB_BUTTONS,
            None => TIMELINE,
        };
        let fixed = STATUS + STEP + 2.0 * gap + separator + timeline + 8.0;
        let mut parts = vec![
            (Part::Limit, self.limit_width + separator),
            (Part::Rate, 70.0 + gap),
        ];
        if towards_end(&snapshot.training.stop, snapshot).is_some() {
            parts.push((Part::TimeLeft, DONE + time_left_width(ui) + 2.0 * gap));
        }
        parts.push((Part::Elapsed, 76.0 + gap));
        if snapshot.language.is_some() {
            parts.push((Part::Tokens, 96.0 + gap));
        }
        fitting(ui.available_width() - fixed, &parts)
    }

    fn buttons(&self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let running = view.snapshot.status == Status::Running;
        let (icon, name) = if running {
            (Icon::Pause, "Pause training")
        } else {
            (Icon::Run, "Start training")
        };
        let mut button = |icon, name: &str, command: UiCommand| {
            let tip = format!("{}  {}", command.tip(), command.shortcut_text(ui.ctx()));
            if icon_button(ui, icon, name, &tip, true).clicked() {
                actions.push(command.action());
            }
        };
        button(icon, name, UiCommand::ToggleRun);
        button(Icon::Step, "One step", UiCommand::Step);
        button(Icon::Reset, "Reset", UiCommand::Reset);
        button(Icon::Dice, "Reseed", UiCommand::Reseed);
        button(Icon::Pin, "Pin this run", UiCommand::Pin);
    }

    fn speed(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let mut changed = false;
        let label = ui
            .checkbox(&mut self.limited, "Limit")
            .on_hover_text("Train at most this many steps per second, to watch what each does; off is as fast as the machine can");
        changed |= label.changed();
        let speed = self.limit * 0.02;
        let value = egui::DragValue::new(&mut self.limit)
            .range(0.2..=100_000.0)
            .speed(speed)
            .max_decimals(1)
            .suffix(" /s");
        let response = ui.add_enabled(self.limited, value).labelled_by(label.id);
        changed |= response.changed();
        if changed {
            actions.push(Action::SetSpeed(if self.limited {
                Speed::StepsPerSecond(self.limit)
            } else {
                Speed::Full
            }));
        }
    }
}

fn progress(ui: &mut Ui, snapshot: &Snapshot, shown: &[Part]) {
    let theme = Theme::of(ui);
    let color = match snapshot.status {
        Status::Running => theme.good,
        Status::Paused => theme.muted,
        Status::Finished => theme.accent,
        Status::Failed => theme.error,
    };
    let fixed = |ui: &mut Ui, width: f32, text: RichText, tip: &str| {
        ui.allocate_ui_with_layout(
            egui::vec2(width, ui.available_height()),
            Layout::left_to_right(Align::Center),
            |ui| {
                ui.set_width(width);
                ui.add(egui::Label::new(text).truncate()).on_hover_text(tip);
            },
        );
    };
    fixed(
        ui,
        STATUS,
        RichText::new(status_word(snapshot.status))
            .color(color)
            .strong(),
        "What the trainer is doing",
    );
    fixed(
        ui,
        STEP,
        RichText::new(format!("step {}", grouped(snapshot.step))),
        "Steps done",
    );
    let speed = match snapshot.status {
        Status::Running => format!("{} /s", rate(snapshot.steps_per_second)),
        Status::Paused | Status::Finished | Status::Failed => String::new(),
    };
    if shown.contains(&Part::Rate) {
        fixed(
            ui,
            70.0,
            RichText::new(speed).color(theme.muted),
            "Steps per second",
        );
    }
    if shown.contains(&Part::Elapsed) {
        fixed(
            ui,
            76.0,
            RichText::new(duration(snapshot.elapsed_secs)).color(theme.muted),
            "Time spent training, pauses not counted",
        );
    }
    if let Some(language) = &snapshot.language
        && shown.contains(&Part::Tokens)
    {
        let text = match snapshot.status {
            Status::Running if language.tokens_per_second >= 1e5 => {
                format!("{} k tokens/s", rate(language.tokens_per_second / 1e3))
            }
            Status::Running => format!("{} tokens/s", rate(language.tokens_per_second)),
            Status::Paused | Status::Finished | Status::Failed => String::new(),
        };
        if snapshot.status == Status::Running {
            // No snapshot comes within a step.
            ui.ctx().request_repaint_after(Duration::from_millis(250));
        }
        let (text, tip) = sampling(language, snapshot.status)
            .unwrap_or_else(|| (text, "Tokens sampled per second, recently".to_owned()));
        fixed(ui, 96.0, RichText::new(text).color(theme.muted), &tip);
    }
    if let Some((fraction, eta)) = towards_end(&snapshot.training.stop, snapshot)
        && shown.contains(&Part::TimeLeft)
    {
        let (eta, exact) = match (eta, snapshot.status) {
            (Some(secs), _) => (time_left(secs), format!("{} left", duration(secs))),
            (None, Status::Finished) => ("the end".to_owned(), "the end".to_owned()),
            // Nothing can be told before the first step, or while nothing happens.
            (None, Status::Running | Status::Paused | Status::Failed) => {
                (String::new(), String::new())
            }
        };
        ui.add(
            egui::ProgressBar::new(fraction as f32)
                .desired_width(DONE)
                .desired_height(6.0)
                .corner_radius(3),
        )
        .on_hover_text(format!("{:.0} % of the run, {exact}", 100.0 * fraction));
        let width = time_left_width(ui);
        fixed(
            ui,
            width,
            RichText::new(eta).color(theme.muted),
            &format!("{exact}\nTime left at the present speed"),
        );
    }
}

/// Where the sampling of a step is that takes its time, and the seconds that it may take still.
fn sampling(language: &LanguageSnapshot, status: Status) -> Option<(String, String)> {
    let at = (language.generating.so_far()).filter(|_| status == Status::Running)?;
    let spent = at.since.elapsed();
    if spent < SLOW {
        return None;
    }
    let left = if at.tokens == 0 {
        String::new()
    } else {
        let each = spent.as_secs_f64() / at.tokens as f64;
        let left = each * at.most.saturating_sub(at.tokens) as f64;
        format!(", at most {} left", duration(left))
    };
    let tip = format!(
        "This step's completions have {} of at most {} tokens{left}",
        at.tokens, at.most
    );
    Some((format!("token {} of {}", at.tokens, at.most), tip))
}

/// How far a run is towards its stop rule (0 to 1), and the seconds left where that can be told.
pub(crate) fn towards_end(stop: &StopRule, snapshot: &Snapshot) -> Option<(f64, Option<f64>)> {
    let by_steps = stop.steps.filter(|&steps| steps > 0).map(|steps| {
        let left = steps.saturating_sub(snapshot.step) as f64;
        let eta = (snapshot.steps_per_second > 0.0).then(|| left / snapshot.steps_per_second);
        (snapshot.step as f64 / steps as f64, eta)
    });
    let by_time = stop.seconds.filter(|&secs| secs > 0.0).map(|secs| {
        (
            snapshot.elapsed_secs / secs,
            Some((secs - snapshot.elapsed_secs).max(0.0)),
        )
    });
    [by_steps, by_time]
        .into_iter()
        .flatten()
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(fraction, eta)| (fraction.clamp(0.0, 1.0), eta))
}

/// "8 s left", "52 min left", "2 h 05 min left": as exact as the end of a run can be told.
fn time_left(secs: f64) -> String {
    if (60.0..3600.0).contains(&secs) {
        return format!("{} min left", (secs / 60.0) as u64);
    }
    if (0.0..60.0).contains(&secs) {
        return format!("{secs:.0} s left");
    }
    format!("{} left", duration(secs))
}

/// Room for every time left below a hundred hours.
fn time_left_width(ui: &Ui) -> f32 {
    let font = egui::TextStyle::Body.resolve(ui.style());
    let longest = "00 h 00 min left".to_owned();
    let galley = ui
        .painter()
        .layout_no_wrap(longest, font, egui::Color32::PLACEHOLDER);
    galley.size().x.ceil() + 2.0
}

/// Steps per second: whole and grouped, a decimal where slow.
fn rate(per_second: f64) -> String {
    if per_second >= 10.0 {
        grouped(per_second.round() as u64)
    } else {
        number(per_second)
    }
}

/// "8.2 s", "3 min 20 s", "2 h 05 min".
pub(crate) fn duration(secs: f64) -> String {
    if !secs.is_finite() || secs < 0.0 {
        "–".to_owned()
    } else if secs < 60.0 {
        format!("{secs:.1} s")
    } else if secs < 3600.0 {
        format!("{} min {:02} s", (secs / 60.0) as u64, secs as u64 % 60)
    } else {
        format!(
            "{} h {:02} min",
            (secs / 3600.0) as u64,
            (secs / 60.0) as u64 % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_in_two_units_at_most_and_without_seconds_from_a_minute_on() {
        let texts = [8.4, 59.0, 61.0, 3_125.0, 3_590.0, 7_500.0].map(time_left);
        let wanted = [
            "8 s left",
            "59 s left",
            "1 min left",
            "52 min left",
            "59 min left",
            "2 h 05 min left",
        ];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn the_least_important_parts_go_first() {
        let parts = [
            (Part::Limit, 100.0),
            (Part::TimeLeft, 150.0),
            (Part::Elapsed, 60.0),
            (Part::Tokens, 90.0),
        ];
        assert_eq!(fitting(400.0, &parts).len(), 4);
        assert_eq!(
            fitting(390.0, &parts),
            [Part::Limit, Part::TimeLeft, Part::Elapsed]
        );
        assert_eq!(fitting(300.0, &parts), [Part::Limit, Part::TimeLeft]);
        assert!(fitting(-5.0, &parts).is_empty());
    }
}
