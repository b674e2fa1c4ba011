//! Silences: alerts that match are not notified while one is active.
//!
//! Pure but for the random id of a new one. A silence that was in force is history: what would change that history
//! makes a new silence and ends the former, as in Alertmanager.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{MatchOp, Matcher};
use crate::clock;
use crate::rules::Labels;

/// Matchers of one silence at most.
pub const SILENCE_MATCHERS_MAX: usize = 32;
/// Longest matcher as written, in bytes.
pub const SILENCE_MATCHER_BYTES_MAX: usize = 2048;
/// Longest comment and longest author, in bytes.
pub const SILENCE_TEXT_BYTES_MAX: usize = 1024;
/// How far ahead a silence may end, in days: one that nobody remembers hides a problem.
pub const SILENCE_DAYS_MAX: u16 = 366;

/// A silence as it is kept. Never deleted before the retention: an expired one stays to be asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Identity, a random UUID: its first characters tell it apart.
    pub id: String,
    /// All must hold; at least one that negates, or that does not match the empty label set.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when, exclusive.
    pub ends_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A silence as somebody wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct SilenceDraft {
    /// See [`Silence::matchers`].
    pub matchers: Vec<Matcher>,
    /// From when; a time that is past counts as now.
    pub starts_at: Timestamp,
    /// Until when, exclusive.
    pub ends_at: Timestamp,
    /// Who makes it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// What a change of a silence made of it. Both are to be put into the store, `silence` first, so that nobody is notified
/// in between.
#[derive(Debug, Clone, PartialEq)]
pub struct SilenceUpdate {
    /// The silence as it is wanted: under the same id, or a new one.
    pub silence: Silence,
    /// The former silence, ended, when a new one stands in for it; `None` when it had ended before, too.
    pub ended: Option<Silence>,
}

/// Why a silence is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// No matchers, or only such as match what has no labels.
    #[error(
        "needs a matcher that an alert without labels does not satisfy: it would silence everything"
    )]
    MatchesAll,
    /// Too many matchers.
    #[error("more than {SILENCE_MATCHERS_MAX} matchers")]
    TooManyMatchers,
    /// A matcher is too long.
    #[error("a matcher is longer than {SILENCE_MATCHER_BYTES_MAX} bytes")]
    LongMatcher,
    /// It ends before it starts, or at once.
    #[error("it would end before it starts")]
    EndsBeforeStart,
    /// It would be over already.
    #[error("its end is past")]
    Over,
    /// It would last too long.
    #[error("it would end more than {SILENCE_DAYS_MAX} days from now")]
    TooFar,
    /// The author or the comment is too long.
    #[error("the {0} is longer than {SILENCE_TEXT_BYTES_MAX} bytes")]
    LongText(SilenceText),
}

/// What people write about a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SilenceText {
    /// [`Silence::created_by`].
    Author,
    /// [`Silence::comment`].
    Comment,
}

impl std::fmt::Display for SilenceText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Author => "author",
            Self::Comment => "comment",
        })
    }
}

/// Where a silence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SilenceState {
    /// Its time is to come.
    Pending,
    /// It holds.
    Active,
    /// Its time is over.
    Expired,
}

impl SilenceState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Active, Self::Expired];

    /// The word used in the store and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

impl Silence {
    /// Makes a silence, with a new id.
    pub fn new(draft: SilenceDraft, now: Timestamp) -> Result<Self, SilenceError> {
        let draft = draft.checked(now)?;
        Ok(Self {
            id: Uuid::new_v4().to_string(),
            matchers: draft.matchers,
            starts_at: draft.starts_at,
            ends_at: draft.ends_at,
            created_by: draft.created_by,
            comment: draft.comment,
            created_at: now,
            updated_at: now,
        })
    }

