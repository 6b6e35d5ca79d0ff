//! The line above a chart: every curve by name, with its value where there is room.

use std::borrow::Cow;

use egui::{Color32, FontId, Label, RichText, Sense, Stroke, Ui, pos2, vec2};

use super::{Chart, Point, trace};
use crate::{
    theory::CoverageRule,
    ui::{
        Theme,
        chart::{line, number},
        widgets::number::significant,
    },
};

/// A chart, and what its metrics of coverage count by.
type Named<'a> = (&'a Chart, CoverageRule);

/// How much of each curve is written. Which one fits depends on names and width alone, never on the values of the moment,
/// so that the line does not jump while a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// Names and values of four digits.
    Full,
    /// Names and values of three digits.
    Short,
    /// Only the first curve has a value, of four digits.
    FirstValue,
    /// Names.
    Names,
    /// Names in small letters.
    Terse,
}

impl Detail {
    const ALL: [Self; 5] = [
        Self::Full,
        Self::Short,
        Self::FirstValue,
        Self::Names,
        Self::Terse,
    ];

    /// Font size, width of a swatch, space between items, all in points.
    fn sizes(self) -> (f32, f32, f32) {
        match self {
            Self::Full => (11.0, 12.0, 6.0),
            Self::Short | Self::FirstValue | Self::Names => (11.0, 10.0, 4.0),
            Self::Terse => (10.0, 8.0, 3.0),
        }
    }

    /// What is written of a curve: a last word that the first name ends with too is said once. `value` writes a number of
    /// so many digits.
    fn text(self, named: Named<'_>, index: usize, value: impl Fn(i32) -> String) -> String {
        let (chart, rule) = named;
        let curve = chart.curves.get(index);
        let shows = curve.map(|curve| curve.shows);
        let shared = (chart.curves.first()).and_then(|first| last_word(first.shows.label()));
        // With what it counts by where a value stands beside it, and otherwise only where that is the name.
        let named = shows.map_or(Cow::Borrowed(""), |shows| match self {
            Self::Full | Self::Short => shows.label_by(rule),
            Self::FirstValue | Self::Names | Self::Terse if index == 0 => shows.label_by(rule),
            Self::FirstValue | Self::Names | Self::Terse => shows.label().into(),
        });
        let mut name = &*named;
        if index > 0
            && let Some(bare) = shared.and_then(|word| name.strip_suffix(word))
        {
            name = bare.trim_end();
        }
        let digits = match self {
            Self::Full => Some(4),
            Self::Short => Some(3),
            Self::FirstValue if index == 0 => Some(4),
            Self::FirstValue | Self::Names | Self::Terse => None,
        };
        digits.map_or_else(
            || name.to_owned(),
            |digits| format!("{name} {}", value(digits)),
        )
    }

    /// The width that it takes, in points, with values as wide as most are.
    fn width(self, ui: &Ui, named: Named<'_>) -> f32 {
        let (size, swatch, gap) = self.sizes();
        let font = FontId::proportional(size);
        let texts = (0..named.0.curves.len()).map(|index| {
            let text = self.text(named, index, |digits| significant(0.048_294, digits));
            let painter = ui.painter();
            let galley = painter.layout_no_wrap(text, font.clone(), Color32::PLACEHOLDER);
            swatch + gap + galley.size().x + gap
        });
        texts.sum::<f32>() - gap
    }

    /// The most that fits into a width in points; the tersest where nothing does.
    fn fitting(ui: &Ui, named: Named<'_>, width: f32) -> Self {
        let fits = |detail: &Self| detail.width(ui, named) <= width;
        Self::ALL.into_iter().find(fits).unwrap_or(Self::Terse)
    }
}

/// The last of several words.
fn last_word(name: &str) -> Option<&str> {
    name.rsplit_once(' ').map(|(_, word)| word)
}

