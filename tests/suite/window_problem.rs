//! The problem edited in the window: arms, reference and rewards by the names of their controls.
#![cfg(feature = "gui")]
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use egui::{Key, Modifiers, Role as Widget};
use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable},
};
use modescope::{
    engine::{Budget, Session},
    experiment::{Arms, BanditSpec, Journal, ModeSpec, Role, Source, load_preset},
    ui::WorkbenchOptions,
};

use super::window::{Bench, choose, command, open, quiet, wait_until};

/// A window with the problem unfolded, its trainer ready.
fn open_problem(options: WorkbenchOptions) -> Harness<'static, Bench> {
    let mut harness = open(options);
    wait_until(&mut harness, "the experiment is loaded", |workbench| {
        workbench.snapshot().epoch > 0
    });
    command(&mut harness, "Arms, reference and rewards");
    harness.run_steps(12);
    harness
}

fn bandit(harness: &Harness<'_, Bench>) -> BanditSpec {
    harness.state().workbench().preset().bandit.clone()
}

/// Types a text letter by letter in the place of what a field holds.
fn retype(harness: &mut Harness<'_, Bench>, name: &str, text: &str) {
    field(harness, name).focus();
    harness.run_steps(2);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.run_steps(1);
    for letter in text.chars() {
        harness.event(egui::Event::Text(letter.to_string()));
        harness.run_steps(2);
    }
}

fn field<'h>(harness: &'h Harness<'_, Bench>, name: &'h str) -> egui_kittest::Node<'h> {
    let is_text = |role| matches!(role, Widget::TextInput | Widget::MultilineTextInput);
    let mut found = harness
        .query_all_by_label(name)
        .filter(|node| is_text(node.accesskit_node().role()));
    found.next().unwrap_or_else(|| panic!("no field {name}"))
}

fn says(harness: &Harness<'_, Bench>, words: &str) -> bool {
    harness.query_all_by_label_contains(words).next().is_some()
}

fn undo(harness: &mut Harness<'_, Bench>) {
    command(harness, "Undo");
    harness.run_steps(2);
}

#[test]
fn another_kind_of_reference_takes_effect_in_the_run_and_undo_takes_it_back() {
    let mut harness = open_problem(quiet());
    let before = bandit(&harness);
    command(&mut harness, "One step");
    wait_until(&mut harness, "a step is done", |workbench| {
        workbench.snapshot().step == 1
    });
    choose(&mut harness, "Reference", "Zipf");
    assert_eq!(bandit(&harness).reference, Source::Zipf { exponent: 1.0 });
    wait_until(&mut harness, "the trainer has it", |workbench| {
        let masses = workbench.snapshot().problem.reference.masses();
        (masses[0] / masses[1] - 2.0).abs() < 1e-9
    });
    let snapshot = harness.state().workbench().snapshot().clone();
    assert_eq!(snapshot.step, 1, "the run goes on");
    assert!(
        snapshot
            .marks
            .iter()
            .any(|mark| mark.label == "reference power law 4 → Zipf 1")
    );
    harness
        .get_by_role_and_label(Widget::SpinButton, "Reference exponent")
        .set_value_accesskit(2.0);
    harness.run_steps(3);
    assert_eq!(bandit(&harness).reference, Source::Zipf { exponent: 2.0 });
    undo(&mut harness);
    assert_eq!(bandit(&harness).reference, Source::Zipf { exponent: 1.0 });
    undo(&mut harness);
    assert_eq!(bandit(&harness), before);
    assert!(!harness.state().workbench().is_dirty());
}

