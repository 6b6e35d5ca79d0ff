//! Problems on a grid: one heat map per series, linked by cross-hair, colour scale and brush.

mod draw;
mod raster;

use egui::{
    Align, Color32, CursorIcon, DragValue, Layout, PointerButton, Pos2, Rect, Sense, Ui, pos2,
};

use self::{
    draw::{arrange, crosshair, labels},
    raster::{Map, Painted},
};
use super::main_plot::{Bar, Series, edit, tooltip};
use crate::{
    bandit::Shape,
    experiment::Edit,
    ui::{
        Action, Theme, View,
        chart::{Frame, Margins, settle, settle_decades},
        figures,
        widgets::plot_menu::{plot_context_menu, plot_menu},
    },
};

/// The series that have a map, in reading order.
const MAPS: [Series; 7] = [
    Series::Reference,
    Series::Reward,
    Series::Augmented,
    Series::Target,
    Series::Policy,
    Series::Samples,
    Series::BestFit,
];

/// State of the heat maps.
pub(crate) struct HeatMaps {
    hidden: [bool; MAPS.len()],
    log: bool,
    shared: bool,
    brush: Option<Bar>,
    /// Effective reward, or reference mass, that the brush leaves; chosen from the data until set by hand.
    brush_value: Option<f64>,
    brush_radius: usize,
    painting: Option<Painting>,
    hovering: bool,
    maps: [Map; MAPS.len()],
    top: Option<f64>,
}

impl Default for HeatMaps {
    fn default() -> Self {
        Self {
            hidden: [false; MAPS.len()],
            log: false,
            shared: false,
            brush: None,
            brush_value: None,
            brush_radius: 1,
            painting: None,
            hovering: false,
            maps: Default::default(),
            top: None,
        }
    }
}

/// A stroke of the brush in progress.
struct Painting {
    last: usize,
    sent: Option<Edit>,
}

/// The grid of the problem.
#[derive(Clone, Copy)]
struct Cells {
    rows: usize,
    columns: usize,
    x_range: (f64, f64),
    y_range: (f64, f64),
}

