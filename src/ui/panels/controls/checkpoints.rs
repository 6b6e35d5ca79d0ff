//! Checkpoints of a language model's run: when they are written, how many stay, where they lie, and going on from one.

use std::path::Path;

use egui::{Button, DragValue, Label, RichText, Ui, containers::menu::MenuButton};

use super::row::{note, row, wide};
use crate::{
    engine::KeptCheckpoint,
    experiment::{Checkpoints, LanguageSpec, Tune},
    lm::store::EMBEDDED,
    ui::{
        Action, Checkpointing, Theme, View,
        chart::steps_label,
        keeping::{PERIOD, age},
    },
};

/// Steps between two checkpoints when they are switched on.
const EVERY: u64 = 100;
/// Most checkpoints that the list offers.
const LISTED: usize = 8;

/// Draws when and how many into `spec`, where the window writes any.
pub(super) fn schedule_ui(
    ui: &mut Ui,
    view: &View,
    spec: &mut LanguageSpec,
    actions: &mut Vec<Action>,
) {
    let kept = &mut spec.checkpoints;
    let mut on = kept.every.is_some();
    let mut every = kept.every.unwrap_or(EVERY);
    row(
        ui,
        "Checkpoint",
        "Write model (or adapter), optimiser and random numbers every so many steps, here and in `modescope run --out`",
        |ui| {
            let response = ui.checkbox(&mut on, "every");
            ui.add_enabled_ui(on, |ui| {
                wide(
                    ui,
                    DragValue::new(&mut every)
                        .range(1..=1_000_000_000u64)
                        .suffix(" steps")
                        .update_while_editing(false),
                )
                .on_hover_text("Steps between two checkpoints")
                .accessible_name("Steps between two checkpoints")
            });
            response
        },
    );
    kept.every = on.then_some(every);
    row(
        ui,
        "Keep last",
        "How many of the latest stay. Those written by hand stay anyway",
        |ui| {
            let number = DragValue::new(&mut kept.keep)
                .range(1..=1000usize)
                .update_while_editing(false);
            let response = ui.add_sized([48.0, ui.spacing().interact_size.y], number);
            ui.checkbox(&mut kept.best, "and the best")
                .on_hover_text("The one with the highest objective J stays as well");
            response
        },
    );
    if let Some(checkpoints) = view.checkpoints {
        by_time_ui(ui, checkpoints, spec, actions);
    }
}

/// The checkpoint after some minutes, whatever the steps.
fn by_time_ui(
    ui: &mut Ui,
    checkpoints: &Checkpointing,
    spec: &LanguageSpec,
    actions: &mut Vec<Action>,
) {
    if checkpoints.base.is_none() {
        note(
            ui,
            "This window keeps no session, so it writes checkpoints by hand only.",
        );
        return;
    }
    let embedded = spec.model == EMBEDDED;
    let mut on = checkpoints.by_time && !embedded;
    let text = format!("every {} minutes, too", PERIOD.as_secs() / 60);
    row(
        ui,
        "By time",
        "A crash loses no more training than this. Applies to this window, not to the preset",
        |ui| {
            ui.add_enabled(!embedded, egui::Checkbox::new(&mut on, text))
                .on_disabled_hover_text(
                    "A run of the embedded model is soon done again; set a number of steps to keep it",
                )
        },
    );
    if !embedded && on != checkpoints.by_time {
        actions.push(Action::KeepByTime(on));
    }
}

/// Where they lie and how large they are, and going on from one.
pub(super) fn kept_ui(ui: &mut Ui, view: &View, spec: &LanguageSpec, actions: &mut Vec<Action>) {
    if let Some(checkpoints) = view.checkpoints {
        if let (Some(language), true) = (&view.snapshot.language, writes(checkpoints, spec)) {
            size_ui(ui, language, spec);
        }
        if let Some(base) = &checkpoints.base {
            folder_ui(
                ui,
                checkpoints.kept.folder.as_deref().unwrap_or(base),
                actions,
            );
        }
    }
    ui.horizontal_wrapped(|ui| {
        let ready = view.snapshot.language.is_some();
        if ui
            .add_enabled(ready, Button::new("Checkpoint now…"))
            .on_hover_text(
                "Write the model (or its LoRA adapter) and the optimiser's state to a folder",
            )
            .clicked()
        {
            actions.push(Action::Checkpoint);
        }
        ui.add_enabled_ui(ready, |ui| go_on_ui(ui, view, actions));
        if let Some(frame) = view.scrub
            && ui
                .button(format!("Back to step {}", frame.step))
                .on_hover_text("Continue training from the step that the timeline shows")
                .clicked()
        {
            actions.push(Action::Revert(frame.step));
        }
    });
}

