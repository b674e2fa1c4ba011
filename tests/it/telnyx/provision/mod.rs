//! `tollbell provision`: the real binary against a Telnyx that remembers.

mod fake;
mod harness;
mod outcome;

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::tools::tool;
use fake::{Fail, Fake};
use harness::{CHANGES, OURS, URL, account, folder, printed, provision};

/// Names, destinations and conditions of what there is, without the ids that were made.
fn contents(fake: &Fake) -> Vec<String> {
    let mut world = fake.world();
    let mut found = Vec::new();
    for (list, fields) in [
        ("notification_profiles", &["name"][..]),
        ("notification_channels", &["channel_type_id", "channel_destination"]),
        ("notification_settings", &["notification_event_condition_id"]),
    ] {
        for item in world.list(list) {
            let told: Vec<&str> =
                fields.iter().map(|field| item[field].as_str().unwrap()).collect();
            found.push(told.join(" "));
        }
    }
    found
}

/// What is there at first, and once all is done.
fn before_and_after() -> (Vec<String>, Vec<String>) {
    let webhook = format!("webhook {URL}");
    let (webhook, ops) = (webhook.as_str(), "email ops@example.com");
    let before = ["ops", webhook, ops, "c1"].map(str::to_owned).to_vec();
    let after = ["ops", OURS, webhook, ops, webhook, "c1", "c1", "c5", "c2"];
    (before, after.map(str::to_owned).to_vec())
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let fake = Fake::start(account());
    fake.world()
        .refused
        .extend([("fax_applications".to_owned(), 403), ("uac_connections".to_owned(), 404)]);
    let dir = folder(&fake);
    let ran = provision(dir.path(), &["--dry-run"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    insta::assert_snapshot!(ran.out, @r"
    Account default: Telnyx's notifications, sent to https://hooks.example.com/webhooks/telnyx

      create  profile  tollbell https://hooks.example.com/webhooks/telnyx
      create  channel  webhook to https://hooks.example.com/webhooks/telnyx
      create  setting  Number Order: order completed
      create  setting  Port Out: new comment
      create  setting  Port Out: status changed

    Not brought here
      Emergency Number Dialed: from phone number  needs phone_number
      Low Balance: below threshold                by e-mail only

    A low balance needs no setting: tollbell reads the balance itself.

    Applications, profiles and connections
      KIND                   NAME         SENDS TO                                            CALL COST  ID
      Voice API app          ivr          https://ivr.example.com/…                           off        1001
      Voice API app          old          here, else https://b.example.com/… (API version 1)  on         1003
      TeXML app              menu         here                                                off        2001
      credential connection  desk phones  nowhere                                             off        3001
      messaging profile      otp          https://sms.example.com, else here                  -          40018a9e-1111-4222-8333-444455556666
      1 more sends here and lacks nothing.
      The UAC connections are not listed: uac_connections: status 404 (10010 Authorization failed)
      The fax apps are not listed: fax_applications: status 403 (10010 Authorization failed)

    tollbell never changes a webhook's URL. Where it is to lead here, change it at Telnyx.

    tollbell wants webhooks of API version 2: only those are sure to be signed.

    Without it no webhook reports what calls cost. To have it sent here:
      tollbell provision --config tollbell.yaml --enable-call-cost 2001
    ");
    assert_eq!(fake.take_changes(), [""; 0]);
    let ran = provision(dir.path(), &["--dry-run", "--account", "default", "--url", URL]);
    let whole = format!(
        "tollbell provision --config tollbell.yaml --account default --url {URL} --enable-call-cost 2001\n"
    );
    assert!(ran.out.ends_with(&whole), "{ran:?}");
    let ran = provision(dir.path(), &["--dry-run", "--format", "json"]);
    let printed: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(printed["account"], "default");
    let first =
        json!({"action": "create", "object": "profile", "name": OURS, "id": null, "note": null});
    assert_eq!((&printed["plan"]["url"], &printed["plan"]["items"][0]), (&json!(URL), &first));
    let last = json!({"action": "skip", "object": "setting", "condition_id": "c3", "name": "Low Balance: below threshold", "id": null, "note": "by e-mail only"});
    assert_eq!(printed["plan"]["items"][6], last);
    let app = json!({
        "kind": "call_control_application", "id": "1001", "name": "ivr", "call_cost": false, "webhook_api_version": null,
        "webhook": {"elsewhere": "https://ivr.example.com/…"}, "failover": "none",
    });
    assert_eq!(printed["senders"][0], app);
    assert_eq!(
        printed["not_listed"][1],
        json!({"kind": "fax_application", "error": "fax_applications: status 403 (10010 Authorization failed)"})
    );
    assert_eq!(fake.take_changes(), [""; 0]);
}

#[test]
fn a_second_run_changes_nothing_and_delete_takes_away_only_ours() {
    let fake = Fake::start(account());
    let (dir, (before, after)) = (folder(&fake), before_and_after());
    let ran = provision(dir.path(), &["--yes"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let told = ran.out.split("--enable-call-cost").nth(1).unwrap();
    insta::assert_snapshot!(told, @r"
     2001

      created  profile  tollbell https://hooks.example.com/webhooks/telnyx (made-1)
      created  channel  webhook to https://hooks.example.com/webhooks/telnyx (made-2)
      created  setting  Number Order: order completed (made-3)
      created  setting  Port Out: new comment (made-4)
      created  setting  Port Out: status changed (made-5)

    Done: 5 changes.
    ");
    assert_eq!(contents(&fake), after);
    let settings = fake.world().list("notification_settings").clone();
    let refers =
        |it: &Value| (it["notification_profile_id"].clone(), it["notification_channel_id"].clone());
    assert!(
        settings[1..].iter().all(|it| refers(it) == (json!("made-1"), json!("made-2"))),
        "{settings:?}"
    );
    assert_eq!(fake.take_changes().len(), CHANGES);

    let ran = provision(dir.path(), &["--yes"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert!(ran.out.ends_with("\nNothing to do.\n"), "{ran:?}");
    assert!(
        ran.out.contains("  keep  setting  Port Out: new comment (enable-submtited)\n"),
        "{ran:?}"
    );
    assert_eq!(fake.take_changes(), [""; 0]);

    // Ours is what leads to this address: another one finds nothing of its own.
    let other = ["--yes", "--delete", "--url", "https://other.example.com/webhooks/telnyx"];
    let ran = provision(dir.path(), &other);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("Nothing that tollbell made for this address is there."), "{ran:?}");
    assert_eq!((contents(&fake), fake.take_changes().len()), (after, 0));

    let ran = provision(dir.path(), &["--delete", "--dry-run"]);
    insta::assert_snapshot!(ran.out, @r"
    Account default: Telnyx's notifications, sent to https://hooks.example.com/webhooks/telnyx

      delete  setting  Number Order: order completed
      delete  setting  Port Out: new comment
      delete  setting  Port Out: status changed
      delete  channel  webhook to https://hooks.example.com/webhooks/telnyx
      delete  profile  tollbell https://hooks.example.com/webhooks/telnyx
    ");
    let ran = provision(dir.path(), &["--delete", "--yes"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert_eq!((contents(&fake), fake.take_changes().len()), (before.clone(), CHANGES));
    let ran = provision(dir.path(), &["--delete", "--yes"]);
    assert_eq!((ran.code, contents(&fake), fake.take_changes().len()), (0, before, 0));
}

#[test]
fn a_run_that_is_cut_off_anywhere_is_mended_by_the_next() {
    let (before, after) = before_and_after();
    for with_effect in [false, true] {
        for at in 0..CHANGES {
            let fake = Fake::start(account());
            let dir = folder(&fake);
            for (args, result) in [(&["--yes"][..], &after), (&["--yes", "--delete"], &before)] {
                fake.world().fail = Some(Fail { at, with_effect });
                let ran = provision(dir.path(), args);
                assert_eq!(ran.code, 1, "{ran:?}");
                assert!(ran.err.contains("status 500 (10007 Unexpected error)"), "{ran:?}");
                let said = format!("{at} of {CHANGES} changes are done, 1 is in doubt");
                assert!(ran.err.contains(&said), "{ran:?}");
                assert_eq!(fake.take_changes().len(), at + 1);
                fake.world().fail = None;
                let ran = provision(dir.path(), args);
                assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
                let mut found = contents(&fake);
                // Settings are made in the order of the plan, or in what was left of it.
                found.sort();
                let mut wanted = result.clone();
                wanted.sort();
                assert_eq!(found, wanted, "cut off at {at}, with effect: {with_effect}");
                let left = CHANGES - at - usize::from(with_effect);
                assert_eq!(fake.take_changes().len(), left);
            }
        }
    }
}

#[test]
fn a_setting_that_is_refused_does_not_stop_the_others() {
    let fake = Fake::start(account());
    fake.world().list("notification_event_conditions")[0]["refuses"] = json!(true);
    let dir = folder(&fake);
    let ran = provision(dir.path(), &["--yes"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(
        ran.err,
        "tollbell: create setting Number Order: order completed: notification_settings: status 422 (10015 Not for this account)\n\
         tollbell: 4 of 5 changes are done, 1 refused. Run the same again: it looks at what is there, and goes on.\n"
    );
    assert_eq!(fake.take_changes().len(), CHANGES);
}

#[test]
fn what_telnyx_is_still_deleting_is_left_for_the_next_run() {
    let fake = Fake::start(account());
    let (dir, (before, _)) = (folder(&fake), before_and_after());
    assert_eq!(provision(dir.path(), &["--yes"]).code, 0);
    fake.world().deletes_slowly = true;
    let ran = provision(dir.path(), &["--yes", "--delete"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let said = "tollbell: delete channel webhook to https://hooks.example.com/webhooks/telnyx: \
        notification_channels: status 422 (10015 It is in use)\n\
        tollbell: 3 of 5 changes are done, 1 failed, 1 not tried. ";
    assert!(ran.err.starts_with(said), "{ran:?}");
    // Meanwhile it has deleted them.
    fake.world().list("notification_settings").retain(|it| it["status"] != "delete-pending");
    let ran = provision(dir.path(), &["--yes", "--delete"]);
    assert_eq!((ran.code, contents(&fake)), (0, before), "{ran:?}");
}

#[test]
fn without_a_yes_nothing_is_changed() {
    let fake = Fake::start(account());
    let dir = folder(&fake);
    let ran = provision(dir.path(), &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("create  profile"), "{ran:?}");
    assert_eq!(
        ran.err,
        "tollbell: nothing was changed: there is nobody to ask; --yes does it unasked\n"
    );
    assert_eq!(fake.take_changes(), [""; 0]);
    // At a terminal it asks.
    let script = "import os, pty, sys\n\
        pid, fd = pty.fork()\n\
        if pid == 0: os.execv(sys.argv[2], sys.argv[2:])\n\
        os.write(fd, sys.argv[1].encode() + b'\\n')\n\
        try:\n\
        \x20   while True:\n\
        \x20       text = os.read(fd, 4096)\n\
        \x20       if not text: break\n\
        \x20       os.write(1, text)\n\
        except OSError: pass\n\
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    for (typed, code, changes) in [("n", 1, 0), ("y", 0, CHANGES)] {
        let mut command = Command::new(tool("python3"));
        command.args(["-c", script, typed, env!("CARGO_BIN_EXE_tollbell"), "provision"]);
        command.args(["--config", "tollbell.yaml"]).current_dir(dir.path()).stdin(Stdio::null());
        let ran = printed(&command.output().unwrap());
        let question = "Create 1 profile, 1 channel and 3 settings at Telnyx? [y/N] ";
        assert!(ran.code == code && ran.out.contains(question), "{ran:?}");
        assert_eq!(fake.take_changes().len(), changes, "{ran:?}");
    }
}

#[test]
fn costs_of_calls_are_switched_on_for_exactly_those_that_are_named() {
    let fake = Fake::start(account());
    let dir = folder(&fake);
    // Nothing is changed as long as one id is wrong.
    let ran = provision(
        dir.path(),
        &["--yes", "--enable-call-cost", "1001", "9999", "40018a9e-1111-4222-8333-444455556666"],
    );
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(
        ran.err,
        "tollbell: no application and no connection has the id 9999\n\
         tollbell: 40018a9e-1111-4222-8333-444455556666 is a messaging profile: that has no costs of calls\n\
         tollbell: nothing was changed\n"
    );
    assert_eq!(fake.take_changes(), [""; 0]);
    let ran = provision(dir.path(), &["--enable-call-cost", "1001", "2001", "1002", "--dry-run"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    insta::assert_snapshot!(ran.out, @r"
    Account default

      enable  call cost  ivr (Voice API app 1001, sends to https://ivr.example.com/…)
      enable  call cost  menu (TeXML app 2001)
      keep    call cost  alerts (Voice API app 1002, on already)
    ");
    assert_eq!(fake.take_changes(), [""; 0]);
    let ids = ["--yes", "--enable-call-cost", "1001", "2001", "1002"];
    let ran = provision(dir.path(), &ids);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert_eq!(
        fake.take_changes(),
        ["PATCH /call_control_applications/1001", "PATCH /texml_applications/2001"]
    );
    // All else is as it was.
    let mut wanted = account();
    wanted["call_control_applications"][0]["call_cost_in_webhooks"] = json!(true);
    wanted["texml_applications"][0]["call_cost_in_webhooks"] = json!(true);
    for list in [
        "call_control_applications",
        "texml_applications",
        "credential_connections",
        "notification_settings",
    ] {
        assert_eq!(json!(fake.world().list(list)), wanted[list]);
    }
    let ran = provision(dir.path(), &ids);
    assert!(ran.code == 0 && ran.out.ends_with("\nNothing to do.\n"), "{ran:?}");
    // What could not be listed may have the id.
    fake.world().refused.insert("uac_connections".to_owned(), 403);
    let ran = provision(dir.path(), &["--yes", "--enable-call-cost", "9999"]);
    assert!(
        ran.code == 1
            && ran.err.contains("UAC connections are not listed: uac_connections: status 403"),
        "{ran:?}"
    );
}

#[test]
fn what_stands_in_the_way_is_said() {
    let fake = Fake::start(account());
    let dir = folder(&fake);
    for (args, said) in [
        (&["--url", "hooks.example.com"][..], "the URL to send to: expected one such as https://"),
        (&["--url", "https://h.example.com/?token=1"], "must be an address only"),
        (&["--account", "eu"], "no account eu: there is default"),
        (&["--format", "json"], "--dry-run"),
        (&["--delete", "--enable-call-cost", "1"], "cannot be used with"),
    ] {
        let ran = provision(dir.path(), args);
        assert!(ran.code == 2 && ran.err.contains(said), "{args:?}: {ran:?}");
    }
    let ran = provision(dir.path(), &["--dry-run", "--url", "http://b.example.com"]);
    assert!(
        ran.code == 0 && ran.out.contains("webhook to http://b.example.com/webhooks/telnyx\n"),
        "{ran:?}"
    );
    assert_eq!(
        ran.err,
        "warning: --url names no path: http://b.example.com/webhooks/telnyx is meant, where this account's webhooks arrive.\n\
         warning: Telnyx will send in clear, for all between to read: use https.\n"
    );
    // What is there is not known as long as one list is missing.
    fake.world().refused.insert("notification_settings".to_owned(), 403);
    let ran = provision(dir.path(), &["--yes"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
    assert_eq!(
        ran.err,
        "tollbell: notification_settings: status 403 (10010 Authorization failed)\n"
    );
    fake.forget_key();
    let ran = provision(dir.path(), &["--yes"]);
    assert_eq!(
        ran.err,
        "tollbell: notification_events: status 401 (10009 Authentication failed)\n"
    );
    assert_eq!((ran.code, fake.take_changes().len()), (1, 0));
}
