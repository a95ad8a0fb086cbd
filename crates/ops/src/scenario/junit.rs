//! A run for CI servers, in the form that `JUnit` made common.

use std::fmt::Write as _;

use super::report;
use super::view::ScenarioView;

/// The XML document.
pub(super) fn report(views: &[ScenarioView]) -> String {
    let tests = views.len();
    let failures = views.iter().filter(|view| !view.differences.is_empty()).count();
    let errors = views.iter().filter(|view| !view.flaws.is_empty()).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"");
    let _ = writeln!(xml, "<testsuites {counts}>\n  <testsuite name=\"scenarios\" {counts}>");
    for view in views {
        let (name, file) = (escaped(&view.scenario), escaped(&view.file));
        let _ = write!(xml, "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\"");
        let (kind, message, text) = if !view.flaws.is_empty() {
            ("error", "the file cannot be read".to_owned(), view.flaws.join("\n"))
        } else if !view.differences.is_empty() {
            let count = view.differences.len();
            ("failure", format!("{count} difference(s)"), report::differences(view, ""))
        } else {
            let _ = writeln!(xml, "/>");
            continue;
        };
        let (message, text) = (escaped(&message), escaped(&text));
        let _ = writeln!(xml, ">\n      <{kind} message=\"{message}\">{text}</{kind}>");
        let _ = writeln!(xml, "    </testcase>");
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// A text as it can stand in XML. Control characters, which XML has no way to write, are left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push('\n'),
            control if control.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_break_the_document() {
        assert_eq!(escaped("a<b> & \"c\"\n\u{1b}[1m"), "a&lt;b&gt; &amp; &quot;c&quot;\n[1m");
    }
}
