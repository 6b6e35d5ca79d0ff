//! Exported figures: what is written is well-formed, complete, and shows what was asked for, whatever was asked for.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::collections::HashSet;

use modescope::figure::{
    Axes, Axis, Dash, Figure, FigureError, Ground, Layout, Look, Mark, MarkKind, Marker, RightAxis,
    SpanNames, save, to_csv, to_png, to_rgba, to_svg,
};
use proptest::prelude::*;
use resvg::usvg::{Options, Tree};

const BLUE: [u8; 3] = [0x00, 0x72, 0xB2];
const ORANGE: [u8; 3] = [0xD5, 0x5E, 0x00];

fn axis(label: &str) -> Axis {
    Axis {
        label: label.to_owned(),
        log10: false,
        bounds: None,
        names: None,
    }
}

fn mark(name: &str, color: [u8; 3], kind: MarkKind) -> Mark {
    Mark {
        name: name.to_owned(),
        legend: None,
        color,
        opacity: 1.0,
        kind,
    }
}

fn line(points: Vec<(f64, f64)>) -> MarkKind {
    MarkKind::Line {
        points,
        width: 1.5,
        dash: Dash::Solid,
    }
}

fn bars(heights: &[f64]) -> MarkKind {
    MarkKind::Bars {
        bars: heights
            .iter()
            .enumerate()
            .map(|(i, h)| (i as f64, *h))
            .collect(),
        width: 1.0,
    }
}

fn figure(marks: Vec<Mark>) -> Figure {
    Figure {
        title: "A title".to_owned(),
        file_stem: "a-figure".to_owned(),
        size: (360.0, 240.0),
        dark: false,
        layout: Layout::Row,
        axes: vec![Axes {
            title: String::new(),
            aspect: None,
            x: axis("arm"),
            y: axis("mass"),
            marks,
            right: None,
        }],
    }
}

/// Reads an SVG as strictly as a renderer does.
#[track_caller]
fn parsed(svg: &str) -> Tree {
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    Tree::from_str(svg, &Options::default()).unwrap()
}

/// Pixels of the figure at one pixel per point: width, height, colours row by row.
fn pixels(figure: &Figure) -> (usize, usize, Vec<[u8; 3]>) {
    let (width, height, bytes) = to_rgba(figure, 1.0).unwrap();
    assert!(bytes.chunks_exact(4).all(|p| p[3] == 255), "opaque");
    let colors = bytes.chunks_exact(4).map(|p| [p[0], p[1], p[2]]).collect();
    (width as usize, height as usize, colors)
}

#[test]
fn everything_that_has_a_name_is_written_in_the_picture() {
    let mut wanted = figure(vec![
        mark("reference & co", BLUE, bars(&[1.0, 2.0])),
        mark("target <G>", ORANGE, line(vec![(0.0, 1.0), (1.0, 2.0)])),
        mark(
            "tie",
            ORANGE,
            MarkKind::VerticalLine {
                x: 0.5,
                dash: Dash::Dotted,
            },
        ),
        mark(
            "",
            BLUE,
            MarkKind::Text {
                at: (0.5, 1.0),
                text: "here \"it\" is".to_owned(),
                on: Ground::Picture,
            },
        ),
    ]);
    wanted.axes[0].right = Some(RightAxis {
        y: axis("reward"),
        marks: vec![mark("R", ORANGE, line(vec![(0.0, 0.0), (1.0, 1.0)]))],
    });
    let svg = to_svg(&wanted);
    parsed(&svg);
    for text in [
        ">A title</text>",
        ">reference &amp; co</text>",
        ">target &lt;G&gt;</text>",
        ">tie</text>",
        ">here &quot;it&quot; is</text>",
        ">arm</text>",
        ">mass</text>",
        ">reward</text>",
        ">R</text>",
        "<title>A title</title>",
        "font-family=",
        "width=\"360pt\" height=\"240pt\"",
        "#0072b2",
        "#d55e00",
    ] {
        assert!(svg.contains(text), "no {text} in {svg}");
    }
    assert!(
        !svg.contains("<script") && !svg.contains("href"),
        "self-contained"
    );
}

