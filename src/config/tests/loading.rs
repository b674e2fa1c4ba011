//! Files as a whole: hash, identities, schema, templates, and bytes that are no configuration.

use super::*;

#[test]
fn the_hash_follows_every_byte_of_every_file() {
    let dir = tempfile::tempdir().expect("directory");
    let hash = |text: &str, rules: &str| {
        std::fs::write(dir.path().join("r.yaml"), rules).expect("write");
        parse("t", text, dir.path(), &env).config.expect("config").hash
    };
    let text = format!("{ACCOUNT}{REST}rule_files: [r.yaml]\n");
    let first = hash(&text, "groups: []\n");
    assert_eq!(first, hash(&text, "groups: []\n"));
    assert_ne!(first, hash(&text, "groups: []\n\n"));
    assert_ne!(first, hash(&format!("{text}\n"), "groups: []\n"));
}

#[test]
fn an_integration_keeps_its_id_when_its_secret_changes() {
    let id = |entry: &str| {
        let text = format!(
            "{ACCOUNT}route: {{receiver: ops}}\nreceivers: [{{name: ops, webhook_configs: [{entry}]}}]\n"
        );
        let config = parse("t", &text, Path::new(""), &env).config.expect("config");
        config.receivers[0].integrations.iter().map(|i| i.id.clone()).collect::<Vec<_>>()
    };
    let (a, b) = (id("{url: http://h:1/one}"), id("{url: http://h:1/two}"));
    assert_eq!(a, b);
    assert_ne!(a, id("{url: http://h:2/one}"));
    let twins = id("{url: http://h:1/one}, {url: http://h:1/two}");
    assert_eq!(twins[0], a[0]);
    assert_eq!(twins[1], format!("{}-2", a[0]));
    assert_eq!(id("{url: http://h:1/one, name: x}"), ["ops/webhook/x"]);
}

#[test]
fn a_missing_file_is_a_problem_without_a_place() {
    let loaded = load(Path::new("/nowhere/tollbell.yaml"), &env);
    assert!(loaded.config.is_none());
    assert!(
        loaded.diagnostics[0].to_string().starts_with("/nowhere/tollbell.yaml: cannot be read")
    );
}

#[test]
fn the_schema_knows_what_the_reader_knows() {
    let schema = schema();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["$defs"]["route"]["properties"]["routes"]["items"]["$ref"], "#/$defs/route");
    for shape in shapes(ConfigWords::shape()).into_iter().chain(shapes(RuleFileWords::shape())) {
        let object = if shape.name == "config" { &schema } else { &schema["$defs"][shape.name] };
        let known: BTreeSet<&str> =
            object["properties"].as_object().expect("object").keys().map(String::as_str).collect();
        let table: BTreeSet<&str> = shape.keys.iter().map(|key| key.name).collect();
        assert_eq!(known, table, "{}", shape.name);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        parse("t", &String::from_utf8_lossy(&bytes), Path::new("/nowhere"), &env);
    }

    #[test]
    fn no_edit_of_a_good_file_makes_it_panic(at in 0usize..4000, with in "[ -~\n]{0,6}", cut in 0usize..40) {
        let mut text: Vec<char> = include_str!("../testdata/kitchen-sink.yaml").chars().collect();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, with.chars());
        parse("t", &text.into_iter().collect::<String>(), Path::new("/nowhere"), &env);
    }
}

