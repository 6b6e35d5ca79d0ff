//! The whole window without a screen: every part by the name a screen reader knows it by.
#![cfg(feature = "gui")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

use std::path::Path;

use egui::{Key, Modifiers, Role, Vec2};
use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable},
};
use modescope::{
    theory::Direction,
    ui::{Workbench, WorkbenchOptions},
};

pub(crate) struct Bench {
    options: WorkbenchOptions,
    workbench: Option<Workbench>,
}

impl Bench {
    pub(crate) fn workbench_mut(&mut self) -> &mut Workbench {
        self.workbench.as_mut().expect("made in the first frame")
    }

    pub(crate) fn workbench(&self) -> &Workbench {
        self.workbench.as_ref().expect("made in the first frame")
    }
}

fn open_sized(
    options: WorkbenchOptions,
    size: Vec2,
    pixels_per_point: f32,
) -> Harness<'static, Bench> {
    let mut harness = Harness::builder()
        .with_size(size)
        .with_pixels_per_point(pixels_per_point)
        .with_max_steps(40)
        .build_ui_state(
            |ui, bench: &mut Bench| {
                let options = &bench.options;
                let workbench = bench.workbench.get_or_insert_with(|| {
                    Workbench::new(ui.ctx(), options.clone()).expect("the default preset opens")
                });
                workbench.logic(ui.ctx());
                workbench.ui(ui);
            },
            Bench {
                options,
                workbench: None,
            },
        );
    harness.run_steps(3);
    harness
}

pub(crate) fn open(options: WorkbenchOptions) -> Harness<'static, Bench> {
    open_sized(options, Vec2::new(1280.0, 800.0), 1.0)
}

/// Paused, nothing kept, nothing offered.
pub(crate) fn quiet() -> WorkbenchOptions {
    WorkbenchOptions {
        open: Some("figure-5".to_owned()),
        plain_dialogs: true,
        ..WorkbenchOptions::default()
    }
}

pub(crate) fn kept_in(dir: &Path) -> WorkbenchOptions {
    WorkbenchOptions {
        state_dir: Some(dir.to_owned()),
        plain_dialogs: true,
        ..WorkbenchOptions::default()
    }
}

#[test]
fn values_set_at_the_start_are_unsaved_changes() {
    let harness = open(WorkbenchOptions {
        sets: vec!["objective.beta=0.125".to_owned()],
        ..quiet()
    });
    assert_eq!(beta(&harness), 0.125);
    assert!(harness.state().workbench().is_dirty());
}

fn beta(harness: &Harness<'_, Bench>) -> f64 {
    harness.state().workbench().preset().objective.beta.get()
}

/// Takes a choice of a drop-down.
pub(crate) fn choose(harness: &mut Harness<'_, Bench>, label: &str, choice: &str) {
    harness.get_by_role_and_label(Role::ComboBox, label).click();
    harness.run_steps(3);
    harness.get_by_role_and_label(Role::Button, choice).click();
    harness.run_steps(4);
}

/// Runs a command of the palette by typing its name.
pub(crate) fn command(harness: &mut Harness<'_, Bench>, name: &str) {
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run_steps(2);
    harness.event(egui::Event::Text(name.to_owned()));
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    harness.run_steps(3);
}

#[test]
fn every_size_and_scale_draws_without_panic() {
    for size in [
        (1.0, 1.0),
        (30.0, 900.0),
        (200.0, 150.0),
        (421.0, 300.0),
        (640.0, 400.0),
        (1280.0, 800.0),
        (3840.0, 2160.0),
    ] {
        for scale in [1.0, 1.5, 2.0] {
            let mut harness = open_sized(quiet(), Vec2::from(size), scale);
            for key in [Key::G, Key::F1] {
                harness.key_press(key);
                harness.run_steps(2);
                harness.key_press(Key::Escape);
                harness.run_steps(1);
            }
        }
    }
}

#[test]
fn the_default_view_shows_sentence_controls_transport_and_panes() {
    let harness = open(quiet());
    for name in [
        "Start training",
        "One step",
        "Reset",
        "Reseed",
        "Pin this run",
        "Timeline",
        "Reverse KL",
        "Forward KL",
        "α dial",
        "Batch",
        "Learning rate",
    ] {
        assert!(
            harness.query_all_by_label(name).next().is_some(),
            "{name} is missing"
        );
    }
    for pane in [
        "Distributions",
        "Modes",
        "Over time",
        "Inspector",
        "Estimators",
        "Phase diagram",
        "Pins",
        "Log",
    ] {
        assert!(
            harness.query_all_by_label(pane).next().is_some(),
            "the pane {pane} is missing"
        );
    }
}