#[test]
fn logarithmic_axes_have_powers_of_ten() {
    let mut wanted = figure(vec![mark("p", BLUE, line(vec![(0.0, -4.0), (1.0, -1.0)]))]);
    wanted.axes[0].y.log10 = true;
    let svg = to_svg(&wanted);
    parsed(&svg);
    for exponent in ["−1", "−2", "−3", "−4"] {
        assert!(
            svg.contains(&format!(">{exponent}</tspan>")),
            "10^{exponent}"
        );
    }
}

#[test]
fn bars_cover_areas_in_proportion_to_their_values() {
    let mut wanted = figure(vec![mark("", BLUE, bars(&[1.0, 0.0, 3.0]))]);
    wanted.axes[0].y.bounds = Some((0.0, 4.0));
    let (width, _, colors) = pixels(&wanted);
    let mut per_column = vec![0; width];
    for (i, _) in colors.iter().enumerate().filter(|(_, c)| **c == BLUE) {
        per_column[i % width] += 1;
    }
    let filled: Vec<usize> = per_column.into_iter().filter(|n| *n > 0).collect();
    let low = *filled.first().unwrap();
    let high = *filled.last().unwrap();
    assert!(low > 20, "{low} pixels high");
    assert!(
        (high as f64 / low as f64 - 3.0).abs() < 0.1,
        "{high} over {low}"
    );
    let low_columns = filled.iter().filter(|n| n.abs_diff(low) <= 1).count();
    let high_columns = filled.iter().filter(|n| n.abs_diff(high) <= 1).count();
    assert!(low_columns.abs_diff(high_columns) <= 2, "equally wide");
}

#[test]
fn a_single_high_arm_among_a_hundred_thousand_is_seen_and_the_csv_is_exact() {
    const ARMS: usize = 100_000;
    let mut masses = vec![1e-9; ARMS];
    masses[31_415] = 0.123_456_789_012_345_67;
    let wanted = figure(vec![
        mark("bars", BLUE, bars(&masses)),
        mark(
            "line",
            ORANGE,
            line(
                masses
                    .iter()
                    .enumerate()
                    .map(|(i, m)| (i as f64, *m))
                    .collect(),
            ),
        ),
    ]);
    let svg = to_svg(&wanted);
    parsed(&svg);
    assert!(svg.len() < 200_000, "{} bytes", svg.len());
    let mut only_bars = wanted.clone();
    only_bars.axes[0].marks.truncate(1);
    only_bars.axes[0].marks[0].name.clear();
    let (width, _, colors) = pixels(&only_bars);
    let bluish = |c: &[u8; 3]| c[2] > c[0].saturating_add(0x30);
    let rows: HashSet<usize> = (0..colors.len())
        .filter(|i| bluish(&colors[*i]))
        .map(|i| i / width)
        .collect();
    assert!(rows.len() > 100, "the spike is {} pixels high", rows.len());
    let csv = to_csv(&wanted);
    assert_eq!(csv.lines().count(), ARMS + 1);
    let row = csv.lines().nth(31_415 + 1).unwrap();
    let values: Vec<f64> = row.split(',').map(|v| v.parse().unwrap()).collect();
    assert_eq!(values, [31_415.0, masses[31_415], masses[31_415]]);
}

#[test]
fn heat_maps_show_their_extremes_in_the_colours_of_the_scale() {
    let values = vec![0.0, 1.0, f64::NAN, 0.5];
    let wanted = figure(vec![mark(
        "m",
        BLUE,
        MarkKind::HeatMap {
            values,
            columns: 2,
            x_range: (0.0, 2.0),
            y_range: (0.0, 2.0),
            value_range: (0.0, 1.0),
            log10: false,
        },
    )]);
    let (_, _, colors) = pixels(&wanted);
    let count = |color: [u8; 3]| colors.iter().filter(|c| **c == color).count();
    let (low, high) = (
        count(modescope::figure::viridis(0.0)),
        count(modescope::figure::viridis(1.0)),
    );
    assert!(low > 1000 && high > 1000, "{low} {high}");
    assert!(
        (low as f64 / high as f64 - 1.0).abs() < 0.05,
        "row 0 and its cells are equally large"
    );
    // Row 0 is at the bottom: the dark cell is below the middle.
    let first = colors
        .iter()
        .position(|c| *c == modescope::figure::viridis(0.0))
        .unwrap();
    assert!(first / 360 > 100);
}

