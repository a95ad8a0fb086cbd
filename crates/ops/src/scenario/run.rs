//! `lineage scenario run`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use domain::scenario::{Run, Scenario, compare, expectations};

use super::files::File;
use super::view::ScenarioView;
use super::{RunArgs, RunFormat, files, junit, report, update};
use crate::output;

pub(super) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    if args.update
        && let Some(directory) = args.paths.iter().find(|path| Path::new(path).is_dir())
    {
        bail!(
            "--update rewrites what a file expects, so name the files one by one; {directory} is a \
             directory"
        );
    }
    let mut views = Vec::new();
    for path in files::find(&args.paths)? {
        let file = File::read(&path);
        let Ok(scenario) = &file.scenario else {
            views.push(ScenarioView::unreadable(&file));
            continue;
        };
        let run = scenario.run();
        let mut view = ScenarioView::of(&scenario.name, &file, &run, compare(scenario, &run));
        if args.update {
            update(&file, scenario, &run, &mut view)?;
        }
        views.push(view);
    }
    match args.format {
        RunFormat::Table => output::print_text(&report::table(&views))?,
        RunFormat::Json => {
            output::print_text(&serde_json::to_string_pretty(&serde_json::json!({
                "scenarios": views,
            }))?)?;
        }
        RunFormat::Junit => output::print_text(&junit::report(&views))?,
    }
    let is_fine = views.iter().all(ScenarioView::is_fine);
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes what came of the scenario into its file. What no expectation can mend stays a difference.
fn update(
    file: &File,
    scenario: &Scenario,
    run: &Run,
    view: &mut ScenarioView,
) -> anyhow::Result<()> {
    let rewritten = update::rewrite(&file.path, &expectations(run))?;
    match files::read(&file.path, &rewritten) {
        Ok(again) if again.timeline.len() == scenario.timeline.len() => {
            view.differences = compare(&again, &again.run());
            update::write(&file.path, &rewritten)?;
            view.result = if view.differences.is_empty() { "updated" } else { "failed" };
            Ok(())
        }
        _ => bail!(
            "cannot rewrite {}: its `expect:` is not a block of its own; write it as one, below \
             everything else",
            file.name()
        ),
    }
}