#[test]
fn every_command_is_in_a_menu() {
    let mut harness = open(quiet());
    let menus = [
        (
            "File",
            &[
                "Presets…",
                "Open…",
                "Open recent",
                "Save",
                "Save as…",
                "Save run…",
                "Quit",
            ][..],
        ),
        (
            "Edit",
            &["Undo", "Redo", "Copy preset as RON", "Copy as command line"],
        ),
        (
            "View",
            &[
                "Command palette",
                "Light or dark",
                "Larger",
                "Smaller",
                "Normal size",
                "Reset layout",
            ],
        ),
        (
            "Run",
            &[
                "Run or pause",
                "One step",
                "Ten steps",
                "Reset",
                "Reseed",
                "Pin this run",
                "Back to live",
            ],
        ),
        (
            "Help",
            &["Guided tour", "Keyboard shortcuts", "About Modescope"],
        ),
    ];
    for (menu, commands) in menus {
        harness.get_by_label(menu).click();
        harness.run_steps(3);
        for command in commands {
            let found = harness
                .query_all(egui_kittest::kittest::by().predicate(|node| {
                    node.label().is_some_and(|label| label.starts_with(command))
                }));
            assert!(found.count() > 0, "{menu} lacks {command}");
        }
        harness.key_press(Key::Escape);
        harness.run_steps(3);
    }
}

#[test]
fn a_direction_button_changes_the_target_and_undo_takes_it_back() {
    let mut harness = open(quiet());
    harness.get_by_label("Forward KL").click();
    harness.run_steps(3);
    assert_eq!(
        harness.state().workbench().preset().objective.direction,
        Direction::Forward
    );
    assert!(harness.state().workbench().is_dirty());
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run_steps(3);
    assert_eq!(
        harness.state().workbench().preset().objective.direction,
        Direction::Reverse
    );
    assert!(!harness.state().workbench().is_dirty());
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Y);
    harness.run_steps(3);
    assert_eq!(
        harness.state().workbench().preset().objective.direction,
        Direction::Forward
    );
}

#[test]
fn a_drag_is_one_step_of_undo() {
    let mut harness = open(quiet());
    let before = beta(&harness);
    let rail = harness
        .get_by_role_and_label(egui::Role::Slider, "β")
        .rect();
    let start = rail.left_center() + egui::vec2(rail.width() * 0.4, 0.0);
    harness.drag_at(start);
    harness.run_steps(1);
    for step in 1..=8 {
        harness.hover_at(start + egui::vec2(6.0 * step as f32, 0.0));
        harness.run_steps(1);
    }
    let during = beta(&harness);
    harness.drop_at(start + egui::vec2(48.0, 0.0));
    harness.run_steps(2);
    assert!(
        during > before * 1.5,
        "dragging to the right raised β from {before} to {during} only"
    );
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run_steps(3);
    assert_eq!(beta(&harness), before);
    assert!(!harness.state().workbench().is_dirty());
}

#[test]
fn the_palette_finds_presets_and_commands() {
    let mut harness = open(quiet());
    command(&mut harness, "open preset figure-3");
    assert!(
        harness
            .state()
            .workbench()
            .preset()
            .title
            .starts_with("Figure 3")
    );
    command(&mut harness, "pin this run");
    assert!(
        harness
            .query_all_by_label_contains("Pinned as")
            .next()
            .is_some()
    );
}

#[test]
fn letters_typed_into_a_field_run_no_command() {
    let mut harness = open(quiet());
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run_steps(2);
    // T alone would switch the theme, G open the gallery.
    let dark = harness.ctx.global_style().visuals.dark_mode;
    harness.key_press(Key::T);
    harness.key_press(Key::G);
    harness.run_steps(2);
    assert_eq!(harness.ctx.global_style().visuals.dark_mode, dark);
    assert!(harness.query_by_label("Search presets").is_none());
}

