//! Widgets that a wrapped row must not part, such as a name and its box.

use egui::{Id, Ui};

/// Adds widgets side by side as one piece of a wrapped row: where they do not fit into what is left of it they begin the
/// next one. A row of egui learns how wide they are only by drawing them, and so would run over its end.
pub(crate) fn together<R>(ui: &mut Ui, salt: &str, add: impl FnOnce(&mut Ui) -> R) -> R {
    let id = Id::unique("together").with(salt);
    let known: Option<f32> = ui.data(|data| data.get_temp(id));
    let left = ui.available_size_before_wrap().x;
    let whole = ui.max_rect().width();
    // At the start of a row there is nothing to gain.
    if known.is_some_and(|width| width > left) && left < whole {
        ui.end_row();
    }
    let inner = ui.horizontal(add);
    let width = inner.response.rect.width();
    if known.is_none_or(|known| (known - width).abs() > 0.5) {
        ui.data_mut(|data| data.insert_temp(id, width));
        // Whoever came first may stand over the end now.
        ui.ctx().request_discard("pieces of a row are measured");
    }
    inner.inner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_stay_within_the_row_and_in_one_piece() {
        for width in [90.0, 130.0, 200.0, 310.0, 700.0] {
            let mut rects = Vec::new();
            let context = egui::Context::default();
            let _ = context.run_ui(egui::RawInput::default(), |ui| {
                rects.clear();
                ui.allocate_ui(egui::vec2(width, 200.0), |ui| {
                    ui.horizontal_wrapped(|ui| {
                        for salt in ["first", "second", "third"] {
                            together(ui, salt, |ui| {
                                for size in [20.0, 60.0] {
                                    let size = egui::vec2(size, 10.0);
                                    rects
                                        .push(ui.allocate_exact_size(size, egui::Sense::hover()).0);
                                }
                            });
                        }
                    });
                });
            });
            assert_eq!(rects.len(), 6);
            let left = rects[0].left();
            for piece in rects.chunks(2) {
                assert_eq!(
                    piece[0].center().y,
                    piece[1].center().y,
                    "{width}: {rects:?}"
                );
                assert!(
                    piece[1].right() <= left + width.max(100.0),
                    "{width}: {rects:?}"
                );
            }
            assert!(
                rects[0].top() < rects[5].top() || width > 300.0,
                "{width}: {rects:?}"
            );
        }
    }
}
