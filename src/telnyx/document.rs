//! The document of an invoice.
//!
//! Receives an invoice's id. Promises its bytes, within bounds of time and size. Telnyx gives a link, which opens the document
//! for whoever has it: it is fetched without the API key, over https only (unless the API itself is asked in clear, as in
//! tests), and appears in no text.

use std::time::Duration;

use reqwest::Url;

use super::{ApiError, Client, Endpoint};
use crate::http;

/// Bound on fetching one document.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Largest document, in bytes.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why there is no document; one line, without the link.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Telnyx did not give a link.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The link is of no use, or led to nothing.
    #[error("{0}")]
    Link(String),
}

/// Fetches the document of an invoice.
pub async fn fetch(client: &Client, invoice: &str) -> Result<Vec<u8>, DocumentError> {
    let no = |why: &str| DocumentError::Link(why.to_owned());
    let said = |error| DocumentError::Link(http::describe(error));
    let query = [("action", "link".to_owned())];
    let answer = client.call(&Endpoint::INVOICE, Some(invoice), &query, None).await?;
    let link = answer.get("data").and_then(|data| data.get("download_url")?.as_str());
    let url = Url::parse(link.ok_or_else(|| no("Telnyx gives no link"))?);
    let url = url.map_err(|_malformed| no("the link is no URL"))?;
    let is_fine = url.scheme() == "https" || (url.scheme() == "http" && client.is_in_clear());
    if !is_fine {
        return Err(no("the link is not https"));
    }
    let http = http::client(TIMEOUT, 1, client.via()).map_err(|error| no(&error.to_string()))?;
    let mut response = http.get(url).send().await.map_err(said)?;
    if !response.status().is_success() {
        let status = response.status().as_u16();
        return Err(no(&format!("status {status} from where the link leads")));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(said)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > BYTES_MAX {
            return Err(no(&format!("it is larger than {BYTES_MAX} bytes")));
        }
    }
    if bytes.is_empty() { Err(no("it is empty")) } else { Ok(bytes) }
}
