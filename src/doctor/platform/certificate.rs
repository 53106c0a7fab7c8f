//! What the API server would not take of a server's certificate, in the doctor's words.

use std::time::{Duration, SystemTime};

use crate::certs::{Bundle, Refusal};

/// Why the API server would not take a server's certificate, if it would not.
pub(super) fn refused(chain: &Bundle, trusted: &Bundle, host: &str, now: i64) -> Option<String> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.max(0).cast_unsigned());
    match trusted.refuses(chain.certificates(), host, now)? {
        Refusal::Signer => Some("is not signed by what caBundle trusts".to_owned()),
        Refusal::Expired => Some("has expired, or who signed it has".to_owned()),
        Refusal::OtherName(host) => Some(format!("is not for {host}")),
        // Nothing to judge, or what the API server may not mind.
        Refusal::NoCertificate | Refusal::NobodyTrusted | Refusal::NotYetValid | Refusal::Other(_) => None,
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
            ("nobody trusted", &good, &String::new(), host, None),
        ] {
            let [chain, trusted] = [chain, trusted].map(|pem| Bundle::from_pem(pem.as_bytes()));
            let why = refused(&chain, &trusted, host, now);
            assert_eq!(why.as_deref(), expected, "{case}");
        }
    }
}
