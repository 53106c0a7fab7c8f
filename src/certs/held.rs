//! What the Secret of a self-managed server holds: the CAs to trust, the key of the newest, and the certificate that servers present.
//!
//! | key | |
//! |---|---|
//! | `ca.crt` | the CAs to trust, the newest first; what `caBundle` is to be |
//! | `ca.key` | the key of the first |
//! | `tls.crt`, `tls.key` | the certificate that servers present, and its key |
//!
//! Promised: what is held can be served with. It was read from the very bytes that stand in the Secret, or are to be written there.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};

use super::{
    Bundle, Pair, PairError,
    authority::{Made, make_authority, make_certificate},
    bundle::{Refusal, describe, ends_within},
};
use crate::policy::values::timestamp;

/// The data of a Secret.
pub type Data = BTreeMap<String, Vec<u8>>;

/// How long a CA is valid.
const AUTHORITY_LIFE: Duration = Duration::from_hours(365 * 24);
/// How long a certificate is valid.
const CERTIFICATE_LIFE: Duration = Duration::from_hours(90 * 24);
/// A CA is followed by another one when it is valid for less than this: for longer than any certificate that it has signed.
const AUTHORITY_ENDS: Duration = Duration::from_hours(122 * 24);
/// A certificate is followed by another one when it is valid for less than this.
const CERTIFICATE_ENDS: Duration = Duration::from_hours(30 * 24);
/// What the name of every CA of ours begins with.
const NAME: &str = "spark-admission CA ";

const CA: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// A Secret's content that can be served with.
#[derive(Debug, Clone)]
pub struct Held {
    data: Data,
    authorities: Bundle,
    pair: Arc<Pair>,
    /// The place of the CA that signed the certificate.
    signer: usize,
    /// When that CA expires, in seconds since 1970.
    signer_not_after: i64,
    /// When the newest CA does.
    newest_not_after: i64,
}

/// Why a Secret's content cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// There is no Secret.
    #[error("there is none")]
    Absent,
    /// A key of the Secret.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// The CAs.
    #[error("{CA} holds no CA of a self-managed server's own making")]
    Authority,
    /// The first CA's validity.
    #[error("the CA that signs has expired, or is not valid yet")]
    AuthorityInvalid,
    /// A key.
    #[error("{0} is not the key of the first certificate in {1}, or not one for ECDSA P-256")]
    Key(&'static str, &'static str),
    /// The certificate.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// The certificate's signature and validity.
    #[error("the certificate {0}")]
    Refused(Refusal),
    /// The making itself.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

impl Held {
    /// A new CA, and a certificate of it.
    ///
    /// # Errors
    /// The system has no randomness, or a name is none.
    pub fn make(names: Vec<String>, now: SystemTime) -> Result<Self, Unusable> {
        let authority = new_authority(now)?;
        let leaf = sign(&authority, names, now)?;
        Self::read(data(&authority.certificate, &authority.key, &leaf), now)
    }

    /// What stands in a Secret.
    ///
    /// # Errors
    /// Why it cannot be served with now.
    pub fn read(data: Data, now: SystemTime) -> Result<Self, Unusable> {
        let found = |key| data.get(key).filter(|bytes| !bytes.is_empty()).ok_or(Unusable::Missing(key));
        let authorities = Bundle::from_pem(found(CA)?);
        let newest = authorities.certificates().first().ok_or(Unusable::Authority)?;
        let newest_not_after = describe(newest)
            .filter(|newest| newest.name.starts_with(NAME))
            .map(|newest| newest.not_after)
            .ok_or(Unusable::Authority)?;
        let pair = |certificate, key| -> Result<Pair, Unusable> {
            let is_ours = is_p256(found(key)?);
            let pair = Pair::from_pem(found(certificate)?, found(key)?)?;
            is_ours.then_some(pair).ok_or(Unusable::Key(key, certificate))
        };
        let authority = match pair(CA, CA_KEY) {
            Err(Unusable::Pair(_)) => return Err(Unusable::Key(CA_KEY, CA)),
            authority => authority?,
        };
        if authority.why_invalid(now).is_some() {
            return Err(Unusable::AuthorityInvalid);
        }
        let pair = pair(CERTIFICATE, KEY)?;
        let signer = authorities.signer(&pair.key.cert, now).map_err(Unusable::Refused)?;
        let signer_not_after =
            describe(&authorities.certificates()[signer]).map(|signer| signer.not_after).ok_or(Unusable::Authority)?;
        Ok(Self { authorities, pair: Arc::new(pair), signer, signer_not_after, newest_not_after, data })
    }

    /// The same with a new CA beside the others, which signs nothing yet.
    ///
    /// # Errors
    /// As [`Held::make`].
    pub fn with_next_authority(&self, now: SystemTime) -> Result<Self, Unusable> {
        let authority = new_authority(now)?;
        let authorities = format!("{}{}", authority.certificate, self.authorities.to_pem());
        Self::read(data(&authorities, &authority.key, &self.leaf()), now)
    }

