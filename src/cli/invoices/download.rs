//! Documents of invoices, saved as files.
//!
//! Telnyx gives a link for each, which opens the document for whoever has it: it is fetched without the API key, and never
//! printed. A file is there whole or not at all.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::Url;

use super::Invoice;
use crate::cli::output;
use crate::http;
use crate::telnyx::{Client, Endpoint, Settings};

/// Bound on fetching one document.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Largest document, in bytes.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest id in a file's name, in characters.
const NAME_CHARACTERS: usize = 100;

/// Saves the documents of these invoices; false when one could not be had. Those that are there already are left alone.
pub(super) async fn save(
    client: &Client,
    settings: &Settings,
    invoices: &[Invoice],
    directory: &Path,
) -> anyhow::Result<bool> {
    let shown = directory.display();
    fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {shown}"))?;
    let fetcher = http::client(TIMEOUT, 1, None).context("cannot set up the download")?;
    let is_test_api = settings.url.starts_with("http://");
    let mut all = true;
    for invoice in invoices {
        let path = directory.join(file_name(invoice));
        if path.exists() {
            output::progress(&format!("{} is there already", path.display()));
            continue;
        }
        match document(client, &fetcher, &invoice.id, is_test_api).await {
            Ok(bytes) => {
                write(directory, &path, &bytes)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                output::progress(&format!("{} saved, {} bytes", path.display(), bytes.len()));
            }
            Err(error) => {
                all = false;
                output::error(&format!("no document of invoice {}: {error:#}", invoice.id));
            }
        }
    }
    Ok(all)
}

async fn document(
    client: &Client,
    fetcher: &reqwest::Client,
    id: &str,
    plain_is_fine: bool,
) -> anyhow::Result<Vec<u8>> {
    let query = [("action", "link".to_owned())];
    let answer = client.call(&Endpoint::INVOICE, Some(id), &query, None).await?;
    let link = answer.get("data").and_then(|data| data.get("download_url")?.as_str());
    let link = link.context("Telnyx gives no link")?;
    let Ok(url) = Url::parse(link) else { bail!("the link is no URL") };
    if url.scheme() != "https" && !(plain_is_fine && url.scheme() == "http") {
        bail!("the link is not https");
    }
    let said = |error| anyhow::anyhow!(http::describe(error));
    let mut response = fetcher.get(url).send().await.map_err(said)?;
    if !response.status().is_success() {
        bail!("status {} from where the link leads", response.status().as_u16());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(said)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > BYTES_MAX {
            bail!("it is larger than {BYTES_MAX} bytes");
        }
    }
    if bytes.is_empty() {
        bail!("it is empty");
    }
    Ok(bytes)
}

/// `2026-03-01_<id>.pdf`, whatever stands in an id.
fn file_name(invoice: &Invoice) -> String {
    let plain = |text: &str| -> String {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        text.chars().take(NAME_CHARACTERS).map(|it| if fits(it) { it } else { '_' }).collect()
    };
    format!("{}_{}.pdf", plain(&invoice.period_start), plain(&invoice.id))
}

fn write(directory: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_name_stays_in_its_directory() {
        let name = |id: &str, from: &str| {
            file_name(&Invoice::read(&json!({"invoice_id": id, "period_start": from})))
        };
        assert_eq!(name("3f2-a", "2026-03-01"), "2026-03-01_3f2-a.pdf");
        assert_eq!(name("../../etc/passwd", "/"), "_________etc_passwd.pdf");
        assert_eq!(name(&"x".repeat(999), "").len(), 1 + NAME_CHARACTERS + 4);
    }
}
