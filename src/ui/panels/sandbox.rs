//! A place to ask the model anything: the most likely next tokens of a prompt, under the policy and under the reference.

use egui::{
    Align2, CornerRadius, FontId, Key, Rect, RichText, ScrollArea, Sense, TextEdit, Ui, pos2, vec2,
};

use super::samples::{percent, visible};
use crate::{
    engine::{ProbeAnswer, Status},
    figure::{Figure, Look},
    ui::{
        Action, Theme, View,
        figures::{self, Group},
        widgets::plot_menu::plot_menu,
    },
};

/// Shortest time between two questions while following the training.
const FOLLOW_SECS: f64 = 0.5;
/// Height of a token's row, in points.
const ROW: f32 = 24.0;

/// State of the sandbox.
#[derive(Default)]
pub(crate) struct Sandbox {
    /// What is typed; nothing until the panel is first drawn.
    question: Option<Question>,
    follow: bool,
    asked_at: f64,
    /// The step of the last question.
    asked_step: Option<u64>,
    waiting: bool,
}

/// A prompt as it is sent.
#[derive(Debug, Clone, PartialEq, Default)]
struct Question {
    prompt: String,
    raw: bool,
    prefill: String,
}

impl Sandbox {
    /// Draws the sandbox into the whole of `ui`.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let Some(task) = task(view) else {
            ui.weak("With a language preset open, ask its model here what comes next");
            return;
        };
        let mut question = self.question.get_or_insert_with(|| task.clone()).clone();
        let mut ask = false;
        ScrollArea::vertical()
            .auto_shrink([false, false])
            .show(ui, |ui| {
                let field =
                    |ui: &mut Ui, name: &str, hint: &str, text: &mut String, rows: usize| {
                        ui.horizontal(|ui| {
                            let label = ui.add_sized(
                                vec2(44.0, ui.spacing().interact_size.y),
                                egui::Label::new(RichText::new(name).small()),
                            );
                            let field = TextEdit::multiline(text)
                                .desired_rows(rows)
                                .desired_width(f32::INFINITY)
                                .hint_text(hint)
                                .return_key(egui::KeyboardShortcut::new(
                                    egui::Modifiers::SHIFT,
                                    Key::Enter,
                                ));
                            let response = ui.add(field).labelled_by(label.id);
                            response.has_focus()
                                && ui.input(|input| {
                                    input.key_pressed(Key::Enter) && !input.modifiers.shift
                                })
                        })
                        .inner
                    };
                ask |= field(ui, "prompt", "What to ask", &mut question.prompt, 1);
                ask |= field(
                    ui,
                    "prefill",
                    "First words of the reply",
                    &mut question.prefill,
                    1,
                );
                ui.horizontal_wrapped(|ui| {
                    ask |= ui
                        .button("Ask")
                        .on_hover_text(
                            "The most likely next tokens, under policy and reference (Enter)",
                        )
                        .clicked();
                    ui.checkbox(&mut self.follow, "Follow")
                        .on_hover_text("Ask again as training goes on");
                    ui.checkbox(&mut question.raw, "Raw").on_hover_text(
                        "The prompt is the text itself, without the model's chat template",
                    );
                    if ui
                        .add_enabled(question != task, egui::Button::new("From the task"))
                        .on_hover_text("The prompt that is trained on")
                        .clicked()
                    {
                        question = task.clone();
                        ask = true;
                    }
                    if self.waiting {
                        ui.spinner();
                    }
                });
                ui.add_space(4.0);
                match view.probe {
                    Some(answer) => answer_ui(ui, answer, actions),
                    None => {
                        ui.weak("Ask for the most likely next tokens");
                    }
                }
            });
        self.question = Some(question);
        self.follow_up(ui, view, ask, actions);
    }

    /// An answer came.
    pub(crate) fn answered(&mut self) {
        self.waiting = false;
    }

    /// Forgets what belongs to another run.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Sends what is to be asked.
    fn follow_up(&mut self, ui: &Ui, view: &View, ask: bool, actions: &mut Vec<Action>) {
        let now = ui.input(|input| input.time);
        let moved = self
            .asked_step
            .is_some_and(|step| step != view.snapshot.step);
        let due = self.follow && moved && now - self.asked_at >= FOLLOW_SECS;
        // A question that was lost is asked again after a while.
        let free = !self.waiting || now - self.asked_at > 10.0 * FOLLOW_SECS;
        let first = self.asked_step.is_none() && view.snapshot.status != Status::Failed;
        if !(ask || (due || first) && free) {
            return;
        }
        let Some(question) = self
            .question
            .as_ref()
            .filter(|q| !q.prompt.trim().is_empty())
        else {
            return;
        };
        actions.push(Action::Probe {
            prompt: question.prompt.clone(),
            raw: question.raw,
            prefill: question.prefill.clone(),
        });
        self.asked_at = now;
        self.asked_step = Some(view.snapshot.step);
        self.waiting = true;
    }
}

