//! Paths in a container: how two of them lie to each other, and where an Ivy directory may be mounted.

use std::borrow::Cow;
use std::fmt;

/// `SPARK_HOME` of the official images (apache/spark-docker, Dockerfile).
const SPARK_HOME: &str = "/opt/spark";

/// Where Spark's programs run in the official images (apache/spark-docker, Dockerfile): paths that are not absolute begin there.
pub const WORK_DIR: &str = "/opt/spark/work-dir";

/// Where others keep things as well: a volume is welcome below, but not in their stead.
const SHARED_DIRECTORIES: [&str; 3] = ["/tmp", "/home", "/root"];

/// Where nothing is mounted over. `/run` is `/var/run`, and `/bin`, `/sbin` and `/lib*` are in `/usr`, by symbolic link in the
/// distributions that Spark images are made of (Debian, Ubuntu, Red Hat); `/dev`, `/proc` and `/sys` are the kernel's.
const SYSTEM_DIRECTORIES: [&str; 13] = [
    "/etc", "/usr", "/var/run", "/run", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/dev", "/proc", "/sys",
];

/// Why a path that a user chose is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathFault {
    /// It does not begin with `/`; `~` and `file:` are such too, and so is no path at all.
    NotAbsolute,
    /// It holds something else than `A-Z a-z 0-9 . _ / -`.
    UnsafeCharacters,
    /// It has a component `.` or `..`.
    DotComponent,
    /// It is `/`.
    Root,
    /// It is at, inside or above `SPARK_HOME`: a volume there hides Spark.
    SparkHome,
    /// It is at, inside or above this directory of the system.
    SystemDirectory(&'static str),
    /// It is this directory, where others keep things as well.
    SharedDirectory(&'static str),
}

impl fmt::Display for PathFault {
    /// Half a sentence about "it", without a full stop.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => formatter.write_str("it is not absolute (~ is not expanded)"),
            Self::UnsafeCharacters => formatter.write_str("it may hold letters, digits and . _ / - only"),
            Self::DotComponent => formatter.write_str("it holds . or .."),
            Self::Root => formatter.write_str("it is the root directory"),
            Self::SparkHome => formatter.write_str("it would hide Spark's own files"),
            Self::SystemDirectory(directory) => write!(formatter, "it would hide or enter {directory}"),
            Self::SharedDirectory(directory) => write!(formatter, "it would hide what others keep in {directory}"),
        }
    }
}

/// Judges a path that a user chose for Ivy: whether a volume may be mounted there, and whether it can be handed to a JVM as it is.
///
/// Doubled and trailing slashes are accepted; mounts of the pod are for the caller to compare ([`overlaps`]).
///
/// # Errors
/// The first fault, in the order of [`PathFault`].
pub fn judge(path: &str) -> Result<(), PathFault> {
    if !path.starts_with('/') {
        return Err(PathFault::NotAbsolute);
    }
    if !path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-')) {
        return Err(PathFault::UnsafeCharacters);
    }
    if path.split('/').any(|component| matches!(component, "." | "..")) {
        return Err(PathFault::DotComponent);
    }
    if canonical(path).is_empty() {
        return Err(PathFault::Root);
    }
    if overlaps(path, SPARK_HOME) {
        return Err(PathFault::SparkHome);
    }
    if let Some(directory) = SYSTEM_DIRECTORIES.into_iter().find(|directory| overlaps(path, directory)) {
        return Err(PathFault::SystemDirectory(directory));
    }
    match SHARED_DIRECTORIES.into_iter().find(|directory| is_at(path, directory)) {
        Some(directory) => Err(PathFault::SharedDirectory(directory)),
        None => Ok(()),
    }
}

/// Whether `a` and `b` are the same directory: `/tmp/ivy/` is at `/tmp//ivy`.
#[must_use]
pub fn is_at(a: &str, b: &str) -> bool {
    canonical(a) == canonical(b)
}

