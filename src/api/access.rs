//! Who asks, and what they may ask for.
//!
//! A bearer token says who. Where no token is configured and the listener is a loopback address, whoever reaches it may do
//! all, as far as it is no page of another site; elsewhere nobody may do anything until a token is configured.
//!
//! Wrong tokens are not counted, unlike bad signatures at the public listener: to refuse one costs a digest and a few
//! comparisons, less than any other answer, and nothing is logged; a random token of the least length that `server.auth` takes is
//! found by no number of guesses; and an address that is shut out would shut out whoever shares it behind a proxy.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use arc_swap::ArcSwap;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::origin;
use super::refusal::{Refusal, Shape};

/// What a principal may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look at everything.
    Read,
    /// Change things, too.
    Write,
}

impl Scope {
    /// What a request of this method needs.
    pub fn of(method: &Method) -> Self {
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
        if reads { Self::Read } else { Self::Write }
    }
}

/// One token. Only its digest is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose it is, for the audit log: the key that configures it.
    pub name: &'static str,
    /// What it allows.
    pub scope: Scope,
    digest: [u8; 32],
}

impl Token {
    /// A key that is made of the token, for whoever proves to have shown it.
    pub fn key(&self) -> [u8; 32] {
        Sha256::new_with_prefix(b"tollbell key\n").chain_update(self.digest).finalize().into()
    }

    /// A token by its text.
    pub fn new(name: &'static str, scope: Scope, text: &SecretString) -> Self {
        Self { name, scope, digest: Sha256::digest(text.expose_secret().as_bytes()).into() }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// The tokens of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens(pub Vec<Token>);

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// A name for the audit log: `token`, `read_token` or `local`.
    pub name: String,
    /// What they may do.
    pub scope: Scope,
    /// From which address.
    pub from: Option<IpAddr>,
}

/// Decides who may do what on the private listener. One for all workers; a reload swaps its tokens.
#[derive(Debug)]
pub struct Access {
    configured: ArcSwap<Configured>,
    /// Whether the listener is bound to a loopback address.
    loopback: bool,
}

/// What a reload swaps.
#[derive(Debug)]
struct Configured {
    tokens: Tokens,
    own_host: Option<String>,
}

impl Access {
    /// For a listener: whether it is bound to a loopback address; then as [`Access::take`].
    pub fn new(loopback: bool, tokens: Tokens, external_url: Option<&str>) -> Self {
        let access = Self {
            configured: ArcSwap::from_pointee(Configured {
                tokens: Tokens::default(),
                own_host: None,
            }),
            loopback,
        };
        access.take(tokens, external_url);
        access
    }

    /// Takes over what a configuration says: its tokens, and `server.external_url`, under whose host people reach the
    /// listener.
    pub fn take(&self, tokens: Tokens, external_url: Option<&str>) {
        let own_host = external_url.and_then(origin::host_of);
        self.configured.store(Arc::new(Configured { tokens, own_host }));
    }

    /// Whether a request comes from no page of another site; for requests that no token vouches for.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let configured = self.configured.load();
        origin::check(headers, configured.own_host.as_deref()).map_err(Refusal::Origin)
    }

    /// Whether tokens are configured: without one that fits nobody may ask for anything.
    pub fn has_tokens(&self) -> bool {
        !self.configured.load().tokens.0.is_empty()
    }

    /// The tokens that are configured.
    pub fn tokens(&self) -> Vec<Token> {
        self.configured.load().tokens.0.clone()
    }

    /// What a token allows. Takes the same time for any text of the same length: all tokens are compared, by digest.
    pub fn token(&self, text: &str) -> Option<Token> {
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let configured = self.configured.load();
        let fits = |token: &&Token| bool::from(token.digest.ct_eq(&digest));
        // All of them, and of those that fit the one that allows most.
        configured.tokens.0.iter().filter(fits).max_by_key(|token| token.scope).cloned()
    }

    /// Who asks by these headers, from this address; the console asks for a cookie's principal itself.
    pub fn principal(
        &self,
        headers: &HeaderMap,
        method: &Method,
        from: Option<IpAddr>,
    ) -> Result<Principal, Refusal> {
        if let Some(text) = bearer(headers) {
            // No page of another site can send this header: nobody here answers a preflight.
            let token = self.token(text).ok_or(Refusal::WrongToken)?;
            return Principal { name: token.name.to_owned(), scope: token.scope, from }.may(method);
        }
        if self.has_tokens() {
            return Err(Refusal::NoToken);
        }
        if !self.loopback {
            return Err(Refusal::NoTokenConfigured);
        }
        // Reading, too: a page whose name leads here could carry away what it reads.
        self.check_origin(headers)?;
        Ok(Principal { from, ..Principal::local() })
    }
}

