//! Who belongs to a mesh: X.509 certificates under its authority (transport.md section 7.1).

use core::time::Duration;
use std::time::SystemTime;

use formic_core::{Blame, Fault, PeerId};
use formic_identity::{PublicKey, SecretKey};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SignatureAlgorithm, SigningKey,
};
use rustls::{pki_types::CertificateDer, server::ParsedCertificate};

use crate::tls::SERVER_NAME;

/// Clocks of members may be this far behind the authority's.
const SKEW: Duration = Duration::from_secs(3_600);

/// Whoever has this decides who belongs to a mesh. Keep its key off the peers.
#[derive(Debug)]
pub struct Authority {
    secret: SecretKey,
    root: Vec<u8>,
    /// Verifiers do not ask how long a root is valid: it is kept here.
    until: SystemTime,
}

/// What a peer shows to others of its mesh, and by what it knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    root: Vec<u8>,
    certificate: Vec<u8>,
    peer: PeerId,
}

/// Why a certificate was not made or not taken. The caller's fault; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// These bytes are no X.509 certificate.
    #[error("the {0} is no certificate in DER")]
    NoCertificate(&'static str),
    /// The certificate is of a key that no peer has.
    #[error("the certificate is of no Ed25519 key")]
    NoPeerKey,
    /// Longer than the authority's own, or than any clock counts.
    #[error("a certificate cannot be valid for {0:?}")]
    TooLong(Duration),
    /// The certificate could not be written.
    #[error("no certificate: {0}")]
    Refused(String),
}

impl Blame for MembershipError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }
}

/// A key as certificates see it.
struct Subject(Vec<u8>);

/// The authority's key as it signs.
struct Signs<'a>(&'a SecretKey, Subject);

impl PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl PublicKeyData for Signs<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.1.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl SigningKey for Signs<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.0.sign(message).as_bytes().to_vec())
    }
}

impl<'a> Signs<'a> {
    fn of(secret: &'a SecretKey) -> Self {
        Self(secret, Subject(secret.public().to_bytes().to_vec()))
    }
}

fn refused(error: impl core::fmt::Display) -> MembershipError {
    MembershipError::Refused(error.to_string())
}

/// A certificate of a key, valid from a little before now.
fn parameters(key: &PublicKey, until: SystemTime) -> Result<CertificateParams, MembershipError> {
    let id = key.peer_id();
    let mut parameters = CertificateParams::new(vec![SERVER_NAME.to_owned()]).map_err(refused)?;
    let since = SystemTime::now().checked_sub(SKEW).unwrap_or(SystemTime::UNIX_EPOCH);
    (parameters.not_before, parameters.not_after) = (since.into(), until.into());
    parameters.distinguished_name.push(DnType::CommonName, id.to_string());
    parameters.serial_number = Some(id.as_bytes()[..16].to_vec().into());
    parameters.key_identifier_method = KeyIdMethod::PreSpecified(id.as_bytes()[..20].to_vec());
    Ok(parameters)
}

/// When a span from now ends; X.509 knows no year above 9999.
fn after(valid: Duration) -> Result<SystemTime, MembershipError> {
    let until = SystemTime::now().checked_add(valid).filter(|_| valid.as_secs() < 1 << 33);
    until.ok_or(MembershipError::TooLong(valid))
}

fn authority(key: &PublicKey, until: SystemTime) -> Result<CertificateParams, MembershipError> {
    let mut parameters = parameters(key, until)?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(parameters)
}

impl Authority {
    /// An authority with this key, whose members' certificates end at most `valid` from now. Another one with the same key
    /// admits to the same mesh.
    ///
    /// # Errors
    /// Any [`MembershipError`].
    pub fn new(secret: SecretKey, valid: Duration) -> Result<Self, MembershipError> {
        let until = after(valid)?;
        let root = authority(&secret.public(), until)?;
        let root = root.self_signed(&Signs::of(&secret)).map_err(refused)?;
        let root = root.der().to_vec();
        Ok(Self { secret, root, until })
    }

    /// The certificate by which members know each other. No secret.
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// Makes a peer a member for `valid` from now on. Only its public key is needed.
    ///
    /// # Errors
    /// Any [`MembershipError`].
    pub fn admit(&self, key: &PublicKey, valid: Duration) -> Result<Membership, MembershipError> {
        let until = after(valid)?;
        if until > self.until {
            return Err(MembershipError::TooLong(valid));
        }
        let mut parameters = parameters(key, until)?;
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.use_authority_key_identifier_extension = true;
        let issuer =
            Issuer::new(authority(&self.secret.public(), self.until)?, Signs::of(&self.secret));
        let signed = parameters.signed_by(&Subject(key.to_bytes().to_vec()), &issuer);
        Membership::new(self.root.clone(), signed.map_err(refused)?.der().to_vec())
    }
}

impl Membership {
    /// From the authority's certificate and the peer's own, both X.509 in DER. Whether the one signed the other is found
    /// out by those who are shown it.
    ///
    /// # Errors
    /// Bytes that are no certificate, or not of a peer's key.
    pub fn new(root: Vec<u8>, certificate: Vec<u8>) -> Result<Self, MembershipError> {
        let der = CertificateDer::from(root.as_slice());
        ParsedCertificate::try_from(&der).map_err(|_| MembershipError::NoCertificate("root"))?;
        let of = "certificate";
        let der = CertificateDer::from(certificate.as_slice());
        ParsedCertificate::try_from(&der).map_err(|_| MembershipError::NoCertificate(of))?;
        let peer = key_of(&der).ok_or(MembershipError::NoPeerKey)?.peer_id();
        Ok(Self { root, certificate, peer })
    }

    /// The authority's certificate, X.509 in DER.
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// The peer's certificate, X.509 in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Whose certificate it is.
    pub const fn peer(&self) -> PeerId {
        self.peer
    }
}

/// The key in a certificate.
pub(crate) fn key_of(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    PublicKey::from_spki_der(parsed.subject_public_key_info().as_ref()).ok()
}
