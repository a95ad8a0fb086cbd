//! The commands around scenarios, on files of the test's own.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::memory::{lineage_in, root};

/// A directory that is removed when dropped.
struct Directory(PathBuf);

impl Directory {
    /// An empty one; the name must be the test's own.
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lineage-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        lineage_in(&self.0, &[&["scenario"], arguments].concat())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file of the repository.
fn sample(name: &str) -> String {
    fs::read_to_string(root().join("scenarios/basics").join(name)).unwrap()
}

const PLAN: &str = "plans/override.yaml";

/// A directory with a scenario and its plan.
fn with_override(name: &str, text: &str) -> Directory {
    let directory = Directory::new(name);
    directory.write("a.yaml", text);
    directory.write(PLAN, &sample(PLAN));
    directory
}

fn override_scenario() -> String {
    sample("override-on-two-levels.yaml")
}

#[test]
fn a_wrong_expectation_is_shown_line_by_line_and_fails() {
    let wrong = override_scenario().replace("\"1800.0000\"", "\"1800.0001\"");
    let directory = with_override("wrong", &wrong);
    directory.write("b.yaml", "scenario: b\nranks: [A]\nranke: 1\n");
    directory.write("c.yaml", "scenario: c\nranks: [A]\nplan: plans/none.yaml\n");
    let (code, out, _) = directory.run(&["run", "."]);
    assert_eq!(code, Some(1));
    for said in [
        "expected  s1: jana gets 1800.0001 of level 1",
        "computed  s1: jana gets 1800.0000 CZK of level 1 (LEVEL_COMMISSION by base)",
        "unknown field `ranke`",
        "plans/none.yaml",
        "3 of 3 scenario(s) not as expected",
    ] {
        assert!(out.contains(said), "{said:?} is missing in {out}");
    }
    let (code, out, _) = directory.run(&["run", "a.yaml", "--format", "junit"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("tests=\"1\" failures=\"1\" errors=\"0\""), "{out}");
    assert!(out.contains("1800.0001"), "{out}");
    let (code, out, _) = directory.run(&["run", "a.yaml", "--format", "json"]);
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &out["scenarios"][0]["result"]), (Some(1), &Value::from("failed")));
    assert_eq!(out["scenarios"][0]["differences"][0]["what"], "ledger[0]");
    assert_eq!(out["scenarios"][0]["sales"][1]["lines"][0]["amount"], "1800.0000");
}

#[test]
fn update_rewrites_the_expectations_and_nothing_else() {
    for name in ["override-on-two-levels.yaml", "as-it-stood.yaml"] {
        let text = sample(name);
        let (before, _) = text.split_once("expect:\n").unwrap();
        let wrong = format!("{before}expect:\n  totals: {{jana: \"1\"}}\n\n# the end\nsays: x\n");
        let directory = with_override(&format!("update-{name}"), &wrong);
        assert_eq!(directory.run(&["run", "a.yaml"]).0, Some(1));
        let (code, out, said) = directory.run(&["run", "a.yaml", "--update"]);
        assert_eq!(code, Some(0), "{out}{said}");
        assert!(out.contains("updated"), "{out}");
        let updated = directory.read("a.yaml");
        assert!(updated.starts_with(before), "{updated}");
        assert!(updated.ends_with("  complete: true\n\n# the end\nsays: x\n"), "{updated}");
        assert_eq!(directory.run(&["run", "a.yaml"]).0, Some(0), "what is written holds");
        directory.run(&["run", "a.yaml", "--update"]);
        assert_eq!(directory.read("a.yaml"), updated, "twice is once");
    }
}

