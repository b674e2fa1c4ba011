//! The `accounts` section.

use std::collections::HashMap;
use std::ops::Deref;

use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::diagnostics::quote;
use super::matchers::{NO_LABEL_NAME, is_free_label};
use super::section::Section;
use super::server::http_url;
use super::words::{AccountWords, ConfigWords};
use super::{Account, Context, Server, files};
use crate::api::AccountInForce;
use crate::diagnostic::{At, Diagnostic, Position};
use crate::intake::signature::PublicKey;
use crate::rules::Labels;
use crate::telnyx;

/// Accounts at most.
const ACCOUNTS_MAX: usize = 1000;
/// Public keys of one account at most; a rotation needs two.
const KEYS_MAX: usize = 8;
/// Longest name of an account, a receiver, a route or an integration, in characters.
pub(super) const NAME_CHARS_MAX: usize = 64;
/// Longest value of a fixed label, in bytes.
const LABEL_BYTES_MAX: usize = 1024;
/// Keys of an account that say nothing without an API key.
const NEED_API_KEY: [&str; 3] = ["api_url", "balance", "backfill"];
/// What is said of an API key that no header can carry.
const NO_API_KEY: &str =
    "no API key: expected one word of ASCII letters, digits and signs, without white space in it";
/// Labels that tollbell sets itself.
const RESERVED_LABELS: [&str; 2] = ["alertname", "account"];

/// Reads `accounts`.
pub(super) fn read(
    root: &ConfigWords<'_>,
    context: Context<'_>,
    server: Option<&Server>,
) -> Vec<Account> {
    let sections = root.accounts();
    if root.is_empty("accounts") {
        root.error("accounts", "no account: nobody could sign a webhook");
    }
    if sections.len() > ACCOUNTS_MAX {
        root.error("accounts", format!("more than {ACCOUNTS_MAX} accounts"));
    }
    unique(&sections, AccountWords::name);
    sections.iter().filter_map(|section| account(section, context, server)).collect()
}

fn account(
    section: &AccountWords<'_>,
    context: Context<'_>,
    server: Option<&Server>,
) -> Option<Account> {
    let name = section.name().map(|name| name.value);
    if name.as_deref().is_some_and(|name| !is_account_name(name)) {
        section.error(
            "name",
            format!("expected 1 to {NAME_CHARS_MAX} of a-z, 0-9, _ and -: it stands in a URL"),
        );
    }
    let currency = section.currency().map(|code| code.value);
    if currency.as_deref().is_some_and(|code| !is_currency(code)) {
        section.error("currency", "expected an ISO 4217 code such as USD");
    }
    let api = api(section, context, server);
    Some(Account {
        api: api.zip(name.clone()).map(|(api, account)| telnyx::ApiSettings {
            account,
            currency: currency.clone(),
            ..api
        }),
        public_keys: public_keys(section, context),
        tolerance: section.tolerance(),
        labels: labels(section),
        currency,
        name: name?,
    })
}

/// The Telnyx side, where there is a key to it; name and currency are filled in by [`account`].
fn api(
    section: &AccountWords<'_>,
    context: Context<'_>,
    server: Option<&Server>,
) -> Option<telnyx::ApiSettings> {
    let text = section.api_url();
    let url = api_url(&text.value).map_err(|message| section.error("api_url", message)).ok();
    if let Some(url) = &url
        && url.scheme() == "http"
        && !url.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127."))
    {
        section.warning("api_url", "the API key would travel in clear: use https");
    }
    let balance = section.balance();
    let poll_interval = balance.poll_interval();
    let backfill = section.backfill();
    let (enabled, max_age) = (backfill.enabled(), backfill.max_age());
    let Some(key) =
        files::secret(section, "api_key", [section.api_key(), section.api_key_file()], context)
    else {
        let useless = NEED_API_KEY.into_iter().find(|name| section.has(name));
        if let Some(name) = useless.filter(|_| !section.has_any(&["api_key", "api_key_file"])) {
            section.warning(name, "has no effect without api_key or api_key_file");
        }
        return None;
    };
    if !key.text.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        section.error(&key.key, NO_API_KEY);
    }
    let public_url = server.and_then(|server| server.public_url.clone());
    if enabled && public_url.is_none() {
        let message = "webhooks that were missed cannot be looked for without server.public_url";
        let diagnostic =
            Diagnostic::warning(section.place(&key.key), section.at(&key.key), message);
        section.push(diagnostic.hint("backfill: {enabled: false}, if that is meant"));
    }
    Some(telnyx::ApiSettings {
        account: String::new(),
        currency: None,
        key: key.secret,
        proxy: context.proxy.cloned(),
        url: url?.as_str().trim_end_matches('/').to_owned(),
        poll_interval,
        backfill: enabled.then_some(max_age),
        public_url,
    })
}

