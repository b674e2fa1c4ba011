//! The OpenAPI document, made from the operations' own code.

use actix_web::HttpResponse;
use actix_web::web;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, RefOr, Response, ResponseBuilder, Schema};
use utoipa::{Modify, OpenApi};

use super::problem::Problem;
use super::{audit, balance, deliveries, events, receivers, rules, spend, status, stream};

/// All operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "tollbell",
        description = "What Alertmanager's API does not know: events, rules, deliveries, receivers, money. Errors are problems of RFC 9457. Silences and alerts are at /api/v2, as Alertmanager has them.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        audit::list,
        balance::history,
        balance::list,
        deliveries::cancel,
        deliveries::list,
        deliveries::retry,
        deliveries::retry_all,
        deliveries::show,
        events::explain,
        events::list,
        events::show,
        receivers::list,
        receivers::test,
        rules::list,
        spend::get,
        status::get,
        stream::get,
    ),
    components(schemas(
        Problem,
        audit::AuditItem,
        balance::ReadingItem,
        deliveries::AttemptItem,
        deliveries::DeliveryItem,
        events::EventItem,
        spend::SpendOthers,
        spend::SpendRow,
        spend::SpendTotal,
    )),
    security(("token" = [])),
    modifiers(&Common),
)]
struct Api;

/// What all operations share: the token, and what any of them may answer.
struct Common;

/// Answers of any operation: status, meaning.
const COMMON: [(&str, &str); 5] = [
    ("400", "A parameter that cannot be"),
    ("401", "No token, or one that is not known"),
    ("403", "The token may only read, or the request comes from a page of another site"),
    ("500", "A fault of the service"),
    ("503", "The store does not work now"),
];

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        if let Some(components) = &mut document.components {
            components.add_security_scheme("token", SecurityScheme::Http(token));
        }
        for path in document.paths.paths.values_mut() {
            let operations = [&mut path.get, &mut path.post];
            for operation in operations.into_iter().flatten() {
                for (status, about) in COMMON {
                    let responses = &mut operation.responses.responses;
                    responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(about)));
                }
            }
        }
    }
}

fn problem(about: &str) -> Response {
    let schema = RefOr::<Schema>::Ref(utoipa::openapi::Ref::from_schema_name("Problem"));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(about).content("application/problem+json", content).build()
}

/// The OpenAPI document as JSON, with the end of a line.
pub fn document() -> String {
    let mut document = Api::openapi();
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document.to_pretty_json().unwrap_or_default() + "\n"
}

/// Answers `GET /api/v1/openapi.json`.
pub(super) async fn get(_deps: web::Data<crate::api::Deps>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}
