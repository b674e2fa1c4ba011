//! What a body would take once it is parsed: a few bytes of text can become hundreds in memory.
//!
//! Telnyx's bodies are a few KiB, the largest seen some tens. Whoever can sign may send a mebibyte of tiny values, which would take
//! four hundred times as much.

/// Bytes that a parsed body may take, by the estimates below.
const PARSED_BYTES_MAX: usize = 3 * 1024 * 1024;
/// A body of so many bytes is not looked at: it cannot come near the bound.
const SMALL_BYTES: usize = 16 * 1024;

/// An object with its first members: the node of a tree that has room for eleven.
const OBJECT_BYTES: usize = 680;
/// A member beside its value: its share of the node, and its key.
const MEMBER_BYTES: usize = 80;
/// A value: its place, and a text or the digits of a number.
const VALUE_BYTES: usize = 64;

/// Whether JSON would take more memory than an event may. What is no JSON gets any answer.
pub(super) fn is_too_much(json: &[u8]) -> bool {
    json.len() > SMALL_BYTES && parsed_bytes(json) > PARSED_BYTES_MAX
}

/// About how many bytes JSON takes once it is parsed; its texts count as they are.
fn parsed_bytes(json: &[u8]) -> usize {
    let mut bytes = json.len();
    let (mut in_text, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' => bytes += OBJECT_BYTES + VALUE_BYTES,
            b'[' => bytes += 2 * VALUE_BYTES,
            b':' => bytes += MEMBER_BYTES,
            b',' => bytes += VALUE_BYTES,
            _ => {}
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_texts_does_not_count() {
        let text = serde_json::to_string(&"{[:,\\\"".repeat(50_000)).expect("json");
        assert_eq!(parsed_bytes(text.as_bytes()), text.len());
        assert_eq!(parsed_bytes(br#"{"a":[1,2]}"#), 11 + 680 + 80 + 4 * 64);
    }

    #[test]
    fn tiny_values_are_too_much_and_large_orders_are_not() {
        for tiny in ["1,", "[],", "{},", r#"{"":1},"#, "\"\",", "[[[]]],", "null,"] {
            let body = format!("[{}1]", tiny.repeat(1024 * 1024 / tiny.len()));
            assert!(is_too_much(body.as_bytes()), "{tiny}");
        }
        let members: Vec<String> = (0..60_000).map(|n| format!("\"{n}\":1")).collect();
        assert!(is_too_much(format!("{{{}}}", members.join(",")).as_bytes()));
        // An order of a thousand numbers.
        let number = r#"{"id":"7b0e1105-5a1d-4c3e-9f00-000000000005","record_type":"number_order_phone_number",
            "phone_number":"+12025550131","bundle_id":null,"country_code":"US","phone_number_type":"local",
            "regulatory_requirements":[],"requirements_met":true,"status":"success"},"#;
        let order = format!("[{}1]", number.repeat(1_000));
        assert!(!is_too_much(order.as_bytes()), "{}", parsed_bytes(order.as_bytes()));
    }
}
