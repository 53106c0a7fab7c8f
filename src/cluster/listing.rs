//! What stands in the cluster now, asked for once.

use std::sync::Arc;

use kube::{Api, api::ListParams};

use super::{
    Cluster, Error,
    watched::{ABOUT_NODES, Seen, Watched},
};
use crate::policy::{
    configuration::FlaggedNodes,
    nodes::{
        Constraints, Node, NodeEvent,
        objects::{EventObject, LimitRangeObject, NamespaceObject, NodeObject, ResourceQuotaObject, Texts},
    },
    operators::{DeploymentObject, Operator, Operators},
};

/// How many objects are asked for at once.
const PAGE: u32 = 500;

impl Cluster {
    /// The nodes, as far as they decide under these settings.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn nodes(&self, settings: &FlaggedNodes) -> Result<Vec<Arc<Node>>, Error> {
        let objects = self.list::<NodeObject>("list the nodes", &Api::all(self.client()), "").await?;
        Ok(objects.into_iter().map(|node| Arc::new(Node::read(node, settings))).collect())
    }

    /// The events in a namespace that can flag a node under these settings.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn node_events(&self, namespace: &str, settings: &FlaggedNodes) -> Result<Vec<NodeEvent>, Error> {
        let what = format!("list the events in the namespace {namespace}");
        let events = Api::namespaced_with(self.client(), namespace, &());
        let objects = self.list::<EventObject>(&what, &events, ABOUT_NODES).await?;
        Ok(objects.into_iter().filter_map(|event| NodeEvent::read(event, settings)).collect())
    }

    /// The controllers of the spark-operator.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn operators(&self) -> Result<Operators, Error> {
        let all = self.list::<DeploymentObject>("list the deployments", &Api::all(self.client()), "").await?;
        Ok(Operators::new(all.iter().filter_map(Operator::read).map(Arc::new).collect()))
    }

    /// The labels of a namespace; none where there is no such namespace.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn namespace_labels(&self, namespace: &str) -> Result<Option<Texts>, Error> {
        let what = format!("get the namespace {namespace}");
        let found = Api::<Seen<NamespaceObject>>::all(self.client());
        match self.answered(&what, found.get_opt(namespace)).await? {
            Some(seen) => Ok(Some(seen.object.metadata.labels)),
            None => Ok(None),
        }
    }

    /// What the limit ranges and quotas of a namespace demand.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn constraints(&self, namespace: &str) -> Result<Constraints, Error> {
        let what = |kind: &str| format!("list the {kind} in the namespace {namespace}");
        let ranges = Api::namespaced_with(self.client(), namespace, &());
        let ranges = self.list::<LimitRangeObject>(&what("limitranges"), &ranges, "").await?;
        let quotas = Api::namespaced_with(self.client(), namespace, &());
        let quotas = self.list::<ResourceQuotaObject>(&what("resourcequotas"), &quotas, "").await?;
        Ok(Constraints::read(&ranges, &quotas))
    }

    async fn list<O: Watched>(&self, what: &str, api: &Api<Seen<O>>, fields: &str) -> Result<Vec<O>, Error> {
        let mut parameters = ListParams::default().limit(PAGE).fields(fields);
        let mut all = Vec::new();
        loop {
            let page = self.answered(what, api.list(&parameters)).await?;
            all.extend(page.items.into_iter().map(|seen| seen.object));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(all),
            }
        }
    }
}
