//! Addresses of receivers: what is refused, and with which words.

use super::*;

#[test]
fn addresses_that_only_look_right_are_told() {
    let receivers = r"
route: {receiver: ops}
receivers:
- name: ops
  email_configs:
  - to: [info@münchen.example, Jürgen <jürgen@example.com>]
    from: glöckchen@example.com
    smarthost: smtp.example.com:587
  slack_configs:
  - api_url: 'https:\/\/hooks.slack.com\/services\/T0\/B0\/s3cr3t'
";
    insta::assert_snapshot!(check(&format!("{ACCOUNT}{receivers}")), @r"
    t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
    t.yaml:7:32: warning: receivers[0].email_configs[0].to[1]: not ASCII before the @: only a mail server with SMTPUTF8 takes such an address, and each on the way must have it
    t.yaml:8:11: warning: receivers[0].email_configs[0].from: not ASCII before the @: only a mail server with SMTPUTF8 takes such an address, and each on the way must have it
    t.yaml:11:15: receivers[0].slack_configs[0].api_url: a backslash in the URL: write / where it says \/
    ");
}

#[test]
fn link_local_and_metadata_addresses_are_refused_unless_allowed() {
    let file = |server: &str| {
        format!(
            "{ACCOUNT}{server}route: {{receiver: ops}}\nreceivers:\n- name: ops\n  webhook_configs:\n  \
             - {{url: 'http://169.254.169.254/latest'}}\n  - {{url: 'http://[fe80::1]/x'}}\n  \
             - {{url: 'http://0xa9fe0a01/'}}\n  - {{url: 'http://10.0.0.1/'}}\n  \
             pagerduty_configs: [{{routing_key: 0123456789abcdef0123456789abcdef, url: 'http://[::ffff:169.254.10.9]/'}}]\n  \
             email_configs: [{{to: [a@example.com], from: b@example.com, smarthost: '169.254.10.2:25'}}]\n\
             heartbeats: [{{url: 'http://169.254.10.3/'}}]\n"
        )
    };
    insta::assert_snapshot!(check(&file("")), @r"
    t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
    t.yaml:6:12: receivers[0].webhook_configs[0].url: a link-local or metadata address; server.allowed_targets names those that are meant
    t.yaml:7:12: receivers[0].webhook_configs[1].url: a link-local or metadata address; server.allowed_targets names those that are meant
    t.yaml:8:12: receivers[0].webhook_configs[2].url: a link-local or metadata address; server.allowed_targets names those that are meant
    t.yaml:10:77: receivers[0].pagerduty_configs[0].url: a link-local or metadata address; server.allowed_targets names those that are meant
    t.yaml:11:74: receivers[0].email_configs[0].smarthost: a link-local or metadata address; server.allowed_targets names those that are meant
    t.yaml:12:21: heartbeats[0].url: a link-local or metadata address; server.allowed_targets names those that are meant
    ");
    insta::assert_snapshot!(check(&file("server: {allowed_targets: [169.254.10.0/24]}\n")), @r"
    t.yaml:1:1: warning: rule_files: no rules: no alert can ever fire
    t.yaml:7:12: receivers[0].webhook_configs[0].url: a link-local or metadata address; server.allowed_targets names those that are meant
    t.yaml:8:12: receivers[0].webhook_configs[1].url: a link-local or metadata address; server.allowed_targets names those that are meant
    ");
}
