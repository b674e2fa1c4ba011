//! What `check` says of rule files, of the keys of a rule, and of metrics.

use super::*;

#[test]
fn rule_files_are_found_once_and_checked() {
    let dir = tempfile::tempdir().expect("directory");
    for (name, text) in [
        (
            "a.yaml",
            "groups:\n  - name: g\n    rules:\n      - alert: A\n        on: [call.cost]\n        for: 5m\n        lables: {a: b}\n",
        ),
        (
            "b.yaml",
            "groups:\n  - name: g\n    rules:\n      - {alert: B, on: [], active_for: 0s}\n      - {on: [x]}\n",
        ),
        ("c.txt", "groups: [\n"),
    ] {
        std::fs::write(dir.path().join(name), text).expect("write");
    }
    let text = format!(
        "{ACCOUNT}{REST}rule_files: [\"*.yaml\", a.yaml, c.txt, nope.yaml, \"no*.yaml\"]\n"
    );
    let shown = check_in(dir.path(), &text).replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(shown, @r#"
    t.yaml:4:39: rule_files[3]: no such file
    t.yaml:4:51: warning: rule_files[4]: no file matches
    DIR/a.yaml:6:14: groups[0].rules[0].for: an event rule, which has neither value, over nor absent_for, takes no for (hint: one event is the alert; active_for says how long it lasts)
    DIR/a.yaml:7:9: groups[0].rules[0].lables: unknown key (hint: did you mean labels?)
    DIR/b.yaml:2:11: groups[0].name: group given twice, first at DIR/a.yaml:2:11
    DIR/b.yaml:4:17: g/B.on: names no kind of event
    DIR/b.yaml:4:40: groups[0].rules[0].active_for: must be between 1s and 366d
    DIR/b.yaml:5:9: groups[0].rules[1]: missing key "alert" (hint: Name of the alert.)
    DIR/b.yaml:5:15: warning: g/unnamed_5.on: no known kind of event is `x`
    DIR/c.txt:1:9: not YAML: unclosed bracket '['
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_keys_of_a_rule_say_of_which_kind_it_is_and_which_keys_it_may_have() {
    let dir = tempfile::tempdir().expect("directory");
    let check_rules = |rules: &[&str]| {
        let file = rules
            .iter()
            .enumerate()
            .fold("groups:\n- name: g\n  rules:\n".to_owned(), |file, (n, keys)| {
                format!("{file}  - {{alert: A{n}, on: [call.cost], {keys}}}\n")
            });
        std::fs::write(dir.path().join("r.yaml"), file).expect("write");
        let intervals = "time_intervals: [{name: x, time_intervals: [{weekdays: [monday]}]}]";
        let text = format!("{ACCOUNT}{REST}rule_files: [r.yaml]\n{intervals}\n");
        let shown = check_in(dir.path(), &text).replace(&dir.path().display().to_string(), "DIR");
        let used = |line: &&str| !line.contains("no route and no rule uses this time interval");
        shown.lines().filter(used).collect::<Vec<_>>().join("\n")
    };
    let fine = [
        "active_for: 2h, notify_expired: true, max_series: 5",
        "value: payload.x, fire: value < 5, clear: value > 6, for: 1m, keep_firing_for: 2m, stale_after: 1h",
        "over: 15m, value: sum(event.charge), fire: value > 5.0, by: {p: event.product}",
        "over: week, time_zone: Europe/Berlin, value: distinct(call.country), fire: value > 5",
        "absent_for: 2h, for: 5m, active_time_intervals: [x], when: event.source == 'webhook'",
    ];
    let known = "A4: ";
    let shown = check_rules(&fine);
    assert!(shown.lines().all(|line| line.contains(known)), "{shown}");
    let wrong = [
        "keep_firing_for: 5m, stale_after: 5m, time_zone: UTC, clear: value > 1",
        "value: payload.x, fire: value < 5, active_for: 1h, notify_expired: true, active_time_intervals: [x]",
        "value: payload.x",
        "fire: value < 5, stale_after: soon",
        "over: 15m",
        "over: fortnight, value: count(), fire: value > 1, stale_after: 0s",
        "over: 1s, time_zone: UTC, value: count(), fire: value > 1",
        "over: month, time_zone: Mars/Base, value: count(), fire: value > 1, resolve_on: {on: [x]}",
        "absent_for: 2h, by: {a: event.id}, max_series: 5, value: count(), fire: value > 1, over: 5m",
        "absent_for: 0s, clear: value > 1",
        "value: payload.x, fire: value < 5, max_series: 0",
        "over: 5m, value: sum(payload.x) + 1, fire: value > 1",
        "over: 5m, value: sum(event.chrge), fire: value.x > 1, clear: payload.x == 1",
        "value: payload.x, fire: valu > 1",
        "value: event.kind, fire: value == 'x'",
    ];
    insta::assert_snapshot!(check_rules(&wrong), @r#"
        DIR/r.yaml:4:51: groups[0].rules[0].keep_firing_for: an event rule, which has neither value, over nor absent_for, takes no keep_firing_for (hint: one event is the alert; active_for says how long it lasts)
        DIR/r.yaml:4:68: groups[0].rules[0].stale_after: an event rule, which has neither value, over nor absent_for, takes no stale_after (hint: only the latest value of a gauge rule gets old)
        DIR/r.yaml:4:83: groups[0].rules[0].time_zone: an event rule, which has neither value, over nor absent_for, takes no time_zone (hint: it is for over: day, week or month, and where fire looks at usual)
        DIR/r.yaml:4:95: groups[0].rules[0].clear: an event rule, which has neither value, over nor absent_for, takes no clear (hint: to judge a value give value and fire)
        DIR/r.yaml:5:81: groups[0].rules[1].active_for: a gauge rule, which has value and fire, takes no active_for (hint: the alert ends when its condition does; see clear)
        DIR/r.yaml:5:101: groups[0].rules[1].notify_expired: a gauge rule, which has value and fire, takes no notify_expired (hint: its alerts do not expire; they are resolved)
        DIR/r.yaml:5:130: groups[0].rules[1].active_time_intervals: a gauge rule, which has value and fire, takes no active_time_intervals (hint: mute or activate the route instead)
        DIR/r.yaml:6:5: groups[0].rules[2]: missing key "fire" (hint: fire: value > 100.0)
        DIR/r.yaml:7:5: groups[0].rules[3]: missing key "value" (hint: value: payload.available_credit)
        DIR/r.yaml:7:64: groups[0].rules[3].stale_after: expected a duration such as 30s, 5m, 4h, 30d, 1w
        DIR/r.yaml:8:5: groups[0].rules[4]: missing key "value" (hint: value: sum(event.charge), or count())
        DIR/r.yaml:8:5: groups[0].rules[4]: missing key "fire" (hint: fire: value > 100.0)
        DIR/r.yaml:9:40: groups[0].rules[5].over: expected a duration such as 15m, 4h, 7d, or day, week, month
        DIR/r.yaml:9:97: groups[0].rules[5].stale_after: a window rule, which has over, takes no stale_after (hint: only the latest value of a gauge rule gets old)
        DIR/r.yaml:10:40: groups[0].rules[6].over: must be between 10s and 366d
        DIR/r.yaml:10:55: g/A6.time_zone: only days, weeks and months, and what is usual, depend on it (hint: it is for over: day, week or month, and where fire looks at usual)
        DIR/r.yaml:11:58: groups[0].rules[7].time_zone: unknown time zone (hint: a name such as America/Chicago or UTC)
        DIR/r.yaml:11:114: groups[0].rules[7].resolve_on: a window rule, which has over, takes no resolve_on (hint: the alert ends when its condition does; see clear)
        DIR/r.yaml:12:54: groups[0].rules[8].by: an absence rule, which has absent_for, takes no by (hint: there is one series per account)
        DIR/r.yaml:12:81: groups[0].rules[8].max_series: an absence rule, which has absent_for, takes no max_series (hint: there is one series per account)
        DIR/r.yaml:12:91: groups[0].rules[8].value: an absence rule, which has absent_for, takes no value (hint: what counts is said in on and when)
        DIR/r.yaml:12:106: groups[0].rules[8].fire: an absence rule, which has absent_for, takes no fire (hint: it fires by itself after absent_for)
        DIR/r.yaml:12:123: groups[0].rules[8].over: an absence rule, which has absent_for, takes no over (hint: give absent_for or over, in two rules if need be)
        DIR/r.yaml:13:46: groups[0].rules[9].absent_for: must be between 1m and 366d
        DIR/r.yaml:13:57: groups[0].rules[9].clear: an absence rule, which has absent_for, takes no clear (hint: to judge a value give value and fire)
        DIR/r.yaml:14:82: groups[0].rules[10].max_series: must be between 1 and 100000
        DIR/r.yaml:15:67: g/A11.value: nothing may stand behind the aggregate (hint: compute inside of its brackets, compare in fire and clear)
        DIR/r.yaml:16:62: g/A12.value: `event` has no field `chrge` (hint: did you mean `charge`?)
        DIR/r.yaml:16:82: g/A12.fire: double has no field `x`
        DIR/r.yaml:16:96: g/A12.clear: unknown variable `payload` (hint: known here: value, count, labels, usual, spread, weeks)
        DIR/r.yaml:17:59: g/A13.fire: unknown variable `valu` (hint: did you mean `value`?)
        DIR/r.yaml:18:42: g/A14.value: expected a number or decimal text, found string (hint: write num(…))
        DIR/r.yaml:18:66: g/A14.fire: `==` cannot compare double with string
        "#);
}

#[test]
fn metrics_are_checked() {
    let metrics = [
        "{name: a_total, type: counter, help: h, on: [call.cost]}",
        "{name: a_total, type: gauge, help: h, on: [call.cost], value: payload.x}",
        "{name: b, type: counter, help: h, on: [call.cost], value: event.cost, by: {currency: event.currency}}",
        "{name: c, type: gauge, help: h, on: [call.cost]}",
        "{name: tollbell_x, type: histogram, help: h, on: [], value: event.kind, by: {le: event.id, 9x: event.id}}",
        "{name: process_x, type: summary, help: h, on: [call.cost], when: 1 + 1}",
        "{name: a-b, type: gauge, on: [call.cost], value: value}",
    ];
    let text = format!("{ACCOUNT}{REST}metrics:\n- {}\n", metrics.join("\n- "));
    insta::assert_snapshot!(check(&text), @r#"
    t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
    t.yaml:6:10: metrics.a_total: metric `a_total` is already defined at t.yaml:5:10
    t.yaml:7:10: warning: metrics.b: the name of a counter ends in _total
    t.yaml:7:78: metrics.b.by.currency: tollbell sets the label `currency` itself
    t.yaml:8:10: metrics.c: a gauge has to have a value
    t.yaml:9:10: metrics.tollbell_x.on: names no kind of event
    t.yaml:9:10: metrics.tollbell_x: names that begin with tollbell_ are tollbell's own
    t.yaml:9:63: metrics.tollbell_x.value: expected a number or decimal text, found string (hint: write num(…))
    t.yaml:9:80: metrics.tollbell_x.by.le: tollbell sets the label `le` itself
    t.yaml:9:94: metrics.tollbell_x.by.9x: expected letters, digits and _, no digit first and not two _
    t.yaml:10:10: metrics.process_x: names that begin with process_ are tollbell's own
    t.yaml:10:10: warning: metrics.process_x: the name of a counter ends in _total
    t.yaml:10:27: metrics[5].type: expected one of counter, gauge, histogram
    t.yaml:10:68: metrics.process_x.when: expected bool, found int
    t.yaml:11:3: metrics[6]: missing key "help" (hint: What it says, for people.)
    t.yaml:11:10: metrics.a-b: expected letters, digits, _ and :, no digit first
    t.yaml:11:52: metrics.a-b.value: unknown variable `value` (hint: known here: event, payload, call)
    "#);
}
