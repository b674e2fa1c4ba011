//! What `check` says of each mistake.

use super::*;

#[test]
fn the_telnyx_side_of_an_account_is_checked() {
    let account = "accounts:\n  - name: default\n    public_keys: [\"${KEY}\"]\n";
    let mut said = String::new();
    for (keys, rest) in [
        ("api_key: k\n    backfill: {enabled: false}", ""),
        ("api_key: k", ""),
        ("api_url: https://api.telnyx.com/v2\n    balance: {poll_interval: 1m}", ""),
        ("api_key: k\n    api_key_file: f", ""),
        ("api_key: \"\"\n    api_url: http://api.example.com/v2", ""),
        ("api_key: k\n    api_url: api.telnyx.com\n    balance: {poll_interval: 1ms}", ""),
        ("api_key: k\n    backfill: {max_age: 8d}", "server: {public_url: https://a.example.com}"),
        ("currency: USD", "heartbeats: [{interval: 1m}, {url: nowhere}]"),
        (
            "currency: USD",
            "heartbeats: [{url: 'https://a.example.com/b'}, {url: 'https://a.example.com/b'}]",
        ),
    ] {
        let text = format!("{account}    {keys}\n{REST}{rest}\n");
        writeln!(said, "--- {}\n{}", keys.replace("\n    ", ", "), check(&text)).expect("writes");
    }
    insta::assert_snapshot!(said, @r#"
        --- api_key: k, backfill: {enabled: false}
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire

        --- api_key: k
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:4:14: warning: accounts[0].api_key: webhooks that were missed cannot be looked for without server.public_url (hint: backfill: {enabled: false}, if that is meant)

        --- api_url: https://api.telnyx.com/v2, balance: {poll_interval: 1m}
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:4:14: warning: accounts[0].api_url: has no effect without api_key or api_key_file

        --- api_key: k, api_key_file: f
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:5:19: accounts[0].api_key_file: give api_key or api_key_file, not both

        --- api_key: "", api_url: http://api.example.com/v2
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:4:15: accounts[0].api_key: the secret is empty
        t.yaml:5:14: warning: accounts[0].api_url: the API key would travel in clear: use https

        --- api_key: k, api_url: api.telnyx.com, balance: {poll_interval: 1ms}
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:4:14: warning: accounts[0].api_key: webhooks that were missed cannot be looked for without server.public_url (hint: backfill: {enabled: false}, if that is meant)
        t.yaml:5:14: accounts[0].api_url: expected a URL such as https://example.com/path
        t.yaml:6:30: accounts[0].balance.poll_interval: must be between 1s and 1d

        --- api_key: k, backfill: {max_age: 8d}
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:5:25: accounts[0].backfill.max_age: must be between 1m and 7d

        --- currency: USD
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:7:14: heartbeats[0]: missing key "url" or "url_file"
        t.yaml:7:36: heartbeats[1].url: expected a URL such as https://example.com/path

        --- currency: USD
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:7:55: warning: heartbeats[1].url: the same address twice: one heartbeat hides that the other is missing
        "#);
}

#[test]
fn words_of_later_parts_are_refused() {
    for word in LATER {
        let line = check(&format!("{ACCOUNT}{REST}{word}: []\n"));
        let refused = line.contains("unknown key") && line.contains("not in this version");
        assert!(refused, "{word}: {line}");
    }
    insta::assert_snapshot!(check(include_str!("../testdata/later.yaml")), @r"
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:2:3: server.auth: unknown key (hint: not in this version of tollbell)
        ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one long list is the point")]
fn all_problems_come_at_once() {
    insta::assert_snapshot!(check(include_str!("../testdata/bad.yaml")), @r#"
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:2:11: server.listen: expected an IP address and a port (hint: such as 0.0.0.0:8080, 127.0.0.1:9464 or [::1]:9464)
        t.yaml:3:19: warning: server.private_listen: not a loopback address: whoever reaches it can read alerts and events (hint: this version has no authentication there; keep the network closed)
        t.yaml:4:15: server.public_url: the URL is not http or https
        t.yaml:5:17: server.external_url: the URL must end with its path: no ? and no #
        t.yaml:6:13: server.max_body: expected a size such as 512KiB, 1MiB, or bytes
        t.yaml:7:21: server.shutdown_timeout: expected a duration such as 500ms, 30s, 5m, 4h, 30d, 1w
        t.yaml:8:21: server.trusted_proxies[0]: expected a network such as 10.0.0.0/8, or an IP address
        t.yaml:8:34: server.trusted_proxies[1]: expected a network such as 10.0.0.0/8, or an IP address
        t.yaml:9:3: server.lisen: unknown key (hint: did you mean listen?)
        t.yaml:11:11: accounts[0].name: expected 1 to 64 of a-z, 0-9, _ and -: it stands in a URL
        t.yaml:12:19: accounts[0].public_keys[0]: the public key has 3 bytes, and 32 are wanted
        t.yaml:12:26: environment variable UNSET_KEY is not set (hint: set it, or give a default: ${UNSET_KEY:-…})
        t.yaml:13:16: accounts[0].tolerance: must be between 1s and 1h
        t.yaml:14:14: accounts[0].labels.account: tollbell sets this label itself
        t.yaml:14:27: accounts[0].labels.a-b: no label name: letters, digits and _, no digit and no __ first
        t.yaml:14:43: accounts[0].labels.__x: no label name: letters, digits and _, no digit and no __ first
        t.yaml:15:15: accounts[0].currency: expected an ISO 4217 code such as USD
        t.yaml:16:5: accounts[1]: missing key "name" (hint: Name: the last part of /webhooks/telnyx/{account}.)
        t.yaml:16:23: accounts[1].public_keys_file: cannot be read: No such file or directory (os error 2)
        t.yaml:18:30: warning: accounts[2].public_keys[1]: this key is given twice
        t.yaml:19:5: accounts[3]: no public key (hint: public_keys: ["${TELNYX_PUBLIC_KEY}"], from Mission Control)
        t.yaml:19:11: accounts[3].name: name given twice, first in line 17
        t.yaml:20:15: store.url: expected sqlite: and a path, such as sqlite:data/tollbell.db, or a URL such as postgres://tollbell@db.example.com/tollbell
        t.yaml:20:36: store.retention: must be between 7d and 3650d
        t.yaml:20:49: store.payload: expected one of full, redacted, none
        t.yaml:22:13: route.receiver: no receiver has the name "opps" (hint: did you mean ops?)
        t.yaml:23:13: route.matchers: not on the root: it takes every alert that no child takes
        t.yaml:25:7: route.routes[0].receiver: no value (hint: give a value, or remove the key)
        t.yaml:25:7: warning: route.routes[0]: takes every alert: the routes after it are never asked (hint: give it matchers, or continue: true)
        t.yaml:26:29: route.routes[1].matchers[0]: bad regular expression: unclosed group
        t.yaml:26:37: route.routes[1].matchers[1]: expected one of = != =~ !~ after the label name
        t.yaml:26:40: route.routes[1].matchers[2]: expected a single value, found a map
        t.yaml:28:7: route.routes[1].match: unknown key (hint: use matchers: ['label="value"'])
        t.yaml:29:7: warning: route.routes[2]: takes every alert: the routes after it are never asked (hint: give it matchers, or continue: true)
        t.yaml:29:17: route.routes[2].continue: expected true or false
        t.yaml:30:13: route.routes[2].name: another route has this name; root is taken, too
        t.yaml:32:7: warning: route.routes[4]: an earlier sibling has the same matchers and receiver (hint: remove it, or give both a name)
        t.yaml:35:15: receivers[0].fallback: no receiver has the name "oncal" (hint: did you mean oncall?)
        t.yaml:38:9: receivers[0].slack_configs[0]: missing key "api_url" or "api_url_file"
        t.yaml:40:23: receivers[0].slack_configs[1].api_url_file: give api_url or api_url_file, not both
        t.yaml:42:19: warning: receivers[0].slack_configs[2].channel: ignored by webhooks of hooks.slack.com: each posts to the channel it was made for
        t.yaml:43:18: receivers[0].slack_configs[2].timeout: expected a duration such as 500ms, 30s, 5m, 4h, 30d, 1w
        t.yaml:44:34: receivers[0].slack_configs[2].rate_limit.per_second: must be between 0.001 and 1000
        t.yaml:44:44: receivers[0].slack_configs[2].rate_limit.burst: expected a whole number
        t.yaml:44:49: receivers[0].slack_configs[2].rate_limit.bust: unknown key (hint: did you mean burst?)
        t.yaml:45:34: receivers[0].slack_configs[2].retry.initial_backoff: longer than max_backoff
        t.yaml:46:11: warning: receivers[1].name: no route and no fallback uses this receiver
        t.yaml:47:15: receivers[1].fallback: fallbacks lead in a circle
        t.yaml:49:14: receivers[1].webhook_configs[0].url: expected a URL such as https://example.com/path
        t.yaml:50:17: receivers[1].webhook_configs[0].secret: what follows whsec_ is not standard, padded base64
        t.yaml:51:21: receivers[1].webhook_configs[0].max_alerts: must be between 1 and 10000
        t.yaml:53:20: receivers[1].webhook_configs[0].body_file: give body or body_file, not both
        t.yaml:54:20: receivers[1].webhook_configs[0].headers.a b: not the name of a header
        t.yaml:54:33: receivers[1].webhook_configs[0].headers.c: a control character in a header
        t.yaml:54:46: receivers[1].webhook_configs[0].headers.D: header given twice
        t.yaml:55:19: receivers[1].webhook_configs[1].url_file: secret file cannot be used: No such file or directory (os error 2)
        t.yaml:56:27: receivers[1].webhook_configs[1].header_files.x: secret file cannot be used: No such file or directory (os error 2)
        t.yaml:60:11: receivers[1].webhook_configs[1].body: syntax error: unexpected end of block
        t.yaml:62:31: receivers[1].webhook_configs[1].tls_config.ca_file: cannot be read: No such file or directory (os error 2)
        t.yaml:64:16: receivers[1].webhook_configs[2].body: undefined value: `commonLabels.nope` is undefined
        t.yaml:65:9: warning: receivers[1].webhook_configs[3]: another one of this receiver goes to the same place: only their order tells them apart, and a change of it mixes them up (hint: give each a name)
        t.yaml:69:11: receivers[1].webhook_configs[3].body: unknown filter: filter nofilter is unknown
        t.yaml:70:11: warning: receivers[2].name: no route and no fallback uses this receiver
        t.yaml:71:15: receivers[2].fallback: fallbacks lead in a circle
        t.yaml:72:21: receivers[2].fallback_after: must be between 1s and 1d
        t.yaml:74:14: receivers[2].email_configs[0].to[0]: not a mail address
        t.yaml:74:45: receivers[2].email_configs[0].to[2]: recipient given twice
        t.yaml:75:15: receivers[2].email_configs[0].from: not a mail address
        t.yaml:76:20: receivers[2].email_configs[0].smarthost: expected host:port, such as smtp.example.com:587
        t.yaml:77:14: receivers[2].email_configs[0].tls: expected one of starttls, implicit, none
        t.yaml:78:19: receivers[2].email_configs[0].headers.Subject: tollbell sets this header itself
        t.yaml:78:32: receivers[2].email_configs[0].headers.X\n: not the name of a header
        t.yaml:79:13: receivers[2].email_configs[1].to: no recipient
        t.yaml:83:69: receivers[2].email_configs[1].auth.password_file: give password or password_file, not both
        t.yaml:84:9: receivers[2].email_configs[2]: missing key "from" (hint: Sender.)
        t.yaml:84:9: receivers[2].email_configs[2]: missing key "smarthost" (hint: Mail server, host:port.)
        t.yaml:84:13: receivers[2].email_configs[2].to: expected a list, found a single value (hint: put it in brackets: to: [value])
        t.yaml:85:15: receivers[2].email_configs[2].auth: missing key "username" (hint: User name.)
        t.yaml:85:15: receivers[2].email_configs[2].auth: missing key "password" or "password_file"
        t.yaml:86:15: receivers[2].email_configs[3].name: expected 1 to 64 characters, no / among them
        t.yaml:91:15: warning: receivers[2].email_configs[3].auth: without TLS the password crosses the network in plain text
        t.yaml:92:11: receivers[3].name: name given twice, first in line 34
        t.yaml:93:5: receivers[4]: missing key "name" (hint: Name, as routes use it.)
        "#);
}

#[test]
fn each_bad_file_has_its_words() {
    let mut out = String::new();
    for text in [
        "",
        "just text\n",
        "- a\n",
        "accounts: {}\nroute: []\nreceivers: x\n",
        "accounts: []\nroute: {}\nreceivers: []\n",
        "accounts: [{name: a, public_keys: [\"${NOPE}\"]}]\nroute: {receiver: ops}\nreceivers: [{name: ops}]\n",
        "server:\n\tlisten: x\n",
        "a: &a [1]\nb: *a\n",
    ] {
        writeln!(out, "--- {text:?}\n{}", check(text)).expect("string");
    }
    insta::assert_snapshot!(out, @r#"
        --- ""
        t.yaml:1:1: missing key "accounts" (hint: The Telnyx accounts that send webhooks here.)
        t.yaml:1:1: missing key "route" (hint: Who is notified of which alert.)
        t.yaml:1:1: missing key "receivers" (hint: Who can be notified, and how.)
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire

        --- "just text\n"
        t.yaml:1:1: expected a map of keys, found a single value
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire

        --- "- a\n"
        t.yaml:1:1: expected a map of keys, found a list
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire

        --- "accounts: {}\nroute: []\nreceivers: x\n"
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:1:11: accounts: expected a list, found a map
        t.yaml:2:8: route: expected a map of keys, found a list
        t.yaml:2:8: route: missing key "receiver" (hint: the root takes every alert that no child takes)
        t.yaml:3:12: receivers: expected a list, found a single value (hint: put it in brackets: receivers: [value])

        --- "accounts: []\nroute: {}\nreceivers: []\n"
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:1:11: accounts: no account: nobody could sign a webhook
        t.yaml:2:8: route: missing key "receiver" (hint: the root takes every alert that no child takes)
        t.yaml:3:12: receivers: no receiver: nobody could be notified

        --- "accounts: [{name: a, public_keys: [\"${NOPE}\"]}]\nroute: {receiver: ops}\nreceivers: [{name: ops}]\n"
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:1:37: environment variable NOPE is not set (hint: set it, or give a default: ${NOPE:-…})

        --- "server:\n\tlisten: x\n"
        t.yaml:2:2: not YAML: tabs disallowed within this context (block indentation)

        --- "a: &a [1]\nb: *a\n"
        t.yaml:1:1: a: unknown key (hint: known here: server, accounts, store, rule_files, metrics, route, inhibit_rules, time_intervals, receivers, templates, heartbeats)
        t.yaml:1:1: missing key "accounts" (hint: The Telnyx accounts that send webhooks here.)
        t.yaml:1:1: missing key "route" (hint: Who is notified of which alert.)
        t.yaml:1:1: missing key "receivers" (hint: Who can be notified, and how.)
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:2:1: b: unknown key (hint: known here: server, accounts, store, rule_files, metrics, route, inhibit_rules, time_intervals, receivers, templates, heartbeats)
        "#);
}

#[test]
fn an_unknown_key_has_the_nearest_one_as_its_hint() {
    let shown = check(&format!("{ACCOUNT}{REST}rulefiles: []\nservr: {{}}\nzzz: 1\n"));
    insta::assert_snapshot!(shown, @r"
        t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
        t.yaml:4:1: rulefiles: unknown key (hint: did you mean rule_files?)
        t.yaml:5:1: servr: unknown key (hint: did you mean server?)
        t.yaml:6:1: zzz: unknown key (hint: known here: server, accounts, store, rule_files, metrics, route, inhibit_rules, time_intervals, receivers, templates, heartbeats)
        ");
}

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
        DIR/r.yaml:4:83: groups[0].rules[0].time_zone: an event rule, which has neither value, over nor absent_for, takes no time_zone (hint: it is for over: day, week or month)
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
        DIR/r.yaml:10:55: groups[0].rules[6].time_zone: only days, weeks and months begin somewhere (hint: it is for over: day, week or month)
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
        DIR/r.yaml:16:96: g/A12.clear: unknown variable `payload` (hint: known here: value, count, labels)
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
