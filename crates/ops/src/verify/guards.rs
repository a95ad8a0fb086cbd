//! The schema's part of the proof: what keeps append-only tables as they are, and the closure right.

use store::{PgConnection, audit};

use super::{Finding, unsigned};

const GUARD_ADVICE: &str = "compare the table with a backup, drop what is left of the trigger, and \
    let the owner run `select guard_append_only('<table>')`";
const INDEX_ADVICE: &str = "let the owner create it as in migrations/20261121000004_members.sql, \
    and verify again";

/// What the schema holds against.
pub(super) struct Guarded {
    /// Tables and partitions that were looked at.
    pub(super) tables: u64,
    /// Whether the closure can be read member by member: without its index, each of them would cost
    /// a scan of the whole table.
    pub(super) can_read_closure: bool,
}

/// Checks triggers and indexes.
pub(super) async fn check(
    conn: &mut PgConnection,
    found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<Guarded> {
    let guards = audit::guards(conn).await?;
    for table in guards.unguarded {
        let problem = "does not refuse update, delete and truncate: its trigger append_only is \
                       missing, disabled or another one";
        found(Finding {
            about: "table",
            id: table,
            problem: problem.to_owned(),
            advice: GUARD_ADVICE,
        })?;
    }
    let missing = audit::missing_closure_indexes(conn).await?;
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
    Ok(Guarded { tables: unsigned(guards.tables), can_read_closure })
}
