//! Controls of the arms: how many, on a line, on a grid or by name.

use egui::Ui;

use super::{
    row::{Cell, Choice, cells_ui, combo, count_slider, named_row, note},
    texts::Texts,
};
use crate::experiment::{Arms, MAX_ARMS};

/// Names are listed up to this many.
const MOST_NAMES: usize = 200;

#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Line,
    Grid,
    Named,
}

/// Draws the controls; the arms as they are to be, if that is something else.
pub(super) fn arms_ui(ui: &mut Ui, arms: &Arms, texts: &mut Texts) -> Option<Arms> {
    let mut layout = match arms {
        Arms::Line { .. } => Layout::Line,
        Arms::Grid { .. } => Layout::Grid,
        Arms::Named(_) => Layout::Named,
    };
    let many = arms.count() > MOST_NAMES && layout != Layout::Named;
    let taken = combo(
        ui,
        "Layout",
        "How the arms lie. Another number or layout of the arms starts the run anew.",
        &mut layout,
        &[
            Choice::new(
                Layout::Line,
                "On a line",
                "Arm i of n lies at the centre of the i-th of n equal cells of the range",
            ),
            Choice::new(
                Layout::Grid,
                "On a grid",
                "Row by row, row 0 at the smallest y",
            ),
            Choice::new(
                Layout::Named,
                "Named",
                "As many as there are names; arm i lies at x = i",
            )
            .unless(many, "Names are for up to 200 arms"),
        ],
    );
    if taken {
        return Some(laid_out(arms, layout));
    }
    match arms {
        Arms::Line { count, range } => line_ui(ui, *count, *range),
        Arms::Grid {
            rows,
            columns,
            x_range,
            y_range,
        } => grid_ui(ui, (*rows, *columns), (*x_range, *y_range)),
        Arms::Named(names) => names_ui(ui, names, texts),
    }
}

fn line_ui(ui: &mut Ui, count: usize, range: Option<(f64, f64)>) -> Option<Arms> {
    let (mut new_count, mut new_range) = (count, range);
    count_slider(
        ui,
        "Arms",
        "1 to 1,000,000. Another number starts the run anew; labelled modes, blocks, lists and bars set by hand are cut where there are fewer.",
        &mut new_count,
        1..=MAX_ARMS,
    );
    range_ui(ui, "Range of x", &mut new_range);
    ((new_count, new_range) != (count, range)).then_some(Arms::Line {
        count: new_count,
        range: new_range,
    })
}

type Range = Option<(f64, f64)>;

fn grid_ui(ui: &mut Ui, size: (usize, usize), ranges: (Range, Range)) -> Option<Arms> {
    let (mut rows, mut columns) = size;
    let (mut x_range, mut y_range) = ranges;
    let tip = "Rows times columns are 1 to 1,000,000 arms. Another size starts the run anew.";
    count_slider(ui, "Rows", tip, &mut rows, 1..=MAX_ARMS);
    count_slider(ui, "Columns", tip, &mut columns, 1..=MAX_ARMS);
    range_ui(ui, "Range of x", &mut x_range);
    range_ui(ui, "Range of y", &mut y_range);
    (((rows, columns), (x_range, y_range)) != (size, ranges)).then_some(Arms::Grid {
        rows,
        columns,
        x_range,
        y_range,
    })
}

/// An interval that the arms cover; absent is (0, 1).
fn range_ui(ui: &mut Ui, label: &str, range: &mut Range) {
    let (mut low, mut high) = range.unwrap_or((0.0, 1.0));
    let before = (low, high);
    let speed = ((high - low).abs() * 0.01).max(1e-6);
    let tip = "Interval that the arms cover, from the smaller to the larger end. Another one starts the run anew.";
    named_row(ui, label, tip, |ui| {
        let mut cells = [
            Cell::number("from", &mut low, f64::MIN..=f64::MAX, speed),
            Cell::number("to", &mut high, f64::MIN..=f64::MAX, speed),
        ];
        cells_ui(ui, label, tip, &mut cells, 0.0);
    });
    if (low, high) != before {
        *range = Some((low, high));
    }
}

fn names_ui(ui: &mut Ui, names: &[String], texts: &mut Texts) -> Option<Arms> {
    if names.len() > MOST_NAMES {
        note(ui, &format!("{} names, from the preset file", names.len()));
        return None;
    }
    // A name may hold a comma itself.
    let (joint, apart): (_, &[char]) = match names.iter().any(|name| name.contains(',')) {
        true => ("\n", &['\n']),
        false => (", ", &[',', '\n']),
    };
    let tip = "One name per arm, with commas or line breaks between. Other names alone keep the run going; more or fewer start it anew.";
    texts.finished(
        ui,
        "Names of the arms",
        tip,
        &names.join(joint),
        3,
        |text| {
            let names = text.split(apart).map(str::trim);
            let names = names.filter(|name| !name.is_empty()).map(str::to_owned);
            Ok(Arms::Named(names.collect()))
        },
    )
}

/// The same arms, as far as may be, in another layout.
fn laid_out(arms: &Arms, layout: Layout) -> Arms {
    let count = arms.count();
    let range = match arms {
        Arms::Line { range, .. } => *range,
        Arms::Grid { x_range, .. } => *x_range,
        Arms::Named(_) => None,
    };
    match layout {
        Layout::Line => Arms::Line { count, range },
        Layout::Grid => {
            let (rows, columns) = sides(count);
            Arms::Grid {
                rows,
                columns,
                x_range: range,
                y_range: None,
            }
        }
        Layout::Named => Arms::Named((0..count).map(|arm| format!("arm {arm}")).collect()),
    }
}

/// Rows and columns that make this many cells, as near to a square as may be; a square nearby where only one row would.
fn sides(count: usize) -> (usize, usize) {
    let root = count.isqrt().max(1);
    match (2..=root).rev().find(|rows| count.is_multiple_of(*rows)) {
        Some(rows) => (rows, count / rows),
        None => (root, root),
    }
}

#[cfg(test)]
mod tests {
    use super::sides;

    #[test]
    fn a_grid_of_as_many_arms_is_nearly_square() {
        assert_eq!(sides(100), (10, 10));
        assert_eq!(sides(12), (3, 4));
        assert_eq!(sides(97), (9, 9));
        assert_eq!(sides(1), (1, 1));
        assert_eq!(sides(1_000_000), (1000, 1000));
    }
}
