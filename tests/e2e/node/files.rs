//! What the programs of a node are told: certificates, ways in, configuration.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::Result;

use super::machine::{ADDRESS, PODS};
use crate::pki::{Ca, Leaf};

/// The name of the node.
pub const NODE: &str = "node";
/// Where the API server is reached, from the machine, its pods and outside.
pub const SERVER: &str = "https://198.18.76.2:6443";
/// The cluster's name server, a Service.
const NAME_SERVER: &str = "198.18.78.10";
/// The service `kubernetes`: the first address of the services.
const KUBERNETES: &str = "198.18.78.1";

/// Who has a certificate of the cluster's: file, user, group.
const USERS: [(&str, &str, &str); 6] = [
    ("admin", "admin", "system:masters"),
    ("controllers", "system:kube-controller-manager", "system:authenticated"),
    ("scheduler", "system:kube-scheduler", "system:authenticated"),
    ("kubelet", "system:node:node", "system:nodes"),
    ("proxy", "system:kube-proxy", "system:authenticated"),
    ("coredns", "system:coredns", "system:authenticated"),
];

/// What lies in front of runc: while a file `broken` is there, the node's file system takes no limits, as the filesystem of the platform's
/// broken nodes does not. runc is asked by containerd to create a container from the file config.json of a bundle.
const RUNC: &str = r#"#!/usr/bin/env bash
if [ -e FOLDER/broken ] && [[ " $* " = *" create "* ]]; then
    bundle=$(sed -n 's/.* --bundle \([^ ]*\).*/\1/p' <<<" $* ")
    limits=$(python3 -c '
import json, sys
resources = json.load(open(sys.argv[1]))["linux"].get("resources", {})
print(*[k for k, v in [("memory", resources.get("memory", {}).get("limit", 0)), ("cpu", resources.get("cpu", {}).get("quota", 0))] if v and v > 0])
' "$bundle/config.json")
    if [ -n "$limits" ]; then
        log=$(sed -n 's/.* --log \([^ ]*\).*/\1/p' <<<" $* ")
        message="cannot write the limits of $limits to the cgroup: no space left on device"
        printf '{"level":"error","msg":"%s"}\n' "$message" >>"${log:-/dev/null}"
        echo "$message" >&2
        exit 1
    fi
fi
exec runc "$@"
"#;

/// Writes all of them into the machine's folder.
pub fn write(folder: &Path, network_plugins: &Path) -> Result<()> {
    let ca = Ca::new("end-to-end-test");
    let server =
        ca.server(&["127.0.0.1", ADDRESS, KUBERNETES, "kubernetes", "kubernetes.default", "kubernetes.default.svc"]);
    let accounts = rcgen::KeyPair::generate()?;
    put(folder, "ca.crt", &ca.pem)?;
    put(folder, "accounts.key", &accounts.serialize_pem())?;
    put(folder, "accounts.pub", &accounts.public_key_pem())?;
    put_leaf(folder, "server", &server)?;
    for (name, user, group) in USERS {
        put_leaf(folder, name, &ca.client(user, group))?;
        put(folder, &format!("{name}.conf"), &kubeconfig(folder, name))?;
    }
    for (name, text) in [
        ("containerd.toml", containerd(folder, network_plugins)),
        ("cni/10-bridge.conflist", network(folder)),
        ("kubelet.yaml", kubelet(folder)),
        ("proxy.yaml", proxy(folder)),
        ("Corefile", corefile(folder)),
        ("runc", RUNC.replace("FOLDER", &folder.display().to_string())),
        ("resolv.conf", fs::read_to_string(name_servers())?),
    ] {
        put(folder, name, &text)?;
    }
    fs::set_permissions(folder.join("runc"), fs::Permissions::from_mode(0o755))?;
    fs::create_dir_all(folder.join("static-pods"))?;
    Ok(())
}

fn put(folder: &Path, name: &str, text: &str) -> Result<()> {
    let file = folder.join(name);
    fs::create_dir_all(file.parent().unwrap_or(folder))?;
    Ok(fs::write(file, text)?)
}

fn put_leaf(folder: &Path, name: &str, leaf: &Leaf) -> Result<()> {
    put(folder, &format!("{name}.crt"), &leaf.certificate)?;
    put(folder, &format!("{name}.key"), &leaf.key)
}

/// systemd's resolver listens on the loopback address, where pods do not reach it; it tells here whom it asks itself.
fn name_servers() -> &'static str {
    let behind_systemd = "/run/systemd/resolve/resolv.conf";
    if Path::new(behind_systemd).exists() { behind_systemd } else { "/etc/resolv.conf" }
}

