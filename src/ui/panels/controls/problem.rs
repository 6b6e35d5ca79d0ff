//! Controls of a bandit's problem: its arms, its reference and its rewards. What is refused stays in its control with the
//! reason beside it, while the experiment keeps the last value that was accepted.

use egui::{RichText, Ui};

use super::{
    arms::arms_ui,
    row::{note, refusal},
    source::source_ui,
    texts::Texts,
};
use crate::{
    experiment::{Arms, BanditSpec, Edit, Role, Source},
    ui::{Action, Notice, View},
};

/// State of the section.
#[derive(Default)]
pub(super) struct ProblemControls {
    drafts: Vec<Draft>,
    texts: Texts,
    /// The problem when the pointer began to change its arms: a drag to few arms and back loses nothing.
    before_drag: Option<BanditSpec>,
}

/// A part of the problem.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Arms(Arms),
    Source(Role, Source),
}

/// What was last asked for of a part.
struct Draft {
    value: Value,
    refusal: Option<Refusal>,
}

/// Why it was refused, and what the experiment has in its place.
struct Refusal {
    error: String,
    kept: Option<Value>,
}

impl Value {
    /// The same part of a problem.
    fn of(&self, bandit: &BanditSpec) -> Self {
        match self {
            Self::Arms(_) => Self::Arms(bandit.arms.clone()),
            Self::Source(role, _) => Self::Source(*role, bandit.source(*role).clone()),
        }
    }

    fn is_in(&self, bandit: &BanditSpec) -> bool {
        match self {
            Self::Arms(arms) => *arms == bandit.arms,
            Self::Source(role, source) => source == bandit.source(*role),
        }
    }

    fn is_part(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Arms(_), Self::Arms(_)) => true,
            (Self::Source(role, _), Self::Source(other, _)) => role == other,
            (Self::Arms(_), Self::Source(..)) | (Self::Source(..), Self::Arms(_)) => false,
        }
    }
}

impl Draft {
    /// Whether it still says something about this state of the problem.
    fn holds(&mut self, bandit: &BanditSpec) -> bool {
        match &mut self.refusal {
            None => self.value.is_in(bandit),
            Some(refusal) => refusal
                .kept
                .get_or_insert_with(|| self.value.of(bandit))
                .is_in(bandit),
        }
    }
}

