//! Controls of a language preset: which model answers which prompts, what is trained of it, how it is sampled. What makes
//! the run begin anew is collected first and applied with a button.

use egui::{Button, ComboBox, DragValue, RichText, TextEdit, Ui};

use super::{
    checkpoints,
    fetching::Fetching,
    model_facts::ModelFacts,
    row::{Choice, combo, count_slider, log_slider, note, number, refusal, row, slider, wide},
};
use crate::{
    experiment::{
        AnswerSpec, Edit, LanguageSpec, LoraModule, Matching, PromptTask, Tune, Update, builtin,
        builtin_preset,
    },
    ui::{Action, Theme, View},
};

/// Most prompts that the panel lets one add.
const MOST_PROMPTS: usize = 64;

/// State of the section.
#[derive(Default)]
pub(super) struct LanguageControls {
    /// Changes that would make the run begin anew, and what they were made to.
    draft: Option<(LanguageSpec, LanguageSpec)>,
    /// Names of the built-in language presets with their titles, read once.
    tasks: Option<Vec<(&'static str, String)>>,
    /// The prompt whose answers are edited.
    prompt: usize,
    facts: ModelFacts,
    fetching: Fetching,
}

impl LanguageControls {
    /// Draws the section's controls.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        view: &View,
        spec: &LanguageSpec,
        actions: &mut Vec<Action>,
    ) {
        self.task_ui(ui, view, actions);
        let mut draft = match self.draft.take() {
            // Changes made to another state of the experiment are void.
            Some((made_to, draft)) if made_to == *spec => draft,
            Some(_) | None => spec.clone(),
        };
        let batch = match view.preset.training.update {
            Update::Sampled { batch, .. } | Update::Dap { batch } => batch,
            Update::Exact | Update::NaturalGradient => 1,
        };
        model_ui(ui, (&mut self.facts, &mut self.fetching), &mut draft, batch);
        self.prompt_ui(ui, view, &mut draft, actions);
        matching_ui(ui, &mut draft);
        tune_ui(ui, &mut draft.tune);
        if draft != *spec && !apply_ui(ui, &draft, actions) {
            self.draft = Some((spec.clone(), draft));
        }
        ui.add_space(4.0);
        let mut live = spec.clone();
        live_ui(ui, &mut live);
        checkpoints::schedule_ui(ui, view, &mut live, actions);
        if live != *spec {
            if let Some((made_to, draft)) = &mut self.draft {
                // What is collected outlives a change that takes effect at once.
                made_to.clone_from(&live);
                copy_live(&live, draft);
            }
            let edit = Edit::Language(Box::new(live));
            actions.push(super::edit(ui, edit));
        }
        checkpoints::kept_ui(ui, view, spec, actions);
    }

