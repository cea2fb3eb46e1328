//! Mutual authentication by raw public key (RFC 7250), or by certificates of the mesh's authority; TLS 1.3 only.
//!
//! Both verifiers check the handshake signature under the key that was sent: they prove that the
//! other side holds the secret key. Whose key it is, is the hash of the key, compared afterwards.

use std::sync::Arc;

use formic_core::{PeerId, transport::Flaw};
use formic_identity::{PublicKey, SecretKey};
use quinn::{
    ClientConfig, Connection, ConnectionError, ServerConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, Error,
    RootCertStore, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature_with_raw_key},
    pki_types::{
        CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
    },
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};

use crate::{
    config::{BindError, Config},
    membership::{Membership, key_of},
};

const ALPN: &[u8] = b"formic/1";

/// The name in the handshake; peers are known by key, so it says nothing.
pub(crate) const SERVER_NAME: &str = "formic.invalid";

#[derive(Debug)]
struct RawKeys(Arc<CryptoProvider>);

impl RawKeys {
    fn accept(&self, key: &CertificateDer<'_>) -> Result<(), Error> {
        match PublicKey::from_spki_der(key) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }

    fn verify(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
    }
}

/// TLS 1.2 is not offered; if it were negotiated all the same, nothing is proved.
fn tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("TLS 1.2 is refused".to_owned()))
}

impl ServerCertVerifier for RawKeys {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.accept(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for RawKeys {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.accept(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// The key this end shows and signs with.
pub(crate) fn certified(secret: &SecretKey) -> Result<Arc<CertifiedKey>, BindError> {
    shown_as(&secret.public(), secret)
}

/// A key pair whose halves the caller names one by one.
pub(crate) fn shown_as(
    public: &PublicKey,
    secret: &SecretKey,
) -> Result<Arc<CertifiedKey>, BindError> {
    let shown = CertificateDer::from(public.spki_der().to_vec());
    Ok(Arc::new(CertifiedKey::new(vec![shown], signer(secret)?)))
}

fn signer(secret: &SecretKey) -> Result<Arc<dyn rustls::sign::SigningKey>, BindError> {
    let der = secret.to_pkcs8_der();
    let key = PrivatePkcs8KeyDer::from(der.as_slice()).clone_key();
    let signer = aws_lc_rs::default_provider().key_provider.load_private_key(key.into());
    signer.map_err(refused)
}

fn refused(error: impl core::fmt::Display) -> BindError {
    BindError::Tls(error.to_string())
}

/// By what this end knows its peers.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Any key: whoever can reach a loopback address.
    AnyKey,
    /// Keys that the mesh's authority has certified.
    Root(Arc<RootCertStore>),
}

/// What this end shows, and whom it trusts.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    key: Arc<CertifiedKey>,
    trust: Trust,
}

impl Proof {
    /// As the configuration says.
    pub(crate) fn of(config: &Config) -> Result<Self, BindError> {
        match &config.membership {
            None => Ok(Self::raw(certified(&config.secret)?)),
            Some(membership) => Self::certified(membership, &config.secret),
        }
    }

    /// A raw key among raw keys.
    pub(crate) const fn raw(key: Arc<CertifiedKey>) -> Self {
        Self { key, trust: Trust::AnyKey }
    }

    pub(crate) fn certified(
        membership: &Membership,
        secret: &SecretKey,
    ) -> Result<Self, BindError> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(membership.root().to_vec())).map_err(refused)?;
        let shown = CertificateDer::from(membership.certificate().to_vec());
        let key = Arc::new(CertifiedKey::new(vec![shown], signer(secret)?));
        Ok(Self { key, trust: Trust::Root(Arc::new(roots)) })
    }
}

/// How this end answers.
pub(crate) fn server(proof: Proof) -> Result<ServerConfig, BindError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?;
    let mut config = match proof.trust {
        Trust::AnyKey => config
            .with_client_cert_verifier(Arc::new(RawKeys(provider)))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(proof.key))),
        Trust::Root(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            config
                .with_client_cert_verifier(verifier.map_err(refused)?)
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(proof.key)))
        }
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Resumption would skip the verifiers, early data would come before the client is known.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(config).map_err(refused)?)))
}

/// How this end dials.
pub(crate) fn client(proof: Proof) -> Result<ClientConfig, BindError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?;
    let mut config = match proof.trust {
        Trust::AnyKey => config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(RawKeys(provider)))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(proof.key))),
        Trust::Root(roots) => {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            config
                .with_webpki_verifier(verifier.map_err(refused)?)
                .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(proof.key)))
        }
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).map_err(refused)?)))
}

/// What is wrong with a certificate, if that is why a connection ended: the TLS alert says so, ours or the other side's.
pub(crate) fn flaw(error: &ConnectionError) -> Option<Flaw> {
    let code = match error {
        ConnectionError::TransportError(error) => u64::from(error.code),
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
        _ => return None,
    };
    // RFC 9001 section 4.8: alerts are 0x100 and above.
    let alert = AlertDescription::from(u8::try_from(code.checked_sub(0x100)?).ok()?);
    match alert {
        AlertDescription::CertificateExpired => Some(Flaw::Expired),
        AlertDescription::UnknownCA => Some(Flaw::Foreign),
        // Raw keys and certificates have no way to authenticate in common.
        AlertDescription::CertificateRequired
        | AlertDescription::HandshakeFailure
        | AlertDescription::UnsupportedCertificate => Some(Flaw::Missing),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError
        | AlertDescription::AccessDenied => Some(Flaw::Invalid),
        _ => None,
    }
}

/// Who is at the other end of an established connection. The verifier has already judged what was shown.
pub(crate) fn peer(connection: &Connection) -> Option<PeerId> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let [shown] = identity.as_slice() else { return None };
    let key = PublicKey::from_spki_der(shown).ok().or_else(|| key_of(shown));
    key.map(|key| key.peer_id())
}
