//! Keeps the snapshot of the cluster current: composes it of what the watches know, whenever that makes a difference.
//!
//! Promised: a snapshot is made of complete lists only; node data that has not been in sync for the policy's `staleAfter` is not in it,
//! nor is any where it is not known which namespaces demand limits.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::FutureExt as _;
use kube::Api;
use tokio::sync::{Notify, watch as channel};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Cluster, Platform,
    watch::{Freshness, Known, Watch},
    watched::{ABOUT_NODES, Watched},
};
use crate::{
    metrics::Metrics,
    policy::{
        Policy, Snapshot,
        configuration::FlaggedNodes,
        lookup::Answers,
        nodes::{
            Constraints, Node, NodeEvent, Nodes,
            objects::{LimitRangeObject, NamespaceObject, ResourceQuotaObject, Texts},
        },
        operators::{DeploymentObject, Operator, Operators},
    },
};

/// How long a snapshot is used at most: the clock may have been set.
const LOOK: Duration = Duration::from_mins(1);

/// How often things are done. A test is in more of a hurry.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How far apart two snapshots are at least.
    pub gather: Duration,
    /// After how many seconds a request that watches is ended, and followed by another one.
    pub watch_seconds: u32,
    /// How often it is looked what the cluster serves.
    pub platform: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { gather: Duration::from_millis(100), watch_seconds: 60, platform: Duration::from_mins(10) }
    }
}

/// What snapshots are made of, and for whom.
pub struct Snapshots {
    /// The cluster.
    pub cluster: Cluster,
    /// What the cluster is, as it was seen at the start.
    pub platform: Platform,
    /// The policy in force.
    pub policy: Box<dyn Fn() -> Arc<Policy> + Send>,
    /// Told when it is another one.
    pub policy_changed: channel::Receiver<()>,
    /// Takes each snapshot.
    pub publish: Box<dyn Fn(Snapshot) + Send>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// How often things are done.
    pub pace: Pace,
}

/// Tells when every watch has once been in sync, or is not allowed to.
pub type FirstSync = channel::Receiver<bool>;

impl Snapshots {
    /// Watches the cluster and publishes snapshots for ever.
    #[must_use]
    pub fn start(self) -> FirstSync {
        let (platform, seen) = channel::channel(self.platform);
        tokio::spawn(Platform::follow(self.cluster.clone(), self.pace.platform, platform));
        let (synced, first_sync) = channel::channel(false);
        tokio::spawn(Composer::new(self, seen, synced).run());
        first_sync
    }
}

/// A watch that runs as long as this lives.
struct Watching<T> {
    known: Arc<Known<T>>,
    _task: AbortOnDropHandle<()>,
}

struct Composer {
    given: Snapshots,
    platform: channel::Receiver<Platform>,
    synced: channel::Sender<bool>,
    changed: Arc<Notify>,
    /// The settings that nodes and events are watched by.
    settings: FlaggedNodes,
    nodes: Watching<Node>,
    /// By namespace.
    events: BTreeMap<String, Watching<NodeEvent>>,
    namespaces: Watching<Texts>,
    limit_ranges: Watching<Constraints>,
    quotas: Watching<Constraints>,
    operators: Watching<Operator>,
    /// What snapshots share as long as it is the same.
    labels: Shared<Texts>,
    constraints: Shared<Constraints>,
    /// The nodes of the last snapshot, with what they were made of.
    made: Option<MadeNodes>,
    /// Whether the last snapshot had nodes.
    has_nodes: bool,
}

/// Something by namespace, with the generations that it was made of.
struct Shared<T> {
    generations: [u64; 2],
    all: Arc<HashMap<String, T>>,
}

/// Nodes, which are the same while nothing that they were made of is another, and until one of their flags ends.
struct MadeNodes {
    at: i64,
    generations: Vec<u64>,
    settings: FlaggedNodes,
    nodes: Arc<Nodes>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { generations: [0; 2], all: Arc::default() }
    }
}

impl Composer {
    fn new(given: Snapshots, platform: channel::Receiver<Platform>, synced: channel::Sender<bool>) -> Self {
        let settings = (given.policy)().flagged_nodes.clone();
        let changed = Arc::new(Notify::new());
        let mut composer = Self {
            nodes: given.watch_nodes(Known::new(&changed), &settings),
            events: BTreeMap::new(),
            namespaces: given.watch(None, Known::new(&changed), |it: NamespaceObject| Some(it.metadata.labels)),
            limit_ranges: given.watch(None, Known::new(&changed), |it: LimitRangeObject| demands(&[it], &[])),
            quotas: given.watch(None, Known::new(&changed), |it: ResourceQuotaObject| demands(&[], &[it])),
            operators: given.watch(None, Known::new(&changed), |it: DeploymentObject| Operator::read(&it)),
            labels: Shared::default(),
            constraints: Shared::default(),
            made: None,
            has_nodes: false,
            given,
            platform,
            synced,
            changed,
            settings,
        };
        composer.watch_events();
        composer
    }

