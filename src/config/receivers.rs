//! The `receivers` section: who can be told, and by which integrations.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::ExposeSecret as _;

use super::accounts::{NAME_CHARS_MAX, unique};
use super::bodies::{self, Body};
use super::diagnostics::{closest, quote};
use super::section::Section;
use super::words::{ConfigWords, IntegrationWords, ReceiverWords, SlackWords, WebhookWords};
use super::{Context, digest, email, files, peers, server};
use crate::alerts::Route;
use crate::diagnostic::{At, Diagnostic};
use crate::notify::{
    Channel, Integration, MessageTemplates, Notifier, NotifyError, RateLimit, Receiver,
    RetryPolicy, slack, webhook,
};
use crate::secret::Secret;

/// Receivers at most.
const RECEIVERS_MAX: usize = 1000;
/// Bytes of the hash that identifies a target.
const TARGET_BYTES: usize = 4;
/// Where legacy-free Slack webhooks live: they are bound to one channel.
const SLACK_HOST: &str = "hooks.slack.com";

/// What `receivers` gave: the sections for [`check_uses`], and templates that are yet to be tried.
pub(super) struct Read<'a> {
    pub(super) sections: Vec<ReceiverWords<'a>>,
    pub(super) receivers: Vec<Receiver>,
    pub(super) bodies: Vec<Body>,
}

/// Reads `receivers`.
pub(super) fn read<'a>(
    root: &ConfigWords<'a>,
    context: Context<'_>,
    templates: &MessageTemplates,
) -> Read<'a> {
    let sections = root.receivers();
    if root.is_empty("receivers") {
        root.error("receivers", "no receiver: nobody could be notified");
    }
    if sections.len() > RECEIVERS_MAX {
        root.error("receivers", format!("more than {RECEIVERS_MAX} receivers"));
    }
    unique(&sections, ReceiverWords::name);
    let mut bodies = Vec::new();
    let receivers =
        sections.iter().map(|section| receiver(section, context, templates, &mut bodies)).collect();
    Read { sections, receivers, bodies }
}

fn receiver(
    section: &ReceiverWords<'_>,
    context: Context<'_>,
    templates: &MessageTemplates,
    bodies: &mut Vec<Body>,
) -> Receiver {
    let name = section.name().map(|name| name.value).unwrap_or_default();
    check_name(section, section.name());
    let fallback = section.fallback().map(|name| name.value);
    if fallback.is_none() && section.has("fallback_after") {
        section.warning("fallback_after", "has no effect without fallback");
    }
    let mut all = Integrations {
        receiver: &name,
        context,
        templates,
        ids: BTreeMap::new(),
        found: Vec::new(),
    };
    all.add(section.email_configs(), "email", |entry| email::read(entry, context));
    all.add(section.slack_configs(), "slack", |entry| read_slack(entry, context));
    all.add(section.webhook_configs(), "webhook", |entry| read_webhook(entry, context, bodies));
    let pagerduty = section.pagerduty_configs();
    all.add(pagerduty, "pagerduty", |entry| peers::read_pagerduty(entry, context));
    for entry in all.add(section.alertmanager_configs(), "alertmanager", |entry| {
        peers::read_alertmanager(entry, context)
    }) {
        let (entry, at) = entry;
        if let Some(integration) = all.found.get_mut(at) {
            integration.resend = Some(entry.resend_interval());
        }
    }
    let integrations = all.found;
    let fallback_after = section.fallback_after();
    Receiver { name, integrations, fallback, fallback_after }
}

/// The integrations of a receiver that were read so far.
struct Integrations<'a> {
    receiver: &'a str,
    context: Context<'a>,
    templates: &'a MessageTemplates,
    /// How often each identity was given.
    ids: BTreeMap<String, usize>,
    found: Vec<Integration>,
}

impl Integrations<'_> {
    /// Adds those of one kind; gives the entries that could be read, with their places among all.
    fn add<'e, W: IntegrationWords<'e>>(
        &mut self,
        entries: Vec<W>,
        kind: &str,
        mut read: impl FnMut(&W) -> Option<Identified>,
    ) -> Vec<(W, usize)> {
        unique(&entries, IntegrationWords::own_name);
        let mut added = Vec::new();
        for entry in entries {
            check_name(&entry, entry.own_name());
            let Some((channel, target)) = read(&entry) else { continue };
            let suffix = entry.own_name().map(|name| name.value);
            let suffix =
                suffix.unwrap_or_else(|| digest(target.iter().map(|t| &**t), TARGET_BYTES));
            let id = self.identity(&entry, format!("{}/{kind}/{suffix}", self.receiver));
            let integration = integration(&entry, id, self.receiver, channel);
            if !self.context.trial {
                check_usable(&entry, &integration, self.templates);
            }
            added.push((entry, self.found.len()));
            self.found.push(integration);
        }
        added
    }

    /// The identity, with a number where others have the same.
    fn identity(&mut self, entry: &Section<'_>, id: String) -> String {
        let count = self.ids.entry(id.clone()).and_modify(|count| *count += 1).or_insert(1);
        if *count == 1 {
            return id;
        }
        let message = "another one of this receiver goes to the same place: only their order tells \
                       them apart, and a change of it mixes them up";
        let diagnostic = Diagnostic::warning(entry.position.clone(), &*entry.path, message);
        entry.push(diagnostic.hint("give each a name"));
        format!("{id}-{count}")
    }
}

