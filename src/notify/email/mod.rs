//! E-mail by SMTP.
//!
//! Renders text and HTML from templates before anything connects; a template that fails is replaced by plain
//! text. One notification is one recipient's copy; all copies show all recipients. Mails of one group of alerts make one
//! thread: they refer to an identifier that is derived from the group and that no mail has.

mod charts;
mod settings;
mod smtp;

use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail, MultiPart, SinglePart};

pub use self::settings::{Auth, EmailSettings, Mechanism, Tls};
use self::smtp::{Envelope, Server};
use crate::alerts::PeerKind;
use crate::notify::kind::{ChannelKind, Limits, Sending, Transport};
use crate::notify::notification::digest;
use crate::notify::templates::{MAIL_HTML, MAIL_SUBJECT, MAIL_TEXT, MessageTemplates};
use crate::notify::view::{Tone, View};
use crate::notify::{Notification, NotifyError, Outcome, Reason, Sent, plain};
use crate::text::one_line;

/// Longest subject, in characters; a template of the user's may be longer.
const SUBJECT_CHARACTERS: usize = 250;
/// Longest value of a header made from labels, in characters.
const HEADER_CHARACTERS: usize = 120;
/// Headers that are not for the user to set: envelope, structure, and those that tie mails together.
const RESERVED: [&str; 12] = [
    "auto-submitted",
    "bcc",
    "content-transfer-encoding",
    "content-type",
    "date",
    "from",
    "in-reply-to",
    "message-id",
    "mime-version",
    "references",
    "subject",
    "to",
];

/// What a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Subject, on one line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// True when a template could not render and plain text stands in its place.
    pub template_failed: bool,
}

/// Sends mails by one server.
#[derive(Debug)]
pub(super) struct Mailer {
    composer: Composer,
    server: Server,
}

/// What all mails of one integration share.
#[derive(Debug)]
struct Composer {
    from: Mailbox,
    to: Vec<Mailbox>,
    headers: Vec<HeaderValue>,
    templates: MessageTemplates,
}

impl Mailer {
    pub(super) fn new(
        settings: &EmailSettings,
        timeout: Duration,
        connections: usize,
        templates: &MessageTemplates,
    ) -> Result<Self, NotifyError> {
        let composer = Composer::new(settings, templates)?;
        Ok(Self { composer, server: Server::new(settings, timeout, connections)? })
    }

    pub(super) async fn send(&self, notification: &Notification) -> Sent {
        let Some(target) = mailbox(&notification.target) else {
            let detail = "the recipient is no mail address".to_owned();
            let outcome = Outcome::Rejected { reason: Reason::ClientError, detail };
            return Sent { outcome, template_failed: false };
        };
        let rendered = self.composer.render(notification);
        let template_failed = rendered.template_failed;
        let outcome = match self.composer.compose(notification, &target, rendered) {
            Ok(mail) => {
                let (from, to) = (self.composer.from.email.as_ref(), target.email.as_ref());
                let envelope = Envelope { from, to, bytes: &mail.formatted() };
                self.server.deliver(&envelope).await
            }
            Err(error) => Outcome::Rejected {
                reason: Reason::Template,
                detail: one_line(&format!("cannot compose the mail: {error}"), HEADER_CHARACTERS),
            },
        };
        Sent { outcome, template_failed }
    }
}

/// Renders what a mail would say. Pure; an error is one of the settings.
pub fn render(
    settings: &EmailSettings,
    notification: &Notification,
    templates: &MessageTemplates,
) -> Result<Rendered, NotifyError> {
    Ok(Composer::new(settings, templates)?.render(notification))
}

