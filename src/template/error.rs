//! Why a template does not compile or render.

/// Why a template does not compile or render.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Line within the template, from 1, where known.
    pub line: Option<u32>,
    /// What is wrong; names variables and filters, never shows their values.
    pub message: String,
    /// Whether a name that is not there is the cause, which may differ from event to event.
    pub undefined: bool,
}
