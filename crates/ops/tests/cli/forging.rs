//! What a worker's role is trusted with, outcomes and ledger lines, and what `verify` finds when it
//! breaks that trust. What it wrote cannot be taken back, by nobody: so each forgery has a database
//! of its own.

use sqlx::AssertSqlSafe;
use store::StoreError;
use store::database::Role;
use store::testing::World;

use crate::proving::{lineage, settled_world};

/// Writes as a role and no more.
async fn forge(world: &World, role: Role, statement: &str) -> u64 {
    let pool = world.pool_as(role);
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&pool).await.unwrap().rows_affected()
}

async fn is_found(statement: &str, problem: &str) {
    is_found_of(Role::Worker, statement, problem).await;
}

async fn is_found_of(role: Role, statement: &str, problem: &str) {
    let world = settled_world().await;
    assert!(lineage(&world, &["verify"]).await.0, "whole before: {statement}");
    assert_eq!(forge(&world, role, statement).await, 1, "{statement}");
    let (proved, said) = lineage(&world, &["verify"]).await;
    assert!(!proved && said.contains(problem), "not found: {statement}\n{said}");
}

const LINE: &str = "insert into commission_ledger (event_id, member_id, earned_period, \
    posted_period, rule_id, entry_type, line, level, depth, currency, amount, career_points) ";

#[tokio::test]
async fn a_line_more_of_a_settled_sale_is_found() {
    let line = "select id, gen_random_uuid(), earned_period, earned_period, 1, \
        'LEVEL_COMMISSION', 2, 3, 3, currency, 1000, 0 from events order by id limit 1";
    is_found(&format!("{LINE}{line}"), "line").await;
}

#[tokio::test]
async fn a_line_of_a_sale_that_is_not_recorded_is_found() {
    let line = "values (gen_random_uuid(), gen_random_uuid(), '2026-11-01', '2026-11-01', 1, \
        'LEVEL_COMMISSION', 0, 1, 1, 'EUR', 1000, 0)";
    is_found(&format!("{LINE}{line}"), "has ledger lines but no outcome").await;
}

#[tokio::test]
async fn an_outcome_of_a_sale_that_is_not_recorded_is_found() {
    let outcome = "insert into commission_outcomes (event_id, plan_id, semantics, lines, breakage, \
        inputs) select gen_random_uuid(), plan_id, semantics, 0, 0, inputs \
        from commission_outcomes limit 1";
    is_found(outcome, "has an outcome but is not recorded").await;
}

/// Ingest makes an event's id of its names; who writes past ingest may not.
#[tokio::test]
async fn a_sale_under_another_id_is_found() {
    let event = "insert into events (id, member_id, occurred_at, recorded_at, earned_period, \
        event_type, source_type, currency, source, external_id, amount, volume) \
        select gen_random_uuid(), member_id, occurred_at, recorded_at, earned_period, event_type, \
        source_type, currency, source, external_id, amount, volume from events limit 1";
    is_found_of(Role::Ingest, event, "recorded under another id, too").await;
}

#[tokio::test]
async fn a_failure_of_an_event_that_is_gone_is_found() {
    let failure = "insert into event_failures (event_id, state, cause, attempts, last_error) \
        values (gen_random_uuid(), 'dead', 'no_plan', 4, 'x')";
    is_found(failure, "could not be settled and is not recorded").await;
}

/// The claim is the first outcome: there is no second one to be written over it.
#[tokio::test]
async fn a_settled_sale_has_no_second_outcome() {
    let world = settled_world().await;
    let again = "insert into commission_outcomes (event_id, plan_id, semantics, lines, breakage, \
        inputs) select event_id, plan_id, semantics, 0, 0, inputs from commission_outcomes limit 1";
    let worker = world.pool_as(Role::Worker);
    let refused = sqlx::query(again).execute(&worker).await.unwrap_err();
    assert_eq!(StoreError::from(refused).sqlstate().as_deref(), Some("23505"));
    let replaced = format!("{again} on conflict (event_id) do update set breakage = 1");
    let refused = sqlx::query(AssertSqlSafe(replaced)).execute(&worker).await.unwrap_err();
    assert_eq!(StoreError::from(refused).sqlstate().as_deref(), Some("42501"));
    assert_eq!(forge(&world, Role::Worker, &format!("{again} on conflict do nothing")).await, 0);
    assert!(lineage(&world, &["verify"]).await.0);
}
