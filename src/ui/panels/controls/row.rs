//! One row of controls: a label of fixed width, then the control over the rest; and the few kinds of control there are.

use egui::{
    Align, ComboBox, DragValue, Id, Label, Layout, Response, RichText, Slider, SliderClamping, Ui,
    vec2,
};

use crate::ui::theme::Theme;

/// Width of the labels, in points.
const LABEL_WIDTH: f32 = 92.0;

/// A label and a control. `tip` explains both; the control's accessible name is the label's.
pub(super) fn row(
    ui: &mut Ui,
    label: &str,
    tip: &str,
    add: impl FnOnce(&mut Ui) -> Response,
) -> Response {
    let (response, label) = beside_label(ui, label, tip, add);
    response.labelled_by(label).on_hover_text(tip)
}

/// A label and controls that have names of their own.
pub(super) fn named_row<R>(
    ui: &mut Ui,
    label: &str,
    tip: &str,
    add: impl FnOnce(&mut Ui) -> R,
) -> R {
    beside_label(ui, label, tip, add).0
}

fn beside_label<R>(ui: &mut Ui, label: &str, tip: &str, add: impl FnOnce(&mut Ui) -> R) -> (R, Id) {
    ui.horizontal(|ui| {
        let label_width = LABEL_WIDTH.min(ui.available_width() * 0.4);
        let size = vec2(label_width, ui.spacing().interact_size.y);
        let label = ui
            .allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
                ui.set_min_width(label_width);
                ui.add(Label::new(label).truncate())
            })
            .inner
            .on_hover_text(tip);
        (add(ui), label.id)
    })
    .inner
}

/// A logarithmic slider with a field for typing.
pub(super) fn log_slider(
    ui: &mut Ui,
    label: &str,
    tip: &str,
    value: &mut f64,
    range: std::ops::RangeInclusive<f64>,
) -> bool {
    row(ui, label, tip, |ui| {
        fit_slider(ui);
        ui.add(
            Slider::new(value, range.clone())
                .logarithmic(true)
                .smallest_positive(1e-6)
                .clamping(SliderClamping::Edits)
                .custom_formatter(|value, _| compact(value))
                .update_while_editing(false),
        )
    })
    .changed()
}

/// A linear slider with a field for typing.
pub(super) fn slider(
    ui: &mut Ui,
    label: &str,
    tip: &str,
    value: &mut f64,
    range: std::ops::RangeInclusive<f64>,
) -> bool {
    row(ui, label, tip, |ui| {
        fit_slider(ui);
        ui.add(
            Slider::new(value, range)
                .clamping(SliderClamping::Edits)
                .custom_formatter(|value, _| compact(value))
                .update_while_editing(false),
        )
    })
    .changed()
}

/// A whole number on a logarithmic slider.
pub(super) fn count_slider(
    ui: &mut Ui,
    label: &str,
    tip: &str,
    value: &mut usize,
    range: std::ops::RangeInclusive<usize>,
) -> bool {
    row(ui, label, tip, |ui| {
        fit_slider(ui);
        ui.add(
            Slider::new(value, range)
                .logarithmic(true)
                .update_while_editing(false),
        )
    })
    .changed()
}

/// A number to drag or type.
pub(super) fn number(
    ui: &mut Ui,
    label: &str,
    tip: &str,
    value: &mut f64,
    range: std::ops::RangeInclusive<f64>,
    speed: f64,
) -> bool {
    row(ui, label, tip, |ui| {
        wide(
            ui,
            DragValue::new(value)
                .range(range)
                .speed(speed)
                .custom_formatter(|value, _| compact(value))
                .update_while_editing(false),
        )
    })
    .changed()
}

/// One of a few numbers side by side.
pub(super) struct Cell<'a> {
    name: &'static str,
    value: &'a mut f64,
    range: std::ops::RangeInclusive<f64>,
    speed: f64,
    whole: bool,
}

impl<'a> Cell<'a> {
    /// A number with the name that stands before it.
    pub(super) fn number(
        name: &'static str,
        value: &'a mut f64,
        range: std::ops::RangeInclusive<f64>,
        speed: f64,
    ) -> Self {
        Self {
            name,
            value,
            range,
            speed,
            whole: false,
        }
    }

    /// A whole number.
    pub(super) fn whole(
        name: &'static str,
        value: &'a mut f64,
        range: std::ops::RangeInclusive<f64>,
    ) -> Self {
        Self {
            whole: true,
            ..Self::number(name, value, range, 0.25)
        }
    }
}

