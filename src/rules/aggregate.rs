//! The `value` of a window rule as written: `AGG(CEL)`, or `count()`.

use super::suggest::did_you_mean;
use super::syntax;
use super::window::Aggregate;
use crate::diagnostic::TextDiagnostic;

/// The aggregates by name.
const AGGREGATES: &[(&str, Aggregate)] = &[
    ("sum", Aggregate::Sum),
    ("min", Aggregate::Min),
    ("max", Aggregate::Max),
    ("avg", Aggregate::Avg),
    ("distinct", Aggregate::Distinct),
    ("last", Aggregate::Last),
    ("count", Aggregate::Count),
];
const EXAMPLE: &str = "sum(event.charge), or count()";

/// An aggregate and the expression of its values; none for `count()`.
pub(super) type ParsedAggregate = (Aggregate, Option<String>);

/// Reads the value of a window rule. The expression is given with blanks in the place of what stands before it, so that
/// places in it are places in `source`.
pub(super) fn parse(source: &str) -> Result<ParsedAggregate, TextDiagnostic> {
    let start = source.len() - source.trim_start().len();
    let rest = source.get(start..).unwrap_or_default();
    let name_len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let (name, after) = rest.split_at_checked(name_len).unwrap_or((rest, ""));
    let open = start + name_len + (after.len() - after.trim_start().len());
    if name.is_empty() || !after.trim_start().starts_with('(') {
        let message = "the value of a window is one aggregate";
        return Err(TextDiagnostic::new(start, message).hint(EXAMPLE));
    }
    let Some((_, aggregate)) = AGGREGATES.iter().find(|(known, _)| *known == name) else {
        let names = AGGREGATES.iter().map(|(known, _)| *known);
        let hint = did_you_mean(name, names.clone())
            .unwrap_or_else(|| format!("known here: {}", names.collect::<Vec<_>>().join(", ")));
        return Err(TextDiagnostic::new(start, format!("unknown aggregate `{name}`")).hint(hint));
    };
    let Some(close) = syntax::closing(source, open) else {
        return Err(TextDiagnostic::new(open, "the bracket is never closed"));
    };
    let behind = source.get(close + 1..).unwrap_or_default();
    if !behind.trim().is_empty() {
        let at = close + 1 + (behind.len() - behind.trim_start().len());
        return Err(TextDiagnostic::new(at, "nothing may stand behind the aggregate")
            .hint("compute inside of its brackets, compare in fire and clear"));
    }
    let inner = source.get(open + 1..close).unwrap_or_default();
    match (*aggregate, inner.trim().is_empty()) {
        (Aggregate::Count, true) => Ok((Aggregate::Count, None)),
        (Aggregate::Count, false) => Err(TextDiagnostic::new(open + 1, "`count()` takes nothing")
            .hint("which events count is said in on and when")),
        (_, true) => {
            Err(TextDiagnostic::new(open + 1, format!("`{name}` takes an expression"))
                .hint(EXAMPLE))
        }
        (aggregate, false) => Ok((aggregate, Some(blank(source.get(..=open)) + inner))),
    }
}

/// As many characters, all blank, in the same lines.
fn blank(text: Option<&str>) -> String {
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    text.unwrap_or_default().chars().map(blank).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_aggregate_and_nothing_else() {
        for (source, want) in [
            ("sum(event.charge)", Ok((Aggregate::Sum, Some("    event.charge")))),
            (" max ( num(payload.x) ) ", Ok((Aggregate::Max, Some("       num(payload.x) ")))),
            ("min(\n payload.x)", Ok((Aggregate::Min, Some("    \n payload.x")))),
            ("avg(payload.a[0] + (1.0))", Ok((Aggregate::Avg, Some("    payload.a[0] + (1.0)")))),
            ("distinct(payload.x == ')' ? 'a' : 'b')", {
                Ok((Aggregate::Distinct, Some("         payload.x == ')' ? 'a' : 'b'")))
            }),
            ("last(1)", Ok((Aggregate::Last, Some("     1")))),
            ("count( )", Ok((Aggregate::Count, None))),
            ("count(1)", Err((6, "`count()` takes nothing"))),
            ("sum()", Err((4, "`sum` takes an expression"))),
            ("", Err((0, "the value of a window is one aggregate"))),
            ("event.charge", Err((0, "the value of a window is one aggregate"))),
            (" (1)", Err((1, "the value of a window is one aggregate"))),
            ("summ(1)", Err((0, "unknown aggregate `summ`"))),
            ("median(1)", Err((0, "unknown aggregate `median`"))),
            ("sum(1", Err((3, "the bracket is never closed"))),
            ("sum(')'", Err((3, "the bracket is never closed"))),
            ("sum(1) + sum(2)", Err((7, "nothing may stand behind the aggregate"))),
            ("sum(1))", Err((6, "nothing may stand behind the aggregate"))),
        ] {
            let got = parse(source);
            let got = got.as_ref().map(|(a, inner)| (*a, inner.as_deref()));
            assert_eq!(
                got.map_err(|wrong| (wrong.offset, wrong.message.as_str())),
                want,
                "{source:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_places_stay(source in "(sum|count|avg)?[ (]{0,3}[\\PC\n]{0,20}[)'\" ]{0,3}") {
            if let Ok((_, Some(inner))) = parse(&source) {
                let (before, _) = source.rsplit_once(')').expect("it was found");
                prop_assert!(before.ends_with(inner.trim_start()));
                prop_assert_eq!(inner.chars().count(), before.chars().count());
            }
        }
    }
}
