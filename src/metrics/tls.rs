//! The series of the listeners' TLS.

use jiff::Timestamp;

use super::Metrics;

impl Metrics {
    /// A listener speaks TLS: no handshake has failed so far, for any of these reasons.
    pub fn handshakes_at_zero<const N: usize>(
        &self,
        listener: &'static str,
        reasons: [&'static str; N],
    ) {
        for reason in reasons {
            self.handshakes_failed.with_label_values(&[listener, reason]);
        }
    }

    /// A TLS handshake failed; `reason` is one of [`Metrics::handshakes_at_zero`].
    pub fn handshake_failed(&self, listener: &'static str, reason: &'static str) {
        self.handshakes_failed.with_label_values(&[listener, reason]).inc();
    }

    /// The certificate that a listener shows is valid until then.
    pub fn certificate(&self, listener: &'static str, until: Timestamp) {
        let seconds = until.as_duration().as_secs_f64();
        self.certificate_until.with_label_values(&[listener]).set(seconds);
    }
}