impl Composer {
    fn new(settings: &EmailSettings, templates: &MessageTemplates) -> Result<Self, NotifyError> {
        let from =
            mailbox(&settings.from).ok_or_else(|| NotifyError::Address(settings.from.clone()))?;
        let headers = settings.headers.iter().map(|(name, value)| {
            let parsed = HeaderName::new_from_ascii(name.clone()).ok();
            let usable = !RESERVED.contains(&name.to_ascii_lowercase().as_str())
                && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
                && !value.chars().any(char::is_control);
            match parsed.filter(|_| usable) {
                Some(parsed) => Ok(HeaderValue::new(parsed, value.clone())),
                None => Err(NotifyError::Header { name: name.clone() }),
            }
        });
        Ok(Self {
            from,
            to: settings.to.iter().filter_map(|to| mailbox(to)).collect(),
            headers: headers.collect::<Result<_, _>>()?,
            templates: templates.clone(),
        })
    }

    fn render(&self, notification: &Notification) -> Rendered {
        match self.templates.render_all([MAIL_SUBJECT, MAIL_TEXT, MAIL_HTML], notification) {
            Ok([subject, text, html]) => {
                Rendered { subject: header_text(&subject), text, html, template_failed: false }
            }
            Err(error) => {
                let receiver = notification.message.receiver.as_str();
                tracing::warn!(%error, receiver, "mail template failed, plain text is sent");
                let text = plain::render(notification);
                let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                let html = format!("<!doctype html><pre>{escaped}</pre>");
                let subject = header_text(&View::of(notification, 1).subject);
                Rendered { subject, text, html, template_failed: true }
            }
        }
    }

    fn compose(
        &self,
        notification: &Notification,
        target: &Mailbox,
        rendered: Rendered,
    ) -> Result<Mail, lettre::error::Error> {
        let host = ascii_host(&self.from.email);
        let thread = format!("<group-{}@{host}>", digest(&notification.message.group_key));
        let mut builder = Mail::builder()
            .from(self.from.clone())
            .date(sent_at(notification))
            .message_id(Some(format!("<{}@{host}>", local_part(&notification.key))))
            .references(thread.clone())
            .in_reply_to(thread)
            .subject(rendered.subject);
        let recipients = if self.to.is_empty() { std::slice::from_ref(target) } else { &self.to };
        // An address beyond ASCII in the head makes a mail that only servers with SMTPUTF8 may take: the others' copies do
        // without it.
        let own = |recipient: &&Mailbox| is_ascii(recipient) || recipient.email == target.email;
        for recipient in recipients.iter().filter(own) {
            builder = builder.to(recipient.clone());
        }
        for (name, value) in own_headers(notification) {
            let name = HeaderName::new_from_ascii_str(name);
            builder = builder.raw_header(HeaderValue::new(name, value));
        }
        for header in &self.headers {
            builder = builder.raw_header(header.clone());
        }
        // The same on every attempt, and nothing that an event's text could foresee.
        let boundary = format!("tollbell-{}", digest(&notification.key));
        let parts = MultiPart::alternative().boundary(&boundary);
        let parts = parts.singlepart(SinglePart::plain(rendered.text));
        let images = charts::images(notification, &rendered.html);
        builder.multipart(match images.as_slice() {
            [] => parts.singlepart(SinglePart::html(rendered.html)),
            _ => parts.multipart(charts::related(rendered.html, images, &boundary)),
        })
    }
}

/// A subject on one line. An ASCII text may look like an encoded word of RFC 2047, and would be decoded.
fn header_text(subject: &str) -> String {
    one_line(subject, SUBJECT_CHARACTERS).replace("=?", "= ?")
}

/// Headers by which people filter and machines keep quiet (RFC 3834).
fn own_headers(notification: &Notification) -> Vec<(&'static str, String)> {
    let message = &notification.message;
    let view = View::of(notification, 1);
    let mut headers = vec![
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Auto-Response-Suppress", "All".to_owned()),
        ("X-Tollbell-Status", message.status.as_str().to_owned()),
        ("X-Tollbell-Receiver", message.receiver.clone()),
    ];
    if view.tone == Tone::Critical {
        headers.push(("Importance", "high".to_owned()));
        headers.push(("X-Priority", "1".to_owned()));
    }
    for (header, label) in [
        ("X-Tollbell-Alertname", "alertname"),
        ("X-Tollbell-Account", "account"),
        ("X-Tollbell-Severity", "severity"),
    ] {
        headers.extend(message.common_labels.get(label).map(|value| (header, value.clone())));
    }
    for (_, value) in &mut headers {
        *value = one_line(value, HEADER_CHARACTERS).replace("=?", "= ?");
    }
    headers.retain(|(_, value)| !value.is_empty());
    headers
}

