//! An event about a node that may flag it.

use super::objects::EventObject;
use crate::policy::configuration::FlaggedNodes;
use crate::policy::values::timestamp;

/// An event about a node, of a reason, component and namespace that the settings name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEvent {
    /// Why it was written.
    pub reason: Box<str>,
    /// Who wrote it.
    pub component: Box<str>,
    /// The namespace that it stands in.
    pub namespace: Box<str>,
    /// The node's name.
    pub node: Box<str>,
    /// What it says is the node's uid: that, or the node's name, or nothing.
    pub uid: Box<str>,
    /// When it happened last, in seconds since 1970.
    pub time: i64,
}

impl NodeEvent {
    /// The event, if it can flag a node under these settings.
    #[must_use]
    pub fn read(object: EventObject, settings: &FlaggedNodes) -> Option<Self> {
        let EventObject { metadata, involved_object, reason, source, reporting_component, .. } = &object;
        let time = last_time(&object)?;
        let is_by = |component: &str| source.component == component || *reporting_component == component;
        let rule = settings.events.iter().find(|rule| rule.reason == *reason && is_by(&rule.component))?;
        let counts = involved_object.kind == "Node" && settings.event_namespaces.contains(&metadata.namespace);
        counts.then(|| Self {
            reason: rule.reason.as_str().into(),
            component: rule.component.as_str().into(),
            namespace: object.metadata.namespace.into(),
            node: object.involved_object.name.into(),
            uid: object.involved_object.uid.into(),
            time,
        })
    }
}

/// The latest of the times that an event carries: which of them are written depends on who wrote it.
fn last_time(object: &EventObject) -> Option<i64> {
    let times =
        [&object.series.last_observed_time, &object.last_timestamp, &object.event_time, &object.first_timestamp];
    let written = times.into_iter().filter_map(|time| timestamp::parse(time)).max();
    written.or_else(|| timestamp::parse(&object.metadata.creation_timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn core() -> Value {
        json!({
            "metadata": {"name": "e", "namespace": "default", "creationTimestamp": "1970-01-01T00:00:01Z"},
            "involvedObject": {"kind": "Node", "name": "a", "uid": "u"},
            "reason": "ReadOnlyFileSystemDetected",
            "source": {"component": "device-fs-monitor", "host": "a"},
            "reportingComponent": "",
            "firstTimestamp": "1970-01-01T00:00:02Z",
            "lastTimestamp": "1970-01-01T00:00:05Z",
            "eventTime": null,
            "count": 3,
        })
    }

    fn modern() -> Value {
        json!({
            "metadata": {"name": "e", "namespace": "default"},
            "regarding": {"kind": "Node", "name": "a", "uid": ""},
            "reason": "ReadOnlyFileSystemDetected",
            "reportingController": "device-fs-monitor",
            "reportingInstance": "a",
            "eventTime": "1970-01-01T00:00:05.000000Z",
            "series": {"count": 2, "lastObservedTime": "1970-01-01T00:00:07.500000Z"},
        })
    }

    fn with(mut event: Value, pointer: &str, value: &str) -> Value {
        *event.pointer_mut(pointer).unwrap() = value.into();
        event
    }

    #[test]
    #[rustfmt::skip]
    fn reads_those_that_count() {
        let read = |event: Value| {
            let event = NodeEvent::read(serde_json::from_value(event).unwrap(), &FlaggedNodes::default())?;
            Some((event.node.to_string(), event.uid.to_string(), event.time))
        };
        let of = |uid: &str, time| Some(("a".to_owned(), uid.to_owned(), time));
        let mut both = modern();
        both["deprecatedSource"] = json!({"component": "device-fs-monitor"});
        both["deprecatedLastTimestamp"] = "1970-01-01T00:00:09Z".into();
        both["reportingController"] = "".into();
        let mut timeless = core();
        timeless["firstTimestamp"] = Value::Null;
        timeless["lastTimestamp"] = Value::Null;
        for (case, event, expected) in [
            ("of v1", core(), of("u", 5)),
            ("of events.k8s.io/v1", modern(), of("", 7)),
            ("of events.k8s.io/v1, written in the old form", both, of("", 9)),
            ("without times, but of an age", timeless, of("u", 1)),
            ("the sibling reason of the same component", with(core(), "/reason", "ReadOnlyFileSystemSuspected"), None),
            ("the reason from another component", with(core(), "/source/component", "somebody"), None),
            ("of another namespace", with(core(), "/metadata/namespace", "users"), None),
            ("about a pod", with(core(), "/involvedObject/kind", "Pod"), None),
        ] {
            assert_eq!(read(event), expected, "{case}");
        }
    }
}
