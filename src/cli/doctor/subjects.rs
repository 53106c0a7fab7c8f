//! What was asked for: the resources and pods of a namespace, of all of them, or those that belong to a name.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::join_all;
use serde_json::Value;

use super::{
    asking::{Asking, Kind},
    collect::{NAMESPACES, PODS, RESOURCES, read_pods},
};
use crate::{
    doctor::{
        Asked, Observed, Seen, Unseen,
        objects::{Pod, Resource},
    },
    policy::{Policy, subject::ResourceKind},
};

/// Labels by which pods are found (pkg/common/spark.go of spark-operator 2.4.0, Constants.scala of Spark 3.5.9).
const OF_APPLICATION: &str = "sparkoperator.k8s.io/app-name";
const OF_CONNECT: &str = "sparkoperator.k8s.io/connect-name";
const OF_RUN: &str = "spark-app-selector";
/// The label on the applications of a schedule.
const OF_SCHEDULE: &str = "sparkoperator.k8s.io/scheduled-app-name";

type Subjects = (Seen<Vec<Resource>>, Seen<Vec<Pod>>);

pub(super) async fn subjects(asking: &Asking, asked: &Asked, policy: &Policy) -> Subjects {
    match (&asked.namespace, &asked.name) {
        (Some(namespace), Some(name)) => named(asking, namespace, name).await,
        (namespace, _) => all(asking, namespace.as_deref(), policy).await,
    }
}

async fn all(asking: &Asking, namespace: Option<&str>, policy: &Policy) -> Subjects {
    let notebooks = format!("labelSelector={}={}", policy.notebooks.label.key(), policy.notebooks.label.value());
    // What has succeeded is in no trouble, and stays behind by the hundred.
    let unfinished = |selector: &str| format!("{selector}&fieldSelector=status.phase!=Succeeded");
    let (spark, notebooks) = (unfinished("labelSelector=spark-role"), unfinished(&notebooks));
    let (resources, spark, notebooks) = tokio::join!(
        resources(asking, namespace, ""),
        asking.list(PODS, namespace, &spark),
        asking.list(PODS, namespace, &notebooks),
    );
    let pods = read_pods(spark).and_then(|mut spark| {
        spark.extend(read_pods(notebooks)?);
        // A notebook may have both labels.
        let mut seen = HashSet::new();
        spark.retain(|pod| seen.insert(pod.object()));
        Ok(spark)
    });
    (resources, pods)
}

async fn resources(asking: &Asking, namespace: Option<&str>, query: &str) -> Seen<Vec<Resource>> {
    let lists = RESOURCES.map(|(kind, plural)| async move { (kind, asking.list(plural, namespace, query).await) });
    let mut all = Vec::new();
    for (kind, list) in join_all(lists).await {
        all.extend(list?.into_iter().filter_map(|json| Resource::read(kind, json)));
    }
    Ok(all)
}

/// What belongs to a name, a request or two for each thing that it can be.
async fn named(asking: &Asking, namespace: &str, name: &str) -> Subjects {
    if !is_possible(name) {
        return (Ok(Vec::new()), Ok(Vec::new()));
    }
    let place = Some(namespace);
    let gets = RESOURCES.map(|(kind, plural)| async move { (kind, asking.get(plural, place, name).await) });
    let by_label = async |key: &str, value: &str| list(asking, PODS, namespace, &format!("{key}={value}")).await;
    let (resources, pod, of_application, of_connect) = tokio::join!(
        join_all(gets),
        asking.get(PODS, place, name),
        by_label(OF_APPLICATION, name),
        by_label(OF_CONNECT, name),
    );
    let found: Seen<Vec<_>> = resources.into_iter().map(|(kind, found)| Ok((kind, found?))).collect();
    let mut found: Vec<Resource> = match found {
        Ok(found) => found.into_iter().filter_map(|(kind, json)| Resource::read(kind, json?)).collect(),
        Err(unseen) => return (Err(unseen), read_pods(merged([pod.map(Vec::from_iter), of_application, of_connect]))),
    };
    if found.iter().any(|resource| resource.kind == ResourceKind::ScheduledSparkApplication) {
        let (applications, pods) = of_schedule(asking, namespace, name, &found).await;
        found.extend(applications);
        return (Ok(found), read_pods(pods));
    }
    if !found.is_empty() {
        return (Ok(found), read_pods(merged([of_application, of_connect])));
    }
    of_pod(asking, namespace, pod).await
}

/// A schedule's last application and its pods: what came before is history.
async fn of_schedule(
    asking: &Asking,
    namespace: &str,
    name: &str,
    found: &[Resource],
) -> (Vec<Resource>, Seen<Vec<Value>>) {
    let (kind, plural) = RESOURCES[0];
    let last = found.iter().find_map(|resource| resource.json["status"]["lastRunName"].as_str());
    let last = match last {
        Some(last) => asking.get(plural, Some(namespace), last).await.map(Vec::from_iter),
        None => list(asking, plural, namespace, &format!("{OF_SCHEDULE}={name}")).await,
    };
    let applications: Vec<_> = last.into_iter().flatten().filter_map(|json| Resource::read(kind, json)).collect();
    let pods = applications.iter().map(async |application| {
        list(asking, PODS, namespace, &format!("{OF_APPLICATION}={}", application.metadata.name)).await
    });
    (applications.clone(), merged(join_all(pods).await))
}