    /// The same with another certificate, of the newest CA, for these names and those that the certificate has.
    ///
    /// # Errors
    /// As [`Held::make`].
    pub fn with_next_certificate(&self, names: &[String], now: SystemTime) -> Result<Self, Unusable> {
        let mut all = self.names();
        all.extend(names.iter().filter(|name| !self.pair.is_for(name)).cloned());
        let newest = Bundle::of(&self.authorities.certificates()[..1]).to_pem();
        let leaf = sign(&Made { certificate: newest, key: self.text(CA_KEY) }, all, now)?;
        Self::read(data(&self.authorities.to_pem(), &self.text(CA_KEY), &leaf), now)
    }

    /// The same without the CAs that are older than the one which signed the certificate.
    ///
    /// # Errors
    /// None, as long as the certificate is valid.
    pub fn without_old_authorities(&self, now: SystemTime) -> Result<Self, Unusable> {
        let needed = Bundle::of(&self.authorities.certificates()[..=self.signer]).to_pem();
        Self::read(data(&needed, &self.text(CA_KEY), &self.leaf()), now)
    }

    /// As it stands in the Secret.
    #[must_use]
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The CAs to trust.
    #[must_use]
    pub fn authorities(&self) -> &Bundle {
        &self.authorities
    }

    /// The certificate and its key.
    #[must_use]
    pub fn pair(&self) -> &Arc<Pair> {
        &self.pair
    }

    /// When the CA that signed the certificate expires, in seconds since 1970.
    #[must_use]
    pub fn authority_not_after(&self) -> i64 {
        self.signer_not_after
    }

    /// Whether there is a CA that has signed nothing yet.
    #[must_use]
    pub fn has_next_authority(&self) -> bool {
        self.signer > 0
    }

    /// Whether there is a CA that only an older certificate needs.
    #[must_use]
    pub fn has_old_authorities(&self) -> bool {
        self.signer + 1 < self.authorities.certificates().len()
    }

    /// Whether it is time for another CA.
    #[must_use]
    pub fn needs_authority(&self, now: SystemTime) -> bool {
        ends_within(self.newest_not_after, AUTHORITY_ENDS, now)
    }

    /// Whether it is time for another certificate, or some name is not on it.
    #[must_use]
    pub fn needs_certificate(&self, names: &[String], now: SystemTime) -> bool {
        ends_within(self.pair.not_after, CERTIFICATE_ENDS, now) || !names.iter().all(|name| self.pair.is_for(name))
    }

    /// Whether it can still be served with.
    #[must_use]
    pub fn is_valid(&self, now: SystemTime) -> bool {
        self.pair.why_invalid(now).is_none() && !ends_within(self.newest_not_after, Duration::ZERO, now)
    }

    fn names(&self) -> Vec<String> {
        self.pair.key.cert.first().and_then(describe).map(|leaf| leaf.hosts).unwrap_or_default()
    }

    fn leaf(&self) -> Made {
        Made { certificate: self.text(CERTIFICATE), key: self.text(KEY) }
    }

    /// What stands under a key; it was read before, so it is text.
    fn text(&self, key: &str) -> String {
        self.data.get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    }
}

fn new_authority(now: SystemTime) -> Result<Made, rcgen::Error> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs().cast_signed();
    make_authority(&format!("{NAME}{}", timestamp::text(seconds).unwrap_or_default()), now, AUTHORITY_LIFE)
}

fn sign(authority: &Made, names: Vec<String>, now: SystemTime) -> Result<Made, rcgen::Error> {
    let key = KeyPair::from_pem(&authority.key)?;
    make_certificate(&Issuer::from_ca_cert_pem(&authority.certificate, key)?, names, now, CERTIFICATE_LIFE)
}

fn data(authorities: &str, authority_key: &str, leaf: &Made) -> Data {
    let entries = [(CA, authorities), (CA_KEY, authority_key), (CERTIFICATE, &leaf.certificate), (KEY, &leaf.key)];
    entries.map(|(key, text)| (key.to_owned(), text.as_bytes().to_vec())).into()
}

