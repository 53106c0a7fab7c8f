//! The server's certificate and its clients' CA: files that were given, a standalone server's own, or a Secret's; followed from then on.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::RootCertStore;

use super::{Error, files::Files};
use crate::{
    args::{Certificates, ServeArguments},
    certs::{Bundle, CurrentCertificate, InForce, Keeper, Pair, SECRET, Standalone, client_authorities, describe},
    cluster::{Cluster, Place, SecretName},
    metrics::Reloaded,
    server::ServerTls,
};

/// How often a standalone server looks whether it needs another certificate.
const RENEW_EVERY: Duration = Duration::from_hours(24);

/// Where the certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way<'a> {
    Standalone,
    SelfManaged,
    Files { certificate: &'a PathBuf, key: &'a PathBuf },
}

/// What the API server is to trust.
#[derive(Clone)]
pub(super) enum Authorities {
    /// The CA of a standalone server.
    Standalone(Standalone),
    /// Those in the Secret.
    Secret(InForce),
    /// Where no CA is known, the server's own certificate and those behind it: Go takes any of them for a root (crypto/x509,
    /// Certificate.Verify).
    Served,
}

/// The certificate, and what is said of it elsewhere.
pub(super) struct Certificate {
    pub(super) current: Arc<CurrentCertificate>,
    pub(super) authorities: Authorities,
}

impl Certificate {
    pub(super) fn standalone(&self) -> Option<&Standalone> {
        match &self.authorities {
            Authorities::Standalone(standalone) => Some(standalone),
            Authorities::Secret(_) | Authorities::Served => None,
        }
    }
}

impl<'a> Way<'a> {
    /// The way that the flags say, else the one that goes with where this runs.
    pub(super) fn of(arguments: &'a ServeArguments) -> Result<Self, Error> {
        let (file, context) = (arguments.cluster.kubeconfig.as_deref(), arguments.cluster.context.as_deref());
        Self::chosen(arguments, Place::chosen(file, context) == Some(Place::Pod))
    }

    fn chosen(arguments: &'a ServeArguments, is_in_pod: bool) -> Result<Self, Error> {
        match (arguments.certificates, &arguments.tls_cert, &arguments.tls_key) {
            (Some(Certificates::Standalone), Some(_), _) => {
                Err(Error::Flags("--certificates standalone makes its own: leave out --tls-cert"))
            }
            (Some(Certificates::SelfManaged), Some(_), _) => {
                Err(Error::Flags("--certificates self-managed makes its own: leave out --tls-cert"))
            }
            (_, Some(certificate), Some(key)) => Ok(Self::Files { certificate, key }),
            (Some(Certificates::Files), ..) => Err(Error::Flags("--certificates files needs --tls-cert and --tls-key")),
            (Some(Certificates::SelfManaged), ..) => Ok(Self::SelfManaged),
            (None, ..) if is_in_pod => Ok(Self::SelfManaged),
            (None | Some(Certificates::Standalone), ..) => Ok(Self::Standalone),
        }
    }
}

/// The certificate; kept in order, or its files followed, from here on.
pub(super) async fn certificate(
    arguments: &ServeArguments,
    cluster: Option<&Cluster>,
    files: &Files,
) -> Result<Certificate, Error> {
    match (Way::of(arguments)?, cluster) {
        (Way::SelfManaged, Some(cluster)) => self_managed(arguments, cluster, files).await,
        (Way::SelfManaged, None) => Err(Error::Flags("--certificates self-managed needs a cluster")),
        (Way::Standalone, _) => standalone(arguments, files),
        (Way::Files { certificate, key }, _) => {
            let current = followed(vec![certificate.clone(), key.clone()], files, |pair| {
                // Behind the server's own the file may hold who signed it.
                pair.key.cert.get(1..)?.last().and_then(describe).map(|authority| authority.not_after)
            })?;
            Ok(Certificate { current, authorities: Authorities::Served })
        }
    }
}

/// Kept in the state directory, and renewed there.
fn standalone(arguments: &ServeArguments, files: &Files) -> Result<Certificate, Error> {
    let directory = arguments.state_dir.clone().or_else(default_state_dir).ok_or(Error::Flags(
        "there is no home directory for a standalone server's certificates: give a directory with --state-dir, or --tls-cert",
    ))?;
    let hosts = hosts(arguments);
    let standalone = Standalone::ensure(&directory, &hosts)?;
    tokio::spawn(Standalone::keep(directory, hosts, RENEW_EVERY));
    let authority = standalone.ca.clone();
    let current = followed(vec![standalone.certificate.clone(), standalone.key.clone()], files, move |_| {
        let authorities = Bundle::from_pem(&std::fs::read(&authority).ok()?);
        authorities.certificates().first().and_then(describe).map(|authority| authority.not_after)
    })?;
    Ok(Certificate { current, authorities: Authorities::Standalone(standalone) })
}

