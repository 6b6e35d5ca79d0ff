//! What can go wrong when a figure is written.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why a figure could not be written.
#[derive(Debug, Error)]
pub enum FigureError {
    /// The picture would be empty or larger than memory should hold.
    #[error(
        "a picture of {width} × {height} pixels is not accepted; each side must be from 1 to {limit} pixels"
    )]
    Size {
        /// Width asked for.
        width: f64,
        /// Height asked for.
        height: f64,
        /// Largest accepted side.
        limit: u32,
    },
    /// The vector picture could not be turned into pixels.
    #[error("the picture could not be drawn: {0}")]
    Draw(String),
    /// The file name's extension names no format.
    #[error("\"{}\" has no extension that is a figure format; svg, png and csv are accepted", .path.display())]
    Extension {
        /// The file name.
        path: PathBuf,
    },
    /// The file could not be written.
    #[error("\"{}\" could not be written: {source}", .path.display())]
    Write {
        /// The file name.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
