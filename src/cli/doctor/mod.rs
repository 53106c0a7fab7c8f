//! `doctor`: what went wrong already, and what cures it. It only looks.

use std::{io, io::Write, path::PathBuf};

use clap::{Args, ValueEnum};

/// Finds what is wrong with Spark's work in a cluster, and says what cures it
#[derive(Debug, Clone, Args)]
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
    /// Runs the command and returns its exit status.
    ///
    /// # Errors
    /// When `output` or `errors` cannot be written to, such as a pipe that was closed.
    pub fn run(&self, _output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
        writeln!(errors, "not yet").map(|()| 2)
    }
}
