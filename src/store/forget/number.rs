//! A phone number as it is found in texts, and how it is taken out of them.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// What stands where the number was.
pub(super) const FORGOTTEN: &str = "[forgotten]";

/// Digits of a number, by E.164; fewer would be found in what is no number.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Rounds of [`PhoneNumber::fingerprint`]: there are few numbers, and whoever reads the audit log must not try all of them.
const ROUNDS: u32 = 100_000;

/// A phone number in its international form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneNumber {
    digits: String,
}

impl PhoneNumber {
    /// Reads `+15550100`; blanks, dots, dashes and parentheses between the digits do not matter.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "expected a number with its country, such as +15550100".to_owned();
        let digits = text.trim().strip_prefix('+').ok_or_else(wrong)?;
        let is_filling = |c: char| matches!(c, ' ' | '.' | '-' | '(' | ')');
        let digits: String = digits.chars().filter(|c| !is_filling(*c)).collect();
        let is_number =
            digits.chars().all(|c| c.is_ascii_digit()) && DIGITS.contains(&digits.len());
        if is_number { Ok(Self { digits }) } else { Err(wrong()) }
    }

    /// How a text that is the number is written: with the plus, and without.
    pub(super) fn forms(&self) -> [String; 2] {
        [format!("+{}", self.digits), self.digits.clone()]
    }

    /// Whether a text holds the number: its digits, with or without the plus, and no other digit beside them.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.places(text).next().is_some()
    }

    /// As [`PhoneNumber::is_in`], of the bytes of a text.
    pub(super) fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes).is_ok_and(|text| self.is_in(text))
    }

    /// Where the digits begin.
    fn places<'t>(&'t self, text: &'t str) -> impl Iterator<Item = usize> + 't {
        let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        let found = text.match_indices(&self.digits);
        found.map(|(at, _)| at).filter(move |at| {
            let before = at.checked_sub(1).and_then(|at| text.as_bytes().get(at));
            !is_digit(before) && !is_digit(text.as_bytes().get(at + self.digits.len()))
        })
    }

    /// A text without the number.
    pub(super) fn strike(&self, text: &str) -> String {
        let mut struck = String::new();
        let mut rest = 0;
        for at in self.places(text) {
            let before = text.get(rest..at).unwrap_or_default();
            struck.push_str(before.strip_suffix('+').unwrap_or(before));
            struck.push_str(FORGOTTEN);
            rest = at + self.digits.len();
        }
        struck + text.get(rest..).unwrap_or_default()
    }

    /// A JSON value without the number in its texts; keys and types stay.
    pub(super) fn strike_json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.strike(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.strike_json(item)).collect(),
            Value::Object(members) => {
                members.into_iter().map(|(key, value)| (key, self.strike_json(value))).collect()
            }
            other => other,
        }
    }

    /// What stands for the number where it must not stand itself: whoever has the number can compute it again, and see that
    /// it was this one. PBKDF2 with HMAC-SHA-256, its salt beside it.
    pub fn fingerprint(&self, salt: [u8; 16]) -> String {
        let hashed = |message: &[u8]| -> [u8; 32] {
            let mut mac = Hmac::<Sha256>::new_from_slice(format!("+{}", self.digits).as_bytes())
                .expect("a key of any length");
            mac.update(message);
            mac.finalize().into_bytes().into()
        };
        let mut block = hashed(&[&salt[..], &1_u32.to_be_bytes()].concat());
        let mut sum = block;
        for _ in 1..ROUNDS {
            block = hashed(&block);
            sum.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
        }
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut text, byte| {
                // Into a text nothing fails.
                write!(text, "{byte:02x}").unwrap_or_default();
                text
            })
        };
        format!("pbkdf2-sha256:{ROUNDS}:{}:{}", hex(&salt), hex(&sum))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn number() -> PhoneNumber {
        PhoneNumber::parse("+1 (555) 010-0100").expect("parses")
    }

    #[test]
    fn a_number_has_its_country_and_as_many_digits_as_there_are() {
        for wrong in
            ["15550100100", "+", "+123456", "+1234567890123456", "+1555x0100", "", "+1555010O100"]
        {
            PhoneNumber::parse(wrong).expect_err(wrong);
        }
        assert_eq!(PhoneNumber::parse(" +15550100100"), Ok(number()));
    }

    #[test]
    fn it_is_found_whole_and_taken_out_with_its_plus() {
        for (text, struck) in [
            ("+15550100100", "[forgotten]"),
            ("15550100100", "[forgotten]"),
            ("sip:+15550100100@sip.telnyx.com", "sip:[forgotten]@sip.telnyx.com"),
            ("%2B15550100100", "%2B[forgotten]"),
            ("+15550100100,+15550100100", "[forgotten],[forgotten]"),
            ("+155501001001", "+155501001001"),
            ("4+415550100100", "4+415550100100"),
            ("ü+15550100100ü", "ü[forgotten]ü"),
            ("1555010010015550100100", "1555010010015550100100"),
            ("", ""),
        ] {
            assert_eq!(number().strike(text), struck);
            assert_eq!(number().is_in(text), text != struck, "{text}");
        }
        let value =
            json!({"from": "+15550100100", "n": 15_550_100_100_u64, "to": ["+15550100101", null]});
        let struck =
            json!({"from": FORGOTTEN, "n": 15_550_100_100_u64, "to": ["+15550100101", null]});
        assert_eq!(number().strike_json(value), struck);
    }

    /// By Python: `hashlib.pbkdf2_hmac("sha256", b"+15550100100", bytes(range(16)), 100000).hex()`.
    #[test]
    fn the_fingerprint_is_that_of_other_implementations() {
        let salt: [u8; 16] = std::array::from_fn(|n| u8::try_from(n).expect("small"));
        assert_eq!(
            number().fingerprint(salt),
            "pbkdf2-sha256:100000:000102030405060708090a0b0c0d0e0f:5cf6cecc177af2021b1198c815d48d06aa109d62771889e390ef6181ea8ff5ea"
        );
    }
}
