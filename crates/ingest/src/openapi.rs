//! The OpenAPI document, made of the handlers and their types.

mod conventions;

use axum::Json;
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Object, OpenApi as Document, Ref, Required};
use utoipa::{Modify, OpenApi};

use self::conventions::{Problems, Texts};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lineage ingest",
        description = "Takes over sales and members; answers what became of them. Errors are \
                       problem details (RFC 9457). Decimals are texts.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        crate::post_events::post,
        crate::event_views::get,
        crate::event_views::find,
        crate::event_views::feed,
        crate::members::post,
        crate::members::changes::patch,
        crate::members::moves::post,
        crate::members::queries::get,
        crate::members::queries::find,
        crate::members::network::upline,
        crate::members::network::downline,
        crate::members::network::levels,
        crate::members::relations::path,
        crate::members::relations::above,
        crate::members::history::get,
        crate::members::statement::get,
        crate::members::account::balance,
        crate::members::account::ledger,
        crate::members::reward_split::put,
        crate::members::reward_split::get,
        crate::dead_letters::list,
        crate::dead_letters::get,
        crate::dead_letters::acting::retry,
        crate::dead_letters::acting::discard,
        crate::health::alive,
        crate::health::ready,
    ),
    modifiers(&BearerKey, &Doors, &Problems, &Texts)
)]
struct Api;

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A key of `lineage keys create`"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// What every request with a key may meet, wherever it goes.
struct Doors;

impl Modify for Doors {
    fn modify(&self, document: &mut Document) {
        for path in document.paths.paths.values_mut() {
            let reading = [&mut path.get];
            let changing = [&mut path.post, &mut path.put, &mut path.patch, &mut path.delete];
            for operation in reading.into_iter().flatten() {
                limited(operation);
            }
            for operation in changing.into_iter().flatten() {
                limited(operation);
                signed(operation);
            }
        }
    }
}

fn limited(operation: &mut Operation) {
    if operation.security.is_some() {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new()
            .description("More requests than the key may send; Retry-After says when to go on")
            .content("application/problem+json", problem)
            .header("Retry-After", Header::new(Object::with_type(Type::Integer)))
            .build();
        operation.responses.responses.entry("429".to_owned()).or_insert(response.into());
    }
}

fn signed(operation: &mut Operation) {
    for (name, description) in [
        ("webhook-id", "Names the request: 1 to 256 visible characters without a full stop"),
        ("webhook-timestamp", "When it was signed, in seconds since 1970; at most 300 s off"),
        ("webhook-signature", "v1,<base64 of HMAC-SHA256 of id.timestamp.body>; several by spaces"),
    ] {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(format!("{description}. Needed where the key has a signing secret")))
            .schema(Some(Object::with_type(Type::String)))
            .build();
        operation.parameters.get_or_insert_default().push(parameter.into());
    }
}

/// The document.
pub(crate) async fn get() -> Json<Document> {
    Json(Api::openapi())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Generated clients name their methods by them.
    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let document = serde_json::to_value(Api::openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        let ids: Vec<_> = operations.map(|operation| operation["operationId"].as_str()).collect();
        let distinct: BTreeSet<_> = ids.iter().flatten().collect();
        assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    }

    #[test]
    fn the_document_names_every_public_path() {
        let document = Api::openapi();
        let paths: Vec<_> = document.paths.paths.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "/healthz",
                "/readyz",
                "/v1/dead-letters",
                "/v1/dead-letters/{event_id}",
                "/v1/dead-letters/{event_id}/discard",
                "/v1/dead-letters/{event_id}/retry",
                "/v1/events",
                "/v1/events/{id}",
                "/v1/members",
                "/v1/members/{id}",
                "/v1/members/{id}/above/{other}",
                "/v1/members/{id}/balance",
                "/v1/members/{id}/downline",
                "/v1/members/{id}/history",
                "/v1/members/{id}/ledger",
                "/v1/members/{id}/levels",
                "/v1/members/{id}/move",
                "/v1/members/{id}/path",
                "/v1/members/{id}/reward-split",
                "/v1/members/{id}/statement",
                "/v1/members/{id}/upline",
                "/v1/outcomes",
            ]
        );
    }
}
