//! What holds for every operation and every text, written down once: the document must not say less
//! than what is refused.

use utoipa::Modify;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder, Schema};

/// What errors are sent as.
const PROBLEM: &str = "application/problem+json";
/// The schema of errors.
const PROBLEM_SCHEMA: &str = "#/components/schemas/Problem";
/// What `domain::text` takes: no control characters. (That blanks alone are refused would make a
/// pattern that tools cannot combine with the length.)
const TEXT: &str = r"^[^\u0000-\u001f\u007f-\u009f]+$";

/// Errors are problem details; a body may come too slowly.
pub(super) struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut OpenApi) {
        for path in document.paths.paths.values_mut() {
            let methods = [&mut path.get, &mut path.put, &mut path.post, &mut path.patch];
            for operation in methods.into_iter().chain([&mut path.delete]).flatten() {
                say_problems(operation);
            }
        }
    }
}

fn say_problems(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    if operation.request_body.is_some() {
        let slow = ResponseBuilder::new().description("The body did not arrive in time");
        let problem = RefOr::Ref(Ref::new(PROBLEM_SCHEMA));
        let content = Content::new(Some(problem));
        let slow = slow.content("application/json", content).build();
        responses.entry("408".to_owned()).or_insert(RefOr::T(slow));
    }
    for response in responses.values_mut() {
        if let RefOr::T(response) = response {
            name_type(response);
        }
    }
}

fn name_type(response: &mut Response) {
    let is_problem = |content: &RefOr<Content>| match content {
        RefOr::T(Content { schema: Some(RefOr::Ref(to)), .. }) => to.ref_location == PROBLEM_SCHEMA,
        _ => false,
    };
    if response.content.get("application/json").is_some_and(is_problem)
        && let Some(content) = response.content.shift_remove("application/json")
    {
        response.content.insert(PROBLEM.to_owned(), content);
    }
}

/// Names and identifiers in requests: whatever may have so many characters is checked by
/// `domain::text`.
pub(super) struct Texts;

impl Modify for Texts {
    fn modify(&self, document: &mut OpenApi) {
        let schemas = document.components.iter_mut().flat_map(|all| all.schemas.values_mut());
        for schema in schemas {
            let RefOr::T(Schema::Object(object)) = schema else { continue };
            for property in object.properties.values_mut() {
                let RefOr::T(Schema::Object(text)) = property else { continue };
                if text.max_length == Some(domain::text::TEXT_LENGTH_MAX) && text.pattern.is_none()
                {
                    text.min_length = Some(1);
                    text.pattern = Some(TEXT.to_owned());
                }
            }
        }
    }
}
