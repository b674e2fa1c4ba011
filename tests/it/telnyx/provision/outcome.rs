//! What `provision` says came of it: in doubt, and for programs.

use serde_json::{Value, json};

use super::fake::{Fail, Fake};
use super::harness::{CHANGES, OURS, account, folder, provision};
use super::{before_and_after, contents};

#[test]
fn a_setting_whose_answer_cannot_be_read_is_in_doubt_and_stops_nothing() {
    let fake = Fake::start(account());
    let (dir, (before, after)) = (folder(&fake), before_and_after());
    fake.world().garbage = Some("notification_settings");
    let ran = provision(dir.path(), &["--yes"]);
    assert_eq!((ran.code, contents(&fake)), (1, after), "{ran:?}");
    let unread = "notification_settings: the answer cannot be read: no JSON at line 1, column 1\n";
    let first = format!("tollbell: create setting Number Order: order completed: {unread}");
    assert!(ran.err.starts_with(&first), "{ran:?}");
    assert!(ran.err.contains("2 of 5 changes are done, 3 are in doubt. Run"), "{ran:?}");
    // They are most likely gone: then what held them can go.
    let ran = provision(dir.path(), &["--yes", "--delete"]);
    assert_eq!((ran.code, contents(&fake)), (1, before), "{ran:?}");
    assert!(ran.err.contains("2 of 5 changes are done, 3 are in doubt. Run"), "{ran:?}");
    // The same of the costs of calls.
    fake.world().garbage = Some("texml_applications");
    let ran = provision(dir.path(), &["--yes", "--enable-call-cost", "2001", "1001"]);
    assert!(ran.code == 1 && ran.err.contains("1 of 2 changes are done, 1 is in doubt"), "{ran:?}");
    assert!(ran.err.starts_with("tollbell: enable call cost menu (TeXML app 2001): "), "{ran:?}");
}

#[test]
fn json_tells_the_plan_and_what_came_of_it() {
    let fake = Fake::start(account());
    let (dir, (before, after)) = (folder(&fake), before_and_after());
    let json = |args: &[&str], code| -> Value {
        let ran = provision(dir.path(), &[&["--format", "json"], args].concat());
        assert_eq!(ran.code, code, "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    };
    let told = json(&["--yes"], 0);
    assert_eq!((contents(&fake), fake.take_changes().len()), (after, CHANGES));
    let totals = json!({"done": 5, "refused": 0, "in_doubt": 0, "failed": 0, "left": 0});
    assert_eq!(told["outcome"]["totals"], totals);
    let first = json!({"action": "create", "object": "profile", "name": OURS, "id": "made-1", "note": null, "result": "done", "error": null});
    assert_eq!(
        (&told["outcome"]["steps"][0], &told["plan"]["items"][0]["id"]),
        (&first, &Value::Null)
    );
    assert_eq!(json(&["--dry-run"], 0)["outcome"], Value::Null);

    fake.world().fail = Some(Fail { at: 4, with_effect: false });
    let told = json(&["--yes", "--delete"], 1);
    let last = &told["outcome"]["steps"][4];
    assert_eq!((&last["result"], &last["id"]), (&json!("in_doubt"), &json!("made-1")), "{told}");
    assert_eq!(json(&["--yes", "--delete"], 0)["outcome"]["totals"]["done"], 1);
    assert_eq!(contents(&fake), before);
    fake.world().fail = None;
    fake.take_changes();
    let told = json(&["--yes", "--enable-call-cost", "2001"], 0);
    assert_eq!(
        (&told["outcome"]["steps"][0]["id"], fake.take_changes().len()),
        (&json!("2001"), 1)
    );
}
