//! What is known of a call: cost events name no phone number, so it is collected from the events before and after them.
//!
//! Pure. What two events say is joined in a way that does not depend on the order in which they come.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use jiff::Timestamp;
use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::judge::happened_at;
use crate::event::{self, Event};

/// Names of one call at most.
const NAMES_MAX: usize = 2;
/// Longest number or address that is kept, in characters; more is cut.
const ADDRESS_CHARS_MAX: usize = 255;
/// Digits of an international number, by E.164 and with some tolerance at its foot.
const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Kinds whose `from`, `to` and times are those of the call; other events of a call may mean others by these names.
const TELL_OF_CALLS: &[&str] =
    &["call.initiated", "call.answered", "call.bridged", "call.hangup", "texml.status"];
/// `CallStatus` of TeXML calls that are over.
const TEXML_ENDS: &[&str] = &["completed", "busy", "failed", "no-answer", "canceled", "cancelled"];

/// Digits behind a shared calling code that may tell which of its countries a number is in. Each costs ten look-ups.
const AREA_DIGITS_MAX: usize = 5;

/// Identity of a call leg within an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallKey {
    /// The account.
    pub account: String,
    /// `call_leg_id`; `call_control_id` where the event has no other, which is TeXML's `CallSid`.
    pub leg: String,
}

/// What is known of a call leg from its events; all optional, since they come in any order or not at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CallContext {
    /// Calling number or address.
    pub from: Option<String>,
    /// Called number or address.
    pub to: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// Connection.
    pub connection_id: Option<String>,
    /// ISO 3166 code of the far end, where its number tells.
    pub country: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// The call leg that an event speaks of, whether it tells about the call or costs it.
pub fn call_key(event: &Event) -> Option<CallKey> {
    call_keys(event).into_iter().next()
}

/// All names of the call leg that an event speaks of, at most two, the one to keep it under first.
///
/// A cost has `call_leg_id` and `call_control_id`; what TeXML callbacks told of the same call is kept under the latter.
pub fn call_keys(event: &Event) -> Vec<CallKey> {
    // What is told of a call after its end has the product of those who listened, not the call's.
    if event::product(&event.kind) != "voice" && event.kind != "call.analyzed" {
        return Vec::new();
    }
    let mut keys: Vec<CallKey> = Vec::new();
    for name in ["call_leg_id", "call_control_id", "CallSid"] {
        let key = id(&event.payload, name)
            .map(|leg| CallKey { account: event.account.clone(), leg: leg.to_owned() });
        keys.extend(key.filter(|key| !keys.contains(key)));
    }
    // No real event has three: each one is looked up for every event.
    keys.truncate(NAMES_MAX);
    keys
}

/// Whether an event may tell of its call what [`CallContext::join`] takes.
pub fn tells_of_call(event: &Event) -> bool {
    TELL_OF_CALLS.contains(&event.kind.as_str())
}

/// An id of a payload.
pub(super) fn id<'a>(payload: &'a Json, name: &str) -> Option<&'a str> {
    Some(payload.get(name)?.as_str()?.trim()).filter(|id| event::is_id(id))
}

/// ISO 3166 code of the far end's number: the called one of an outbound call, the calling one of an inbound.
///
/// Where the direction is unknown, the country that both numbers are in. SIP addresses, short codes, numbers without
/// `+` and those of no country (satellite, freephone of the world) have none.
pub fn far_country(
    direction: Option<&str>,
    from: Option<&str>,
    to: Option<&str>,
) -> Option<String> {
    far_end(direction, from, to).map(|place| place.country)
}

fn far_end(direction: Option<&str>, from: Option<&str>, to: Option<&str>) -> Option<NumberPlace> {
    match direction {
        Some("outbound") => place(to?),
        Some("inbound") => place(from?),
        _ => {
            let (one, other) = (place(from?)?, place(to?)?);
            let is_certain = one.is_certain && other.is_certain;
            (one.country == other.country).then_some(NumberPlace { is_certain, ..one })
        }
    }
}

/// Where a number is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NumberPlace {
    /// ISO 3166 code.
    country: String,
    /// Whether the number is in a range that is given out; else only what is before it says so.
    is_certain: bool,
}

/// Numbers whose place is remembered. One is asked for at each event of a call, and looking it up costs more than all else
/// that is done with the event.
const PLACES_MAX: usize = 4096;

static PLACES: LazyLock<Mutex<HashMap<String, Option<NumberPlace>>>> =
    LazyLock::new(Mutex::default);

