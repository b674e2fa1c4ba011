//! What vanished is not empty on purpose: such a reload is refused, and what fires goes on.

use super::*;
use crate::support::raw;

/// One change of the files, and whether the reload takes it.
struct Change {
    what: &'static str,
    rule_files: &'static str,
    /// The text of `rules/a.yaml`; none for no file.
    rules: Option<String>,
    taken: bool,
}

fn change(
    what: &'static str,
    rule_files: &'static str,
    rules: Option<&str>,
    taken: bool,
) -> Change {
    Change { what, rule_files, rules: rules.map(str::to_owned), taken }
}

fn main_file(app: &TestApp, rule_files: &str) {
    let text = fs::read_to_string(app.config_file()).unwrap();
    let other = text.lines().map(|line| {
        if line.starts_with("rule_files") || line.starts_with("# none") { rule_files } else { line }
    });
    fs::write(app.config_file(), other.collect::<Vec<_>>().join("\n") + "\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_finds_less_is_refused_unless_the_files_say_so() {
    let sink = HttpSink::start().await;
    let app = setup(&sink).start().await;
    let folder = app.dir.path().join("rules");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.yaml"), SPEND_LIMIT_RULE).unwrap();
    let glob = "rule_files: ['rules/*.yaml']";
    main_file(&app, glob);
    assert_eq!(app.reload().await.0, 200);
    ring(&app, "e-1", "p-1").await;
    sink.wait_for("/hook", 1).await;
    let before = hash(&app).await;
    for Change { what, rule_files, rules, taken } in [
        change("the folder is gone", glob, None, false),
        change("the file is emptied", glob, Some(""), false),
        change("only a comment is left", glob, Some("# rules\n"), false),
        change("cut within the key", glob, Some("groups"), false),
        change("another pattern names nothing", "rule_files: ['rules/*.yml']", None, false),
        change("the key is gone", "# none", None, false),
        change("all is back", glob, Some(SPEND_LIMIT_RULE), true),
        change("no groups, in words", glob, Some("groups: []\n"), true),
        change("and again", glob, Some(SPEND_LIMIT_RULE), true),
        change("no files, in words", "rule_files: []", Some(SPEND_LIMIT_RULE), true),
    ] {
        let _any = fs::remove_dir_all(&folder);
        if let Some(rules) = rules {
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("a.yaml"), rules).unwrap();
        }
        main_file(&app, rule_files);
        let (status, _, body) = app.reload().await;
        assert_eq!(status, if taken { 200 } else { 422 }, "{what}: {body}");
        assert_eq!(app.metric(OK).await, if taken { 1.0 } else { 0.0 }, "{what}");
        if !taken {
            assert_eq!(hash(&app).await, before, "{what}");
            let firing = "tollbell_alerts{alertname=\"SpendLimitReached\",state=\"firing\"}";
            assert_eq!(app.metric(firing).await, 1.0, "{what}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_secret_or_text_is_refused() {
    let sink = HttpSink::start().await;
    let entry = format!(
        "webhook_configs: [{{name: hook, url: \"{}\", secret_file: secret, body_file: body}}]",
        sink.url("/hook")
    );
    let routing = format!(
        "route: {{receiver: ops, {AT_ONCE}}}\nreceivers:\n{}templates: [mail.subject]\n",
        receiver("ops", &[&entry])
    );
    let whole = [("secret", "s3cret"), ("body", "{{ status }}"), ("mail.subject", "{{ status }}")];
    let app = Setup::new(routing).start_beside(&whole).await;
    for (name, content) in whole {
        for vanished in [Some(""), None] {
            let path = app.dir.path().join(name);
            match vanished {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let (status, _, body) = app.reload().await;
            assert_eq!(status, 422, "{name} {vanished:?}: {body}");
            fs::write(&path, content).unwrap();
            assert_eq!(app.reload().await.0, 200);
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_reloads_nothing() {
    let sink = HttpSink::start().await;
    let app = setup(&sink).start().await;
    let to = app.app().private_addr;
    let ask = async |lines: &str| {
        let request = format!("POST /-/reload HTTP/1.1\r\n{lines}content-length: 0\r\n\r\n");
        let mut connection = raw::RawClient::connect(to).await.unwrap();
        connection.send(request.as_bytes()).await.unwrap();
        connection.response().await.unwrap().status
    };
    assert_eq!(ask(&format!("host: {to}\r\n")).await, 200);
    assert_eq!(ask(&format!("host: {to}\r\norigin: http://{to}\r\n")).await, 200);
    assert_eq!(ask(&format!("host: {to}\r\norigin: http://evil.example\r\n")).await, 403);
    assert_eq!(ask("host: evil.example\r\norigin: http://evil.example\r\n").await, 403);
    assert_eq!(ask("host: evil.example\r\n").await, 403);
    app.stop().await;
}
