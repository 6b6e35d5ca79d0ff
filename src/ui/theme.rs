//! The one place for colours, text sizes and spacing. Colours are Okabe-Ito (safe for the colour-blind); every series also
//! has a dash or marker of its own, so colour is never the only sign.

use egui::{Color32, Visuals};

/// Colours of one theme; the same series has the same colour in every panel and figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Theme {
    /// Dark or light.
    pub dark: bool,
    /// The reference policy π_ref.
    pub reference: Color32,
    /// The reward R.
    pub reward: Color32,
    /// The reward after MARA.
    pub augmented: Color32,
    /// The target G; drawn dashed and on top.
    pub target: Color32,
    /// The policy π.
    pub policy: Color32,
    /// Samples of the policy.
    pub samples: Color32,
    /// The best fit within a restricted family.
    pub best_fit: Color32,
    /// The one accent: selection, primary buttons, links.
    pub accent: Color32,
    /// Secondary text.
    pub muted: Color32,
    /// Something went wrong.
    pub error: Color32,
    /// Something went well.
    pub good: Color32,
    /// Marks of edits on time charts.
    pub edit_mark: Color32,
}

impl Theme {
    /// The light theme.
    pub const LIGHT: Self = Self {
        dark: false,
        reference: Color32::from_rgb(0x56, 0xB4, 0xE9),
        reward: Color32::from_rgb(0xE6, 0x9F, 0x00),
        augmented: Color32::from_rgb(0xCC, 0x79, 0xA7),
        target: Color32::from_rgb(0xD5, 0x5E, 0x00),
        policy: Color32::from_rgb(0x00, 0x72, 0xB2),
        samples: Color32::from_rgb(0x8A, 0x8A, 0x8A),
        best_fit: Color32::from_rgb(0x00, 0x9E, 0x73),
        accent: Color32::from_rgb(0x00, 0x72, 0xB2),
        muted: Color32::from_rgb(0x60, 0x66, 0x6E),
        error: Color32::from_rgb(0xB3, 0x26, 0x1E),
        good: Color32::from_rgb(0x00, 0x7A, 0x59),
        edit_mark: Color32::from_rgb(0x7A, 0x5C, 0x99),
    };

    /// The dark theme.
    pub const DARK: Self = Self {
        dark: true,
        reference: Color32::from_rgb(0x56, 0xB4, 0xE9),
        reward: Color32::from_rgb(0xE6, 0x9F, 0x00),
        augmented: Color32::from_rgb(0xE0, 0x9A, 0xC4),
        target: Color32::from_rgb(0xFF, 0x8A, 0x3D),
        policy: Color32::from_rgb(0x4D, 0xA6, 0xFF),
        samples: Color32::from_rgb(0x9A, 0x9A, 0x9A),
        best_fit: Color32::from_rgb(0x2F, 0xC8, 0x9B),
        accent: Color32::from_rgb(0x4D, 0xA6, 0xFF),
        muted: Color32::from_rgb(0x9B, 0xA3, 0xAD),
        error: Color32::from_rgb(0xFF, 0x7B, 0x72),
        good: Color32::from_rgb(0x2F, 0xC8, 0x9B),
        edit_mark: Color32::from_rgb(0xB7, 0x9A, 0xD6),
    };

    /// Colours of pinned runs, in order of pinning.
    pub const PINS: [Color32; 4] = [
        Color32::from_rgb(0x8F, 0x63, 0xE0),
        Color32::from_rgb(0xA8, 0x98, 0x10),
        Color32::from_rgb(0x8C, 0x5A, 0x3C),
        Color32::from_rgb(0x6B, 0xA8, 0x2E),
    ];

    /// A series' colour as ink for small text: on white the colours themselves are too light to be read.
    #[must_use]
    pub fn ink(&self, color: Color32) -> Color32 {
        if self.dark {
            color
        } else {
            color.lerp_to_gamma(Color32::from_gray(0x1E), 0.5)
        }
    }

    /// The theme that the context shows now.
    #[must_use]
    pub fn of(ui: &egui::Ui) -> Self {
        Self::of_visuals(ui.visuals())
    }