#[test]
fn a_session_comes_back_with_unsaved_changes() {
    let dir = tempfile::tempdir().unwrap();
    {
        let mut harness = open(kept_in(dir.path()));
        assert!(
            harness.query_by_label("Take the tour").is_some(),
            "the tour is offered at the first start"
        );
        harness.get_by_label("Forward KL").click();
        harness.run_steps(3);
        harness.state_mut().workbench.as_mut().unwrap().on_exit();
    }
    let harness = open(kept_in(dir.path()));
    assert_eq!(
        harness.state().workbench().preset().objective.direction,
        Direction::Forward
    );
    assert!(harness.state().workbench().is_dirty());
    assert!(
        harness.query_by_label("Take the tour").is_none(),
        "the tour is offered only once"
    );
}

#[test]
fn a_damaged_session_starts_afresh_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("session.ron"), "(format: 1, clean_ex").unwrap();
    let harness = open(kept_in(dir.path()));
    assert!(
        harness
            .state()
            .workbench()
            .preset()
            .title
            .starts_with("Figure 5")
    );
    assert!(
        harness
            .query_all_by_label_contains("damaged")
            .next()
            .is_some()
    );
}

#[test]
fn what_a_cut_off_save_left_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join(".modescope-x1y2z3.tmp");
    let other = dir.path().join("notes.tmp");
    std::fs::write(&left, "half a session").unwrap();
    std::fs::write(&other, "somebody's").unwrap();
    drop(open(kept_in(dir.path())));
    assert!(!left.exists() && other.exists());
}

#[test]
fn a_second_window_leaves_the_session_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = open(kept_in(dir.path()));
    let mut second = open(kept_in(dir.path()));
    second.get_by_label("Forward KL").click();
    second.run_steps(3);
    second.state_mut().workbench.as_mut().unwrap().on_exit();
    first.state_mut().workbench.as_mut().unwrap().on_exit();
    drop((first, second));
    let harness = open(kept_in(dir.path()));
    assert_eq!(
        harness.state().workbench().preset().objective.direction,
        Direction::Reverse
    );
}

#[test]
fn unsaved_changes_are_asked_about_and_can_be_saved() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.ron");
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/presets/figure-4.ron"))
            .unwrap();
    std::fs::write(&file, text).unwrap();
    let mut harness = open(WorkbenchOptions {
        open: Some(file.display().to_string()),
        ..quiet()
    });
    harness.get_by_label("Forward KL").click();
    harness.run_steps(3);
    command(&mut harness, "open preset figure-3");
    harness.get_by_label("Save the changes?");
    harness.get_by_label("Cancel").click();
    harness.run_steps(3);
    assert!(
        harness
            .state()
            .workbench()
            .preset()
            .title
            .starts_with("Figure 4")
    );
    command(&mut harness, "open preset figure-3");
    harness
        .get_by_role_and_label(egui::Role::Button, "Save")
        .click();
    harness.run_steps(3);
    assert!(
        harness
            .state()
            .workbench()
            .preset()
            .title
            .starts_with("Figure 3")
    );
    let saved = modescope::experiment::load_preset(&file).unwrap();
    assert_eq!(saved.objective.direction, Direction::Forward);
}

#[test]
fn saving_asks_for_a_path_where_the_desktop_has_no_dialog() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("new.ron");
    let mut harness = open(quiet());
    harness.key_press_modifiers(Modifiers::COMMAND, Key::S);
    harness.run_steps(3);
    let field = harness.get_by_label("Path");
    field.focus();
    field.set_text_value_accesskit(&file.display().to_string());
    harness.run_steps(2);
    harness
        .get_by_role_and_label(egui::Role::Button, "Save")
        .click();
    harness.run_steps(3);
    let saved = modescope::experiment::load_preset(&file).unwrap();
    assert!(saved.title.starts_with("Figure 5"));
}

#[test]
fn the_tour_drives_the_real_controls_to_its_end() {
    let mut harness = open(quiet());
    command(&mut harness, "guided tour");
    harness.get_by_label("What does the objective ask for?");
    let next = |harness: &mut Harness<'_, Bench>| {
        harness.get_by_label("Next").click();
        harness.run_steps(4);
    };
    next(&mut harness);
    assert_eq!(beta(&harness), 1.0);
    next(&mut harness);
    assert_eq!(
        harness.state().workbench().preset().objective.direction,
        Direction::Forward
    );
    next(&mut harness);
    let objective = harness.state().workbench().preset().objective;
    assert!(objective.mara.is_some() && objective.direction == Direction::Reverse);
    next(&mut harness);
    assert_eq!(harness.state().workbench().pins().len(), 1);
    next(&mut harness);
    harness.get_by_label("Finish").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("Finish").is_none());
}