    async fn run(mut self) {
        loop {
            let composed = Instant::now();
            let look = self.compose();
            tokio::select! {
                () = self.changed.notified() => {}
                Ok(()) = self.platform.changed() => {}
                Ok(()) = self.given.policy_changed.changed() => self.follow_policy(),
                () = tokio::time::sleep(look) => {}
            }
            tokio::time::sleep_until((composed + self.given.pace.gather).into()).await;
            // What has come meanwhile is in the next one.
            let _ = self.changed.notified().now_or_never();
        }
    }

    /// Starts the watches anew that the policy shapes, where it has changed that; until they have listed everything, what they knew
    /// stays in use. Events of a namespace that no longer counts are forgotten at once.
    fn follow_policy(&mut self) {
        let settings = (self.given.policy)().flagged_nodes.clone();
        if settings == self.settings {
            return;
        }
        self.settings = settings;
        self.nodes = self.given.watch_nodes(Arc::clone(&self.nodes.known), &self.settings);
        self.watch_events();
    }

    fn watch_events(&mut self) {
        let mut before = std::mem::take(&mut self.events);
        for namespace in &self.settings.event_namespaces {
            let known = before.remove(namespace).map_or_else(|| Known::new(&self.changed), |it| Arc::clone(&it.known));
            self.events.insert(namespace.clone(), self.given.watch_events(namespace, known, &self.settings));
        }
    }

    /// Publishes what is known now, and returns when to look again if nothing happens.
    fn compose(&mut self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (usable, stale_in) = self.usable();
        let nodes = usable.then(|| self.nodes_at(now));
        let Platform { openshift, karpenter } = *self.platform.borrow_and_update();
        let snapshot = Snapshot {
            openshift,
            karpenter,
            namespaces: self.labels(),
            nodes: nodes.clone(),
            constraints: self.constraints(),
            operators: self.operators(),
            answers: Answers::default(),
        };
        (self.given.publish)(snapshot);
        // Only now: what is said and measured is what pods are decided on by.
        self.say(nodes.as_deref());
        self.measure(nodes.as_deref());
        if self.freshness().iter().all(|(_, freshness)| *freshness != Freshness::Never) {
            self.synced.send_if_modified(|synced| !std::mem::replace(synced, true));
        }
        next_look(now, stale_in, nodes.as_deref())
    }

    /// Every watch by its kind, and how fresh what it knows is.
    fn freshness(&self) -> Vec<(&'static str, Freshness)> {
        let mut all = vec![
            ("nodes", self.nodes.known.freshness()),
            ("limitranges", self.limit_ranges.known.freshness()),
            ("resourcequotas", self.quotas.known.freshness()),
            ("namespaces", self.namespaces.known.freshness()),
            ("deployments", self.operators.known.freshness()),
        ];
        all.extend(self.events.values().map(|events| ("events", events.known.freshness())));
        all
    }

    /// Whether node data may be used, and in what time it no longer may. Without knowing who demands limits nobody could take any off.
    fn usable(&self) -> (bool, Option<Duration>) {
        let needed = [&self.limit_ranges.known, &self.quotas.known].map(|known| known.freshness());
        let mut stale_in = None;
        for freshness in needed.into_iter().chain([self.nodes.known.freshness()]) {
            match (freshness, self.usable_for(freshness)) {
                (_, None) => return (false, None),
                (Freshness::Until(_), Some(left)) => {
                    stale_in = Some(stale_in.map_or(left, |other: Duration| other.min(left)));
                }
                _ => {}
            }
        }
        (true, stale_in)
    }

    /// For how long something may still be used if nothing more is seen of it; none where it no longer may, or where nothing is known.
    fn usable_for(&self, freshness: Freshness) -> Option<Duration> {
        let stale_after = Duration::from_secs(self.settings.stale_after.seconds().unsigned_abs());
        match freshness {
            Freshness::Now => Some(stale_after),
            Freshness::Never | Freshness::Forbidden => None,
            Freshness::Until(then) => Some(stale_after.saturating_sub(then.elapsed())).filter(|left| !left.is_zero()),
        }
    }

    /// The operators, as long as what is known of them may be used.
    fn operators(&self) -> Option<Arc<Operators>> {
        let known = &self.operators.known;
        self.usable_for(known.freshness())?;
        Some(Arc::new(Operators::new(known.all().into_iter().map(|(_, operator)| operator).collect())))
    }

    /// What a quota has left changes with every pod: the nodes, of which there are many, are not made anew for that.
    fn nodes_at(&mut self, now: Duration) -> Arc<Nodes> {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let (now, look) = (seconds(now), seconds(LOOK));
        let of_events = self.events.values().map(|events| events.known.generation());
        let generations: Vec<_> = [self.nodes.known.generation()].into_iter().chain(of_events).collect();
        let is_same = |made: &&MadeNodes| {
            made.generations == generations
                && made.settings == self.settings
                && (0..look).contains(&(now - made.at))
                && made.nodes.next_expiry().is_none_or(|expiry| now < expiry)
        };
        if let Some(made) = self.made.as_ref().filter(is_same) {
            return Arc::clone(&made.nodes);
        }
        let nodes = self.nodes.known.all().into_iter().map(|(_, node)| node).collect();
        let events = self.events.values().flat_map(|events| events.known.all());
        let events: Vec<_> = events.map(|(_, event)| NodeEvent::clone(&event)).collect();
        let nodes = Arc::new(Nodes::new(nodes, &events, &self.settings, now));
        self.made =
            Some(MadeNodes { at: now, generations, settings: self.settings.clone(), nodes: Arc::clone(&nodes) });
        nodes
    }

