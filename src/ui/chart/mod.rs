//! What every plot of the window is drawn with: scales and ticks, pens, envelopes of long series, legend entries.
//!
//! Plots are painted directly: a series of 10⁵ numbers becomes one lowest and one highest value per pixel column first,
//! so that a frame costs what the screen shows and not what the problem holds.

mod envelope;
mod frame;
mod legend;
mod pen;
mod scale;

pub(crate) use envelope::{Columns, Held, Values, Window};
pub(crate) use frame::{Frame, Margins};
pub(crate) use legend::{Swatch, legend_toggle};
pub(crate) use pen::{Pen, area, band, hairlines, hatched_rect, line, marker, markers};
pub(crate) use scale::{
    Scale, Tick, align, decades, elide, number, settle, settle_decades, steps_label, ticks,
    time_ticks,
};
