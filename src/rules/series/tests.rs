use proptest::prelude::*;

use super::*;

const NONE: Hold = Hold { wait: Duration::ZERO, keep: Duration::ZERO };
const GAUGE: Shape = Shape::Gauge { stale_after: None };

/// Fires below 50, ends from 75 on.
struct Low;

impl Terms for Low {
    fn fires(&self, level: &Level) -> bool {
        level.value.is_some_and(|value| value < Decimal::from(50))
    }
    fn clears(&self, level: &Level) -> bool {
        level.value.is_some_and(|value| value >= Decimal::from(75))
    }
}

/// Fires above a value; ends by what is written, or when it does not fire.
struct Above(i64, Option<i64>);

impl Terms for Above {
    fn fires(&self, level: &Level) -> bool {
        level.value.is_some_and(|value| value > Decimal::from(self.0))
    }
    fn clears(&self, level: &Level) -> bool {
        match self.1 {
            Some(line) => level.value.is_some_and(|value| value < Decimal::from(line)),
            None => !self.fires(level),
        }
    }
}

/// Says both of everything.
struct Both;

impl Terms for Both {
    fn fires(&self, _: &Level) -> bool {
        true
    }
    fn clears(&self, _: &Level) -> bool {
        true
    }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn hold(wait: u64, keep: u64) -> Hold {
    Hold { wait: Duration::from_secs(wait), keep: Duration::from_secs(keep) }
}

fn stale(seconds: u64) -> Shape {
    Shape::Gauge { stale_after: Some(Duration::from_secs(seconds)) }
}

fn window(aggregate: Aggregate) -> Shape {
    Shape::Window { over: Over::Sliding(Duration::from_mins(1)), aggregate }
}

fn absence(seconds: u64) -> Shape {
    Shape::Absence { absent_for: Duration::from_secs(seconds) }
}

fn series(shape: &Shape) -> Series {
    Series::new("group/alert", "digest", Labels::new(), shape, second(0))
}

fn seen(value: i64, at: i64) -> Observation {
    let value = Observed::Number(Decimal::from(value));
    Observation { labels: Labels::new(), at: second(at), value }
}

fn fired(since: i64) -> Turn {
    Turn::Fired { since: second(since) }
}

/// What happens to a series at a time.
#[derive(Debug, Clone, Copy)]
enum Do {
    /// It observes a value of now.
    See(i64),
    /// It observes a value of that time.
    Old(i64, i64),
    /// Time has passed.
    Tick,
    /// Time has passed that does not count.
    Rest,
    /// The service was not ready up to now.
    Skip,
}

fn apply(
    series: &mut Series,
    shape: &Shape,
    hold: Hold,
    terms: &dyn Terms,
    (now, step): (i64, Do),
) -> Turn {
    let time = second(now);
    match step {
        See(value) => series.observe(shape, hold, terms, &seen(value, now), time).1,
        Old(value, at) => series.observe(shape, hold, terms, &seen(value, at), time).1,
        Tick => series.tick(shape, hold, terms, true, time),
        Rest => series.tick(shape, hold, terms, false, time),
        Skip => {
            series.skip(time);
            Quiet
        }
    }
}

/// Runs the steps: time, what happens, what comes of it, and the deadline after it. As if restarted after each.
fn run(
    shape: &Shape,
    hold: Hold,
    terms: &dyn Terms,
    steps: &[(i64, Do, Turn, Option<i64>)],
) -> Series {
    let mut series = series(shape);
    for (place, (now, step, turn, deadline)) in steps.iter().enumerate() {
        let place = format!("step {place} at {now}: {step:?}");
        assert_eq!(apply(&mut series, shape, hold, terms, (*now, *step)), *turn, "{place}");
        let due = series.deadline(shape, hold);
        assert_eq!(due, deadline.map(second), "{place}");
        let json = serde_json::to_string(&series).expect("json");
        let kept: Series = serde_json::from_str(&json).expect("series");
        assert_eq!(kept, series, "{place}");
        series = kept;
    }
    series
}

use Do::{Old, Rest, See, Skip, Tick};
use Turn::{Cleared, NoData, Quiet, Refreshed};

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

#[test]
fn an_absence_fires_when_nothing_was_seen_for_so_long() {
    run(
        &absence(150),
        NONE,
        &Both,
        &[
            (0, Tick, Quiet, Some(60)),
            (60, Tick, Quiet, Some(120)),
            (120, Tick, Quiet, Some(150)),
            (150, Tick, fired(150), None),
            (160, Tick, Quiet, None),
            (200, See(1), Cleared, Some(260)),
            (230, See(1), Quiet, Some(290)),
            // Late ticks find the time at which it began.
            (290, Tick, Quiet, Some(350)),
            (1_000, Tick, fired(380), None),
        ],
    );
}

#[test]
fn what_was_fetched_afterwards_proves_traffic_when_it_happened() {
    run(
        &absence(150),
        NONE,
        &Both,
        &[
            (60, Tick, Quiet, Some(120)),
            // At 20: 40 are counted since.
            (70, Old(1, 20), Quiet, Some(120)),
            (120, Tick, Quiet, Some(170)),
            // After the last look: nothing is counted since then.
            (140, Old(1, 130), Quiet, Some(190)),
            // Older than what is known already.
            (150, Old(1, 10), Quiet, Some(190)),
            (190, Tick, Quiet, Some(250)),
            (250, Tick, Quiet, Some(280)),
            (280, Tick, fired(280), None),
            // Before it fired; and after, but it has been silent for long enough since.
            (290, Old(1, 100), Quiet, None),
            (500, Old(1, 350), Quiet, None),
            // Not as long: it ends, and fires again when that is.
            (510, Old(1, 400), Cleared, Some(460)),
            (511, Tick, Quiet, Some(550)),
            (550, Tick, fired(550), None),
            (560, See(1), Cleared, Some(620)),
        ],
    );
}

#[test]
fn time_that_does_not_count_is_no_absence() {
    run(
        &absence(100),
        NONE,
        &Both,
        &[
            (50, Tick, Quiet, Some(100)),
            (90, Rest, Quiet, Some(140)),
            (120, Tick, Quiet, Some(140)),
            (5_000, Skip, Quiet, Some(5_020)),
            // It never goes back.
            (4_000, Skip, Quiet, Some(5_020)),
            (5_019, Tick, Quiet, Some(5_020)),
            // Time at rest is not waited for without rest.
            (5_020, Rest, Quiet, Some(5_021)),
            (5_021, Tick, fired(5_021), None),
            (9_000, Skip, Quiet, None),
        ],
    );
}

#[test]
fn an_absence_waits_and_is_kept_in_time_that_counts() {
    run(
        &absence(50),
        hold(30, 70),
        &Both,
        &[
            (50, Tick, Quiet, Some(80)),
            (60, Rest, Quiet, Some(90)),
            (500, Skip, Quiet, Some(530)),
            (530, Tick, fired(50), None),
            (540, See(1), Quiet, Some(590)),
            (580, See(1), Quiet, Some(610)),
            (610, Tick, Cleared, Some(630)),
            (630, Tick, Quiet, Some(660)),
            (640, See(1), Quiet, Some(690)),
            // A late tick finds both.
            (730, Tick, fired(690), None),
            (740, See(1), Quiet, Some(790)),
            // Absent again while it is kept: it goes on firing, and `for` is not waited for anew.
            (790, Tick, Quiet, None),
            (800, See(1), Quiet, Some(850)),
        ],
    );
}

#[test]
fn an_absence_never_counts_negative_time() {
    let series = run(
        &absence(100),
        NONE,
        &Both,
        &[
            (50, Tick, Quiet, Some(100)),
            (40, Tick, Quiet, Some(90)),
            (89, Tick, Quiet, Some(90)),
            (90, Tick, fired(90), None),
        ],
    );
    let counted = Data::Absence { counted: Duration::from_secs(100), until: second(90) };
    assert_eq!(series.data, counted);
}

#[test]
fn what_is_live() {
    let (day, over) = (86_400, window(Aggregate::Sum));
    for (shape, value, live, old) in [
        (GAUGE, 60, day, Some(day + 1)),
        (GAUGE, 10, day, None),
        (stale(30), 60, 30, Some(31)),
        (stale(30), 10, 31, None),
        (over.clone(), 60, 60, Some(61)),
        (over, 10, 60, None),
        (absence(10), 60, 100_000, None),
    ] {
        let mut series = series(&shape);
        assert_eq!(series.is_live(&shape, second(0)), matches!(shape, Shape::Absence { .. }));
        series.observe(&shape, NONE, &Low, &seen(value, 1), second(1));
        assert!(series.is_live(&shape, second(live)), "{shape:?} {value}");
        assert!(!old.is_some_and(|old| series.is_live(&shape, second(old))), "{shape:?} {value}");
    }
}

#[test]
fn data_of_another_shape_begins_anew() {
    let mut series = series(&GAUGE);
    series.observe(&GAUGE, NONE, &Low, &seen(10, 1), second(1));
    let shape = absence(100);
    assert!(series.deadline(&shape, NONE).is_none());
    assert_eq!(series.tick(&shape, NONE, &Low, true, second(50)), Cleared);
    assert_eq!(series.deadline(&shape, NONE), Some(second(110)));
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(GAUGE),
        Just(stale(40)),
        Just(window(Aggregate::Sum)),
        Just(window(Aggregate::Min)),
        Just(window(Aggregate::Distinct)),
        Just(window(Aggregate::Last)),
        Just(absence(90)),
    ]
}

