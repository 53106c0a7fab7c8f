//! Certificates that somebody trusts, such as those of a `caBundle`, and whether a server's certificate is good for them.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    CertificateError, Error, RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Certificates in the order in which they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle(Vec<CertificateDer<'static>>);

/// What a person is told of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its subject's common name.
    pub name: String,
    /// The DNS names and addresses that it is for.
    pub hosts: Vec<String>,
    /// When it expires, in seconds since 1970.
    pub not_after: i64,
}

/// Why somebody refuses a server's certificate; as text, what the certificate is or is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No certificate was presented.
    #[error("is missing")]
    NoCertificate,
    /// Who judges trusts nobody.
    #[error("is trusted by nobody")]
    NobodyTrusted,
    /// Somebody else signed it.
    #[error("is not signed by what is trusted")]
    Signer,
    /// It has expired, or who signed it has.
    #[error("has expired")]
    Expired,
    /// Its time has not come.
    #[error("is not valid yet")]
    NotYetValid,
    /// It is not for this host.
    #[error("is not for {0}")]
    OtherName(String),
    /// Something else.
    #[error("cannot be used: {0}")]
    Other(String),
}

impl Bundle {
    /// Reads PEM text; what is none holds no certificate.
    #[must_use]
    pub fn from_pem(pem: &[u8]) -> Self {
        Self(CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().unwrap_or_default())
    }

    /// These certificates.
    #[must_use]
    pub fn of(certificates: &[CertificateDer<'static>]) -> Self {
        Self(certificates.to_vec())
    }

    /// As PEM text.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let pem = |der: &CertificateDer<'_>| {
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", in_lines(&STANDARD.encode(der)))
        };
        self.0.iter().map(pem).collect()
    }

    /// The certificates.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    /// Why somebody who trusts these would refuse a server's certificate (the first; what it needs is behind it) for a host.
    #[must_use]
    pub fn refuses(&self, chain: &[CertificateDer<'static>], host: &str, at: SystemTime) -> Option<Refusal> {
        let other_name = || (!is_for(chain.first()?, host)).then(|| Refusal::OtherName(host.to_owned()));
        self.distrusts(chain, at).or_else(other_name)
    }

    /// The place of the one that signed a server's certificate, whatever host that is for.
    ///
    /// # Errors
    /// Why it is none of these.
    pub fn signer(&self, chain: &[CertificateDer<'static>], at: SystemTime) -> Result<usize, Refusal> {
        let is_signer =
            |authority: &CertificateDer<'static>| Self(vec![authority.clone()]).distrusts(chain, at).is_none();
        let place = self.0.iter().position(is_signer);
        place.ok_or_else(|| self.distrusts(chain, at).unwrap_or(Refusal::Signer))
    }

    /// Why somebody who trusts these would refuse a server's certificate for any host, as Go's verification does: to it a certificate
    /// that is itself trusted needs no signature (crypto/x509, Certificate.Verify).
    fn distrusts(&self, chain: &[CertificateDer<'static>], at: SystemTime) -> Option<Refusal> {
        use CertificateError as Is;
        let Some((leaf, chain)) = chain.split_first() else { return Some(Refusal::NoCertificate) };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.0.iter().cloned());
        if roots.is_empty() {
            return Some(Refusal::NobodyTrusted);
        }
        let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO));
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        let verified = ParsedCertificate::try_from(leaf)
            .and_then(|leaf| verify_server_cert_signed_by_trust_anchor(&leaf, &roots, chain, at, algorithms));
        match verified.err()? {
            Error::InvalidCertificate(Is::UnknownIssuer | Is::BadSignature) if self.0.contains(leaf) => None,
            Error::InvalidCertificate(Is::UnknownIssuer | Is::BadSignature) => Some(Refusal::Signer),
            Error::InvalidCertificate(Is::Expired | Is::ExpiredContext { .. }) => Some(Refusal::Expired),
            Error::InvalidCertificate(Is::NotValidYet | Is::NotValidYetContext { .. }) => Some(Refusal::NotYetValid),
            other => Some(Refusal::Other(other.to_string())),
        }
    }
}

/// Whether a certificate is for a host, a DNS name or an IP address.
pub(super) fn is_for(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let (Ok(certificate), Ok(name)) = (ParsedCertificate::try_from(certificate), ServerName::try_from(host)) else {
        return false;
    };
    verify_server_name(&certificate, &name).is_ok()
}

/// What a certificate says of itself; none where it cannot be read.
#[must_use]
pub fn describe(certificate: &CertificateDer<'_>) -> Option<Described> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().find_map(|name| name.as_str().ok()).unwrap_or_default().to_owned();
    Some(Described { name, hosts: hosts(&parsed), not_after: parsed.validity().not_after.timestamp() })
}