#[test]
fn template_files_replace_texts_by_their_name_and_are_tried_at_load() {
    let dir = tempfile::tempdir().expect("directory");
    let write =
        |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("write");
    let text = |list: &str| format!("{ACCOUNT}{REST}templates: {list}\n");
    let check = |list: &str| {
        let found = check_in(dir.path(), &text(list));
        let lines = found.lines().filter(|line| !line.contains("no rules"));
        let base = format!("{}/", dir.path().display());
        lines.map(|line| line.replace(&base, "DIR/") + "\n").collect::<String>()
    };
    std::fs::create_dir(dir.path().join("sub")).expect("directory");
    write("mail.txt", "{{ headline }}\n{{ nope }}");
    write("mail.html", "{{ headline }}\n\n{% if %}");
    write("mail.subject", "{{ message.commonLabels.alertname }}");
    write("slack.title", "{% if status == 'NO DATA' %}\n{{ gone }}{% endif %}");
    write("slack.mrkdwn", "{{ headline | truncate(9) }} {{ now | ago(now) }}");
    write("mail.tex", "");
    write("sub/slack.mrkdwn", "");
    insta::assert_snapshot!(check("[mail.*, \"s*.*\", sub/slack.mrkdwn, body.txt, nothing.*]"), @r###"
    t.yaml:4:13: templates[0]: no text has the name "mail.tex" (hint: did you mean mail.txt?)
    t.yaml:4:29: templates[2]: slack.mrkdwn is replaced twice, first by DIR/slack.mrkdwn
    t.yaml:4:47: templates[3]: no such file
    t.yaml:4:57: templates[4]: no such file
    DIR/mail.html:3:1: templates[0]: syntax error: unexpected end of block
    DIR/mail.subject:1:1: warning: templates[0]: undefined value: `message.commonLabels.alertname` is undefined, in a message whose alerts have nothing in common (hint: plain text goes out then; write {{ name | default('') }}, or use alerts[0])
    DIR/mail.txt:2:1: templates[0]: undefined value: `nope` is undefined
    DIR/slack.title:2:1: templates[1]: undefined value: `gone` is undefined, in a message that ends by no data
    "###);
    write("mail.subject", "{{ message.commonLabels.alertname | default('several') }}");
    assert_eq!(check("[mail.subject, slack.mrkdwn]"), "");
    write("mail.subject", &"x".repeat(70_000));
    assert_eq!(
        check("[mail.subject]"),
        "t.yaml:4:13: templates[0]: DIR/mail.subject: larger than 65536 bytes\n"
    );
}

#[test]
fn a_webhook_body_is_tried_with_messages_of_every_kind() {
    let body = |body: &str| {
        check(&format!(
            "{ACCOUNT}route: {{receiver: ops}}\nreceivers:\n  - name: ops\n    webhook_configs:\n      - url: http://127.0.0.1/\n        body: \"{body}\"\n"
        ))
    };
    let common = body("{{ commonLabels.alertname }}");
    assert!(
        common.contains("warning: receivers[0].webhook_configs[0].body: undefined"),
        "{common}"
    );
    assert!(common.contains("in a message whose alerts have nothing in common"), "{common}");
    assert!(!body("{{ commonLabels.alertname | default('') }}").contains("body"));
    let over = body("{% if status == 'resolved' and alerts[0].expired %}{{ nope }}{% endif %}");
    assert!(over.contains("is undefined, in a message that expires"), "{over}");
    let several = body("{{ alerts[1].status if alerts | length > 1 else x }}");
    assert!(several.contains("receivers[0].webhook_configs[0].body: undefined"), "{several}");
}

#[test]
fn pagerduty_and_alertmanager_say_what_is_wrong() {
    let text = format!(
        "{ACCOUNT}route: {{receiver: ops}}\nreceivers:\n  - name: ops\n    pagerduty_configs:\n      - url: ftp://x\n      - {{routing_key: short, client_url: \"x y\", severity: {{sev1: fatal}}}}\n      - {{service_key: x}}\n    alertmanager_configs:\n      - url: http://am:9093/api/v2/alerts/\n      - {{url: \"http://am:9093/?x=1\", resend_interval: 5s, headers: {{Host: x}}}}\n      - {{}}\n"
    );
    let found = check(&text);
    let found: String = found
        .lines()
        .filter(|line| !line.contains("no rules"))
        .map(|l| l.to_owned() + "\n")
        .collect();
    insta::assert_snapshot!(found, @r#"
        t.yaml:6:9: receivers[0].pagerduty_configs[0]: missing key "routing_key" or "routing_key_file"
        t.yaml:6:14: receivers[0].pagerduty_configs[0].url: the URL is not http or https
        t.yaml:7:23: warning: receivers[0].pagerduty_configs[1].routing_key: a routing key of PagerDuty has 32 characters
        t.yaml:7:43: receivers[0].pagerduty_configs[1].client_url: expected a URL such as https://example.com/path
        t.yaml:7:66: receivers[0].pagerduty_configs[1].severity.sev1: expected one of info, warning, error, critical
        t.yaml:8:9: receivers[0].pagerduty_configs[2]: missing key "routing_key" or "routing_key_file"
        t.yaml:8:10: receivers[0].pagerduty_configs[2].service_key: unknown key (hint: use routing_key: only the Events API v2 is spoken)
        t.yaml:10:14: receivers[0].alertmanager_configs[0].url: leave /api/v2/alerts away: it is added
        t.yaml:11:9: warning: receivers[0].alertmanager_configs[1]: another one of this receiver goes to the same place: only their order tells them apart, and a change of it mixes them up (hint: give each a name)
        t.yaml:11:9: receivers[0].alertmanager_configs[1]: header "Host" cannot be set
        t.yaml:11:16: receivers[0].alertmanager_configs[1].url: the URL must end with its path: no ? and no #
        t.yaml:11:55: receivers[0].alertmanager_configs[1].resend_interval: must be between 10s and 1h
        t.yaml:12:9: receivers[0].alertmanager_configs[2]: missing key "url" or "url_file"
        "#);
}

#[test]
fn concurrency_has_a_default_for_each_kind_and_bounds() {
    let text = |keys: &str| {
        format!(
            "{ACCOUNT}route: {{receiver: ops}}\nreceivers:\n  - name: ops\n    \
             slack_configs: [{{api_url: \"http://x/s\"{keys}}}]\n    \
             pagerduty_configs: [{{routing_key: 0123456789abcdef0123456789abcdef{keys}}}]\n    \
             webhook_configs: [{{url: \"http://x/w\"{keys}}}]\n    \
             alertmanager_configs: [{{url: \"http://x/a\"{keys}}}]\n    \
             email_configs: [{{to: [a@example.com], from: b@example.com, smarthost: \"x:25\"{keys}}}]\n"
        )
    };
    let found = |keys: &str| {
        let loaded = parse("t", &text(keys), Path::new(""), &env);
        let config = loaded.config?;
        let [ops] = &*config.receivers else { panic!("one receiver") };
        let of = |one: &crate::notify::Integration| (one.channel.kind(), one.concurrency);
        Some(ops.integrations.iter().map(of).collect::<Vec<_>>())
    };
    let defaults =
        [("email", 4), ("slack", 1), ("webhook", 16), ("pagerduty", 4), ("alertmanager", 16)];
    assert_eq!(found(""), Some(defaults.to_vec()));
    for set in [1, 2, 63, 64] {
        let all = defaults.map(|(kind, _)| (kind, set)).to_vec();
        assert_eq!(found(&format!(", concurrency: {set}")), Some(all));
    }
    for set in ["0", "65", "-1", "1.5", "many"] {
        assert_eq!(found(&format!(", concurrency: {set}")), None, "{set}");
    }
    let shown = check(&text(", concurrency: 65"));
    assert!(
        shown.contains("receivers[0].slack_configs[0].concurrency: must be between 1 and 64"),
        "{shown}"
    );
}

#[test]
fn a_key_that_yaml_1_1_has_read_is_understood() {
    let text = |on: &str| {
        format!(
            "{ACCOUNT}route: {{receiver: ops}}\nreceivers: [{{name: ops}}]\n\
             metrics: [{{name: m, type: counter, help: h, {on}}}]\n"
        )
    };
    for on in ["true: [call.cost]", "\"true\": [call.cost]", "on: [call.cost]"] {
        let loaded = parse("t", &text(on), Path::new(""), &env);
        assert!(loaded.config.is_some(), "{on}: {:?}", loaded.diagnostics);
    }
    let loaded = parse("t", &text("on: [a], true: [b]"), Path::new(""), &env);
    let last = loaded.diagnostics.last().expect("refused").to_string();
    assert_eq!(last, "t:4:54: metrics[0].true: this is on to YAML 1.1, and that is there, too");
}

#[test]
fn the_reference_is_made_from_the_words() {
    let kept = include_str!("../../../docs/reference/configuration.md");
    assert!(
        kept == reference(),
        "run: tollbell schema --markdown > docs/reference/configuration.md"
    );
    for shape in shapes(ConfigWords::shape()).into_iter().chain(shapes(RuleFileWords::shape())) {
        for key in shape.keys {
            assert!(kept.contains(&format!("`{}`", key.name)), "{}", key.name);
        }
    }
}
