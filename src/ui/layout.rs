//! Which panes the window has and where they lie: a tree of tiles that the user may rearrange, kept in the session.

use egui::{Color32, Stroke, Ui, Visuals, WidgetText};
use egui_tiles::{
    Container, Linear, LinearDir, SimplificationOptions, TabState, Tile, TileId, Tiles, Tree,
    UiResponse,
};
use serde::{Deserialize, Serialize};

/// A pane that can be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pane {
    /// Reference, reward, target, policy and samples.
    MainPlot,
    /// Mass per mode.
    Modes,
    /// Metrics over time.
    Time,
    /// Two arms compared.
    Inspector,
    /// What the estimators really optimise.
    Estimators,
    /// A metric over two parameters.
    Phase,
    /// Runs kept for comparison.
    Pins,
    /// Completions of a language model.
    Samples,
    /// One completion token by token.
    Credit,
    /// Next tokens of any prompt.
    Sandbox,
    /// What happened.
    Log,
    /// The controls, where the window is too narrow to keep them beside everything else.
    Controls,
}

impl Pane {
    /// Every pane of a bandit's layout, in the order in which menus list them.
    const BANDIT: [Self; 8] = [
        Self::MainPlot,
        Self::Modes,
        Self::Time,
        Self::Inspector,
        Self::Estimators,
        Self::Phase,
        Self::Pins,
        Self::Log,
    ];

    /// The panes that only a language model's run has.
    const LANGUAGE: [Self; 3] = [Self::Samples, Self::Credit, Self::Sandbox];

    /// Every pane of a run's layout, in the order in which menus list them.
    pub(crate) fn of_run(language: bool) -> Vec<Self> {
        let own: &[Self] = if language { &Self::LANGUAGE } else { &[] };
        let (first, rest) = Self::BANDIT.split_at(3);
        [first, own, rest].concat()
    }

    /// Its title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::MainPlot => "Distributions",
            Self::Samples => "Samples",
            Self::Credit => "By token",
            Self::Sandbox => "Sandbox",
            Self::Modes => "Modes",
            Self::Time => "Over time",
            Self::Inspector => "Inspector",
            Self::Estimators => "Estimators",
            Self::Phase => "Phase diagram",
            Self::Pins => "Pins",
            Self::Log => "Log",
            Self::Controls => "Controls",
        }
    }
}

/// Panes behind each other.
fn tabs(tiles: &mut Tiles<Pane>, panes: &[Pane]) -> TileId {
    let panes: Vec<TileId> = panes.iter().map(|&pane| tiles.insert_pane(pane)).collect();
    tiles.insert_tab_tile(panes)
}

/// Two tiles side by side, the first with this share of the width.
fn beside(tiles: &mut Tiles<Pane>, pair: [TileId; 2], share: f32) -> TileId {
    tiles.insert_container(Linear::new_binary(LinearDir::Horizontal, pair, share))
}

/// The default places: the main plot large on top, modes below it, time charts and the tools side by side at the bottom.
fn default_tree() -> Tree<Pane> {
    let mut tiles = Tiles::default();
    let main = tiles.insert_pane(Pane::MainPlot);
    let modes = tiles.insert_pane(Pane::Modes);
    let time = tiles.insert_pane(Pane::Time);
    let tools = tabs(
        &mut tiles,
        &[
            Pane::Inspector,
            Pane::Estimators,
            Pane::Phase,
            Pane::Pins,
            Pane::Log,
        ],
    );
    let bottom = beside(&mut tiles, [time, tools], 0.55);
    let mut rows = Linear::new(LinearDir::Vertical, vec![main, modes, bottom]);
    rows.shares.set_share(main, 0.43);
    rows.shares.set_share(modes, 0.20);
    rows.shares.set_share(bottom, 0.37);
    let root = tiles.insert_container(Container::Linear(rows));
    Tree::new(egui::Id::unique("panes"), root, tiles)
}

