//! `certs status`: the Secret, the webhook configurations and the server, and whether they fit.

use std::{
    io::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, ValueEnum};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use super::{IN_ORDER, NOT_IN_ORDER, Subject, UNKNOWN, block_on};
use crate::{
    certs::{Bundle, Data, Described, Pair, ROTATE, ROTATED, describe, served},
    cluster::{Secret, SecretName, Trusted},
    policy::values::timestamp,
};

/// How long a server may take to show its certificate.
const PATIENCE: Duration = Duration::from_secs(3);
/// A certificate that is valid for less than this should have been renewed.
const SOON: Duration = Duration::from_hours(14 * 24);

/// What `--help` says behind the flags.
const AFTER_HELP: &str = "\
Exit status: 0 if everything fits, 1 if something does not, 2 if it could not be looked.

What is really served can be seen only from where the server can be reached: a Service, from inside of the cluster.

Examples:
  spark-admission certs status
  spark-admission certs status --context staging -n operators
  spark-admission certs status -o json | jq .problems";

/// Shows who signs, until when, and who trusts it
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct StatusCommand {
    /// Which certificates
    #[command(flatten)]
    pub subject: Subject,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// What `certs status` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Lines for people
    Text,
    /// The same, for programs
    Json,
}

impl StatusCommand {
    pub(super) fn run(&self, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
        match block_on(self.look()) {
            Ok(status) => {
                match self.output {
                    Output::Text => status.write(output)?,
                    Output::Json => writeln!(output, "{:#}", status.json())?,
                }
                Ok(if status.problems.is_empty() { IN_ORDER } else { NOT_IN_ORDER })
            }
            Err(complaint) => writeln!(errors, "{complaint}").map(|()| UNKNOWN),
        }
    }

    async fn look(&self) -> Result<Status, String> {
        let cluster = self.subject.cluster().await?;
        let registered = self.subject.registered(&cluster).await?;
        let name = self.subject.secret(&cluster, &registered);
        let secret = cluster.secret(&name).await.map_err(|error| error.to_string())?;
        let mut status = Status::of(&name, secret.as_ref(), SystemTime::now());
        status.judge(&self.subject.webhook_configuration, &registered);
        let mut asked: Vec<(&str, u16)> = Vec::new();
        for webhook in registered.iter().flat_map(|configuration| &configuration.webhooks) {
            let address = (webhook.host.as_str(), webhook.port);
            if !asked.contains(&address) {
                asked.push(address);
                let presented = served(address.0, address.1, PATIENCE).await;
                status.judge_served(address, &Bundle::from_pem(&webhook.bundle), presented);
            }
        }
        Ok(status)
    }
}

/// What was found.
struct Status {
    now: SystemTime,
    secret: SecretName,
    authorities: Vec<Described>,
    /// The certificate in the Secret, and who signed it.
    leaf: Option<(Described, Option<String>)>,
    chain: Vec<CertificateDer<'static>>,
    made: Option<String>,
    is_asked_for: bool,
    webhooks: Vec<Judged>,
    served: Vec<Judged>,
    problems: Vec<String>,
}

/// Something that fits or does not.
struct Judged {
    what: String,
    address: String,
    verdict: String,
}

impl Status {
    fn of(name: &SecretName, secret: Option<&Secret>, now: SystemTime) -> Self {
        let data = secret.map(Secret::data).unwrap_or_default();
        let annotation = |key| secret.and_then(|secret| secret.annotation(key)).map(ToOwned::to_owned);
        let mut status = Self {
            now,
            secret: name.clone(),
            authorities: Vec::new(),
            leaf: None,
            chain: Vec::new(),
            made: annotation(ROTATED),
            is_asked_for: annotation(ROTATE).is_some(),
            webhooks: Vec::new(),
            served: Vec::new(),
            problems: Vec::new(),
        };
        if secret.is_none() {
            status.problems.push(format!(
                "there is no Secret {name}: a self-managed server makes it within seconds; of another one --secret tells"
            ));
        } else {
            status.read(&data);
        }
        status
    }

    fn read(&mut self, data: &Data) {
        let found = |key: &str| data.get(key).map(Vec::as_slice).unwrap_or_default();
        let authorities = Bundle::from_pem(found("ca.crt"));
        self.authorities = authorities.certificates().iter().filter_map(describe).collect();
        let pair = match Pair::from_pem(found("tls.crt"), found("tls.key")) {
            Ok(pair) => pair,
            Err(why) => return self.problems.push(format!("the Secret {} holds no certificate: {why}", self.secret)),
        };
        self.chain.clone_from(&pair.key.cert);
        let Some(leaf) = pair.key.cert.first().and_then(describe) else { return };
        let signer = authorities.signer(&pair.key.cert, self.now).ok();
        let signer = signer.and_then(|place| describe(&authorities.certificates()[place])).map(|signer| signer.name);
        if let Some(why) = pair.why_invalid(self.now) {
            self.problems.push(format!("the Secret {}: {why}", self.secret));
        } else if pair.why_invalid(self.now + SOON).is_some() {
            self.problems.push(format!(
                "the certificate in the Secret {} expires in {}, and should have been renewed by now: see the servers' log",
                self.secret,
                self.left(leaf.not_after)
            ));
        }
        if signer.is_none() && !authorities.certificates().is_empty() {
            self.problems.push(format!("the certificate in the Secret {} is signed by no CA in it", self.secret));
        }
        self.leaf = Some((leaf, signer));
    }

