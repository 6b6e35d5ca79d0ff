//! The running program: a child process in a group of its own, and the threads that keep its three pipes moving so that
//! neither side ever waits for the other. Nothing here knows what the lines mean.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read, Write as _},
    path::Path,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

/// Longest line that is read from the program, in bytes.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;
/// Lines of output that may wait to be looked at.
const WAITING_LINES: usize = 256;
/// Lines of standard error that are kept for messages, and how much of each.
const ERROR_LINES: usize = 3;
const ERROR_LINE_BYTES: usize = 300;
/// How long a program that closed its output may take to end by itself, and its last words to arrive.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// How long dropping waits for a killed program before it leaves that to a thread.
const KILLED: Duration = Duration::from_millis(100);
/// Pause between looks at a process that is about to end.
const LOOK: Duration = Duration::from_millis(2);

/// What the pipes report.
#[derive(Debug)]
pub(super) enum Pipe {
    /// A line of the program's output, without its end.
    Line(Vec<u8>),
    /// A line longer than [`MAX_LINE_BYTES`]; nothing is read after it.
    TooLong,
    /// The output ended.
    Closed,
    /// The program no longer takes input.
    Deaf,
}

/// A running program. Dropping it kills it and everything it started in its process group.
#[derive(Debug)]
pub(super) struct Running {
    /// Taken only when dropped. Nobody waits for it before that: its number, and so its group's, stays its own.
    child: Option<Child>,
    requests: Sender<Vec<u8>>,
    pipes: Receiver<Pipe>,
    errors: Errors,
    /// Lines of output taken so far.
    pub(super) lines: u64,
}

impl Running {
    /// Starts `command`, its first word the program, in `folder`.
    pub(super) fn start(command: &[String], folder: Option<&Path>) -> io::Result<Self> {
        let mut child = command_in(command, folder)?.spawn()?;
        let (requests, to_write) = unbounded();
        let (report, pipes) = bounded(WAITING_LINES);
        let (input, output, error_output) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let errors = Errors::default();
        // From here on dropping cleans up, also when a thread cannot be had.
        let running = Self {
            child: Some(child),
            requests,
            pipes,
            errors: errors.clone(),
            lines: 0,
        };
        if let (Some(input), Some(output), Some(error_output)) = (input, output, error_output) {
            let deaf = report.clone();
            spawn("modescope-reward-in", move || {
                write_requests(input, &to_write, &deaf);
            })?;
            spawn("modescope-reward-out", move || read_lines(output, &report))?;
            spawn("modescope-reward-err", move || errors.read(error_output))?;
        }
        Ok(running)
    }

    /// Hands lines over to be written; never waits.
    pub(super) fn send(&self, lines: Vec<u8>) {
        // A writer that has gone has said so through the other channel.
        let _ = self.requests.send(lines);
    }

    /// The next report, if one comes within `patience`.
    pub(super) fn next(&mut self, patience: Duration) -> Option<Pipe> {
        let report = self.pipes.recv_timeout(patience).ok()?;
        if matches!(report, Pipe::Line(_) | Pipe::TooLong) {
            self.lines += 1;
        }
        Some(report)
    }

    /// How the program ended by itself, after a moment's patience; `None` if it goes on and has to be killed.
    pub(super) fn ended(mut self) -> Option<ExitStatus> {
        let patience = Instant::now() + LAST_WORDS;
        while !self.has_ended() {
            if Instant::now() >= patience {
                return None;
            }
            thread::sleep(LOOK);
        }
        // What it started may live on, and is killed while the number is still taken.
        self.kill();
        self.child.take().and_then(|mut child| child.wait().ok())
    }

    /// The last lines of standard error, after a moment's patience for the program to end.
    pub(super) fn last_words(&self) -> Vec<String> {
        let patience = Instant::now() + LAST_WORDS;
        while !self.errors.lines().closed && Instant::now() < patience {
            thread::sleep(LOOK);
        }
        self.error_lines()
    }

    /// The last lines of standard error so far.
    pub(super) fn error_lines(&self) -> Vec<String> {
        self.errors.lines().last.iter().cloned().collect()
    }

