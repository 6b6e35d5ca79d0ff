//! What a figure shows, as plain data: axes with marks on them. Panels describe what is on screen with this; writers turn
//! it into SVG, PNG or CSV of exactly that.

/// A figure: one pair of axes, or several side by side, with a title and a legend.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Title above the axes; empty for none.
    pub title: String,
    /// A short name for files, without extension.
    pub file_stem: String,
    /// Size in points (1/72 inch).
    pub size: (f64, f64),
    /// Light or dark colours.
    pub dark: bool,
    /// The axes, in reading order.
    pub axes: Vec<Axes>,
    /// How the axes stand together.
    pub layout: Layout,
}

/// How several axes share a figure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// Side by side under one legend.
    #[default]
    Row,
    /// In rows, each with a legend of its own where it has several series; what all axes have is in one legend above them.
    Grid {
        /// Axes per row.
        columns: usize,
    },
}

/// One pair of axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Axes {
    /// Title above these axes; empty for none.
    pub title: String,
    /// Width of the data area over its height; absent fills the room.
    pub aspect: Option<f64>,
    /// Label, scale and bounds of the horizontal axis.
    pub x: Axis,
    /// Label, scale and bounds of the vertical axis.
    pub y: Axis,
    /// What is drawn, first at the bottom.
    pub marks: Vec<Mark>,
    /// A second vertical axis on the right with marks of its own (over the others), sharing the horizontal axis.
    pub right: Option<RightAxis>,
}

/// A second vertical axis and what is drawn against it: the reward beside the masses.
#[derive(Debug, Clone, PartialEq)]
pub struct RightAxis {
    /// Label, scale and bounds.
    pub y: Axis,
    /// What is drawn, first at the bottom.
    pub marks: Vec<Mark>,
}

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it measures, with the unit if there is one.
    pub label: String,
    /// Values are log₁₀ of what is shown; ticks read 10ⁿ.
    pub log10: bool,
    /// Shown interval; absent fits the marks.
    pub bounds: Option<(f64, f64)>,
    /// Names at positions, instead of numbers.
    pub names: Option<Vec<(f64, String)>>,
}

/// Something drawn on axes. Every mark has a name, which the CSV uses as column prefix and, where it says no other, the
/// legend shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Its name; empty keeps it out of the legend.
    pub name: String,
    /// What the legend calls it instead: marks of one such name and colour share an entry; empty keeps it out.
    pub legend: Option<String>,
    /// Its colour, sRGB.
    pub color: [u8; 3],
    /// Opacity, 0 to 1.
    pub opacity: f64,
    /// What it is.
    pub kind: MarkKind,
}

impl Mark {
    /// What the legend calls it; empty if it is not in the legend.
    pub(super) fn legend_name(&self) -> &str {
        self.legend.as_deref().unwrap_or(&self.name).trim()
    }
}

/// The kinds of marks.
#[derive(Debug, Clone, PartialEq)]
pub enum MarkKind {
    /// A line through points.
    Line {
        /// The points; NaN breaks the line.
        points: Vec<(f64, f64)>,
        /// Width in points.
        width: f64,
        /// Solid, dashed or dotted.
        dash: Dash,
    },
    /// Bars from the baseline 0 (the lower bound on a log axis) to y.
    Bars {
        /// Centres and heights.
        bars: Vec<(f64, f64)>,
        /// Width of each bar in data units.
        width: f64,
    },
    /// The area between two curves over the same x.
    Band {
        /// x, lower y, upper y.
        points: Vec<(f64, f64, f64)>,
    },
    /// Markers.
    Points {
        /// Where.
        points: Vec<(f64, f64)>,
        /// Radius in points.
        radius: f64,
    },
    /// A heat map (viridis), row 0 at the bottom, cells spread evenly over the intervals.
    HeatMap {
        /// Values, row by row; NaN is left blank.
        values: Vec<f64>,
        /// Number of columns.
        columns: usize,
        /// Interval that the columns cover.
        x_range: (f64, f64),
        /// Interval that the rows cover.
        y_range: (f64, f64),
        /// Values at the two ends of the colour scale.
        value_range: (f64, f64),
        /// Values are log₁₀ of what is shown; the colour bar reads 10ⁿ.
        log10: bool,
    },
    /// A vertical line across the axes, labelled at its top.
    VerticalLine {
        /// Where.
        x: f64,
        /// Solid, dashed or dotted.
        dash: Dash,
    },
    /// Bars that stand beside those of other series over the same places.
    Groups {
        /// Places and heights.
        bars: Vec<(f64, f64)>,
        /// Width of each bar in data units.
        width: f64,
        /// How far from its place each bar is drawn, in data units; no part of the data.
        offset: f64,
        /// What tells it apart besides its colour.
        look: Look,
    },
    /// One level line per place, as wide as the place.
    Levels {
        /// Places and heights; NaN leaves a place out.
        levels: Vec<(f64, f64)>,
        /// Width of each level in data units.
        width: f64,
        /// Levels of neighbours are joined into steps.
        joined: bool,
        /// Width of the line in points.
        line: f64,
        /// Solid, dashed or dotted.
        dash: Dash,
        /// Markers along it.
        marker: Option<Marker>,
    },
    /// Lying bars, one per named row.
    Rows {
        /// Rows and values.
        rows: Vec<(f64, f64)>,
        /// Where the bars begin; no part of the data.
        base: f64,
        /// How thick they are, in points.
        thickness: f64,
    },
    /// Shaded stretches of the horizontal axis with their names.
    Spans {
        /// From, to and name, ascending and apart.
        spans: Vec<(f64, f64, String)>,
        /// Where the names stand.
        names: SpanNames,
    },
    /// Error bars.
    Whiskers {
        /// x, lower end, upper end.
        points: Vec<(f64, f64, f64)>,
        /// How far from its x each is drawn, in data units; no part of the data.
        offset: f64,
    },
    /// What happened at places of the horizontal axis: a hairline and a diamond at its top for each.
    Events {
        /// Where, and what.
        events: Vec<(f64, String)>,
    },
    /// A short text at a point.
    Text {
        /// Where its centre is.
        at: (f64, f64),
        /// The text.
        text: String,
        /// What it is written on.
        on: Ground,
    },
}

/// Where the names of shaded stretches stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanNames {
    /// Above the frame, where they have room.
    Above,
    /// Nowhere: other labels say them.
    Hidden,
    /// In discs at the top of their stretches: for a letter. Such stretches are seen however narrow they are.
    Badges,
}

/// What a text is written on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// The picture; an edge around the letters keeps them readable.
    Picture,
    /// A disc in the mark's colour: for a letter.
    Disc,
}

/// What a bar looks like, so that series differ without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Filled.
    Solid,
    /// Lightly filled with an edge.
    Outlined,
    /// Lightly filled with a dashed edge.
    Dashed,
    /// A dashed edge alone.
    Frame,
    /// Slanted lines.
    Hatched,
    /// One light area under a line over all bars.
    Area,
}

/// Markers on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// Squares.
    Square,
    /// Diamonds.
    Diamond,
    /// Triangles.
    Triangle,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dash {
    /// Without gaps.
    Solid,
    /// Dashes.
    Dashed,
    /// Dots.
    Dotted,
    /// Dashes and dots.
    DashDotted,
}
