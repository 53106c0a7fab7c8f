//! What the accounts of Spark's work may do, as the API server says it; and who gives them what they may.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::Value;

use super::{
    asking::Asking,
    collect::{of_rbac, read},
};
use crate::doctor::{
    ObjectName, Observed, Rule, Seen, Unseen,
    objects::{Binding, Role},
    platform::accounts,
};

/// What each account in use lacks of what its work takes.
pub(super) async fn missing(asking: &Asking, observed: &Observed) -> BTreeMap<ObjectName, Seen<Vec<Rule>>> {
    let of_account = async |(account, needed): (ObjectName, BTreeSet<Rule>)| {
        let answers = join_all(needed.iter().map(async |rule| asking.may(&account, rule).await)).await;
        let missing: Seen<Vec<_>> =
            answers.into_iter().zip(&needed).map(|(may, rule)| Ok((!may?).then(|| rule.clone()))).collect();
        (account, missing.map(|missing| missing.into_iter().flatten().collect()))
    };
    join_all(accounts::needed(observed).into_iter().map(of_account)).await.into_iter().collect()
}

/// The bindings and roles of the namespaces in which an account lacks something; nothing where none does.
pub(super) async fn given(asking: &Asking, observed: &Observed) -> (Seen<Vec<Binding>>, Seen<Vec<Role>>) {
    let lacking = observed.missing_rights.iter().filter(|(_, missing)| missing.as_ref().is_ok_and(|it| !it.is_empty()));
    let namespaces: BTreeSet<&str> = lacking.map(|(account, _)| account.namespace.as_str()).collect();
    if namespaces.is_empty() {
        return (Ok(Vec::new()), Ok(Vec::new()));
    }
    let all = async |plural: &'static str| {
        let lists = namespaces.iter().map(async |namespace| asking.list(of_rbac(plural), Some(namespace), "").await);
        merged(join_all(lists).await)
    };
    let (bindings, global, roles) =
        tokio::join!(all("rolebindings"), asking.list(of_rbac("clusterrolebindings"), None, ""), all("roles"));
    // Those of the namespace alone tell most.
    let bindings: Seen<Vec<Binding>> = read(bindings.map(|own| [own, global.unwrap_or_default()].concat()));
    let named: BTreeSet<String> = bindings
        .iter()
        .flatten()
        .filter(|binding| !binding.metadata.namespace.is_empty() && binding.role_ref.kind == "ClusterRole")
        .map(|binding| binding.role_ref.name.clone())
        .collect();
    let cluster_roles =
        join_all(named.iter().map(async |name| asking.get(of_rbac("clusterroles"), None, name).await)).await;
    let cluster_roles: Vec<Value> = cluster_roles.into_iter().flatten().flatten().collect();
    (bindings, read(roles.map(|own| [own, cluster_roles].concat())))
}

fn merged(lists: Vec<Seen<Vec<Value>>>) -> Seen<Vec<Value>> {
    let lists: Result<Vec<_>, Unseen> = lists.into_iter().collect();
    Ok(lists?.concat())
}