    /// Its process number.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether the program has ended; does not give its number back to the system.
    #[cfg(unix)]
    pub(super) fn has_ended(&mut self) -> bool {
        let Some(id) = self.id() else { return true };
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        #[expect(unsafe_code, reason = "waitid has no safe form")]
        // SAFETY: siginfo_t is plain data for which zeros are valid, and waitid only writes to it.
        let (failed, ended) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let failed = libc::waitid(libc::P_PID, id, &raw mut info, flags);
            (failed != 0, info.si_pid() != 0)
        };
        failed || ended
    }

    #[cfg(not(unix))]
    pub(super) fn has_ended(&mut self) -> bool {
        self.child
            .as_mut()
            .is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Kills the program and what it started.
    fn kill(&mut self) {
        let Some(child) = &mut self.child else { return };
        #[cfg(unix)]
        if let Ok(group) = libc::pid_t::try_from(child.id()) {
            #[expect(unsafe_code, reason = "kill has no safe form")]
            // SAFETY: plain numbers; the group is the child's own, since the child has not been waited for.
            unsafe {
                libc::kill(-group, libc::SIGKILL);
            }
        }
        // Elsewhere, and if the group could not be made; an ended child is no error.
        let _ = child.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        let Some(mut child) = self.child.take() else {
            return;
        };
        let patience = Instant::now() + KILLED;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= patience {
                // Not even a kill ends it at once (a stuck disk): a thread waits for it instead of the window.
                let _ = spawn("modescope-reward-wait", move || {
                    let _ = child.wait();
                });
                return;
            }
            thread::sleep(LOOK);
        }
    }
}

fn command_in(words: &[String], folder: Option<&Path>) -> io::Result<Command> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    let mut command = match folder {
        // Whether a relative program is looked up in the new folder or the old one differs between systems.
        Some(folder) if Path::new(program).components().count() > 1 => {
            Command::new(std::path::absolute(folder.join(program))?)
        }
        _ => Command::new(program),
    };
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    command
        .args(arguments)
        // Python keeps its output back when that is not a terminal; other programs ignore this.
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    #[cfg(target_os = "linux")]
    die_with_us(&mut command);
    Ok(command)
}

/// Has the system kill the program when the thread that starts it ends, however it ends: a killed process drops nothing. That
/// thread is the one that trains, which lives longer than any program it starts.
#[cfg(target_os = "linux")]
fn die_with_us(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    let us = std::process::id();
    let ask = move || {
        // SAFETY: system calls on plain numbers, allowed between fork and exec.
        #[expect(unsafe_code, reason = "prctl and getppid have no safe form")]
        let parent = unsafe {
            // A system that refuses leaves the program to its end of input.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::getppid()
        };
        // Died before it could be asked.
        if u32::try_from(parent) == Ok(us) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::ESRCH))
        }
    };
    // SAFETY: the closure makes two system calls and allocates nothing.
    #[expect(unsafe_code, reason = "the only place between fork and exec")]
    unsafe {
        command.pre_exec(ask);
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // The threads end when the pipes close; nobody joins them, since a pipe may be held open by a process that left the
    // group.
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
}

fn write_requests(mut input: ChildStdin, requests: &Receiver<Vec<u8>>, report: &Sender<Pipe>) {
    for lines in requests {
        if input
            .write_all(&lines)
            .and_then(|()| input.flush())
            .is_err()
        {
            // Never waits: where reports queue up, the output tells the story.
            let _ = report.try_send(Pipe::Deaf);
            return;
        }
    }
}

fn read_lines(output: ChildStdout, report: &Sender<Pipe>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let limit = MAX_LINE_BYTES as u64 + 1;
        let read = output.by_ref().take(limit).read_until(b'\n', &mut line);
        let next = match read {
            Ok(1..) if line.len() > MAX_LINE_BYTES && line.last() != Some(&b'\n') => Pipe::TooLong,
            Ok(1..) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                Pipe::Line(line)
            }
            Ok(0) | Err(_) => Pipe::Closed,
        };
        let last = !matches!(next, Pipe::Line(_));
        if report.send(next).is_err() || last {
            return;
        }
    }
}

/// The last lines of standard error, shared with the thread that reads them.
#[derive(Debug, Clone, Default)]
struct Errors(Arc<Mutex<ErrorLines>>);

#[derive(Debug, Default)]
struct ErrorLines {
    last: VecDeque<String>,
    closed: bool,
}

impl Errors {
    fn lines(&self) -> MutexGuard<'_, ErrorLines> {
        // The lines are whole after every change, so a panic elsewhere does no harm.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, output: ChildStderr) {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            // A line without end comes in pieces, of which the last ones stay.
            let limit = ERROR_LINE_BYTES as u64;
            match output.by_ref().take(limit).read_until(b'\n', &mut line) {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
            let text = one_line(&String::from_utf8_lossy(&line));
            if !text.is_empty() {
                let mut lines = self.lines();
                lines.last.push_back(text);
                if lines.last.len() > ERROR_LINES {
                    lines.last.pop_front();
                }
            }
        }
        self.lines().closed = true;
    }
}

/// A text on one line, without control characters.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}
