//! The schema's part of the proof: what keeps append-only tables as they are, and the closure right.

use store::{PgPool, StoreError, audit};

use super::Finding;

const GUARD_ADVICE: &str = "compare the table with a backup, drop what is left of the trigger, and \
    let the owner run `select guard_append_only('<table>')`";
const INDEX_ADVICE: &str = "let the owner create it as in migrations/20261121000004_members.sql, \
    and verify again";

/// Checks triggers and indexes. Returns whether the closure can be read member by member: without
/// its index, each of them would cost a scan of the whole table.
pub(super) async fn check(
    pool: &PgPool,
    found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    for table in audit::unguarded_tables(&mut conn).await? {
        let problem = "does not refuse update, delete and truncate: its trigger append_only is \
                       missing, disabled or another one";
        found(Finding {
            about: "table",
            id: table,
            problem: problem.to_owned(),
            advice: GUARD_ADVICE,
        })?;
    }
    let missing = audit::missing_closure_indexes(&mut conn).await?;
    let can_read_closure = !missing.iter().any(|index| index == audit::CLOSURE_UP);
    for index in missing {
        let unread = if index == audit::CLOSURE_UP {
            "; members and closure were not compared without it"
        } else {
            ""
        };
        found(Finding {
            about: "index",
            id: index,
            problem: format!("is missing, invalid or another one{unread}"),
            advice: INDEX_ADVICE,
        })?;
    }
    Ok(can_read_closure)
}