impl HeatMaps {
    /// Draws the maps into the whole of `ui`; the problem must lie on a grid.
    pub(crate) fn ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let Shape::Grid {
            rows,
            columns,
            x_range,
            y_range,
        } = view.problem.shape
        else {
            return;
        };
        let cells = Cells {
            rows,
            columns,
            x_range,
            y_range,
        };
        self.header_ui(ui, view, actions);
        let outer = ui.available_rect_before_wrap();
        if !outer.is_finite() || outer.width() < 4.0 || outer.height() < 4.0 {
            return;
        }
        ui.allocate_rect(outer, Sense::hover());
        let shown: Vec<usize> = (0..MAPS.len())
            .filter(|&i| !self.hidden[i] && MAPS[i].values(view).is_some())
            .collect();
        let (places, margins, bar) = arrange(outer, shown.len(), cells);
        let Some(first) = places.first() else { return };
        let pixels = ui.pixels_per_point();
        let resolution = (
            ((first.width() * pixels) as usize).clamp(1, columns),
            ((first.height() * pixels) as usize).clamp(1, rows),
        );
        for &index in &shown {
            if let Some((held, values)) = MAPS[index].values(view) {
                self.maps[index].update(held, values, cells, resolution);
            }
        }
        let mass_range = self.mass_range(&shown);
        let mut hovered = None;
        for (&index, &place) in shown.iter().zip(&places) {
            let range = self.range(index, mass_range);
            if let Some(arm) = self.map_ui(
                ui,
                (index, place, range),
                (cells, margins, bar),
                view,
                actions,
            ) {
                hovered = Some(arm);
            }
        }
        match hovered {
            Some(arm) => {
                self.hovering = true;
                if view.selection.hovered != Some(arm) {
                    actions.push(Action::Hover(Some(arm)));
                }
            }
            None => {
                if std::mem::take(&mut self.hovering) {
                    actions.push(Action::Hover(None));
                }
            }
        }
    }

    fn header_ui(&mut self, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
        let menu = |maps: &mut Self, ui: &mut Ui, actions: &mut Vec<Action>| {
            plot_menu(ui, "main plot", actions, |dark| maps.figure(view, dark));
        };
        let log = |maps: &mut Self, ui: &mut Ui| {
            ui.toggle_value(&mut maps.log, "log₁₀")
                .on_hover_text("Masses on a log₁₀ colour scale");
        };
        let shared = |maps: &mut Self, ui: &mut Ui| {
            ui.toggle_value(&mut maps.shared, "shared scale")
                .on_hover_text("One colour scale for all masses");
        };
        // With every series and the brush on, one row needs about this much.
        let wide = ui.available_width() > 820.0;
        ui.horizontal_wrapped(|ui| {
            for (index, series) in MAPS.into_iter().enumerate() {
                if series.values(view).is_none() {
                    continue;
                }
                let mut on = !self.hidden[index];
                ui.toggle_value(&mut on, series.label())
                    .on_hover_text(series.explanation());
                self.hidden[index] = !on;
            }
            if wide {
                ui.separator();
                self.brush_ui(ui, view);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    menu(self, ui, actions);
                    log(self, ui);
                    shared(self, ui);
                });
            }
        });
        if !wide {
            ui.horizontal_wrapped(|ui| {
                self.brush_ui(ui, view);
                shared(self, ui);
                log(self, ui);
                menu(self, ui, actions);
            });
        }
    }

    fn brush_ui(&mut self, ui: &mut Ui, view: &View) {
        let name = self.brush.map_or("off", Bar::label);
        let before = self.brush;
        egui::ComboBox::from_id_salt("brush")
            .selected_text(format!("Brush {name}"))
            .show_ui(ui, |ui| {
                ui.selectable_value(&mut self.brush, None, "off");
                ui.selectable_value(&mut self.brush, Some(Bar::Reward), "reward");
                ui.selectable_value(&mut self.brush, Some(Bar::Reference), "reference");
            })
            .response
            .accessible_name("What the brush paints")
            .on_hover_text("Drag over a map to paint the reward or the reference");
        if self.brush != before {
            self.brush_value = None;
        }
        if let Some(bar) = self.brush {
            let mut value = self.brush_value(view, bar);
            let speed = (value.abs() * 0.02).max(1e-6);
            let field = ui
                .add(DragValue::new(&mut value).speed(speed).max_decimals(6))
                .on_hover_text(match bar {
                    Bar::Reward => "Effective reward that the brush leaves",
                    Bar::Reference => "Reference mass that the brush leaves on each arm",
                })
                .accessible_name("Brush value");
            if field.changed() && value.is_finite() {
                self.brush_value = Some(if bar == Bar::Reference {
                    value.max(0.0)
                } else {
                    value
                });
            }
            ui.add(
                DragValue::new(&mut self.brush_radius)
                    .range(0..=50)
                    .suffix(" cells"),
            )
            .on_hover_text("Radius of the brush")
            .accessible_name("Brush radius");
        }
    }

    fn brush_value(&self, view: &View, bar: Bar) -> f64 {
        self.brush_value.unwrap_or_else(|| match bar {
            Bar::Reward => view
                .analysis
                .rewards
                .iter()
                .copied()
                .fold(f64::NEG_INFINITY, f64::max),
            Bar::Reference => view
                .problem
                .reference
                .log_masses()
                .iter()
                .copied()
                .fold(f64::NEG_INFINITY, f64::max)
                .exp(),
        })
    }

    /// The shared scale of all masses.
    fn mass_range(&mut self, shown: &[usize]) -> (f64, f64) {
        let masses = || shown.iter().filter(|i| !MAPS[**i].is_reward());
        let top = masses().map(|i| self.maps[*i].top).fold(0.0, f64::max);
        if self.log {
            let bottom = masses()
                .filter(|i| MAPS[**i] != Series::Samples)
                .map(|i| self.maps[*i].lowest_positive)
                .fold(f64::INFINITY, f64::min);
            settle_decades(top, bottom)
        } else {
            let top = settle(self.top, top);
            self.top = Some(top);
            (0.0, top)
        }
    }

    fn range(&self, index: usize, shared: (f64, f64)) -> (f64, f64) {
        let map = &self.maps[index];
        if MAPS[index].is_reward() {
            (map.low, map.top)
        } else if self.shared {
            shared
        } else if self.log {
            settle_decades(map.top, map.lowest_positive)
        } else {
            (0.0, map.top)
        }
    }

    /// One map in its place; returns the arm under the pointer.
    fn map_ui(
        &mut self,
        ui: &mut Ui,
        (index, place, range): (usize, Rect, (f64, f64)),
        (cells, margins, bar): (Cells, Margins, draw::Bar),
        view: &View,
        actions: &mut Vec<Action>,
    ) -> Option<usize> {
        let series = MAPS[index];
        let theme = Theme::of(ui);
        let log = self.log && !series.is_reward();
        let frame = Frame::new(ui, place, margins)?;
        let response = ui.interact(
            frame.rect,
            ui.scope_id().with(("heat map", index)),
            Sense::click_and_drag(),
        );
        let enabled = ui.is_enabled();
        response.widget_info(|| {
            egui::WidgetInfo::labeled(
                egui::Role::Image,
                enabled,
                format!("Heat map of the {}", series.label()),
            )
        });
        let name = format!("heat map {index}");
        let map = &mut self.maps[index];
        if let Some(texture) = map.texture(ui, &name, Painted { range, log }) {
            frame.inside.image(
                texture,
                frame.rect,
                Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0)),
                Color32::WHITE,
            );
        }
        labels(&frame, (place, bar), series, range, log, cells, &theme);
        let to_cell = |at: Pos2| {
            let x = ((at.x - frame.rect.left()) / frame.rect.width()).clamp(0.0, 1.0);
            let y = ((frame.rect.bottom() - at.y) / frame.rect.height()).clamp(0.0, 1.0);
            let column = ((f64::from(x) * cells.columns as f64) as usize).min(cells.columns - 1);
            let row = ((f64::from(y) * cells.rows as f64) as usize).min(cells.rows - 1);
            row * cells.columns + column
        };
        crosshair(ui, &frame, cells, view, &theme);
        plot_context_menu(&response, actions, |dark| self.figure(view, dark));
        if response.clicked()
            && let Some(at) = response.interact_pointer_pos()
        {
            actions.push(Action::Pick(to_cell(at)));
        }
        if let Some(bar) = self.brush {
            if response.hovered() {
                ui.set_cursor_icon(CursorIcon::Crosshair);
            }
            if let Some(at) = response
                .interact_pointer_pos()
                .filter(|_| response.dragged_by(PointerButton::Primary) || response.drag_stopped())
            {
                self.paint(
                    bar,
                    to_cell(at),
                    response.drag_stopped(),
                    cells,
                    view,
                    actions,
                );
            }
        }
        let at = response.hover_pos().filter(|at| frame.rect.contains(*at))?;
        if !response.hovered() && !response.dragged() {
            return None;
        }
        let arm = to_cell(at);
        if !response.context_menu_opened() {
            tooltip(ui, response.id, view, arm);
        }
        Some(arm)
    }

    fn paint(
        &mut self,
        bar: Bar,
        arm: usize,
        stop: bool,
        cells: Cells,
        view: &View,
        actions: &mut Vec<Action>,
    ) {
        if view.scrub.is_some() {
            return;
        }
        let value = self.brush_value(view, bar);
        let mut painting = self.painting.take().unwrap_or(Painting {
            last: usize::MAX,
            sent: None,
        });
        if painting.last != arm {
            let from = if painting.last == usize::MAX {
                arm
            } else {
                painting.last
            };
            painting.last = arm;
            let changes: Vec<(usize, f64)> = brushed(from, arm, self.brush_radius, cells)
                .into_iter()
                .map(|arm| (arm, value))
                .collect();
            if let Some(edit) = edit(view, bar, &changes) {
                painting.sent = Some(edit.clone());
                if !stop {
                    actions.push(Action::Edit { edit, done: false });
                }
            }
        }
        if stop {
            if let Some(edit) = painting.sent {
                actions.push(Action::Edit { edit, done: true });
            }
        } else {
            self.painting = Some(painting);
        }
    }

    fn figure(&self, view: &View, dark: bool) -> crate::figure::Figure {
        let shown: Vec<usize> = (0..MAPS.len())
            .filter(|&i| {
                !self.hidden[i] && self.maps[i].width > 0 && MAPS[i].values(view).is_some()
            })
            .collect();
        let masses = shown.iter().filter(|i| !MAPS[**i].is_reward());
        let shared = if self.log {
            let top = masses
                .clone()
                .map(|i| self.maps[*i].top)
                .fold(0.0, f64::max);
            let bottom = masses
                .filter(|i| MAPS[**i] != Series::Samples)
                .map(|i| self.maps[*i].lowest_positive)
                .fold(f64::INFINITY, f64::min);
            settle_decades(top, bottom)
        } else {
            (0.0, self.top.unwrap_or(1.0))
        };
        let maps = shown
            .into_iter()
            .map(|index| {
                let log = self.log && !MAPS[index].is_reward();
                let map = &self.maps[index];
                figures::MapFigure {
                    name: MAPS[index].label(),
                    values: map
                        .raster
                        .iter()
                        .map(|v| if log { v.log10() } else { *v })
                        .collect(),
                    columns: map.width,
                    range: self.range(index, shared),
                    log,
                }
            })
            .collect();
        figures::heat_maps(view, maps, dark)
    }
}

