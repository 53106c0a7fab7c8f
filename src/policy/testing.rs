//! Samples of Spark work for the tables in the mutations' tests: a base of each kind, and what a case changes in it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::check::Level;
use super::configuration::FlaggedNodes;
use super::document::Document;
use super::field_path::Step;
use super::lookup::{Question, questions};
use super::nodes::{Node, Nodes};
use super::operators::{Operator, Operators};
use super::outcome::Outcome;
use super::plan::Change;
use super::request::{Operation, Request};
use super::{Check, Decision, Judgement, Mutation, Policy, Snapshot, decide, judge};

/// One object under review, and what surrounds it.
#[derive(Clone)]
pub(crate) struct Sample {
    group: &'static str,
    kind: &'static str,
    pub(crate) object: Value,
    old: Option<Value>,
    pub(crate) policy: Box<Policy>,
    pub(crate) snapshot: Snapshot,
}

/// A driver as Spark 3.5 sends it, with what decides.
pub(crate) fn driver() -> Sample {
    pod("driver", "spark-kubernetes-driver", "driver")
}

/// An executor as Spark 3.5 sends it.
pub(crate) fn executor() -> Sample {
    pod("executor", "spark-kubernetes-executor", "executor")
}

/// The server pod that operator 2.4.0 makes of a `SparkConnect`, with further arguments.
pub(crate) fn connect_server(arguments: &str) -> Sample {
    let script =
        format!("${{SPARK_HOME}}/sbin/start-connect-server.sh --master k8s://https://10.0.0.1:443 {arguments}");
    pod("connect-server", "spark-kubernetes-driver", "")
        .with("/spec/containers/0/command", json!(["bash", "-c"]))
        .with("/spec/containers/0/args", json!([script]))
        .with("/metadata/labels/sparkoperator.k8s.io~1launched-by-spark-operator", "true")
}

/// A user's own pod that the policy's label calls a notebook.
pub(crate) fn notebook() -> Sample {
    let mut sample = pod("", "notebook", "");
    sample.object["metadata"]["labels"] = json!({"spark-admission.io/notebook": "true"});
    sample.object["spec"]["containers"][0] =
        json!({"name": "notebook", "image": "quay.io/jupyter/pyspark-notebook:latest"});
    sample
}

fn pod(role: &str, container: &str, argument: &str) -> Sample {
    Sample {
        group: "",
        kind: "Pod",
        object: json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pi", "labels": {"spark-role": role}},
            "spec": {"containers": [{"name": container, "image": "apache/spark:3.5.7", "args": [argument]}]},
        }),
        old: None,
        policy: Box::default(),
        snapshot: Snapshot::default(),
    }
}

/// A small `SparkApplication`.
pub(crate) fn application() -> Sample {
    resource(
        "SparkApplication",
        &json!({"type": "Scala", "image": "apache/spark:3.5.7", "sparkVersion": "3.5.7", "driver": {"memory": "512m"}, "executor": {"memory": "512m"}}),
    )
}

/// A schedule of small applications.
pub(crate) fn scheduled() -> Sample {
    let template = application().object["spec"].clone();
    resource("ScheduledSparkApplication", &json!({"schedule": "@hourly", "template": template}))
}

