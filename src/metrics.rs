//! What Prometheus may ask: reviews, mutations, connections, reloads, and what is known of the cluster.
//!
//! Promised: no label takes its value from users' input (all are `&'static str` of closed sets), and counting a review
//! allocates nothing once its labels have been seen.

use std::{
    sync::{OnceLock, atomic::AtomicU64},
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use crate::{
    policy::{
        Mutation,
        lookup::Question,
        nodes::{Flag, Nodes},
        outcome::{Outcome, Skip},
    },
    review::{Endpoint, Record},
};

/// Upper bounds of the latency histogram, in seconds: from 50 us, where most reviews end, to the API server's patience.
const LATENCY_BUCKETS: [f64; 14] =
    [50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 25e-3, 100e-3, 500e-3, 1.0, 5.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    endpoint: &'static str,
    operation: &'static str,
    resource: &'static str,
    role: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MutationLabels {
    mutation: &'static str,
    result: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    check: &'static str,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabel {
    step: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookupLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    what: &'static str,
    result: &'static str,
}

/// How mutations ended. A review counts up to seven, and to hash three texts for each takes longer than all other metrics together
/// (measured: 0.22 of 0.28 us), so each counter is looked up once and then has a place.
#[derive(Debug)]
struct Mutations {
    family: Family<MutationLabels, Counter>,
    places: Vec<OnceLock<Counter>>,
}

/// Applied, observed, and each reason to skip.
const OUTCOMES: usize = 2 + Skip::ALL.len();

impl Default for Mutations {
    fn default() -> Self {
        let places = (0..Mutation::ALL.len() * OUTCOMES).map(|_| OnceLock::new()).collect();
        Self { family: Family::default(), places }
    }
}

impl Mutations {
    fn counter(&self, mutation: Mutation, outcome: Outcome) -> &Counter {
        let place = match outcome {
            Outcome::Applied => 0,
            Outcome::Observed => 1,
            Outcome::Skipped(reason) => 2 + reason as usize,
        };
        self.places[mutation as usize * OUTCOMES + place].get_or_init(|| {
            let (mutation, result, reason) = (mutation.name(), outcome.name(), outcome.reason());
            self.family.get_or_create_owned(&MutationLabels { mutation, result, reason })
        })
    }
}

/// What can be reloaded while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The administrator's policy file.
    Policy,
    /// The server's certificate and key.
    Certificate,
    /// The CA that clients' certificates are checked with.
    ClientCa,
}

impl Reloaded {
    /// The name in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Certificate => "certificate",
            Self::ClientCa => "client-ca",
        }
    }
}

/// Of a gauge that is absent until something is known.
type NoLabels = [(&'static str, &'static str); 0];

/// All metrics and the registry that writes them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reviews: Family<ReviewLabels, Counter>,
    mutations: Mutations,
    findings: Family<FindingLabels, Counter>,
    refused: Family<ReasonLabel, Counter>,
    duration: Histogram,
    in_flight: Gauge,
    connections: Gauge,
    evicted: Counter,
    handshakes_failed: Family<ReasonLabel, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    not_after: Gauge<f64, AtomicU64>,
    authority_not_after: Family<NoLabels, Gauge<f64, AtomicU64>>,
    rotated: Family<NoLabels, Gauge<f64, AtomicU64>>,
    certificate_failed: Gauge<f64, AtomicU64>,
    certificate_steps: Family<StepLabel, Counter>,
    panics: Counter,
    nodes: Gauge,
    nodes_known: Gauge,
    nodes_flagged: Family<ReasonLabel, Gauge>,
    in_sync: Family<KindLabel, Gauge>,
    watched: Family<KindLabel, Gauge<f64, AtomicU64>>,
    snapshots: Counter,
    lookups: Family<LookupLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("spark_admission"),
            reviews: Family::default(),
            mutations: Mutations::default(),
            findings: Family::default(),
            refused: Family::default(),
            duration: Histogram::new(LATENCY_BUCKETS),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            evicted: Counter::default(),
            handshakes_failed: Family::default(),
            reloads: Family::default(),
            not_after: Gauge::default(),
            authority_not_after: Family::default(),
            rotated: Family::default(),
            certificate_failed: Gauge::default(),
            certificate_steps: Family::default(),
            panics: Counter::default(),
            nodes: Gauge::default(),
            nodes_known: Gauge::default(),
            nodes_flagged: Family::default(),
            in_sync: Family::default(),
            watched: Family::default(),
            snapshots: Counter::default(),
            lookups: Family::default(),
        };
        metrics.register();
        metrics.start_at_zero();
        metrics
    }
}

