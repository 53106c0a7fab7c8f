//! The image, made as `make image` makes it, and what is in it, run as in a cluster: as user 65532, in a root filesystem that is read-only
//! and has nothing else in it.
//!
//! `make static-binary` builds what goes into it; without that, or without buildah, these tests are skipped, by name.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use support::{
    DEADLINE,
    client::{Client, get},
    process::{Serving, run, spark_admission_at},
    skip,
};
use tempfile::TempDir;

/// More than this is no longer quickly pulled by a node that is to start it.
const LARGEST: u64 = 20_000_000;

/// A core that has nothing else to do gets it ready in less.
const READY_WITHIN: Duration = Duration::from_millis(100);

/// What a container runtime does with an image: `$1` becomes the root, of the layer `$2`, with a volume of `$3` at `/state`; then the
/// rest runs as the image's user. The moment is kept in the volume.
const RUNTIME: &str = r#"
root=$1 layer=$2 state=$3
shift 3
mount -t tmpfs tmpfs "$root"
tar -xf "$layer" -C "$root"
mkdir "$root/state"
mount --bind "$state" "$root/state"
mount -o remount,ro "$root"
date +%s%N >"$state/started"
exec unshare --user --map-user=65532 --map-group=65532 --root="$root" "$@"
"#;

/// One at a time: the first one may have to get buildah.
static MAKING: Mutex<()> = Mutex::new(());

/// The image's archive, taken apart.
struct Image {
    folder: TempDir,
    config: Value,
    layers: Vec<PathBuf>,
}

impl Image {
    /// None where it cannot be made, or nobody here may change the root of a process.
    fn made(test: &str) -> Option<Self> {
        if !Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status().is_ok_and(|it| it.success()) {
            skip(test, "no user namespace can be made here, so no process can have a root of its own");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("image.tar");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/image");
        let made = {
            let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
            Command::new(script).arg(&archive).output().unwrap()
        };
        let (said, log) = (String::from_utf8_lossy(&made.stdout), String::from_utf8_lossy(&made.stderr));
        assert!(made.status.success(), "{log}");
        if let Some(what) = said.trim().strip_prefix("missing=") {
            skip(test, &format!("there is no {what}"));
            return None;
        }
        let unpacked =
            Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder.path()).status().unwrap().success();
        assert!(unpacked, "{log}");
        for folder in ["root", "state"] {
            fs::create_dir(archive.with_file_name(folder)).unwrap();
        }
        let read =
            |name: &str| -> Value { serde_json::from_slice(&fs::read(folder.path().join(name)).unwrap()).unwrap() };
        let manifest = read("manifest.json");
        let config = read(manifest[0]["Config"].as_str().unwrap());
        let layers = manifest[0]["Layers"].as_array().unwrap().iter();
        let layers = layers.map(|layer| folder.path().join(layer.as_str().unwrap())).collect();
        Some(Self { folder, config, layers })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What runs it with these arguments, instead of the image's own.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command =
            spark_admission_at(Path::new("unshare"), &["--map-root-user", "--mount", "sh", "-euc", RUNTIME, "sh"]);
        command.args([&self.path("root"), &self.layers[0], &self.path("state")]);
        let entrypoint = self.config["config"]["Entrypoint"].as_array().unwrap().iter();
        command.args(entrypoint.map(|part| part.as_str().unwrap())).args(arguments);
        command
    }

    /// A server of its own certificate, which it keeps in the volume.
    fn serving(&self) -> Serving {
        let cmd = self.config["config"]["Cmd"].as_array().unwrap();
        let mut arguments: Vec<_> = cmd.iter().map(|part| part.as_str().unwrap()).collect();
        arguments.extend(["--state-dir", "/state", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        Serving::start(&mut self.command(&arguments))
    }
}

#[test]
fn the_image_is_one_file_that_a_user_without_a_name_runs() {
    let Some(image) = Image::made("image::the_image_is_one_file_that_a_user_without_a_name_runs") else { return };
    let config = &image.config["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/spark-admission"]));
    assert_eq!(config["Cmd"], json!(["serve"]));
    assert_eq!(config["ExposedPorts"], json!({"8443/tcp": {}, "8080/tcp": {}}));
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str().unwrap_or_default();
    assert_eq!(label("title"), env!("CARGO_PKG_NAME"));
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
    assert!(!label("description").is_empty(), "{config}");
    let commit = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let commit = commit.map(|output| String::from_utf8(output.stdout).unwrap()).unwrap_or_default();
    assert!(label("revision").starts_with(commit.trim()), "{config}");

