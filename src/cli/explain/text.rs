//! The explanation as text: what a person reads who was just woken.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::words::{is_telling, labels_of, lines, outcome_text, slack_lines, step_text, width};
use crate::alerts::{Alert, Answer, Suppression};
use crate::api::explain::{About, Report};
use crate::cli::alerts::{from_now, labels_text, name, short};
use crate::cli::output::{clean, count};
use crate::engine::{
    AlertReport, Caused, Explanation, GroupReport, NotificationReport, Outcome, Quiet, RuleReport,
    SeriesReport, Then,
};
use crate::rules::Traced;
use crate::store::JournalEntry;
use crate::template::{money_text, truncate};

/// Longest value, in characters.
const VALUE_CHARS_MAX: usize = 200;
/// Widest column of expressions, in characters: what is longer moves its value to the right.
const SOURCE_WIDTH_MAX: usize = 64;
/// Lines of one message at most.
const MESSAGE_LINES_MAX: usize = 40;
/// Width of the names in front of values.
const KEY: usize = 10;

/// The whole.
pub(super) fn report_text(report: &Report) -> String {
    let mut page = Page { text: String::new(), now: report.now };
    page.head(report);
    if let Some(then) = &report.then {
        page.then(then, &report.config);
    }
    if let Some(today) = &report.today {
        page.today(report, today);
    }
    page.text.trim_end().to_owned()
}

struct Page {
    text: String,
    now: Timestamp,
}

impl Page {
    /// Adds a line; nothing in it steers the terminal.
    fn line(&mut self, indent: usize, text: &str) {
        let text = clean(text);
        writeln!(self.text, "{:indent$}{}", "", text.trim_end())
            .expect("writing to a string cannot fail");
    }

    /// Adds a name and its value, cut where it is long.
    fn field(&mut self, indent: usize, key: &str, value: &str) {
        let value = truncate(value, VALUE_CHARS_MAX);
        self.line(indent, &format!("{key:KEY$}  {value}"));
    }

    /// Adds values under one name.
    fn list(&mut self, indent: usize, key: &str, values: impl IntoIterator<Item = String>) {
        for (place, value) in values.into_iter().enumerate() {
            self.field(indent, if place == 0 { key } else { "" }, &value);
        }
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }

    fn when(&self, at: Timestamp) -> String {
        format!("{at:.0} ({})", from_now(at, self.now))
    }

    fn head(&mut self, report: &Report) {
        let About { id, account, kind, source, occurred_at, received_at, cost, currency } =
            &report.event;
        self.line(0, &format!("{kind}  {id}"));
        self.field(2, "account", account);
        let occurred = occurred_at.map_or_else(|| "unknown".to_owned(), |at| self.when(at));
        self.field(2, "occurred", &occurred);
        self.field(2, "received", &format!("{}, by {source}", self.when(*received_at)));
        let currency = currency.as_deref().unwrap_or_default();
        let amount = |amount: &rust_decimal::Decimal| money_text(&amount.to_string(), currency);
        let charge = report.today.as_ref().and_then(|today| today.charge);
        let cost = cost.as_ref().and_then(amount);
        match (cost, charge.as_ref().and_then(amount)) {
            (Some(cost), Some(charge)) => {
                self.field(2, "cost", &format!("{cost}, of which {charge} is new to the ledger"));
            }
            (Some(cost), None) => self.field(2, "cost", &cost),
            (None, _) => {}
        }
        for note in &report.notes {
            self.line(2, note);
        }
    }

