//! Puts the policy's label on flagged nodes, and takes it back, where the policy says `labelFlaggedNodes`.
//!
//! Every replica does the same, and twice is as good as once. What stands on a node is looked at again by the API server before a
//! label goes, so that one which an administrator has set meanwhile stays.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderValue, Method, Request, header};
use serde_json::json;

use super::{Cluster, Error};
use crate::policy::{
    Policy,
    nodes::{DETECTED, Labelling, Nodes},
};

/// How long to wait when a node could not be labelled: the right to is missing, mostly.
const AGAIN: Duration = Duration::from_mins(1);

/// Labels what is flagged, for ever. `known` tells the policy in force and the nodes, where they are known.
pub async fn follow(cluster: Cluster, every: Duration, known: impl Fn() -> (Arc<Policy>, Option<Arc<Nodes>>)) {
    let mut complained = false;
    loop {
        let (policy, nodes) = known();
        let settings = &policy.flagged_nodes;
        let due = nodes.as_ref().map(|nodes| nodes.labelling(settings)).unwrap_or_default();
        let mut failed = None;
        for labelling in due {
            match label(&cluster, &settings.label, labelling).await {
                // Gone, or an administrator has set a label meanwhile: the next snapshot will show it.
                Ok(()) | Err(Error::Refused { code: 404 | 422, .. }) => {}
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if let (Some(error), false) = (&failed, complained) {
            tracing::error!(%error, "cannot label flagged nodes: give this account the rights of manifests/rbac-label-flagged-nodes.yaml");
        }
        complained = failed.is_some();
        tokio::time::sleep(if complained { AGAIN } else { every }).await;
    }
}

async fn label(cluster: &Cluster, key: &str, labelling: Labelling<'_>) -> Result<(), Error> {
    let path = format!("/metadata/labels/{}", key.replace('~', "~0").replace('/', "~1"));
    let (node, content_type, body) = match labelling {
        Labelling::Add(node) => {
            (node, "application/merge-patch+json", json!({"metadata": {"labels": {key: DETECTED}}}))
        }
        Labelling::Remove(node) => (
            node,
            "application/json-patch+json",
            json!([{"op": "test", "path": path, "value": DETECTED}, {"op": "remove", "path": path}]),
        ),
    };
    let mut request = Request::new(body.to_string().into_bytes());
    *request.method_mut() = Method::PATCH;
    *request.uri_mut() = format!("/api/v1/nodes/{node}").parse().map_err(|_| Error::Name { name: node.to_owned() })?;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    cluster.ask(&format!("label the node {node}"), request).await?;
    match labelling {
        Labelling::Add(_) => tracing::info!(node, key, "labelled a flagged node"),
        Labelling::Remove(_) => tracing::info!(node, key, "nothing flags the node any more: took the label back"),
    }
    Ok(())
}
