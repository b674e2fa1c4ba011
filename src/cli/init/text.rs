//! The main file that `init` writes.

use std::fmt::Write as _;

use super::answers::Answers;

/// The text. Every value is written as a quoted scalar.
pub(super) fn main(answers: &Answers) -> String {
    let mut text = String::from(
        "# tollbell: written by `tollbell init`. Every key with its default: docs/reference/configuration.md, or\n\
         # `tollbell schema --markdown`. After a change: tollbell check, and tollbell test rules/tests/*.yaml.\n\
         # Text may hold ${NAME} from the environment; paths are relative to this file.\n\n",
    );
    text.push_str(&server(answers));
    text.push_str(&accounts(answers));
    text.push_str(
        "store:\n  url: sqlite:data/tollbell.db     # made at the first start\n\n\
         rule_files: [\"rules/*.yaml\"]         # thresholds are at the top of each file\n\
         # After two weeks, add \"rules/usual/*.yaml\": rules that compare with what is usual need no numbers.\n\n\
         route:\n  receiver: ops\n  group_by: [alertname, account]\n  routes:\n    - name: critical\n      \
         matchers: ['severity=\"critical\"']\n      group_wait: 0s                # at once\n      repeat_interval: 1h\n\n\
         # A higher step of a budget suppresses the lower ones.\n\
         inhibit_rules:\n  \
         - {source_matchers: ['percent=\"100\"'], target_matchers: ['percent=~\"50|80\"'], equal: [account, currency, budget]}\n  \
         - {source_matchers: ['percent=\"80\"'], target_matchers: ['percent=\"50\"'], equal: [account, currency, budget]}\n\n",
    );
    text.push_str(&receivers(answers));
    text
}

fn server(answers: &Answers) -> String {
    let url = match &answers.public_url {
        Some(url) => format!("  public_url: {}\n", quoted(url)),
        None => "  # public_url: https://hooks.example.com   # how Telnyx reaches `listen`; back-fill needs it\n".to_owned(),
    };
    format!(
        "server:\n  listen: 0.0.0.0:8080              # public: webhooks only; put a proxy with TLS in front\n  \
         private_listen: 127.0.0.1:9464    # metrics and health; keep it private\n{url}\n"
    )
}

fn accounts(answers: &Answers) -> String {
    let mut text = String::from("accounts:\n");
    for name in &answers.accounts {
        let key = match &answers.public_key {
            Some(key) => quoted(key),
            None => format!("\"${{{}}}\"", answers.variable(name)),
        };
        writeln!(text, "  - name: {}\n    public_keys: [{key}]", quoted(name))
            .expect("writes to a string");
        match &answers.api_key_file {
            Some(file) => {
                writeln!(text, "    api_key_file: {}", quoted(&file.to_string_lossy())).expect("writes to a string");
                if answers.public_url.is_none() {
                    text.push_str("    backfill: {enabled: false}      # missed webhooks: needs server.public_url\n");
                }
            }
            None => text.push_str("    # api_key_file: telnyx-api-key  # for the balance, and for webhooks that were missed\n"),
        }
    }
    text.push('\n');
    text
}

fn receivers(answers: &Answers) -> String {
    let mut text = String::from("receivers:\n  - name: ops\n");
    if let (false, Some(from), Some(host)) =
        (answers.mail_to.is_empty(), &answers.mail_from, &answers.smarthost)
    {
        let to: Vec<String> = answers.mail_to.iter().map(|it| quoted(it)).collect();
        // 465 speaks TLS from the start; a server on this machine usually has no certificate.
        let tls = match host.rsplit_once(':') {
            Some((_, "465")) => "implicit",
            Some((name, _)) if ["localhost", "127.0.0.1", "[::1]"].contains(&name) => "none",
            _ => "starttls",
        };
        writeln!(
            text,
            "    email_configs:\n      - to: [{}]\n        from: {}\n        smarthost: {}\n        tls: {tls}",
            to.join(", "),
            quoted(from),
            quoted(host),
        )
        .expect("writes to a string");
        if let (Some(user), Some(file)) = (&answers.mail_user, &answers.mail_password_file) {
            let (user, file) = (quoted(user), quoted(&file.to_string_lossy()));
            writeln!(text, "        auth: {{username: {user}, password_file: {file}}}")
                .expect("writes to a string");
        }
    } else {
        text.push_str(
            "    # email_configs:\n    #   - to: [ops@example.com]\n    #     from: tollbell@example.com\n    #     \
             smarthost: smtp.example.com:587\n    #     auth: {username: tollbell, password_file: smtp-password}\n",
        );
    }
    match &answers.slack_url_file {
        Some(file) => {
            let file = quoted(&file.to_string_lossy());
            writeln!(text, "    slack_configs:\n      - api_url_file: {file}").expect("writes to a string");
        }
        None => text.push_str("    # slack_configs:\n    #   - api_url_file: slack-url       # of an incoming webhook\n"),
    }
    text
}

/// A text as a scalar in double quotes; a dollar sign stays one.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.replace('$', "$$")).to_string()
}