fn kubeconfig(folder: &Path, user: &str) -> String {
    let folder = folder.display();
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: node\n\
         clusters: [{{name: node, cluster: {{server: \"{SERVER}\", certificate-authority: {folder}/ca.crt}}}}]\n\
         users: [{{name: {user}, user: {{client-certificate: {folder}/{user}.crt, client-key: {folder}/{user}.key}}}}]\n\
         contexts: [{{name: node, context: {{cluster: node, user: {user}}}}}]\n"
    )
}

fn containerd(folder: &Path, network_plugins: &Path) -> String {
    let (folder, network_plugins) = (folder.display(), network_plugins.display());
    format!(
        r#"version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
[grpc]
address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:1"
# Where a shell may not lower the score itself, runc may not either.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{network_plugins}"
conf_dir = "{folder}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{folder}/runc"
SystemdCgroup = false
"#
    )
}

fn network(folder: &Path) -> String {
    let gateway = PODS.replace(".0/24", ".1");
    format!(
        r#"{{"cniVersion": "1.0.0", "name": "pods", "plugins": [
{{"type": "bridge", "bridge": "pods", "isGateway": true, "ipMasq": true, "hairpinMode": true, "mtu": 1400,
 "ipam": {{"type": "host-local", "dataDir": "{}/addresses", "ranges": [[{{"subnet": "{PODS}", "gateway": "{gateway}"}}]],
          "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
{{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}
"#,
        folder.display()
    )
}

fn kubelet(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: /spark-admission-e2e
containerRuntimeEndpoint: unix://{folder}/containerd.sock
clusterDNS: [{NAME_SERVER}]
clusterDomain: cluster.local
staticPodPath: {folder}/static-pods
authentication: {{anonymous: {{enabled: false}}, x509: {{clientCAFile: {folder}/ca.crt}}, webhook: {{enabled: true}}}}
authorization: {{mode: Webhook}}
address: {ADDRESS}
readOnlyPort: 0
enforceNodeAllocatable: [pods]
evictionHard: {{memory.available: 200Mi, nodefs.available: 2%, imagefs.available: 2%}}
resolvConf: {folder}/resolv.conf
imageGCHighThresholdPercent: 99
imageGCLowThresholdPercent: 98
podLogsDir: {folder}/pod-logs
"
    )
}

fn proxy(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {{kubeconfig: {folder}/proxy.conf}}
mode: iptables
clusterCIDR: {PODS}
hostnameOverride: {NODE}
conntrack: {{maxPerCore: 0}}
"
    )
}

fn corefile(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        ".:53 {{
  bind {ADDRESS}
  errors
  cache 30
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {folder}/coredns.conf node
    pods insecure
  }}
  forward . {folder}/resolv.conf
}}
"
    )
}

/// What `CoreDNS` may read, and its Service.
pub fn name_service() -> String {
    format!(
        r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: coredns}}
rules:
- {{apiGroups: [""], resources: [services, pods, namespaces], verbs: [list, watch]}}
- {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: coredns}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: coredns}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:coredns"}}]
---
apiVersion: v1
kind: Service
metadata: {{name: kube-dns, namespace: kube-system}}
spec: {{clusterIP: {NAME_SERVER}, ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: kube-dns-node, namespace: kube-system, labels: {{kubernetes.io/service-name: kube-dns}}}}
addressType: IPv4
ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]
endpoints: [{{addresses: ["{ADDRESS}"]}}]
"#
    )
}
