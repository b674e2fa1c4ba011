//! What is said of a template that does not compile or render.
//!
//! Go's templates, which people paste from Alertmanager's documentation, would be syntax errors at best: they are
//! recognised, and what to write instead is said.

use minijinja::ErrorKind;

use super::TemplateError;

/// Words that begin a tag there, and what stands for them here.
const BEGINNINGS: [(&str, &str); 9] = [
    ("range", "{% for alert in alerts %}"),
    ("if", "{% if … %}"),
    ("else", "{% else %}"),
    ("end", "{% endfor %} or {% endif %}"),
    ("with", "{% if … %}"),
    ("template", "a file of templates: replaces a built-in text whole"),
    ("define", "a file of templates: replaces a built-in text whole"),
    ("block", "a file of templates: replaces a built-in text whole"),
    ("printf", "text around {{ … }}"),
];

/// Functions there, and the filters that do the same here.
const FUNCTIONS: [(&str, &str); 14] = [
    ("toUpper", "{{ name | upper }}"),
    ("toLower", "{{ name | lower }}"),
    ("title", "{{ name | title }}"),
    ("trimSpace", "{{ name | trim }}"),
    ("join", "{{ list | join(\", \") }}"),
    ("safeHtml", "{{ name | safe }}"),
    ("reReplaceAll", "{{ name | replace(\"from\", \"to\") }}"),
    ("match", "{% if \"text\" in name %}"),
    ("stringSlice", "[\"one\", \"two\"]"),
    ("len", "{{ list | length }}"),
    ("index", "{{ labels[\"name\"] }}"),
    ("humanize", "{{ value | money }} or {{ value | round(2) }}"),
    ("humanizeDuration", "{{ value | duration }}"),
    ("since", "{{ time | ago }}"),
];

/// The first tag of a Go template in a text: its line, from 1, and what to write instead. Comments and what is raw are
/// passed over.
pub(super) fn foreign(source: &str) -> Option<(u32, String)> {
    let mut rest = source;
    loop {
        let at = rest.find('{')?;
        rest = rest.get(at..)?;
        let raw = rest.strip_prefix("{%").map(|tag| tag.trim_start_matches(['-', '+', ' ']));
        if rest.starts_with("{#") {
            rest = rest.get(rest.find("#}")?..)?;
        } else if raw.is_some_and(|tag| tag.starts_with("raw")) {
            rest = rest.get(rest.find("endraw")?..)?;
        } else if let Some(tag) = rest.strip_prefix("{{") {
            if let Some(instead) = instead(tag) {
                let before = source.get(..source.len() - rest.len())?.matches('\n').count();
                return Some((u32::try_from(before).ok()?.saturating_add(1), instead));
            }
            rest = tag;
        } else {
            rest = rest.get(1..)?;
        }
    }
}

/// What to write in the place of a tag `{{ … }}` that begins with `tag`, if that is a tag of a Go template.
pub(super) fn instead(tag: &str) -> Option<String> {
    let tag = tag.trim_start_matches('-').trim_start();
    let first = tag.chars().next()?;
    if first == '$' || (first == '.' && !tag.starts_with("..")) {
        return Some(
            "{{ labels.severity }}, without a dot or dollar sign before the name".to_owned(),
        );
    }
    let end = tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len());
    let (word, rest) = tag.split_at_checked(end)?;
    let behind = rest.trim_start_matches([' ', '\t', '-']);
    if let Some((_, here)) = BEGINNINGS.iter().find(|(known, _)| *known == word) {
        let goes_on = match word {
            "end" | "else" => behind.starts_with('}') || behind.starts_with("if "),
            "if" | "range" | "with" => {
                rest.starts_with(' ') && behind.starts_with(char::is_alphabetic)
            }
            _ => false,
        };
        let takes = rest.starts_with(' ') && behind.starts_with(['.', '$', '"']);
        return (goes_on || takes).then(|| (*here).to_owned());
    }
    let (_, here) = FUNCTIONS.iter().find(|(known, _)| *known == word)?;
    // With something behind it, it is applied; alone it may be a name.
    (rest.starts_with(' ') && behind.starts_with(['.', '$', '"'])).then(|| (*here).to_owned())
}

/// The filter that does here what a function of Go's templates does there.
fn filter(name: &str) -> Option<&'static str> {
    let (_, here) = FUNCTIONS.iter().find(|(known, _)| *known == name)?;
    Some(here)
}

/// An error of the engine in our words.
pub(super) fn explain(error: &minijinja::Error) -> TemplateError {
    let line = error.line().and_then(|line| u32::try_from(line).ok());
    let message = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "the template does too much work".to_owned(),
        (kind @ ErrorKind::UnknownFilter, Some(detail)) => {
            let instead = detail.split(' ').find_map(filter);
            let instead = instead.map(|here| format!("; here it is {here}")).unwrap_or_default();
            format!("{kind}: {detail}{instead}")
        }
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    // An operator on an undefined operand is reported under another kind.
    let undefined = error.kind() == ErrorKind::UndefinedError
        || error.detail().is_some_and(|detail| detail.contains("is undefined"));
    TemplateError { line, message, undefined }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_go_are_told_from_ours() {
        for (tag, words) in [
            (" .CommonLabels.alertname }}", "labels.severity"),
            ("- .Status | toUpper -}}", "labels.severity"),
            (" $labels.instance }}", "labels.severity"),
            (" range .Alerts }}", "{% for"),
            (" range $i, $a := .Alerts }}", "{% for"),
            (" if eq .Status \"firing\" }}", "{% if"),
            (" else }}", "{% else %}"),
            ("- end -}}", "{% endif %}"),
            (" template \"slack.default.title\" . }}", "a file"),
            (" define \"x\" -}}", "a file"),
            (" toUpper .Status }}", "upper"),
            (" len .Alerts }}", "length"),
            (" humanizeDuration $value }}", "duration"),
        ] {
            let found = instead(tag).unwrap_or_else(|| panic!("{tag} is Go's"));
            assert!(found.contains(words), "{tag}: {found}");
        }
        for tag in [
            " labels.severity }}",
            " title }}",
            " title | upper }}",
            " match.end }}",
            " range(3) }}",
            " ending }}",
            " block }}",
            " template if a else b }}",
            " index - 1 }}",
            " since ~ x }}",
            " \"text\" }}",
            "}}",
            "",
        ] {
            assert_eq!(instead(tag), None, "{tag}");
        }
    }
}
