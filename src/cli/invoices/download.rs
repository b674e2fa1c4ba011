//! Documents of invoices, saved as files. A file is there whole or not at all.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::Invoice;
use crate::cli::output;
use crate::telnyx::{Client, document};

/// Longest id in a file's name, in characters.
const NAME_CHARACTERS: usize = 100;

/// Saves the documents of these invoices; false when one could not be had. Those that are there already are left alone.
pub(super) async fn save(
    client: &Client,
    invoices: &[Invoice],
    directory: &Path,
) -> anyhow::Result<bool> {
    let shown = directory.display();
    fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {shown}"))?;
    let mut all = true;
    for invoice in invoices {
        let path = directory.join(file_name(invoice));
        if path.exists() {
            output::progress(&format!("{} is there already", path.display()));
            continue;
        }
        match document::fetch(client, &invoice.id).await {
            Ok(bytes) => {
                write(directory, &path, &bytes)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                output::progress(&format!("{} saved, {} bytes", path.display(), bytes.len()));
            }
            Err(error) => {
                all = false;
                output::error(&format!("no document of invoice {}: {error}", invoice.id));
            }
        }
    }
    Ok(all)
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
        assert_eq!(name("../../etc/passwd", "/"), "________etc_passwd.pdf");
        assert_eq!(name(&"x".repeat(999), "").len(), 1 + NAME_CHARACTERS + 4);
    }
}
