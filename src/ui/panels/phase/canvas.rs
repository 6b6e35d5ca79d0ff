//! The drawing itself: heat map, axes, colour bar, tie boundary, cross-hair, and the pointer in it.

use std::sync::Arc;

use egui::{
    Align2, Color32, ColorImage, EventFilter, FontId, Galley, Key, Painter, Rect, Response, Role,
    Sense, Stroke, TextureHandle, TextureOptions, Ui, WidgetInfo, pos2, vec2,
};

use super::axes::{nice_step, ticks};
use crate::{
    engine::{Item, PhaseMap, PhaseRequest, tie_boundary},
    figure::viridis,
    ui::{
        Theme, View,
        widgets::number::{number, significant},
    },
};

/// What the pointer or the keys want: the two parameters, and whether the gesture is over.
pub(super) struct Wish {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) done: bool,
}

/// What is kept between frames: the picture of a map and the boundary over it.
#[derive(Default)]
pub(super) struct Canvas {
    picture: Option<(Arc<PhaseMap>, TextureHandle)>,
    boundary: Option<Boundary>,
}

type Segments = Vec<[(f64, f64); 2]>;

struct Boundary {
    /// As asked for by the worker's map, which holds the parameters at fixed values.
    generation: u64,
    done: usize,
    is_refined: bool,
    segments: Segments,
}

const LEFT: f32 = 46.0;
const BOTTOM: f32 = 36.0;
const RIGHT: f32 = 84.0;
const TOP: f32 = 20.0;
/// Room that is enough for the name of what goes up.
const LEAST_UP: f32 = 110.0;

impl Canvas {
    /// Draws into the rest of `ui`.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        view: &View,
        request: &PhaseRequest,
        map: Option<&Arc<PhaseMap>>,
    ) -> Option<Wish> {
        let size = ui
            .available_size()
            .max(vec2(LEFT + RIGHT + 60.0, TOP + BOTTOM + 60.0));
        let (whole, _) = ui.allocate_exact_size(size, Sense::hover());
        let titles = Titles::new(ui, whole.width(), view, request, map);
        let plot = Rect::from_min_max(
            pos2(whole.left() + LEFT, whole.top() + TOP + titles.more),
            pos2(whole.right() - RIGHT, whole.bottom() - BOTTOM),
        );
        let response = ui.interact(
            plot,
            ui.scope_id().with("phase plot"),
            Sense::click_and_drag(),
        );
        self.describe(ui, &response, view, request);
        let painter = ui.painter_at(whole);
        let theme = Theme::of(ui);
        self.paint_map(ui, &painter, plot, map);
        paint_axes(ui, &painter, whole, plot, view, request);
        titles.paint(ui, &painter, whole, plot);
        if let Some(map) = map {
            self.paint_boundary(&painter, plot, map);
            paint_colour_bar(ui, &painter, plot, map);
        }
        paint_cross_hair(ui, &painter, plot, view, request);
        if response.has_focus() {
            painter.rect_stroke(
                plot.expand(1.0),
                0.0,
                Stroke::new(2.0, theme.accent),
                egui::StrokeKind::Outside,
            );
        }
        let wish =
            pointer(ui, &response, plot, request).or_else(|| keys(ui, &response, view, request));
        read_out(response, plot, view, request, map, self.has_boundary());
        wish
    }

    /// A tie boundary was drawn in the last frame.
    pub(super) fn has_boundary(&self) -> bool {
        self.boundary
            .as_ref()
            .is_some_and(|boundary| !boundary.segments.is_empty())
    }

    fn describe(&self, ui: &Ui, response: &Response, view: &View, request: &PhaseRequest) {
        let name = format!(
            "Phase diagram of {} over {} and {}",
            request.title(),
            request.x.parameter.label(view.problem),
            request.y.parameter.label(view.problem)
        );
        response.widget_info(|| WidgetInfo::labeled(Role::Canvas, ui.is_enabled(), &name));
    }

    fn paint_map(&mut self, ui: &Ui, painter: &Painter, plot: Rect, map: Option<&Arc<PhaseMap>>) {
        painter.rect_filled(plot, 0.0, ui.visuals().faint_bg_color);
        let Some(map) = map else {
            return;
        };
        let fresh = self
            .picture
            .as_ref()
            .is_some_and(|(drawn, _)| Arc::ptr_eq(drawn, map));
        if !fresh {
            let image = image(map);
            match &mut self.picture {
                Some((drawn, texture)) => {
                    texture.set(image, TextureOptions::NEAREST);
                    *drawn = Arc::clone(map);
                }
                None => {
                    let texture =
                        ui.ctx()
                            .load_texture("phase diagram", image, TextureOptions::NEAREST);
                    self.picture = Some((Arc::clone(map), texture));
                }
            }
        }
        if let Some((_, texture)) = &self.picture {
            let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            painter.image(texture.id(), plot, uv, Color32::WHITE);
        }
    }

    fn paint_boundary(&mut self, painter: &Painter, plot: Rect, map: &Arc<PhaseMap>) {
        let fresh = self.boundary.as_ref().is_some_and(|b| {
            // A closed form costs milliseconds and does not wait for cells.
            let is_settled = (b.done, b.is_refined) == (map.done, map.boundary.is_some())
                || map.request.has_closed_tie();
            b.generation == map.generation && is_settled
        });
        if !fresh {
            self.boundary = Some(Boundary {
                generation: map.generation,
                done: map.done,
                is_refined: map.boundary.is_some(),
                segments: tie_boundary(&map.request, Some(map)),
            });
        }
        let Some(boundary) = &self.boundary else {
            return;
        };
        let painter = painter.with_clip_rect(plot);
        let at = |(x, y): (f64, f64)| {
            pos2(
                plot.left() + x as f32 * plot.width(),
                plot.bottom() - y as f32 * plot.height(),
            )
        };
        for (width, color) in [(4.0, Color32::from_black_alpha(140)), (2.0, Color32::WHITE)] {
            for [from, to] in &boundary.segments {
                painter.line_segment([at(*from), at(*to)], Stroke::new(width, color));
            }
        }
    }
}

