//! Random lives of a group, against what must always hold.

use super::*;

/// Short times, none a multiple of another, so that all sorts of meetings happen.
const SHORT: Timing = Timing {
    group_wait: Duration::from_secs(10),
    group_interval: Duration::from_secs(20),
    repeat_interval: Duration::from_secs(47),
};
const WITHIN: u32 = 10 + 20;
const END: u32 = 400;

fn acts() -> impl Strategy<Value = Vec<(u32, Act)>> {
    let name = || prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned);
    let state = prop::sample::select(vec![
        AlertState::Resolved,
        AlertState::Expired,
        AlertState::NoData,
        AlertState::RuleRemoved,
    ]);
    let act = prop_oneof![
        6 => name().prop_map(Act::Fire),
        2 => name().prop_map(Act::OneShot),
        1 => name().prop_map(Act::ExpireLoud),
        3 => (name(), state).prop_map(|(name, state)| Act::End(name, state)),
    ];
    prop::collection::vec((0..END, act), 0..40)
}

fn quiets() -> impl Strategy<Value = Vec<(u32, u32, Quiet)>> {
    let name = || prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned);
    let quiet = prop_oneof![
        3 => name().prop_map(Quiet::Silence),
        2 => (name(), name()).prop_map(|(source, target)| Quiet::Inhibit(source, target)),
        1 => Just(Quiet::Mute),
    ];
    let quiet = (0..END, 1..120_u32, quiet);
    prop::collection::vec(
        quiet.prop_map(|(from, length, quiet)| (from, from + length, quiet)),
        0..8,
    )
}

/// Who is to be told again at this second, by the law and not by the code: whose repeat is due while an alert that was
/// told fires and is not quiet.
fn repeating(sim: &Sim, second: u32) -> Vec<String> {
    let Some(group) = &sim.group else { return vec![] };
    let fires = sim.alerts.values().any(|alert| {
        sim.tellable(second, alert)
            && group.members.get(&alert.fingerprint).is_some_and(|member| member.told)
    });
    let due = |told: &Told| told.at + Duration::from_secs(47) == at(second);
    group.told.iter().filter(|(_, told)| fires && due(told)).map(|(id, _)| id.clone()).collect()
}

/// Lives through the acts and checks the laws that hold at each second; that nothing quiet is told, and that nothing
/// spins, is checked by the simulation itself.
fn live(acts: &[(u32, Act)], quiet: &[(u32, u32, Quiet)], reloads: bool) -> Vec<Heard> {
    let mut sim = Sim::new(SHORT, &[MAIL, PAGE]);
    sim.quiet = quiet.to_vec();
    sim.reloads = reloads;
    let mut tellable_since: BTreeMap<Fingerprint, u32> = BTreeMap::new();
    // Alerts that were over before they began: until when they are to be heard of.
    let mut one_shots: BTreeMap<String, u32> = BTreeMap::new();
    for second in 0..END + WITHIN {
        for (_, act) in acts.iter().filter(|(at, _)| *at == second) {
            let (Act::Fire(name) | Act::End(name, _) | Act::ExpireLoud(name) | Act::OneShot(name)) =
                act
            else {
                continue;
            };
            let fires = sim.alerts.values().any(|alert| name_of(alert) == *name);
            one_shots.remove(name);
            if !matches!(act, Act::Fire(_)) {
                tellable_since.retain(|fingerprint, _| {
                    *fingerprint != alert(name, AlertState::Firing, at(0)).fingerprint
                });
            }
            if matches!(act, Act::OneShot(_)) && !fires {
                one_shots.insert(name.clone(), second + WITHIN);
            }
            sim.act(second, act);
        }
        let repeating = repeating(&sim, second);
        let before = sim.heard.len();
        sim.settle(second);
        for id in repeating {
            let told = sim.heard[before..].iter().any(|heard| heard.integration == id);
            assert!(told, "{id} is due for a repeat at {second}");
        }
        tellable_since.retain(|fingerprint, _| {
            sim.alerts.get(fingerprint).is_some_and(|alert| sim.tellable(second, alert))
        });
        for alert in sim.alerts.values().filter(|alert| sim.tellable(second, alert)) {
            let since = *tellable_since.entry(alert.fingerprint.clone()).or_insert(second);
            let group = sim.group.as_ref().expect("a group while something fires");
            let all_know = ["mail", "page"].iter().all(|id| {
                group.told.get(*id).is_some_and(|told| told.firing.contains(&alert.fingerprint))
            });
            assert!(all_know || second - since < WITHIN, "{} since {since}", name_of(alert));
        }
        for heard in sim.heard[before..].iter().filter(|heard| heard.integration == "mail") {
            one_shots.retain(|name, _| !heard.ended.contains(name));
        }
        one_shots
            .retain(|name, _| sim.tellable(second, &alert(name, AlertState::Expired, at(second))));
        assert!(one_shots.values().all(|until| *until > second), "{one_shots:?} at {second}");
    }
    sim.heard
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_happens(acts in acts(), quiet in quiets()) {
        let heard = live(&acts, &quiet, false);
        let mut last: BTreeMap<(&str, u32), &Heard> = BTreeMap::new();
        for now in &heard {
            let before = last.insert((&now.integration, now.life), now);
            prop_assert_eq!(now.reason == Reason::First, before.is_none(), "{:?}", now);
            let Some(before) = before else { continue };
            prop_assert!(now.at - before.at >= 20, "too soon: {:?}, {:?}", before, now);
            if now.reason == Reason::Repeat {
                prop_assert!(now.at - before.at >= 47, "too soon: {:?}, {:?}", before, now);
                prop_assert!(!now.firing.is_empty() && now.ended.is_empty());
                let known = now.firing.iter().all(|name| before.firing.contains(name));
                prop_assert!(known, "{:?}, {:?}", before, now);
            }
            prop_assert_eq!(
                now.reason == Reason::AllResolved,
                now.firing.is_empty() && now.reason != Reason::NewAlerts
            );
        }
        prop_assert_eq!(live(&acts, &quiet, true), heard, "kept and read again");
    }
}
