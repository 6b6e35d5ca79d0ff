//! Controls of the sources whose fields are all numbers: constants, power laws, bumps, blocks and random numbers.

use egui::{Button, DragValue, Ui};

use super::{
    row::{Cell, Choice, cells_ui, combo, named_row, wide},
    source::{first_bump, lower_first, named, tidy, title},
};
use crate::{
    bandit::Shape,
    experiment::{Block, Bump, Noise, Role, Source},
    ui::View,
};

/// Bumps and blocks get a row each up to this many.
pub(super) const MOST_ROWS: usize = 64;
/// Exponents that the presets accept.
const EXPONENTS: std::ops::RangeInclusive<f64> = -1e3..=1e3;
/// Any number.
const ANY: std::ops::RangeInclusive<f64> = f64::MIN..=f64::MAX;

/// The kinds whose fields are all numbers.
pub(super) fn numbers_ui(ui: &mut Ui, role: Role, source: &mut Source, view: &View) {
    // Weights have no sign.
    let least = match role {
        Role::Reference => 0.0,
        Role::Rewards => f64::MIN,
    };
    let any = least..=f64::MAX;
    let one = |ui: &mut Ui, label, tip, value: &mut f64, range| {
        named_row(ui, label, tip, |ui| {
            let mut cells = [Cell::number("", value, range, 0.01)];
            let name = named(role, &lower_first(label));
            cells_ui(ui, &name, tip, &mut cells, 0.0);
        });
    };
    match source {
        Source::Constant(value) => match role {
            // Of one weight for all only the proportions count.
            Role::Reference => {}
            Role::Rewards => one(ui, "Value", "The raw reward of every arm", value, any),
        },
        Source::PowerLaw { exponent } | Source::Zipf { exponent } => one(
            ui,
            "Exponent",
            "How fast the numbers fall from the first arm to the last; below 0 they rise",
            exponent,
            EXPONENTS,
        ),
        Source::Bumps { bumps, floor } => {
            bumps_ui(ui, role, bumps, view, least);
            one(ui, "Floor", "Added on every arm", floor, any);
        }
        Source::Blocks { blocks, otherwise } => {
            blocks_ui(ui, role, blocks, view.problem.arms(), least);
            one(
                ui,
                "Elsewhere",
                "Value of the arms in no block",
                otherwise,
                any,
            );
        }
        Source::Random { seed, noise } => random_ui(ui, role, seed, noise),
        Source::List(_) | Source::Weights(_) | Source::Csv { .. } | Source::Formula(_) => {}
    }
}

/// Room for a button at the end of a row.
const BUTTON: f32 = 26.0;

fn bumps_ui(ui: &mut Ui, role: Role, bumps: &mut Vec<Bump>, view: &View, least: f64) {
    let (span, on_grid) = match view.problem.shape {
        Shape::Line { range, .. } => (range.1 - range.0, false),
        Shape::Grid { x_range, .. } => (x_range.1 - x_range.0, true),
    };
    let speed = (0.005 * span).max(1e-6);
    let tip =
        "Centre, width (standard deviation in the unit of the coordinates) and height of the bump";
    let mut removed = None;
    for (index, bump) in bumps.iter_mut().enumerate() {
        let group = named(role, &format!("bump {}", index + 1));
        ui.horizontal(|ui| {
            let mut cells = vec![Cell::number("x", &mut bump.x, ANY, speed)];
            if on_grid {
                cells.push(Cell::number("y", &mut bump.y, ANY, speed));
            }
            let width = f64::MIN_POSITIVE..=f64::MAX;
            cells.push(Cell::number("w", &mut bump.width, width, speed));
            cells.push(Cell::number("h", &mut bump.height, least..=f64::MAX, 0.01));
            cells_ui(ui, &group, tip, &mut cells, BUTTON);
            if remove_button(ui, &group) {
                removed = Some(index);
            }
        });
    }
    if let Some(index) = removed {
        bumps.remove(index);
    }
    if add_button(ui, role, "bump", bumps.len()) {
        bumps.push(match bumps.last() {
            // Beside the last one, so that it is seen.
            Some(last) => Bump {
                x: tidy(last.x + 2.0 * last.width),
                ..*last
            },
            None => first_bump(&view.problem.shape),
        });
    }
}

