//! Problems on a grid: one heat map per series, linked by cross-hair, colour scale and brush.

use egui::{
    Align, Align2, Color32, ColorImage, CursorIcon, DragValue, Layout, PointerButton, Pos2, Rect,
    Sense, Stroke, TextureHandle, TextureOptions, Ui, pos2, vec2,
};

use super::main_plot::{Bar, Series, edit, tooltip};
use crate::{
    bandit::Shape,
    experiment::Edit,
    figure::viridis,
    ui::{
        Action, Theme, View,
        chart::{
            Frame, Held, Margins, Scale, Values, decades, number, settle, settle_decades, ticks,
        },
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

/// One map: its values at screen resolution and their picture.
#[derive(Default)]
struct Map {
    key: Option<(Held, (usize, usize))>,
    /// Largest value of each block of cells, row 0 at the bottom.
    raster: Vec<f64>,
    width: usize,
    height: usize,
    low: f64,
    top: f64,
    lowest_positive: f64,
    painted: Option<Painted>,
    texture: Option<TextureHandle>,
}

/// What a picture was made with.
#[derive(Clone, Copy, PartialEq)]
struct Painted {
    range: (f64, f64),
    log: bool,
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
        let places = arrange(outer, shown.len(), cells);
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
            if let Some(arm) = self.map_ui(ui, (index, place, range), cells, view, actions) {
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
            ui.separator();
            self.brush_ui(ui, view);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let dark = ui.visuals().dark_mode;
                plot_menu(ui, "main plot", actions, || self.figure(view, dark));
                ui.toggle_value(&mut self.log, "log₁₀")
                    .on_hover_text("Masses on a log₁₀ colour scale");
                ui.toggle_value(&mut self.shared, "shared scale")
                    .on_hover_text("One colour scale for all masses");
            });
        });
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
        cells: Cells,
        view: &View,
        actions: &mut Vec<Action>,
    ) -> Option<usize> {
        let series = MAPS[index];
        let theme = Theme::of(ui);
        let log = self.log && !series.is_reward();
        let frame = Frame::new(ui, place, margins(place))?;
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
        labels(&frame, place, series, range, log, cells, &theme);
        let to_cell = |at: Pos2| {
            let x = ((at.x - frame.rect.left()) / frame.rect.width()).clamp(0.0, 1.0);
            let y = ((frame.rect.bottom() - at.y) / frame.rect.height()).clamp(0.0, 1.0);
            let column = ((f64::from(x) * cells.columns as f64) as usize).min(cells.columns - 1);
            let row = ((f64::from(y) * cells.rows as f64) as usize).min(cells.rows - 1);
            row * cells.columns + column
        };
        crosshair(ui, &frame, cells, view, &theme);
        let dark = theme.dark;
        plot_context_menu(&response, actions, || self.figure(view, dark));
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
                }
            })
            .collect();
        figures::heat_maps(view, maps, dark)
    }
}

impl Map {
    /// Brings the raster up to date: the largest value of each block of cells that shares a pixel.
    fn update(
        &mut self,
        held: Held,
        values: Values<'_>,
        cells: Cells,
        (width, height): (usize, usize),
    ) {
        if let Some((old, size)) = &self.key
            && *size == (width, height)
            && old.same(&held)
        {
            return;
        }
        self.key = Some((held, (width, height)));
        self.painted = None;
        (self.width, self.height) = (width, height);
        self.raster.clear();
        self.raster.resize(width * height, f64::NAN);
        self.low = f64::INFINITY;
        self.top = f64::NEG_INFINITY;
        self.lowest_positive = f64::INFINITY;
        for y in 0..height {
            let rows = cells.rows * y / height..cells.rows * (y + 1) / height;
            for x in 0..width {
                let columns = cells.columns * x / width..cells.columns * (x + 1) / width;
                let mut best = f64::NAN;
                for row in rows.clone() {
                    let start = row * cells.columns;
                    best = best.max(values.highest(start + columns.start, start + columns.end));
                }
                self.raster[y * width + x] = best;
                self.top = self.top.max(best);
                self.low = self.low.min(best);
                if best > 0.0 {
                    self.lowest_positive = self.lowest_positive.min(best);
                }
            }
        }
    }