/// A `SparkConnect` of Spark 3.5.7 that lacks nothing but the package.
pub(crate) fn spark_connect() -> Sample {
    let template = json!({"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}});
    resource(
        "SparkConnect",
        &json!({"image": "apache/spark:3.5.7", "sparkVersion": "3.5.7", "server": {}, "executor": {"template": template}}),
    )
}

fn resource(kind: &'static str, spec: &Value) -> Sample {
    Sample {
        group: "sparkoperator.k8s.io",
        kind,
        object: json!({"kind": kind, "metadata": {"name": "pi"}, "spec": spec}),
        ..pod("", "", "")
    }
}

impl Sample {
    /// The same with a value at a JSON pointer, parents made where they are missing; null takes the member away.
    pub(crate) fn with(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        put(&mut self.object, pointer, value.into());
        self
    }

    /// The same with an element more in the list at a JSON pointer.
    pub(crate) fn and(self, pointer: &str, element: Value) -> Self {
        let mut list = self.object.pointer(pointer).cloned().unwrap_or(json!([]));
        list.as_array_mut().unwrap().push(element);
        self.with(pointer, list)
    }

    /// The same under a policy that says only this of `mutations`.
    pub(crate) fn under(mut self, mutations: &str) -> Self {
        let text = format!("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nmutations: {{{mutations}}}");
        self.policy = Box::new(Policy::parse(&text).unwrap());
        self
    }

    /// The same on OpenShift.
    pub(crate) fn on_openshift(mut self) -> Self {
        self.snapshot.openshift = true;
        self
    }

    /// The same under a policy that says only this of `flaggedNodes`.
    pub(crate) fn under_flagged(mut self, flagged_nodes: &str) -> Self {
        let text = format!("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nflaggedNodes: {{{flagged_nodes}}}");
        self.policy = Box::new(Policy::parse(&text).unwrap());
        self
    }

    /// The same on a cluster of these nodes, by the default settings.
    pub(crate) fn on(mut self, nodes: Vec<Value>) -> Self {
        let settings = FlaggedNodes::default();
        let node = |node: Value| Arc::new(Node::read(serde_json::from_value(node).unwrap(), &settings));
        self.snapshot.nodes = Some(Arc::new(Nodes::new(nodes.into_iter().map(node).collect(), &[], &settings, 0)));
        self
    }

    /// The same on a cluster whose every namespace an operator of this version watches.
    pub(crate) fn beside_operator(mut self, version: &str) -> Self {
        let image = format!("ghcr.io/kubeflow/spark-operator/controller:{version}");
        let container = json!({"image": image, "args": ["controller", "start", "--namespaces="]});
        let deployment =
            json!({"metadata": {"name": "so"}, "spec": {"template": {"spec": {"containers": [container]}}}});
        let operator = Operator::read(&serde_json::from_value(deployment).unwrap()).unwrap();
        self.snapshot.operators = Some(Arc::new(Operators::new(vec![Arc::new(operator)])));
        self
    }

    /// The same on a cluster whose nodes Karpenter makes.
    pub(crate) fn beside_karpenter(mut self) -> Self {
        self.snapshot.karpenter = true;
        self
    }

    /// An update of what another sample says.
    pub(crate) fn updating(mut self, old: Sample) -> Self {
        self.old = Some(old.object);
        self
    }

    /// The same under a policy that says only this of `checks`.
    pub(crate) fn checked_under(mut self, checks: &str) -> Self {
        let text = format!("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nchecks: {{{checks}}}");
        self.policy = Box::new(Policy::parse(&text).unwrap());
        self
    }

    /// What must be looked up to judge the object.
    pub(crate) fn questions(&self) -> Vec<Question> {
        self.with_request(|request| questions(request, &self.policy, &self.snapshot))
    }

    /// The same where the answer to these questions is no.
    pub(crate) fn denied(mut self, questions: impl IntoIterator<Item = Question>) -> Self {
        self.snapshot.answers = questions.into_iter().collect();
        self
    }

    /// The judgement on the object as it stands here: mutations have had their turn, or were off.
    pub(crate) fn judged(&self) -> Judgement {
        self.with_request(|request| judge(request, &self.policy, &self.snapshot))
    }

    /// The object as the mutations leave it.
    pub(crate) fn mutated(&self) -> Self {
        let mut sample = self.clone();
        for edit in self.decided().enforced_edits() {
            let pointer = edit.path.steps().iter().map(|step| match step {
                Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => format!("/{index}"),
            });
            let pointer: String = pointer.collect();
            sample = match &edit.change {
                Change::Set(value) => sample.with(&pointer, value.clone()),
                Change::Append(value) => sample.and(&pointer, value.clone()),
                Change::Remove => sample.with(&pointer, Value::Null),
            };
        }
        sample
    }

    /// What one check finds: `path: problem; cure`, with ` (at most a warning)` behind it where the check is not sure.
    pub(crate) fn found(&self, check: Check) -> Vec<String> {
        let findings = self.judged().findings.into_iter().map(|(finding, _)| finding);
        let name = format!("{}: ", check.name());
        findings
            .filter(|finding| finding.check == check)
            .map(|finding| {
                let unsure = if finding.at_most == Level::Warn { " (at most a warning)" } else { "" };
                finding.to_string().trim_start_matches(&name).to_owned() + unsure
            })
            .collect()
    }

    /// The decision.
    pub(crate) fn decided(&self) -> Decision {
        self.with_request(|request| decide(request, &self.policy, &self.snapshot))
    }

    /// Acts on the request that the sample makes.
    pub(crate) fn with_request<T>(&self, act: impl FnOnce(&Request<'_>) -> T) -> T {
        let (object, old) = (self.object.to_string(), self.old.clone().unwrap_or_default().to_string());
        let (object, old_object) = (Document::parse(&object).unwrap(), Document::parse(&old).unwrap());
        let operation = if self.old.is_some() { Operation::Update } else { Operation::Create };
        let request = Request {
            uid: "5f0d3c7e-0000-4000-8000-000000000001",
            operation,
            group: self.group,
            kind: self.kind,
            subresource: "",
            namespace: "jupyterhub-users",
            object: object.root(),
            old_object: old_object.root(),
        };
        act(&request)
    }

    /// What one mutation does, a line an edit (`path = value`, `path + element`), or why it does nothing.
    pub(crate) fn by(&self, mutation: Mutation) -> Vec<String> {
        let decision = self.decided();
        if let Some(untouched) = decision.untouched {
            return vec![format!("untouched: {}", untouched.name())];
        }
        match decision.outcomes.iter().find(|(name, _)| *name == mutation) {
            Some((_, Outcome::Skipped(skip))) => vec![format!("skipped: {}", skip.name())],
            _ => lines(&decision, Some(mutation)),
        }
    }

    /// What belongs to no mutation: the hand-over and the annotation `mutated`.
    pub(crate) fn by_none(&self) -> Vec<String> {
        lines(&self.decided(), None)
    }

    /// What the author is told.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.decided().warnings
    }
}

/// A node with these labels.
pub(crate) fn node(name: &str, labels: &Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels}})
}

