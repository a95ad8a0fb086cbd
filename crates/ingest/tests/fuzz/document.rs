//! The OpenAPI document as what it promises: operations, their parameters and bodies, and what may
//! be answered.

use std::collections::BTreeMap;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

/// Where the schema compiler finds the document.
const PLACE: &str = "memory:openapi";
const PROBLEM: &str = "application/problem+json";

/// An operation of the document.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) parameters: Vec<Value>,
    /// The body's schema, where there is a body.
    pub(crate) body: Option<Value>,
    /// The scope that a key needs; `None`: none is asked for.
    pub(crate) scope: Option<String>,
}

impl Operation {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method.to_uppercase(), self.path)
    }
}

pub(crate) struct Document {
    json: Value,
    pub(crate) operations: Vec<Operation>,
    schemas: Schemas,
    /// By operation, status and content type.
    answers: BTreeMap<(String, String), BTreeMap<String, SchemaIndex>>,
    bodies: BTreeMap<String, SchemaIndex>,
}

impl Document {
    pub(crate) fn new(json: Value) -> Self {
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource(PLACE, json.clone()).unwrap();
        let mut schemas = Schemas::new();
        let mut compile = |pointer: &str| {
            let fragment = pointer.replace('{', "%7B").replace('}', "%7D");
            compiler.compile(&format!("{PLACE}#{fragment}"), &mut schemas).unwrap()
        };
        let (mut operations, mut answers, mut bodies) =
            (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for (path, methods) in json["paths"].as_object().unwrap() {
            for (method, said) in methods.as_object().unwrap() {
                let operation = Operation {
                    method: method.clone(),
                    path: path.clone(),
                    parameters: said["parameters"].as_array().cloned().unwrap_or_default(),
                    body: said.pointer("/requestBody/content/application~1json/schema").cloned(),
                    scope: said.pointer("/security/0/key/0").map(|s| s.as_str().unwrap().into()),
                };
                let at = format!("/paths/{}/{method}", path.replace('~', "~0").replace('/', "~1"));
                if operation.body.is_some() {
                    let pointer = format!("{at}/requestBody/content/application~1json/schema");
                    bodies.insert(operation.name(), compile(&pointer));
                }
                for (status, answer) in said["responses"].as_object().unwrap() {
                    let mut types = BTreeMap::new();
                    for kind in answer["content"].as_object().into_iter().flat_map(|c| c.keys()) {
                        let escaped = kind.replace('/', "~1");
                        let pointer = format!("{at}/responses/{status}/content/{escaped}/schema");
                        types.insert(kind.clone(), compile(&pointer));
                    }
                    answers.insert((operation.name(), status.clone()), types);
                }
                operations.push(operation);
            }
        }
        Self { json, operations, schemas, answers, bodies }
    }

    /// The schema that a reference leads to.
    pub(crate) fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(to) => self.json.pointer(to.trim_start_matches('#')).unwrap(),
            None => schema,
        }
    }

    /// Whether the document allows a body.
    pub(crate) fn allows(&self, operation: &Operation, body: &Value) -> bool {
        let schema = self.bodies[&operation.name()];
        self.schemas.validate(body, schema).is_ok()
    }

    /// What of an answer the document does not announce.
    pub(crate) fn complaint(
        &self,
        operation: &Operation,
        status: u16,
        content_type: &str,
        body: &[u8],
    ) -> Option<String> {
        if status >= 500 {
            return Some("a defect of the server".to_owned());
        }
        let Some(types) = self.answers.get(&(operation.name(), status.to_string())) else {
            return Some(format!("status {status} is not documented"));
        };
        let Some(schema) = types.get(content_type.split(';').next().unwrap_or_default()) else {
            return Some(format!("content type {content_type:?} is not documented"));
        };
        if content_type.starts_with("text/") {
            return None;
        }
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return Some("the body is no JSON".to_owned());
        };
        if let Err(error) = self.schemas.validate(&value, *schema) {
            return Some(format!("the body does not fit its schema: {error:#}"));
        }
        (status >= 400).then(|| incomplete(status, content_type, &value)).flatten()
    }
}

/// What a problem document lacks.
pub(crate) fn incomplete(status: u16, content_type: &str, problem: &Value) -> Option<String> {
    let says = |field: &str| problem[field].as_str().is_some_and(|text| !text.is_empty());
    let text = problem.to_string().to_lowercase();
    if content_type != PROBLEM {
        Some(format!("an error of type {content_type:?}"))
    } else if problem["status"] != status {
        Some("the problem names another status".to_owned())
    } else if !(says("type") && says("title") && says("detail")) {
        Some("type, title or detail is missing".to_owned())
    } else if matches!(status, 409 | 422) && !problem["pointer"].is_string() {
        Some("the pointer is missing".to_owned())
    } else if text.contains("select ") || text.contains("relation \"") || text.contains("panicked")
    {
        Some("the inside shows".to_owned())
    } else {
        None
    }
}
