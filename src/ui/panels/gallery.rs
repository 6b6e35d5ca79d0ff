//! The presets gallery: a card per built-in experiment with a small picture of what it asks for and a line on what to
//! look for. The pictures are computed in a thread when the gallery is first opened; those of the model that is part of the
//! program ask it for the exact probabilities of its answers.

use crossbeam_channel::{Receiver, bounded};
use egui::{
    Color32, Context, FontId, Key, Rect, RichText, ScrollArea, Sense, Shape, Stroke, TextEdit, Ui,
    Window, pos2, vec2,
};

use super::palette::fuzzy;
use crate::{
    bandit::{Analysis, Problem, ProblemSource, Shape as Arms},
    engine::Session,
    experiment::{self, Builtin, Preset},
    figure::viridis,
    lm::store::EMBEDDED,
    ui::{Action, theme::Theme},
};

/// Size of a card's picture, in points.
const PICTURE: egui::Vec2 = vec2(132.0, 74.0);
/// Height of a wide card.
const CARD_HEIGHT: f32 = 98.0;
/// Height of a narrow card, whose texts take more lines.
const NARROW_CARD_HEIGHT: f32 = 118.0;
/// Narrowest a card gets before there is one column fewer.
const CARD_WIDTH: f32 = 330.0;
/// A picture shows at most this many columns.
const COLUMNS: usize = 96;

/// What a card shows.
struct Card {
    name: &'static str,
    title: String,
    look_for: String,
    summary: String,
    picture: Picture,
}

/// The small picture, heights scaled to 1.
enum Picture {
    Line {
        reference: Vec<f32>,
        reward: Vec<f32>,
        target: Vec<f32>,
    },
    Grid {
        columns: usize,
        target: Vec<f32>,
    },
    /// Answers of a model that is not part of the program: how likely it finds them is only known when it is loaded.
    Answers {
        texts: Vec<String>,
        model: String,
    },
    None,
}

/// State of the gallery.
#[derive(Default)]
pub(crate) struct Gallery {
    open: bool,
    query: String,
    cards: Vec<Card>,
    coming: Option<Receiver<Card>>,
    fresh: bool,
}

impl Gallery {
    /// Opens or closes it.
    pub(crate) fn toggle(&mut self) {
        self.open = !self.open;
        self.fresh = self.open;
    }

    /// Draws it, if it is open.
    pub(crate) fn ui(&mut self, ctx: &Context, actions: &mut Vec<Action>) {
        if !self.open {
            return;
        }
        if self.coming.is_none() {
            self.coming = Some(start(ctx.clone()));
        }
        if let Some(coming) = &self.coming {
            self.cards.extend(coming.try_iter());
        }
        let screen = ctx.content_rect();
        if screen.width() < 60.0 || screen.height() < 80.0 {
            return;
        }
        let size = (screen.size() - vec2(48.0, 70.0)).min(vec2(1080.0, 640.0));
        let mut open = true;
        if ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, Key::Escape)) {
            open = false;
        }
        Window::new("Presets")
            .open(&mut open)
            .collapsible(false)
            .resizable(false)
            .pivot(egui::Align2::CENTER_CENTER)
            .fixed_pos(screen.center())
            .fixed_size(size)
            .show(ctx, |ui| {
                let field = ui.add(
                    TextEdit::singleline(&mut self.query)
                        .hint_text("Search presets")
                        .desired_width(f32::INFINITY),
                );
                if std::mem::take(&mut self.fresh) {
                    field.request_focus();
                }
                ui.add_space(4.0);
                if let Some(name) = cards_ui(ui, &self.cards, self.query.trim()) {
                    actions.push(Action::OpenPreset(name.to_owned()));
                    self.open = false;
                }
            });
        self.open &= open;
    }
}

