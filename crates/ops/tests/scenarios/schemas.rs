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

#[test]
fn a_plan_that_the_program_refuses_does_not_fit_either() {
    let plan = Checker::new("plan");
    let document = json!({
        "plan": "p", "version": "1", "valid_from": "2023-05-01", "max_levels": 5,
        "rounding": {"scale": 2, "mode": "half_even"},
        "caps": {"sale": {"percentage": "40", "mode": "pro_rata"}},
        "rules": [
            {"id": "a", "component": "a",
             "condition": {"all": [{"field": "sale.amount", "op": ">=", "value": "5"}]},
             "eligibility": {"field": "beneficiary.rank", "op": "in", "value": ["GOLD"]},
             "calculation": {"type": "unilevel", "compression": "dynamic",
                             "levels": [{"level": 1, "percentage": "3.00"}]}},
            {"id": "b", "component": "b",
             "calculation": {"type": "fixed", "to": "sponsor", "amount": {"EUR": "5"}}},
        ],
    });
    assert_eq!(plan.complaint(&document), None);
    let rule = "/rules/0/calculation";
    for (pointer, wrong) in [
        ("/plan".to_owned(), Value::Null),
        ("/valid_from".to_owned(), json!(2023)),
        ("/max_levels".to_owned(), json!("5")),
        ("/rounding/mode".to_owned(), json!("bankers")),
        ("/caps/sale/mode".to_owned(), json!("first_come")),
        ("/caps/sale".to_owned(), json!({"percentage": "40"})),
        ("/rules/0/condition".to_owned(), json!({"every": []})),
        ("/rules/0/condition".to_owned(), json!({"all": [], "any": []})),
        ("/rules/0/condition/all/0/field".to_owned(), json!("sale.colour")),
        ("/rules/0/condition/all/0/op".to_owned(), json!("=>")),
        ("/rules/0/condition/all/0/value".to_owned(), json!(5)),
        ("/rules/0/eligibility".to_owned(), json!({"field": "beneficiary.rank"})),
        ("/max_levels".to_owned(), json!(65)),
        ("/rounding/scale".to_owned(), json!(5)),
        ("/rules".to_owned(), json!([])),
        (format!("{rule}/levels"), json!([])),
        (format!("{rule}/levels/0/level"), json!(65)),
        (format!("{rule}/levels/0"), json!({"level": 1})),
        (
            format!("{rule}/levels/0"),
            json!({"level": 1, "percentage": "1", "amount": {"EUR": "1"}}),
        ),
        ("/rules/1/calculation/amount/EUR".to_owned(), json!("-5")),
        (
            "/rules/1/calculation".to_owned(),
            json!({"type": "fast_start", "days": 5, "percentage": "1", "amount": {"EUR": "1"}}),
        ),
        (
            "/rules/1/calculation".to_owned(),
            json!({"type": "fast_start", "days": 0, "percentage": "1"}),
        ),
        ("/rules/1/calculation".to_owned(), json!({"type": "whole_tiers", "tiers": []})),
        (format!("{rule}/type"), json!("binary")),
        (format!("{rule}/compression"), json!("full")),
        (format!("{rule}/levels/0/percentage"), json!(3)),
        (format!("{rule}/levels/0/percentage"), json!("101")),
        (format!("{rule}/levels/0"), json!({"level": 1, "percentage": "1", "minrank": "GOLD"})),
        ("/rules/1/calculation/to".to_owned(), json!("nobody")),
        ("/rules/1/calculation/amount/EUR".to_owned(), json!(5)),
        ("/rules/1/calculation".to_owned(), json!({"type": "fixed", "to": "sponsor"})),
    ] {
        let mut document = document.clone();
        *document.pointer_mut(&pointer).unwrap() = wrong.clone();
        assert!(plan.complaint(&document).is_some(), "{pointer}: {wrong}");
    }
}
