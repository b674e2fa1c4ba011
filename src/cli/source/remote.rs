//! The API of a running tollbell, as a client.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::answer::{fit, good, read, send};
use super::refused::Refused;
use super::wire::{
    AccountBalance, DeliveryDetail, List, Made, MatcherOfApi, Page, ReceiverOfApi, Resumed,
    SilenceOfApi,
};
use crate::alerts::{Silence, SilenceDraft};
use crate::api::alerts::{ALERTS_MAX, AlertList, AlertStory, LINES_MAX};
use crate::api::checks::Checks;
use crate::api::explain::Report;
use crate::api::spend::{Asked, Spending};
use crate::notify::TestAnswer;
use crate::store::{
    Attempt, Delivery, DeliveryFilter, EventFilter, EventRecord, EventSummary, Reading,
    ReceiverPause, Retried, Retry,
};
use crate::tls;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long the answer to a test notification may take: its targets are asked one after another.
const TEST_TIMEOUT: Duration = Duration::from_mins(10);
/// Items of one page.
const PAGE: usize = 1000;
/// Readings of a balance at most: more than 29 days have at one a minute, several times.
const READINGS_MAX: usize = 200_000;

/// The type of the API's own errors (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// A client of one tollbell.
pub(in crate::cli) struct Remote {
    client: Client,
    base: Url,
    token: Option<SecretString>,
}

impl Remote {
    /// For the private listener at `url`.
    pub(super) fn new(
        url: &str,
        token_file: Option<&Path>,
        ca_file: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let base = Url::parse(url).ok().filter(|base| matches!(base.scheme(), "http" | "https"));
        // A URL may hold a password: of one that cannot be used only as much is shown as holds none.
        let shown = url.rsplit('@').next().unwrap_or_default();
        let Some(base) = base else { bail!("--url {shown}: expected http://… or https://…") };
        if !base.username().is_empty() || base.password().is_some() {
            bail!("--url: a name and a password are of no use: give a token by --token-file");
        }
        let token = token_file.map(token).transpose()?;
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .tls_backend_preconfigured(tls::client_config(ca_file)?)
            .build()?;
        Ok(Self { client, base, token })
    }

    pub(super) async fn deliveries(&self, filter: DeliveryFilter) -> anyhow::Result<Vec<Delivery>> {
        let query = [
            ("state", filter.state.map(|state| state.as_str().to_owned())),
            ("receiver", filter.receiver),
        ];
        self.pages(&["api", "v1", "deliveries"], &query, filter.before, filter.limit).await
    }

    pub(super) async fn delivery(
        &self,
        id: &str,
    ) -> anyhow::Result<Option<(Delivery, Vec<Attempt>)>> {
        let found: Option<DeliveryDetail> =
            self.find(&["api", "v1", "deliveries", id], &[]).await?;
        Ok(found.map(|found| (found.delivery, found.attempts)))
    }

    pub(super) async fn retry(&self, which: Retry) -> anyhow::Result<Retried> {
        let (path, receiver) = match &which {
            Retry::One(id) => (vec!["api", "v1", "deliveries", id, "retry"], None),
            Retry::Receiver(receiver) => {
                (vec!["api", "v1", "deliveries", "retry"], Some(receiver.clone()))
            }
            Retry::All => (vec!["api", "v1", "deliveries", "retry"], None),
        };
        let request = self.request(Method::POST, &path, &[("receiver", receiver)])?;
        read(good(send(request).await?).await?).await
    }

    pub(super) async fn events(&self, filter: EventFilter) -> anyhow::Result<Vec<EventSummary>> {
        let query = [
            ("kind", filter.kind),
            ("without_kind", filter.without_kind),
            ("account", filter.account),
            ("state", filter.state.map(|state| state.as_str().to_owned())),
        ];
        let before = filter.before.map(|seq| seq.to_string());
        self.pages(&["api", "v1", "events"], &query, before, filter.limit).await
    }

    pub(super) async fn event(
        &self,
        id: &str,
        account: Option<&str>,
    ) -> anyhow::Result<Option<EventRecord>> {
        self.find(&["api", "v1", "events", id], &[("account", account.map(str::to_owned))]).await
    }

    /// What the rules make of an event that is kept; `None` when there is none.
    pub(in crate::cli) async fn explain(
        &self,
        id: &str,
        account: Option<&str>,
        rule: Option<&str>,
        no_state: bool,
    ) -> anyhow::Result<Option<Report>> {
        let query = [
            ("account", account.map(str::to_owned)),
            ("rule", rule.map(str::to_owned)),
            ("no_state", no_state.then(|| "true".to_owned())),
        ];
        self.find(&["api", "v1", "events", id, "explain"], &query).await
    }

    /// Whether all is well.
    pub(in crate::cli) async fn checks(&self) -> anyhow::Result<Checks> {
        self.get(&["api", "v1", "checks"], &[]).await
    }

