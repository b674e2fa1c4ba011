//! TLS as a client: which authorities are trusted, and words for a handshake that fails.
//!
//! Promises that the system's authorities are read from the disk once in a while, not once for each connection or
//! receiver, and that whatever is wrong with those files is one line in the log, with a count. Every TLS client of this
//! crate, SMTP and HTTP alike, is made here.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::Instant;

/// How long the system's authorities are good for before a new client has them read again.
const SYSTEM_ROOTS_AGE: Duration = Duration::from_mins(1);

/// The system's authorities, and when they were read.
static SYSTEM_ROOTS: Mutex<Option<(Instant, Arc<RootCertStore>)>> = Mutex::new(None);

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// `ca_file` is of no use.
    #[error("cannot use {} as certificate authorities: {why}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
}

/// A client that trusts the system's authorities and those of `ca_file`.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let system = system_roots();
    let roots = match ca_file {
        None => system,
        Some(path) => {
            let mut roots = RootCertStore::clone(&system);
            add_authorities(&mut roots, path)?;
            Arc::new(roots)
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Setup(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn add_authorities(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let unusable = |why: String| TlsError::CaFile { path: PathBuf::from(path), why };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        found += 1;
    }
    if found == 0 { Err(unusable("no certificate in it".to_owned())) } else { Ok(()) }
}

/// An image without any authority can still speak plain text; each TLS handshake will fail and say so.
fn system_roots() -> Arc<RootCertStore> {
    let mut kept = SYSTEM_ROOTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, roots)) = &*kept
        && at.elapsed() < SYSTEM_ROOTS_AGE
    {
        return Arc::clone(roots);
    }
    let mut roots = RootCertStore::empty();
    let read = rustls_native_certs::load_native_certs();
    let (_added, ignored) = roots.add_parsable_certificates(read.certs);
    let failed = ignored + read.errors.len();
    if roots.is_empty() || failed > 0 {
        let first = read.errors.first().map(ToString::to_string);
        tracing::warn!(
            usable = roots.len(),
            failed,
            first_error = first,
            "some certificate authorities of the system cannot be used; without any, TLS cannot work",
        );
    }
    let roots = Arc::new(roots);
    *kept = Some((Instant::now(), Arc::clone(&roots)));
    roots
}

/// What to do about a handshake that failed, where its own words do not say: `None` for an error without advice.
pub(crate) fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    // The error stands at different depths, and some of the layers between hand on only its text.
    let mut link = Some(error);
    while let Some(at) = link {
        let words = at.to_string();
        if words.contains("CaUsedAsEndEntity") {
            return Some(
                "the server shows an authority's certificate as its own, as `openssl req -x509` makes it: have it \
                 made with `-addext basicConstraints=critical,CA:FALSE`, or sign another one with it, and name the \
                 signer in tls_config.ca_file",
            );
        }
        if words.contains("UnknownIssuer") {
            return Some(
                "nobody we trust has signed the server's certificate: name its authority in tls_config.ca_file",
            );
        }
        if words.contains("InvalidContentType") {
            return Some("the server does not speak TLS from the first byte");
        }
        // An I/O error shows the error inside it, but does not count it as its source.
        let inner = at.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        link = match inner {
            Some(inner) => Some(inner),
            None => at.source(),
        };
    }
    None
}

/// Whether a handshake failed by what the peer answered in TLS, so that there is a TLS server.
pub(crate) fn is_answered(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    inner.is_some_and(|error| !matches!(error, rustls::Error::InvalidMessage(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_authorities_are_read_once_for_many_clients() {
        let first = system_roots();
        for _ in 0..100 {
            client_config(None).expect("config");
            assert!(Arc::ptr_eq(&first, &system_roots()));
        }
    }

    #[test]
    fn a_file_that_holds_no_authority_is_refused_with_its_name() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("ca.pem");
        for (content, why) in [
            (Some(""), "no certificate in it"),
            (Some("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"), "base64"),
            (None, "No such file"),
        ] {
            drop(std::fs::remove_file(&path));
            if let Some(content) = content {
                std::fs::write(&path, content).expect("written");
            }
            let error = client_config(Some(&path)).expect_err("refused").to_string();
            assert!(error.contains("ca.pem") && error.contains(why), "{error}");
        }
    }
}