    /// Other tasks: the built-in language presets.
    fn task_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let tasks = self.tasks.get_or_insert_with(|| {
            builtin()
                .iter()
                .filter_map(|preset| {
                    let read = builtin_preset(preset.name)?;
                    read.language.map(|_| (preset.name, read.title))
                })
                .collect()
        });
        row(
            ui,
            "Task",
            "What the model is asked and rewarded for: a language preset",
            |ui| {
                ComboBox::from_id_salt("task")
                    .selected_text(&view.preset.title)
                    .truncate()
                    .width(ui.available_width())
                    .show_ui(ui, |ui| {
                        for (name, title) in tasks.iter() {
                            let chosen = *title == view.preset.title;
                            if ui.selectable_label(chosen, title).clicked() && !chosen {
                                actions.push(Action::OpenPreset((*name).to_owned()));
                            }
                        }
                    })
                    .response
            },
        );
    }

    fn prompt_ui(
        &mut self,
        ui: &mut Ui,
        view: &View,
        draft: &mut LanguageSpec,
        actions: &mut Vec<Action>,
    ) {
        let count = draft.prompts.len();
        let shown = view
            .snapshot
            .language
            .as_ref()
            .map_or(0, |language| language.shown_prompt);
        if count > 1 {
            let mut prompt = self.prompt.min(count - 1);
            row(
                ui,
                "Prompt",
                "The prompt whose answers the plots show; all of them are trained",
                |ui| {
                    let name = |index: usize, prompts: &[PromptTask]| {
                        let text = prompts.get(index).map_or("", |task| task.prompt.as_str());
                        format!("{} {}", index + 1, crate::ui::chart::elide(text, 40))
                    };
                    ComboBox::from_id_salt("prompt")
                        .selected_text(name(prompt, &draft.prompts))
                        .truncate()
                        .width(ui.available_width())
                        .show_ui(ui, |ui| {
                            for index in 0..count {
                                ui.selectable_value(
                                    &mut prompt,
                                    index,
                                    name(index, &draft.prompts),
                                );
                            }
                        })
                        .response
                },
            );
            if prompt != self.prompt || (view.snapshot.language.is_some() && prompt != shown) {
                actions.push(Action::ShowPrompt(prompt));
            }
            self.prompt = prompt;
        } else {
            self.prompt = 0;
        }
        let Some(task) = draft.prompts.get_mut(self.prompt) else {
            return;
        };
        row(
            ui,
            "Asked",
            "The user's turn, or the whole text when raw",
            |ui| {
                let field = TextEdit::multiline(&mut task.prompt).desired_rows(2);
                ui.add(field.desired_width(ui.available_width()))
            },
        );
        text_row(
            ui,
            "Prefill",
            "First words of the model's turn; what it says goes on from there",
            &mut task.prefill,
        );
        row(
            ui,
            "Raw text",
            "The prompt is the text itself, without the model's chat template",
            |ui| ui.checkbox(&mut task.raw, "no chat template"),
        );
        let title = format!("Answers and rewards ({})", task.answers.len());
        egui::CollapsingHeader::new(title)
            .id_salt("answers")
            .show_unindented(ui, |ui| answers_ui(ui, task, &mut draft.failure_reward));
        ui.horizontal(|ui| {
            if ui
                .add_enabled(count < MOST_PROMPTS, Button::new("Add a prompt").small())
                .on_hover_text("Another prompt with the same answers")
                .clicked()
                && let Some(task) = draft.prompts.get(self.prompt).cloned()
            {
                draft.prompts.push(task);
            }
            if count > 1
                && ui
                    .small_button("Remove it")
                    .on_hover_text("Train without this prompt")
                    .clicked()
            {
                draft.prompts.remove(self.prompt.min(count - 1));
            }
        });
    }
}

/// The button that applies a draft; true if it was applied or thrown away.
fn apply_ui(ui: &mut Ui, draft: &LanguageSpec, actions: &mut Vec<Action>) -> bool {
    let theme = Theme::of(ui);
    let mut done = false;
    ui.horizontal_wrapped(|ui| {
        let ink = if theme.dark {
            egui::Color32::BLACK
        } else {
            egui::Color32::WHITE
        };
        let apply =
            Button::new(RichText::new("Apply and begin anew").color(ink)).fill(theme.accent);
        if ui
            .add(apply)
            .on_hover_text(
                "Load what is needed, score the answers under the reference, and start at step 0",
            )
            .clicked()
        {
            actions.push(Action::Retask(Box::new(draft.clone())));
            done = true;
        }
        if ui.button("Discard").clicked() {
            done = true;
        }
    });
    done
}

fn text_row(ui: &mut Ui, label: &str, tip: &str, text: &mut String) {
    row(ui, label, tip, |ui| {
        ui.add(TextEdit::singleline(text).desired_width(ui.available_width()))
    });
}

fn model_ui(
    ui: &mut Ui,
    (facts, fetching): (&mut ModelFacts, &mut Fetching),
    draft: &mut LanguageSpec,
    batch: usize,
) {
    facts.look_at(ui.ctx(), &draft.model);
    row(
        ui,
        "Model",
        "embedded, the name of an imported model, or the path of a GGUF file or Hugging Face folder; a file dropped on the window with a language preset open is taken, too",
        |ui| {
            ui.horizontal(|ui| {
                let field = TextEdit::singleline(&mut draft.model)
                    .desired_width((ui.available_width() - 30.0).max(40.0));
                let response = ui.add(field);
                egui::containers::menu::MenuButton::new("…").ui(ui, |ui| {
                    for name in facts.names() {
                        if ui.button(name).clicked() {
                            draft.model.clone_from(name);
                            ui.close();
                        }
                    }
                    ui.separator();
                    if ui
                        .button("Fetch from the Hugging Face hub…")
                        .on_hover_text("Get another model, in the background")
                        .clicked()
                    {
                        fetching.open();
                        ui.close();
                    }
                });
                response
            })
            .inner
        },
    );
    if let Some(name) = fetching.ui(ui) {
        draft.model = name;
        facts.forget();
    }
    match facts.text(draft, batch) {
        Some(Ok(text)) => note(ui, &text),
        Some(Err(error)) => refusal(ui, &error),
        None => note(ui, "Looking at the model"),
    }
}

