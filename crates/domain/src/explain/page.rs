//! Texts within the width of a terminal and of a mail.

/// Columns of a terminal.
pub(super) const WIDTH: usize = 80;

/// At most so many characters.
#[must_use]
pub fn clip(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        Some(_) => text.chars().take(width - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// Breaks a text at blanks, so that no line is longer than it must be. `first` precedes the first
/// line, `further` every other one.
#[must_use]
pub fn wrap(text: &str, first: &str, further: &str) -> String {
    let mut wrapped = String::new();
    let mut line = first.to_owned();
    let mut is_begun = false;
    for word in text.split_whitespace() {
        let width = line.trim_start_matches('\n').chars().count();
        if is_begun && width + 1 + word.chars().count() > WIDTH {
            wrapped.push_str(&line);
            wrapped.push('\n');
            further.clone_into(&mut line);
            is_begun = false;
        }
        if is_begun {
            line.push(' ');
        }
        line.push_str(word);
        is_begun = true;
    }
    wrapped.push_str(&line);
    wrapped.push('\n');
    wrapped
}

/// Breaks a row of facts, its further lines below the value.
pub(super) fn wrap_row(row: &str, value_at: usize) -> String {
    let (name, value) = row.split_at(row.len().min(value_at - 1));
    wrap(value, name, &" ".repeat(value_at - 1))
}

/// Names and values below one another, the values aligned.
pub(super) fn facts(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines = rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n"));
    lines.collect::<Vec<_>>().concat()
}
