//! The OpenAPI document, made from the operations' own code.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::page::{Query, VALUE_BYTES_MAX};
use super::problem::Problem;
use super::reply::Answered;
use super::{
    alerts, audit, balance, checks, deliveries, events, receivers, rules, spend, status, stream,
};

/// All operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "tollbell",
        description = "What Alertmanager's API does not know: events, rules, deliveries, receivers, money. Errors are problems of RFC 9457. Alerts and silences are at /api/v2, as Alertmanager has them.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        alerts::list,
        alerts::show,
        audit::list,
        balance::list,
        balance::readings,
        checks::list,
        deliveries::cancel,
        deliveries::list,
        deliveries::retry,
        deliveries::retry_all,
        deliveries::show,
        events::explain,
        events::list,
        events::show,
        get,
        receivers::list,
        receivers::pause,
        receivers::resume,
        receivers::test,
        rules::list,
        rules::show,
        spend::get,
        status::get,
        stream::get,
    ),
    components(schemas(Problem))
)]
struct Api;

/// Answers of any operation: status, meaning.
const COMMON: [(&str, &str); 5] = [
    ("400", "A parameter that is not known, is given twice, or has a value that cannot be"),
    ("401", "No token, or one that is not known"),
    ("403", "The token may only read, or the request comes from a page of another site"),
    ("500", "A fault of the service"),
    ("503", "The store does not work now, or too many ask"),
];

/// The OpenAPI document as JSON, with the end of a line.
#[expect(clippy::indexing_slicing, reason = "objects by the form of the document")]
pub fn document() -> String {
    let mut document = serde_json::to_value(Api::openapi()).unwrap_or_default();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document["components"]["securitySchemes"] =
        json!({"token": {"type": "http", "scheme": "bearer"}});
    document["security"] = json!([{"token": []}]);
    for operation in operations(&mut document) {
        for (status, about) in COMMON {
            let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
            if let Some(responses) = responses {
                responses.entry(status).or_insert_with(|| problem(about));
            }
        }
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        parameters.into_iter().flatten().for_each(bounded);
    }
    // What the code calls so is null in JSON.
    format!("{document:#}\n").replace("`None`", "null")
}

/// The operations of all paths.
fn operations(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten();
    let methods = paths.filter_map(|(_, path)| path.as_object_mut()).flatten();
    methods.filter_map(|(_, operation)| operation.as_object_mut())
}

/// A parameter may be absent, and is never null; a text is never empty.
fn bounded(parameter: &mut Value) {
    let is_query = parameter["in"] == "query";
    let schema = &mut parameter["schema"];
    if let Some(types) = schema["type"].as_array()
        && let Some(only) = types.iter().find(|word| *word != "null").cloned()
    {
        schema["type"] = only;
    }
    if let Some(choices) = schema["oneOf"].as_array()
        && let Some(only) = choices.iter().find(|choice| choice["type"] != "null").cloned()
    {
        *schema = only;
    }
    if is_query && schema["type"] == "string" && schema["format"].is_null() {
        schema["minLength"] = 1.into();
        // Characters have one byte at least.
        schema["maxLength"] = VALUE_BYTES_MAX.into();
    }
    if let Some(schema) = schema.as_object_mut() {
        // To look at what is not there made it be there, as null.
        schema.retain(|_, value| !value.is_null());
    }
}

fn problem(about: &str) -> Value {
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    json!({"description": about, "content": {"application/problem+json": {"schema": schema}}})
}

#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    tag = "status",
    operation_id = "showOpenApi",
    responses((status = 200, description = "This document", body = Object)),
)]
pub(super) async fn get(request: HttpRequest) -> Answered {
    Query::read(&request, &[])?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("application/json")
        .body(document()))
}
