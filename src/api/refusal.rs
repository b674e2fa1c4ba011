//! What is said to whom is refused, in the shape that the path's clients read.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::WWW_AUTHENTICATE;
use serde_json::json;

/// How errors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `application/problem+json`, RFC 9457.
    Problem,
    /// As Alertmanager's framework writes them: `{"code": 401, "message": "…"}`.
    Alertmanager,
}

impl Shape {
    /// The shape below a path.
    pub fn of(path: &str) -> Self {
        if path.starts_with("/api/v2") { Self::Alertmanager } else { Self::Problem }
    }

    /// An error with a sentence about it.
    pub fn error(self, status: StatusCode, detail: &str) -> HttpResponse {
        match self {
            Self::Problem => problem(status, detail),
            Self::Alertmanager => HttpResponse::build(status)
                .json(json!({"code": status.as_u16(), "message": detail})),
        }
    }
}

/// An error as RFC 9457 has it.
fn problem(status: StatusCode, detail: &str) -> HttpResponse {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
    });
    HttpResponse::build(status).content_type("application/problem+json").body(body.to_string())
}

/// Why a request is refused before anything is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Tokens are configured, and the request has none.
    #[error("a token is needed: Authorization: Bearer …")]
    NoToken,
    /// The request has a token that is not configured.
    #[error("the token is not known")]
    WrongToken,
    /// The listener is not on a loopback address, and no token is configured.
    #[error(
        "the listener is not on a loopback address and no token is configured: set server.auth.token_file"
    )]
    NoTokenConfigured,
    /// The token allows to look only.
    #[error("this token may only read")]
    ReadOnly,
    /// A page of another site asks, or one under a name that may be anybody's.
    #[error("{0}")]
    Origin(&'static str),
}

impl Refusal {
    /// The status that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::NoTokenConfigured | Self::ReadOnly | Self::Origin(_) => StatusCode::FORBIDDEN,
        }
    }

    /// The answer.
    pub fn response(&self, shape: Shape) -> HttpResponse {
        let mut response = shape.error(self.status(), &self.to_string());
        if self.status() == StatusCode::UNAUTHORIZED {
            let challenge = actix_web::http::header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
