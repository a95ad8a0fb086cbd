//! Scenario files: which there are, and reading them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use domain::scenario::{PlanText, Scenario};
use domain::yaml::FileError;

use crate::input;

/// Deepest directory below a path that is searched.
const DEPTH_MAX: usize = 16;

/// A scenario file.
#[derive(Debug)]
pub(super) struct File {
    /// The path as people know it.
    pub(super) path: PathBuf,
    /// What it says, or why it cannot be read.
    pub(super) scenario: Result<Scenario, Vec<FileError>>,
}

/// The files at the paths and below, each once, sorted.
pub(super) fn find(paths: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    for path in paths {
        let path = Path::new(path);
        if path.is_dir() {
            search(path, DEPTH_MAX, &mut found)?;
        } else if path.exists() {
            found.insert(path.to_owned());
        } else {
            bail!("{} does not exist", path.display());
        }
    }
    if found.is_empty() {
        bail!("there are no scenarios (*.yaml) in {}", paths.join(", "));
    }
    Ok(found.into_iter().collect())
}

/// Plan files lie beside the scenarios that name them: a file is a scenario if it says so.
fn search(directory: &Path, depth: usize, found: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    let cannot = || format!("cannot read the directory {}", directory.display());
    for entry in std::fs::read_dir(directory).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.is_dir() && depth > 0 {
            search(&path, depth - 1, found)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml")
            && !is_another_kind(&path)
        {
            found.insert(path);
        }
    }
    Ok(())
}

/// Whether a file begins as a plan or a ladder does. Whatever else there is claims to be a scenario,
/// and is reported if it is none.
fn is_another_kind(path: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    !has("scenario:") && (has("rules:") || has("ranks:"))
}

impl File {
    /// Reads a scenario and the plans that it names.
    pub(super) fn read(path: &Path) -> Self {
        let scenario = match input::read_text(&path.to_string_lossy()) {
            Ok(text) => read(path, &text),
            Err(error) => Err(vec![FileError::whole(&format!("{error:#}"))]),
        };
        Self { path: path.to_owned(), scenario }
    }

    /// Reads every scenario at the paths and below.
    pub(super) fn read_all(paths: &[String]) -> anyhow::Result<Vec<Self>> {
        Ok(find(paths)?.iter().map(|path| Self::read(path)).collect())
    }

    /// The path as text.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// What is wrong with the file, a line each.
    pub(super) fn flaws(&self) -> Vec<String> {
        let flaws = self.scenario.as_ref().err().into_iter().flatten();
        flaws.map(|flaw| format!("{}: {flaw}", self.name())).collect()
    }
}

/// Reads a scenario's text as if it lay at the path.
pub(super) fn read(path: &Path, text: &str) -> Result<Scenario, Vec<FileError>> {
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    Scenario::read(text, &|name| {
        let path = directory.join(name);
        let text =
            input::read_text(&path.to_string_lossy()).map_err(|error| format!("{error:#}"))?;
        Ok(PlanText { file: identity(&path), text })
    })
}

/// A file's name that is the same for everybody who names it: from here, where that is possible.
pub(super) fn identity(path: &Path) -> String {
    let Ok(full) = path.canonicalize() else { return path.display().to_string() };
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let short = here.ok().and_then(|here| full.strip_prefix(here).ok().map(Path::to_owned));
    short.unwrap_or(full).display().to_string()
}
