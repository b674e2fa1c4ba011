//! What is right, and probably not meant.

use super::*;

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let route = |child: &str| {
        format!(
            "{ACCOUNT}rule_files: []\nreceivers: [{{name: ops}}]\nroute:\n  receiver: ops\n  routes:\n    - {child}\n"
        )
    };
    let interval = |items: &str| {
        format!(
            "{ACCOUNT}rule_files: []\nreceivers: [{{name: ops}}]\nroute: {{receiver: ops, routes: [{{matchers: [a=b], \
             active_time_intervals: [x]}}]}}\ntime_intervals:\n  - name: x\n    time_intervals: {items}\n"
        )
    };
    let mail = |entry: &str| {
        format!(
            "{ACCOUNT}rule_files: []\nroute: {{receiver: ops}}\nreceivers:\n  - name: ops\n    email_configs:\n      - \
             {{to: [a@example.com], from: b@example.com, {entry}}}\n"
        )
    };
    let mut said = String::new();
    for text in [
        route("{matchers: ['severity=\"critical\"']}"),
        route("{matchers: ['severity=\"critical\"'], group_wait: 0s}"),
        route("{matchers: ['severity=\"critical\"'], group_wait: 5s, group_by: [account]}"),
        route("{matchers: ['severity=~\"critical|page\"'], group_wait: 0s, group_by: []}"),
        route("{matchers: ['severity=~\"critical|warning\"']}"),
        route("{matchers: ['severity!=\"info\"']}"),
        route("{matchers: ['team=\"voice\"']}"),
        interval("[{times: [{start_time: '08:00', end_time: '23:59'}]}]"),
        interval("[{times: [{start_time: '08:00', end_time: '24:00'}], weekdays: [monday]}]"),
        interval(
            "[{weekdays: ['monday:friday']}, {times: [{start_time: '08:00', end_time: '18:00'}]}]",
        ),
        mail("smarthost: 'mail.example.com:465'"),
        mail("smarthost: 'mail.example.com:465', tls: starttls"),
        mail("smarthost: 'mail.example.com:465', tls: implicit"),
        mail("smarthost: 'mail.example.com:587'"),
    ] {
        let what = text.lines().last().unwrap_or_default().trim();
        let all = check(&text);
        writeln!(said, "--- {what}").expect("writes");
        for line in all.lines().filter(|line| !line.contains("no rules")) {
            writeln!(said, "{line}").expect("writes");
        }
    }
    insta::assert_snapshot!(said, @r#"
        --- - {matchers: ['severity="critical"']}
        t.yaml:7:7: warning: route.routes[0].group_wait: critical alerts wait for 30s before their first notification (hint: group_wait: 0s notifies at once)
        --- - {matchers: ['severity="critical"'], group_wait: 0s}
        --- - {matchers: ['severity="critical"'], group_wait: 5s, group_by: [account]}
        t.yaml:7:55: warning: route.routes[0].group_wait: critical alerts wait for 5s before their first notification (hint: group_wait: 0s notifies at once)
        t.yaml:7:69: warning: route.routes[0].group_by: different critical alerts are one group: once it was notified, a new one waits for group_interval (hint: group_by: [alertname, account])
        --- - {matchers: ['severity=~"critical|page"'], group_wait: 0s, group_by: []}
        t.yaml:7:75: warning: route.routes[0].group_by: different critical alerts are one group: once it was notified, a new one waits for group_interval (hint: group_by: [alertname, account])
        --- - {matchers: ['severity=~"critical|warning"']}
        --- - {matchers: ['severity!="info"']}
        --- - {matchers: ['team="voice"']}
        --- time_intervals: [{times: [{start_time: '08:00', end_time: '23:59'}]}]
        t.yaml:7:64: warning: time_intervals[0].time_intervals[0].times[0].end_time: the end is not in the range: the last minute of the day is left out (hint: 24:00 is the end of the day)
        --- time_intervals: [{times: [{start_time: '08:00', end_time: '24:00'}], weekdays: [monday]}]
        --- time_intervals: [{weekdays: ['monday:friday']}, {times: [{start_time: '08:00', end_time: '18:00'}]}]
        t.yaml:7:53: warning: time_intervals[0].time_intervals[1]: hours of every day, and another item has days without hours: any one item is enough (hint: put times and days into one item, if both are to hold)
        --- - {to: [a@example.com], from: b@example.com, smarthost: 'mail.example.com:465'}
        t.yaml:7:64: warning: receivers[0].email_configs[0].tls: port 465 speaks TLS from the first byte, and starttls waits for a greeting in clear (hint: tls: implicit, or port 587)
        --- - {to: [a@example.com], from: b@example.com, smarthost: 'mail.example.com:465', tls: starttls}
        t.yaml:7:92: warning: receivers[0].email_configs[0].tls: port 465 speaks TLS from the first byte, and starttls waits for a greeting in clear (hint: tls: implicit, or port 587)
        --- - {to: [a@example.com], from: b@example.com, smarthost: 'mail.example.com:465', tls: implicit}
        --- - {to: [a@example.com], from: b@example.com, smarthost: 'mail.example.com:587'}
        "#);
}

