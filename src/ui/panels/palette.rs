//! The command palette: type a few letters of any command, panel or preset.

use egui::{Area, Context, Frame, Id, Key, Order, ScrollArea, TextEdit};

use crate::{
    experiment,
    ui::{Action, commands::UiCommand, layout::Pane},
};

/// State of the palette.
#[derive(Default)]
pub(crate) struct Palette {
    open: bool,
    query: String,
    selected: usize,
}

/// Something that can be found.
struct Entry {
    text: String,
    right: String,
    leads: Leads,
}

/// What choosing an entry does.
enum Leads {
    To(Action),
    Show(Pane),
}

impl Palette {
    /// Opens it, or closes it.
    pub(crate) fn toggle(&mut self) {
        self.open = !self.open;
        self.query.clear();
        self.selected = 0;
    }

    /// Draws it, if it is open; the panel to bring to the front, if one was chosen. `language`: the run is a language
    /// model's and has its panels.
    pub(crate) fn ui(
        &mut self,
        ctx: &Context,
        language: bool,
        actions: &mut Vec<Action>,
    ) -> Option<Pane> {
        if !self.open {
            return None;
        }
        let screen = ctx.content_rect();
        let width = (screen.width() - 20.0).clamp(60.0, 460.0);
        let found = find(ctx, language, &self.query);
        let (up, down, enter, escape) = ctx.input_mut(|input| {
            let mut press = |key| input.count_and_consume_key(egui::Modifiers::NONE, key);
            (
                press(Key::ArrowUp),
                press(Key::ArrowDown),
                press(Key::Enter) > 0,
                press(Key::Escape) > 0,
            )
        });
        let last = found.len().saturating_sub(1);
        self.selected = (self.selected.min(last) + down)
            .saturating_sub(up)
            .min(last);
        let mut chosen = (enter && !found.is_empty()).then_some(self.selected);
        let area = Area::new(Id::unique("palette"))
            .order(Order::Foreground)
            .fixed_pos(egui::pos2(
                screen.center().x - width * 0.5,
                screen.top() + (screen.height() * 0.12).min(90.0),
            ))
            .show(ctx, |ui| {
                Frame::window(ui.style()).show(ui, |ui| {
                    ui.set_width(width - 26.0);
                    let field = ui.add(
                        TextEdit::singleline(&mut self.query)
                            .hint_text("Find a command, a panel or a preset")
                            .desired_width(f32::INFINITY),
                    );
                    field.request_focus();
                    if field.changed() {
                        self.selected = 0;
                    }
                    ScrollArea::vertical()
                        .max_height((screen.height() * 0.6).clamp(20.0, 360.0))
                        .show(ui, |ui| {
                            for (index, entry) in found.iter().enumerate() {
                                let button =
                                    egui::Button::selectable(index == self.selected, &entry.text)
                                        .right_text(egui::RichText::new(&entry.right).weak())
                                        .truncate()
                                        .min_size(egui::vec2(ui.available_width(), 0.0));
                                let response = ui.add(button);
                                if index == self.selected && up + down > 0 {
                                    response.scroll_to_me(None);
                                }
                                if response.clicked() {
                                    chosen = Some(index);
                                }
                            }
                            if found.is_empty() {
                                ui.weak("Nothing by that name");
                            }
                        });
                });
            });
        if escape || area.response.clicked_elsewhere() {
            self.open = false;
        }
        let entry = chosen.and_then(|index| found.into_iter().nth(index))?;
        self.open = false;
        match entry.leads {
            Leads::To(action) => {
                actions.push(action);
                None
            }
            Leads::Show(pane) => Some(pane),
        }
    }
}

fn find(ctx: &Context, language: bool, query: &str) -> Vec<Entry> {
    let commands = UiCommand::ALL
        .iter()
        .filter(|command| **command != UiCommand::Palette)
        .map(|command| Entry {
            text: command.name().to_owned(),
            right: command.shortcut_text(ctx),
            leads: Leads::To(command.action()),
        });
    // The log has a command of its own.
    let panels = Pane::of_run(language)
        .into_iter()
        .filter(|pane| *pane != Pane::Log)
        .map(|pane| Entry {
            text: format!("Show {}", pane.title()),
            right: String::new(),
            leads: Leads::Show(pane),
        });
    let presets = experiment::builtin().iter().map(|preset| Entry {
        text: format!("Open preset {}", preset.name),
        right: String::new(),
        leads: Leads::To(Action::OpenPreset(preset.name.to_string())),
    });
    let mut scored: Vec<(i32, Entry)> = commands
        .chain(panels)
        .chain(presets)
        .filter_map(|entry| fuzzy(query, &entry.text).map(|score| (score, entry)))
        .collect();
    scored.sort_by_key(|(score, _)| -score);
    scored.into_iter().map(|(_, entry)| entry).collect()
}

/// How well the letters of `query` appear in `text` in order: none if they do not; starts of words and runs count more.
pub(crate) fn fuzzy(query: &str, text: &str) -> Option<i32> {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let mut score = 0;
    let mut at = 0;
    let mut previous: Option<usize> = None;
    for letter in query.to_lowercase().chars().filter(|c| !c.is_whitespace()) {
        let candidates = || (at..text.len()).filter(|&i| text.get(i) == Some(&letter));
        let starts_word =
            |i: usize| i == 0 || text.get(i - 1).is_some_and(|c| !c.is_alphanumeric());
        let next = previous
            .map(|p| p + 1)
            .filter(|&i| text.get(i) == Some(&letter));
        let found = next
            .or_else(|| candidates().find(|&i| starts_word(i)))
            .or_else(|| candidates().next())?;
        score += if previous.is_some_and(|p| p + 1 == found) {
            4
        } else if starts_word(found) {
            3
        } else {
            0
        };
        score -= i32::from(previous.is_none()) * found.min(10) as i32 / 4;
        previous = Some(found);
        at = found + 1;
    }
    Some(score)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;

    #[test]
    fn panels_are_found_by_their_names_where_the_run_has_them() {
        let first = |language: bool, query: &str| {
            let found = find(&Context::default(), language, query);
            found
                .into_iter()
                .next()
                .map(|entry| (entry.text, entry.leads))
        };
        let (text, leads) = first(false, "phase").unwrap();
        assert_eq!(text, "Show Phase diagram");
        assert!(matches!(leads, Leads::Show(Pane::Phase)));
        assert!(matches!(
            first(true, "show sandbox"),
            Some((_, Leads::Show(Pane::Sandbox)))
        ));
        assert!(first(false, "show sandbox").is_none());
    }

    #[test]
    fn letters_in_order_are_found_and_word_starts_win() {
        assert!(fuzzy("rst", "Reset").is_some());
        assert!(fuzzy("tsr", "Reset").is_none());
        assert!(fuzzy("", "anything") == Some(0));
        assert!(fuzzy("sa", "Save as…") > fuzzy("sa", "Guided tour as a test"));
        assert!(fuzzy("res", "Reset") > fuzzy("res", "Larger steps"));
    }
}
