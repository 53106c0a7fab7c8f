//! `ivy-clean` as the operator's sidecar runs it: the real binary, until it is told to stop.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fs::{self, File},
    future::ready,
    path::Path,
    process::{Child, Command},
    time::{Duration, SystemTime},
};

use support::{eventually, process::spark_admission};

const HOUR: Duration = Duration::from_hours(1);

/// Ended with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An Ivy directory of a mebibyte in which nothing changed for an hour.
fn old_directory(root: &Path, name: &str) {
    let cache = root.join(name).join("cache");
    fs::create_dir_all(&cache).unwrap();
    fs::write(cache.join("x.jar"), vec![1; 1 << 20]).unwrap();
    for path in [cache.join("x.jar"), cache, root.join(name)] {
        File::open(path).unwrap().set_modified(SystemTime::now() - HOUR).unwrap();
    }
}

#[tokio::test]
async fn cleans_again_and_again_until_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("in-use/cache")).unwrap();
    old_directory(root, "first");
    let directory = root.display().to_string();
    let mut command = spark_admission(&["ivy-clean", &directory, "--max-age", "30m", "--every", "1s"]);
    let mut running = Running(command.spawn().unwrap());
    eventually("the first goes", async || !root.join("first").exists()).await;
    old_directory(root, "second");
    eventually("the second goes", async || !root.join("second").exists()).await;
    assert!(root.join("in-use").exists());
    assert!(Command::new("kill").arg(running.0.id().to_string()).status().unwrap().success());
    let mut ended = None;
    eventually("it ends", || {
        ended = running.0.try_wait().unwrap();
        ready(ended.is_some())
    })
    .await;
    assert_eq!(ended.unwrap().code(), Some(0));
}

#[test]
fn says_what_it_removed_and_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    old_directory(folder.path(), "first");
    let file = folder.path().join("file").display().to_string();
    fs::write(&file, "").unwrap();
    let directory = folder.path().display().to_string();
    for (case, arguments, status, expected) in [
        ("nothing is too old", vec![directory.as_str()], 0, String::new()),
        (
            "too large",
            vec![&directory, "--max-size", "1Mi"],
            0,
            format!("removed {directory}/first (1 MiB, unchanged for 60 minutes)\n"),
        ),
        ("nothing is left", vec![&directory, "--max-size", "1Mi"], 0, String::new()),
        ("no directory", vec![&file], 2, format!("{file} cannot be looked at: Not a directory (os error 20)\n")),
    ] {
        let mut whole = vec!["ivy-clean"];
        whole.extend(arguments);
        let output = spark_admission(&whole).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said), (Some(status), expected), "{case}");
    }
    let output = spark_admission(&["ivy-clean", &directory, "--max-size", "512m"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("\"512m\" is no size of at least 1Mi; write one such as 512Mi or 2Gi"), "{said}");
}