impl ProblemControls {
    /// Draws the section's controls.
    pub(super) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let bandit = &view.preset.bandit;
        self.drafts.retain_mut(|draft| draft.holds(bandit));
        let (arms, error) = refused(&self.drafts, |value| match value {
            Value::Arms(arms) => Some(arms),
            Value::Source(..) => None,
        });
        let arms = arms.unwrap_or(&bandit.arms);
        let changed = ui.push_id("arms", |ui| arms_ui(ui, arms, &mut self.texts));
        show(ui, error);
        if let Some(arms) = changed.inner {
            self.change_arms(ui, bandit, arms, actions);
        }
        for role in [Role::Reference, Role::Rewards] {
            ui.add_space(4.0);
            ui.push_id(role.field(), |ui| self.role_ui(ui, role, view, actions));
        }
        self.end_drag(ui, bandit, actions);
    }

    fn role_ui(&mut self, ui: &mut Ui, role: Role, view: &View, actions: &mut Vec<Action>) {
        let bandit = &view.preset.bandit;
        let (source, error) = refused(&self.drafts, |value| match value {
            Value::Source(of, source) => (*of == role).then_some(source),
            Value::Arms(_) => None,
        });
        let source = source.unwrap_or_else(|| bandit.source(role));
        let changed = source_ui(ui, role, source, view, &mut self.texts, actions);
        show(ui, error);
        if let Some(source) = changed {
            let spec = bandit.with_source(role, source.clone());
            self.ask(Value::Source(role, source));
            // All that is typed into a field is one step of undo.
            let done = !self.texts.typing && ui.input(|input| !input.pointer.any_down());
            let edit = Edit::Problem(Box::new(spec));
            actions.push(Action::Edit { edit, done });
        }
        hand_edits_ui(ui, role, bandit, actions);
    }

    fn change_arms(&mut self, ui: &Ui, bandit: &BanditSpec, arms: Arms, actions: &mut Vec<Action>) {
        let held = ui.input(|input| input.pointer.any_down());
        let (spec, cut) = match held {
            true => (self.before_drag)
                .get_or_insert_with(|| bandit.clone())
                .with_arms(arms.clone()),
            false => bandit.with_arms(arms.clone()),
        };
        self.ask(Value::Arms(arms));
        actions.push(super::edit(ui, Edit::Problem(Box::new(spec))));
        if !held {
            tell(cut, actions);
        }
    }

    /// Once the pointer is released: what a drag of the number of arms has cut.
    fn end_drag(&mut self, ui: &Ui, bandit: &BanditSpec, actions: &mut Vec<Action>) {
        if !ui.input(|input| input.pointer.any_down())
            && let Some(before) = self.before_drag.take()
        {
            tell(before.with_arms(bandit.arms.clone()).1, actions);
        }
    }

    /// Remembers what is asked for, newest last.
    fn ask(&mut self, value: Value) {
        self.drafts.retain(|draft| !draft.value.is_part(&value));
        self.drafts.push(Draft {
            value,
            refusal: None,
        });
    }

    /// As if a source had been entered here.
    pub(super) fn propose(&mut self, role: Role, source: &Source) {
        self.ask(Value::Source(role, source.clone()));
    }

    /// Takes why the newest change was refused; false if none was made here.
    pub(super) fn refuse(&mut self, error: &str) -> bool {
        let newest = (self.drafts.last_mut()).filter(|draft| draft.refusal.is_none());
        let Some(draft) = newest else { return false };
        draft.refusal = Some(Refusal {
            error: error.to_owned(),
            kept: None,
        });
        true
    }

    /// Whether a text was being typed in this frame whose changes are one gesture.
    pub(super) fn take_typing(&mut self) -> bool {
        std::mem::take(&mut self.texts.typing)
    }
}

/// The refused value of a part with the reason, if there is one.
fn refused<'a, T>(
    drafts: &'a [Draft],
    part: impl Fn(&'a Value) -> Option<&'a T>,
) -> (Option<&'a T>, Option<&'a str>) {
    let found = drafts.iter().find_map(|draft| {
        let refusal = draft.refusal.as_ref()?;
        Some((part(&draft.value)?, refusal.error.as_str()))
    });
    found.unzip()
}

fn show(ui: &mut Ui, error: Option<&str>) {
    if let Some(error) = error {
        refusal(ui, error);
    }
}

fn tell(cut: Vec<String>, actions: &mut Vec<Action>) {
    let notices = cut
        .into_iter()
        .map(|text| Action::Notify(Notice::Info(text)));
    actions.extend(notices);
}

/// What lies on top of a source by hand, and the way back to the source alone.
fn hand_edits_ui(ui: &mut Ui, role: Role, bandit: &BanditSpec, actions: &mut Vec<Action>) {
    let count = bandit.hand_edits(role).len();
    if count == 0 {
        return;
    }
    ui.horizontal(|ui| {
        let bars = if count == 1 { "bar" } else { "bars" };
        note(ui, &format!("{count} {bars} set by hand"));
        let name = match role {
            Role::Reference => "Drop reference bars set by hand",
            Role::Rewards => "Drop reward bars set by hand",
        };
        let drop = egui::Button::new(RichText::new("Drop").small()).small();
        if ui
            .add(drop)
            .accessible_name(name)
            .on_hover_text("Back to what the source says for every arm")
            .clicked()
        {
            let spec = bandit.without_hand_edits(role);
            actions.push(super::edit(ui, Edit::Problem(Box::new(spec))));
        }
    });
}
