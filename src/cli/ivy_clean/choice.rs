//! Which Ivy directories go: those that are too old, and of the others the oldest while all together are too large.

use std::time::{Duration, SystemTime};

use super::directories::IvyDirectory;
use crate::policy::values::quantity::Quantity;

/// What makes a directory go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// One that has not changed for so long goes.
    pub(super) max_age: Duration,
    /// All of them may take so much.
    pub(super) max_size: Quantity,
    /// One that has changed within this time stays, whatever it takes.
    pub(super) quiet: Duration,
}

/// The directories that go, those that have not changed for longest first.
pub(super) fn chosen<'a>(all: &'a [IvyDirectory], now: SystemTime, limits: &Limits) -> Vec<&'a IvyDirectory> {
    // What changes in the future, by a clock that was set back, is as new as can be.
    let age = |directory: &IvyDirectory| now.duration_since(directory.changed).unwrap_or_default();
    let mut quiet: Vec<_> = all.iter().filter(|directory| age(directory) >= limits.quiet).collect();
    quiet.sort_by_key(|directory| directory.changed);
    let mut left: u64 = all.iter().map(|directory| directory.bytes).sum();
    let goes = |directory: &&IvyDirectory| {
        let is_needed = age(directory) < limits.max_age && Quantity::from_bytes(left) <= limits.max_size;
        if !is_needed {
            left = left.saturating_sub(directory.bytes);
        }
        !is_needed
    };
    quiet.into_iter().filter(goes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Which go of directories with these ages in minutes and sizes in MiB, under an hour, 100Mi and a quarter of an hour.
    fn gone(directories: &[(u32, u64)]) -> Vec<u64> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(1000);
        let limits = Limits { max_age: 60 * MINUTE, max_size: Quantity::from_bytes(100 << 20), quiet: 15 * MINUTE };
        let directory = |(minutes, mebibytes): &(u32, u64)| IvyDirectory {
            path: format!("/tmp/.ivy2/{minutes}").into(),
            parts: Vec::new(),
            changed: now - *minutes * MINUTE,
            bytes: mebibytes << 20,
        };
        let all: Vec<_> = directories.iter().map(directory).collect();
        let minutes = |directory: &IvyDirectory| now.duration_since(directory.changed).unwrap().as_secs() / 60;
        chosen(&all, now, &limits).into_iter().map(minutes).collect()
    }

    #[test]
    fn chooses() {
        for (case, directories, expected) in [
            ("nothing", &[][..], &[][..]),
            ("young and small", &[(16, 30), (30, 30)], &[]),
            ("too old", &[(16, 30), (60, 30)], &[60]),
            ("not yet too old", &[(59, 30)], &[]),
            (
                "too large together: the oldest, until the rest fits",
                &[(16, 40), (50, 40), (20, 40), (40, 40)],
                &[50, 40],
            ),
            ("as large as allowed", &[(16, 50), (50, 50)], &[]),
            ("too large alone", &[(20, 200)], &[20]),
            ("what is in use counts, and stays", &[(1, 90), (14, 90), (20, 5)], &[20]),
            ("what is too old makes room", &[(70, 60), (20, 60), (30, 30)], &[70]),
        ] {
            assert_eq!(gone(directories), expected, "{case}");
        }
    }

    #[test]
    fn what_changes_in_the_future_stays() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(1000);
        let limits = Limits { max_age: MINUTE, max_size: Quantity::MEBIBYTE, quiet: MINUTE };
        let ahead = IvyDirectory { path: "/a".into(), parts: Vec::new(), changed: now + 90 * MINUTE, bytes: 1 << 30 };
        assert!(chosen(&[ahead], now, &limits).is_empty());
    }
}
