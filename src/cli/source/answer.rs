//! What the API of a running tollbell answers: what was asked for, or what it says is wrong.

use anyhow::{Context as _, bail};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::refused::Refused;
use crate::http;

/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The answer, whatever it says.
pub(super) async fn send(request: RequestBuilder) -> anyhow::Result<Response> {
    request.send().await.map_err(|error| {
        let at = error.url().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        anyhow::anyhow!("cannot ask {at}: {}", http::describe(error))
    })
}

/// An answer with what was asked for; else what it says is wrong.
pub(super) async fn good(response: Response) -> anyhow::Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let at = response.url().origin().ascii_serialization();
    let said: Option<Value> =
        body(response).await.ok().and_then(|it| serde_json::from_slice(&it).ok());
    // tollbell's own API answers a problem, Alertmanager's a text or a message.
    let said = said.as_ref().and_then(|said| {
        let named = ["detail", "message"].iter().find_map(|name| said.get(name)?.as_str());
        named.or_else(|| said.as_str())
    });
    match said {
        Some(detail) if status == StatusCode::UNAUTHORIZED => {
            bail!("{detail}: give a token by --token-file or TOLLBELL_TOKEN_FILE")
        }
        Some(detail) => bail!("{detail}"),
        None => bail!("{at} answered {status}: is this the private listener of a tollbell?"),
    }
}

/// As [`good`], where one of these says that what is asked for cannot be.
pub(super) async fn fit(response: Response, unfit: &[StatusCode]) -> Result<Response, Refused> {
    let unfit = unfit.contains(&response.status());
    good(response).await.map_err(|error| {
        if unfit { Refused::Unfit(error.to_string()) } else { Refused::Failed(error) }
    })
}

/// What an answer holds.
pub(super) async fn read<T: DeserializeOwned>(response: Response) -> anyhow::Result<T> {
    let body = body(response).await?;
    serde_json::from_slice(&body)
        .context("its answer cannot be read: is it a tollbell of another version?")
}

async fn body(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            bail!("its answer is larger than {} MiB", ANSWER_BYTES_MAX >> 20);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
