//! What a scrape shows, and which of it is shown by one replica only.

use prometheus::{Encoder as _, TextEncoder};

use super::Metrics;

/// Families that show what the store knows, the same whoever is asked.
const OF_THE_STORE: [&str; 16] = [
    "tollbell_inbox_lag_events",
    "tollbell_inbox_lag_seconds",
    "tollbell_spend_total",
    "tollbell_spend_corrections_total",
    "tollbell_alerts",
    "tollbell_silences",
    "tollbell_deliveries",
    "tollbell_balance",
    "tollbell_available_credit",
    "tollbell_burn_per_hour",
    "tollbell_hours_left",
    "tollbell_spend_limit_usd",
    "tollbell_spend_limit_spend_usd",
    "tollbell_spend_limit_blocked",
    "tollbell_balance_last_read_timestamp_seconds",
    "tollbell_backfill_covered_timestamp_seconds",
];

fn encode(families: &[prometheus::proto::MetricFamily]) -> prometheus::Result<String> {
    let mut text = Vec::new();
    TextEncoder::new().encode(families, &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

impl Metrics {
    /// The exposition text of a scrape (Prometheus text format 0.0.4).
    pub fn render(&self) -> prometheus::Result<String> {
        let mut text = encode(&self.gathered())?;
        self.user.render(&mut text);
        Ok(text)
    }

    /// As [`Metrics::render`], without what the store knows: where another replica judges, that one shows it.
    pub fn render_own(&self) -> prometheus::Result<String> {
        let mut families = self.gathered();
        families.retain(|family| !OF_THE_STORE.contains(&family.name()));
        encode(&families)
    }

    /// All families, none of them half exchanged.
    fn gathered(&self) -> Vec<prometheus::proto::MetricFamily> {
        let _whole = self.names();
        self.registry.gather()
    }

    /// Who serves: whether this process judges, how many there are, and whether their configurations differ.
    pub fn replicas(&self, judges: bool, count: usize, differ: bool) {
        self.judges.set(i64::from(judges));
        self.replica_count.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.config_differs.set(i64::from(differ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Names;
    use crate::rules::MetricKind;

    #[test]
    fn what_the_store_knows_is_shown_by_one_replica_only() {
        for name in OF_THE_STORE {
            let declared = format!("= \"{}\"", name.trim_start_matches("tollbell_"));
            assert!(include_str!("mod.rs").contains(&declared), "{name} is declared");
        }
        let metrics = Metrics::new(&Names::default());
        metrics.user_metrics(&[("spoken_total", MetricKind::Counter, "Seconds of speech.")]);
        metrics.user_at_zero("spoken_total", MetricKind::Counter);
        metrics.set_deliveries("pending", 3);
        metrics.replicas(true, 2, false);
        for (page, shown) in [(metrics.render(), true), (metrics.render_own(), false)] {
            let page = page.expect("renders");
            assert_eq!(page.contains("tollbell_deliveries{state=\"pending\"} 3\n"), shown);
            assert_eq!(page.contains("spoken_total"), shown, "{page}");
            assert!(page.contains("\ntollbell_replicas 2\n"));
        }
    }
    #[test]
    fn no_scrape_sees_names_half_exchanged() {
        let named = |hash| Names { alerts: vec!["A"], config_hash: hash, ..Names::default() };
        let metrics = Metrics::new(&named("one"));
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..2_000 {
                    metrics.set_names(&named(if n % 2 == 0 { "two" } else { "one" }));
                    metrics.set_alerts([("A", "firing", 1)].into_iter());
                }
                is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            });
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                let page = metrics.render().expect("renders");
                let count = |start| page.lines().filter(|line| line.starts_with(start)).count();
                assert_eq!(count("tollbell_config_info{"), 1, "{page}");
                assert_eq!(count("tollbell_alerts{"), 5, "{page}");
            }
        });
    }
}
