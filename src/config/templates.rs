//! The `templates` list: files that replace the built-in texts of messages.
//!
//! A file replaces the text whose name it has; it is compiled and tried at load with messages of every kind.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Context;
use super::bodies::{self, Failure, Sample};
use super::diagnostics::{closest, quote};
use super::files::Source;
use super::section::Section;
use super::words::ConfigWords;
use crate::diagnostic::{Diagnostic, Position};
use crate::notify::MessageTemplates;
use crate::template::{SOURCE_BYTES_MAX, TemplateError};

/// The files, yet to be tried.
pub(super) struct Templates {
    files: Vec<File>,
    /// The built-in texts, with those replaced whose files compile.
    pub(super) templates: MessageTemplates,
}

struct File {
    /// Where the list names it.
    key: String,
    /// Its name in problems.
    name: Arc<str>,
    /// The text that it replaces.
    text: &'static str,
    source: String,
}

impl File {
    fn place(&self, error: &TemplateError) -> Position {
        Position::new(Arc::clone(&self.name), error.line.unwrap_or(1), 1)
    }
}

/// Reads `templates`; the files' texts are added to `sources`.
pub(super) fn read(
    root: &ConfigWords<'_>,
    context: Context<'_>,
    sources: &mut Vec<Source>,
) -> Templates {
    let mut read: BTreeMap<&'static str, File> = BTreeMap::new();
    for (n, pattern) in root.templates().into_iter().enumerate() {
        let key = format!("templates[{n}]");
        let report = |message: String| {
            root.push(Diagnostic::error(pattern.position.clone(), &*key, message));
        };
        let found = context.base.glob(&pattern.value);
        if found.is_empty() {
            report("no such file".to_owned());
        }
        for path in found {
            let shown = path.display();
            let Some(text) = replaced_by(&path, &pattern.position, &key, root) else { continue };
            let source = match context.base.read(&path) {
                Ok(source) if source.len() <= SOURCE_BYTES_MAX => source,
                Ok(_) => {
                    report(format!("{shown}: larger than {SOURCE_BYTES_MAX} bytes"));
                    continue;
                }
                Err(message) => {
                    report(format!("{shown}: {message}"));
                    continue;
                }
            };
            let name: Arc<str> = Arc::from(path.to_string_lossy());
            sources.push(Source { name: Arc::clone(&name), text: source.clone() });
            let empty = source.trim().is_empty();
            let file = File { key: key.clone(), name, text, source };
            if let Some(earlier) = read.insert(text, file) {
                report(format!("{text} is replaced twice, first by {}", earlier.name));
            } else if empty {
                report(format!("{shown}: the file is empty; {{# nothing #}}, if that is meant"));
            }
        }
    }
    let mut files: Vec<File> = read.into_values().collect();
    files.retain(|file| match MessageTemplates::new([(file.text, &*file.source)]) {
        Ok(_) => true,
        Err(error) => {
            root.push(Diagnostic::error(file.place(&error), &*file.key, error.message));
            false
        }
    });
    let templates = MessageTemplates::new(files.iter().map(|file| (file.text, &*file.source)));
    Templates { files, templates: templates.unwrap_or_default() }
}

/// The text that a file of this name replaces.
fn replaced_by(
    path: &Path,
    position: &Position,
    key: &str,
    root: &Section<'_>,
) -> Option<&'static str> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let known = MessageTemplates::NAMES.into_iter().find(|known| *known == name);
    if known.is_none() {
        let message = format!("no text has the name {:?}", quote(&name));
        let hint = match closest(&name, MessageTemplates::NAMES) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!(
                "a file is named as what it replaces: {}",
                MessageTemplates::NAMES.join(", ")
            ),
        };
        root.push(Diagnostic::error(position.clone(), key, message).hint(hint));
    }
    known
}

impl Templates {
    /// Renders each file with each sample.
    pub(super) fn try_out(&self, samples: &[Sample], context: Context<'_>) {
        for file in &self.files {
            let render = |notification: &_| self.templates.render(file.text, notification);
            if let Some(failure) = bodies::try_samples(samples, render) {
                let Failure { error, message, warning } = failure;
                let place = file.place(&error);
                context.diagnostics.push(bodies::diagnostic(place, &file.key, message, warning));
            }
        }
    }
}