    /// The picture, made anew only when values or scale changed.
    fn texture(&mut self, ui: &Ui, name: &str, wanted: Painted) -> Option<egui::TextureId> {
        if self.width == 0 || self.height == 0 {
            return None;
        }
        if self.painted != Some(wanted) || self.texture.is_none() {
            self.painted = Some(wanted);
            let palette = palette();
            let (low, high) = wanted.range;
            let factor = if high > low {
                255.0 / (high - low)
            } else {
                0.0
            };
            let mut pixels = Vec::with_capacity(self.raster.len());
            // Pictures start at the top, the grid at the bottom.
            for row in self.raster.chunks_exact(self.width).rev() {
                pixels.extend(row.iter().map(|&value| {
                    let value = if wanted.log { value.log10() } else { value };
                    if value.is_nan() {
                        Color32::TRANSPARENT
                    } else {
                        palette[((value - low) * factor).clamp(0.0, 255.0) as usize]
                    }
                }));
            }
            let image = ColorImage::new([self.width, self.height], pixels);
            match &mut self.texture {
                Some(texture) => texture.set(image, TextureOptions::NEAREST),
                None => {
                    self.texture =
                        Some(ui.ctx().load_texture(name, image, TextureOptions::NEAREST));
                }
            }
        }
        self.texture.as_ref().map(TextureHandle::id)
    }
}

fn palette() -> [Color32; 256] {
    std::array::from_fn(|i| {
        let [r, g, b] = viridis(i as f64 / 255.0);
        Color32::from_rgb(r, g, b)
    })
}

fn margins(place: Rect) -> Margins {
    let roomy = place.width() > 170.0 && place.height() > 130.0;
    Margins {
        left: if roomy { 38.0 } else { 4.0 },
        right: if roomy { 58.0 } else { 4.0 },
        top: 16.0,
        bottom: if roomy { 18.0 } else { 4.0 },
    }
}

/// Places for `count` maps: the number of columns that makes them largest, in the grid's proportions.
fn arrange(outer: Rect, count: usize, cells: Cells) -> Vec<Rect> {
    let aspect = (cells.columns as f32 / cells.rows as f32).clamp(0.25, 4.0);
    let size_of = |across: usize| {
        let down = count.div_ceil(across);
        let room = vec2(outer.width() / across as f32, outer.height() / down as f32);
        let margin = margins(Rect::from_min_size(pos2(0.0, 0.0), room));
        let width = (room.x - margin.left - margin.right).max(1.0);
        let height = (room.y - margin.top - margin.bottom).max(1.0);
        (room, margin, width.min(height * aspect))
    };
    let Some(across) = (1..=count).max_by(|a, b| size_of(*a).2.total_cmp(&size_of(*b).2)) else {
        return Vec::new();
    };
    let (room, margin, width) = size_of(across);
    let size = vec2(
        width + margin.left + margin.right,
        width / aspect + margin.top + margin.bottom,
    );
    (0..count)
        .map(|i| {
            let corner =
                outer.min + vec2((i % across) as f32 * room.x, (i / across) as f32 * room.y);
            Rect::from_min_size(corner, size.min(room))
        })
        .collect()
}

fn labels(
    frame: &Frame,
    place: Rect,
    series: Series,
    range: (f64, f64),
    log: bool,
    cells: Cells,
    theme: &Theme,
) {
    let rect = frame.rect;
    frame.label(
        pos2(rect.left(), rect.top() - 2.0),
        Align2::LEFT_BOTTOM,
        series.label(),
        series.color(theme),
    );
    if place.right() - rect.right() > 20.0 {
        let x = frame.x(cells.x_range.0, cells.x_range.1);
        let y = frame.y(cells.y_range.0, cells.y_range.1);
        let few = (rect.width() / 42.0).clamp(2.0, 6.0) as usize;
        frame.bottom_axis(x, &ticks(x.low, x.high, few), false);
        for tick in ticks(y.low, y.high, few) {
            frame.label(
                pos2(rect.left() - 4.0, y.at(tick.value)),
                Align2::RIGHT_CENTER,
                &tick.label,
                frame.text_color(),
            );
        }
        color_bar(frame, range, log);
    }
    frame.outline();
}

