//! The templates that the documents show, rendered with every sample and held against the limits of each peer.

use serde_json::Value;

use super::samples;
use crate::alerts::Status;
use crate::notify::{MessageTemplates, Notification, templates, webhook};

const WEBHOOKS: &str = include_str!("../../../docs/webhooks.md");
const TEMPLATES: &str = include_str!("../../../docs/templates.md");

/// The code blocks of a document that begin with `jinja` and a name.
fn blocks(document: &'static str) -> Vec<(&'static str, &'static str)> {
    let fences = document.split("```jinja ").skip(1);
    fences.filter_map(|rest| rest.split("```").next()?.split_once('\n')).collect()
}

/// Every sample, and the largest and most hostile message that the engine makes.
fn notifications() -> Vec<(&'static str, Notification)> {
    let mut all = samples::all();
    let mut large = samples::many();
    let hostile = samples::hostile().message.alerts.remove(0);
    large.message.alerts = vec![hostile; 500];
    large.message.truncated_alerts = 1_000;
    all.push(("large", large));
    all
}

#[test]
fn the_bodies_in_the_document_are_json_within_the_peers_limits() {
    let blocks = blocks(WEBHOOKS);
    let names: Vec<&str> = blocks.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["teams", "discord", "ntfy"]);
    for (peer, source) in blocks {
        for (sample, notification) in notifications() {
            let body = webhook::render_body(source, &notification)
                .unwrap_or_else(|error| panic!("{peer} {sample}: {error:?}"));
            let json: Value = serde_json::from_str(&body)
                .unwrap_or_else(|error| panic!("{peer} {sample}: {error}\n{body}"));
            match peer {
                "teams" => assert_teams(&json, &body),
                "discord" => assert_discord(&json),
                _ => assert_ntfy(&json),
            }
        }
    }
}

#[test]
fn only_an_end_by_word_looks_like_an_all_clear_in_the_document() {
    let mut several = samples::mixed();
    several.message.status = Status::Resolved;
    for alert in &mut several.message.alerts {
        alert.status = Status::Resolved;
    }
    // In the mixed group some fire, and some ended without a word: what fires decides.
    for (notification, teams, ntfy, discord, said) in [
        (samples::spend_limit(), "Attention", "rotating_light", 12_652_063, "FIRING: "),
        (samples::mixed(), "Attention", "rotating_light", 12_652_063, "FIRING: "),
        (samples::resolved(), "Good", "white_check_mark", 1_736_503, "RESOLVED: "),
        (samples::expired(), "Default", "white_circle", 5_727_082, "EXPIRED: "),
        (samples::no_data(), "Default", "white_circle", 5_727_082, "NO DATA: "),
    ] {
        let look = look(&notification);
        assert_eq!((look.teams.as_str(), look.ntfy.as_str()), (teams, ntfy), "{said}");
        assert_eq!(look.discord, discord, "{said}");
        assert!(look.titles.iter().all(|title| title.starts_with(said)), "{:?}", look.titles);
    }
    let look = look(&several);
    assert_eq!((look.teams.as_str(), look.ntfy.as_str()), ("Default", "white_circle"));
}

#[test]
fn the_documented_one_line_body_tells_the_ends_apart() {
    let line = WEBHOOKS.lines().find_map(|line| line.trim().strip_prefix("body: \""));
    let source = line.and_then(|line| line.strip_suffix('"')).expect("a body");
    for (notification, said) in [
        (samples::mixed(), "firing: "),
        (samples::resolved(), "resolved: "),
        (samples::expired(), "expired: "),
        (samples::no_data(), "no data: "),
    ] {
        let body = webhook::render_body(source, &notification).expect("renders");
        assert!(body.starts_with(said), "{body}");
    }
}

/// The colour in Teams, the tag in ntfy, the colour of Discord's first embed, and the titles of all three.
struct Look {
    teams: String,
    ntfy: String,
    discord: u64,
    titles: [String; 3],
}

fn look(notification: &Notification) -> Look {
    let body = |peer: &str| -> Value {
        let blocks = blocks(WEBHOOKS);
        let (_, source) = blocks.iter().find(|(name, _)| *name == peer).expect("a block");
        let body = webhook::render_body(source, notification).expect("renders");
        serde_json::from_str(&body).expect("json")
    };
    let (teams, ntfy, discord) = (body("teams"), body("ntfy"), body("discord"));
    let (card, embed) = (&teams["attachments"][0]["content"]["body"][0], &discord["embeds"][0]);
    Look {
        teams: text(card, "color").to_owned(),
        ntfy: ntfy["tags"][0].as_str().expect("a tag").to_owned(),
        discord: embed["color"].as_u64().expect("a colour"),
        titles: [text(card, "text"), text(&ntfy, "title"), text(embed, "title")].map(str::to_owned),
    }
}

