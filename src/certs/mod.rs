//! The server's certificate: where it comes from, and the one that is in force now.
//!
//! ```text
//! standalone: state directory, made where needed --+
//!                                                  +--> two PEM files --> Pair --> CurrentCertificate --> every TLS handshake
//! files: --tls-cert, --tls-key --------------------+        (followed by crate::reload)
//! ```

mod authority;
mod bundle;
mod pair;
mod standalone;

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

pub use bundle::{Bundle, Described, describe};
pub use pair::{Pair, PairError};
pub use standalone::{Standalone, StandaloneError};

/// The pair that handshakes use from now on; swapped without touching open connections.
#[derive(Debug)]
pub struct CurrentCertificate(ArcSwap<Pair>);

impl CurrentCertificate {
    /// Starts with a good pair.
    #[must_use]
    pub fn new(pair: Pair) -> Self {
        Self(ArcSwap::from_pointee(pair))
    }

    /// Uses another pair from the next handshake on.
    pub fn replace(&self, pair: Pair) {
        self.0.store(Arc::new(pair));
    }

    /// Why clients would refuse the certificate at this time, if they would.
    #[must_use]
    pub fn why_invalid(&self, now: SystemTime) -> Option<String> {
        self.0.load().why_invalid(now)
    }

    /// The pair that is in force.
    #[must_use]
    pub fn pair(&self) -> Arc<Pair> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
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