    /// Changes it. The id stays while the past does: a pending silence keeps it unless its matchers change or it is to
    /// start in the past, an active one also unless its start changes. Otherwise, and always once it has expired, a new silence is made of the draft.
    pub fn update(
        &self,
        draft: SilenceDraft,
        now: Timestamp,
    ) -> Result<SilenceUpdate, SilenceError> {
        let state = self.state(now);
        // To the second: whoever read it may have been shown no more.
        let same_start = draft.starts_at.as_second() == self.starts_at.as_second();
        let in_place = draft.matchers == self.matchers
            && match state {
                SilenceState::Pending => draft.starts_at >= now,
                SilenceState::Active => same_start,
                SilenceState::Expired => false,
            };
        if !in_place {
            let silence = Self::new(draft, now)?;
            return Ok(SilenceUpdate { silence, ended: self.expire(now) });
        }
        let draft = draft.checked(now)?;
        let starts_at =
            if state == SilenceState::Active { self.starts_at } else { draft.starts_at };
        let silence = Self {
            starts_at,
            ends_at: draft.ends_at,
            created_by: draft.created_by,
            comment: draft.comment,
            updated_at: now,
            ..self.clone()
        };
        Ok(SilenceUpdate { silence, ended: None })
    }

    /// Ends it now: an active one has been in force until now, a pending one never will be. `None` when it had expired.
    pub fn expire(&self, now: Timestamp) -> Option<Self> {
        let starts_at = match self.state(now) {
            SilenceState::Pending => now,
            SilenceState::Active => self.starts_at,
            SilenceState::Expired => return None,
        };
        Some(Self { starts_at, ends_at: now, updated_at: now, ..self.clone() })
    }

    /// It as a draft, to be changed.
    pub fn draft(&self) -> SilenceDraft {
        SilenceDraft {
            matchers: self.matchers.clone(),
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            created_by: self.created_by.clone(),
            comment: self.comment.clone(),
        }
    }

    /// Where it stands at a time.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        // The end first: one that was ended before it began has both in the same instant.
        if now >= self.ends_at {
            SilenceState::Expired
        } else if now < self.starts_at {
            SilenceState::Pending
        } else {
            SilenceState::Active
        }
    }

    /// Whether it keeps an alert with these labels quiet.
    pub fn silences(&self, labels: &Labels, now: Timestamp) -> bool {
        self.state(now) == SilenceState::Active && self.covers(labels)
    }

    /// Whether its matchers hold for these labels, whenever its time is.
    pub fn covers(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels))
    }
}

impl SilenceDraft {
    /// The draft within its bounds, not begun before now.
    fn checked(self, now: Timestamp) -> Result<Self, SilenceError> {
        if self.matchers.len() > SILENCE_MATCHERS_MAX {
            return Err(SilenceError::TooManyMatchers);
        }
        if self.matchers.iter().any(|one| one.to_string().len() > SILENCE_MATCHER_BYTES_MAX) {
            return Err(SilenceError::LongMatcher);
        }
        if self.matchers.iter().all(matches_nothing) {
            return Err(SilenceError::MatchesAll);
        }
        if self.ends_at <= self.starts_at {
            return Err(SilenceError::EndsBeforeStart);
        }
        if self.ends_at <= now {
            return Err(SilenceError::Over);
        }
        let limit = Duration::from_hours(u64::from(SILENCE_DAYS_MAX) * 24);
        if self.ends_at > clock::add(now, limit) {
            return Err(SilenceError::TooFar);
        }
        bounded(&self.created_by, SilenceText::Author)?;
        bounded(&self.comment, SilenceText::Comment)?;
        Ok(Self { starts_at: self.starts_at.max(now), ..self })
    }
}

/// Whether a matcher holds for what has no labels, as Alertmanager asks it: one that negates is meant.
fn matches_nothing(matcher: &Matcher) -> bool {
    let negates = matches!(matcher.op(), MatchOp::NotEqual | MatchOp::NotMatches);
    !negates && matcher.matches(&Labels::new())
}

