//! Keeps a self-managed server's certificate in order: looks at the Secret and at what is registered, does the next step, looks again.
//!
//! Promised: whatever is not as it should be is seen within a moment, and at the latest half a minute after; a write that somebody else
//! came before changes nothing; and what was taken last stays in force while nothing better can be had.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{sync::watch, time::timeout};

use super::{
    Bundle, CurrentCertificate, Data, Held, Step, Unusable,
    step::{Seen, Trust, next_step},
};
use crate::{
    cluster::{Changes, Cluster, Error, Secret, SecretName, Trusted, Written},
    metrics::Metrics,
    policy::values::timestamp,
};

/// What the Secret is called where nobody says otherwise.
pub const SECRET: &str = "spark-admission-certificates";
/// Set on the Secret, with any value, it asks for a rotation.
pub const ROTATE: &str = "spark-admission.io/rotate";
/// When the certificate in the Secret was made, RFC 3339.
pub const ROTATED: &str = "spark-admission.io/rotated";

/// How long to wait before another try.
const AGAIN: Duration = Duration::from_secs(1);
/// More steps than this in a row are none: somebody undoes them.
const STEPS: usize = 20;

/// Who keeps a certificate in order, and for whom.
pub struct Keeper {
    /// Where the Secret and the configurations are.
    pub cluster: Cluster,
    /// The Secret.
    pub secret: SecretName,
    /// The name of both webhook configurations.
    pub configuration: String,
    /// What the certificate is for, besides what is registered.
    pub names: Vec<String>,
    /// How long API servers and replicas are given to see what was written, before anything leans on it.
    pub overlap: Duration,
    /// The time.
    pub clock: fn() -> SystemTime,
    /// What handshakes use.
    pub certificate: Arc<CurrentCertificate>,
    /// Where all of this is counted.
    pub metrics: Arc<Metrics>,
}

/// What is in force, for whoever else needs it.
pub type InForce = watch::Receiver<Option<Arc<Held>>>;

/// A keeper at work.
pub struct Keeping {
    given: Keeper,
    in_force: watch::Sender<Option<Arc<Held>>>,
    settled: Settled,
    complained: Complained,
}

/// Since when what is seen has been as it is.
#[derive(Debug)]
struct Settled {
    data: Option<Data>,
    trust: Trust,
    since: Instant,
}

/// What was said, and is not said again.
#[derive(Debug, Default)]
struct Complained {
    error: Option<String>,
    content: Option<String>,
    unregistered: bool,
}

/// What one look brought.
struct Look {
    secret: Option<Secret>,
    held: Result<Held, Unusable>,
    registered: Vec<Trusted>,
    trust: Trust,
    names: Vec<String>,
}

impl Keeper {
    /// Ready to begin.
    #[must_use]
    pub fn start(self) -> (Keeping, InForce) {
        let (in_force, seen) = watch::channel(None);
        let settled = Settled { data: None, trust: Trust::Unregistered, since: Instant::now() };
        (Keeping { given: self, in_force, settled, complained: Complained::default() }, seen)
    }
}

