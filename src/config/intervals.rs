//! The `time_intervals` section, and who uses which of them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::accounts::{NAME_CHARS_MAX, unique};
use super::diagnostics::{closest, quote};
use super::section::Section;
use super::words::{ConfigWords, IntervalWords, SpecWords, TimeRangeWords};
use crate::alerts::{
    DayRange, IntervalError, IntervalSpec, MonthRange, TimeInterval, TimeRange, WeekdayRange,
    YearRange,
};
use crate::diagnostic::{At, Diagnostic};

/// Time intervals at most.
const INTERVALS_MAX: usize = 1000;
/// The parts of a spec that narrow it.
const PARTS: [&str; 5] = ["times", "weekdays", "days_of_month", "months", "years"];

/// The time intervals, and which of them were asked for so far.
#[derive(Debug)]
pub(super) struct Intervals<'a> {
    sections: Vec<IntervalWords<'a>>,
    read: Vec<TimeInterval>,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Intervals<'a> {
    /// Reads `time_intervals`.
    pub(super) fn read(root: &ConfigWords<'a>) -> Self {
        let sections = root.time_intervals();
        if sections.len() > INTERVALS_MAX {
            root.error("time_intervals", format!("more than {INTERVALS_MAX} time intervals"));
        }
        unique(&sections, IntervalWords::name);
        let read = sections.iter().map(interval).collect();
        Self { sections, read, used: RefCell::default() }
    }

    /// Reads a list of names of time intervals. One that is not defined is reported; all count as used.
    pub(super) fn named(
        &self,
        section: &Section<'_>,
        key: &str,
        given: Vec<At<String>>,
    ) -> Vec<String> {
        let mut names = Vec::new();
        for (n, name) in given.into_iter().enumerate() {
            let known = || self.read.iter().map(|interval| interval.name.as_str());
            if !known().any(|known| known == name.value) {
                let message = format!("no time interval has the name {:?}", quote(&name.value));
                let path = format!("{}[{n}]", section.at(key));
                let diagnostic = Diagnostic::error(name.position, path, message);
                section.push(match closest(&name.value, known()) {
                    Some(meant) => diagnostic.hint(format!("did you mean {meant}?")),
                    None => diagnostic,
                });
            }
            self.used.borrow_mut().insert(name.value.clone());
            names.push(name.value);
        }
        names
    }

    /// The time intervals; those that nobody named are reported.
    pub(super) fn finish(self) -> Vec<TimeInterval> {
        let used = self.used.into_inner();
        for (section, interval) in self.sections.iter().zip(&self.read) {
            if !interval.name.is_empty() && !used.contains(&interval.name) {
                section.warning("name", "no route and no rule uses this time interval");
            }
        }
        self.read
    }
}

fn interval(section: &IntervalWords<'_>) -> TimeInterval {
    let name = section.name().map(|name| name.value);
    let fine = |name: &str| {
        (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && !name.contains(char::is_control)
    };
    if name.as_deref().is_some_and(|name| !fine(name)) {
        section.error("name", format!("expected 1 to {NAME_CHARS_MAX} characters"));
    }
    if section.is_empty("time_intervals") {
        section.error("time_intervals", "no hours and no days: it would never hold");
    }
    let specs = section.time_intervals().iter().map(spec).collect();
    TimeInterval { name: name.unwrap_or_default(), specs }
}

fn spec(section: &SpecWords<'_>) -> IntervalSpec {
    for part in PARTS.iter().filter(|part| section.is_empty(part)) {
        section.error(part, "an empty list: give a value, or remove the key");
    }
    if !section.has_any(&PARTS) {
        let message = "holds always: the time interval is no restriction";
        section.push(Diagnostic::warning(section.position.clone(), &*section.path, message));
    }
    let text = section.location();
    let location = IntervalSpec::location(&text.value)
        .map_err(|error| report(section, &text, section.at("location"), error))
        .ok();
    let of = IntervalSpec::default();
    IntervalSpec {
        times: section.times().iter().filter_map(time_range).collect(),
        weekdays: ranges(section, "weekdays", section.weekdays(), WeekdayRange::parse),
        days_of_month: ranges(section, "days_of_month", section.days_of_month(), DayRange::parse),
        months: ranges(section, "months", section.months(), MonthRange::parse),
        years: ranges(section, "years", section.years(), YearRange::parse),
        location: location.unwrap_or(of.location),
    }
}

fn time_range(section: &TimeRangeWords<'_>) -> Option<TimeRange> {
    let minute = |key: &str, text: Option<At<String>>| -> Option<u16> {
        let text = text?;
        let minute = TimeRange::minute(&text.value);
        minute.map_err(|error| report(section, &text, section.at(key), error)).ok()
    };
    let (start, end) =
        (minute("start_time", section.start_time()), minute("end_time", section.end_time()));
    let range = TimeRange::new(start?, end?);
    range.map_err(|error| section.error("end_time", error.message)).ok()
}

fn ranges<T>(
    section: &Section<'_>,
    key: &str,
    given: Vec<At<String>>,
    parse: impl Fn(&str) -> Result<T, IntervalError>,
) -> Vec<T> {
    let mut ranges = Vec::new();
    for (n, text) in given.into_iter().enumerate() {
        match parse(&text.value) {
            Ok(range) => ranges.push(range),
            Err(error) => report(section, &text, format!("{}[{n}]", section.at(key)), error),
        }
    }
    ranges
}

fn report(section: &Section<'_>, text: &At<String>, path: String, error: IntervalError) {
    section.push(Diagnostic::error(text.inside(1, error.column), path, error.message));
}