    fn then(&mut self, then: &Then, today: &str) {
        self.gap();
        let mut configs: Vec<&str> =
            then.judgements.iter().map(|judged| judged.config.as_str()).collect();
        configs.dedup();
        let by = match configs.as_slice() {
            [] => String::new(),
            [one] if *one == today => " (same configuration as today)".to_owned(),
            all => format!(" (configuration {}; today's is {today})", all.join(", ")),
        };
        self.line(0, &format!("THEN{by}"));
        if let Some(fault) = &then.fault {
            self.line(2, &format!("! could not be judged: {fault}"));
        } else if then.judgements.is_empty() {
            self.line(
                2,
                "no rule fired, ended an alert or failed; what did not match is not recorded",
            );
        }
        let width = width(then.judgements.iter().map(|judged| judged.rule.as_str()));
        for judged in &then.judgements {
            let mark = match judged.outcome.as_str() {
                "fired" | "extended" | "resolved" | "no_data" => '✓',
                _ => '!',
            };
            let detail = truncate(&judged.detail, VALUE_CHARS_MAX);
            self.line(2, &format!("{mark} {:width$}  {}  {detail}", judged.rule, judged.outcome));
        }
        let deliveries: Vec<String> =
            then.deliveries.iter().map(|one| self.delivery(one)).collect();
        self.list(2, "deliveries", deliveries);
        let said_above = |detail: &str| then.judgements.iter().any(|one| one.detail == detail);
        let story = then.journal.iter().map(|JournalEntry { at, what, detail, .. }| {
            let detail = if said_above(detail) { "" } else { detail };
            format!("{at:.0}  {what:10}  {detail}")
        });
        self.list(2, "history", story);
    }

    fn delivery(&self, sent: &Caused) -> String {
        let Caused { integration, target, reason, problem, .. } = sent;
        let to = if target.is_empty() { String::new() } else { format!(" to {target}") };
        let at = self.when(sent.finished_at.unwrap_or(sent.queued_at));
        let tries = count(usize::try_from(sent.attempts).unwrap_or_default(), "try", "tries");
        let problem = if problem.is_empty() { String::new() } else { format!(", {problem}") };
        let (id, state) = (short(&sent.id), sent.state.as_str());
        format!("{id}  {state:10}  {at}  {integration}{to}: {reason}, {tries}{problem}")
    }

    fn today(&mut self, report: &Report, today: &Explanation) {
        self.gap();
        if report.judged {
            self.line(0, "WITH TODAY'S RULES (asked again; nothing is added, ended or sent)");
        } else {
            self.line(0, "RULES");
        }
        if today.rules.is_empty() {
            let such = if report.some { "such " } else { "" };
            self.line(2, &format!("no {such}rule asks for {}", report.event.kind));
        }
        let others = if report.all { today.others.as_slice() } else { &[] };
        let names = today.rules.iter().map(|said| &said.rule).chain(others);
        let width = width(names.map(String::as_str));
        for said in &today.rules {
            self.rule(said, width);
        }
        for other in others {
            self.line(2, &format!("- {other:width$}  does not ask for {}", report.event.kind));
        }
        if others.len() < today.others.len() {
            let (many, verb) = match today.others.len() {
                1 => ("1 other rule".to_owned(), "does"),
                many => (format!("{many} other rules"), "do"),
            };
            let hint = "--all names them";
            self.line(2, &format!("- {many} {verb} not ask for {} ({hint})", report.event.kind));
        }
        for alert in &today.alerts {
            self.alert(alert, report.judged);
        }
    }

    fn rule(&mut self, said: &RuleReport, width: usize) {
        let (mark, word) = outcome_text(said);
        let detail = said.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
        self.line(2, &format!("{mark} {:width$}  {word}{detail}", said.rule));
        let shown: Vec<&Traced> =
            said.expressions.iter().filter(|one| is_telling(said, one)).collect();
        let in_full = |one: &Traced| {
            matches!(said.outcome, Outcome::NoMatch | Outcome::Failed) || one.key.ends_with("when")
        };
        self.expressions(&shown, in_full);
        if let Some(series) = &said.series {
            self.series(series);
        }
    }