/// An address, with or without a name; nothing that could break out of a header.
fn mailbox(text: &str) -> Option<Mailbox> {
    if text.chars().any(char::is_control) {
        return None;
    }
    let mut parsed: Mailbox = text.trim().parse().ok()?;
    // The form that every server understands, with SMTPUTF8 and without.
    if !parsed.email.domain().is_ascii() {
        let domain = idna::domain_to_ascii(parsed.email.domain()).ok()?;
        parsed.email = Address::new(parsed.email.user(), domain).ok()?;
    }
    Some(parsed)
}

fn is_ascii(mailbox: &Mailbox) -> bool {
    AsRef::<str>::as_ref(&mailbox.email).is_ascii()
}

/// The time of sending, within the years that a `Date` header can name.
fn sent_at(notification: &Notification) -> SystemTime {
    let seconds = notification.now.as_second().clamp(0, 253_370_764_800);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

/// The key as the left half of a Message-ID; one with other characters by its hash.
fn local_part(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    match key.len() {
        1..=64 if key.bytes().all(plain) => key.to_owned(),
        _ => digest(key),
    }
}

/// The right half of our identifiers.
fn ascii_host(address: &Address) -> &str {
    match address.domain() {
        host if host.is_ascii() => host,
        _ => "tollbell.invalid",
    }
}

impl ChannelKind for EmailSettings {
    fn kind(&self) -> &'static str {
        "email"
    }

    fn peer_kind(&self) -> PeerKind {
        PeerKind::People
    }

    fn targets(&self) -> Vec<String> {
        self.to.clone()
    }

    fn takes_charts(&self) -> bool {
        self.charts
    }

    fn transport(
        &self,
        limits: Limits,
        templates: &MessageTemplates,
    ) -> Result<Box<dyn Transport>, NotifyError> {
        Ok(Box::new(Mailer::new(self, limits.timeout, limits.connections, templates)?))
    }

    fn preview(
        &self,
        notification: &Notification,
        templates: &MessageTemplates,
    ) -> Result<String, NotifyError> {
        let rendered = render(self, notification, templates)?;
        Ok(format!("Subject: {}\n\n{}", rendered.subject, rendered.text))
    }
}

impl Transport for Mailer {
    fn send<'a>(&'a self, notification: &'a Notification) -> Sending<'a> {
        Box::pin(Mailer::send(self, notification))
    }
}

#[cfg(test)]
mod tests {
    use mail_parser::{MessageParser, MimeHeaders as _};
    use proptest::prelude::*;

    use super::*;
    use crate::notify::tests::samples;

    fn settings() -> EmailSettings {
        EmailSettings {
            to: vec!["Finance <finance@example.com>".to_owned(), "cfo@example.com".to_owned()],
            from: "tollbell <bell@example.org>".to_owned(),
            host: "localhost".to_owned(),
            port: 25,
            tls: Tls::None,
            ca_file: None,
            auth: None,
            headers: vec![("Reply-To".to_owned(), "ops@example.com".to_owned())],
            hello: None,
            charts: true,
        }
    }

    fn composer() -> Composer {
        Composer::new(&settings(), &MessageTemplates::default()).expect("settings")
    }

    fn told(notification: &Notification) -> Rendered {
        render(&settings(), notification, &MessageTemplates::default()).expect("renders")
    }

