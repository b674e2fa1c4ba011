//! Targets of what is written in routes: matchers and time intervals.

use super::*;

/// A matcher of labels.
pub fn matcher(data: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(data);
    let labels = Labels::from([
        ("severity".to_owned(), "critical".to_owned()),
        ("team".to_owned(), "billing".to_owned()),
        ("a".to_owned(), "x".repeat(1_000)),
    ]);
    // Any text can be a value.
    for op in [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Matches, MatchOp::NotMatches] {
        if let Ok(made) = Matcher::new("a", op, text.to_string()) {
            same_again(&made, &labels);
        }
    }
    match Matcher::parse(&text) {
        Ok(read) => {
            same_again(&read, &labels);
            outcome((read.op().as_str(), read.name().len(), read.value().len() / 4))
        }
        Err(error) => {
            assert!((1..=1 + text.chars().count()).contains(&(error.column as usize)), "{error:?}");
            outcome(words(&error.message))
        }
    }
}

/// What is written can be read back, and means the same.
fn same_again(matcher: &Matcher, labels: &Labels) {
    let written = matcher.to_string();
    let again = Matcher::parse(&written).unwrap_or_else(|error| panic!("{written:?}: {error}"));
    assert_eq!(again, *matcher);
    assert_eq!(again.to_string(), written);
    assert_eq!(again.matches(labels), matcher.matches(labels));
    let opposite = match matcher.op() {
        MatchOp::Equal => MatchOp::NotEqual,
        MatchOp::NotEqual => MatchOp::Equal,
        MatchOp::Matches => MatchOp::NotMatches,
        MatchOp::NotMatches => MatchOp::Matches,
    };
    let opposite = Matcher::new(matcher.name(), opposite, matcher.value().to_owned()).unwrap();
    assert_ne!(opposite.matches(labels), matcher.matches(labels));
    let stored = serde_json::to_string(matcher).unwrap();
    assert_eq!(serde_json::from_str::<Matcher>(&stored).unwrap(), *matcher);
}

/// A part of a time interval; the first byte chooses which.
pub fn interval(data: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(data);
    let mut chars = text.chars();
    let (kind, text) = (chars.next().unwrap_or('t'), chars.as_str());
    let spec = |text: &str| -> Result<IntervalSpec, IntervalError> {
        let always = IntervalSpec::default();
        Ok(match kind {
            'w' => IntervalSpec { weekdays: vec![WeekdayRange::parse(text)?], ..always },
            'd' => IntervalSpec { days_of_month: vec![DayRange::parse(text)?], ..always },
            'm' => IntervalSpec { months: vec![MonthRange::parse(text)?], ..always },
            'y' => IntervalSpec { years: vec![YearRange::parse(text)?], ..always },
            'l' => IntervalSpec { location: IntervalSpec::location(text)?, ..always },
            _ => {
                let minute = TimeRange::minute(text)?;
                assert_eq!(
                    format!("{:02}:{:02}", minute / 60, minute % 60),
                    text,
                    "read as written"
                );
                IntervalSpec { times: vec![TimeRange::new(minute, 24 * 60)?], ..always }
            }
        })
    };
    match spec(text) {
        Ok(read) => {
            if matches!(kind, 'w' | 'd' | 'm' | 'y') {
                let other = text.to_ascii_uppercase().replace(':', " : ");
                assert_eq!(spec(&other).as_ref(), Ok(&read), "case and blanks do not matter");
            }
            let holds = TIMES.map(|at| read.holds(Timestamp::from_second(at).unwrap()));
            let extremes = [Timestamp::MIN, Timestamp::MAX].map(|at| read.holds(at));
            let interval = TimeInterval { name: "n".to_owned(), specs: vec![read] };
            assert_eq!(interval.holds(now()), interval.specs[0].holds(now()));
            outcome((kind, holds, extremes))
        }
        Err(error) => {
            assert!((1..=1 + text.chars().count()).contains(&(error.column as usize)), "{error:?}");
            outcome((kind, words(&error.message)))
        }
    }
}
