//! Where the console shows an alert, and prepares a silence of it: links in notifications lead there.

use super::{Fingerprint, MatchOp, Matcher};
use crate::rules::Labels;

/// Labels that a silence of one alert leaves out: the rule gives them to each of its alerts.
const LEFT_OUT: [&str; 2] = ["severity", "team"];

/// The page of an alert.
pub fn alert_path(fingerprint: &Fingerprint) -> String {
    format!("/alerts/{fingerprint}")
}

/// The form of a silence that matches alerts with these labels.
pub fn silence_path(labels: &Labels) -> String {
    format!("/silences/new?{}", query("matcher", labels))
}

/// The list of the alerts with these labels.
pub fn alerts_path(labels: &Labels) -> String {
    format!("/alerts?{}", query("filter", labels))
}

fn query(name: &str, labels: &Labels) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (label, value) in labels.iter().filter(|(label, _)| !LEFT_OUT.contains(&label.as_str())) {
        if let Ok(matcher) = Matcher::new(label, MatchOp::Equal, value.clone()) {
            query.append_pair(name, &matcher.to_string());
        }
    }
    query.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_in_an_address_are_read_back_as_they_were() {
        let hostile = "a\"b\\ &x=1,<c>\n+é";
        let labels: Labels = [("alertname", "Low"), ("profile", hostile), ("severity", "critical")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let path = silence_path(&labels);
        let (_, query) = path.split_once('?').expect("query");
        let matchers: Vec<Matcher> = form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| {
                assert_eq!(name, "matcher");
                Matcher::parse(&value).expect("matcher")
            })
            .collect();
        assert_eq!(matchers.len(), 2);
        assert!(matchers.iter().all(|matcher| matcher.matches(&labels)));
        assert!(!path.contains(['"', '<', ' ', '\n']), "{path}");
    }
}
