//! Figures out of this room: as text, as pixels, and to files by extension.

use std::path::Path;

use super::{Figure, FigureError, draw, raster, svg, table};
use crate::experiment::save_atomically;

/// Pixels per point of PNG files: 216 dots per inch.
const FILE_SCALE: f64 = 3.0;

/// The figure as SVG text: self-contained, `size` points large.
#[must_use]
pub fn to_svg(figure: &Figure) -> String {
    svg::svg(&draw::scene(figure))
}

/// The figure as the bytes of a PNG file, `scale` pixels per point.
///
/// # Errors
/// [`FigureError::Size`] for an empty or huge picture.
pub fn to_png(figure: &Figure, scale: f64) -> Result<Vec<u8>, FigureError> {
    raster::png(pixmap(figure, scale)?, scale)
}

/// The figure as pixels for the clipboard: width, height and RGBA bytes (opaque), `scale` pixels per point.
///
/// # Errors
/// [`FigureError::Size`] for an empty or huge picture.
pub fn to_rgba(figure: &Figure, scale: f64) -> Result<(u32, u32, Vec<u8>), FigureError> {
    let pixmap = pixmap(figure, scale)?;
    Ok((pixmap.width(), pixmap.height(), pixmap.take_demultiplied()))
}

fn pixmap(figure: &Figure, scale: f64) -> Result<resvg::tiny_skia::Pixmap, FigureError> {
    let scene = draw::scene(figure);
    raster::pixels(&svg::svg(&scene), scene.size, scale)
}

/// The figure's numbers as CSV text, nothing thinned out.
#[must_use]
pub fn to_csv(figure: &Figure) -> String {
    table::csv(figure)
}

/// Writes the figure to a file in the format that its extension names (svg, png or csv): the whole file or none of it.
///
/// # Errors
/// [`FigureError::Extension`] for other extensions, and whatever goes wrong when drawing or writing.
pub fn save(figure: &Figure, path: &Path) -> Result<(), FigureError> {
    let extension = path
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    let bytes = match extension.as_deref() {
        Some("svg") => to_svg(figure).into_bytes(),
        Some("png") => to_png(figure, FILE_SCALE)?,
        Some("csv") => to_csv(figure).into_bytes(),
        _ => {
            return Err(FigureError::Extension {
                path: path.to_path_buf(),
            });
        }
    };
    save_atomically(path, &bytes).map_err(|source| FigureError::Write {
        path: path.to_path_buf(),
        source,
    })
}
