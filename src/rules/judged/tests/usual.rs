//! Rules that look at what is usual, and those that ask what is new: what `check` says of them.

use super::*;
use crate::rules::usual::{Kept, Span};

fn over(over: Over, fire: &str, zone: Option<&str>) -> RuleSpec {
    let zone = zone.map(|zone| At::new(TimeZone::get(zone).expect("a zone"), at(13, "").position));
    let line = LineSpec { zone, ..line(fire, None) };
    spec("A", "call.cost", KindSpec::Window { over, value: at(10, "count()"), line })
}

const FIRE: &str = "has(usual) ? value > 3.0 * usual + spread : value > 50.0 && weeks == 0";

#[test]
fn check_says_where_nothing_can_be_usual() {
    let hours = |hours| Over::Sliding(Duration::from_hours(hours));
    let calendar = |period| Over::Calendar(period, TimeZone::UTC);
    for (spec, want) in [
        (over(hours(168), FIRE, Some("Europe/Berlin")), ""),
        (over(calendar(Period::Day), FIRE, None), ""),
        (
            over(hours(169), FIRE, None),
            "r.yaml:11:10: g/A.fire: `usual` compares hours of the week: over is 7d at most\n",
        ),
        (
            over(calendar(Period::Month), FIRE, None),
            "r.yaml:11:10: g/A.fire: `usual` compares hours of the week, and months are not made of weeks\n",
        ),
        (
            over(hours(1), "value > 5.0", Some("Europe/Berlin")),
            "r.yaml:13:10: g/A.time_zone: only days, weeks and months, and what is usual, depend on it \
             (hint: it is for over: day, week or month, and where fire looks at usual)\n",
        ),
        (
            over(hours(1), "value > 3.0 * usual", None),
            "r.yaml:11:10: warning: g/A.fire: `usual` is missing until there are 2 weeks: it does not fire before \
             (hint: has(usual) ? value > 3.0 * usual + 5.0 : value > 50.0)\n",
        ),
    ] {
        let (_, problems) = compile(vec![spec]);
        assert_eq!(problems, want);
    }
}

#[test]
fn names_are_checked_like_any_other() {
    for (fire, want) in [
        ("value > usal", "unknown variable `usal` (hint: did you mean `usual`?)"),
        ("value > usual.x", "double has no field `x`"),
        ("has(value)", "has() takes a field (hint: has(payload.status))"),
        ("weeks > 1.5 && usual == 'x'", "`==` cannot compare double with string"),
    ] {
        let (_, problems) = compile(vec![over(Over::Sliding(Duration::from_hours(1)), fire, None)]);
        assert!(problems.contains(want), "{fire}: {problems}");
    }
    for (when, want) in [
        ("is_new(payload.x, duration('30d'))", ""),
        ("is_new(call.country, duration('59m'))", "must be between 1h and 366d"),
        ("is_new(call.country, 'x')", "expected duration('…') with a text in quotes"),
        ("is_new(payload.x)", "`is_new` takes 2 arguments, not 1"),
        ("[1].exists(x, is_new(payload.x, duration('1d')))", "does not stand in a macro"),
        ("is_new(is_new(payload.x, duration('1d')), duration('1d'))", "does not stand in another"),
        ("is_new(event.received_at, duration('1d'))", "`is_new` does not take timestamp"),
    ] {
        let mut spec = spec("A", "call.cost", window("count()"));
        spec.when = Some(at(3, when));
        let (set, problems) = compile(vec![spec]);
        assert!(problems.contains(want) && (problems.is_empty() == want.is_empty()), "{problems}");
        assert_eq!(set.remembers(), want.is_empty());
    }
    let mut spec = spec("A", "call.cost", window("count()"));
    spec.by = pairs(4, &[("x", "is_new(payload.x, duration('1d'))")]);
    let (_, problems) = compile(vec![spec]);
    assert!(problems.contains("`is_new` is there in the `when` of rules only"), "{problems}");
}

#[test]
fn hours_are_kept_as_the_value_needs_it() {
    let hour = || Over::Sliding(Duration::from_hours(1));
    for (value, kept) in [
        ("count()", Kept::Total),
        ("sum(event.charge)", Kept::Total),
        ("avg(payload.x)", Kept::Mean),
        ("last(payload.x)", Kept::Reading),
        ("max(payload.x)", Kept::Greatest),
        ("distinct(payload.x)", Kept::Greatest),
        ("min(payload.x)", Kept::Least),
    ] {
        let mut spec = over(hour(), FIRE, None);
        let KindSpec::Window { value: old, .. } = &mut spec.kind else { panic!("a window") };
        *old = at(10, value);
        let set = set(vec![spec]);
        let rule = set.rule("g/A").expect("there");
        let terms = rule.usual_terms().expect("it looks at what is usual");
        assert_eq!((terms.kept, terms.span), (kept, Span::Sliding(3_600)), "{value}");
    }
    let plain = set(vec![over(hour(), "value > 5.0", None)]);
    assert_eq!(plain.rule("g/A").expect("there").usual_terms(), None);
    let berlin = set(vec![over(hour(), FIRE, Some("Europe/Berlin"))]);
    let utc = set(vec![over(hour(), FIRE, None)]);
    let digest = |set: &RuleSet| set.rule("g/A").expect("there").usual_digest();
    assert_ne!(digest(&berlin), digest(&utc));
}
