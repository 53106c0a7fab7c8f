//! Files that are read again when their bytes change: the certificate, the clients' CA, the policy.
//!
//! Promised: what is in force is replaced only by something that was read and understood whole; a bad file keeps the last good
//! one, says so in one log line per distinct content and counts. Files are polled and compared by content: the kubelet swaps a
//! mounted Secret by renaming a symlink two directories up, which a watch on the file itself never sees.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use crate::metrics::{Metrics, Reloaded};

/// How often files are looked at.
pub const EVERY: Duration = Duration::from_secs(1);

/// What one look found in each file.
type Contents = Vec<Result<Vec<u8>, io::ErrorKind>>;

/// Makes a value of the files' bytes, given in the order of the paths; a mistake comes back as a sentence.
type Parse<T> = Box<dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync>;

/// A value that is made of one or more files.
pub struct Source<T> {
    what: Reloaded,
    files: Vec<PathBuf>,
    parse: Parse<T>,
    judged: Contents,
    unsettled: Option<Contents>,
}

impl<T> Source<T> {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// Which file is bad, and why.
    pub fn load(
        what: Reloaded,
        files: Vec<PathBuf>,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<(Self, T), String> {
        let judged: Contents = files.iter().map(|file| std::fs::read(file).map_err(|error| error.kind())).collect();
        let source = Self { what, files, parse: Box::new(parse), judged, unsettled: None };
        let value = source.judge(&source.judged)?;
        Ok((source, value))
    }

    /// Looks at the files once; `None` where nothing is new.
    ///
    /// New content counts only when two looks in a row saw the same, so that files which are being written one after the other
    /// are not taken for a pair.
    pub async fn look(&mut self) -> Option<Result<T, String>> {
        let now = self.read().await;
        if now == self.judged {
            self.unsettled = None;
            return None;
        }
        if self.unsettled.as_ref() != Some(&now) {
            self.unsettled = Some(now);
            return None;
        }
        self.unsettled = None;
        self.judged = now;
        Some(self.judge(&self.judged))
    }

    async fn read(&self) -> Contents {
        let mut contents = Contents::with_capacity(self.files.len());
        for file in &self.files {
            contents.push(tokio::fs::read(file).await.map_err(|error| error.kind()));
        }
        contents
    }

    fn judge(&self, contents: &Contents) -> Result<T, String> {
        let mut bytes = Vec::with_capacity(contents.len());
        for (file, content) in self.files.iter().zip(contents) {
            let content = content.as_ref().map_err(|kind| match kind {
                io::ErrorKind::NotFound => format!("cannot read {}: there is no such file", file.display()),
                other => format!("cannot read {}: {other}", file.display()),
            })?;
            bytes.push(content.clone());
        }
        (self.parse)(&bytes).map_err(|why| format!("{}: {why}", self.names()))
    }

    fn names(&self) -> String {
        self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" and ")
    }
}

/// Follows the files for ever, handing each good new value to `apply`.
pub async fn follow<T>(mut source: Source<T>, every: Duration, metrics: Arc<Metrics>, apply: impl Fn(T)) {
    loop {
        tokio::time::sleep(every).await;
        let what = source.what;
        match source.look().await {
            None => {}
            Some(Ok(value)) => {
                apply(value);
                metrics.reloaded(what, true);
                tracing::info!(what = what.name(), files = source.names(), "reloaded");
            }
            Some(Err(why)) => {
                metrics.reloaded(what, false);
                tracing::error!(what = what.name(), why, "cannot reload; the last good one stays in force");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_value_changes_only_when_its_files_have_settled_and_are_good() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        std::fs::write(&file, "1").unwrap();
        let parse =
            |bytes: &[Vec<u8>]| String::from_utf8_lossy(&bytes[0]).parse::<u32>().map_err(|error| error.to_string());
        let (mut source, first) = Source::load(Reloaded::Policy, vec![file.clone()], parse).unwrap();
        assert_eq!(first, 1);
        for (case, content, looks) in [
            ("nothing new", Some("1"), [None, None, None]),
            ("new", Some("2"), [None, Some(Ok(2)), None]),
            ("bad, said once", Some("two"), [None, Some(Err(())), None]),
            ("gone, said once", None, [None, Some(Err(())), None]),
            ("back", Some("3"), [None, Some(Ok(3)), None]),
        ] {
            match content {
                Some(content) => std::fs::write(&file, content).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            for expected in looks {
                assert_eq!(source.look().await.map(|found| found.map_err(|_| ())), expected, "{case}");
            }
        }
    }

    #[test]
    fn a_bad_file_at_the_start_is_named() {
        let missing = PathBuf::from("/nonexistent/tls.crt");
        let why = Source::<()>::load(Reloaded::Certificate, vec![missing], |_| Ok(())).err().unwrap();
        assert_eq!(why, "cannot read /nonexistent/tls.crt: there is no such file");
    }
}
