//! Controls of where a bandit's reference or rewards come from: the kind of source, and the fields of that kind.

use std::path::PathBuf;

use egui::Ui;

use super::{
    numbers::{MOST_ROWS, numbers_ui},
    row::{Choice, combo, named_row, note},
    texts::Texts,
};
use crate::{
    bandit::Shape,
    experiment::{Block, Bump, Noise, Role, Source, formula::FORMULA_HELP},
    ui::{Action, View},
};

/// Lists are written out up to this many numbers.
const MOST_LISTED: usize = 1_000;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Constant,
    List,
    Table,
    Bumps,
    Blocks,
    PowerLaw,
    Zipf,
    Random,
    Formula,
}

impl Kind {
    fn of(source: &Source) -> Self {
        match source {
            Source::Constant(_) => Self::Constant,
            Source::List(_) | Source::Weights(_) => Self::List,
            Source::Csv { .. } => Self::Table,
            Source::Bumps { .. } => Self::Bumps,
            Source::Blocks { .. } => Self::Blocks,
            Source::PowerLaw { .. } => Self::PowerLaw,
            Source::Zipf { .. } => Self::Zipf,
            Source::Random { .. } => Self::Random,
            Source::Formula(_) => Self::Formula,
        }
    }
}

/// What the controls of a role are called.
pub(super) fn title(role: Role) -> &'static str {
    match role {
        Role::Reference => "Reference",
        Role::Rewards => "Rewards",
    }
}

/// Draws the controls; the source as it is to be, if that is something else. A table is asked for by an action.
pub(super) fn source_ui(
    ui: &mut Ui,
    role: Role,
    source: &Source,
    view: &View,
    texts: &mut Texts,
    actions: &mut Vec<Action>,
) -> Option<Source> {
    let before = Kind::of(source);
    let mut kind = before;
    kind_ui(ui, role, &mut kind, view.problem.arms());
    if kind != before {
        let made = starting_with(kind, role, view);
        if made.is_none() {
            actions.push(Action::ChooseTable(role));
        }
        return made;
    }
    match source {
        Source::List(values) | Source::Weights(values) => list_ui(ui, role, values, texts),
        Source::Csv { path, column } => {
            table_ui(ui, role, (path, column.as_deref()), texts, actions)
        }
        Source::Formula(text) => {
            let name = named(role, "formula");
            let tip = format!("{FORMULA_TIP}\n\n{FORMULA_HELP}");
            texts.formula(ui, &name, &tip, text).map(Source::Formula)
        }
        Source::Bumps { bumps, .. } if bumps.len() > MOST_ROWS => {
            note(ui, &format!("{} bumps, from the preset file", bumps.len()));
            None
        }
        Source::Blocks { blocks, .. } if blocks.len() > MOST_ROWS => {
            note(
                ui,
                &format!("{} blocks, from the preset file", blocks.len()),
            );
            None
        }
        Source::Constant(_)
        | Source::Bumps { .. }
        | Source::Blocks { .. }
        | Source::PowerLaw { .. }
        | Source::Zipf { .. }
        | Source::Random { .. } => {
            let mut changed = source.clone();
            numbers_ui(ui, role, &mut changed, view);
            (changed != *source).then_some(changed)
        }
    }
}

fn kind_ui(ui: &mut Ui, role: Role, kind: &mut Kind, arms: usize) {
    let (tip, constant, constant_tip) = match role {
        Role::Reference => (
            "Where the reference π_ref comes from; its weights are normalised. Another kind drops the bars that were set by hand.",
            "Uniform",
            "The same mass for every arm",
        ),
        Role::Rewards => (
            "Where the raw rewards r come from; R = scale · r + offset. Another kind drops the bars that were set by hand.",
            "Constant",
            "The same reward for every arm",
        ),
    };
    combo(
        ui,
        title(role),
        tip,
        kind,
        &[
            Choice::new(Kind::Constant, constant, constant_tip),
            Choice::new(Kind::List, "List", "One number per arm").unless(
                arms > MOST_LISTED && *kind != Kind::List,
                "Lists are typed for up to 1,000 arms; a table (CSV) takes any number",
            ),
            Choice::new(
                Kind::Table,
                "Table (CSV)…",
                "A column of a CSV file, one row per arm",
            ),
            Choice::new(
                Kind::Bumps,
                "Bumps",
                "floor + Σ height · exp(−½ d²/width²), d the distance to the bump's centre",
            ),
            Choice::new(
                Kind::Blocks,
                "Blocks",
                "A value for from ≤ i < to; the last block that fits wins",
            ),
            Choice::new(Kind::PowerLaw, "Power law", "(1 − (i + ½)/n)^exponent"),
            Choice::new(Kind::Zipf, "Zipf", "(i + 1)^−exponent"),
            Choice::new(
                Kind::Random,
                "Random",
                "Independent random numbers from a seed",
            ),
            Choice::new(Kind::Formula, "Formula", "A formula in i, n, x and y"),
        ],
    );
}