fn cards_ui(ui: &mut Ui, cards: &[Card], query: &str) -> Option<&'static str> {
    let mut chosen = None;
    let shown: Vec<&Card> = cards
        .iter()
        .filter(|card| {
            query.is_empty()
                || card.summary.to_lowercase().contains(&query.to_lowercase())
                || fuzzy(query, &format!("{} {}", card.name, card.title))
                    .is_some_and(|score| score > 0)
        })
        .collect();
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        if shown.is_empty() {
            ui.weak(if cards.is_empty() {
                "Computing…"
            } else {
                "No preset by that name"
            });
        }
        let gap = 8.0;
        let width = ui.available_width() - 10.0;
        let columns = ((width + gap) / (CARD_WIDTH + gap)).floor().max(1.0);
        let each = (width - gap * (columns - 1.0)) / columns;
        let height = if each > 420.0 {
            CARD_HEIGHT
        } else {
            NARROW_CARD_HEIGHT
        };
        let size = vec2(each, height);
        ui.spacing_mut().item_spacing = vec2(gap, gap);
        for row in shown.chunks(columns as usize) {
            ui.horizontal(|ui| {
                for card in row {
                    if card_ui(ui, card, size) {
                        chosen = Some(card.name);
                    }
                }
            });
        }
    });
    chosen
}

fn card_ui(ui: &mut Ui, card: &Card, size: egui::Vec2) -> bool {
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Open {}", card.title))
    });
    if ui.is_rect_visible(rect) {
        let theme = Theme::of(ui);
        let line = if response.hovered() || response.has_focus() {
            Stroke::new(1.5, theme.accent)
        } else {
            ui.visuals().window_stroke
        };
        ui.painter().rect(
            rect,
            6.0,
            ui.visuals().panel_fill,
            line,
            egui::StrokeKind::Inside,
        );
        let picture_size = PICTURE.min(vec2(size.x * 0.4, PICTURE.y));
        let picture = Rect::from_min_size(rect.min + vec2(10.0, 10.0), picture_size);
        ui.painter()
            .rect_filled(picture, 3.0, ui.visuals().extreme_bg_color);
        paint(ui.painter(), &card.picture, picture.shrink(3.0), &theme);
        let text = Rect::from_min_max(
            pos2(picture.right() + 10.0, rect.top() + 8.0),
            rect.max - vec2(8.0, 6.0),
        );
        let mut inner = ui.new_child(
            egui::UiBuilder::new()
                .max_rect(text)
                .layout(egui::Layout::top_down(egui::Align::Min)),
        );
        inner.set_clip_rect(text.expand(1.0).intersect(ui.clip_rect()));
        inner.spacing_mut().item_spacing.y = 2.0;
        inner.add(egui::Label::new(RichText::new(&card.title).strong()).wrap());
        inner
            .add(egui::Label::new(RichText::new(&card.look_for).small().color(theme.muted)).wrap());
    }
    let mut tip = format!("{}\n\n{}", card.summary, card.look_for);
    if let Picture::Answers { texts, model } = &card.picture {
        tip.push_str(&format!(
            "\n\nAnswers: {}. How likely {model} finds them is shown when it is loaded.",
            texts.join(", ")
        ));
    }
    response.on_hover_text(tip).clicked()
}

fn paint(painter: &egui::Painter, picture: &Picture, rect: Rect, theme: &Theme) {
    match picture {
        Picture::None => {}
        Picture::Answers { texts, model } => answers(painter, texts, model, rect, theme),
        Picture::Line {
            reference,
            reward,
            target,
        } => {
            let at = |index: usize, count: usize, height: f32| {
                pos2(
                    rect.left() + rect.width() * (index as f32 + 0.5) / count as f32,
                    rect.bottom() - rect.height() * height.clamp(0.0, 1.0),
                )
            };
            let columns = |values: &[f32], color: Color32| {
                let width = rect.width() / values.len() as f32;
                // A mesh, because anti-aliased neighbours would leave seams.
                let mut mesh = egui::Mesh::default();
                for (index, &height) in values.iter().enumerate() {
                    let top = at(index, values.len(), height);
                    let bar = Rect::from_min_max(
                        pos2(top.x - 0.5 * width, top.y),
                        pos2(top.x + 0.5 * width, rect.bottom()),
                    );
                    mesh.add_colored_rect(bar, color);
                }
                painter.add(mesh);
            };
            columns(reward, theme.reward.gamma_multiply(0.22));
            columns(reference, theme.reference.gamma_multiply(0.6));
            if target.len() > 12 {
                let points = target
                    .iter()
                    .enumerate()
                    .map(|(index, &height)| at(index, target.len(), height))
                    .collect();
                painter.add(Shape::line(points, Stroke::new(1.6, theme.target)));
            } else {
                let half = 0.42 * rect.width() / target.len() as f32;
                for (index, &height) in target.iter().enumerate() {
                    let top = at(index, target.len(), height);
                    painter.line_segment(
                        [top - vec2(half, 0.0), top + vec2(half, 0.0)],
                        Stroke::new(2.0, theme.target),
                    );
                }
            }
        }
        Picture::Grid { columns, target } => {
            let rows = target.len() / (*columns).max(1);
            let cell = vec2(
                rect.width() / *columns as f32,
                rect.height() / rows.max(1) as f32,
            );
            let mut mesh = egui::Mesh::default();
            for (index, &value) in target.iter().enumerate() {
                let (row, column) = (index / columns, index % columns);
                let min = pos2(
                    rect.left() + cell.x * column as f32,
                    rect.bottom() - cell.y * (row + 1) as f32,
                );
                let [r, g, b] = viridis(f64::from(value));
                mesh.add_colored_rect(Rect::from_min_size(min, cell), Color32::from_rgb(r, g, b));
            }
            painter.add(mesh);
        }
    }
}

