//! Text fields of the problem: some are read letter by letter, some when they are left. What does not read stays in its
//! field, with the reason below it.

use egui::{Id, TextEdit, TextStyle, Ui};

use super::row::refusal;

/// Texts on their way.
#[derive(Default)]
pub(super) struct Texts {
    unfinished: Option<Unfinished>,
    /// A field that is read letter by letter has the focus.
    pub(super) typing: bool,
}

/// A text that is not read yet, or cannot be.
struct Unfinished {
    field: Id,
    /// What the field showed before.
    before: String,
    text: String,
}

impl Texts {
    /// A field of this many rows that is read when it is left: what was read. `present` is the text of the
    /// value there is.
    pub(super) fn finished<T>(
        &mut self,
        ui: &mut Ui,
        name: &str,
        tip: &str,
        present: &str,
        rows: usize,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let field = ui.make_persistent_id(name);
        let mine = |one: &&Unfinished| one.field == field && one.before == present;
        let unfinished = self.unfinished.as_ref().filter(mine);
        let mut text = unfinished.map_or_else(|| present.to_owned(), |one| one.text.clone());
        let edit = match rows {
            1 => TextEdit::singleline(&mut text),
            _ => TextEdit::multiline(&mut text).desired_rows(rows),
        };
        let shown = edit.id(field).desired_width(ui.available_width());
        let response = ui.add(shown).accessible_name(name).on_hover_text(tip);
        if response.changed() {
            self.unfinished = Some(Unfinished {
                field,
                before: present.to_owned(),
                text: text.clone(),
            });
        }
        if text == present {
            return None;
        }
        match read(&text) {
            Err(error) => {
                refusal(ui, &error);
                None
            }
            Ok(value) if response.lost_focus() => {
                self.unfinished = None;
                Some(value)
            }
            Ok(_) => None,
        }
    }

    /// A formula, read letter by letter: its text where it changed.
    pub(super) fn formula(
        &mut self,
        ui: &mut Ui,
        name: &str,
        tip: &str,
        present: &str,
    ) -> Option<String> {
        let mut text = present.to_owned();
        let field = TextEdit::multiline(&mut text)
            .id(ui.make_persistent_id(name))
            .font(TextStyle::Monospace)
            .desired_rows(1)
            .desired_width(ui.available_width())
            .return_key(None);
        let response = ui.add(field).accessible_name(name).on_hover_text(tip);
        self.typing |= response.has_focus();
        response.changed().then_some(text)
    }
}