    /// Sends a test notification to every target of a receiver.
    pub(in crate::cli) async fn test(
        &self,
        receiver: &str,
        ends: bool,
    ) -> Result<Vec<TestAnswer>, Refused> {
        let path = ["api", "v1", "receivers", receiver, "test"];
        let request = self.request(Method::POST, &path, &[("resolve", Some(ends.to_string()))])?;
        // Each target has the time that its integration gives it.
        let request = request.timeout(TEST_TIMEOUT);
        let response = fit(send(request).await?, &[StatusCode::NOT_FOUND]).await?;
        Ok(read::<List<_>>(response).await?.items)
    }

    pub(super) async fn pause(
        &self,
        receiver: &str,
        until: Timestamp,
        comment: &str,
    ) -> Result<ReceiverPause, Refused> {
        let path = ["api", "v1", "receivers", receiver, "pause"];
        let query = [("until", Some(until.to_string())), ("comment", Some(comment.to_owned()))];
        let request = self.request(Method::POST, &path, &query)?;
        let unfit = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND];
        Ok(read(fit(send(request).await?, &unfit).await?).await?)
    }

    pub(super) async fn resume(&self, receiver: &str) -> Result<bool, Refused> {
        let path = ["api", "v1", "receivers", receiver, "resume"];
        let request = self.request(Method::POST, &path, &[])?;
        let unfit = [StatusCode::NOT_FOUND];
        let resumed: Resumed = read(fit(send(request).await?, &unfit).await?).await?;
        Ok(resumed.was_paused)
    }

    pub(super) async fn receiver_pauses(&self) -> anyhow::Result<Vec<ReceiverPause>> {
        let list: List<ReceiverOfApi> = self.get(&["api", "v1", "receivers"], &[]).await?;
        let mut pauses: Vec<_> = list.items.into_iter().filter_map(|one| one.paused).collect();
        pauses.sort_by(|one, other| one.receiver.cmp(&other.receiver));
        Ok(pauses)
    }

    pub(super) async fn alerts(&self, all: bool, limit: usize) -> anyhow::Result<AlertList> {
        let limit = within(limit, ALERTS_MAX)?;
        let query = [("all", all.then(|| "true".to_owned())), ("limit", Some(limit.to_string()))];
        self.get(&["api", "v1", "alerts"], &query).await
    }

    pub(super) async fn alert(
        &self,
        fingerprint: &str,
        lines: usize,
    ) -> anyhow::Result<AlertStory> {
        let query = [("lines", Some(within(lines, LINES_MAX)?.to_string()))];
        self.get(&["api", "v1", "alerts", fingerprint], &query).await
    }

    pub(super) async fn last_readings(&self) -> anyhow::Result<Vec<Reading>> {
        let list: List<AccountBalance> = self.get(&["api", "v1", "balance"], &[]).await?;
        Ok(list.items.into_iter().filter_map(|one| one.last).collect())
    }

    /// The last reading in each `step` of time since then, oldest first, as the store gives them.
    pub(super) async fn balances(
        &self,
        account: &str,
        since: Timestamp,
        step: Duration,
    ) -> anyhow::Result<Vec<Reading>> {
        let path = ["api", "v1", "balance", account, "readings"];
        let query = [("since", Some(since.to_string()))];
        let all: Vec<Reading> = self.pages(&path, &query, None, READINGS_MAX).await?;
        let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX).max(1);
        let last = all.into_iter().rev().map(|one| (one.at.as_microsecond() / step, one));
        Ok(last.collect::<BTreeMap<_, _>>().into_values().collect())
    }

    /// What was spent.
    pub(in crate::cli) async fn spend(&self, asked: &Asked) -> Result<Spending, Refused> {
        let Asked { by, from, to, account, zone, limit, now: _ } = asked;
        let query = [
            ("by", Some(by.as_str().to_owned())),
            ("since", Some(from.to_string())),
            ("until", Some(to.to_string())),
            ("account", account.clone()),
            ("time_zone", zone.iana_name().map(str::to_owned)),
            ("limit", Some(limit.to_string())),
        ];
        let request = self.request(Method::GET, &["api", "v1", "spend"], &query)?;
        let unfit = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND];
        Ok(read(fit(send(request).await?, &unfit).await?).await?)
    }

    pub(super) async fn silences(&self) -> anyhow::Result<Vec<Silence>> {
        let found: Vec<SilenceOfApi> = self.get(&["api", "v2", "silences"], &[]).await?;
        found.into_iter().map(Silence::try_from).collect()
    }

    /// Makes a silence, or changes the one with this id; gives the id of the one that is in force then.
    pub(super) async fn put_silence(
        &self,
        id: Option<&str>,
        draft: SilenceDraft,
    ) -> Result<String, Refused> {
        let body = json!({
            "id": id,
            "matchers": draft.matchers.iter().map(MatcherOfApi::of).collect::<Vec<_>>(),
            "startsAt": draft.starts_at,
            "endsAt": draft.ends_at,
            "createdBy": draft.created_by,
            "comment": draft.comment,
        });
        let request = self.request(Method::POST, &["api", "v2", "silences"], &[])?;
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        let unfit = [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY];
        let made: Made = read(fit(send(request).await?, &unfit).await?).await?;
        Ok(made.silence_id)
    }

    pub(super) async fn expire_silence(&self, id: &str) -> anyhow::Result<()> {
        let request = self.request(Method::DELETE, &["api", "v2", "silence", id], &[])?;
        good(send(request).await?).await?;
        Ok(())
    }

    /// Items of a list behind `before`, page after page, `limit` at most.
    async fn pages<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
        mut before: Option<String>,
        limit: usize,
    ) -> anyhow::Result<Vec<T>> {
        let mut items: Vec<T> = Vec::new();
        while items.len() < limit {
            let count = (limit - items.len()).min(PAGE);
            let mut query = query.to_vec();
            query.extend([("limit", Some(count.to_string())), ("before", before)]);
            let page: Page<T> = self.get(path, &query).await?;
            items.extend(page.items);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        Ok(items)
    }

    /// What is at a path.
    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> anyhow::Result<T> {
        read(good(send(self.request(Method::GET, path, query)?).await?).await?).await
    }

    /// One thing; `None` when there is none.
    async fn find<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> anyhow::Result<Option<T>> {
        let response = send(self.request(Method::GET, path, query)?).await?;
        // Whoever else answers 404 is no tollbell, and says nothing of the thing.
        let is_ours = response.headers().get(CONTENT_TYPE).is_some_and(|it| it == PROBLEM);
        if response.status() == StatusCode::NOT_FOUND && is_ours {
            return Ok(None);
        }
        Ok(Some(read(good(response).await?).await?))
    }

    /// A request for a path by its parts, which may be names that somebody gave.
    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> anyhow::Result<RequestBuilder> {
        // What a URL takes as a step within the path is the name of nothing.
        if let Some(part) = path.iter().find(|part| ["", ".", ".."].contains(*part)) {
            bail!("{part:?} is no id or name");
        }
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut parts) => parts.pop_if_empty().extend(path),
            Err(()) => bail!("--url has no path"),
        };
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let request = self.client.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        })
    }
}

