//! Ladders, plans and scenarios.

use domain::ladder::Ladder;
use domain::period::Programme;
use domain::plan::PlanFile;
use domain::rule_set::RuleSet;
use domain::scenario::Scenario;
use store::testing::fuzz::{Chance, Effort, announced_seed};

use crate::spoilt::{files, in_time, root, spoilt};

/// Cases that take seconds.
const CASES: usize = 1_500;

/// Reads a text as each of the three, and what is read to its end; the messages of what is refused.
fn read(yaml: &str) -> Vec<String> {
    let mut messages = Vec::new();
    let ladder = Ladder::from_yaml(yaml);
    messages.extend(ladder.err().map(|error| error.to_string()));
    match PlanFile::from_yaml(yaml) {
        Ok(file) => {
            let ladder = Ladder::new(["MEMBER", "SILVER", "GOLD"].map(str::to_owned).to_vec());
            let compiled = RuleSet::compile(&file, &ladder.unwrap(), &Programme::default());
            messages.extend(compiled.err().map(|error| format!("{error:?}")));
        }
        Err(error) => messages.push(error.to_string()),
    }
    let nothing = |path: &str| Err(format!("no file {path}"));
    match Scenario::read(yaml, &nothing) {
        Ok(scenario) => drop(scenario.run()),
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            messages.extend(errors.iter().map(ToString::to_string));
        }
    }
    messages
}

fn check(yaml: &str, what: &str) {
    let text = yaml.to_owned();
    for message in in_time(what, move || read(&text)) {
        assert!(!message.trim().is_empty(), "refused without a reason: {what}");
        assert!(message.len() < 100_000, "a message of {} bytes: {what}", message.len());
    }
}

#[test]
fn fuzz_spoilt_yaml_is_read_or_refused_with_a_reason() {
    let mut chance = Chance::new(announced_seed("-p ops --test fuzz"));
    let mut valid = files(&root().join("scenarios"), "yaml");
    valid.extend(files(&root().join("deploy/sample"), "yaml"));
    for case in Effort::cases(CASES).run() {
        let bytes = spoilt(&mut chance, &valid);
        // The command line refuses what is no UTF-8; the rest of such a file is read here.
        let yaml = String::from_utf8_lossy(&bytes);
        let begin: String = yaml.chars().take(3_000).collect();
        check(&yaml, &format!("case {case}: {begin}"));
    }
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect::<Vec<_>>().concat()
}

/// Small files that grow, or cost more than their size, in careless readers.
#[test]
fn bombs_are_refused_or_read_soon() {
    let laughs = |levels: usize| {
        let line = |level: usize| match level.checked_sub(1) {
            None => "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned(),
            Some(below) => {
                let inner = vec![format!("*a{below}"); 9].join(", ");
                format!("a{level}: &a{level} [{inner}]\n")
            }
        };
        lines(levels, line)
    };
    let staircase = lines(1_000, |depth| format!("{}a:\n", " ".repeat(depth)));
    let megabyte = 1_000_000;
    for (name, yaml) in [
        ("laughs", laughs(12)),
        ("laughs as ranks", format!("{}ranks: *a9\n", laughs(10))),
        ("laughs as rules", format!("plan: x\nversion: '1'\n{}rules: *a9\n", laughs(10))),
        ("an alias of itself", "ranks: &a [*a]\n".to_owned()),
        ("merged with itself", "&a {<<: *a}\n".to_owned()),
        ("dashes", "- ".repeat(megabyte / 2)),
        ("questions", "? ".repeat(megabyte / 2)),
        ("colons", ": ".repeat(megabyte / 2)),
        ("a staircase", staircase),
        ("open brackets", "[".repeat(megabyte)),
        ("open brackets in pieces", "[[[[[]]]]] ".repeat(megabyte / 11)),
        ("a wide list", format!("ranks: [{}]", "A, ".repeat(megabyte / 3 - 10))),
        ("a wide map", lines(60_000, |key| format!("k{key}: 1\n"))),
        ("an open quote", format!("plan: \"{}", "x".repeat(megabyte))),
        ("a long name", format!("plan: {}", "x".repeat(megabyte))),
        ("a long number", format!("max_levels: {}", "9".repeat(megabyte))),
        ("empty lines", "\n".repeat(megabyte)),
        ("blanks", " ".repeat(megabyte)),
        ("tabs", "\t".repeat(megabyte)),
        ("comments", "#\n".repeat(megabyte / 2)),
        ("documents", "---\n".repeat(megabyte / 4)),
        ("tags", "!!a ".repeat(megabyte / 4)),
        ("anchors", lines(60_000, |name| format!("- &a{name} 1\n"))),
        ("aliases", format!("a: &a 1\nb: [{}]", "*a, ".repeat(megabyte / 4 - 10))),
        ("nothing but NUL", "\0".repeat(megabyte)),
        ("too large", "a".repeat(3 * megabyte)),
    ] {
        check(&yaml, name);
    }
}
