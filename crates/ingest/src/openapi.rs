//! The OpenAPI document, made of the handlers and their types.

mod conventions;

use axum::Json;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
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
        crate::health::alive,
        crate::health::ready,
    ),
    modifiers(&BearerKey, &Problems, &Texts)
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
