//! What a language model said in the last batch: a table of its distinct completions, sorted and searched, and one of them
//! token by token, with what training has done to each token.

mod credit;
mod order;
#[cfg(test)]
mod tests;

pub(super) use self::credit::percent;

use std::sync::Arc;

use egui::{Align, Color32, Label, Layout, RichText, Sense, TextEdit, TextWrapMode, Ui};
use egui_extras::{Column as Width, TableBuilder, TableRow};

use self::order::{Column, Order};
use crate::{
    engine::{LanguageSnapshot, Status},
    lm::SampleRecord,
    theory::sampled::{self, Estimate},
    ui::{
        Action, Theme, View,
        widgets::number::{number, significant},
    },
};

/// State of the table and of the view of one completion.
#[derive(Default)]
pub(crate) struct Samples {
    query: String,
    order: Order,
    /// The batch that is kept still, if one is.
    held: Option<Arc<[SampleRecord]>>,
    /// The completion that is looked at; without one the most frequent.
    picked: Option<SampleRecord>,
}

impl Samples {
    /// Draws the table into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let Some(language) = &view.snapshot.language else {
            ui.weak("Completions of a language model appear here once it has done a step");
            return;
        };
        ui.horizontal_wrapped(|ui| self.header_ui(ui, language, actions));
        let batch = self.batch(language);
        if batch.is_empty() {
            nothing_ui(ui, view);
            return;
        }
        let shown = self.order.rows(&batch, &self.query);
        if shown.is_empty() {
            ui.weak("No completion has this in it");
            return;
        }
        self.table_ui(ui, view, &batch, &shown);
    }

    /// Draws one completion token by token into the whole of `ui`.
    pub(crate) fn credit_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let Some(language) = &view.snapshot.language else {
            ui.weak("A completion of a language model, token by token, appears here");
            return;
        };
        let batch = self.batch(language);
        let found = match &self.picked {
            Some(picked) => batch.iter().find(|sample| same(sample, picked)),
            None => batch.first(),
        };
        match (found, &self.picked) {
            (Some(sample), _) => credit::credit_ui(ui, view, sample, true, actions),
            (None, Some(picked)) => credit::credit_ui(ui, view, picked, false, actions),
            (None, None) => {
                nothing_ui(ui, view);
            }
        }
    }

    /// Forgets what belongs to another run.
    pub(crate) fn forget(&mut self) {
        self.held = None;
        self.picked = None;
    }

    fn batch(&self, language: &LanguageSnapshot) -> Arc<[SampleRecord]> {
        self.held
            .clone()
            .unwrap_or_else(|| language.samples.clone())
    }

    fn header_ui(&mut self, ui: &mut Ui, language: &LanguageSnapshot, actions: &mut Vec<Action>) {
        let theme = Theme::of(ui);
        ui.add(
            TextEdit::singleline(&mut self.query)
                .hint_text("Search completions")
                .desired_width(150.0),
        )
        .accessible_name("Search completions");
        let mut hold = self.held.is_some();
        if ui
            .checkbox(&mut hold, "Hold")
            .on_hover_text("Keep this batch to read it, while training goes on")
            .changed()
        {
            self.held = hold.then(|| language.samples.clone());
        }
        if ui
            .button("Copy")
            .on_hover_text("Put the table on the clipboard as CSV")
            .clicked()
        {
            actions.push(Action::CopyText {
                text: as_csv(&self.batch(language)),
                what: "Samples copied".to_owned(),
            });
        }
        let batch = self.batch(language);
        let total: u64 = batch.iter().map(|sample| u64::from(sample.count)).sum();
        let small = |text: String| RichText::new(text).small().color(theme.muted);
        ui.label(small(format!("{} distinct of {total}", batch.len())))
            .on_hover_text("Identical completions are computed once and weighed by their number");
        if total > 0 {
            let (reward, valid) = estimates(&batch, language);
            for (name, estimate, tip) in [
                ("R", reward, "Mean effective reward of the batch"),
                (
                    "valid",
                    valid,
                    "Share of the batch that is an acceptable answer",
                ),
            ] {
                let text = format!(
                    "{name} {} ± {}",
                    significant(estimate.value, 3),
                    significant(estimate.standard_error, 2)
                );
                ui.label(small(text))
                    .on_hover_text(format!("{tip}, with its Monte-Carlo standard error"));
            }
        }
        if let Some(facts) = &language.facts
            && facts.flat_tokens > 0
        {
            let share = facts.tree_nodes as f64 / facts.flat_tokens as f64;
            ui.label(small(format!(
                "{} of {} tokens",
                facts.tree_nodes, facts.flat_tokens
            )))
            .on_hover_text(format!(
                "Prompts and completions are merged into a prefix tree and each node is computed once: {} % of the tokens",
                significant(100.0 * share, 3)
            ));
        }
    }

    fn table_ui(&mut self, ui: &mut Ui, view: &View, batch: &Arc<[SampleRecord]>, shown: &[usize]) {
        let theme = Theme::of(ui);
        let total: u64 = batch.iter().map(|sample| u64::from(sample.count)).sum();
        let prompts = batch.iter().any(|sample| sample.prompt > 0);
        let columns: Vec<Column> = Column::ALL
            .into_iter()
            .filter(|column| match column {
                Column::Prompt => prompts,
                Column::Bonus => batch.iter().any(|sample| sample.bonus != 0.0),
                _ => true,
            })
            .collect();
        let picked = self.picked.as_ref().or_else(|| batch.first()).cloned();
        let mut chosen = None;
        let mut sort = None;
        let others: f32 = columns.iter().skip(1).map(|column| column.width()).sum();
        let width = ui.available_width() - others - 6.0;
        let text = |gap: f32| width - gap * columns.len() as f32;
        // A narrow pane has narrow gaps before it scrolls.
        let usual = ui.spacing().item_spacing.x;
        let gap = if text(usual) < Column::Text.width() {
            usual.min(3.0)
        } else {
            usual
        };
        let text = text(gap);
        egui::ScrollArea::horizontal().show(ui, |ui| {
            ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
            ui.spacing_mut().item_spacing.x = gap;
            let mut table = TableBuilder::new(ui)
                .id_salt("samples")
                .striped(true)
                .sense(Sense::click())
                .auto_shrink([false, false])
                .cell_layout(Layout::left_to_right(Align::Center));
            for column in &columns {
                table = table.column(match column {
                    // What the pane has left.
                    Column::Text => Width::exact(text.max(column.width())).clip(true),
                    _ => Width::exact(column.width()),
                });
            }
            table
                .header(20.0, |mut header| {
                    for &column in &columns {
                        header.col(|ui| {
                            if self.order.heading_ui(ui, column, &theme) {
                                sort = Some(column);
                            }
                        });
                    }
                })
                .body(|body| {
                    body.rows(20.0, shown.len(), |mut row| {
                        let Some(sample) = shown.get(row.index()).and_then(|&at| batch.get(at))
                        else {
                            return;
                        };
                        let selected = picked.as_ref().is_some_and(|other| same(sample, other));
                        row.set_selected(selected);
                        for &column in &columns {
                            cell_ui(&mut row, column, sample, view, total, &theme);
                        }
                        let response = row.response();
                        let spoken = spoken(sample, view);
                        response.widget_info(|| {
                            egui::WidgetInfo::selected(
                                egui::Role::Row,
                                true,
                                selected,
                                spoken.clone(),
                            )
                        });
                        if response.clicked() {
                            chosen = Some(sample.clone());
                        }
                    });
                });
        });
        if let Some(column) = sort {
            self.order.by(column);
        }
        if chosen.is_some() {
            self.picked = chosen;
        }
    }
}

