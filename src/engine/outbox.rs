//! Events on their way to the window. Sending never waits: what does not fit is kept here, and of that only what merely
//! reports progress is ever dropped, the oldest first.

use std::collections::VecDeque;

use crossbeam_channel::{Sender, TrySendError};

use super::message::Event;

/// Most progress events kept while nobody reads.
const PROGRESS: usize = 64;
/// Most events of any kind kept while nobody reads.
const ALL: usize = 1024;

/// A sender of events that never waits and never loses a failure.
#[derive(Debug)]
pub(crate) struct Outbox {
    sender: Sender<Event>,
    waiting: VecDeque<Event>,
}

impl Outbox {
    pub(crate) fn new(sender: Sender<Event>) -> Self {
        Self {
            sender,
            waiting: VecDeque::new(),
        }
    }

    /// For others that have something to tell.
    pub(crate) fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// Sends an event, or keeps it until there is room.
    pub(crate) fn send(&mut self, event: Event) {
        self.waiting.push_back(event);
        self.flush();
        let progress = self.waiting.iter().filter(|e| is_progress(e)).count();
        if progress > PROGRESS
            && let Some(oldest) = self.waiting.iter().position(is_progress)
        {
            self.waiting.remove(oldest);
        }
        if self.waiting.len() > ALL {
            self.waiting.pop_front();
        }
    }

    /// Sends what waits; true when nothing is left.
    pub(crate) fn flush(&mut self) -> bool {
        while let Some(event) = self.waiting.pop_front() {
            match self.sender.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting.push_front(event);
                    return false;
                }
                // Nobody will ever read.
                Err(TrySendError::Disconnected(_)) => self.waiting.clear(),
            }
        }
        true
    }
}

/// Events whose loss a user would not miss: the snapshots show the same.
fn is_progress(event: &Event) -> bool {
    match event {
        Event::Edited { .. } | Event::Loading { .. } => true,
        Event::Loaded { .. }
        | Event::Refused { .. }
        | Event::Stopped { .. }
        | Event::Reverted { .. }
        | Event::Saved(_)
        | Event::Kept { .. }
        | Event::Probed(_)
        | Event::Notice { .. }
        | Event::Failed { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::experiment::{Edit, StopRule};

    #[test]
    fn a_failure_arrives_although_nobody_read_for_long() {
        let (sender, receiver) = bounded(4);
        let mut outbox = Outbox::new(sender);
        let edited = |step| Event::Edited {
            step,
            edit: Edit::Stop(StopRule::default()),
        };
        for step in 0..100 {
            outbox.send(edited(step));
        }
        outbox.send(Event::Failed {
            message: "first".to_owned(),
            may_go_on: false,
        });
        for step in 100..500 {
            outbox.send(edited(step));
        }
        assert!(outbox.waiting.len() <= PROGRESS + 1, "bounded");
        let mut failures = 0;
        let mut last_step = 0;
        loop {
            let empty = outbox.flush();
            for event in receiver.try_iter() {
                match event {
                    Event::Failed { message, .. } => {
                        assert_eq!(message, "first");
                        failures += 1;
                    }
                    Event::Edited { step, .. } => last_step = step,
                    other => panic!("unexpected {other:?}"),
                }
            }
            if empty {
                break;
            }
        }
        assert_eq!(failures, 1);
        assert_eq!(last_step, 499, "the newest progress is kept");
    }
}
