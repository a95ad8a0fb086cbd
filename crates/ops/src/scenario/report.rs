//! A run for people.

use std::fmt::Write as _;

use super::view::ScenarioView;
use crate::output;

/// A table of all scenarios, then every difference.
pub(super) fn table(views: &[ScenarioView]) -> String {
    let rows = views.iter().map(|view| {
        vec![
            view.scenario.clone(),
            view.file.clone(),
            view.result.to_owned(),
            view.sales.len().to_string(),
            view.lines().to_string(),
        ]
    });
    let header = ["scenario", "file", "result", "sales", "lines"];
    let mut text = output::table(&header, &[3, 4], rows.collect());
    for view in views.iter().filter(|view| !view.is_fine()) {
        let _ = write!(text, "\n{} ({})\n", view.scenario, view.file);
        for flaw in &view.flaws {
            let _ = writeln!(text, "  {flaw}");
        }
        text.push_str(&differences(view, "  "));
    }
    let wrong = views.iter().filter(|view| !view.is_fine()).count();
    let _ = match wrong {
        0 => write!(text, "\n{} scenario(s), all as expected.\n", views.len()),
        wrong => write!(text, "\n{wrong} of {} scenario(s) not as expected.\n", views.len()),
    };
    text
}

/// What is not as expected, three lines each.
pub(super) fn differences(view: &ScenarioView, indent: &str) -> String {
    let mut text = String::new();
    for difference in &view.differences {
        let _ = writeln!(text, "{indent}{}", difference.what);
        let _ = writeln!(text, "{indent}  expected  {}", difference.expected);
        let _ = writeln!(text, "{indent}  computed  {}", difference.computed);
    }
    text
}