#[test]
fn a_bad_formula_is_told_beside_its_field_and_the_last_good_one_stays() {
    let mut harness = open_problem(quiet());
    let before = bandit(&harness);
    choose(&mut harness, "Rewards", "Formula");
    retype(&mut harness, "Rewards formula", "x * 3");
    let good = Source::Formula("x * 3".to_owned());
    assert_eq!(bandit(&harness).rewards, good);
    for letter in [" ", "+", " "] {
        harness.event(egui::Event::Text(letter.to_owned()));
        harness.run_steps(2);
    }
    assert!(
        says(&harness, "bandit.rewards: column"),
        "nothing says what is wrong"
    );
    // Trailing blanks are a formula still.
    assert_eq!(
        bandit(&harness).rewards,
        Source::Formula("x * 3 ".to_owned())
    );
    assert_eq!(
        field(&harness, "Rewards formula").value().as_deref(),
        Some("x * 3 + ")
    );
    // Read without a mistake, but without a finite value on an arm.
    for letter in "1/(i-7)".chars() {
        harness.event(egui::Event::Text(letter.to_string()));
        harness.run_steps(2);
    }
    assert!(says(&harness, "at arm 7"), "nothing says what is wrong");
    harness.event(egui::Event::Text("+0.5)".to_owned()));
    retype(&mut harness, "Rewards formula", "i / n");
    assert!(
        !says(&harness, "bandit.rewards:"),
        "what was wrong is still told"
    );
    assert_eq!(
        bandit(&harness).rewards,
        Source::Formula("i / n".to_owned())
    );
    // All typing without leaving the field is one step.
    undo(&mut harness);
    let Source::Formula(first) = bandit(&harness).rewards else {
        panic!("a formula it was")
    };
    assert_eq!(first, "step(x, 0.5)");
    undo(&mut harness);
    assert_eq!(bandit(&harness), before);
}

#[test]
fn another_number_of_arms_starts_anew_and_tells_what_it_cut() {
    let mut harness = open_problem(quiet());
    let before = bandit(&harness);
    command(&mut harness, "Ten steps");
    wait_until(&mut harness, "ten steps are done", |workbench| {
        workbench.snapshot().step == 10
    });
    harness
        .get_by_role_and_label(Widget::SpinButton, "Arms")
        .set_value_accesskit(60.0);
    wait_until(&mut harness, "the run began anew", |workbench| {
        let snapshot = workbench.snapshot();
        snapshot.epoch > 1 && snapshot.policy.len() == 60 && snapshot.step == 0
    });
    harness.run_steps(3);
    assert!(says(&harness, "Mode “second region” now ends at arm 59"));
    let ModeSpec::Labelled(modes) = bandit(&harness).modes else {
        panic!("modes stay labelled")
    };
    assert_eq!(modes[1].ranges, [(50, 60)]);
    // It trains, and undo brings the old arms back, from their start.
    command(&mut harness, "One step");
    wait_until(&mut harness, "a step is done", |workbench| {
        workbench.snapshot().step == 1
    });
    undo(&mut harness);
    assert_eq!(bandit(&harness), before);
    wait_until(&mut harness, "the old arms are back", |workbench| {
        let snapshot = workbench.snapshot();
        snapshot.policy.len() == 100 && snapshot.step == 0 && snapshot.epoch > 2
    });
    choose(&mut harness, "Layout", "On a grid");
    wait_until(&mut harness, "the run began anew on a grid", |workbench| {
        workbench.snapshot().epoch > 3
    });
    assert!(matches!(
        bandit(&harness).arms,
        Arms::Grid {
            rows: 10,
            columns: 10,
            ..
        }
    ));
    harness.run_steps(3);
}

#[test]
fn a_run_goes_on_running_when_its_arms_are_others() {
    let mut harness = open_problem(WorkbenchOptions {
        run: true,
        ..quiet()
    });
    for count in [70.0, 120.0, 90.0] {
        harness
            .get_by_role_and_label(Widget::SpinButton, "Arms")
            .set_value_accesskit(count);
        // The next one comes before the trainer has taken this one over.
        harness.run_steps(1);
    }
    wait_until(&mut harness, "it trains on", |workbench| {
        let snapshot = workbench.snapshot();
        snapshot.policy.len() == 90 && snapshot.step > 5
    });
}

