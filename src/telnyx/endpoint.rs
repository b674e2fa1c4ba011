//! Every call that the client can make.
//!
//! There is no other way to Telnyx than [`super::Client`], and it takes only what stands here. None of these calls moves
//! money; a test compares the list with one written by hand. Source: Telnyx API v2 reference, developers.telnyx.com.

use reqwest::Method;

/// One call of Telnyx's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name in metrics and errors.
    pub name: &'static str,
    /// Its method.
    pub method: Method,
    /// Its path under `/v2`; `{id}` stands for an id.
    pub path: &'static str,
}

macro_rules! endpoints {
    ($( #[doc = $about:literal] $constant:ident: $method:ident $path:literal = $name:literal; )*) => {
        impl Endpoint {
            $( #[doc = $about] pub const $constant: Self = Self { name: $name, method: Method::$method, path: $path }; )*

            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$constant),*];
        }
    };
}

#[rustfmt::skip]
endpoints! {
    /// The balance.
    BALANCE: GET "/balance" = "balance";
    /// Whether Telnyx recharges by itself, and when.
    AUTO_RECHARGE: GET "/payment/auto_recharge_prefs" = "auto_recharge_prefs";
    /// The same, as the newer reference spells it.
    AUTO_RECHARGE_PLURAL: GET "/payments/auto_recharge_prefs" = "auto_recharge_prefs";
    /// The log of webhook deliveries.
    WEBHOOK_DELIVERIES: GET "/webhook_deliveries" = "webhook_deliveries";
    /// What was charged, record by record.
    DETAIL_RECORDS: GET "/detail_records" = "detail_records";
    /// What was charged, in all.
    CHARGES_SUMMARY: GET "/charges_summary" = "charges_summary";
    /// Invoices; they name no amounts.
    INVOICES: GET "/invoices" = "invoices";
    /// One invoice; with `action=link`, where its document can be downloaded.
    INVOICE: GET "/invoices/{id}" = "invoices";
    /// What was charged for each number, service by service.
    CHARGES_BREAKDOWN: GET "/charges_breakdown" = "charges_breakdown";
    /// Limits of what products may cost in a day and a month, and which are blocked.
    SPEND_LIMITS: GET "/spend_limits" = "spend_limits";
    /// Outbound voice profiles, with what each may cost in a day.
    OUTBOUND_VOICE_PROFILES: GET "/outbound_voice_profiles" = "outbound_voice_profiles";
    /// Usage by product.
    USAGE_REPORTS: GET "/usage_reports" = "usage_reports";
    /// What usage reports can be asked for.
    USAGE_OPTIONS: GET "/usage_reports/options" = "usage_reports_options";
    /// Accounts that this one manages. The answers hold API keys.
    MANAGED_ACCOUNTS: GET "/managed_accounts" = "managed_accounts";
    /// One of them, with its balance. The answer holds API keys.
    MANAGED_ACCOUNT: GET "/managed_accounts/{id}" = "managed_accounts";
    /// What Telnyx can notify of.
    NOTIFICATION_EVENTS: GET "/notification_events" = "notification_events";
    /// On what condition, and by which channels.
    NOTIFICATION_EVENT_CONDITIONS: GET "/notification_event_conditions" = "notification_event_conditions";
    /// Who is notified.
    NOTIFICATION_PROFILES: GET "/notification_profiles" = "notification_profiles";
    /// Makes one.
    NOTIFICATION_PROFILE_CREATE: POST "/notification_profiles" = "notification_profiles";
    /// Deletes one.
    NOTIFICATION_PROFILE_DELETE: DELETE "/notification_profiles/{id}" = "notification_profiles";
    /// Where to.
    NOTIFICATION_CHANNELS: GET "/notification_channels" = "notification_channels";
    /// Makes one.
    NOTIFICATION_CHANNEL_CREATE: POST "/notification_channels" = "notification_channels";
    /// Deletes one.
    NOTIFICATION_CHANNEL_DELETE: DELETE "/notification_channels/{id}" = "notification_channels";
    /// Of what.
    NOTIFICATION_SETTINGS: GET "/notification_settings" = "notification_settings";
    /// Makes one.
    NOTIFICATION_SETTING_CREATE: POST "/notification_settings" = "notification_settings";
    /// Deletes one.
    NOTIFICATION_SETTING_DELETE: DELETE "/notification_settings/{id}" = "notification_settings";
    /// Voice API applications.
    CALL_CONTROL_APPLICATIONS: GET "/call_control_applications" = "call_control_applications";
    /// Changes one.
    CALL_CONTROL_APPLICATION_UPDATE: PATCH "/call_control_applications/{id}" = "call_control_applications";
    /// TeXML applications.
    TEXML_APPLICATIONS: GET "/texml_applications" = "texml_applications";
    /// Changes one.
    TEXML_APPLICATION_UPDATE: PATCH "/texml_applications/{id}" = "texml_applications";
    /// SIP connections with user name and password.
    CREDENTIAL_CONNECTIONS: GET "/credential_connections" = "credential_connections";
    /// Changes one.
    CREDENTIAL_CONNECTION_UPDATE: PATCH "/credential_connections/{id}" = "credential_connections";
    /// SIP connections by host name.
    FQDN_CONNECTIONS: GET "/fqdn_connections" = "fqdn_connections";
    /// Changes one.
    FQDN_CONNECTION_UPDATE: PATCH "/fqdn_connections/{id}" = "fqdn_connections";
    /// SIP connections by address.
    IP_CONNECTIONS: GET "/ip_connections" = "ip_connections";
    /// Changes one.
    IP_CONNECTION_UPDATE: PATCH "/ip_connections/{id}" = "ip_connections";
    /// SIP connections by which Telnyx registers with a peer.
    UAC_CONNECTIONS: GET "/uac_connections" = "uac_connections";
    /// Changes one.
    UAC_CONNECTION_UPDATE: PATCH "/uac_connections/{id}" = "uac_connections";
    /// Messaging profiles.
    MESSAGING_PROFILES: GET "/messaging_profiles" = "messaging_profiles";
    /// Fax applications.
    FAX_APPLICATIONS: GET "/fax_applications" = "fax_applications";
}

