//! A background thread that works on the newest request: an older one is dropped as soon as it looks up. What it found is
//! taken as a value; whoever asks waits for nothing.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use arc_swap::ArcSwapOption;

/// The side that asks; dropping it ends the thread as soon as its work looks up.
#[derive(Debug)]
pub(super) struct Newest<Request, Answer> {
    desk: Arc<Desk<Request, Answer>>,
    thread: Option<JoinHandle<()>>,
}

/// Where both sides meet.
#[derive(Debug)]
pub(super) struct Desk<Request, Answer> {
    /// The next request, if it was not taken yet.
    next: Mutex<Option<Arc<Request>>>,
    arrived: Condvar,
    /// Number of the latest request; 0 is none, STOP ends the thread.
    generation: AtomicU64,
    latest: ArcSwapOption<Answer>,
}

const STOP: u64 = u64::MAX;

/// The thread's turn at a request, until another one arrives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn<'a> {
    number: u64,
    newest: &'a AtomicU64,
}

impl Turn<'_> {
    /// The number that [`Newest::ask`] returned for the request.
    pub(super) fn number(self) -> u64 {
        self.number
    }

    /// Another request arrived, or none is wanted any more.
    pub(super) fn is_over(self) -> bool {
        self.newest.load(Ordering::Relaxed) != self.number
    }
}

impl<Request, Answer> Newest<Request, Answer>
where
    Request: Send + Sync + 'static,
    Answer: Send + Sync + 'static,
{
    /// Starts a thread of this name, which does `work`: [`Desk::wait`] for requests and [`Desk::publish`] what is found.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub(super) fn spawn(
        name: &str,
        work: impl FnOnce(&Desk<Request, Answer>) + Send + 'static,
    ) -> io::Result<Self> {
        let desk = Arc::new(Desk {
            next: Mutex::default(),
            arrived: Condvar::default(),
            generation: AtomicU64::default(),
            latest: ArcSwapOption::default(),
        });
        let inside = Arc::clone(&desk);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&inside))?;
        Ok(Self {
            desk,
            thread: Some(thread),
        })
    }
}

impl<Request, Answer> Newest<Request, Answer> {
    /// Drops what is being worked on and starts on this; returns the number of its turn.
    pub(super) fn ask(&self, request: Request) -> u64 {
        let mut next = self.desk.lock();
        let number = self.desk.generation.fetch_add(1, Ordering::Relaxed) + 1;
        *next = Some(Arc::new(request));
        self.desk.arrived.notify_one();
        number
    }

    /// Drops what is being worked on; what was published stays.
    pub(super) fn cancel(&self) {
        let mut next = self.desk.lock();
        self.desk.generation.fetch_add(1, Ordering::Relaxed);
        *next = None;
    }

    /// What was published last, for whatever request.
    pub(super) fn latest(&self) -> Option<Arc<Answer>> {
        self.desk.latest.load_full()
    }
}

impl<Request, Answer> Drop for Newest<Request, Answer> {
    fn drop(&mut self) {
        {
            let mut next = self.desk.lock();
            self.desk.generation.store(STOP, Ordering::Relaxed);
            *next = None;
            self.desk.arrived.notify_one();
        }
        if let Some(thread) = self.thread.take() {
            // A panic there was caught and told already.
            let _ = thread.join();
        }
    }
}

impl<Request, Answer> Desk<Request, Answer> {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Request>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request and the turn at it; none when the thread must end.
    pub(super) fn wait(&self) -> Option<(Turn<'_>, Arc<Request>)> {
        let mut next = self.lock();
        loop {
            let number = self.generation.load(Ordering::Relaxed);
            if number == STOP {
                return None;
            }
            if let Some(request) = next.take() {
                let newest = &self.generation;
                return Some((Turn { number, newest }, request));
            }
            next = self
                .arrived
                .wait(next)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Makes this the latest answer and wakes whoever draws it, unless the turn is over.
    pub(super) fn publish(&self, turn: Turn<'_>, answer: Answer, wake: &dyn Fn()) {
        if !turn.is_over() {
            self.latest.store(Some(Arc::new(answer)));
            wake();
        }
    }
}
