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
        Color32::from_rgb(0x00, 0x9E, 0x73),
        Color32::from_rgb(0xCC, 0x79, 0xA7),
        Color32::from_rgb(0xB8, 0xA8, 0x20),
        Color32::from_rgb(0x8C, 0x6B, 0x4F),
    ];

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
