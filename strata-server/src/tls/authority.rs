//! The control plane's own certificate authority.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use strata_proto::time::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::write::{write_private, write_public};
use super::{Identity, TlsError, fingerprint, read_chain, read_key};

pub(super) fn identity(dir: &Path, names: &[String], now: Timestamp) -> Result<Identity, TlsError> {
    std::fs::create_dir_all(dir).map_err(|e| TlsError::file(dir, e))?;
    let authority = Authority::open(dir, now)?;
    let path = dir.join("server.pem");
    if let Some(identity) = existing(&path, &authority, names, now) {
        return Ok(identity);
    }
    authority.issue(&path, names, now)
}

struct Authority {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    fn open(dir: &Path, now: Timestamp) -> Result<Self, TlsError> {
        let path = dir.join("ca.pem");
        let authority = if path.try_exists().map_err(|e| TlsError::file(&path, e))? {
            Self::read(&path)?
        } else {
            Self::create(&path, now)?
        };
        let public = dir.join("ca.crt");
        let pem = certificate_pem(&authority.certificate);
        if std::fs::read(&public).ok().as_deref() != Some(pem.as_bytes()) {
            write_public(&public, pem.as_bytes()).map_err(|e| TlsError::file(&public, e))?;
        }
        Ok(authority)
    }

    fn read(path: &Path) -> Result<Self, TlsError> {
        let certificate = read_chain(path)?.swap_remove(0);
        let key = KeyPair::from_der_and_sign_algo(&read_key(path)?, &PKCS_ECDSA_P256_SHA256)
            .map_err(|e| TlsError::content(path, format!("expected an ECDSA P-256 key: {e}")))?;
        Ok(Self { certificate, key })
    }

    fn create(path: &Path, now: Timestamp) -> Result<Self, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = ca_params(now).self_signed(&key)?.der().clone();
        // One file, so that a crash cannot leave a key without its certificate.
        let pem = format!("{}{}", certificate_pem(&certificate), key.serialize_pem());
        write_private(path, pem.as_bytes()).map_err(|e| TlsError::file(path, e))?;
        Ok(Self { certificate, key })
    }

    fn issue(&self, path: &Path, names: &[String], now: Timestamp) -> Result<Identity, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let issuer = Issuer::new(ca_params(now), &self.key);
        let leaf = leaf_params(names, now)?.signed_by(&key, &issuer)?;
        let chain = vec![leaf.der().clone(), self.certificate.clone()];
        let pem = chain.iter().map(certificate_pem).chain([key.serialize_pem()]).collect::<String>();
        write_private(path, pem.as_bytes()).map_err(|e| TlsError::file(path, e))?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|e| TlsError::content(path, e.to_string()))?;
        Ok(Identity { chain, key, ca: Some(fingerprint(&self.certificate)) })
    }
}

/// The certificate on disk, if it is of this CA, for these names, and lasts long enough.
fn existing(path: &Path, authority: &Authority, names: &[String], now: Timestamp) -> Option<Identity> {
    let chain = read_chain(path).ok()?;
    let key = read_key(path).ok()?;
    let fits = chain.len() == 2 && chain[1] == authority.certificate && covers(&chain[0], names, now);
    fits.then(|| Identity { chain, key, ca: Some(fingerprint(&authority.certificate)) })
}

fn covers(leaf: &CertificateDer<'_>, names: &[String], now: Timestamp) -> bool {
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return false };
    let last = Timestamp::from_unix_millis(leaf.validity().not_after.timestamp().saturating_mul(1000));
    let Ok(Some(alternatives)) = leaf.subject_alternative_name() else { return false };
    let mut present: Vec<String> = alternatives.value.general_names.iter().filter_map(name_text).collect();
    let mut wanted: Vec<String> = names.to_vec();
    present.sort_unstable();
    wanted.sort_unstable();
    wanted.dedup();
    last.since(now) >= RENEW_BEFORE && present == wanted
}

fn name_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

fn ca_params(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Strata control plane CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now, CA_LIFE);
    params
}

fn leaf_params(names: &[String], now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("Strata control plane");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, now, LEAF_LIFE);
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn valid(params: &mut CertificateParams, now: Timestamp, life: Duration) {
    let millis = u64::try_from(now.unix_millis()).unwrap_or(0);
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis(millis);
    params.not_before = now - BACKDATE;
    params.not_after = now + life;
}

fn certificate_pem(certificate: &CertificateDer<'static>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate.as_ref());
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// Devices pin the CA; it must outlive them.
const CA_LIFE: Duration = Duration::from_secs(20 * 365 * DAY);
/// The longest life that browsers and Apple's platforms accept of a server certificate.
const LEAF_LIFE: Duration = Duration::from_secs(397 * DAY);
const RENEW_BEFORE: Duration = Duration::from_secs(90 * DAY);
/// Devices without a battery-backed clock may be hours behind.
const BACKDATE: Duration = Duration::from_secs(2 * DAY);
const DAY: u64 = 24 * 60 * 60;
