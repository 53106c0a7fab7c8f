//! `doctor`: what went wrong already, and what cures it. It only looks.
//!
//! ```text
//! subjects, collect, rights, webhooks ──(asking: few requests at a time)──> Observed ──> doctor::diagnose ──> report: blocks or JSON
//! ```

mod asking;
mod collect;
mod report;
mod rights;
mod subjects;
mod webhooks;

use std::{
    io,
    io::Write,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, ValueEnum};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::policy;
use crate::{
    cluster::{Cluster, Place},
    doctor::{Asked, Observed, diagnose, rehearse},
    policy::Policy,
};
use asking::Asking;
use report::Report;

/// The exit status where nothing is found.
const HEALTHY: u8 = 0;
/// The exit status where something is.
const FOUND: u8 = 1;
/// The exit status where it could not be looked.
const UNKNOWN: u8 = 2;
/// After how long somebody who waits is told what for, and how often.
const SILENCE: Duration = Duration::from_secs(1);

/// What `--help` says behind the flags.
const AFTER_HELP: &str = "\
It changes nothing: it reads, asks the API server what accounts may do, and has it judge a pod and an application that are not kept
(dry runs; --no-dry-run leaves them out).

Exit status: 0 if nothing is wrong, 1 if something is, 2 if it could not be looked.

Examples:
  spark-admission doctor
  spark-admission doctor -n team-a daily-report
  spark-admission doctor --all -o json
  kubectl spark-admission doctor -n team-a     # with a link called kubectl-spark_admission on the PATH";

/// Finds what is wrong with Spark's work in a cluster, and says what cures it
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct DoctorCommand {
    /// An application, a Connect server, a schedule or a pod; without a name everything in the namespace
    #[arg(value_name = "NAME", conflicts_with = "all")]
    pub name: Option<String>,
    /// The namespace; without it the one of the kubeconfig's context
    #[arg(short, long, value_name = "NAME", conflicts_with = "all")]
    pub namespace: Option<String>,
    /// Everything, in every namespace
    #[arg(short = 'A', long, visible_alias = "all-namespaces")]
    pub all: bool,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// The policy that the webhook has; the default policy without it
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Do not have the API server judge objects that it does not keep, to see whether webhooks answer
    #[arg(long)]
    pub no_dry_run: bool,
    /// The kubeconfig of the cluster; without it the one that kubectl would use
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// What `doctor` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A block for each finding, to read
    Table,
    /// Everything, for programs: one object
    Json,
}

impl DoctorCommand {
    /// Runs the command and returns its exit status: 0 if nothing is wrong, 1 if something is, 2 if it could not be looked. Findings go
    /// to `output`, complaints and what is waited for to `errors`.
    ///
    /// # Errors
    /// When `output` or `errors` cannot be written to, such as a pipe that was closed.
    pub fn run(&self, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
        let policy = match &self.policy {
            None => Policy::default(),
            Some(file) => match policy::read_policy(file) {
                Ok(policy) => policy,
                Err(complaint) => return writeln!(errors, "{complaint}").map(|()| UNKNOWN),
            },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let observed = match runtime.block_on(self.looked(policy, errors))? {
            Ok(observed) => observed,
            Err(complaint) => return writeln!(errors, "{complaint}").map(|()| UNKNOWN),
        };
        let findings = diagnose(&observed);
        let report = Report { objects: rehearse(&observed, &findings), findings, observed: &observed };
        match self.output {
            Output::Table => report.write_blocks(output)?,
            Output::Json => report.write_json(output)?,
        }
        Ok(report.status())
    }

    /// What there is to see, or why there is nothing. Whoever waits longer than a second is told what for.
    async fn looked(&self, policy: Policy, errors: &mut dyn Write) -> io::Result<Result<Observed, String>> {
        let place = Place::of_kubectl(self.kubeconfig.as_deref(), self.context.as_deref());
        let asking = match Cluster::at(place).await {
            Ok(cluster) => Asking::new(cluster),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut looking = Box::pin(self.look(&asking, policy));
        let mut seconds = interval_at(Instant::now() + SILENCE, SILENCE);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                looked = &mut looking => return Ok(looked),
                _ = seconds.tick() => writeln!(errors, "{}", asking.waiting_for())?,
            }
        }
    }

    async fn look(&self, asking: &Asking, policy: Policy) -> Result<Observed, String> {
        let namespace = self.namespace.as_deref().unwrap_or(asking.cluster.namespace());
        let asked = Asked { namespace: (!self.all).then(|| namespace.to_owned()), name: self.name.clone() };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed();
        let collected = Box::pin(collect::collect(asking, asked, policy, now, !self.no_dry_run)).await;
        let observed = collected.map_err(|error| error.to_string())?;
        match subjects::unknown(asking, &observed).await {
            Some(complaint) => Err(complaint),
            None => Ok(observed),
        }
    }
}
