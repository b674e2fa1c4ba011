//! Series of configured names: at zero from the first scrape on, and gone when the configuration has the name no more.

use std::collections::{BTreeSet, HashMap};
use std::sync::{MutexGuard, PoisonError};

use prometheus::core::{Collector as _, MetricVec, MetricVecBuilder};

use super::Metrics;
use crate::rules::SpendRow;

/// The configured names whose series exist at zero from the first scrape.
#[derive(Debug, Default)]
pub struct Names<'a> {
    /// Accounts.
    pub accounts: Vec<&'a str>,
    /// Those of them of which Telnyx's API is asked.
    pub asked: Vec<&'a str>,
    /// Rules as `group/alert`.
    pub rules: Vec<&'a str>,
    /// Alert names.
    pub alerts: Vec<&'a str>,
    /// Kind and receiver of each integration.
    pub integrations: Vec<(&'static str, &'a str)>,
    /// Why a webhook may be refused.
    pub refusals: &'a [&'static str],
    /// Hash of the configuration.
    pub config_hash: &'a str,
}

/// The names in force.
#[derive(Debug, Default)]
pub(super) struct Owned {
    accounts: BTreeSet<String>,
    pub(super) asked: BTreeSet<String>,
    rules: BTreeSet<String>,
    pub(super) alerts: BTreeSet<String>,
    receivers: BTreeSet<String>,
    config_hash: String,
}

impl Owned {
    fn of(names: &Names<'_>) -> Self {
        let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            accounts: own(&names.accounts),
            asked: own(&names.asked),
            rules: own(&names.rules),
            alerts: own(&names.alerts),
            receivers: names.integrations.iter().map(|(_, name)| (*name).to_owned()).collect(),
            config_hash: names.config_hash.to_owned(),
        }
    }
}

/// What became of a judgement; values of the `outcome` label.
const OUTCOMES: [&str; 7] =
    ["fired", "extended", "resolved", "no_match", "missing_field", "type", "other"];
/// Where an alert stands; values of the `state` label.
pub(super) const ALERT_STATES: [&str; 5] =
    ["firing", "resolved", "expired", "no_data", "rule_removed"];
/// What keeps an alert quiet; values of the `reason` label.
const SUPPRESSIONS: [&str; 4] = ["inhibited", "inactive", "muted", "silenced"];
/// Where a silence stands; values of the `state` label.
const SILENCE_STATES: [&str; 3] = ["pending", "active", "expired"];
/// Products whose events carry costs.
const CHARGED: [&str; 3] = ["voice", "messaging", "ai"];
/// The currency in which Telnyx publishes its prices; other ones have series from their first charge on.
const USUAL_CURRENCY: &str = "USD";

impl Metrics {
    /// The names on the page. Whoever takes series from it and puts others there holds this meanwhile, and so does a scrape.
    pub(super) fn names(&self) -> MutexGuard<'_, Owned> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The configured names, at the start and at each reload: series of new ones begin at zero, those of names that are
    /// gone are taken from the page.
    pub fn set_names(&self, names: &Names<'_>) {
        let owned = Owned::of(names);
        // Held to the end: no scrape sees half of it.
        let mut known = self.names();
        let before = std::mem::replace(&mut *known, owned);
        self.forget(&before, &known);
        let new = |name: &&&str| !before.accounts.contains(**name);
        for account in names.accounts.iter().filter(new) {
            self.account_at_zero(account, names.refusals);
        }
        // What comes by a path of no account.
        self.webhooks_rejected.with_label_values(&["", "unknown_account"]);
        self.webhooks_rejected.with_label_values(&["", "wrong_path"]);
        for rule in &names.rules {
            for outcome in OUTCOMES {
                self.rule_evaluations.with_label_values(&[*rule, outcome]);
            }
            self.events_late.with_label_values(&[*rule]);
            self.series_overflow.with_label_values(&[*rule]);
        }
        for alertname in &names.alerts {
            for state in ALERT_STATES {
                self.alerts.with_label_values(&[*alertname, state]);
            }
        }
        for reason in SUPPRESSIONS {
            self.notifications_suppressed.with_label_values(&[reason]);
        }
        for state in SILENCE_STATES {
            self.silences.with_label_values(&[state]);
        }
        for &(kind, receiver) in &names.integrations {
            self.integration_at_zero(kind, receiver);
        }
        self.template_errors.with_label_values(&["annotation"]);
        for state in crate::store::DeliveryState::ALL {
            self.deliveries.with_label_values(&[state.as_str()]);
        }
        for outcome in HEARTBEAT_OUTCOMES {
            self.heartbeats.with_label_values(&[outcome]);
        }
        self.config_info.with_label_values(&[names.config_hash]).set(1);
        self.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    }

