//! `scripts/kinds.py`: the table of kinds against an SDK.

use std::path::Path;
use std::process::Command;

/// Writes an SDK as Telnyx's generator makes it, with one kind more, and gives what the script says.
fn compare(more: &str) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join("telnyx/types").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "unwrap_webhook_event.py",
        "from .call_webhook_event import CallWebhookEvent\nfrom .meeting import Meeting\nUnwrapWebhookEvent = Union[CallWebhookEvent, Meeting]\n",
    );
    write(
        "call_webhook_event.py",
        &format!(
            "from .._models import BaseModel\nfrom .shared import Status\nclass Data(BaseModel):\n    \
             event_type: Optional[Literal[\"call.cost\", \"call.hangup\"{more}]] = None\n    \
             record_type: Optional[Literal[\"event.of.no.kind\"]] = None\n"
        ),
    );
    write(
        "meeting.py",
        "class Meeting(BaseModel):\n    event: Literal['session.status_changed']\n",
    );
    write("shared.py", "class Status(BaseModel):\n    status: Literal[\"a.b\"]\n");
    write(
        "email_domains/email_webhook_event.py",
        "Email: TypeAlias = Literal[\"email.bounced\"]\n",
    );
    let porting = "class Filter(TypedDict):\n    type: Literal[\"porting_order.deleted\", \"porting_order.loa_updated\"]\n";
    write("porting/event_list_params.py", porting);
    write("portouts/event_list_params.py", "class Filter(TypedDict):\n    event_type: str\n");
    write(
        "porting/porting_event_without_webhook.py",
        "class Event(BaseModel):\n    event_type: Literal[\"porting_order.loa_updated\"]\n",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kinds.py");
    let output =
        Command::new("python3").arg(script).arg("--sdk").arg(dir.path()).output().expect("python3");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_kind_that_the_table_lacks_is_told_and_fails() {
    let (code, out, err) = compare("");
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(!out.contains('+'), "{out}");
    // What the table has from the SDK and the SDK has no more is told only.
    assert!(out.contains("- call.answered\n") && !out.contains("- call.cost\n"), "{out}");
    assert!(!out.contains("- verify.sent"), "a kind of the documents is none of the SDK's: {out}");
    assert!(err.starts_with("5 kinds in the SDK, 0 of them not in the table"), "{err}");

    let (code, out, err) = compare(", \"call.teleported\"");
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.starts_with("+ call.teleported\n- "), "{out}");
}
