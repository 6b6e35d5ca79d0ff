//! The window's end of the trainer thread: orders that do not fit into the channel at once wait here, newest edit wins.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    engine::{Command, Engine, Event, Snapshot},
    experiment::Edit,
};

/// The trainer thread, and what is still to be sent to it.
pub(crate) struct Link {
    engine: Option<Engine>,
    pending: VecDeque<Command>,
}

impl Link {
    /// Starts the trainer thread; `wake` is called whenever there is news.
    ///
    /// # Errors
    /// The system's reason for not starting a thread; the link then swallows orders.
    pub(crate) fn spawn(wake: impl Fn() + Send + Sync + 'static) -> (Self, Option<String>) {
        let (engine, failure) = match Engine::spawn(wake) {
            Ok(engine) => (Some(engine), None),
            Err(error) => (
                None,
                Some(format!("The trainer thread did not start: {error}")),
            ),
        };
        let link = Self {
            engine,
            pending: VecDeque::new(),
        };
        (link, failure)
    }

    /// Sends an order, now or as soon as there is room.
    pub(crate) fn send(&mut self, command: Command) {
        match &command {
            // What was waiting for the old experiment is void.
            Command::Load { .. } => self
                .pending
                .retain(|waiting| matches!(waiting, Command::Solved(_))),
            Command::Solved(_) => self
                .pending
                .retain(|waiting| !matches!(waiting, Command::Solved(_))),
            Command::Edit(edit) => {
                // A language part holds the rewards as they were when it was made: none may come after it.
                let is_language =
                    |waiting: &Command| matches!(waiting, Command::Edit(Edit::Language(_)));
                if !self.pending.iter().any(is_language) || is_language(&command) {
                    self.pending.retain(
                        |waiting| !matches!(waiting, Command::Edit(old) if replaces(edit, old)),
                    );
                }
            }
            _ => {}
        }
        self.pending.push_back(command);
        self.flush();
    }

    /// Tries to send what is waiting; true if something still waits.
    pub(crate) fn flush(&mut self) -> bool {
        let Some(engine) = &self.engine else {
            self.pending.clear();
            return false;
        };
        while let Some(command) = self.pending.front() {
            if engine.send(command.clone()).is_err() {
                return true;
            }
            self.pending.pop_front();
        }
        false
    }

    /// Asks the trainer to leave the cores to the window for a moment, or to go on.
    pub(crate) fn rest(&self, rest: bool) {
        if let Some(engine) = &self.engine {
            engine.rest(rest);
        }
    }

    /// The next event, if any.
    pub(crate) fn try_event(&self) -> Option<Event> {
        self.engine.as_ref()?.try_event()
    }

    /// The latest snapshot, if any.
    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.engine.as_ref()?.snapshot()
    }
}

/// A newer edit makes an older one that still waits pointless.
fn replaces(new: &Edit, old: &Edit) -> bool {
    match (new, old) {
        (Edit::Training(_), Edit::Training(_) | Edit::Stop(_)) => true,
        _ => new.covers(old),
    }
}