#[test]
fn a_rule_with_an_error_is_looked_at_to_its_end() {
    let dir = tempfile::tempdir().expect("directory");
    let rules = "groups:\n  - name: g\n    rules:\n      - alert: NoFire\n        on: [account.balance]\n        \
        value: payload.(\n      - on: [call.cost]\n        when: evnt.kind\n      - alert: Bad\n        on: [call.cost]\n        \
        over: 1x\n        value: summ(event.charge)\n        fire: valu > 1\n      - alert: Bad\n        on: [call.cost]\n        \
        when: 1 +\n";
    std::fs::write(dir.path().join("r.yaml"), rules).expect("write");
    let said = check_in(dir.path(), &format!("{ACCOUNT}{REST}rule_files: [r.yaml]\n"));
    let said = said.replace(&format!("{}/", dir.path().display()), "");
    insta::assert_snapshot!(said, @r#"
        r.yaml:4:9: groups[0].rules[0]: missing key "fire" (hint: fire: value > 100.0)
        r.yaml:6:24: g/NoFire.value: unexpected `(`
        r.yaml:7:9: groups[0].rules[1]: missing key "alert" (hint: Name of the alert.)
        r.yaml:8:15: g/unnamed_7.when: unknown variable `evnt` (hint: did you mean `event`?)
        r.yaml:11:15: groups[0].rules[2].over: expected a duration such as 15m, 4h, 7d, or day, week, month
        r.yaml:12:16: g/Bad.value: unknown aggregate `summ` (hint: did you mean `sum`?)
        r.yaml:13:15: g/Bad.fire: unknown variable `valu` (hint: did you mean `value`?)
        r.yaml:14:16: g/Bad: rule `g/Bad` is already defined at r.yaml:9:16
        r.yaml:16:18: g/Bad.when: the expression ends too early
        "#);
}

#[test]
fn words_of_alertmanager_say_what_is_meant_here() {
    let mut said = String::new();
    for (entry, word) in [
        ("slack_configs", "webhook_url"),
        ("webhook_configs", "api_url"),
        ("email_configs", "require_tls"),
        ("email_configs", "smtp_smarthost"),
        ("alertmanager_configs", "static_configs"),
    ] {
        let text = format!(
            "{ACCOUNT}route: {{receiver: ops}}\nreceivers: [{{name: ops, {entry}: [{{{word}: x}}]}}]\n"
        );
        let all = check(&text);
        writeln!(said, "{}", all.lines().find(|line| line.contains(word)).unwrap_or("nothing"))
            .expect("writes");
    }
    for word in ["global", "slack_api_url", "groups"] {
        let all = check(&format!("{ACCOUNT}{REST}{word}: {{}}\n"));
        writeln!(said, "{}", all.lines().last().unwrap_or("nothing")).expect("writes");
    }
    insta::assert_snapshot!(said, @r#"
        t.yaml:3:42: receivers[0].slack_configs[0].webhook_url: unknown key (hint: use api_url)
        t.yaml:3:44: receivers[0].webhook_configs[0].api_url: unknown key (hint: use url)
        t.yaml:3:42: receivers[0].email_configs[0].require_tls: unknown key (hint: use tls: starttls, implicit or none)
        t.yaml:3:42: receivers[0].email_configs[0].smtp_smarthost: unknown key (hint: use smarthost)
        t.yaml:3:49: receivers[0].alertmanager_configs[0].static_configs: unknown key (hint: use url, one entry for each Alertmanager)
        t.yaml:4:1: global: unknown key (hint: say at each integration what it sets: smarthost, from, auth, api_url; a YAML anchor can be shared)
        t.yaml:4:1: slack_api_url: unknown key (hint: use api_url in each of slack_configs)
        t.yaml:4:1: groups: unknown key (hint: they stand in files of their own: rule_files)
        "#);
}

#[test]
fn a_root_without_group_by_groups_by_alert_and_account() {
    let of = |more: &str| {
        let text = format!(
            "{ACCOUNT}rule_files: []\nreceivers: [{{name: ops}}]\nroute: {{receiver: ops{more}}}\n"
        );
        parse("t.yaml", &text, Path::new(""), &env).config.expect("sound").route.group_by
    };
    let labels = |names: &[&str]| {
        crate::alerts::GroupBy::Labels(names.iter().map(|it| (*it).to_owned()).collect())
    };
    assert_eq!(of(""), labels(&["alertname", "account"]));
    assert_eq!(of(", group_by: []"), labels(&[]));
}