fn hosts(certificate: &X509Certificate<'_>) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let host = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets).ok().map(|octets| std::net::IpAddr::from(octets).to_string()),
            _ => <[u8; 16]>::try_from(*octets).ok().map(|octets| std::net::IpAddr::from(octets).to_string()),
        },
        _ => None,
    };
    names.value.general_names.iter().filter_map(host).collect()
}

/// Whether something that ends then, in seconds since 1970, does so within a span of time.
pub(super) fn ends_within(not_after: i64, span: Duration, now: SystemTime) -> bool {
    let then = (now + span).duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    not_after < then.as_secs().cast_signed()
}

/// Lines of 64 characters, as openssl wants them.
fn in_lines(text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + text.len() / 64);
    for (place, character) in text.chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::authority::{Made, make_authority, make_certificate};
    use rcgen::{Issuer, KeyPair};

    const DAY: Duration = Duration::from_hours(24);
    const HOST: &str = "webhook.example.svc";

    fn leaf(authority: &Made, life: Duration) -> Vec<CertificateDer<'static>> {
        let key = KeyPair::from_pem(&authority.key).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&authority.certificate, key).unwrap();
        let made = make_certificate(&issuer, vec![HOST.into(), "10.1.2.3".into()], SystemTime::now(), life).unwrap();
        Bundle::from_pem(made.certificate.as_bytes()).certificates().to_vec()
    }

    #[test]
    fn refuses_what_the_api_server_would() {
        let now = SystemTime::now();
        let [ours, theirs] = ["ours", "theirs"].map(|name| make_authority(name, now, 2 * DAY).unwrap());
        let bundle = |pems: &[&Made]| {
            Bundle::from_pem(pems.iter().map(|made| made.certificate.as_str()).collect::<String>().as_bytes())
        };
        let leaf = leaf(&ours, DAY);
        let itself = Bundle::of(&leaf);
        let other_name = |name: &str| Refusal::OtherName(name.to_owned());
        for (case, trusted, host, at, expected) in [
            ("the right CA", bundle(&[&ours]), HOST, now, None),
            ("one of two", bundle(&[&theirs, &ours]), HOST, now, None),
            ("an address", bundle(&[&ours]), "10.1.2.3", now, None),
            ("itself", itself.clone(), HOST, now, None),
            (
                "itself, for another name",
                itself.clone(),
                "other.example.svc",
                now,
                Some(other_name("other.example.svc")),
            ),
            ("itself, too late", itself, HOST, now + 2 * DAY, Some(Refusal::Expired)),
            ("another CA", bundle(&[&theirs]), HOST, now, Some(Refusal::Signer)),
            ("no CA", Bundle::default(), HOST, now, Some(Refusal::NobodyTrusted)),
            ("too late", bundle(&[&ours]), HOST, now + 2 * DAY, Some(Refusal::Expired)),
            ("too early", bundle(&[&ours]), HOST, now - 2 * DAY, Some(Refusal::NotYetValid)),
            ("another name", bundle(&[&ours]), "other.example.svc", now, Some(other_name("other.example.svc"))),
            ("what is no name", bundle(&[&ours]), "a b", now, Some(other_name("a b"))),
        ] {
            assert_eq!(trusted.refuses(&leaf, host, at), expected, "{case}");
        }
        assert_eq!(bundle(&[&ours]).refuses(&[], HOST, now), Some(Refusal::NoCertificate));
        assert_eq!(describe(&leaf[0]).unwrap().hosts, [HOST, "10.1.2.3"]);
    }

    #[test]
    fn knows_who_signed() {
        let now = SystemTime::now();
        let [ours, theirs] = ["ours", "theirs"].map(|name| make_authority(name, now, 2 * DAY).unwrap());
        let leaf = leaf(&ours, DAY);
        let bundle = |all: &[&Made]| {
            Bundle::from_pem(all.iter().map(|made| made.certificate.as_str()).collect::<String>().as_bytes())
        };
        for (case, trusted, at, expected) in [
            ("the only one", bundle(&[&ours]), now, Ok(0)),
            ("the second", bundle(&[&theirs, &ours]), now, Ok(1)),
            ("somebody else", bundle(&[&theirs]), now, Err(Refusal::Signer)),
            ("too late", bundle(&[&theirs, &ours]), now + 2 * DAY, Err(Refusal::Expired)),
            ("nobody", Bundle::default(), now, Err(Refusal::NobodyTrusted)),
        ] {
            assert_eq!(trusted.signer(&leaf, at), expected, "{case}");
        }
    }

    #[test]
    fn what_is_read_is_written() {
        let pem = make_authority("ours", SystemTime::now(), DAY).unwrap().certificate;
        let bundle = Bundle::from_pem(pem.as_bytes());
        assert_eq!(Bundle::from_pem(bundle.to_pem().as_bytes()), bundle);
        assert_eq!(bundle.certificates().len(), 1);
        assert_eq!(Bundle::from_pem(b"nonsense"), Bundle::default());
    }
}