/// Whether any will be written without being asked for.
fn writes(checkpoints: &Checkpointing, spec: &LanguageSpec) -> bool {
    let by_time = checkpoints.by_time && spec.model != EMBEDDED;
    checkpoints.base.is_some() && (spec.checkpoints.every.is_some() || by_time)
}

fn size_ui(ui: &mut Ui, language: &crate::engine::LanguageSnapshot, spec: &LanguageSpec) {
    let Checkpoints { keep, best, .. } = spec.checkpoints;
    let each = checkpoint_bytes(language.trained);
    let most = (keep + usize::from(best)) as u64;
    let what = match spec.tune {
        Tune::Full => "the model",
        Tune::Lora { .. } => "the adapter",
    };
    let text = format!(
        "{} each ({what} and two moments); up to {} for this run, and as much for the one before",
        super::model_facts::bytes(each),
        super::model_facts::bytes(each * (most + 1)),
    );
    note(ui, &text);
}

/// A checkpoint holds what is trained and AdamW's two moments of it, in single precision.
fn checkpoint_bytes(trained: usize) -> u64 {
    3 * 4 * trained as u64
}

/// A folder by its last parts, to be copied or opened.
fn folder_ui(ui: &mut Ui, folder: &Path, actions: &mut Vec<Action>) {
    let theme = Theme::of(ui);
    let full = folder.display().to_string();
    ui.horizontal(|ui| {
        let width = (ui.available_width() - 104.0).max(40.0);
        let text = RichText::new(last_parts(folder)).small().color(theme.muted);
        let size = egui::vec2(width, ui.spacing().interact_size.y);
        let left = egui::Layout::left_to_right(egui::Align::Center);
        ui.allocate_ui_with_layout(size, left, |ui| {
            ui.set_min_width(width);
            ui.add(Label::new(text).truncate()).on_hover_text(&full);
        });
        if ui
            .small_button("Copy")
            .on_hover_text("Put the folder's path on the clipboard")
            .accessible_name("Copy the checkpoint folder's path")
            .clicked()
        {
            actions.push(Action::CopyText {
                text: full.clone(),
                what: "Path copied".to_owned(),
            });
        }
        if ui
            .add_enabled(folder.is_dir(), Button::new("Open").small())
            .on_hover_text("Show the folder in the desktop's file manager")
            .on_disabled_hover_text("The folder is made with the first checkpoint")
            .accessible_name("Open the checkpoint folder")
            .clicked()
        {
            actions.push(Action::OpenFolder(folder.to_owned()));
        }
    });
}

/// "…/checkpoints/die-run-2": the end of a path says most.
fn last_parts(folder: &Path) -> String {
    let parts: Vec<_> = folder
        .components()
        .rev()
        .take(2)
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    format!(
        "…/{}",
        parts.iter().rev().cloned().collect::<Vec<_>>().join("/")
    )
}

/// The checkpoints that are known, and a way to any other.
fn go_on_ui(ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
    MenuButton::new("Go on from…")
        .ui(ui, |ui| {
            if let Some(checkpoints) = view.checkpoints {
                let kept = &checkpoints.kept;
                let mut list = |title: &str, all: &[KeptCheckpoint]| {
                    if !all.is_empty() {
                        ui.weak(title);
                    }
                    for one in all.iter().take(LISTED) {
                        let score = (one.info.score)
                            .map_or_else(String::new, |score| format!(", J {score:.4}"));
                        let step = steps_label(one.info.step as f64);
                        let text = format!("Step {step}{score}, {}", age(one.written));
                        if ui
                            .button(text)
                            .on_hover_text(one.info.path.display().to_string())
                            .clicked()
                        {
                            actions.push(Action::GoOnFrom(one.info.path.clone()));
                            ui.close();
                        }
                    }
                };
                list("This run", &kept.own);
                list("Earlier runs", &kept.earlier);
                if !kept.own.is_empty() || !kept.earlier.is_empty() {
                    ui.separator();
                }
            }
            if ui
                .button("Another checkpoint…")
                .on_hover_text("A folder with a checkpoint of this preset")
                .clicked()
            {
                actions.push(Action::GoOn);
                ui.close();
            }
        })
        .0
        .on_hover_text(
            "Continue from a checkpoint of this preset, optimiser and random numbers included",
        );
}
