//! Whether a text has the form that its field has.

use super::fields::Form;
use crate::event::identity::is_id;
use crate::event::time;

/// Longest address, in bytes.
const ADDRESS_BYTES_MAX: usize = 255;
/// Longest word of a fixed set, in bytes; a list of codecs is one.
const WORD_BYTES_MAX: usize = 128;
/// Longest number as text, in bytes.
const NUMBER_BYTES_MAX: usize = 40;
/// Longest sender of letters, in bytes, which alone may have spaces.
const SENDER_BYTES_MAX: usize = 11;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 80;

/// Leaves a text as it is where it has the form of its field, else masks it.
pub(super) fn keep(text: &mut String, form: Form) {
    if text.is_empty() {
        return;
    }
    let fits = match form {
        Form::Hidden => false,
        Form::Url => {
            *text = origin(text).unwrap_or_else(|| MASKED.to_owned());
            return;
        }
        Form::Id | Form::Diagnosis if text.contains("://") => {
            *text = mask_urls_within(text);
            form == Form::Diagnosis || is_id(text)
        }
        Form::Id => is_id(text),
        Form::Diagnosis => return,
        Form::Word => is_word(text),
        Form::Number => is_number(text),
        Form::Time => is_time(text),
        Form::Party => is_party(text),
        Form::Name => is_name(text),
        // A flag is none the less one for being text, as in a form.
        Form::Unknown => matches!(text.as_str(), "true" | "false"),
    };
    if !fits {
        MASKED.clone_into(text);
    }
}

fn is_address(text: &str) -> bool {
    text.len() <= ADDRESS_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.contains("://")
}

fn is_word(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:,+*#%".contains(&byte);
    text.len() <= WORD_BYTES_MAX && text.bytes().all(fits) && !text.contains("://")
}

/// `-12.50`, `5e-05`.
fn is_number(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let text = text.trim();
    text.len() <= NUMBER_BYTES_MAX && text.bytes().all(fits)
}

fn is_time(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_digit() || b"-:.+TZ ".contains(&byte);
    text.len() <= NUMBER_BYTES_MAX
        && (text.bytes().all(fits) || time::lenient(&serde_json::Value::from(text)).is_some())
}

/// A number, an e-mail or SIP address, or the name that an operator lets one send under.
fn is_party(text: &str) -> bool {
    let is_sender = || {
        text.len() <= SENDER_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ')
    };
    is_address(text) || is_sender()
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && !text.contains(['@', '[', '\n', '\r']) && !text.contains("://")
}

/// Masks the URLs in a text that carry a query, a fragment or a user; the others are left to be read.
fn mask_urls_within(text: &str) -> String {
    let is_border = |letter: char| letter.is_whitespace() || "\"'<>()".contains(letter);
    text.split_inclusive(is_border)
        .map(|piece| {
            let word = piece.trim_end_matches(is_border);
            let border = piece.strip_prefix(word).unwrap_or_default();
            if word.contains("://") && word.contains(['?', '#', '@']) {
                origin(word).unwrap_or_else(|| MASKED.to_owned()) + border
            } else {
                piece.to_owned()
            }
        })
        .collect()
}

/// `https://user:password@host/path?query` as `https://host/[masked]`; a bare `https://host` stays. `None` for what
/// is not a URL.
fn origin(url: &str) -> Option<String> {
    let (before, rest) = url.split_once("://")?;
    if before.is_empty() || before.contains(['?', '#', '@', '/']) {
        return None;
    }
    let (authority, tail) = match rest.find(['/', '?', '#', '\\']) {
        Some(end) => rest.split_at_checked(end)?,
        None => (rest, ""),
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = if matches!(tail, "" | "/") { tail } else { "/[masked]" };
    Some(format!("{before}://{host}{path}"))
}

/// What stands in place of masked text.
pub const MASKED: &str = "[masked]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_where_it_has_the_form_of_its_field() {
        let sentence = "Mrs Meier of 7 Mill Lane asked for a refund";
        for (form, kept, masked) in [
            (
                Form::Id,
                vec!["v3:a_b-c", "7b0e1105-5a1d-4c3e-9f00-000000000005", "PO/17"],
                vec![sentence, "a b", "a\nb"],
            ),
            (
                Form::Word,
                vec!["user_busy", "40333", "openai/gpt-4o", "PCMU,PCMA,G722"],
                vec![sentence, "well done", "a@example.com"],
            ),
            (
                Form::Number,
                vec!["10.00", "-0.0051", "5e-05", " 12 "],
                vec![sentence, "4711 Mill Lane", "1,000.00"],
            ),
            (
                Form::Time,
                vec![
                    "2026-08-20T14:05:09.250Z",
                    "2026-08-20",
                    "Thu, 20 Aug 2026 14:05:09 +0000",
                    "1726218739",
                ],
                vec![sentence, "tomorrow"],
            ),
            (
                Form::Party,
                vec!["+15550100001", "sip:desk@example.com", "33333", "ACME Corp", "a@example.com"],
                vec![sentence, "Ann <ann@example.com>"],
            ),
            (
                Form::Name,
                vec!["T-MOBILE USA, INC."],
                vec!["mail ann@example.com", "https://h.example.com/t0ken"],
            ),
            (Form::Hidden, vec![""], vec![sentence, "4711"]),
        ] {
            for (texts, is_kept) in [(kept, true), (masked, false)] {
                for text in texts {
                    let mut after = text.to_owned();
                    keep(&mut after, form);
                    assert_eq!(after, if is_kept { text } else { MASKED }, "{form:?} {text}");
                }
            }
        }
    }
}