/// Reads the address that paths are put behind. The error never shows it.
fn api_url(text: &str) -> Result<Url, &'static str> {
    let url = http_url(text)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL must hold no user and no password: the API key is all that is sent");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the URL must end with its path: no ? and no #");
    }
    Ok(url)
}

fn public_keys(section: &AccountWords<'_>, context: Context<'_>) -> Vec<PublicKey> {
    let mut texts: Vec<(At<String>, String)> = section
        .public_keys()
        .into_iter()
        .enumerate()
        .map(|(n, text)| (text, format!("{}[{n}]", section.at("public_keys"))))
        .collect();
    if let Some(path) = section.public_keys_file() {
        texts.extend(keys_of_file(section, &path, context));
    }
    if section.is_empty("public_keys") && texts.is_empty() {
        section.error("public_keys", "no public key: nobody could sign a webhook");
    } else if !section.has_any(&["public_keys", "public_keys_file"]) {
        section.push(
            Diagnostic::error(section.position.clone(), &*section.path, "no public key")
                .hint("public_keys: [\"${TELNYX_PUBLIC_KEY}\"], from Mission Control"),
        );
    }
    if texts.len() > KEYS_MAX {
        section.error("public_keys", format!("more than {KEYS_MAX} keys"));
    }
    let mut keys = Vec::new();
    for (text, path) in texts {
        match PublicKey::parse(&text.value) {
            Ok(key) if keys.contains(&key) => {
                section.push(Diagnostic::warning(text.position, path, "this key is given twice"));
            }
            Ok(key) => keys.push(key),
            Err(error) => {
                section.push(Diagnostic::error(text.position, path, error.to_string()));
            }
        }
    }
    keys
}

/// One key in each line; all of them stand at the place of the file's name.
fn keys_of_file(
    section: &Section<'_>,
    path: &At<String>,
    context: Context<'_>,
) -> Vec<(At<String>, String)> {
    let key = "public_keys_file";
    let content = match context.base.read(&context.base.join(&path.value)) {
        Ok(content) if content.trim().is_empty() => {
            section.error(key, "the file holds no public key");
            return Vec::new();
        }
        Ok(content) => content,
        Err(_missing) if context.trial => return Vec::new(),
        Err(message) => {
            section.error(key, message);
            return Vec::new();
        }
    };
    let lines = content.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| (At::new(line.to_owned(), path.position.clone()), section.at(key))).collect()
}

/// Reads a map of fixed labels.
fn labels(section: &AccountWords<'_>) -> Labels {
    let mut labels = Labels::new();
    for (label, value) in section.labels() {
        let path = format!("{}.{}", section.at("labels"), quote(&label.value));
        if RESERVED_LABELS.contains(&&*label.value) {
            section.push(Diagnostic::error(
                label.position,
                path,
                "tollbell sets this label itself",
            ));
        } else if !is_free_label(&label.value) {
            section.push(Diagnostic::error(label.position, path, NO_LABEL_NAME));
        } else if value.value.len() > LABEL_BYTES_MAX {
            let message = format!("longer than {LABEL_BYTES_MAX} bytes");
            section.push(Diagnostic::error(value.position, path, message));
        } else {
            labels.insert(label.value, value.value);
        }
    }
    labels
}

/// Reports names that occur more than once among sections.
pub(super) fn unique<'a, W>(sections: &[W], name: impl Fn(&W) -> Option<At<String>>)
where
    W: Deref<Target = Section<'a>>,
{
    let mut first: HashMap<String, Position> = HashMap::new();
    for section in sections {
        let Some(text) = name(section) else { continue };
        if let Some(first) = first.get(&text.value) {
            let message = format!("name given twice, first in line {}", first.line);
            section.error("name", message);
        } else {
            first.insert(text.value, text.position);
        }
    }
}

fn is_account_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|c| c.is_ascii_uppercase())
}

impl Account {
    /// As far as people ask about it.
    pub fn in_force(&self) -> AccountInForce {
        AccountInForce {
            name: self.name.clone(),
            public_keys: self.public_keys.len(),
            poll_interval: self.api.as_ref().map(|api| api.poll_interval),
        }
    }
}