#[test]
fn a_paused_window_asks_for_no_more_frames() {
    let mut harness = open(quiet());
    // A frame that wants another one at once would never settle.
    harness.run_steps(10);
    assert!(harness.try_run().is_ok());
}

/// Draws frames until something holds, for up to ten seconds.
pub(crate) fn wait_until(
    harness: &mut Harness<'_, Bench>,
    what: &str,
    holds: impl Fn(&Workbench) -> bool,
) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while std::time::Instant::now() < end {
        harness.run_steps(1);
        if holds(harness.state().workbench()) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("waited in vain until {what}");
}

#[test]
fn step_reset_scrub_and_continue_from_there() {
    let mut harness = open(quiet());
    wait_until(&mut harness, "the experiment is loaded", |workbench| {
        workbench.snapshot().epoch > 0
    });
    harness.key_press(Key::Period);
    wait_until(&mut harness, "one step is done", |workbench| {
        workbench.snapshot().step == 1
    });
    for _ in 0..3 {
        harness.key_press_modifiers(Modifiers::SHIFT, Key::Period);
    }
    wait_until(&mut harness, "thirty-one steps are done", |workbench| {
        workbench.snapshot().step == 31
    });
    let timeline = harness.get_by_label("Timeline").rect();
    harness.drag_at(timeline.left_center() + egui::vec2(8.0, 0.0));
    harness.run_steps(2);
    harness.drop_at(timeline.left_center() + egui::vec2(8.0, 0.0));
    harness.run_steps(2);
    assert!(
        harness
            .query_all_by_label_contains("At step")
            .next()
            .is_some()
    );
    harness
        .query_all_by_label_contains("Continue from")
        .next()
        .expect("a scrubbed run can be continued")
        .click();
    wait_until(&mut harness, "the run went back", |workbench| {
        workbench.snapshot().step < 31
    });
    harness.key_press(Key::R);
    wait_until(&mut harness, "the run started over", |workbench| {
        workbench.snapshot().step == 0
    });
}

#[test]
fn another_seed_starts_the_run_over_also_by_undo() {
    let mut harness = open(quiet());
    wait_until(&mut harness, "the experiment is loaded", |workbench| {
        workbench.snapshot().epoch > 0
    });
    let seed = harness.state().workbench().preset().training.seed;
    harness.key_press_modifiers(Modifiers::SHIFT, Key::R);
    wait_until(&mut harness, "the seed is another", |workbench| {
        workbench.preset().training.seed == seed + 1 && workbench.snapshot().step == 0
    });
    harness.key_press(Key::Period);
    wait_until(&mut harness, "a step is done", |workbench| {
        workbench.snapshot().step == 1
    });
    // The policy of the old seed has not seen a step: charts and counter must not tell of one.
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    wait_until(&mut harness, "the run started over", |workbench| {
        workbench.preset().training.seed == seed && workbench.snapshot().step == 0
    });
}

#[test]
fn an_edit_that_has_no_target_is_refused_and_changes_nothing() {
    let mut harness = open(quiet());
    let before = harness.state().workbench().preset().clone();
    for name in ["Reward scale", "Entropy bonus", "Learning rate"] {
        for node in harness.query_all_by_label(name) {
            if node.accesskit_node().role() == egui::Role::Slider {
                node.set_value_accesskit(f64::NAN);
            }
        }
    }
    harness.run_steps(4);
    assert!(harness.state().workbench().is_in_step());
    let after = harness.state().workbench().preset();
    assert!(after.objective.reward_scale.is_finite() && after.objective.entropy.is_finite());
    assert_eq!(after.bandit, before.bandit);
}
#[test]
fn the_copied_command_line_repeats_the_experiment() {
    let mut harness = open(quiet());
    harness.get_by_label("Forward KL").click();
    harness.run_steps(2);
    harness
        .get_by_label("Give every good answer the anchor's mass")
        .click();
    harness.run_steps(2);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run_steps(2);
    harness.event(egui::Event::Text("copy as command line".to_owned()));
    harness.run_steps(2);
    harness.key_down(Key::Enter);
    let mut line = None;
    for _ in 0..3 {
        harness.step();
        for command in &harness.output().platform_output.commands {
            if let egui::OutputCommand::CopyText(text) = command {
                line = Some(text.clone());
            }
        }
    }
    let line = line.expect("something was copied");
    assert!(line.starts_with("modescope run figure-5 "), "{line}");
    let mut preset = modescope::experiment::builtin_preset("figure-5").unwrap();
    for part in line.split(" --set ").skip(1) {
        modescope::experiment::set_path(&mut preset, part.trim_matches('\'')).unwrap();
    }
    assert_eq!(preset, *harness.state().workbench().preset());
}

