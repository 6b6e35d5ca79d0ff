//! Figures to files, by extension.

use std::path::Path;

use super::{Figure, FigureError};

/// The figure as SVG text.
#[must_use]
pub fn to_svg(_figure: &Figure) -> String {
    String::new()
}

/// The figure as a PNG file's bytes, `scale` pixels per point.
///
/// # Errors
/// [`FigureError::Size`] for an empty or huge picture.
pub fn to_png(figure: &Figure, scale: f64) -> Result<Vec<u8>, FigureError> {
    to_rgba(figure, scale).map(|(_, _, bytes)| bytes)
}

/// The figure as pixels for the clipboard: width, height and RGBA bytes (not premultiplied), `scale` pixels per point.
///
/// # Errors
/// [`FigureError::Size`] for an empty or huge picture.
pub fn to_rgba(figure: &Figure, _scale: f64) -> Result<(u32, u32, Vec<u8>), FigureError> {
    Err(FigureError::Size {
        width: figure.size.0,
        height: figure.size.1,
        limit: 0,
    })
}

/// The figure's numbers as CSV text.
#[must_use]
pub fn to_csv(_figure: &Figure) -> String {
    String::new()
}

/// Writes the figure to a file in the format that its extension names (svg, png or csv): the whole file or none of it.
///
/// # Errors
/// [`FigureError::Extension`] for other extensions, and whatever goes wrong when drawing or writing.
pub fn save(_figure: &Figure, path: &Path) -> Result<(), FigureError> {
    Err(FigureError::Extension {
        path: path.to_path_buf(),
    })
}
