#![expect(clippy::unwrap_used, reason = "tests")]

use egui::vec2;
use egui_kittest::{Harness, kittest::Queryable as _};

use super::{
    Samples,
    order::{Column, Order},
};
use crate::ui::{
    panels::sandbox::Sandbox,
    testing::World,
    theme::{self, ThemeChoice},
};

struct Stage {
    world: World,
    samples: Samples,
    sandbox: Sandbox,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Table,
    Credit,
    Sandbox,
}

fn harness<'a>(part: Part, size: (f32, f32)) -> Harness<'a, Stage> {
    let stage = Stage {
        world: World::language(),
        samples: Samples::default(),
        sandbox: Sandbox::default(),
    };
    Harness::builder()
        .with_size(vec2(size.0, size.1))
        .with_max_steps(20)
        .with_context_setup(|context| theme::apply(context, ThemeChoice::Dark))
        .build_ui_state(
            move |ui, stage: &mut Stage| {
                let Stage {
                    world,
                    samples,
                    sandbox,
                } = stage;
                world.draw(|view, actions| match part {
                    Part::Table => samples.ui(ui, view, actions),
                    Part::Credit => samples.credit_ui(ui, view, actions),
                    Part::Sandbox => sandbox.ui(ui, view, actions),
                });
            },
            stage,
        )
}

#[test]
fn the_table_sorts_by_any_column_and_back() {
    let world = World::language();
    let batch = world.snapshot.language.clone().unwrap().samples.clone();
    let mut order = Order::default();
    let counts = |rows: &[usize]| rows.iter().map(|&r| batch[r].count).collect::<Vec<_>>();
    let mut expected: Vec<u32> = batch.iter().map(|sample| sample.count).collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(counts(&order.rows(&batch, "")), expected);
    order.by(Column::Count);
    expected.reverse();
    assert_eq!(counts(&order.rows(&batch, "")), expected);
    order.by(Column::LogPolicy);
    let rows = order.rows(&batch, "");
    assert!(
        rows.windows(2)
            .all(|w| batch[w[0]].log_prob >= batch[w[1]].log_prob)
    );
}

#[test]
fn a_search_leaves_what_has_it() {
    let world = World::language();
    let batch = world.snapshot.language.clone().unwrap().samples.clone();
    let mut order = Order::default();
    let rows = order.rows(&batch, "THREE");
    assert_eq!(rows.len(), 1);
    assert!(batch[rows[0]].text.contains("three"));
    assert!(order.rows(&batch, "no such").is_empty());
}

#[test]
fn a_click_on_a_row_shows_that_completion_by_token() {
    let mut harness = harness(Part::Table, (900.0, 300.0));
    harness.run_ok();
    harness.get_by_label_contains("Completion “ three").click();
    harness.run_ok();
    let picked = harness.state().samples.picked.clone().unwrap();
    assert_eq!(&*picked.text, " three");
}

#[test]
fn the_credit_view_names_every_token() {
    let mut harness = harness(Part::Credit, (500.0, 240.0));
    harness.run_ok();
    let sample = harness
        .state()
        .world
        .snapshot
        .language
        .clone()
        .unwrap()
        .samples[0]
        .clone();
    for token in sample.tokens.iter() {
        assert!(
            harness
                .query_all_by_label_contains(&format!("Token “{token}”"))
                .count()
                >= 1,
            "{token}"
        );
    }
}

#[test]
fn the_sandbox_asks_the_tasks_own_prompt_first() {
    let mut harness = harness(Part::Sandbox, (400.0, 400.0));
    harness.run_ok();
    let asked = harness.state().world.actions.iter().any(|action| {
        matches!(action, crate::ui::Action::Probe { prompt, .. } if prompt == "Pick 1 or 2.")
    });
    assert!(asked);
    assert!(harness.query_by_label_contains("Next token “1”").is_some());
}

#[test]
fn every_size_draws() {
    for part in [Part::Table, Part::Credit, Part::Sandbox] {
        for size in [(1.0, 1.0), (40.0, 30.0), (200.0, 120.0), (2000.0, 1200.0)] {
            harness(part, size).run_ok();
        }
    }
}

#[test]
fn tokens_and_next_tokens_are_exported_with_their_names() {
    for (part, name) in [
        (Part::Credit, "Export tokens"),
        (Part::Sandbox, "Export next tokens"),
    ] {
        let mut harness = harness(part, (700.0, 400.0));
        harness.run_ok();
        harness.get_by_label(name).click();
        harness.run_ok();
        harness.get_by_label("Copy data").click();
        harness.run_ok();
        let actions = &harness.state().world.actions;
        let copied = actions.iter().rev().find_map(|action| match action {
            crate::ui::Action::CopyFigureData(figure) => Some(crate::figure::to_csv(figure)),
            _ => None,
        });
        let text = copied.unwrap();
        assert!(text.contains("token") && text.contains("name"), "{text}");
        assert!(text.lines().count() > 1, "{text}");
    }
}
