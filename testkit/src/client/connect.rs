//! The way to a relay: TCP, TLS where the URL wants it, and the WebSocket handshake.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::ClientError;
use crate::limits::MAX_MESSAGE_BYTES;

/// What a plain or encrypted connection can do.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A plain or encrypted connection.
pub(super) type BoxedIo = Box<dyn Io>;

/// Opens a WebSocket; with a `root`, to a `wss` URL.
pub(super) async fn open(
    url: &str,
    root: Option<&CertificateDer<'_>>,
) -> Result<WebSocketStream<BoxedIo>, ClientError> {
    let wrong_url = || ClientError::Url {
        url: url.to_owned(),
    };
    let request = url.into_client_request()?;
    let uri = request.uri();
    let host = uri.host().ok_or_else(wrong_url)?.to_owned();
    let secure = uri.scheme_str() == Some("wss");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    let io: BoxedIo = match (secure, root) {
        (false, _) => Box::new(stream),
        (true, Some(root)) => {
            let name = ServerName::try_from(host).or(Err(wrong_url()))?;
            let connector = connector(root).map_err(std::io::Error::other)?;
            Box::new(connector.connect(name, stream).await?)
        }
        (true, None) => return Err(wrong_url()),
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    Ok(
        tokio_tungstenite::client_async_with_config(request, io, Some(config))
            .await?
            .0,
    )
}

fn connector(root: &CertificateDer<'_>) -> Result<TlsConnector, rustls::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone().into_owned())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
