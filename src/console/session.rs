//! Who uses the console: by a cookie that was given for a token, by a bearer token, or, where no token is configured and the
//! listener is on a loopback address, whoever is on this machine.
//!
//! A cookie holds no token. It says when it ends, with a random number, under a MAC whose key is made of the token it was
//! given for: it holds at any replica and over restarts, and no longer than the token does.

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use super::cookies::cookie;
use super::deps::Deps;
use crate::api::{Principal, Refusal, Scope, Token};
use crate::clock;

/// The cookie of a session.
pub(super) const COOKIE: &str = "tollbell_session";
/// How long one is signed in.
pub(super) const LASTS: Duration = Duration::from_hours(12);

/// Who uses the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) principal: Principal,
    /// They signed in here, so they can sign out.
    pub(super) by_cookie: bool,
    /// What their forms' tokens are made of.
    secret: Vec<u8>,
}

impl Known {
    pub(super) fn may_write(&self) -> bool {
        self.principal.scope >= Scope::Write
    }
}

/// Who makes a request, as far as it is known.
pub(super) fn known(deps: &Deps, request: &HttpRequest, now: Timestamp) -> Option<Known> {
    by_cookie(deps, request, now).or_else(|| nearby(deps, request))
}

fn by_cookie(deps: &Deps, request: &HttpRequest, now: Timestamp) -> Option<Known> {
    let value = cookie(request, COOKIE)?;
    let (body, mac) = value.rsplit_once('.')?;
    let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
    let (until, _nonce) = body.split_once('.')?;
    let until = Timestamp::from_second(until.parse().ok()?).ok()?;
    let made_of = |token: &Token| mac_of(&token.key(), body).verify_slice(&mac).is_ok();
    let token = deps.access.tokens().into_iter().find(made_of)?;
    (now < until).then(|| Known {
        principal: Principal {
            name: token.name.to_owned(),
            scope: token.scope,
            from: request.peer_addr().map(|peer| peer.ip()),
        },
        by_cookie: true,
        secret: [&token.key()[..], body.as_bytes()].concat(),
    })
}

/// Whoever is on this machine, where that is enough.
fn nearby(deps: &Deps, request: &HttpRequest) -> Option<Known> {
    let from = request.peer_addr().map(|peer| peer.ip());
    // A bearer token is for programs; it opens the console all the same.
    let principal = deps.access.principal(request.headers(), request.method(), from).ok()?;
    Some(Known { principal, by_cookie: false, secret: page_key(deps) })
}

/// Why somebody without a token is not let in.
pub(super) fn why_not(deps: &Deps, request: &HttpRequest) -> String {
    let from = request.peer_addr().map(|peer| peer.ip());
    match deps.access.principal(request.headers(), request.method(), from) {
        Err(refusal) => refusal.to_string(),
        Ok(_) => Refusal::NoToken.to_string(),
    }
}

/// The cookie's value for someone who has shown a token.
pub(super) fn begin(deps: &Deps, text: &str, now: Timestamp) -> Option<String> {
    let token = deps.access.token(text)?;
    let until = clock::add(now, LASTS).as_second();
    let body = format!("{until}.{}", uuid::Uuid::new_v4().simple());
    let mac = URL_SAFE_NO_PAD.encode(mac_of(&token.key(), &body).finalize().into_bytes());
    Some(format!("{body}.{mac}"))
}

/// The token that a form must send back: only a page of ours can know it.
pub(super) fn csrf(deps: &Deps, known: Option<&Known>) -> String {
    let secret = known.map_or_else(|| page_key(deps), |known| known.secret.clone());
    URL_SAFE_NO_PAD.encode(mac_of(&secret, "form").finalize().into_bytes())
}

/// Whether a form sent the token that its page had.
pub(super) fn is_csrf(deps: &Deps, known: Option<&Known>, sent: &str) -> bool {
    let secret = known.map_or_else(|| page_key(deps), |known| known.secret.clone());
    let sent = URL_SAFE_NO_PAD.decode(sent).unwrap_or_default();
    mac_of(&secret, "form").verify_slice(&sent).is_ok()
}

fn mac_of(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(b"tollbell console\n");
    mac.update(text.as_bytes());
    mac
}

/// The key of forms of whoever has no session: made of the tokens, so that any replica takes what another gave, or else
/// random for this process.
fn page_key(deps: &Deps) -> Vec<u8> {
    static RANDOM: OnceLock<Vec<u8>> = OnceLock::new();
    let random =
        || [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(|half| *half.as_bytes()).concat();
    let tokens = deps.access.tokens();
    if tokens.is_empty() {
        return RANDOM.get_or_init(random).clone();
    }
    tokens.iter().flat_map(Token::key).collect()
}