fn bounded(text: &str, of: SilenceText) -> Result<(), SilenceError> {
    if text.len() > SILENCE_TEXT_BYTES_MAX { Err(SilenceError::LongText(of)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    type Change = Box<dyn Fn(&mut SilenceDraft)>;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    fn matchers(texts: &[&str]) -> Vec<Matcher> {
        texts.iter().map(|text| Matcher::parse(text).expect(text)).collect()
    }

    fn draft() -> SilenceDraft {
        SilenceDraft {
            matchers: matchers(&["alertname=LowBalance", "account!=test"]),
            starts_at: at(0),
            ends_at: at(2 * HOUR),
            created_by: "ada".to_owned(),
            comment: "paying".to_owned(),
        }
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_silence_holds_from_its_start_until_its_end() {
        let silence = Silence::new(SilenceDraft { starts_at: at(60), ..draft() }, at(0)).unwrap();
        let low = labels(&[("alertname", "LowBalance")]);
        for (seconds, state) in [
            (59, SilenceState::Pending),
            (60, SilenceState::Active),
            (2 * HOUR - 1, SilenceState::Active),
            (2 * HOUR, SilenceState::Expired),
        ] {
            let now = at(seconds);
            assert_eq!(silence.state(now), state, "{seconds}");
            assert_eq!(silence.silences(&low, now), state == SilenceState::Active, "{seconds}");
            assert!(silence.covers(&low));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for other in [
            labels(&[]),
            labels(&[("alertname", "Other")]),
            labels(&[("alertname", "LowBalance"), ("account", "test")]),
        ] {
            assert!(!silence.covers(&other), "{other:?}");
        }
    }

    #[test]
    fn a_draft_is_kept_within_its_bounds() {
        let many = |count: usize| matchers(&vec!["a=b"; count]);
        let long = |length: usize| "é".repeat(length / 2);
        let year = i64::from(SILENCE_DAYS_MAX) * 24 * HOUR;
        let cases: Vec<(Change, Result<(), SilenceError>)> = vec![
            (Box::new(|_| ()), Ok(())),
            (Box::new(|draft| draft.matchers = vec![]), Err(SilenceError::MatchesAll)),
            (
                Box::new(|draft| draft.matchers = matchers(&["a=\"\"", "c=~\".*\""])),
                Err(SilenceError::MatchesAll),
            ),
            (Box::new(|draft| draft.matchers = matchers(&["a!=\"\""])), Ok(())),
            (Box::new(|draft| draft.matchers = matchers(&["b!=x"])), Ok(())),
            (Box::new(move |draft| draft.matchers = many(32)), Ok(())),
            (Box::new(move |draft| draft.matchers = many(33)), Err(SilenceError::TooManyMatchers)),
            (
                Box::new(move |draft| draft.matchers = matchers(&[&format!("a={}", long(2048))])),
                Err(SilenceError::LongMatcher),
            ),
            (Box::new(|draft| draft.ends_at = at(0)), Err(SilenceError::EndsBeforeStart)),
            (
                Box::new(|draft| (draft.starts_at, draft.ends_at) = (at(-9), at(0))),
                Err(SilenceError::Over),
            ),
            (Box::new(move |draft| draft.ends_at = at(year)), Ok(())),
            (Box::new(move |draft| draft.ends_at = at(year + 1)), Err(SilenceError::TooFar)),
            (
                Box::new(|draft| {
                    (draft.starts_at, draft.ends_at) = (Timestamp::MIN, Timestamp::MAX);
                }),
                Err(SilenceError::TooFar),
            ),
            (Box::new(|draft| draft.created_by = String::new()), Ok(())),
            (Box::new(|draft| draft.comment = String::new()), Ok(())),
            (Box::new(move |draft| draft.comment = long(1024)), Ok(())),
            (
                Box::new(move |draft| draft.comment = long(1026)),
                Err(SilenceError::LongText(SilenceText::Comment)),
            ),
            (
                Box::new(move |draft| draft.created_by = long(1026)),
                Err(SilenceError::LongText(SilenceText::Author)),
            ),
        ];
        for (number, (change, want)) in cases.into_iter().enumerate() {
            let mut draft = draft();
            change(&mut draft);
            assert_eq!(Silence::new(draft, at(0)).map(drop), want, "case {number}");
        }
    }

    #[test]
    fn a_silence_never_begins_in_the_past_and_has_an_id_of_its_own() {
        let earlier = SilenceDraft { starts_at: at(-HOUR), comment: " why ".into(), ..draft() };
        let one = Silence::new(earlier.clone(), at(0)).unwrap();
        let two = Silence::new(earlier, at(0)).unwrap();
        assert_eq!((one.starts_at, one.created_at, one.updated_at), (at(0), at(0), at(0)));
        assert_eq!(one.comment, " why ", "as it was given");
        assert_ne!(one.id.get(..8), two.id.get(..8));
        let kept: Silence =
            serde_json::from_str(&serde_json::to_string(&one).unwrap()).expect("reads back");
        assert_eq!(kept, one);
    }

    #[test]
    fn the_id_stays_while_the_past_does() {
        let start = SilenceDraft { starts_at: at(60), ..draft() };
        let silence = Silence::new(start.clone(), at(0)).unwrap();
        let longer =
            SilenceDraft { ends_at: at(3 * HOUR), comment: "more".into(), ..start.clone() };
        let other = SilenceDraft { matchers: matchers(&["alertname=X"]), ..start.clone() };
        let moved = SilenceDraft { starts_at: at(70), ..start.clone() };
        let (pending, active, expired) = (at(30), at(90), at(2 * HOUR));
        for (change, now, same_id, ended) in [
            (&longer, pending, true, false),
            (&moved, pending, true, false),
            (&other, pending, false, true),
            (&longer, active, true, false),
            (&moved, active, false, true),
            (&other, active, false, true),
            (&longer, expired, false, false),
        ] {
            let update = silence.update(change.clone(), now).unwrap();
            assert_eq!(update.silence.id == silence.id, same_id, "{change:?} {now}");
            assert_eq!(update.ended.is_some(), ended, "{change:?} {now}");
            assert_eq!(update.silence.updated_at, now);
            assert_eq!(update.silence.ends_at, change.ends_at);
            assert_eq!(update.silence.comment, change.comment);
            assert_eq!(update.silence.matchers, change.matchers);
            if same_id {
                let starts_at = if now == active { silence.starts_at } else { change.starts_at };
                assert_eq!(update.silence.starts_at, starts_at);
                assert_eq!(update.silence.created_at, silence.created_at);
            } else {
                assert_eq!(update.silence.starts_at, change.starts_at.max(now));
                assert_eq!(update.silence.created_at, now);
            }
            if let Some(ended) = update.ended {
                assert_eq!((&ended.id, ended.state(now)), (&silence.id, SilenceState::Expired));
            }
        }
        // What is refused changes nothing, whichever way it would have gone.
        for now in [pending, active, expired] {
            let shorter = SilenceDraft { ends_at: now, ..start.clone() };
            silence.update(shorter, now).unwrap_err();
        }
    }

    #[test]
    fn an_ended_silence_tells_how_long_it_held() {
        let start = SilenceDraft { starts_at: at(60), ..draft() };
        let silence = Silence::new(start, at(0)).unwrap();
        for (seconds, want) in
            [(30, Some((30, 30))), (90, Some((60, 90))), (2 * HOUR, None), (3 * HOUR, None)]
        {
            let ended = silence.expire(at(seconds));
            let times = ended.as_ref().map(|ended| (ended.starts_at, ended.ends_at));
            assert_eq!(times, want.map(|(start, end)| (at(start), at(end))), "{seconds}");
            if let Some(ended) = ended {
                assert_eq!(ended.state(at(seconds)), SilenceState::Expired);
                assert_eq!(ended.updated_at, at(seconds));
                assert_eq!(ended.expire(at(seconds)), None);
            }
        }
    }
}