    /// Adds expressions, those that `in_full` asks for with their parts; values in one column.
    fn expressions(&mut self, expressions: &[&Traced], in_full: impl Fn(&Traced) -> bool) {
        let mut rows: Vec<(String, String, &str)> = Vec::new();
        for one in expressions {
            let key = one.key.strip_prefix("by.").map_or(one.key.as_str(), |_| "by");
            let source = match one.key.strip_prefix("by.") {
                Some(label) => format!("{label}: {}", one.source),
                None => one.source.clone(),
            };
            rows.push((key.to_owned(), source, &one.outcome));
            if in_full(one) {
                // The first part is the whole.
                let parts = one.parts.iter().skip(1);
                let parts = parts.filter(|(part, _)| !["value", "count"].contains(&part.as_str()));
                rows.extend(
                    parts.map(|(part, value)| (String::new(), format!("  {part}"), value.as_str())),
                );
            }
        }
        let sources = rows.iter().map(|(_, source, _)| source.chars().count());
        let width = sources.max().unwrap_or_default().min(SOURCE_WIDTH_MAX);
        for (key, source, value) in &rows {
            let value = truncate(value, VALUE_CHARS_MAX);
            self.line(6, &format!("{key:KEY$}  {source:width$}  {value}"));
        }
    }

    fn series(&mut self, series: &SeriesReport) {
        let SeriesReport { of, value, before, count: events, phase, since, next, terms, .. } =
            series;
        let number = |value: &rust_decimal::Decimal| value.normalize().to_string();
        if of.starts_with("nothing") {
            self.field(6, "series", &format!("{of}: counted from now on"));
        } else {
            let value = value.as_ref().map_or_else(|| "no value".to_owned(), number);
            let before =
                before.as_ref().map_or_else(String::new, |was| format!(" (was {})", number(was)));
            let events = match of.as_str() {
                "latest value" => String::new(),
                _ => format!(
                    ", {}",
                    count(usize::try_from(*events).unwrap_or_default(), "event", "events")
                ),
            };
            self.field(6, "series", &format!("{of} = {value}{before}{events}"));
        }
        if let (Some(usual), Some(compared)) = (&series.usual, &series.compared) {
            let spread = number(&usual.spread);
            let weeks = usual.weeks;
            self.field(6, "usual", &format!("{compared} (spread {spread}, by {weeks} weeks)"));
        }
        // Only this one is asked as the alert stands.
        let asked = if matches!(&**phase, "firing" | "keeping") && terms.len() > 1 {
            "clear"
        } else {
            "fire"
        };
        let asked: Vec<&Traced> = terms.iter().filter(|term| term.key == asked).collect();
        self.expressions(&asked, |_| true);
        let since = since.map_or_else(String::new, |at| format!(" since {}", self.when(at)));
        let word = match &**phase {
            "keeping" => "kept firing",
            word => word,
        };
        let next = match (&**phase, next) {
            ("pending" | "keeping", Some(at)) => format!(", looked at again {}", self.when(*at)),
            _ => String::new(),
        };
        self.field(6, "phase", &format!("{word}{since}{next}"));
    }

    fn alert(&mut self, said: &AlertReport, judged: bool) {
        self.gap();
        self.line(0, &format!("ALERT {}: {}", name(&said.alert), self.stand(said, judged)));
        self.field(2, "alert", said.alert.fingerprint.as_str());
        self.field(2, "labels", &labels_text(&said.alert.labels));
        for (name, value) in &said.alert.annotations {
            self.field(2, name, value);
        }
        for quiet in &said.quiet {
            self.field(2, "suppressed", &self.quiet(quiet));
        }
        let mut open = usize::MAX;
        for (place, step) in said.routes.iter().enumerate() {
            // What stands below a node that was not entered goes without saying.
            if step.depth > open {
                continue;
            }
            let entered = matches!(step.answer, Answer::Taken | Answer::Deeper);
            open = if entered { usize::MAX } else { step.depth };
            self.field(2, if place == 0 { "routes" } else { "" }, &step_text(step));
        }
        for group in &said.groups {
            self.group(group, said, judged);
        }
    }

