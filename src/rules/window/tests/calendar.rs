//! Windows of the calendar.

use super::*;

/// Zone, a time inside of a period, its last second, and when the next begins.
const PERIODS: [(Period, &str, &str, &str, &str); 9] = [
    // The plain case.
    (Period::Day, "UTC", "2026-01-01T00:00:00Z", "2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z"),
    // 23 hours, and 25.
    (
        Period::Day,
        "America/New_York",
        "2026-03-08T05:00:00Z",
        "2026-03-09T03:59:59Z",
        "2026-03-09T04:00:00Z",
    ),
    (
        Period::Day,
        "Europe/Berlin",
        "2026-10-24T22:00:00Z",
        "2026-10-25T22:59:59Z",
        "2026-10-25T23:00:00Z",
    ),
    // Monday to Monday, across the change.
    (
        Period::Week,
        "Europe/Berlin",
        "2026-03-22T23:00:00Z",
        "2026-03-29T21:59:59Z",
        "2026-03-29T22:00:00Z",
    ),
    (Period::Week, "UTC", "2027-01-03T12:00:00Z", "2027-01-03T23:59:59Z", "2027-01-04T00:00:00Z"),
    (
        Period::Month,
        "America/New_York",
        "2026-11-01T04:00:00Z",
        "2026-12-01T04:59:59Z",
        "2026-12-01T05:00:00Z",
    ),
    (Period::Month, "UTC", "2028-02-01T00:00:00Z", "2028-02-29T23:59:59Z", "2028-03-01T00:00:00Z"),
    // Midnight does not exist: the day begins at one.
    (
        Period::Day,
        "Africa/Cairo",
        "2026-04-23T12:00:00Z",
        "2026-04-23T21:59:59Z",
        "2026-04-23T22:00:00Z",
    ),
    // A whole date does not exist.
    (
        Period::Day,
        "Pacific/Apia",
        "2011-12-29T12:00:00Z",
        "2011-12-30T09:59:59Z",
        "2011-12-30T10:00:00Z",
    ),
];

#[test]
fn calendar_windows_begin_anew_at_the_boundary() {
    for (period, zone, inside, last, boundary) in PERIODS {
        let over = calendar(period, zone);
        let mut window = Window::new();
        let (inside, last, boundary) = (at(inside), at(last), at(boundary));
        assert_eq!(window.add(&over, Aggregate::Sum, &number("1"), inside, inside), Added::Counted);
        assert_eq!(window.next_change(&over), Some(boundary), "{zone} {inside}");
        assert_eq!(window.add(&over, Aggregate::Sum, &number("2"), inside, last), Added::Counted);
        assert_eq!(
            window.level(&over, Aggregate::Sum, last),
            Level { value: Some(decimal("3")), count: 2 },
            "{zone} {inside}"
        );
        assert_eq!(window.buckets.len(), 1);
        assert_eq!(
            window.add(&over, Aggregate::Sum, &number("4"), last, boundary),
            Added::Late,
            "{zone} {inside}"
        );
        assert_eq!(window, Window::new());
        assert_eq!(
            window.add(&over, Aggregate::Sum, &number("5"), boundary, boundary),
            Added::Counted
        );
        assert!(window.is_empty(&over, window.next_change(&over).expect("not empty")));
        assert!(!window.is_empty(&over, boundary));
    }
}

#[test]
fn periods_follow_each_other_where_clocks_go_back_across_midnight() {
    // In St. John's, at a minute past midnight, the clocks once went back to the day before.
    let over = calendar(Period::Day, "America/St_Johns");
    let (midnight, again) = (at("2010-11-07T02:30:00Z"), at("2010-11-07T03:00:00Z"));
    let mut window = Window::new();
    window.add(&over, Aggregate::Count, &Observed::Event, midnight, midnight);
    window.add(&over, Aggregate::Count, &Observed::Event, again, again);
    assert_eq!(window.buckets.len(), 1);
    assert!(window.next_change(&over) > Some(at("2010-11-08T00:00:00Z")));
    let before = at("2010-11-07T02:29:59Z");
    assert_eq!(window.add(&over, Aggregate::Count, &Observed::Event, before, again), Added::Late);
}
