//! The words of `receivers`: the ways to tell somebody; see [`super`] for how they are stated.

use std::ops::Deref;
use std::time::Duration;

use super::{At, Bounds, Key, Kind, Section, Shape, bare, words};

const BY_WEBHOOK: &str = "use webhook_configs with body and headers; docs/webhooks.md has examples";
const TEXTS: &str = "texts are files of templates, for all receivers; see docs/templates.md";
const HTTP: &str = "use headers, header_files and tls_config";

/// What the words of all integrations have in common.
pub(in crate::config) trait IntegrationWords<'a>:
    Deref<Target = Section<'a>>
{
    fn own_name(&self) -> Option<At<String>>;
    fn trust(&self) -> TlsWords<'a>;
    fn tells_ends(&self) -> bool;
    fn bound(&self) -> Duration;
    fn tries(&self) -> RetryWords<'a>;
    /// Sends a second, and at once.
    fn pace(&self) -> (f64, u32);
    /// Sends in flight at most.
    fn in_flight(&self) -> usize;
}

/// States the words of one kind of integration: its own, and those that all have. Behind the name of the shape stand the
/// defaults of `timeout` and `concurrency`, and the words and meaning of `rate_limit`.
macro_rules! integration {
    ($Words:ident $shape:literal, $timeout:literal, $concurrency:literal, $Rate:ident $fast:literal { $($own:tt)* } $(, hints $hints:tt)?) => {
        words! {
            $Words $shape {
                name: text, "Keeps the integration's identity when its target changes.";
                $($own)*
                tls_config: map(TlsWords), "Trust in the peer.";
                send_resolved: flag(true), "Whether ends are notified, too.";
                timeout: duration($timeout, "100ms", "5m"), "Bound on one whole send, connect to last byte.";
                retry: map(RetryWords), "When to try again and when to stop.";
                rate_limit: map($Rate), $fast;
                concurrency: integer($concurrency, "1", "64"), "Sends in flight at most.";
            } $(, hints $hints)?
        }

        impl<'a> IntegrationWords<'a> for $Words<'a> {
            fn own_name(&self) -> Option<At<String>> { self.name() }
            fn trust(&self) -> TlsWords<'a> { self.tls_config() }
            fn tells_ends(&self) -> bool { self.send_resolved() }
            fn bound(&self) -> Duration { self.timeout() }
            fn tries(&self) -> RetryWords<'a> { self.retry() }
            fn pace(&self) -> (f64, u32) {
                let rate = self.rate_limit();
                (rate.per_second(), rate.burst())
            }
            fn in_flight(&self) -> usize { self.concurrency() as usize }
        }
    };
}

integration! {
    EmailWords "email_config", "30s", "4", RateWords "How fast." {
        to: texts required, "Recipients; each is its own delivery.";
        from: text required, "Sender.";
        smarthost: text required, "Mail server, host:port.";
        tls: choice("starttls"; "starttls", "implicit", "none"),
            "Transport security; starttls is required, never just tried.";
        auth: map(AuthWords), "Credentials.";
        headers: pairs, "Further headers, such as Reply-To.";
        hello: text, "Name in EHLO; the machine's host name by default.";
        charts: flag(true), "Whether mails about the balance and about spending carry a chart.";
    }, hints {
        "auth_username" => "use auth: {username: …, password_file: …}";
        "auth_password" => "use auth: {username: …, password: …}";
        "auth_password_file" => "use auth: {username: …, password_file: …}";
        "auth_identity" => "the identity is that of auth.username";
        "auth_secret" => "CRAM-MD5 is not spoken; use auth.mechanism: plain, login or xoauth2";
        "auth_secret_file" => "CRAM-MD5 is not spoken; use auth.mechanism: plain, login or xoauth2";
        "require_tls" => "use tls: starttls, implicit or none";
        "force_implicit_tls" => "use tls: implicit";
        "smtp_smarthost" => "use smarthost";
        "smtp_from" => "use from";
        "smtp_auth_username" => "use auth: {username: …, password_file: …}";
        "smtp_auth_password" => "use auth: {username: …, password: …}";
        "smtp_require_tls" => "use tls: starttls, implicit or none";
        "host" => "use smarthost: host:port";
        "port" => "use smarthost: host:port";
        "username" => "use auth: {username: …, password_file: …}";
        "password" => "use auth: {username: …, password: …}";
        "subject" => TEXTS;
        "html" => TEXTS;
        "text" => TEXTS;
        "threading" => "mails of one group are one thread already";
    }
}

