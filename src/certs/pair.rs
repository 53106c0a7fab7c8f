//! A certificate and its private key, read from PEM text and known to belong together.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    InconsistentKeys,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Bundle, bundle::is_for};

/// A certificate chain and its key. The key is the certificate's: a pair that does not match cannot be made.
#[derive(Debug)]
pub struct Pair {
    /// What the handshake presents and signs with.
    pub key: Arc<CertifiedKey>,
    /// When the certificate becomes valid, in seconds since 1970.
    pub not_before: i64,
    /// When it expires, in seconds since 1970.
    pub not_after: i64,
}

/// Why two files are no pair.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The certificate file's text.
    #[error("the certificate is not PEM text (-----BEGIN CERTIFICATE-----): {0}")]
    CertificateText(pem::Error),
    /// The certificate file holds something else.
    #[error("the certificate file holds no certificate (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// The certificate's own content.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The key file.
    #[error("the key file holds no private key in PEM text (-----BEGIN PRIVATE KEY-----): {0}")]
    KeyText(pem::Error),
    /// The two do not belong together.
    #[error("the key is not the certificate's; give the key that the certificate was made for")]
    Mismatch,
    /// The key is of a kind that cannot be used.
    #[error("the key cannot be used: {0}")]
    Key(rustls::Error),
}

impl Pair {
    /// Reads a pair from the certificate's and the key's PEM text.
    ///
    /// # Errors
    /// What is wrong with which of the two.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(PairError::CertificateText)?;
        let leaf = chain.first().ok_or(PairError::NoCertificate)?;
        let (not_before, not_after) = validity(leaf)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(PairError::KeyText)?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => PairError::Mismatch,
            other => PairError::Key(other),
        })?;
        Ok(Self { key: Arc::new(key), not_before, not_after })
    }

    /// Whether the certificate is for a host, a DNS name or an IP address.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        self.key.cert.first().is_some_and(|leaf| is_for(leaf, host))
    }

    /// The certificates, the server's first, as PEM text.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        Bundle::of(&self.key.cert).to_pem()
    }

    /// Why clients would refuse the certificate at this time, if they would.
    #[must_use]
    pub fn why_invalid(&self, now: SystemTime) -> Option<String> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs).cast_signed();
        if now > self.not_after {
            return Some(format!("the certificate expired {} seconds ago; renew it", now - self.not_after));
        }
        (now < self.not_before)
            .then(|| format!("the certificate is valid only in {} seconds; check the clock", self.not_before - now))
    }
}

/// When a certificate is valid, in seconds since 1970.
fn validity(certificate: &CertificateDer<'_>) -> Result<(i64, i64), PairError> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| PairError::Certificate(error.to_string()))?;
    let validity = parsed.validity();
    Ok((validity.not_before.timestamp(), validity.not_after.timestamp()))
}
