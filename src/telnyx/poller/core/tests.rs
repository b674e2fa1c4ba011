use super::super::super::error::ErrorItem;
use super::*;
use crate::secret::Secret;

fn settings() -> ApiSettings {
    ApiSettings {
        proxy: None,
        account: "main".to_owned(),
        currency: Some("USD".to_owned()),
        key: Secret::inline("key"),
        url: "https://api.telnyx.com/v2".to_owned(),
        poll_interval: Duration::from_mins(1),
        backfill: None,
        public_url: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_771_286_400 + seconds).expect("time")
}

fn decimal(text: &str) -> Decimal {
    text.parse().expect("decimal")
}

fn balance(amount: &str) -> Amounts {
    Amounts {
        balance: Some(decimal(amount)),
        available_credit: Some(decimal(amount)),
        credit_limit: None,
        pending: None,
        currency: None,
    }
}

fn refused(status: u16) -> ApiError {
    let item = ErrorItem { code: "10009".to_owned(), title: "Authentication failed".to_owned() };
    ApiError::Refused { endpoint: "balance", status, items: vec![item], after: None }
}

/// Reads a balance, and goes on from there.
fn take(place: &mut Checkpoint, window: &mut Window, amount: &str, seconds: i64) -> Vec<Event> {
    let (_, events, next) = read(&settings(), place, window, balance(amount), at(seconds));
    *place = next;
    events
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

#[test]
fn a_reading_tells_amounts_as_text_and_what_is_not_known_as_null() {
    let place = Checkpoint {
        recharge: Some(Recharge {
            at: at(0),
            answer: Some(AutoRecharge {
                enabled: false,
                threshold_amount: Some("104.00".to_owned()),
                recharge_amount: None,
            }),
        }),
        ..Checkpoint::default()
    };
    let given = Amounts { credit_limit: Some(decimal("50.00")), ..balance("-1.10") };
    let (reading, events, next) = read(&settings(), &place, &mut Window::default(), given, at(60));
    let [event] = events.as_slice() else { panic!("{events:#?}") };
    assert_eq!((event.kind.as_str(), event.source), ("account.balance", Source::Poller));
    assert_eq!((event.account.as_str(), event.currency.as_deref()), ("main", Some("USD")));
    assert_eq!((event.occurred_at, event.received_at), (Some(at(60)), at(60)));
    assert_eq!(
        event.payload,
        json!({
            "balance": "-1.10", "available_credit": "-1.10", "credit_limit": "50.00", "pending": null,
            "currency": "USD", "burn_per_hour": null, "hours_left": null, "readings": 1,
            "auto_recharge": {"enabled": false, "threshold_amount": "104.00", "recharge_amount": null},
        })
    );
    assert_eq!(reading.currency.as_deref(), Some("USD"));
    // The place survives as it is.
    let kept = feed(&settings(), events, Some(reading), &next).checkpoint.expect("a checkpoint");
    assert_eq!((kept.account.as_str(), kept.source), ("main", "balance"));
    let back: Checkpoint = serde_json::from_slice(&kept.value).expect("json");
    assert_eq!(back, next);
    // A place that an older version kept is one, too.
    assert_eq!(serde_json::from_slice::<Checkpoint>(b"{}").expect("json"), Checkpoint::default());
}

#[test]
fn the_same_reading_has_the_same_id_and_the_next_another() {
    let ids = |seconds| {
        let (mut place, mut window) = (Checkpoint::default(), Window::default());
        take(&mut place, &mut window, "10.00", 0);
        let events = take(&mut place, &mut window, "20.00", seconds);
        events.into_iter().map(|event| event.id).collect::<Vec<String>>()
    };
    assert_eq!(ids(60), ids(60));
    // The payment is known by the reading before it.
    let ([balance, payment], [other, same]) = (
        <[String; 2]>::try_from(ids(60)).expect("two"),
        <[String; 2]>::try_from(ids(61)).expect("two"),
    );
    assert_ne!(balance, other);
    assert_eq!(payment, same);
}

#[test]
fn failures_are_told_from_the_third_on_and_their_end_once() {
    let (mut place, mut window) = (Checkpoint::default(), Window::default());
    take(&mut place, &mut window, "10.00", 0);
    let mut told = Vec::new();
    for n in 1..=4 {
        let (event, next) = failed(&settings(), &place, &refused(401), at(60 * n));
        place = next;
        told.push(event);
    }
    let [None, None, Some(third), Some(fourth)] =
        <[Option<Event>; 4]>::try_from(told).expect("four")
    else {
        panic!("told from the third on")
    };
    assert_eq!((third.kind.as_str(), third.source), ("account.unreachable", Source::Poller));
    assert_eq!(
        third.payload,
        json!({
            "failures": 3, "since": at(60).to_string(), "reason": "auth", "status": 401,
            "code": "10009", "title": "Authentication failed",
        })
    );
    assert_eq!(fourth.payload["failures"], 4);
    assert_ne!(third.id, fourth.id);

    let events = take(&mut place, &mut window, "9.00", 300);
    assert_eq!(kinds(&events), ["account.reachable", "account.balance"]);
    let since = at(60).to_string();
    assert_eq!(events[0].payload, json!({"failures": 4, "since": since, "seconds": 240}));
    assert_eq!(kinds(&take(&mut place, &mut window, "9.00", 360)), ["account.balance"]);
    // Two failures are no row of three, and their end is not told.
    for n in 1..=2 {
        place = failed(&settings(), &place, &refused(503), at(360 + n)).1;
    }
    assert_eq!(kinds(&take(&mut place, &mut window, "9.00", 400)), ["account.balance"]);
    assert_eq!(place.failures, 0);
}

#[test]
fn a_failure_without_an_answer_has_neither_status_nor_title() {
    let place = Checkpoint { failures: 2, since: Some(at(0)), ..Checkpoint::default() };
    let (event, _) =
        failed(&settings(), &place, &ApiError::Timeout { endpoint: "balance" }, at(60));
    let payload = event.expect("an event").payload;
    assert_eq!(payload["reason"], "timeout");
    assert_eq!([&payload["status"], &payload["code"], &payload["title"]], [&Value::Null; 3]);
}

#[test]
fn a_rise_of_one_or_more_in_the_same_currency_is_a_payment() {
    for (before, after, amount) in [
        ("10.00", "11.00", Some("1.00")),
        ("10.00", "10.99", None),
        ("10.0000", "10.0003", None),
        ("-5.5", "44.50", Some("50.00")),
        ("10.00", "9.00", None),
    ] {
        let (mut place, mut window) = (Checkpoint::default(), Window::default());
        assert_eq!(kinds(&take(&mut place, &mut window, before, 0)), ["account.balance"]);
        let events = take(&mut place, &mut window, after, 60);
        let payment = events.iter().find(|event| event.kind == "account.topped_up");
        assert_eq!(payment.map(|it| it.payload["amount"].as_str().expect("text")), amount);
        if let Some(payment) = payment {
            assert_eq!(
                payment.payload,
                json!({
                    "amount": amount, "balance_before": before, "balance": after,
                    "available_credit": after, "currency": "USD",
                })
            );
            assert_eq!(payment.currency.as_deref(), Some("USD"));
        }
    }
    let (mut place, mut window) = (Checkpoint::default(), Window::default());
    take(&mut place, &mut window, "10.00", 0);
    // A credit limit that is raised is no payment, and an unknown balance hides none.
    let raised = Amounts { available_credit: Some(decimal("500.00")), ..balance("10.00") };
    let unknown = Amounts { balance: None, ..raised.clone() };
    for (n, given) in [raised, unknown].into_iter().enumerate() {
        let seconds = 60 + i64::try_from(n).expect("small");
        let (_, events, next) = read(&settings(), &place, &mut window, given, at(seconds));
        assert_eq!(kinds(&events), ["account.balance"]);
        place = next;
    }
    // Nor is another currency.
    let other = Amounts { currency: Some("EUR".to_owned()), ..balance("900.00") };
    let (reading, events, _) = read(&settings(), &place, &mut window, other, at(100));
    assert_eq!(kinds(&events), ["account.balance"]);
    assert_eq!(reading.currency.as_deref(), Some("EUR"));
    let events = take(&mut place, &mut window, "30.00", 120);
    assert_eq!(kinds(&events), ["account.balance", "account.topped_up"]);
}

#[test]
fn waits_stay_at_the_interval_and_double_from_the_fourth_failure_on() {
    let seconds = |interval: u64, failures: u32, random: f64| {
        let wait = wait(Duration::from_secs(interval), failures, None, random);
        (wait + Duration::from_millis(1)).as_secs()
    };
    let waits: Vec<u64> = (0..=9).map(|failures| seconds(60, failures, 0.5)).collect();
    assert_eq!(waits, [60, 60, 60, 60, 120, 240, 480, 600, 600, 600]);
    assert_eq!(seconds(60, u32::MAX, 0.5), 600);
    assert_eq!((seconds(60, 0, 0.0), seconds(60, 0, 1.0)), (54, 66));
    // An interval beyond the bound is kept.
    assert_eq!((seconds(86_400, 0, 0.5), seconds(86_400, 9, 0.5)), (86_400, 86_400));
}

#[test]
fn what_telnyx_asks_for_is_waited_within_a_bound_that_leaves_a_failure_to_be_noticed() {
    let waited = |interval: u64, failures: u32, asked: u64| {
        let asked = Some(Duration::from_secs(asked));
        wait(Duration::from_secs(interval), failures, asked, 0.5).as_secs()
    };
    // Until three failures were told: a minute at most.
    for failures in 1..3 {
        let waits = [10, 30, 300, 3_600, 86_400].map(|asked| waited(20, failures, asked));
        assert_eq!(waits, [20, 30, 60, 60, 60], "{failures}");
    }
    // From then on ten minutes.
    assert_eq!([10, 300, 3_600].map(|asked| waited(60, 3, asked)), [60, 300, 600]);
    assert_eq!(waited(60, 9, 3_600), 600);
    // An interval beyond the bounds is kept, and not shortened.
    assert_eq!((waited(7_200, 1, 86_400), waited(7_200, 5, 86_400)), (7_200, 7_200));
    let after = Some(Duration::from_secs(7));
    let limited = ApiError::Refused { endpoint: "balance", status: 429, items: Vec::new(), after };
    assert_eq!((asked(&limited), asked(&ApiError::Timeout { endpoint: "balance" })), (after, None));
}

#[test]
fn automatic_recharge_is_asked_for_daily_and_hourly_after_a_failure() {
    let answer = AutoRecharge { enabled: true, threshold_amount: None, recharge_amount: None };
    let heard = |seconds, answer| Recharge { at: at(seconds), answer };
    let due = |heard: Option<Recharge>| recharge_due(heard.as_ref(), at(100));
    assert_eq!(due(None), at(100));
    assert_eq!(due(Some(heard(10, Some(answer.clone())))), at(10 + 86_400));
    assert_eq!(due(Some(heard(10, None))), at(10 + 3_600));
    // Heard by a clock that was ahead.
    assert_eq!(due(Some(heard(500, Some(answer)))), at(100));
}

#[test]
fn readings_of_a_clock_that_was_ahead_are_not_taken_up_again() {
    let (mut place, mut window) = (Checkpoint::default(), Window::default());
    take(&mut place, &mut window, "10.00", 7_200);
    take(&mut place, &mut window, "9.00", 7_260);
    assert_eq!(place.readings_from, None);
    take(&mut place, &mut window, "8.00", 0);
    assert_eq!(place.readings_from, Some(at(7_260)));
    take(&mut place, &mut window, "7.00", 60);
    assert_eq!(place.readings_from, Some(at(7_260)));
}
