//! What of a product is asked for, and in which pieces of time. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::clock;

/// Longest time of one request. Source: Telnyx's page on usage reports.
const PIECE_MAX: Duration = Duration::from_hours(31 * 24);
/// How long ago a report may begin: 24 pieces.
pub(super) const SINCE_MAX: Duration = Duration::from_hours(24 * 31 * 24);
/// Metrics that are asked for when the product has no cost and none was named.
const METRICS_BY_DEFAULT: usize = 8;
const DAY_SECONDS: i64 = 86_400;

/// What a product can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Possible {
    /// Its name, such as `messaging`.
    pub(super) product: String,
    /// What can be measured.
    pub(super) metrics: Vec<String>,
    /// By what it can be broken out.
    pub(super) dimensions: Vec<String>,
}

/// What somebody asks for; nothing where they leave it to us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) metrics: &'a [String],
    pub(super) dimensions: &'a [String],
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Columns {
    /// At least one.
    pub(super) dimensions: Vec<String>,
    /// At least one.
    pub(super) metrics: Vec<String>,
    /// There are costs, and Telnyx will not say in what currency.
    #[serde(skip)]
    pub(super) without_currency: bool,
}

impl Columns {
    /// All of them, in the order in which they are shown.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.dimensions.iter().chain(&self.metrics)
    }
}

impl Possible {
    /// Reads `data` of `/usage_reports/options`: a list, or one product alone. What has no name is left out.
    pub(super) fn read_all(answer: &Value) -> Vec<Self> {
        match answer.get("data") {
            Some(Value::Array(items)) => items.iter().filter_map(Self::read).collect(),
            Some(one) => Self::read(one).into_iter().collect(),
            None => Vec::new(),
        }
    }

