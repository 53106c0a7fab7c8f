//! Ivy directories on disk: found by what they hold, measured, and removed.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What Ivy makes in its directory: what it downloaded, and what it handed to Spark.
const PARTS: [&str; 2] = ["cache", "jars"];
/// How the name of what is being removed begins.
const REMOVED: &str = ".ivy-clean-removed-";

/// One Ivy directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IvyDirectory {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What goes when it is removed: itself, or only Ivy's parts of it where it holds others.
    pub(super) parts: Vec<PathBuf>,
    /// When something in it changed last.
    pub(super) changed: SystemTime,
    /// How much of the disk it takes.
    pub(super) bytes: u64,
}

/// The Ivy directories in a directory, itself among them where it is one; and a sentence for each that cannot be looked at.
pub(super) fn ivy_directories(root: &Path) -> (Vec<IvyDirectory>, Vec<String>) {
    let entries = match children(root) {
        Ok(entries) => entries,
        // Nothing was submitted yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (Vec::new(), Vec::new()),
        Err(error) => return (Vec::new(), vec![complaint("be looked at", root, &error)]),
    };
    let (mut found, mut complaints) = (Vec::new(), Vec::new());
    let mut take = |path: &Path, parts: Vec<PathBuf>| match measured(&parts) {
        Ok(Measure { changed, bytes }) => found.push(IvyDirectory { path: path.to_owned(), parts, changed, bytes }),
        // Somebody else removed it meanwhile, which is as well.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => complaints.push(complaint("be measured", path, &error)),
    };
    let of_root = parts_of(root);
    for entry in entries.into_iter().filter(|entry| !of_root.contains(entry)) {
        // What an earlier run could not remove to the end.
        let is_left_over = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with(REMOVED));
        if is_left_over || !parts_of(&entry).is_empty() {
            take(&entry, vec![entry.clone()]);
        }
    }
    if !of_root.is_empty() {
        take(root, of_root);
    }
    (found, complaints)
}

