//! What surrounds a scenario, as fields of a pod: what an author writes into a resource, or an administrator asks for.

use serde_json::{Value, json};

use crate::cell::{Cell, Surroundings};

/// A user in whose image there is no such user.
const UNNAMED: u32 = 12345;

/// What is written for a pod and for Spark's container in it; what is not wished for is not written.
#[derive(Default)]
pub struct Wishes {
    pub pod_security: Option<Value>,
    pub security: Option<Value>,
    init_containers: Vec<Value>,
    volumes: Vec<Value>,
    mounts: Vec<Value>,
    resources: Option<Value>,
    host_aliases: Vec<Value>,
}

impl Wishes {
    /// For a driver, a Connect server or a notebook.
    pub fn of(cell: Cell) -> Self {
        let none = Self::default();
        match cell.surroundings {
            Surroundings::ReadOnlyRoot => Self {
                volumes: vec![json!({"name": "tmp", "emptyDir": {}}), json!({"name": "work", "emptyDir": {}})],
                mounts: vec![
                    json!({"name": "tmp", "mountPath": "/tmp"}),
                    json!({"name": "work", "mountPath": "/opt/spark/work-dir"}),
                ],
                security: Some(json!({"readOnlyRootFilesystem": true})),
                ..none
            },
            Surroundings::ReadOnlyEverything => {
                Self { security: Some(json!({"readOnlyRootFilesystem": true})), ..none }
            }
            Surroundings::UnnamedUser => {
                Self { pod_security: Some(json!({"runAsUser": UNNAMED, "runAsGroup": 0})), ..none }
            }
            Surroundings::RootInit => {
                let prepare = json!({
                    "name": "prepare", "image": cell.image(), "command": ["touch", "/etc/prepared"],
                    "securityContext": {"runAsUser": 0}
                });
                Self { init_containers: vec![prepare], ..none }
            }
            Surroundings::ForeignClaim => Self {
                volumes: vec![
                    json!({"name": "spark-local-dir-1", "persistentVolumeClaim": {"claimName": cell.name()}}),
                ],
                mounts: vec![json!({"name": "spark-local-dir-1", "mountPath": "/scratch"})],
                ..none
            },
            Surroundings::Restricted => Self {
                pod_security: Some(
                    json!({"runAsNonRoot": true, "runAsUser": 185, "seccompProfile": {"type": "RuntimeDefault"}}),
                ),
                security: Some(json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})),
                ..none
            },
            // Nobody listens there, so whoever asks is refused at once.
            Surroundings::ConnectInImage => Self {
                host_aliases: vec![
                    json!({"ip": "127.0.0.1", "hostnames": ["repo1.maven.org", "repos.spark-packages.org"]}),
                ],
                ..none
            },
            Surroundings::MemoryMistake => Self {
                resources: Some(json!({"requests": {"cpu": "200m", "memory": "512m"}, "limits": {"memory": "512m"}})),
                ..none
            },
            Surroundings::SizeMistake => Self {
                volumes: vec![json!({"name": "packages", "emptyDir": {"medium": "Memory", "sizeLimit": "512m"}})],
                mounts: vec![json!({"name": "packages", "mountPath": "/tmp/.ivy2"})],
                ..none
            },
            _ => none,
        }
    }

    /// The part of them that an executor needs as well: who it runs as, and where it may write.
    pub fn of_executor(cell: Cell) -> Self {
        let all = Self::of(cell);
        let none = Self::default();
        let (volumes, mounts) = match cell.surroundings {
            Surroundings::ReadOnlyRoot | Surroundings::ForeignClaim => (all.volumes, all.mounts),
            _ => (none.volumes, none.mounts),
        };
        Self { pod_security: all.pod_security, security: all.security, volumes, mounts, ..Self::default() }
    }

    /// Written into the spec of a pod, in whose container `index` Spark runs.
    pub fn write(&self, spec: &mut Value, index: usize) {
        set(spec, "securityContext", self.pod_security.as_ref());
        set_list(spec, "initContainers", &self.init_containers);
        set_list(spec, "volumes", &self.volumes);
        set_list(spec, "hostAliases", &self.host_aliases);
        let container = &mut spec["containers"][index];
        set(container, "securityContext", self.security.as_ref());
        set(container, "resources", self.resources.as_ref());
        set_list(container, "volumeMounts", &self.mounts);
    }

    /// Written into a `SparkApplication`, which has fields of its own for them.
    pub fn write_into_application(&self, of_executor: &Self, spec: &mut Value) {
        set_list(spec, "volumes", &self.volumes);
        for (part, wishes) in [("driver", self), ("executor", of_executor)] {
            let part = &mut spec[part];
            set(part, "podSecurityContext", wishes.pod_security.as_ref());
            set(part, "securityContext", wishes.security.as_ref());
            set_list(part, "initContainers", &wishes.init_containers);
            set_list(part, "volumeMounts", &wishes.mounts);
            set_list(part, "hostAliases", &wishes.host_aliases);
        }
    }
}

fn set(object: &mut Value, key: &str, value: Option<&Value>) {
    if let Some(value) = value {
        object[key] = value.clone();
    }
}

fn set_list(object: &mut Value, key: &str, list: &[Value]) {
    if !list.is_empty() {
        object[key] = json!(list);
    }
}
