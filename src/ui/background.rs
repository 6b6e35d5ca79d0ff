//! A thread for analyses that are too large for a frame. Only the newest piece of work counts: what waits is replaced.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::document::{Failed, Solved, Work};

/// The thread's two ends. It ends when this is dropped.
pub(super) struct Background {
    work: Option<Sender<Work>>,
    replace: Option<Receiver<Work>>,
    solved: Option<Receiver<Result<Solved, Failed>>>,
}

impl Background {
    /// Prepares; the thread starts with the first work.
    pub(super) fn new() -> Self {
        Self {
            work: None,
            replace: None,
            solved: None,
        }
    }

    /// Hands over work; what was still waiting is dropped. `wake` is called when a result is there.
    pub(super) fn submit(&mut self, work: Work, ctx: &egui::Context) {
        let sender = match &self.work {
            Some(sender) => sender,
            None => {
                let Some(sender) = self.start(ctx.clone()) else {
                    return;
                };
                self.work.insert(sender)
            }
        };
        if let Err(TrySendError::Full(work)) = sender.try_send(work) {
            if let Some(waiting) = &self.replace {
                while waiting.try_recv().is_ok() {}
            }
            // The slot was emptied just now by this, its only sender.
            let _ = sender.try_send(work);
        }
    }

    /// What is done since the last call.
    pub(super) fn finished(&self) -> Vec<Result<Solved, Failed>> {
        self.solved.iter().flat_map(Receiver::try_iter).collect()
    }

    /// The next result, if it comes within this time.
    pub(super) fn finished_within(&self, patience: Duration) -> Option<Result<Solved, Failed>> {
        self.solved.as_ref()?.recv_timeout(patience).ok()
    }

    fn start(&mut self, ctx: egui::Context) -> Option<Sender<Work>> {
        let (work, todo) = bounded::<Work>(1);
        let (done, solved) = bounded(4);
        self.replace = Some(todo.clone());
        self.solved = Some(solved);
        std::thread::Builder::new()
            .name("modescope-analysis".to_owned())
            .spawn(move || {
                while let Ok(work) = todo.recv() {
                    if done.send(work.run()).is_err() {
                        break;
                    }
                    ctx.request_repaint();
                }
            })
            .ok()?;
        Some(work)
    }
}
