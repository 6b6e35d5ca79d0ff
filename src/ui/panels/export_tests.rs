//! The export menu of every plot, driven as a user drives it: files are light unless dark ones are asked for, a copied picture
//! has the colours of the window. With `MODESCOPE_FIGURES` set to a folder every figure is written there, to be looked at.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use egui::Ui;
use egui_kittest::{Harness, kittest::Queryable as _};

use super::{
    estimators::EstimatorView, inspector::Inspector, main_plot::MainPlot, mode_strip::ModeStrip,
    phase::PhaseDiagram, samples::Samples, sandbox::Sandbox, time_charts::TimeCharts,
};
use crate::{
    figure::{Figure, MarkKind, save},
    ui::{
        Action, View,
        testing::World,
        theme::{self, ThemeChoice},
    },
};

struct Plot<P> {
    world: World,
    panel: P,
}

type Shown<P> = Harness<'static, Plot<P>>;

/// A panel in a window of a theme, as soon as its export button is there.
fn shown<P: 'static>(
    world: World,
    panel: P,
    draw: impl Fn(&mut P, &mut Ui, &View, &mut Vec<Action>) + 'static,
    (colours, button): (egui::Theme, &str),
) -> Shown<P> {
    let mut harness = Harness::builder()
        .with_size(egui::vec2(900.0, 500.0))
        .with_theme(colours)
        .with_context_setup(|context| theme::apply(context, ThemeChoice::System))
        .build_ui_state(
            move |ui, plot: &mut Plot<P>| {
                let Plot { world, panel } = plot;
                world.draw(|view, actions| draw(panel, ui, view, actions));
            },
            Plot { world, panel },
        );
    let start = Instant::now();
    while harness.query_by_label(button).is_none() {
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(60), "no {button} in time");
        std::thread::sleep(Duration::from_millis(5));
        harness.step();
    }
    harness.run_steps(3);
    harness
}

/// What an entry of the plot's menu makes of it.
fn chosen<P>(harness: &mut Shown<P>, button: &str, entry: &str) -> Figure {
    harness.get_by_label(button).click();
    harness.run_steps(3);
    harness.get_by_label(entry).click();
    harness.run_steps(3);
    let mut asked = harness.state_mut().world.actions.drain(..);
    let figure = asked.find_map(|action| match action {
        Action::ExportFigure(figure) | Action::CopyFigureImage(figure) => Some(*figure),
        _ => None,
    });
    figure.unwrap()
}

/// Goes through the menu of a plot in windows of both themes.
fn check<P: Default + 'static>(
    name: &str,
    world: impl Fn() -> World,
    draw: impl Fn(&mut P, &mut Ui, &View, &mut Vec<Action>) + Copy + 'static,
    button: &str,
) {
    let mut dark = shown(world(), P::default(), draw, (egui::Theme::Dark, button));
    let files = ["Export…", "Export dark…"].map(|entry| chosen(&mut dark, button, entry));
    assert_eq!(
        files.each_ref().map(|figure| figure.dark),
        [false, true],
        "{name}"
    );
    assert!(chosen(&mut dark, button, "Copy image").dark, "{name}");
    let mut light = shown(world(), P::default(), draw, (egui::Theme::Light, button));
    assert!(!chosen(&mut light, button, "Export…").dark, "{name}");
    assert!(!chosen(&mut light, button, "Copy image").dark, "{name}");
    let colors = |figure: &Figure| -> Vec<[u8; 3]> {
        let marks = figure.axes.iter().flat_map(|axes| &axes.marks);
        marks.map(|mark| mark.color).collect()
    };
    let [light, dark] = &files;
    if name.starts_with("phase") {
        let kind = &light.axes[0].marks[0].kind;
        assert!(matches!(kind, MarkKind::HeatMap { .. }), "{name}: no map");
    }
    assert_ne!(colors(light), colors(dark), "{name}: colours of the theme");
    if let Some(folder) = std::env::var_os("MODESCOPE_FIGURES") {
        for figure in &files {
            let theme = if figure.dark { "dark" } else { "light" };
            for extension in ["png", "svg", "csv"] {
                let file = format!("{name}-{theme}.{extension}");
                save(figure, &Path::new(&folder).join(file)).unwrap();
            }
        }
    }
}