    /// The theme that belongs to egui's visuals.
    #[must_use]
    pub fn of_visuals(visuals: &Visuals) -> Self {
        if visuals.dark_mode {
            Self::DARK
        } else {
            Self::LIGHT
        }
    }
}

/// Which theme the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum ThemeChoice {
    /// As the desktop has it (dark where it does not say).
    #[default]
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// Size of the sentence at the top, in points.
pub(crate) const SENTENCE_SIZE: f32 = 16.0;
/// Size of secondary text, in points.
pub(crate) const SMALL_SIZE: f32 = 11.0;

/// Gives a context the look of Modescope: both themes' colours, text sizes and spacing.
pub(crate) fn apply(ctx: &egui::Context, choice: ThemeChoice) {
    let mut fonts = egui::FontDefinitions::default();
    if let Some(family) = fonts.families.get_mut(&egui::FontFamily::Proportional) {
        // The proportional font lacks ‖; the monospaced one has it.
        family.push("Hack".to_owned());
    }
    ctx.set_fonts(fonts);
    ctx.set_style_of(egui::Theme::Dark, style(true));
    ctx.set_style_of(egui::Theme::Light, style(false));
    ctx.set_theme(match choice {
        ThemeChoice::System => egui::ThemePreference::System,
        ThemeChoice::Light => egui::ThemePreference::Light,
        ThemeChoice::Dark => egui::ThemePreference::Dark,
    });
}

fn style(dark: bool) -> egui::Style {
    use egui::{
        FontFamily::{Monospace, Proportional},
        FontId, TextStyle, Vec2,
    };
    let mut style = egui::Style {
        text_styles: [
            (TextStyle::Small, FontId::new(SMALL_SIZE, Proportional)),
            (TextStyle::Body, FontId::new(13.0, Proportional)),
            (TextStyle::Button, FontId::new(13.0, Proportional)),
            (TextStyle::Monospace, FontId::new(12.0, Monospace)),
            (TextStyle::Heading, FontId::new(17.0, Proportional)),
        ]
        .into(),
        drag_value_text_style: TextStyle::Body,
        visuals: visuals(dark),
        animation_time: 0.08,
        ..egui::Style::default()
    };
    let spacing = &mut style.spacing;
    spacing.item_spacing = Vec2::new(6.0, 5.0);
    spacing.button_padding = Vec2::new(7.0, 2.0);
    spacing.interact_size = Vec2::new(28.0, 21.0);
    spacing.icon_width = 15.0;
    spacing.icon_width_inner = 9.0;
    spacing.indent = 14.0;
    spacing.slider_width = 110.0;
    spacing.combo_width = 60.0;
    spacing.menu_margin = egui::Margin::same(5);
    spacing.window_margin = egui::Margin::same(12);
    spacing.tooltip_width = 360.0;
    spacing.scroll = egui::style::ScrollStyle::thin();
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.35;
    style
}

/// The greys of a theme.
struct Greys {
    panel: Color32,
    raised: Color32,
    sunk: Color32,
    /// Under typed text: told apart from panels and from windows above them.
    field: Color32,
    faint: Color32,
    line: Color32,
    control: [Color32; 3],
    text: Color32,
    strong: Color32,
}

