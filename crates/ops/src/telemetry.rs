//! Errors of libraries, on stderr. What an operator must know is said by the commands themselves.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::LevelFilter;

/// Starts logging errors.
pub(crate) fn init() {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::ERROR)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
