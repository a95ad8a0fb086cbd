//! The JSON Schemas that editors use: as committed they are what the program prints, and every file of
//! the repository fits them.

use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, Schemas};
use serde_json::{Value, json};

use crate::memory::{lineage_in, root};

fn printed(kind: &str) -> String {
    let (code, out, said) = lineage_in(&root(), &["plan", "schema", kind]);
    assert_eq!(code, Some(0), "{said}");
    out
}

#[test]
fn the_committed_schemas_are_what_the_program_prints() {
    for kind in ["plan", "ladder", "scenario"] {
        let path = format!("deploy/schema/{kind}.schema.json");
        let committed = fs::read_to_string(root().join(&path)).unwrap();
        let advice = format!("write it again: lineage plan schema {kind} > {path}");
        assert!(committed == printed(kind), "{path} is out of date; {advice}");
    }
}

/// Says why a document does not fit the schema; nothing when it fits.
struct Checker {
    schemas: Schemas,
    index: boon::SchemaIndex,
}

impl Checker {
    fn new(kind: &str) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let schema: Value = serde_json::from_str(&printed(kind)).unwrap();
        compiler.add_resource("memory:schema", schema).unwrap();
        let index = compiler.compile("memory:schema", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn complaint(&self, document: &Value) -> Option<String> {
        self.schemas.validate(document, self.index).err().map(|error| format!("{error:#}"))
    }
}

/// Every YAML file below a directory.
fn yaml_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(yaml_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files
}

#[test]
fn every_file_of_the_repository_fits_its_schema() {
    let [plan, ladder, scenario] = ["plan", "ladder", "scenario"].map(Checker::new);
    let mut counts = [0; 3];
    let files = yaml_files(&root().join("scenarios")).into_iter();
    for path in files.chain(yaml_files(&root().join("deploy/sample"))) {
        let document: Value = yaml_serde::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let (checker, kind) = if document["scenario"].is_string() {
            (&scenario, 0)
        } else if document["plan"].is_string() {
            (&plan, 1)
        } else {
            (&ladder, 2)
        };
        counts[kind] += 1;
        let complaint = checker.complaint(&document);
        assert!(complaint.is_none(), "{}: {}", path.display(), complaint.unwrap());
    }
    assert!(counts.iter().all(|count| *count > 0), "scenarios, plans and ladders: {counts:?}");
}

#[test]
fn what_the_program_refuses_does_not_fit_either() {
    let scenario = Checker::new("scenario");
    let text = fs::read_to_string(root().join("scenarios/basics/as-it-stood.yaml")).unwrap();
    let document: Value = yaml_serde::from_str(&text).unwrap();
    assert_eq!(scenario.complaint(&document), None);
    for (pointer, wrong) in [
        ("/ranks", Value::Null),
        ("/programme/time_zone", json!(1)),
        ("/network/0/rank", json!(1)),
        ("/timeline/0/amount", json!(1000)),
        ("/timeline/0/member", Value::Null),
        ("/timeline/1/to", json!("ASLEEP")),
        ("/timeline/2", json!({"at": "2023-03-11T12:00:00Z", "move": "c"})),
        ("/expect/ledger/0/amount", json!(30)),
        ("/expect/ledger/0", json!({"event": "before", "membre": "b"})),
    ] {
        let mut document = document.clone();
        *document.pointer_mut(pointer).unwrap() = wrong.clone();
        assert!(scenario.complaint(&document).is_some(), "{pointer}: {wrong}");
    }
}
