//! The audit log: who changed what, and when. Rows are appended and never changed; the retention ends them.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Longest text of each part of an entry, in characters; what is longer is cut.
pub const AUDIT_TEXT_CHARS_MAX: usize = 500;

/// One change that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuditEntry {
    /// When it was asked for.
    pub at: Timestamp,
    /// Who asked: the name of a principal, such as `token` or `local`.
    pub who: String,
    /// From which address; `None` for a command on the machine.
    #[schema(value_type = Option<String>)]
    pub from: Option<IpAddr>,
    /// What: a word with a dot, such as `silence.create`.
    pub action: String,
    /// Of what: an id or a name.
    pub subject: String,
    /// More, on one line; never a secret.
    pub detail: String,
}

/// An entry with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuditRecord {
    /// Its place: strictly increasing.
    pub n: i64,
    /// The entry.
    #[serde(flatten)]
    pub entry: AuditEntry,
}

/// Which entries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only those with this action.
    pub action: Option<String>,
    /// Only those before this place.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: usize,
}

impl AuditEntry {
    /// Each text within its bound, and on one line.
    pub(super) fn cut(self) -> Self {
        let line = |text: String| {
            let line = |c: char| if c.is_control() { ' ' } else { c };
            text.chars().take(AUDIT_TEXT_CHARS_MAX).map(line).collect()
        };
        Self {
            who: line(self.who),
            action: line(self.action),
            subject: line(self.subject),
            detail: line(self.detail),
            ..self
        }
    }
}
