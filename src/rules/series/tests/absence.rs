//! Absences, and time that does not count.

use super::*;

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
