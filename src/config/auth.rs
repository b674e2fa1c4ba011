//! `server.auth`: the tokens of the private listener.

use std::net::SocketAddr;

use secrecy::{ExposeSecret as _, SecretString};

use super::section::Section;
use super::words::ServerWords;
use super::{Context, files};
use crate::api::{Scope, Token, Tokens};
use crate::diagnostic::Diagnostic;

/// Tokens of one key at most; a rotation needs two.
const TOKENS_MAX: usize = 16;
/// Shortest token that nobody guesses, in characters.
const TOKEN_CHARS_MIN: usize = 16;

/// Reads `server.auth`.
pub(super) fn read(
    server: &ServerWords<'_>,
    context: Context<'_>,
    private: Option<SocketAddr>,
) -> Tokens {
    let auth = server.auth();
    let keys = [
        ("token", Scope::Write, [auth.token(), auth.token_file()]),
        ("read_token", Scope::Read, [auth.read_token(), auth.read_token_file()]),
    ];
    let mut tokens = Vec::new();
    for (name, scope, given) in keys {
        let Some(found) = files::secret(&auth, name, given, context) else { continue };
        tokens.extend(lines(&auth, &found).into_iter().map(|text| Token::new(name, scope, &text)));
    }
    let told = ["token", "token_file", "read_token", "read_token_file"];
    if !auth.has_any(&told) && private.is_some_and(|private| !private.ip().is_loopback()) {
        warn(server);
    }
    Tokens(tokens)
}

/// The tokens of a secret: one in each line.
fn lines(auth: &Section<'_>, found: &files::Found) -> Vec<SecretString> {
    let text = found.text.expose_secret();
    let texts: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if texts.len() > TOKENS_MAX {
        auth.error(&found.key, format!("more than {TOKENS_MAX} tokens"));
    }
    if texts.iter().any(|text| !text.bytes().all(|byte| byte.is_ascii_graphic())) {
        let message = "no token: expected ASCII letters, digits and signs, without white space; several stand one in each line";
        auth.error(&found.key, message);
    } else if texts.iter().any(|text| text.len() < TOKEN_CHARS_MIN) {
        let message = format!("a token of fewer than {TOKEN_CHARS_MIN} characters can be guessed");
        auth.warning(&found.key, message);
    }
    texts.into_iter().map(SecretString::from).collect()
}

fn warn(server: &ServerWords<'_>) {
    let message = "not a loopback address, and no token: whoever reaches it can read metrics, and nobody can use the API or the console";
    let diagnostic =
        Diagnostic::warning(server.place("private_listen"), server.at("private_listen"), message);
    server.push(diagnostic.hint("set server.auth.token_file"));
}