#[test]
fn light_and_dark_differ_and_a_png_knows_its_size() {
    let mut wanted = figure(vec![mark("p", BLUE, line(vec![(0.0, 0.0), (1.0, 1.0)]))]);
    let corner = |figure: &Figure| pixels(figure).2[0];
    assert_eq!(corner(&wanted), [255; 3]);
    wanted.dark = true;
    assert!(corner(&wanted).iter().all(|c| *c < 0x40));
    let bytes = to_png(&wanted, 2.0).unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(&bytes))
        .read_info()
        .unwrap();
    assert_eq!((reader.info().width, reader.info().height), (720, 480));
    assert_eq!(
        reader.info().pixel_dims.unwrap().xppu,
        5669,
        "144 dots per inch"
    );
}

#[test]
fn odd_figures_are_drawn_all_the_same() {
    let infinity = f64::INFINITY;
    let odd: Vec<Vec<Mark>> = vec![
        vec![],
        vec![mark("one", BLUE, line(vec![(1.0, 1.0)]))],
        vec![mark("none", BLUE, line(vec![]))],
        vec![mark(
            "nan",
            BLUE,
            line(vec![
                (f64::NAN, 1.0),
                (1.0, f64::NAN),
                (infinity, -infinity),
            ]),
        )],
        vec![mark(
            "walls",
            BLUE,
            line(vec![(0.0, -infinity), (1.0, 2.0), (2.0, infinity)]),
        )],
        vec![mark("flat", BLUE, bars(&[0.0, 0.0, 0.0]))],
        vec![mark("huge", BLUE, bars(&[1e300, -1e300, f64::MAX]))],
        vec![mark("tiny", BLUE, bars(&[5e-324, 1e-310]))],
        vec![mark(
            "thin",
            BLUE,
            MarkKind::Bars {
                bars: vec![(0.0, 1.0)],
                width: f64::NAN,
            },
        )],
        vec![mark(
            "no columns",
            BLUE,
            MarkKind::HeatMap {
                values: vec![1.0],
                columns: 0,
                x_range: (0.0, 0.0),
                y_range: (f64::NAN, 1.0),
                value_range: (2.0, 2.0),
                log10: false,
            },
        )],
        vec![mark(
            "\u{0}\u{7}control",
            BLUE,
            line(vec![(0.0, 0.0), (1.0, 1.0)]),
        )],
        vec![mark(
            &"long ".repeat(200),
            BLUE,
            line(vec![(0.0, 0.0), (1.0, 1.0)]),
        )],
    ];
    for marks in odd {
        for log10 in [false, true] {
            for bounds in [
                None,
                Some((1.0, 1.0)),
                Some((2.0, -2.0)),
                Some((f64::NAN, 0.0)),
            ] {
                let mut wanted = figure(marks.clone());
                wanted.axes[0].y.log10 = log10;
                wanted.axes[0].y.bounds = bounds;
                wanted.axes[0].x.bounds = bounds;
                parsed(&to_svg(&wanted));
                assert!(!to_csv(&wanted).is_empty());
            }
        }
        let (_, _, colors) = pixels(&figure(marks));
        assert!(
            colors.iter().collect::<HashSet<_>>().len() > 8,
            "axes at least"
        );
    }
    let mut none = figure(vec![]);
    none.axes.clear();
    parsed(&to_svg(&none));
}

#[test]
fn every_size_can_be_drawn() {
    for size in [
        (0.0, 0.0),
        (1.0, 900.0),
        (30.0, 20.0),
        (90.0, 60.0),
        (4000.0, 30.0),
        (2000.0, 1500.0),
        (f64::NAN, -4.0),
    ] {
        let mut wanted = figure(vec![mark("p", BLUE, bars(&[1.0, 2.0, 3.0]))]);
        wanted.size = size;
        wanted.axes.push(wanted.axes[0].clone());
        parsed(&to_svg(&wanted));
        to_png(&wanted, 1.0).unwrap();
    }
    let wanted = figure(vec![]);
    for scale in [0.0, -1.0, f64::NAN, 1e9] {
        assert!(
            matches!(to_png(&wanted, scale), Err(FigureError::Size { .. })),
            "{scale}"
        );
    }
}