/// A node that says itself that it is in trouble.
pub(crate) fn flagged_node(name: &str, labels: &Value) -> Value {
    let mut node = node(name, labels);
    node["status"] = json!({"conditions": [{"type": "ReadonlyFilesystem", "status": "True"}]});
    node
}

fn lines(decision: &Decision, mutation: Option<Mutation>) -> Vec<String> {
    let edits = decision.edits.iter().filter(|edit| edit.mutation == mutation);
    edits
        .map(|edit| match &edit.change {
            Change::Set(value) => format!("{} = {}", edit.path, plain(value)),
            Change::Append(value) => format!("{} + {}", edit.path, plain(value)),
            Change::Remove => format!("{} removed", edit.path),
        })
        .collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn put(object: &mut Value, pointer: &str, value: Value) {
    let mut steps =
        pointer.trim_start_matches('/').split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).peekable();
    let mut place = object;
    while let Some(step) = steps.next() {
        let step = step.parse().map_or_else(|_| Step::from(step.clone()), Step::Index);
        if steps.peek().is_none() && value.is_null() {
            place.as_object_mut().unwrap().remove(&match step {
                Step::Key(key) => key.into_owned(),
                Step::Index(index) => index.to_string(),
            });
            return;
        }
        place = match step {
            Step::Key(key) => &mut place[key.as_ref()],
            Step::Index(index) => &mut place[index],
        };
    }
    *place = value;
}