/// A task for the embedded model, two prompts, 32 samples per step.
pub(crate) const LANGUAGE: &str = r#"(
    format: 1,
    title: "One or two",
    language: (
        model: "embedded",
        prompts: [
            (prompt: "pick 1 or 2:", raw: true, answers: [(text: "1"), (text: "2")]),
            (prompt: "roll a die:", raw: true, answers: [(text: "1"), (text: "2"), (text: "3")]),
        ],
    ),
    objective: (direction: Reverse, beta: 0.1),
    training: (update: Sampled(batch: 32, advantage: LeaveOneOut, kl: Matched), learning_rate: 1e-3),
)"#;

#[test]
fn a_language_model_is_trained_and_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("language.ron");
    std::fs::write(&path, LANGUAGE).unwrap();
    let mut harness = open(WorkbenchOptions {
        open: Some(path.display().to_string()),
        plain_dialogs: true,
        ..WorkbenchOptions::default()
    });
    wait_until(&mut harness, "the model is loaded", |workbench| {
        workbench.snapshot().language.is_some()
    });
    harness.run_steps(3);
    for name in ["Language model", "Samples", "By token", "Sandbox"] {
        assert!(
            harness.query_all_by_label(name).next().is_some(),
            "{name} is missing"
        );
    }
    for name in ["Policy", "Start"] {
        assert!(
            harness.query_all_by_label(name).next().is_none(),
            "{name} does not apply to a language model"
        );
    }
    // The reference that the window analyses is the model's own.
    let snapshot = harness.state().workbench().snapshot().clone();
    let reference = snapshot.problem.reference.masses();
    assert_eq!(snapshot.problem.arms(), 3);
    assert!(reference[0] > 2.0 * reference[1], "{reference:?}");

    harness.key_press(Key::Period);
    wait_until(&mut harness, "one step is done", |workbench| {
        workbench.snapshot().step == 1
    });
    harness.run_steps(3);
    let snapshot = harness.state().workbench().snapshot().clone();
    let language = snapshot.language.clone().unwrap();
    let drawn: u32 = language.samples.iter().map(|sample| sample.count).sum();
    assert_eq!(drawn, 32, "the batch is shared by the prompts");
    let first = language
        .samples
        .iter()
        .max_by_key(|sample| sample.count)
        .unwrap();
    let label = format!("Completion “{}”", first.text);
    assert!(
        harness.query_all_by_label_contains(&label).next().is_some(),
        "{label} is not in the table"
    );

    // The sandbox asks for the task's own prompt by itself.
    harness.get_by_label("Sandbox").click();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while harness
        .query_all_by_label_contains("Next token")
        .next()
        .is_none()
    {
        assert!(std::time::Instant::now() < end, "no answer in the sandbox");
        harness.run_steps(1);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_model_that_is_not_there_is_named_and_the_window_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("language.ron");
    std::fs::write(&path, LANGUAGE.replace("embedded", "no-such-model")).unwrap();
    let mut harness = open(WorkbenchOptions {
        open: Some(path.display().to_string()),
        plain_dialogs: true,
        ..WorkbenchOptions::default()
    });
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while harness
        .query_all_by_label_contains("Not loaded")
        .next()
        .is_none()
    {
        assert!(
            std::time::Instant::now() < end,
            "nothing says what is wrong"
        );
        harness.run_steps(1);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(
        harness
            .query_all_by_label_contains("no-such-model")
            .next()
            .is_some()
    );
    command(&mut harness, "figure 5");
    harness.run_steps(3);
    assert!(harness.query_by_label("Try again").is_none());
}
