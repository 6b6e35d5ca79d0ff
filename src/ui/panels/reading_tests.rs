//! What the panels say in words and numbers: headline, tooltip, inspector and transport, without a window.

#![expect(clippy::unwrap_used, reason = "tests")]

use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable as _},
};

use super::{
    headline::{headline_ui, number},
    inspector::Inspector,
    main_plot::{Series, readout_lines},
    pins::PinList,
    time_charts::TimeCharts,
    transport::Transport,
};
use crate::{
    engine::{Collapse, Fallen, Keyframe, Status},
    experiment::Edit,
    theory::{Anchor, Beta, Mara, Metric, Objective, Threshold},
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
        harness.get_by_label_contains("until the model is loaded");
        assert!(harness.query_by_label_contains("Set β").is_none());
    }
}

#[test]
fn the_headline_keeps_its_height_when_its_sentence_gets_shorter() {
    let long = World::builtin("figure-5");
    let mut short = World::builtin("figure-5");
    let analysis = std::sync::Arc::make_mut(&mut short.analysis);
    analysis.sentence = "Short.".to_owned();
    let heights = [long, short].map(|world| {
        let height = std::cell::Cell::new(0.0);
        let _ = reading(world, (620.0, 800.0), |ui, view, actions| {
            let shown = ui.scope(|ui| headline_ui(ui, view, actions));
            height.set(shown.response.rect.height());
        });
        height.get()
    });
    assert_eq!(heights[0], heights[1]);
}

#[test]
fn six_numbers_stand_under_the_sentence_of_a_window_of_1280_points() {
    for name in ["figure-5", "figure-3", "many-arms", "estimator-trap"] {
        let world = World::builtin(name);
        // What the controls leave of it.
        let harness = reading(world, (950.0, 800.0), headline_ui);
        for metric in [
            Metric::ExpectedReward,
            Metric::TvToTarget,
            Metric::KlToReference,
        ] {
            harness.get_by_label_contains(metric.label());
        }
    }
}

#[test]
fn rounding_noise_is_not_shown_as_a_result() {
    let mut world = World::builtin("figure-5");
    world.snapshot.metrics.set(Metric::TvToTarget, 2.08e-17);
    let harness = reading(world, (1200.0, 800.0), headline_ui);
    harness.get_by_label(&format!("{} 0", Metric::TvToTarget.label()));
}

#[test]
fn several_prompts_are_told_apart_from_their_mean() {
    let mut world = World::language();
    let mut language = (**world.snapshot.language.as_ref().unwrap()).clone();
    let mut spec = (*language.spec).clone();
    let prompt = spec.prompts[0].clone();
    spec.prompts.push(prompt);
    language.spec = spec.into();
    language.shown_prompt = 1;
    world.snapshot.language = Some(language.into());
    let charts = std::cell::RefCell::new(TimeCharts::default());
    let harness = reading(world, (1200.0, 800.0), |ui, view, actions| {
        headline_ui(ui, view, actions);
        charts.borrow_mut().ui(ui, view, actions);
    });
    harness.get_by_label("Prompt 2 of 2");
    harness.get_by_label("mean of 2 prompts");
}

#[test]
fn the_timeline_keeps_its_place_at_every_width() {
    for width in [560.0, 700.0, 760.0, 820.0, 950.0, 1280.0] {
        for language in [false, true] {
            let mut world = if language {
                World::language()
            } else {
                World::builtin("figure-5")
            };
            let mut training = (*world.snapshot.training).clone();
            training.stop.steps = Some(1_000_000);
            world.snapshot.training = training.into();
            let transport = std::cell::RefCell::new(Transport::default());
            let harness = reading(world, (width, 60.0), |ui, view, actions| {
                transport.borrow_mut().ui(ui, view, actions);
            });
            let rect = harness.get_by_label("Timeline").rect();
            assert!(rect.width() >= 100.0, "{width} {language}: {rect:?}");
            assert!(rect.right() <= width, "{width} {language}: {rect:?}");
        }
    }
}

#[test]
fn a_pin_over_other_arms_is_called_so_and_one_of_another_preset_by_it() {
    let mut other = World::builtin("figure-3");
    other.pin("first");
    let mut world = World::builtin("figure-5");
    world.pins = other.pins;
    let title = world.pins[0].preset.title.clone();
    let pins = std::cell::RefCell::new(PinList::default());
    let mut harness = reading(world, (700.0, 300.0), |ui, view, actions| {
        pins.borrow_mut().ui(ui, view, actions);
    });
    harness.get_by_label(&format!("first, {title}"));
    harness.get_by_label_contains("other arms");
    harness.state_mut().draw(|view, _| {
        assert!(!view.has_arms_of(&view.pins[0]));
    });
}

