//! `lineage migrate`.

use std::process::ExitCode;

use anyhow::Context as _;
use store::database;

use crate::connection::DatabaseArgs;
use crate::output::print_text;

/// Brings the schema up to date and says how much there was to do.
pub(crate) async fn run(database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect_as_owner().await?;
    let (before, _) = database::migration_state(&pool).await?;
    database::migrate(&pool).await.context("cannot migrate")?;
    let (after, known) = database::migration_state(&pool).await?;
    let new = after.saturating_sub(before);
    print_text(&match new {
        0 => format!("The schema is up to date ({after} of {known} migrations)."),
        _ => format!("Applied {new} migration(s); the schema is up to date ({after} of {known})."),
    })?;
    Ok(ExitCode::SUCCESS)
}