#[test]
fn a_drag_of_the_number_of_arms_there_and_back_is_no_step_and_cuts_nothing() {
    let mut harness = open_problem(quiet());
    let before = bandit(&harness);
    let slider = harness.get_by_role_and_label(Widget::Slider, "Arms").rect();
    let at = |share: f32| egui::pos2(slider.left() + share * slider.width(), slider.center().y);
    // 100 of 1,000,000 lies at a third on a logarithmic scale.
    harness.drag_at(at(0.34));
    harness.run_steps(1);
    for share in [0.2, 0.05, 0.2, 0.6] {
        harness.hover_at(at(share));
        harness.run_steps(2);
    }
    let dragged = bandit(&harness);
    assert!(dragged.arms.count() > 100, "{:?}", dragged.arms);
    assert_eq!(dragged.modes, before.modes);
    harness.drop_at(at(0.6));
    harness.run_steps(3);
    assert!(!says(&harness, "Mode “"), "nothing was cut in the end");
    undo(&mut harness);
    assert_eq!(bandit(&harness), before);
    assert!(!harness.state().workbench().is_dirty());
}

#[test]
fn bumps_and_blocks_are_added_changed_and_removed() {
    let mut harness = open_problem(quiet());
    harness.get_by_label("Add a rewards block").click();
    harness.run_steps(3);
    harness
        .get_by_role_and_label(Widget::SpinButton, "Rewards block 3 v")
        .set_value_accesskit(0.5);
    harness.run_steps(3);
    harness.get_by_label("Remove rewards block 1").click();
    harness.run_steps(3);
    let Source::Blocks { blocks, .. } = bandit(&harness).rewards else {
        panic!("blocks stay blocks")
    };
    let blocks: Vec<(usize, usize, f64)> = blocks.iter().map(|b| (b.from, b.to, b.value)).collect();
    assert_eq!(blocks, [(50, 75, 1.0), (75, 85, 0.5)]);
    choose(&mut harness, "Rewards", "Bumps");
    harness.get_by_label("Add a rewards bump").click();
    harness.run_steps(3);
    let Source::Bumps { bumps, .. } = bandit(&harness).rewards else {
        panic!("bumps were chosen")
    };
    assert_eq!(bumps.len(), 2);
    assert_eq!((bumps[0].x, bumps[1].x), (0.5, 0.7));
}

#[test]
fn a_table_gives_rewards_and_their_number_of_arms() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("rewards.csv");
    std::fs::write(&table, "id,weight,score\n0,3,0.5\n1,2,0.25\n2,1,1\n").unwrap();
    let mut harness = open_problem(quiet());
    choose(&mut harness, "Rewards", "Table (CSV)…");
    let path = harness.get_by_label("Path");
    path.focus();
    path.set_text_value_accesskit(&table.display().to_string());
    harness.run_steps(2);
    harness
        .get_by_role_and_label(Widget::Button, "Open")
        .click();
    harness.run_steps(4);
    wait_until(&mut harness, "the table is read", |workbench| {
        workbench.preset().bandit.arms.count() == 3 && workbench.snapshot().policy.len() == 3
    });
    assert_eq!(
        harness.state().workbench().snapshot().problem.rewards,
        [0.5, 0.25, 1.0]
    );
    assert!(says(
        &harness,
        "The table has 3 rows, so there are 3 arms now"
    ));
    retype(&mut harness, "Rewards column", "weigth");
    harness.key_press(Key::Enter);
    harness.run_steps(4);
    assert!(
        says(&harness, "bandit.rewards:"),
        "that there is no such column"
    );
    retype(&mut harness, "Rewards column", "weight");
    harness.key_press(Key::Enter);
    harness.run_steps(4);
    wait_until(&mut harness, "the other column is read", |workbench| {
        workbench.snapshot().problem.rewards == [3.0, 2.0, 1.0]
    });
    assert!(!says(&harness, "bandit.rewards:"));
}