/// Whether a key is of the kind that we make.
fn is_p256(pem: &[u8]) -> bool {
    let key = std::str::from_utf8(pem).ok().and_then(|pem| KeyPair::from_pem(pem).ok());
    key.is_some_and(|key| key.algorithm() == &PKCS_ECDSA_P256_SHA256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, PKCS_RSA_SHA256};

    const DAY: Duration = Duration::from_hours(24);

    fn names() -> Vec<String> {
        vec!["spark-admission.operators.svc".to_owned()]
    }

    fn made() -> Held {
        Held::make(names(), SystemTime::now()).unwrap()
    }

    /// What an administrator's own tool makes, with a name like ours: RSA.
    fn rsa() -> Data {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::new(names()).unwrap();
        params.distinguished_name.push(DnType::CommonName, format!("{NAME}2026"));
        let certificate = params.self_signed(&key).unwrap().pem();
        data(&certificate.clone(), &key.serialize_pem(), &Made { certificate, key: key.serialize_pem() })
    }

    fn with(data: &Data, key: &str, bytes: &[u8]) -> Data {
        let mut data = data.clone();
        data.insert(key.to_owned(), bytes.to_vec());
        data
    }

    #[test]
    fn only_what_can_be_served_with_is_taken() {
        let (now, held, other) = (SystemTime::now(), made(), made());
        let (data, foreign) = (held.data(), other.data());
        let cut = |key: &str| with(data, key, &data[key][..data[key].len() / 2]);
        let without = |key: &str| {
            let mut data = data.clone();
            data.remove(key);
            data
        };
        let foreign_leaf = with(&with(data, CERTIFICATE, &foreign[CERTIFICATE]), KEY, &foreign[KEY]);
        let foreign_ca = with(data, CA, &foreign[CA]);
        let named_otherwise = make_authority("my CA", now, DAY).unwrap();
        let named_otherwise =
            with(&with(data, CA, named_otherwise.certificate.as_bytes()), CA_KEY, named_otherwise.key.as_bytes());
        for (case, data, at, expected) in [
            ("as it was made", data.clone(), now, None),
            ("by a clock that is a minute behind", data.clone(), now - Duration::from_mins(1), None),
            ("nothing", Data::new(), now, Some("no ca.crt")),
            ("no CA", without(CA), now, Some("no ca.crt")),
            ("no key of the CA", without(CA_KEY), now, Some("no ca.key")),
            ("no certificate", without(CERTIFICATE), now, Some("no tls.crt")),
            ("an empty key", with(data, KEY, b""), now, Some("no tls.key")),
            ("half a CA", cut(CA), now, Some("ca.crt holds no CA")),
            ("half a CA's key", cut(CA_KEY), now, Some("ca.key is not the key of the first certificate in ca.crt")),
            ("half a certificate", cut(CERTIFICATE), now, Some("certificate is not PEM text")),
            ("half a key", cut(KEY), now, Some("the key file holds no private key")),
            ("another's CA", foreign_ca, now, Some("ca.key is not the key")),
            ("another's certificate", foreign_leaf, now, Some("is not signed by what is trusted")),
            ("another's key", with(data, KEY, &foreign[KEY]), now, Some("the key is not the certificate's")),
            ("a CA of another name", named_otherwise, now, Some("ca.crt holds no CA")),
            ("RSA from elsewhere", rsa(), now, Some("ECDSA P-256")),
            ("text", with(data, CA, b"hello"), now, Some("ca.crt holds no CA")),
            ("an expired certificate", data.clone(), now + 91 * DAY, Some("the certificate has expired")),
            ("an expired CA", data.clone(), now + 366 * DAY, Some("the CA that signs has expired")),
        ] {
            match (Held::read(data, at), expected) {
                (Ok(_), None) => {}
                (Err(why), Some(expected)) => assert!(why.to_string().contains(expected), "{case}: {why}"),
                (read, expected) => panic!("{case}: {:?} instead of {expected:?}", read.map(drop)),
            }
        }
    }

    #[test]
    fn a_rotation_keeps_every_certificate_trusted() {
        let now = SystemTime::now();
        let first = made();
        let host = &names()[0];
        let trusts = |held: &Held, of: &Held| held.authorities().refuses(&of.pair().key.cert, host, now).is_none();
        let state = |held: &Held| (held.has_next_authority(), held.has_old_authorities());

        let begun = first.with_next_authority(now).unwrap();
        assert_eq!(begun.pair().key.cert, first.pair().key.cert, "the certificate is the same");
        assert_eq!(state(&begun), (true, false));
        let switched = begun.with_next_certificate(&names(), now).unwrap();
        assert_eq!(state(&switched), (false, true));
        assert_eq!(switched.authorities(), begun.authorities());
        assert!(trusts(&begun, &switched), "who trusts what was published trusts the next certificate");
        assert!(trusts(&switched, &first), "and the one before");
        let ended = switched.without_old_authorities(now).unwrap();
        assert_eq!(state(&ended), (false, false));
        assert!(trusts(&ended, &switched) && !trusts(&ended, &first));
    }

    #[test]
    fn knows_when_it_is_time() {
        let (now, held) = (SystemTime::now(), made());
        let other = ["spark-admission.spark.svc".to_owned()];
        for (case, at, names, expected) in [
            ("fresh", now, &names()[..], (false, false)),
            ("another name", now, &other[..], (false, true)),
            ("after two months", now + 61 * DAY, &names()[..], (false, true)),
            ("after eight months", now + 244 * DAY, &names()[..], (true, true)),
        ] {
            assert_eq!((held.needs_authority(at), held.needs_certificate(names, at)), expected, "{case}");
        }
        let renewed = held.with_next_certificate(&other, now).unwrap();
        assert_eq!(renewed.names(), [names(), other.to_vec()].concat(), "names come and do not go");
        assert_eq!(renewed.authorities(), held.authorities());
        assert!(!renewed.needs_certificate(&names(), now) && !renewed.needs_certificate(&other, now));
        assert!(held.is_valid(now) && !held.is_valid(now + 91 * DAY));
        assert!(AUTHORITY_ENDS > CERTIFICATE_LIFE, "no certificate outlives its CA");
    }
}
