//! One request, from its head to its fate: the checks in their order.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::time::{Instant, timeout};

use super::body::{self, BodyError, Bounds, Room, Share};
use super::path::{self, Addressed};
use super::peers::{self, Peers, Standing};
use super::reply::{self, Refusal};
use super::signature::{self, HeaderError, Message, SignedHeaders, Verified};
use super::timeouts::Timeouts;
use super::{Account, Deps, Live};
use crate::event::{self, Event, Incoming};
use crate::store::Recorded;

const SIGNATURE: HeaderName = HeaderName::from_static("telnyx-signature-ed25519");
const TIMESTAMP: HeaderName = HeaderName::from_static("telnyx-timestamp");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Other accounts whose keys are tried at most, when those of the path's account do not fit.
const OTHER_ACCOUNTS_MAX: usize = 64;
/// How much of a wrong path the log shows, in bytes.
const PATH_BYTES_SHOWN: usize = 100;

/// What all requests share.
pub(super) struct State {
    pub(super) deps: Deps,
    pub(super) timeouts: Timeouts,
    pub(super) peers: Mutex<Peers>,
    room: Room,
}

impl State {
    pub(super) fn new(deps: Deps, workers: usize, timeouts: Timeouts) -> Self {
        let peers = Mutex::new(Peers::new(workers, Instant::now()));
        Self { deps, timeouts, peers, room: Room::new(timeouts.room) }
    }
}

/// A request's fate when it is refused, with what the log line shall name.
struct Refused {
    refusal: Refusal,
    standing: Standing,
    detail: Option<String>,
    /// Whose key signed it, where that is not the account of the path.
    signer: Option<String>,
    /// Kind and id, once the event is known.
    event: Option<(String, String)>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, standing: Standing::Clear, detail: None, signer: None, event: None }
    }
}

/// Answers a webhook.
pub(super) async fn webhook(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let started = Instant::now();
    let mut payload = payload.into_inner();
    let live = state.deps.live.load_full();
    let client = client(&request, &live);
    let account = live.account(path::read(request.path()));
    let fate =
        Request { state: &state, live: &live, account, client }.take(&request, &mut payload).await;
    match fate {
        Ok(()) => {
            state.deps.metrics.webhook_acknowledged(started.elapsed());
            reply::kept()
        }
        Err(refused) => {
            let addressed = account.map(|account| account.name.as_str());
            let account = refused.signer.as_deref().or(addressed).unwrap_or_default();
            let (reason, now) = (refused.refusal.reason(), state.deps.clock.now());
            if refused.refusal.is_for_the_signature() {
                state.deps.troubles.unsigned(account, reason, now);
            }
            if refused.refusal == Refusal::WrongPath {
                state.deps.troubles.misdirected("", now);
            }
            state.deps.metrics.webhook_rejected(account, reason);
            log(&refused, account, client, path::read(request.path()));
            refused.refusal.respond(payload)
        }
    }
}

/// The client's address. A socket without one (it is gone already) counts as unspecified.
fn client(request: &HttpRequest, live: &Live) -> IpAddr {
    let socket =
        request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |socket| socket.ip());
    let trusted = &live.settings.trusted_proxies;
    if trusted.is_empty() {
        return socket.to_canonical();
    }
    let values: Vec<_> =
        request.headers().get_all(FORWARDED_FOR).map(header::HeaderValue::as_bytes).collect();
    peers::client(socket, values.into_iter(), trusted)
}

/// A request, to an account if its path has one.
struct Request<'a> {
    state: &'a State,
    live: &'a Live,
    account: Option<&'a Account>,
    client: IpAddr,
}

