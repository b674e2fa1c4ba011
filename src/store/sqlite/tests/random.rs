//! Random operations against a model in memory.

use super::*;

/// One step of the life of deliveries.
#[derive(Debug, Clone)]
enum Step {
    Queue { lane: usize, fallback: bool },
    Claim { limit: usize },
    Settle { which: usize, next: u8, late: bool },
    Release { which: usize },
    Pass { minutes: i64 },
    Crash,
    Retry,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_usize, any::<bool>()).prop_map(|(lane, fallback)| Step::Queue { lane, fallback }),
        4 => (1..4_usize).prop_map(|limit| Step::Claim { limit }),
        4 => (0..8_usize, 0..3_u8, any::<bool>())
            .prop_map(|(which, next, late)| Step::Settle { which, next, late }),
        1 => (0..8_usize).prop_map(|which| Step::Release { which }),
        3 => (1..9_i64).prop_map(|minutes| Step::Pass { minutes }),
        1 => Just(Step::Crash),
        1 => Just(Step::Retry),
    ];
    prop::collection::vec(step, 1..40)
}

/// What the law is checked against.
#[derive(Default)]
struct World {
    minutes: i64,
    opened: usize,
    /// Of the deliveries, in the order in which they were opened.
    keys: Vec<String>,
    delivered: Vec<String>,
    claimed: Vec<(String, u32)>,
}

impl World {
    async fn step(&mut self, store: &Store, step: &Step) {
        match step {
            Step::Queue { lane, fallback } => {
                let id = format!("d{:03}", self.opened);
                self.opened += 1;
                let mut new = queued(&id, &lane.to_string(), self.minutes);
                new.fallback_at = fallback.then(|| at(self.minutes + 5));
                if queue(store, [new]).await > 0 {
                    self.keys.push(id);
                }
            }
            Step::Claim { limit } => {
                for due in claim_due(store, self.minutes, *limit).await {
                    self.claimed.push((due.delivery.id, due.delivery.attempts + 1));
                }
            }
            Step::Settle { which, next, late } if !self.claimed.is_empty() => {
                let index = which % self.claimed.len();
                let (id, number) = self.claimed[index].clone();
                if !late {
                    self.claimed.remove(index);
                }
                let next = [Next::Delivered, Next::Dead, Next::RetryAt(at(self.minutes + 2))]
                    [usize::from(*next)];
                store.settle(settlement(&id, number, next)).await.expect("settles");
                if next == Next::Delivered {
                    self.delivered.push(id);
                }
            }
            Step::Release { which } if !self.claimed.is_empty() => {
                let (id, _) = self.claimed.remove(which % self.claimed.len());
                store.release(vec![id]).await.expect("releases");
            }
            Step::Pass { minutes } => self.minutes += minutes,
            Step::Crash => {
                store.release_all().await.expect("releases");
            }
            Step::Retry => {
                store.retry(crate::store::Retry::All, at(self.minutes)).await.expect("retries");
            }
            Step::Settle { .. } | Step::Release { .. } => {}
        }
    }

    async fn check(&self, store: &Store, look: &Connection) {
        let all = DeliveryFilter { limit: 1000, ..DeliveryFilter::default() };
        let mut kept = store.deliveries(all).await.expect("reads");
        kept.reverse();
        let keys: Vec<_> = kept.iter().map(|delivery| delivery.id.clone()).collect();
        assert_eq!(keys, self.keys, "no delivery disappears, and its key stays");
        for delivery in &kept {
            let delivered = delivery.state == DeliveryState::Delivered;
            assert_eq!(delivered, self.delivered.contains(&delivery.id), "{delivery:?}");
            let open = matches!(delivery.state, DeliveryState::Pending | DeliveryState::Sending);
            assert_eq!(open, delivery.finished_at.is_none(), "{delivery:?}");
        }
        let count = |sql: &str| look.query_row(sql, (), |row| row.get::<_, i64>(0)).expect(sql);
        let two_open = "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE finished_at IS NULL \
             GROUP BY integration, target, group_key HAVING count(*) > 1)";
        assert_eq!(count(two_open), 0);
        let unreferenced = "SELECT count(*) FROM contents WHERE n NOT IN \
             (SELECT content FROM deliveries WHERE content IS NOT NULL)";
        assert_eq!(count(unreferenced), 0, "what was composed goes with its last delivery");
        let counted = "SELECT count(*) FROM (SELECT receiver, state, count FROM delivery_counts \
             WHERE count <> 0 EXCEPT SELECT receiver, state, count(*) FROM deliveries \
             WHERE finished_at IS NOT NULL GROUP BY 1, 2)";
        assert_eq!(count(counted), 0, "the counters count");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_delivery_is_open_or_ended_and_never_gone(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(async {
            let directory = tempfile::tempdir().expect("temp dir");
            let mut settings = settings(&directory);
            let mut store = open(&settings).await;
            let mut crashed: Vec<PathBuf> = Vec::new();
            let mut world = World::default();
            for step in &steps {
                if matches!(step, Step::Crash) {
                    settings.path = copy(&settings.path).keep().join("tollbell.db");
                    crashed.push(settings.path.clone());
                    store = open(&settings).await;
                }
                world.step(&store, step).await;
                let look = Connection::open(&settings.path).expect("opens");
                world.check(&store, &look).await;
            }
            // In the end nothing is stuck: all that is open can be delivered.
            world.minutes += 100;
            for due in claim_due(&store, world.minutes, 100).await {
                let delivered = settlement(&due.delivery.id, due.delivery.attempts + 1, Next::Delivered);
                store.settle(delivered).await.expect("settles");
            }
            prop_assert_eq!(store.next_due("slack").await.expect("reads"), None);
            store.close().await.expect("closes");
            for path in crashed {
                std::fs::remove_dir_all(path.parent().expect("a directory")).expect("deletes");
            }
            Ok(())
        })?;
    }
}
