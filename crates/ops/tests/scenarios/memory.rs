//! Running scenarios in memory, by the binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// `lineage` without a database, in a directory; code, stdout, stderr.
pub(crate) fn lineage_in(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lineage"));
    command.args(arguments).current_dir(directory);
    command.env_remove("DATABASE_URL").env_remove("REDIS_URL");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What every scenario of the repository comes to.
pub(crate) fn run_all() -> Vec<Value> {
    let (_, out, said) = lineage_in(&root(), &["scenario", "run", "scenarios", "--format", "json"]);
    let out: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {said}"));
    out["scenarios"].as_array().unwrap().clone()
}

#[test]
fn every_scenario_comes_to_what_it_expects() {
    let (code, out, said) = lineage_in(&root(), &["scenario", "run", "scenarios"]);
    assert_eq!(code, Some(0), "{out}{said}");
}

/// Every rule, type, operator, mode and reason is held by as many scenarios as it needs.
#[test]
fn every_rule_type_operator_mode_and_reason_is_covered() {
    let (code, out, said) = lineage_in(&root(), &["scenario", "coverage", "scenarios"]);
    assert_eq!(code, Some(0), "{out}{said}");
}

/// What the help tells people to type can be typed.
#[test]
fn the_help_of_run_names_a_file_that_there_is() {
    let (_, help, _) = lineage_in(&root(), &["scenario", "run", "--help"]);
    let words = help.split_whitespace();
    let named: Vec<&str> = words.filter(|word| word.starts_with("scenarios/")).collect();
    assert!(!named.is_empty(), "{help}");
    for file in named {
        assert!(root().join(file).is_file(), "{file}: {help}");
    }
}
