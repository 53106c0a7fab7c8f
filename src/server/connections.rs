//! The open connections of one port, and who makes room when there are too many.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{activity::Activity, limits::Limits};
use crate::metrics::Metrics;

/// All open connections.
pub(super) struct Connections {
    limits: Limits,
    metrics: Arc<Metrics>,
    open: Mutex<Open>,
    /// Told when a connection ends or becomes idle.
    freed: Arc<Notify>,
}

#[derive(Default)]
struct Open {
    next: u64,
    by_number: HashMap<u64, Arc<Activity>>,
}

impl Connections {
    pub(super) fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self { limits, metrics, open: Mutex::default(), freed: Arc::default() }
    }

    /// Takes a place for a new connection. Where all are taken, the connection that has been idle longest loses its own; where
    /// every single one has a review in flight, this waits for the first to end, which body and handshake limits bound.
    pub(super) async fn admit(self: &Arc<Self>) -> Admitted {
        loop {
            if let Some(admitted) = self.try_admit() {
                return admitted;
            }
            self.freed.notified().await;
        }
    }

    fn try_admit(self: &Arc<Self>) -> Option<Admitted> {
        let mut open = self.lock();
        if open.by_number.len() >= self.limits.connections {
            open.evict_longest_idle()?;
            self.metrics.evicted();
        }
        let (number, activity) = (open.next, Arc::new(Activity::new(Arc::clone(&self.freed))));
        open.next += 1;
        open.by_number.insert(number, Arc::clone(&activity));
        self.metrics.connections().inc();
        Some(Admitted { connections: Arc::clone(self), number, activity })
    }

    /// Closes what takes too long, for ever.
    pub(super) async fn close_overdue(&self) {
        let shortest = self.limits.idle.min(self.limits.header);
        let mut tick = tokio::time::interval((shortest / 4).clamp(Duration::from_millis(20), Duration::from_secs(1)));
        loop {
            let now = tick.tick().await.into_std();
            self.lock().close_overdue(now, &self.limits);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn evict_longest_idle(&mut self) -> Option<()> {
        let idle = self.by_number.iter().filter_map(|(number, activity)| Some((activity.idle_since()?, *number)));
        let (_, number) = idle.min()?;
        self.by_number.remove(&number)?.close();
        Some(())
    }

    fn close_overdue(&self, now: Instant, limits: &Limits) {
        self.by_number
            .values()
            .filter(|activity| activity.is_overdue(now, limits))
            .for_each(|activity| activity.close());
    }
}

/// A connection's place, given back when dropped.
pub(super) struct Admitted {
    connections: Arc<Connections>,
    number: u64,
    pub(super) activity: Arc<Activity>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.lock().by_number.remove(&self.number);
        self.connections.metrics.connections().dec();
        self.connections.freed.notify_one();
    }
}
