//! Numbers of templates: exact decimals, and the operators between them.
//!
//! An amount, and any number with a fraction, is an object around a decimal number: it compares, adds and prints exactly.
//! Whole numbers stay minijinja's own. A text that is compared with a number is an error, since one of the two is not
//! what was meant; so is arithmetic with a text.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;

use minijinja::value::{DynObject, Kwargs, Object, ObjectRepr, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};
use rust_decimal::Decimal;

/// Highest power that is computed.
const POWER_MAX: u32 = 64;
/// Longest text made by repeating one, in bytes.
const REPEATED_BYTES_MAX: usize = 64 * 1024;

/// A decimal number in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exact(pub(super) Decimal);

impl Object for Exact {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    /// As of every number in Jinja.
    fn is_true(self: &Arc<Self>) -> bool {
        !self.0.is_zero()
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A decimal number as a template sees it.
pub fn decimal(number: Decimal) -> Value {
    Value::from_object(Exact(number))
}

/// The number of a JSON token: a whole one as it is, any other as a decimal; as text where it has too many digits.
pub(super) fn of_token(text: &str) -> Value {
    if let Ok(whole) = text.parse::<i128>() {
        return Value::from(whole);
    }
    exact_of(text).map_or_else(|| Value::from(text), decimal)
}

pub(super) fn exact_of(text: &str) -> Option<Decimal> {
    match text.split_once(['e', 'E']) {
        None => Decimal::from_str_exact(text).ok(),
        // What the digits before it need is asked first, since this would round them.
        Some((digits, _)) => {
            Decimal::from_str_exact(digits).ok()?;
            Decimal::from_scientific(text).ok()
        }
    }
}

/// The decimal behind a value; `None` for what is no number.
pub(super) fn number(value: &Value) -> Option<Decimal> {
    if let Some(exact) = value.downcast_object_ref::<Exact>() {
        return Some(exact.0);
    }
    if value.kind() != ValueKind::Number {
        return None;
    }
    match i128::try_from(value.clone()) {
        Ok(whole) if value.is_integer() => Decimal::try_from_i128_with_scale(whole, 0).ok(),
        // The shortest text that means the same float.
        _ => Decimal::from_str(&f64::try_from(value.clone()).ok()?.to_string()).ok(),
    }
}

pub(super) fn is_exact(value: &Value) -> bool {
    value.downcast_object_ref::<Exact>().is_some()
}

pub(super) fn is_number(value: &Value) -> bool {
    is_exact(value) || value.kind() == ValueKind::Number
}

pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Whether both are there: nothing is known of what is not.
fn defined(state: &State<'_, '_>, values: [&Value; 2]) -> Result<(), Error> {
    let Some(value) = values.into_iter().find(|value| value.is_undefined()) else {
        return Ok(());
    };
    // Its own filters know the name of what is missing.
    filters::float(state, value, None, Kwargs::from_iter::<[(String, Value); 0]>([]))?;
    Err(Error::from(ErrorKind::UndefinedError))
}

/// A number on one side and a text on the other.
fn refuse_text(a: &Value, b: &Value) -> Result<(), Error> {
    let is_text = |value: &Value| value.kind() == ValueKind::String;
    if is_number(a) && is_text(b) || is_text(a) && is_number(b) {
        return Err(wrong(
            "a text is compared with a number: write `| float` behind the text, or quotes around the number",
        ));
    }
    Ok(())
}

/// The order of two values; null has none.
fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, Error> {
    refuse_text(a, b)?;
    if a.is_none() != b.is_none() || a.is_undefined() != b.is_undefined() {
        return Ok(None);
    }
    Ok(Some(match (number(a), number(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }))
}

fn equal(a: &Value, b: &Value) -> Result<bool, Error> {
    refuse_text(a, b)?;
    Ok(match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    })
}

/// `in`
fn is_in(state: &mut State<'_, '_>, item: &Value, container: &Value) -> Result<bool, Error> {
    defined(state, [item, container])?;
    match container.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            // Elements of several kinds may stand in one list.
            Ok(container.try_iter()?.any(|element| equal(item, &element).unwrap_or(false)))
        }
        _ => minijinja::tests::is_in(state, item, container),
    }
}

/// `+ - * / // % **`
#[derive(Debug, Clone, Copy)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Floor,
    Remainder,
    Power,
}

