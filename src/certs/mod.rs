//! The server's certificate: where it comes from, and the one that is in force now.
//!
//! ```text
//! standalone: state directory, made where needed --+
//!                                                  +--> two PEM files --> Pair --> CurrentCertificate --> every TLS handshake
//! files: --tls-cert, --tls-key --------------------+        (followed by crate::reload)      ^
//!                                                                                            |
//! self-managed: a Secret --> Held --> next_step, done by a Keeper in each replica -----------+
//!                              `----> caBundle of the webhook configurations
//! ```

mod authority;
mod bundle;
mod held;
mod keeper;
mod pair;
mod served;
mod standalone;
mod step;

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwapOption;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

pub use bundle::{Bundle, Described, Refusal, describe};
pub use held::{Data, Held, Unusable};
pub use keeper::{InForce, Keeper, Keeping, ROTATE, ROTATED, SECRET};
pub use pair::{Pair, PairError};
pub use served::served;
pub use standalone::{Standalone, StandaloneError};
pub use step::{Step, next_step};

/// The pair that handshakes use from now on; swapped without touching open connections.
#[derive(Debug, Default)]
pub struct CurrentCertificate(ArcSwapOption<Pair>);

impl CurrentCertificate {
    /// Starts with a good pair; by default with none, so that handshakes fail until there is one.
    #[must_use]
    pub fn new(pair: Pair) -> Self {
        Self(ArcSwapOption::from_pointee(pair))
    }

    /// Uses another pair from the next handshake on.
    pub fn replace(&self, pair: impl Into<Arc<Pair>>) {
        self.0.store(Some(pair.into()));
    }

    /// Why clients would refuse the certificate at this time, if they would.
    #[must_use]
    pub fn why_invalid(&self, now: SystemTime) -> Option<String> {
        match &*self.0.load() {
            Some(pair) => pair.why_invalid(now),
            None => Some("there is no certificate yet; the log says why".to_owned()),
        }
    }

    /// The pair that is in force, if there is one.
    #[must_use]
    pub fn pair(&self) -> Option<Arc<Pair>> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().map(|pair| Arc::clone(&pair.key))
    }
}

/// Reads the CAs that clients' certificates are checked with.
///
/// # Errors
/// A sentence that says what is wrong with the PEM text.
pub fn client_authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("not a PEM certificate: {error}"))?;
        authorities.add(certificate).map_err(|error| format!("not a CA certificate: {error}"))?;
    }
    if authorities.is_empty() {
        return Err("holds no certificate; expected PEM text (-----BEGIN CERTIFICATE-----)".into());
    }
    Ok(authorities)
}