/// A limit, where that is one that the API takes.
fn within(limit: usize, max: usize) -> anyhow::Result<usize> {
    if (1..=max).contains(&limit) {
        return Ok(limit);
    }
    bail!("with --url a list has 1 to {max} entries, not {limit}")
}

/// The first token of a file; several stand one in each line.
fn token(path: &Path) -> anyhow::Result<SecretString> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("--token-file {}", path.display()))?;
    match text.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(token) => Ok(token.into()),
        None => bail!("--token-file {}: there is no token in it", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        let remote = Remote::new("https://bell.example.com/under", None, None).expect("a URL");
        let request = remote.request(
            Method::GET,
            &["api", "v1", "events", "../a?b#c/ä"],
            &[("account", Some("x&y".to_owned())), ("limit", None)],
        );
        let url = request.expect("a request").build().expect("a request").url().to_string();
        assert_eq!(
            url,
            "https://bell.example.com/under/api/v1/events/..%2Fa%3Fb%23c%2F%C3%A4?account=x%26y"
        );
    }

    #[test]
    fn a_step_within_the_path_is_no_name() {
        let remote = Remote::new("https://bell.example.com", None, None).expect("a URL");
        for part in ["", ".", ".."] {
            let refused =
                remote.request(Method::POST, &["api", "v1", "deliveries", part, "retry"], &[]);
            let refused = refused.expect_err("is refused").to_string();
            assert!(refused.ends_with("is no id or name"), "{refused}");
        }
    }

    #[test]
    fn what_is_no_address_or_no_token_is_said() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (url, token, said) in [
            ("bell.example.com:9464", None, "expected http://… or https://…"),
            ("nowhere", None, "--url nowhere: expected http://"),
            ("ftp://me:secret@there", None, "--url there: expected http://"),
            ("http://me:secret@there", None, "give a token by --token-file"),
            ("http://127.0.0.1:1", Some(file.path()), "there is no token in it"),
            ("http://127.0.0.1:1", Some(Path::new("/nowhere")), "--token-file /nowhere"),
        ] {
            let refused = Remote::new(url, token, None).err().expect("is refused");
            assert!(format!("{refused:#}").contains(said), "{refused:#}");
            assert!(!format!("{refused:#}").contains("secret"), "{refused:#}");
        }
    }
}
