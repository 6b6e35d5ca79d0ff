//! The table of estimators, and the same as a figure.

use egui::{Color32, Rect, RichText, Sense, TextWrapMode, Ui, UiBuilder, vec2};
use egui_extras::{Column, TableBuilder};

use super::{cells, job::Row, job::Table};
use crate::{
    figure::{Axes, Axis, Figure, Layout, MarkKind},
    theory::{Estimator, Spread},
    ui::{
        Theme, figures,
        widgets::number::{number, significant},
    },
};

/// Header and its explanation, one per column.
const COLUMNS: [(&str, &str); 7] = [
    (
        "estimator",
        "How the divergence to the reference enters. Click to train with it",
    ),
    (
        "cosine",
        "Cosine between the expected gradient and the exact gradient of the objective: 1 is unbiased in direction. Near the \
         optimum the exact gradient vanishes and small biases show: a batch mean shrinks the reward, not the loss, by 1/B",
    ),
    ("pulls towards", "Where it ends if it is followed for ever"),
    (
        "against G",
        "Bars are the target it pulls towards, the dashed outline is the objective's own target G",
    ),
    (
        "length",
        "Length of the expected gradient over that of the exact one",
    ),
    (
        "variance",
        "Variance of the gradient per sample (trace of the covariance), on a logarithmic bar",
    ),
    (
        "SNR",
        "Length of the expected gradient over the standard deviation of a batch's gradient",
    ),
];

/// Draws the table; the estimator clicked, if any. `afresh` scrolls to the one in use.
pub(super) fn table_ui(
    ui: &mut Ui,
    table: &Table,
    running: Option<Estimator>,
    afresh: bool,
) -> Option<Estimator> {
    let theme = Theme::of(ui);
    let mut chosen = None;
    let scale = VarianceScale::of(table);
    // A narrow panel still shows what matters most: where each estimator ends.
    let [name, cosine, pull, spark] = if ui.clip_rect().width() < 620.0 {
        [150.0, 56.0, 126.0, 62.0]
    } else {
        [160.0, 96.0, 140.0, 100.0]
    };
    ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
    let mut head = Rect::NOTHING;
    let mut names = Vec::new();
    TableBuilder::new(ui)
        .id_salt("estimators")
        .striped(true)
        .sense(Sense::click())
        .vscroll(false)
        .cell_layout(egui::Layout::left_to_right(egui::Align::Center))
        .column(Column::exact(name))
        .column(Column::exact(cosine))
        .column(Column::initial(pull).at_least(70.0).clip(true))
        .column(Column::exact(spark))
        .column(Column::exact(100.0))
        .column(Column::exact(124.0))
        .column(Column::exact(70.0))
        .header(20.0, |mut header| {
            for (index, (name, explained)) in COLUMNS.into_iter().enumerate() {
                header.col(|ui| {
                    if index == 0 {
                        head = ui.max_rect();
                        return;
                    }
                    ui.label(RichText::new(name).strong().small())
                        .on_hover_text(explained);
                });
            }
        })
        .body(|mut body| {
            for row in &table.rows {
                body.row(24.0, |mut cells| {
                    let is_running = running == Some(row.estimator);
                    cells.set_selected(is_running);
                    cells.col(|ui| names.push((ui.max_rect(), row)));
                    row_ui(&mut cells, row, table, &scale, &theme);
                    if cells.response().clicked() {
                        chosen = Some(row.estimator);
                    }
                });
            }
        });
    // The names last and at the left edge of what is seen, over what is scrolled away below them.
    let left = ui.clip_rect().left();
    let stuck = |cell: Rect| cell.translate(vec2((left - cell.left()).max(0.0), 0.0));
    let back = |ui: &Ui, cell: Rect| {
        if stuck(cell) != cell {
            let behind = stuck(cell).expand2(vec2(0.0, 2.0));
            ui.painter()
                .rect_filled(behind, 0.0, ui.visuals().panel_fill);
        }
    };
    back(ui, head);
    let (name, explained) = COLUMNS[0];
    let heading = egui::Label::new(RichText::new(name).strong().small());
    ui.scope_builder(in_cell(stuck(head)), |ui| {
        ui.add(heading).on_hover_text(explained)
    });
    for (cell, row) in names {
        let is_running = running == Some(row.estimator);
        back(ui, cell);
        let clicked = ui.scope_builder(in_cell(stuck(cell)).id_salt(row.estimator.name()), |ui| {
            name_ui(ui, row, is_running)
        });
        if clicked.inner {
            chosen = Some(row.estimator);
        }
        if is_running && afresh {
            ui.scroll_to_rect(cell, Some(egui::Align::Center));
        }
    }
    chosen.filter(|&estimator| running != Some(estimator))
}

fn in_cell(cell: Rect) -> UiBuilder {
    UiBuilder::new()
        .max_rect(cell)
        .layout(egui::Layout::left_to_right(egui::Align::Center))
}

fn name_ui(ui: &mut Ui, row: &Row, is_running: bool) -> bool {
    let name = row.estimator.name();
    let response = ui.add(egui::Button::selectable(is_running, name));
    let response = if is_running {
        response.accessible_name(format!("{name} (running)"))
    } else {
        response
    };
    response
        .on_hover_ui(|ui| {
            ui.style_mut().wrap_mode = Some(TextWrapMode::Wrap);
            ui.set_max_width(320.0);
            ui.strong(row.estimator.formula());
            ui.label(row.estimator.reason());
            ui.label(format!("Pulls towards {}", row.pull));
        })
        .clicked()
}

