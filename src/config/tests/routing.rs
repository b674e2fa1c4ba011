//! Routes, inhibition and time intervals: what is read, and each problem with its place.

use std::time::Duration;

use super::{ACCOUNT, Config, check, env, parse};
use crate::alerts::{GroupBy, Route, Timing};

/// A file with these sections after its accounts.
fn file(text: &str) -> String {
    format!("{ACCOUNT}{text}")
}

fn config(text: &str) -> Config {
    let loaded = parse("t", &file(text), std::path::Path::new(""), &env);
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

#[test]
fn children_inherit_all_but_matchers_continue_and_hours() {
    let config = config(
        "\
route:
  receiver: ops
  group_by: [alertname, account]
  group_wait: 0s
  routes:
    - matchers: [a=b]
      group_interval: 1s
      repeat_interval: 1d
      continue: true
      mute_time_intervals: [night]
      active_time_intervals: [night, day]
      routes:
        - group_by: ['...']
    - matchers: [a=c]
      group_by: []
time_intervals:
  - {name: night, time_intervals: [{times: [{start_time: '22:00', end_time: '24:00'}]}]}
  - {name: day, time_intervals: [{years: ['2027']}]}
receivers: [{name: ops}]
",
    );
    let timing = |wait, interval, repeat| Timing {
        group_wait: Duration::from_secs(wait),
        group_interval: Duration::from_secs(interval),
        repeat_interval: Duration::from_secs(repeat),
    };
    let labels =
        |names: &[&str]| GroupBy::Labels(names.iter().map(|name| (*name).to_owned()).collect());
    let root = &config.route;
    let [first, second] = &*root.routes else { panic!("two children") };
    let [grandchild] = &*first.routes else { panic!("one grandchild") };
    for (route, group_by, want) in [
        (root, labels(&["alertname", "account"]), timing(0, 300, 14_400)),
        (first, labels(&["alertname", "account"]), timing(0, 1, 86_400)),
        (grandchild, GroupBy::All, timing(0, 1, 86_400)),
        (second, labels(&[]), timing(0, 300, 14_400)),
    ] {
        assert_eq!((&route.group_by, route.timing), (&group_by, want));
    }
    assert_eq!(first.mute_time_intervals, ["night"]);
    assert_eq!(first.active_time_intervals, ["night", "day"]);
    assert!(first.continues && !grandchild.continues);
    assert!(
        grandchild.mute_time_intervals.is_empty() && grandchild.active_time_intervals.is_empty()
    );
    assert_eq!(config.time_intervals.len(), 2);
}

#[test]
fn a_bare_route_has_the_defaults_of_its_type() {
    let config = config("route: {receiver: ops}\nreceivers: [{name: ops}]\n");
    let default = Route::default();
    assert_eq!(config.route.timing, default.timing);
    assert_eq!(config.route.group_by, default.group_by);
    assert!(config.inhibit_rules.is_empty() && config.time_intervals.is_empty());
}

#[test]
fn identity_does_not_depend_on_when_and_how_it_tells() {
    let id = |more: &str| {
        let text = format!(
            "route:\n  receiver: ops\n  routes:\n    - matchers: [a=b]\n{more}receivers: [{{name: ops}}]\n\
             time_intervals: [{{name: t, time_intervals: [{{years: ['2027']}}]}}]\n"
        );
        config(&text).route.routes[0].id.clone()
    };
    let plain = id("");
    for more in [
        "group_by: [x]",
        "group_wait: 1s",
        "group_interval: 1s",
        "repeat_interval: 1d",
        "mute_time_intervals: [t]",
        "active_time_intervals: [t]",
        "continue: true",
    ] {
        assert_eq!(id(&format!("      {more}\n")), plain, "{more}");
    }
    assert_ne!(id("      routes: []\n      name: x\n"), plain);
}

#[test]
fn inhibit_rules_are_read() {
    let config = config(
        "\
route: {receiver: ops}
receivers: [{name: ops}]
inhibit_rules:
  - name: low
    source_matchers: ['alertname=\"LowBalance\"']
    target_matchers: ['alertname=~\"Balance.*\"', team=x]
    equal: [account, currency]
",
    );
    let [rule] = &*config.inhibit_rules else { panic!("one rule") };
    assert_eq!((rule.source_matchers.len(), rule.target_matchers.len()), (1, 2));
    assert_eq!(rule.equal, ["account", "currency"]);
}

#[test]
fn each_problem_of_a_route_has_its_place() {
    let shown = check(&file(
        "\
route:
  receiver: ops
  group_by: [alertname, a-b, alertname, __x, {a: b}]
  group_wait: -1s
  group_interval: 0s
  repeat_interval: 4
  mute_time_intervals: [nights]
  active_time_intervals: []
  routes:
    - matchers: [a=b]
      group_by: ['...', a]
      group_interval: 5h
    - matchers: [a=c]
      repeat_interval: 1m
      mute_time_intervals: [night, zzz]
      active_time_intervals: nights
    - matchers: [a=d]
      group_interval: 1m
      repeat_interval: 1m
      group_bye: []
time_intervals:
  - {name: night, time_intervals: [{years: ['2027']}]}
receivers: [{name: ops}]
",
    ));
    insta::assert_snapshot!(shown, @r#"
    t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
    t.yaml:4:25: route.group_by[1]: no label name: letters, digits and _, no digit and no __ first
    t.yaml:4:30: route.group_by[2]: label "alertname" given twice
    t.yaml:4:41: route.group_by[3]: no label name: letters, digits and _, no digit and no __ first
    t.yaml:4:46: route.group_by[4]: expected a single value, found a map
    t.yaml:5:15: route.group_wait: expected a duration such as 500ms, 30s, 5m, 4h, 30d, 1w
    t.yaml:6:19: route.group_interval: must be between 1s and 30d
    t.yaml:7:20: route.repeat_interval: expected a duration such as 500ms, 30s, 5m, 4h, 30d, 1w
    t.yaml:8:24: route.mute_time_intervals: not on the root: what no child takes is notified at any time
    t.yaml:8:25: route.mute_time_intervals[0]: no time interval has the name "nights" (hint: did you mean night?)
    t.yaml:9:26: route.active_time_intervals: not on the root: what no child takes is notified at any time
    t.yaml:12:17: route.routes[0].group_by: '...' is all labels: it stands alone
    t.yaml:13:23: warning: route.routes[0].group_interval: repeat_interval is shorter than group_interval
    t.yaml:15:24: warning: route.routes[1].repeat_interval: repeat_interval is shorter than group_interval
    t.yaml:16:36: route.routes[1].mute_time_intervals[1]: no time interval has the name "zzz"
    t.yaml:17:30: route.routes[1].active_time_intervals: expected a list, found a single value (hint: put it in brackets: active_time_intervals: [value])
    t.yaml:21:7: route.routes[2].group_bye: unknown key (hint: did you mean group_by?)
    "#);
}

#[test]
fn routes_that_are_never_asked_are_told() {
    let shown = check(&file(
        "\
route:
  receiver: ops
  routes:
    - matchers: ['severity=~\"critical|page\"']
      routes:
        - matchers: ['severity!=\"info\"', team=a]
        - matchers: ['severity=\"page\"', team=a]
        - matchers: ['severity=~\"critical|page|info\"']
        - matchers: [team=b]
    - matchers: ['severity=\"critical\"', team=voice]
    - matchers: ['severity=\"info\"']
      continue: true
    - matchers: ['severity=\"info\"', team=voice]
    - matchers: [team=voice, 'x=~\"(\"']
    - matchers: [team=voice, y=z]
    - matchers: [team=voice, y=z]
    - matchers: [y=z, team=voice]
      name: twin
    - matchers: ['alertname=~\".+\"']
    - matchers: [b=c]
receivers: [{name: ops}]
",
    ));
    insta::assert_snapshot!(shown, @"
    t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
    t.yaml:8:11: warning: route.routes[0].routes[1]: never asked: route.routes[0].routes[0] takes all that would come here (hint: put it before that one, or give that one continue: true)
    t.yaml:9:11: warning: route.routes[0].routes[2]: takes every alert: the routes after it are never asked (hint: give it matchers, or continue: true)
    t.yaml:11:7: warning: route.routes[1]: never asked: route.routes[0] takes all that would come here (hint: put it before that one, or give that one continue: true)
    t.yaml:15:34: route.routes[4].matchers[1]: bad regular expression: unclosed group
    t.yaml:17:7: warning: route.routes[6]: an earlier sibling has the same matchers and receiver (hint: remove it, or give both a name)
    t.yaml:18:7: warning: route.routes[7]: never asked: route.routes[5] takes all that would come here (hint: put it before that one, or give that one continue: true)
    t.yaml:20:7: warning: route.routes[8]: takes every alert: the routes after it are never asked (hint: give it matchers, or continue: true)
    ");
}

#[test]
fn each_problem_of_an_inhibit_rule_has_its_place() {
    let shown = check(&file(
        "\
route: {receiver: ops}
receivers: [{name: ops}]
inhibit_rules:
  - {}
  - name: a
    source_matchers: []
    target_matchers: [a=b, 'x=~\"(\"', '1=2']
    equal: [a, 'b c', a]
    sources: x
  - name: a
    source_matchers: [a=b]
    target_matchers: ['a=\"b\"']
  - source_matchers: [alertname=A]
    target_matchers: ['alertname=\"B\"']
    equal: [account, alertname]
  - source_match: {a: b}
    source_matchers: [a=b]
    target_matchers: [a=c]
",
    ));
    insta::assert_snapshot!(shown, @r#"
    t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
    t.yaml:5:5: inhibit_rules[0]: missing key "source_matchers" (hint: What inhibits: an alert that fires and matches.)
    t.yaml:5:5: inhibit_rules[0]: missing key "target_matchers" (hint: What is not notified meanwhile.)
    t.yaml:7:22: inhibit_rules[1].source_matchers: no matcher: every alert would match (hint: if you mean it, write alertname=~".+")
    t.yaml:8:32: inhibit_rules[1].target_matchers[1]: bad regular expression: unclosed group
    t.yaml:8:39: inhibit_rules[1].target_matchers[2]: expected a label name: letters, digits and _, no digit first
    t.yaml:9:17: inhibit_rules[1].equal[1]: no label name: letters, digits and _, no digit and no __ first
    t.yaml:9:23: inhibit_rules[1].equal[2]: label "a" given twice
    t.yaml:10:5: inhibit_rules[1].sources: unknown key (hint: known here: name, source_matchers, target_matchers, equal)
    t.yaml:11:11: inhibit_rules[2].name: name given twice, first in line 6
    t.yaml:13:22: warning: inhibit_rules[2].target_matchers: source and target are the same alerts: they never inhibit each other
    t.yaml:16:12: warning: inhibit_rules[3].equal: source and target have different values of alertname: nothing is inhibited
    t.yaml:17:5: inhibit_rules[4].source_match: unknown key (hint: use source_matchers: ['label="value"'])
    "#);
}

#[test]
fn each_problem_of_a_time_interval_has_its_place() {
    let shown = check(&file(
        "\
route: {receiver: ops, routes: [{matchers: [a=b], mute_time_intervals: [office-hour, bad, twice]}]}
receivers: [{name: ops}]
time_intervals:
  - {}
  - name: office-hours
    time_intervals:
      - weekdays: [monday:friday]
        times: [{start_time: 08:00, end_time: 18:00}]
  - name: bad
    time_intervals:
      - weekdays: [montag, friday:monday]
        times: [{start_time: '8:00', end_time: 25:00}, {start_time: 18:00, end_time: 08:00}, {end_time: 10:00}]
        days_of_month: ['0', '3:1']
        months: [1:13]
        years: []
        location: America/Chikago
      - location: UTC
      - {timezone: UTC, years: ['2027']}
  - name: twice
    time_intervals: []
  - name: twice
    time_intervals: [{months: [may]}]
  - name: ''
    time_intervals: {}
",
    ));
    insta::assert_snapshot!(shown, @r#"
    t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
    t.yaml:2:73: route.routes[0].mute_time_intervals[0]: no time interval has the name "office-hour" (hint: did you mean office-hours?)
    t.yaml:5:5: time_intervals[0]: missing key "name" (hint: Name, as routes and rules use it.)
    t.yaml:5:5: time_intervals[0]: missing key "time_intervals" (hint: It holds when any of these does.)
    t.yaml:6:11: warning: time_intervals[1].name: no route and no rule uses this time interval
    t.yaml:12:20: time_intervals[2].time_intervals[0].weekdays[0]: expected a day of the week: sunday, monday, tuesday, wednesday, thursday, friday, saturday
    t.yaml:12:35: time_intervals[2].time_intervals[0].weekdays[1]: the range ends before it begins: the week begins on sunday and ends on saturday, so write two
    t.yaml:13:31: time_intervals[2].time_intervals[0].times[0].start_time: expected a time of day as HH:MM, from 00:00 to 24:00
    t.yaml:13:48: time_intervals[2].time_intervals[0].times[0].end_time: expected a time of day as HH:MM, from 00:00 to 24:00
    t.yaml:13:86: time_intervals[2].time_intervals[0].times[1].end_time: must be later than start_time; for a time over midnight write two ranges, one to 24:00 and one from 00:00
    t.yaml:13:94: time_intervals[2].time_intervals[0].times[2]: missing key "start_time" (hint: HH:MM, in the range.)
    t.yaml:14:26: time_intervals[2].time_intervals[0].days_of_month[0]: expected a day of the month: 1 to 31, or -1 (the last day) to -31
    t.yaml:14:33: time_intervals[2].time_intervals[0].days_of_month[1]: the range ends before it begins in every month
    t.yaml:15:20: time_intervals[2].time_intervals[0].months[0]: expected a month: 1 to 12, or january, february, march, april, may, june, july, august, september, october, november, december
    t.yaml:16:16: time_intervals[2].time_intervals[0].years: an empty list: give a value, or remove the key
    t.yaml:17:19: time_intervals[2].time_intervals[0].location: unknown time zone: expected a name such as America/Chicago, UTC or Local
    t.yaml:18:9: warning: time_intervals[2].time_intervals[1]: holds always: the time interval is no restriction
    t.yaml:19:10: time_intervals[2].time_intervals[2].timezone: unknown key (hint: use location)
    t.yaml:21:21: time_intervals[3].time_intervals: no hours and no days: it would never hold
    t.yaml:22:11: time_intervals[4].name: name given twice, first in line 20
    t.yaml:24:12: time_intervals[5].name: expected 1 to 64 characters
    t.yaml:25:21: time_intervals[5].time_intervals: expected a list, found a map
    "#);
}