/// Query parameters; names as Telnyx writes them, such as `filter[status][eq]`.
pub type Query<'a> = &'a [(&'a str, String)];

#[cfg(test)]
mod tests {
    use super::*;

    /// What may be changed at Telnyx, by hand. Whoever adds a line here has made sure that it moves no money.
    const WRITES: &[(&str, &str)] = &[
        ("POST", "/notification_profiles"),
        ("DELETE", "/notification_profiles/{id}"),
        ("POST", "/notification_channels"),
        ("DELETE", "/notification_channels/{id}"),
        ("POST", "/notification_settings"),
        ("DELETE", "/notification_settings/{id}"),
        ("PATCH", "/call_control_applications/{id}"),
        ("PATCH", "/texml_applications/{id}"),
        ("PATCH", "/credential_connections/{id}"),
        ("PATCH", "/fqdn_connections/{id}"),
        ("PATCH", "/ip_connections/{id}"),
        ("PATCH", "/uac_connections/{id}"),
    ];

    #[test]
    fn no_call_moves_money() {
        let writes: Vec<(&str, &str)> = Endpoint::ALL
            .iter()
            .filter(|endpoint| endpoint.method != Method::GET)
            .map(|endpoint| (endpoint.method.as_str(), endpoint.path))
            .collect();
        assert_eq!(writes, WRITES);
        let money = ["payment", "transaction", "recharge", "order", "invoice", "ledger"];
        for (_, path) in writes {
            assert!(!money.iter().any(|word| path.contains(word)), "{path}");
        }
    }
}
