//! An own CA and a certificate signed by it, for a server that nobody gave any.
//!
//! Promised: who trusts `ca.crt` of the state directory can call this server by `localhost`, `127.0.0.1`, `::1` and by the hosts
//! that were asked for. What is there is kept while that is true for another month; what is not is made again. Keys are readable by
//! their owner alone.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{Issuer, KeyPair};

use super::{
    Bundle, Pair,
    authority::{make_authority, make_certificate},
    bundle::{describe, ends_within},
};

/// How long the CA is valid.
const CA_LIFE: Duration = Duration::from_hours(10 * 365 * 24);
/// How long the certificate is valid; more than 398 days is refused by some clients.
const LEAF_LIFE: Duration = Duration::from_hours(365 * 24);
/// What is valid for less than this is made again.
const NEARLY: Duration = Duration::from_hours(30 * 24);

/// Where a standalone server's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standalone {
    /// The CA to trust.
    pub ca: PathBuf,
    /// The CA's key, for making the next certificate.
    pub ca_key: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

/// Why a standalone server has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    /// The state directory or a file in it.
    #[error("cannot write {path}: {source}; give a directory that can be written with --state-dir")]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The making itself.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

impl Standalone {
    /// Makes sure that a CA and a certificate for the hosts are in the directory, making only what is missing or no longer good.
    ///
    /// # Errors
    /// The directory or a file in it cannot be written.
    pub fn ensure(directory: &Path, hosts: &[String]) -> Result<Self, StandaloneError> {
        let files = Self {
            ca: directory.join("ca.crt"),
            ca_key: directory.join("ca.key"),
            certificate: directory.join("tls.crt"),
            key: directory.join("tls.key"),
        };
        let names = names(hosts);
        if files.are_good(&names) {
            return Ok(files);
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| StandaloneError::Write { path: directory.into(), source })?;
        let issuer = match files.issuer() {
            Some(issuer) => issuer,
            None => files.make_ca()?,
        };
        files.make_certificate(&issuer, names)?;
        Ok(files)
    }

    /// Makes sure of the files again and again, for ever: a server may run for longer than its certificate is valid.
    pub async fn keep(directory: PathBuf, hosts: Vec<String>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = Self::ensure(&directory, &hosts) {
                tracing::error!(%error, "cannot renew the certificate; trying again later");
            }
        }
    }

    /// Whether a client that trusts the CA would accept the certificate for all the names, today and in a month.
    fn are_good(&self, names: &[String]) -> bool {
        let read = |path: &Path| fs::read(path).ok();
        let (Some(ca), Some(certificate), Some(key)) = (read(&self.ca), read(&self.certificate), read(&self.key))
        else {
            return false;
        };
        let Ok(pair) = Pair::from_pem(&certificate, &key) else { return false };
        let (ca_bundle, now) = (Bundle::from_pem(&ca), SystemTime::now());
        let is_accepted = |name: &String, at: SystemTime| ca_bundle.refuses(&pair.key.cert, name, at).is_none();
        ca_is_good(&ca) && names.iter().all(|name| is_accepted(name, now) && is_accepted(name, now + NEARLY))
    }

    /// The CA that is there, if it is good for another month and can be signed with.
    fn issuer(&self) -> Option<Issuer<'static, KeyPair>> {
        let ca = fs::read_to_string(&self.ca).ok()?;
        let key = fs::read_to_string(&self.ca_key).ok()?;
        Pair::from_pem(ca.as_bytes(), key.as_bytes()).ok()?;
        if !ca_is_good(ca.as_bytes()) {
            return None;
        }
        Issuer::from_ca_cert_pem(&ca, KeyPair::from_pem(&key).ok()?).ok()
    }

    fn make_ca(&self) -> Result<Issuer<'static, KeyPair>, StandaloneError> {
        let made = make_authority("spark-admission standalone CA", SystemTime::now(), CA_LIFE)?;
        write(&self.ca_key, &made.key, 0o600)?;
        write(&self.ca, &made.certificate, 0o644)?;
        tracing::info!(ca = %self.ca.display(), "made a certificate authority");
        Ok(Issuer::from_ca_cert_pem(&made.certificate, KeyPair::from_pem(&made.key)?)?)
    }

    fn make_certificate(&self, issuer: &Issuer<'_, KeyPair>, names: Vec<String>) -> Result<(), StandaloneError> {
        let made = make_certificate(issuer, names, SystemTime::now(), LEAF_LIFE)?;
        write(&self.key, &made.key, 0o600)?;
        write(&self.certificate, &made.certificate, 0o644)?;
        tracing::info!(certificate = %self.certificate.display(), "made a certificate");
        Ok(())
    }
}

