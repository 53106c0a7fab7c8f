//! Where the programs of the control plane are, and Spark: `scripts/control-plane` and `scripts/spark` know, and get what is missing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Programs by their names.
pub struct Programs(BTreeMap<String, PathBuf>);

impl Programs {
    /// Finds these, and has those built that are not there; what the script says goes to the terminal as it says it.
    pub fn ensure(names: &[&str]) -> Result<Self, String> {
        Self::said_by("scripts/control-plane", names)
    }

    /// What `scripts/spark` says.
    pub fn spark() -> Result<Self, String> {
        Self::said_by("scripts/spark", &[])
    }

    /// What a script of ours says that gets programs.
    pub fn said_by(script: &str, names: &[&str]) -> Result<Self, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let ran = Command::new(&script).args(names).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let ran = ran.map_err(|error| format!("cannot run {}: {error}", script.display()))?;
        if !ran.status.success() {
            return Err(format!("there is nothing to test with; {} says above what to do", script.display()));
        }
        let lines = String::from_utf8_lossy(&ran.stdout);
        let pairs = lines.lines().filter_map(|line| line.split_once('='));
        Ok(Self(pairs.map(|(name, path)| (name.to_owned(), path.into())).collect()))
    }

    /// The path of one of them.
    pub fn path(&self, name: &str) -> &Path {
        self.get(name).unwrap_or_else(|| panic!("nothing was said of {name}"))
    }

    pub fn get(&self, name: &str) -> Option<&Path> {
        self.0.get(name).map(PathBuf::as_path)
    }
}