fn row_ui(
    cells: &mut egui_extras::TableRow<'_, '_>,
    row: &Row,
    table: &Table,
    scale: &VarianceScale,
    theme: &Theme,
) {
    let report = &row.report;
    cells.col(|ui| {
        let color = cosine_color(report.cosine, theme);
        let value = ((report.cosine + 1.0) / 2.0) as f32;
        cells::bar_ui(ui, &fixed(report.cosine), 0.5, value, color);
    });
    cells.col(|ui| {
        ui.add(egui::Label::new(&row.pull).truncate());
    });
    cells.col(|ui| cells::spark_ui(ui, row.pulled.as_deref(), &table.target));
    cells.col(|ui| {
        let value = (report.length_ratio / 2.0).min(1.0) as f32;
        cells::bar_ui(
            ui,
            &significant(report.length_ratio, 3),
            0.0,
            value,
            theme.policy,
        );
    });
    cells.col(|ui| {
        let (text, color) = match report.spread {
            Spread::Infinite => ("∞".to_owned(), theme.error),
            Spread::RareArms { .. } => {
                (format!("{}*", significant(report.variance, 2)), theme.error)
            }
            Spread::Ordinary => (significant(report.variance, 2), theme.samples),
        };
        cells::bar_ui(ui, &text, 0.0, scale.fraction(report.variance), color);
    });
    if let Spread::RareArms { share } = report.spread {
        hint(
            cells,
            &format!(
                "{:.0} % of it comes from arms that a batch of {} is unlikely to hold: a run looks calm until one turns up",
                share * 100.0,
                table.job.batch
            ),
        );
    }
    cells.col(|ui| {
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            ui.label(RichText::new(significant(report.signal_to_noise, 3)).monospace());
        });
    });
}

/// Explains the last cell on hover.
fn hint(cells: &egui_extras::TableRow<'_, '_>, text: &str) {
    cells.response().on_hover_text(text);
}

fn cosine_color(cosine: f64, theme: &Theme) -> Color32 {
    if cosine > 0.999 {
        theme.good
    } else if cosine < 0.0 {
        theme.error
    } else {
        theme.reward
    }
}

fn fixed(value: f64) -> String {
    if value.is_nan() {
        "–".to_owned()
    } else {
        format!("{value:.3}").replace('-', "−")
    }
}

/// The common logarithmic scale of all variance bars.
struct VarianceScale {
    low: f64,
    high: f64,
}

impl VarianceScale {
    fn of(table: &Table) -> Self {
        let logs = table
            .rows
            .iter()
            .map(|row| row.report.variance.log10())
            .filter(|log| log.is_finite());
        let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), log| {
            (low.min(log), high.max(log))
        });
        Self {
            low: low - 0.5,
            high: high.max(low + 0.5),
        }
    }

    fn fraction(&self, variance: f64) -> f32 {
        if variance == f64::INFINITY {
            1.0
        } else {
            ((variance.log10() - self.low) / (self.high - self.low)) as f32
        }
    }
}

/// Cosine, length and variance of every row as bars.
pub(super) fn figure(table: &Table, dark: bool) -> Figure {
    let count = table.rows.len();
    let at = |index: usize| (count - 1 - index) as f64;
    let names: Vec<(f64, String)> = table
        .rows
        .iter()
        .enumerate()
        .map(|(index, row)| (at(index), row.estimator.name().to_owned()))
        .collect();
    let theme = figures::theme(dark);
    let axes = |label: &str, log10: bool, color: Color32, value: &dyn Fn(&Row) -> f64| {
        let points = |(index, row): (usize, &Row)| {
            let value = value(row);
            let value = if log10 { value.log10() } else { value };
            value.is_finite().then(|| (at(index), value))
        };
        let rows: Vec<(f64, f64)> = table.rows.iter().enumerate().filter_map(points).collect();
        let low = rows.iter().map(|row| row.1).fold(f64::INFINITY, f64::min);
        let base = if log10 && low.is_finite() {
            low - 0.5
        } else {
            0.0
        };
        let kind = MarkKind::Rows {
            rows,
            base,
            thickness: 9.0,
        };
        Axes {
            title: String::new(),
            aspect: None,
            x: figures::axis(label, log10, None),
            y: Axis {
                label: String::new(),
                log10: false,
                bounds: Some((-0.6, count as f64 - 0.4)),
                names: Some(names.clone()),
            },
            marks: vec![figures::mark(label, color, 1.0, kind)],
            right: None,
        }
    };
    Figure {
        title: format!(
            "Gradient estimators at step {}, batch {}",
            number(table.job.step as f64),
            table.job.batch
        ),
        file_stem: "estimators".to_owned(),
        size: (1020.0, 330.0),
        dark,
        layout: Layout::Row,
        axes: vec![
            axes("cosine with ∇J", false, theme.good, &|row| {
                row.report.cosine
            }),
            axes("length over ‖∇J‖", false, theme.policy, &|row| {
                row.report.length_ratio
            }),
            axes("variance per sample", true, theme.samples, &|row| {
                row.report.variance
            }),
        ],
    }
}
