//! Certificates for the peers: a throw-away authority, a good certificate, and the bad ones people meet.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Which certificate a peer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// For `localhost` and `127.0.0.1`, signed by the authority of [`ca_pem_path`].
    Good,
    /// Signed by that authority, for another name.
    OtherName,
    /// For the right names, signed by itself.
    SelfSigned,
    /// For the right names, signed by itself and an authority, as `openssl req -x509` makes it.
    OwnAuthority,
    /// For the right names, signed by that authority, out of date since 2001.
    Expired,
}

struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let dir =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("certs-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("ca.pem"), certificate.pem()).unwrap();
    let server = leaf(Shown::Good, &Issuer::from_params(&params, &key));
    std::fs::write(dir.join("server.pem"), server.0.pem()).unwrap();
    std::fs::write(dir.join("server.key"), server.1.serialize_pem()).unwrap();
    Authority { dir, issuer: Issuer::new(params, key) }
});

/// The authority's certificate as a PEM file, for the client to trust (`SSL_CERT_FILE` of a process).
pub fn ca_pem_path() -> PathBuf {
    AUTHORITY.dir.join("ca.pem")
}

/// A good certificate and its key as PEM files, for a peer that is another program.
pub fn server_pem_paths() -> (PathBuf, PathBuf) {
    (AUTHORITY.dir.join("server.pem"), AUTHORITY.dir.join("server.key"))
}

/// A certificate and its key as PEM.
pub fn pem(shown: Shown) -> [String; 2] {
    let (certificate, key) = leaf(shown, &AUTHORITY.issuer);
    [certificate.pem(), key.serialize_pem()]
}

/// What a TLS server needs to show `shown`.
pub fn server_config(shown: Shown) -> Arc<ServerConfig> {
    let (certificate, key) = leaf(shown, &AUTHORITY.issuer);
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let chain = vec![CertificateDer::from(certificate)];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

fn leaf(
    shown: Shown,
    issuer: &Issuer<'_, impl rcgen::SigningKey>,
) -> (rcgen::Certificate, KeyPair) {
    let names = match shown {
        Shown::OtherName => vec!["mail.other.example".to_owned()],
        Shown::Good | Shown::SelfSigned | Shown::OwnAuthority | Shown::Expired => {
            vec!["localhost".to_owned(), "127.0.0.1".to_owned()]
        }
    };
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    if shown == Shown::Expired {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    if shown == Shown::OwnAuthority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = match shown {
        Shown::SelfSigned | Shown::OwnAuthority => params.self_signed(&key).unwrap(),
        Shown::Good | Shown::OtherName | Shown::Expired => params.signed_by(&key, issuer).unwrap(),
    };
    (certificate, key)
}
