//! What runs of a container's image on this machine: which program, how its arguments are said here, and where it listens.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::programs;

/// The versions of it that are built: that of the platform's chart, and a newer one.
const OPERATORS: [&str; 2] = ["spark-operator", "spark-operator-next"];

/// The program of an image.
pub enum Image {
    /// The binary under test.
    Ours,
    /// Kubeflow's operator.
    Operator(PathBuf),
}

impl Image {
    /// What is in the image of a container; whatever is not the operator's is ours.
    pub async fn of(container: &Value) -> Self {
        let image = container["image"].as_str().unwrap();
        let Some((_, tag)) = image.split_once("/spark-operator/controller:") else { return Self::Ours };
        let built = programs(&OPERATORS).await.unwrap();
        let folder = format!("spark-operator-{tag}");
        let is_it = |program: &&Path| program.parent().is_some_and(|parent| parent.ends_with(&folder));
        let program = OPERATORS.iter().map(|name| built.path(name)).find(is_it);
        Self::Operator(program.unwrap_or_else(|| panic!("no operator {tag} is built")).to_owned())
    }

    pub fn program(&self) -> &Path {
        match self {
            Self::Ours => Path::new(env!("CARGO_BIN_EXE_spark-admission")),
            Self::Operator(program) => program,
        }
    }

    /// The container's arguments as they are on this machine: free ports, and folders in place of mounts.
    pub fn arguments(&self, container: &Value, folder: &Path) -> Vec<String> {
        let said = list(&container["args"]).map(|argument| self.argument(argument.as_str().unwrap()));
        let more = match self {
            Self::Ours => vec![],
            Self::Operator(_) => vec!["--health-probe-bind-address=127.0.0.1:0".to_owned()],
        };
        let certificates = list(&container["volumeMounts"]).find(|mount| mount["name"] == "serving-certs");
        let certificates =
            certificates.map(|mount| format!("--webhook-cert-dir={}/", mount["mountPath"].as_str().unwrap()));
        said.chain(more).chain(certificates).map(|argument| in_folders(argument, container, folder)).collect()
    }

    fn argument(&self, argument: &str) -> String {
        let flag = argument.split('=').next().unwrap();
        match (self, flag) {
            (Self::Ours, _) if argument.contains("=0.0.0.0:") => format!("{flag}=127.0.0.1:0"),
            // Nobody has to wait until others know that a pod goes: the network here knows at once.
            (Self::Ours, "--drain-delay") => "--drain-delay=500ms".to_owned(),
            (Self::Operator(_), "--metrics-bind-address") => "--metrics-bind-address=0".to_owned(),
            // It takes no port 0. Where another takes this one meanwhile, the operator ends, and is started again.
            (Self::Operator(_), "--webhook-port") => format!("--webhook-port={}", free_port()),
            _ => argument.to_owned(),
        }
    }

    /// Where it listens for one of the container's ports, by its name or number, as it has said.
    pub fn address(&self, said: &str, port: &Value) -> Option<SocketAddr> {
        let after = |text: &str| said.split(text).nth(1);
        match (self, port.as_str()) {
            (Self::Ours, Some("admin")) => after("probes and metrics: http://")?.split('/').next()?.parse().ok(),
            (Self::Ours, _) => after("reviews: https://")?.split('/').next()?.parse().ok(),
            (Self::Operator(_), Some("webhook")) => {
                let port = after("Serving webhook server")?.split("\"port\": ").nth(1)?.split('}').next()?;
                Some(([127, 0, 0, 1], port.parse().ok()?).into())
            }
            (Self::Operator(_), _) => after("\"health probe\", \"addr\": \"")?.split('"').next()?.parse().ok(),
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An argument, or the value of a flag, that is a path in a mount is one in the volume's folder.
fn in_folders(argument: String, container: &Value, folder: &Path) -> String {
    let (flag, value) = argument.split_once('=').map_or(("", argument.as_str()), |(flag, value)| (flag, value));
    let moved = list(&container["volumeMounts"]).find_map(|mount| {
        let rest = value.strip_prefix(mount["mountPath"].as_str().unwrap())?;
        let is_inside = rest.is_empty() || rest.starts_with('/');
        is_inside.then(|| format!("{}{rest}", folder.join(mount["name"].as_str().unwrap()).display()))
    });
    match moved {
        Some(path) if flag.is_empty() => path,
        Some(path) => format!("{flag}={path}"),
        None => argument,
    }
}

pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
