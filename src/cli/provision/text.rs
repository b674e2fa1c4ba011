//! What `provision` prints for people.

use crate::cli::CONFIG_FILE;
use crate::cli::output::{self, clean};
use crate::telnyx::provision::{
    Action, Destination, Item, Object, Plan, WebhookSetting, WebhookSettings,
};

/// The whole plan.
pub(super) fn plan_text(plan: &Plan, account: &str, delete: bool) -> String {
    let mut parts = vec![if plan.url.is_empty() {
        format!("Account {account}")
    } else {
        format!("Account {account}: Telnyx's notifications, sent to {}", plan.url)
    }];
    let (skipped, items): (Vec<&Item>, Vec<&Item>) =
        plan.items.iter().partition(|item| item.action == Action::Skip);
    if items.is_empty() {
        parts.push("  Nothing that tollbell made for this address is there.".to_owned());
    } else {
        let rows: Vec<[String; 3]> = items.iter().map(|item| row(item)).collect();
        parts.push(aligned(&rows));
    }
    if !skipped.is_empty() {
        let heading = if delete { "Left alone" } else { "Not brought here" };
        let rows: Vec<[String; 2]> = skipped
            .iter()
            .map(|item| [item.name.clone(), item.note.clone().unwrap_or_default()])
            .collect();
        parts.push(format!("{heading}\n{}", aligned(&rows)));
    }
    if !plan.notes.is_empty() {
        parts.push(plan.notes.join("\n"));
    }
    parts.join("\n\n")
}

fn row(item: &Item) -> [String; 3] {
    let note = item.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    let (action, object) = (item.action.as_str(), item.object.as_str());
    [action.to_owned(), object.to_owned(), format!("{}{note}", item.name)]
}

/// What is asked before it is done.
pub(super) fn question(plan: &Plan) -> String {
    let mut counted: Vec<(Action, Object, usize)> = Vec::new();
    for item in plan.steps() {
        let same = |(action, object, _): &&mut (Action, Object, usize)| {
            *action == item.action && object.as_str() == item.object.as_str()
        };
        match counted.iter_mut().find(same) {
            Some((.., count)) => *count += 1,
            None => counted.push((item.action, item.object.clone(), 1)),
        }
    }
    let many: Vec<String> = counted
        .iter()
        .map(|(_, object, count)| {
            let one = object.as_str();
            output::count(*count, one, &format!("{one}s"))
        })
        .collect();
    let verb = counted.first().map_or("change", |(action, ..)| action.as_str());
    let upper = verb.chars().take(1).flat_map(char::to_uppercase);
    let verb: String = upper.chain(verb.chars().skip(1)).collect();
    format!("{verb} {} at Telnyx?", listed(&many))
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [some @ .., last] => format!("{} and {last}", some.join(", ")),
    }
}

/// A step that is done.
pub(super) fn step_text(item: &Item, id: Option<&str>) -> String {
    let done = format!("{}d", item.action.as_str());
    let id = match &item.object {
        Object::CallCost { kind, .. } => format!("{} {}", kind.label(), id.unwrap_or_default()),
        _ => id.unwrap_or_default().to_owned(),
    };
    let id = if id.is_empty() { id } else { format!(" ({id})") };
    clean(&format!("  {done}  {}  {}{id}", item.object.as_str(), item.name))
}

/// A step that is not.
pub(super) fn item_text(item: &Item) -> String {
    // Names of applications may be alike.
    let id = match &item.object {
        Object::CallCost { kind, .. } => {
            format!(" ({} {})", kind.label(), item.id.as_deref().unwrap_or_default())
        }
        _ => String::new(),
    };
    clean(&format!("{} {} {}{id}", item.action.as_str(), item.object.as_str(), item.name))
}

