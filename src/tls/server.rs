//! TLS of our listeners: a certificate that is exchanged while they serve.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Certificates of one chain at most; real ones have two or three.
const CHAIN_MAX: usize = 16;

/// A certificate with those that lead to its authority, and its key.
#[derive(Debug, Clone)]
pub struct Certificate(Arc<CertifiedKey>);

impl Certificate {
    /// Reads a chain, the listener's own certificate first, and its key, both PEM. An error is of
    /// `cert_file` or of `key_file`, and says nothing of the key.
    pub fn read(chain: &str, key: &str) -> Result<Self, (&'static str, String)> {
        let of_chain = |why: String| ("cert_file", why);
        let of_key = |why: &str| ("key_file", why.to_owned());
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| of_chain(error.to_string()))?;
        if certificates.is_empty() {
            return Err(of_chain("the file holds no PEM certificate".to_owned()));
        }
        if certificates.len() > CHAIN_MAX {
            return Err(of_chain(format!("more than {CHAIN_MAX} certificates")));
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_why| of_key("the file holds no PEM private key"))?;
        let pair = CertifiedKey::from_der(certificates, key, &ring::default_provider());
        pair.map(|pair| Self(Arc::new(pair))).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => of_key("not the key of the certificate"),
            rustls::Error::InvalidCertificate(why) => of_chain(why.to_string()),
            _ => of_key("no key that TLS can use"),
        })
    }
}

/// What a listener shows, the same for each name.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// What a listener does with a connection before HTTP: TLS, or nothing.
#[derive(Clone)]
pub struct Acceptor(Option<(TlsAcceptor, Arc<Shown>)>);

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("is_tls", &self.is_tls()).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Plain text without a certificate.
    pub fn new(certificate: Option<&Certificate>) -> Self {
        Self(certificate.map(|certificate| {
            let shown = Arc::new(Shown(ArcSwap::from(Arc::clone(&certificate.0))));
            let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&shown) as _;
            let mut config = ServerConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .unwrap_or_else(|error| unreachable!("ring has the default versions: {error}"))
                .with_no_client_auth()
                .with_cert_resolver(resolver);
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            (TlsAcceptor::from(Arc::new(config)), shown)
        }))
    }

    /// Shows another certificate from the next connection on. Between TLS and plain text only a start can change.
    pub fn set(&self, certificate: Option<&Certificate>) {
        if let (Some((_, shown)), Some(certificate)) = (&self.0, certificate) {
            shown.0.store(Arc::clone(&certificate.0));
        }
    }

    /// Whether this speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.0.is_some()
    }

    /// The stream that HTTP is spoken on. The handshake may take `limit`.
    pub async fn accept<S>(&self, socket: S, limit: Duration) -> io::Result<Stream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some((acceptor, _)) = &self.0 else { return Ok(Stream::Plain(socket)) };
        let accepted = tokio::time::timeout(limit, acceptor.accept(socket)).await;
        let accepted = accepted.map_err(|_late| io::Error::from(io::ErrorKind::TimedOut))?;
        Ok(Stream::Tls(Box::new(accepted?)))
    }
}

/// A connection, after the handshake if there is one.
#[derive(Debug)]
pub enum Stream<S> {
    /// As it came.
    Plain(S),
    /// Inside TLS.
    Tls(Box<TlsStream<S>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A client for a probe of our own listener on this machine, whose certificate is for another name: it takes any, as the
/// kubelet's probes do, and is to send nothing that is secret.
pub(crate) fn any_certificate() -> Result<ClientConfig, rustls::Error> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(AnyCertificate(algorithms));
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_does_not_shake_hands_is_waited_for_as_long_as_allowed() {
        let pair = rcgen::generate_simple_self_signed(["hooks.example.com".to_owned()]);
        let pair = pair.expect("pair");
        let read = Certificate::read(&pair.cert.pem(), &pair.signing_key.serialize_pem());
        let acceptor = Acceptor::new(Some(&read.expect("a pair")));
        let (_peer, socket) = tokio::io::duplex(64);
        let error = acceptor.accept(socket, Duration::ZERO).await.expect_err("says nothing");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn what_is_wrong_with_a_pair_is_said_without_the_key() {
        let pair = || rcgen::generate_simple_self_signed(["hooks.example.com".to_owned()]);
        let (one, other) = (pair().expect("pair"), pair().expect("pair"));
        let (chain, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        Certificate::read(&chain, &key).expect("a pair");
        let cut = key.replace("KEY-----\n", "KEY-----\n!!");
        for (chain, key, why) in [
            ("", key.as_str(), "cert_file: the file holds no PEM certificate"),
            (&chain.repeat(CHAIN_MAX + 1), &key, "cert_file: more than 16 certificates"),
            (&chain, "", "key_file: the file holds no PEM private key"),
            (&chain, &cut, "key_file: the file holds no PEM private key"),
            (&chain, &chain, "key_file: the file holds no PEM private key"),
            (
                &chain,
                &other.signing_key.serialize_pem(),
                "key_file: not the key of the certificate",
            ),
        ] {
            let (file, error) = Certificate::read(chain, key).expect_err("refused");
            assert_eq!(format!("{file}: {error}"), why);
        }
    }
}