impl Operator {
    fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Floor => "//",
            Self::Remainder => "%",
            Self::Power => "**",
        }
    }

    fn whole(self, a: i128, b: i128) -> Option<i128> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            Self::Divide => None,
            // As in Python: rounded down, and a rest with the divisor's sign.
            Self::Floor => {
                let rest = a.checked_rem(b)?;
                let is_below = rest != 0 && (rest < 0) != (b < 0);
                a.checked_div(b)?.checked_sub(i128::from(is_below))
            }
            Self::Remainder => {
                let rest = a.checked_rem(b)?;
                if rest != 0 && (rest < 0) != (b < 0) { rest.checked_add(b) } else { Some(rest) }
            }
            Self::Power => {
                a.checked_pow(u32::try_from(b).ok().filter(|power| *power <= POWER_MAX)?)
            }
        }
    }

    fn exact(self, a: Decimal, b: Decimal) -> Option<Decimal> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            Self::Divide => a.checked_div(b),
            Self::Floor => Some(a.checked_div(b)?.floor()),
            Self::Remainder => a.checked_sub(a.checked_div(b)?.floor().checked_mul(b)?),
            Self::Power => {
                let power = b.is_integer().then(|| u32::try_from(b).ok()).flatten()?;
                let mut product = Decimal::ONE;
                for _ in 0..Some(power).filter(|power| *power <= POWER_MAX)? {
                    product = product.checked_mul(a)?;
                }
                Some(product)
            }
        }
    }
}

pub(super) fn arithmetic(
    state: &mut State<'_, '_>,
    operator: Operator,
    a: &Value,
    b: &Value,
) -> Result<Value, Error> {
    defined(state, [a, b])?;
    let out_of_range = || wrong(format!("a result of `{}` is out of range", operator.as_str()));
    if is_number(a) && is_number(b) {
        if let (true, true, Ok(a), Ok(b)) =
            (a.is_integer(), b.is_integer(), i128::try_from(a.clone()), i128::try_from(b.clone()))
            && !matches!(operator, Operator::Divide)
        {
            return operator.whole(a, b).map(Value::from).ok_or_else(out_of_range);
        }
        let result = number(a).zip(number(b)).and_then(|(a, b)| operator.exact(a, b));
        return result.map(decimal).ok_or_else(out_of_range);
    }
    match (operator, a.kind(), b.kind()) {
        (Operator::Add, ValueKind::String, ValueKind::String) => joined(state, a, b),
        (
            Operator::Add,
            ValueKind::Seq | ValueKind::Iterable,
            ValueKind::Seq | ValueKind::Iterable,
        ) => Ok(a.try_iter()?.chain(b.try_iter()?).collect()),
        (Operator::Multiply, ValueKind::String, ValueKind::Number) => repeated(a, b),
        (Operator::Multiply, ValueKind::Number, ValueKind::String) => repeated(b, a),
        (_, a_kind, b_kind) => {
            let name = |value: &Value, kind: ValueKind| {
                if is_exact(value) { "number".to_owned() } else { kind.to_string() }
            };
            let (a, b) = (name(a, a_kind), name(b, b_kind));
            Err(wrong(format!("`{}` does not take {a} and {b}", operator.as_str())))
        }
    }
}

/// Two texts; what is not safe where the other is gets escaped.
fn joined(state: &mut State<'_, '_>, a: &Value, b: &Value) -> Result<Value, Error> {
    if !a.is_safe() && !b.is_safe() {
        return Ok(Value::from(format!("{a}{b}")));
    }
    let mut safe = |value: &Value| {
        if value.is_safe() {
            Ok(value.clone())
        } else {
            state.apply_filter("escape", std::slice::from_ref(value))
        }
    };
    let (a, b) = (safe(a)?, safe(b)?);
    Ok(Value::from_safe_string(format!("{a}{b}")))
}

fn repeated(text: &Value, count: &Value) -> Result<Value, Error> {
    let times = usize::try_from(count.clone()).unwrap_or(0);
    let text = text.to_string();
    if text.len().saturating_mul(times) > REPEATED_BYTES_MAX {
        return Err(wrong("a text is repeated too often"));
    }
    Ok(Value::from(text.repeat(times)))
}

fn negate(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    defined(state, [value, value])?;
    if is_exact(value) || value.kind() == ValueKind::Number {
        let whole = i128::try_from(value.clone()).ok().filter(|_| value.is_integer());
        if let Some(negated) = whole.and_then(i128::checked_neg) {
            return Ok(Value::from(negated));
        }
        if let Some(number) = number(value) {
            return Ok(decimal(-number));
        }
    }
    Err(wrong("`-` takes a number"))
}