#[test]
fn update_is_for_files_that_are_named() {
    let directory = with_override("named", &override_scenario());
    let (code, _, said) = directory.run(&["run", ".", "--update"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("name the files one by one"), "{said}");
    assert_eq!(directory.read("a.yaml"), override_scenario());
    // A refusal that nobody expected is no expectation to be rewritten.
    let refused = sample("as-it-stood.yaml").replace(", refused: own_descendant", "");
    directory.write("a.yaml", &refused);
    let (code, out, _) = directory.run(&["run", "a.yaml", "--update"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("timeline[7]") && out.contains("own_descendant"), "{out}");
}

#[test]
fn the_review_sheet_says_who_gets_how_much_more_or_less() {
    let directory = with_override("diff", &override_scenario());
    // The same plan, written in the scenario.
    let plan: Vec<String> = sample(PLAN).lines().map(|line| format!("  {line}")).collect();
    let inline = override_scenario()
        .replace("plan: plans/override.yaml", &format!("plan:\n{}", plan.join("\n")));
    directory.write("inline.yaml", &inline);
    directory.write("other.yaml", &sample("waiting-sales.yaml"));
    directory.write("new.yaml", &sample(PLAN).replace("\"1.50\"", "\"2.00\""));
    let arguments = ["diff", "--base", PLAN, "--with", "new.yaml", "."];
    let (code, out, said) = directory.run(&[&arguments[..], &["--format", "json"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let sheet: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(sheet["changed"], 2);
    assert_eq!(sheet["scenarios"].as_array().unwrap().len(), 2, "those with this plan: {out}");
    let change = &sheet["scenarios"][0]["changes"][0];
    assert_eq!(sheet["scenarios"][0]["changes"].as_array().unwrap().len(), 1, "b gets the same");
    assert_eq!(change["member"], "jana");
    let sums = ["base", "with", "difference"].map(|field| change[field].as_str().unwrap());
    assert_eq!(sums, ["2400.0000", "2600.0000", "200.0000"]);
    assert_eq!(sheet["totals"][0]["difference"], "400.0000");
    let (_, text, _) = directory.run(&arguments);
    assert!(text.contains("+200.0000") && text.contains("2 of 2 scenario(s)"), "{text}");
    // A successor is asked about the same sales, though it begins after them.
    let successor = directory.read("new.yaml").replace("valid_from: 20", "valid_from: 21");
    directory.write("successor.yaml", &successor);
    let later = ["diff", "--base", PLAN, "--with", "successor.yaml", "a.yaml"];
    let (_, text, _) = directory.run(&later);
    assert!(text.contains("+200.0000") && !text.contains("no_plan"), "{text}");
    let same = ["diff", "--base", PLAN, "--with", PLAN, "a.yaml"];
    assert!(directory.run(&same).1.contains("0 of 1 scenario(s)"));
    let nobody = ["diff", "--base", "new.yaml", "--with", PLAN, "other.yaml"];
    assert_eq!(directory.run(&nobody).0, Some(1), "no scenario applies it");
}

#[test]
fn coverage_needs_two_scenarios_for_everything_but_what_is_inside_one() {
    let directory = with_override("coverage", &override_scenario());
    directory.write("inline.yaml", &sample("waiting-sales.yaml"));
    let covered = |directory: &Directory| {
        let (code, out, said) = directory.run(&["coverage", ".", "--format", "json"]);
        let out: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{said}"));
        let subjects = out["subjects"].as_array().unwrap().clone();
        let of = move |name: &str| {
            let subject = subjects.iter().find(|subject| subject["name"] == name).unwrap();
            (subject["scenarios"].as_array().unwrap().len(), subject["covered"] == true)
        };
        (code, of)
    };
    let (code, of) = covered(&directory);
    assert_eq!(code, Some(1), "most is not reached");
    assert_eq!(of("unilevel"), (2, true));
    assert_eq!(of("differential"), (0, false));
    assert_eq!(of("no_upline"), (2, true));
    assert_eq!(of("late 1/base"), (1, true), "a rule inside a scenario");
    assert_eq!(of("override 2023-01/base"), (1, false), "a rule of a file");
    directory.write("again.yaml", &override_scenario());
    let (_, of) = covered(&directory);
    assert_eq!(of("override 2023-01/base"), (2, true));
}
