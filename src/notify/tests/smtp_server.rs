//! An SMTP server that follows a script.

use super::*;

/// Plays an SMTP server: each command is answered by the first matching prefix; unknown ones are never answered.
pub(super) async fn serve_smtp(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    replies: &[(&str, &str)],
) -> Vec<String> {
    serve_some_mails(stream, replies, usize::MAX).await
}

/// As [`serve_smtp`], and silent once it has taken so many mails.
pub(super) async fn serve_some_mails(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    replies: &[(&str, &str)],
    mails_max: usize,
) -> Vec<String> {
    let mut stream = BufReader::new(stream);
    let mut heard = Vec::new();
    let mut in_text = false;
    if let Some((_, banner)) = replies.iter().find(|(prefix, _)| prefix.is_empty()) {
        stream.write_all(banner.as_bytes()).await.expect("banner");
    }
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let command = std::mem::take(&mut line);
        let command = command.trim_end();
        let key = match (in_text, command) {
            (true, ".") => ".",
            (true, _) => continue,
            (false, command) => command,
        };
        let taken = heard.iter().filter(|heard| *heard == ".").count();
        heard.push(key.to_owned());
        if taken >= mails_max {
            continue;
        }
        in_text = key == "DATA";
        let reply =
            replies.iter().find(|(prefix, _)| !prefix.is_empty() && key.starts_with(prefix));
        if let Some((_, reply)) = reply
            && stream.write_all(reply.as_bytes()).await.is_err()
        {
            break;
        }
    }
    heard
}

pub(super) const GOOD: [(&str, &str); 8] = [
    ("", "220 mx.example.com\r\n"),
    ("EHLO", "250-mx.example.com\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n"),
    ("AUTH", "235 ok\r\n"),
    ("MAIL", "250 ok\r\n"),
    ("RCPT", "250 ok\r\n"),
    ("DATA", "354 go ahead\r\n"),
    (".", "250 taken\r\n"),
    ("NOOP", "250 ok\r\n"),
];

/// The good script with one line replaced, or taken away.
pub(super) fn script<'a>(command: &str, reply: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let mut script: Vec<(&str, &str)> = GOOD.to_vec();
    script.retain(|(prefix, _)| *prefix != command);
    if let Some(reply) = reply {
        let name = GOOD.iter().find(|(prefix, _)| *prefix == command).expect("a command").0;
        script.push((name, reply));
    }
    script
}