    /// Says once that nodes have come to be known, or no longer are.
    fn say(&mut self, nodes: Option<&Nodes>) {
        let had_nodes = std::mem::replace(&mut self.has_nodes, nodes.is_some());
        match nodes {
            Some(nodes) if !had_nodes => {
                tracing::info!(
                    nodes = nodes.len(),
                    flagged = nodes.flagged().count(),
                    "the nodes of the cluster are known"
                );
            }
            None if had_nodes => tracing::warn!(
                stale_after_seconds = self.settings.stale_after.seconds(),
                "the nodes of the cluster have not been seen for too long: no pod is changed on their account until they are known again"
            ),
            _ => {}
        }
    }

    fn measure(&self, nodes: Option<&Nodes>) {
        let all = self.freshness();
        for kind in Metrics::WATCHED {
            let is_in_sync = |(its, freshness): &(_, _)| *its != kind || *freshness == Freshness::Now;
            self.given.metrics.in_sync(kind, all.iter().all(is_in_sync));
        }
        self.given.metrics.composed(nodes);
    }

    fn labels(&mut self) -> Arc<HashMap<String, Texts>> {
        let generations = [self.namespaces.known.generation(), 0];
        if generations != self.labels.generations {
            let all = self.namespaces.known.all().into_iter();
            let all = all.map(|(key, labels)| (name(&key).to_owned(), Texts::clone(&labels))).collect();
            self.labels = Shared { generations, all: Arc::new(all) };
        }
        Arc::clone(&self.labels.all)
    }

    fn constraints(&mut self) -> Arc<HashMap<String, Constraints>> {
        let generations = [self.limit_ranges.known.generation(), self.quotas.known.generation()];
        if generations != self.constraints.generations {
            let mut all = HashMap::<String, Constraints>::new();
            for (key, demands) in self.limit_ranges.known.all().into_iter().chain(self.quotas.known.all()) {
                all.entry(namespace(&key).to_owned()).or_default().add(&demands);
            }
            self.constraints = Shared { generations, all: Arc::new(all) };
        }
        Arc::clone(&self.constraints.all)
    }
}

impl Snapshots {
    fn watch<O: Watched, T: PartialEq + Send + Sync + 'static>(
        &self,
        namespace: Option<&str>,
        known: Arc<Known<T>>,
        keep: impl Fn(O) -> Option<T> + Send + Sync + 'static,
    ) -> Watching<T> {
        let client = self.cluster.client();
        let watch = Watch {
            api: namespace.map_or_else(|| Api::all(client.clone()), |it| Api::namespaced_with(client.clone(), it, &())),
            fields: namespace.map(|_| ABOUT_NODES.to_owned()),
            seconds: self.pace.watch_seconds,
            metrics: Arc::clone(&self.metrics),
        };
        let task = watch.start(Arc::clone(&known), keep);
        Watching { known, _task: AbortOnDropHandle::new(task) }
    }

    fn watch_nodes(&self, known: Arc<Known<Node>>, settings: &FlaggedNodes) -> Watching<Node> {
        let settings = settings.clone();
        self.watch(None, known, move |node| Some(Node::read(node, &settings)))
    }

    fn watch_events(
        &self,
        namespace: &str,
        known: Arc<Known<NodeEvent>>,
        settings: &FlaggedNodes,
    ) -> Watching<NodeEvent> {
        let settings = settings.clone();
        self.watch(Some(namespace), known, move |event| NodeEvent::read(event, &settings))
    }
}

/// In what time something changes by itself: node data is too old, or an event has flagged a node for long enough.
fn next_look(now: Duration, stale_in: Option<Duration>, nodes: Option<&Nodes>) -> Duration {
    let expiry = nodes.and_then(Nodes::next_expiry).and_then(|expiry| u64::try_from(expiry).ok());
    let expires_in = expiry.map(|expiry| Duration::from_secs(expiry).saturating_sub(now));
    [stale_in, expires_in].into_iter().flatten().fold(LOOK, Duration::min)
}

/// What they demand; nothing is not kept.
fn demands(limit_ranges: &[LimitRangeObject], quotas: &[ResourceQuotaObject]) -> Option<Constraints> {
    Some(Constraints::read(limit_ranges, quotas)).filter(|demands| !demands.is_empty())
}

/// What stands before the slash of `namespace/name`.
fn namespace(key: &str) -> &str {
    key.split_once('/').map_or(key, |(namespace, _)| namespace)
}

/// What stands behind the slash of `namespace/name`.
fn name(key: &str) -> &str {
    key.split_once('/').map_or(key, |(_, name)| name)
}