fn blocks_ui(ui: &mut Ui, role: Role, blocks: &mut Vec<Block>, arms: usize, least: f64) {
    let tip = "First arm, one past the last arm, and the value between";
    let mut removed = None;
    for (index, block) in blocks.iter_mut().enumerate() {
        let group = named(role, &format!("block {}", index + 1));
        ui.horizontal(|ui| {
            let (mut from, mut to) = (block.from as f64, block.to as f64);
            let last_start = (to - 1.0).max(0.0);
            let first_end = from + 1.0;
            let mut cells = [
                Cell::whole("from", &mut from, 0.0..=last_start),
                Cell::whole("to", &mut to, first_end..=(arms as f64).max(first_end)),
                Cell::number("v", &mut block.value, least..=f64::MAX, 0.01),
            ];
            cells_ui(ui, &group, tip, &mut cells, BUTTON);
            (block.from, block.to) = (from as usize, to as usize);
            if remove_button(ui, &group) {
                removed = Some(index);
            }
        });
    }
    if let Some(index) = removed {
        blocks.remove(index);
    }
    if add_button(ui, role, "block", blocks.len()) {
        // After the last one where there is room.
        let start = blocks.last().map_or(0, |block| block.to);
        let from = if start < arms { start } else { 0 };
        let to = (from + (arms / 10).max(1)).min(arms);
        let value = 1.0;
        blocks.push(Block { from, to, value });
    }
}

fn remove_button(ui: &mut Ui, group: &str) -> bool {
    ui.small_button("−")
        .on_hover_text("Remove it")
        .accessible_name(format!("Remove {}", lower_first(group)))
        .clicked()
}

fn add_button(ui: &mut Ui, role: Role, what: &str, count: usize) -> bool {
    let button = Button::new(format!("Add a {what}")).small();
    ui.add_enabled(count < MOST_ROWS, button)
        .on_hover_text("Another one beside the last")
        .on_disabled_hover_text("As many as fit here; a preset file takes more")
        .accessible_name(format!("Add a {} {what}", lower_first(title(role))))
        .clicked()
}

fn random_ui(ui: &mut Ui, role: Role, seed: &mut u64, noise: &mut Noise) {
    #[derive(Clone, Copy, PartialEq)]
    enum Law {
        Uniform,
        Normal,
        LogNormal,
    }
    let tip = "Seed of these numbers alone; the same seed gives the same numbers";
    named_row(ui, "Seed", tip, |ui| {
        let field = DragValue::new(seed).speed(0.1).update_while_editing(false);
        wide(ui, field)
            .accessible_name(named(role, "seed"))
            .on_hover_text(tip);
    });
    let mut law = match noise {
        Noise::Uniform { .. } => Law::Uniform,
        Noise::Normal { .. } => Law::Normal,
        Noise::LogNormal { .. } => Law::LogNormal,
    };
    let taken = combo(
        ui,
        "Distribution",
        "What the numbers are drawn from.",
        &mut law,
        &[
            Choice::new(Law::Uniform, "Uniform", "Evenly from low to high"),
            Choice::new(Law::Normal, "Normal", "Of a mean and a standard deviation").unless(
                role == Role::Reference,
                "A normal number can be negative, a weight cannot",
            ),
            Choice::new(Law::LogNormal, "Log-normal", "exp of a normal number"),
        ],
    );
    if taken {
        *noise = match law {
            Law::Uniform => Noise::Uniform {
                low: 0.0,
                high: 1.0,
            },
            Law::Normal => Noise::Normal {
                mean: 0.0,
                std: 1.0,
            },
            Law::LogNormal => Noise::LogNormal {
                mean: 0.0,
                std: 1.0,
            },
        };
    }
    let (label, tip, mut cells) = match noise {
        Noise::Uniform { low, high } => (
            "Ends",
            "The numbers lie from low to below high",
            [
                Cell::number("low", low, ANY, 0.01),
                Cell::number("high", high, ANY, 0.01),
            ],
        ),
        Noise::Normal { mean, std } => (
            "Shape",
            "Mean and standard deviation",
            [
                Cell::number("mean", mean, ANY, 0.01),
                Cell::number("std", std, 0.0..=f64::MAX, 0.01),
            ],
        ),
        Noise::LogNormal { mean, std } => (
            "Shape",
            "Mean and standard deviation of the logarithm",
            [
                Cell::number("mean", mean, -300.0..=300.0, 0.01),
                Cell::number("std", std, 0.0..=30.0, 0.01),
            ],
        ),
    };
    named_row(ui, label, tip, |ui| {
        cells_ui(ui, title(role), tip, &mut cells, 0.0)
    });
}