/// Whether `a` lies strictly below `b`: `/tmp/ivy` in `/tmp`, but not `/tmp2` in `/tmp`.
#[must_use]
pub fn is_inside(a: &str, b: &str) -> bool {
    canonical(a).strip_prefix(&*canonical(b)).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether one of them is at, above or below the other.
#[must_use]
pub fn overlaps(a: &str, b: &str) -> bool {
    is_at(a, b) || is_inside(a, b) || is_inside(b, a)
}

/// Whether a volume at this path may hold packages already: it is Ivy's own directory (`.ivy2` in Spark 3, `.ivy2.5.2` in Spark 4)
/// or a home, below which Ivy keeps one.
#[must_use]
pub fn may_hold_ivy(path: &str) -> bool {
    let path = canonical(path);
    let is_home =
        path == "/root" || path == "/home" || path.strip_prefix("/home/").is_some_and(|rest| !rest.contains('/'));
    is_home || path.ends_with("/.ivy2") || path.ends_with("/.ivy2.5.2")
}

/// The path from `/` without doubled and trailing slashes; nothing for `/` itself. As the kubelet and the container runtime do with a
/// `mountPath`, a relative path is read from `/`, and `.` and `..` are resolved by text alone.
fn canonical(path: &str) -> Cow<'_, str> {
    let is_plain = |component: &str| !matches!(component, "" | "." | "..");
    if path.strip_prefix('/').is_some_and(|relative| relative.split('/').all(is_plain)) {
        return Cow::Borrowed(path);
    }
    let mut components = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => drop(components.pop()),
            name => components.push(name),
        }
    }
    components.iter().flat_map(|component| ["/", component]).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn judges_paths() {
        use PathFault::{
            DotComponent, NotAbsolute, Root, SharedDirectory, SparkHome, SystemDirectory, UnsafeCharacters,
        };
        for (case, path, expected) in [
            ("the default", "/tmp/.ivy2", Ok(())),
            ("a volume of the user", "/data/ivy-cache_1", Ok(())),
            ("a trailing slash", "/tmp/.ivy2/", Ok(())),
            ("a doubled slash", "/tmp//.ivy2", Ok(())),
            ("a home", "/home/spark/.ivy2", Ok(())),
            ("three dots are a name", "/tmp/...", Ok(())),
            ("a name that begins like a system directory", "/etcetera", Ok(())),
            ("a neighbour of SPARK_HOME", "/opt/spark-ivy", Ok(())),
            ("beside /var/run", "/var/cache/ivy", Ok(())),
            ("nothing", "", Err(NotAbsolute)),
            ("relative", "tmp/ivy", Err(NotAbsolute)),
            ("a tilde, which Ivy does not expand", "~/.ivy2", Err(NotAbsolute)),
            ("a URI", "file:///tmp/ivy", Err(NotAbsolute)),
            ("a blank", "/tmp/my ivy", Err(UnsafeCharacters)),
            ("a variable", "/tmp/$USER", Err(UnsafeCharacters)),
            ("a line break", "/tmp/ivy\n", Err(UnsafeCharacters)),
            ("letters of another script", "/tmp/ivÿ", Err(UnsafeCharacters)),
            ("a comma", "/tmp/a,b", Err(UnsafeCharacters)),
            ("up and away", "/tmp/../etc", Err(DotComponent)),
            ("up at the end", "/tmp/..", Err(DotComponent)),
            ("a single dot", "/tmp/./ivy", Err(DotComponent)),
            ("the root", "/", Err(Root)),
            ("the root, twice", "//", Err(Root)),
            ("SPARK_HOME", "/opt/spark/", Err(SparkHome)),
            ("inside SPARK_HOME", "/opt/spark/work-dir/ivy", Err(SparkHome)),
            ("above SPARK_HOME", "/opt", Err(SparkHome)),
            ("in /etc", "/etc/ivy", Err(SystemDirectory("/etc"))),
            ("in /usr", "/usr/local/ivy", Err(SystemDirectory("/usr"))),
            ("where the token is mounted", "/var/run/secrets", Err(SystemDirectory("/var/run"))),
            ("the same by its other name", "/run/secrets", Err(SystemDirectory("/run"))),
            ("above /var/run", "/var", Err(SystemDirectory("/var/run"))),
            ("what links to /usr", "/lib/ivy", Err(SystemDirectory("/lib"))),
            ("the kernel's", "/proc/1", Err(SystemDirectory("/proc"))),
            ("all of /tmp", "/tmp/", Err(SharedDirectory("/tmp"))),
        ] {
            assert_eq!(judge(path), expected, "{case}");
        }
    }

    #[test]
    fn relates_paths() {
        for (a, b, at, inside, overlapping) in [
            ("/tmp/ivy", "/tmp/ivy", true, false, true),
            ("/tmp/ivy/", "//tmp//ivy", true, false, true),
            ("/tmp/ivy", "/tmp", false, true, true),
            ("/tmp", "/tmp/ivy", false, false, true),
            ("/tmp2", "/tmp", false, false, false),
            ("/tmp", "/", false, true, true),
            ("/", "/", true, false, true),
            ("tmp/ivy", "/tmp/ivy", true, false, true),
            ("/tmp/./ivy", "/tmp/ivy", true, false, true),
            ("/tmp/x/../ivy", "/tmp/ivy", true, false, true),
            ("/../tmp", "/tmp", true, false, true),
            ("/data", "/tmp", false, false, false),
        ] {
            assert_eq!(is_at(a, b), at, "{a} at {b}");
            assert_eq!(is_inside(a, b), inside, "{a} inside {b}");
            assert_eq!(overlaps(a, b), overlapping, "{a} and {b}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_path_is_in_no_forbidden_place(path in "(/|\\.|etc|usr|opt|spark|tmp|var|run){0,8}") {
            if judge(&path).is_ok() {
                prop_assert!(path.starts_with('/'));
                prop_assert!(!overlaps(&path, SPARK_HOME));
                prop_assert!(SYSTEM_DIRECTORIES.iter().all(|directory| !overlaps(&path, directory)));
            }
        }
    }
}