#[test]
fn a_million_arms_are_evaluated_beside_the_window() {
    let mut harness = open_problem(WorkbenchOptions {
        open: Some("many-arms".to_owned()),
        sets: vec!["bandit.arms=Line(count: 200000)".to_owned()],
        ..quiet()
    });
    choose(&mut harness, "Rewards", "Formula");
    retype(&mut harness, "Rewards formula", "x");
    wait_until(&mut harness, "the problem is there", |workbench| {
        workbench.is_in_step() && workbench.snapshot().problem.rewards[0] == 0.5 / 200_000.0
    });
    for letter in "/(i-9)".chars() {
        harness.event(egui::Event::Text(letter.to_string()));
        harness.run_steps(2);
    }
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !says(&harness, "at arm 9") {
        assert!(
            std::time::Instant::now() < end,
            "nothing says what is wrong"
        );
        harness.run_steps(1);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(harness.state().workbench().is_in_step());
    assert_eq!(
        bandit(&harness).source(Role::Rewards),
        &Source::Formula("x".to_owned())
    );
}

/// What the window trained through edits of the problem, from its run folder without a window.
#[test]
fn a_saved_run_with_edits_of_the_problem_repeats_headless() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let mut harness = open_problem(quiet());
    command(&mut harness, "Ten steps");
    wait_until(&mut harness, "ten steps are done", |workbench| {
        workbench.snapshot().step == 10
    });
    choose(&mut harness, "Reference", "Zipf");
    choose(&mut harness, "Rewards", "Random");
    let harness = &mut harness;
    command(harness, "Ten steps");
    wait_until(harness, "twenty steps are done", |workbench| {
        workbench.snapshot().step == 20
    });
    command(harness, "Save run");
    let path = harness.get_by_label("Path");
    path.focus();
    path.set_text_value_accesskit(&folder.display().to_string());
    harness.run_steps(2);
    harness
        .get_by_role_and_label(Widget::Button, "Save")
        .click();
    let journal = folder.join("journal.jsonl");
    wait_until(harness, "the run is saved", |_| {
        folder.join("summary.json").exists() && journal.exists()
    });
    let text = std::fs::read_to_string(journal).unwrap();
    let journal = Journal::parse(&text).unwrap();
    assert_eq!(journal.entries().len(), 2, "{text}");
    let preset = load_preset(&folder.join("preset.ron")).unwrap();
    let mut headless = Session::replay(preset, None, &journal).unwrap();
    headless.advance(Budget::steps(20), &|| false).unwrap();
    let snapshot = harness.state().workbench().snapshot().clone();
    let bits = |masses: &[f64]| masses.iter().map(|mass| mass.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&snapshot.policy), bits(headless.policy()));
}

/// Pairs of a hundred thousand arms are too many for a frame; the slider's ticks come from a thread, and stay while β moves.
#[test]
fn the_beta_slider_of_many_arms_marks_all_columns_with_ties() {
    let mut harness = open(WorkbenchOptions {
        open: Some("many-arms".to_owned()),
        ..quiet()
    });
    let slider = harness.get_by_role_and_label(Widget::Slider, "β").rect();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    harness.hover_at(slider.left_top() + egui::vec2(9.0, 30.0));
    while !says(
        &harness,
        "columns of the rail, each in which any does has a mark",
    ) {
        assert!(std::time::Instant::now() < end, "the search never ends");
        harness.run_steps(1);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    harness.get_by_role_and_label(Widget::Slider, "β").focus();
    harness.key_press(Key::ArrowRight);
    harness.run_steps(2);
    harness.hover_at(slider.left_top() + egui::vec2(9.0, 31.0));
    let mut frames = 0;
    while !says(&harness, "each in which any does has a mark") && frames < 100 {
        assert!(
            !says(&harness, "is being looked for"),
            "ties do not depend on β"
        );
        harness.run_steps(1);
        frames += 1;
    }
    assert!(frames < 100, "the tooltip does not come back");
}
