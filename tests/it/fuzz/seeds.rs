//! What random inputs are made of: the samples, the fixtures and the shipped files, and the words of each language.

use std::fs;
use std::path::Path;

use regex::Regex;
use tollbell::event;

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder(path: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut files: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().filter(|path| path.is_file()).map(|path| read(path)).collect()
}

fn owned(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// With a first byte that chooses the content type.
pub fn bodies() -> Vec<Vec<u8>> {
    let samples = event::samples().map(|(_, _, body)| body.to_vec());
    let mut bodies: Vec<_> = samples.chain(folder("tests/fixtures/telnyx")).collect();
    for body in &mut bodies {
        body.insert(0, b' ');
    }
    bodies
}

/// The shipped ones, and one with each kind of rule.
pub fn rule_files() -> Vec<Vec<u8>> {
    let mut files = folder("config/rules");
    files.extend(shared("src/config/testdata/rules.yaml"));
    files.push(RULES.as_bytes().to_vec());
    // Small ones let changes meet.
    files.extend(
        RULES
            .split("\n\n")
            .map(|part| format!("groups:\n  - name: g\n    rules:\n{part}\n").into_bytes()),
    );
    files
}

pub fn main_files() -> Vec<Vec<u8>> {
    [
        "config/tollbell.yaml",
        "src/config/testdata/kitchen-sink.yaml",
        "src/config/testdata/bad.yaml",
    ]
    .into_iter()
    .filter_map(shared)
    .chain(owned(&[MAIN]))
    .collect()
}

fn shared(path: &str) -> Option<Vec<u8>> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// Every expression of the shipped rules, and more.
pub fn expressions() -> Vec<Vec<u8>> {
    let key = Regex::new(r"(?m)(?:when|value|fire|clear): *(.+)$").unwrap();
    let mut found = owned(EXPRESSIONS);
    for file in rule_files() {
        let text = String::from_utf8_lossy(&file).into_owned();
        let unquoted = |text: &str| text.trim_matches(['\'', '"']).as_bytes().to_vec();
        found.extend(key.captures_iter(&text).map(|found| unquoted(&found[1])));
    }
    found
}

/// Every annotation of the shipped rules, the built-in texts, and more.
pub fn templates() -> Vec<Vec<u8>> {
    let braces = Regex::new(r"(?m)^.*\{[{%].*$").unwrap();
    let mut found = owned(TEMPLATES);
    found.extend(folder("src/notify/templates"));
    for file in rule_files() {
        let text = String::from_utf8_lossy(&file).into_owned();
        found.extend(braces.find_iter(&text).map(|line| line.as_str().as_bytes().to_vec()));
    }
    found
}

pub fn matchers() -> Vec<Vec<u8>> {
    owned(&[
        "severity=critical",
        "severity = \"critical\"",
        "team=~\"billing|finance\"",
        "account!~^x$",
        "a!=\"with \\\"quotes\\\" and \\\\ and \\n\"",
        "_x=",
    ])
}

/// With a first byte that chooses what is read.
pub fn intervals() -> Vec<Vec<u8>> {
    owned(&[
        "t08:00",
        "t24:00",
        "wmonday:friday",
        "wsaturday",
        "d1:7",
        "d-3:-1",
        "d15",
        "mmay:august",
        "m5",
        "y2026:2030",
        "y2027",
        "lAmerica/Chicago",
        "lUTC",
        "lLocal",
    ])
}

const RULES: &str = r#"
groups:
  - name: each
    rules:
      - alert: Event
        on: [call.cost, "message.*"]
        when: has(payload.total_cost) && num(payload.total_cost) > 5.0
        by: {to: payload.to, day: event.occurred_at.getDayOfYear()}
        active_for: 2h
        notify_expired: true
        resolve_on: {on: [fax.delivered], when: 'true'}
        labels: {severity: critical}
        annotations: {summary: "{{ labels.account }}: {{ event.cost | money(event.currency) }}"}

      - alert: Gauge
        on: [account.balance]
        value: payload.available_credit
        fire: value < 50.0
        clear: value >= 75.0
        for: 1m
        keep_firing_for: 5m
        stale_after: 15m
        annotations: {summary: "{{ value | money(event.currency) }} left"}

      - alert: Window
        on: [call.cost, message.finalized]
        when: event.source == "webhook"
        by: {product: event.product, country: call.country}
        over: 15m
        value: sum(event.charge)
        fire: value > 100.0 && count >= 3
        clear: value < 60.0
        max_series: 10

      - alert: Month
        on: [call.cost]
        over: month
        time_zone: America/Chicago
        value: distinct(payload.call_leg_id)
        fire: value > 800.0

      - alert: Absence
        on: ["call.*"]
        absent_for: 2h
        for: 1m
"#;

const MAIN: &str = r#"
accounts: [{name: default, public_keys: ["${KEY}"]}]
route: {receiver: a, group_by: [alertname], routes: [{matchers: ['severity="critical"'], receiver: b, mute_time_intervals: [night]}]}
receivers:
  - name: a
    webhook_configs: [{url: "${HOOK}", body: '{"text": "{{ status }}"}'}]
  - {name: b, fallback: a, pagerduty_configs: [{routing_key: "0123456789abcdef0123456789s3cr3t"}]}
time_intervals: [{name: night, time_intervals: [{times: [{start_time: "00:00", end_time: "06:00"}], weekdays: ["monday:friday"]}]}]
inhibit_rules: [{source_matchers: [a=b], target_matchers: [c=~d], equal: [account]}]
metrics: [{name: m_total, type: counter, help: h, on: [call.cost], value: payload.x, by: {a: payload.status}}]
"#;

const EXPRESSIONS: &[&str] = &[
    "event.product == 'voice' && num(payload.total_cost) > 5.0",
    "payload.cost_parts.exists(p, p.call_part == 'x' && num(p.cost) > 1.0)",
    "payload.to.map(t, t.phone_number).filter(n, n.startsWith('+1')).size() > 0",
    "[1, 2, 3].all(a, [4, 5, 6].all(b, [7, 8].exists(c, a + b * c > 0)))",
    "event.occurred_at - duration('1h') < event.received_at",
    "event.occurred_at.getHours('Europe/Berlin') in [22, 23, 0, 1]",
    "has(payload.a) ? payload.a : string(1.5) + 'x'",
    "payload.text.matches('(a+)+$') || size(payload.text) > 10",
    "value > 1.0 && count >= 3 && labels.account == 'default'",
    "timestamp('2026-01-31T22:30:05Z').getFullYear() == 2026",
    "(1 + 2) * 3 % 4 - -5 >= 0 && !(false || true)",
];

const TEMPLATES: &[&str] = &[
    "{{ labels.account }}: {{ payload.total_cost | money('USD') }}",
    "{% for i in range(100) %}{{ i }}{% if loop.last %}.{% endif %}{% endfor %}",
    "{% set a = 'x' * 1000 %}{% set a = a ~ a %}{{ a | truncate(20) }}{{ a | wrap(72) }}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(event.id) }}{{ m(labels | tojson) }}",
    "{{ event.fields.to | slack_escape }} {{ 3600 | duration }} {{ event.occurred_at | ago(event.received_at) }}",
    "{{ 'x' * 50000000 }}{{ 'y' * 50000000 }}",
    "{% for i in range(99999) %}{{ payload | tojson }}{% endfor %}",
];