/// The shown prompt of the task, where there is a model to ask.
fn task(view: &View) -> Option<Question> {
    let language = view.snapshot.language.as_ref()?;
    let prompt = language.spec.prompts.get(language.shown_prompt)?;
    Some(Question {
        prompt: prompt.prompt.clone(),
        raw: prompt.raw,
        prefill: prompt.prefill.clone(),
    })
}

/// A row per token: two bars from a common left edge.
fn answer_ui(ui: &mut Ui, answer: &ProbeAnswer, actions: &mut Vec<Action>) {
    let theme = Theme::of(ui);
    ui.horizontal(|ui| {
        plot_menu(ui, "next tokens", actions, |dark| figure(answer, dark));
        for (name, color) in [("policy", theme.policy), ("reference", theme.reference)] {
            let (rect, _) = ui.allocate_exact_size(vec2(12.0, 8.0), Sense::hover());
            ui.painter().rect_filled(rect, 0.0, color);
            ui.label(RichText::new(name).small());
        }
        let text: String = answer
            .text
            .chars()
            .rev()
            .take(40)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        ui.add(
            egui::Label::new(
                RichText::new(format!("after …{}", visible(&text)))
                    .small()
                    .color(theme.muted),
            )
            .truncate(),
        )
        .on_hover_text(&answer.text);
    });
    let most = answer
        .tokens
        .iter()
        .flat_map(|(_, policy, reference)| [*policy, *reference])
        .fold(1e-9, f64::max);
    for (token, policy, reference) in &answer.tokens {
        let (rect, response) =
            ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
        response.widget_info(|| {
            egui::WidgetInfo::labeled(
                egui::Role::Label,
                true,
                format!(
                    "Next token “{token}”, policy {}, reference {}",
                    percent(*policy),
                    percent(*reference)
                ),
            )
        });
        let painter = ui.painter_at(rect);
        let ink = ui.visuals().text_color();
        let labels = (0.3 * rect.width()).clamp(40.0, 120.0);
        let numbers = 58.0;
        painter.text(
            rect.left_center(),
            Align2::LEFT_CENTER,
            crate::ui::chart::elide(&visible(token), (labels / 7.5) as usize),
            FontId::monospace(12.0),
            ink,
        );
        let left = rect.left() + labels;
        let room = (rect.right() - numbers - left - 6.0).max(4.0);
        for (row, (share, color)) in [(*policy, theme.policy), (*reference, theme.reference)]
            .into_iter()
            .enumerate()
        {
            let top = rect.top() + 2.0 + 10.0 * row as f32;
            let width = ((share / most) as f32 * room).max(1.0);
            let bar = Rect::from_min_size(pos2(left, top), vec2(width, 9.0));
            painter.rect_filled(bar, CornerRadius::same(1), color);
            painter.text(
                pos2(rect.right() - 2.0, bar.center().y),
                Align2::RIGHT_CENTER,
                percent(share),
                FontId::monospace(10.0),
                ink,
            );
        }
    }
}

/// The answer as a figure: bars of policy and reference beside each other, one pair per token.
fn figure(answer: &ProbeAnswer, dark: bool) -> Figure {
    let theme = figures::theme(dark);
    let tokens = answer.tokens.iter();
    let group = |name, color, look, share: fn(&(String, f64, f64)) -> f64| Group {
        name,
        color,
        look,
        heights: answer.tokens.iter().map(share).collect(),
    };
    figures::grouped(
        &format!("Next token after “{}”", visible(&answer.text)),
        "next-tokens",
        ("token", tokens.map(|token| visible(&token.0)).collect()),
        "probability",
        vec![
            group("policy", theme.policy, Look::Solid, |token| token.1),
            group("reference", theme.reference, Look::Outlined, |token| {
                token.2
            }),
        ],
        dark,
    )
}