/// What the server is called by: this machine's names for itself, and the hosts.
fn names(hosts: &[String]) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    for host in hosts {
        if !names.contains(host) {
            names.push(host.clone());
        }
    }
    names
}

/// Whether the CA itself is valid for another month; the check of a chain does not look at its root's dates.
fn ca_is_good(pem: &[u8]) -> bool {
    let ca = Bundle::from_pem(pem).certificates().first().and_then(describe);
    ca.is_some_and(|ca| !ends_within(ca.not_after, NEARLY, SystemTime::now()))
}

/// Writes a file whole or not at all: a server that starts at the same time must not read half of it.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), StandaloneError> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&draft, path));
    written.map_err(|source| StandaloneError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const DAY: Duration = Duration::from_hours(24);

    /// No hosts but this machine's names for itself.
    const LOCAL: &[String] = &[];

    type Prepare = fn(&Path) -> Standalone;

    /// Writes a CA and a certificate of it that are valid for so long.
    fn plant(directory: &Path, ca_life: Duration, life: Duration) -> Standalone {
        let files = Standalone::ensure(directory, LOCAL).unwrap();
        let now = SystemTime::now();
        let ca = make_authority("planted", now, ca_life).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&ca.certificate, KeyPair::from_pem(&ca.key).unwrap()).unwrap();
        let leaf = make_certificate(&issuer, names(LOCAL), now, life).unwrap();
        for (file, text) in [
            (&files.ca, ca.certificate),
            (&files.ca_key, ca.key),
            (&files.certificate, leaf.certificate),
            (&files.key, leaf.key),
        ] {
            fs::write(file, text).unwrap();
        }
        files
    }

    #[test]
    fn what_is_good_is_kept_and_what_is_not_is_made_again() {
        let made: Prepare = |dir| Standalone::ensure(dir, LOCAL).unwrap();
        let [address, name, local] =
            ["10.1.2.3", "spark-admission.example.com", "localhost"].map(|host| [host.to_owned()]);
        let cases: [(&str, Prepare, &[String], bool, bool); 9] = [
            ("good", made, LOCAL, true, true),
            ("another address", made, &address, true, false),
            ("another name", made, &name, true, false),
            ("a name that it has", made, &local, true, true),
            ("the certificate expires soon", |dir| plant(dir, 365 * DAY, 20 * DAY), LOCAL, true, false),
            ("the CA expires soon", |dir| plant(dir, 20 * DAY, 365 * DAY), LOCAL, false, false),
            ("planted and good", |dir| plant(dir, 365 * DAY, 365 * DAY), LOCAL, true, true),
            ("an unreadable key", |dir| damaged(dir, "tls.key"), LOCAL, true, false),
            ("an unreadable CA", |dir| damaged(dir, "ca.crt"), LOCAL, false, false),
        ];
        for (case, prepare, hosts, ca_kept, certificate_kept) in cases {
            let directory = tempfile::tempdir().unwrap();
            let files = prepare(directory.path());
            let (ca, certificate) = (fs::read(&files.ca).unwrap(), fs::read(&files.certificate).unwrap());
            assert_eq!(Standalone::ensure(directory.path(), hosts).unwrap(), files, "{case}");
            assert_eq!(fs::read(&files.ca).unwrap() == ca, ca_kept, "{case}: the CA");
            assert_eq!(
                fs::read(&files.certificate).unwrap() == certificate,
                certificate_kept,
                "{case}: the certificate"
            );
            assert!(files.are_good(&names(hosts)), "{case}");
        }
    }

    #[tokio::test]
    async fn a_server_that_runs_on_gets_its_next_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let files = plant(directory.path(), 365 * DAY, 20 * DAY);
        let keeping = Standalone::keep(directory.path().into(), LOCAL.to_vec(), Duration::from_millis(10));
        let renewed = async {
            while !files.are_good(&names(LOCAL)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = keeping => unreachable!("it goes on for ever"),
            () = renewed => {}
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("not renewed"),
        }
    }

    fn damaged(directory: &Path, file: &str) -> Standalone {
        let files = Standalone::ensure(directory, LOCAL).unwrap();
        fs::write(directory.join(file), "damaged").unwrap();
        files
    }

    #[test]
    fn keys_are_their_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let files = Standalone::ensure(&directory.path().join("state"), LOCAL).unwrap();
        for key in [&files.key, &files.ca_key] {
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600, "{}", key.display());
        }
    }
}
