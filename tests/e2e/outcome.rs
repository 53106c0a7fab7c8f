//! What became of a scenario, read from the cluster as its user would.

use std::fmt;

use serde_json::Value;

use crate::cell::{Cell, Row};

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ran,
    /// At the submission, with a message.
    Refused(String),
    /// Later: where, and with what message.
    Failed {
        place: String,
        message: String,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran => formatter.write_str("ran"),
            Self::Refused(message) => write!(formatter, "refused: {message}"),
            Self::Failed { place, message } => write!(formatter, "failed, {place}: {message}"),
        }
    }
}

/// What is seen of it at a moment.
pub enum Seen {
    /// It goes on; the text changes whenever something does.
    Going(String),
    Ran,
    /// A Connect server that says that it is ready: a client is to try it.
    Ready {
        service: String,
    },
    /// It has failed, as its resource says.
    Failed {
        place: String,
        message: String,
    },
    /// It has failed, as the log of this pod's container says; of the container before the present one where `previous`.
    FailedPod {
        pod: String,
        previous: bool,
    },
}

/// Reads what a cell has become from all objects of the cluster.
pub fn see(cell: Cell, objects: &[Value]) -> Seen {
    let name = cell.name();
    let of_kind = |kind: &'static str| {
        objects
            .iter()
            .filter(move |object| object["kind"] == kind && object["metadata"]["namespace"] == cell.namespace())
    };
    match cell.row {
        Row::Scala | Row::Python => {
            see_application(of_kind("SparkApplication").find(|object| object["metadata"]["name"] == name), objects)
        }
        Row::Scheduled => {
            let child = |object: &&Value| {
                text(&object["metadata"]["name"]).strip_prefix(&name).is_some_and(|rest| rest.starts_with('-'))
            };
            see_application(of_kind("SparkApplication").find(child), objects)
        }
        Row::Connect => {
            let server = of_kind("Pod").find(|pod| text(&pod["metadata"]["name"]) == format!("{name}-server"));
            see_server(of_kind("SparkConnect").find(|object| object["metadata"]["name"] == name), server, objects)
        }
        Row::Submit => {
            let driver = of_kind("Pod").find(|pod| text(&pod["metadata"]["name"]) == format!("{name}-driver"));
            see_pod(
                driver.or_else(|| of_kind("Pod").find(|pod| pod["metadata"]["name"] == name)),
                driver.is_some(),
                objects,
            )
        }
        Row::Notebook => see_pod(of_kind("Pod").find(|pod| pod["metadata"]["name"] == name), true, objects),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn see_application(application: Option<&Value>, objects: &[Value]) -> Seen {
    let Some(application) = application else { return Seen::Going("nothing".to_owned()) };
    let state = &application["status"]["applicationState"];
    let name = text(&application["metadata"]["name"]);
    let driver = objects
        .iter()
        .find(|object| object["kind"] == "Pod" && text(&object["metadata"]["name"]) == format!("{name}-driver"));
    match text(&state["state"]) {
        "COMPLETED" => Seen::Ran,
        "FAILED" | "SUBMISSION_FAILED" => {
            let message = text(&state["errorMessage"]);
            match driver {
                Some(driver) if !message.contains("spark-submit") => see_failed(driver),
                _ => Seen::Failed { place: "in the operator, at the submission".to_owned(), message: telling(message) },
            }
        }
        state => Seen::Going(format!("{state} {}", driver.map(|driver| state_of(driver, objects)).unwrap_or_default())),
    }
}

fn see_server(resource: Option<&Value>, server: Option<&Value>, objects: &[Value]) -> Seen {
    let state = resource.map(|resource| text(&resource["status"]["state"])).unwrap_or_default();
    let pod = server.map(|server| state_of(server, objects)).unwrap_or_default();
    let restarts =
        server.map_or(0, |server| server["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or(0));
    let name = server.map(|server| text(&server["metadata"]["name"])).unwrap_or_default();
    if restarts > 0 {
        return Seen::FailedPod { pod: name.to_owned(), previous: true };
    }
    if let Some(server) = server.filter(|server| text(&server["status"]["phase"]) == "Failed") {
        return see_failed(server);
    }
    let service = resource.map(|resource| format!("{}-server", text(&resource["metadata"]["name"])));
    match (state, service) {
        ("Ready", Some(service)) => Seen::Ready { service },
        _ => Seen::Going(format!("{state} {pod}")),
    }
}

fn see_pod(pod: Option<&Value>, is_spark: bool, objects: &[Value]) -> Seen {
    let Some(pod) = pod else { return Seen::Going("nothing".to_owned()) };
    let name = text(&pod["metadata"]["name"]).to_owned();
    match text(&pod["status"]["phase"]) {
        "Failed" => see_failed(pod),
        "Succeeded" if is_spark => Seen::Ran,
        _ => Seen::Going(format!("{name} {}", state_of(pod, objects))),
    }
}

/// A pod that has failed: its log tells why, or its status where the container never ran.
fn see_failed(pod: &Value) -> Seen {
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    if text(&ended["reason"]) == "StartError" {
        return Seen::Failed {
            place: "its container does not start".to_owned(),
            message: telling(text(&ended["message"])),
        };
    }
    Seen::FailedPod { pod: text(&pod["metadata"]["name"]).to_owned(), previous: false }
}

/// A pod's phase and its containers' states, without times, and those of its executors.
fn state_of(pod: &Value, objects: &[Value]) -> String {
    let executors =
        objects.iter().filter(|object| object["metadata"]["ownerReferences"][0]["uid"] == pod["metadata"]["uid"]);
    let states = [pod].into_iter().chain(executors).map(|pod| {
        let status = &pod["status"];
        let containers = status["containerStatuses"].as_array().into_iter().flatten().map(|container| {
            let state = container["state"].as_object().and_then(|state| state.iter().next());
            let (state, why) = state.map_or(("", ""), |(name, state)| (name, text(&state["reason"])));
            format!("{state} {why} {}", container["restartCount"])
        });
        format!("{} {}", text(&status["phase"]), containers.collect::<Vec<_>>().join(", "))
    });
    states.collect::<Vec<_>>().join("; ")
}

/// The line of a log that tells what went wrong: what caused the first exception, or the first error; else the last line.
pub fn telling(log: &str) -> String {
    let lines: Vec<_> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let signs = ["Exception in thread", "Error: ", "Exception: ", "error: ", "No space left on device", "Error"];
    let first = signs.iter().find_map(|sign| lines.iter().position(|line| line.contains(sign)));
    let cause = first.and_then(|first| lines[first..].iter().rfind(|line| line.starts_with("Caused by:")));
    let line = cause.or(first.map(|first| &lines[first])).or(lines.last()).copied().unwrap_or("nothing was said");
    // What Kubernetes says is behind what its client was doing.
    let said = line.split_once("Message: ").map_or(line, |(_, said)| said);
    said.trim_start_matches("Exception in thread \"main\" ").chars().take(300).collect()
}