/// Where applications, profiles and connections send. `command` is how this account and address are provisioned.
pub(super) fn webhook_settings_text(places: &WebhookSettings, command: &str) -> String {
    let (told, fine): (Vec<&WebhookSetting>, Vec<&WebhookSetting>) =
        places.found.iter().partition(|place| is_worth_telling(place));
    let mut table = vec!["Applications, profiles and connections".to_owned()];
    if !told.is_empty() {
        let heading = ["KIND", "NAME", "SENDS TO", "CALL COST", "ID"].map(str::to_owned);
        let rows: Vec<[String; 5]> =
            [heading].into_iter().chain(told.iter().map(|place| place_row(place))).collect();
        table.push(aligned(&rows));
    }
    match (told.len(), fine.len()) {
        (0, 0) => table.push("  There are none.".to_owned()),
        (_, 0) => {}
        (0, 1) => table.push("  The only one sends here and lacks nothing.".to_owned()),
        (0, all) => table.push(format!("  All {all} send here and lack nothing.")),
        (_, 1) => table.push("  1 more sends here and lacks nothing.".to_owned()),
        (_, more) => table.push(format!("  {more} more send here and lack nothing.")),
    }
    table.extend(places.missing.iter().map(|(kind, error)| {
        format!("  The {}s are not listed: {}", kind.label(), clean(&error.to_string()))
    }));
    let mut parts = vec![table.join("\n")];
    if told.iter().any(|place| place.webhook != Destination::Here) {
        let text = "tollbell never changes a webhook's URL. Where it is to lead here, change it at Telnyx.";
        parts.push(text.to_owned());
    }
    if told.iter().any(|place| place.webhook_api_version.is_some()) {
        parts.push(
            "tollbell wants webhooks of API version 2: only those are sure to be signed."
                .to_owned(),
        );
    }
    // Elsewhere, somebody else would get events that he does not expect.
    let without: Vec<&str> = told
        .iter()
        .filter(|place| lacks_cost(place) && place.webhook == Destination::Here)
        .map(|place| place.id.as_str())
        .collect();
    if !without.is_empty() {
        parts.push(format!(
            "Without it no webhook reports what calls cost. To have it sent here:\n  \
             {} --enable-call-cost {}",
            clean(command),
            clean(&without.join(" "))
        ));
    }
    parts.join("\n\n")
}

/// The command that does the same as this one for the same account and address, for a shell.
pub(super) fn command_text(config: &str, account: Option<&str>, url: Option<&str>) -> String {
    let config = Some(config).filter(|config| *config != CONFIG_FILE);
    let given = [("--config", config), ("--account", account), ("--url", url)];
    let words = given.into_iter().filter_map(|(option, value)| {
        let value = value?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
        let is_word = !value.is_empty() && value.chars().all(plain);
        let quoted = || format!("'{}'", value.replace('\'', r"'\''"));
        Some(format!(" {option} {}", if is_word { value.to_owned() } else { quoted() }))
    });
    format!("tollbell provision{}", words.collect::<String>())
}

fn lacks_cost(place: &WebhookSetting) -> bool {
    place.kind.has_call_cost() && place.call_cost != Some(true)
}

fn is_worth_telling(place: &WebhookSetting) -> bool {
    place.webhook != Destination::Here || lacks_cost(place) || place.webhook_api_version.is_some()
}

fn place_row(place: &WebhookSetting) -> [String; 5] {
    let failover = match &place.failover {
        Destination::None => String::new(),
        other => format!(", else {other}"),
    };
    let version = place.webhook_api_version.as_ref();
    let version = version.map(|it| format!(" (API version {it})")).unwrap_or_default();
    let to = format!("{}{failover}{version}", place.webhook);
    let cost = match place.call_cost {
        _ if !place.kind.has_call_cost() => "-",
        Some(true) => "on",
        Some(false) => "off",
        None => "unknown",
    };
    [place.kind.label().to_owned(), place.name.clone(), to, cost.to_owned(), place.id.clone()]
}

/// Columns under one another, indented by two; the last one as it is.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| clean(cell))).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("  {cell:width$}"));
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggested_command_is_whole_and_a_shell_reads_it() {
        for (config, account, url, expected) in [
            (CONFIG_FILE, None, None, "tollbell provision"),
            (
                "/etc/t.yaml",
                Some("eu"),
                Some("https://h.example.com/webhooks/telnyx/eu"),
                "tollbell provision --config /etc/t.yaml --account eu --url https://h.example.com/webhooks/telnyx/eu",
            ),
            ("my file's", None, None, r"tollbell provision --config 'my file'\''s'"),
        ] {
            assert_eq!(command_text(config, account, url), expected);
        }
    }
}