impl Request<'_> {
    async fn take(&self, request: &HttpRequest, payload: &mut Payload) -> Result<(), Refused> {
        let headers = headers(request);
        if request.method() != Method::POST || (self.account.is_none() && headers.is_err()) {
            let refusal = self.account.map_or(Refusal::UnknownAccount, |_| Refusal::Method);
            return Err(refusal.into());
        }
        let sources = &self.live.settings.allowed_sources;
        if !sources.is_empty() && !peers::is_in(self.client, sources) {
            return Err(Refusal::Source.into());
        }
        let standing = self.peers(|peers| peers.standing(self.client, Instant::now()));
        if standing == Standing::PutOff {
            return Err(Refused { standing, ..Refusal::PeerLimit.into() });
        }
        // Judged now and answered after the body's cap: a body without a chance is counted, not kept.
        let (headers, message, share) = self.read(request, payload, headers).await?;
        let (account, verified) = self.verify(&headers, message, standing)?;
        let misdirected = self.account.is_none_or(|addressed| addressed.name != account.name);
        let taken = async {
            self.check_age(account, &verified)?;
            let event = self.parse(request, account, &verified);
            drop(verified);
            self.record(account, event, share).await
        };
        match taken.await {
            Ok(()) if misdirected => self.was_misdirected(request, account),
            Err(refused) if misdirected => {
                return Err(Refused { signer: Some(account.name.clone()), ..refused });
            }
            taken => return taken,
        }
        Ok(())
    }

    fn peers<T>(&self, ask: impl FnOnce(&mut Peers) -> T) -> T {
        ask(&mut self.state.peers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn read(
        &self,
        request: &HttpRequest,
        payload: &mut Payload,
        headers: Result<(SignedHeaders, &[u8]), Refusal>,
    ) -> Result<(SignedHeaders, Message, Option<Share>), Refused> {
        let timeouts = &self.state.timeouts;
        let max = self.live.settings.max_body;
        let bounds = Bounds { max, idle: timeouts.body_idle, total: timeouts.body };
        let declared = declared_length(request);
        let room = &self.state.room;
        match headers {
            Ok((headers, timestamp)) => {
                let expected = declared.unwrap_or(0).min(body::SMALL_BODY_BYTES);
                let mut message = Message::new(timestamp, expected);
                let share = body::read(payload, declared, bounds, room, Some(&mut message)).await;
                Ok((headers, message, share.map_err(Refusal::from)?))
            }
            Err(refusal) => {
                let read = body::read(payload, declared, bounds, room, None).await;
                Err(read.err().map_or(refusal, Refusal::from).into())
            }
        }
    }

    /// Whose key signed it: an account's of the path, or else any other's, for who writes a path by hand may be wrong.
    fn verify(
        &self,
        headers: &SignedHeaders,
        message: Message,
        standing: Standing,
    ) -> Result<(&Account, Verified), Refused> {
        let mut accounts: Vec<&Account> = self.account.into_iter().collect();
        if standing == Standing::Clear {
            let others = self.live.accounts.values();
            let others = others.filter(|it| self.account.is_none_or(|own| own.name != it.name));
            accounts.extend(others.take(OTHER_ACCOUNTS_MAX));
        } else {
            let keys = accounts.iter().map(|account| account.keys.len()).sum();
            self.peers(|peers| peers.charge(message.body().len(), keys));
        }
        let keys = accounts.iter().map(|account| account.keys.as_slice());
        let found = signature::verify_any(keys, headers, message).ok();
        let found = found.and_then(|(at, verified)| Some((*accounts.get(at)?, verified)));
        found.ok_or_else(|| {
            if self.peers(|peers| peers.failed(self.client, Instant::now())) {
                tracing::warn!(
                    client.address = %self.client,
                    "many bad signatures from one address: its requests are checked with limited time",
                );
            }
            let refusal = self.account.map_or(Refusal::WrongPath, |_| Refusal::BadSignature);
            Refused { standing, ..refusal.into() }
        })
    }

    fn check_age(&self, account: &Account, verified: &Verified) -> Result<(), Refused> {
        let deps = &self.state.deps;
        let now = deps.clock.now();
        let skew_secs = verified.skew_secs(now);
        #[expect(clippy::cast_precision_loss, reason = "a gauge; exact below 2^53 seconds")]
        deps.metrics.webhook_clock_skew(&account.name, skew_secs as f64);
        let fresh = verified.is_fresh(now, account.tolerance);
        deps.clock.set_doubted(!fresh);
        if fresh {
            return Ok(());
        }
        deps.troubles.skewed(&account.name, skew_secs, now);
        let detail = format!("our clock minus the sender's is {skew_secs} s");
        Err(Refused { detail: Some(detail), ..Refusal::Clock.into() })
    }

    /// Says that a webhook was kept for the account that signed it, though its path is another's or nobody's.
    fn was_misdirected(&self, request: &HttpRequest, account: &Account) {
        let deps = &self.state.deps;
        deps.metrics.webhook_misdirected(&account.name);
        deps.troubles.misdirected(&account.name, deps.clock.now());
        let path = shown(request.path());
        tracing::warn!(
            account = account.name,
            path,
            "a webhook on a wrong path, stored for the account whose key signed it",
        );
    }

    fn parse(&self, request: &HttpRequest, account: &Account, verified: &Verified) -> Event {
        let content_type =
            request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let Account { name, currency, .. } = account;
        let currencies = self.state.deps.store.currencies();
        event::parse(&Incoming {
            account: name,
            default_currency: currencies.or_read(currency.as_deref(), name).as_deref(),
            content_type,
            body: verified.body(),
            received_at: self.state.deps.clock.now(),
            policy: self.live.settings.payload,
        })
    }

    /// The only await behind the parse. Once polled, the store carries it out whoever goes away; `share` stands
    /// for the memory until it has.
    async fn record(
        &self,
        account: &Account,
        event: Event,
        share: Option<Share>,
    ) -> Result<(), Refused> {
        let deps = &self.state.deps;
        let mut fate = Fate::new(&account.name, &event);
        let recorded = timeout(self.state.timeouts.record, deps.store.record(event)).await;
        drop(share);
        fate.known = true;
        let duplicate = match recorded {
            Ok(Ok(recorded)) => recorded == Recorded::Duplicate,
            Ok(Err(error)) => return Err(fate.lost(Refusal::Store, Some(error.to_string()))),
            Err(_elapsed) => return Err(fate.lost(Refusal::StoreTimeout, None)),
        };
        let (account, kind) = (fate.account, fate.kind.as_str());
        deps.metrics.webhook_received(account, kind);
        if duplicate {
            deps.metrics.event_duplicate(account);
        }
        tracing::info!(account, kind, event.id = fate.id, duplicate, "webhook stored");
        Ok(())
    }
}

/// Says in the log what became of an event whose client went away while it was being recorded.
struct Fate<'a> {
    account: &'a str,
    kind: String,
    id: String,
    known: bool,
}