fn image(map: &PhaseMap) -> ColorImage {
    let (columns, rows) = (map.request.columns, map.request.rows);
    let (low, high) = value_range(map);
    let mut pixels = Vec::with_capacity(columns * rows);
    for row in (0..rows).rev() {
        for column in 0..columns {
            let value = f64::from(map.values[row * columns + column]);
            pixels.push(if value.is_nan() {
                Color32::TRANSPARENT
            } else {
                let [r, g, b] = viridis((value - low) / (high - low));
                Color32::from_rgb(r, g, b)
            });
        }
    }
    ColorImage::new([columns, rows], pixels)
}

/// Ends of the colour scale; never equal.
pub(super) fn value_range(map: &PhaseMap) -> (f64, f64) {
    let (low, high) = map.range().unwrap_or((0.0, 1.0));
    if high - low > 1e-9 * (1.0 + high.abs()) {
        (low, high)
    } else {
        (low - 0.5, low + 0.5)
    }
}

fn paint_axes(
    ui: &Ui,
    painter: &Painter,
    whole: Rect,
    plot: Rect,
    view: &View,
    request: &PhaseRequest,
) {
    let ink = ui.visuals().text_color();
    let line = Stroke::new(1.0, ui.visuals().weak_text_color());
    painter.rect_stroke(plot, 0.0, line, egui::StrokeKind::Outside);
    let font = FontId::proportional(11.0);
    let mut free_from = f32::NEG_INFINITY;
    for (fraction, text) in ticks(&request.x, (plot.width() / 70.0) as usize) {
        let x = plot.left() + fraction as f32 * plot.width();
        painter.vline(x, plot.bottom()..=plot.bottom() + 4.0, line);
        let galley = painter.layout_no_wrap(text, font.clone(), ink);
        let left = x - galley.size().x / 2.0;
        if left > free_from {
            free_from = left + galley.size().x + 6.0;
            painter.galley(pos2(left, plot.bottom() + 5.0), galley, ink);
        }
    }
    for (fraction, text) in ticks(&request.y, (plot.height() / 36.0) as usize) {
        let y = plot.bottom() - fraction as f32 * plot.height();
        painter.hline(plot.left() - 4.0..=plot.left(), y, line);
        painter.text(
            pos2(plot.left() - 6.0, y),
            Align2::RIGHT_CENTER,
            text,
            font.clone(),
            ink,
        );
    }
    painter.text(
        pos2(plot.center().x, whole.bottom() - 2.0),
        Align2::CENTER_BOTTOM,
        request.x.parameter.label(view.problem),
        FontId::proportional(12.0),
        ink,
    );
}

