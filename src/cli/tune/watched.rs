//! A rule that is looked at: its series as they would have been, and what its file says.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::levels::{Levels, Side};
use crate::alerts::Fingerprint;
use crate::event::Event;
use crate::rules::{self, CallContext, RuleRef, Series, Shape, Threshold};

/// A gauge or window rule and what it had.
pub(super) struct Watched<'r> {
    of: RuleRef<'r>,
    shape: &'r Shape,
    /// As written.
    pub(super) fire: &'r str,
    /// Which side fires; above, where no number says it.
    pub(super) side: Side,
    /// The number with which `value` is compared.
    pub(super) threshold: Option<Decimal>,
    /// Where the comparison with it stands in what is written.
    compared: Option<Range<usize>>,
    pub(super) levels: Levels,
    series: BTreeMap<Fingerprint, (usize, Series)>,
    /// When each of them is to be judged again.
    due: BTreeSet<(Timestamp, Fingerprint)>,
}

impl<'r> Watched<'r> {
    /// Of a gauge or window rule.
    pub(super) fn new(of: RuleRef<'r>) -> Option<Self> {
        let shape = of.shape().filter(|shape| !matches!(shape, Shape::Absence { .. }))?;
        let (fire, _) = of.fire()?;
        let found = rules::threshold(fire);
        let is_below = match &found {
            Some(Threshold { operator, .. }) => operator.starts_with('<'),
            None => rules::is_below(fire),
        };
        Some(Self {
            of,
            shape,
            fire,
            side: if is_below { Side::Below } else { Side::Above },
            threshold: found.as_ref().map(|found| found.value),
            compared: found.map(|found| found.place),
            levels: Levels::default(),
            series: BTreeMap::new(),
            due: BTreeSet::new(),
        })
    }

    /// `group/alert`.
    pub(super) fn name(&self) -> &Arc<str> {
        self.of.name()
    }

    /// Label sets that there were.
    pub(super) fn series(&self) -> usize {
        self.series.len()
    }

    /// Takes an event of a kind that the rule names. Label sets beyond the rule's limit are left out.
    pub(super) fn take(&mut self, event: &Event, call: Option<&CallContext>) {
        let now = event.received_at;
        self.pass(now);
        let Some(observation) = self.of.observation(event, call) else { return };
        let key = Fingerprint::of(&observation.labels);
        let number = self.series.len();
        if number >= self.of.max_series() && !self.series.contains_key(&key) {
            return;
        }
        let (_, series) = self.series.entry(key.clone()).or_insert_with(|| {
            let labels = (&*observation.labels).into();
            (number, Series::new(self.of.name(), self.of.digest(), labels, self.shape, now))
        });
        self.of.observe(series, None, &observation, now);
        self.note(&key, now);
    }

    /// Lets the time pass: windows lose what has left them.
    pub(super) fn pass(&mut self, until: Timestamp) {
        while let Some((at, key)) = self.due.first().filter(|(at, _)| *at <= until).cloned() {
            self.due.pop_first();
            if let Some((_, series)) = self.series.get_mut(&key) {
                self.of.tick(series, None, true, at);
            }
            self.note(&key, at);
        }
    }

    fn note(&mut self, key: &Fingerprint, at: Timestamp) {
        let Some((number, series)) = self.series.get(key) else { return };
        if let Some(value) = series.value {
            self.levels.take(self.side, *number, at, value);
        }
        self.due.retain(|(_, known)| known != key);
        if let Some(next) = self.of.deadline(series).filter(|next| *next > at) {
            self.due.insert((next, key.clone()));
        }
    }

    /// What to change in the rule's file for another threshold; `None` where the number does not stand on one line.
    pub(super) fn patch(&self, threshold: Decimal) -> Option<String> {
        let (_, place) = self.of.fire()?;
        let text = std::fs::read_to_string(&*place.file).ok()?;
        let first = usize::try_from(place.line).ok()?.checked_sub(1)?;
        let written =
            if threshold.scale() == 0 { format!("{threshold}.0") } else { threshold.to_string() };
        let (own, changed) = spliced(self.fire, self.compared.clone()?, &written)?;
        // Its own line, and not that of a rule further down.
        let (n, line) =
            text.lines().enumerate().skip(first).find(|(_, line)| line.contains(own))?;
        let changed = line.replacen(own, &changed, 1);
        let (file, n) = (&place.file, n + 1);
        Some(format!("--- {file}\n+++ {file}\n@@ -{n} +{n} @@\n-{line}\n+{changed}"))
    }
}

/// The line of an expression that holds a comparison, as it is and with another number; `None` where it stands on several.
fn spliced<'f>(fire: &'f str, compared: Range<usize>, number: &str) -> Option<(&'f str, String)> {
    let begin = fire.get(..compared.start)?.rfind('\n').map_or(0, |at| at + 1);
    let end = fire.get(compared.end..)?.find('\n').map_or(fire.len(), |at| compared.end + at);
    let (before, after) = (fire.get(begin..compared.start)?, fire.get(compared.end..end)?);
    let term = fire.get(compared).filter(|term| !term.contains('\n'))?;
    let term = term.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let own = fire.get(begin..end)?;
    Some((own.trim(), format!("{before}{term}{number}{after}").trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_that_is_compared_is_exchanged_and_no_other() {
        for (fire, want) in [
            ("value > 50.0", "value > 7.0"),
            ("value > 50.0 * usual && value > 5", "value > 50.0 * usual && value > 7.0"),
            ("my_value > 3.0 && value > 3.0", "my_value > 3.0 && value > 7.0"),
            ("count >= 3\n  && value<5.0", "&& value<7.0"),
        ] {
            let place = rules::threshold(fire).expect("there is one").place;
            let (own, changed) = spliced(fire, place, "7.0").expect("on one line");
            assert!(fire.contains(own), "{own}");
            assert_eq!(changed, want);
        }
        assert_eq!(spliced("value >\n5.0", 0..11, "7.0"), None);
    }
}
