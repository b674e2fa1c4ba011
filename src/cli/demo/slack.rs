//! A message as Slack shows it to people, as far as a terminal can.

use serde_json::Value;

/// The text of a message: its blocks, then those of its attachments; `None` where it has none.
pub(super) fn seen(message: &Value) -> Option<String> {
    let attachments = message.get("attachments").and_then(Value::as_array).into_iter().flatten();
    let mut lines: Vec<String> = blocks(message).collect();
    lines.extend(attachments.flat_map(blocks));
    if lines.is_empty() {
        return message.get("text").and_then(Value::as_str).map(plain);
    }
    Some(lines.join("\n"))
}

fn blocks(of: &Value) -> impl Iterator<Item = String> {
    let blocks = of.get("blocks").and_then(Value::as_array).into_iter().flatten();
    blocks.filter_map(block)
}

fn block(block: &Value) -> Option<String> {
    let text = |of: &Value| of.get("text").and_then(Value::as_str).map(plain);
    let all = |name: &str| {
        let items = block.get(name).and_then(Value::as_array)?;
        Some(items.iter().filter_map(text).collect::<Vec<_>>())
    };
    let own = block.get("text").and_then(text);
    // Two fields stand side by side.
    let fields = all("fields").map(|fields| {
        fields.iter().map(|field| field.replace('\n', " ")).collect::<Vec<_>>().join("   ")
    });
    let elements = all("elements").map(|elements| elements.join(" "));
    let lines: Vec<String> = [own, fields, elements].into_iter().flatten().collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Slack's escapes as what they stand for, and its marks of bold type left out.
fn plain(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    text.replace('*', "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_are_shown_in_their_order() {
        let message = json!({
            "text": "fallback",
            "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "FIRING: A &amp; B"}}],
            "attachments": [{"blocks": [
                {"type": "section", "text": {"type": "mrkdwn", "text": "*What* to do"}},
                {"type": "section", "fields": [{"text": "*Cost*\n5 USD"}, {"text": "*Limit*\n6 USD"}]},
                {"type": "divider"},
                {"type": "context", "elements": [{"text": "why"}, {"text": "when"}]},
            ]}],
        });
        let expected = "FIRING: A & B\nWhat to do\nCost 5 USD   Limit 6 USD\nwhy when";
        assert_eq!(seen(&message).as_deref(), Some(expected));
        assert_eq!(seen(&json!({"text": "only this"})).as_deref(), Some("only this"));
        assert_eq!(seen(&json!({})), None);
    }
}
