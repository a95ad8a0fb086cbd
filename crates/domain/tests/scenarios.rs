//! Every scenario of the repository, in memory: the business's own examples are tests of the
//! arithmetic. (That the live path pays the same is tested with `lineage`.)
#![expect(clippy::unwrap_used, reason = "a test that cannot read a file has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use domain::scenario::{PlanText, Scenario, compare};

fn scenario_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries
        .flat_map(|path| if path.is_dir() { scenario_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    found.sort();
    found
}

#[test]
fn every_scenario_pays_what_it_expects() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let mut run = 0;
    for path in scenario_files(&root) {
        let text = fs::read_to_string(&path).unwrap();
        // Plans that scenarios share lie beside them.
        if !text.lines().any(|line| line.starts_with("scenario:")) {
            continue;
        }
        let open = |name: &str| {
            let file = path.parent().unwrap().join(name);
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            Ok(PlanText { file: name.to_owned(), text })
        };
        let scenario = Scenario::read(&text, &open).unwrap();
        let differences = compare(&scenario, &scenario.run());
        assert!(differences.is_empty(), "{}: {differences:#?}", path.display());
        run += 1;
    }
    assert!(run >= 60, "{run} scenarios");
}
