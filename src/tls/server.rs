//! TLS of our listeners: a certificate that is exchanged while they serve.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::der::Decode as _;

/// Certificates of one chain at most; real ones have two or three.
const CHAIN_MAX: usize = 16;
/// How often failed handshakes are logged at most.
const FAILED_LOGGED_EVERY: Duration = Duration::from_mins(1);

/// A certificate with those that lead to its authority, and its key.
#[derive(Debug, Clone)]
pub struct Certificate {
    pair: Arc<CertifiedKey>,
    until: Timestamp,
}

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
        let until = certificates.first().and_then(not_after);
        let until =
            until.ok_or_else(|| of_chain("the first is no X.509 certificate".to_owned()))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_why| of_key("the file holds no PEM private key without a password"))?;
        let pair = CertifiedKey::from_der(certificates, key, &ring::default_provider());
        pair.map(|pair| Self { pair: Arc::new(pair), until }).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                of_key("not the key of the first certificate in cert_file")
            }
            rustls::Error::InvalidCertificate(why) => of_chain(why.to_string()),
            _ => of_key("no key that TLS can use"),
        })
    }

    /// Until when the listener's own certificate is valid.
    pub fn until(&self) -> Timestamp {
        self.until
    }
}

/// Until when a certificate is valid (RFC 5280, 4.1.2.5); in seconds, the year 9999 at most.
fn not_after(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let read = x509_cert::Certificate::from_der(certificate).ok()?;
    let seconds = read.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

/// What a listener shows, the same for each name.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// What a listener does with a connection before HTTP: TLS, or nothing. Clones are of one listener.
#[derive(Clone)]
pub struct Acceptor {
    tls: Option<(TlsAcceptor, Arc<Shown>)>,
    failed: Arc<Failed>,
}

/// Handshakes that failed since they were last logged.
#[derive(Debug, Default)]
struct Failed(Mutex<(Option<Instant>, u64)>);

impl Failed {
    /// Counts one more; how many to log now.
    fn add(&self, now: Instant) -> Option<u64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (logged, count) = &mut *known;
        *count = count.saturating_add(1);
        if logged.is_some_and(|at| now.saturating_duration_since(at) < FAILED_LOGGED_EVERY) {
            return None;
        }
        *logged = Some(now);
        Some(std::mem::take(count))
    }
}

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The client went away before it was done, as checks of a load balancer do that only connect.
    Closed,
    /// It took too long.
    Timeout,
    /// The two did not agree: plain text, a version that nobody should speak any more, a certificate that the client refuses.
    Tls,
}

impl HandshakeFailure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Timeout, Self::Tls];

    /// Its word, in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::InvalidData => Self::Tls,
            _ => Self::Closed,
        }
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("is_tls", &self.is_tls()).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Plain text without a certificate.
    pub fn new(certificate: Option<&Certificate>) -> Self {
        let tls = certificate.map(|certificate| {
            let shown = Arc::new(Shown(ArcSwap::from(Arc::clone(&certificate.pair))));
            let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&shown) as _;
            let mut config = ServerConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .unwrap_or_else(|error| unreachable!("ring has the default versions: {error}"))
                .with_no_client_auth()
                .with_cert_resolver(resolver);
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            (TlsAcceptor::from(Arc::new(config)), shown)
        });
        Self { tls, failed: Arc::default() }
    }

    /// Shows another certificate from the next connection on. Between TLS and plain text only a start can change.
    pub fn set(&self, certificate: Option<&Certificate>) {
        if let (Some((_, shown)), Some(certificate)) = (&self.tls, certificate) {
            shown.0.store(Arc::clone(&certificate.pair));
        }
    }

    /// Whether this speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The stream that HTTP is spoken on. The handshake may take `limit`. One that fails is logged, with those that failed
    /// within [`FAILED_LOGGED_EVERY`] before: a certificate that Telnyx refuses loses every webhook.
    pub async fn accept<S>(&self, socket: S, limit: Duration) -> Result<Stream<S>, HandshakeFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some((acceptor, _)) = &self.tls else { return Ok(Stream::Plain(socket)) };
        let accepted = tokio::time::timeout(limit, acceptor.accept(socket)).await;
        let accepted = accepted.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()));
        accepted.map(|stream| Stream::Tls(Box::new(stream))).map_err(|error| {
            let failure = HandshakeFailure::of(&error);
            // Who only connects and goes is no news.
            if failure != HandshakeFailure::Closed
                && let Some(failed) = self.failed.add(Instant::now())
            {
                tracing::warn!(failed, %error, "TLS handshakes of a listener failed");
            }
            failure
        })
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

impl<S> Stream<S> {
    /// What is below.
    pub fn socket_mut(&mut self) -> &mut S {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }
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
        assert_eq!(error, HandshakeFailure::Timeout);
    }

    #[test]
    fn failed_handshakes_are_logged_once_a_minute_with_their_number() {
        let (failed, start) = (Failed::default(), Instant::now());
        let at = |seconds| failed.add(start + Duration::from_secs(seconds));
        assert_eq!(
            [at(0), at(1), at(59), at(60), at(61), at(200)],
            [Some(1), None, None, Some(3), None, Some(2)]
        );
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
            (&chain, "", "key_file: the file holds no PEM private key without a password"),
            (&chain, &cut, "key_file: the file holds no PEM private key without a password"),
            (&chain, &chain, "key_file: the file holds no PEM private key without a password"),
            (
                &chain,
                &other.signing_key.serialize_pem(),
                "key_file: not the key of the first certificate in cert_file",
            ),
        ] {
            let (file, error) = Certificate::read(chain, key).expect_err("refused");
            assert_eq!(format!("{file}: {error}"), why);
        }
    }
}
