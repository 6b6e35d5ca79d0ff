//! The thread that finds the ties of problems with too many arms for a frame, coarse to fine.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{
    newest::{Desk, Newest, Turn},
    priority,
};
use crate::{
    bandit::{Problem, TieGround},
    theory::{Objective, TieList, TieProgress},
};

/// Whose ties to find.
#[derive(Debug, Clone)]
pub struct TieRequest {
    /// The problem.
    pub problem: Arc<Problem>,
    /// The objective, whatever its β.
    pub objective: Objective,
    /// Edges of so many columns, ascending in β.
    pub edges: fn(usize) -> Vec<f64>,
    /// Into how many columns β is divided, if that takes no more than seconds.
    pub columns: usize,
    /// Up to so many pairs of arms that differ have all their ties found instead.
    pub most_pairs: usize,
}

impl TieRequest {
    /// Whether both have the same ties.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.problem, &other.problem)
            && TieGround::is_same(&self.objective, &other.objective)
    }
}

/// What was found so far.
#[derive(Debug, Clone)]
pub struct TiesFound {
    /// Of what.
    pub request: Arc<TieRequest>,
    /// The ties.
    pub list: Arc<TieList>,
    /// Nothing more will come.
    pub finished: bool,
}

/// The background thread; dropping it ends the thread within one pass over the arms.
#[derive(Debug)]
pub struct TieSearch(Newest<TieRequest, TiesFound>);

impl TieSearch {
    /// Starts the thread. `wake` is called, from that thread, whenever there is more to draw.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub fn spawn(wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let work = move |desk: &Desk<TieRequest, TiesFound>| {
            priority::stand_back();
            while let Some((turn, request)) = desk.wait() {
                // Ticks that a defect leaves out are not worth more than a message on the standard error, which a panic has.
                let _ = catch_unwind(AssertUnwindSafe(|| search(&request, turn, desk, &wake)));
            }
        };
        Newest::spawn("modescope-ties", work).map(Self)
    }

    /// Drops what is being looked for and starts on this.
    pub fn start(&self, request: TieRequest) {
        self.0.ask(request);
    }

    /// Drops what is being looked for.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// The latest result, of whatever request.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<TiesFound>> {
        self.0.latest()
    }
}

fn search(
    request: &Arc<TieRequest>,
    turn: Turn<'_>,
    desk: &Desk<TieRequest, TiesFound>,
    wake: &dyn Fn(),
) {
    // Settings without a target are told where the target is solved.
    let Ok(Some(ground)) = TieGround::new(&request.problem, &request.objective) else {
        return;
    };
    let stop = || turn.is_over();
    let ties = ground.ties();
    let edges = (request.edges)(ties.affordable_columns(request.columns));
    let mut columns = ties.columns(&edges, request.most_pairs);
    let mut first = true;
    loop {
        let progress = columns.advance(&stop);
        if progress == TieProgress::Stopped || turn.is_over() {
            return;
        }
        let finished = progress == TieProgress::Done;
        // The layout alone shows no more than the frame did.
        if finished || !std::mem::take(&mut first) {
            let found = TiesFound {
                request: Arc::clone(request),
                list: Arc::new(columns.list()),
                finished,
            };
            desk.publish(turn, found, wake);
        }
        if finished {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::time::{Duration, Instant};

    use super::*;
    use crate::{
        bandit::ProblemSource,
        experiment::builtin_preset,
        theory::{Beta, Direction, TieScope},
    };

    fn many_arms() -> TieRequest {
        let preset = builtin_preset("many-arms").unwrap();
        let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
        TieRequest {
            problem: Arc::new(source.problem(&preset.bandit, &preset.objective).unwrap()),
            objective: preset.objective,
            edges: |columns| {
                (0..=columns)
                    .map(|edge| 10f64.powf(12.0 * edge as f64 / columns as f64 - 6.0))
                    .collect()
            },
            columns: 64,
            most_pairs: 1000,
        }
    }

    fn finished(search: &TieSearch, request: &TieRequest) -> Arc<TiesFound> {
        let start = Instant::now();
        loop {
            if let Some(found) = search.latest()
                && found.finished
                && found.request.is_same(request)
            {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "not in time");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn the_newest_request_is_answered_and_one_of_another_beta_is_the_same() {
        let (sender, woken) = std::sync::mpsc::channel();
        let search = TieSearch::spawn(move || sender.send(()).unwrap_or(())).unwrap();
        let first = many_arms();
        let forward = TieRequest {
            objective: Objective {
                direction: Direction::Forward,
                ..first.objective
            },
            ..first.clone()
        };
        search.start(first.clone());
        search.start(forward.clone());
        let found = finished(&search, &forward);
        assert!(woken.try_recv().is_ok(), "nobody was woken");
        assert!(!found.request.is_same(&first));
        let TieScope::Columns {
            columns: 64,
            pairs: Some(pairs),
        } = found.list.scope
        else {
            panic!("{:?}", found.list.scope);
        };
        assert!(pairs > 1_000_000, "{pairs}");
        assert!(found.list.ties.len() > 10);
        let beta = Beta::new(7.0).unwrap();
        let moved = TieRequest {
            objective: Objective {
                beta,
                ..forward.objective
            },
            ..forward
        };
        assert!(found.request.is_same(&moved));
    }
}
