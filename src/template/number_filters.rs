//! Jinja's filters and tests of numbers, as they are for exact decimals; for all else they are minijinja's own.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, State, Value, filters};
use rust_decimal::RoundingStrategy;

use super::numbers::{
    Exact, Operator, arithmetic, decimal, exact_of, is_exact, is_number, number, wrong,
};

/// Puts them in the place of minijinja's.
pub(super) fn add_to(env: &mut Environment<'static>) {
    env.add_filter("round", round);
    env.add_filter("abs", |value: Value| match value.downcast_object_ref::<Exact>() {
        Some(exact) => Ok(decimal(exact.0.abs())),
        None => filters::abs(value),
    });
    env.add_filter("int", int);
    env.add_filter("float", float);
    env.add_filter("min", |state: &State<'_, '_>, values: Value, kwargs: Kwargs| {
        extreme(state, values, kwargs, Ordering::Less)
    });
    env.add_filter("max", |state: &State<'_, '_>, values: Value, kwargs: Kwargs| {
        extreme(state, values, kwargs, Ordering::Greater)
    });
    env.add_filter("sort", sort);
    env.add_filter("sum", sum);
    for name in ["number", "float"] {
        env.add_test(name, move |value: &Value| {
            is_exact(value)
                || value.kind() == ValueKind::Number && (name == "number" || !value.is_integer())
        });
    }
}

fn round(
    value: Value,
    precision: Option<i32>,
    method: Option<&str>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let Some(exact) = value.downcast_object_ref::<Exact>() else {
        return filters::round(value, precision, method, kwargs);
    };
    let precision = match precision {
        Some(precision) => precision,
        None => kwargs.get::<Option<i32>>("precision")?.unwrap_or(0),
    };
    let method = match method {
        Some(method) => method,
        None => kwargs.get::<Option<&str>>("method")?.unwrap_or("common"),
    };
    kwargs.assert_all_used()?;
    let strategy = match method {
        "common" => RoundingStrategy::MidpointAwayFromZero,
        "ceil" => RoundingStrategy::ToPositiveInfinity,
        "floor" => RoundingStrategy::ToNegativeInfinity,
        _ => return Err(wrong("method must be common, ceil or floor")),
    };
    let places = u32::try_from(precision)
        .map_err(|_negative| wrong("a number is rounded to 0 decimal places or more"))?;
    Ok(decimal(exact.0.round_dp_with_strategy(places, strategy)))
}

fn int(
    state: &State<'_, '_>,
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    match value.downcast_object_ref::<Exact>() {
        Some(exact) => i128::try_from(exact.0.trunc())
            .map(Value::from)
            .map_err(|_range| wrong("a number is out of range")),
        None => filters::int(state, value, default, base, kwargs),
    }
}

/// A number, or the number that a text writes, with all of its digits.
fn float(
    state: &State<'_, '_>,
    value: &Value,
    default: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    if is_exact(value) {
        return Ok(value.clone());
    }
    match value.as_str().and_then(|text| exact_of(text.trim())) {
        Some(exact) => Ok(decimal(exact)),
        None => filters::float(state, value, default, kwargs),
    }
}

/// What an attribute of a path such as `a.b` is.
fn key(item: &Value, attribute: Option<&str>) -> Value {
    let names = attribute.into_iter().flat_map(|path| path.split('.'));
    names.fold(item.clone(), |value, name| value.get_attr(name).unwrap_or_default())
}

/// The items with what they are compared by, when decimals are among them; `None` for minijinja's own filters.
fn keyed(values: &Value, kwargs: &Kwargs) -> Result<Option<Vec<(Value, Value)>>, Error> {
    let attribute = kwargs.get::<Option<&str>>("attribute")?;
    let items: Vec<(Value, Value)> =
        values.try_iter()?.map(|item| (key(&item, attribute), item)).collect();
    if !items.iter().any(|(key, _)| is_exact(key)) {
        return Ok(None);
    }
    if items.iter().any(|(key, _)| !is_number(key)) {
        return Err(wrong("numbers and other values are compared"));
    }
    Ok(Some(items))
}

fn by_number(a: &Value, b: &Value) -> Ordering {
    number(a).cmp(&number(b))
}

fn extreme(
    state: &State<'_, '_>,
    values: Value,
    kwargs: Kwargs,
    wanted: Ordering,
) -> Result<Value, Error> {
    let Some(items) = keyed(&values, &kwargs)? else {
        return match wanted {
            Ordering::Less => filters::min(state, values, kwargs),
            _ => filters::max(state, values, kwargs),
        };
    };
    // The first of several that are equal.
    let better = |best: (Value, Value), next: (Value, Value)| {
        if by_number(&next.0, &best.0) == wanted { next } else { best }
    };
    Ok(items.into_iter().reduce(better).map(|(_, item)| item).unwrap_or_default())
}

fn sort(state: &State<'_, '_>, values: Value, kwargs: Kwargs) -> Result<Value, Error> {
    let Some(mut items) = keyed(&values, &kwargs)? else {
        return filters::sort(state, values, kwargs);
    };
    let is_reversed = kwargs.get::<Option<bool>>("reverse")?.unwrap_or(false);
    items.sort_by(|(a, _), (b, _)| {
        let order = by_number(a, b);
        if is_reversed { order.reverse() } else { order }
    });
    Ok(items.into_iter().map(|(_, item)| item).collect())
}

#[expect(clippy::needless_pass_by_value, reason = "minijinja hands its arguments over")]
fn sum(
    state: &mut State<'_, '_>,
    values: &Value,
    attribute: Option<&str>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let attribute = match attribute {
        Some(attribute) => Some(attribute),
        None => kwargs.get::<Option<&str>>("attribute")?,
    };
    let start = kwargs.get::<Option<Value>>("start")?.unwrap_or_else(|| Value::from(0));
    kwargs.assert_all_used()?;
    let items: Vec<Value> = values.try_iter()?.map(|item| key(&item, attribute)).collect();
    items
        .iter()
        .filter(|item| !item.is_undefined())
        .try_fold(start, |sum, item| arithmetic(state, Operator::Add, &sum, item))
}