fn doing() -> impl Strategy<Value = Do> {
    prop_oneof![
        3 => (0..100_i64).prop_map(See),
        1 => (0..100_i64, 0..1_000_i64).prop_map(|(value, at)| Old(value, at)),
        3 => Just(Tick),
        1 => Just(Rest),
        1 => Just(Skip),
    ]
}

proptest! {
    #[test]
    fn a_restart_after_any_step_changes_nothing(
        shape in shapes(),
        (wait, keep) in (0..3_u64, 0..3_u64),
        steps in prop::collection::vec((-5..40_i64, doing()), 1..60),
    ) {
        let hold = hold(wait * 15, keep * 15);
        let (mut series, mut now) = (series(&shape), 0);
        let (mut kept, mut firing) = (series.clone(), false);
        for (passed, step) in steps {
            now += passed;
            let turn = apply(&mut series, &shape, hold, &Low, (now, step));
            prop_assert_eq!(apply(&mut kept, &shape, hold, &Low, (now, step)), turn);
            kept = serde_json::from_str(&serde_json::to_string(&kept).expect("json")).expect("series");
            prop_assert_eq!(&kept, &series);
            // What is told agrees with itself.
            match turn {
                Quiet => {}
                Turn::Fired { since } => {
                    prop_assert!(!firing && since <= second(now.max(0) + 5));
                    firing = true;
                }
                Refreshed => prop_assert!(firing),
                Cleared | NoData => {
                    prop_assert!(firing);
                    firing = false;
                }
            }
            let fires = matches!(series.phase, Phase::Firing | Phase::Keeping(_));
            prop_assert_eq!(fires, firing);
        }
    }

    #[test]
    fn ticks_at_deadlines_come_to_rest(
        shape in shapes(),
        (wait, keep) in (0..3_u64, 0..3_u64),
        steps in prop::collection::vec((0..40_i64, doing()), 1..30),
    ) {
        let hold = hold(wait * 15, keep * 15);
        let (mut series, mut now) = (series(&shape), 0);
        for (passed, step) in steps {
            now += passed;
            apply(&mut series, &shape, hold, &Low, (now, step));
        }
        let mut time = second(now);
        for _ in 0..100 {
            let Some(due) = series.deadline(&shape, hold) else { return Ok(()) };
            time = time.max(due);
            series.tick(&shape, hold, &Low, true, time);
            // Each tick moves the deadline on: nothing is due twice.
            prop_assert!(series.deadline(&shape, hold).is_none_or(|next| next > time));
        }
        prop_assert!(false, "{:?} is never at rest", series);
    }
}