/// Reports what the notifier itself would refuse at start; body templates are tried on their own.
fn check_usable(entry: &Section<'_>, integration: &Integration, templates: &MessageTemplates) {
    match Notifier::new(integration, templates) {
        Ok(_) | Err(NotifyError::Template(_)) => {}
        Err(error) => {
            let text = error.to_string();
            entry.push(Diagnostic::error(entry.position.clone(), &*entry.path, text));
        }
    }
}

/// Reports a `name` that could not stand in ids and metrics.
fn check_name(section: &Section<'_>, name: Option<At<String>>) {
    let Some(name) = name else { return };
    let fine = (1..=NAME_CHARS_MAX).contains(&name.value.chars().count())
        && !name.value.contains(|c: char| c == '/' || c.is_control());
    if !fine {
        section
            .error("name", format!("expected 1 to {NAME_CHARS_MAX} characters, no / among them"));
    }
}

fn integration<'a>(
    entry: &impl IntegrationWords<'a>,
    id: String,
    receiver: &str,
    channel: Channel,
) -> Integration {
    let retry = entry.tries();
    let policy = RetryPolicy {
        max_age: retry.max_age(),
        initial_backoff: retry.initial_backoff(),
        max_backoff: retry.max_backoff(),
    };
    if policy.initial_backoff > policy.max_backoff {
        retry.error("initial_backoff", "longer than max_backoff");
    }
    let (per_second, burst) = entry.pace();
    Integration {
        id,
        receiver: receiver.to_owned(),
        channel,
        send_resolved: entry.tells_ends(),
        resend: None,
        timeout: entry.bound(),
        retry: policy,
        rate_limit: RateLimit { per_second, burst },
        concurrency: entry.in_flight(),
    }
}

/// A free name and its value, as a file has them.
pub(super) type Pair = (At<String>, At<String>);

/// A channel, and the non-secret texts that identify its target.
pub(super) type Identified = (Channel, Vec<String>);

fn read_slack(entry: &SlackWords<'_>, context: Context<'_>) -> Option<Identified> {
    let found =
        files::needed_secret(entry, "api_url", [entry.api_url(), entry.api_url_file()], context);
    let channel = entry.channel().map(|channel| channel.value);
    let mention = mentions(entry);
    let via = files::via(entry, entry.proxy_url(), context);
    let found = found?;
    let url = check_url(entry, &found, context);
    if channel.is_some() && url.is_some_and(|url| url.host_str() == Some(SLACK_HOST)) {
        entry.warning(
            "channel",
            "ignored by webhooks of hooks.slack.com: each posts to the channel it was made for",
        );
    }
    let target = vec![found.place, channel.clone().unwrap_or_default()];
    let settings = slack::SlackSettings { api_url: found.secret, channel, mention, via };
    Some((Channel::Slack(settings), target))
}

/// Whom the messages of a severity call; see [`slack::mentions`].
fn mentions(entry: &SlackWords<'_>) -> BTreeMap<String, String> {
    let mut mentions = BTreeMap::new();
    for (severity, whom) in entry.mention() {
        if let Some(found) = slack::mentions(&whom.value) {
            mentions.insert(severity.value.to_lowercase(), found);
            continue;
        }
        let path = format!("{}.{}", entry.at("mention"), quote(&severity.value));
        let message =
            "expected here, channel, or ids of users and groups, with blanks between them";
        let diagnostic = Diagnostic::error(whom.position, path, message);
        entry.push(diagnostic.hint("such as <@U012AB3CD> or <!subteam^S012AB3CD>: Copy member ID"));
    }
    mentions
}

fn read_webhook(
    entry: &WebhookWords<'_>,
    context: Context<'_>,
    bodies: &mut Vec<Body>,
) -> Option<Identified> {
    let found = files::needed_secret(entry, "url", [entry.url(), entry.url_file()], context);
    let secret = files::secret(entry, "secret", [entry.secret(), entry.secret_file()], context);
    let body = bodies::read(entry, context).map(|body| {
        let source = body.source().to_owned();
        bodies.push(body);
        source
    });
    let headers = headers(entry, entry.headers(), entry.header_files(), context);
    let max_alerts = entry.max_alerts() as usize;
    let via = files::via(entry, entry.proxy_url(), context);
    if let Some(found) = &secret {
        check_signing_secret(entry, found);
    }
    let found = found?;
    let url = check_url(entry, &found, context);
    let target = target(&found, url)?;
    let settings = webhook::WebhookSettings {
        url: found.secret,
        secret: secret.map(|found| found.secret),
        max_alerts,
        body,
        headers,
        via,
    };
    Some((Channel::Webhook(settings), vec![target]))
}

