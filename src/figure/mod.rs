//! Figures for papers: a figure description becomes drawing primitives, and these become SVG, PNG or CSV. Never egui.
//!
//! [`Figure`] says what is shown. `draw` lays it out into a `scene` of primitives: `legend`, `axes`, `contents` and
//! `labels` draw the parts, helped by `bounds`, `ticks`, `text`, `marks`, `bars` and `annotations`. `svg` writes a scene as text, `raster` renders
//! that text, `table` writes the numbers.

mod annotations;
mod axes;
mod bars;
mod bounds;
mod colormap;
mod contents;
mod description;
mod draw;
mod error;
mod labels;
mod legend;
mod marks;
mod raster;
mod save;
mod scene;
mod svg;
mod table;
mod text;
mod ticks;

pub use colormap::viridis;
pub use description::{
    Axes, Axis, Dash, Figure, Ground, Layout, Look, Mark, MarkKind, Marker, RightAxis, SpanNames,
};
pub use error::FigureError;
pub use save::{save, to_csv, to_png, to_rgba, to_svg};
#[cfg(feature = "gui")]
pub(crate) use text::superscript;