impl Metrics {
    /// The kinds of objects that are watched in a cluster.
    pub const WATCHED: [&'static str; 6] =
        ["nodes", "events", "namespaces", "limitranges", "resourcequotas", "deployments"];

    /// The steps of who looks after a self-managed certificate.
    pub const CERTIFICATE_STEPS: [&'static str; 7] =
        ["make", "restore", "publish", "begin", "switch", "retire", "renew"];

    fn register(&mut self) {
        let all = &mut self.registry;
        all.register(
            "reviews",
            "Reviews answered, by endpoint, operation, resource, role and outcome",
            self.reviews.clone(),
        );
        all.register(
            "mutations",
            "Mutations looked at, by result (applied, skipped, observed) and reason",
            self.mutations.family.clone(),
        );
        all.register(
            "findings",
            "What checks found, by check and what came of it (denied, spared, warned, observed)",
            self.findings.clone(),
        );
        all.register("requests_refused", "Requests that ended without a review, by reason", self.refused.clone());
        all.register(
            "review_duration_seconds",
            "From the whole request read to its answer made",
            self.duration.clone(),
        );
        all.register("reviews_in_flight", "Reviews being read or answered", self.in_flight.clone());
        all.register("connections_open", "Open connections to the webhook's port", self.connections.clone());
        all.register("connections_evicted", "Idle connections closed to make room for new ones", self.evicted.clone());
        all.register("tls_handshakes_failed", "TLS handshakes that failed, by reason", self.handshakes_failed.clone());
        all.register("reloads", "Reloads of files, by what was reloaded and the result", self.reloads.clone());
        all.register(
            "certificate_not_after_timestamp_seconds",
            "When the server's certificate expires (Unix time)",
            self.not_after.clone(),
        );
        all.register(
            "certificate_authority_not_after_timestamp_seconds",
            "When the CA expires that signed the server's certificate, where that is known (Unix time)",
            self.authority_not_after.clone(),
        );
        all.register(
            "certificate_rotated_timestamp_seconds",
            "When the server's certificate was made or taken last, where that is known (Unix time)",
            self.rotated.clone(),
        );
        all.register(
            "certificate_last_failure_timestamp_seconds",
            "When the server's certificate could last not be looked after or reloaded; 0 if that was never so (Unix time)",
            self.certificate_failed.clone(),
        );
        all.register(
            "certificate_steps",
            "What this replica did about a self-managed certificate, by step",
            self.certificate_steps.clone(),
        );
        all.register("panics", "Panics caught; each cost one review at most", self.panics.clone());
        all.register("nodes", "Nodes in the snapshot by which pods are decided on", self.nodes.clone());
        all.register(
            "nodes_known",
            "Whether the nodes are known; 0 while they have not been in sync for too long",
            self.nodes_known.clone(),
        );
        all.register("nodes_flagged", "Nodes that are flagged, by what flags them", self.nodes_flagged.clone());
        all.register(
            "watch_in_sync",
            "Whether what is known is what stands in the cluster, by kind",
            self.in_sync.clone(),
        );
        all.register(
            "watch_last_event_timestamp_seconds",
            "When a watch last brought something, by kind (Unix time)",
            self.watched.clone(),
        );
        all.register("snapshots", "Snapshots of the cluster that were composed", self.snapshots.clone());
        all.register(
            "lookups",
            "Questions asked of the cluster for a review, by kind and result (yes, no, unclear, timeout, forbidden, failed)",
            self.lookups.clone(),
        );
        all.register("build", "The running version", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    }

    /// What an alert asks for must be there before it happens: an increase from nothing to 1 is none to Prometheus.
    fn start_at_zero(&self) {
        for what in [Reloaded::Policy, Reloaded::Certificate, Reloaded::ClientCa] {
            for result in ["ok", "failed"] {
                drop(self.reloads.get_or_create(&ReloadLabels { what: what.name(), result }));
            }
        }
        for step in Self::CERTIFICATE_STEPS {
            drop(self.certificate_steps.get_or_create(&StepLabel { step }));
        }
        for kind in Question::KINDS {
            for result in ["timeout", "forbidden", "failed"] {
                drop(self.lookups.get_or_create(&LookupLabels { kind, result }));
            }
        }
        for reason in Flag::NAMES {
            drop(self.nodes_flagged.get_or_create(&ReasonLabel { reason }));
        }
    }

    /// Counts an answered review.
    pub fn reviewed(&self, endpoint: Endpoint, record: &Record, seconds: f64) {
        let Record { operation, resource, role, outcome, .. } = *record;
        let role = role.unwrap_or("none");
        self.reviews
            .get_or_create(&ReviewLabels { endpoint: endpoint.name(), operation, resource, role, outcome })
            .inc();
        for (mutation, outcome) in &record.mutations {
            self.mutations.counter(*mutation, *outcome).inc();
        }
        for (check, verdict) in &record.findings {
            self.findings.get_or_create(&FindingLabels { check: check.name(), verdict: verdict.name() }).inc();
        }
        if record.panicked {
            self.panics.inc();
        }
        self.duration.observe(seconds);
    }

    /// Counts a request that ended without a review.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a review as being worked on until the guard is dropped.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// The gauge of open connections.
    #[must_use]
    pub fn connections(&self) -> &Gauge {
        &self.connections
    }

    /// Counts a connection that was closed to make room.
    pub fn evicted(&self) {
        self.evicted.inc();
    }

    /// Counts a failed TLS handshake.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshakes_failed.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a reload.
    pub fn reloaded(&self, what: Reloaded, good: bool) {
        let result = if good { "ok" } else { "failed" };
        self.reloads.get_or_create(&ReloadLabels { what: what.name(), result }).inc();
        if !good && what == Reloaded::Certificate {
            self.certificate_failed();
        }
    }

    /// Says of the certificate in force when it expires, when the CA does that signed it, and when it was made or taken; in seconds since
    /// 1970, as far as they are known.
    pub fn certificate_in_force(&self, not_after: i64, authority_not_after: Option<i64>, rotated: Option<i64>) {
        self.not_after.set(seconds(not_after));
        for (gauge, known) in [(&self.authority_not_after, authority_not_after), (&self.rotated, rotated)] {
            if let Some(known) = known {
                gauge.get_or_create(&[]).set(seconds(known));
            }
        }
    }

    /// Says that the certificate could just now not be looked after.
    pub fn certificate_failed(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.certificate_failed.set(now.as_secs_f64());
    }

    /// Counts a step that this replica has done.
    pub fn certificate_step(&self, step: &'static str) {
        self.certificate_steps.get_or_create(&StepLabel { step }).inc();
    }

    /// Counts a panic that the server caught.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Says whether what is known of a kind is what stands in the cluster.
    pub fn in_sync(&self, kind: &'static str, is_in_sync: bool) {
        self.in_sync.get_or_create(&KindLabel { kind }).set(is_in_sync.into());
    }

    /// Counts a question that was asked for a review.
    pub fn looked_up(&self, kind: &'static str, result: &'static str) {
        self.lookups.get_or_create(&LookupLabels { kind, result }).inc();
    }

    /// Says that a watch has just brought something.
    pub fn watched(&self, kind: &'static str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.watched.get_or_create(&KindLabel { kind }).set(now.as_secs_f64());
    }

    /// Counts a snapshot, and says what nodes are in it. A node that two things flag counts for both.
    pub fn composed(&self, nodes: Option<&Nodes>) {
        self.snapshots.inc();
        self.nodes.set(nodes.map_or(0, |nodes| i64::try_from(nodes.len()).unwrap_or(i64::MAX)));
        self.nodes_known.set(nodes.is_some().into());
        for reason in Flag::NAMES {
            let is_flagged = |(_, flags): &(_, &[Flag])| flags.iter().any(|flag| flag.name() == reason);
            let count = nodes.map_or(0, |nodes| nodes.flagged().filter(is_flagged).count());
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.nodes_flagged.get_or_create(&ReasonLabel { reason }).set(count);
        }
    }

    /// All metrics in the `OpenMetrics` text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(std::fmt::Error) => String::new(),
        }
    }
}

/// Seconds since 1970 as Prometheus has numbers.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit an f64 exactly for 285 million years")]
fn seconds(unix: i64) -> f64 {
    unix as f64
}

/// Takes a review out of the gauge when it ends, however it ends.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_the_certificate_is_absent() {
        let metrics = Metrics::default();
        let ca = "\nspark_admission_certificate_authority_not_after_timestamp_seconds";
        metrics.certificate_in_force(1, None, None);
        assert!(!metrics.text().contains(ca), "{}", metrics.text());
        metrics.certificate_in_force(1, Some(2), None);
        assert!(metrics.text().contains(&format!("{ca}{{}} 2")), "{}", metrics.text());
    }

    #[test]
    fn every_mutation_has_a_counter_for_every_outcome() {
        let metrics = Metrics::default();
        let skipped = Skip::ALL.iter().copied().map(Outcome::Skipped);
        let outcomes: Vec<_> = [Outcome::Applied, Outcome::Observed].into_iter().chain(skipped).collect();
        for mutation in Mutation::ALL {
            for outcome in &outcomes {
                metrics.mutations.counter(mutation, *outcome).inc();
            }
        }
        let text = metrics.text();
        for mutation in Mutation::ALL {
            for outcome in &outcomes {
                let (mutation, result, reason) = (mutation.name(), outcome.name(), outcome.reason());
                let labels = format!("{{mutation=\"{mutation}\",result=\"{result}\",reason=\"{reason}\"}}");
                assert!(text.contains(&format!("spark_admission_mutations_total{labels} 1\n")), "{labels}");
            }
        }
    }
}
