//! The charts that a notification carries: how the balance went, what was spent today.
//!
//! Which there are is said by the message alone, and so is the time of which they are: that of the last thing that the
//! message speaks of. So an attempt that repeats the same content under the same key carries the same picture: of readings
//! to the byte, since none is added before that time later; of charges, which may be booked late, while the process
//! runs, by what is remembered. A chart is beside the point of a notification: what cannot be read and drawn within
//! [`TIME_MAX`] is left out, for this content on each attempt.

mod balance;
mod spend;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::alerts::{Message, MessageAlert, Status};
use crate::chart::Picture;
use crate::clock;
use crate::rules;
use crate::store::{SpendFilter, Store, StoreError};

/// Time that the charts of one notification may take together.
const TIME_MAX: Duration = Duration::from_secs(1);
/// Charts of one notification at most.
const CHARTS_MAX: usize = 2;
/// Pictures that an integration remembers at most, for repeated attempts and for further recipients.
const REMEMBERED_MAX: usize = 32;

/// What a chart is of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    /// The balance of an account.
    Balance(String),
    /// What was spent.
    Spend(SpendFilter),
}

/// A chart by what decides it: its subject and its time.
type Key = (Subject, Timestamp);

/// The charts of one integration.
#[derive(Debug, Default)]
pub(super) struct Charts {
    /// Those drawn last, oldest first; `None` of one that was left out.
    remembered: Mutex<VecDeque<(Key, Option<Picture>)>>,
}

impl Charts {
    /// The charts of a message; those that can be had.
    pub(super) async fn of(&self, store: &Store, message: &Message) -> Vec<Picture> {
        let until = Instant::now() + TIME_MAX;
        let at = time_of(message);
        let mut pictures = Vec::new();
        for subject in subjects(message) {
            let key = (subject, at);
            let known = self.lock().iter().find(|(known, _)| *known == key).cloned();
            let picture = match known {
                Some((_, picture)) => picture,
                None => self.drawn(store, key, until).await,
            };
            pictures.extend(picture);
        }
        pictures
    }

    async fn drawn(&self, store: &Store, key: Key, until: Instant) -> Option<Picture> {
        let picture = within(until, draw(store, key.clone())).await;
        let mut remembered = self.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.pop_front();
        }
        remembered.push_back((key, picture.clone()));
        picture
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Key, Option<Picture>)>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is drawn by then.
async fn within(
    until: Instant,
    drawing: impl Future<Output = Result<Option<Picture>, StoreError>>,
) -> Option<Picture> {
    match timeout_at(until, drawing).await {
        Ok(Ok(picture)) => picture,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a chart could not be read; the notification goes without it");
            None
        }
        Err(_elapsed) => {
            tracing::warn!("a chart took too long; the notification goes without it");
            None
        }
    }
}

/// Reads and draws; beside the workers, since a picture takes some milliseconds.
async fn draw(store: &Store, (subject, at): Key) -> Result<Option<Picture>, StoreError> {
    let behind = clock::add(at, Duration::from_micros(1));
    let drawing = match subject {
        Subject::Balance(account) => {
            let since = clock::sub(at, balance::BACK_MAX);
            let readings = store.balances(&account, since, Some(behind), balance::STEP).await?;
            tokio::task::spawn_blocking(move || balance::line(&readings, at)?.picture())
        }
        Subject::Spend(filter) => {
            let from = spend::begins(at);
            let spent = store.spent_by_hour(&filter, from, behind).await?;
            let mut weeks = Vec::new();
            for [from, to] in spend::weeks(from) {
                weeks.push(store.spent_by_hour(&filter, from, to).await?);
            }
            tokio::task::spawn_blocking(move || {
                spend::hours(&filter, &spent, &weeks, at)?.picture()
            })
        }
    };
    Ok(drawing.await.unwrap_or_else(|_panicked| {
        tracing::error!("a chart could not be drawn; the notification goes without it");
        None
    }))
}