/// A source of another kind to begin with; none for a table, which is chosen first.
fn starting_with(kind: Kind, role: Role, view: &View) -> Option<Source> {
    let arms = view.problem.arms();
    let x = first_bump(&view.problem.shape).x;
    Some(match kind {
        Kind::Constant => Source::Constant(match role {
            Role::Reference => 1.0,
            Role::Rewards => 0.0,
        }),
        Kind::List => match role {
            Role::Reference => {
                let masses = view.problem.reference.masses();
                Source::Weights(masses.into_iter().map(tidy).collect())
            }
            Role::Rewards => Source::List(view.problem.rewards.clone()),
        },
        Kind::Table => return None,
        Kind::Bumps => Source::Bumps {
            bumps: vec![first_bump(&view.problem.shape)],
            floor: 0.0,
        },
        Kind::Blocks => Source::Blocks {
            blocks: vec![Block {
                from: arms * 2 / 5,
                to: (arms * 3 / 5).max(arms * 2 / 5 + 1),
                value: 1.0,
            }],
            otherwise: match role {
                Role::Reference => 0.1,
                Role::Rewards => 0.0,
            },
        },
        Kind::PowerLaw => Source::PowerLaw { exponent: 2.0 },
        Kind::Zipf => Source::Zipf { exponent: 1.0 },
        Kind::Random => Source::Random {
            seed: 0,
            noise: Noise::Uniform {
                low: 0.0,
                high: 1.0,
            },
        },
        Kind::Formula => Source::Formula(match role {
            Role::Reference => "1 / (i + 1)".to_owned(),
            Role::Rewards => format!("step(x, {x})"),
        }),
    })
}

/// A bump in the middle.
pub(super) fn first_bump(shape: &Shape) -> Bump {
    let ((low, high), y_range) = match *shape {
        Shape::Line { range, .. } => (range, None),
        Shape::Grid {
            x_range, y_range, ..
        } => (x_range, Some(y_range)),
    };
    let middle = |(low, high): (f64, f64)| tidy(0.5 * low + 0.5 * high);
    Bump {
        x: middle((low, high)),
        y: y_range.map_or(0.0, middle),
        width: tidy(0.1 * (high - low)),
        height: 1.0,
    }
}

/// Four significant digits.
pub(super) fn tidy(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// What a control of a role is known as.
pub(super) fn named(role: Role, what: &str) -> String {
    format!("{} {what}", title(role))
}

const FORMULA_TIP: &str = "Its value on every arm; what is typed takes effect letter by letter, and the last formula that has a finite value everywhere stays.";

/// As in the midst of a sentence.
pub(super) fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next();
    first
        .into_iter()
        .flat_map(char::to_lowercase)
        .chain(letters)
        .collect()
}

fn list_ui(ui: &mut Ui, role: Role, values: &[f64], texts: &mut Texts) -> Option<Source> {
    if values.len() > MOST_LISTED {
        note(
            ui,
            &format!("{} numbers, from the preset file", values.len()),
        );
        return None;
    }
    let present: Vec<String> = values.iter().map(|value| written(*value)).collect();
    let tip = match role {
        Role::Reference => {
            "One weight ≥ 0 per arm, with commas or blanks between; they are normalised"
        }
        Role::Rewards => "One raw reward per arm, with commas or blanks between",
    };
    let read = texts.finished(
        ui,
        &named(role, "list"),
        tip,
        &present.join(", "),
        3,
        numbers,
    );
    read.map(|values| match role {
        Role::Reference => Source::Weights(values),
        Role::Rewards => Source::List(values),
    })
}

/// A number as it is typed, every digit of it.
fn written(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e7).contains(&size) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

fn numbers(text: &str) -> Result<Vec<f64>, String> {
    text.split(|letter: char| letter == ',' || letter == ';' || letter.is_whitespace())
        .filter(|piece| !piece.is_empty())
        .map(|piece| {
            let refused = || format!("“{piece}” is not accepted; numbers with commas between are");
            piece.parse().map_err(|_| refused())
        })
        .collect()
}

fn table_ui(
    ui: &mut Ui,
    role: Role,
    (path, column): (&PathBuf, Option<&str>),
    texts: &mut Texts,
    actions: &mut Vec<Action>,
) -> Option<Source> {
    let tip = "The CSV file; a relative path starts at the preset's folder. It is read when it is named here, not again when it changes";
    let new_path = named_row(ui, "File", tip, |ui| {
        let name = named(role, "file");
        let shown = path.to_string_lossy();
        let width = (ui.available_width() - 34.0).max(40.0);
        let field = ui.scope(|ui| {
            ui.set_max_width(width);
            texts.finished(ui, &name, tip, &shown, 1, |text| {
                Ok(PathBuf::from(text.trim()))
            })
        });
        let choose = ui.button("…").on_hover_text("Choose a file");
        let name = format!("Choose the {}", lower_first(&name));
        if choose.accessible_name(name).clicked() {
            actions.push(Action::ChooseTable(role));
        }
        field.inner
    });
    let tip = "Name of the column; empty is the only one, or the one called reference (for the reference), reward or rewards (for the rewards)";
    let new_column = named_row(ui, "Column", tip, |ui| {
        let name = named(role, "column");
        let present = column.unwrap_or_default();
        texts.finished(ui, &name, tip, present, 1, |text| {
            Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
        })
    });
    if new_path.is_none() && new_column.is_none() {
        return None;
    }
    Some(Source::Csv {
        path: new_path.unwrap_or_else(|| path.clone()),
        column: new_column.unwrap_or_else(|| column.map(str::to_owned)),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;

    #[test]
    fn a_list_is_read_back_as_it_was_written() {
        let values = vec![0.1 + 0.2, -3.0, 1e-300, 0.0, 123_456_789.0];
        let texts: Vec<String> = values.iter().map(|value| written(*value)).collect();
        assert_eq!(numbers(&texts.join(", ")).unwrap(), values);
        assert_eq!(numbers(" 1;2\n3 ,").unwrap(), [1.0, 2.0, 3.0]);
        assert!(numbers("1, two").unwrap_err().contains("“two”"));
    }
}
