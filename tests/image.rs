//! What the image holds, run as it is run there: one static binary in a root filesystem with nothing else in it.
//!
//! `make static-binary` builds it; without it these tests are skipped, by name.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use support::{
    client::{Client, get},
    process::{Serving, spark_admission_at},
    skip,
};
use tempfile::TempDir;

/// More than this is no longer quickly pulled by a node that is to start it.
const LARGEST: u64 = 20 << 20;

/// A root filesystem like the image's, and a folder for what is kept.
struct Root(TempDir);

impl Root {
    /// None where the binary was not built, or nobody here may change the root of a process.
    fn of_image(test: &str) -> Option<Self> {
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/static/spark-admission");
        if !binary.exists() {
            skip(test, "there is no target/static/spark-admission: build it with `make static-binary`");
            return None;
        }
        if !Command::new("unshare").args(["--map-root-user", "true"]).status().is_ok_and(|status| status.success()) {
            skip(test, "no user namespace can be made here, so no process can have a root of its own");
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        fs::copy(&binary, root.path().join("spark-admission")).unwrap();
        fs::create_dir(root.path().join("state")).unwrap();
        Some(Self(root))
    }

    /// A command in it.
    fn command(&self, arguments: &[&str]) -> Command {
        let root = format!("--root={}", self.0.path().display());
        let mut all = vec!["--map-root-user", &root, "/spark-admission"];
        all.extend(arguments);
        spark_admission_at(&PathBuf::from("unshare"), &all)
    }
}

#[test]
fn the_binary_is_small_and_says_its_version() {
    let Some(root) = Root::of_image("image::the_binary_is_small_and_says_its_version") else { return };
    let bytes = fs::metadata(root.0.path().join("spark-admission")).unwrap().len();
    assert!(bytes < LARGEST, "{bytes} bytes");
    let output = root.command(&["--version"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), concat!("spark-admission ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_runs_where_there_is_nothing_else() {
    let Some(root) = Root::of_image("image::the_server_runs_where_there_is_nothing_else") else { return };
    let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let mut serve = vec!["serve", "--state-dir", "/state"];
    serve.extend(listen);
    let serving = Serving::start(&mut root.command(&serve));
    let authority = fs::read_to_string(root.0.path().join("state/ca.crt")).unwrap();
    let answer = Client::new(serving.reviews, &authority).review("in-the-image").await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(get(serving.admin, "/readyz").await.unwrap().status, 200);
    serving.signal("TERM");
    let (status, log) = serving.ended();
    assert_eq!(status.code(), Some(0), "{log}");
}
