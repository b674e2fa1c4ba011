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
fn the_tokens_of_the_private_listener_are_checked() {
    let mut said = String::new();
    let open = "private_listen: 0.0.0.0:9464";
    for server in [
        open.to_owned(),
        format!("{open}, auth: {{read_token: s3cr3t-0123456789abcdef}}"),
        "auth: {}".to_owned(),
        "auth: {token: s3cr3t, read_token: \"two s3cr3t words\"}".to_owned(),
        "auth: {token: \"\", read_token_file: nowhere}".to_owned(),
        "auth: {token: s3cr3t-0123456789abcdef, token_file: f, tokens: x}".to_owned(),
    ] {
        let text = format!("server: {{{server}}}\n{ACCOUNT}{REST}rule_files: []\n");
        writeln!(said, "--- {}\n{}", server.replace("s3cr3t", "…"), check(&text)).expect("writes");
    }
    insta::assert_snapshot!(said, @r#"
        --- private_listen: 0.0.0.0:9464
        t.yaml:1:26: warning: server.private_listen: not a loopback address, and no token: whoever reaches it can read metrics, and nobody can use the API or the console (hint: set server.auth.token_file)
        t.yaml:5:13: warning: rule_files: no rules: no alert can ever fire

        --- private_listen: 0.0.0.0:9464, auth: {read_token: …-0123456789abcdef}
        t.yaml:5:13: warning: rule_files: no rules: no alert can ever fire

        --- auth: {}
        t.yaml:5:13: warning: rule_files: no rules: no alert can ever fire

        --- auth: {token: …, read_token: "two … words"}
        t.yaml:1:24: warning: server.auth.token: a token of fewer than 16 characters can be guessed
        t.yaml:1:45: server.auth.read_token: no token: expected ASCII letters, digits and signs, without white space; several stand one in each line
        t.yaml:5:13: warning: rule_files: no rules: no alert can ever fire

        --- auth: {token: "", read_token_file: nowhere}
        t.yaml:1:25: server.auth.token: the secret is empty
        t.yaml:1:45: server.auth.read_token_file: secret file cannot be used: No such file or directory (os error 2)
        t.yaml:5:13: warning: rule_files: no rules: no alert can ever fire

        --- auth: {token: …-0123456789abcdef, token_file: f, tokens: x}
        t.yaml:1:61: server.auth.token_file: give token or token_file, not both
        t.yaml:1:64: server.auth.tokens: unknown key (hint: did you mean token?)
        t.yaml:5:13: warning: rule_files: no rules: no alert can ever fire
        "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one long list is the point")]
fn all_problems_come_at_once() {
    insta::assert_snapshot!(check(include_str!("../testdata/bad.yaml")), @r#"
    t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
    t.yaml:2:11: server.listen: expected an IP address and a port (hint: such as 0.0.0.0:8080, 127.0.0.1:9464 or [::1]:9464)
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
