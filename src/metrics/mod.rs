//! Every series tollbell exports, each declared once; its doc comment is its HELP text.
//!
//! Stages get an `Arc<Metrics>` and call the methods below. No label value comes from the network unbounded: kinds are
//! bounded by [`crate::event::metric_kind`], currencies by `spend`, all others are names of the configuration. The series
//! that the user makes of events are in `user`; the engine bounds those.

mod names;
mod page;
mod spend;
mod telnyx;
mod tls;
mod totals;
mod user;

use std::sync::Mutex;
use std::time::Duration;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use crate::rules::{Labels, MeterValue, MetricKind};
pub use names::Names;
use names::Owned;
use spend::Currencies;
use totals::TotalVec;
use user::UserSeries;
pub use user::UserValue;

/// Seconds, from a single fsync to the patience of a sender.
const ACK_BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0];
/// Seconds, from "at once" to the age at which a delivery dies.
const LATENCY_BUCKETS: [f64; 12] =
    [0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 21_600.0, 86_400.0];
/// Operations that shared one fsync.
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Declares the struct, its registration and the HELP texts in one place.
macro_rules! declare {
    ($( #[doc = $help:literal] $field:ident: $kind:ident = $name:literal $([$($label:literal),*])? $(in $buckets:ident)?; )*) => {
        /// The series of one process. Cheap to share behind an `Arc`.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            /// The configured names, whose series always exist.
            names: Mutex<Owned>,
            /// The currencies that have series of their own.
            currencies: Currencies,
            /// The user's own series.
            user: UserSeries,
            $( #[doc = $help] $field: $kind, )*
        }

        impl Metrics {
            fn declare(registry: Registry) -> prometheus::Result<Self> {
                $(
                    let $field = declare!(@make $kind, concat!("tollbell_", $name), $help $(, [$($label),*])? $(; $buckets)?);
                    registry.register(Box::new($field.clone()))?;
                )*
                let (names, currencies, user) = Default::default();
                Ok(Self { registry, names, currencies, user, $($field,)* })
            }
        }
    };
    (@make Histogram, $name:expr, $help:literal; $buckets:ident) => {
        Histogram::with_opts(HistogramOpts::new($name, $help.trim()).buckets($buckets.to_vec()))?
    };
    (@make HistogramVec, $name:expr, $help:literal, [$($label:literal),*]; $buckets:ident) => {
        HistogramVec::new(HistogramOpts::new($name, $help.trim()).buckets($buckets.to_vec()), &[$($label),*])?
    };
    (@make $kind:ident, $name:expr, $help:literal, [$($label:literal),*]) => {
        $kind::new(Opts::new($name, $help.trim()), &[$($label),*])?
    };
    (@make $kind:ident, $name:expr, $help:literal) => {
        $kind::with_opts(Opts::new($name, $help.trim()))?
    };
}

declare! {
    /// Webhooks that were verified and stored, repeats included.
    webhooks_received: IntCounterVec = "webhooks_received_total" ["account", "kind"];
    /// Webhooks that were refused, by reason.
    webhooks_rejected: IntCounterVec = "webhooks_rejected_total" ["account", "reason"];
    /// TLS handshakes of clients that failed, by `public` or `private` listener.
    handshakes_failed: IntCounterVec = "tls_handshakes_failed_total" ["listener", "reason"];
    /// Until when a listener's certificate is valid, in seconds since 1970.
    certificate_until: GaugeVec = "tls_certificate_not_after_timestamp_seconds" ["listener"];
    /// Webhooks on a wrong path that were stored for the account whose key signed them.
    webhooks_misdirected: IntCounterVec = "webhooks_misdirected_total" ["account"];
    /// Seconds from the head of a request to its 200, the commit included.
    webhook_ack: Histogram = "webhook_ack_duration_seconds" in ACK_BUCKETS;
    /// Our clock minus the sender's at the last genuine webhook, in seconds.
    webhook_clock_skew: GaugeVec = "webhook_clock_skew_seconds" ["account"];
    /// Events that were stored already when they arrived again.
    events_duplicate: IntCounterVec = "events_duplicate_total" ["account"];
    /// Events that could not be judged and were skipped.
    events_faulted: IntCounterVec = "events_faulted_total" ["account"];
    /// Stored events that wait to be judged.
    inbox_lag_events: IntGauge = "inbox_lag_events";
    /// Age of the oldest event that waits to be judged, in seconds.
    inbox_lag_seconds: Gauge = "inbox_lag_seconds";
    /// Judgements of events whose kind the rule names, by what came out.
    rule_evaluations: IntCounterVec = "rule_evaluations_total" ["rule", "outcome"];
    /// Events that were older than the window of a rule, or than a gauge's reading, and did not count there.
    events_late: IntCounterVec = "events_late_total" ["rule"];
    /// Events beyond a rule's limit of series, which share one.
    series_overflow: IntCounterVec = "series_overflow_total" ["rule"];
    /// Events that report a cost which cannot be kept exactly, and is in no sum.
    amounts_unread: IntCounterVec = "amounts_unread_total" ["account"];
    /// Alerts that found no room in their group of 10,000 and were not notified in it.
    groups_crowded: IntCounter = "alerts_crowded_out_total";
    /// Charges above zero so far, each counted once.
    spend: TotalVec = "spend_total" ["account", "product", "currency"];
    /// Charges that were taken back by corrections so far.
    spend_corrections: TotalVec = "spend_corrections_total" ["account", "product", "currency"];
    /// Times that the machine's clock was set while tollbell was running.
    clock_steps: IntCounter = "clock_steps_total";
    /// Calls whose numbers were dropped early because too many were stored.
    call_context_evicted: IntCounter = "call_context_evicted_total";
    /// Stored alerts, by state.
    alerts: IntGaugeVec = "alerts" ["alertname", "state"];
    /// Stored silences, by state.
    silences: IntGaugeVec = "silences" ["state"];
    /// Alerts that were due to be notified and were suppressed, by what suppressed them.
    notifications_suppressed: IntCounterVec = "notifications_suppressed_total" ["reason"];
    /// Notification attempts.
    notifications: IntCounterVec = "notifications_total" ["integration", "receiver"];
    /// Attempts that failed, by reason.
    notifications_failed: IntCounterVec = "notifications_failed_total" ["integration", "receiver", "reason"];
    /// 1 while an integration is paused because its peer failed repeatedly, asked for a pause, or refused our credentials; else 0.
    integration_paused: IntGaugeVec = "integration_paused" ["integration", "receiver"];
    /// 1 while somebody has paused a receiver, so that nothing is sent to it; else 0.
    receiver_paused: IntGaugeVec = "receiver_paused" ["receiver"];
    /// Attempts without an outcome, after a crash most often, that were repeated with the same key.
    notifications_resent: IntCounterVec = "notifications_resent_total" ["integration", "receiver"];
    /// Seconds from the opening of a delivery to its success.
    notification_latency: HistogramVec = "notification_latency_seconds" ["integration", "receiver"] in LATENCY_BUCKETS;
    /// Notifications that a fallback took because a receiver could not be reached.
    fallbacks: IntCounterVec = "fallbacks_total" ["receiver"];
    /// Stored deliveries, by state.
    deliveries: IntGaugeVec = "deliveries" ["state"];
    /// Deliveries that were given up.
    dead_letters: IntCounterVec = "dead_letters_total" ["integration", "receiver"];
    /// Templates that failed to render at run time; a plain text was sent instead.
    template_errors: IntCounterVec = "template_errors_total" ["template"];
    /// Seconds per commit of the store, its fsync included.
    store_commit: Histogram = "store_commit_duration_seconds" in ACK_BUCKETS;
    /// Operations that shared one commit of the store.
    store_batch: Histogram = "store_batch_size" in BATCH_BUCKETS;
    /// Attempts to call Telnyx's API, by status; `timeout` or `error` where there was none.
    telnyx_api_requests: IntCounterVec = "telnyx_api_requests_total" ["endpoint", "code"];
    /// Balance of the account, as last read.
    balance: GaugeVec = "balance" ["account", "currency"];
    /// Balance and credit limit together, as last read.
    available_credit: GaugeVec = "available_credit" ["account", "currency"];
    /// How much the balance falls in an hour, estimated from the last readings.
    burn_per_hour: GaugeVec = "burn_per_hour" ["account", "currency"];
    /// Hours until the available credit is used up at that rate; 8760 at most.
    hours_left: GaugeVec = "hours_left" ["account"];
    /// What a product may cost in a period, in US dollars, where Telnyx enforces a limit.
    spend_limit: GaugeVec = "spend_limit_usd" ["account", "product", "period"];
    /// What a product has cost in the period, in US dollars, as Telnyx reports it.
    spend_limit_spend: GaugeVec = "spend_limit_spend_usd" ["account", "product", "period"];
    /// 1 while Telnyx blocks the product because its limit is exceeded, else 0.
    spend_limit_blocked: GaugeVec = "spend_limit_blocked" ["account", "product", "period"];
    /// When the balance was last read, in Unix seconds.
    balance_read_at: GaugeVec = "balance_last_read_timestamp_seconds" ["account"];
    /// Missed webhooks that were fetched.
    backfilled: IntCounterVec = "backfilled_events_total" ["account"];
    /// Time up to which missed webhooks were searched for, in Unix seconds.
    backfilled_until: GaugeVec = "backfill_covered_timestamp_seconds" ["account"];
    /// Slices of Telnyx's log with more entries than are read; missed webhooks may be left out.
    backfill_cut: IntCounterVec = "backfill_slices_cut_total" ["account"];
    /// Heartbeats, by outcome: sent, failed, or withheld because something does not work.
    heartbeats: IntCounterVec = "heartbeats_total" ["outcome"];
    /// 1 while this process judges events; with a shared store one of the replicas does, else 0.
    judges: IntGauge = "judges";
    /// Replicas that serve from the same store, this one among them.
    replica_count: IntGauge = "replicas";
    /// 1 while replicas have different configurations, else 0.
    config_differs: IntGauge = "config_differs";
    /// 1 while the configuration on disk is the one in force, else 0.
    config_reload_ok: IntGauge = "config_last_reload_successful";
    /// When the configuration in force was loaded, in Unix seconds.
    config_reload_at: Gauge = "config_last_reload_success_timestamp_seconds";
    /// The configuration in force; the value is always 1.
    config_info: IntGaugeVec = "config_info" ["hash"];
    /// The running build; the value is always 1.
    build_info: IntGaugeVec = "build_info" ["version"];
}

impl Metrics {
    /// All series, with those of configured names at zero.
    pub fn new(names: &Names<'_>) -> Self {
        let metrics = Self::declare(Registry::new()).expect("the declarations above are valid");
        #[cfg(target_os = "linux")]
        metrics
            .registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("no other series starts with process_");
        metrics.set_names(names);
        metrics
    }

    /// Declares the user's own families, at the start and at each reload: name, kind and HELP. Those that stay the same
    /// keep their series. Names must be Prometheus' and not start with `tollbell_` or `process_`.
    pub fn user_metrics(&self, families: &[(&str, MetricKind, &str)]) {
        self.user.declare(families);
    }

    /// Begins the only series of a declared family without labels at zero, unless it is there. A gauge has no value before
    /// its first: it does not begin.
    pub fn user_at_zero(&self, name: &str, kind: MetricKind) {
        if kind != MetricKind::Gauge {
            self.user.begin(name, UserValue::from(&MeterValue::zero(kind)));
        }
    }

    /// Sets one series of a declared family; one that is not declared, or is of another kind, is not exported.
    pub fn set_user(&self, name: &str, labels: &Labels, value: UserValue) {
        self.user.set(name, labels, value);
    }

    /// Takes one series of a declared family from the page.
    pub fn remove_user(&self, name: &str, labels: &Labels) {
        self.user.remove(name, labels);
    }

    /// A webhook was verified and stored; `kind` is the event's kind as it is.
    pub fn webhook_received(&self, account: &str, kind: &str) {
        let kind = crate::event::metric_kind(kind);
        self.webhooks_received.with_label_values(&[account, kind]).inc();
    }

    /// A webhook was refused; `reason` is one of [`Names::refusals`].
    pub fn webhook_rejected(&self, account: &str, reason: &'static str) {
        self.webhooks_rejected.with_label_values(&[account, reason]).inc();
    }

    /// A webhook on a wrong path was stored for this account.
    pub fn webhook_misdirected(&self, account: &str) {
        self.webhooks_misdirected.with_label_values(&[account]).inc();
    }

    /// A webhook got its 200.
    pub fn webhook_acknowledged(&self, took: Duration) {
        self.webhook_ack.observe(took.as_secs_f64());
    }

    /// A genuine webhook showed the difference between the clocks.
    pub fn webhook_clock_skew(&self, account: &str, seconds: f64) {
        self.webhook_clock_skew.with_label_values(&[account]).set(seconds);
    }

    /// An event came again.
    pub fn event_duplicate(&self, account: &str) {
        self.events_duplicate.with_label_values(&[account]).inc();
    }

    /// An event could not be judged.
    pub fn event_faulted(&self, account: &str) {
        self.events_faulted.with_label_values(&[account]).inc();
    }

    /// What the inbox holds unjudged.
    pub fn inbox_lag(&self, events: u64, oldest: Duration) {
        self.inbox_lag_events.set(gauge(events));
        self.inbox_lag_seconds.set(oldest.as_secs_f64());
    }

    /// A rule judged events; `outcome` is one of `fired`, `extended`, `resolved`, `late`, `no_match`, or the failure.
    pub fn rules_evaluated(&self, rule: &str, outcome: &'static str, count: u64) {
        self.rule_evaluations.with_label_values(&[rule, outcome]).inc_by(count);
    }

    /// Events came too late for a rule: for its window or gauge, or after a later one had its say.
    pub fn events_late(&self, rule: &str, count: u64) {
        self.events_late.with_label_values(&[rule]).inc_by(count);
    }

    /// Events were beyond the series limit of a rule.
    pub fn series_overflowed(&self, rule: &str, count: u64) {
        self.series_overflow.with_label_values(&[rule]).inc_by(count);
    }

    /// Events of an account report a cost that cannot be kept exactly.
    pub fn amounts_unread(&self, account: &str, count: u64) {
        self.amounts_unread.with_label_values(&[account]).inc_by(count);
    }

    /// Alerts found no room in their group.
    pub fn groups_crowded(&self, count: usize) {
        self.groups_crowded.inc_by(count as u64);
    }

    /// What was known of calls was forgotten early.
    pub fn call_context_evicted(&self, count: usize) {
        self.call_context_evicted.inc_by(count as u64);
    }

    /// An alert was due to be notified and was suppressed; `reason` is that of a suppression.
    pub fn notification_suppressed(&self, reason: &'static str, count: u64) {
        self.notifications_suppressed.with_label_values(&[reason]).inc_by(count);
    }

    /// How many silences are in a state: `pending`, `active` or `expired`.
    pub fn set_silences(&self, state: &'static str, count: u64) {
        self.silences.with_label_values(&[state]).set(gauge(count));
    }

    /// How many alerts of each name are in each state; what is not named is zero.
    pub fn set_alerts<'a>(&self, counts: impl Iterator<Item = (&'a str, &'a str, u64)>) {
        let names = self.names();
        self.alerts.reset();
        for alertname in &names.alerts {
            for state in names::ALERT_STATES {
                self.alerts.with_label_values(&[alertname, state]);
            }
        }
        for (alertname, state, count) in counts {
            self.alerts.with_label_values(&[alertname, state]).set(gauge(count));
        }
    }

    /// An attempt ended; `failed` says why it did, if it did.
    pub fn notified(&self, kind: &str, receiver: &str, failed: Option<crate::notify::Reason>) {
        self.notifications.with_label_values(&[kind, receiver]).inc();
        if let Some(reason) = failed {
            self.notifications_failed.with_label_values(&[kind, receiver, reason.as_str()]).inc();
        }
    }

    /// A delivery reached its receiver this long after it was queued.
    pub fn delivered_after(&self, kind: &str, receiver: &str, latency: Duration) {
        self.notification_latency
            .with_label_values(&[kind, receiver])
            .observe(latency.as_secs_f64());
    }

    /// An attempt begins that may repeat one which was cut off.
    pub fn resent(&self, kind: &str, receiver: &str) {
        self.notifications_resent.with_label_values(&[kind, receiver]).inc();
    }

    /// An integration is paused, or no longer.
    pub fn integration_paused(&self, kind: &str, receiver: &str, paused: bool) {
        self.integration_paused.with_label_values(&[kind, receiver]).set(i64::from(paused));
    }

    /// Somebody has paused a receiver, or it is paused no more.
    pub fn receiver_paused(&self, receiver: &str, paused: bool) {
        self.receiver_paused.with_label_values(&[receiver]).set(i64::from(paused));
    }

    /// The machine's clock was set.
    pub fn clock_stepped(&self) {
        self.clock_steps.inc();
    }

    /// A receiver's fallback was notified in its place.
    pub fn fell_back(&self, receiver: &str) {
        self.fallbacks.with_label_values(&[receiver]).inc();
    }

    /// How many deliveries are in a state.
    pub fn set_deliveries(&self, state: &str, count: u64) {
        self.deliveries.with_label_values(&[state]).set(gauge(count));
    }

    /// A delivery was given up.
    pub fn dead_letter(&self, kind: &str, receiver: &str) {
        self.dead_letters.with_label_values(&[kind, receiver]).inc();
    }

    /// A template could not render; `template` is the kind of integration, or `annotation`.
    pub fn template_error(&self, template: &str) {
        self.template_errors.with_label_values(&[template]).inc();
    }

    /// The store committed.
    pub fn store_committed(&self, jobs: usize, took: Duration) {
        self.store_commit.observe(took.as_secs_f64());
        self.store_batch.observe(u32::try_from(jobs).unwrap_or(u32::MAX).into());
    }

    /// A configuration was loaded, or refused.
    pub fn config_loaded(&self, ok: bool, at: jiff::Timestamp) {
        self.config_reload_ok.set(i64::from(ok));
        if ok {
            self.config_reload_at.set(at.as_duration().as_secs_f64());
        }
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_names_start_at_zero_and_every_series_has_help() {
        let metrics = Metrics::new(&Names {
            accounts: vec!["default"],
            asked: vec!["default"],
            rules: vec!["spend/SpendLimitReached"],
            alerts: vec!["SpendLimitReached"],
            integrations: vec![("slack", "ops")],
            refusals: &["wrong_path"],
            config_hash: "abc",
        });
        let text = metrics.render().expect("renders");
        for line in [
            "tollbell_webhooks_received_total{account=\"default\",kind=\"call.cost\"} 0",
            "tollbell_rule_evaluations_total{outcome=\"fired\",rule=\"spend/SpendLimitReached\"} 0",
            "tollbell_notifications_failed_total{integration=\"slack\",reason=\"timeout\",receiver=\"ops\"} 0",
            "tollbell_deliveries{state=\"dead\"} 0",
            "tollbell_events_late_total{rule=\"spend/SpendLimitReached\"} 0",
            "tollbell_series_overflow_total{rule=\"spend/SpendLimitReached\"} 0",
            "tollbell_call_context_evicted_total 0",
            "tollbell_notifications_suppressed_total{reason=\"inhibited\"} 0",
            "tollbell_notifications_suppressed_total{reason=\"silenced\"} 0",
            "tollbell_silences{state=\"active\"} 0",
            "tollbell_spend_total{account=\"default\",currency=\"USD\",product=\"voice\"} 0",
            "# HELP tollbell_webhooks_received_total Webhooks that were verified and stored, repeats included.",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