/// Adds the operators, and filters and tests that know decimals.
pub(super) fn add_to(env: &mut Environment<'static>) {
    add_comparisons(env);
    for (name, operator) in [
        ("_add", Operator::Add),
        ("_sub", Operator::Subtract),
        ("_mul", Operator::Multiply),
        ("_div", Operator::Divide),
        ("_floor", Operator::Floor),
        ("_rem", Operator::Remainder),
        ("_pow", Operator::Power),
    ] {
        env.add_filter(name, move |state: &mut State<'_, '_>, a: &Value, b: &Value| {
            arithmetic(state, operator, a, b)
        });
    }
    env.add_filter("_neg", negate);
    // Of a template's source; what has too many digits is text, as from JSON.
    env.add_filter("_decimal", of_token);
}

/// Comparisons, as operators and as tests: `a < b`, `a is lt(b)`, `list | select("lt", b)`.
fn add_comparisons(env: &mut Environment<'static>) {
    type Order = (&'static str, &'static [&'static str], fn(Ordering) -> bool);
    let orders: [Order; 4] = [
        ("_lt", &["lt", "lessthan", "<"], Ordering::is_lt),
        ("_le", &["le", "<="], Ordering::is_le),
        ("_gt", &["gt", "greaterthan", ">"], Ordering::is_gt),
        ("_ge", &["ge", ">="], Ordering::is_ge),
    ];
    for (filter, names, holds) in orders {
        let compare = move |state: &State<'_, '_>, a: &Value, b: &Value| {
            defined(state, [a, b])?;
            Ok::<_, Error>(order(a, b)?.is_some_and(holds))
        };
        env.add_filter(filter, compare);
        for name in names {
            env.add_test(*name, compare);
        }
    }
    let equals: [(_, &[&'static str], bool); 2] =
        [("_eq", &["eq", "equalto", "=="], true), ("_ne", &["ne", "!="], false)];
    for (filter, names, wanted) in equals {
        let compare = move |state: &State<'_, '_>, a: &Value, b: &Value| {
            defined(state, [a, b])?;
            Ok::<_, Error>(equal(a, b)? == wanted)
        };
        env.add_filter(filter, compare);
        for name in names {
            env.add_test(*name, compare);
        }
    }
    env.add_filter("_in", is_in);
    env.add_filter("_not_in", |state: &mut State<'_, '_>, item: &Value, container: &Value| {
        is_in(state, item, container).map(|is_in| !is_in)
    });
    env.add_test("in", is_in);
}

#[cfg(test)]
mod tests {
    use crate::template::{TemplateError, Templates, value};

    fn render(source: &str) -> Result<String, TemplateError> {
        let json = r#"{"event": {"cost": "0.0421", "charge": "0.00", "currency": "USD", "id": "0012.50"}, "value": 49.99,
            "long": 1234567890.123456, "n": 7, "big": 12345678901234567890, "tiny": 5E-3, "none": null, "text": "12.50",
            "parts": [{"cost": "10.00", "n": 1.5}, {"cost": "9.50", "n": 10}, {"cost": "9.5", "n": 2}],
            "mixed": [1.5, "a", null, 2], "list": [3, 1.5, 10], "words": ["b", "a"]}"#;
        let mut templates = Templates::new();
        templates.add("t.txt", source)?;
        templates.render("t.txt", &value(&serde_json::from_str(json).expect("json")))
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn numbers_compare_add_and_print_exactly() {
        for (source, want) in [
            ("{% if event.cost > 5 %}a{% else %}b{% endif %}", "b"),
            ("{% if event.cost > 0.0420 and event.cost < 0.0422 %}a{% endif %}", "a"),
            (
                "{{ value < 100 }} {{ value < 49.99 }} {{ 49.99 == value }} {{ value >= 49.990 }}",
                "True False True True",
            ),
            (
                "{{ long > 1234567890.123455 }} {{ long == 1234567890.123456 }} {{ long < 1234567890.1234561 }}",
                "True True True",
            ),
            (
                "{{ event.cost }} {{ event.charge }} {{ value }} {{ tiny }} {{ event.id }}",
                "0.0421 0.00 49.99 0.005 0012.50",
            ),
            (
                "{{ event.cost + 1 }} {{ 0.1 + 0.2 }} {{ value * 2 }} {{ value - 0.99 }} {{ 1 / 4 }}",
                "1.0421 0.3 99.98 49.00 0.25",
            ),
            (
                "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7.5 % 2 }} {{ -7.5 // 2 }} {{ 2 ** 10 }} {{ 1.5 ** 2 }}",
                "3 -4 2 1.5 -4 1024 2.25",
            ),
            (
                "{{ 2 + 3 * 4 - 1 }} {{ (2 + 3) * 4 }} {{ 10 - 2 - 3 }} {{ 1 < 2 < 3 }} {{ -n }} {{ -value }}",
                "13 20 5 True -7 -49.99",
            ),
            (
                "{{ (value * 100) | round(1) }} {{ value | round }} {{ 1.25 | round(1) }} {{ value | int }}",
                "4999.0 50 1.3 49",
            ),
            (
                "{{ value | float * 2 }} {{ text | float > 12 }} {{ (-value) | abs }} {{ -1.5 | abs }}",
                "99.98 True 49.99 1.5",
            ),
            (
                "{{ parts | map(attribute='cost') | min }} {{ parts | map(attribute='cost') | max }}",
                "9.50 10.00",
            ),
            (
                "{{ parts | sort(attribute='cost') | map(attribute='cost') | join(',') }}",
                "9.50,9.5,10.00",
            ),
            (
                "{{ parts | sort(attribute='n', reverse=true) | map(attribute='n') | join(',') }}",
                "10,2,1.5",
            ),
            (
                "{{ (parts | max(attribute='n')).n }} {{ list | sort | join(',') }} {{ list | min }}",
                "10 1.5,3,10 1.5",
            ),
            ("{{ parts | sum(attribute='cost') }} {{ list | sum }}", "29.00 14.5"),
            (
                "{{ parts | selectattr('cost', 'lt', 10) | list | length }} {{ value is gt 49 }}",
                "2 True",
            ),
            (
                "{{ value is number }} {{ n is number }} {{ text is number }} {{ value is string }}",
                "True True False False",
            ),
            (
                "{{ 1.5 in list }} {{ 3 in list }} {{ 4 not in list }} {{ 'a' in words }} {{ 'b' in 'abc' }} {{ 'n' in parts[0] }}",
                "True True True True True True",
            ),
            ("{{ 1.50 in mixed }} {{ 'a' in mixed }} {{ 2.0 in mixed }}", "True True True"),
            ("{% if event.charge %}a{% else %}b{% endif %}{% if event.cost %}c{% endif %}", "bc"),
            (
                "{{ none > 5 }} {{ none < 5 }} {{ none == 5 }} {{ none == none }}",
                "False False False True",
            ),
            (
                "{{ event.cost | tojson }} {{ event | tojson }}",
                "\"0.0421\" {\"charge\": \"0.00\", \"cost\": \"0.0421\", \"currency\": \"USD\", \"id\": \"0012.50\"}",
            ),
            (
                "{{ event.cost | money('USD') }} {{ 12.3 | money('USD') }} {{ big }}",
                "0.0421 USD 12.30 USD 12345678901234567890",
            ),
            (
                "{{ 'a' + 'b' }} {{ 'ab' * 2 }} {{ [1] + [2] }} {{ 'a' ~ value }} {{ 'a' < 'b' }}",
                "ab abab [1, 2] a49.99 True",
            ),
            (
                "{% set x = 1.5 %}{% for i in range(3) if i > 0 %}{{ x * i }};{% endfor %}",
                "1.5;3.0;",
            ),
            (
                "{{ 'dear' if event.cost > 1 else 'cheap' }} {{ words[1 - 1] }} {{ words[-1] }} {{ 'abc'[1:1 + 1] }}",
                "cheap b a b",
            ),
        ] {
            let got = render(source).unwrap_or_else(|error| error.to_string());
            assert_eq!(got, want, "{source}");
        }
    }

    #[test]
    fn a_text_is_not_compared_with_a_number() {
        for source in [
            "{{ text > 5 }}",
            "{{ 5 <= text }}",
            "{{ text == 12.5 }}",
            "{{ value != '49.99' }}",
            "{{ text is lt(5) }}",
            "{{ [1.5, text] | min }}",
            "{{ [1.5, text] | sort }}",
            "{{ [1.5, text] | sum }}",
            "{{ text + 1 }}",
            "{{ value + text }}",
            "{{ none * 2 }}",
            "{{ value / 0 }}",
            "{{ 2 ** 1000 }}",
            "{{ 'x' * 1000000 }}",
        ] {
            let error = render(source).expect_err(source);
            assert!(!error.undefined, "{source}: {error}");
        }
        let error = render("{{ 5 < event.nope }}").expect_err("undefined");
        assert!(error.undefined && error.message.contains("event.nope"), "{error}");
    }
}