fn visuals(dark: bool) -> Visuals {
    let rgb = Color32::from_rgb;
    let (mut visuals, theme, grey) = if dark {
        let grey = Greys {
            panel: rgb(0x17, 0x1A, 0x1F),
            raised: rgb(0x1F, 0x23, 0x29),
            sunk: rgb(0x10, 0x13, 0x17),
            field: rgb(0x10, 0x13, 0x17),
            faint: rgb(0x1C, 0x20, 0x26),
            line: rgb(0x2E, 0x34, 0x3C),
            control: [
                rgb(0x2A, 0x30, 0x38),
                rgb(0x35, 0x3D, 0x47),
                rgb(0x41, 0x4B, 0x57),
            ],
            text: rgb(0xD3, 0xD9, 0xE0),
            strong: rgb(0xF4, 0xF6, 0xF8),
        };
        (Visuals::dark(), Theme::DARK, grey)
    } else {
        let grey = Greys {
            panel: rgb(0xF6, 0xF7, 0xF9),
            raised: rgb(0xFF, 0xFF, 0xFF),
            sunk: rgb(0xFF, 0xFF, 0xFF),
            field: rgb(0xEA, 0xED, 0xF1),
            faint: rgb(0xEE, 0xF0, 0xF3),
            line: rgb(0xD5, 0xDA, 0xE0),
            control: [
                rgb(0xE6, 0xE9, 0xED),
                rgb(0xDB, 0xE0, 0xE6),
                rgb(0xCC, 0xD3, 0xDB),
            ],
            text: rgb(0x24, 0x29, 0x2F),
            strong: rgb(0x0B, 0x0E, 0x12),
        };
        (Visuals::light(), Theme::LIGHT, grey)
    };
    visuals.panel_fill = grey.panel;
    visuals.window_fill = grey.raised;
    visuals.window_stroke = egui::Stroke::new(1.0, grey.line);
    visuals.extreme_bg_color = grey.sunk;
    visuals.text_edit_bg_color = Some(grey.field);
    visuals.faint_bg_color = grey.faint;
    visuals.code_bg_color = grey.faint;
    visuals.weak_text_color = Some(theme.muted);
    visuals.hyperlink_color = theme.accent;
    visuals.error_fg_color = theme.error;
    visuals.warn_fg_color = theme.reward;
    visuals.selection.bg_fill = theme.accent.gamma_multiply(if dark { 0.45 } else { 0.25 });
    visuals.selection.stroke = egui::Stroke::new(1.0, grey.strong);
    visuals.slider_trailing_fill = true;
    visuals.text_cursor.blink = false;
    visuals.window_shadow.blur = 12;
    visuals.popup_shadow.blur = 8;
    let widgets = &mut visuals.widgets;
    for (widget, fill, text) in [
        (&mut widgets.noninteractive, grey.panel, grey.text),
        (&mut widgets.inactive, grey.control[0], grey.text),
        (&mut widgets.hovered, grey.control[1], grey.strong),
        (&mut widgets.active, grey.control[2], grey.strong),
        (&mut widgets.open, grey.control[1], grey.strong),
    ] {
        widget.bg_fill = fill;
        widget.weak_bg_fill = fill;
        widget.fg_stroke = egui::Stroke::new(1.0, text);
        widget.bg_stroke = egui::Stroke::NONE;
        widget.corner_radius = 4.into();
        widget.expansion = 0.0;
    }
    widgets.noninteractive.bg_stroke = egui::Stroke::new(1.0, grey.line);
    widgets.hovered.bg_stroke = egui::Stroke::new(1.0, theme.muted.gamma_multiply(0.6));
    widgets.active.bg_stroke = egui::Stroke::new(1.0, theme.accent);
    visuals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(theme: &Theme) -> [Color32; 7] {
        [
            theme.reference,
            theme.reward,
            theme.augmented,
            theme.target,
            theme.policy,
            theme.samples,
            theme.best_fit,
        ]
    }

    fn contrast(a: Color32, b: Color32) -> f32 {
        let luminance = |color: Color32| {
            let [r, g, b, _] = egui::Rgba::from(color).to_array();
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_in_the_colour_of_a_series_can_be_read() {
        for theme in [Theme::LIGHT, Theme::DARK] {
            let visuals = visuals(theme.dark);
            for color in series(&theme).into_iter().chain(Theme::PINS) {
                if theme.dark && Theme::PINS.contains(&color) {
                    continue;
                }
                let found = contrast(theme.ink(color), visuals.panel_fill);
                assert!(found >= 4.5, "{color:?} on {}: {found}", theme.dark);
            }
        }
    }

    #[test]
    fn pins_are_told_from_every_series_and_from_each_other() {
        let distance = |a: Color32, b: Color32| {
            let square = |x: u8, y: u8| (f32::from(x) - f32::from(y)).powi(2);
            (square(a.r(), b.r()) + square(a.g(), b.g()) + square(a.b(), b.b())).sqrt()
        };
        for (index, pin) in Theme::PINS.into_iter().enumerate() {
            let others = [Theme::LIGHT, Theme::DARK]
                .iter()
                .flat_map(series)
                .chain(Theme::PINS.into_iter().skip(index + 1))
                .collect::<Vec<_>>();
            for other in others {
                assert!(distance(pin, other) > 60.0, "{pin:?} {other:?}");
            }
        }
    }
}
