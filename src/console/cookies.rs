//! Cookies.

use actix_web::HttpRequest;
use actix_web::http::header;

/// `Set-Cookie` for a cookie that no script sees and no other site causes to be sent; an empty value forgets it.
pub(super) fn set_cookie(name: &str, value: &str, seconds: u64) -> String {
    let seconds = if value.is_empty() { 0 } else { seconds };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; Secure; SameSite=Strict")
}

/// The value of a cookie that a request brings.
pub(super) fn cookie<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    let lines = request.headers().get_all(header::COOKIE).filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim())
}