    fn formatted(notification: &Notification) -> Vec<u8> {
        let composer = composer();
        let target = mailbox(&notification.target).expect("target");
        let rendered = composer.render(notification);
        assert!(!rendered.template_failed);
        composer.compose(notification, &target, rendered).expect("composes").formatted()
    }

    /// The head of a mail, unfolded.
    fn head(bytes: &[u8]) -> Vec<String> {
        let text = String::from_utf8(bytes.to_vec()).expect("ASCII");
        let (head, _) = text.split_once("\r\n\r\n").expect("a head");
        let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        head.split("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn the_text_tells_it_at_one_glance() {
        let rendered = told(&samples::spend_limit());
        assert_eq!(
            rendered.subject,
            "[FIRING] Messaging profile reached its spend limit · account default"
        );
        insta::assert_snapshot!(rendered.text, @r"
        FIRING · critical · account default

        Messaging profile reached its spend limit

        Messages of this profile are refused until the limit is raised or the day is
        over. Check for a loop or for fraud before you raise it.

          Spent             10.02 of 10.00 USD
          Since             2026-08-20 19:17:08 UTC (3m 20s ago)
          Account           default
          Profile           be3eb60a-a346-470a-886c-ab4e421711bd
          Team              billing
          Event             messaging-profile.spend-limit-reached

        What to do
          Raise the daily limit in Mission Control, Messaging, Profiles.

        Alert: https://tollbell.example.com/alerts/4ddabc6d19890228
        Runbook: https://wiki.example.com/runbooks/spend-limit?from=mail&v=2
        Silence: https://tollbell.example.com/silences/new?matcher=account%3D%22default%22&matcher=alertname%3D%22SpendLimitReached%22&matcher=profile%3D%22be3eb60a-a346-470a-886c-ab4e421711bd%22

        -- 
        Notified because: first notification, receiver finance
        ");
        let rendered = told(&samples::resolved());
        insta::assert_snapshot!(rendered.text, @r###"
        RESOLVED · was critical · account default

        Messaging profile reached its spend limit

          Over after        2h 5m
          From              2026-08-20 19:17:08 UTC to 2026-08-20 21:22:11 UTC
          Spent             10.02 of 10.00 USD
          Account           default
          Profile           be3eb60a-a346-470a-886c-ab4e421711bd
          Team              billing
          Event             messaging-profile.spend-limit-reached

        Alert: https://tollbell.example.com/alerts/4ddabc6d19890228
        Runbook: https://wiki.example.com/runbooks/spend-limit?from=mail&v=2

        -- 
        Notified because: all alerts resolved, receiver finance
        "###);
        let rendered = told(&samples::fallback());
        assert!(rendered.subject.ends_with(" · for oncall"), "{}", rendered.subject);
        assert!(rendered.text.contains("! This copy is for receiver oncall, which could not be"));
    }

    #[test]
    fn what_was_missed_says_first_how_old_it_is() {
        let rendered = told(&samples::missed());
        let subject = "[FIRING] Messaging profile reached its spend limit · occurred 3h 5m ago · account default";
        assert_eq!(rendered.subject, subject);
        let note =
            "\n\n! Occurred 3h 5m ago. Its webhook was missed, and fetched from Telnyx's log.\n\n";
        assert!(rendered.text.contains(note), "{}", rendered.text);
        assert!(rendered.html.contains("Occurred 3h 5m ago. Its webhook was missed"));
        let mut several = samples::many();
        for alert in several.message.alerts.iter_mut().take(2) {
            alert.missed = true;
        }
        let text = told(&several).text;
        assert!(text.contains("! 2 of them occurred up to 3m 20s ago: missed webhooks,"), "{text}");
    }

    #[test]
    fn many_alerts_are_cut_and_counted() {
        let rendered = told(&samples::many());
        assert!(!rendered.template_failed);
        assert_eq!(rendered.subject, "[FIRING:33] CallCostHigh · 1 over");
        assert!(rendered.text.contains("… and 14 more"));
        assert!(rendered.html.contains("and 14 more"));
    }

    #[test]
    fn several_alerts_tell_once_what_to_do_and_where_to_read_on() {
        let rendered = told(&samples::advised());
        for part in [&rendered.text, &rendered.html] {
            for text in ["What to do", "Raise the daily limit", "spend-limit?from=mail"] {
                assert_eq!(part.matches(text).count(), 1, "{text} in {part}");
            }
        }
        assert!(
            rendered.text.contains("\n\nWhat to do\n  Raise the daily limit in Mission Control, Messaging, Profiles.\n\nFIRING    "),
            "{}",
            rendered.text
        );
    }

    #[test]
    fn an_independent_parser_reads_both_parts_and_the_thread() {
        let bytes = formatted(&samples::spend_limit());
        let mail = MessageParser::default().parse(&bytes).expect("a mail");
        assert_eq!(
            mail.subject(),
            Some("[FIRING] Messaging profile reached its spend limit · account default")
        );
        assert!(mail.body_text(0).expect("text").contains("10.02 of 10.00 USD"));
        assert!(mail.body_html(0).expect("html").contains("10.02 of 10.00 USD"));
        assert_eq!(mail.message_id(), Some("0198c8f2-7d1e-7c3a-9d51-3f0c6a1b2c3d@example.org"));
        let to: Vec<_> = mail.to().expect("to").iter().filter_map(|to| to.address()).collect();
        assert_eq!(to, ["finance@example.com", "cfo@example.com"]);
        assert_eq!(mail.date().expect("date").to_rfc3339(), "2026-08-20T19:20:28Z");
        assert_eq!(mail.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
        assert_eq!(mail.header_raw("X-Tollbell-Severity").map(str::trim), Some("critical"));
        let root = mail.references().as_text().expect("references").to_owned();
        let later = formatted(&samples::resolved());
        let later = MessageParser::default().parse(&later).expect("a mail");
        assert_eq!(later.references().as_text(), Some(root.as_str()));
        assert_eq!(later.in_reply_to().as_text(), Some(root.as_str()));
        assert!(root.starts_with("group-") && root.ends_with("@example.org"), "{root}");
    }

    #[test]
    fn charts_are_images_beside_the_html_that_shows_them() {
        let notification = samples::charted();
        let bytes = formatted(&notification);
        let mail = MessageParser::default().parse(&bytes).expect("a mail");
        let kind = |part: &mail_parser::MessagePart<'_>| {
            let kind = part.content_type().expect("a type");
            format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default())
        };
        let kinds: Vec<String> = mail.parts.iter().map(kind).collect();
        assert_eq!(
            kinds,
            [
                "multipart/alternative",
                "text/plain",
                "multipart/related",
                "text/html",
                "image/png",
                "image/png"
            ]
        );
        let related = mail.parts[2].content_type().expect("a type");
        assert_eq!(related.attribute("type"), Some("text/html"));
        let html = mail.body_html(0).expect("html");
        assert_eq!(html.matches("<img ").count(), 2);
        for (n, chart) in notification.charts.iter().enumerate() {
            let image = &mail.parts[4 + n];
            let id = image.content_id().expect("an identity");
            assert!(html.contains(&format!(r#"<img src="cid:{id}""#)), "{id}");
            assert_eq!(image.contents(), &*chart.png);
            assert_eq!(
                image.content_disposition().map(mail_parser::ContentType::ctype),
                Some("inline")
            );
            assert_eq!(image.attachment_name(), Some(&*format!("chart-{}.png", n + 1)));
        }
        let words = "default: the last 3 days, USD. From 180.00 USD to 41.50 USD.";
        assert!(html.contains(&format!(r#"alt="{words}""#)) && !html.contains("<script"), "{html}");
        assert!(html.contains("width=\"560\" height=\"176\""));
        // What is not there cannot be loaded from elsewhere.
        assert!(!html.contains("src=\"http") && !html.contains("url("));
        assert_eq!(bytes, formatted(&notification), "the same again under the same key");
        let other = Notification { key: "other".to_owned(), ..notification };
        assert_ne!(formatted(&other), bytes);
    }

    #[test]
    fn an_image_that_the_html_does_not_show_stays_away() {
        let notification = samples::charted();
        let plain = formatted(&Notification { charts: Vec::new(), ..notification.clone() });
        let parts = |bytes: &[u8]| MessageParser::default().parse(bytes).map(|it| it.parts.len());
        assert_eq!(parts(&plain), Some(3));
        let own = MessageTemplates::new([(
            MAIL_HTML,
            "<p>{{ charts[1].title }}<img src='{{ charts[1].src }}'>",
        )]);
        let composer = Composer::new(&settings(), &own.expect("compiles")).expect("settings");
        let target = mailbox(&notification.target).expect("target");
        let mail = composer.compose(&notification, &target, composer.render(&notification));
        let bytes = mail.expect("composes").formatted();
        let mail = MessageParser::default().parse(&bytes).expect("a mail");
        assert_eq!(mail.parts.len(), 5);
        assert_eq!(mail.parts[4].contents(), &*notification.charts[1].png);
    }

    #[test]
    fn hostile_text_is_text() {
        let notification = samples::hostile();
        let html = told(&notification).html;
        for bad in ["<script", "<img", "<b>&", "href=\"javascript", "\u{202e}"] {
            assert!(!html.contains(bad), "{bad}");
        }
        let bytes = formatted(&notification);
        assert!(head(&bytes).iter().all(|line| !line.to_lowercase().starts_with("bcc")));
        assert!(bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= 998));
    }

    #[test]
    fn a_template_that_fails_gives_way_to_plain_text() {
        let templates = MessageTemplates::new([(MAIL_TEXT, "{{ nope }}")]).expect("compiles");
        let rendered = render(&settings(), &samples::hostile(), &templates).expect("renders");
        assert!(rendered.template_failed);
        assert!(rendered.text.contains("Failure reason: outbound_profile_daily"));
        assert!(!rendered.html.contains("<script"));
    }

    #[test]
    fn settings_that_could_break_a_mail_are_refused() {
        for (name, value) in [
            ("Subject", "mine"),
            ("X-A", "a\r\nBcc: b@c"),
            ("X A", "a"),
            ("X:A", "a"),
            ("", "a"),
            ("Content-Type", "text/plain"),
        ] {
            let headers = vec![(name.to_owned(), value.to_owned())];
            let settings = EmailSettings { headers, ..settings() };
            assert!(Composer::new(&settings, &MessageTemplates::default()).is_err(), "{name}");
        }
        for from in ["", "nobody", "a@b\r\nBcc: c@d"] {
            let settings = EmailSettings { from: from.to_owned(), ..settings() };
            assert!(Composer::new(&settings, &MessageTemplates::default()).is_err(), "{from}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_content_stays_in_its_header(notification in samples::any_parcel()) {
            const NAMES: [&str; 19] = [
                "From", "To", "Date", "Subject", "Message-ID", "References", "In-Reply-To",
                "MIME-Version", "Content-Type", "Auto-Submitted", "X-Auto-Response-Suppress",
                "X-Tollbell-Status", "X-Tollbell-Receiver", "X-Tollbell-Alertname",
                "X-Tollbell-Account", "X-Tollbell-Severity", "Importance", "X-Priority", "Reply-To",
            ];
            let bytes = formatted(&notification);
            prop_assert!(bytes.is_ascii());
            prop_assert!(bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= 998));
            let mut seen = std::collections::BTreeSet::new();
            for line in head(&bytes) {
                let name = line.split(':').next().unwrap_or_default().to_owned();
                prop_assert!(NAMES.contains(&name.as_str()), "{line}");
                prop_assert!(seen.insert(name), "{line}");
                prop_assert!(!line.contains(['\r', '\n']));
            }
            let rendered = told(&notification);
            prop_assert_eq!(rendered.subject.lines().count(), 1);
        }
    }
}