fn answers_ui(ui: &mut Ui, task: &mut PromptTask, failure: &mut f64) {
    let mut removed = None;
    let field = |ui: &mut Ui, reward: &mut f64, name: &str| {
        ui.add_sized(
            [60.0, ui.spacing().interact_size.y],
            DragValue::new(reward)
                .speed(0.01)
                .update_while_editing(false),
        )
        .on_hover_text("Its reward")
        .accessible_name(format!("Reward of {name}"));
    };
    for (index, answer) in task.answers.iter_mut().enumerate() {
        ui.horizontal(|ui| {
            let width = (ui.available_width() - 100.0).max(40.0);
            ui.add(TextEdit::singleline(&mut answer.text).desired_width(width))
                .accessible_name(format!("Answer {}", index + 1));
            field(ui, &mut answer.reward, &answer.text);
            if ui
                .small_button("−")
                .on_hover_text("Remove this answer")
                .accessible_name(format!("Remove answer {}", index + 1))
                .clicked()
            {
                removed = Some(index);
            }
        });
    }
    if let Some(index) = removed.filter(|_| task.answers.len() > 1) {
        task.answers.remove(index);
    }
    ui.horizontal(|ui| {
        let width = (ui.available_width() - 100.0).max(40.0);
        ui.add_sized(
            [width, ui.spacing().interact_size.y],
            egui::Label::new("everything else"),
        );
        field(ui, failure, "everything else");
        if ui
            .small_button("+")
            .on_hover_text("Another answer")
            .accessible_name("Add an answer")
            .clicked()
        {
            let text = format!("answer {}", task.answers.len() + 1);
            task.answers.push(AnswerSpec {
                text,
                reward: 1.0,
                label: None,
            });
        }
    });
}

fn matching_ui(ui: &mut Ui, draft: &mut LanguageSpec) {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Exact,
        FirstToken,
        Regex,
        Tagged,
    }
    let mut kind = match draft.matching {
        Matching::Exact => Kind::Exact,
        Matching::FirstToken => Kind::FirstToken,
        Matching::Regex(_) => Kind::Regex,
        Matching::Tagged { .. } => Kind::Tagged,
    };
    let before = kind;
    combo(
        ui,
        "Matching",
        "When a completion counts as an answer.",
        &mut kind,
        &[
            Choice::new(
                Kind::Exact,
                "Whole completion",
                "The completion is the answer, and the model ended it there",
            ),
            Choice::new(
                Kind::FirstToken,
                "First token",
                "The first token is the answer's; sampling stops there",
            ),
            Choice::new(
                Kind::Regex,
                "Regular expression",
                "Its first capture group, or its whole match, is the answer",
            ),
            Choice::new(
                Kind::Tagged,
                "Between tags",
                "The text between two tags is the answer",
            ),
        ],
    );
    if kind != before {
        draft.matching = match kind {
            Kind::Exact => Matching::Exact,
            Kind::FirstToken => Matching::FirstToken,
            Kind::Regex => Matching::Regex(r"(\w+)".to_owned()),
            Kind::Tagged => Matching::Tagged {
                open: "<answer>".to_owned(),
                close: "</answer>".to_owned(),
            },
        };
    }
    match &mut draft.matching {
        Matching::Exact | Matching::FirstToken => {}
        Matching::Regex(pattern) => {
            text_row(ui, "Pattern", "The regular expression", pattern);
        }
        Matching::Tagged { open, close } => {
            text_row(ui, "Opening tag", "What stands before the answer", open);
            text_row(ui, "Closing tag", "What stands after the answer", close);
        }
    }
    if draft.matching != Matching::FirstToken {
        count_slider(
            ui,
            "Most tokens",
            "Longest completion, end token included",
            &mut draft.max_new_tokens,
            1..=512,
        );
    }
}

