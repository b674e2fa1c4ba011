//! What is read: status, receivers, alerts, groups; and what is refused.

use serde_json::json;

use super::{ask, ask_with, quiet, two_alerts};

#[tokio::test]
async fn alerts_are_listed_and_filtered_as_alertmanager_does() {
    let setup = quiet().server("  external_url: https://tollbell.example.com\n");
    let app = two_alerts(setup).await;
    let all = ask(&app, "GET", "/api/v2/alerts", None).await;
    assert_eq!((all.status, all.kind.as_deref()), (200, Some("application/json")));
    assert!(all.text.ends_with("]\n"));
    let [one, other] = all.json.as_array().unwrap().as_slice() else { panic!("{all:?}") };
    assert!(one["fingerprint"].as_str() < other["fingerprint"].as_str());
    let link =
        format!("https://tollbell.example.com/alerts/{}", one["fingerprint"].as_str().unwrap());
    assert_eq!(one["generatorURL"], link);
    assert_eq!(one["receivers"], json!([{"name": "ops", "labels": {"name": "ops"}}]));
    assert_eq!(
        one["status"],
        json!({"inhibitedBy": [], "silencedBy": [], "mutedBy": [], "state": "active"})
    );
    for name in ["startsAt", "endsAt", "updatedAt"] {
        let text = one[name].as_str().unwrap();
        assert!(text.len() == 24 && text.ends_with('Z'), "{name}: {text}");
    }
    for (query, expected) in [
        ("filter=profile%3Dp", 1),
        ("filter=profile%3D%22p%22&filter=alertname%3D~%22Spend.%2B%22", 1),
        ("filter=profile!~%22p%7Cq%22", 0),
        ("filter=nothing%3D%22%22", 2),
        ("filter=nothing!%3D%22%22", 0),
        ("filter=f%C3%B6%C3%B6%3Dx", 0),
        ("active=False", 0),
        ("active=banana", 0),
        ("active=", 2),
        ("silenced=false&inhibited=0&unprocessed=no", 2),
        ("receiver=ops", 2),
        ("receiver=op", 0),
        ("receiver=o.%2B", 2),
        ("receiver=", 2),
        ("receiver_matchers=name%3Dops", 2),
        ("receiver_matchers=name%3Dunused", 0),
        ("group=x&sort=y", 2),
    ] {
        for path in ["alerts", "alerts/", "alerts/groups"] {
            let answer = ask(&app, "GET", &format!("/api/v2/{path}?{query}"), None).await;
            let found = answer.json.as_array().unwrap_or_else(|| panic!("{query}: {answer:?}"));
            assert_eq!(found.len(), expected, "{path}?{query}: {answer:?}");
        }
    }
    for query in ["filter=profile", "filter=", "filter=%7Ba%3Db%7D", "filter=a%3D~(", "receiver=("]
    {
        for path in ["alerts", "alerts/groups"] {
            let answer = ask(&app, "GET", &format!("/api/v2/{path}?{query}"), None).await;
            assert!(answer.status == 400 && answer.json.is_string(), "{path}?{query}: {answer:?}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn status_has_all_that_clients_want_and_a_configuration_that_alertmanager_reads() {
    let routing = "route:
  receiver: ops
  group_by: [alertname]
  routes:
    - matchers: ['severity=\"critical\"', \"profile=~'p|q'\"]
      receiver: unused
      continue: true
      group_by: ['...']
      active_time_intervals: [office]
inhibit_rules:
  - {source_matchers: [a=b], target_matchers: [c=d], equal: [account]}
time_intervals:
  - name: office
    time_intervals: [{weekdays: ['monday:friday'], times: [{start_time: '08:00', end_time: '24:00'}], days_of_month: ['-3:-1'], months: ['5:8'], years: ['2027'], location: Europe/Berlin}]
receivers: [{name: ops}, {name: unused}]
";
    let setup = crate::support::app::Setup::new(routing.replace("=~'p|q'", "=~\\\"p|q\\\""));
    let app = setup.start().await;
    let answer = ask(&app, "GET", "/api/v2/status", None).await;
    let status = &answer.json;
    assert_eq!(status["cluster"], json!({"peers": [], "status": "disabled"}));
    for name in ["branch", "buildDate", "buildUser", "goVersion", "revision", "version"] {
        assert!(status["versionInfo"][name].is_string(), "{name}: {status}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alertmanager.yml");
    std::fs::write(&file, status["config"]["original"].as_str().unwrap()).unwrap();
    let amtool = crate::support::tools::tool("amtool");
    let checked =
        std::process::Command::new(amtool).arg("check-config").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}\n{}", status["config"]["original"]);
    assert!(said.contains("1 inhibit rules") && said.contains("2 receivers"), "{said}");
    let receivers = ask(&app, "GET", "/api/v2/receivers", None).await.json;
    assert_eq!(receivers[0]["name"], "ops");
    assert_eq!(receivers[1]["name"], "unused");
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_request_is_answered_as_by_alertmanager() {
    let app = two_alerts(quiet()).await;
    for (method, path, expected, allow) in [
        ("POST", "/api/v2/alerts", 405, Some("GET")),
        ("PUT", "/api/v2/status", 405, Some("GET")),
        ("HEAD", "/api/v2/status", 405, Some("GET")),
        ("DELETE", "/api/v2/silences", 405, Some("GET, POST")),
        ("GET", "/api/v2/nothing", 404, None),
        ("GET", "/api/v2", 301, None),
        ("GET", "/alertmanager/api/v2/status", 404, None),
        ("GET", "/api/v1/status/buildinfo", 404, None),
    ] {
        let answer = ask(&app, method, path, None).await;
        assert_eq!((answer.status, answer.allow.as_deref()), (expected, allow), "{method} {path}");
        if path.starts_with("/api/v2/") && method != "HEAD" {
            assert_eq!(answer.json["code"], expected, "{answer:?}");
            assert!(answer.json["message"].is_string(), "{answer:?}");
        }
    }
    for (accept, expected) in [
        ("application/json", 200),
        ("*/*", 200),
        ("text/html,application/xhtml+xml,*/*;q=0.8", 200),
        ("application/json;q=0.9", 200),
        ("text/html", 406),
    ] {
        let answer = ask_with(&app, "GET", "/api/v2/status", &[("accept", accept)], None).await;
        assert_eq!(answer.status, expected, "{accept}");
    }
    for path in ["/-/healthy", "/-/ready"] {
        let answer = ask(&app, "GET", path, None).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "OK\n"));
    }
    app.stop().await;
}
