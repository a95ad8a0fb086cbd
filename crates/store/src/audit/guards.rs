//! What the schema itself must hold against: law L3's triggers and the closure's indexes.

use sqlx::PgConnection;

use crate::StoreError;

/// Every table that is append-only; the ledger's partitions join them.
const APPEND_ONLY: [&str; 12] = [
    "events",
    "event_lines",
    "commission_outcomes",
    "commission_ledger",
    "commission_plans",
    "commission_rules",
    "plan_retirements",
    "member_sponsors",
    "member_states",
    "member_reward_splits",
    "member_changes",
    "operator_actions",
];

/// The closure's index that answers who is above, and forbids two parents.
pub const CLOSURE_UP: &str = "member_tree_paths_up";
/// The closure's indexes, by name and by what follows the access method in their definition.
const CLOSURE_INDEXES: [(&str, bool, &str); 2] = [
    (CLOSURE_UP, true, "(descendant_id, depth) INCLUDE (ancestor_id)"),
    ("member_tree_paths_down", false, "(ancestor_id, depth, descendant_id)"),
];

/// Append-only tables and the ledger's partitions, and which of them refuse nothing.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// How many were looked at.
    pub tables: i64,
    /// Those on which update, delete or truncate would not be refused, whoever asks.
    pub unguarded: Vec<String>,
}

/// Looks at the trigger of every append-only table and partition.
pub async fn guards(conn: &mut PgConnection) -> Result<Guards, StoreError> {
    let tables = APPEND_ONLY.map(str::to_owned);
    // 58 is before (2), delete (8), update (16) and truncate (32), once a statement.
    let guards = sqlx::query_as!(
        Guards,
        r#"
        with guarded as (
          select name, to_regclass(name)::oid as id from unnest($1::text[]) as name
          union all
          select relid::text, relid::oid
            from pg_partition_tree(to_regclass('commission_ledger')) where level > 0)
        select count(*) as "tables!",
               coalesce(array_agg(name order by name) filter (
                 where not exists (select from pg_trigger
                            where tgrelid = guarded.id and tgname = 'append_only'
                              and tgfoid = to_regproc('refuse_change')
                              and tgenabled = 'A' and tgtype = 58
                              and tgqual is null and tgattr = '')), '{}') as "unguarded!"
          from guarded
        "#,
        &tables[..],
    );
    Ok(guards.fetch_one(conn).await?)
}

/// Indexes of the closure that are missing or not as they must be.
pub async fn missing_closure_indexes(conn: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let names = CLOSURE_INDEXES.map(|(name, _, _)| name.to_owned());
    let unique = CLOSURE_INDEXES.map(|(_, is_unique, _)| is_unique);
    let definitions = CLOSURE_INDEXES.map(|(_, _, definition)| definition.to_owned());
    let names = sqlx::query_scalar!(
        r#"
        select wanted.name as "name!"
          from unnest($1::text[], $2::boolean[], $3::text[])
            as wanted (name, is_unique, definition)
         where not exists (select from pg_index i
                            where i.indexrelid = to_regclass(wanted.name)
                              and i.indrelid = to_regclass('member_tree_paths')
                              and i.indisvalid and i.indisunique = wanted.is_unique
                              and pg_get_indexdef(i.indexrelid)
                                    like '% USING btree ' || wanted.definition)
        "#,
        &names[..],
        &unique[..],
        &definitions[..],
    );
    Ok(names.fetch_all(conn).await?)
}