/// Kept in a Secret, by this replica and all the others.
async fn self_managed(arguments: &ServeArguments, cluster: &Cluster, files: &Files) -> Result<Certificate, Error> {
    let secret = arguments.secret.clone();
    let secret = secret.unwrap_or_else(|| SecretName { namespace: cluster.namespace().into(), name: SECRET.into() });
    let configuration = arguments.webhook_configuration.clone();
    let names = if arguments.register {
        hosts(arguments)
    } else {
        // What a Service is called where everything has one name. Once something is registered, it is known.
        vec![format!("{configuration}.{}.svc", secret.namespace)]
    };
    tracing::info!(%secret, configuration, "this server looks after its certificate itself");
    let current = Arc::<CurrentCertificate>::default();
    let keeper = Keeper {
        cluster: cluster.clone(),
        secret,
        configuration,
        names,
        overlap: arguments.certificate_overlap,
        clock: SystemTime::now,
        certificate: Arc::clone(&current),
        metrics: Arc::clone(&files.metrics),
    };
    let (mut keeping, in_force) = keeper.start();
    let begun = keeping.once().await;
    match begun {
        Err(error) if arguments.register => return Err(error.into()),
        // It goes on trying, and is not ready meanwhile.
        Err(_) | Ok(()) => {}
    }
    tokio::spawn(keeping.run());
    Ok(Certificate { current, authorities: Authorities::Secret(in_force) })
}

/// Reads a certificate and its key, and follows their files.
fn followed(
    pair_files: Vec<PathBuf>,
    files: &Files,
    authority_not_after: impl Fn(&Pair) -> Option<i64> + Send + 'static,
) -> Result<Arc<CurrentCertificate>, Error> {
    let flags = ("the certificate", "--tls-cert or --tls-key");
    let (source, pair) = Files::load(flags, Reloaded::Certificate, pair_files, |bytes| {
        Pair::from_pem(&bytes[0], &bytes[1]).map_err(|error| error.to_string())
    })?;
    if let Some(why) = pair.why_invalid(SystemTime::now()) {
        tracing::error!(why, "clients will refuse this certificate");
    }
    let metrics = Arc::clone(&files.metrics);
    let measure = move |pair: &Pair| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        metrics.certificate_in_force(pair.not_after, authority_not_after(pair), Some(now.as_secs().cast_signed()));
    };
    measure(&pair);
    let current = Arc::new(CurrentCertificate::new(pair));
    let replaced = Arc::clone(&current);
    files.follow(source, move |pair: Pair| {
        measure(&pair);
        replaced.replace(pair);
    });
    Ok(current)
}

/// TLS with the certificate; the file of the clients' CA is followed from here on.
pub(super) fn tls(
    arguments: &ServeArguments,
    certificate: &Certificate,
    files: &Files,
) -> Result<Arc<ServerTls>, Error> {
    let authorities = arguments.client_ca.as_ref().map(|file| {
        let flag = ("the clients' CA", "--client-ca");
        Files::load(flag, Reloaded::ClientCa, vec![file.clone()], |bytes| client_authorities(&bytes[0]))
    });
    let (authorities, authorities_now) = authorities.transpose()?.unzip();
    let tls = Arc::new(ServerTls::new(Arc::clone(&certificate.current), authorities_now)?);
    if let Some(authorities) = authorities {
        let followed = Arc::clone(&tls);
        files.follow(authorities, move |authorities: RootCertStore| {
            if let Err(error) = followed.trust(authorities) {
                tracing::error!(%error, "the last good CA stays in force");
            }
        });
    }
    Ok(tls)
}

/// What a server is called by that nothing else tells of, besides `localhost`.
fn hosts(arguments: &ServeArguments) -> Vec<String> {
    let ip = arguments.listen.ip();
    let listening = (!ip.is_unspecified()).then(|| ip.to_string());
    let url = arguments.url.as_ref().map(|url| url.host().to_owned());
    listening.into_iter().chain(url).collect()
}

/// The XDG base directory for state.
fn default_state_dir() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = given.or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    Some(state.join("spark-admission"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Command};
    use clap::Parser as _;

    #[test]
    fn chooses_a_way() {
        let files = ["--tls-cert", "a", "--tls-key", "b"];
        let (certificate, key) = (PathBuf::from("a"), PathBuf::from("b"));
        let files_way = || Some(Way::Files { certificate: &certificate, key: &key });
        for (case, flags, in_pod, expected) in [
            ("on a desk", vec![], false, Some(Way::Standalone)),
            ("in a pod", vec![], true, Some(Way::SelfManaged)),
            ("in a pod, with files", files.to_vec(), true, files_way()),
            ("with files", files.to_vec(), false, files_way()),
            ("in a pod, all alone", vec!["--certificates", "standalone"], true, Some(Way::Standalone)),
            ("outside, on a cluster", vec!["--certificates", "self-managed"], false, Some(Way::SelfManaged)),
            ("files that are not given", vec!["--certificates", "files"], true, None),
            ("files for nothing", [&files[..], &["--certificates", "self-managed"]].concat(), true, None),
            ("files for nothing else", [&files[..], &["--certificates", "standalone"]].concat(), false, None),
        ] {
            let arguments = Arguments::parse_from([&["spark-admission", "serve"], &flags[..]].concat());
            let Command::Serve(arguments) = arguments.command else { panic!("{case}") };
            assert_eq!(Way::chosen(&arguments, in_pod).ok(), expected, "{case}");
        }
    }
}
