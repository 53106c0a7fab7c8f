//! What a server that has started says on standard output.

use std::{
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use super::Registrar;
use crate::certs::Standalone;

/// Says on standard output where the server is, and how to try a standalone one.
pub(super) fn announce(
    reviews: SocketAddr,
    probes: SocketAddr,
    standalone: Option<&Standalone>,
    registrar: Option<&Registrar>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "reviews: https://{reviews}/mutate and /validate")?;
    if let Some(registrar) = registrar {
        let Registrar { name, url, .. } = registrar;
        writeln!(
            out,
            "registered as {name}, called at {}, until `serve --unregister --webhook-configuration {name}`",
            url.of("")
        )?;
    }
    writeln!(out, "probes and metrics: http://{probes}/livez, /readyz and /metrics")?;
    if let Some(standalone) = standalone {
        let ca = standalone.ca.display().to_string();
        writeln!(out, "certificate authority: {ca}")?;
        writeln!(out, "try it:\n  {}", curl_line(&ca, reviews))?;
    }
    out.flush()
}

const EXAMPLE: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"hello","kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","namespace":"default","userInfo":{"username":"me"},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pi-driver","labels":{"spark-role":"driver"}},"spec":{"containers":[{"name":"spark-kubernetes-driver","image":"apache/spark:3.5.9"}]}}}}"#;

fn curl_line(ca: &str, reviews: SocketAddr) -> String {
    let mut address = reviews;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let ca = ca.replace('\'', r"'\''");
    format!("curl --cacert '{ca}' -H 'content-type: application/json' -d '{EXAMPLE}' https://{address}/mutate")
}