fn place(number: &str) -> Option<NumberPlace> {
    let digits = number.strip_prefix('+')?;
    let is_number =
        NUMBER_DIGITS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return None;
    }
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = places.get(number) {
        return known.clone();
    }
    if places.len() >= PLACES_MAX {
        places.clear();
    }
    let found = look_up(number, digits);
    places.insert(number.to_owned(), found.clone());
    found
}

fn look_up(number: &str, digits: &str) -> Option<NumberPlace> {
    let parsed = PHONE_NUMBER_UTIL.parse(number, None).ok()?;
    let of = |region: Region, is_certain| {
        (region != Region::World).then(|| NumberPlace { country: region.to_string(), is_certain })
    };
    if let Some(region) = PHONE_NUMBER_UTIL.get_region_for_number(&parsed) {
        return of(region, PHONE_NUMBER_UTIL.is_valid_number(&parsed));
    }
    // Nobody has this number, and yet it is called: ranges that are given to nobody are what fraud likes.
    let main = PHONE_NUMBER_UTIL.get_region_for_country_code(parsed.country_code)?;
    let code_digits = parsed.country_code.to_string().len();
    let shared = PHONE_NUMBER_UTIL
        .get_regions_for_country_calling_code(parsed.country_code)
        .is_some_and(|regions| regions.count() > 1);
    let nearest = shared.then(|| nearest_region(digits, code_digits, main)).flatten();
    of(nearest.unwrap_or(main), false)
}

/// The country of the numbers that share the longest beginning with one that nobody has; of several the one that the
/// calling code is known by.
fn nearest_region(digits: &str, code_digits: usize, main: Region) -> Option<Region> {
    let longest = digits.len().min(code_digits + AREA_DIGITS_MAX + 1);
    for length in (code_digits + 1..longest).rev() {
        let prefix = digits.get(..length)?;
        let mut found = (b'0'..=b'9').filter_map(|tail| {
            let tail = char::from(tail).to_string().repeat(digits.len() - length);
            let number = PHONE_NUMBER_UTIL.parse(format!("+{prefix}{tail}"), None).ok()?;
            PHONE_NUMBER_UTIL.get_region_for_number(&number)
        });
        if let Some(first) = found.next() {
            return Some(if found.any(|region| region == main) { main } else { first });
        }
    }
    None
}

impl CallContext {
    /// What is known after this event too; `None` when it tells nothing new. See [`Self::merge`] for events that
    /// contradict each other.
    pub fn join(&self, event: &Event) -> Option<Self> {
        let joined = self.merge(&Self::reported_by(event)?);
        (joined != *self).then_some(joined)
    }

    /// What both know together, whichever came first.
    ///
    /// Each fills the other's gaps. Where they contradict each other, the call began at the earlier time and ended at the
    /// later, an international number wins over any other address, and else the text that sorts first: arbitrary, but
    /// the same in every order.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let mut both = Self {
            from: either(self.from.as_ref(), other.from.as_ref()),
            to: either(self.to.as_ref(), other.to.as_ref()),
            direction: either(self.direction.as_ref(), other.direction.as_ref()),
            connection_id: either(self.connection_id.as_ref(), other.connection_id.as_ref()),
            country: None,
            started_at: self.started_at.into_iter().chain(other.started_at).min(),
            ended_at: self.ended_at.max(other.ended_at),
        };
        let parties = |it: &Self| (it.direction.clone(), it.from.clone(), it.to.clone());
        // Looking a number up costs more than all else here.
        both.country = [self, other]
            .into_iter()
            .find(|known| known.country.is_some() && parties(known) == parties(&both))
            .and_then(|known| known.country.clone())
            .or_else(|| {
                far_country(both.direction.as_deref(), both.from.as_deref(), both.to.as_deref())
            });
        both
    }

    /// Whether the far end's number is one that somebody can have, so that its country is certain; `None` where there is
    /// no country.
    pub fn country_certain(&self) -> Option<bool> {
        self.country.as_ref()?;
        let (from, to) = (self.from.as_deref(), self.to.as_deref());
        far_end(self.direction.as_deref(), from, to).map(|place| place.is_certain)
    }

    /// What an event tells of its call by itself; `None` when it tells nothing.
    fn reported_by(event: &Event) -> Option<Self> {
        if !tells_of_call(event) || call_key(event).is_none() {
            return None;
        }
        let payload = &event.payload;
        let time = |name: &str| payload.get(name).and_then(event::time_of);
        let told = if event.kind == "texml.status" {
            let status = payload.get("CallStatus").and_then(Json::as_str);
            let is_over = status.is_some_and(|status| TEXML_ENDS.contains(&status));
            Self {
                from: address(payload.get("From")),
                to: address(payload.get("To")),
                direction: direction(payload.get("Direction")),
                connection_id: id(payload, "ConnectionId").map(str::to_owned),
                country: None,
                started_at: time("CallInitiatedAt").or_else(|| time("StartTime")),
                ended_at: time("EndTime").or_else(|| is_over.then(|| happened_at(event))),
            }
        } else {
            let (is_start, is_end) = (event.kind == "call.initiated", event.kind == "call.hangup");
            Self {
                from: address(payload.get("from")),
                to: address(payload.get("to")),
                direction: direction(payload.get("direction")),
                connection_id: connection(payload),
                country: None,
                started_at: time("start_time").or_else(|| is_start.then(|| happened_at(event))),
                ended_at: is_end.then(|| time("end_time").unwrap_or_else(|| happened_at(event))),
            }
        };
        Some(Self::default().merge(&told))
    }

    /// The numbers of a message, which it names itself. Of several recipients the first stands for all: the message has
    /// one cost.
    pub(super) fn of_message(event: &Event) -> Self {
        let payload = &event.payload;
        let told = Self {
            from: address(payload.get("from")),
            to: address(payload.get("to")),
            direction: direction(payload.get("direction")),
            ..Self::default()
        };
        Self::default().merge(&told)
    }

    /// What a cost event tells of its call.
    pub(super) fn of_cost(event: &Event) -> Self {
        Self { connection_id: connection(&event.payload), ..Self::default() }
    }
}

