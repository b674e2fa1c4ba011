//! What the engine remembers of series' pasts: their histories, when it was not ready, and how far what was stored
//! before a rule was there has been taken in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::counts::less;
use super::seen::SeenValues;
use crate::alerts::Fingerprint;
use crate::engine::timers::SeriesKey;
use crate::event::Event;
use crate::rules::usual::{Changed, History, OpenHours, Outages, Past, WEEKS_MAX};
use crate::rules::{CallContext, Memory, NewValue, RuleRef};
use crate::store::{Row, Space};

/// How long a rule has to know what happens before it calls anything new, unless it asks of a shorter time.
const LEARNED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Row of the times in which the engine was not ready.
const OUTAGES: &str = "usual/outages";
/// Before the rule in the key of a row that says how far its fill is.
const FILL: &str = "usual/fill/";

/// The pasts of all series whose rules look at what is usual.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct Pasts {
    histories: BTreeMap<SeriesKey, History>,
    /// How many of them each rule has.
    by_rule: HashMap<Arc<str>, usize>,
    fills: BTreeMap<Arc<str>, Fill>,
    /// What rules have seen that ask whether something is new.
    seen: BTreeMap<Arc<str>, SeenValues>,
    outages: Outages,
    touched: BTreeSet<Touched>,
}

/// How far what was stored before a rule was there has been taken into its histories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Fill {
    /// See [`RuleRef::usual_digest`]: when that changes, histories begin anew.
    digest: String,
    /// The last event that was taken in.
    pub(in crate::engine) after: i64,
    /// The last one to take in; what came later was judged by the rule.
    until: i64,
    /// Since when the rule knows what happens.
    since: Timestamp,
}

impl Fill {
    fn is_done(&self) -> bool {
        self.after >= self.until
    }
}

/// A row that changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    From(SeriesKey),
    Week(SeriesKey, i64),
    Fill(Arc<str>),
    Seen(Arc<str>, u64),
    Outages,
}

