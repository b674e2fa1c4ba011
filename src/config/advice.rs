//! What is right as it stands and probably not meant: it depends on the time, or on what nothing else says.

use jiff::{SignedDuration, Timestamp};

use super::{Config, Server};
use crate::diagnostic::{Diagnostic, Severity};
use crate::tls::Certificate;

/// A certificate that is valid for a shorter time is worth a warning: certbot and cert-manager renew a month before the end.
const EXPIRES_WITHIN: SignedDuration = SignedDuration::from_hours(14 * 24);

impl Config {
    /// Warnings for who starts it.
    pub fn advice(&self, now: Timestamp) -> Vec<Diagnostic> {
        let mut advice = self.server.expiring(now);
        // A receiver without integrations is how to notify nobody of some alerts; only such ones are a mistake.
        if self.receivers.iter().all(|receiver| receiver.integrations.is_empty()) {
            let message = "no receiver has an integration: nobody is notified of anything";
            advice.push(warning("receivers", message.to_owned()));
        }
        advice
    }
}

impl Server {
    /// A warning for each certificate of a listener that is valid for less than [`EXPIRES_WITHIN`] from now on.
    pub fn expiring(&self, now: Timestamp) -> Vec<Diagnostic> {
        let of = |key: &str, certificate: &Option<Certificate>| {
            let until = certificate.as_ref()?.until();
            let message = if until <= now {
                format!("the certificate has expired, on {until}: clients refuse it")
            } else {
                format!("the certificate expires on {until}")
            };
            let is_soon = until.duration_since(now) < EXPIRES_WITHIN;
            is_soon.then(|| warning(&format!("{key}.cert_file"), message))
        };
        let expiring = [
            of("server.tls_config", &self.certificate),
            of("server.private_tls_config", &self.private_certificate),
        ];
        expiring.into_iter().flatten().collect()
    }
}

fn warning(key: &str, message: String) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        position: None,
        key: key.to_owned(),
        message,
        hint: None,
    }
}
