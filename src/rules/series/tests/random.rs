//! What is live, and random series.

use super::*;

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