    fn account_at_zero(&self, account: &str, refusals: &[&'static str]) {
        for kind in crate::event::known_kinds() {
            self.webhooks_received.with_label_values(&[account, kind]);
        }
        self.webhooks_received.with_label_values(&[account, "other"]);
        for reason in refusals {
            self.webhooks_rejected.with_label_values(&[account, reason]);
        }
        self.webhooks_misdirected.with_label_values(&[account]);
        self.webhook_clock_skew.with_label_values(&[account]);
        self.events_duplicate.with_label_values(&[account]);
        self.events_faulted.with_label_values(&[account]);
        self.backfilled.with_label_values(&[account]);
        self.backfill_cut.with_label_values(&[account]);
        for product in CHARGED {
            self.spend_begins(&SpendRow::zero(account, product, USUAL_CURRENCY));
        }
    }

    fn integration_at_zero(&self, kind: &'static str, receiver: &str) {
        self.notifications.with_label_values(&[kind, receiver]);
        self.notifications_resent.with_label_values(&[kind, receiver]);
        self.integration_paused.with_label_values(&[kind, receiver]);
        self.receiver_paused.with_label_values(&[receiver]);
        self.notification_latency.with_label_values(&[kind, receiver]);
        self.dead_letters.with_label_values(&[kind, receiver]);
        self.fallbacks.with_label_values(&[receiver]);
        self.template_errors.with_label_values(&[kind]);
        for reason in crate::notify::Reason::ALL {
            self.notifications_failed.with_label_values(&[kind, receiver, reason.as_str()]);
        }
    }

    /// Takes the series of names that are gone from the page. What an account has cost stays: it is a total of what is
    /// kept, and was not taken back.
    fn forget(&self, before: &Owned, now: &Owned) {
        let gone = |before: &BTreeSet<String>, now| before.difference(now).cloned().collect();
        let accounts = gone(&before.accounts, &now.accounts);
        remove(&self.webhooks_received, "account", &accounts);
        remove(&self.webhooks_rejected, "account", &accounts);
        remove(&self.webhooks_misdirected, "account", &accounts);
        remove(&self.webhook_clock_skew, "account", &accounts);
        remove(&self.events_duplicate, "account", &accounts);
        remove(&self.events_faulted, "account", &accounts);
        remove(&self.amounts_unread, "account", &accounts);
        remove(&self.backfilled, "account", &accounts);
        remove(&self.backfill_cut, "account", &accounts);
        // An account that lost its key only has these no more, either.
        let asked = gone(&before.asked, &now.asked);
        remove(&self.backfilled_until, "account", &asked);
        remove(&self.balance, "account", &asked);
        remove(&self.available_credit, "account", &asked);
        remove(&self.burn_per_hour, "account", &asked);
        remove(&self.hours_left, "account", &asked);
        for family in [&self.spend_limit, &self.spend_limit_spend, &self.spend_limit_blocked] {
            remove(family, "account", &asked);
        }
        remove(&self.balance_read_at, "account", &asked);
        let rules = gone(&before.rules, &now.rules);
        remove(&self.rule_evaluations, "rule", &rules);
        remove(&self.events_late, "rule", &rules);
        remove(&self.series_overflow, "rule", &rules);
        // Alerts that are still kept are back at the next scrape.
        remove(&self.alerts, "alertname", &gone(&before.alerts, &now.alerts));
        let receivers = gone(&before.receivers, &now.receivers);
        remove(&self.notifications, "receiver", &receivers);
        remove(&self.notifications_failed, "receiver", &receivers);
        remove(&self.notifications_resent, "receiver", &receivers);
        remove(&self.integration_paused, "receiver", &receivers);
        remove(&self.receiver_paused, "receiver", &receivers);
        remove(&self.notification_latency, "receiver", &receivers);
        remove(&self.dead_letters, "receiver", &receivers);
        remove(&self.fallbacks, "receiver", &receivers);
        let hash = [before.config_hash.clone()].into_iter().filter(|it| *it != now.config_hash);
        remove(&self.config_info, "hash", &hash.collect());
    }
}

/// Removes the series whose label has one of the values.
fn remove<T: MetricVecBuilder>(family: &MetricVec<T>, label: &str, values: &BTreeSet<String>) {
    if values.is_empty() {
        return;
    }
    remove_where(family, |labels| labels.get(label).is_some_and(|value| values.contains(*value)));
}

/// Removes the series of whose labels something holds.
pub(super) fn remove_where<T: MetricVecBuilder>(
    family: &MetricVec<T>,
    gone: impl Fn(&HashMap<&str, &str>) -> bool,
) {
    for found in family.collect() {
        for metric in found.get_metric() {
            let labels: HashMap<&str, &str> =
                metric.get_label().iter().map(|pair| (pair.name(), pair.value())).collect();
            if gone(&labels) {
                // Refused only when somebody else was first.
                drop(family.remove(&labels));
            }
        }
    }
}

/// What becomes of a heartbeat; values of the `outcome` label.
const HEARTBEAT_OUTCOMES: [&str; 3] = ["sent", "failed", "withheld"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_begins_new_names_at_zero_keeps_the_others_and_forgets_those_that_are_gone() {
        let metrics = Metrics::new(&Names {
            accounts: vec!["kept", "gone"],
            asked: vec!["kept"],
            rules: vec!["g/kept", "g/gone"],
            alerts: vec!["kept", "gone"],
            integrations: vec![("slack", "kept"), ("webhook", "gone")],
            refusals: &[],
            config_hash: "old",
        });
        metrics.webhook_received("kept", "call.cost");
        metrics.rules_evaluated("g/kept", "fired", 3);
        metrics.notified("slack", "kept", None);
        metrics.set_names(&Names {
            accounts: vec!["kept", "new"],
            asked: vec![],
            rules: vec!["g/kept", "g/new"],
            alerts: vec!["kept", "new"],
            integrations: vec![("slack", "kept"), ("email", "new")],
            refusals: &[],
            config_hash: "fresh",
        });
        let page = metrics.render().expect("renders");
        for line in [
            "tollbell_webhooks_received_total{account=\"kept\",kind=\"call.cost\"} 1",
            "tollbell_webhooks_received_total{account=\"new\",kind=\"call.cost\"} 0",
            "tollbell_rule_evaluations_total{outcome=\"fired\",rule=\"g/kept\"} 3",
            "tollbell_rule_evaluations_total{outcome=\"fired\",rule=\"g/new\"} 0",
            "tollbell_notifications_total{integration=\"slack\",receiver=\"kept\"} 1",
            "tollbell_notifications_total{integration=\"email\",receiver=\"new\"} 0",
            "tollbell_alerts{alertname=\"new\",state=\"rule_removed\"} 0",
            "tollbell_config_info{hash=\"fresh\"} 1",
        ] {
            assert!(page.contains(&format!("{line}\n")), "{line} is not in\n{page}");
        }
        let left = page.lines().filter(|line| line.contains("gone") && !line.contains("_spend_"));
        assert_eq!(left.collect::<Vec<_>>(), Vec::<&str>::new());
        assert!(!page.contains("hash=\"old\""));
    }

    #[test]
    fn what_an_account_has_cost_does_not_go_back_to_zero() {
        let metrics = Metrics::new(&Names { accounts: vec!["a"], ..Names::default() });
        let row = SpendRow { added: 7.into(), ..SpendRow::zero("a", "voice", USUAL_CURRENCY) };
        metrics.set_spend(&row);
        metrics.set_names(&Names::default());
        metrics.set_names(&Names { accounts: vec!["a"], ..Names::default() });
        let line = "tollbell_spend_total{account=\"a\",currency=\"USD\",product=\"voice\"} 7\n";
        assert!(metrics.render().expect("renders").contains(line));
    }
}
