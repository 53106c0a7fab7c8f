//! `connect-readiness`: a Connect server is Ready when it accepts connections.
//!
//! The operator copies the pod's readiness into the resource, and without a probe Ready only says that the container runs
//! (internal/controller/sparkconnect/reconciler.go, 2.4.0). A probe on the wrong port would keep a healthy server out of its
//! Service for ever, so none is added where the port cannot be known.

use serde_json::json;

use super::{Case, Outcome, Plan, Pod};
use crate::policy::outcome::Skip;
use crate::policy::subject::Container;
use crate::policy::values::connect_arguments::ConnectArguments;

/// `spark.connect.grpc.binding.port` where nothing is configured (Spark's `Connect.scala`).
const DEFAULT_PORT: u16 = 15002;

/// Where Spark's configuration lies in every official image.
const CONFIGURATION: &str = "/opt/spark/conf";

pub(super) fn of_pod(pod: &Pod<'_>, _case: &Case<'_>, plan: &mut Plan) -> Outcome {
    let Some(spark) = pod.spark_container() else { return Outcome::Skipped(Skip::NoSparkContainer) };
    if spark.has_readiness_probe() {
        return Outcome::Skipped(Skip::ProbePresent);
    }
    match port(spark, pod.connect_arguments()) {
        Ok(port) => plan.set(
            spark.path().then(["readinessProbe"]),
            json!({"tcpSocket": {"port": port}, "periodSeconds": 5, "failureThreshold": 3}),
        ),
        Err(doubt) => {
            plan.warn(format!("no readinessProbe added: {doubt}"));
            return Outcome::Skipped(Skip::PortUnknown);
        }
    }
    plan.outcome()
}

/// The port that the kubelet can reach the server at, or why it cannot be known.
fn port(spark: &Container<'_>, arguments: &ConnectArguments) -> Result<u16, String> {
    if arguments.properties_file().is_some() {
        return Err("a properties file may set another port".into());
    }
    if spark.env("SPARK_CONF_DIR").is_some() {
        return Err("SPARK_CONF_DIR names a configuration that may set another port".into());
    }
    if spark.has_env_from() {
        return Err("envFrom may name a configuration that sets another port".into());
    }
    if ["spark.driver.extraJavaOptions", "spark.driver.defaultJavaOptions"]
        .iter()
        .any(|key| arguments.conf(key).is_some_and(|options| options.contains("-Dspark.connect.grpc.")))
    {
        return Err("the server's Java options set its address or port".into());
    }
    if let Some((mount, _)) = spark.mounts().find(|(mount, _)| covers_configuration(mount)) {
        return Err(format!("the configuration mounted at {mount} may set another port"));
    }
    if let Some(address) = arguments.conf("spark.connect.grpc.binding.address").filter(|address| is_loopback(address)) {
        return Err(format!("the server listens on {address} only"));
    }
    match arguments.conf("spark.connect.grpc.binding.port") {
        None => Ok(DEFAULT_PORT),
        Some(text) => match text.trim().parse() {
            Ok(0) => Err("spark.connect.grpc.binding.port is 0, so the server chooses a free port".into()),
            Ok(port) => Ok(port),
            Err(_) => Err(format!("spark.connect.grpc.binding.port \"{text}\" is no port")),
        },
    }
}

/// A mount of the folder, above it, or of the one file in it that Spark reads by itself.
fn covers_configuration(mount: &str) -> bool {
    let mount = mount.trim_end_matches('/');
    mount.ends_with("/conf")
        || mount.ends_with("/spark-defaults.conf")
        || CONFIGURATION.strip_prefix(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_loopback(address: &str) -> bool {
    let bare = address.trim().trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Mutation;
    use crate::policy::testing::{Sample, connect_server};

    fn mounting(path: &str) -> Sample {
        connect_server("").and("/spec/containers/0/volumeMounts", json!({"name": "v", "mountPath": path}))
    }

    #[test]
    #[rustfmt::skip]
    fn decides() {
        let probe = |port| format!(r#"spec.containers[0].readinessProbe = {{"tcpSocket":{{"port":{port}}},"periodSeconds":5,"failureThreshold":3}}"#);
        let unknown = || "skipped: port-unknown".to_owned();
        for (case, pod, expected) in [
            ("a user's own probe", connect_server("").with("/spec/containers/0/readinessProbe", json!({"exec": {"command": ["true"]}})), "skipped: probe-present".to_owned()),
            ("a properties file may say anything", connect_server("--properties-file /opt/conf/my.conf"), unknown()),
            ("SPARK_CONF_DIR may say anything", connect_server("").and("/spec/containers/0/env", json!({"name": "SPARK_CONF_DIR", "value": "/conf"})), unknown()),
            ("a mount over the configuration", mounting("/opt/spark/conf"), unknown()),
            ("a mount above it", mounting("/opt/spark"), unknown()),
            ("a mount of the one file", mounting("/opt/spark/conf/spark-defaults.conf"), unknown()),
            ("a mount of another Spark's configuration", mounting("/usr/local/spark/conf"), unknown()),
            ("environment from a config map", connect_server("").and("/spec/containers/0/envFrom", json!({"configMapRef": {"name": "m"}})), unknown()),
            ("Java options that set the port", connect_server("--conf spark.driver.extraJavaOptions=-Dspark.connect.grpc.binding.port=15009"), unknown()),
            ("a mount beside it", mounting("/opt/spark/configuration"), probe(15002)),
            ("a mount of another file in it", mounting("/opt/spark/conf/log4j2.properties"), probe(15002)),
            ("a loopback address", connect_server("--conf spark.connect.grpc.binding.address=127.0.0.1"), unknown()),
            ("localhost by name", connect_server("--conf spark.connect.grpc.binding.address=localhost"), unknown()),
            ("all addresses", connect_server("--conf spark.connect.grpc.binding.address=0.0.0.0"), probe(15002)),
            ("a port that the server chooses", connect_server("--conf spark.connect.grpc.binding.port=0"), unknown()),
            ("no port at all", connect_server("--conf spark.connect.grpc.binding.port=many"), unknown()),
            ("another port", connect_server("--conf spark.connect.grpc.binding.port=15009"), probe(15009)),
            ("the default port", connect_server(""), probe(15002)),
        ] {
            assert_eq!(pod.by(Mutation::ConnectReadiness), [expected], "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn says_why_there_is_no_probe() {
        let warnings = connect_server("--conf spark.connect.grpc.binding.port=0").warnings();
        assert_eq!(warnings, ["connect-readiness: no readinessProbe added: spark.connect.grpc.binding.port is 0, so the server chooses a free port"]);
    }
}