/// The answers in rows, as many as fit, and that their bars come with the model.
fn answers(painter: &egui::Painter, texts: &[String], model: &str, rect: Rect, theme: &Theme) {
    let painter = painter.with_clip_rect(rect.intersect(painter.clip_rect()));
    let font = FontId::proportional(10.5);
    let small = FontId::proportional(9.5);
    let note = painter.layout(
        format!("{model} not loaded"),
        small,
        theme.muted,
        rect.width() - 4.0,
    );
    let bottom = rect.bottom() - note.size().y - 3.0;
    painter.galley(pos2(rect.left() + 2.0, bottom + 2.0), note, theme.muted);
    let ink = theme.ink(theme.reference);
    let mut at = rect.min + vec2(2.0, 2.0);
    for text in texts {
        let galley = painter.layout_no_wrap(text.clone(), font.clone(), ink);
        let size = galley.size() + vec2(8.0, 2.0);
        if at.x > rect.left() + 2.0 && at.x + size.x > rect.right() {
            at = pos2(rect.left() + 2.0, at.y + size.y + 3.0);
        }
        if at.y + size.y > bottom {
            return;
        }
        let outline = Stroke::new(1.0, theme.reference.gamma_multiply(0.6));
        let place = Rect::from_min_size(at, size);
        painter.rect_stroke(place, 3.0, outline, egui::StrokeKind::Inside);
        painter.galley(at + vec2(4.0, 1.0), galley, ink);
        at.x += size.x + 4.0;
    }
}

/// Starts computing every card; they arrive in order.
fn start(ctx: Context) -> Receiver<Card> {
    let all = experiment::builtin();
    let (sender, receiver) = bounded(all.len().max(1));
    // Without a thread the gallery stays empty, which its text says.
    let _ = std::thread::Builder::new()
        .name("modescope-gallery".to_owned())
        .spawn(move || {
            for builtin in all {
                let Some(card) = card(builtin) else { continue };
                if sender.send(card).is_err() {
                    return;
                }
                ctx.request_repaint();
            }
        });
    receiver
}

fn card(builtin: &Builtin) -> Option<Card> {
    let preset = experiment::builtin_preset(builtin.name)?;
    let picture = match &preset.language {
        Some(language) if language.model != EMBEDDED => Some(Picture::Answers {
            texts: (language.prompts.first()?.answers.iter())
                .map(|answer| answer.text.trim().to_owned())
                .collect(),
            model: language.model.clone(),
        }),
        // Asks the model.
        Some(_) => Session::new(preset.clone(), None)
            .ok()
            .map(|session| picture(session.problem(), session.analysis())),
        None => bandit_picture(&preset),
    };
    Some(Card {
        name: builtin.name,
        title: preset.title,
        look_for: preset.look_for,
        summary: preset.summary,
        picture: picture.unwrap_or(Picture::None),
    })
}

fn bandit_picture(preset: &Preset) -> Option<Picture> {
    let source = ProblemSource::evaluate(&preset.bandit, None).ok()?;
    let problem = source.problem(&preset.bandit, &preset.objective).ok()?;
    let problem = problem.counted_by(preset.coverage);
    let analysis = Analysis::new(&problem, &preset.objective).ok()?;
    Some(picture(&problem, &analysis))
}

