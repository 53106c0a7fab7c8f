//! The server's certificate and its clients' CA: files that were given, or a standalone server's own; followed from then on.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::RootCertStore;

use super::{Error, files::Files};
use crate::{
    args::{Certificates, ServeArguments},
    certs::{CurrentCertificate, Pair, Standalone, client_authorities},
    metrics::Reloaded,
    server::ServerTls,
};

/// How often a standalone server looks whether it needs another certificate.
const RENEW_EVERY: Duration = Duration::from_hours(24);

/// The certificate and the clients' CA; their files are followed from here on.
pub(super) fn tls(arguments: &ServeArguments, files: &Files) -> Result<(Arc<ServerTls>, Option<Standalone>), Error> {
    let (pair_files, standalone) = certificate_files(arguments)?;
    let flags = ("the certificate", "--tls-cert or --tls-key");
    let (source, pair) = Files::load(flags, Reloaded::Certificate, pair_files, |bytes| {
        Pair::from_pem(&bytes[0], &bytes[1]).map_err(|error| error.to_string())
    })?;
    if let Some(why) = pair.why_invalid(SystemTime::now()) {
        tracing::error!(why, "clients will refuse this certificate");
    }
    files.metrics.certificate_expires(pair.not_after);
    let certificate = Arc::new(CurrentCertificate::new(pair));
    let authorities = arguments.client_ca.as_ref().map(|file| {
        let flag = ("the clients' CA", "--client-ca");
        Files::load(flag, Reloaded::ClientCa, vec![file.clone()], |bytes| client_authorities(&bytes[0]))
    });
    let (authorities, authorities_now) = authorities.transpose()?.unzip();
    let tls = Arc::new(ServerTls::new(Arc::clone(&certificate), authorities_now)?);

    let gauge = Arc::clone(&files.metrics);
    files.follow(source, move |pair: Pair| {
        gauge.certificate_expires(pair.not_after);
        certificate.replace(pair);
    });
    if let Some(authorities) = authorities {
        let followed = Arc::clone(&tls);
        files.follow(authorities, move |authorities: RootCertStore| {
            if let Err(error) = followed.trust(authorities) {
                tracing::error!(%error, "the last good CA stays in force");
            }
        });
    }
    Ok((tls, standalone))
}

/// The certificate's and the key's file: given, or a standalone server's own, which are renewed from here on.
fn certificate_files(arguments: &ServeArguments) -> Result<(Vec<PathBuf>, Option<Standalone>), Error> {
    match (arguments.certificates, &arguments.tls_cert, &arguments.tls_key) {
        (Some(Certificates::Standalone), Some(_), _) => {
            Err(Error::Flags("--certificates standalone makes its own: leave out --tls-cert"))
        }
        (_, Some(certificate), Some(key)) => Ok((vec![certificate.clone(), key.clone()], None)),
        (Some(Certificates::Files), ..) => Err(Error::Flags("--certificates files needs --tls-cert and --tls-key")),
        _ => {
            let directory = arguments.state_dir.clone().or_else(default_state_dir).ok_or(Error::Flags(
                "there is no home directory for a standalone server's certificates: give a directory with --state-dir, or --tls-cert",
            ))?;
            let hosts = hosts(arguments);
            let standalone = Standalone::ensure(&directory, &hosts)?;
            tokio::spawn(Standalone::keep(directory, hosts, RENEW_EVERY));
            Ok((vec![standalone.certificate.clone(), standalone.key.clone()], Some(standalone)))
        }
    }
}

/// What a standalone server is called by, besides `localhost`.
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