    /// Where the alert stands, in words.
    fn stand(&self, AlertReport { alert, fires_since, .. }: &AlertReport, judged: bool) -> String {
        let since = fires_since.map(|since| self.when(since));
        match (judged, since) {
            (true, Some(since)) => format!("fires since {since}"),
            (true, None) => "does not fire now".to_owned(),
            (false, since) => self.stand_after(alert, since),
        }
    }

    fn stand_after(&self, alert: &Alert, since: Option<String>) -> String {
        let until = alert.ends_at.map(|at| format!(" until {}", self.when(at)));
        let until = until.unwrap_or_default();
        match (alert.is_firing(), since) {
            (true, None) => format!("fires{until}"),
            (true, Some(since)) => format!("goes on firing{until}, since {since}"),
            (false, _) => alert.state.as_str().to_owned(),
        }
    }

    fn quiet(&self, quiet: &Quiet) -> String {
        let until = quiet.until.map_or_else(String::new, |at| format!(" until {}", self.when(at)));
        match &quiet.why {
            Suppression::Inhibited(source) => {
                format!("✗ inhibited by alert {} {}", short(source.as_str()), quiet.detail)
            }
            Suppression::Inactive(names) => format!("✗ outside of active time interval {names}"),
            Suppression::Muted(name) => format!("✗ muted by time interval {name}"),
            Suppression::Silenced(id) => {
                format!("✗ silenced{until} by {} [{}]", quiet.detail, short(id))
            }
        }
    }

    fn group(&mut self, group: &GroupReport, said: &AlertReport, judged: bool) {
        self.gap();
        let GroupReport { route, receiver, labels, alerts, .. } = group;
        let holds = match alerts {
            0 => "no such group now".to_owned(),
            many => count(*many, "alert", "alerts"),
        };
        self.field(2, "group", &format!("{route} {} → {receiver}: {holds}", labels_of(labels)));
        if let Some(muted) = &group.muted {
            self.field(4, "suppressed", &self.quiet(muted));
        }
        let notified = group.told.iter().map(|told| {
            let knows = if told.firing { "knows that it fires" } else { "was notified of others" };
            format!("{} {}: {knows}", told.integration, self.when(told.at))
        });
        let notified: Vec<String> = notified.collect();
        self.list(4, "notified", notified);
        if let Some(next) = group.next {
            let by = group.next_by.as_deref().unwrap_or_default();
            self.field(4, "next", &format!("{}, by {by}", self.when(next)));
        }
        if group.integrations.is_empty() {
            self.field(
                4,
                "message",
                &format!("{receiver} has no integrations: nobody is notified"),
            );
        } else if group.notices.is_empty() {
            let quiet = !said.quiet.is_empty() || group.muted.is_some();
            let why = if quiet { "it is suppressed" } else { "there is nothing new to notify" };
            self.field(4, "message", &format!("none: {why}"));
        }
        for notice in &group.notices {
            self.notice(notice, judged);
        }
    }

    fn notice(&mut self, notice: &NotificationReport, judged: bool) {
        let NotificationReport { integration, targets, reason, at, channel, text } = notice;
        let to: Vec<&str> =
            targets.iter().map(String::as_str).filter(|to| !to.is_empty()).collect();
        let to = if to.is_empty() { String::new() } else { format!(" to {}", to.join(", ")) };
        let when = if judged {
            "as a first notification".to_owned()
        } else {
            format!("{}, {}", self.when(*at), reason.as_str())
        };
        self.field(4, "message", &format!("{integration}{to}, {when}"));
        let lines = if *channel == "slack" { slack_lines(text) } else { lines(text) };
        for line in lines.iter().take(MESSAGE_LINES_MAX) {
            self.line(4, &format!("│ {}", truncate(line, VALUE_CHARS_MAX)));
        }
        let more = lines.len().saturating_sub(MESSAGE_LINES_MAX);
        if more > 0 {
            self.line(4, &format!("│ … {}", count(more, "more line", "more lines")));
        }
    }
}
