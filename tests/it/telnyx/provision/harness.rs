//! The account that is provisioned, and the binary that does it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::fake::Fake;
use crate::support::telnyx::Signer;
use crate::support::telnyx_api::API_KEY;

pub(super) const URL: &str = "https://hooks.example.com/webhooks/telnyx";
pub(super) const OURS: &str = "tollbell https://hooks.example.com/webhooks/telnyx";
/// Changes that bring a fresh account to what is wanted: a profile, a channel, three settings.
pub(super) const CHANGES: usize = 5;

/// An account with somebody else's notifications, and applications of every kind.
pub(super) fn account() -> Value {
    json!({
        "notification_events": [
            {"id": "e1", "name": "Number Order", "enabled": true},
            {"id": "e2", "name": "Port Out", "enabled": true},
            {"id": "e3", "name": "Low Balance", "enabled": true},
            {"id": "e4", "name": "Emergency Number Dialed", "enabled": true},
        ],
        "notification_event_conditions": [
            {"id": "c1", "name": "order completed", "notification_event_id": "e1", "enabled": true, "asynchronous": true, "supported_channels": ["webhook"], "parameters": []},
            {"id": "c2", "name": "status changed", "notification_event_id": "e2", "enabled": true, "supported_channels": ["webhook", "email"], "parameters": [{"name": "comment", "data_type": "string", "optional": true}]},
            {"id": "c3", "name": "below threshold", "notification_event_id": "e3", "enabled": true, "supported_channels": ["email"]},
            {"id": "c4", "name": "from phone number", "notification_event_id": "e4", "enabled": true, "supported_channels": ["webhook", "sms", "email", "voice"], "parameters": [{"name": "phone_number", "data_type": "string", "optional": false}]},
            {"id": "c5", "name": "new comment", "notification_event_id": "e2", "enabled": true, "supported_channels": ["webhook", "email"]},
        ],
        "notification_profiles": [{"id": "theirs", "name": "ops", "created_at": "2025-01-01T00:00:00Z"}],
        "notification_channels": [
            {"id": "their-channel", "notification_profile_id": "theirs", "channel_type_id": "webhook", "channel_destination": URL},
            {"id": "their-mail", "notification_profile_id": "theirs", "channel_type_id": "email", "channel_destination": "ops@example.com"},
        ],
        "notification_settings": [
            {"id": "their-setting", "notification_profile_id": "theirs", "notification_channel_id": "their-mail", "notification_event_condition_id": "c1", "status": "enabled"},
        ],
        "call_control_applications": [
            {"id": "1001", "application_name": "ivr", "webhook_event_url": "https://ivr.example.com/in/PLANTED-TOKEN", "webhook_event_failover_url": null, "webhook_api_version": "2", "call_cost_in_webhooks": false},
            {"id": "1002", "application_name": "alerts", "webhook_event_url": URL, "webhook_api_version": "2", "call_cost_in_webhooks": true},
            {"id": "1003", "application_name": "old", "webhook_event_url": URL, "webhook_event_failover_url": "https://b.example.com?k=PLANTED-TOKEN", "webhook_api_version": "1", "call_cost_in_webhooks": true},
        ],
        "texml_applications": [{"id": "2001", "friendly_name": "menu", "voice_url": "https://ivr.example.com/PLANTED-TOKEN", "status_callback": URL, "call_cost_in_webhooks": false}],
        "credential_connections": [{"id": "3001", "connection_name": "desk phones", "webhook_event_url": "", "call_cost_in_webhooks": false, "password": "PLANTED-TOKEN"}],
        "messaging_profiles": [{"id": "40018a9e-1111-4222-8333-444455556666", "name": "otp", "webhook_url": "https://sms.example.com", "webhook_failover_url": URL, "webhook_api_version": "2", "v1_secret": "PLANTED-TOKEN"}],
    })
}

/// A folder with a configuration for this Telnyx.
pub(super) fn folder(fake: &Fake) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "server: {{public_url: https://hooks.example.com}}\naccounts:\n  - name: default\n    \
         public_keys: [\"{}\"]\n    api_key: {API_KEY}\n    api_url: {}\nroute: {{receiver: ops}}\nreceivers: [{{name: ops}}]\n",
        Signer::new().public_key_base64(),
        fake.url(),
    );
    std::fs::write(dir.path().join("tollbell.yaml"), config).unwrap();
    dir
}

#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

/// Runs `tollbell provision` in the folder, with nobody to ask.
#[track_caller]
pub(super) fn provision(dir: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
    command.args(["provision", "--config", "tollbell.yaml"]).args(args);
    command.current_dir(dir).env_clear().stdin(Stdio::null());
    printed(&command.output().unwrap())
}

#[track_caller]
pub(super) fn printed(output: &Output) -> Ran {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let code = output.status.code().expect("no signal ended it");
    let mut ran = Ran { code, out: text(&output.stdout), err: text(&output.stderr) };
    for secret in [API_KEY, "PLANTED-TOKEN"] {
        assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{ran:?}");
    }
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    // How far a list of several pages is, which every list of this Telnyx is.
    let told: Vec<&str> =
        ran.err.split_inclusive('\n').filter(|line| !line.contains(": page ")).collect();
    ran.err = told.concat();
    ran
}
