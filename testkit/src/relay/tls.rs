//! Certificates: right ones, and ones with a single flaw each.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::SimRelayError;

/// A certificate authority for tests. Clones are the same authority.
#[derive(Debug, Clone)]
pub struct TestAuthority(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl TestAuthority {
    /// Makes an authority with a new key.
    ///
    /// # Errors
    /// The key or its certificate cannot be made.
    pub fn generate() -> Result<Self, SimRelayError> {
        let key = KeyPair::generate().map_err(SimRelayError::Certificate)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Test authority");
        let root = params
            .self_signed(&key)
            .map_err(SimRelayError::Certificate)?;
        let root = root.der().clone();
        Ok(Self(Arc::new(Inner {
            issuer: Issuer::new(params, key),
            root,
        })))
    }

    /// Borrows the root certificate: a client that trusts it accepts [`TlsKind::Trusted`] only.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.0.root
    }
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsKind {
    /// Nothing, for clients that trust the authority.
    Trusted,
    /// It is not signed by the authority but by itself.
    SelfSigned,
    /// It ran out in 2021.
    Expired,
    /// It is for another host.
    WrongHost,
    /// It begins in 2090.
    NotYetValid,
    /// It names its host as the common name only, which nobody looks at any more.
    CommonNameOnly,
    /// It is for clients.
    WrongPurpose,
    /// It is for an authority.
    Authority,
    /// It has a critical extension that nobody knows.
    UnknownExtension,
    /// It has thousands of names: larger than a handshake message may be.
    Huge,
}

/// The certificate of a simulated relay, for 127.0.0.1, localhost and the host that it is told.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// Who signs it.
    pub authority: TestAuthority,
    /// What is wrong with it.
    pub kind: TlsKind,
    /// Another host that it is for.
    pub host: Option<String>,
}

impl TlsConfig {
    /// Describes a certificate by this authority.
    pub fn new(authority: &TestAuthority, kind: TlsKind) -> Self {
        Self {
            authority: authority.clone(),
            kind,
            host: None,
        }
    }

    fn common_name(&self) -> &'static str {
        match self.kind {
            TlsKind::CommonNameOnly => "127.0.0.1",
            _ => "Simulated relay",
        }
    }

    /// Makes it be for this host too.
    #[must_use]
    pub fn for_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Makes the certificate and what accepts connections with it.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, SimRelayError> {
        let key = KeyPair::generate().map_err(SimRelayError::Certificate)?;
        let names: &[&str] = match self.kind {
            TlsKind::WrongHost => &["elsewhere.example"],
            TlsKind::CommonNameOnly => &[],
            _ => &["127.0.0.1", "localhost"],
        };
        let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
        if !matches!(self.kind, TlsKind::WrongHost | TlsKind::CommonNameOnly) {
            names.extend(self.host.clone());
        }
        if self.kind == TlsKind::Huge {
            names.extend((0..5_000).map(|n| format!("host-number-{n}.example")));
        }
        let mut params = CertificateParams::new(names).map_err(SimRelayError::Certificate)?;
        params
            .distinguished_name
            .push(DnType::CommonName, self.common_name());
        match self.kind {
            TlsKind::Expired => {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
            }
            TlsKind::NotYetValid => params.not_before = date_time_ymd(2090, 1, 1),
            TlsKind::WrongPurpose => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }
            TlsKind::Authority => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            TlsKind::UnknownExtension => {
                let oid = [1, 3, 6, 1, 4, 1, 55_555, 1];
                let mut extension = CustomExtension::from_oid_content(&oid, vec![5, 0]);
                extension.set_criticality(true);
                params.custom_extensions = vec![extension];
            }
            _ => {}
        }
        let certificate = match self.kind {
            TlsKind::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &self.authority.0.issuer),
        };
        let certificate = certificate.map_err(SimRelayError::Certificate)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = provider.key_provider.load_private_key(key);
        // Not looked at: some of these certificates are such as no server would take.
        let chain = vec![certificate.der().clone()];
        let served = CertifiedKey::new(chain, key.map_err(SimRelayError::Tls)?);
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(SimRelayError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(served)));
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