fn color_bar(frame: &Frame, (low, high): (f64, f64), log: bool) {
    let rect = frame.rect;
    let bar = Rect::from_min_max(
        pos2(rect.right() + 6.0, rect.top()),
        pos2(rect.right() + 14.0, rect.bottom()),
    );
    let mut mesh = egui::Mesh::default();
    const STRIPES: usize = 48;
    for i in 0..STRIPES {
        let [r, g, b] = viridis((i as f64 + 0.5) / STRIPES as f64);
        let share = |i: usize| bar.bottom() - bar.height() * i as f32 / STRIPES as f32;
        mesh.add_colored_rect(
            Rect::from_min_max(pos2(bar.left(), share(i + 1)), pos2(bar.right(), share(i))),
            Color32::from_rgb(r, g, b),
        );
    }
    frame.outside.add(egui::Shape::mesh(mesh));
    let scale = Scale::new(low, high, bar.bottom(), bar.top());
    let few = (rect.height() / 45.0).clamp(2.0, 5.0) as usize;
    let marks = if log {
        decades(low, high, few)
    } else {
        ticks(low, high, few)
    };
    for tick in marks {
        let y = scale.at(tick.value);
        if y >= bar.top() - 0.5 && y <= bar.bottom() + 0.5 {
            frame.label(
                pos2(bar.right() + 3.0, y),
                Align2::LEFT_CENTER,
                &tick.label,
                frame.text_color(),
            );
        }
    }
    if low >= high {
        frame.label(
            pos2(bar.right() + 3.0, bar.center().y),
            Align2::LEFT_CENTER,
            &number(low),
            frame.text_color(),
        );
    }
}

/// Cross-hair on the hovered arm, boxes on the picked ones.
fn crosshair(ui: &Ui, frame: &Frame, cells: Cells, view: &View, theme: &Theme) {
    let size = vec2(
        frame.rect.width() / cells.columns as f32,
        frame.rect.height() / cells.rows as f32,
    );
    let cell = |arm: usize| {
        (arm < cells.rows * cells.columns).then(|| {
            let (row, column) = (arm / cells.columns, arm % cells.columns);
            Rect::from_min_size(
                pos2(
                    frame.rect.left() + column as f32 * size.x,
                    frame.rect.bottom() - (row + 1) as f32 * size.y,
                ),
                size,
            )
        })
    };
    if let Some(cell) = view.selection.hovered.and_then(cell) {
        let centre = cell.center();
        for (width, color) in [
            (2.5, Color32::from_black_alpha(110)),
            (1.0, Color32::from_white_alpha(220)),
        ] {
            let stroke = Stroke::new(width, color);
            frame.inside.hline(frame.rect.x_range(), centre.y, stroke);
            frame.inside.vline(centre.x, frame.rect.y_range(), stroke);
        }
    }
    for (name, arm) in [("A", view.selection.pair.0), ("B", view.selection.pair.1)] {
        if let Some(cell) = arm.and_then(cell) {
            let at = cell.center();
            frame
                .inside
                .circle(at, 7.5, theme.accent, Stroke::new(1.0, Color32::WHITE));
            frame.inside.text(
                at,
                Align2::CENTER_CENTER,
                name,
                frame.font(),
                ui.visuals().extreme_bg_color,
            );
        }
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

    #[test]
    fn maps_get_places_inside_the_panel_that_do_not_overlap() {
        let outer = Rect::from_min_size(pos2(3.0, 5.0), vec2(800.0, 300.0));
        for count in 0..=7 {
            let places = arrange(outer, count, CELLS);
            assert_eq!(places.len(), count);
            for (i, a) in places.iter().enumerate() {
                assert!(outer.expand(0.1).contains_rect(*a), "{a:?}");
                for b in &places[..i] {
                    assert!(!a.shrink(0.1).intersects(b.shrink(0.1)));
                }
            }
        }
    }
}
