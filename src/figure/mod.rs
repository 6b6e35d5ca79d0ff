//! Figures for papers: a figure description becomes drawing primitives, and these become SVG, PNG or CSV. Never egui.
//!
//! [`Figure`] says what is shown. `draw` lays it out (`bounds`, `ticks`, `text`, `marks` help) into a `scene` of
//! primitives; `svg` writes that as text, `raster` renders the text, `table` writes the numbers.

mod bounds;
mod colormap;
mod description;
mod draw;
mod error;
mod marks;
mod raster;
mod save;
mod scene;
mod svg;
mod table;
mod text;
mod ticks;

pub use colormap::viridis;
pub use description::{Axes, Axis, Dash, Figure, Mark, MarkKind, RightAxis};
pub use error::FigureError;
pub use save::{save, to_csv, to_png, to_rgba, to_svg};