/// Two arms picked, two pins of different experiments, few samples.
fn furnished(name: &str, a: usize, b: usize) -> World {
    let mut world = World::builtin(name);
    world.selection.pair = (Some(a), Some(b));
    world.few_samples(64);
    world.pin("first run");
    world.pin("second run");
    world.pins[1].preset = std::sync::Arc::new(World::builtin("figure-2").preset);
    world
}

#[test]
fn bars_and_curves() {
    let button = "Export main plot";
    for (name, a, b) in [
        ("figure-3", 0, 2),
        ("figure-4", 1, 2),
        ("figure-5", 10, 60),
        ("many-arms", 500, 40_000),
    ] {
        check(name, || furnished(name, a, b), MainPlot::ui, button);
    }
    check("language", || language(true), MainPlot::ui, button);
}

#[test]
fn heat_maps() {
    let world = || furnished("landscape", 1000, 2100);
    check("heat-maps", world, MainPlot::ui, "Export main plot");
}

#[test]
fn mode_strips() {
    for name in ["figure-3", "figure-5", "many-arms"] {
        let world = || World::builtin(name);
        check(
            &format!("modes-{name}"),
            world,
            ModeStrip::ui,
            "Export mode strip",
        );
    }
}

#[test]
fn time_charts_of_bandits_and_of_language_models() {
    let button = "Export time charts";
    let bandit = || furnished("figure-5", 10, 60);
    check("time", bandit, TimeCharts::ui, button);
    check(
        "time-plain",
        || World::builtin("figure-5"),
        TimeCharts::ui,
        button,
    );
    check("time-language", || language(true), TimeCharts::ui, button);
}

#[test]
fn estimators() {
    let world = || World::builtin("estimator-trap");
    check(
        "estimators",
        world,
        EstimatorView::ui,
        "Export estimator view",
    );
}

#[test]
fn phase_diagrams() {
    for (name, a, b) in [("figure-2", 0, 1), ("figure-3", 0, 2)] {
        let world = || furnished(name, a, b);
        check(
            &format!("phase-{name}"),
            world,
            mapped,
            "Export phase diagram",
        );
    }
}

/// Draws a phase diagram as soon as its map is there.
fn mapped(diagram: &mut PhaseDiagram, ui: &mut Ui, view: &View, actions: &mut Vec<Action>) {
    let start = Instant::now();
    let mut aside = Ui::new(
        ui.ctx().clone(),
        egui::Id::unique("aside"),
        egui::UiBuilder::new().max_rect(ui.max_rect()).invisible(),
    );
    while !diagram.is_computed() {
        assert!(start.elapsed() < Duration::from_secs(60), "no map in time");
        diagram.ui(&mut aside, view, actions);
        std::thread::sleep(Duration::from_millis(5));
    }
    diagram.ui(ui, view, actions);
}

#[test]
fn inspectors() {
    for (name, a, b) in [("figure-3", 0, 2), ("figure-4", 1, 2), ("figure-5", 10, 60)] {
        let world = || furnished(name, a, b);
        check(
            &format!("inspector-{name}"),
            world,
            Inspector::ui,
            "Export inspector",
        );
    }
}

#[test]
fn tokens_and_next_tokens() {
    check(
        "tokens",
        || language(false),
        Samples::credit_ui,
        "Export tokens",
    );
    check(
        "next-tokens",
        || language(false),
        Sandbox::ui,
        "Export next tokens",
    );
}

fn language(pinned: bool) -> World {
    let mut world = World::language();
    if pinned {
        world.pin("first run");
        world.pin("second run");
    }
    world
}
