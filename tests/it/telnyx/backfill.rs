//! Webhooks that were missed.