fn tune_ui(ui: &mut Ui, tune: &mut Tune) {
    let mut low_rank = matches!(tune, Tune::Lora { .. });
    let before = low_rank;
    combo(
        ui,
        "Trained",
        "Which parameters change.",
        &mut low_rank,
        &[
            Choice::new(
                false,
                "All parameters",
                "The policy is a second copy of the model",
            ),
            Choice::new(
                true,
                "LoRA",
                "W + (alpha/rank) B A on some matrices; the base is shared with the reference, so memory is one copy",
            ),
        ],
    );
    if low_rank != before {
        *tune = if low_rank {
            Tune::Lora {
                rank: 8,
                alpha: 16.0,
                modules: vec![LoraModule::Q, LoraModule::V],
            }
        } else {
            Tune::Full
        };
    }
    let Tune::Lora {
        rank,
        alpha,
        modules,
    } = tune
    else {
        return;
    };
    count_slider(ui, "Rank", "Rank of each addition, 1 to 256", rank, 1..=256);
    number(
        ui,
        "LoRA alpha",
        "Scale of the additions is alpha/rank",
        alpha,
        0.01..=4096.0,
        0.1,
    );
    ui.horizontal_wrapped(|ui| {
        for module in LoraModule::ALL {
            let mut on = modules.contains(&module);
            let name = module.name().trim_end_matches("_proj");
            if ui
                .toggle_value(&mut on, name)
                .on_hover_text(format!("Low-rank addition to {}", module.name()))
                .changed()
            {
                if on {
                    modules.push(module);
                    modules.sort_unstable();
                } else if modules.len() > 1 {
                    modules.retain(|other| *other != module);
                }
            }
        }
    });
}

/// Copies what may change while a run goes on.
fn copy_live(from: &LanguageSpec, to: &mut LanguageSpec) {
    to.temperature = from.temperature;
    to.top_p = from.top_p;
    to.clip = from.clip;
    to.warm_up = from.warm_up;
    to.weight_decay = from.weight_decay;
    to.checkpoints = from.checkpoints;
}

/// What may change while a run goes on.
fn live_ui(ui: &mut Ui, spec: &mut LanguageSpec) {
    slider(
        ui,
        "Temperature",
        "Sampling temperature; 1 samples the policy itself",
        &mut spec.temperature,
        0.1..=3.0,
    );
    slider(
        ui,
        "Top-p",
        "Nucleus sampling keeps this much mass; 1 keeps all",
        &mut spec.top_p,
        0.05..=1.0,
    );
    if spec.temperature != 1.0 || spec.top_p != 1.0 {
        note(
            ui,
            "Off-policy: samples come from another distribution than the one that is trained, so the gradient is biased.",
        );
    }
    let mut clipped = spec.clip.is_some();
    let mut norm = spec.clip.unwrap_or(1.0);
    row(
        ui,
        "Clip",
        "Longest gradient; a longer one is scaled down to it",
        |ui| {
            let response = ui.checkbox(&mut clipped, "");
            ui.add_enabled_ui(clipped, |ui| {
                wide(
                    ui,
                    DragValue::new(&mut norm)
                        .range(1e-4..=1e4)
                        .speed(0.01)
                        .update_while_editing(false),
                )
                .accessible_name("Longest gradient")
            });
            response
        },
    );
    spec.clip = clipped.then_some(norm);
    row(
        ui,
        "Warm-up",
        "Steps over which the learning rate rises to its full value",
        |ui| {
            wide(
                ui,
                DragValue::new(&mut spec.warm_up)
                    .range(0..=100_000)
                    .suffix(" steps")
                    .update_while_editing(false),
            )
        },
    );
    log_slider(
        ui,
        "Weight decay",
        "Decoupled weight decay per unit of learning rate",
        &mut spec.weight_decay,
        0.0..=1.0,
    );
}
