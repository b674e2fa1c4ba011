//! Gauges and windows.

use super::*;

#[test]
fn a_gauge_has_hysteresis() {
    let series = run(
        &GAUGE,
        NONE,
        &Low,
        &[
            (1, See(60), Quiet, None),
            (2, See(49), fired(2), None),
            (3, See(60), Refreshed, None),
            (4, Tick, Quiet, None),
            (5, See(74), Refreshed, None),
            (6, See(75), Cleared, None),
            (7, See(60), Quiet, None),
            (8, Tick, Quiet, None),
        ],
    );
    assert_eq!((series.value, series.count), (Some(Decimal::from(60)), 1));
}

#[test]
fn where_both_hold_the_alert_that_fires_ends_and_time_does_not_ring_it_again() {
    run(
        &GAUGE,
        NONE,
        &Both,
        &[
            (1, See(1), fired(1), None),
            (2, See(1), Cleared, None),
            (3, Tick, Quiet, None),
            (4, See(1), fired(4), None),
        ],
    );
}

#[test]
fn a_gauge_ignores_older_readings() {
    let mut gauge = series(&GAUGE);
    for (now, at, value, added, turn) in [
        (10, 5, 60, Added::Counted, Quiet),
        (11, 4, 10, Added::Late, Quiet),
        (12, 5, 10, Added::Counted, fired(5)),
        (13, 4, 90, Added::Late, Quiet),
        // Ahead of now, then one that is not.
        (14, 100, 20, Added::Counted, Refreshed),
        (15, 15, 90, Added::Late, Quiet),
        (101, 101, 90, Added::Counted, Cleared),
        // The alert does not begin in the future.
        (102, 150, 10, Added::Counted, fired(102)),
    ] {
        let before = gauge.clone();
        let done = gauge.observe(&GAUGE, NONE, &Low, &seen(value, at), second(now));
        assert_eq!(done, (added, turn), "{now}");
        assert_eq!(gauge == before, added == Added::Late, "{now}");
    }
}

#[test]
fn a_gauge_waits_and_is_kept() {
    let hold = hold(10, 20);
    run(
        &GAUGE,
        hold,
        &Low,
        &[
            (1, See(10), Quiet, Some(11)),
            (5, See(60), Quiet, None),
            (6, See(10), Quiet, Some(16)),
            (7, See(20), Quiet, Some(16)),
            (15, Tick, Quiet, Some(16)),
            (16, Tick, fired(6), None),
            (20, See(80), Quiet, Some(40)),
            (25, See(90), Quiet, Some(40)),
            // It is not yet over.
            (30, See(60), Refreshed, None),
            (31, See(80), Quiet, Some(51)),
            (50, Tick, Quiet, Some(51)),
            (51, Tick, Cleared, None),
            // A reading that is known late has held since its own time.
            (100, Old(10, 95), Quiet, Some(105)),
            (106, See(10), fired(95), None),
            (107, Old(80, 107), Quiet, Some(127)),
            (128, See(80), Cleared, None),
        ],
    );
}

#[test]
fn a_gauge_without_readings_ends_as_no_data() {
    run(
        &stale(30),
        hold(10, 100),
        &Low,
        &[
            (1, See(60), Quiet, None),
            (2, See(10), Quiet, Some(12)),
            (12, Tick, fired(2), Some(32)),
            (20, See(10), Refreshed, Some(50)),
            // A late reading does not count as one.
            (30, Old(10, 19), Quiet, Some(50)),
            (49, Tick, Quiet, Some(50)),
            (50, Tick, NoData, None),
            (51, Tick, Quiet, None),
            (60, See(10), Quiet, Some(70)),
            (70, Tick, fired(60), Some(90)),
            (80, See(80), Quiet, Some(110)),
            (110, Tick, NoData, None),
            // Taken in late, it is fresh all the same; what only waits ends quietly.
            (200, Old(10, 195), Quiet, Some(205)),
            (230, Tick, Quiet, None),
        ],
    );
}

#[test]
fn a_window_is_judged_at_events_and_as_time_passes() {
    let steps = [
        (0, See(60), Quiet, Some(60)),
        (10, See(60), fired(10), Some(60)),
        (20, See(0), Refreshed, Some(60)),
        (30, Tick, Quiet, Some(60)),
        (60, Tick, Refreshed, Some(70)),
        (70, Tick, Cleared, Some(80)),
        (80, Tick, Quiet, None),
        (81, Old(500, 21), Quiet, None),
    ];
    let series = run(&window(Aggregate::Sum), NONE, &Above(100, Some(20)), &steps);
    assert_eq!((series.value, series.count), (Some(Decimal::ZERO), 0));
}

#[test]
fn a_window_waits_and_is_kept() {
    let steps = [
        (0, See(60), Quiet, Some(60)),
        (10, See(60), Quiet, Some(20)),
        (20, Tick, fired(10), Some(60)),
        (60, Tick, Quiet, Some(65)),
        (64, See(60), Refreshed, Some(70)),
        (70, Tick, Quiet, Some(75)),
        (75, Tick, Cleared, Some(124)),
    ];
    run(&window(Aggregate::Sum), hold(10, 5), &Above(100, None), &steps);
}

#[test]
fn time_that_changes_no_value_is_not_told() {
    let steps = [
        (0, See(200), fired(0), Some(60)),
        (10, See(200), Refreshed, Some(60)),
        (60, Tick, Quiet, Some(70)),
        (70, Tick, Cleared, None),
    ];
    run(&window(Aggregate::Max), NONE, &Above(100, None), &steps);
}

#[test]
fn a_window_that_is_empty_ends_its_alert_whatever_clear_says() {
    // Without values there is no greatest one, and `clear` fails.
    let steps = [(0, See(200), fired(0), Some(60)), (60, Tick, Cleared, None)];
    run(&window(Aggregate::Max), NONE, &Above(100, Some(20)), &steps);
}

#[test]
fn a_late_event_changes_nothing() {
    let shape = window(Aggregate::Sum);
    let mut series = series(&shape);
    series.observe(&shape, NONE, &Above(100, None), &seen(200, 100), second(100));
    let before = series.clone();
    let late = series.observe(&shape, NONE, &Above(100, None), &seen(-200, 40), second(100));
    assert_eq!(late, (Added::Late, Quiet));
    assert_eq!(series, before);
}
