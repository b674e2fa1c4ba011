//! What is said of money at kinds that never tell any. Pure.

use super::index::Glob;
use crate::event::{self, Money};

/// What is wrong with expressions over money at events of these kinds, as patterns; `None` where one of them may tell an
/// amount, which a kind that is not known may.
pub(super) fn warning(patterns: &[String]) -> Option<String> {
    let mut named = Vec::new();
    for pattern in patterns {
        let glob = Glob::new(pattern);
        let mut known = event::known_kinds().iter().filter(|kind| glob.matches(kind)).peekable();
        known.peek()?;
        if known.any(|kind| event::money_of(kind) != Some(Money::None)) {
            return None;
        }
        named.push(format!("`{pattern}`"));
    }
    let named = (!named.is_empty()).then(|| named.join(", "))?;
    Some(format!(
        "no event of {named} tells an amount: event.cost and event.charge are always missing there"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_warned_of_only_where_there_can_be_none() {
        let said = |patterns: &[&str]| {
            let patterns: Vec<String> =
                patterns.iter().map(|&pattern| pattern.to_owned()).collect();
            warning(&patterns)
        };
        for patterns in [
            &["call.cost"][..],
            &["call.analyzed"],
            &["message.finalized", "fax.failed"],
            &["message.sent"],
            &["call.*"],
            &["*"],
            // What is not known may have any.
            &["my.own.kind"],
            &["call.hangup", "my.*"],
            &[],
        ] {
            assert_eq!(said(patterns), None, "{patterns:?}");
        }
        assert_eq!(
            said(&["call.hangup", "fax.*"]).as_deref(),
            Some(
                "no event of `call.hangup`, `fax.*` tells an amount: event.cost and event.charge are always missing there"
            )
        );
        assert!(said(&["account.*"]).is_some(), "a balance is no cost");
    }
}