impl Keeping {
    /// Does what is to be done until there is a certificate, and what is registered trusts it.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn once(&mut self) -> Result<(), Error> {
        loop {
            match self.work().await? {
                wait if self.in_force.borrow().is_none() => tokio::time::sleep(wait).await,
                _ => return Ok(()),
            }
        }
    }

    /// Keeps everything in order, for ever.
    pub async fn run(mut self) {
        let Keeper { cluster, secret, configuration, metrics, .. } = &self.given;
        let changes = Changes::of(cluster, secret, configuration, metrics);
        loop {
            let wait = match self.work().await {
                Ok(wait) => {
                    if self.complained.error.take().is_some() {
                        tracing::info!("the certificate can be looked after again");
                    }
                    wait
                }
                Err(error) => {
                    self.complain(&error);
                    AGAIN
                }
            };
            // An answer that is no error, or a wait that is over: both mean to look again.
            let _ = timeout(wait, changes.next()).await;
        }
    }

    /// Does one step after the other until there is nothing to do; how long that will be so is what it returns.
    async fn work(&mut self) -> Result<Duration, Error> {
        for _ in 0..STEPS {
            let look = self.look().await?;
            self.take(&look);
            let step = self.next(&look);
            if let Step::Wait(wait) = step {
                return Ok(wait);
            }
            self.take_step(step, look).await?;
        }
        Ok(AGAIN)
    }

    /// The configurations first: then whatever is written into them on account of this look is no older than what they say now.
    async fn look(&mut self) -> Result<Look, Error> {
        let Keeper { cluster, secret, configuration, names, clock, .. } = &self.given;
        let registered = cluster.trusted(configuration).await?;
        let secret = cluster.secret(secret).await?;
        let held = secret.as_ref().map_or(Err(Unusable::Absent), |secret| Held::read(secret.data(), clock()));
        let webhooks = || registered.iter().flat_map(|configuration| &configuration.webhooks);
        let names: BTreeSet<_> = webhooks().map(|webhook| &webhook.host).chain(names).cloned().collect();
        let trust = match &held {
            _ if webhooks().next().is_none() => Trust::Unregistered,
            Ok(held) if webhooks().all(|it| it.bundle == held.authorities().to_pem().as_bytes()) => Trust::Right,
            // Charts write a line break where there must be something.
            _ if webhooks().all(|it| Bundle::from_pem(&it.bundle).certificates().is_empty()) => Trust::Nobody,
            _ => Trust::Other,
        };
        let data = secret.as_ref().map(Secret::data);
        if (&data, trust) != (&self.settled.data, self.settled.trust) {
            self.settled = Settled { data, trust, since: Instant::now() };
        }
        Ok(Look { secret, held, registered, trust, names: names.into_iter().collect() })
    }

    /// Puts into force what the Secret holds, where that is good; else what was in force stays.
    fn take(&mut self, look: &Look) {
        if look.trust == Trust::Unregistered && !self.complained.unregistered {
            let name = &self.given.configuration;
            tracing::info!(
                name,
                "nothing of ours is registered under this name yet: whom it trusts is written when it is there"
            );
        }
        self.complained.unregistered = look.trust == Trust::Unregistered;
        match &look.held {
            Ok(held) => {
                self.complained.content = None;
                self.put_into_force(held, look.secret.as_ref());
            }
            Err(Unusable::Absent) => {}
            Err(why) => {
                let why = why.to_string();
                if self.complained.content.as_ref() != Some(&why) {
                    let secret = &self.given.secret;
                    tracing::error!(%secret, why, "the Secret holds nothing that can be served with");
                    self.failed();
                }
                self.complained.content = Some(why);
            }
        }
    }

    fn put_into_force(&self, held: &Held, secret: Option<&Secret>) {
        let Keeper { certificate, metrics, .. } = &self.given;
        let rotated = secret.and_then(|secret| secret.annotation(ROTATED)).and_then(timestamp::parse);
        metrics.certificate_in_force(held.pair().not_after, Some(held.authority_not_after()), rotated);
        let current = self.in_force.borrow().clone();
        if current.as_ref().is_some_and(|current| current.data() == held.data()) {
            return;
        }
        let is_other = current.is_none_or(|current| current.pair().key.cert != held.pair().key.cert);
        if is_other {
            certificate.replace(Arc::clone(held.pair()));
            let until = timestamp::text(held.pair().not_after).unwrap_or_default();
            tracing::info!(until, "a certificate of the Secret is in force");
        }
        self.in_force.send_replace(Some(Arc::new(held.clone())));
    }

    fn next(&self, look: &Look) -> Step {
        let remembered = self.in_force.borrow().clone();
        let seen = Seen {
            held: look.held.as_ref().ok(),
            remembered: remembered.as_deref(),
            trust: look.trust,
            is_asked_for: look.secret.as_ref().is_some_and(|secret| secret.annotation(ROTATE).is_some()),
            names: &look.names,
            settled: self.settled.since.elapsed(),
            now: (self.given.clock)(),
        };
        next_step(&seen, self.given.overlap)
    }

    async fn take_step(&mut self, step: Step, look: Look) -> Result<(), Error> {
        let now = (self.given.clock)();
        let Look { secret, held, registered, names, .. } = look;
        let remembered = self.in_force.borrow().clone();
        let next = match (step, held, remembered) {
            (Step::Publish, Ok(held), _) => return self.publish(&held, &registered).await,
            (Step::Begin, Ok(held), _) => held.with_next_authority(now),
            (Step::Switch | Step::Renew, Ok(held), _) => held.with_next_certificate(&names, now),
            (Step::Retire, Ok(held), _) => held.without_old_authorities(now),
            (Step::Restore, _, Some(remembered)) => Ok(Held::clone(&remembered)),
            _ => Held::make(names, now),
        };
        match next {
            Ok(next) => self.write(step, secret.as_ref(), &next).await,
            Err(why) => {
                let why = why.to_string();
                tracing::error!(step = step.name(), why, "cannot make what is to be written into the Secret");
                self.failed();
                tokio::time::sleep(AGAIN).await;
                Ok(())
            }
        }
    }

    async fn publish(&self, held: &Held, registered: &[Trusted]) -> Result<(), Error> {
        let bundle = held.authorities().to_pem();
        for configuration in registered {
            if !configuration.webhooks.iter().all(|webhook| webhook.bundle == bundle.as_bytes())
                && self.given.cluster.trust(configuration, bundle.as_bytes()).await?
            {
                self.given.metrics.certificate_step(Step::Publish.name());
                let (kind, name) = (configuration.kind, &self.given.configuration);
                let authorities = held.authorities().certificates().len();
                tracing::info!(kind, name, authorities, "wrote into caBundle whom to trust");
            }
        }
        Ok(())
    }

    async fn write(&self, step: Step, found: Option<&Secret>, next: &Held) -> Result<(), Error> {
        let now = (self.given.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = timestamp::text(now.as_secs().cast_signed());
        let annotations: &[(&str, Option<String>)] = match step {
            Step::Begin => &[(ROTATE, None)],
            Step::Make | Step::Switch | Step::Renew => &[(ROTATED, now)],
            _ => &[],
        };
        let Keeper { cluster, secret, metrics, .. } = &self.given;
        match cluster.write_secret(secret, found, next.data(), annotations).await? {
            Written::Done => {
                metrics.certificate_step(step.name());
                tracing::info!(step = step.name(), %secret, "{}", sentence(step));
            }
            Written::Lost => tracing::debug!(step = step.name(), "somebody else was faster"),
        }
        Ok(())
    }

    fn complain(&mut self, error: &Error) {
        let said = error.to_string();
        self.failed();
        if self.complained.error.as_ref() != Some(&said) {
            let rights = if matches!(error, Error::Refused { code: 403, .. }) {
                "; manifests/rbac-self-managed.yaml has the rights that it takes"
            } else {
                ""
            };
            tracing::error!(error = said, "cannot look after the certificate; the last one stays in force{rights}");
        }
        self.complained.error = Some(said);
    }

    fn failed(&self) {
        self.given.metrics.certificate_failed();
    }
}

/// What a step has done, for the log.
fn sentence(step: Step) -> &'static str {
    match step {
        Step::Make => "made a CA and a certificate",
        Step::Restore => "put back what had been in the Secret",
        Step::Begin => "began a rotation: made the next CA",
        Step::Switch => "made a certificate of the next CA",
        Step::Retire => "ended a rotation: the old CA is trusted no more",
        Step::Renew => "made the next certificate of the same CA",
        Step::Publish | Step::Wait(_) => "",
    }
}
