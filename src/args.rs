//! The command line: what can be asked of `spark-admission`, with helps worth reading.

use std::{
    env,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::{
    cli::{
        certs::CertsCommand, doctor::DoctorCommand, ivy_clean::IvyCleanCommand, nodes::NodesCommand,
        policy::PolicyCommand, probe::ProbeCommand, review::ReviewCommand,
    },
    cluster::{SecretName, WebhookUrl},
    duration,
    telemetry::{LogFormat, LogLevel},
};

/// Makes Spark work on Kubernetes start at the first submission.
///
/// A mutating and validating admission webhook for SparkApplication, ScheduledSparkApplication and SparkConnect resources and for
/// the pods of Spark drivers, executors, Connect servers and notebooks.
#[derive(Debug, Parser)]
#[command(version, name = "spark-admission", max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// Reads the command line of this process. Under the name that kubectl looks for, helps call it as its users do.
    #[must_use]
    pub fn of_process() -> Self {
        let mut command = Self::command();
        let name = env::args_os().next().map(PathBuf::from).unwrap_or_default();
        if name.file_stem().is_some_and(|name| name == PLUGIN) {
            command = command.bin_name("kubectl spark-admission");
        }
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

/// The name under which kubectl finds its plugin `spark-admission`.
const PLUGIN: &str = "kubectl-spark_admission";

/// What can be asked of the binary.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the webhook
    ///
    /// Without any flag it runs standalone: own CA and certificate, the default policy, on 127.0.0.1:8443, no cluster needed. It
    /// prints a curl line to try it with.
    Serve(Box<ServeArguments>),
    /// Show what the webhook would do to manifests, offline
    ///
    /// Reads YAML and JSON, several documents, Lists and reviews as the API server sends them. Example: `spark-admission review -o explain pi.yaml`
    Review(ReviewCommand),
    /// Print the default policy or its schema, or check a policy file
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Show each node of the cluster, flagged or not, by what, and since when
    Nodes(NodesCommand),
    /// Find out what went wrong with Spark's work in a cluster, and what cures it
    Doctor(DoctorCommand),
    /// See that the API server asks the webhook, in a dry run
    Probe(ProbeCommand),
    /// Remove Ivy directories by age and size, none that is in use
    ///
    /// For the operator's controller, where every application leaves the packages that it was submitted with.
    IvyClean(IvyCleanCommand),
    /// Show or rotate the certificates of a self-managed server
    #[command(subcommand)]
    Certs(CertsCommand),
    /// Print the completions for a shell
    ///
    /// Example: `spark-admission completions bash > /etc/bash_completion.d/spark-admission`
    Completions {
        /// The shell to complete in
        shell: clap_complete::Shell,
    },
}

/// Where the server's certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Certificates {
    /// Own CA and certificate, kept in the state directory and made again when they expire
    Standalone,
    /// Own CA and certificate, kept in a Secret, renewed in time, and written into the webhook configurations
    SelfManaged,
    /// The files of --tls-cert and --tls-key, read again when they change
    Files,
}