/// What the charts of a message are of, in the order of its alerts.
fn subjects(message: &Message) -> Vec<Subject> {
    let mut subjects: Vec<Subject> = Vec::new();
    for subject in message.alerts.iter().filter_map(subject) {
        if subjects.len() < CHARTS_MAX && !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    subjects
}

/// The balance, of alerts about readings of it; what was spent, of alerts over amounts that charges add up to.
fn subject(alert: &MessageAlert) -> Option<Subject> {
    let text = |name: &str| alert.event.get(name)?.as_str();
    let account = alert.labels.get("account").map(String::as_str).or(text("account"))?.to_owned();
    match text("kind")? {
        "account.balance" => Some(Subject::Balance(account)),
        kind if rules::books(kind) && alert.value.is_some() => {
            let currency = alert.labels.get("currency")?.clone();
            let product = alert.labels.get("product").filter(|of| text("product") == Some(of));
            Some(Subject::Spend(SpendFilter { account, currency, product: product.cloned() }))
        }
        _ => None,
    }
}

/// The time of the last thing that a message speaks of: the same as long as its content is.
fn time_of(message: &Message) -> Timestamp {
    let of_alert = |alert: &MessageAlert| {
        let event = alert.event.get("received_at").and_then(|at| at.as_str()?.parse().ok());
        let end = alert.ends_at.filter(|_| alert.status == Status::Resolved);
        [Some(alert.starts_at), event, end].into_iter().flatten().max()
    };
    message.alerts.iter().filter_map(of_alert).fold(message.created_at, Timestamp::max)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::alerts::{Fingerprint, Reason};
    use crate::rules::Labels;

    const TIME: &str = "2026-11-30T10:42:07Z";

    fn alert(labels: &[(&str, &str)], value: Option<i64>, event: Value) -> MessageAlert {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let labels: Labels = labels.collect();
        MessageAlert {
            fingerprint: Fingerprint::of(&labels),
            status: Status::Firing,
            expired: false,
            no_data: false,
            missed: false,
            unheard: false,
            value: value.map(Into::into),
            usual: None,
            labels,
            annotations: Labels::new(),
            starts_at: TIME.parse().expect("time"),
            ends_at: None,
            event,
        }
    }

    fn message(alerts: Vec<MessageAlert>) -> Message {
        Message {
            receiver: "ops".to_owned(),
            status: Status::Firing,
            reason: Reason::First,
            reopens: false,
            group_key: String::new(),
            group_labels: Labels::new(),
            common_labels: Labels::new(),
            common_annotations: Labels::new(),
            alerts,
            truncated_alerts: 0,
            external_url: String::new(),
            created_at: TIME.parse().expect("time"),
            fallback_for: None,
        }
    }

    #[test]
    fn the_message_says_what_there_is_to_draw() {
        let labels = [("account", "prod"), ("currency", "USD"), ("product", "voice")];
        let of = |value, event: Value| subject(&alert(&labels, value, event));
        assert_eq!(
            of(Some(7), json!({"kind": "account.balance"})),
            Some(Subject::Balance("prod".to_owned()))
        );
        let spend = |product: Option<&str>| {
            let (account, currency) = ("prod".to_owned(), "USD".to_owned());
            Some(Subject::Spend(SpendFilter {
                account,
                currency,
                product: product.map(str::to_owned),
            }))
        };
        assert_eq!(
            of(Some(7), json!({"kind": "call.cost", "product": "voice"})),
            spend(Some("voice"))
        );
        // A label of the rule's own.
        assert_eq!(of(Some(7), json!({"kind": "call.cost", "product": "ai"})), spend(None));
        for (value, event) in [
            (None, json!({"kind": "call.cost"})),
            (Some(7), json!({"kind": "call.hangup"})),
            (Some(7), json!({"kind": 7})),
            (Some(7), Value::Null),
        ] {
            assert_eq!(of(value, event), None);
        }
        let count = alert(&[("account", "prod")], Some(7), json!({"kind": "call.cost"}));
        assert_eq!(subject(&count), None, "a count has no currency");
    }

    #[tokio::test]
    async fn what_takes_too_long_or_fails_is_left_out() {
        assert_eq!(within(Instant::now(), std::future::pending()).await, None);
        let later = Instant::now() + TIME_MAX;
        assert_eq!(within(later, async { Err(StoreError::Closed) }).await, None);
    }

    #[test]
    fn each_is_drawn_once_and_few_are() {
        let of = |account: &str| {
            alert(&[("account", account)], Some(1), json!({"kind": "account.balance"}))
        };
        let all = ["a", "a", "b", "c"].map(of).to_vec();
        let [one, other] = ["a", "b"].map(|account| Subject::Balance(account.to_owned()));
        assert_eq!(subjects(&message(all)), [one, other]);
    }

    #[test]
    fn the_time_is_that_of_the_last_thing_that_is_said() {
        let later = |event: Value| {
            let mut one = alert(&[], Some(1), event);
            one.ends_at = "2026-11-30T12:00:00Z".parse().ok();
            one
        };
        let of = |alert: MessageAlert| time_of(&message(vec![alert])).to_string();
        assert_eq!(of(later(Value::Null)), TIME, "it will end then, and has not");
        assert_eq!(
            of(later(json!({"received_at": "2026-11-30T11:00:00Z"}))),
            "2026-11-30T11:00:00Z"
        );
        let over = MessageAlert { status: Status::Resolved, ..later(Value::Null) };
        assert_eq!(of(over), "2026-11-30T12:00:00Z");
    }
}