    fn read(item: &Value) -> Option<Self> {
        let names = |key: &str| -> Vec<String> {
            let names = item.get(key).and_then(Value::as_array).into_iter().flatten();
            names.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Some(Self {
            product: item.get("product")?.as_str()?.to_owned(),
            metrics: names("product_metrics"),
            dimensions: names("product_dimensions"),
        })
    }

    /// What is asked for. Costs come with their currency wherever Telnyx tells it. The error ends a sentence that begins
    /// with the product.
    pub(super) fn choose(&self, wanted: &Wanted<'_>) -> Result<Columns, String> {
        let metrics = known("metric", wanted.metrics, &self.metrics)?;
        let mut dimensions = known("dimension", wanted.dimensions, &self.dimensions)?;
        let has = |names: &[String], name: &str| names.iter().any(|it| it == name);
        let metrics = match metrics {
            given if !given.is_empty() => given,
            _ if has(&self.metrics, "cost") => vec!["cost".to_owned()],
            _ => self.metrics.iter().take(METRICS_BY_DEFAULT).cloned().collect(),
        };
        if metrics.is_empty() {
            return Err("has no metrics".to_owned());
        }
        if dimensions.is_empty() {
            let by_time = ["date", "date_time"].into_iter().find(|it| has(&self.dimensions, it));
            let first = by_time.or(self.dimensions.first().map(String::as_str));
            dimensions.extend(first.map(str::to_owned));
        }
        let costs = metrics.iter().any(|name| name.contains("cost"));
        let told = has(&self.dimensions, "currency");
        if costs && told && !has(&dimensions, "currency") {
            dimensions.push("currency".to_owned());
        }
        if dimensions.is_empty() {
            return Err("has no dimensions".to_owned());
        }
        Ok(Columns { dimensions, metrics, without_currency: costs && !told })
    }
}

/// The names without blanks and repetitions, when all of them are possible.
fn known(what: &str, names: &[String], possible: &[String]) -> Result<Vec<String>, String> {
    let mut found: Vec<String> = Vec::new();
    for name in names.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        if !possible.iter().any(|it| it == name) {
            return Err(format!("has no {what} {name}: there is {}", possible.join(", ")));
        }
        if !found.iter().any(|it| it == name) {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

/// From the beginning of the day, in UTC, that was `since` ago, until now, in pieces that Telnyx answers. Telnyx's days
/// are those of UTC, so no day is in two pieces.
pub(super) fn pieces(now: Timestamp, since: Duration) -> Vec<(Timestamp, Timestamp)> {
    let began = clock::sub(now, since.min(SINCE_MAX)).as_second();
    let midnight = began - began.rem_euclid(DAY_SECONDS);
    let mut from = Timestamp::from_second(midnight).unwrap_or(now);
    let mut pieces = Vec::new();
    while from < now {
        let to = clock::add(from, PIECE_MAX).min(now);
        pieces.push((from, to));
        from = to;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn chosen(metrics: &str, dimensions: &str, wanted: (&str, &str)) -> Result<String, String> {
        let product = "p".to_owned();
        let possible = Possible { product, metrics: names(metrics), dimensions: names(dimensions) };
        let (metrics, dimensions) = (names(wanted.0), names(wanted.1));
        let columns = possible.choose(&Wanted { metrics: &metrics, dimensions: &dimensions })?;
        let Columns { dimensions, metrics, without_currency } = columns;
        let unsure = if without_currency { " ?" } else { "" };
        Ok(format!("{} / {}{unsure}", dimensions.join(" "), metrics.join(" ")))
    }

    #[test]
    fn the_cost_of_each_day_is_asked_for_with_its_currency() {
        for (metrics, dimensions, wanted, expected) in [
            ("count cost", "tags date currency", ("", ""), "date currency / cost"),
            ("cost", "date_time currency", ("", ""), "date_time currency / cost"),
            ("cost", "tags mcc", ("", ""), "tags / cost ?"),
            ("cost", "currency", ("", ""), "currency / cost"),
            ("count parts", "date currency", ("", ""), "date / count parts"),
            ("cost count", "date currency mcc", ("count", ""), "date / count"),
            ("cost count", "date currency mcc", ("", "mcc"), "mcc currency / cost"),
            (
                "cost count",
                "date currency",
                ("count cost count", "currency date"),
                "currency date / count cost",
            ),
            ("carrier_cost", "date currency", ("", ""), "date currency / carrier_cost"),
        ] {
            let chosen = chosen(metrics, dimensions, wanted);
            assert_eq!(chosen.as_deref(), Ok(expected), "{metrics} {dimensions} {wanted:?}");
        }
        for (metrics, dimensions, wanted, expected) in [
            ("cost", "date", ("costs", ""), "has no metric costs: there is cost"),
            ("cost", "date mcc", ("", "day"), "has no dimension day: there is date, mcc"),
            ("", "date", ("", ""), "has no metrics"),
            ("count", "", ("", ""), "has no dimensions"),
        ] {
            let chosen = chosen(metrics, dimensions, wanted);
            assert_eq!(chosen.as_ref().map_err(String::as_str), Err(expected));
        }
    }

    #[test]
    fn options_are_read_from_a_list_or_one_object_and_what_is_odd_is_left_out() {
        let one = json!({
            "product": "cps", "product_metrics": ["count", null, 1], "product_dimensions": null,
            "record_types": null,
        });
        let cps =
            Possible { product: "cps".to_owned(), metrics: names("count"), dimensions: vec![] };
        let list = json!({"data": [one, {}, null, {"product": 1}]});
        assert_eq!(Possible::read_all(&list), std::slice::from_ref(&cps));
        assert_eq!(Possible::read_all(&json!({"data": one})), [cps]);
        for answer in [json!({}), json!(null), json!({"data": null}), json!({"data": []})] {
            assert_eq!(Possible::read_all(&answer), [], "{answer}");
        }
    }

    #[test]
    fn time_is_cut_into_pieces_of_31_days_at_midnight() {
        let now: Timestamp = "2026-03-10T13:20:30.5Z".parse().expect("time");
        let cut = |days: u64| -> Vec<String> {
            let pieces = pieces(now, Duration::from_hours(days * 24));
            pieces.iter().map(|(from, to)| format!("{from:.0} {to:.0}")).collect()
        };
        assert_eq!(cut(7), ["2026-03-03T00:00:00Z 2026-03-10T13:20:30Z"]);
        assert_eq!(cut(30), ["2026-02-08T00:00:00Z 2026-03-10T13:20:30Z"]);
        assert_eq!(
            cut(31),
            [
                "2026-02-07T00:00:00Z 2026-03-10T00:00:00Z",
                "2026-03-10T00:00:00Z 2026-03-10T13:20:30Z",
            ]
        );
        let longest = pieces(now, SINCE_MAX);
        assert!(longest.len() == 25 && longest.iter().all(|(from, to)| from < to));
        assert!(longest.iter().all(|(from, to)| clock::until(*from, *to) <= PIECE_MAX));
        assert!(longest.windows(2).all(|two| two[0].1 == two[1].0));
        let midnight: Timestamp = "2026-03-10T00:00:00Z".parse().expect("time");
        assert_eq!(pieces(midnight, Duration::from_hours(24)).len(), 1);
    }
}
