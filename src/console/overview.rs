//! The first page: what fires, how long the balance lasts, what was spent, whether everybody can be reached.

use actix_web::HttpResponse;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rust_decimal::Decimal;
use serde::Serialize;

use super::balances::{self, AccountView, BACK, STEP};
use super::page::{Page, State};
use super::receivers;
use super::situation::{AlertRow, EndedRow, Situation, ended_row};
use super::visit::{Trouble, Visit, show};
use super::words::{count_text, number_text, span_text};
use crate::api::{Reached, ReceiverHealth, Verdict};
use crate::chart::amount_text;
use crate::clock;
use crate::spend::{self, By};
use crate::store::{AlertFilter, DeliveryState, Reading, Spent, Stats};

/// Alerts that are shown here at most.
const ALERTS_MAX: usize = 20;
/// Accounts whose balance is drawn at most.
const ACCOUNTS_MAX: usize = 20;

#[derive(Debug, Serialize)]
struct View {
    answer: String,
    beside: String,
    alerts_words: String,
    alerts: Vec<AlertRow>,
    last_alert: Option<EndedRow>,
    accounts: Vec<AccountView>,
    spend: Vec<SpendRow>,
    spend_words: String,
    well: Vec<Line>,
}

/// What an account spent today.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct SpendRow {
    account: String,
    amount: String,
    usual: String,
    factor: String,
}

/// Something that can be well or not.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    path: String,
    state: State,
    detail: String,
}

/// `GET /`
pub(super) async fn get(visit: Visit) -> Result<HttpResponse, Trouble> {
    let store = visit.store();
    let now = visit.now();
    let situation = Situation::of(&visit).await?;
    let reached = Reached::of(store, now).await?;
    let mut health = Vec::new();
    for receiver in situation.policy.receivers.values() {
        health.push((receiver.name.as_str(), reached.receiver(store, receiver).await?));
    }
    let last = store.last_readings().await?;
    let names = visit.accounts();
    let mut accounts = Vec::new();
    for name in names.iter().take(ACCOUNTS_MAX) {
        let readings = store.balances(name, clock::sub(now, BACK), None, STEP).await?;
        let last = last.iter().find(|reading: &&Reading| reading.account == *name);
        accounts.push(balances::account(name, &readings, last, &situation.policy, now));
    }
    let (spend, spend_words) = spent_today(&visit).await?;
    let quiet = situation.quiet_count();
    let firing = situation.alerts.len();
    let last_alert = if firing == 0 { last_ended(&visit).await? } else { None };
    let rows = situation.alerts.iter().map(|alert| situation.row(alert));
    let mut alerts: Vec<AlertRow> = rows.collect();
    alerts.sort_by_key(|row| row.quiet);
    alerts.truncate(ALERTS_MAX);
    let well = well(reached.stats(), &health, now);
    let unused = health.iter().any(|(_, health)| health.verdict() == Verdict::Unused);
    let view = View {
        answer: answer(firing, quiet, &accounts),
        beside: beside(&well, unused),
        alerts_words: alerts_words(firing, quiet),
        alerts,
        last_alert,
        accounts,
        spend,
        spend_words,
        well,
    };
    let page = Page::new(&visit, reached.stats(), "/", view.answer.clone()).live();
    show("overview.html", page, view)
}

fn answer(firing: usize, quiet: usize, accounts: &[AccountView]) -> String {
    let mut sentence = match (firing, firing - quiet.min(firing)) {
        (0, _) => "Nothing fires".to_owned(),
        (1, 1) => "1 alert fires".to_owned(),
        (_, 0) => format!("{} and kept quiet", count_text(firing, "alert fires", "alerts fire")),
        (_, loud) if loud == firing => count_text(firing, "alert fires", "alerts fire"),
        (_, loud) => format!("{loud} of {firing} alerts that fire are notified"),
    };
    // The one that ends first is what matters.
    let lasts: Vec<&str> =
        accounts.iter().filter_map(|account| account.sentence.as_deref()).take(3).collect();
    if !lasts.is_empty() {
        sentence.push_str("; ");
        sentence.push_str(&lasts.join(", "));
    }
    sentence
}

fn alerts_words(firing: usize, quiet: usize) -> String {
    match (firing, quiet) {
        (0, _) => "none fires".to_owned(),
        (firing, 0) => count_text(firing, "fires", "fire"),
        (firing, quiet) => {
            format!("{}, {quiet} kept quiet", count_text(firing, "fires", "fire"))
        }
    }
}

/// What is not well, in a sentence.
fn beside(well: &[Line], unused: bool) -> String {
    let ill: Vec<String> = well
        .iter()
        .filter(|line| matches!(line.state.tone, "critical" | "warning"))
        .map(|line| format!("{}: {}", line.name, line.state.word))
        .collect();
    match (ill.as_slice(), unused) {
        ([], false) => "Every receiver is reached, and every event is judged.".to_owned(),
        ([], true) => {
            "Every receiver that was sent something is reached, and every event is judged."
                .to_owned()
        }
        (ill, _) => ill.join(" · "),
    }
}

