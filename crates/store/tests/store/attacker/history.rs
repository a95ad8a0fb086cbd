//! History stays as it was written.

use store::StoreError;

use super::{APPEND_ONLY, DENIED, Fortress, execute};

/// L3: whatever an attacker thinks of, history stays as it was written.
#[tokio::test]
async fn l3_nobody_rewrites_history() {
    let fortress = Fortress::new().await;
    let tables = [
        "events",
        "event_lines",
        "commission_outcomes",
        "commission_ledger",
        "commission_ledger_2026_11",
        "commission_plans",
        "commission_rules",
        "plan_retirements",
        "member_sponsors",
        "member_states",
        "member_reward_splits",
        "member_changes",
        "operator_actions",
    ];
    let key =
        "select a.attname::text from pg_attribute a where attrelid = $1::regclass and attnum = 2";
    for table in tables {
        let column: String =
            sqlx::query_scalar(key).bind(table).fetch_one(&fortress.world.owner).await.unwrap();
        let mut statements = Vec::new();
        for rewritten in [
            "update {t} set {c} = {c}",
            "update only {t} set {c} = {c}",
            "delete from {t}",
            "truncate {t}",
            "with gone as (delete from {t} returning *) select * from gone",
            "merge into {t} using (select 1) as x on true when matched then delete",
            "do $$ begin update {t} set {c} = {c}; end $$",
            "do $$ begin lock table {t} in access exclusive mode; end $$",
            "select * from {t} for update",
            "alter table {t} disable trigger append_only",
            "alter table {t} disable trigger all",
            "alter table {t} disable trigger user",
            "alter table {t} enable replica trigger append_only",
            "drop trigger append_only on {t}",
            "alter table {t} owner to current_user",
            "alter table {t} rename to gone",
            "alter table {t} set schema pg_temp",
            "alter table {t} drop column {c}",
            "alter table {t} alter column {c} drop default",
            "alter table {t} enable row level security",
            "create policy hide on {t} using (false)",
            "create rule hide as on insert to {t} do instead nothing",
            "create trigger hide before insert on {t} for each row execute function \
             suppress_redundant_updates_trigger()",
            "create table heir () inherits ({t})",
            "create index on {t} ({c})",
            "comment on table {t} is 'x'",
            "drop table {t} cascade",
            "drop table {t}",
        ] {
            statements.push(rewritten.replace("{t}", table).replace("{c}", &column));
        }
        fortress.hold(statements.iter().map(|statement| (statement, [DENIED; 3]))).await;
    }
    let statements = [
        "alter table commission_ledger detach partition commission_ledger_2026_11",
        "alter table commission_ledger_2026_11 no inherit commission_ledger",
        "alter table commission_ledger attach partition members default",
        "create table more partition of commission_ledger default",
        "drop view event_state cascade",
        "create or replace view event_state as select 1 as event_id",
        "alter view member_balance owner to current_user",
        "drop function refuse_change() cascade",
        "alter function refuse_change() owner to current_user",
        "create or replace function refuse_change() returns trigger language plpgsql as \
         'begin return null; end'",
        "select setval('operator_actions_id_seq', 1000000)",
        "select nextval('member_changes_id_seq')",
        "update pg_catalog.pg_trigger set tgenabled = 'D'",
        "delete from pg_catalog.pg_class where relname = 'events'",
    ];
    fortress.hold(statements.map(|statement| (statement, [DENIED; 3]))).await;
    // Not even the owner's slips: the triggers hold for everybody.
    for table in tables {
        let refused = execute(&fortress.world.owner, &format!("delete from {table}")).await;
        assert_eq!(refused.unwrap_err().sqlstate().as_deref(), Some(APPEND_ONLY), "{table}");
    }
    // In a session for replication too.
    let mut owner = fortress.world.owner.acquire().await.unwrap();
    sqlx::query("set session_replication_role = replica").execute(&mut *owner).await.unwrap();
    let refused = sqlx::query("delete from events").execute(&mut *owner).await.unwrap_err();
    assert_eq!(StoreError::from(refused).sqlstate().as_deref(), Some(APPEND_ONLY));
    owner.close().await.unwrap();
}
