//! `certs rotate`: asks the servers for a new CA and a new certificate, by an annotation of their Secret. No key leaves the cluster.

use std::{
    io::{self, Write},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Args;

use super::{IN_ORDER, NOT_IN_ORDER, Subject, UNKNOWN, block_on};
use crate::{
    certs::{Bundle, Data, Held, ROTATE},
    cluster::{Cluster, SecretName},
    duration,
    policy::values::timestamp,
};

/// How often to look whether it is done.
const LOOK: Duration = Duration::from_millis(200);

/// What `--help` says behind the flags.
const AFTER_HELP: &str = "\
The new CA is trusted beside the old one at once, a certificate of it is used after the servers' --certificate-overlap, and the old CA
is trusted no more so long after that. No review fails meanwhile.

Exit status: 0 if it was asked for (with --wait: if it is done), 1 if it was not done in time or nobody can do it, 2 if it could not
be asked.

Examples:
  spark-admission certs rotate --wait
  kubectl -n operators annotate secret spark-admission-certificates spark-admission.io/rotate=now";

/// Has the servers make a new CA and a new certificate
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RotateCommand {
    /// Which certificates
    #[command(flatten)]
    pub subject: Subject,
    /// Wait until only the new CA is trusted
    #[arg(long)]
    pub wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration::parse, requires = "wait")]
    pub timeout: Duration,
}

impl RotateCommand {
    pub(super) fn run(&self, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
        match block_on(self.rotate()) {
            Ok(Rotated::Asked(secret)) => {
                writeln!(output, "asked the servers of the Secret {secret} to rotate")?;
                Ok(IN_ORDER)
            }
            Ok(Rotated::Done(name)) => {
                writeln!(output, "rotated: {name} is the only CA that is trusted").map(|()| IN_ORDER)
            }
            Ok(Rotated::Not(why)) => writeln!(errors, "{why}").map(|()| NOT_IN_ORDER),
            Err(complaint) => writeln!(errors, "{complaint}").map(|()| UNKNOWN),
        }
    }

    async fn rotate(&self) -> Result<Rotated, String> {
        let cluster = self.subject.cluster().await?;
        let registered = self.subject.registered(&cluster).await?;
        let secret = self.subject.secret(&cluster, &registered);
        let Some(before) = data(&cluster, &secret).await? else {
            return Ok(Rotated::Not(format!(
                "there is no Secret {secret}: name the one of the servers with --secret NAMESPACE/NAME"
            )));
        };
        if let Err(why) = Held::read(before.clone(), SystemTime::now()) {
            return Ok(Rotated::Not(format!(
                "the Secret {secret} is not one that servers look after themselves ({why}): renew it where it was made"
            )));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed();
        let now = timestamp::text(now).unwrap_or_default();
        cluster.annotate_secret(&secret, ROTATE, &now).await.map_err(|error| error.to_string())?;
        if self.wait { self.until_done(&cluster, &secret, &before).await } else { Ok(Rotated::Asked(secret)) }
    }

    /// Done is a rotation when one CA is trusted, by the Secret and by what is registered, and it is none that was there before.
    async fn until_done(&self, cluster: &Cluster, secret: &SecretName, before: &Data) -> Result<Rotated, String> {
        let authorities = |data: &Data| Bundle::from_pem(data.get("ca.crt").map(Vec::as_slice).unwrap_or_default());
        let (start, before) = (Instant::now(), authorities(before));
        loop {
            let now = authorities(&data(cluster, secret).await?.unwrap_or_default());
            let registered = self.subject.registered(cluster).await?;
            let mut webhooks = registered.iter().flat_map(|configuration| &configuration.webhooks);
            if let [only] = now.certificates()
                && !before.certificates().contains(only)
                && webhooks.all(|webhook| Bundle::from_pem(&webhook.bundle) == now)
            {
                return Ok(Rotated::Done(crate::certs::describe(only).map(|it| it.name).unwrap_or_default()));
            }
            if start.elapsed() > self.timeout {
                return Ok(Rotated::Not(format!(
                    "not done in {:?}: see the servers' log, and `spark-admission certs status`",
                    self.timeout
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// How it ended.
enum Rotated {
    Asked(SecretName),
    Done(String),
    Not(String),
}

async fn data(cluster: &Cluster, secret: &SecretName) -> Result<Option<Data>, String> {
    let secret = cluster.secret(secret).await.map_err(|error| error.to_string())?;
    Ok(secret.map(|secret| secret.data()))
}