/// The flags of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArguments {
    /// Address for reviews, over TLS: HOST:PORT
    ///
    /// POST /mutate and /validate. Port 0 takes a free one; the real address is printed. In a pod: 0.0.0.0:8443.
    #[arg(long, env = "SPARK_ADMISSION_LISTEN", value_name = "HOST:PORT", default_value = "127.0.0.1:8443", value_parser = address)]
    pub listen: SocketAddr,

    /// Address for probes and metrics, plain HTTP: HOST:PORT
    ///
    /// GET /livez, /readyz and /metrics. Nothing secret, but nothing for the world either. Port 0 takes a free one; the real
    /// address is printed. In a pod: 0.0.0.0:8081.
    #[arg(long, env = "SPARK_ADMISSION_ADMIN_LISTEN", value_name = "HOST:PORT", default_value = "127.0.0.1:8081", value_parser = address)]
    pub admin_listen: SocketAddr,

    /// The policy: a YAML file of kind Policy
    ///
    /// Default: the built-in policy. Read again when its bytes change; while it is bad, the last good one stays in force. Example:
    /// /etc/spark-admission/policy.yaml
    #[arg(long, env = "SPARK_ADMISSION_POLICY", value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Where a standalone server keeps its CA and certificate
    ///
    /// Default: spark-admission in the XDG state directory, so ~/.local/state/spark-admission. Holds ca.crt, ca.key, tls.crt and
    /// tls.key.
    #[arg(long, env = "SPARK_ADMISSION_STATE_DIR", value_name = "DIRECTORY")]
    pub state_dir: Option<PathBuf>,

    /// Where the server's certificate comes from
    ///
    /// Default: files where --tls-cert is given, else self-managed in a pod, else standalone. With self-managed and neither --kubeconfig nor
    /// --context, outside of a pod, the cluster is the one that kubectl uses.
    #[arg(long, env = "SPARK_ADMISSION_CERTIFICATES", value_enum)]
    pub certificates: Option<Certificates>,

    /// The server's certificate: a PEM file, its chain after it
    ///
    /// Read again when its bytes change, so a mounted Secret may be renewed at any time. Example: /tls/tls.crt
    #[arg(long, env = "SPARK_ADMISSION_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert: a PEM file (PKCS #8, PKCS #1 or SEC1)
    ///
    /// Example: /tls/tls.key
    #[arg(long, env = "SPARK_ADMISSION_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// The Secret of a self-managed server: NAMESPACE/NAME
    ///
    /// It is made where there is none. Default: spark-admission-certificates in the pod's namespace, or else in the kubeconfig's.
    #[arg(long, env = "SPARK_ADMISSION_SECRET", value_name = "NAMESPACE/NAME")]
    pub secret: Option<SecretName>,

    /// How long the API servers and the other replicas are given to see a change of a self-managed CA
    ///
    /// A certificate of a new CA is used so long after that CA was published, and the old CA goes so long after that. Units: ms, s, m.
    #[arg(long, env = "SPARK_ADMISSION_CERTIFICATE_OVERLAP", value_name = "DURATION", default_value = "2m", value_parser = duration::parse)]
    pub certificate_overlap: Duration,

    /// Ask clients for a certificate that one of these CAs signed: a PEM file
    ///
    /// Default: clients are not asked. Needs an API server that is configured to present one. Read again when its bytes change.
    #[arg(long, env = "SPARK_ADMISSION_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,

    /// The cluster to work for.
    #[command(flatten)]
    pub cluster: ClusterArguments,

    /// How long to wait at the start until the cluster's nodes are known
    ///
    /// Until then /readyz says 503; after it, and where the account may not read them, the server is ready without, and no pod is changed on
    /// their account. Units: ms, s, m.
    #[arg(long, env = "SPARK_ADMISSION_SYNC_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    pub sync_timeout: Duration,

    /// Register with the cluster, so that its API server asks this server
    ///
    /// Under --webhook-configuration, and from then on until `serve --unregister`. For trying it out and for servers outside of a
    /// cluster; a chart registers what it installs.
    #[arg(long, env = "SPARK_ADMISSION_REGISTER", conflicts_with = "unregister")]
    pub register: bool,

    /// Remove what was registered, and end
    #[arg(long, env = "SPARK_ADMISSION_UNREGISTER")]
    pub unregister: bool,

    /// Remove what a chart installed too: for the chart's own hook
    ///
    /// Where the label app.kubernetes.io/instance of the webhook configurations has this value. Without it, what --register did not
    /// make is left as it is.
    #[arg(long, env = "SPARK_ADMISSION_INSTANCE", value_name = "NAME", requires = "unregister")]
    pub instance: Option<String>,

    /// How the API server reaches this server, for --register: https://HOST:PORT
    ///
    /// Default: where it listens. A standalone server gets a certificate for the host; any other must have one.
    #[arg(long, env = "SPARK_ADMISSION_URL", value_name = "URL")]
    pub url: Option<WebhookUrl>,

    /// The name of the MutatingWebhookConfiguration and the ValidatingWebhookConfiguration
    #[arg(long, env = "SPARK_ADMISSION_WEBHOOK_CONFIGURATION", value_name = "NAME", default_value = "spark-admission")]
    pub webhook_configuration: String,

    /// How log lines are written, on standard error
    #[arg(long, env = "SPARK_ADMISSION_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged: this level and everything worse
    #[arg(long, env = "SPARK_ADMISSION_LOG_LEVEL", value_enum, default_value = "info")]
    pub log_level: LogLevel,

    /// How long to go on serving after SIGTERM while not ready
    ///
    /// The time that a cluster needs to take this replica out of its endpoints. Default: 10s; 0 when standalone. Units: ms, s, m.
    #[arg(long, env = "SPARK_ADMISSION_DRAIN_DELAY", value_name = "DURATION", value_parser = duration::parse)]
    pub drain_delay: Option<Duration>,

    /// How long what is in flight may take to finish after that
    ///
    /// Together with --drain-delay less than the pod's terminationGracePeriodSeconds. Units: ms, s, m.
    #[arg(long, env = "SPARK_ADMISSION_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "15s", value_parser = duration::parse)]
    pub drain_timeout: Duration,
}

/// Which cluster to use.
#[derive(Debug, Clone, Args)]
pub struct ClusterArguments {
    /// Use a cluster, by this kubeconfig
    ///
    /// In a pod, its own account is used without it. KUBECONFIG and ~/.kube/config alone are a person's, and not used.
    #[arg(long, env = "SPARK_ADMISSION_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Use a cluster, by this context of the kubeconfig
    ///
    /// Without --kubeconfig: of the one that kubectl uses.
    #[arg(long, env = "SPARK_ADMISSION_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
}

/// An address to listen on: an IP or a name, and a port.
fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = |why: &str| format!("{why}; write HOST:PORT, like 127.0.0.1:8443, [::1]:8443 or 0.0.0.0:8443");
    let mut found = text.to_socket_addrs().map_err(|error| wrong(&error.to_string()))?;
    found.next().ok_or_else(|| wrong("no such host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn reads_addresses() {
        for (text, expected) in [
            ("127.0.0.1:8443", Some("127.0.0.1:8443")),
            ("[::1]:0", Some("[::1]:0")),
            ("0.0.0.0:8443", Some("0.0.0.0:8443")),
            ("8443", None),
            (":8443", None),
        ] {
            assert_eq!(address(text).ok().map(|found| found.to_string()).as_deref(), expected, "{text}");
        }
    }
}