#[test]
fn a_beta_for_validity_waits_for_the_model() {
    for loading in [None, Some(Loading::Failed("no model".to_owned()))] {
        let mut world = World::language();
        let waits = loading.is_some();
        world.loading = loading;
        let mut controls = super::controls::Controls::default();
        let controls = std::cell::RefCell::new(&mut controls);
        let harness = reading(world, (340.0, 900.0), |ui, view, actions| {
            controls.borrow_mut().ui(ui, view, actions);
        });
        let button = harness.get_by_label_contains("Set β");
        assert_eq!(button.accesskit_node().is_disabled(), waits);
    }
}

#[test]
fn a_percentile_of_the_batch_says_that_the_target_takes_it_over_the_arms() {
    let note = |anchor: Anchor, threshold: Threshold| {
        let mut world = World::builtin("figure-5");
        let mara = Mara {
            threshold,
            algorithm: None,
            anchor,
            per_class: false,
        };
        world.draw(|view, actions| {
            actions.push(Action::Edit {
                edit: Edit::Objective(Objective {
                    mara: Some(mara),
                    ..view.preset.objective
                }),
                done: true,
            });
        });
        let mut controls = super::controls::Controls::default();
        let controls = std::cell::RefCell::new(&mut controls);
        let harness = reading(world, (340.0, 900.0), |ui, view, actions| {
            controls.borrow_mut().ui(ui, view, actions);
        });
        harness
            .query_by_label_contains("over the arms, each once: τ = 1.")
            .is_some()
    };
    // Half of Figure 5's arms have reward 1, the rest 0: the 70th percentile is 1.
    assert!(note(Anchor::Batch, Threshold::Percentile(0.7)));
    assert!(note(Anchor::RunningMaximum, Threshold::Percentile(0.7)));
    assert!(!note(Anchor::Exact, Threshold::Percentile(0.7)));
    assert!(!note(Anchor::Batch, Threshold::Constant(0.8)));
}

#[test]
fn a_collapse_is_told_with_what_to_do_until_it_is_put_away() {
    let collapsed = || {
        let mut world = World::builtin("figure-5");
        world.snapshot.collapse = Some(Collapse {
            step: 12,
            sound_step: 3,
            fallen: Fallen::Reward {
                to: 0.0004,
                from: 0.31,
            },
        });
        reading(world, (900.0, 600.0), headline_ui)
    };
    let press = |name: &str| {
        let mut harness = collapsed();
        harness.get_by_label_contains("The policy has collapsed at step 12: E[R] fell to");
        harness.get_by_label(name).click();
        harness.run_steps(3);
        harness
    };
    let harness = press("Go back to step 3");
    assert!(matches!(harness.state().actions[..], [Action::Revert(3)]));

    let rate = World::builtin("figure-5").preset.training.learning_rate;
    let harness = press(&format!("Begin anew at learning rate {}", rate / 10.0));
    assert!((harness.state().preset.training.learning_rate / rate - 0.1).abs() < 1e-12);
    assert!(matches!(harness.state().actions[1], Action::Reset));

    let mut harness = press("Put away");
    assert!(harness.query_by_label_contains("has collapsed").is_none());
    // Another one is told again.
    if let Some(collapse) = &mut harness.state_mut().snapshot.collapse {
        collapse.step = 40;
    }
    harness.run_steps(2);
    harness.get_by_label_contains("has collapsed");
}

#[test]
fn an_error_that_ended_training_offers_the_way_back() {
    let mut world = World::builtin("figure-5");
    world.stopped = true;
    let (objective, analysis) = (world.preset.objective, world.analysis.clone());
    let frame = |step: u64, value: f64| {
        let mut metrics = crate::theory::Metrics::default();
        metrics.set(Metric::Objective, value);
        Keyframe {
            step,
            policy: std::sync::Arc::new([]),
            metrics,
            objective,
            analysis: analysis.clone(),
        }
    };
    let all = [frame(10, 0.2), frame(20, 0.5), frame(30, f64::NAN)];
    world.snapshot.keyframes = std::sync::Arc::new(all);
    let mut harness = reading(world, (900.0, 600.0), headline_ui);
    harness.get_by_label_contains("An error ended training");
    harness.get_by_label("Go back to step 20").click();
    harness.run_steps(3);
    assert!(matches!(harness.state().actions[..], [Action::Revert(20)]));
}

#[test]
fn a_step_that_samples_for_long_is_followed_token_by_token() {
    let mut world = World::language();
    world.snapshot.status = Status::Running;
    let language = world.snapshot.language.clone().unwrap();
    language.generating.begin(64);
    language.generating.reach(12);
    std::thread::sleep(std::time::Duration::from_millis(520));
    let transport = std::cell::RefCell::new(Transport::default());
    let harness = reading(world, (1280.0, 60.0), |ui, view, actions| {
        transport.borrow_mut().ui(ui, view, actions);
    });
    harness.get_by_label("token 12 of 64");
}