/// Removes an Ivy directory, unless something in it changed since it was chosen: then it stays, and false is returned.
///
/// It is moved aside first, so that whoever comes later begins with an empty one and not with half of the old.
///
/// # Errors
/// A sentence that names what cannot be removed.
pub(super) fn remove(directory: &IvyDirectory, now: SystemTime, quiet: Duration) -> Result<bool, String> {
    for part in &directory.parts {
        if !remove_part(part, now, quiet).map_err(|error| complaint("be removed", part, &error))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn remove_part(part: &Path, now: SystemTime, quiet: Duration) -> io::Result<bool> {
    if !part.exists() {
        return Ok(false);
    }
    let name = part.file_name().unwrap_or_default().to_string_lossy();
    let aside = part.with_file_name(format!("{REMOVED}{}", name.trim_start_matches(REMOVED)));
    if aside != part {
        // What an earlier run left over under this name.
        fs::remove_dir_all(&aside).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        fs::rename(part, &aside)?;
    }
    let Measure { changed, .. } = measured(std::slice::from_ref(&aside))?;
    let is_in_use = now.duration_since(changed).unwrap_or_default() < quiet;
    if is_in_use && !part.exists() {
        return fs::rename(&aside, part).map(|()| false);
    }
    fs::remove_dir_all(&aside).map(|()| true)
}

struct Measure {
    changed: SystemTime,
    bytes: u64,
}

/// When something in these directories changed last, and what they take. Links are counted, and never followed.
fn measured(directories: &[PathBuf]) -> io::Result<Measure> {
    let mut measure = Measure { changed: SystemTime::UNIX_EPOCH, bytes: 0 };
    let mut open = directories.to_vec();
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        measure.changed = measure.changed.max(metadata.modified()?);
        measure.bytes += taken(&metadata);
        if metadata.is_dir() {
            open.extend(children(&path)?);
        }
    }
    Ok(measure)
}

/// What a file takes of the disk; `stat` counts in blocks of 512 bytes.
fn taken(metadata: &Metadata) -> u64 {
    metadata.blocks() * 512
}

/// Ivy's parts that a directory holds.
fn parts_of(directory: &Path) -> Vec<PathBuf> {
    let is_directory = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    if !is_directory(&directory.to_owned()) {
        return Vec::new();
    }
    PARTS.iter().map(|part| directory.join(part)).filter(is_directory).collect()
}

fn children(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

fn complaint(what: &str, path: &Path, error: &io::Error) -> String {
    format!("{} cannot {what}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::symlink;

    const HOUR: Duration = Duration::from_hours(1);

    /// Makes a file of a mebibyte, and all of its parents, unchanged for an hour.
    fn old_file(root: &Path, file: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![1; 1 << 20]).unwrap();
        for path in path.ancestors().take_while(|ancestor| ancestor.starts_with(root)) {
            File::open(path).unwrap().set_modified(SystemTime::now() - HOUR).unwrap();
        }
    }

    fn names(found: &[IvyDirectory], root: &Path) -> Vec<String> {
        let name = |directory: &IvyDirectory| directory.path.strip_prefix(root).unwrap().display().to_string();
        let mut names: Vec<_> = found.iter().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn finds_ivy_directories_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in ["a/cache/org/x.jar", "b/jars/y.jar", "spark-1234/userFiles/z.jar", "notes.txt", "cache/org/x.jar"]
        {
            old_file(root, file);
        }
        symlink(root.join("a"), root.join("link")).unwrap();
        let (found, complaints) = ivy_directories(root);
        assert_eq!(complaints, Vec::<String>::new());
        assert_eq!(names(&found, root), ["", "a", "b"], "the directory itself, and two in it");
        let a = found.iter().find(|directory| directory.path.ends_with("a")).unwrap();
        assert!((1 << 20..2 << 20).contains(&a.bytes), "{a:?}");
        assert!(a.changed < SystemTime::now() - HOUR / 2, "{a:?}");
    }

    #[test]
    fn one_changed_file_deep_inside_makes_all_of_it_new() {
        let folder = tempfile::tempdir().unwrap();
        old_file(folder.path(), "a/cache/org/x.jar");
        fs::write(folder.path().join("a/cache/org/x.jar"), "new").unwrap();
        let (found, _) = ivy_directories(folder.path());
        assert!(found[0].changed > SystemTime::now() - HOUR / 2);
    }

    #[test]
    fn removes_what_is_ivys() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in ["a/cache/org/x.jar", "cache/org/x.jar", "jars/x.jar", "notes.txt"] {
            old_file(root, file);
        }
        for directory in ivy_directories(root).0 {
            assert_eq!(remove(&directory, SystemTime::now(), HOUR / 2), Ok(true));
        }
        let left: Vec<_> = children(root).unwrap();
        assert_eq!(left, [root.join("notes.txt")]);
    }

    #[test]
    fn what_changed_since_it_was_chosen_stays() {
        let folder = tempfile::tempdir().unwrap();
        old_file(folder.path(), "a/cache/org/x.jar");
        let chosen = ivy_directories(folder.path()).0.remove(0);
        fs::write(folder.path().join("a/cache/new.jar"), "new").unwrap();
        assert_eq!(remove(&chosen, SystemTime::now(), HOUR / 2), Ok(false));
        assert!(folder.path().join("a/cache/org/x.jar").exists());
    }

    #[test]
    fn what_an_earlier_run_left_over_goes() {
        let folder = tempfile::tempdir().unwrap();
        old_file(folder.path(), ".ivy-clean-removed-a/org/x.jar");
        old_file(folder.path(), ".ivy-clean-removed-b/org/x.jar");
        old_file(folder.path(), "b/cache/org/x.jar");
        for directory in ivy_directories(folder.path()).0 {
            assert!(remove(&directory, SystemTime::now(), HOUR / 2).is_ok());
        }
        assert_eq!(children(folder.path()).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_directory_that_does_not_exist_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ivy_directories(&folder.path().join("none")), (Vec::new(), Vec::new()));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let (_, complaints) = ivy_directories(&file);
        assert!(complaints[0].ends_with("file cannot be looked at: Not a directory (os error 20)"), "{complaints:?}");
    }
}
