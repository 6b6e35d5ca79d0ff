//! The command palette: type a few letters of any command or preset.

use egui::{Area, Context, Frame, Id, Key, Order, ScrollArea, TextEdit};

use crate::{
    experiment,
    ui::{Action, commands::UiCommand},
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
    action: Action,
}

impl Palette {
    /// Opens it, or closes it.
    pub(crate) fn toggle(&mut self) {
        self.open = !self.open;
        self.query.clear();
        self.selected = 0;
    }

    /// Draws it, if it is open.
    pub(crate) fn ui(&mut self, ctx: &Context, actions: &mut Vec<Action>) {
        if !self.open {
            return;
        }
        let screen = ctx.content_rect();
        let width = (screen.width() - 20.0).clamp(60.0, 460.0);
        let found = find(ctx, &self.query);
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
                            .hint_text("Find a command or a preset")
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
        if let Some(entry) = chosen.and_then(|index| found.into_iter().nth(index)) {
            self.open = false;
            actions.push(entry.action);
        }
    }
}

fn find(ctx: &Context, query: &str) -> Vec<Entry> {
    let commands = UiCommand::ALL
        .iter()
        .filter(|command| **command != UiCommand::Palette)
        .map(|command| Entry {
            text: command.name().to_owned(),
            right: command.shortcut_text(ctx),
            action: command.action(),
        });
    let presets = experiment::builtin().iter().map(|preset| Entry {
        text: format!("Open preset {}", preset.name),
        right: String::new(),
        action: Action::OpenPreset(preset.name.to_string()),
    });
    let mut scored: Vec<(i32, Entry)> = commands
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
    use super::fuzzy;

    #[test]
    fn letters_in_order_are_found_and_word_starts_win() {
        assert!(fuzzy("rst", "Reset").is_some());
        assert!(fuzzy("tsr", "Reset").is_none());
        assert!(fuzzy("", "anything") == Some(0));
        assert!(fuzzy("sa", "Save as…") > fuzzy("sa", "Guided tour as a test"));
        assert!(fuzzy("res", "Reset") > fuzzy("res", "Larger steps"));
    }
}
