//! Operations that take no body say so, and do nothing: whoever sends one means something by it.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;

use super::problem::Problem;

/// A body that is empty.
#[derive(Debug)]
pub(super) struct NoBody;

impl FromRequest for NoBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(_request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let mut payload = payload.take();
        Box::pin(async move {
            while let Some(piece) = payload.next().await {
                let piece = piece.map_err(|error| Problem::bad(format!("the body: {error}")))?;
                if !piece.is_empty() {
                    return Err(Problem::bad("a body is sent, and this operation takes none"));
                }
            }
            Ok(Self)
        })
    }
}
