//! Certificates of peers.

use super::smtp_server::{GOOD, serve_smtp};
use super::*;

/// A certificate for 127.0.0.1 that signs for itself, as a file, and a TLS server that shows it.
fn authority() -> (tempfile::NamedTempFile, tokio_rustls::TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("made");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), made.cert.pem()).expect("written");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.expect("a key"))
        .expect("a server");
    (file, tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(server)))
}

#[tokio::test]
async fn a_certificate_is_checked_and_ca_file_adds_an_authority() {
    let (file, acceptor) = authority();
    let notification = samples::spend_limit();
    for (trusted, expected) in [(true, "delivered"), (false, "retry connect")] {
        let ca_file = trusted.then(|| file.path().to_path_buf());
        let (listener, address, _) = listen().await;
        let url = Secret::inline(format!("https://{address}/"));
        let channel = Channel::Webhook(webhook::WebhookSettings {
            url,
            via: Via { ca_file: ca_file.clone(), proxy: None },
            ..webhook("x")
        });
        let peer = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            stream.read_u8().await.expect("a request");
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("an answer");
            stream.flush().await.expect("an answer");
        };
        let ((), outcome) = tokio::join!(peer, send(channel, LONG, &notification));
        assert_eq!(told(&outcome), expected, "https: {outcome:?}");

        let (listener, _, port) = listen().await;
        let Channel::Email(settings) = email(port, None) else { unreachable!() };
        let tls = email::Tls::Implicit;
        let channel = Channel::Email(email::EmailSettings { tls, ca_file, ..settings });
        let peer = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            if let Ok(stream) = acceptor.accept(stream).await {
                serve_smtp(stream, &GOOD).await;
            }
        };
        let ((), outcome) = tokio::join!(peer, send(channel, LONG, &notification));
        assert_eq!(told(&outcome), expected, "smtp: {outcome:?}");
    }
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "nothing").expect("written");
    let ca_file = Some(file.path().to_path_buf());
    let Channel::Email(settings) = email(25, None) else { unreachable!() };
    let tls = email::Tls::StartTls;
    for channel in [
        Channel::Webhook(webhook::WebhookSettings {
            via: Via { ca_file: ca_file.clone(), proxy: None },
            ..webhook("x")
        }),
        Channel::Email(email::EmailSettings { tls, ca_file, ..settings }),
    ] {
        let error = Notifier::new(&integration(channel, LONG), &MessageTemplates::default())
            .expect_err("refused");
        assert!(matches!(error, NotifyError::Client(_)), "{error}");
    }
}
