//! The frame of a plot: where it is, its grid lines, its tick labels.

use egui::{Align2, Color32, FontId, Painter, Rangef, Rect, Stroke, Ui, pos2, vec2};

use super::{
    pen::hairlines,
    scale::{Scale, Tick},
};

/// Space around the data area, in points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Margins {
    /// For the labels of the left axis.
    pub(crate) left: f32,
    /// For the labels of the right axis.
    pub(crate) right: f32,
    /// Above.
    pub(crate) top: f32,
    /// For the labels of the horizontal axis.
    pub(crate) bottom: f32,
}

/// A plot's data area with its painters.
pub(crate) struct Frame {
    /// The data area.
    pub(crate) rect: Rect,
    /// Draws within the data area.
    pub(crate) inside: Painter,
    /// Draws labels around it.
    pub(crate) outside: Painter,
    outer: Rect,
    font: FontId,
    text: Color32,
    grid: Color32,
}

impl Frame {
    /// The data area that `margins` leave of `outer`; none if too little is left to draw in.
    pub(crate) fn new(ui: &Ui, outer: Rect, margins: Margins) -> Option<Self> {
        let rect = Rect::from_min_max(
            pos2(outer.left() + margins.left, outer.top() + margins.top),
            pos2(
                outer.right() - margins.right,
                outer.bottom() - margins.bottom,
            ),
        );
        if !rect.is_finite() || rect.width() < 16.0 || rect.height() < 12.0 {
            return None;
        }
        let outside = ui.painter_at(outer);
        let inside = outside.with_clip_rect(rect.expand(0.5).intersect(outside.clip_rect()));
        let visuals = ui.visuals();
        inside.rect_filled(rect, 0.0, visuals.extreme_bg_color);
        Some(Self {
            rect,
            inside,
            outside,
            outer,
            font: FontId::proportional(10.5),
            text: visuals.weak_text_color(),
            grid: visuals
                .widgets
                .noninteractive
                .bg_stroke
                .color
                .gamma_multiply(0.6),
        })
    }

    /// The font of tick labels.
    pub(crate) fn font(&self) -> FontId {
        self.font.clone()
    }

    /// The colour of tick labels.
    pub(crate) fn text_color(&self) -> Color32 {
        self.text
    }

    /// A scale along the bottom.
    pub(crate) fn x(&self, low: f64, high: f64) -> Scale {
        Scale::new(low, high, self.rect.left(), self.rect.right())
    }

    /// A scale up the side.
    pub(crate) fn y(&self, low: f64, high: f64) -> Scale {
        Scale::new(low, high, self.rect.bottom(), self.rect.top())
    }

    /// The ticks that fall into a range of the data area, each with its place at the centre of a pixel.
    fn on_pixels<'t>(
        &self,
        scale: Scale,
        ticks: &'t [Tick],
        range: Rangef,
    ) -> impl Iterator<Item = (f32, &'t Tick)> {
        ticks
            .iter()
            .map(move |tick| {
                (
                    self.inside.round_to_pixel_center(scale.at(tick.value)),
                    tick,
                )
            })
            .filter(move |(at, _)| range.contains(*at))
    }

    /// Grid lines and labels of the left axis.
    pub(crate) fn left_axis(&self, scale: Scale, ticks: &[Tick]) {
        let held = || self.on_pixels(scale, ticks, self.rect.y_range());
        // All lines before all labels: what is painted inside and what is painted outside are cut by different bounds,
        // and every change of bounds costs a draw call.
        let across = self.rect.x_range();
        self.inside.add(hairlines(
            &self.inside,
            held().map(|(y, _)| Rect::from_x_y_ranges(across, y..=y)),
            self.grid,
        ));
        for (y, tick) in held() {
            // Labels at the ends stay beside the data area: above it is a title.
            let y = y.clamp(self.rect.top() + 4.0, self.rect.bottom() - 3.0);
            self.label(
                pos2(self.rect.left() - 4.0, y),
                Align2::RIGHT_CENTER,
                &tick.label,
                self.text,
            );
        }
    }

    /// Labels of the right axis in the colour of its series; no grid, the left axis has it.
    pub(crate) fn right_axis(&self, scale: Scale, ticks: &[Tick], color: Color32) {
        for tick in ticks {
            let y = scale.at(tick.value);
            if self.rect.y_range().contains(y) {
                self.outside.hline(
                    self.rect.right()..=self.rect.right() + 3.0,
                    self.outside.round_to_pixel_center(y),
                    Stroke::new(1.0, color),
                );
                self.label(
                    pos2(self.rect.right() + 5.0, y),
                    Align2::LEFT_CENTER,
                    &tick.label,
                    color,
                );
            }
        }
    }

    /// Grid lines (if wanted) and labels of the horizontal axis; labels that would touch the one before are left out.
    pub(crate) fn bottom_axis(&self, scale: Scale, ticks: &[Tick], lines: bool) {
        let held = || self.on_pixels(scale, ticks, self.rect.x_range());
        if lines {
            let up = self.rect.y_range();
            self.inside.add(hairlines(
                &self.inside,
                held().map(|(x, _)| Rect::from_x_y_ranges(x..=x, up)),
                self.grid,
            ));
        }
        let mut free_from = f32::NEG_INFINITY;
        for (x, tick) in held() {
            let galley =
                self.outside
                    .layout_no_wrap(tick.label.clone(), self.font.clone(), self.text);
            let width = galley.size().x;
            let clip = self.outer;
            let left = (x - width / 2.0)
                .min(clip.right() - width - 1.0)
                .max(clip.left() + 1.0);
            if left >= free_from {
                self.outside
                    .galley(pos2(left, self.rect.bottom() + 2.0), galley, self.text);
                free_from = left + width + 6.0;
            }
        }
    }

    /// A name for an axis, kept inside the plot, also where that is scrolled half out of sight.
    pub(crate) fn label(&self, at: egui::Pos2, align: Align2, text: &str, color: Color32) -> Rect {
        let galley = self
            .outside
            .layout_no_wrap(text.to_owned(), self.font.clone(), color);
        let clip = self.outer;
        let mut rect = align.anchor_size(at, galley.size());
        if rect.height() <= clip.height() {
            let up = (rect.bottom() - clip.bottom()).max(0.0);
            rect = rect.translate(vec2(0.0, -up));
            let down = (clip.top() - rect.top()).max(0.0);
            rect = rect.translate(vec2(0.0, down));
        }
        self.outside.galley(rect.min, galley, color);
        rect
    }

    /// The box around the data area.
    pub(crate) fn outline(&self) {
        self.outside.rect_stroke(
            self.rect,
            0.0,
            Stroke::new(1.0, self.grid),
            egui::StrokeKind::Outside,
        );
    }
}
