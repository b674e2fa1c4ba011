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
        writeln!(
            said,
            "--- {what}\n{}",
            check(&text)
                .replace("t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire\n", "")
        )
        .expect("writes");
    }
    insta::assert_snapshot!(said, @"");
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
    insta::assert_snapshot!(said, @"");
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
    insta::assert_snapshot!(said, @"");
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