/// The words above the plot: what goes up on the left, cut short where it must be, what the colours are on the right; one
/// above the other where hardly anything would be left of the former.
struct Titles {
    up: Arc<Galley>,
    colour: Option<Arc<Galley>>,
    /// Height that they need beyond one line.
    more: f32,
}

impl Titles {
    fn new(
        ui: &Ui,
        width: f32,
        view: &View,
        request: &PhaseRequest,
        map: Option<&Arc<PhaseMap>>,
    ) -> Self {
        let ink = ui.visuals().text_color();
        let layout = |text: String, size: f32, room: f32| {
            let font = FontId::proportional(size);
            let mut job = egui::text::LayoutJob::simple_singleline(text, font, ink);
            job.wrap = egui::text::TextWrapping::truncate_at_width(room.max(40.0));
            ui.painter().layout_job(job)
        };
        let colour = map.map(|map| layout(map.request.title(), 11.0, width - 4.0));
        let taken = colour.as_ref().map_or(0.0, |colour| colour.size().x + 16.0);
        let stacked = width - taken < LEAST_UP && taken > 0.0;
        let room = if stacked { width - 4.0 } else { width - taken };
        Self {
            more: if stacked { 15.0 } else { 0.0 },
            up: layout(
                format!("Up: {}", request.y.parameter.label(view.problem)),
                12.0,
                room,
            ),
            colour,
        }
    }

    fn paint(self, ui: &Ui, painter: &Painter, whole: Rect, plot: Rect) {
        let ink = ui.visuals().text_color();
        painter.galley(
            pos2(whole.left() + 1.0, whole.top() + self.more),
            self.up,
            ink,
        );
        if let Some(colour) = self.colour {
            let left = (whole.right() - colour.size().x - 1.0).min(plot.right() + 12.0);
            painter.galley(pos2(left, whole.top() + 1.0), colour, ink);
        }
    }
}

fn paint_colour_bar(ui: &Ui, painter: &Painter, plot: Rect, map: &PhaseMap) {
    let bar = Rect::from_min_max(
        pos2(plot.right() + 12.0, plot.top()),
        pos2(plot.right() + 24.0, plot.bottom()),
    );
    let mut mesh = egui::Mesh::default();
    let steps = 40u32;
    for step in 0..=steps {
        let part = step as f32 / steps as f32;
        let [r, g, b] = viridis(f64::from(part));
        let y = bar.bottom() - part * bar.height();
        mesh.colored_vertex(pos2(bar.left(), y), Color32::from_rgb(r, g, b));
        mesh.colored_vertex(pos2(bar.right(), y), Color32::from_rgb(r, g, b));
        if step > 0 {
            let first = 2 * step;
            mesh.add_triangle(first - 2, first - 1, first);
            mesh.add_triangle(first - 1, first, first + 1);
        }
    }
    painter.add(mesh);
    let ink = ui.visuals().text_color();
    let line = Stroke::new(1.0, ui.visuals().weak_text_color());
    painter.rect_stroke(bar, 0.0, line, egui::StrokeKind::Outside);
    let font = FontId::proportional(11.0);
    let (low, high) = value_range(map);
    let step = nice_step((high - low) / f64::from((bar.height() / 34.0).max(2.0)));
    let mut value = (low / step).ceil() * step;
    while value <= high + 1e-9 * step {
        let y = bar.bottom() - ((value - low) / (high - low)) as f32 * bar.height();
        painter.hline(bar.right()..=bar.right() + 3.0, y, line);
        let rounded = (value / step).round() * step;
        painter.text(
            pos2(bar.right() + 5.0, y),
            Align2::LEFT_CENTER,
            significant(rounded, 4),
            font.clone(),
            ink,
        );
        value += step;
    }
}