integration! {
    SlackWords "slack_config", "10s", "1", SlackRateWords "How fast; Slack takes one a second." {
        proxy_url: text, "HTTP proxy for its requests; direct: none. By default that of server.";
        api_url: text, "The incoming webhook; a secret.";
        api_url_file: text, "File that holds it.";
        channel: text, "Channel; works with legacy webhooks only.";
        mention: pairs, "Severity to whom its firing alerts call: here, channel, `<@U…>`, `<!subteam^S…>`.";
    }, hints {
        "http_config" => "use tls_config";
        "webhook_url" => "use api_url";
        "webhook_url_file" => "use api_url_file";
        "url" => "use api_url";
        "message_text" => TEXTS;
        "image_url" => TEXTS;
        "thumb_url" => TEXTS;
        "callback_id" => TEXTS;
        "short_fields" => TEXTS;
        "mrkdwn_in" => TEXTS;
        "link_names" => "no event can cause a mention; see mention";
        "update_message" => "incoming webhooks cannot change a message";
        "app_token" => "only incoming webhooks are spoken: use api_url";
        "app_token_file" => "only incoming webhooks are spoken: use api_url_file";
        "app_url" => "only incoming webhooks are spoken: use api_url";
        "title" => TEXTS;
        "title_link" => TEXTS;
        "pretext" => TEXTS;
        "text" => TEXTS;
        "fallback" => TEXTS;
        "footer" => TEXTS;
        "fields" => TEXTS;
        "actions" => TEXTS;
        "color" => "the colour is that of the severity";
        "username" => "incoming webhooks post under the name of their app";
        "icon_emoji" => "incoming webhooks post with the icon of their app";
        "icon_url" => "incoming webhooks post with the icon of their app";
    }
}

integration! {
    WebhookWords "webhook_config", "10s", "16", RateWords "How fast." {
        proxy_url: text, "HTTP proxy for its requests; direct: none. By default that of server.";
        url: text, "Where to; treated as a secret.";
        url_file: text, "File that holds it.";
        secret: text, "Key of the Standard Webhooks signature; a secret.";
        secret_file: text, "File that holds it.";
        max_alerts: integer("100", "1", "10000"), "Alerts in one body at most.";
        body: text, "Template of the body, in the place of Alertmanager's JSON.";
        body_file: text, "File that holds it.";
        headers: pairs, "Further request headers; their values are secrets.";
        header_files: pairs, "Further request headers, each value in a file.";
    }, hints {
        "http_config" => HTTP;
        "webhook_url" => "use url";
        "api_url" => "use url";
        "payload" => "use body; docs/webhooks.md has examples";
    }
}

integration! {
    PagerDutyWords "pagerduty_config", "10s", "4", PagerDutyRateWords "How fast; PagerDuty takes 120 a minute." {
        proxy_url: text, "HTTP proxy for its requests; direct: none. By default that of server.";
        routing_key: text, "Integration key of the Events API v2; a secret.";
        routing_key_file: text, "File that holds it.";
        url: text("https://events.pagerduty.com/v2/enqueue"),
            "Where events go; https://events.eu.pagerduty.com/v2/enqueue in the EU.";
        severity: pairs, "Values of the label severity as critical, error, warning or info, besides the usual.";
        client: text("tollbell"), "Who sends, as PagerDuty shows it.";
        client_url: text, "Where that leads; server.external_url by default.";
    }, hints {
        "service_key" => "use routing_key: only the Events API v2 is spoken";
        "service_key_file" => "use routing_key_file: only the Events API v2 is spoken";
        "http_config" => "use tls_config";
        "description" => TEXTS;
        "source" => "the account is the source";
        "images" => "the labels and annotations of each alert are sent";
        "links" => "the runbook of each alert is sent";
        "api_url" => "use url";
        "details" => "the labels and annotations of each alert are sent";
        "class" => "the labels of each alert are sent";
        "component" => "the labels of each alert are sent";
        "group" => "the labels of each alert are sent";
    }
}

