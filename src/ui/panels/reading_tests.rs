//! What the panels say in words and numbers: headline, tooltip, inspector and transport, without a window.

#![expect(clippy::unwrap_used, reason = "tests")]

use egui_kittest::{Harness, kittest::Queryable as _};

use super::{
    headline::{headline_ui, number},
    inspector::Inspector,
    main_plot::{Series, readout_lines},
};
use crate::{
    experiment::Edit,
    theory::{Beta, Objective},
    ui::{
        Action, Loading, View,
        testing::World,
        theme::{self, Theme, ThemeChoice},
    },
};

/// A world with one panel that reads it out.
fn reading<'a>(
    world: World,
    size: (f32, f32),
    panel: impl Fn(&mut egui::Ui, &View<'_>, &mut Vec<Action>) + 'a,
) -> Harness<'a, World> {
    let mut harness = Harness::builder()
        .with_size(egui::vec2(size.0, size.1))
        .with_context_setup(|context| theme::apply(context, ThemeChoice::Light))
        .build_ui_state(
            move |ui, world: &mut World| world.draw(|view, actions| panel(ui, view, actions)),
            world,
        );
    harness.run_steps(4);
    harness
}

/// The world after β went to another value while an earlier step is shown.
fn scrubbed() -> World {
    let mut world = World::builtin("figure-5");
    world.scrub_to_start();
    let then = world.preset.objective;
    let objective = Objective {
        beta: Beta::new(100.0 * then.beta.get()).unwrap(),
        ..then
    };
    world.draw(|_, actions| {
        actions.push(Action::Edit {
            edit: Edit::Objective(objective),
            done: true,
        });
    });
    world
}

#[test]
fn while_scrubbing_the_headline_tells_of_the_target_of_that_step() {
    let world = scrubbed();
    let frame = world.scrub.clone().unwrap();
    assert_ne!(frame.analysis.sentence, world.analysis.sentence);
    let optimum = number(frame.analysis.target.optimal_value);
    assert_ne!(optimum, number(world.analysis.target.optimal_value));
    let harness = reading(world, (1200.0, 800.0), headline_ui);
    harness.get_by_label(&frame.analysis.sentence);
    harness.get_by_label_contains(&format!("of {optimum}"));
}

#[test]
fn while_scrubbing_the_inspector_splits_the_target_of_that_step() {
    let world = scrubbed();
    let inspector = std::cell::RefCell::new(Inspector::default());
    let harness = reading(world, (420.0, 600.0), |ui, view, actions| {
        inspector.borrow_mut().ui(ui, view, actions);
    });
    let world = harness.state();
    let target = &world.scrub.as_ref().unwrap().analysis.target.masses;
    let best = target.iter().copied().fold(0.0, f64::max);
    harness.get_by_label(&crate::ui::widgets::number::number(best));
}

#[test]
fn nothing_is_invented_while_a_model_loads_or_after_it_failed() {
    for loading in [
        Loading::Going {
            what: "Loading a model".to_owned(),
            share: None,
            since_secs: 0.0,
        },
        Loading::Failed("there is no such file".to_owned()),
    ] {
        let mut world = World::language();
        world.loading = Some(loading);
        world.draw(|view, _| {
            for series in Series::ALL {
                let known = series == Series::Reward;
                assert_eq!(series.values(view).is_some(), known, "{}", series.label());
            }
            let names: Vec<String> = readout_lines(view, 0, &Theme::LIGHT)
                .into_iter()
                .map(|line| line.name)
                .collect();
            assert_eq!(names, ["reward"]);
        });
        let inspector = std::cell::RefCell::new(Inspector::default());
        let harness = reading(world, (420.0, 600.0), |ui, view, actions| {
            inspector.borrow_mut().ui(ui, view, actions);
        });
        harness.get_by_label_contains("Waiting for the model");
        assert!(harness.query_by_label_contains("Set β").is_none());
    }
}