fn text<'v>(json: &'v Value, name: &str) -> &'v str {
    json[name].as_str().unwrap_or_else(|| panic!("no text {name} in {json:#}"))
}

fn list<'v>(json: &'v Value, name: &str) -> &'v [Value] {
    json[name].as_array().unwrap_or_else(|| panic!("no list {name} in {json:#}"))
}

/// 28 KB, and a card of blocks that have a text.
fn assert_teams(json: &Value, body: &str) {
    assert!(body.len() <= 28 * 1024, "{} bytes", body.len());
    assert_eq!(text(json, "type"), "message");
    let [attachment] = list(json, "attachments") else { panic!("one attachment") };
    assert_eq!(text(attachment, "contentType"), "application/vnd.microsoft.card.adaptive");
    let card = &attachment["content"];
    assert_eq!((text(card, "type"), text(card, "version")), ("AdaptiveCard", "1.4"));
    for block in list(card, "body") {
        match text(block, "type") {
            "TextBlock" => assert!(!text(block, "text").is_empty(), "{block}"),
            _ => assert!(list(block, "facts").iter().all(|fact| fact["value"].is_string())),
        }
    }
    assert!(list(card, "actions").iter().all(|action| text(action, "url").starts_with("http")));
}

/// 10 embeds, 256 characters of title, 4,096 of description, 6,000 in all; nobody is called.
fn assert_discord(json: &Value) {
    assert_eq!(json["allowed_mentions"], serde_json::json!({"parse": []}));
    let embeds = list(json, "embeds");
    assert!((1..=10).contains(&embeds.len()));
    let units = |text: &str| text.encode_utf16().count();
    let mut all = 0;
    for embed in embeds {
        let (title, description) = (text(embed, "title"), text(embed, "description"));
        assert!((1..=256).contains(&units(title)) && units(description) <= 4_096);
        assert!(embed["color"].as_u64().is_some_and(|color| color <= 0xff_ffff), "{embed}");
        assert!(text(embed, "timestamp").parse::<jiff::Timestamp>().is_ok());
        all += units(title) + units(description);
    }
    assert!(all <= 6_000, "{all}");
}

/// A topic, 4,096 bytes of message, a priority from 1 to 5.
fn assert_ntfy(json: &Value) {
    assert_eq!(text(json, "topic"), "telnyx");
    let message = text(json, "message");
    assert!((1..=4_096).contains(&message.len()), "{}", message.len());
    assert!(json["priority"].as_u64().is_some_and(|priority| (1..=5).contains(&priority)));
    assert!(text(json, "title").len() <= 400 && list(json, "tags").len() == 1);
    assert!(json.get("click").is_none_or(|click| text(json, "click") == click));
}

#[test]
fn the_texts_in_the_document_render_for_every_message() {
    let blocks = blocks(TEMPLATES);
    assert_eq!(blocks.len(), 3);
    for (name, source) in blocks {
        assert!(MessageTemplates::NAMES.contains(&name), "{name}");
        let templates = MessageTemplates::new([(name, source)]).expect(name);
        for (sample, notification) in notifications() {
            let text = templates.render(name, &notification);
            let text = text.unwrap_or_else(|error| panic!("{name} {sample}: {error:?}"));
            assert!(!text.trim().is_empty(), "{name} {sample}");
        }
    }
}

#[test]
fn the_document_names_every_text_and_every_field() {
    let named = |word: &str| TEMPLATES.contains(&format!("`{word}`"));
    for name in MessageTemplates::NAMES {
        assert!(named(name), "{name}");
    }
    let notification = samples::mixed();
    for field in templates::fields(&notification) {
        assert!(named(&field), "{field}");
    }
    let body: Value = serde_json::from_str(
        &webhook::render_body("{{ alerts[0] | tojson }}", &notification).expect("renders"),
    )
    .expect("json");
    for field in body.as_object().expect("an alert").keys() {
        assert!(WEBHOOKS.contains(&format!("`{field}`")), "{field}");
    }
}
