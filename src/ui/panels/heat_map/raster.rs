//! One map: its values at screen resolution, and their picture, each made anew only when something changed.

use egui::{Color32, ColorImage, TextureHandle, TextureOptions, Ui};

use super::Cells;
use crate::{
    figure::viridis,
    ui::chart::{Held, Values},
};

/// One map: its values at screen resolution and their picture.
#[derive(Default)]
pub(super) struct Map {
    pub(super) key: Option<(Held, (usize, usize))>,
    /// Largest value of each block of cells, row 0 at the bottom.
    pub(super) raster: Vec<f64>,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) low: f64,
    pub(super) top: f64,
    pub(super) lowest_positive: f64,
    pub(super) painted: Option<Painted>,
    pub(super) texture: Option<TextureHandle>,
}

/// What a picture was made with.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Painted {
    pub(super) range: (f64, f64),
    pub(super) log: bool,
}

impl Map {
    /// Brings the raster up to date: the largest value of each block of cells that shares a pixel.
    pub(super) fn update(
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
    pub(super) fn texture(
        &mut self,
        ui: &Ui,
        name: &str,
        wanted: Painted,
    ) -> Option<egui::TextureId> {
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