integration! {
    AlertmanagerWords "alertmanager_config", "10s", "16", RateWords "How fast." {
        proxy_url: text, "HTTP proxy for its requests; direct: none. By default that of server.";
        url: text, "Where its pages begin; treated as a secret.";
        url_file: text, "File that holds it.";
        resend_interval: duration("1m", "10s", "1h"),
            "How often firing alerts are sent again. Alertmanager ends one that was not sent for four times as long.";
        headers: pairs, "Further request headers; their values are secrets.";
        header_files: pairs, "Further request headers, each value in a file.";
    }, hints {
        "http_config" => HTTP;
        "api_url" => "use url";
        "webhook_url" => "use url";
        "static_configs" => "use url, one entry for each Alertmanager";
        "targets" => "use url, one entry for each Alertmanager";
        "scheme" => "use url";
        "path_prefix" => "use url";
        "api_version" => "it is v2 always";
        "basic_auth" => "use header_files: {Authorization: …}";
        "authorization" => "use header_files: {Authorization: …}";
    }
}

words! {
    ReceiverWords "receiver" {
        name: text required, "Name, as routes use it.";
        fallback: text, "Receiver that is notified when a delivery to this one fails.";
        fallback_after: duration("5m", "1s", "1d"),
            "The fallback is also notified when a delivery has not succeeded after this time.";
        email_configs: maps(EmailWords), "E-mail by SMTP.";
        slack_configs: maps(SlackWords), "Slack incoming webhooks.";
        webhook_configs: maps(WebhookWords), "Any HTTP endpoint.";
        pagerduty_configs: maps(PagerDutyWords), "PagerDuty, by its Events API v2.";
        alertmanager_configs: maps(AlertmanagerWords), "Another Alertmanager.";
    }, hints {
        "discord_configs" => BY_WEBHOOK;
        "incidentio_configs" => BY_WEBHOOK;
        "jira_configs" => BY_WEBHOOK;
        "mattermost_configs" => BY_WEBHOOK;
        "msteams_configs" => BY_WEBHOOK;
        "msteamsv2_configs" => BY_WEBHOOK;
        "opsgenie_configs" => BY_WEBHOOK;
        "pushover_configs" => BY_WEBHOOK;
        "rocketchat_configs" => BY_WEBHOOK;
        "sns_configs" => BY_WEBHOOK;
        "telegram_configs" => BY_WEBHOOK;
        "victorops_configs" => BY_WEBHOOK;
        "webex_configs" => BY_WEBHOOK;
        "wechat_configs" => BY_WEBHOOK;
    }

    AuthWords "email_auth" {
        mechanism: choice("plain"; "plain", "login", "xoauth2"), "SASL mechanism.";
        username: text required, "User name.";
        password: text, "Password, or the token of xoauth2; a secret.";
        password_file: text, "File that holds it.";
    }

    TlsWords "tls_config" {
        ca_file: text, "PEM file of authorities to trust besides the system's.";
    }

    RetryWords "retry" {
        max_age: duration("24h", "1s", "7d"), "A delivery older than this is dead at its next failure.";
        initial_backoff: duration("1s", "10ms", "1h"), "Upper bound of the first wait; it doubles from there.";
        max_backoff: duration("5m", "10ms", "1d"), "Upper bound of any wait.";
    }

    RateWords "rate_limit" {
        per_second: number("10", "0.001", "1000"), "Sends a second, for long.";
        burst: integer("20", "1", "1000"), "Sends at once.";
    }

    SlackRateWords "slack_rate_limit" {
        per_second: number("1", "0.001", "1000"), "Sends a second, for long.";
        burst: integer("3", "1", "1000"), "Sends at once.";
    }

    PagerDutyRateWords "pagerduty_rate_limit" {
        per_second: number("2", "0.001", "1000"), "Sends a second, for long.";
        burst: integer("10", "1", "1000"), "Sends at once.";
    }
}
