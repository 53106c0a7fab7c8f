//! Log lines on their way to standard error, written many at a time by a thread of their own.
//!
//! A line a review written by the thread that answers it costs nearly as much as the review itself (measured: 12 of 28 us), and
//! a log that nobody reads would stop all reviews. So lines wait here for a moment; when too many wait, new ones are dropped and
//! counted in the log itself.

use std::{
    io::{self, Write},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How long a line may wait for others.
const MOMENT: Duration = Duration::from_millis(2);
/// How many bytes may wait.
const MOST: usize = 256 * 1024;

/// The lines that wait, process-wide as standard error is.
static LINES: Lines =
    Lines { waiting: Mutex::new(Waiting { bytes: Vec::new(), dropped: 0, writing: false }), changed: Condvar::new() };

struct Lines {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    writing: bool,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_for_ever(&self) {
        // Both buffers have their size from the start: growing would leave pieces of every size behind.
        let mut batch = Vec::with_capacity(MOST);
        self.lock().bytes.reserve_exact(MOST);
        loop {
            let waiting = self.changed.wait_while(self.lock(), |waiting| waiting.bytes.is_empty());
            let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            let few = |waiting: &mut Waiting| waiting.bytes.len() < MOST / 2;
            drop(self.changed.wait_timeout_while(waiting, MOMENT, few));
            self.write_batch(&mut batch);
        }
    }

    fn write_batch(&self, batch: &mut Vec<u8>) {
        let mut waiting = self.lock();
        std::mem::swap(batch, &mut waiting.bytes);
        let dropped = std::mem::take(&mut waiting.dropped);
        waiting.writing = true;
        drop(waiting);
        // There is nowhere left to complain.
        let _ = io::stderr().write_all(batch);
        batch.clear();
        self.lock().writing = false;
        self.changed.notify_all();
        if dropped > 0 {
            tracing::warn!(dropped, "log lines were lost: nobody read the log fast enough");
        }
    }
}

/// Starts the thread that writes.
///
/// # Errors
/// The system has no thread for it.
pub(super) fn start() -> io::Result<()> {
    thread::Builder::new().name("log".into()).spawn(|| LINES.write_for_ever()).map(drop)
}

/// Waits until what was logged so far is written, but not for ever: nobody may be reading.
pub fn flush() {
    let waiting = LINES.lock();
    let unwritten = |waiting: &mut Waiting| !waiting.bytes.is_empty() || waiting.writing;
    let _ = LINES.changed.wait_timeout_while(waiting, Duration::from_secs(1), unwritten);
}

/// Takes a line, its end included.
pub(super) fn add(line: &[u8]) {
    let mut waiting = LINES.lock();
    let before = waiting.bytes.len();
    if before + line.len() > MOST {
        waiting.dropped += 1;
        return;
    }
    waiting.bytes.extend_from_slice(line);
    drop(waiting);
    let after = before + line.len();
    if before == 0 || (before < MOST / 2 && after >= MOST / 2) {
        LINES.changed.notify_all();
    }
}