    /// Whether what is registered trusts the certificate of the Secret.
    fn judge(&mut self, name: &str, registered: &[Trusted]) {
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            let Some(configuration) = registered.iter().find(|found| found.kind == kind) else {
                self.problems.push(format!("there is no {kind} {name}: the API server asks nobody"));
                continue;
            };
            if configuration.webhooks.is_empty() {
                self.problems.push(format!("the {kind} {name} has no webhook of spark-admission"));
            }
            for webhook in &configuration.webhooks {
                let what = format!("{kind} {name}, {}", webhook.name);
                let bundle = Bundle::from_pem(&webhook.bundle);
                let why = match (bundle.certificates().is_empty(), self.chain.is_empty()) {
                    (true, _) => Some("caBundle is empty or no PEM text".to_owned()),
                    (false, true) => None,
                    (false, false) => bundle
                        .refuses(&self.chain, &webhook.host, self.now)
                        .map(|why| format!("the certificate of the Secret {why}")),
                };
                let verdict = self.verdict(&what, why);
                self.webhooks.push(Judged { what, address: format!("{}:{}", webhook.host, webhook.port), verdict });
            }
        }
    }

    /// Whether what is served is trusted by what is registered.
    fn judge_served(
        &mut self,
        (host, port): (&str, u16),
        trusted: &Bundle,
        presented: Result<Vec<CertificateDer<'static>>, String>,
    ) {
        let address = format!("{host}:{port}");
        let what = format!("the server at {address}");
        let (what, verdict) = match presented {
            // From outside of the cluster that is to be expected.
            Err(why) => (what, format!("cannot be reached from here: {why}")),
            Ok(chain) => {
                let whose = if chain.first() == self.chain.first() { "that of the Secret" } else { "another one" };
                let until = chain.first().and_then(describe).map_or(String::new(), |leaf| self.until(leaf.not_after));
                let why = trusted.refuses(&chain, host, self.now).map(|why| format!("its certificate {why}"));
                let verdict = self.verdict(&what, why);
                (format!("{what} presents {whose}, {until}"), verdict)
            }
        };
        self.served.push(Judged { what, address, verdict });
    }

    fn verdict(&mut self, what: &str, why: Option<String>) -> String {
        let Some(why) = why else { return "fits".to_owned() };
        self.problems.push(format!("{what}: {why}"));
        why
    }

    fn until(&self, not_after: i64) -> String {
        format!("until {} ({})", timestamp::text(not_after).unwrap_or_default(), self.left(not_after))
    }

    fn left(&self, not_after: i64) -> String {
        let now = self.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed();
        let seconds = (not_after - now).max(0);
        if seconds >= 86_400 { format!("{}d", seconds / 86_400) } else { format!("{}h", seconds / 3_600) }
    }

    fn write(&self, output: &mut dyn Write) -> io::Result<()> {
        writeln!(output, "Secret {}", self.secret)?;
        for authority in &self.authorities {
            writeln!(output, "  CA           {}, {}", authority.name, self.until(authority.not_after))?;
        }
        if let Some((leaf, signer)) = &self.leaf {
            let signer = signer.as_deref().unwrap_or("nobody that is known here");
            writeln!(output, "  certificate  {}, {}", leaf.hosts.join(", "), self.until(leaf.not_after))?;
            writeln!(output, "  signed by    {signer}")?;
        }
        if let Some(made) = &self.made {
            writeln!(output, "  made         {made}")?;
        }
        if self.is_asked_for {
            writeln!(output, "  a rotation is asked for")?;
        }
        for Judged { what, address, verdict } in &self.webhooks {
            writeln!(output, "{what}\n  called at    {address}\n  trust        {verdict}")?;
        }
        for Judged { what, verdict, .. } in &self.served {
            writeln!(output, "{what}\n  trust        {verdict}")?;
        }
        if self.problems.is_empty() {
            return writeln!(output, "In order.");
        }
        writeln!(output, "Not in order:")?;
        self.problems.iter().try_for_each(|problem| writeln!(output, "- {problem}"))
    }

    fn json(&self) -> Value {
        let time = |seconds: i64| timestamp::text(seconds);
        let described = |it: &Described| json!({"name": it.name, "hosts": it.hosts, "notAfter": time(it.not_after)});
        let judged = |it: &Judged| json!({"what": it.what, "address": it.address, "verdict": it.verdict});
        json!({
            "secret": self.secret.to_string(),
            "authorities": self.authorities.iter().map(described).collect::<Value>(),
            "certificate": self.leaf.as_ref().map(|(leaf, _)| described(leaf)),
            "signedBy": self.leaf.as_ref().and_then(|(_, signer)| signer.clone()),
            "made": self.made,
            "rotationAskedFor": self.is_asked_for,
            "webhooks": self.webhooks.iter().map(judged).collect::<Value>(),
            "served": self.served.iter().map(judged).collect::<Value>(),
            "problems": self.problems
        })
    }
}