impl Principal {
    /// Whoever is on this machine, where no token is needed.
    pub fn local() -> Self {
        Self { name: "local".to_owned(), scope: Scope::Write, from: None }
    }

    /// It, if it may ask by this method.
    pub fn may(self, method: &Method) -> Result<Self, Refusal> {
        if self.scope >= Scope::of(method) { Ok(self) } else { Err(Refusal::ReadOnly) }
    }
}

/// The token of a request that has one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Lets a request pass once it is known who asks and that they may; for [`actix_web::middleware::from_fn`].
pub async fn protect<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let access = request.app_data::<web::Data<Access>>().map(|access| Arc::clone(access));
    let from = request.peer_addr().map(|peer| peer.ip());
    let found = access
        .ok_or(Refusal::NoTokenConfigured)
        .and_then(|access| access.principal(request.headers(), request.method(), from));
    match found {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(refusal) => {
            let shape = Shape::of(request.path());
            Ok(request.into_response(refusal.response(shape)).map_into_boxed_body())
        }
    }
}

/// Who asks, as [`protect`] found.
impl FromRequest for Principal {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let found = request.extensions().get::<Self>().cloned();
        ready(found.ok_or_else(|| {
            let response = Refusal::NoToken.response(Shape::of(request.path()));
            actix_web::error::InternalError::from_response("no principal", response).into()
        }))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HOST, HeaderValue, ORIGIN};

    use super::*;

    fn access(tokens: &[(&'static str, Scope, &str)], loopback: bool) -> Access {
        let token = |(name, scope, text): &(&'static str, Scope, &str)| {
            Token::new(name, *scope, &SecretString::from(*text))
        };
        Access::new(loopback, Tokens(tokens.iter().map(token).collect()), None)
    }

    fn headers(authorization: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("127.0.0.1:9464"));
        if let Some(text) = authorization {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(text).expect("header"));
        }
        headers
    }

    #[test]
    fn a_token_says_who_asks_and_what_they_may() {
        let both = access(&[("read_token", Scope::Read, "r"), ("token", Scope::Write, "w")], true);
        for (authorization, method, expected) in [
            (Some("Bearer w"), Method::POST, Ok("token")),
            (Some("bearer  w "), Method::GET, Ok("token")),
            (Some("Bearer r"), Method::GET, Ok("read_token")),
            (Some("Bearer r"), Method::POST, Err(Refusal::ReadOnly)),
            (Some("Bearer r"), Method::DELETE, Err(Refusal::ReadOnly)),
            (Some("Bearer x"), Method::GET, Err(Refusal::WrongToken)),
            (Some("Bearer "), Method::GET, Err(Refusal::WrongToken)),
            (Some("Basic dzp3"), Method::GET, Err(Refusal::NoToken)),
            (None, Method::GET, Err(Refusal::NoToken)),
        ] {
            let found = both.principal(&headers(authorization), &method, None);
            let found = found.as_ref().map(|found| found.name.as_str()).map_err(Clone::clone);
            assert_eq!(found, expected, "{authorization:?} {method}");
        }
    }

    #[test]
    fn the_same_text_twice_allows_the_more() {
        let twice =
            access(&[("read_token", Scope::Read, "s"), ("token", Scope::Write, "s")], false);
        assert_eq!(twice.token("s").expect("fits").scope, Scope::Write);
    }

    #[test]
    fn without_a_token_only_a_loopback_listener_answers_and_no_page_of_another_site() {
        let (local, open) = (access(&[], true), access(&[], false));
        let found = local.principal(&headers(None), &Method::POST, None).expect("may");
        assert_eq!((found.name.as_str(), found.scope), ("local", Scope::Write));
        let mut foreign = headers(None);
        foreign.insert(ORIGIN, HeaderValue::from_static("https://evil.example"));
        let refused = local.principal(&foreign, &Method::GET, None);
        assert!(matches!(refused, Err(Refusal::Origin(_))), "{refused:?}");
        let refused = open.principal(&headers(None), &Method::GET, None);
        assert_eq!(refused, Err(Refusal::NoTokenConfigured));
    }

    #[test]
    fn a_reload_swaps_the_tokens() {
        let access = access(&[("token", Scope::Write, "old")], true);
        let new = Token::new("token", Scope::Write, &SecretString::from("new"));
        access.take(Tokens(vec![new]), None);
        assert_eq!((access.token("old"), access.token("new").is_some()), (None, true));
    }
}
