//! Which completions are shown in which order, found again only when batch, search or order change.

use std::sync::Arc;

use egui::{RichText, Ui};

use crate::{lm::SampleRecord, ui::Theme};

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Column {
    Text,
    Prompt,
    Answer,
    #[default]
    Count,
    Reward,
    Bonus,
    Advantage,
    LogPolicy,
    LogReference,
    LogRatio,
}

impl Column {
    /// Every column, left to right.
    pub(super) const ALL: [Self; 10] = [
        Self::Text,
        Self::Prompt,
        Self::Answer,
        Self::Count,
        Self::Reward,
        Self::Bonus,
        Self::Advantage,
        Self::LogPolicy,
        Self::LogReference,
        Self::LogRatio,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Text => "completion",
            Self::Prompt => "prompt",
            Self::Answer => "counts as",
            Self::Count => "count",
            Self::Reward => "reward",
            Self::Bonus => "MARA",
            Self::Advantage => "advantage",
            Self::LogPolicy => "log π",
            Self::LogReference => "log π_ref",
            Self::LogRatio => "log π/π_ref",
        }
    }

    fn tip(self) -> &'static str {
        match self {
            Self::Text => "What the model said; a dot is a space",
            Self::Prompt => "The prompt that it answers",
            Self::Answer => "The answer or mode that it counts as",
            Self::Count => "How many samples of the batch were this completion",
            Self::Reward => "Effective reward, before MARA",
            Self::Bonus => "What MARA added to the reward",
            Self::Advantage => {
                "What the gradient of its log-probability is multiplied with, penalties in the reward included"
            }
            Self::LogPolicy => "Log-probability of the whole completion under the policy, in nats",
            Self::LogReference => {
                "Log-probability of the whole completion under the reference, in nats"
            }
            Self::LogRatio => {
                "How much likelier training has made it, in nats; below 0 it became less likely"
            }
        }
    }

    /// Width in points.
    pub(super) fn width(self) -> f32 {
        match self {
            Self::Text => 56.0,
            Self::Prompt => 44.0,
            Self::Answer => 56.0,
            Self::Count => 72.0,
            Self::Reward | Self::Bonus => 44.0,
            Self::Advantage | Self::LogPolicy | Self::LogReference => 58.0,
            Self::LogRatio => 66.0,
        }
    }

    /// Numbers begin with the largest, texts with the first.
    fn starts_descending(self) -> bool {
        !matches!(self, Self::Text | Self::Prompt | Self::Answer)
    }
}

/// Sort order and search, with their result.
pub(super) struct Order {
    column: Column,
    descending: bool,
    known: Option<(Arc<[SampleRecord]>, String)>,
    rows: Vec<usize>,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            column: Column::Count,
            descending: true,
            known: None,
            rows: Vec::new(),
        }
    }
}

impl Order {
    /// Sorts by a column, or turns the order round where it is that column already.
    pub(super) fn by(&mut self, column: Column) {
        self.descending = if self.column == column {
            !self.descending
        } else {
            column.starts_descending()
        };
        self.column = column;
        self.known = None;
    }

    /// The rows to show, as places in the batch.
    pub(super) fn rows(&mut self, batch: &Arc<[SampleRecord]>, query: &str) -> Vec<usize> {
        let fresh = self
            .known
            .as_ref()
            .is_some_and(|(known, asked)| Arc::ptr_eq(known, batch) && asked == query);
        if !fresh {
            self.rows = self.find(batch, query);
            self.known = Some((batch.clone(), query.to_owned()));
        }
        self.rows.clone()
    }

    fn find(&self, batch: &[SampleRecord], query: &str) -> Vec<usize> {
        let query = query.to_lowercase();
        let mut rows: Vec<usize> = (0..batch.len())
            .filter(|&row| query.is_empty() || batch[row].text.to_lowercase().contains(&query))
            .collect();
        let number = |row: usize| {
            let sample = &batch[row];
            match self.column {
                Column::Text => 0.0,
                Column::Prompt => sample.prompt as f64,
                Column::Answer => sample.arm as f64,
                Column::Count => f64::from(sample.count),
                Column::Reward => sample.reward,
                Column::Bonus => sample.bonus,
                Column::Advantage => sample.advantage,
                Column::LogPolicy => sample.log_prob,
                Column::LogReference => sample.log_reference,
                Column::LogRatio => sample.log_prob - sample.log_reference,
            }
        };
        // Stable, so that equals keep the order of the batch: most frequent first.
        rows.sort_by(|&a, &b| {
            let order = match self.column {
                Column::Text => batch[a].text.cmp(&batch[b].text),
                _ => number(a).total_cmp(&number(b)),
            };
            if self.descending {
                order.reverse()
            } else {
                order
            }
        });
        rows
    }

    /// A heading that says which way it sorts; true if it was clicked.
    pub(super) fn heading_ui(&self, ui: &mut Ui, column: Column, theme: &Theme) -> bool {
        let sorted = self.column == column;
        let mark = match (sorted, self.descending) {
            (false, _) => "",
            (true, true) => " ↓",
            (true, false) => " ↑",
        };
        let text = RichText::new(format!("{}{mark}", column.name()))
            .small()
            .strong();
        let text = if sorted {
            text.color(theme.accent)
        } else {
            text
        };
        let button = egui::Button::new(text).frame(false);
        ui.add(button)
            .on_hover_text(column.tip())
            .on_hover_text("Click to sort")
            .clicked()
    }
}
