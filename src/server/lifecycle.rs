//! From starting over serving and draining to stopping: the one thing that every part of the server watches.

use tokio::sync::watch;

/// How far the server is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not ready yet, but serving everybody.
    Starting,
    /// As usual.
    Serving,
    /// Not ready, but serving everybody; answers tell their clients to connect elsewhere.
    Draining,
    /// Accepting nothing new; open connections end with the review they are at.
    Stopping,
}

/// The stage, shared by all that look at it.
#[derive(Debug, Clone)]
pub struct Lifecycle(watch::Sender<Stage>);

impl Default for Lifecycle {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Serving))
    }
}

impl Lifecycle {
    /// Of a server that is not ready from the start.
    #[must_use]
    pub fn starting() -> Self {
        Self(watch::Sender::new(Stage::Starting))
    }

    /// Goes on to a stage; never back.
    pub fn advance(&self, stage: Stage) {
        self.0.send_if_modified(|now| std::mem::replace(now, stage.max(*now)) < stage);
    }

    /// Whether it is too early for clients to come.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        *self.0.borrow() == Stage::Starting
    }

    /// Whether clients should go elsewhere.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        *self.0.borrow() > Stage::Serving
    }

    /// Returns once the server stops.
    pub async fn stopping(&self) {
        // An error means that no sender is left, which cannot be: `self` is one.
        let _ = self.0.subscribe().wait_for(|stage| *stage == Stage::Stopping).await;
    }
}