/// Writes the curves into a row, with the values at the step under the pointer or the last ones.
pub(super) fn curves_ui(
    ui: &mut Ui,
    named: Named<'_>,
    traces: &[Vec<Point>],
    hovered: Option<f64>,
    theme: &Theme,
) {
    let (chart, rule) = named;
    let detail = Detail::fitting(ui, named, ui.available_width());
    let (size, swatch, gap) = detail.sizes();
    ui.spacing_mut().item_spacing.x = gap;
    for (index, (curve, points)) in chart.curves.iter().zip(traces).enumerate() {
        if ui.available_width() < swatch + gap + 12.0 {
            // The tooltip of the chart has them all.
            break;
        }
        let point = match hovered {
            Some(step) => trace::at(points, step),
            None => points.last().copied(),
        };
        let value = |digits: i32| {
            point.map_or_else(
                || "–".to_owned(),
                |point| significant(curve.shows.value(point.mean), digits),
            )
        };
        let text = detail.text(named, index, value);
        let (place, _) = ui.allocate_exact_size(vec2(swatch, 8.0), Sense::hover());
        let y = place.center().y;
        line(
            ui.painter(),
            &[pos2(place.left(), y), pos2(place.right(), y)],
            curve.pen,
            Stroke::new(2.0, (curve.color)(theme)),
        );
        ui.add(Label::new(RichText::new(text).size(size)).truncate())
            .on_hover_text(format!(
                "{} = {}\n{} at the step shown",
                curve.shows.label_by(rule),
                curve.shows.formula_by(rule),
                point.map_or_else(
                    || "not defined".to_owned(),
                    |point| number(curve.shows.value(point.mean))
                ),
            ));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::ui::{
        panels::time_charts::CHARTS,
        theme::{self, ThemeChoice},
    };

    fn chart(name: &str) -> Named<'static> {
        let chart = CHARTS.iter().find(|chart| chart.name == name).unwrap();
        (chart, CoverageRule::default())
    }

    /// Asks something with the fonts of the window.
    fn asked<T>(question: impl Fn(&Ui) -> T) -> T {
        let mut answer = None;
        egui_kittest::Harness::builder()
            .with_context_setup(|context| theme::apply(context, ThemeChoice::Light))
            .build_ui(|ui| answer = Some(question(ui)))
            .run();
        answer.unwrap()
    }

    /// What fits into this many points.
    fn fitting(name: &str, width: f32) -> Detail {
        asked(|ui| Detail::fitting(ui, chart(name), width))
    }

    #[test]
    fn a_narrow_chart_names_every_curve_before_it_gives_values() {
        for name in ["Expected reward", "Objective", "KL to target", "Modes"] {
            assert_eq!(fitting(name, 900.0), Detail::Full, "{name}");
            assert_eq!(fitting(name, 5.0), Detail::Terse, "{name}");
        }
        // What a chart has beside its switch in a window of 1280 × 800 points.
        let usual = 144.0;
        assert_eq!(fitting("Expected reward", usual), Detail::Full);
        assert_eq!(fitting("KL to target", usual), Detail::Names);
        // And with some more space first one value, then all.
        let by_width: Vec<Detail> = (0..20)
            .map(|more| fitting("KL to target", usual + 8.0 * more as f32))
            .collect();
        let mut order = by_width.clone();
        order.dedup();
        let rising = [
            Detail::Names,
            Detail::FirstValue,
            Detail::Short,
            Detail::Full,
        ];
        assert_eq!(order, rising, "{by_width:?}");
        for chart in (CHARTS.iter()).filter(|chart| !chart.lanes && chart.usual.shown(false)) {
            let named = (chart, CoverageRule::default());
            let needs = asked(|ui| Detail::Terse.width(ui, named));
            assert!(needs <= usual, "{} needs {needs} points", chart.name);
        }
    }

    #[test]
    fn a_shared_last_word_is_said_once() {
        let text = |detail: Detail, index| detail.text(chart("Modes"), index, |_| "2".to_owned());
        assert_eq!(text(Detail::Terse, 0), "effective modes");
        assert_eq!(text(Detail::Terse, 1), "covered");
        assert_eq!(text(Detail::FirstValue, 0), "effective modes 2");
        assert_eq!(text(Detail::FirstValue, 1), "covered");
        assert_eq!(text(Detail::Short, 1), "covered modes (ε = 0.1) 2");
        let other = Detail::Full.text(chart("KL to target"), 1, |_| "2".to_owned());
        assert_eq!(other, "KL(G‖π) 2");
    }
}