impl<'a> Fate<'a> {
    fn new(account: &'a str, event: &Event) -> Self {
        Self { account, kind: event.kind.clone(), id: event.id.clone(), known: false }
    }

    fn lost(&self, refusal: Refusal, detail: Option<String>) -> Refused {
        let event = Some((self.kind.clone(), self.id.clone()));
        Refused { detail, event, ..refusal.into() }
    }
}

impl Drop for Fate<'_> {
    fn drop(&mut self) {
        if !self.known {
            tracing::info!(
                account = self.account,
                kind = self.kind,
                event.id = self.id,
                "the client went away; the webhook is stored all the same",
            );
        }
    }
}

/// Both headers, each once and well formed, with the timestamp's text as it was sent.
fn headers(request: &HttpRequest) -> Result<(SignedHeaders, &[u8]), Refusal> {
    let timestamp = single(request, &TIMESTAMP)?;
    let signature = single(request, &SIGNATURE)?;
    let (Some(timestamp), Some(signature)) = (timestamp, signature) else {
        return Err(Refusal::MissingHeader);
    };
    match SignedHeaders::parse(timestamp, signature) {
        Ok(headers) => Ok((headers, timestamp)),
        Err(HeaderError::Timestamp) => Err(Refusal::BadTimestamp),
        Err(HeaderError::Signature) => Err(Refusal::BadSignatureEncoding),
    }
}

/// A header's value when it came once; an empty one counts as missing.
fn single<'a>(request: &'a HttpRequest, name: &HeaderName) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = request.headers().get_all(name);
    let value = values.next().map(header::HeaderValue::as_bytes);
    if values.next().is_some() {
        return Err(Refusal::RepeatedHeader);
    }
    Ok(value.filter(|value| !value.is_empty()))
}

/// The length that the head promises; a number too large to count is as good as the largest.
fn declared_length(request: &HttpRequest) -> Option<usize> {
    let value = request.headers().get(header::CONTENT_LENGTH)?;
    Some(value.to_str().ok()?.trim().parse().unwrap_or(usize::MAX))
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::BodyTooLarge,
            BodyError::TimedOut => Self::BodyTimeout,
            BodyError::Broken => Self::BadBody,
            BodyError::NoRoom => Self::Busy,
        }
    }
}

/// A genuine sender's path, fit for one line of the log.
fn shown(path: &str) -> String {
    let cut = path.floor_char_boundary(PATH_BYTES_SHOWN);
    path.get(..cut).unwrap_or_default().escape_debug().to_string()
}

/// One line for the fate. Of what any stranger can cause at will, only the first bad signatures of an address
/// are warnings.
fn log(refused: &Refused, account: &str, client: IpAddr, addressed: Addressed<'_>) {
    let (reason, detail) = (refused.refusal.reason(), refused.detail.as_deref());
    let (kind, id) = refused.event.as_ref().map(|(kind, id)| (kind.as_str(), id.as_str())).unzip();
    macro_rules! line {
        ($level:ident, $text:literal) => {{
            tracing::$level!(
                account, reason, kind, event.id = id, client.address = %client, detail, $text
            );
        }};
    }
    match refused.refusal {
        Refusal::Store | Refusal::StoreTimeout => line!(error, "genuine webhook not kept"),
        Refusal::Clock => line!(warn, "genuine webhook put off: the clocks differ"),
        Refusal::Busy => line!(warn, "webhook put off: too many large bodies at once"),
        Refusal::BadSignature if refused.standing == Standing::Clear => {
            line!(warn, "webhook refused");
        }
        Refusal::WrongPath if refused.standing == Standing::Clear => {
            tracing::warn!(
                reason,
                no_account = addressed.plausible_name(),
                client.address = %client,
                "a webhook with Telnyx's headers on a path that no account has, and by no key of any account",
            );
        }
        Refusal::Source | Refusal::BodyTooLarge | Refusal::BodyTimeout | Refusal::BadBody => {
            line!(info, "webhook refused");
        }
        _ => line!(debug, "webhook refused"),
    }
}