    let [layer] = &image.layers[..] else { panic!("{:?}", image.layers) };
    let listed = Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(layer).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<Vec<_>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    let [file] = &files[..] else { panic!("{listed}") };
    assert_eq!((file[0], file[1], *file.last().unwrap()), ("-rwxr-xr-x", "0/0", "spark-admission"));

    let size = fs::metadata(layer).unwrap().len();
    let pulled = Command::new("gzip").arg("-c").stdin(File::open(layer).unwrap()).output().unwrap().stdout.len();
    eprintln!("the image has {size} bytes, {pulled} compressed");
    assert!(size < LARGEST, "{size} bytes");
}

/// Cargo builds nothing where a file is missing that `Cargo.toml` speaks of.
#[test]
fn the_build_stage_has_every_file_that_cargo_asks_for() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let context = tempfile::tempdir().unwrap();
    for line in fs::read_to_string(source.join(".dockerignore")).unwrap().lines() {
        let Some(name) = line.strip_prefix('!') else { continue };
        let to = context.path().join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        assert!(Command::new("cp").arg("-R").arg(source.join(name)).arg(to).status().unwrap().success(), "{name}");
    }
    let rustc = Command::new("rustc").arg("--print=host-tuple").output().unwrap();
    let host = String::from_utf8(rustc.stdout).unwrap();
    // It reads the manifest as a build does. Nothing is got: what the tests are built of is there.
    let fetch = ["fetch", "--offline", "--locked", "--target", host.trim()];
    let read = Command::new(env!("CARGO")).args(fetch).current_dir(context.path()).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}

#[test]
fn the_image_says_its_version() {
    let Some(image) = Image::made("image::the_image_says_its_version") else { return };
    let (status, out, err) = run(&mut image.command(&["--version"]));
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert_eq!(out, concat!("spark-admission ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_runs_where_nothing_else_is_and_nothing_can_be_written() {
    let name = "image::the_server_runs_where_nothing_else_is_and_nothing_can_be_written";
    let Some(image) = Image::made(name) else { return };
    let (status, _, err) = run(&mut image.command(&["serve", "--state-dir", "/elsewhere"]));
    assert!(status != Some(0) && err.contains("Read-only file system"), "{status:?} {err}");

    let serving = image.serving();
    let authority = fs::read_to_string(image.path("state/ca.crt")).unwrap();
    let answer = Client::new(serving.reviews, &authority).review("in-the-image").await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(get(serving.admin, "/readyz").await.unwrap().status, 200);
    serving.signal("TERM");
    let (status, log) = serving.ended();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// The best of some starts, since other tests run beside it.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_ready_in_a_tenth_of_a_second() {
    let Some(image) = Image::made("image::the_server_is_ready_in_a_tenth_of_a_second") else { return };
    let (begin, mut best) = (Instant::now(), Duration::MAX);
    while best > READY_WITHIN {
        assert!(begin.elapsed() < DEADLINE, "ready after {best:?} at best");
        let serving = image.serving();
        assert_eq!(get(serving.admin, "/readyz").await.unwrap().status, 200);
        let ready = SystemTime::now();
        let started = fs::read_to_string(image.path("state/started")).unwrap();
        let started = UNIX_EPOCH + Duration::from_nanos(started.trim().parse().unwrap());
        best = best.min(ready.duration_since(started).unwrap());
    }
    eprintln!("ready after {best:?}");
}
