//! The flags by which operators say why they act, and for whom. The one home of both.

use clap::Args;

use crate::input::printable;

/// For whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct Person {
    /// The person that you act for, for auditors
    #[arg(long, value_name = "WHO", value_parser = printable)]
    on_behalf_of: Option<String>,
}

impl Person {
    /// Who it is.
    pub(crate) fn name(&self) -> Option<&str> {
        self.on_behalf_of.as_deref()
    }
}

/// Why, if that is said, and for whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct ForWhom {
    /// Why, for auditors
    #[arg(long, value_name = "TEXT", value_parser = printable)]
    pub(crate) reason: Option<String>,

    #[command(flatten)]
    pub(crate) person: Person,
}

/// Why, which has to be said, and for whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct Because {
    /// Why, for auditors
    #[arg(long, value_name = "TEXT", value_parser = printable)]
    pub(crate) reason: String,

    #[command(flatten)]
    pub(crate) person: Person,
}
