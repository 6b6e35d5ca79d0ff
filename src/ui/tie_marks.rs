//! Ties for the marks of the β slider where a frame has no time for all of them: asked for once per problem and objective,
//! whatever β, and taken as they come.

use std::sync::Arc;

use super::widgets::beta_slider;
use crate::{
    bandit::{Analysis, Problem},
    engine::{TieRequest, TieSearch},
    theory::{Objective, TieList, TieScope},
};

/// Columns in which ties are looked for: two for each point of the widest slider.
const COLUMNS: usize = 2048;
/// Up to so many pairs of arms that differ, each has its own mark.
const MOST_PAIRS: usize = 20_000;

/// The search and what it was asked last.
#[derive(Default)]
pub(super) struct TieMarks {
    search: Option<TieSearch>,
    asked: Option<TieRequest>,
    found: Option<Arc<TieList>>,
}

impl TieMarks {
    /// Asks for the ties of what is shown, if `analysis` lacks some, and takes what was found of them.
    pub(super) fn follow(
        &mut self,
        problem: &Arc<Problem>,
        objective: &Objective,
        analysis: &Analysis,
        ctx: &egui::Context,
    ) {
        let is_known = match analysis.ties.scope {
            TieScope::All | TieScope::Alike { .. } | TieScope::Unknown => true,
            TieScope::WinnerChanges { .. } | TieScope::Columns { .. } => false,
        };
        if is_known {
            if self.asked.take().is_some() {
                self.found = None;
                if let Some(search) = &self.search {
                    search.cancel();
                }
            }
            return;
        }
        let request = TieRequest {
            problem: Arc::clone(problem),
            objective: *objective,
            edges: beta_slider::column_edges,
            columns: COLUMNS,
            most_pairs: MOST_PAIRS,
        };
        if !(self.asked.as_ref()).is_some_and(|asked| asked.is_same(&request)) {
            self.found = None;
            if self.search.is_none() {
                let ctx = ctx.clone();
                // Without a thread the marks are those that the frame knows, which the tooltip says.
                self.search = TieSearch::spawn(move || ctx.request_repaint()).ok();
            }
            if let Some(search) = &self.search {
                search.start(request.clone());
            }
            self.asked = Some(request);
        }
        let latest = self.search.as_ref().and_then(TieSearch::latest);
        if let (Some(found), Some(asked)) = (latest, &self.asked)
            && found.request.is_same(asked)
        {
            self.found = Some(Arc::clone(&found.list));
        }
    }

    /// What was found, where the analysis lacks ties.
    pub(super) fn found(&self) -> Option<&Arc<TieList>> {
        self.found.as_ref()
    }
}
