//! Modes as lightly shaded stretches of arms, with their names above.

use std::sync::Arc;

use egui::{Rect, Ui, pos2};

use super::layout::Plot;
use crate::bandit::Problem;

/// Runs of neighbouring arms of each mode, found once per problem.
#[derive(Default)]
pub(super) struct Shading {
    problem: Option<Arc<Problem>>,
    /// First arm, one past the last, mode.
    runs: Vec<(usize, usize, usize)>,
}

impl Shading {
    /// Shades the modes on screen and names those that have room.
    pub(super) fn draw(&mut self, ui: &Ui, plot: &Plot, problem: &Arc<Problem>) {
        if self
            .problem
            .as_ref()
            .is_none_or(|p| !Arc::ptr_eq(p, problem))
        {
            self.runs = runs(problem);
            self.problem = Some(problem.clone());
        }
        let frame = &plot.frame;
        let fill = ui.visuals().text_color().gamma_multiply(0.05);
        let mut free_from = f32::NEG_INFINITY;
        let mut filled_to = f32::NEG_INFINITY;
        let mut last_end = f32::NEG_INFINITY;
        // Where every mode is one arm of its name, the names stand under the plot already.
        let named_below = plot.bars && every_mode_is_an_arm(problem);
        for (index, &(from, to, mode)) in self.runs.iter().enumerate() {
            if to <= plot.window.first || from >= plot.window.end {
                continue;
            }
            let left = plot.x.at(from as f64).max(frame.rect.left());
            let right = plot.x.at(to as f64).min(frame.rect.right());
            // Thousands of runs share pixels; each pixel is shaded once.
            if right > filled_to + 0.5 {
                let from = left.max(filled_to);
                frame.inside.rect_filled(
                    Rect::from_x_y_ranges(from..=right, frame.rect.y_range()),
                    0.0,
                    fill,
                );
                filled_to = right;
            }
            let above = !named_below && frame.rect.top() - frame.outside.clip_rect().top() > 12.0;
            if above && right - left > 4.0 && left >= free_from {
                let galley = frame.outside.layout_no_wrap(
                    problem.modes[mode].label.clone(),
                    frame.font(),
                    frame.text_color(),
                );
                let x = (left + right - galley.size().x) / 2.0;
                // A label may stand out over its mode but not reach the modes beside it.
                let next = self.runs.get(index + 1).map_or(frame.rect.right(), |next| {
                    plot.x.at(next.0 as f64).max(right)
                });
                let room = (left - last_end.max(frame.rect.left()))
                    .min(next.min(frame.rect.right()) - right)
                    .max(4.0);
                let fits = galley.size().x <= right - left + 2.0 * room
                    && x > frame.rect.left()
                    && x + galley.size().x < frame.rect.right();
                if fits && x >= free_from {
                    free_from = x + galley.size().x + 6.0;
                    let y = frame.rect.top() - galley.size().y - 1.0;
                    frame.outside.galley(pos2(x, y), galley, frame.text_color());
                }
            }
            last_end = right;
        }
    }
}

/// Whether every mode is one arm and is called as the arm is.
pub(crate) fn every_mode_is_an_arm(problem: &Problem) -> bool {
    problem.names.is_some()
        && problem.modes.iter().all(
            |mode| matches!(mode.arms[..], [arm] if problem.arm_label(arm as usize) == mode.label),
        )
}

/// Maximal runs of neighbouring arms that belong to the same mode, ascending.
pub(crate) fn runs(problem: &Problem) -> Vec<(usize, usize, usize)> {
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for (index, mode) in problem.modes.iter().enumerate() {
        let mut open: Option<(usize, usize)> = None;
        for &arm in &mode.arms {
            let arm = arm as usize;
            match &mut open {
                Some((_, end)) if *end == arm => *end += 1,
                Some((start, end)) => {
                    runs.push((*start, *end, index));
                    open = Some((arm, arm + 1));
                }
                None => open = Some((arm, arm + 1)),
            }
        }
        if let Some((start, end)) = open {
            runs.push((start, end, index));
        }
    }
    runs.sort_unstable();
    runs
}