/// Mean effective reward of a batch, and the share of it that is an acceptable answer.
fn estimates(batch: &[SampleRecord], language: &LanguageSnapshot) -> (Estimate, Estimate) {
    let counts: Vec<u32> = batch.iter().map(|sample| sample.count).collect();
    let rewards: Vec<f64> = batch.iter().map(|sample| sample.reward).collect();
    let answers = |prompt: usize| {
        let prompts = &language.spec.prompts;
        prompts.get(prompt).map_or(0, |task| task.answers.len())
    };
    let valid: Vec<f64> = batch
        .iter()
        .map(|sample| f64::from(u8::from(sample.arm < answers(sample.prompt))))
        .collect();
    (
        sampled::mean_of(&counts, &rewards),
        sampled::mean_of(&counts, &valid),
    )
}

fn nothing_ui(ui: &mut Ui, view: &View) {
    ui.weak(match view.snapshot.status {
        Status::Running => "The first step is on its way",
        Status::Paused | Status::Finished | Status::Failed => {
            "Nothing sampled yet; Space starts training"
        }
    });
}

/// The same completion of the same prompt.
fn same(a: &SampleRecord, b: &SampleRecord) -> bool {
    a.prompt == b.prompt && a.tokens == b.tokens
}

fn cell_ui(
    row: &mut TableRow<'_, '_>,
    column: Column,
    sample: &SampleRecord,
    view: &View,
    total: u64,
    theme: &Theme,
) {
    let figure = |row: &mut TableRow<'_, '_>, text: String, color: Option<Color32>| {
        row.col(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let text = RichText::new(text).monospace();
                ui.label(match color {
                    Some(color) => text.color(color),
                    None => text,
                });
            });
        });
    };
    match column {
        Column::Text => {
            row.col(|ui| {
                let text = RichText::new(visible(&sample.text)).monospace();
                let cut = if sample.ended { "" } else { " …" };
                ui.add(Label::new(text).truncate())
                    .on_hover_text(format!("“{}”{cut}", sample.text));
                if !sample.ended {
                    ui.weak("…").on_hover_text("Ran into the length limit");
                }
            });
        }
        Column::Prompt => {
            row.col(|ui| {
                ui.label(RichText::new((sample.prompt + 1).to_string()).monospace());
            });
        }
        Column::Answer => {
            row.col(|ui| {
                let text = answer(sample, view);
                let right = is_answer(sample, view);
                let text = RichText::new(text).color(if right { theme.good } else { theme.muted });
                ui.add(Label::new(text).truncate());
            });
        }
        Column::Count => {
            row.col(|ui| {
                let share = f64::from(sample.count) / total.max(1) as f64;
                let rect = ui.available_rect_before_wrap();
                let width = rect.width() * share as f32;
                let bar = egui::Rect::from_min_size(
                    rect.min + egui::vec2(0.0, 2.0),
                    egui::vec2(width, rect.height() - 4.0),
                );
                ui.painter()
                    .rect_filled(bar, 2.0, theme.samples.gamma_multiply(0.35));
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let text = format!("{} · {:.0} %", sample.count, 100.0 * share);
                    ui.label(RichText::new(text).monospace())
                        .on_hover_text(format!(
                            "{} ± {} of the samples, Monte-Carlo standard error",
                            number(share),
                            significant(
                                sampled::share(sample.count.into(), total).standard_error,
                                2
                            )
                        ));
                });
            });
        }
        Column::Reward => figure(row, number(sample.reward), None),
        Column::Bonus => figure(row, fixed(sample.bonus), Some(theme.augmented)),
        Column::Advantage => {
            let color = (sample.advantage <= -LEAST).then_some(theme.target);
            figure(row, fixed(sample.advantage), color);
        }
        Column::LogPolicy => figure(row, fixed(sample.log_prob), None),
        Column::LogReference => figure(row, fixed(sample.log_reference), None),
        Column::LogRatio => {
            let ratio = sample.log_prob - sample.log_reference;
            figure(row, fixed(ratio), Some(credit::color(ratio, theme)));
        }
    }
}

