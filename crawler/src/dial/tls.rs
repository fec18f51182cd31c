//! TLS on a dialled connection, and what is found out about the certificate.
//!
//! A bad certificate is a finding to report. Whether the handshake goes on regardless is the
//! network's configuration; the judgement is made, and kept, in both cases.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::DialError;

/// What is to be said about a relay's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateVerdict {
    /// In order: known issuer, right host, in time.
    Valid,
    /// Past its end.
    Expired,
    /// Before its start.
    NotYetValid,
    /// Signed by itself.
    SelfSigned,
    /// Signed by nobody we know; often an intermediate certificate was not sent.
    UnknownIssuer,
    /// In order, for another host.
    WrongHost,
    /// Withdrawn by its issuer.
    Revoked,
    /// No readable certificate.
    Malformed,
    /// Wrong in another way: purpose, signature, critical extension.
    Other,
}

impl CertificateVerdict {
    /// Names the verdict from a closed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::SelfSigned => "self-signed",
            Self::UnknownIssuer => "unknown-issuer",
            Self::WrongHost => "wrong-host",
            Self::Revoked => "revoked",
            Self::Malformed => "malformed",
            Self::Other => "other",
        }
    }

    /// Names the failure from the closed set of [`DialError::reason`].
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Valid | Self::Other => "certificate_invalid",
            Self::Expired => "certificate_expired",
            Self::NotYetValid => "certificate_not_yet_valid",
            Self::SelfSigned => "certificate_self_signed",
            Self::UnknownIssuer => "certificate_unknown_issuer",
            Self::WrongHost => "certificate_wrong_host",
            Self::Revoked => "certificate_revoked",
            Self::Malformed => "certificate_malformed",
        }
    }

    fn of(error: &rustls::Error, leaf: &CertificateDer<'_>) -> Self {
        let rustls::Error::InvalidCertificate(error) = error else {
            return Self::Other;
        };
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongHost
            }
            CertificateError::Revoked => Self::Revoked,
            CertificateError::BadEncoding => Self::Malformed,
            // A certificate made with common tools is its own authority, which is refused with
            // an error of its own before the issuer is looked for.
            _ if is_self_issued(leaf) => Self::SelfSigned,
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for CertificateVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn is_self_issued(leaf: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(leaf).is_ok_and(|cert| cert.issuer() == cert.subject())
}

/// What the handshake showed.
#[derive(Debug, Clone)]
pub struct TlsInfo {
    /// The protocol version as IANA writes it: `TLSv1_3`.
    pub protocol: &'static str,
    /// The cipher suite as IANA writes it.
    pub cipher: &'static str,
    /// What is to be said about the certificate. Anything but valid is seen here only where
    /// invalid certificates are accepted.
    pub verdict: CertificateVerdict,
    /// The chain as sent, DER, leaf first.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// Makes TLS connections.
#[derive(Clone)]
pub(super) struct Tls {
    config: ClientConfig,
    verifier: Arc<WebPkiServerVerifier>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The trust anchors cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// An extra root certificate is not usable.
    #[error("extra root certificate cannot be used")]
    Root(#[source] rustls::Error),
    /// The verifier cannot be built.
    #[error("certificate verifier cannot be built")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
    /// The crypto provider lacks what TLS needs.
    #[error("tls cannot be set up")]
    Provider(#[source] rustls::Error),
}

impl Tls {
    pub(super) fn new(extra_roots: &[CertificateDer<'static>]) -> Result<Self, TlsSetupError> {
        let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        for root in extra_roots {
            roots.add(root.clone()).map_err(TlsSetupError::Root)?;
        }
        let roots = Arc::new(roots);
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsSetupError::Provider)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // WebSockets and our fetches are HTTP/1.1, as with browsers.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session shows no certificate, and measures less than a handshake.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { config, verifier })
    }

    pub(super) async fn connect<S>(
        &self,
        host: &str,
        stream: S,
        accept_invalid: bool,
    ) -> Result<(TlsStream<S>, TlsInfo), DialError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let failed = |source| DialError::Tls {
            host: host.to_owned(),
            source,
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| {
            failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, error))
        })?;
        let judge = Arc::new(Judge {
            verifier: self.verifier.clone(),
            accept_invalid,
            finding: OnceLock::new(),
        });
        let mut config = self.config.clone();
        config.dangerous().set_certificate_verifier(judge.clone());
        let connected = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await;
        let finding = judge.finding.get().cloned();
        match (connected, finding) {
            (Ok(stream), finding) => {
                let (_, session) = stream.get_ref();
                let suite = session.negotiated_cipher_suite();
                let (verdict, certificates) =
                    finding.unwrap_or((CertificateVerdict::Other, Vec::new()));
                let info = TlsInfo {
                    protocol: session
                        .protocol_version()
                        .and_then(|version| version.as_str())
                        .unwrap_or("unknown"),
                    cipher: suite
                        .and_then(|suite| suite.suite().as_str())
                        .unwrap_or("unknown"),
                    verdict,
                    certificates,
                };
                Ok((stream, info))
            }
            // A certificate that cannot even be read cannot be borne either.
            (Err(source), Some((verdict, chain)))
                if verdict != CertificateVerdict::Valid
                    && (!accept_invalid || is_about_certificate(&source)) =>
            {
                Err(DialError::Certificate {
                    host: host.to_owned(),
                    verdict,
                    chain,
                })
            }
            (Err(source), _) => Err(failed(source)),
        }
    }
}

fn is_about_certificate(error: &std::io::Error) -> bool {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

/// Judges the certificate of one connection, and keeps the judgement.
#[derive(Debug)]
struct Judge {
    verifier: Arc<WebPkiServerVerifier>,
    accept_invalid: bool,
    finding: OnceLock<(CertificateVerdict, Vec<CertificateDer<'static>>)>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let verdict = match &verified {
            Ok(_) => CertificateVerdict::Valid,
            Err(error) => CertificateVerdict::of(error, end_entity),
        };
        let chain = std::iter::once(end_entity).chain(intermediates);
        let chain = chain.map(|cert| cert.clone().into_owned()).collect();
        self.finding.get_or_init(|| (verdict, chain));
        match verified {
            Err(_) if self.accept_invalid => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    // The signatures are checked even where the certificate is accepted regardless: the peer must
    // at least hold the key of what it shows.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