#[test]
fn files_are_written_by_extension_and_other_extensions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = figure(vec![mark("p", BLUE, bars(&[1.0, 2.0]))]);
    for (name, start) in [
        ("a.svg", &b"<svg"[..]),
        ("b.PNG", b"\x89PNG"),
        ("c.csv", b"arm,p\n"),
    ] {
        let path = folder.path().join(name);
        save(&wanted, &path).unwrap();
        assert!(std::fs::read(&path).unwrap().starts_with(start), "{name}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        3,
        "no temporary files stay"
    );
    for name in ["d.jpg", "e", ".svg"] {
        let error = save(&wanted, &folder.path().join(name))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("svg, png and csv") && error.contains(name),
            "{error}"
        );
    }
    let nowhere = folder.path().join("a.svg").join("b.svg");
    let error = save(&wanted, &nowhere).unwrap_err();
    assert!(matches!(error, FigureError::Write { .. }) && !error.to_string().contains('\n'));
}

fn any_number() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        8 => -10.0..10.0_f64,
        2 => any::<f64>(),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(0.0),
    ]
}

fn points_of() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((any_number(), any_number()), 0..12)
}

fn any_kind() -> impl Strategy<Value = MarkKind> {
    let points = prop::collection::vec((any_number(), any_number()), 0..12);
    prop_oneof![
        (points.clone(), any_number()).prop_map(|(points, width)| MarkKind::Line {
            points,
            width,
            dash: Dash::Dashed
        }),
        (points.clone(), any_number()).prop_map(|(bars, width)| MarkKind::Bars { bars, width }),
        (points.clone(), any_number())
            .prop_map(|(points, radius)| MarkKind::Points { points, radius }),
        points.prop_map(|points| MarkKind::Band {
            points: points.into_iter().map(|(x, y)| (x, y, y / 2.0)).collect()
        }),
        (
            prop::collection::vec(any_number(), 0..12),
            0..5_usize,
            any_number(),
            any_number()
        )
            .prop_map(|(values, columns, a, b)| MarkKind::HeatMap {
                values,
                columns,
                x_range: (a, b),
                y_range: (b, a),
                value_range: (a, b),
                log10: false,
            }),
        (points_of(), any_number(), any_number()).prop_map(|(bars, width, offset)| {
            MarkKind::Groups {
                bars,
                width,
                offset,
                look: Look::Hatched,
            }
        }),
        (points_of(), any_number(), any::<bool>()).prop_map(|(levels, width, joined)| {
            MarkKind::Levels {
                levels,
                width,
                joined,
                line: 1.0,
                dash: Dash::DashDotted,
                marker: Some(Marker::Diamond),
            }
        }),
        (points_of(), any_number(), any_number()).prop_map(|(rows, base, thickness)| {
            MarkKind::Rows {
                rows,
                base,
                thickness,
            }
        }),
        points_of().prop_map(|spans| MarkKind::Spans {
            spans: spans
                .into_iter()
                .map(|(a, b)| (a, b, "<mode>".to_owned()))
                .collect(),
            names: SpanNames::Badges,
        }),
        (points_of(), any_number()).prop_map(|(points, offset)| MarkKind::Whiskers {
            points: points.into_iter().map(|(x, y)| (x, y / 2.0, y)).collect(),
            offset,
        }),
        points_of().prop_map(|events| MarkKind::Events {
            events: events
                .into_iter()
                .map(|(at, _)| (at, "<edit>".to_owned()))
                .collect(),
        }),
        any_number().prop_map(|x| MarkKind::VerticalLine {
            x,
            dash: Dash::Dotted
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_figure_is_well_formed(
        kinds in prop::collection::vec((any_kind(), ".{0,12}", any_number()), 0..4),
        size in (any_number(), 0.0..600.0_f64),
        log10 in any::<bool>(),
        title in ".{0,40}",
    ) {
        let marks = kinds
            .into_iter()
            .map(|(kind, name, opacity)| Mark { opacity, ..mark(&name, ORANGE, kind) })
            .collect();
        let mut wanted = figure(marks);
        wanted.title = title;
        wanted.size = (size.0 * 50.0, size.1);
        wanted.axes[0].y.log10 = log10;
        parsed(&to_svg(&wanted));
        prop_assert!(to_csv(&wanted).ends_with('\n'));
    }
}

#[test]
fn joined_levels_are_steps_and_not_slopes() {
    let levels = MarkKind::Levels {
        levels: vec![(0.0, 0.0), (1.0, 1.0)],
        width: 1.0,
        joined: true,
        line: 2.0,
        dash: Dash::Solid,
        marker: None,
    };
    let mut wanted = figure(vec![mark("", BLUE, levels)]);
    wanted.axes[0].y.bounds = Some((-1.0, 2.0));
    let (width, height, colors) = pixels(&wanted);
    let is_blue = |x: usize, y: usize| colors.get(y * width + x) == Some(&BLUE);
    let long_columns = (0..width)
        .filter(|x| (0..height).filter(|y| is_blue(*x, *y)).count() > 30)
        .count();
    assert!(
        (1..=3).contains(&long_columns),
        "one upright stretch: {long_columns}"
    );
    let blue_columns = (0..width).filter(|x| (0..height).any(|y| is_blue(*x, y)));
    assert!(blue_columns.count() > 200, "levels over the whole width");
}

#[test]
fn hatched_dashed_and_solid_bars_differ_in_grey() {
    let ink = |look: Look| {
        let bars = MarkKind::Groups {
            bars: vec![(0.0, 1.0)],
            width: 1.0,
            offset: 0.0,
            look,
        };
        let colors = pixels(&figure(vec![mark("", BLUE, bars)])).2;
        colors.iter().filter(|c| **c == BLUE).count()
    };
    let (solid, hatched, outlined) = (ink(Look::Solid), ink(Look::Hatched), ink(Look::Outlined));
    assert!(solid > 10 * hatched.max(1), "{solid} {hatched}");
    let all = [
        Look::Solid,
        Look::Hatched,
        Look::Outlined,
        Look::Dashed,
        Look::Frame,
    ];
    let svgs: HashSet<String> = all
        .into_iter()
        .map(|look| {
            let bars = MarkKind::Groups {
                bars: vec![(0.0, 1.0)],
                width: 1.0,
                offset: 0.0,
                look,
            };
            let svg = to_svg(&figure(vec![mark("s", BLUE, bars)]));
            parsed(&svg);
            svg
        })
        .collect();
    assert_eq!(svgs.len(), all.len());
    assert!(outlined < solid);
}

#[test]
fn spans_are_shaded_and_named_above() {
    let spans = MarkKind::Spans {
        spans: vec![(0.0, 1.0, "left peak".to_owned())],
        names: SpanNames::Above,
    };
    let shown = figure(vec![
        mark("mode", BLUE, spans),
        mark("p", ORANGE, line(vec![(0.0, 0.0), (3.0, 1.0)])),
    ]);
    let svg = to_svg(&shown);
    parsed(&svg);
    assert!(svg.contains(">left peak</text>"));
    assert!(!svg.contains(">mode</text>"), "not in the legend");
}

#[test]
fn a_grid_has_rows_titles_and_a_legend_where_there_are_several_series() {
    let single = figure(vec![mark("only", BLUE, line(vec![(0.0, 0.0), (1.0, 1.0)]))]);
    let mut wanted = single.clone();
    wanted.layout = Layout::Grid { columns: 2 };
    wanted.size = (600.0, 640.0);
    let several = (0..14).map(|i| {
        let name = format!("pin number {i}");
        mark(&name, ORANGE, line(vec![(0.0, 0.0), (1.0, f64::from(i))]))
    });
    wanted.axes.push(Axes {
        title: "Second".to_owned(),
        marks: several.collect(),
        ..single.axes[0].clone()
    });
    wanted.axes.push(single.axes[0].clone());
    let svg = to_svg(&wanted);
    parsed(&svg);
    assert!(svg.contains(">Second</text>"));
    assert!(!svg.contains(">only</text>"), "one series needs no legend");
    for i in 0..14 {
        assert!(svg.contains(&format!(">pin number {i}</text>")), "{i}");
    }
    assert!(!svg.contains(">+ "), "nothing is left out");
}

#[test]
fn equal_proportions_hold_whatever_the_size_of_the_picture() {
    let mut wanted = figure(vec![mark(
        "m",
        BLUE,
        MarkKind::HeatMap {
            values: vec![0.0; 12],
            columns: 4,
            x_range: (0.0, 4.0),
            y_range: (0.0, 3.0),
            value_range: (0.0, 1.0),
            log10: false,
        },
    )]);
    wanted.axes[0].aspect = Some(4.0 / 3.0);
    for size in [(700.0, 240.0), (300.0, 700.0)] {
        wanted.size = size;
        let (width, _, colors) = pixels(&wanted);
        let dark: Vec<usize> = (0..colors.len())
            .filter(|i| colors[*i] == modescope::figure::viridis(0.0))
            .collect();
        let columns: HashSet<usize> = dark.iter().map(|i| i % width).collect();
        let rows: HashSet<usize> = dark.iter().map(|i| i / width).collect();
        let aspect = columns.len() as f64 / rows.len() as f64;
        assert!((aspect - 4.0 / 3.0).abs() < 0.05, "{aspect}");
    }
}

#[test]
fn a_line_and_a_point_stand_out_from_any_colour_of_a_heat_map() {
    let heat = |level: f64| MarkKind::HeatMap {
        values: vec![level; 4],
        columns: 2,
        x_range: (0.0, 1.0),
        y_range: (0.0, 1.0),
        value_range: (0.0, 1.0),
        log10: false,
    };
    for level in [0.0, 1.0] {
        let point = MarkKind::Points {
            points: vec![(0.5, 1.0)],
            radius: 4.0,
        };
        let across = line(vec![(0.0, 0.4), (1.0, 0.4)]);
        let plain = figure(vec![mark("m", BLUE, heat(level))]);
        let marked = figure(vec![
            mark("m", BLUE, heat(level)),
            mark("tie", [0xFF; 3], across),
            mark("here", BLUE, point),
        ]);
        let count = |figure: &Figure, wanted: fn(&[u8; 3]) -> bool| {
            pixels(figure)
                .2
                .iter()
                .filter(|color| wanted(color))
                .count()
        };
        let blue = |color: &[u8; 3]| *color == BLUE;
        // A whole disc of radius 4, though its centre is on the frame: half of one has 25.
        let disc = count(&marked, blue) - count(&plain, blue);
        assert!(disc > 30, "cut in two: {disc}");
        let dim = |color: &[u8; 3]| color.iter().all(|c| *c < 0xA0);
        if level == 1.0 {
            assert!(
                count(&marked, dim) > count(&plain, dim) + 200,
                "dark edge on yellow"
            );
        }
    }
}

#[test]
fn what_all_axes_of_a_grid_have_is_in_the_legend_once() {
    let pin = |curve: &str, height: f64| Mark {
        legend: Some("a pin".to_owned()),
        ..mark(curve, ORANGE, line(vec![(0.0, 0.0), (1.0, height)]))
    };
    let edit = || {
        let events = vec![(0.5, "β 0.1 → 0.05".to_owned())];
        mark("edit", BLUE, MarkKind::Events { events })
    };
    let mut wanted = figure(vec![edit(), pin("J, a pin", 1.0), pin("J*, a pin", 2.0)]);
    let curves = ["J", "J*"].map(|name| mark(name, BLUE, line(vec![(0.0, 0.0), (1.0, 1.0)])));
    wanted.axes[0].marks.extend(curves);
    wanted.axes.push(wanted.axes[0].clone());
    wanted.axes[1].marks = vec![edit(), pin("KL, a pin", 1.0)];
    wanted.layout = Layout::Grid { columns: 2 };
    wanted.size = (640.0, 300.0);
    let svg = to_svg(&wanted);
    for (text, count) in [("a pin", 1), ("edit", 1), ("J*", 1), ("J, a pin", 0)] {
        assert_eq!(
            svg.matches(&format!(">{text}</text>")).count(),
            count,
            "{text}"
        );
    }
    let csv = to_csv(&wanted);
    assert!(
        csv.contains("KL, a pin") && csv.contains("β 0.1 → 0.05"),
        "{csv}"
    );
}

#[test]
fn badges_are_seen_however_narrow_their_stretch_is() {
    let shown = |spans: Vec<(f64, f64, String)>, names: SpanNames| {
        figure(vec![
            mark("p", ORANGE, line(vec![(0.0, 0.0), (1e6, 1.0)])),
            mark("picked", BLUE, MarkKind::Spans { spans, names }),
        ])
    };
    let narrow = || vec![(5e5, 5e5 + 1.0, "A".to_owned())];
    let badge = shown(narrow(), SpanNames::Badges);
    assert!(to_svg(&badge).contains(">A</text>"));
    // Below the disc there is the line alone.
    let blue = |figure: &Figure| {
        let (width, height, colors) = pixels(figure);
        let lower = &colors[width * height / 2..];
        lower
            .iter()
            .filter(|c| c[2] > c[0].saturating_add(60))
            .count()
    };
    assert!(blue(&badge) > 60, "{}", blue(&badge));
    assert_eq!(blue(&shown(narrow(), SpanNames::Hidden)), 0);
}