/// What three decimals can show.
const LEAST: f64 = 5e-4;

/// Three decimals, a real minus sign, none on zero.
fn fixed(value: f64) -> String {
    if value.abs() < LEAST {
        "0.000".to_owned()
    } else if value.is_finite() {
        format!("{value:.3}").replace('-', "−")
    } else {
        number(value)
    }
}

/// The arm that a completion counts as.
fn answer(sample: &SampleRecord, view: &View) -> String {
    if let Some(label) = &sample.label {
        return label.to_string();
    }
    let prompts = view.preset.language.as_ref().map(|spec| &spec.prompts);
    let known = prompts
        .and_then(|prompts| prompts.get(sample.prompt))
        .and_then(|prompt| prompt.answers.get(sample.arm));
    known.map_or_else(
        || crate::experiment::OTHER.to_owned(),
        |answer| answer.label.clone().unwrap_or_else(|| answer.text.clone()),
    )
}

fn is_answer(sample: &SampleRecord, view: &View) -> bool {
    view.preset
        .language
        .as_ref()
        .and_then(|spec| spec.prompts.get(sample.prompt))
        .is_some_and(|prompt| sample.arm < prompt.answers.len())
}

/// A text with its spaces and line ends shown.
pub(super) fn visible(text: &str) -> String {
    text.replace(' ', "·")
        .replace('\n', "\\n")
        .replace('\t', "\\t")
}

/// The completion as one phrase, for screen readers.
fn spoken(sample: &SampleRecord, view: &View) -> String {
    format!(
        "Completion “{}”, {} times, counts as {}, reward {}, advantage {}",
        sample.text,
        sample.count,
        answer(sample, view),
        number(sample.reward),
        fixed(sample.advantage)
    )
}

/// The batch as CSV, a line per distinct completion.
fn as_csv(batch: &[SampleRecord]) -> String {
    let mut text = String::from(
        "prompt,completion,count,ended,arm,reward,bonus,advantage,log_policy,log_reference\n",
    );
    for sample in batch {
        text.push_str(&format!(
            "{},\"{}\",{},{},{},{},{},{},{},{}\n",
            sample.prompt,
            sample.text.replace('"', "\"\""),
            sample.count,
            sample.ended,
            sample.arm,
            sample.reward,
            sample.bonus,
            sample.advantage,
            sample.log_prob,
            sample.log_reference
        ));
    }
    text
}
