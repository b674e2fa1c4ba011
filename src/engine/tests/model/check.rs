//! What must be so once quiet has returned.

use super::*;

impl Model<'_> {
    /// What Alertmanager is sent again now.
    fn refreshed(&self) -> BTreeSet<Fingerprint> {
        let policy = self.policy();
        let silences = self.world.disk.active_silences();
        let mut all = BTreeSet::new();
        for known in self.world.disk.known_groups("alertmanager") {
            let (_, integration) = policy.integration(&known.0).expect("one");
            let message = dispatch::refreshed(
                &known.1,
                integration,
                &policy.routing,
                &silences,
                self.world.now,
            );
            all.extend(message.into_iter().flat_map(|one| one.alerts).map(|one| one.fingerprint));
        }
        all
    }

    pub(super) fn check(&self) {
        let policy = self.policy();
        let alerts: Vec<&Alert> = self.world.state.alerts().collect();
        let inhibitor = Inhibitor::new(&policy.routing.inhibit_rules, alerts.iter().copied());
        let told = |alert: &&&Alert| {
            inhibitor.inhibited_by(&policy.routing.inhibit_rules, &alert.labels).is_none()
        };
        let route = |alert: &Alert| policy.routing.route.take(&alert.labels)[0];
        let to_all = |alert: &&&Alert| route(alert).receiver == "all";
        let mut incidents = self.peers.incidents.clone();
        // What is not refreshed is believed for a while.
        let vouched =
            |(at, fires): (Timestamp, bool)| fires && clock::add(at, VOUCHED) > self.world.now;
        let mut active = self.refreshed();
        let lately = self.peers.active.iter().filter(|(_, told)| vouched(**told));
        active.extend(lately.map(|(one, _)| one.clone()));
        for alert in alerts.iter().filter(to_all) {
            let (key, _) = route(alert).group_key(&alert.labels);
            if told(&alert) {
                assert!(
                    self.peers.incidents.contains(&key),
                    "no incident of {key}: {:?}",
                    alert.labels
                );
                assert!(active.contains(&alert.fingerprint), "not active: {:?}", alert.labels);
                // Also without a refresh that says so again.
                let told = self.peers.active.get(&alert.fingerprint);
                assert!(told.is_some_and(|(_, fires)| *fires), "told an end: {:?}", alert.labels);
                for integration in &policy.receivers["all"].integrations {
                    for target in integration.as_targets(crate::alerts::Scope::All) {
                        if target.kind != PeerKind::People {
                            continue;
                        }
                        let read =
                            self.peers.read.get(&(target.id.clone(), alert.fingerprint.clone()));
                        let read = read.map(|(_, status)| *status);
                        assert_eq!(read, Some(Status::Firing), "{:?} of {alert:?}", target.id);
                    }
                }
            }
            // What is quiet and fires may stay as it was.
            incidents.remove(&key);
            active.remove(&alert.fingerprint);
        }
        assert_eq!(incidents, BTreeSet::new(), "open, and nothing fires");
        assert_eq!(active, BTreeSet::new(), "active, and does not fire");
        for ((rule, who), since) in &self.one_shots {
            let labels = |json: &Vec<u8>| serde_json::from_slice::<Alert>(json).expect("an alert");
            let mut kept = self.world.disk.alerts.values().map(labels);
            let name = ["A", "B", "E", "L"][*rule];
            let alert = kept
                .find(|one| one.labels["alertname"] == name && one.labels["who"] == WHOS[*who])
                .expect("it was");
            let heard = self.peers.read.iter().filter(|((target, one), (at, _))| {
                *one == alert.fingerprint && at >= since && target.integration.starts_with("all/")
            });
            // Two addresses of mail, and Slack.
            assert_eq!(heard.count(), 3, "{name} of {who} since {since} is lost");
        }
        for kept in &self.world.disk.outbox {
            assert!(!kept.is_open(), "{kept:#?}");
        }
    }
}