/// The default places of a language run: the few answers beside what the model says, time charts and tools below.
fn language_tree() -> Tree<Pane> {
    let mut tiles = Tiles::default();
    let main = tiles.insert_pane(Pane::MainPlot);
    let samples = tiles.insert_pane(Pane::Samples);
    let time = tiles.insert_pane(Pane::Time);
    let tools = tabs(
        &mut tiles,
        &[
            Pane::Credit,
            Pane::Sandbox,
            Pane::Modes,
            Pane::Inspector,
            Pane::Estimators,
            Pane::Phase,
            Pane::Pins,
            Pane::Log,
        ],
    );
    let top = beside(&mut tiles, [main, samples], 0.42);
    let bottom = beside(&mut tiles, [time, tools], 0.5);
    let root = tiles.insert_container(Linear::new_binary(LinearDir::Vertical, [top, bottom], 0.52));
    Tree::new(egui::Id::unique("panes of a language run"), root, tiles)
}

/// Where the window is too low for three rows: the main plot above, everything else behind tabs below it.
fn low_tree() -> Tree<Pane> {
    let mut tiles = Tiles::default();
    let main = tiles.insert_pane(Pane::MainPlot);
    let others: Vec<TileId> = [Pane::Time, Pane::Modes]
        .into_iter()
        .chain(Pane::LANGUAGE)
        .chain(Pane::BANDIT.into_iter().skip(3))
        .map(|pane| tiles.insert_pane(pane))
        .collect();
    let others = tiles.insert_tab_tile(others);
    let root = tiles.insert_container(Linear::new_binary(
        LinearDir::Vertical,
        [main, others],
        0.52,
    ));
    Tree::new(egui::Id::unique("panes of a low window"), root, tiles)
}

/// How much room the panes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// For the user's own arrangement.
    Full,
    /// For two rows.
    Low,
    /// For one pane at a time.
    Least,
}

impl Room {
    /// The room in an area of this size, with or without the controls beside it.
    pub(crate) fn of(size: egui::Vec2, controls_beside: bool) -> Self {
        if !controls_beside || size.x < 300.0 || size.y < 380.0 {
            Self::Least
        } else if size.y < 560.0 {
            Self::Low
        } else {
            Self::Full
        }
    }
}

/// One arrangement of panes for each room.
pub(crate) struct Layouts {
    /// The user's own, for bandits.
    pub(crate) full: Tree<Pane>,
    /// The user's own, for language models.
    pub(crate) language: Tree<Pane>,
    low: Tree<Pane>,
    least: Tree<Pane>,
}

impl Layouts {
    /// The user's own arrangement where one was kept, and the others.
    pub(crate) fn new(kept: Option<Tree<Pane>>, language: Option<Tree<Pane>>) -> Self {
        Self {
            full: kept
                .filter(|tree| is_complete(tree, false))
                .unwrap_or_else(default_tree),
            language: language
                .filter(|tree| is_complete(tree, true))
                .unwrap_or_else(language_tree),
            low: low_tree(),
            least: compact_tree(),
        }
    }

    /// The arrangement for a room.
    pub(crate) fn of(&mut self, room: Room, language: bool) -> &mut Tree<Pane> {
        match room {
            Room::Full => self.own(language),
            Room::Low => &mut self.low,
            Room::Least => &mut self.least,
        }
    }

    /// The user's own arrangement of a run.
    pub(crate) fn own(&mut self, language: bool) -> &mut Tree<Pane> {
        if language {
            &mut self.language
        } else {
            &mut self.full
        }
    }

    /// Everything back in its place.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(None, None);
    }

    /// Brings a pane to the front, wherever it is.
    pub(crate) fn reveal(&mut self, pane: Pane) {
        for tree in [&mut self.full, &mut self.language] {
            if let Some(id) = tree.tiles.find_pane(&pane) {
                tree.set_visible(id, true);
            }
        }
        for tree in [
            &mut self.full,
            &mut self.language,
            &mut self.low,
            &mut self.least,
        ] {
            tree.make_active(|_, tile| matches!(tile, Tile::Pane(p) if *p == pane));
        }
    }
}