/// Numbers to drag or type that share the row but for the last `spare` points of it; each is known as "`group` name".
pub(super) fn cells_ui(ui: &mut Ui, group: &str, tip: &str, cells: &mut [Cell<'_>], spare: f32) {
    let gap = 4.0;
    ui.spacing_mut().item_spacing.x = gap;
    let count = cells.len().max(1) as f32;
    let width = ((ui.available_width() - spare - gap * (count - 1.0)) / count).max(20.0);
    let size = vec2(width, ui.spacing().interact_size.y);
    for cell in cells {
        let is_whole = cell.whole;
        let field = DragValue::new(cell.value)
            .prefix(match cell.name {
                "" => String::new(),
                name => format!("{name} "),
            })
            .range(cell.range.clone())
            .clamp_existing_to_range(false)
            .speed(cell.speed)
            .max_decimals_opt(is_whole.then_some(0))
            .custom_formatter(move |value, _| match is_whole {
                true => format!("{value:.0}"),
                false => compact(value),
            })
            .update_while_editing(false);
        let response = ui
            .add_sized(size, field)
            .accessible_name(format!("{group} {}", cell.name).trim_end())
            .on_hover_text(tip);
        if is_whole && response.changed() {
            *cell.value = cell.value.round();
        }
    }
}

/// A control as wide as the row allows.
pub(super) fn wide(ui: &mut Ui, widget: impl egui::Widget) -> Response {
    let size = vec2(ui.available_width().max(24.0), ui.spacing().interact_size.y);
    ui.add_sized(size, widget)
}

/// One of several, with a line about each. An option with a `why_not` is shown but cannot be taken.
pub(super) struct Choice<T> {
    /// What it means.
    pub(super) value: T,
    /// Its name.
    pub(super) name: &'static str,
    /// A line about it, with the formula.
    pub(super) tip: &'static str,
    /// Why it cannot be taken now, if so.
    pub(super) why_not: Option<&'static str>,
}

impl<T> Choice<T> {
    /// An option that can always be taken.
    pub(super) fn new(value: T, name: &'static str, tip: &'static str) -> Self {
        Self {
            value,
            name,
            tip,
            why_not: None,
        }
    }

    /// The same, not to be taken where there is a reason against it.
    pub(super) fn unless(mut self, refused: bool, why: &'static str) -> Self {
        if refused {
            self.why_not = Some(why);
        }
        self
    }
}

/// A drop-down of choices; true if another one was taken.
pub(super) fn combo<T: PartialEq + Clone>(
    ui: &mut Ui,
    label: &str,
    tip: &str,
    value: &mut T,
    choices: &[Choice<T>],
) -> bool {
    let before = value.clone();
    let current = choices.iter().find(|choice| choice.value == *value);
    let selected = current.map_or("As given", |choice| choice.name);
    let tip = match current {
        Some(choice) if !choice.tip.is_empty() => {
            format!("{tip}\n\n{}\n{}", choice.name, choice.tip)
        }
        _ => tip.to_owned(),
    };
    row(ui, label, &tip, |ui| {
        ComboBox::from_id_salt(label)
            .selected_text(selected)
            .truncate()
            .width(ui.available_width())
            // All choices at a glance.
            .height(320.0)
            .show_ui(ui, |ui| {
                for choice in choices {
                    let enabled = choice.why_not.is_none();
                    let chosen = *value == choice.value;
                    let response = ui
                        .add_enabled(enabled, egui::Button::selectable(chosen, choice.name))
                        .on_hover_text(choice.tip)
                        .on_disabled_hover_text(choice.why_not.unwrap_or_default());
                    if response.clicked() {
                        *value = choice.value.clone();
                    }
                }
            })
            .response
    });
    *value != before
}

/// A few choices side by side.
pub(super) fn segments<T: PartialEq + Clone>(ui: &mut Ui, value: &mut T, choices: &[Choice<T>]) {
    let count = choices.len() as f32;
    let gap = 2.0;
    let width = ((ui.available_width() - gap * (count - 1.0)) / count).max(20.0);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = gap;
        for choice in choices {
            let chosen = *value == choice.value;
            let button = egui::Button::selectable(chosen, choice.name)
                .min_size(vec2(width, 24.0))
                .truncate()
                .frame_when_inactive(true);
            let response = ui
                .add_enabled(choice.why_not.is_none(), button)
                .on_hover_text(choice.tip)
                .on_disabled_hover_text(choice.why_not.unwrap_or_default());
            if response.clicked() {
                *value = choice.value.clone();
            }
        }
    });
}

/// A line that explains why something has no effect or is unusual.
pub(super) fn note(ui: &mut Ui, text: &str) {
    let theme = Theme::of(ui);
    ui.add(Label::new(RichText::new(text).small().color(theme.muted)).wrap());
}

/// Why what was entered is not accepted.
pub(super) fn refusal(ui: &mut Ui, text: &str) {
    let color = Theme::of(ui).error;
    ui.add(Label::new(RichText::new(text).small().color(color)).wrap());
}

/// The slider takes what is left beside its field.
fn fit_slider(ui: &mut Ui) {
    let field = 62.0;
    ui.spacing_mut().interact_size.x = field - 8.0;
    ui.spacing_mut().slider_width =
        (ui.available_width() - field - ui.spacing().item_spacing.x).max(24.0);
}

/// Three or four significant digits, powers of ten where digits would not fit.
pub(super) fn compact(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        return format!("{value:.1e}");
    }
    let decimals = if size == 0.0 {
        0
    } else {
        (3 - size.log10().floor() as i32).clamp(0, 6) as usize
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