impl Pasts {
    /// The past of a series that is about to be judged; it begins now, where there is room. `None` where the rule does not
    /// look at what is usual.
    pub(in crate::engine) fn of(
        &mut self,
        key: &SeriesKey,
        of: RuleRef<'_>,
        at: Timestamp,
    ) -> Option<Past<'_>> {
        let terms = of.usual_terms()?;
        if !self.histories.contains_key(key) {
            self.begin(key, History::beginning(terms, at), of.max_series())?;
        }
        let is_whole = self.fills.get(&key.0).is_none_or(Fill::is_done);
        Some(Past::new(self.histories.get_mut(key)?, &self.outages, is_whole))
    }

    /// Begins a history, where the rule has room for one more, or one of last week to give up for it.
    fn begin(&mut self, key: &SeriesKey, history: History, max: usize) -> Option<()> {
        if self.by_rule.get(&key.0).copied().unwrap_or(0) >= max {
            let current = history.newest();
            let oldest = self
                .histories_of(&key.0)
                .map(|(key, history)| (history.newest(), key))
                .min()
                .filter(|(newest, _)| *newest < current)
                .map(|(_, key)| key.clone());
            self.forget(&oldest?);
        }
        *self.by_rule.entry(Arc::clone(&key.0)).or_default() += 1;
        self.histories.insert(key.clone(), history);
        self.touched.insert(Touched::From(key.clone()));
        Some(())
    }

    fn histories_of(&self, rule: &Arc<str>) -> impl Iterator<Item = (&SeriesKey, &History)> {
        let first = (Arc::clone(rule), Fingerprint::from(String::new()));
        let rule = Arc::clone(rule);
        self.histories.range(first..).take_while(move |(key, _)| key.0 == rule)
    }

    /// Notes what changed in a history.
    pub(in crate::engine) fn note(&mut self, key: &SeriesKey, changed: Option<Changed>) {
        let Some(Changed { weeks, from }) = changed else { return };
        self.touched.extend(weeks.into_iter().map(|week| Touched::Week(key.clone(), week)));
        self.touched.extend(from.then(|| Touched::From(key.clone())));
    }

    /// Whether something is known of a series' last weeks.
    pub(in crate::engine) fn is_alive(
        &self,
        key: &SeriesKey,
        of: RuleRef<'_>,
        at: Timestamp,
    ) -> bool {
        let Some(terms) = of.usual_terms() else { return false };
        let history = self.histories.get(key);
        let weeks = i64::from(WEEKS_MAX) * 168;
        history.is_some_and(|history| {
            history.newest() + weeks > History::beginning(terms, at).newest()
        })
    }

    /// Keeps the hours under way of a series that is about to be forgotten.
    pub(in crate::engine) fn close(
        &mut self,
        key: &SeriesKey,
        of: RuleRef<'_>,
        hours: &mut OpenHours,
    ) {
        let (Some(terms), Some(history)) = (of.usual_terms(), self.histories.get_mut(key)) else {
            return;
        };
        let mut past = Past::new(history, &self.outages, true);
        past.close_all(terms, hours);
        let changed = past.into_changed();
        self.note(key, Some(changed));
    }

    /// Forgets a history.
    pub(in crate::engine) fn forget(&mut self, key: &SeriesKey) {
        let Some(history) = self.histories.remove(key) else { return };
        less(&mut self.by_rule, &key.0);
        self.touched.extend(history.weeks().map(|week| Touched::Week(key.clone(), week)));
        self.touched.insert(Touched::From(key.clone()));
    }

    /// Notes that the engine was not ready.
    pub(in crate::engine) fn note_outage(&mut self, from: Timestamp, until: Timestamp) {
        if self.outages.note(from, until) {
            self.touched.insert(Touched::Outages);
            self.histories.values_mut().for_each(History::forget_computed);
        }
    }

    /// Fits the histories to rules that may be new: those whose data means something else now begin anew, by what is
    /// stored up to `cursor`.
    pub(in crate::engine) fn apply<'r>(
        &mut self,
        rules: impl Iterator<Item = RuleRef<'r>>,
        cursor: i64,
        now: Timestamp,
    ) {
        let digests: BTreeMap<Arc<str>, String> = rules
            .filter(|of| of.usual_terms().is_some() || of.remembers())
            .map(|of| (Arc::clone(of.name()), of.usual_digest()))
            .collect();
        let stays = |fills: &BTreeMap<Arc<str>, Fill>, rule: &Arc<str>| {
            digests
                .get(rule)
                .is_some_and(|digest| fills.get(rule).is_some_and(|it| it.digest == *digest))
        };
        let gone: Vec<SeriesKey> =
            self.histories.keys().filter(|key| !stays(&self.fills, &key.0)).cloned().collect();
        for key in &gone {
            self.forget(key);
        }
        let removed: Vec<Arc<str>> =
            self.fills.keys().filter(|rule| !stays(&self.fills, rule)).cloned().collect();
        for rule in removed {
            self.fills.remove(&rule);
            let seen = self.seen.remove(&rule).unwrap_or_default();
            self.touched.extend(seen.hashes().map(|hash| Touched::Seen(Arc::clone(&rule), hash)));
            self.touched.insert(Touched::Fill(rule));
        }
        for (rule, digest) in digests {
            if !self.fills.contains_key(&rule) {
                self.touched.insert(Touched::Fill(Arc::clone(&rule)));
                self.fills.insert(rule, Fill { digest, after: 0, until: cursor, since: now });
            }
        }
    }

    /// After which event the next to be taken in by a rule that is new stands.
    pub(in crate::engine) fn fill_after(&self) -> Option<i64> {
        let open = self.fills.values().filter(|fill| !fill.is_done());
        open.map(|fill| fill.after).min()
    }

    /// Notes the values of an event that a rule asks of whether they are new.
    pub(in crate::engine) fn see(
        &mut self,
        of: RuleRef<'_>,
        event: &Event,
        call: Option<&CallContext>,
    ) {
        let rule = of.name();
        for (site, value) in of.news(event, call) {
            let hash = NewValue { site, account: &event.account, value: &value }.hash();
            let seen = self.seen.entry(Arc::clone(rule)).or_default();
            let changed = seen.see(hash, event.received_at.as_second());
            self.touched
                .extend(changed.into_iter().map(|hash| Touched::Seen(Arc::clone(rule), hash)));
        }
    }

    /// Notes that a rule knows what happened from this time on.
    pub(in crate::engine) fn knows_since(&mut self, rule: &Arc<str>, at: Timestamp) {
        if let Some(fill) = self.fills.get_mut(rule).filter(|fill| at < fill.since) {
            fill.since = at;
            self.touched.insert(Touched::Fill(Arc::clone(rule)));
        }
    }

    /// Whether a rule is yet to take in this event.
    pub(in crate::engine) fn is_to_fill(&self, rule: &Arc<str>, seq: i64) -> bool {
        self.fills.get(rule).is_some_and(|fill| fill.after < seq && seq <= fill.until)
    }

    /// Notes that all events up to this one were taken in; without one, that there are no more.
    pub(in crate::engine) fn filled(&mut self, up_to: Option<i64>) {
        for (rule, fill) in &mut self.fills {
            let after = up_to.unwrap_or(fill.until).min(fill.until);
            if !fill.is_done() && after > fill.after {
                fill.after = after;
                self.touched.insert(Touched::Fill(Arc::clone(rule)));
            }
        }
    }

    /// The rows that changed, as they are now.
    pub(in crate::engine) fn changed_rows(&mut self) -> Vec<Row> {
        let row = |space, key, value| Row { space, key, value };
        let touched = std::mem::take(&mut self.touched).into_iter();
        let rows = touched.map(|touched| match touched {
            Touched::From(key) => {
                let from = self.histories.get(&key).map(History::stored_from);
                row(Space::Usual, head_key(&key), from.map(|from| from.to_string().into_bytes()))
            }
            Touched::Week(key, week) => {
                let history = self.histories.get(&key);
                let bytes = history.and_then(|history| history.stored_week(week));
                let key = format!("{}\n{week}", head_key(&key));
                row(Space::Usual, key, bytes.map(<[u8]>::to_vec))
            }
            Touched::Fill(rule) => {
                let fill = self.fills.get(&rule).map(json);
                row(Space::Engine, format!("{FILL}{rule}"), fill)
            }
            Touched::Seen(rule, hash) => {
                let last = self.seen.get(&rule).and_then(|seen| seen.last(hash));
                let value = last.map(|second| second.to_string().into_bytes());
                row(Space::Seen, format!("{rule}\n{hash:016x}"), value)
            }
            Touched::Outages => row(Space::Engine, OUTAGES.to_owned(), Some(json(&self.outages))),
        });
        rows.collect()
    }

    /// Takes a row that was kept; `false` where it is none of these.
    pub(in crate::engine) fn take(&mut self, row: &Row) -> Result<bool, serde_json::Error> {
        let value = row.value.as_deref().unwrap_or_default();
        if row.space == Space::Engine {
            if row.key == OUTAGES {
                self.outages = serde_json::from_slice(value)?;
            } else if let Some(rule) = row.key.strip_prefix(FILL) {
                self.fills.insert(rule.into(), serde_json::from_slice(value)?);
            } else {
                return Ok(false);
            }
            return Ok(true);
        }
        if row.space == Space::Seen {
            let (rule, digits) = row.key.rsplit_once('\n').unwrap_or_default();
            let hash = u64::from_str_radix(digits, 16);
            let hash =
                hash.map_err(|_no_hex| serde::de::Error::custom("its key is none of a value"))?;
            self.seen.entry(rule.into()).or_default().resume(hash, serde_json::from_slice(value)?);
            return Ok(true);
        }
        let mut parts = row.key.split('\n');
        let (Some(rule), Some(digits)) = (parts.next(), parts.next()) else {
            return Err(serde::de::Error::custom("its key is none of a history"));
        };
        // One text for all histories of a rule.
        let shared = self.by_rule.get_key_value(rule).map(|(rule, _)| Arc::clone(rule));
        let key = (shared.unwrap_or_else(|| rule.into()), Fingerprint::from(digits.to_owned()));
        if !self.histories.contains_key(&key) {
            *self.by_rule.entry(Arc::clone(&key.0)).or_default() += 1;
        }
        let history = self.histories.entry(key).or_insert_with(|| History::resume(i64::MAX));
        match parts.next() {
            None => history.set_from(serde_json::from_slice(value)?),
            Some(week) => {
                let number = week.parse().ok();
                if !number.is_some_and(|number| history.resume_week(number, value)) {
                    return Err(serde::de::Error::custom("not a week of a history"));
                }
            }
        }
        Ok(true)
    }

    /// What is known of all series' pasts, to be compared.
    #[cfg(test)]
    pub(in crate::engine) fn known(&self) -> impl Iterator<Item = (&SeriesKey, &History)> {
        self.histories.iter()
    }
}

impl Memory for Pasts {
    fn is_new(
        &self,
        rule: &str,
        value: &NewValue<'_>,
        within: SignedDuration,
        at: Timestamp,
    ) -> bool {
        let Some(fill) = self.fills.get(rule).filter(|fill| fill.is_done()) else { return false };
        if at.duration_since(fill.since) < within.min(LEARNED_FOR) {
            return false;
        }
        let last = self.seen.get(rule).and_then(|seen| seen.last(value.hash()));
        last.is_none_or(|last| at.as_second() - last > within.as_secs())
    }
}

fn head_key((rule, fingerprint): &SeriesKey) -> String {
    format!("{rule}\n{fingerprint}")
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Plain data with text keys: there is nothing that cannot be written.
    serde_json::to_vec(value).unwrap_or_default()
}
