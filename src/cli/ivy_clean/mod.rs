//! `ivy-clean`: removes Ivy directories that nobody needs any more, before they fill the volume that they are on.
//!
//! It runs beside the operator's controller, where every application leaves the packages that it was submitted with, and nobody removes
//! them. Promised: nothing but Ivy's own directories goes, and none in which something changed a short while ago.

mod choice;
mod directories;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use clap::Args;

use crate::{duration, policy::values::quantity::Quantity, signals::Signals};
use choice::{Limits, chosen};
use directories::{IvyDirectory, ivy_directories, remove};

/// The exit status when the directories were cleaned, or needed no cleaning.
const CLEAN: u8 = 0;
/// The exit status when something could not be looked at or removed.
const FAILED: u8 = 2;

/// What `--help` says behind the flags.
const AFTER_HELP: &str = "\
An Ivy directory is one that holds cache/ or jars/: each folder of DIRECTORY that does, and DIRECTORY itself. Nothing else is touched.

Exit status: 0, or 2 if something could not be looked at or removed. With --every it runs until SIGTERM or SIGINT.

Examples:
  spark-admission ivy-clean /tmp/.ivy2
  spark-admission ivy-clean /tmp/.ivy2 --every 1m --max-age 12h --max-size 2Gi";

/// Removes Ivy directories by age and size, none that is in use
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct IvyCleanCommand {
    /// The directory that the Ivy directories are in, such as the policy's mountPath
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
    /// How long an Ivy directory may lie unchanged before it goes. Units: h, m, s
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration::parse)]
    pub max_age: Duration,
    /// How much all of them may take; over it, those go first that have not changed for longest. Units: Mi, Gi
    #[arg(long, value_name = "QUANTITY", default_value = "512Mi", value_parser = quantity)]
    pub max_size: Quantity,
    /// How long ago the last change in one must be before it goes at all: a submission may be at work there
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration::parse)]
    pub quiet: Duration,
    /// Look again and again at this interval, until a signal comes; once without it
    #[arg(long, value_name = "DURATION", value_parser = interval)]
    pub every: Option<Duration>,
}

impl IvyCleanCommand {
    /// Runs the command and returns its exit status. What was removed goes to `output`, complaints to `errors`.
    ///
    /// # Errors
    /// When `output` or `errors` cannot be written to, or no signal can be listened for.
    pub fn run(&self, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
        let Some(interval) = self.every else { return self.clean(SystemTime::now(), output, errors) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            // A process with the id 1 ends by no signal that it does not listen for.
            let mut signals = Signals::listen()?;
            loop {
                self.clean(SystemTime::now(), output, errors)?;
                output.flush()?;
                tokio::select! {
                    () = tokio::time::sleep(interval) => {}
                    _ = signals.next() => return Ok(CLEAN),
                }
            }
        })
    }

    fn clean(&self, now: SystemTime, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
        let mut status = CLEAN;
        let (found, complaints) = ivy_directories(&self.directory);
        for complaint in complaints {
            writeln!(errors, "{complaint}")?;
            status = FAILED;
        }
        let limits = Limits { max_age: self.max_age, max_size: self.max_size, quiet: self.quiet };
        for directory in chosen(&found, now, &limits) {
            match remove(directory, now, self.quiet) {
                Ok(true) => writeln!(output, "removed {}", described(directory, now))?,
                Ok(false) => {}
                Err(complaint) => {
                    writeln!(errors, "{complaint}")?;
                    status = FAILED;
                }
            }
        }
        Ok(status)
    }
}

/// `/tmp/.ivy2/3f2a (29 MiB, unchanged for 90 minutes)`.
fn described(directory: &IvyDirectory, now: SystemTime) -> String {
    let age = now.duration_since(directory.changed).unwrap_or_default();
    let path: &Path = &directory.path;
    format!("{} ({} MiB, unchanged for {} minutes)", path.display(), directory.bytes >> 20, age.as_secs() / 60)
}

fn quantity(text: &str) -> Result<Quantity, String> {
    let quantity = Quantity::parse(text).filter(|quantity| *quantity >= Quantity::MEBIBYTE);
    quantity.ok_or_else(|| format!("{text:?} is no size of at least 1Mi; write one such as 512Mi or 2Gi"))
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration::parse(text)?;
    if interval < Duration::from_secs(1) {
        Err("look every second at most, such as 1m".to_owned())
    } else {
        Ok(interval)
    }
}
