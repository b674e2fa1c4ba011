//! What a form sent.

use super::session;
use super::visit::{Trouble, Visit};

/// The fields of a form that may change something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The fields, when the sender may change things and the form is one of ours.
    pub(super) fn of(visit: Visit, body: &[u8]) -> Result<(Visit, Self), Trouble> {
        let form = Self::read(&visit, body)?;
        if !visit.may_write() {
            return Err(Trouble::Forbidden("This token may only read.".to_owned()));
        }
        Ok((visit, form))
    }

    /// The fields, when the form is one of ours; whoever sends it.
    pub(super) fn read(visit: &Visit, body: &[u8]) -> Result<Self, Trouble> {
        let access = &visit.deps.access;
        access
            .check_origin(visit.request().headers())
            .map_err(|refusal| Trouble::Forbidden(format!("{refusal}.")))?;
        let form = Self(form_urlencoded::parse(body).into_owned().collect());
        if !session::is_csrf(&visit.deps, visit.known(), form.get("csrf")) {
            let old = "The form is from another session. Go back, load its page again, and send it once more.";
            return Err(Trouble::Forbidden(old.to_owned()));
        }
        Ok(form)
    }

    /// A field, trimmed; empty when it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.trim())
    }

    /// A field's lines that are not empty.
    pub(super) fn lines(&self, name: &str) -> Vec<&str> {
        let fields = self.0.iter().filter(|(found, _)| found == name);
        let lines = fields.flat_map(|(_, value)| value.lines()).map(str::trim);
        lines.filter(|line| !line.is_empty()).collect()
    }
}