/// What identifies an address and is no secret. The path may hold a token; the origin does not.
pub(super) fn target(found: &files::Found, url: Option<reqwest::Url>) -> Option<String> {
    match &found.secret {
        Secret::File(_) => Some(found.place.clone()),
        Secret::Inline(_) => Some(url?.origin().ascii_serialization()),
    }
}

pub(super) fn check_url(
    entry: &Section<'_>,
    found: &files::Found,
    context: Context<'_>,
) -> Option<reqwest::Url> {
    let url = server::target_url(found.text.expose_secret(), context);
    url.map_err(|message| entry.error(&found.key, message)).ok()
}

/// `whsec_` is followed by base64, as the Standard Webhooks specification has it.
fn check_signing_secret(entry: &Section<'_>, found: &files::Found) {
    use base64::Engine as _;
    if let Some(encoded) = found.text.expose_secret().strip_prefix("whsec_")
        && base64::engine::general_purpose::STANDARD.decode(encoded).is_err()
    {
        entry.error(&found.key, "what follows whsec_ is not standard, padded base64");
    }
}

pub(super) fn headers(
    entry: &Section<'_>,
    inline: Vec<Pair>,
    of_file: Vec<Pair>,
    context: Context<'_>,
) -> Vec<(String, Secret)> {
    let inline = inline.into_iter().map(|pair| ("headers", pair));
    let of_file = of_file.into_iter().map(|pair| ("header_files", pair));
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (key, (name, value)) in inline.chain(of_file) {
        let path = format!("{}.{}", entry.at(key), quote(&name.value));
        let secret = match key {
            "headers" => Secret::inline(value.value),
            _ => Secret::File(context.base.join(&value.value)),
        };
        let diagnostic = match context.base.read_secret(&secret) {
            Err(_missing) if context.trial => None,
            Err(error) => Some((value.position, format!("secret file cannot be used: {error}"))),
            Ok(text) if text.expose_secret().contains(char::is_control) => {
                Some((value.position, "a control character in a header".to_owned()))
            }
            Ok(_) if !is_header_name(&name.value) => {
                Some((name.position, "not the name of a header".to_owned()))
            }
            Ok(_) if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name.value)) => {
                Some((name.position, "header given twice".to_owned()))
            }
            Ok(_) => None,
        };
        match diagnostic {
            Some((position, message)) => entry.push(Diagnostic::error(position, path, message)),
            None => headers.push((name.value, secret)),
        }
    }
    headers
}

/// A token of RFC 9110 section 5.6.2; mail headers are no wider.
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c))
}

/// Reports fallbacks that lead nowhere or in a circle, and receivers that nobody uses.
pub(super) fn check_uses(sections: &[ReceiverWords<'_>], receivers: &[Receiver], route: &Route) {
    let by_name: BTreeMap<&str, &Receiver> =
        receivers.iter().map(|receiver| (receiver.name.as_str(), receiver)).collect();
    let mut used: BTreeSet<&str> = route.walk().iter().map(|r| r.receiver.as_str()).collect();
    for start in used.clone() {
        let mut at = by_name.get(start);
        while let Some(next) = at.and_then(|receiver| receiver.fallback.as_deref()) {
            if !used.insert(next) {
                break;
            }
            at = by_name.get(next);
        }
    }
    for (section, receiver) in sections.iter().zip(receivers) {
        if let Some(fallback) = receiver.fallback.as_deref() {
            match by_name.get(fallback) {
                None => undefined(section, "fallback", fallback, receivers),
                Some(_) if is_cyclic(receiver, &by_name) => {
                    section.error("fallback", "fallbacks lead in a circle");
                }
                Some(target)
                    if target.integrations.is_empty() && !receiver.integrations.is_empty() =>
                {
                    section.warning(
                        "fallback",
                        "this receiver has no integration: nobody is notified",
                    );
                }
                Some(_) => {}
            }
        }
        if !receiver.name.is_empty() && !used.contains(&*receiver.name) {
            section.warning("name", "no route and no fallback uses this receiver");
        }
    }
}

fn is_cyclic(start: &Receiver, by_name: &BTreeMap<&str, &Receiver>) -> bool {
    let mut at = Some(start);
    for _ in 0..=by_name.len() {
        let next = at.and_then(|receiver| receiver.fallback.as_deref());
        match next {
            None => return false,
            Some(name) if name == start.name => return true,
            Some(name) => at = by_name.get(name).copied(),
        }
    }
    false
}

/// Reports the name of a receiver that does not exist.
pub(super) fn undefined(section: &Section<'_>, key: &str, name: &str, receivers: &[Receiver]) {
    let message = format!("no receiver has the name {:?}", quote(name));
    let diagnostic = Diagnostic::error(section.place(key), section.at(key), message);
    let names = receivers.iter().map(|receiver| receiver.name.as_str());
    section.push(match closest(name, names) {
        Some(name) => diagnostic.hint(format!("did you mean {name}?")),
        None => diagnostic,
    });
}