fn well(stats: &Stats, health: &[(&str, ReceiverHealth)], now: Timestamp) -> Vec<Line> {
    let mut lines = Vec::new();
    let lag = stats.oldest_waiting.map(|oldest| span_text(oldest, now));
    let long = stats.oldest_waiting.is_some_and(|oldest| now.duration_since(oldest).as_secs() > 30);
    lines.push(Line {
        name: "Judging".to_owned(),
        path: "/events".to_owned(),
        state: match (long, stats.inbox_lag_events) {
            (true, events) => {
                State::new("warning", "warning", format!("{} events wait", number_text(events)))
            }
            (false, _) => State::good("keeps up"),
        },
        detail: lag.filter(|_| long).map(|lag| format!("the oldest for {lag}")).unwrap_or_default(),
    });
    let dead = stats.deliveries_in(DeliveryState::Dead);
    lines.push(Line {
        name: "Dead letters".to_owned(),
        path: "/deliveries?state=dead".to_owned(),
        state: match dead {
            0 => State::good("none"),
            dead => State::new("critical", "dead", format!("{} dead", number_text(dead))),
        },
        detail: String::new(),
    });
    for (name, health) in health {
        let detail = match health.verdict() {
            Verdict::Paused(pause) => format!("by {}: {}", pause.who, pause.comment),
            Verdict::Ill(ill) => receivers::problem(ill, now),
            Verdict::Dead(_) | Verdict::Reached | Verdict::Unused => String::new(),
        };
        lines.push(Line {
            name: (*name).to_owned(),
            path: "/receivers".to_owned(),
            state: receivers::state(health),
            detail,
        });
    }
    lines
}

/// The alert that ended last.
async fn last_ended(visit: &Visit) -> Result<Option<EndedRow>, Trouble> {
    let filter = AlertFilter { firing_only: false, fingerprint: None, limit: 1 };
    let found = visit.store().alerts(filter).await?;
    let ended = found.iter().find(|alert| !alert.is_firing());
    Ok(ended.map(|alert| ended_row(alert, visit.now())))
}

/// What each account spent today, beside the median of the same weekdays before, by the same time.
async fn spent_today(visit: &Visit) -> Result<(Vec<SpendRow>, String), Trouble> {
    let (store, now) = (visit.store(), visit.now());
    let today = now.to_zoned(TimeZone::UTC).date();
    let sums = &visit.deps.sums;
    let spent = sums.of_day(store, today, By::Account, now).await?;
    let mut before = Vec::new();
    for week in 1..=spend::WEEKS {
        let Ok(day) = today.checked_sub(Span::new().weeks(week)) else { continue };
        before.push(sums.by_now(store, day, now).await?);
    }
    let before: Vec<&[Spent]> = before.iter().map(|day| day.as_slice()).collect();
    let rows = spend_rows(&spent, &before);
    let words = if rows.is_empty() {
        "Nothing was charged today."
    } else {
        "Usual: the median of the same weekday in the last 4 weeks, until this time of the day. Currencies are never added."
    };
    Ok((rows, words.to_owned()))
}

fn spend_rows(today: &[Spent], before: &[&[Spent]]) -> Vec<SpendRow> {
    let mut today: Vec<&Spent> = today.iter().collect();
    today.sort_by(|one, other| {
        (&one.account, &one.currency).cmp(&(&other.account, &other.currency))
    });
    let row = |spent: &Spent| {
        let same =
            |other: &&Spent| other.account == spent.account && other.currency == spent.currency;
        let amounts = before.iter().filter_map(|day| day.iter().find(same));
        let usual = spend::usual(amounts.map(|found| found.sum.amount).collect());
        let factor = usual.filter(|usual| *usual > Decimal::ZERO).map(|usual| {
            let percent = (spent.sum.amount * Decimal::ONE_HUNDRED / usual).round();
            format!("{} %", crate::chart::figure_text(percent))
        });
        SpendRow {
            account: spent.account.clone(),
            amount: amount_text(spent.sum.amount, &spent.currency),
            usual: usual.map_or_else(
                || "not known yet".to_owned(),
                |usual| amount_text(usual, &spent.currency),
            ),
            factor: factor.unwrap_or_default(),
        }
    };
    today.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spend::Sum;

    fn spent(account: &str, currency: &str, amount: &str) -> Spent {
        let amount = amount.parse().expect(amount);
        Spent {
            account: account.to_owned(),
            currency: currency.to_owned(),
            group: None,
            sum: Sum { charges: 1, amount },
        }
    }

    #[test]
    fn usual_is_the_median_of_the_weeks_and_currencies_stay_apart() {
        let today =
            [spent("b", "USD", "141.86"), spent("a", "GBP", "21.18"), spent("a", "USD", "1")];
        let weeks = [
            vec![spent("b", "USD", "70"), spent("a", "GBP", "20")],
            vec![spent("b", "USD", "90")],
            vec![spent("b", "USD", "1000")],
            vec![spent("b", "USD", "71.86")],
        ];
        let before: Vec<&[Spent]> = weeks.iter().map(Vec::as_slice).collect();
        let rows = spend_rows(&today, &before);
        let text: Vec<String> = rows
            .iter()
            .map(|row| format!("{} {} / {} {}", row.account, row.amount, row.usual, row.factor))
            .collect();
        assert_eq!(
            text,
            [
                "a 21.18 GBP / not known yet ",
                "a 1.00 USD / not known yet ",
                "b 141.86 USD / 80.93 USD 175 %"
            ]
        );
    }

    #[test]
    fn the_first_sentence_answers_the_page() {
        for (firing, quiet, want) in [
            (0, 0, "Nothing fires"),
            (1, 0, "1 alert fires"),
            (3, 0, "3 alerts fire"),
            (3, 1, "2 of 3 alerts that fire are notified"),
            (2, 2, "2 alerts fire and kept quiet"),
        ] {
            assert_eq!(answer(firing, quiet, &[]), want);
        }
    }
}