fn picture(problem: &Problem, analysis: &Analysis) -> Picture {
    match problem.shape {
        Arms::Line { .. } => {
            let reference = binned(&problem.reference.masses());
            let target = binned(&analysis.target.masses);
            // Reference and target share a scale, unless one would not be seen.
            let top = largest(&target).max(largest(&reference));
            Picture::Line {
                reference: scaled(&reference, top),
                target: scaled(&target, top),
                reward: scaled_rewards(&binned_mean(&analysis.rewards)),
            }
        }
        Arms::Grid { rows, columns, .. } => grid(&analysis.target.masses, rows, columns),
    }
}

fn bins(count: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let columns = count.clamp(1, COLUMNS);
    (0..columns).map(move |column| column * count / columns..(column + 1) * count / columns)
}

/// The largest value of each column, so that a narrow peak stays visible.
fn binned(values: &[f64]) -> Vec<f64> {
    bins(values.len())
        .map(|range| values.get(range).map_or(0.0, largest))
        .collect()
}

fn binned_mean(values: &[f64]) -> Vec<f64> {
    bins(values.len())
        .map(|range| {
            let count = range.len().max(1) as f64;
            values
                .get(range)
                .map_or(0.0, |values| values.iter().sum::<f64>() / count)
        })
        .collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn scaled(values: &[f64], top: f64) -> Vec<f32> {
    let top = if top > 0.0 { top } else { 1.0 };
    values
        .iter()
        .map(|value| (0.96 * value / top) as f32)
        .collect()
}

fn scaled_rewards(values: &[f64]) -> Vec<f32> {
    let low = values
        .iter()
        .copied()
        .fold(f64::INFINITY, f64::min)
        .min(0.0);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let span = if high > low { high - low } else { 1.0 };
    values
        .iter()
        .map(|value| ((value - low) / span) as f32)
        .collect()
}

fn grid(target: &[f64], rows: usize, columns: usize) -> Picture {
    let (small_rows, small_columns) = (rows.clamp(1, 26), columns.clamp(1, 48));
    let mut cells = vec![0.0_f64; small_rows * small_columns];
    for (arm, &mass) in target.iter().enumerate() {
        let (row, column) = (arm / columns.max(1), arm % columns.max(1));
        let index = (row * small_rows / rows.max(1)) * small_columns
            + column * small_columns / columns.max(1);
        if let Some(cell) = cells.get_mut(index) {
            *cell += mass;
        }
    }
    let top = largest(&cells).max(f64::MIN_POSITIVE);
    Picture::Grid {
        columns: small_columns,
        target: cells.iter().map(|mass| (mass / top) as f32).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;

    fn card_of(name: &str) -> Card {
        let all = experiment::builtin().iter();
        card(all.clone().find(|builtin| builtin.name == name).unwrap()).unwrap()
    }

    #[test]
    fn a_card_of_the_embedded_model_shows_what_it_gives_its_answers() {
        let preset = experiment::builtin_preset("lm-one-or-two").unwrap();
        let session = Session::new(preset, None).unwrap();
        let masses = session.problem().reference.masses();
        let Picture::Line {
            reference, target, ..
        } = card_of("lm-one-or-two").picture
        else {
            unreachable!("its answers are on a line")
        };
        assert_eq!(reference.len(), masses.len());
        for (height, mass) in reference.iter().zip(&masses) {
            let wanted = masses[0] / f64::from(reference[0]);
            assert!((f64::from(*height) * wanted - mass).abs() < 1e-6);
        }
        assert!(
            reference[0] > 2.0 * reference[1],
            "1 is its favourite: {reference:?}"
        );
        assert!(
            target[0] > target[2],
            "everything else is worth nothing: {target:?}"
        );
    }

    #[test]
    fn a_card_of_another_model_names_its_answers_and_the_model() {
        let Picture::Answers { texts, model } = card_of("lm-smollm2-die").picture else {
            unreachable!("nothing is known of the model's answers")
        };
        assert_eq!(texts, ["1", "2", "3", "4", "5", "6"]);
        assert_eq!(model, "smollm2-135m");
    }

    #[test]
    fn every_preset_has_a_picture() {
        for builtin in experiment::builtin() {
            let card = card(builtin).unwrap();
            assert!(!matches!(card.picture, Picture::None), "{}", builtin.name);
        }
    }
}