/// A pod, the resource that it was made of, and the executors of a driver.
async fn of_pod(asking: &Asking, namespace: &str, pod: Seen<Option<Value>>) -> Subjects {
    let pod = match pod {
        Ok(Some(pod)) => pod,
        Ok(None) => return (Ok(Vec::new()), Ok(Vec::new())),
        Err(unseen) => return (Ok(Vec::new()), Err(unseen)),
    };
    let label = |key: &str| pod["metadata"]["labels"][key].as_str().map(str::to_owned);
    let (application, connect, run) = (label(OF_APPLICATION), label(OF_CONNECT), label(OF_RUN));
    let owner = async || {
        let ((kind, plural), name) = match (application, connect) {
            (Some(name), _) => (RESOURCES[0], name),
            (None, Some(name)) => (RESOURCES[2], name),
            (None, None) => return Ok(None),
        };
        let json = asking.get(plural, Some(namespace), &name).await?;
        Ok(json.and_then(|json| Resource::read(kind, json)))
    };
    let is_executor = pod["metadata"]["labels"]["spark-role"] == "executor";
    let siblings = async || match run.filter(|_| !is_executor) {
        Some(run) => list(asking, PODS, namespace, &format!("{OF_RUN}={run}")).await,
        None => Ok(Vec::new()),
    };
    let (owner, siblings) = tokio::join!(owner(), siblings());
    let uid = pod["metadata"]["uid"].clone();
    let others: Vec<_> = siblings.into_iter().flatten().filter(|sibling| sibling["metadata"]["uid"] != uid).collect();
    let pods = [vec![pod], others].concat();
    (owner.map(Vec::from_iter), read_pods(Ok(pods)))
}

async fn list(asking: &Asking, kind: Kind, namespace: &str, selector: &str) -> Seen<Vec<Value>> {
    asking.list(kind, Some(namespace), &format!("labelSelector={selector}")).await
}

fn merged(lists: impl IntoIterator<Item = Seen<Vec<Value>>>) -> Seen<Vec<Value>> {
    let lists: Result<Vec<_>, Unseen> = lists.into_iter().collect();
    Ok(lists?.concat())
}

/// Whether anything can be called so: small letters, digits, hyphens and dots.
fn is_possible(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    !name.is_empty() && name.chars().all(fits) && name.len() <= 253 && name != "." && name != ".."
}

/// What to say where nothing is called as was asked, or the namespace does not exist.
pub(super) async fn unknown(asking: &Asking, observed: &Observed) -> Option<String> {
    let namespace = observed.asked.namespace.as_deref()?;
    if observed.namespaces.as_ref().is_ok_and(BTreeMap::is_empty) {
        let all = asking.list(NAMESPACES, None, "").await;
        let names = all.iter().flatten().filter_map(|object| object["metadata"]["name"].as_str());
        return Some(format!("there is no namespace \"{namespace}\"{}", did_you_mean(&near(namespace, names))));
    }
    let name = observed.asked.name.as_deref()?;
    let is_nowhere =
        observed.resources.as_ref().is_ok_and(Vec::is_empty) && observed.pods.as_ref().is_ok_and(Vec::is_empty);
    if !is_nowhere {
        return None;
    }
    let nearest = nearest(asking, namespace, name).await;
    Some(format!(
        "there is no application, Connect server, schedule or pod \"{name}\" in the namespace {namespace}{}",
        did_you_mean(&nearest)
    ))
}

fn did_you_mean(nearest: &[String]) -> String {
    match nearest {
        [] => "; without a name everything in the namespace is looked at".to_owned(),
        names => format!("; did you mean {}?", names.join(" or ")),
    }
}

/// The names that could have been meant, nearest first.
async fn nearest(asking: &Asking, namespace: &str, name: &str) -> Vec<String> {
    let place = Some(namespace);
    let kinds = RESOURCES.map(|(_, kind)| (kind, "")).into_iter().chain([(PODS, "labelSelector=spark-role")]);
    let lists = join_all(kinds.map(async |(kind, query)| asking.list(kind, place, query).await)).await;
    let names = lists.iter().flatten().flatten().filter_map(|object| object["metadata"]["name"].as_str());
    near(name, names)
}

/// Those that are like a name, or hold it, the likest first; three at most.
fn near<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let name = name.to_lowercase();
    let likeness = |other: &str| strsim::normalized_damerau_levenshtein(&name, other);
    let is_near = |(likeness, other): &(f64, &str)| *likeness > 0.6 || other.contains(&name);
    let mut near: Vec<_> = names.map(|other| (likeness(other), other)).filter(is_near).collect();
    near.sort_by(|(one, first), (other, second)| other.total_cmp(one).then_with(|| first.cmp(second)));
    near.dedup();
    near.into_iter().take(3).map(|(_, other)| other.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_what_is_like_a_name() {
        let names = ["daily-report", "daily-reports-17", "hourly", "pi"];
        for (name, expected) in [
            ("dialy-report", &["daily-report", "daily-reports-17"][..]),
            ("Daily-Report", &["daily-report", "daily-reports-17"]),
            ("report", &["daily-report", "daily-reports-17"]),
            ("houry", &["hourly"]),
            ("nothing-like-it", &[]),
        ] {
            assert_eq!(near(name, names.into_iter()), expected, "{name}");
        }
    }

    #[test]
    fn knows_what_can_be_a_name() {
        for (name, expected) in
            [("pi-1.2", true), ("", false), ("Pi", false), ("..", false), ("a/b", false), ("a?b", false)]
        {
            assert_eq!(is_possible(name), expected, "{name}");
        }
    }
}