/// The arms under a round brush moved from one cell to another.
fn brushed(from: usize, to: usize, radius: usize, cells: Cells) -> Vec<usize> {
    let at = |arm: usize| ((arm % cells.columns) as f64, (arm / cells.columns) as f64);
    let ((x0, y0), (x1, y1)) = (at(from), at(to));
    let steps = (x1 - x0).abs().max((y1 - y0).abs()).max(1.0) as usize;
    let reach = radius as i64;
    let mut arms = Vec::new();
    for step in 0..=steps {
        let share = step as f64 / steps as f64;
        let column = (x0 + (x1 - x0) * share).round() as i64;
        let row = (y0 + (y1 - y0) * share).round() as i64;
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                let (x, y) = (column + dx, row + dy);
                let inside = x >= 0
                    && y >= 0
                    && (x as usize) < cells.columns
                    && (y as usize) < cells.rows
                    && dx * dx + dy * dy <= reach * reach;
                if inside {
                    arms.push(y as usize * cells.columns + x as usize);
                }
            }
        }
    }
    arms.sort_unstable();
    arms.dedup();
    arms
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELLS: Cells = Cells {
        rows: 4,
        columns: 5,
        x_range: (0.0, 1.0),
        y_range: (0.0, 1.0),
    };

    #[test]
    fn a_brush_stays_on_the_grid_and_leaves_no_gaps() {
        assert_eq!(brushed(0, 0, 0, CELLS), [0]);
        assert_eq!(brushed(0, 0, 1, CELLS), [0, 1, 5]);
        assert_eq!(brushed(0, 4, 0, CELLS), [0, 1, 2, 3, 4]);
        assert!(brushed(19, 0, 3, CELLS).iter().all(|arm| *arm < 20));
    }
}