fn connection(payload: &Json) -> Option<String> {
    id(payload, "connection_id").map(str::to_owned)
}

/// The one there is; of two, an international number before other addresses, then by the letters.
fn either(one: Option<&String>, other: Option<&String>) -> Option<String> {
    fn rank(text: &str) -> (bool, &str) {
        (!text.starts_with('+'), text)
    }
    one.into_iter().chain(other).min_by(|a, b| rank(a).cmp(&rank(b))).cloned()
}

/// A party: text, or an object that names its number or RCS agent, or a list of such.
fn address(party: Option<&Json>) -> Option<String> {
    let party = match party? {
        Json::Array(parties) => parties.first()?,
        party => party,
    };
    let text = match party {
        Json::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Json::as_str);
            text("phone_number").or_else(|| text("agent_id")).or_else(|| text("address"))?
        }
        party => party.as_str()?,
    };
    let text: String =
        text.trim().chars().filter(|letter| !letter.is_control()).take(ADDRESS_CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}

/// `incoming`, `inbound`, `outgoing`, `outbound-api` and the like, in two words.
fn direction(value: Option<&Json>) -> Option<String> {
    let word = value?.as_str()?.trim().to_ascii_lowercase();
    let known = match () {
        () if word.starts_with("in") => "inbound",
        () if word.starts_with("out") => "outbound",
        () => return None,
    };
    Some(known.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn event(kind: &str, payload: Json) -> Event {
        let now: Timestamp = "2026-08-21T10:00:00Z".parse().expect("time");
        Event::tollbell(kind, "main", "e-1".to_owned(), now, payload)
    }

    fn context(events: &[Event]) -> CallContext {
        events
            .iter()
            .fold(CallContext::default(), |known, event| known.join(event).unwrap_or(known))
    }

    #[test]
    fn the_leg_is_found_under_all_its_names() {
        for (kind, payload, expected) in [
            (
                "call.cost",
                json!({"call_leg_id": "leg", "call_control_id": "v3:c"}),
                vec!["leg", "v3:c"],
            ),
            ("call.cost", json!({"call_leg_id": "c", "call_control_id": "c"}), vec!["c"]),
            (
                "call.cost",
                json!({"call_leg_id": "a", "call_control_id": "b", "CallSid": "c"}),
                vec!["a", "b"],
            ),
            ("call.cost", json!({"call_leg_id": null, "call_control_id": "v3:c"}), vec!["v3:c"]),
            ("call.cost", json!({"call_leg_id": " ", "call_session_id": "s"}), vec![]),
            ("call.hangup", json!({"call_leg_id": 7}), vec![]),
            ("call.hangup", json!({"call_leg_id": "x".repeat(256)}), vec![]),
            ("call.hangup", json!({"call_leg_id": "a\u{0}b"}), vec![]),
            ("call.machine.detection.ended", json!({"call_leg_id": "leg"}), vec!["leg"]),
            ("texml.status", json!({"CallSid": "v3:c", "CallSidLegacy": "v3:c"}), vec!["v3:c"]),
            ("texml.message", json!({"CallSid": "v3:c"}), vec![]),
            ("call.analyzed", json!({"call_leg_id": "leg"}), vec!["leg"]),
            ("message.finalized", json!({"call_leg_id": "leg"}), vec![]),
        ] {
            let keys = call_keys(&event(kind, payload.clone()));
            let legs: Vec<&str> = keys.iter().map(|key| key.leg.as_str()).collect();
            assert_eq!(legs, expected, "{kind} {payload}");
            assert!(keys.iter().all(|key| key.account == "main"));
            assert_eq!(call_key(&event(kind, payload)).as_ref(), keys.first());
        }
    }

    #[test]
    fn numbers_tell_their_country() {
        for (number, expected) in [
            ("+12025550131", Some("US")),
            ("+14165550131", Some("CA")),
            ("+18765551234", Some("JM")),
            ("+18095551234", Some("DO")),
            ("+17875551234", Some("PR")),
            ("+442079460000", Some("GB")),
            ("+441534123456", Some("JE")),
            ("+74951234567", Some("RU")),
            ("+77011234567", Some("KZ")),
            ("+35319605860", Some("IE")),
            ("+37126123456", Some("LV")),
            ("+5363123456", Some("CU")),
            // Satellite phones are of no country.
            ("+88216123456", None),
            ("+999123456", None),
            ("12025550131", None),
            ("0012025550131", None),
            ("12345", None),
            ("+", None),
            ("", None),
            ("anonymous", None),
            ("+1202 555 0131", None),
            ("sip:+12025550131@sip.telnyx.com", None),
            ("+1202555013100000000", None),
        ] {
            let place = place(number);
            assert_eq!(place.as_ref().map(|it| it.country.as_str()), expected, "{number}");
            assert!(place.is_none_or(|place| place.is_certain), "{number}");
        }
    }

    #[test]
    fn numbers_that_nobody_has_are_where_their_beginning_is() {
        for (number, expected) in [
            // The range of made-up numbers, which Jersey has parts of the neighbourhood of.
            ("+447700900001", "GB"),
            ("+371100000000", "LV"),
            ("+14161550131", "CA"),
            ("+18760000000", "JM"),
            ("+70000000000", "RU"),
            ("+15550100001", "US"),
            ("+4400000000000", "GB"),
        ] {
            let found = place(number).expect(number);
            assert_eq!((found.country.as_str(), found.is_certain), (expected, false), "{number}");
        }
    }

    #[test]
    fn the_far_end_depends_on_the_direction() {
        let (us, lv, ca) = (Some("+12025550131"), Some("+37126123456"), Some("+14165550131"));
        for (direction, from, to, expected) in [
            (Some("outbound"), us, lv, Some("LV")),
            (Some("inbound"), us, lv, Some("US")),
            (Some("outbound"), us, None, None),
            (Some("inbound"), Some("sip:a@b"), us, None),
            (None, us, lv, None),
            (None, us, ca, None),
            (None, us, Some("+12125550131"), Some("US")),
            (None, us, None, None),
        ] {
            let far = far_country(direction, from, to);
            assert_eq!(far.as_deref(), expected, "{direction:?} {from:?} {to:?}");
        }
    }

    #[test]
    fn v2_tells_of_a_call_from_start_to_end() {
        let started = event(
            "call.initiated",
            json!({"call_leg_id": "l", "from": "+12025550131", "to": "+37126123456", "direction": "outgoing",
                "connection_id": "c-1", "state": "bridging"}),
        );
        let known = CallContext::default().join(&started).expect("new");
        assert_eq!(known.direction.as_deref(), Some("outbound"));
        assert_eq!(known.country.as_deref(), Some("LV"));
        assert_eq!(known.started_at, started.occurred_at);
        assert_eq!(known.ended_at, None);
        assert_eq!(known.join(&started), None, "the same again tells nothing new");
        let ended = event(
            "call.hangup",
            json!({"call_leg_id": "l", "from": "+12025550131", "to": "+37126123456", "connection_id": "c-1",
                "start_time": "2026-08-21T09:59:00Z", "end_time": "2026-08-21T10:03:00Z"}),
        );
        let known = known.join(&ended).expect("it ended");
        assert_eq!(known.started_at, Some("2026-08-21T09:59:00Z".parse().expect("time")));
        assert_eq!(known.ended_at, Some("2026-08-21T10:03:00Z".parse().expect("time")));
        // Neither costs nor other events of the call tell of it, nor what has no leg.
        for (kind, payload) in [
            ("call.cost", json!({"call_leg_id": "l", "connection_id": "c-9"})),
            ("call.refer.started", json!({"call_leg_id": "l", "to": "sip:elsewhere"})),
            ("call.hangup", json!({"from": "+1"})),
        ] {
            assert_eq!(CallContext::default().join(&event(kind, payload)), None, "{kind}");
        }
    }

    #[test]
    fn texml_tells_in_its_own_words() {
        let callback = |status: &str, sent: Json| {
            let mut payload = json!({"CallSid": "v3:c", "CallStatus": status, "From": "+12025550131",
                "To": "+14165550131", "ConnectionId": "1", "CallInitiatedAt": "2024-01-15T10:30:26.028Z"});
            payload
                .as_object_mut()
                .expect("object")
                .extend(sent.as_object().expect("object").clone());
            event("texml.status", payload)
        };
        let ringing = CallContext::default().join(&callback("ringing", json!({}))).expect("new");
        assert_eq!(ringing.ended_at, None);
        assert_eq!(ringing.country, None, "either end may be the far one");
        let ended = callback("no-answer", json!({"Direction": "outbound-api"}));
        let known = ringing.join(&ended).expect("new");
        assert_eq!(known.ended_at, ended.occurred_at);
        assert_eq!(known.country.as_deref(), Some("CA"));
        let ended = callback("completed", json!({"EndTime": "2024-01-15T10:31:00Z"}));
        let known = ringing.join(&ended).expect("new");
        assert_eq!(
            known.ended_at.map(|at| at.to_string()).as_deref(),
            Some("2024-01-15T10:31:00Z")
        );
        assert_eq!(
            known.started_at.map(|at| at.to_string()).as_deref(),
            Some("2024-01-15T10:30:26.028Z")
        );
    }

    #[test]
    fn parties_come_in_many_shapes() {
        for (party, expected) in [
            (json!("+1"), Some("+1")),
            (json!({"phone_number": "+1", "carrier": "x"}), Some("+1")),
            (json!([{"phone_number": "+1"}, {"phone_number": "+2"}]), Some("+1")),
            (json!({"agent_id": "a", "agent_name": "n"}), Some("a")),
            (json!("sip:a@b\r\n"), Some("sip:a@b")),
            (json!([]), None),
            (json!(""), None),
            (json!(7), None),
            (json!(null), None),
        ] {
            assert_eq!(address(Some(&party)).as_deref(), expected, "{party}");
        }
        assert_eq!(
            address(Some(&json!("x".repeat(1000)))).map(|it| it.len()),
            Some(ADDRESS_CHARS_MAX)
        );
    }

    fn telling() -> impl Strategy<Value = Event> {
        let kind = prop::sample::select(TELL_OF_CALLS.to_vec());
        let number = prop::option::of(prop::sample::select(vec![
            "+12025550131",
            "+12125550131",
            "+37126123456",
            "+14165550131",
            "sip:a@b",
            "anonymous",
        ]));
        let direction = prop::option::of(prop::sample::select(vec!["incoming", "outgoing", "?"]));
        (kind, number.clone(), number, direction, prop::option::of(0..3_u8), 0..1000_i64).prop_map(
            |(kind, from, to, direction, connection, second)| {
                let connection = connection.map(|n| format!("c-{n}"));
                let payload = json!({"call_leg_id": "l", "CallSid": "l", "from": from, "From": from, "to": to,
                    "To": to, "direction": direction, "Direction": direction, "connection_id": connection,
                    "ConnectionId": connection, "CallStatus": "completed"});
                let mut event = event(kind, payload);
                event.occurred_at = Timestamp::from_second(1_780_000_000 + second).ok();
                event
            },
        )
    }

    proptest! {
        #[test]
        fn joins_commute(
            (events, shuffled) in prop::collection::vec(telling(), 0..6)
                .prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle()))
        ) {
            let known = context(&events);
            prop_assert_eq!(&known, &context(&shuffled));
            // Nor does it matter in which parts they were learned.
            let (one, other) = events.split_at(events.len() / 2);
            prop_assert_eq!(&known, &context(one).merge(&context(other)));
            prop_assert_eq!(known.merge(&known), known.clone());
            for event in &events {
                prop_assert_eq!(known.join(event), None);
            }
        }

        #[test]
        fn no_text_is_too_odd_for_a_number(text in "\\PC*", digits in "\\+[0-9]{0,20}") {
            for country in [
                far_country(Some("outbound"), None, Some(&text)),
                far_country(Some("inbound"), Some(&digits), None),
            ] {
                prop_assert!(country.is_none_or(|it| it.len() == 2), "ISO 3166 or nothing");
            }
        }
    }
}