fn paint_cross_hair(ui: &Ui, painter: &Painter, plot: Rect, view: &View, request: &PhaseRequest) {
    let objective = &view.preset.objective;
    let fraction = |axis: &crate::engine::PhaseAxis| {
        axis.fraction_of(axis.parameter.present(view.problem, objective)) as f32
    };
    let (x, y) = (fraction(&request.x), fraction(&request.y));
    let painter = painter.with_clip_rect(plot);
    let dark = Color32::from_black_alpha(150);
    for (width, color) in [(3.0, dark), (1.0, Color32::WHITE)] {
        let stroke = Stroke::new(width, color);
        if x.is_finite() {
            painter.vline(plot.left() + x * plot.width(), plot.y_range(), stroke);
        }
        if y.is_finite() {
            painter.hline(plot.x_range(), plot.bottom() - y * plot.height(), stroke);
        }
    }
    if x.is_finite() && y.is_finite() {
        let centre = pos2(
            plot.left() + x * plot.width(),
            plot.bottom() - y * plot.height(),
        );
        painter.circle(
            centre,
            6.0,
            Theme::of(ui).accent,
            Stroke::new(2.0, Color32::WHITE),
        );
    }
}

fn fractions(plot: Rect, at: egui::Pos2) -> (f64, f64) {
    (
        f64::from((at.x - plot.left()) / plot.width()).clamp(0.0, 1.0),
        f64::from((plot.bottom() - at.y) / plot.height()).clamp(0.0, 1.0),
    )
}

/// Four significant digits: what a pointer can mean.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn pointer(ui: &Ui, response: &Response, plot: Rect, request: &PhaseRequest) -> Option<Wish> {
    if response.hovered() || response.dragged() {
        ui.ctx().set_cursor_icon(egui::CursorIcon::Crosshair);
    }
    let done = response.clicked() || response.drag_stopped();
    if !(done || response.dragged()) {
        return None;
    }
    if response.clicked() {
        response.request_focus();
    }
    let (x, y) = fractions(plot, response.interact_pointer_pos()?);
    Some(Wish {
        x: rounded(request.x.value_at(x)),
        y: rounded(request.y.value_at(y)),
        done,
    })
}

/// Arrow keys move by a hundredth of the axis, with Shift by a tenth.
fn keys(ui: &Ui, response: &Response, view: &View, request: &PhaseRequest) -> Option<Wish> {
    if !response.has_focus() {
        return None;
    }
    ui.memory_mut(|memory| {
        memory.set_focus_lock_filter(
            response.id,
            EventFilter {
                horizontal_arrows: true,
                vertical_arrows: true,
                ..EventFilter::default()
            },
        );
    });
    let (right, up) = ui.input(|input| {
        let presses = |key| input.num_presses(key) as f64;
        let size = if input.modifiers.shift { 0.1 } else { 0.01 };
        (
            size * (presses(Key::ArrowRight) - presses(Key::ArrowLeft)),
            size * (presses(Key::ArrowUp) - presses(Key::ArrowDown)),
        )
    });
    if right == 0.0 && up == 0.0 {
        return None;
    }
    let moved = |axis: &crate::engine::PhaseAxis, by: f64| {
        let present = axis.parameter.present(view.problem, &view.preset.objective);
        if by == 0.0 {
            present
        } else {
            let from = axis.fraction_of(present);
            let from = if from.is_finite() { from } else { 0.5 };
            rounded(axis.value_at((from + by).clamp(0.0, 1.0)))
        }
    };
    Some(Wish {
        x: moved(&request.x, right),
        y: moved(&request.y, up),
        done: true,
    })
}

fn read_out(
    response: Response,
    plot: Rect,
    view: &View,
    request: &PhaseRequest,
    map: Option<&Arc<PhaseMap>>,
    has_boundary: bool,
) {
    let Some(at) = response.hover_pos() else {
        return;
    };
    let (x, y) = fractions(plot, at);
    response.on_hover_ui_at_pointer(|ui| {
        for (axis, fraction) in [(&request.x, x), (&request.y, y)] {
            ui.label(format!(
                "{} = {}",
                axis.parameter.label(view.problem),
                number(rounded(axis.value_at(fraction)))
            ));
        }
        if let Some(map) = map {
            let (columns, rows) = (map.request.columns, map.request.rows);
            let column = ((x * columns as f64) as usize).min(columns - 1);
            let row = ((y * rows as f64) as usize).min(rows - 1);
            let value = f64::from(map.values[row * columns + column]);
            ui.strong(format!("{} = {}", map.request.title(), number(value)));
        }
        if let Some((a, b)) = request.pair.filter(|_| has_boundary) {
            ui.weak(format!(
                "White line where {} and {} tie",
                Item::Arm(a).label(view.problem),
                Item::Arm(b).label(view.problem)
            ));
        }
    });
}
