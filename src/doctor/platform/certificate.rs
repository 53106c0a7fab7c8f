//! Certificates as the API server judges them: who signed them, for which name, until when.

use std::{sync::Arc, time::Duration};

use rustls::{
    CertificateError, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The certificates in PEM text; none where it holds none, or something else.
pub(super) fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap_or_default()
}

/// When a certificate expires, in seconds since 1970; none where it cannot be read.
pub(super) fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// Why the API server would not take a server's certificate, if it would not.
pub(super) fn refused(
    chain: &[CertificateDer<'static>],
    trusted: &[CertificateDer<'static>],
    host: &str,
    now: i64,
) -> Option<String> {
    let (leaf, intermediates) = chain.split_first()?;
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(aws_lc_rs::default_provider()));
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).ok()?));
    let answer = verifier.build().ok()?.verify_server_cert(leaf, intermediates, &name, &[], now);
    // What is trusted itself needs nobody's signature; Go takes it, and this library does not.
    let is_itself_trusted = trusted.contains(leaf);
    match answer.err()? {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) if is_itself_trusted => None,
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            Some("is not signed by what caBundle trusts".to_owned())
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Some("has expired, or who signed it has".to_owned())
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Some(format!("is not for {host}")),
        // What else this library minds the API server may not.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

    /// Who signs, and its certificate as PEM text.
    fn authority(name: &str) -> (Issuer<'static, KeyPair>, String) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        (Issuer::new(params, key), pem)
    }

    fn leaf(issuer: &Issuer<'_, KeyPair>, until: i32) -> String {
        let mut params = CertificateParams::new(["webhook.operators.svc".to_owned()]).unwrap();
        params.not_after = date_time_ymd(until, 1, 1);
        params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().pem()
    }

    #[test]
    fn judges_as_the_api_server_does() {
        let ((issuer, trusted), (stranger, foreign)) = (authority("ours"), authority("theirs"));
        let now = crate::doctor::testing::NOW;
        let host = "webhook.operators.svc";
        let good = leaf(&issuer, 2030);
        for (case, chain, trusted, host, expected) in [
            ("a good one", &good, &trusted, host, None),
            ("one of two is the right one", &good, &format!("{foreign}{trusted}"), host, None),
            ("another signer", &leaf(&stranger, 2030), &trusted, host, Some("is not signed by what caBundle trusts")),
            ("expired", &leaf(&issuer, 2025), &trusted, host, Some("has expired, or who signed it has")),
            ("another name", &good, &trusted, "other.operators.svc", Some("is not for other.operators.svc")),
            ("trusted itself", &good, &good, host, None),
            ("nothing there", &String::new(), &trusted, host, None),
        ] {
            let why = refused(&certificates(chain), &certificates(trusted), host, now);
            assert_eq!(why.as_deref(), expected, "{case}");
        }
        assert_eq!(expiry(&certificates(&leaf(&issuer, 2030))[0]), Some(1_893_456_000));
        assert!(certificates("nonsense").is_empty());
    }
}
