//! The files that a server is given: read at the start, and followed from then on.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::Notify;

use super::Error;
use crate::{
    metrics::{Metrics, Reloaded},
    reload::{self, Source},
};

/// How files are followed.
#[derive(Clone)]
pub(super) struct Files {
    /// Where reloads are counted.
    pub(super) metrics: Arc<Metrics>,
    /// Told of each file that has brought something new.
    pub(super) changed: Arc<Notify>,
}

impl Files {
    /// Reads what a flag names for the first time.
    pub(super) fn load<T>(
        (what, flag): (&'static str, &'static str),
        reloaded: Reloaded,
        files: Vec<PathBuf>,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<(Source<T>, T), Error> {
        Source::load(reloaded, files, parse).map_err(|why| Error::File { what, why, flag })
    }

    /// Hands each new good value on, for ever.
    pub(super) fn follow<T: Send + 'static>(&self, source: Source<T>, apply: impl Fn(T) + Send + 'static) {
        let changed = Arc::clone(&self.changed);
        let apply = move |value| {
            apply(value);
            changed.notify_one();
        };
        tokio::spawn(reload::follow(source, reload::EVERY, Arc::clone(&self.metrics), apply));
    }
}
