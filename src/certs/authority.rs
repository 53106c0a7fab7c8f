//! Makes CAs and the certificates that they sign: ECDSA P-256, valid from a day ago, since other clocks may be behind this one.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

/// How long before it is made a certificate is valid.
const BACK: Duration = Duration::from_hours(24);

/// PEM text of a certificate and its key.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A CA that signs servers' certificates and no other CA's.
pub(super) fn make_authority(name: &str, now: SystemTime, life: Duration) -> Result<Made, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = params(name, Vec::new(), now, life)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(Made { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

/// A server's certificate for names and addresses.
pub(super) fn make_certificate(
    issuer: &Issuer<'_, KeyPair>,
    names: Vec<String>,
    now: SystemTime,
    life: Duration,
) -> Result<Made, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = params("spark-admission", names, now, life)?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(Made { certificate: params.signed_by(&key, issuer)?.pem(), key: key.serialize_pem() })
}

fn params(name: &str, names: Vec<String>, now: SystemTime, life: Duration) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (now - BACK).into();
    params.not_after = (now + life).into();
    Ok(params)
}