/// Where a window is too small for panes side by side: one at a time, behind tabs.
fn compact_tree() -> Tree<Pane> {
    let mut tiles = Tiles::default();
    let mut order = Pane::of_run(true);
    order.insert(1, Pane::Controls);
    let panes: Vec<TileId> = order
        .into_iter()
        .map(|pane| tiles.insert_pane(pane))
        .collect();
    let root = tiles.insert_tab_tile(panes);
    Tree::new(egui::Id::unique("compact panes"), root, tiles)
}

/// Shows or hides the panes that only language runs have.
pub(crate) fn show_language_panes(tree: &mut Tree<Pane>, show: bool) {
    for pane in Pane::LANGUAGE {
        if let Some(id) = tree.tiles.find_pane(&pane) {
            tree.set_visible(id, show);
        }
    }
}

/// A restored tree still has every pane exactly once.
fn is_complete(tree: &Tree<Pane>, language: bool) -> bool {
    tree.root().is_some()
        && Pane::of_run(language).iter().all(|pane| {
            let count = tree
                .tiles
                .tiles()
                .filter(|tile| matches!(tile, Tile::Pane(p) if p == pane))
                .count();
            count == 1
        })
}

/// Draws panes for the tree; the shell knows how.
pub(crate) struct Panes<'a> {
    /// Draws one pane.
    pub(crate) draw: &'a mut dyn FnMut(&mut Ui, Pane),
}

impl egui_tiles::Behavior<Pane> for Panes<'_> {
    fn pane_ui(&mut self, ui: &mut Ui, _tile: TileId, pane: &mut Pane) -> UiResponse {
        egui::Frame::new()
            .fill(ui.visuals().panel_fill)
            .inner_margin(egui::Margin::symmetric(6, 4))
            .show(ui, |ui| {
                ui.push_id(*pane as u8, |ui| (self.draw)(ui, *pane));
                // A pane fills its tile, whatever it drew.
                ui.expand_to_include_rect(ui.max_rect());
            });
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, pane: &Pane) -> WidgetText {
        egui::RichText::new(pane.title()).size(12.0).into()
    }

    fn tab_bar_height(&self, _style: &egui::Style) -> f32 {
        21.0
    }

    fn tab_title_spacing(&self, _visuals: &Visuals) -> f32 {
        8.0
    }

    fn gap_width(&self, _style: &egui::Style) -> f32 {
        3.0
    }

    fn min_size(&self) -> f32 {
        24.0
    }

    fn tab_bar_color(&self, visuals: &Visuals) -> Color32 {
        visuals.faint_bg_color
    }

    fn tab_bg_color(
        &self,
        visuals: &Visuals,
        _tiles: &Tiles<Pane>,
        _tile: TileId,
        state: &TabState,
    ) -> Color32 {
        if state.active {
            visuals.panel_fill
        } else {
            Color32::TRANSPARENT
        }
    }

    fn tab_outline_stroke(
        &self,
        _visuals: &Visuals,
        _tiles: &Tiles<Pane>,
        _tile: TileId,
        _state: &TabState,
    ) -> Stroke {
        Stroke::NONE
    }

    fn tab_bar_hline_stroke(&self, _visuals: &Visuals) -> Stroke {
        Stroke::NONE
    }

    fn tab_text_color(
        &self,
        visuals: &Visuals,
        tiles: &Tiles<Pane>,
        tile: TileId,
        state: &TabState,
    ) -> Color32 {
        let alone = tiles
            .parent_of(tile)
            .and_then(|parent| tiles.get_container(parent))
            .is_some_and(|container| container.num_children() == 1);
        if state.active && !alone {
            visuals.strong_text_color()
        } else {
            visuals.weak_text_color()
        }
    }

    fn resize_stroke(&self, style: &egui::Style, state: egui_tiles::ResizeState) -> Stroke {
        match state {
            egui_tiles::ResizeState::Idle => {
                Stroke::new(1.0, style.visuals.widgets.noninteractive.bg_stroke.color)
            }
            egui_tiles::ResizeState::Hovering => style.visuals.widgets.hovered.fg_stroke,
            egui_tiles::ResizeState::Dragging => style.visuals.widgets.active.fg_stroke,
        }
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions {
            all_panes_must_have_tabs: true,
            ..SimplificationOptions::default()
        }
    }
}
